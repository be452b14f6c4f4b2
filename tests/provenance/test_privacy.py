"""Forgetting on purpose: fields and whole events, holds, takedowns; and what stays as it was."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from itertools import islice, product
from string import ascii_lowercase

import orjson
import pytest

from adapters.keys import load_secret
from ledger import MalformedError, NotFound, Proof
from provenance import EventRejected, PartyKey, Ticket, sign_statement
from provenance.before import Before
from provenance.canonical import dumps
from provenance.holds import holds_on
from provenance.questions import Kinship
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited


def name_of(market: Market, party: object) -> bytes:
    return bytes.fromhex(orjson.loads(market.ledger.event(str(party)))["commits"]["name"])


def test_a_field(market: Market) -> None:
    desk = market.ledger
    address = name_of(market, market.ada)
    proofs = {idx: bytes(desk.log.prove(idx)) for idx in range(desk.log.checkpoint.size)}
    old = desk.log.checkpoint
    done = desk.erase(address)
    assert (done.erased, done.before, done.kept) == ((address.hex(),), (), ())
    assert done.ticket is not None
    assert desk.item(address) is None
    assert desk.erased_by(address) == desk.index.find(bytes.fromhex(done.ticket.id)).idx  # type: ignore[union-attr]
    assert desk.erased_by(address, at=old) is None
    for idx, proof in proofs.items():
        entry = desk.log.row(idx).entry
        assert Proof.parse(proof).verify(entry, desk.log.policy) == old
    again = desk.erase(address)
    assert (again.ticket, again.erased, again.before) == (None, (), (address.hex(),))
    report = audited(desk, market.public)
    assert (report.record, report.against_rules) == ("intact", ())


def test_everything_personal_of_a_party(market: Market) -> None:
    desk = market.ledger
    work = market.work(title="Ada's own title")
    title = bytes.fromhex(orjson.loads(desk.event(work))["commits"]["title"])
    done = desk.erase(subject=market.ada)
    assert {name_of(market, market.ada).hex(), title.hex()} <= set(done.erased)
    assert desk.item(title) is None
    assert desk.item(name_of(market, market.bo)) is not None


def test_a_subject_is_a_party(market: Market) -> None:
    """Whoever asks to be forgotten is not told that it was done where it was not."""
    desk, size = market.ledger, market.ledger.log.size
    with pytest.raises(NotFound, match=f"subject {'ab' * 32}: never logged here, want a party; nothing was erased"):
        desk.erase(subject="ab" * 32)
    work = market.work(title="a title")
    with pytest.raises(NotFound, match=f"subject {work}: a work.create, want a party"):
        desk.erase(subject=work)
    assert desk.log.size == size + 1


def test_a_whole_event_leaves_its_place(market: Market) -> None:
    desk = market.ledger
    photo = market.work()
    remix = desk.derive(market.file(b"remix"), parents=[photo], creators=[market.bo], title="a title")
    child = desk.derive(market.file(b"child"), parents=[remix], creators=[market.bo])
    up = desk.ancestors(child)
    done = desk.erase(remix)
    assert done.erased[0] == remix.id
    assert len(done.erased) == 2  # and its title
    assert ("published-place", 1) in done.notices
    with pytest.raises(NotFound):
        desk.event(remix)
    assert desk.receipt(remix).event is None
    found = desk.ancestors(child)
    assert [(row.id, row.depth) for row in found.rows] == [(row.id, row.depth) for row in up.rows]
    assert isinstance(found.rows[0], Kinship)
    report = audited(desk, market.public)
    assert (report.record, report.statuses["erased"], report.against_rules) == ("intact", 1, ())
    assert b"remix" not in (market.public / "events" / "000").read_bytes()


def test_a_sealed_event_leaves_nothing(market: Market) -> None:
    desk = market.ledger
    work = market.work()
    offer = desk.offer(work, terms="CC0-1.0")
    grant = desk.license(work, to=market.bo, offer=offer)
    done = desk.erase(grant)
    erasure = orjson.loads(desk.event(str(done.ticket)))
    assert "tombstones" not in erasure["body"]
    assert desk.grant_status(grant).state == "unknown"
    assert audited(desk, market.public).record == "intact"


def test_what_cannot_go(market: Market) -> None:
    desk = market.ledger
    done = desk.erase(market.ada)
    assert (done.ticket, done.erased) == (None, ())
    assert "always open" in done.kept[0].reason
    for unknown in ("ab" * 32, sha256(b"nothing").digest()):
        with pytest.raises(NotFound, match="never logged here"):
            desk.erase(unknown)


def test_erased_by_somebody_else_meanwhile(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at what is erased and the look into the vault."""
    address, other = name_of(market, market.ada), market.reopen()
    desk = market.reopen()
    chosen = desk._choose

    def after_another(wanted: list[bytes], before: Before, **more: object) -> object:
        other.erase(address)
        return chosen(wanted, before, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(desk, "_choose", after_another)
    done = desk.erase(address)
    assert (done.ticket, done.erased, done.before) == (None, (), (address.hex(),))


def test_a_hold(market: Market) -> None:
    desk = market.ledger
    address, other = name_of(market, market.ada), name_of(market, market.bo)
    hold = desk.hold(address, ground="tax-records", until=market.clock.now + timedelta(days=2), ref="hold:1")
    assert desk.held() == {address.hex(): hold.id}
    done = desk.erase(address, other)
    assert done.erased == (other.hex(),)
    assert (done.kept[0].address, done.kept[0].because) == (address.hex(), hold.id)
    body = {"targets": [address.hex()], "method": "delete", "basis": "gdpr-17"}
    draft = desk.draft("erasure.execute", body=body)
    with pytest.raises(EventRejected, match=r"hold\.active"):
        desk.record_many([draft])
    assert desk.item(address) is not None
    market.clock.forward(3 * 86_400)
    desk.register_party("org")  # log time goes on with the log
    assert desk.held() == {}
    assert desk.erase(address).erased == (address.hex(),)


def test_an_event_is_held_with_its_fields(market: Market) -> None:
    """Those that it still has; also in the transaction that accepts it."""
    desk, work = market.ledger, market.work(title="a title", ref="work:1")
    offer = desk.offer(work, terms="CC0-1.0")
    with market.engine.begin() as connection:
        sale = desk.license(work, to=market.bo, offer=offer, ref="order:1", session=connection)
        hold = desk.hold(sale, ground="tax-records", ref="hold:1", session=connection)
    assert desk.hold(sale, ground="tax-records", ref="hold:1") == hold
    field = orjson.loads(desk.event(sale))["commits"]["ref"]
    done = desk.erase(sale)
    assert (done.erased, {kept.address for kept in done.kept}) == ((), {sale.id, field})
    assert desk.find("order:1").id == sale.id
    commits = orjson.loads(desk.event(work))["commits"]
    desk.erase(bytes.fromhex(commits["title"]))
    second = desk.hold(work, work.id, ground="dispute")
    left = [address for name, address in commits.items() if name != "title"]
    assert orjson.loads(desk.event(second))["body"]["targets"] == [work.id, *left]
    desk.release_hold(hold)
    assert set(desk.erase(sale).erased) == {sale.id, field}


def test_what_is_not_here_is_not_held(market: Market) -> None:
    """A slip of the pen would keep nothing, and nobody would know until it is too late."""
    desk, wrong = market.ledger, "ab" * 32
    for named in ((wrong,), (market.ada, wrong), (bytes.fromhex(wrong),)):
        with pytest.raises(NotFound, match=f"{wrong}: never logged here, or lost; nothing is held"):
            desk.hold(*named, ground="dispute")
    for ref in ("user:1", b"user:1"):
        for verb in (lambda named: desk.hold(named, ground="dispute"), desk.erase):
            with pytest.raises(MalformedError, match="'user:1': want a ticket, an event id or the address"):
                verb(ref)
    assert desk.held() == {}
    with market.engine.begin() as connection:
        waits = desk.register_party("person", name="Cy", session=connection)
    assert desk.waiting == 1
    web = market.reopen()
    hold = web.hold(name_of(market, waits), ground="dispute")  # which lies in the queue, and in no vault yet
    assert web.held() == {name_of(market, waits).hex(): hold.id}


def test_a_hold_is_released(market: Market) -> None:
    desk = market.ledger
    address = name_of(market, market.ada)
    hold = desk.hold(address, ground="dispute")
    desk.release_hold(hold)
    with pytest.raises(EventRejected, match=r"once\.hold\.release"):
        desk.release_hold(hold)
    assert desk.erase(address).erased == (address.hex(),)


def test_a_hold_that_waits_counts(market: Market) -> None:
    """Also for an erasure that does not come through the verb, which sequences first."""
    desk = market.ledger
    address, other = name_of(market, market.ada), name_of(market, market.bo)
    key = PartyKey.parse(load_secret(f"file:{next(market.root.glob('**/market.key'))}"))

    def submit(target: bytes) -> Ticket:
        body = {"targets": [target.hex()], "method": "delete", "basis": "gdpr-17"}
        draft = desk.draft("erasure.execute", body=body)
        signed = {"issuer": desk.market.hex(), "type": draft.type, "origin": desk.origin, "event_id": draft.id}
        return desk.submit(draft.data, sign_statement(key, **signed))  # type: ignore[arg-type]

    with market.engine.begin() as connection:
        hold = desk.hold(address, ground="dispute", session=connection)
    assert desk.waiting == 1
    with pytest.raises(EventRejected, match=rf"hold\.active: {address.hex()} is under the hold {hold.id}"):
        submit(address)
    submit(other)
    assert desk.item(other) is None
    with market.engine.begin() as connection:
        desk.release_hold(hold, session=connection)
    submit(address)
    assert desk.item(address) is None


def test_a_hold_is_asked_for_by_what_it_names(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an erasure costs does not grow with the holds on everything else."""
    desk = market.ledger
    address, other = name_of(market, market.ada), name_of(market, market.bo)
    first = desk.hold(address, ground="dispute")
    desk.hold(address, other, ground="tax-records")
    for number in range(3):  # as others may sign it: the verb knows what is here
        body = {"targets": [sha256(b"%d" % number).hexdigest()], "ground": "tax-records"}
        desk.record_many([desk.draft("hold.set", body=body)])
    asked: list[bytes] = []
    before = desk.before()
    read = before.data
    monkeypatch.setattr(before, "data", lambda event_id: asked.append(event_id) or read(event_id))
    assert holds_on([address], before) == {address: bytes.fromhex(first.id)}
    assert len(asked) == 1
    assert {target.hex() for target in holds_on([address, other], before)} == {address.hex(), other.hex()}
    assert desk.held()[address.hex()] == first.id


def test_only_the_market_erases_and_holds(market: Market) -> None:
    desk = market.ledger
    draft = desk.draft("hold.set", body={"targets": ["ab" * 32], "ground": "dispute"}, actor=market.ada)
    assert desk.before().market.hex() != draft.model.actor


def test_a_takedown(market: Market) -> None:
    desk = market.ledger
    work = market.work(title="a title")
    offer = desk.offer(work, terms="CC0-1.0")
    done = desk.takedown(work, reason="court-order")
    assert desk.work_status(work).state == "takendown"
    assert len(done.erased) == 1
    assert "digests" in done.visible
    with pytest.raises(EventRejected, match=r"grant\.status"):
        desk.license(work, to=market.bo, offer=offer)
    assert audited(desk, market.public).record == "intact"


def test_no_dictionary_confirms_what_is_erased(market: Market) -> None:
    desk = market.ledger
    address = name_of(market, market.ada)
    desk.erase(address)
    salt = orjson.loads(desk.event(market.ada))["salt"]  # what is known of it still
    words = ["Ada", *map("".join, islice(product(ascii_lowercase, repeat=3), 10_000))]
    for word in words:
        for guess in (word, word.title()):
            assert sha256(guess.encode()).digest() != address
            assert sha256(dumps({"kind": "name", "value": guess})).digest() != address
            assert sha256(dumps({"kind": "name", "salt": salt, "value": guess})).digest() != address


def test_erased_stays_erased_when_the_market_is_opened_again(market: Market) -> None:
    address = name_of(market, market.ada)
    market.ledger.erase(address)
    desk = market.reopen()
    assert desk.item(address) is None
    assert desk.erase(address).ticket is None


def test_more_than_one_erasure_holds(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets and their tombstones fill several events, which are recorded all or none."""
    monkeypatch.setattr("provenance.desk.privacy._BYTES", 1_000)
    desk = market.ledger
    offers = [desk.offer(market.work(bytes([n])), terms="CC0-1.0") for n in range(5)]
    names = [name_of(market, market.ada), name_of(market, market.bo)]
    done = desk.erase(*offers, *names)
    assert done.erased == (*(offer.id for offer in offers), *(name.hex() for name in names))
    erasures = desk.index.of_type("erasure.execute")
    assert len(erasures) > 2
    named = [
        target for entry in erasures for target in orjson.loads(desk.event(entry.event_id.hex()))["body"]["targets"]
    ]
    assert named == list(done.erased)
    for offer in offers:
        with pytest.raises(NotFound):
            desk.event(offer)
    assert audited(desk, market.public).record == "intact"
