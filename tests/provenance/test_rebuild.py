"""The index is made again beside the old one while the market runs, or moved to another database, and then followed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.schema import CreateSchema

from adapters import connect, create
from adapters.recover import rebuild_index
from adapters.sql.store import SqlStore
from adapters.sql.vault import SqlVault
from ledger import Conflict, InvalidSignature, MalformedError, Row, Unavailable, UnknownKey
from ledger.log import Log
from provenance import Ticket
from provenance.canonical import address
from provenance.index import Index, metadata
from provenance.index import rebuild as module
from provenance.index.rebuild import SPARE, rebuild
from provenance.keys import PartyKey
from provenance.statement import sign_statement
from tests.provenance.conftest import ORIGIN, Clock, Market
from tests.provenance.test_index import audited, dump

Begin = Callable[[], AbstractContextManager[Connection]]


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PORTION", 4)


@pytest.fixture
def grown(market: Market) -> Market:
    """A market with some thirty entries of several kinds, one of them sealed."""
    for number in range(6):
        work = market.work(b"%d" % number, terms="CC0-1.0", title="a title")
        market.clock.forward(61)
        offer = market.ledger.offer(work, terms="CC-BY-4.0", ref=f"offer:{number}")
    market.ledger.license(work, to=market.bo, offer=offer)
    return market


def tables(begin: Begin, schema: str | None = None) -> set[str]:
    with begin() as connection:
        return set(inspect(connection).get_table_names(schema=schema))


def keys(begin: Begin, schema: str | None = None) -> set[str]:
    with begin() as connection:
        names = inspect(connection)
        return {str(key["name"]) for table in metadata.tables for key in names.get_indexes(table, schema=schema)}


@contextmanager
def opened(market: Market) -> Iterator[tuple[Begin, Callable[[], Log], SqlStore]]:
    """Write transactions in the market's database, its log as it is now, and the store."""
    store = SqlStore(market.url)
    key = market.ledger.log.signer

    @contextmanager
    def begin() -> Iterator[Connection]:
        with store.transaction() as tx:
            yield tx.connection

    yield begin, lambda: Log.open(store, key), store
    store.close()


def again(market: Market, **changes: object) -> int:
    """A rebuild with some of its parts changed."""
    with opened(market) as (begin, log, store):
        parts = {"beside": begin, "log": log, "vault": SqlVault(store), "leading": store.leading, **changes}
        return rebuild(begin, **parts)  # type: ignore[arg-type]


CANONICAL = {str(key.name) for table in metadata.tables.values() for key in table.indexes}


def test_the_market_goes_on_while_its_index_is_made(grown: Market) -> None:
    """Every portion lets it write; what it wrote meanwhile is in the new index too."""
    sizes = []

    def sell(done: int, total: int) -> None:
        if len(sizes) < 4:
            grown.work(b"meanwhile %d" % done)
            assert grown.ledger.index.size == grown.ledger.log.size  # answered by the old one
        sizes.append((done, total))

    before = grown.ledger.log.size
    assert rebuild_index(grown.url, progress=sell) == grown.ledger.log.size == before + 4
    assert dump(grown.ledger.index) == dump(audited(grown.ledger, grown.public).history.index)
    assert sizes[-1] == (grown.ledger.log.size,) * 2
    grown.work(b"after")
    assert grown.ledger.index.size == grown.ledger.log.size


def test_keys_of_two_names_take_turns(grown: Market) -> None:
    live = dump(grown.ledger.index)
    with opened(grown) as (begin, _, _):
        assert keys(begin) == CANONICAL
        rebuild_index(grown.url)
        assert keys(begin) == {f"{name}_b" for name in CANONICAL}
        rebuild_index(grown.url)
        assert keys(begin) == CANONICAL
        assert not any(name.endswith(SPARE) for name in tables(begin))
    assert dump(grown.ledger.index) == live


def test_a_large_index_of_sqlite_has_its_keys_from_the_beginning(grown: Market, monkeypatch) -> None:
    """So that nobody waits while one is made over all rows."""
    monkeypatch.setattr(module, "_KEYS_AT_ONCE", 1)
    live = dump(grown.ledger.index)
    with opened(grown) as (begin, _, _):
        seen: list[bool] = []
        again(grown, progress=lambda *_: seen.append("provenance_index_links_source_b" in keys_of_new(begin)))
        assert seen
        assert all(seen)
        assert keys(begin) == {f"{name}_b" for name in CANONICAL}
    assert dump(grown.ledger.index) == live


