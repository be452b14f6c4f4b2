"""An open event that is erased is gone from the log's storage and everything made of it; what was derived stands."""

from __future__ import annotations

import json
import sqlite3

import pytest

from adapters import connect, create, open_log
from adapters.backup import backup, restore
from adapters.files import Directory
from adapters.fsck import open_holdings
from adapters.objects import Bucket
from adapters.published import check_place
from adapters.recover import rebuild_index, recover
from ledger import Client, NotFound, Proof
from ledger.copy import copy_log
from ledger.errors import Unavailable
from ledger.testing import FaultyStore, MemoryStore
from ledger.tile import pack_open
from provenance import EventRejected, History, verify
from provenance.audit import audit
from provenance.drafts import draft_facts
from provenance.erasures import ErasedInCopy
from provenance.verify import verify_work
from tests.indexes import differences

from .conftest import ORIGIN, Clock, Market
from .test_identity_published import THIRD, by_agent, mandate
from .test_index import dump
from .test_published import FIRST, ME, SECOND, draft, judge, row

TABLES = ("entries", "links", "digests", "times", "erased", "places", "kin")


def erasure(ledger, *tickets):
    """An erasure of whole events, each with its tombstone."""
    said = [json.loads(ledger.event(ticket)) for ticket in tickets]
    stones = [
        {"event": str(ticket), "type": event["type"], "actor": event["actor"], "refs": event["refs"]}
        for ticket, event in zip(tickets, said, strict=True)
    ]
    body = {"targets": [str(ticket) for ticket in tickets], "method": "delete", "basis": "gdpr-17"}
    return ledger.draft("erasure.execute", body={**body, "tombstones": stones})


def erase(ledger, *tickets):
    [ticket] = ledger.record_many([erasure(ledger, *tickets)])
    return ticket


def index_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything in an index but the numbers of its rows."""
    found = {}
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for table in TABLES:
            rows = connection.execute(f"SELECT * FROM provenance_index_{table}")
            at = [n for n, column in enumerate(rows.description) if column[0] == "id"]
            found[table] = sorted(tuple(v for n, v in enumerate(row) if n not in at) for row in rows)
    return found


@pytest.fixture
def family(market: Market):
    """A work, what was derived from it, and more than a bundle of others."""
    ledger = market.ledger
    work = market.work(b"a work")
    child = ledger.derive(market.file(b"a child"), parents=[work], creators=[market.bo])
    grandchild = ledger.derive(market.file(b"a grandchild"), parents=[child], creators=[market.bo])
    return market, work, child, grandchild


def grow(ledger, number: int) -> None:
    body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
    ledger.record_many([ledger.draft("party.register", body=body) for _ in range(number)])


def holds(place, secret: bytes) -> list[str]:
    return [path for path in place.list("") if secret in place.get(path)]


def own_storage(ledger):
    return ledger.log._home.objects


def held_in(market: Market, secret: bytes) -> list[str]:
    """Where the log's own storage and its published copy hold these bytes."""
    store = own_storage(market.ledger)
    rows = [f"row {n}" for n, row in enumerate(store.rows(ORIGIN)) if secret in row.opened]
    return [*holds(store, secret), *rows, *holds(Directory(market.public), secret)]


@pytest.mark.parametrize("more", [0, 300])
def test_gone_everywhere_and_every_proof_the_same(family, more) -> None:
    market, work, child, _ = family
    ledger = market.ledger
    grow(ledger, more)
    receipt = ledger.receipt(child)
    size = ledger.log.checkpoint.size
    proofs = [bytes(ledger.log.prove(at)) for at in range(size)]
    assert held_in(market, receipt.event)
    secret = json.loads(receipt.event)["body"]["digests"]["sha-256"].encode()
    event = ledger.event(child)
    ticket = erase(ledger, child)
    assert held_in(market, secret) == []
    assert held_in(market, event) == []
    receipt.proof.verify(receipt.entry, ledger.log.policy)
    for at, proof in enumerate(proofs):
        Proof.parse(proof).verify(ledger.log.row(at).entry, ledger.log.policy)
    client = open_log(market.public, ledger.log.policy)
    assert [client.entry(at) for at in range(size)] == [ledger.log.row(at).entry for at in range(size)]
    for each in (ledger, market.reopen()):
        assert each.receipt(child).event is None
        assert each.receipt(child).entry == receipt.entry
        with pytest.raises(NotFound):
            each.event(child)
        assert each.event(work)
        assert str(child) in json.loads(each.event(ticket))["body"]["targets"]
        assert each.index.by_digest(bytes.fromhex(secret.decode())) == []
        assert {k.parent for k in each.index.derivations([bytes.fromhex(str(child))])} == {bytes.fromhex(str(work))}


