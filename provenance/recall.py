"""What came before: types and bytes of earlier events, from the queue, the log and the vault.

The queue is always asked before the index. A sequencer moves events from one to the other, never back, so that an
event on its way is found in at least one of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ledger.errors import NotFound
from ledger.log import Log
from provenance.erasures import can_be_erased
from provenance.index import Entry, IndexStore
from provenance.queue import Queue
from provenance.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Recall"]

_MOST_KEPT = 20_000  # events; typically a kilobyte each
_NEWS = 1.0  # seconds after which it is asked whether another process has erased something


class Recall:
    """Reads earlier events, in the caller's transaction where there is one, and keeps what is in the log for good.

    A log only grows: what was once found in it needs no second look. Kept are types and open events, never sealed ones,
    and all events are forgotten a second after another process has erased any: this is for rules. What is shown to
    somebody is asked for with `is_erased` first.
    """

    def __init__(self, *, log: Log, queue: Queue, vault: Vault, index: IndexStore) -> None:
        self._log = log
        self._queue = queue
        self._vault = vault
        self._index = index
        self._erasures = -1  # the newest erasure that this knows of, as an entry
        self._asked_at = 0.0
        self._lock = threading.Lock()  # guards the two below
        self._types: dict[bytes, str] = {}
        self._events: dict[bytes, bytes] = {}

    def types(self, event_ids: Iterable[bytes], connection: Connection | None = None) -> dict[bytes, str]:
        """Type of those of `event_ids` that are in the log or wait for it."""
        wanted = set(event_ids)
        with self._lock:
            found = {event_id: self._types[event_id] for event_id in wanted if event_id in self._types}
        wanted -= found.keys()
        if not wanted:
            return found
        waiting = self._queue.waiting(connection or self._queue.reading, wanted)
        logged = self._index.on(connection).known(wanted)
        with self._lock:
            _make_room(self._types)
            self._types.update(logged)
        return found | {event_id: event.type for event_id, event in waiting.items()} | logged

    def names(self, verb: str | None = None) -> Iterator[tuple[str, str, bytes, bool]]:
        """(verb, ref, event id, whether it waits) of every event that has a name and is waiting or in the log."""
        for portion in self._queue.every_name(verb):
            event_ids = [event_id for _, _, event_id in portion]
            waiting = self._queue.waiting(self._queue.reading, event_ids)
            logged = self._index.on().known(event_ids)
            for named, ref, event_id in portion:
                if event_id in waiting or event_id in logged:
                    yield named, ref, event_id, event_id not in logged

    def read(self, event_id: bytes, connection: Connection | None = None) -> bytes | None:
        """The event's bytes; None when it is unknown or cannot be read here any more."""
        with self._lock:
            known = self._events.get(event_id)
        if known is not None and not self._has_news(connection):
            return known
        waiting = self._queue.waiting(connection or self._queue.reading, [event_id])
        if waiting:
            return waiting[event_id].event
        entry = self._index.on(connection).find(event_id)
        if entry is None:
            return None
        if entry.idx >= self._log.size:
            self._log.refresh()  # another process sequenced it
        opened = self._log.row(entry.idx).opened
        if opened and self.is_erased(entry, connection):
            return None
        if not opened:
            return self.sealed(event_id)
        with self._lock:
            _make_room(self._events)
            self._events[event_id] = opened
        return opened

    def is_erased(self, entry: Entry, connection: Connection | None = None) -> bool:
        """Whether an erasure took this open event out of the log, whatever this process remembers of it."""
        if not can_be_erased(entry.type, sealed=entry.sealed):
            return False
        return bool(self._index.on(connection).erased([entry.event_id]))

    def forget(self, addresses: Iterable[bytes]) -> None:
        """Forget these events, which are being erased."""
        with self._lock:
            for address in addresses:
                self._events.pop(address, None)

    def _has_news(self, connection: Connection | None) -> bool:
        """Whether something was erased since this was asked last; then nothing is remembered any more."""
        now = time.monotonic()
        if now - self._asked_at < _NEWS:
            return False
        newest = self._index.on(connection).newest_erasure()
        with self._lock:
            self._asked_at = now
            if newest == self._erasures:
                return False
            self._erasures = newest
            self._events.clear()
        return True

    def sealed(self, address: bytes) -> bytes | None:
        """Bytes in the vault, None when they are not there."""
        try:
            return self._vault.get(address)
        except NotFound:
            return None


def _make_room(kept: dict[bytes, bytes] | dict[bytes, str]) -> None:
    if len(kept) >= _MOST_KEPT:
        for event_id in list(kept)[: _MOST_KEPT // 2]:
            del kept[event_id]
