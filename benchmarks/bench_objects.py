"""A log on an object store: SeaweedFS, a real S3 server on the same machine.

What counts on a distant bucket is the number of requests; a counting store between ours and the client tells it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from adapters.objects import Bucket
from benchmarks.bare import percentile
from benchmarks.figure import Figure
from ledger.edge import Edge
from ledger.log import Log
from ledger.note import SigningKey
from ledger.storage import Row
from tests.servers import S3, s3_server

ENTRY = 300  # bytes
BATCH = 10_000
BATCHES = 10
RATE = 3_000  # entries a second, in batches of a second
SECONDS = 15
FREE = 4  # requests of a batch beyond one for each tile or bundle written
KEY = SigningKey.generate("bench.example/log")


class Counting:
    """A store of obstore that counts what is asked of it."""

    def __init__(self, store: Any, counts: Counter[str], lock: threading.Lock) -> None:
        self._store = store
        self._counts = counts
        self._lock = lock

    def __getattr__(self, name: str) -> Any:
        act: Callable[..., Any] = getattr(self._store, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self._counts[name] += 1
            return act(*args, **kwargs)

        return call


def figures() -> Iterator[Figure]:
    """All figures of a log on a bucket."""
    with TemporaryDirectory(prefix="bench-") as folder, s3_server(folder) as server:
        yield from _back_to_back(server)
        yield from _lagging(server)
        yield from _requests(server)


def _back_to_back(server: S3) -> Iterator[Figure]:
    log = Log.create(server.bucket(), KEY, b"genesis")
    seconds = []
    for number in range(BATCHES):
        rows = _rows(number * BATCH, BATCH)
        start = time.perf_counter()
        log.extend(rows)
        seconds.append(time.perf_counter() - start)
    yield Figure(f"S3, {ENTRY} B in batches of {BATCH:,}, published", BATCH / median(seconds), "entries/s", 15_000)


def _lagging(server: S3) -> Iterator[Figure]:
    """Batches of one second's entries; how long after its second each is under a published checkpoint."""
    log = Log.create(server.bucket(), KEY, b"genesis")
    lags = []
    begin = time.perf_counter()
    for second in range(SECONDS):
        time.sleep(max(0.0, begin + second + 1 - time.perf_counter()))
        closed = time.perf_counter()
        log.extend(_rows(second * RATE, RATE))
        log.publish()
        lags.append(time.perf_counter() - closed)
    yield Figure(f"S3, publish lag after a window at {RATE:,}/s, p50", percentile(lags, 0.5), "s")
    yield Figure(f"S3, publish lag after a window at {RATE:,}/s, worst", max(lags), "s", 0.3, "<=")


def _requests(server: S3) -> Iterator[Figure]:
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    plain = server.bucket()
    bucket = Bucket(Counting(plain._store, counts, lock), heads=Counting(plain._swaps, counts, lock))  # type: ignore[arg-type]  # noqa: SLF001
    log = Log.create(bucket, KEY, b"genesis")
    edge = Edge()
    edge.extend([Row(b"genesis", b"")])
    extra = []
    for number, size in enumerate((RATE, 1, 700, RATE, 255, 65_536, RATE)):
        rows = _rows(number * 100_000, size)
        puts, opens = edge.extend(rows)
        partial = edge.partial()
        written = len(puts) + len(opens) + len(partial[0]) + len(partial[1])
        counts.clear()
        log.extend(rows)  # published when it returns
        extra.append(sum(counts.values()) - written)
    yield Figure("S3, requests of a batch beyond tiles and bundles written, most", max(extra), "requests", FREE, "<=")


def _rows(first: int, count: int) -> list[Row]:
    rest = bytes(ENTRY - 8)
    return [Row(number.to_bytes(8, "big") + rest, b"") for number in range(first, first + count)]