def test_lineage_stands(family) -> None:
    market, work, child, grandchild = family
    ledger = market.ledger
    before = ledger.index.ancestors([bytes.fromhex(str(grandchild))])
    links = ledger.index.links_from(ledger.receipt(child).index)
    erase(ledger, child)
    assert ledger.index.ancestors([bytes.fromhex(str(grandchild))]) == before
    assert ledger.index.links_from(ledger.receipt(child).index) == links
    history = market.history()
    assert history.index.ancestors([bytes.fromhex(str(grandchild))]) == before
    verdict = verify(market.root / "file2.bin", history)
    assert verdict.record == "intact"
    assert [node.status for node in verdict.nodes] == ["disclosed", "erased", "disclosed"]
    assert str(work) in {node.id for node in verdict.nodes}
    verdict = verify_work(str(child), history)
    assert verdict.record == "intact"
    assert "erased" in [check.word for check in verdict.checks]


def test_live_and_rebuilt_index_are_the_same(family) -> None:
    market, _, child, _ = family
    erase(market.ledger, child)
    live = index_of(market.url)
    rebuild_index(market.url)
    assert index_of(market.url) == live
    assert list(open_holdings(market.url, published=[Directory(market.public)]).faults()) == []


def test_an_audit_calls_it_erased(family) -> None:
    market, _, child, _ = family
    erase(market.ledger, child)
    found = audit(open_log(market.public, market.ledger.log.policy))
    assert found.record == "intact"
    assert found.statuses["erased"] == 1
    assert "missing" not in found.statuses
    assert sum(found.statuses.values()) == found.checkpoint.size
    policy = market.ledger.log.policy
    assert [f for _, faults in check_place(Directory(market.public), policy) for f in faults] == []
    reading = found.history.reading(market.ledger.receipt(child).index)
    assert (reading.status, reading.event) == ("erased", None)


def test_one_that_is_not_there_and_not_erased_is_missing(family) -> None:
    market, work, child, _ = family
    erase(market.ledger, child)
    market.ledger.log.redact([market.ledger.receipt(work).index])
    found = audit(open_log(market.public, market.ledger.log.policy))
    assert found.record == "cannot check"
    assert (found.statuses["missing"], found.statuses["erased"]) == (1, 1)


def test_still_published_is_told_and_mended(family) -> None:
    market, _, child, _ = family
    public = Directory(market.public)
    before = public.get("events/000")
    idx = market.ledger.receipt(child).index
    event = market.ledger.event(child)
    erase(market.ledger, child)
    items = public.get("events/000")
    client = open_log(market.public, market.ledger.log.policy)
    opened = client.opened(0)
    opened[idx] = event
    assert items != before
    public.replace("events/000", pack_open(opened))
    found = audit(open_log(market.public, market.ledger.log.policy))
    assert [(f.rule, f.index) for f in found.findings] == [("event.not-erased", idx)]
    assert found.history.reading(idx).event is None
    holdings = open_holdings(market.url, published=[Directory(market.public)])
    assert "still there" in next(fault.detail for fault in holdings.faults())
    done = holdings.repair()
    assert done.lost == []
    assert holds(public, event) == []
    assert list(open_holdings(market.url, published=[Directory(market.public)]).faults()) == []


def test_repair_takes_nothing_erased_from_an_old_copy(family, tmp_path) -> None:
    market, _, child, _ = family
    event = market.ledger.event(child)
    old = MemoryStore()
    copy_log(open_log(market.public, market.ledger.log.policy), old)
    erase(market.ledger, child)
    holdings = open_holdings(market.url, published=[Directory(market.public), old])
    holdings.repair()
    assert held_in(market, event) == []


def test_erased_twice_is_erased_once(family) -> None:
    market, _, child, _ = family
    ledger = market.ledger
    first = erasure(ledger, child)
    ledger.record_many([first])
    live = index_of(market.url)
    body = {"targets": [str(child)], "method": "delete", "basis": "gdpr-17"}
    again = {"event": str(child), "type": "work.derive", "actor": ledger.market.hex(), "refs": []}
    ledger.record_many([ledger.draft("erasure.execute", body={**body, "tombstones": [again]})])
    now = index_of(market.url)
    assert {t: now[t] for t in ("links", "digests", "kin")} == {t: live[t] for t in ("links", "digests", "kin")}
    rebuild_index(market.url)
    assert index_of(market.url) == now
    assert differences(market.history().index, ledger.index) == []


