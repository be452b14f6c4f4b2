"""The front desk: verbs, refs, sessions, receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256

import orjson
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from adapters import connect, create, open_log
from ledger import Conflict, NotFound, Rollback, StorageError
from provenance import EventRejected, Money, PartyKey, ProvenanceLedger, Statement, audit, sign_statement
from provenance.events import Draft, new_event
from tests.provenance.conftest import ORIGIN, Market


def grant(market: Market, session: object, ref: str | None = "order:1") -> Callable[[], object]:
    work = market.work(b"for sale")
    offer = market.ledger.offer(work, terms="CC-BY-4.0", price=Money(500, "EUR"))
    return lambda: market.ledger.license(
        work, to=market.bo, offer=offer, price=Money(500, "EUR"), ref=ref, session=session
    )


def sales(market: Market) -> int:
    with market.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM sales")).scalar_one())


def test_a_work_is_published_with_a_proof_that_stands_alone(market: Market) -> None:
    ticket = market.work(b"dunes", terms="CC-BY-4.0", title="Dunes", ref="work:1")
    receipt = market.ledger.receipt(ticket)
    receipt.proof.verify(receipt.entry, market.ledger.log.policy)
    assert receipt.event is not None
    assert sha256(receipt.event).hexdigest() == ticket.id
    assert Statement.parse(receipt.entry).event_id.hex() == ticket.id
    assert market.ledger.find("work:1") == ticket


def test_names_titles_and_refs_are_not_in_what_is_published(market: Market) -> None:
    market.work(b"dunes", title="A very private title", ref="work:secret-ref")
    published = b"".join(path.read_bytes() for path in market.public.rglob("*") if path.is_file())
    for private in (b"private title", b"secret-ref", b"Ada", b"user:1", b"Test Market"):
        assert private not in published


def test_a_grant_is_sealed_and_its_position_public(market: Market) -> None:
    ticket = grant(market, None)()
    published = b"".join(path.read_bytes() for path in market.public.rglob("*") if path.is_file())
    assert b"grant.issue" in published
    assert b'"quantity"' not in published
    report = audit(open_log(market.public, market.ledger.log.policy))
    assert report.record == "intact"
    assert report.statuses["sealed"] == 1
    assert orjson.loads(market.ledger.event(ticket))["body"]["price"] == {"amount": "500", "currency": "EUR"}


def test_the_same_ref_with_the_same_content_returns_the_first_ticket(market: Market) -> None:
    first = market.work(b"same", title="T", ref="work:1", terms="CC-BY-4.0")
    size = market.ledger.log.size
    again = market.work(b"same", title="T", ref="work:1", terms="CC-BY-4.0")
    assert again == first
    assert market.ledger.log.size == size


@pytest.mark.parametrize("change", [{"title": "other"}, {"terms": "CC0-1.0"}, {"source_type": "digitalCapture"}])
def test_the_same_ref_with_other_content_is_a_conflict(market: Market, change: dict[str, str]) -> None:
    asked = {"title": "T", "terms": "CC-BY-4.0", "source_type": "digitalCreation"}
    market.work(b"same", ref="work:1", **asked)
    with pytest.raises(Conflict, match="work:1"):
        market.work(b"same", ref="work:1", **{**asked, **change})


def test_one_ref_may_serve_two_verbs_and_find_asks_which(market: Market) -> None:
    work = market.work(b"x", ref="thing:1")
    offer = market.ledger.offer(work, terms="CC-BY-4.0", ref="thing:1")
    with pytest.raises(Conflict, match="create, offer"):
        market.ledger.find("thing:1")
    assert market.ledger.find("thing:1", verb="offer") == offer
    with pytest.raises(NotFound):
        market.ledger.find("thing:2")


def test_terms_are_published_once(market: Market) -> None:
    market.work(b"a", terms="CC-BY-4.0")
    market.work(b"b", terms="CC-BY-4.0")
    assert market.ledger.index.counts()["terms.publish"] == 1


def test_sale_and_license_commit_together(market: Market) -> None:
    with Session(market.engine) as session:
        act = grant(market, session)
        session.execute(text("INSERT INTO sales VALUES (1)"))
        ticket = act()
        assert market.ledger.waiting == 0
        session.commit()
    assert market.ledger.waiting == 1
    with pytest.raises(NotFound, match="publish"):
        market.ledger.receipt(str(ticket))
    market.ledger.publish()
    assert market.ledger.receipt(str(ticket)).index == market.ledger.log.size - 1
    assert sales(market) == 1


def test_a_rolled_back_sale_leaves_nothing(market: Market) -> None:
    size = market.ledger.log.size
    with Session(market.engine) as session:
        act = grant(market, session)
        size = market.ledger.log.size
        session.execute(text("INSERT INTO sales VALUES (1)"))
        act()
        session.rollback()
    market.ledger.publish()
    assert (market.ledger.log.size, market.ledger.waiting, sales(market)) == (size, 0, 0)
    with pytest.raises(NotFound):
        market.ledger.find("order:1")


def test_a_plain_connection_can_be_joined(market: Market) -> None:
    with market.engine.connect() as connection:
        act = grant(market, connection)
        act()
        connection.rollback()
        act()
        connection.commit()
    assert market.ledger.waiting == 1


def test_an_async_session_can_be_joined(market: Market) -> None:
    act = market.work(b"async")

    async def sell() -> None:
        engine = create_async_engine(market.url.replace("sqlite://", "sqlite+aiosqlite://"))
        async with AsyncSession(engine) as session:
            offer = await market.ledger.offer(act, terms="CC0-1.0", ref="offer:1", session=session)  # type: ignore[misc]
            assert offer.type == "offer.attach"
            await session.rollback()
            await market.ledger.offer(act, terms="CC0-1.0", ref="offer:2", session=session)  # type: ignore[misc]
            await session.commit()
        await engine.dispose()

    asyncio.run(sell())
    market.ledger.publish()
    assert market.ledger.find("offer:2").type == "offer.attach"
    with pytest.raises(NotFound):
        market.ledger.find("offer:1")


def test_staging_in_a_savepoint_that_survives_rollbacks_is_refused(market: Market) -> None:
    engine = create_engine(market.url)
    with Session(engine) as session:
        act = grant(market, session)
        with pytest.raises(StorageError, match="savepoint"), session.begin_nested():
            act()
        session.rollback()
    assert market.ledger.waiting == 0


def test_staging_in_a_savepoint_of_a_mended_engine_vanishes_with_the_outer_rollback(market: Market) -> None:
    engine = create_engine(market.url)

    @event.listens_for(engine, "connect")
    def _no_driver_transactions(connection: object, _: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begin(connection: object) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]

    act = grant(market, None)
    with Session(engine) as session:
        act = grant(market, session)
        with session.begin_nested():
            act()
        session.rollback()
        with session.begin_nested() as savepoint:
            act()
            savepoint.rollback()
        session.commit()
        assert market.ledger.waiting == 0
        with session.begin_nested():
            act()
        session.commit()
    assert market.ledger.waiting == 1


def test_unknown_parents_and_parties_are_refused_with_all_reasons(market: Market) -> None:
    nobody = "ab" * 32
    with pytest.raises(EventRejected) as refused:
        market.ledger.derive(market.file(b"child"), parents=[nobody], creators=[nobody])
    assert [reason.rule for reason in refused.value.reasons] == ["G1.unknown-ref", "G1.unknown-ref"]
    assert market.ledger.waiting == 0


def test_a_ref_to_the_wrong_kind_of_event_is_refused(market: Market) -> None:
    with pytest.raises(EventRejected, match=r"is a party\.register, want work\.create or work\.derive"):
        market.ledger.derive(market.file(b"child"), parents=[market.ada], creators=[market.bo])


def test_a_parent_outside_of_the_log_is_accepted(market: Market) -> None:
    work = market.ledger.derive(
        market.file(b"child"), parents=[{"scheme": "doi", "id": "10.1000/182"}], creators=[market.bo]
    )
    history = market.history()
    entry = history.index.find(bytes.fromhex(work.id))
    assert entry is not None
    assert history.index.links_from(entry.idx)[0].outside == "doi:10.1000/182"


def test_a_work_with_the_bytes_of_its_ancestor_is_a_cycle(market: Market) -> None:
    first = market.work(b"original")
    second = market.ledger.derive(market.file(b"changed"), parents=[first], creators=[market.bo])
    with pytest.raises(EventRejected) as refused:
        market.ledger.derive(market.file(b"original"), parents=[second], creators=[market.bo])
    assert [reason.rule for reason in refused.value.reasons] == ["G2.cycle"]
    assert first.id in refused.value.reasons[0].events


def test_a_duplicate_parent_is_refused(market: Market) -> None:
    work = market.work(b"original")
    with pytest.raises(EventRejected):
        market.ledger.derive(market.file(b"changed"), parents=[work, work], creators=[market.bo])


@pytest.mark.parametrize(
    "price,rule", [(Money(499, "EUR"), "grant.price"), (Money(500, "USD"), "grant.price"), (None, "grant.price")]
)
def test_a_grant_below_its_offer_is_refused(market: Market, price: Money | None, rule: str) -> None:
    work = market.work(b"w")
    offer = market.ledger.offer(work, terms="CC-BY-4.0", price=Money(500, "EUR"))
    with pytest.raises(EventRejected) as refused:
        market.ledger.license(work, to=market.bo, offer=offer, price=price)
    assert [reason.rule for reason in refused.value.reasons] == [rule]


def test_a_grant_for_another_work_than_offered_is_refused(market: Market) -> None:
    work, other = market.work(b"w"), market.work(b"v")
    offer = market.ledger.offer(work, terms="CC-BY-4.0")
    with pytest.raises(EventRejected) as refused:
        market.ledger.license(other, to=market.bo, offer=offer)
    assert [reason.rule for reason in refused.value.reasons] == ["grant.work"]


def test_two_parties_may_register_the_same_bytes(market: Market) -> None:
    first = market.work(b"same bytes")
    second = market.ledger.create(market.file(b"same bytes"), creators=[market.bo])
    found = market.ledger.index.by_digest(sha256(b"same bytes").digest())
    assert [entry.event_id.hex() for entry, _ in found] == [first.id, second.id]


def own_party(market: Market) -> tuple[PartyKey, str]:
    key = PartyKey.generate()
    draft = new_event(
        "party.register",
        ledger=ORIGIN,
        actor="self",
        strength="self",
        claimed_at="2026-11-23T08:00:00Z",
        body={"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []},
    )
    statement = sign_statement(key, issuer=draft.id.hex(), type=draft.type, origin=ORIGIN, event_id=draft.id)
    return key, market.ledger.submit(draft.data, statement).id


def own_work(party: str) -> object:
    return new_event(
        "work.create",
        ledger=ORIGIN,
        actor=party,
        strength="self",
        claimed_at="2026-11-23T08:00:00Z",
        body={
            "digests": {"sha-256": "ab" * 32},
            "media_type": "image/png",
            "size": 1,
            "source_type": "digitalCreation",
            "human_contribution": "full",
            "tools": "none",
        },
        refs=[{"role": "creator", "id": party, "as": "author"}],
    )


def test_a_creator_with_a_key_speaks_for_herself(market: Market) -> None:
    key, party = own_party(market)
    draft = own_work(party)
    statement = sign_statement(key, issuer=party, type="work.create", origin=ORIGIN, event_id=draft.id)  # type: ignore[attr-defined]
    ticket = market.ledger.submit(draft.data, statement)  # type: ignore[attr-defined]
    size = market.ledger.log.size
    assert market.ledger.submit(draft.data, statement).id == ticket.id  # type: ignore[attr-defined]
    assert market.ledger.log.size == size
    report = audit(open_log(market.public, market.ledger.log.policy))
    assert report.findings == ()


def own_offer(party: str, work: str, terms: str) -> Draft:
    return new_event(
        "offer.attach",
        ledger=ORIGIN,
        actor=party,
        strength="self",
        claimed_at="2026-11-23T08:00:00Z",
        body={"audience": "public", "overrides": {}},
        refs=[{"role": "work", "id": work}, {"role": "terms", "id": terms}],
    )


def test_only_its_people_and_the_market_act_on_a_work(market: Market) -> None:
    key, party = own_party(market)
    terms = market.ledger.publish_terms("CC0-1.0")
    theirs = market.work(b"not theirs to give")
    mine = market.ledger.create(market.file(b"by her"), creators=[party])
    for work, refused in ((theirs, True), (mine, False)):
        draft = own_offer(party, work.id, terms.id)
        statement = sign_statement(key, issuer=party, type="offer.attach", origin=ORIGIN, event_id=draft.id)
        if refused:
            with pytest.raises(EventRejected) as error:
                market.ledger.submit(draft.data, statement)
            assert [reason.rule for reason in error.value.reasons] == ["work.owner"]
        else:
            assert market.ledger.submit(draft.data, statement).type == "offer.attach"


@pytest.mark.parametrize("wrong", ["key", "actor", "log", "type", "sealed", "event", "custodial"])
def test_a_foreign_statement_that_does_not_fit_is_refused(market: Market, wrong: str) -> None:
    key, party = own_party(market)
    draft = own_work(market.ada.id if wrong == "custodial" else party)
    details = {
        "issuer": market.ada.id if wrong in {"actor", "custodial"} else party,
        "type": "work.derive" if wrong == "type" else "work.create",
        "origin": "other.example/log" if wrong == "log" else ORIGIN,
        "event_id": bytes(32) if wrong == "event" else draft.id,  # type: ignore[attr-defined]
        "sealed": wrong == "sealed",
    }
    statement = sign_statement(PartyKey.generate() if wrong == "key" else key, **details)  # type: ignore[arg-type]
    size = market.ledger.log.size
    with pytest.raises((EventRejected, Exception)) as refused:
        market.ledger.submit(draft.data, statement)  # type: ignore[attr-defined]
    assert type(refused.value).__name__ == ("UnknownKey" if wrong in {"key", "actor", "custodial"} else "EventRejected")
    assert market.ledger.log.size == size


def test_log_time_is_written_once_a_minute_and_never_goes_back(market: Market) -> None:
    before = market.ledger.index.counts()["log.time"]
    market.clock.forward(59)
    market.work(b"a")
    assert market.ledger.index.counts()["log.time"] == before
    market.clock.forward(1)
    market.work(b"b")
    assert market.ledger.index.counts()["log.time"] == before + 1
    market.clock.forward(-30)
    with pytest.raises(Rollback, match="clock"):
        market.work(b"c")
    assert market.ledger.waiting == 1
    market.clock.forward(30)
    market.ledger.publish()
    assert market.ledger.waiting == 0


def test_record_many_is_all_in_order_and_idempotent(market: Market) -> None:
    drafts = [
        market.ledger.draft(
            "work.create",
            body={
                "digests": {"sha-256": sha256(bytes([n])).hexdigest()},
                "media_type": "image/png",
                "size": n,
                "source_type": "digitalCreation",
                "human_contribution": "full",
                "tools": "none",
            },
            refs=[{"role": "creator", "id": market.ada.id, "as": "author"}],
            personal={"title": f"work {n}"},
        )
        for n in range(200)
    ]
    tickets = market.ledger.record_many(drafts)
    assert [market.ledger.receipt(t).index for t in tickets] == list(
        range(market.ledger.log.size - 200, market.ledger.log.size)
    )
    size = market.ledger.log.size
    assert market.ledger.record_many(drafts) == tickets
    assert market.ledger.log.size == size
    assert audit(open_log(market.public, market.ledger.log.policy)).record == "intact"


def test_everything_survives_reopening(market: Market) -> None:
    ticket = market.work(b"kept", ref="work:kept")
    ledger = market.reopen()
    assert ledger.find("work:kept") == ticket
    assert ledger.receipt(ticket).event == market.ledger.event(ticket)


def test_connect_takes_the_markets_own_engine_and_leaves_it_alone(market: Market) -> None:
    before = dict(market.engine.dialect.__dict__)
    ledger = connect(market.engine, publish=market.public, clock=market.clock)
    assert isinstance(ledger, ProvenanceLedger)
    assert dict(market.engine.dialect.__dict__) == before


def test_create_never_overwrites(market: Market) -> None:
    with pytest.raises(Conflict):
        create(market.url, origin=ORIGIN, publish=market.root / "elsewhere")
    with pytest.raises(NotFound):
        connect(f"sqlite:///{market.root / 'nothing.db'}")


def test_the_same_draft_twice_in_one_call_is_recorded_once(market: Market) -> None:
    draft = market.ledger.draft("terms.publish", body={"license": "CC0-1.0", "machine": {}})
    size = market.ledger.log.size
    assert market.ledger.record_many([draft, draft])[0].id == draft.id.hex()
    assert market.ledger.log.size == size + 1


def test_two_handles_publish_each_others_events_and_prove_them(market: Market) -> None:
    other = connect(market.url, publish=market.public, clock=market.clock)
    mine = market.work(b"mine")
    theirs = other.create(market.file(b"theirs"), creators=[market.bo])
    assert other.receipt(mine).proof.index < other.receipt(theirs).proof.index
    market.ledger.publish()
    assert market.ledger.receipt(theirs).entry == other.receipt(theirs).entry
    assert audit(open_log(market.public, market.ledger.log.policy)).record == "intact"


def test_a_claim_of_credit_is_answered_once(market: Market) -> None:
    desk = market.ledger
    photo, other = market.work(b"photo"), market.work(b"other")
    claim = desk.claim_credit(photo, child=other, method="iscc", evidence="ab" * 32, distance=3)
    answer = desk.answer_credit(claim, "accept", actor=market.ada, ref="answer:1")
    assert orjson.loads(desk.event(answer))["body"] == {"answer": "accept"}
    assert desk.find("answer:1") == answer
    with pytest.raises(EventRejected):
        desk.answer_credit(claim, "reject", actor=market.ada)
    assert desk.ancestors(other).rows == ()  # by itself it moves nothing


def test_the_result_of_a_test_suite(market: Market) -> None:
    digests = {"suite_digest": "ab" * 32, "results_digest": "cd" * 32}
    said = {"suite": "adapters.conformance", "version": "1", **digests, "passed": 40, "failed": 1}
    ticket = market.ledger.conform(**said, ref="suite:1")
    assert orjson.loads(market.ledger.event(ticket))["body"] == said
    assert market.ledger.conform(**said, ref="suite:1") == ticket


def test_every_file_of_a_work_finds_it(market: Market) -> None:
    desk = market.ledger
    photo = market.work(b"photo")
    assert desk.digests_of(photo) == {sha256(b"photo").hexdigest()}
