"""A thousand entries, as published and in the database: whichever byte flips, it is found and its place is named.

In the short run every byte of what is small is flipped on its own, every byte of rows that are checked one by one in
all rows at once (each of them must be named), and every so manieth byte of the large objects. `make soak` takes all.
"""

from __future__ import annotations

import gc
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from adapters import connect, create
from adapters.assemble import Parts
from adapters.files import Directory
from adapters.fsck import Holdings, open_holdings
from adapters.key_files import KEY_FILES
from adapters.published import check_place
from adapters.sql.store import SqlStore
from ledger import Client, Policy, StorageError, VerifierKey
from ledger.fsck import Fault, fault_of, strays, walk
from ledger.keyring import Keyring
from ledger.testing import MemoryStore
from ledger.tile import WIDTH, open_path, parse_path
from provenance import Money
from provenance.drafts import Draft
from provenance.events import new_event
from provenance.holdings import Contents
from provenance.keys import PartyKey
from provenance.statement import sign_statement
from tests.provenance.conftest import Clock

ORIGIN = "test.market.example/log"
SIZE = 1000
UNPUBLISHED = 12
STRIDE = 61  # bytes between two that are flipped, in large objects

random_ = random.Random(20261124)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ random_.randrange(1, 256)]) + data[at + 1 :]


@dataclass
class Store:
    folder: Path
    key: VerifierKey

    @property
    def policy(self) -> Policy:
        return Policy.of(self.key)

    def published(self) -> MemoryStore:
        place, directory = MemoryStore(), Directory(self.folder / "public")
        place.objects = {path: directory.get(path) for path in directory.list("")}
        return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """1,000 entries of every kind, all but 12 published, and a few events that wait."""
    folder = tmp_path_factory.mktemp("flipped")
    url = f"sqlite:///{folder / 'market.db'}"
    clock = Clock()
    ledger = create(url, origin=ORIGIN, publish=folder / "public", market_name="Test Market", clock=clock)
    files = [folder / f"{n}.bin" for n in range(3)]
    for n, file in enumerate(files):
        file.write_bytes(b"bytes of file %d" % n)
    ada = ledger.register_party("person", name="Ada", ref="user:1")
    work = ledger.create(files[0], creators=[ada], terms="CC-BY-4.0", title="Dunes", ref="work:1")
    second = ledger.derive(files[1], parents=[work], creators=[ada], terms="CC-BY-4.0", ref="work:2")
    terms = ledger.publish_terms("LicenseRef-shop", ref="terms:1")
    offer = ledger.offer(work, terms=terms, price=Money(500, "EUR"), ref="offer:1")
    ledger.license(work, to=ada, offer=offer, price=Money(500, "EUR"), ref="order:1")
    bo = ledger.register_party("person", name="Bo")
    ledger.split(work, {ada.id: 60_000_000, bo.id: 40_000_000})
    ledger.withdraw_offer(ledger.offer(work, terms=terms, price=Money(700, "EUR")))
    ledger.set_status(second, "suspended", reason="complaint")
    ledger.erase(subject=bo)
    parents = [
        {"role": "parent", "relation": "edited", "rate": "5000000", "id": work.id},
        {"role": "parent", "relation": "sampled", "id": {"scheme": "doi", "id": "10.1000/182"}},
    ]
    third = {
        "digests": {"sha-256": "6e" * 32},
        "human_contribution": "some",
        "media_type": "image/png",
        "size": 913402,
        "source_type": "humanEdits",
        "tools": "undisclosed",
    }
    ledger.record_many(
        [ledger.draft("work.derive", body=third, refs=[*parents, {"role": "creator", "as": "editor", "id": ada.id}])]
    )
    key = PartyKey.generate()
    ledger.submit(*registration(key), ref="foreign:1")

    def draft(n: int) -> Draft:
        if n % 3 == 0:
            refs = [
                {"role": "offer", "id": str(offer)},
                {"role": "work", "id": str(work)},
                {"role": "licensee", "id": str(ada)},
            ]
            body = {"scope": ["use"], "quantity": 1, "transferable": False, "price": Money(500, "EUR").body()}
            return ledger.draft("grant.issue", body=body, refs=refs, personal={"ref": f"order:{n}"})
        body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
        return ledger.draft("party.register", body=body, personal={"name": f"Person {n}"})

    ledger.record_many([draft(n) for n in range(SIZE - UNPUBLISHED - ledger.log.size)])
    engine = create_engine(url)
    with Session(engine) as session:
        for n in range(UNPUBLISHED):
            ledger.register_party("person", name=f"Late {n}", session=session)
        session.commit()
    assert ledger.sequence_once() == UNPUBLISHED
    assert (ledger.log.size, ledger.log.checkpoint.size) == (SIZE, SIZE - UNPUBLISHED)
    with Session(engine) as session:
        waiting = ledger.create(files[2], creators=[ada], terms="CC0-1.0", title="Late", ref="work:3", session=session)
        ledger.license(work, to=ada, offer=offer, price=Money(500, "EUR"), ref="order:late", session=session)
        ledger.submit(*registration(PartyKey.generate()), ref="foreign:2", session=session)
        session.commit()
    assert waiting
    engine.dispose()
    return Store(folder, ledger.log.policy.logs[0].key)


