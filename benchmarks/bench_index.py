"""How fast events are projected into the index, and what it costs to ask it who derives from whom.

A graph of a million works: families of fifty generations, each work made from the one before it, and every tenth also
from the first work of another family. What a question costs must depend on its answer, so the same question is also
asked of a graph a tenth as large, and one with an answer ten times as large of the same graph.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import orjson
from sqlalchemy import create_engine

from benchmarks.bare import open_bare
from benchmarks.figure import Figure, rounds
from provenance.before import Before
from provenance.index import Facts, Index, facts_of
from provenance.index.tables import entries, links
from provenance.questions.kinship import ancestors, descendants

WORKS = 1_000_000
FEWER = 100_000
GENERATIONS = 50
EVERY = 10
EVENTS = 40_000
BATCH = 4_096
ASKED = 200
MARKET = b"\1" * 32


def figures() -> Iterator[Figure]:
    """All figures of the index."""
    yield from _projecting()
    fewer = _kinship(FEWER)
    large = _kinship(WORKS)
    yield Figure(f"ancestors, {GENERATIONS} generations, {FEWER:,} works", fewer["up"] * 1_000, "ms")
    yield Figure(f"ancestors, {GENERATIONS} generations, {WORKS:,} works", large["up"] * 1_000, "ms", 5, "<=")
    yield Figure("ancestors, ten times the graph", large["up"] / fewer["up"], "x the time", 1.5, "<=")
    yield Figure("ancestors, per relative found, 5 / 50 generations", large["few"] / large["each"], "x the time")
    yield Figure(f"descendants, {GENERATIONS} generations, {WORKS:,} works", large["down"] * 1_000, "ms")


def _projecting() -> Iterator[Figure]:
    """Events as they come out of a batch, into the index of a database; the floor inserts the rows of two tables."""
    ready = list(_events(EVENTS))
    row = [
        (number, number, b"\2" * 32, "work.derive", 7, 0, "observed", "2026-11-23T07:15:00Z")
        for number in range(EVENTS)
    ]
    pairs = [(None, number, "parent", 3, b"\3" * 32, "", "edited", None) for number in range(EVENTS) for _ in range(2)]

    def ours() -> float:
        with TemporaryDirectory(prefix="bench-") as folder:
            engine = create_engine(f"sqlite:///{Path(folder) / 'index.db'}")
            with engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                index = Index(connection)
                index.create()
                connection.commit()
                start = time.perf_counter()
                for first in range(0, EVENTS, BATCH):
                    index.write(first, [_facts(event_id, data) for event_id, data in ready[first : first + BATCH]])
                    connection.commit()
                elapsed = time.perf_counter() - start
            engine.dispose()
        return elapsed

    def bare() -> float:
        with open_bare() as database:
            start = time.perf_counter()
            for first in range(0, EVENTS, BATCH):
                database.execute("BEGIN IMMEDIATE")
                sql = f"INSERT INTO {entries.name} VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                database.executemany(sql, row[first : first + BATCH])
                sql = f"INSERT INTO {links.name} VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                database.executemany(sql, pairs[2 * first : 2 * (first + BATCH)])
                database.execute("COMMIT")
            return time.perf_counter() - start

    measured = rounds(ours, bare)
    yield Figure(f"index, {EVENTS:,} derivations projected", EVENTS / measured.typical(), "events/s", 12_000)
    yield Figure("index, projected / bare rows of two tables", measured.speed(), "x its rate")


def _kinship(works: int) -> dict[str, float]:
    """Median seconds of questions, warm, in a graph of this size."""
    random_ = random.Random(1)
    families = works // GENERATIONS
    with TemporaryDirectory(prefix="bench-") as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'index.db'}")
        with engine.connect() as connection:
            index = Index(connection)
            index.create()
            portion: list[Facts] = []
            for number in range(works):
                portion.append(_work(number, families, random_))
                if len(portion) == 8 * BATCH or number == works - 1:
                    index.write(number + 1 - len(portion), portion)
                    connection.commit()
                    portion = []
            before = Before(index, lambda _: None, market=MARKET, time="")
            last = (GENERATIONS - 1) * families
            young = [_id(last + random_.randrange(families)) for _ in range(ASKED)]
            early = [_id(4 * families + random_.randrange(families)) for _ in range(ASKED)]
            old = [_id(random_.randrange(families)) for _ in range(ASKED)]
            found = {}
            for name, asked, ask in (("up", young, ancestors), ("few", early, ancestors), ("down", old, descendants)):
                seconds, relatives = [], 0
                for work in [*asked[: ASKED // 10], *asked]:  # the first ones warm the cache
                    start = time.perf_counter()
                    relatives = len(ask(work, before))
                    seconds.append(time.perf_counter() - start)
                assert relatives >= (4 if name == "few" else GENERATIONS - 1)
                found[name] = median(seconds[ASKED // 10 :])
                if name == "up":
                    found["each"] = found[name] / relatives
                elif name == "few":
                    found[name] /= relatives
        engine.dispose()
    return found


def _id(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest()


def _work(number: int, families: int, random_: random.Random) -> Facts:
    generation, family = divmod(number, families)
    parents = [number - families] if generation else []
    if generation and generation % EVERY == 0:
        parents.append(random_.randrange(families))
    refs = tuple(("parent", _id(parent), "", "edited", 5_000_000) for parent in dict.fromkeys(parents))
    creator = ("creator", _id(2**40 + family % 1_000), "", "author", None)
    kind = "work.derive" if parents else "work.create"
    links_ = (*refs, creator)
    return Facts(_id(number), kind, MARKET, False, "observed", "2026-11-23T07:15:00Z", links_, (), "")


def _events(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Derivations as they stand in the log."""
    for number in range(count):
        value = {
            "actor": MARKET.hex(),
            "body": {
                "digests": {"sha-256": _id(number).hex()},
                "human_contribution": "some",
                "media_type": "image/png",
                "size": 913_402,
                "source_type": "humanEdits",
                "tools": "undisclosed",
            },
            "claimed_at": "2026-11-23T07:15:00Z",
            "commits": {},
            "kind": "event",
            "ledger": "bench.example/log",
            "refs": [
                {"id": _id(number // 2).hex(), "rate": "5000000", "relation": "edited", "role": "parent"},
                {"as": "editor", "id": _id(2**40 + number % 1_000).hex(), "role": "creator"},
            ],
            "salt": _id(2**41 + number).hex(),
            "strength": "observed",
            "type": "work.derive",
            "v": 1,
        }
        data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        yield sha256(data).digest(), data


def _facts(event_id: bytes, data: bytes) -> Facts:
    return facts_of(event_id=event_id, type="work.derive", issuer=MARKET.hex(), sealed=False, event=data)
