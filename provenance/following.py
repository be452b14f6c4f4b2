"""What the log has and the rest has not: index, vault and queue follow the log, whoever wrote to it.

What an erasure names is erased by what follows: open events in every place where the log is published, before the index
knows of the erasure. A crash in between is finished by the next call, which does the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ledger.errors import MalformedError
from ledger.log import Log
from ledger.storage import Row
from provenance.erasures import ERASURE, can_be_erased, erased_addresses, named_in
from provenance.index import Facts, Index, IndexStore
from provenance.index.facts import facts_left
from provenance.index.rebuild import read_rows
from provenance.names import forget_names
from provenance.queue import Queue, places_taken
from provenance.statement import Headers, Statement
from provenance.subjects import Owned, keep
from provenance.vault import Vault, holds, read_many
from provenance.waiting import contents_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["BATCH", "Following"]

BATCH = 4096
"""Most events in one transaction."""


class Following:
    """Lets index, vault and queue catch up with one log. One at a time over all hosts: whoever is `leading`."""

    def __init__(
        self,
        *,
        log: Log,
        queue: Queue,
        vault: Vault,
        index: IndexStore,
        forget: Callable[[Collection[bytes]], None] = lambda _: None,
        read: Callable[[bytes], bytes | None] = lambda _: None,
    ) -> None:
        """`forget` is told the addresses that are erased, for whoever remembers what lay there.

        `read` gives the bytes of an earlier event, None when it cannot be read here.
        """
        self._log = log
        self._queue = queue
        self._vault = vault
        self._index = index
        self._forget = forget
        self._read = read
        self._lock = threading.Lock()
        self.market = b""
        """Party id of whoever signs what comes without a signature; known once the log was read."""

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Let nobody else sequence or follow, in whichever process, until the block ends."""
        with self._lock, self._queue.leading():
            yield

    def follow(self) -> None:
        """Let index and queue catch up with the log; nothing is sequenced. Needs no key."""
        if self.is_behind():
            with self.leading():
                self.catch_up()

    def is_behind(self) -> bool:
        """Whether the log has what the index has not."""
        if not (self._log.has_transactions and self._index.joins):
            self._log.refresh()
        return self._index.on().size < self._log.size

    def catch_up(self, known: tuple[int, Sequence[Facts]] | None = None) -> None:
        """Erase and index what the log says and the index has not seen, and take it out of the queue; while `leading`.

        `known` are the facts of entries from an index on, for whoever has them at hand.
        """
        while self.is_behind():
            first = self._index.on().size
            stop = min(first + BATCH, self._log.size)
            if known is not None and known[0] == first:
                facts = known[1]
                rows = [self._log.row(at) for at, fact in enumerate(facts, first) if fact.type == ERASURE]
            else:
                rows = list(self._log.rows(first, stop))
                self._keep_waiting(rows)
                facts = read_rows(rows, self._vault)
            erased = list(erased_addresses(rows))
            named = named_in(rows)
            gone = self._gone(named, first, facts)
            if erased:
                with self._queue.joining(None) as connection:
                    self.forget_names(connection, erased)
            self._log.redact(gone)
            self._forget(erased)
            if not self._vault.joins:
                self._vault.erase(erased)
            with self._queue.joining(None) as connection:
                if self._vault.joins:
                    self._vault.erase(erased, connection=connection)
                with self._index.writing(connection) as index:
                    if index.size == first:
                        index.write(first, facts)
                    index.forget(erased)
                    index.leave(self._left(index, gone, named, first))
                for place in places_taken(facts):
                    self._queue.take(connection, [place])  # of what waited it is; of a refilled log it is made again
                # The index first, should they not commit together: staging asks the queue, then the index.
                self._queue.forget(connection, [fact.event_id for fact in facts])

    def forget_names(self, connection: Connection, erased: Sequence[bytes], items: Iterable[Owned] = ()) -> None:
        """Drop what the market calls what is about to be erased, from the vault or from these items of the batch."""
        if not erased:
            return
        index = self._index.on()
        whole = index.entries_of(erased)
        events = {event_id: index.issuer_of(entry.idx) != self.market for event_id, entry in whole.items()}
        fresh = {item.address: item.data for item in items if item.address in erased}
        held = dict.fromkeys(erased) | read_many(self._vault, erased) | fresh
        forget_names(self._queue, connection, held, events, self._read)

    def _gone(self, named: Mapping[bytes, bytes | None], first: int, facts: Sequence[Facts]) -> dict[int, bytes]:
        """Entries, with their event ids, whose open events are among these: before `first`, and in these `facts`."""
        if not named:
            return {}
        gone = {entry.idx: entry.event_id for entry in self._index.on().redacted(named) if entry.idx < first}
        for idx, fact in enumerate(facts, first):
            if fact.event_id in named and can_be_erased(fact.type, sealed=fact.sealed):
                gone[idx] = fact.event_id
        return gone

    def _left(
        self, index: Index, gone: Mapping[int, bytes], named: Mapping[bytes, bytes | None], first: int
    ) -> dict[int, Facts]:
        """What stays of them; where an erasure before the entry `first` named one, that has decided it."""
        before = index.erased(gone.values()) if gone else {}
        left = {}
        for idx, event_id in gone.items():
            if before.get(event_id, first) >= first:
                said = Statement.parse(self._log.row(idx).entry)
                left[idx] = facts_left(event_id=event_id, type=said.type, issuer=said.issuer, tombstone=named[event_id])
        return left

    def _keep_waiting(self, rows: Sequence[Row]) -> None:
        """Put what still waits, and is among these rows of the log, into the vault.

        After a crash it is there. Of a log that was refilled from its public files it may be in the queue alone.
        """
        if not self._queue.peek(1):
            return
        headers, event_ids = Headers(), []
        for row in rows:
            with suppress(MalformedError):
                event_ids.append(headers.read(row.entry)[1])
        waiting = self._queue.waiting(self._queue.reading, event_ids).values()
        keep(self._vault, [item for item in contents_of(waiting) if not holds(self._vault, item.address)])
