"""Publishing, and noting when: other processes can tell from it how old the newest checkpoint is."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ledger.checkpoint import Checkpoint
from ledger.errors import LedgerError
from ledger.log import Log
from provenance.index import IndexStore
from provenance.moments import milliseconds
from provenance.notes import Notes
from provenance.observe import UNOBSERVED, Observer
from provenance.sequencer import Sequencer
from provenance.worker import BEAT

__all__ = ["PUBLISHED", "REDACTED", "WORKER", "Publisher", "read_note"]

_UNNOTED = 1_000
"""Addresses that erasures may name before it is noted that none of them is an open event."""

PUBLISHED = "published"
"""Note: {"at": milliseconds since 1970, "size": of the checkpoint}. Everything was published everywhere by then."""

WORKER = "worker"
"""Note of the worker that spoke last: {"at", "window": seconds, "state": running, stopped or failed, "error"}."""

REDACTED = "redacted"
"""Note: for each published place the newest erasure, as an entry, of which nothing that it names shows there."""

_NEWS = 1.0  # seconds between notes at the least: each is a small transaction of its own

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes one log. Safe to share between threads."""

    def __init__(
        self, *, log: Log, sequencer: Sequencer, index: IndexStore, notes: Notes, clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._index = index
        self._redacted = -1  # the newest erasure that was seen to in all places
        self._sequencer = sequencer
        self._notes = notes
        self._clock = clock
        self._lock = threading.Lock()  # guards the two below
        self._noted_at = -BEAT  # monotonic
        self._size = log.checkpoint.size  # newest that was seen published
        self.observer: Observer = UNOBSERVED

    def publish(self) -> Checkpoint:
        """As `Log.publish`; the time of it is noted at most once a second. Raises what that raises."""
        stamps = self._sequencer.take_stamps()
        began = time.monotonic()
        try:
            with self.observer.step("publish") as seen:
                checkpoint = self._log.publish()
                self._redact()
                seen.events(max(0, checkpoint.size - self._size))
        except BaseException:
            self._sequencer.put_stamps_back(stamps)
            raise
        now, done = milliseconds(self._clock()), time.monotonic()
        if stamps:
            self.observer.published((now - stamp) / 1000 for stamp in stamps)
        with self._lock:
            is_new = checkpoint.size > self._size
            self._size = max(self._size, checkpoint.size)
            is_due = done - self._noted_at >= (_NEWS if is_new else BEAT)
            if is_due:
                self._noted_at = done
        if is_new:
            extra = {"origin": self._log.origin, "size": checkpoint.size, "seconds": round(done - began, 6)}
            logger.info("%s: published at size %d", self._log.origin, checkpoint.size, extra=extra)
        if is_due:
            try:
                self._note(PUBLISHED, at=now, size=checkpoint.size)
            except LedgerError as error:
                # It is published: to fail now would say that it is not. What is lost is a time that `health` reads.
                extra = {"origin": self._log.origin, "size": checkpoint.size}
                logger.warning("%s: not noted when it was published: %s", self._log.origin, error, extra=extra)
        return checkpoint

    def _redact(self) -> None:
        """See to what erasures name in every place, also those that another process sequenced, which knows them not.

        Usually that was done with the erasure: then nothing is written. After a restore, or an index that was made
        again before a crash was finished, it was not.
        """
        index = self._index.on()
        newest = index.newest_erasure()
        if newest <= self._redacted:
            return
        places = [repr(place) for place in self._log.places]
        noted = read_note(self._notes, REDACTED) or {}
        done = min((int(noted.get(place, -1)) for place in places), default=newest)
        if done < newest:
            named = index.named_since(done + 1)
            gone = index.redacted(named)
            self._log.redact([entry.idx for entry in gone])
            if gone or len(named) > _UNNOTED:  # else it costs little to look again
                self._note(REDACTED, **{**noted, **dict.fromkeys(places, newest)})
        self._redacted = newest

    def beat(self, state: str, window: float, error: str = "") -> None:
        """Note that a worker is running, stopped or failed."""
        self._note(WORKER, at=milliseconds(self._clock()), state=state, window=window, error=error)

    def _note(self, key: str, **values: Any) -> None:
        self._notes.save(key, json.dumps(values).encode())


def read_note(notes: Notes, key: str) -> dict[str, Any] | None:
    """What a publisher noted last, in whichever process."""
    data = notes.load(key)
    return None if data is None else dict(json.loads(data))
