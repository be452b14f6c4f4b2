"""Whether a bucket keeps its word about conditional writes: a race that exactly one may win.

A store that lets two writers win, as some have for years, would let a log be forked without anybody noticing. So this
is asked before a log is held in a bucket, and its answer is remembered there.
"""

from __future__ import annotations

import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from adapters.objects import Bucket
from ledger.errors import Conflict, NotFound, StorageError, Unavailable

__all__ = ["PASSED", "probe", "probe_once"]

PASSED = "heads/probe-passed"
"""The object that says that a bucket has passed."""


def probe_once(bucket: Bucket, *, ways: int = 64) -> None:
    """Probe, unless this bucket has passed before; then leave a mark so that no later start repeats it.

    Raises as `probe`.
    """
    try:
        bucket.get(PASSED)
    except NotFound:
        probe(bucket, ways=ways)
        bucket.replace(PASSED, f"{ways} ways\n".encode())


def probe(bucket: Bucket, *, ways: int = 64, limit: float = 60.0) -> None:
    """Race `ways` writers to create one head, then to swap it: well under a second where locks are good, else more.

    Raises `StorageError` when two win, when nobody wins, or when the stored bytes are not the winner's; `Unavailable`
    when the bucket does not answer, or not all within `limit` seconds. Whatever comes of it, the head is removed.
    """
    origin = f"probe/{secrets.token_hex(16)}"
    until = time.monotonic() + limit
    try:
        first = _race(bucket, origin, None, ways, until)
        _race(bucket, origin, first, ways, until)
    finally:
        bucket.forget(origin)


def _race(bucket: Bucket, origin: str, old: bytes | None, ways: int, until: float) -> bytes:
    """Let them all write at once; the bytes of the only winner."""
    what = "create" if old is None else "replace"
    start = threading.Barrier(ways)
    attempts = [f"{what} {number}\n".encode() for number in range(ways)]
    if old is not None:
        bucket.load(origin)  # all of them know the same version, so none has to ask for it first

    def write(mine: bytes) -> Exception | None:
        start.wait()
        try:
            if old is None:
                bucket.create(origin, mine)
            else:
                bucket.swap(origin, old, mine)
        except (Conflict, Unavailable) as error:
            return error
        return None

    name = f"conditional {what} in {bucket!r}, {ways} writers at once"
    pool = ThreadPoolExecutor(ways, thread_name_prefix="ledger-probe")
    try:
        outcomes = list(pool.map(write, attempts, timeout=max(0.0, until - time.monotonic())))
    except TimeoutError as error:
        msg = f"{name}: not all were answered in time; try again, or keep the head in a database"
        raise Unavailable(msg) from error
    finally:
        pool.shutdown(wait=False)  # who still waits for a reply ends with its request
    winners = [mine for mine, error in zip(attempts, outcomes, strict=True) if error is None]
    unknown = [error for error in outcomes if isinstance(error, Unavailable)]
    if not winners and unknown:
        msg = f"{name}: {len(unknown)} of them got no answer; {unknown[0]}"
        raise Unavailable(msg) from unknown[0]
    if len(winners) != 1:
        msg = f"{name}: {len(winners)} won, want exactly 1: two logs could be signed here; keep the head in a database"
        raise StorageError(msg)
    if bucket.load(origin) != winners[0]:
        msg = f"{name}: the stored bytes are not the winner's; keep the head in a database"
        raise StorageError(msg)
    return winners[0]