def test_in_the_batch_of_the_event_itself(market: Market) -> None:
    ledger = market.ledger
    work = market.work(b"one")
    body = json.loads(ledger.event(work))["body"] | {"digests": {"sha-256": "ab" * 32}}
    draft = ledger.draft("work.create", body=body, refs=json.loads(ledger.event(work))["refs"])
    stone = {"event": draft.id.hex(), "type": "work.create", "actor": ledger.market.hex(), "refs": []}
    named = {"targets": [draft.id.hex()], "method": "delete", "basis": "wish", "tombstones": [stone]}
    ledger.record_many([draft, ledger.draft("erasure.execute", body=named)])
    assert held_in(market, draft.data) == []
    with pytest.raises(NotFound):
        ledger.event(draft.id.hex())
    live = index_of(market.url)
    rebuild_index(market.url)
    assert index_of(market.url) == live


def test_what_everything_stands_on_stays(market: Market) -> None:
    ledger = market.ledger
    [first] = ledger.record_many(
        [ledger.draft("erasure.execute", body={"targets": ["ab" * 32], "method": "delete", "basis": "wish"})]
    )
    for ticket in (market.ada, first):
        body = {"targets": [str(ticket)], "method": "delete", "basis": "wish"}
        stone = {"event": str(ticket), "type": ticket.type, "actor": ledger.market.hex(), "refs": []}
        draft = ledger.draft("erasure.execute", body={**body, "tombstones": [stone]})
        with pytest.raises(EventRejected, match=r"erasure\.always-open"):
            ledger.record_many([draft])
        # Written past the rules it changes nothing.
        ledger._sequencer.append([(ledger._staging.staged(draft), draft_facts(draft, market=ledger.market))])
        ledger.publish()
        assert ledger.event(ticket)
        assert ledger.receipt(ticket).event
    assert audit(open_log(market.public, ledger.log.policy)).record == "intact"
    assert list(open_holdings(market.url, published=[Directory(market.public)]).faults()) == []


def test_another_process_remembers_nothing(family) -> None:
    market, _, child, _ = family
    other = connect(market.url, publish=market.public, clock=market.clock)
    event = other.event(child)
    assert other._recall.read(bytes.fromhex(str(child))) == event
    erase(market.ledger, child)
    with pytest.raises(NotFound):
        other.event(child)
    assert other.receipt(child).event is None
    other._recall._asked_at = -10.0
    assert other._recall.read(bytes.fromhex(str(child))) is None
    grow(other, 300)
    assert held_in(market, event) == []


class Away(Directory):
    """A published place that is away when something is to be forgotten there."""

    away = False

    def replace(self, path, data):
        if self.away and path.startswith("events/"):
            msg = f"{path}: away"
            raise Unavailable(msg, path=path)
        super().replace(path, data)


@pytest.mark.parametrize("after", ["follow", "rebuild"])
def test_a_published_place_that_was_away_forgets_before_the_erasure_shows(tmp_path, after) -> None:
    public, url = Away(tmp_path / "public"), f"sqlite:///{tmp_path / 'market.db'}"
    ledger = create(url, origin=ORIGIN, publish=public, clock=Clock())
    (tmp_path / "work.bin").write_bytes(b"a work")
    ada = ledger.register_party("person")
    work = ledger.create(tmp_path / "work.bin", creators=[ada])
    event = ledger.event(work)
    public.away = True
    size = ledger.log.size
    with pytest.raises(Unavailable):
        erase(ledger, work)
    assert ledger.log.size == size + 1
    assert ledger.index.size == size
    assert holds(public, event)
    assert all(event not in row.opened for row in own_storage(ledger).rows(ORIGIN))
    if after == "rebuild":  # then the index does not tell that the crash was not finished
        rebuild_index(url)
    else:
        with pytest.raises(Unavailable):
            connect(url, publish=public, clock=Clock())
    public.away = False
    ledger = connect(url, publish=public, clock=Clock())
    ledger.publish()
    assert holds(public, event) == []
    with pytest.raises(NotFound):
        ledger.event(work)


