"""Whether anything gets slower or larger as a log grows: ten million entries in one SQLite file, one run of each.

Every program has a process of its own, so that what it holds in memory is its own. The floor writes the same blobs
with bare `sqlite3`, as durable as ours, with the same hashing.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection as Pipe
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


class Grown(NamedTuple):
    """How a log of `SIZE` entries came about: seconds of each tenth, and the most memory of the process, in MB."""

    seconds: list[float]
    memory: float


def figures() -> Iterator[Figure]:
    """All figures of a large log."""
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "log.db"
        key = str(SigningKey.generate("bench.example/log"))
        ours, bare = _in_turn((_append, str(path), key), (_append_bare,))
        what = f"append, {ENTRY} B to {SIZE:,} in batches of {BATCH:,}"
        yield Figure(what, SIZE / sum(ours.seconds), "entries/s")
        yield Figure(f"{what}: bare sqlite3", SIZE / sum(bare.seconds), "entries/s")
        yield Figure(f"{what} / bare sqlite3", sum(bare.seconds) / sum(ours.seconds), "x its rate", 0.6)
        yield Figure(f"{what}, last tenth / second", ours.seconds[1] / ours.seconds[-1], "x its rate", 0.8)
        yield Figure(f"{what}, the same of bare sqlite3", bare.seconds[1] / bare.seconds[-1], "x its rate")
        yield Figure("memory, opaque entries", ours.memory, "MB", 120, "<=")
        beyond = path.stat().st_size / SIZE - ENTRY
        yield Figure(f"disk, beyond the entry, at {SIZE:,}", beyond, "B an entry", 48, "<=")
        took: list[float] = _apart(_prove, str(path), key)
        yield Figure(f"prove, random of {SIZE:,}, warm, p50", percentile(took, 0.5) * 1e3, "ms", 0.4, "<=")
        yield Figure(f"prove, random of {SIZE:,}, warm, p99", percentile(took, 0.99) * 1e3, "ms", 1.0, "<=")
    yield Figure(f"memory, {EVENTS:,} events recorded", _apart(_record), "MB", 250, "<=")


def _apart(program: Callable[..., Any], *arguments: Any) -> Any:
    """What `program` returns in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(program, arguments)


def _in_turn(*programs: tuple[Any, ...]) -> list[Grown]:
    """Let programs grow side by side, a tenth each in turn.

    A machine gets slower when it first needs memory that nobody has used yet: neither shall pay that for the other.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for program, *arguments in programs:
        ours, theirs = context.Pipe()
        process = context.Process(target=program, args=(theirs, *arguments), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    grown = [Grown([], 0.0) for _ in programs]
    for tenth in range(TENTHS):
        for turn in range(len(pipes)):
            number = (tenth + turn) % len(pipes)
            pipes[number].send(tenth)
            grown[number].seconds.append(pipes[number].recv())
    for number, pipe in enumerate(pipes):
        pipe.send(None)
        grown[number] = grown[number]._replace(memory=pipe.recv())
        processes[number].join()
    return grown


def _append(pipe: Pipe, path: str, key: str) -> None:
    with closing(SqlStore(f"sqlite:///{path}", create=True)) as store:
        log = Log.create(store, SigningKey.parse(key), _entry(0))
        while (tenth := pipe.recv()) is not None:
            start = time.perf_counter()
            for batch in _batches(tenth):
                log.extend([Row(_entry(index), b"") for index in batch])
            pipe.send(time.perf_counter() - start)
        log.publish()
    pipe.send(_memory())


def _append_bare(pipe: Pipe) -> None:
    with open_bare() as database:
        tree = BareTree()
        while (tenth := pipe.recv()) is not None:
            start = time.perf_counter()
            for batch in _batches(tenth):
                database.execute("BEGIN IMMEDIATE")
                database.executemany(PUT, tree.extend([_entry(index) for index in batch]))
                database.execute(HEAD, (tree.size, b"checkpoint"))
                database.execute("COMMIT")
            pipe.send(time.perf_counter() - start)
    pipe.send(_memory())


def _batches(tenth: int) -> Iterator[range]:
    share = SIZE // TENTHS
    first, stop = tenth * share, (tenth + 1) * share
    for at in range(first, stop, BATCH):
        yield range(at, min(at + BATCH, stop))


def _prove(path: str, key: str) -> list[float]:
    random_ = random.Random(1)
    took = []
    with closing(SqlStore(f"sqlite:///{path}")) as store:
        log = Log.open(store, SigningKey.parse(key))
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
    """The most that this process held, in MB. `ru_maxrss` would be that of whoever started it, if that was more."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _entry(index: int) -> bytes:
    return index.to_bytes(8, "big") * (ENTRY // 8) + bytes(ENTRY % 8)
