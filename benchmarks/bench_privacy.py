"""How long it takes to forget one of a million people, while nobody else works.

Every person is registered with a name in the vault. Ours: `erase(subject=…)`, which finds everything personal about one
of them, has the log say that it is erased, deletes it in the same transaction, and publishes a checkpoint over that;
once with a vault in plain, once with items under keys of subjects, of which one is destroyed. It goes with the answer,
not with the market: the last figures compare a hundredth of it with the whole. The floor deletes the same row with bare
`sqlite3`, as durable as ours.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from adapters import create
from benchmarks.figure import Figure, open_floor
from provenance import ProvenanceLedger

SUBJECTS = 1_000_000
ERASED = 100
ORIGIN = "bench.example/log"


def figures() -> Iterator[Figure]:
    """All figures of erasing."""
    for what, wrapped in (("", False), (", under keys of subjects", True)):
        small = _typical(SUBJECTS // 100, wrapped=wrapped)
        took = _typical(SUBJECTS, wrapped=wrapped)
        yield Figure(f"erase one of {SUBJECTS:,} subjects{what}, p50", took * 1e3, "ms", 20, "<=")
        yield Figure(f"erase one of {SUBJECTS:,} / of {SUBJECTS // 100:,} subjects{what}", took / small, "x its time")
    yield Figure(f"delete one of {SUBJECTS:,} rows: bare sqlite3, p50", _bare() * 1e3, "ms")


def _typical(subjects: int, *, wrapped: bool) -> float:
    with _market(subjects, wrapped=wrapped) as (ledger, people):
        took = []
        for person in random.Random(1).sample(people, ERASED):
            start = time.perf_counter()
            done = ledger.erase(subject=person)
            took.append(time.perf_counter() - start)
            assert len(done.erased) == 1 + wrapped
        assert ledger.scrub_due() == ERASED
    return median(took)


@contextmanager
def _market(subjects: int, *, wrapped: bool) -> Iterator[tuple[ProvenanceLedger, list[str]]]:
    """A market with so many people, and their ids."""
    with TemporaryDirectory(prefix="bench-") as folder:
        keys = f"sqlite:///{folder}/subjects.db" if wrapped else None
        url = f"sqlite:///{Path(folder) / 'market.db'}"
        ledger = create(url, origin=ORIGIN, publish=f"{folder}/public", subject_keys=keys)
        body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
        drafts = (
            ledger.draft("party.register", body=body, personal={"name": f"Person {number}"})
            for number in range(subjects)
        )
        yield ledger, [ticket.id for ticket in ledger.record_many(drafts)]


def _bare() -> float:
    with TemporaryDirectory(prefix="bench-") as folder, closing(open_floor(Path(folder) / "bare.db")) as database:
        database.execute("CREATE TABLE vault (address BLOB PRIMARY KEY, data BLOB)")
        _fill(database)
        took = []
        for number in random.Random(1).sample(range(SUBJECTS), ERASED):
            start = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM vault WHERE address = ?", (_address(number),))
            database.execute("COMMIT")
            took.append(time.perf_counter() - start)
    return median(took)


def _fill(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    item = b"a person's name of some length, in an item with its salt " * 3
    rows = ((_address(number), item) for number in range(SUBJECTS))
    database.executemany("INSERT INTO vault VALUES (?, ?)", rows)
    database.execute("COMMIT")


def _address(number: int) -> bytes:
    return random.Random(number).randbytes(32)