def registration(key: PartyKey) -> tuple[bytes, bytes]:
    body = {"kind": "org", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    draft = new_event(
        "party.register",
        ledger=ORIGIN,
        actor="self",
        strength="self",
        claimed_at="2026-11-23T08:00:00Z",
        body=body,
    )
    return draft.data, sign_statement(
        key, issuer=draft.id.hex(), type="party.register", origin=ORIGIN, event_id=draft.id
    )


# As published


def check_published(place: MemoryStore, policy: Policy, *, signatures: bool = False) -> list[Fault]:
    return [fault for _, faults in check_place(place, policy, signatures=signatures) for fault in faults]


def test_what_is_published_is_clean(made):
    assert check_published(made.published(), made.policy, signatures=True) == []


def test_every_byte_of_the_small_published_objects(made):
    place = made.published()
    small = [path for path in place.objects if not path.startswith(("tile/entries/", "tile/0/00", "events/"))]
    small += ["tile/0/003.p/220"]
    assert {"checkpoint", *KEY_FILES, "tile/1/000.p/3"} <= set(small)
    for path in small:
        whole = place.objects[path]
        step = 1 if len(whole) < 500 else STRIDE
        for at in range(0, len(whole), step):
            place.objects[path] = flipped(whole, at)
            faults = check_published(place, made.policy) if path in KEY_FILES else first(place, made)
            assert faults, f"{path} byte {at}"
            if path != "checkpoint":  # its signature covers all of it, and names the log
                assert faults[0].place == path
        place.objects[path] = whole


def first(place: MemoryStore, made: Store) -> list[Fault]:
    """What a check of a place says first: enough where everything else rests on the object."""
    return next(faults for _, faults in check_place(place, made.policy, at=SIZE - 1) if faults)


def _large(made: Store, stride: int) -> int:
    """Flip every `stride`th byte of entry bundles and full tiles, checking the affected bundle alone."""
    place = made.published()
    client = Client(place, made.policy)
    client.latest()
    client.reader.tile(0, 0)
    count = 0
    for path in [path for path in place.objects if path.startswith(("tile/entries/00", "tile/0/00"))]:
        level, number, width = parse_path(path)
        if level == 0 and width < WIDTH:
            continue  # read when the client is made: among the small ones
        current = min(WIDTH, SIZE - UNPUBLISHED - number * WIDTH)
        whole = place.objects[path]
        for at in range(count % stride, len(whole), stride):
            place.objects[path] = flipped(whole, at)
            if width == current:
                ((_, error),) = walk(client, start=number * WIDTH, stop=number * WIDTH + 1)
                assert error is not None, f"{path} byte {at}"
                assert path in str(error)
            else:  # of an earlier checkpoint, and still legal
                assert [fault.place for fault in strays(client, [path])] == [path]
            count += 1
        place.objects[path] = whole
    return count


def test_bytes_of_entry_bundles_and_tiles(made):
    assert _large(made, STRIDE) > 2_500


@pytest.mark.soak
def test_every_byte_of_entry_bundles_and_tiles(made):
    assert _large(made, 1) > 200_000


def test_every_byte_of_the_open_events(made):
    place = made.published()
    client = Client(place, made.policy)
    contents = Contents(client.opened)
    for number in range(-(-(SIZE - UNPUBLISHED) // WIDTH)):
        path = open_path(number)
        whole = place.objects[path]
        start, stop = number * WIDTH, min((number + 1) * WIDTH, SIZE - UNPUBLISHED)
        entries = list(client.entries(start, stop))
        spans, at = [], 0
        while at < len(whole):
            end = at + 4 + int.from_bytes(whole[at : at + 4], "big")
            spans.append((at + 4, end))
            at = end
        # A byte of every item at once: each item is named.
        for offset in range(max(end - begin for begin, end in spans)):
            data, wrong = bytearray(whole), set()
            for idx, (begin, end) in enumerate(spans, start):
                if begin + offset < end:
                    data[begin + offset] ^= random_.randrange(1, 256)
                    wrong.add(idx)
            place.objects[path] = bytes(data)
            contents.look(start, entries)
            faults = contents.take()
            assert len(faults) == len(wrong)
            assert all(
                fault.place == path and f"event #{idx} " in fault.detail
                for idx, fault in zip(sorted(wrong), faults, strict=True)
            )
        # Every byte of a length alone.
        for begin, _ in spans:
            for at in range(begin - 4, begin):
                place.objects[path] = flipped(whole, at)
                contents.look(start, entries)
                assert contents.take()[0].place == path
        place.objects[path] = whole


@pytest.mark.parametrize("stride", [41, pytest.param(1, marks=pytest.mark.soak)])
def test_bytes_of_the_batch_file(tmp_path, stride):
    """Whoever opens the log finishes it, and never writes what a disk made of it over what is good."""
    url, objects = f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "objects"
    ledger = create(url, origin=ORIGIN, objects=objects)
    for n in range(3):
        ledger.register_party("person", name=f"Person {n}")
    ledger.publish()
    (file,) = (objects / "staging").iterdir()
    path, whole = f"staging/{file.name}", file.read_bytes()
    holdings = open_holdings(url, objects=objects)
    assert list(holdings.faults()) == []

    def found() -> list[str]:
        (step,) = (step for step in holdings.steps() if step.name == "objects")
        return [fault.place for _, faults in step.run(None) for fault in faults]

    for at in range(0, len(whole), stride):
        file.write_bytes(flipped(whole, at))
        assert found() == [path], f"byte {at}"
    before = (objects / "events" / "000").read_bytes()
    assert connect(url, objects=objects).log.size == ledger.log.size
    assert (objects / "events" / "000").read_bytes() == before
    assert holdings.repair().mended == [path]
    assert not file.exists()
    assert list(holdings.faults()) == []
    assert connect(url, objects=objects).register_party("person", name="Next")


# In the file of the database


def _rows(path: Path) -> dict[str, list[Any]] | None:
    """Every row of every table, with its number; None where SQLite finds its pages or keys wrong."""
    with closing(sqlite3.connect(path)) as raw:
        raw.text_factory = bytes
        try:
            if raw.execute("PRAGMA integrity_check").fetchall() != [(b"ok",)]:
                return None
            names = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            texts = [name.decode("utf-8", "ignore") for name in names]
            return {name: raw.execute(f'SELECT rowid, * FROM "{name}"').fetchall() for name in texts if name.isascii()}
        except (sqlite3.Error, UnicodeDecodeError):
            return None


def _flipped_files(file: Path, count: int, check: Callable[[], list[Fault]]) -> int:
    """Flip a byte anywhere in the file, again and again: it is found, or lay where nothing is stored. How many were."""
    settle(file)
    data, good = file.read_bytes(), _rows(file)
    assert good
    found = 0
    for _ in range(count):
        at = random_.randrange(len(data))
        for left in file.parent.glob(f"{file.name}-*"):
            left.unlink()
        file.write_bytes(flipped(data, at))
        try:
            faults = check()
        except StorageError as error:  # it cannot even be opened
            faults = [fault_of(error)]
        assert all(fault.place and fault.detail for fault in faults)
        assert faults or _rows(file) == good, f"{file.name}, byte {at}"
        found += bool(faults)
    for left in file.parent.glob(f"{file.name}-*"):
        left.unlink()
    file.write_bytes(data)
    return found


def settle(file: Path) -> None:
    """All of a database in its one file."""
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


COUNTS = pytest.mark.parametrize(
    "count", [pytest.param(60, id="short"), pytest.param(2_000, id="long", marks=pytest.mark.soak)]
)


@COUNTS
def test_bytes_of_the_database_file(made, tmp_path, count):
    """What SQLite cannot read any more is said like everything else."""
    file = tmp_path / "market.db"
    with closing(sqlite3.connect(made.folder / "market.db")) as there, closing(sqlite3.connect(file)) as copy:
        there.backup(copy)
        copy.execute("PRAGMA journal_mode=WAL")

    def check() -> list[Fault]:
        with closing(SqlStore(f"sqlite:///{file}")) as store:
            return list(Holdings(Parts(store), Keyring(made.key)).faults())

    assert _flipped_files(file, count, check) > count / 2


@COUNTS
def test_bytes_of_databases_beside_it(tmp_path, count):
    """Index and keys of subjects, each in a file of its own."""
    url = f"sqlite:///{tmp_path / 'market.db'}"
    beside = {name: f"sqlite:///{tmp_path / name}.db" for name in ("index", "subject_keys")}
    ledger = create(url, origin=ORIGIN, **beside)
    body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
    ledger.record_many(
        [ledger.draft("party.register", body=body, personal={"name": f"Person {n}"}) for n in range(200)]
    )
    del ledger
    gc.collect()  # what is open closes its files

    def check() -> list[Fault]:
        faults = list(open_holdings(url, **beside).faults())
        gc.collect()
        return faults

    assert check() == []
    for name in beside:
        assert _flipped_files(tmp_path / f"{name}.db", count // 2, check)


def test_a_table_that_is_gone_is_said(database):
    """Also one that nothing of this ledger looks into."""
    database.raw.execute("ALTER TABLE provenance_files RENAME TO provenance_filet")
    places = {fault.place: fault.detail for fault in database.check("tables")}
    assert places == {"table provenance_files": "table provenance_files: is not there; restore it from a backup"}


def test_what_is_wrong_in_one_database_hides_nothing_of_another(tmp_path):
    """A table of ours in one file, in another a table of whoever else uses it: only the check of all sees that one."""
    url, index = (f"sqlite:///{tmp_path / name}.db" for name in ("market", "index"))
    create(url, origin=ORIGIN, index=index).register_party("person", name="Ada")
    with closing(sqlite3.connect(tmp_path / "index.db")) as raw:
        raw.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    gc.collect()
    for name, table in (("market", "provenance_vault"), ("index", "orders")):
        file = tmp_path / f"{name}.db"
        settle(file)
        with closing(sqlite3.connect(file)) as raw:
            (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            (size,) = raw.execute("PRAGMA page_size").fetchone()
        data = bytearray(file.read_bytes())
        data[(page - 1) * size] = 0  # it is no page of a table any more
        file.write_bytes(data)
    places = {fault.place for fault in open_holdings(url, index=index).faults()}
    assert {"table provenance_vault", f"file {tmp_path / 'index.db'}"} <= places


def test_keys_of_a_table_are_made_again(database):
    """What leads to a row is gone: a look by that key finds nothing. Rows are as they were."""
    this = "WHERE name = 'provenance_vault_prefix'"

    def declare(sql: str) -> None:
        with closing(sqlite3.connect(database.store.url.database, isolation_level=None)) as raw:
            raw.execute("PRAGMA writable_schema=ON")
            raw.execute(f"UPDATE sqlite_master SET sql = ? {this}", (sql,))

    (sql,) = database.raw.execute(f"SELECT sql FROM sqlite_master {this}").fetchone()
    declare(sql.decode().replace("(prefix)", "(prefix + 1)"))
    with closing(sqlite3.connect(database.store.url.database, isolation_level=None)) as raw:
        raw.execute("REINDEX provenance_vault_prefix")
    declare(sql.decode())
    holdings = Holdings(Parts(database.store), Keyring(database.made.key))
    (first, *_) = holdings.faults()
    assert first.place == "table provenance_vault"
    assert "missing from index provenance_vault_prefix" in first.detail
    assert holdings.mend_keys() == ["keys of provenance_vault"]
    assert list(holdings.faults()) == []


# In the database


STRIDES = pytest.mark.parametrize("share", [7, pytest.param(1, marks=pytest.mark.soak)])
"""Of what is flipped: every so manieth in the short run."""


class Database:
    """A copy of the database, changed beside our back, and what is checked in it."""

    def __init__(self, made: Store, folder: Path) -> None:
        shutil.copy(made.folder / "market.db", folder / "market.db")
        for end in ("-wal", "-shm"):
            if (made.folder / f"market.db{end}").exists():
                shutil.copy(made.folder / f"market.db{end}", folder / f"market.db{end}")
        self.raw = sqlite3.connect(folder / "market.db", isolation_level=None)
        self.raw.execute("PRAGMA synchronous=OFF")
        self.raw.text_factory = bytes
        self.store = SqlStore(f"sqlite:///{folder / 'market.db'}")
        self.made = made

    def close(self) -> None:
        self.store.close()
        self.raw.close()

    def check(self, *steps: str, signatures: bool = False) -> list[Fault]:
        holdings = Holdings(Parts(self.store), Keyring(self.made.key), signatures=signatures)
        wanted = [step for step in holdings.steps() if not steps or step.name in steps]
        return [fault for step in wanted for _, faults in step.run(None) for fault in faults]

    def values(self, table: str, column: str, key: str = "rowid") -> list[tuple[Any, Any]]:
        return self.raw.execute(f"SELECT {key}, {column} FROM provenance_{table} ORDER BY {key}").fetchall()

    @contextmanager
    def changed(
        self, table: str, column: str, rows: Sequence[tuple[Any, Any, Any]], key: str = "rowid"
    ) -> Iterator[None]:
        """`rows` of (key, old, new) values."""
        kind = self.kind(table, column)
        place = "CAST(? AS TEXT)" if kind == "text" else "?"
        sql = f"UPDATE provenance_{table} SET {column} = {place} WHERE {key} = ?"
        self.raw.execute("BEGIN IMMEDIATE")
        self.raw.executemany(sql, [(new, at) for at, _, new in rows])
        self.raw.execute("COMMIT")
        yield
        where = f"UPDATE provenance_{table} SET {column} = {place} WHERE {key} = ?"
        self.raw.execute("BEGIN IMMEDIATE")
        moved = [(old, new if column == key else at) for at, old, new in rows]
        self.raw.executemany(where, moved)
        self.raw.execute("COMMIT")

    def kind(self, table: str, column: str) -> str:
        (kind,) = self.raw.execute(
            f"SELECT typeof({column}) FROM provenance_{table} WHERE {column} IS NOT NULL LIMIT 1"
        ).fetchone()
        return kind.decode()


def places(value: Any) -> range:
    """The bytes of a value: of a number, the eight of its 64 bits."""
    return range(8 if isinstance(value, int) else len(value or b""))


def variant(value: Any, at: int) -> Any:
    """A value that differs in one byte."""
    if isinstance(value, int):
        return int.from_bytes(flipped(value.to_bytes(8, "big", signed=True), at), "big", signed=True)
    return flipped(value, at)


@pytest.fixture
def database(made: Store, tmp_path: Path) -> Iterator[Database]:
    with closing(Database(made, tmp_path)) as one:
        yield one


def test_the_database_is_clean(database):
    assert database.check() == []
    assert database.check(signatures=True) == []


def _singly(
    database: Database,
    table: str,
    column: str,
    steps: Sequence[str],
    names: Callable[[Any, Fault], bool],
    key: str = "rowid",
    every: int = 1,
    rows: int = 1,
) -> int:
    """Flip each byte of a column in each row (or every so manieth) alone; a fault must name what was flipped."""
    count = 0
    for at, old in database.values(table, column, key)[::rows]:
        for place in places(old)[count % every :: every]:
            new = variant(old, place)
            if column in {key, "path"} and new in dict(database.values(table, column, key)).values():
                continue  # two rows of one number or path: no database has them
            with database.changed(table, column, [(at, old, new)], key):
                faults = database.check(*steps)
            assert faults, f"{table}.{column} of {at!r}: {old!r} as {new!r}"
            assert any(names(at, fault) for fault in faults), faults[0]
            count += 1
    return count


def _at_once(
    database: Database,
    table: str,
    column: str,
    named: Callable[[list[Any], list[Fault]], bool],
    every: int,
    only: Collection[Any] | None = None,
) -> int:
    """Flip the nth byte of a column in all rows, for every so manieth n; each row must be named."""
    values = [(at, old) for at, old in database.values(table, column) if only is None or at in only]
    count = 0
    for n in range(0, max(len(places(old)) for _, old in values), every):
        some = [(at, old, variant(old, n)) for at, old in values if n in places(old)]
        with database.changed(table, column, some):
            faults = database.check("entries")
        assert named([at for at, _, _ in some], faults), f"{table}.{column} byte {n}"
        count += len(some)
    return count


def test_head_rows_and_layout(database):
    assert _singly(database, "heads", "origin", ["head"], lambda _, fault: "head of" in fault.place)
    assert _singly(database, "heads", "size", ["head", "entries"], lambda _, fault: "of test.market" in fault.place)
    assert _singly(database, "heads", "signed", ["entries"], lambda _, fault: fault.altered)
    assert _singly(database, "rows", "idx", ["head"], lambda _, fault: fault.place == f"rows of {ORIGIN}", "idx", 40)
    notes = dict(database.values("state", "key"))
    assert _singly(database, "state", "key", ["head"], lambda _, fault: fault.place.startswith("state "))
    for column in ("value", "checksum"):
        assert _singly(
            database, "state", column, ["head"], lambda at, fault: fault.place == f"state {notes[at].decode()}"
        )


@pytest.mark.parametrize("column, every", [("entry", 997), ("opened", 997)])
def test_rows_behind_the_last_full_bundle(database, column, every):
    first = SIZE - SIZE % WIDTH

    def named(at: int, fault: Fault) -> bool:
        return f"#{first + numbers.index(at)}" in fault.detail

    numbers = [at for at, _ in database.values("rows", column)]
    assert _singly(database, "rows", column, ["entries"], named, every=every, rows=7) > 20


@STRIDES
@pytest.mark.parametrize("column", ["entry", "opened"])
def test_every_byte_of_the_rows_behind_the_last_full_bundle(database, column, share):
    numbers = [at for at, _ in database.values("rows", column)]
    first = SIZE - SIZE % WIDTH

    def named(rows: list[Any], faults: list[Fault]) -> bool:
        said = {int(idx) for fault in faults for idx in re.findall(r"#(\d+)", fault.detail)}
        return said >= {first + numbers.index(at) for at in rows}

    assert _at_once(database, "rows", column, named, 7 * share if share > 1 else 1)


@STRIDES
def test_objects(database, share):
    paths = dict(database.values("objects", "path"))

    def named(at: int, fault: Fault) -> bool:
        return fault.place == paths[at].decode()

    assert _singly(database, "objects", "path", ["entries", "objects"], named, every=share)
    assert _singly(database, "objects", "data", ["entries"], named, every=share * 6007)


@STRIDES
@pytest.mark.parametrize("column", ["prefix", "address", "data"])
@pytest.mark.parametrize("sealed", [False, True])
def test_every_byte_of_the_vault(database, column, sealed, share):
    """Sealed events apart: while one is unreadable, nobody knows what it commits to."""
    addresses = dict(database.values("vault", "hex(address)"))
    events = {row for row, data in database.values("vault", "data") if b'"kind":"event"' in data}
    assert events

    def named(rows: list[Any], faults: list[Fault]) -> bool:
        places = {fault.place for fault in faults}
        return all(f"vault {addresses[at].decode().lower()}" in places for at in rows)

    rows = events if sealed else addresses.keys() - events
    every = share * (11 if column == "data" and share > 1 else 1)
    assert _at_once(database, "vault", column, named, every, rows) >= len(rows)


@pytest.mark.parametrize(
    "table, at, columns",
    [
        ("index_entries", "idx", ["key", "event_id", "type", "issuer", "sealed", "strength", "claimed_at"]),
        ("index_links", "source", ["role", "target", "event_id", "outside", "detail", "units"]),
        ("index_digests", "idx", ["key", "digest", "kind"]),
        ("index_times", "idx", ["time"]),
        ("index_erased", "idx", ["key", "address"]),
        ("index_places", "idx", ["rule", "key", "place"]),
        ("index_kin", "idx", ["child", "child_id", "parent", "parent_id", "outside", "relation", "units"]),
    ],
)
@STRIDES
def test_every_byte_of_the_index(database, table, at, columns, share):
    entries = dict(database.values(table, at))

    def named(rows: list[Any], faults: list[Fault]) -> bool:
        places = {fault.place for fault in faults}
        return all(f"index of entry #{entries[row]}" in places for row in rows)

    for column in columns:
        rows = {row for row, value in database.values(table, column) if value not in {None, b""}}
        assert rows
        assert _at_once(database, table, column, named, share, rows)


@pytest.mark.parametrize(
    "table, at",
    [
        ("index_entries", "idx"),
        ("index_links", "source"),
        ("index_digests", "idx"),
        ("index_times", "idx"),
        ("index_erased", "idx"),
        ("index_places", "idx"),
        ("index_kin", "idx"),
    ],
)
def test_where_the_rows_of_the_index_belong(database, table, at):
    places = dict(database.values(table, at))
    key = at if table in {"index_entries", "index_times"} else "rowid"
    owners = places if key == "rowid" else {idx: idx for idx in places.values()}
    count = _singly(
        database, table, at, ["entries"], lambda row, f: f.place == f"index of entry #{owners[row]}", key, 149
    )
    assert count


@STRIDES
def test_every_byte_of_the_queue(database, share):
    for column in ("event_id", "type", "event", "items", "statement", "sealed", "staged_at", "checksum"):
        assert _singly(
            database, "queue", column, ["queue"], lambda at, fault: fault.place == f"queue row {at}", every=share
        )


@STRIDES
def test_every_byte_of_the_names(database, share):
    for column in ("verb", "ref", "event_id", "fingerprint"):
        assert _singly(
            database, "refs", column, ["names"], lambda _, fault: fault.place.startswith("name "), every=share
        )


def test_every_byte_of_the_files(database):
    for column in ("event_id", "path", "checksum"):
        assert _singly(database, "files", column, ["files"], lambda _, fault: fault.place.startswith("file of"))


@STRIDES
def test_every_byte_of_the_places(database, share):
    for column in ("rule", "key", "event_id"):
        assert _singly(
            database, "once", column, ["places"], lambda _, fault: fault.place.startswith("place "), every=share
        )
