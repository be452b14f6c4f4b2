"""Whether anything gets slower or larger as a log grows: ten million entries in one SQLite file, one run of each.

Every program has a process of its own, so that what it holds in memory is its own. The floor writes the same blobs
with bare `sqlite3`, as durable as ours, with the same hashing.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from adapters import create
from adapters.sql.store import SqlStore
from benchmarks.bare import HEAD, PUT, BareTree, open_bare, percentile
from benchmarks.figure import Figure
from ledger.log import Log
from ledger.note import SigningKey
from ledger.storage import Row

ENTRY = 300  # bytes
BATCH = 4096
SIZE = 10_000_000
TENTHS = 10
PROOFS = 20_000
EVENTS = 200_000
KEY = SigningKey.generate("bench.example/log")


class Grown(NamedTuple):
    """How a log of `SIZE` entries came about: seconds of each tenth, and the most memory of the process, in MB."""

    seconds: list[float]
    memory: float


def figures() -> Iterator[Figure]:
    """All figures of a large log."""
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "log.db"
        ours: Grown = _apart(_append, str(path))
        bare: Grown = _apart(_append_bare)
        what = f"append, {ENTRY} B to {SIZE:,} in batches of {BATCH:,}"
        yield Figure(what, SIZE / sum(ours.seconds), "entries/s")
        yield Figure(f"{what}: bare sqlite3", SIZE / sum(bare.seconds), "entries/s")
        yield Figure(f"{what} / bare sqlite3", sum(bare.seconds) / sum(ours.seconds), "x its rate", 0.6)
        yield Figure(f"{what}, last tenth / second", ours.seconds[1] / ours.seconds[-1], "x its rate", 0.8)
        yield Figure(f"{what}, the same of bare sqlite3", bare.seconds[1] / bare.seconds[-1], "x its rate")
        yield Figure("memory, opaque entries", ours.memory, "MB", 120, "<=")
        beyond = path.stat().st_size / SIZE - ENTRY
        yield Figure(f"disk, beyond the entry, at {SIZE:,}", beyond, "B an entry", 48, "<=")
        took: list[float] = _apart(_prove, str(path))
        yield Figure(f"prove, random of {SIZE:,}, warm, p50", percentile(took, 0.5) * 1e3, "ms", 0.4, "<=")
        yield Figure(f"prove, random of {SIZE:,}, warm, p99", percentile(took, 0.99) * 1e3, "ms", 1.0, "<=")
    yield Figure(f"memory, {EVENTS:,} events recorded", _apart(_record), "MB", 250, "<=")


def _apart(program: Callable[..., Any], *arguments: Any) -> Any:
    """What `program` returns in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(program, arguments)


def _append(path: str) -> Grown:
    seconds = []
    with closing(SqlStore(f"sqlite:///{path}", create=True)) as store:
        log = Log.create(store, KEY, _entry(0))
        for tenth in range(TENTHS):
            start = time.perf_counter()
            for batch in _batches(tenth):
                log.extend([Row(_entry(index), b"") for index in batch])
            seconds.append(time.perf_counter() - start)
        log.publish()
    return Grown(seconds, _memory())


def _append_bare() -> Grown:
    seconds = []
    with open_bare() as database:
        tree = BareTree()
        for tenth in range(TENTHS):
            start = time.perf_counter()
            for batch in _batches(tenth):
                database.execute("BEGIN IMMEDIATE")
                database.executemany(PUT, tree.extend([_entry(index) for index in batch]))
                database.execute(HEAD, (tree.size, b"checkpoint"))
                database.execute("COMMIT")
            seconds.append(time.perf_counter() - start)
    return Grown(seconds, _memory())


def _batches(tenth: int) -> Iterator[range]:
    share = SIZE // TENTHS
    first, stop = tenth * share, (tenth + 1) * share
    for at in range(first, stop, BATCH):
        yield range(at, min(at + BATCH, stop))


def _prove(path: str) -> list[float]:
    random_ = random.Random(1)
    took = []
    with closing(SqlStore(f"sqlite:///{path}")) as store:
        log = Log.open(store, KEY)
        for index in random_.choices(range(log.checkpoint.size), k=PROOFS):
            log.prove(index)
        for index in random_.choices(range(log.checkpoint.size), k=PROOFS):
            start = time.perf_counter()
            log.prove(index)
            took.append(time.perf_counter() - start)
    return took


def _record() -> float:
    with TemporaryDirectory(prefix="bench-") as folder:
        ledger = create(f"sqlite:///{folder}/market.db", origin="bench.example/log", publish=f"{folder}/public")
        body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
        ledger.record_many(
            ledger.draft("party.register", body=body, personal={"name": f"Creator {number}"})
            for number in range(EVENTS)
        )
        assert ledger.log.checkpoint.size > EVENTS
        return _memory()


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _entry(index: int) -> bytes:
    return index.to_bytes(8, "big") * (ENTRY // 8) + bytes(ENTRY % 8)
