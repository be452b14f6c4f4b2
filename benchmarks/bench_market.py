"""What a staged event costs a market on PostgreSQL, and how fast the sequencer takes it away.

A real server on the same machine, every commit on disk. Writers, sequencer and server share the cores, so an absolute
rate says little about the program: what counts is the rate of the same transaction with one bare row of the same bytes
in place of our event.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from statistics import median
from tempfile import TemporaryDirectory

import psycopg

from adapters.cli.operate import settled
from adapters.sql.store import SqlStore
from benchmarks.bare import BareTree, percentile
from benchmarks.figure import Figure, rounds
from benchmarks.market import Shop, Writers, open_shop, share, stage_many
from ledger.checkpoint import Checkpoint
from ledger.log import Log
from ledger.note import SigningKey
from ledger.storage import Row
from provenance.worker import Worker
from tests.servers import Postgres, postgres_server

STAGED = 12_288
DRAINS = 5
WINDOW = 1.0  # seconds
WATCHED = 15.0  # seconds of staging whose way to a checkpoint is watched
ENTRY = 300  # bytes
BATCH = 4096
BULK = 16 * BATCH


def figures() -> Iterator[Figure]:
    """All figures of a market on PostgreSQL."""
    with TemporaryDirectory(prefix="bench-") as data, postgres_server(data, shared_buffers="128MB") as server:
        staging = 0.0
        for figure in _sales(server):
            staging = figure.value if figure.name == _STAGING else staging
            yield figure
        yield from _draining(server, staging)
        yield from _publishing(server)
    # A server of its own: one that was just written to cleans up for a minute, beside whatever comes next.
    with TemporaryDirectory(prefix="bench-") as data, postgres_server(data, shared_buffers="128MB") as server:
        yield from _bulk(server)


_STAGING = "sale, 16 writers: with a staged license"


def _sales(server: Postgres) -> Iterator[Figure]:
    with _shop(server) as shop:
        with Writers(shop, processes=4, threads=4) as writers:
            found = writers.compare()
        yield Figure("sale, 16 writers: the transaction alone", median(found["nothing"]), "sales/s")
        yield Figure("sale, 16 writers: with one bare INSERT", median(found["bare row"]), "sales/s")
        yield Figure(_STAGING, median(found["license"]), "sales/s")
        yield Figure("sale, 16 writers: staged license / bare INSERT", share(found, "bare row"), "x its rate", 0.8)
        with Writers(shop, processes=2, threads=2, pause=0.005) as writers:
            found = writers.compare()
        yield Figure("sale, 4 writers, 5 ms other work: with a license", median(found["license"]), "sales/s")
        name = "sale, 4 writers, 5 ms other work: staged license / without us"
        yield Figure(name, share(found, "nothing"), "x its rate", 0.8)


def _draining(server: Postgres, staging: float) -> Iterator[Figure]:
    """The queue emptied into log, vault and index: statements signed by others, and signed on the way.

    In a process that has settled, as `provenance worker` does at its start; once more in one that has not.
    """
    with _shop(server) as shop:

        def drain(*, signed: bool) -> float:
            stage_many(shop, STAGED, signed=signed)
            start = time.perf_counter()
            while shop.ledger.sequence_once():
                pass
            return STAGED / (time.perf_counter() - start)

        unsettled = [drain(signed=True) for _ in range(DRAINS)]
        rates: dict[bool, list[float]] = {True: [], False: []}
        with settled():
            for turn in range(DRAINS):
                for signed in (turn % 2 == 0, turn % 2 == 1):
                    rates[signed].append(drain(signed=signed))
        assert shop.ledger.waiting == 0
    yield Figure("drain, statements signed before", median(rates[True]), "events/s", 12_000)
    yield Figure("drain, statements signed before, in a process that has not settled", median(unsettled), "events/s")
    yield Figure("drain, signing the market's own", median(rates[False]), "events/s", 6_000)
    yield Figure("drain, signing / what 16 writers stage", median(rates[False]) / staging, "x their rate", 1.0)


class _Watched:
    """A ledger for a worker, with the moment each tree size was published."""

    def __init__(self, shop: Shop) -> None:
        self.origin = shop.ledger.origin
        self.sequence_once = shop.ledger.sequence_once
        self._shop = shop
        self.published: list[tuple[float, int]] = []

    def publish_once(self) -> Checkpoint:
        checkpoint = self._shop.ledger.publish_once()
        self.published.append((time.perf_counter(), checkpoint.size))
        return checkpoint


def _publishing(server: Postgres) -> Iterator[Figure]:
    """From the commit of a sale to the checkpoint over it, with writers that leave the machine some room."""
    with _shop(server) as shop:
        watched = _Watched(shop)
        with Writers(shop, processes=2, threads=2, pause=0.02) as writers, Worker(watched, window=WINDOW):
            committed = writers.watch(WATCHED)
        waits = []
        for event_id, at in committed:
            entry = shop.ledger.index.find(bytes.fromhex(event_id))
            assert entry is not None
            waits.append(next(when for when, size in watched.published if size > entry.idx) - at)
    yield Figure("staged to published, sales watched", len(waits) / WATCHED, "sales/s")
    yield Figure("staged to published, p50", percentile(waits, 0.5) / WINDOW, "windows")
    yield Figure("staged to published, p99", percentile(waits, 0.99) / WINDOW, "windows", 1.5, "<=")


def _bulk(server: Postgres) -> Iterator[Figure]:
    """Opaque entries, against COPY of the same blobs with the same hashing."""
    entry = bytes(ENTRY)
    batches = [
        [number.to_bytes(8, "big") + entry[8:] for number in range(at, at + BATCH)] for at in range(0, BULK, BATCH)
    ]

    def ours() -> float:
        with closing(SqlStore(server.database(), create=True)) as store:
            log = Log.create(store, SigningKey.generate("bench.example/log"), b"genesis")
            start = time.perf_counter()
            for batch in batches:
                log.extend([Row(item, b"") for item in batch])
            return time.perf_counter() - start

    def bare() -> float:
        url = server.database()
        SqlStore(url, create=True).close()
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            tree = BareTree()
            connection.execute("INSERT INTO provenance_heads (origin, size, signed) VALUES ('bare', 0, '')")
            connection.commit()
            start = time.perf_counter()
            for batch in batches:
                with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                    copy.set_types(["text", "bytea"])
                    for row in tree.extend(batch):
                        copy.write_row(row)
                connection.execute("UPDATE provenance_heads SET size = %s", (tree.size,))
                connection.commit()
            return time.perf_counter() - start

    measured = rounds(ours, bare)
    what = f"append on PostgreSQL, {ENTRY} B in batches of {BATCH:,}"
    yield Figure(what, BULK / measured.typical(), "entries/s")
    yield Figure(f"{what}: COPY of the same blobs", BULK / measured.typical(1), "entries/s")
    yield Figure(f"{what} / COPY", measured.speed(), "x its rate", 0.7)


@contextmanager
def _shop(server: Postgres) -> Iterator[Shop]:
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        open_shop(server.database(), folder, publish=f"{folder}/public") as shop,
    ):
        yield shop


_COPY = "COPY provenance_objects (path, data) FROM STDIN (FORMAT BINARY)"