def test_sequenced_by_a_process_that_publishes_nowhere(family) -> None:
    market, _, child, _ = family
    event = market.ledger.event(child)
    erase(connect(market.url, clock=market.clock), child)
    assert holds(Directory(market.public), event)
    market.ledger.publish()
    assert held_in(market, event) == []


def test_in_a_bucket(tmp_path) -> None:
    bucket = Bucket.open("memory://")
    url = f"sqlite:///{tmp_path / 'market.db'}"
    ledger = create(url, origin=ORIGIN, objects=bucket, clock=Clock())
    (tmp_path / "work.bin").write_bytes(b"a work")
    work = ledger.create(tmp_path / "work.bin", creators=[ledger.register_party("person")])
    event = ledger.event(work)
    assert holds(bucket, event)
    erase(ledger, work)
    assert holds(bucket, event) == []
    again = connect(url, objects=bucket, clock=Clock())
    grow(again, 300)
    assert holds(bucket, event) == []
    assert audit(Client(bucket, ledger.log.policy)).statuses["erased"] == 1
    live = index_of(url)
    rebuild_index(url, objects=bucket)
    assert index_of(url) == live


@pytest.mark.parametrize("more", [0, 300])
def test_a_copy_forgets_when_it_is_brought_up_to_date(family, more) -> None:
    market, _, child, _ = family
    copied, policy = MemoryStore(), market.ledger.log.policy
    grow(market.ledger, more)
    event = market.ledger.event(child)

    def copy() -> None:
        client = open_log(market.public, policy)
        copy_log(client, copied, redacts=ErasedInCopy(client))

    copy()
    assert holds(copied, event)
    erase(market.ledger, child)
    grow(market.ledger, 3)
    copy()
    assert holds(copied, event) == []
    assert audit(Client(copied, policy)).statuses["erased"] == 1
    before = dict(copied.objects)
    copy()
    assert copied.objects == before


@pytest.mark.parametrize("more", [0, 300])
def test_a_backup_forgets_and_an_old_one_brings_nothing_back(family, tmp_path, more) -> None:
    market, _, child, _ = family
    grow(market.ledger, more)
    event = market.ledger.event(child)
    old, folder = tmp_path / "old", tmp_path / "backup"
    backup(market.url, old)
    backup(market.url, folder)
    assert holds(Directory(folder), event)
    erase(market.ledger, child)
    backup(market.url, folder)
    assert holds(Directory(folder), event) == []
    live = index_of(market.url)
    for number, source in enumerate((old, folder)):
        assert bool(holds(Directory(source), event)) == (source is old)
        url = f"sqlite:///{tmp_path / f'restored{number}.db'}"
        restore(source, url, publish=market.public, keys=_keys(market))
        ledger = connect(url, publish=market.public, clock=market.clock, keys=_keys(market))
        assert holds(own_storage(ledger), event) == []
        assert all(event not in row.opened for row in own_storage(ledger).rows(ORIGIN))
        with pytest.raises(NotFound):
            ledger.event(child)
        assert index_of(url) == live


def _keys(market: Market) -> dict[str, str]:
    return {name: f"file:{market.root / 'market.keys' / f'{name}.key'}" for name in ("log", "market")}


def test_a_published_copy_that_is_older_than_the_erasure(family, tmp_path) -> None:
    """The erasure shows there, and what it names as well: who refills from it takes the one and not the other."""
    market, _, child, _ = family
    event, idx = market.ledger.event(child), market.ledger.receipt(child).index
    erase(market.ledger, child)
    opened = open_log(market.public, market.ledger.log.policy).opened(0)
    opened[idx] = event
    Directory(market.public).replace("events/000", pack_open(opened))
    url = f"sqlite:///{tmp_path / 'refilled.db'}"
    restore(None, url, publish=market.public, keys=_keys(market))
    ledger = connect(url, publish=market.public, clock=market.clock, keys=_keys(market))
    assert all(event not in row.opened for row in own_storage(ledger).rows(ORIGIN))
    ledger.publish()
    assert holds(Directory(market.public), event) == []
    recover(url, market.public)
    with pytest.raises(NotFound):
        ledger.event(child)
    assert History.read(open_log(market.public, ledger.log.policy)).statuses["erased"] == 1


class _Listing(FaultyStore):
    """A place that fails at one write and can say what it holds."""

    def list(self, prefix):
        return self.store.list(prefix)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("apart", [True, False])
