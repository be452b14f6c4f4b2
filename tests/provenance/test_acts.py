"""Acts of several signers: whose word each needs, what the others answer, and what becomes of it in log time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from adapters import open_log
from adapters.recover import rebuild_index
from provenance import EventRejected, History, Ticket
from provenance.acts import needs_assent
from provenance.assent import Group
from tests.provenance.conftest import Market
from tests.provenance.test_identity_ledger import Signer
from tests.provenance.test_index import audited

DAY = 86_400
HALF = 50_000_000


class Cast:
    """A market with two parties that have keys of their own, and two that have not."""

    def __init__(self, market: Market) -> None:
        self.market, self.desk = market, market.ledger
        self.eve, self.dan = Signer(market), Signer(market)
        self.ada, self.bo = market.ada, market.bo

    def said(self, signer: Signer, type_: str, body: Any, refs: Sequence[Any], actor: str | None = None) -> Ticket:
        return signer.submit(self.desk.propose(type_, actor=actor or signer.id, body=body, refs=refs))

    def answers(self, signer: Signer, act: Ticket, answer: str = "yes") -> Ticket:
        return self.said(signer, "assent.answer", {"answer": answer}, [{"role": "of", "id": act.id}])

    def work(self, *creators: Signer | Ticket, content: bytes = b"w") -> Ticket:
        return self.desk.create(self.market.file(content), creators=[each.id for each in creators])

    def state(self, act: Ticket, at: int | None = None) -> str:
        found = self.desk.agreement(act, at=at)
        assert found is not None
        return found.state

    def shared(self, shares: dict[Signer, int] | None = None) -> Ticket:
        """A work in shares of Eve's and Dan's, to which both agreed."""
        work = self.work(self.eve, content=b"%d" % len(self.market.files))
        shares = shares or {self.eve: HALF, self.dan: HALF}
        split = self.desk.split(work, {party.id: units for party, units in shares.items()})
        for party in shares:
            self.answers(party, split)
        assert self.desk.shares_of(work) == {party.id: units for party, units in shares.items()}
        return work


@pytest.fixture
def cast(market: Market) -> Cast:
    return Cast(market)


def rules(caught: pytest.ExceptionInfo[EventRejected]) -> set[str]:
    return {reason.rule for reason in caught.value.reasons}


def _create(cast: Cast) -> Ticket:
    return cast.work(cast.eve, cast.dan)


def _derive(cast: Cast) -> Ticket:
    work = cast.desk.create(cast.market.file(b"parent"), creators=[cast.ada])
    return cast.desk.derive(cast.market.file(b"child"), parents=[work], creators=[cast.eve.id, cast.dan.id])


def _approved(cast: Cast) -> Ticket:
    work = cast.shared()
    machine = {"derivatives": {"allowed": True, "approval": True}}
    terms = cast.desk.publish_terms("LicenseRef-ask", machine=machine)
    offer = cast.desk.offer(work, terms=terms)
    for party in (cast.eve, cast.dan):
        if cast.state(offer) == "pending":
            cast.answers(party, offer)
    return cast.desk.derive(cast.market.file(b"remix"), parents=[work], creators=[cast.ada])


def _model(cast: Cast) -> Ticket:
    return cast.desk.register_model(version="1", creators=[cast.eve.id, cast.dan.id])


def _split(cast: Cast) -> Ticket:
    return cast.desk.split(cast.work(cast.eve), {cast.eve.id: HALF, cast.dan.id: HALF})


def _transfer(cast: Cast) -> Ticket:
    work = cast.shared()
    refs = [{"role": "work", "id": work.id}, {"role": "from", "id": cast.eve.id}, {"role": "to", "id": cast.dan.id}]
    prev = cast.desk.before().newest("split", bytes.fromhex(work.id))
    assert prev is not None
    refs.append({"role": "prev", "id": prev.hex()})
    return cast.desk.record_many([cast.desk.draft("split.transfer", body={"units": "1"}, refs=refs)])[0]


def _grant(cast: Cast, *, to: Signer | Ticket) -> Ticket:
    work = cast.work(cast.ada, content=b"g%d" % len(cast.market.files))
    offer = cast.desk.offer(work, terms="LicenseRef-house")
    return cast.desk.license(work, to=to.id, offer=offer, transferable=True)


def _passed_on(cast: Cast) -> Ticket:
    return cast.desk.transfer_grant(_grant(cast, to=cast.ada), to=cast.eve.id, actor=cast.ada)


def _offer(cast: Cast) -> Ticket:
    return cast.desk.offer(cast.shared(), terms="CC0-1.0")


def _placed(cast: Cast) -> Ticket:
    return cast.desk.syndicate(cast.work(cast.ada), market=cast.eve.id)


def _mandate(cast: Cast) -> Ticket:
    refs = [{"role": "agent", "id": cast.eve.id}]
    draft = cast.desk.draft("mandate.grant", body={"actions": ["offer.*"], "territories": []}, refs=refs)
    return cast.desk.record_many([draft])[0]


def _link(cast: Cast) -> Ticket:
    refs = [{"role": "other", "id": cast.eve.id}]
    return cast.desk.record_many([cast.desk.draft("party.link", body={"scheme": "party"}, refs=refs)])[0]


ACTS: dict[str, tuple[Callable[[Cast], Ticket], str]] = {
    "work.create": (_create, "eve dan"),
    "work.derive": (_derive, "eve dan"),
    "work.derive, parent": (_approved, "eve dan"),
    "model.register": (_model, "eve dan"),
    "split.declare": (_split, "eve dan"),
    "split.transfer": (_transfer, "eve dan"),
    "grant.transfer": (_passed_on, "eve"),
    "offer.attach": (_offer, "eve dan"),
    "syndicate.place": (_placed, "eve"),
    "mandate.grant": (_mandate, "eve"),
    "party.link": (_link, "eve"),
}


def test_every_type_is_here() -> None:
    assert {name.partition(",")[0] for name in ACTS} == set(needs_assent())


@pytest.mark.parametrize("name", ACTS)
def test_whose_word_it_needs(cast: Cast, name: str) -> None:
    make, who = ACTS[name]
    asked = [getattr(cast, each) for each in who.split()]
    act = make(cast)
    found = cast.desk.agreement(act)
    assert found is not None
    assert (found.state, set(found.missing)) == ("pending", {party.id for party in asked})
    assert [(row.id, set(row.missing)) for row in cast.desk.pending().rows if row.id == act.id] == [
        (act.id, {party.id for party in asked})
    ]
    stranger = Signer(cast.market)
    with pytest.raises(EventRejected) as caught:
        cast.answers(stranger, act)
    assert rules(caught) == {"assent.asked"}
    given = [act.id]
    for left, party in zip(range(len(asked) - 1, -1, -1), asked, strict=True):
        size = cast.desk.log.size
        given.append(cast.answers(party, act).id)
        assert cast.state(act, at=size) == "pending"
        with pytest.raises(EventRejected) as caught:
            cast.answers(party, act, "no")
        assert rules(caught) == {"once.assent"}
        assert cast.state(act) == ("pending" if left else "effective")
    found = cast.desk.agreement(act)
    assert found is not None
    assert (found.until, found.missing, found.no, found.events) == ("", (), (), tuple(given))
    assert act.id not in {row.id for row in cast.desk.pending().rows}


@pytest.mark.parametrize("name", ACTS)
def test_a_no_refuses_it_and_nothing_else_happens(cast: Cast, name: str) -> None:
    make, who = ACTS[name]
    asked = [getattr(cast, each) for each in who.split()]
    act = make(cast)
    cast.answers(asked[0], act, "no")
    found = cast.desk.agreement(act)
    assert found is not None
    assert (found.state, found.no) == ("refused", (asked[0].id,))
    for other in asked[1:]:
        with pytest.raises(EventRejected) as caught:
            cast.answers(other, act)
        assert rules(caught) == {"assent.pending"}
    report = audited(cast.desk, cast.market.public)
    assert (report.record, report.against_rules) == ("intact", ())
    assert report.history.agreement(act) == found


def test_silence_lets_it_expire(cast: Cast) -> None:
    act = cast.desk.split(cast.work(cast.ada), {cast.ada.id: HALF, cast.eve.id: HALF})
    size = cast.desk.log.size
    cast.market.clock.forward(30 * DAY)
    cast.market.work(b"last moment")
    assert cast.state(act) == "pending"
    assert [row.id for row in cast.desk.pending().rows] == [act.id]
    cast.market.clock.forward(61)
    cast.market.work(b"one more")
    assert cast.state(act) == "expired"
    assert cast.desk.pending().rows == ()
    with pytest.raises(EventRejected) as caught:
        cast.answers(cast.eve, act)
    assert rules(caught) == {"assent.pending"}
    assert cast.state(act, at=size) == "pending"
    assert [row.id for row in cast.desk.pending(at=size).rows] == [act.id]


def test_an_answer_that_is_logged_too_late_counts_for_nothing(cast: Cast) -> None:
    """It was staged in time, and sequenced afterwards."""
    act = _passed_on(cast)
    draft = cast.desk.propose("assent.answer", actor=cast.eve.id, body={"answer": "yes"}, refs=[_of(act)])
    with cast.market.engine.begin() as connection:
        cast.eve.submit(draft, session=connection)
    cast.market.clock.forward(31 * DAY)
    cast.desk.publish()
    assert cast.state(act) == "expired"
    assert [f.rule for f in audited(cast.desk, cast.market.public).against_rules] == ["assent.pending"]


def _of(act: Ticket) -> dict[str, str]:
    return {"role": "of", "id": act.id}


def test_the_market_speaks_for_parties_without_keys(cast: Cast) -> None:
    for act in (
        cast.work(cast.ada, cast.bo),
        cast.desk.split(cast.work(cast.ada, content=b"2"), {cast.ada.id: HALF, cast.bo.id: HALF}),
        cast.desk.transfer_grant(_grant(cast, to=cast.ada), to=cast.bo, actor=cast.ada),
    ):
        assert cast.state(act) == "effective"
    assert cast.desk.pending().rows == ()
    mixed = cast.work(cast.ada, cast.eve, content=b"3")
    found = cast.desk.agreement(mixed)
    assert found is not None
    assert (found.yes, found.missing) == ((cast.ada.id,), (cast.eve.id,))
    with pytest.raises(EventRejected) as caught:
        cast.desk.assent(mixed, party=cast.eve.id)  # whoever has keys signs for itself
    assert "mandate.missing" in rules(caught)


def test_a_party_without_keys_is_asked_where_another_began(cast: Cast) -> None:
    refs = [{"role": "creator", "id": each, "as": "author"} for each in (cast.eve.id, cast.ada.id)]
    body = {
        "digests": {"sha-256": "ab" * 32},
        "media_type": "image/png",
        "size": 1,
        "source_type": "digitalCreation",
        "human_contribution": "full",
        "tools": "none",
    }
    act = cast.said(cast.eve, "work.create", body, refs)
    assert cast.state(act) == "pending"
    assert cast.desk.assent(act, party=cast.ada).type == "assent.answer"
    assert cast.state(act) == "effective"


def test_who_signed_it_has_said_yes(cast: Cast) -> None:
    work = cast.shared()
    prev = cast.desk.before().newest("split", bytes.fromhex(work.id))
    assert prev is not None
    refs = [
        {"role": "work", "id": work.id},
        {"role": "from", "id": cast.eve.id},
        {"role": "to", "id": cast.dan.id},
        {"role": "prev", "id": prev.hex()},
    ]
    draft = cast.desk.propose("split.transfer", actor=cast.eve.id, body={"units": "20000000"}, refs=refs)
    statement = _sealed(cast.eve, draft)
    act = cast.desk.submit(draft.data, statement, items=[bytes(item) for item in draft.items])
    found = cast.desk.agreement(act)
    assert found is not None
    assert (found.yes, found.missing) == ((cast.eve.id,), (cast.dan.id,))
    assert cast.desk.shares_of(work) == {cast.eve.id: HALF, cast.dan.id: HALF}
    cast.answers(cast.dan, act)
    assert cast.desk.shares_of(work) == {cast.eve.id: 30_000_000, cast.dan.id: 70_000_000}
    assert sum(cast.desk.shares_of(work).values()) == 100_000_000


def _sealed(signer: Signer, draft: Any) -> bytes:
    from provenance import sign_statement
    from tests.provenance.conftest import ORIGIN

    return sign_statement(signer.key, issuer=signer.id, type=draft.type, origin=ORIGIN, event_id=draft.id, sealed=True)


def test_nobody_gives_more_than_they_have(cast: Cast) -> None:
    work = cast.work(cast.ada)
    cast.desk.split(work, {cast.ada.id: HALF, cast.bo.id: HALF})
    with pytest.raises(EventRejected) as caught:
        cast.desk.transfer_share(work, HALF + 1, giver=cast.ada, to=cast.bo)
    assert rules(caught) == {"split.transfer.units"}
    cast.desk.transfer_share(work, HALF, giver=cast.ada, to=cast.bo)
    assert cast.desk.shares_of(work) == {cast.bo.id: 100_000_000}


def _gift(cast: Cast, work: Ticket, giver: Signer | Ticket, taker: Signer | Ticket, units: int = HALF) -> Ticket:
    """Units on their way, for giver and taker to agree to."""
    refs = [{"role": "work", "id": work.id}, {"role": "from", "id": giver.id}, {"role": "to", "id": taker.id}]
    prev = cast.desk.before().newest("split", bytes.fromhex(work.id))
    refs.append({"role": "prev", "id": prev.hex() if prev else ""})
    return cast.desk.record_many([cast.desk.draft("split.transfer", body={"units": str(units)}, refs=refs)])[0]


def _same_everywhere(cast: Cast, work: Ticket, *acts: Ticket) -> None:
    """At every size: the operator, an auditor who was given everything, and an index that was made again agree."""
    market = cast.market
    cast.desk.publish()
    disclosed = cast.desk.disclosures()
    history = History.read(open_log(market.public, cast.desk.log.policy), disclosed=disclosed)
    sizes = range(1, cast.desk.log.size + 1)

    def seen(asked: Any) -> list[Any]:
        return [(asked.shares_of(work, at=n), *(asked.agreement(act, at=n) for act in acts)) for n in sizes]

    before = seen(cast.desk)
    assert seen(history) == before
    rebuild_index(market.url)
    assert seen(market.reopen()) == before


@pytest.mark.parametrize("first", [0, 1])
def test_two_transfers_of_the_same_share_move_it_once(cast: Cast, first: int) -> None:
    """To whoever agreed first; the other one is void, and says that there was nothing left."""
    work = cast.shared()
    fay = Signer(cast.market)
    takers = (cast.dan, fay)
    gifts = [_gift(cast, work, cast.eve, taker) for taker in takers]
    for number in (first, 1 - first):
        cast.answers(cast.eve, gifts[number])
        cast.answers(takers[number], gifts[number])
    want = {cast.dan.id: HALF}
    want[takers[first].id] = want.get(takers[first].id, 0) + HALF
    assert cast.desk.shares_of(work) == want
    assert [cast.state(gift) for gift in gifts] == ["void" if number != first else "effective" for number in (0, 1)]
    void = cast.desk.agreement(gifts[1 - first])
    assert void is not None
    assert (void.missing, void.until) == ((), "")
    assert void.reason == f"{cast.eve.id} had 0 units left, and would give {HALF}"
    assert len(void.events) == 3
    assert {row.id for row in cast.desk.pending().rows}.isdisjoint(gift.id for gift in gifts)
    _same_everywhere(cast, work, *gifts)


def test_what_is_left_is_passed_on_in_any_order(cast: Cast) -> None:
    work = cast.shared()
    fay = Signer(cast.market)
    gifts = [_gift(cast, work, cast.eve, taker, HALF // 2) for taker in (cast.dan, fay)]
    for gift, taker in reversed(list(zip(gifts, (cast.dan, fay), strict=True))):
        cast.answers(cast.eve, gift)
        cast.answers(taker, gift)
    assert cast.desk.shares_of(work) == {cast.dan.id: 75_000_000, fay.id: 25_000_000}
    assert [cast.state(gift) for gift in gifts] == ["effective", "effective"]
    _same_everywhere(cast, work, *gifts)


def test_a_split_that_was_overtaken_is_void(cast: Cast) -> None:
    """What everybody agreed to later in the chain stays, although the earlier one lacked a word until now."""
    work = cast.work(cast.ada)
    old = cast.desk.split(work, {cast.ada.id: HALF, cast.eve.id: HALF})
    new = cast.desk.split(work, {cast.ada.id: HALF, cast.dan.id: HALF})
    cast.answers(cast.dan, new)
    cast.answers(cast.eve, old)
    assert cast.desk.shares_of(work) == {cast.ada.id: HALF, cast.dan.id: HALF}
    assert (cast.state(old), cast.state(new)) == ("void", "effective")
    found = cast.desk.agreement(old)
    assert found is not None
    assert "was agreed to before it" in found.reason
    _same_everywhere(cast, work, old, new)


def test_a_split_takes_nothing_from_who_was_not_asked(cast: Cast) -> None:
    work = cast.shared()
    fay = Signer(cast.market)
    gift = _gift(cast, work, cast.eve, fay, 1)
    split = cast.desk.split(work, {cast.eve.id: 1, cast.dan.id: 99_999_999})
    for party in (cast.eve, fay):
        cast.answers(party, gift)
    for party in (cast.eve, cast.dan):
        cast.answers(party, split)
    assert cast.desk.shares_of(work) == {cast.eve.id: HALF - 1, cast.dan.id: HALF, fay.id: 1}
    found = cast.desk.agreement(split)
    assert found is not None
    assert (found.state, found.reason) == ("void", f"{fay.id} came to own a part meanwhile, and was not asked")
    _same_everywhere(cast, work, gift, split)


def test_an_offer_of_shares_takes_more_than_half(cast: Cast) -> None:
    fay = Signer(cast.market)
    work = cast.shared({cast.eve: 40_000_000, cast.dan: 35_000_000, fay: 25_000_000})
    offer = cast.desk.offer(work, terms="CC0-1.0")
    assert cast.desk.offers_of(work) == []
    with pytest.raises(EventRejected) as caught:
        cast.desk.license(work, to=cast.bo, offer=offer)
    assert rules(caught) == {"grant.offer"}
    cast.answers(cast.eve, offer)
    assert cast.state(offer) == "pending"  # two fifths
    cast.answers(cast.dan, offer, "no")
    assert cast.state(offer) == "pending"  # Fay can still make it two thirds
    cast.answers(fay, offer)
    assert cast.state(offer) == "effective"
    assert [each.id for each in cast.desk.offers_of(work)] == [offer.id]
    assert cast.desk.license(work, to=cast.bo, offer=offer).type == "grant.issue"
    other = cast.desk.offer(work, terms="CC-BY-4.0")
    cast.answers(cast.eve, other, "no")
    assert cast.state(other) == "pending"  # sixty to go
    cast.answers(cast.dan, other, "no")
    assert cast.state(other) == "refused"


def test_an_offer_that_waits_is_not_sold_before_its_owners_agreed(cast: Cast) -> None:
    """Nobody can have answered it yet; what the market may say for its own parties is enough."""
    work, kept = cast.shared(), cast.work(cast.ada, content=b"kept")
    cast.desk.split(kept, {cast.ada.id: HALF, cast.bo.id: HALF})
    with cast.market.engine.begin() as connection:
        offer = cast.desk.offer(work, terms="CC0-1.0", session=connection)
        with pytest.raises(EventRejected, match="not in the log yet") as caught:
            cast.desk.license(work, to=cast.bo, offer=offer, session=connection)
        assert rules(caught) == {"grant.offer"}
        other = cast.desk.offer(kept, terms="CC0-1.0", session=connection)
        cast.desk.license(kept, to=cast.bo, offer=other, session=connection)
    cast.desk.publish()
    assert audited(cast.desk, cast.market.public).against_rules == ()


def test_exactly_half_is_not_more_than_half(cast: Cast) -> None:
    offer = cast.desk.offer(cast.shared(), terms="CC0-1.0")
    cast.answers(cast.eve, offer)
    assert cast.state(offer) == "pending"


def test_a_grant_is_passed_on_to_one_at_a_time(cast: Cast) -> None:
    """Else the second taker would have what the first one was given by then."""
    grant = _grant(cast, to=cast.ada)
    first = cast.desk.transfer_grant(grant, to=cast.eve.id, actor=cast.ada)
    with pytest.raises(EventRejected) as caught:
        cast.desk.transfer_grant(grant, to=cast.dan.id, actor=cast.ada)
    assert rules(caught) == {"grant.transfer.pending"}
    assert cast.desk.grant_status(grant).holder == cast.ada.id
    cast.answers(cast.eve, first)
    assert cast.desk.grant_status(grant).holder == cast.eve.id
    with pytest.raises(EventRejected) as caught:
        cast.desk.transfer_grant(grant, to=cast.bo, actor=cast.ada)
    assert rules(caught) == {"grant.holder"}
    again = _grant(cast, to=cast.ada)
    cast.answers(cast.eve, cast.desk.transfer_grant(again, to=cast.eve.id, actor=cast.ada), "no")
    cast.desk.transfer_grant(again, to=cast.bo, actor=cast.ada)
    assert cast.desk.grant_status(again).holder == cast.bo.id


def test_an_act_that_nobody_knows_has_no_state(cast: Cast) -> None:
    assert cast.desk.agreement("ab" * 32) is None
    with cast.market.engine.begin() as connection:
        waiting = cast.desk.offer(cast.work(cast.ada), terms="CC0-1.0", session=connection)
        assert cast.desk.agreement(waiting) is None


def test_a_group_of_everybody() -> None:
    group = Group.everybody("both", [b"a", b"b", b"a"])
    assert (dict(group.weights), group.threshold) == ({b"a": 1, b"b": 1}, 2)
