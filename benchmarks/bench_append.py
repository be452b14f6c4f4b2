"""How fast opaque entries become durable and sequenced in SQLite.

Floors write the same bytes with bare `sqlite3`, as durable as ours. The peer is pymerkle's SQLite tree as shipped: a
rollback journal, full synchronization. It computes no root and signs nothing while it appends; ours does both, at the
end of every window.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pymerkle import SqliteTree

from adapters.sql.store import SqlStore
from benchmarks.bare import HEAD, PUT, BareTree, open_bare, percentile
from benchmarks.figure import Figure, rounds
from ledger.log import Log
from ledger.note import SigningKey
from ledger.storage import Row

ENTRY = 300  # bytes
BATCH = 4096
BULK = 25 * BATCH
SINGLES = 1_000
THREADS = 16
KEY = SigningKey.generate("bench.example/log")


def figures() -> Iterator[Figure]:
    """All figures of appending."""
    entries = [os.urandom(ENTRY) for _ in range(BULK)]
    yield from _bulk(entries)
    yield from _one_by_one(entries[:SINGLES])
    yield from _on_disk(entries[:SINGLES])


def _bulk(entries: Sequence[bytes]) -> Iterator[Figure]:
    batches = [entries[at : at + BATCH] for at in range(0, len(entries), BATCH)]

    def ours() -> float:
        with _log() as log:
            start = time.perf_counter()
            for batch in batches:
                log.extend([Row(entry, b"") for entry in batch])
            return time.perf_counter() - start

    def bare() -> float:
        with open_bare() as database:
            tree = BareTree()
            start = time.perf_counter()
            for batch in batches:
                database.execute("BEGIN IMMEDIATE")
                database.executemany(PUT, tree.extend(batch))
                database.execute(HEAD, (tree.size, b"checkpoint"))
                database.execute("COMMIT")
            return time.perf_counter() - start

    def peer() -> float:
        with _peer() as tree:
            start = time.perf_counter()
            for batch in batches:
                tree.append_entries(batch, BATCH)
            return time.perf_counter() - start

    measured = rounds(ours, bare, peer, times=7)
    what = f"append, {ENTRY} B in batches of {BATCH:,}"
    yield Figure(what, len(entries) / measured.typical(), "entries/s")
    yield Figure(f"{what}: bare sqlite3", len(entries) / measured.typical(1), "entries/s")
    yield Figure(f"{what} / bare sqlite3", measured.speed(), "x its rate", 0.6)
    yield Figure(f"{what} / pymerkle*", measured.speed(0, 2), "x its rate", 1.1)


def _one_by_one(entries: Sequence[bytes]) -> Iterator[Figure]:
    ours_took: list[float] = []
    bare_took: list[float] = []

    def ours() -> float:
        with _log() as log:
            took = [_timed(log, entry) for entry in entries]
            ours_took.extend(took)
            return percentile(took, 0.5)

    def bare() -> float:
        with open_bare() as database:
            took = []
            for entry in entries:
                start = time.perf_counter()
                database.execute("BEGIN IMMEDIATE")
                database.execute("INSERT INTO provenance_rows (entry, opened) VALUES (?, x'')", (entry,))
                database.execute("COMMIT")
                took.append(time.perf_counter() - start)
            bare_took.extend(took)
            return percentile(took, 0.5)

    def one_thread() -> float:
        with _log() as log:
            start = time.perf_counter()
            for entry in entries:
                log.append(entry)
            return time.perf_counter() - start

    def threads() -> float:
        with _log() as log, ThreadPoolExecutor(THREADS) as pool:
            shares = [list(entries[at::THREADS]) * 4 for at in range(THREADS)]
            start = time.perf_counter()
            list(pool.map(lambda share: [log.append(entry) for entry in share], shares))
            return (time.perf_counter() - start) / 4

    def peer() -> float:
        with _peer() as tree:
            start = time.perf_counter()
            for entry in entries:
                tree.append_entry(entry)
            return time.perf_counter() - start

    measured = rounds(ours, bare, times=7)
    for name, took in (("append, one durable", ours_took), ("bare one-row commit", bare_took)):
        for share in (0.5, 0.99):
            yield Figure(f"{name}, {ENTRY} B, p{share * 100:.0f}", percentile(took, share) * 1e6, "µs")
    yield Figure("append, one durable / bare one-row commit, p50", measured.cost(), "x its time", 2.5, "<=")
    measured = rounds(threads, one_thread, peer, times=7)
    yield Figure(f"append, {THREADS} threads", len(entries) / measured.typical(), "entries/s")
    yield Figure(f"append, {THREADS} threads / 1 thread", measured.speed(), "x its rate", 5.0)
    yield Figure("append, one by one / pymerkle*", measured.speed(1, 2), "x its rate", 1.5)
    print("* SqliteTree as shipped (rollback journal, synchronous=FULL); it computes no root and signs nothing")


def _on_disk(entries: Sequence[bytes]) -> Iterator[Figure]:
    own = sum(map(len, entries))
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "log.db"
        store = SqlStore(f"sqlite:///{path}", create=True)
        Log.create(store, KEY, b"genesis")
        store.close()
        before = _size(folder)
        with closing(SqlStore(f"sqlite:///{path}")) as store:
            log = Log.open(store, KEY, window=3600.0)
            signed = log.checkpoint.size
            for entry in entries:
                log.append(entry)
            assert log.checkpoint.size == signed, "the window was closed"
            opened = _size(folder) - before
        yield Figure(
            f"disk, {len(entries):,} single appends in one window",
            (_size(folder) - before) / own,
            "x own bytes",
            3.0,
            "<=",
        )
        # SQLite keeps its write-ahead log at some 1,000 pages and writes over it again, however long it runs.
        yield Figure("disk, the same with the write-ahead log of the open file", opened / own, "x own bytes")


@contextmanager
def _log() -> Iterator[Log]:
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        closing(SqlStore(f"sqlite:///{folder}/log.db", create=True)) as store,
    ):
        yield Log.create(store, KEY, b"genesis")


@contextmanager
def _peer() -> Iterator[SqliteTree]:
    with TemporaryDirectory(prefix="bench-") as folder, SqliteTree(f"{folder}/tree.db") as tree:
        yield tree


def _timed(log: Log, entry: bytes) -> float:
    start = time.perf_counter()
    log.append(entry)
    return time.perf_counter() - start


def _size(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).iterdir())