def test_at_every_write(tmp_path, apart, applied) -> None:
    """The erasure is repeated by whoever comes next; before that nothing half done is taken for done."""
    number, writes = -1, 0
    while number < writes:
        url = f"sqlite:///{tmp_path / f'market{number}.db'}"
        place = _Listing(MemoryStore(), applied=applied)
        where = {"objects" if apart else "publish": place, "clock": Clock()}
        ledger = create(url, origin=ORIGIN, **where)
        (tmp_path / "work.bin").write_bytes(b"a work")
        work = ledger.create(tmp_path / "work.bin", creators=[ledger.register_party("person")])
        event, size = ledger.event(work), ledger.log.size
        began = len(place.writes)
        if number >= 0:
            place.fail_at = began + number
            with pytest.raises(Unavailable):
                erase(ledger, work)
        else:
            erase(ledger, work)
            writes = len(place.writes) - began
        ledger = connect(url, **where)
        if ledger.log.size == size:
            erase(ledger, work)
        ledger.publish()
        assert holds(place.store, event) == []
        assert all(event not in row.opened for row in ledger.log.rows(0, ledger.log.size))
        assert audit(Client(place.store, ledger.log.policy)).statuses["erased"] == 1
        live = index_of(url)
        rebuild_index(url, **({"objects": place} if apart else {}))
        assert index_of(url) == live
        number += 1
    assert writes > 5


def _elsewhere(ledger, tmp_path, **where) -> None:
    """A bundle and more, an event in each erased; a second process that knew both goes on; the index made again."""
    url = where.pop("url")
    (tmp_path / "work.bin").write_bytes(b"a work")
    ada = ledger.register_party("person")
    works = [ledger.create(tmp_path / "work.bin", creators=[ada])]
    grow(ledger, 300)
    (tmp_path / "other.bin").write_bytes(b"another work")
    works.append(ledger.derive(tmp_path / "other.bin", parents=works, creators=[ada]))
    other = connect(url, clock=Clock(), **where)
    events = [ledger.event(work) for work in works]
    erase(ledger, *works)
    grow(other, 300)
    stored = own_storage(ledger)
    for event in events:
        assert holds(stored, event) == []
        assert all(event not in row.opened for row in other.log.rows(0, other.log.size))
    if other.log.has_transactions:
        assert not any(row.opened in events for row in stored.rows(ORIGIN))
    for work in works:
        assert other.receipt(work).event is None
    live = dump(ledger.index)
    assert {kin.parent.hex() for kin in ledger.index.derivations([bytes.fromhex(works[1].id)])} == {works[0].id}
    rebuild_index(url, **{name: at for name, at in where.items() if name in {"objects", "schema"}})
    assert dump(connect(url, clock=Clock(), **where).index) == live


@pytest.mark.parametrize("schema", [None, "ours"])
def test_in_postgresql(postgres, tmp_path, schema) -> None:
    url = postgres.database()
    keys = {name: f"file:{tmp_path / f'{name}.key'}" for name in ("log", "market", "claim")}
    where = {"schema": schema, "keys": keys, "publish": tmp_path / "public"}
    ledger = create(url, origin=ORIGIN, clock=Clock(), **where)
    _elsewhere(ledger, tmp_path, url=url, **where)
    assert audit(open_log(tmp_path / "public", ledger.log.policy)).statuses["erased"] == 2


def test_in_s3(seaweed, tmp_path) -> None:
    bucket, url = seaweed.bucket(probed=True), f"sqlite:///{tmp_path / 'market.db'}"
    ledger = create(url, origin=ORIGIN, clock=Clock(), objects=bucket)
    _elsewhere(ledger, tmp_path, url=url, objects=bucket)


def test_no_agent_is_blamed_for_a_mandate_that_is_erased() -> None:
    granted = mandate()
    stone = {"event": granted.id.hex(), "type": "mandate.grant", "actor": ME, "refs": []}
    body = {"targets": [granted.id.hex()], "method": "delete", "basis": "wish", "tombstones": [stone]}
    erased = row(draft("erasure.execute", ME, body), ME)
    report = judge(FIRST, SECOND, THIRD, row(granted, ME)._replace(opened=b""), by_agent(), erased)
    assert report.record == "cannot check"
    assert [(finding.index, finding.rule) for finding in report.findings] == [(4, "statement.actor")]
    assert report.statuses["erased"] == 1