def keys_of_new(begin: Begin) -> set[str]:
    with begin() as connection:
        return {str(key["name"]) for key in inspect(connection).get_indexes("provenance_index_links_new")}


def test_an_interrupted_rebuild_leaves_the_old_index_and_the_next_starts_over(grown: Market) -> None:
    live = dump(grown.ledger.index)

    def stop(done: int, _: int) -> None:
        if done > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild_index(grown.url, progress=stop)
    assert dump(grown.ledger.index) == live
    with opened(grown) as (begin, _, _):
        assert any(name.endswith("_new") for name in tables(begin))
        grown.work(b"after it")
        assert rebuild_index(grown.url) == grown.ledger.log.size
        assert not any(name.endswith(SPARE) for name in tables(begin))
    assert (
        dump(grown.ledger.index)["provenance_index_entries"][: len(live["provenance_index_entries"])]
        == (live["provenance_index_entries"])
    )


_KILLED = """
import os, signal, sys
from adapters import connect, create
from adapters.recover import rebuild_index
from provenance.index import rebuild as module

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

module.PORTION = 4
if sys.argv[2] == "dropping":
    module._empty = die
rebuild_index(sys.argv[1], progress=die if sys.argv[2] == "filling" else None)
"""


@pytest.mark.parametrize("when", ["filling", "dropping"])
def test_killed_and_run_again(grown: Market, when: str) -> None:
    live = dump(grown.ledger.index)
    done = subprocess.run([sys.executable, "-c", _KILLED, grown.url, when], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert dump(grown.ledger.index) == live
    with opened(grown) as (begin, _, _):
        assert any(name.endswith("_new" if when == "filling" else "_old") for name in tables(begin))
        assert rebuild_index(grown.url) == grown.ledger.log.size
        assert not any(name.endswith(SPARE) for name in tables(begin))
    assert dump(grown.ledger.index) == live


def test_of_two_rebuilds_the_later_wins(grown: Market) -> None:
    live = dump(grown.ledger.index)
    inner: list[int] = []

    def another(*_: int) -> None:
        if not inner:
            inner.append(0)
            inner[0] = rebuild_index(grown.url)

    with pytest.raises(Conflict, match="another rebuild has begun; let it finish"):
        rebuild_index(grown.url, progress=another)
    assert inner == [grown.ledger.log.size]
    assert dump(grown.ledger.index) == live


@pytest.mark.parametrize("step", ["_drop", "_empty", "read_rows"])
@pytest.mark.parametrize("when", ["filled", "at the end"])
def test_what_another_rebuild_has_begun_is_not_put_into_use(grown: Market, monkeypatch, step: str, when: str) -> None:
    """Not its tables that have nothing in them yet, nor ours that it empties."""
    live = dump(grown.ledger.index)
    first = threading.current_thread()
    reached, ended = threading.Event(), threading.Event()
    real = getattr(module, step)

    def held(*arguments: object, **named: object) -> object:
        if threading.current_thread() is not first and not reached.is_set():
            reached.set()
            assert ended.wait(60)
        return real(*arguments, **named)

    outcomes = []
    later = threading.Thread(target=lambda: outcomes.append(rebuild_index(grown.url)))

    def begin_later() -> None:
        if not reached.is_set():
            monkeypatch.setattr(module, step, held)
            later.start()
            assert reached.wait(60)

    @contextmanager
    def leading() -> Iterator[None]:
        begin_later()
        yield

    def filled(done: int, total: int) -> None:
        if done == total:
            begin_later()

    try:
        with pytest.raises(Conflict, match="another rebuild has begun; let it finish"):
            again(grown, **({"leading": leading} if when == "at the end" else {"progress": filled}))
        assert dump(grown.ledger.index) == live
    finally:
        ended.set()
        later.join()
    assert outcomes == [grown.ledger.log.size]
    assert dump(grown.ledger.index) == live


def test_an_index_that_answers_for_less_is_not_put_into_use(grown: Market) -> None:
    """Nothing rests on the lead: whoever sequences without it is noticed under the lock."""
    live = dump(grown.ledger.index)
    with opened(grown) as (_, log, _):

        class Behind:
            size = log().size - 1

            def rows(self, start: int, stop: int) -> Iterator[Row]:
                return log().rows(start, stop)

        with pytest.raises(Unavailable, match="another sequencer was faster"):
            again(grown, log=Behind)
    assert dump(grown.ledger.index) == live


def test_it_waits_for_whoever_leads(grown: Market) -> None:
    order: list[str] = []

    @contextmanager
    def leading() -> Iterator[None]:
        order.append("led")
        grown.work(b"sequenced before the lead was ours")
        yield
        order.append("let go")

    assert again(grown, leading=leading) == grown.ledger.log.size
    assert order == ["led", "let go"]
    assert grown.ledger.index.size == grown.ledger.log.size


def test_moved_to_another_database_and_followed(grown: Market) -> None:
    other = f"sqlite:///{grown.root / 'index.db'}"
    live = dump(grown.ledger.index)
    assert rebuild_index(grown.url, into=other) == grown.ledger.log.size
    assert dump(grown.ledger.index) == live
    for number in range(6):
        grown.work(b"before it was moved %d" % number)
    left = dump(grown.ledger.index)
    moved = connect(grown.url, publish=grown.public, index=other, clock=grown.clock)
    offer = moved.offer(moved.create(grown.file(b"after"), creators=[grown.ada]), terms="CC0-1.0")
    assert moved.index.size == moved.log.size
    assert moved.index.find(bytes.fromhex(offer.id)) is not None
    assert dump(moved.index) == dump(audited(moved, grown.public).history.index)
    assert dump(grown.ledger.index) == left  # where it was, it stays
    # And made again where it was moved to
    assert rebuild_index(grown.url, index=other, verify=True) == moved.log.size
    assert dump(moved.index) == dump(audited(moved, grown.public).history.index)


def test_an_index_is_not_moved_into_the_database_of_a_log(grown: Market) -> None:
    with pytest.raises(Conflict, match=f"holds the log {ORIGIN}"):
        rebuild_index(grown.url, into=grown.url)


# Erasures


def erase(market: Market, *tickets: Ticket) -> None:
    body = {"targets": [ticket.id for ticket in tickets], "method": "delete", "basis": "gdpr-17"}
    market.ledger.record_many([market.ledger.draft("erasure.execute", body=body)])


def test_a_rebuilt_index_has_forgotten_what_the_live_one_forgot(grown: Market) -> None:
    (grant,) = grown.ledger.index.of_type("grant.issue")
    assert len(grown.ledger.index.links_from(grant.idx)) == 3
    erase(grown, Ticket(grant.event_id.hex(), "grant.issue"))
    live = dump(grown.ledger.index)
    assert grown.ledger.index.links_from(grant.idx) == []
    assert grown.ledger.index.entry(grant.idx) == grant._replace(strength="", claimed_at="")
    rebuild_index(grown.url)
    assert dump(grown.ledger.index) == live


@pytest.mark.parametrize("keys_first", [False, True])
def test_what_is_erased_while_the_index_is_made_is_not_in_it(grown: Market, keys_first: bool, monkeypatch) -> None:
    """It was read before; the erasure, which is behind it in the log, takes it out again."""
    monkeypatch.setattr(module, "_KEYS_AT_ONCE", 0 if keys_first else 1_000)
    (grant,) = grown.ledger.index.of_type("grant.issue")
    steps = []

    def meanwhile(done: int, _: int) -> None:
        steps.append(done)
        if done > grant.idx and not any(step > grant.idx for step in steps[:-1]):
            erase(grown, Ticket(grant.event_id.hex(), "grant.issue"))

    rebuild_index(grown.url, progress=meanwhile)
    assert grown.ledger.index.size == grown.ledger.log.size
    assert grown.ledger.index.links_from(grant.idx) == []
    assert grown.ledger.index.counts()["erasure.execute"] == 1


def test_an_erasure_that_a_crash_left_undone_is_done_by_the_rebuild(grown: Market) -> None:
    """Whoever follows the log goes on behind the index: what is before must have been done."""
    (grant,) = grown.ledger.index.of_type("grant.issue")
    body = {"targets": [grant.event_id.hex()], "method": "delete", "basis": "gdpr-17"}
    draft = grown.ledger.draft("erasure.execute", body=body)
    key = PartyKey.parse((grown.root / "market.keys" / "market.key").read_text().strip())
    market = grown.ledger.market.hex()
    statement = sign_statement(key, issuer=market, type=draft.type, origin=ORIGIN, event_id=draft.id)
    grown.ledger.log.extend([Row(statement, draft.data)])
    assert grant.event_id in grown.ledger.disclosures()
    rebuild_index(grown.url)
    assert grant.event_id not in grown.ledger.disclosures()
    assert grown.ledger.index.links_from(grant.idx) == []


# Signatures


def test_every_signature_is_checked_on_the_way(grown: Market) -> None:
    live = dump(grown.ledger.index)
    assert rebuild_index(grown.url, verify=True) == grown.ledger.log.size
    assert dump(grown.ledger.index) == live


def _signed(market: Market, key: PartyKey, **changes: str) -> Row:
    draft = market.ledger.draft(
        "party.register", body={"kind": "org", "keys": [], "rotation_keys": [], "next_key_hashes": []}
    )
    given = {"issuer": market.ledger.market.hex(), "type": draft.type, "origin": ORIGIN, **changes}
    return Row(sign_statement(key, event_id=draft.id, **given), draft.data)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", ["forged", "foreign key", "stranger", "log key", "other log", "no statement"])
def test_a_bad_statement_is_named_and_the_old_index_stays(grown: Market, what: str) -> None:
    mine = PartyKey.parse((grown.root / "market.keys" / "market.key").read_text().strip())
    size = grown.ledger.log.size
    good = _signed(grown, mine)
    row, error, message = {
        "forged": (
            Row(good.entry[:-1] + bytes([good.entry[-1] ^ 1]), good.opened),
            InvalidSignature,
            "does not verify",
        ),
        "foreign key": (_signed(grown, PartyKey.generate()), UnknownKey, "its issuer has"),
        "stranger": (_signed(grown, mine, issuer="00" * 32), UnknownKey, f"at #{size}: its issuer 0000"),
        "log key": (_signed(grown, mine, type="log.time"), UnknownKey, f"at #{size}: log.time is signed by"),
        "other log": (_signed(grown, mine, origin="other/log"), MalformedError, f"at #{size}: made for log other/log"),
        "no statement": (Row(b"opaque", b""), MalformedError, f"entry #{size}: not a statement"),
    }[what]
    grown.ledger.log.extend([row])
    live = dump(grown.ledger.index)
    with pytest.raises(error, match=message):
        rebuild_index(grown.url, verify=True)
    assert dump(grown.ledger.index) == live
    # Trusted, it is indexed as it is: that it is bad is for `audit` to say.
    assert rebuild_index(grown.url) == size + 1 == grown.ledger.index.size


def test_a_signature_counts_only_after_its_signer_was_registered(grown: Market) -> None:
    key = PartyKey.generate()
    draft = grown.ledger.draft(
        "party.register", body={"kind": "org", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    )
    own = Row(sign_statement(key, issuer=draft.id.hex(), type=draft.type, origin=ORIGIN, event_id=draft.id), draft.data)
    early = _signed(grown, key, issuer=draft.id.hex())
    size = grown.ledger.log.extend([own, early])
    assert rebuild_index(grown.url, verify=True) == size + 2
    market = grown.ledger
    late = _signed(grown, key, issuer=address(b"never").hex())
    market.log.extend([late])
    with pytest.raises(UnknownKey, match=f"at #{size + 2}"):
        rebuild_index(grown.url, verify=True)


# PostgreSQL, in a schema


@pytest.fixture
def begin(postgres) -> Iterator[Begin]:
    """Transactions on an empty database, whose index is to be in the schema `ours`."""
    engine = create_engine(postgres.database())
    with engine.begin() as connection:
        connection.execute(CreateSchema("ours"))
    in_ours = engine.execution_options(schema_translate_map={None: "ours"})
    yield in_ours.begin
    engine.dispose()


def test_an_index_in_a_schema_of_postgresql(grown: Market, begin: Begin) -> None:
    live = dump(grown.ledger.index)
    with opened(grown) as (_, log, store):
        parts = {"beside": begin, "log": log, "vault": SqlVault(store), "leading": store.leading}
        for names in (CANONICAL, {f"{name}_b" for name in CANONICAL}, CANONICAL):
            assert rebuild(begin, **parts) == log().size
            assert tables(begin, "ours") == set(metadata.tables)
            assert tables(begin, "public") == set()
            assert keys(begin, "ours") == names
            with begin() as connection:
                assert dump(Index(connection)) == live


def test_owner_and_rights_go_over_to_the_new_index(grown: Market, begin: Begin) -> None:
    with opened(grown) as (_, log, store):
        parts = {"beside": begin, "log": log, "vault": SqlVault(store), "leading": store.leading}
        rebuild(begin, **parts)
        with begin() as connection:
            for statement in (
                'CREATE ROLE "the owner"',
                'CREATE ROLE "web workers"',
                'ALTER TABLE ours.provenance_index_entries OWNER TO "the owner"',
                'GRANT SELECT, INSERT ON ours.provenance_index_entries TO "web workers"',
                "GRANT SELECT ON ours.provenance_index_entries TO PUBLIC",
            ):
                connection.execute(text(statement))
        rebuild(begin, **parts)
    with begin() as connection:
        relation = "SELECT pg_get_userbyid(relowner), relacl::text FROM pg_class WHERE relname = :name"
        owner, rights = connection.execute(text(relation), {"name": "provenance_index_entries"}).one()
        assert owner == "the owner"
        assert '"\\"web workers\\"=ar/\\"the owner\\""' in rights
        assert "=r/" in rights
        owner, rights = connection.execute(text(relation), {"name": "provenance_index_links"}).one()
        assert (owner, rights) == ("postgres", None)
        for role in ('"the owner"', '"web workers"'):
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


def test_a_reader_who_does_not_let_go_is_not_blocked_behind_the_swap(grown: Market, begin: Begin, monkeypatch) -> None:
    """We give way within half a second, and come again."""
    monkeypatch.setattr(module, "_PATIENCE", "10ms")
    with opened(grown) as (_, log, store):
        parts = {"beside": begin, "log": log, "vault": SqlVault(store), "leading": store.leading}
        rebuild(wrapped(begin), **parts)
        with begin() as reader:
            size = Index(reader).size
            with pytest.raises(Unavailable, match="lock timeout"):
                rebuild(wrapped(begin), **parts)
            assert Index(reader).size == size
        assert rebuild(wrapped(begin), **parts) == size


def wrapped(begin: Begin) -> Begin:
    """With the errors of this library, as a store's transactions have them."""
    from adapters.sql.store import storage_errors

    @contextmanager
    def inner() -> Iterator[Connection]:
        with storage_errors("index"), begin() as connection:
            yield connection

    return inner


@pytest.mark.parametrize("schema, apart", [(None, False), ("ours", True)])
def test_a_market_on_postgresql_goes_on_meanwhile(
    postgres, tmp_path, monkeypatch, schema: str | None, apart: bool
) -> None:
    """With everything in the database, and with tiles elsewhere; also while a key is made, however long that takes."""
    url, public, clock = postgres.database(), tmp_path / "public", Clock()
    where = {"schema": schema, "objects": tmp_path / "tiles" if apart else None}
    keys = {name: f"file:{tmp_path / name}" for name in ("log", "market", "claim")}
    ledger = create(url, origin=ORIGIN, publish=public, keys=keys, clock=clock, **where)
    ada = ledger.register_party("person", name="Ada")

    def work(name: str) -> Ticket:
        (tmp_path / name).write_bytes(name.encode())
        clock.forward(61)
        return ledger.create(tmp_path / name, creators=[ada], terms="CC0-1.0")

    sold = work("first")
    ledger.license(sold, to=ada, offer=ledger.offer(sold, terms="CC-BY-4.0"))
    steps = []

    def sell(*step: int) -> None:
        if len(steps) < 3:
            work(f"meanwhile {len(steps)}")
        steps.append(step)

    naming = module._free_name

    def sequence_first(connection: Connection, name: str) -> str:
        found = naming(connection, name)
        work(f"while {name} is made")
        return found

    monkeypatch.setattr(module, "_free_name", sequence_first)
    assert rebuild_index(url, verify=True, progress=sell, **where) == ledger.log.size
    monkeypatch.undo()
    work("afterwards")
    assert ledger.index.size == ledger.log.size
    report = audited(ledger, public)
    assert report.record == "intact"
    assert dump(ledger.index) == dump(report.history.index)
