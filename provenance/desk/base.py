"""What every verb of a ledger does with what it builds, and how what was recorded is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.errors import Conflict, NotFound
from provenance.drafts import Named, draft_facts
from provenance.errors import EventRejected
from provenance.events import Draft, new_event
from provenance.following import BATCH
from provenance.foreign import open_foreign
from provenance.holdings import VaultItems
from provenance.index import Index
from provenance.item import Item
from provenance.linter import lint_own
from provenance.moments import Moment, format_time, size_at
from provenance.once import TURNS
from provenance.questions import Asks
from provenance.rules import Before
from provenance.running import RunningLedger
from provenance.session import in_caller, joins_async
from provenance.staging import Request
from provenance.ticket import Receipt, Ticket
from provenance.waiting import Pair

__all__ = ["Desk", "follows"]


def follows(before: Before, family: str, start: bytes) -> list[dict[str, str]]:
    """The ref `prev` of an event that is to be the next of a chain (`provenance.once`), none where it is the first."""
    newest = before.newest(family, start)
    return [] if newest is None else [{"role": "prev", "id": newest.hex()}]


class Desk(RunningLedger, Asks):
    """Accepts events, all or none of a verb's, and finds them again. The verbs of each family are built on it."""

    # Accepting

    @joins_async
    def submit(
        self,
        event: bytes,
        statement: bytes,
        *,
        items: Sequence[bytes] = (),
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Accept an event that somebody else signed; `items` are the vault items it commits to.

        Verified now: that the statement is over these bytes, for this log, by the event's actor or an agent whose
        mandate covers it, with a key that is valid now, sealed as this log's policy says, and that every rule holds.
        The same statement again is a no-op. No item repeats `ref`, so that it goes with the event alone: give none that
        is personal for a registration, which is never erased.
        Raises `MalformedError`, `InvalidSignature`, `UnknownKey`, `EventRejected`, `Conflict`.
        """
        staged, facts = open_foreign(
            event,
            statement,
            items,
            origin=self.log.origin,
            sealed=self._sealed,
            parties=self._parties,
            index=self.log.size,
            vocabularies=self.before().vocabularies,
        )
        with self._accepting(1):
            ticket = in_caller(session, lambda inner: self._staging.submit(staged, facts, ref, inner))
        if session is None and self._signs:
            self._publish_recorded()
        return ticket

    def record_many(self, drafts: Iterable[Draft], *, progress: Callable[[int], None] | None = None) -> list[Ticket]:
        """Sequence many of the market's own events made by `draft`, then publish once.

        Each portion of up to 4,096 is accepted and sequenced in one transaction, all or none; what waits in the queue
        goes first. The same draft again is a no-op. `progress` is called with the number done.
        """
        self._sequencer.drain()
        tickets: list[Ticket] = []
        portion: list[Pair] = []
        for draft in drafts:
            # The model ends here: thousands of them would keep the garbage collector busy.
            facts = draft_facts(draft, market=self.market, sealed=draft.type in self._sealed)
            portion.append((self._staging.staged(draft), facts))
            if len(portion) == BATCH:
                tickets += self._record_portion(portion)
                portion = []
                if progress is not None:
                    progress(len(tickets))
        if portion:
            tickets += self._record_portion(portion)
            if progress is not None:
                progress(len(tickets))
        self._publish_recorded()
        return tickets

    def draft(
        self,
        type: str,  # noqa: A002 - the field's name in the event
        *,
        body: Mapping[str, Any],
        refs: Sequence[Mapping[str, Any]] = (),
        personal: Mapping[str, Any] | None = None,
        strength: str = "observed",
        actor: Named | None = None,
        claimed_at: str | None = None,
    ) -> Draft:
        """Build and check an event of the market's own, without recording it: for `record_many`.

        What the market says of others it has `observed`. Values of `personal` that are None are left out. `actor` is in
        whose name it is said: by default the market's own, else that of a custodial party or of one that gave the
        market a mandate. `claimed_at` (RFC 3339, UTC, whole seconds) is when it is said to have been, by default now.
        Raises `EventRejected`, also for what looks personal in a field that everybody sees (`provenance.linter`).
        """
        said: dict[str, Any] = {
            "ledger": self.log.origin,
            "actor": self.market.hex() if actor is None else str(actor),
            "strength": strength,
            "claimed_at": claimed_at or format_time(self._clock()),
            "body": body,
            "refs": refs,
            "personal": {name: value for name, value in (personal or {}).items() if value is not None},
        }
        try:
            draft = new_event(type, **said, vocabularies=self._vocabularies)
        except EventRejected:
            # Only then it is worth a look whether the log adopted a table meanwhile.
            newest = self.before().vocabularies
            if newest == self._vocabularies:
                raise
            self._vocabularies = newest
            draft = new_event(type, **said, vocabularies=newest)
        found = lint_own(type, body, refs, said["personal"])
        if found:
            raise EventRejected(*found)
        return draft

    # Looking up

    def find(self, ref: str, *, verb: str | None = None) -> Ticket:
        """The ticket that this `ref` was given for.

        Raises `NotFound`, also for a name that was erased with what it stood for, of which nothing is left to tell it
        by: its event answers to its id. Raises `Conflict` when several verbs used it.
        """
        reading = self._queue.reading
        names = [(v, i) for v, i in self._queue.names(reading, ref) if verb in {None, v}]
        types = self._recall.types([event_id for _, event_id in names])
        if not names:
            msg = f"ref {ref[:80]!r}: nothing was recorded under it"
            if self._index.on().newest_erasure() >= 0:
                msg += ", or the name was erased with what it stood for; an event that is left answers to its id"
            raise NotFound(msg)
        if len(names) > 1:
            msg = f"ref {ref[:80]!r}: used by {', '.join(v for v, _ in names)}; say which with verb="
            raise Conflict(msg)
        return Ticket(names[0][1].hex(), types[names[0][1]], ref)

    def names(self, *, verb: str | None = None) -> Iterator[tuple[str, str, bytes, bool]]:
        """Everything recorded under a ref, or what one verb recorded: (verb, ref, event id, whether it still waits)."""
        return self._recall.names(verb)

    def receipt(self, ticket: Named) -> Receipt:
        """Index, proof and bytes of a published event. Raises `NotFound` while it is only accepted, or unknown."""
        event_id = bytes.fromhex(str(ticket))
        entry = self._index.on().find(event_id)
        if entry is not None and entry.idx >= self.log.checkpoint.size:
            self.log.refresh()  # another process may have published it
        if entry is None or entry.idx >= self.log.checkpoint.size:
            where = "sequenced but not yet published" if entry else "not in the log; is it still waiting?"
            msg = f"event {event_id.hex()}: {where}; call publish()"
            raise NotFound(msg)
        row = self.log.row(entry.idx)
        known = ticket if isinstance(ticket, Ticket) else Ticket(event_id.hex(), entry.type)
        event = None if self._recall.is_erased(entry) else row.opened or self._recall.sealed(event_id)
        return Receipt(known, entry.idx, self.log.prove(entry.idx), row.entry, event)

    def event(self, ticket: Named) -> bytes:
        """The event's exact bytes. Raises `NotFound` when it is unknown or cannot be read here any more."""
        event_id = bytes.fromhex(str(ticket))
        data = self._recall.read(event_id)
        entry = None if data is None else self._index.on().find(event_id)
        if data is None or (entry is not None and self._recall.is_erased(entry)):
            msg = f"event {event_id.hex()}: not here"
            raise NotFound(msg)
        return data

    def item(self, address: bytes) -> Item | None:
        """The vault item at this address, or None when it is sealed from us, erased or missing."""
        try:
            data = self._vault.get(address)
        except NotFound:
            return None
        return None if self._index.on().erased([address]) else Item.parse(data)

    def disclosures(self) -> Mapping[bytes, bytes]:
        """All vault items and sealed events by SHA-256, for a report that may show everything; read as asked for."""
        return VaultItems(self._vault)

    def before(self, at: Moment = None) -> Before:
        """Everything that was logged by a moment, as rules are given it; None is now. Raises as `moments.size_at`."""
        index = self._index.on()
        size = size_at(index, at)
        index = index.at(size)
        time = index.time_of(size - 1) if size else ""
        return Before(index, self._recall.read, market=self.market, time=time)

    # A source for `provenance.lineage`

    @property
    def index(self) -> Index:
        """Queries over everything sequenced: `index.size` entries."""
        return self._index.on()

    def file_of(self, ticket: Named) -> Path | None:
        """Where the file of a work was last seen by `create`, `derive` or `attach` on this machine: a hint."""
        found = self._queue.file_of(self._queue.reading, bytes.fromhex(str(ticket)))
        return Path(found) if found else None

    # What verbs are made of

    def _record(self, request: Request | Callable[[Before], Request], session: Any) -> Ticket:
        """Accept what a verb asks for; without a session also sequence and publish it, where there are keys.

        A function gets what was before, as the transaction that will write it sees it: for what has a `prev`.
        """
        with self._accepting(len(request.drafts) if isinstance(request, Request) else 1):
            ticket = in_caller(session, lambda inner: self._staging.record(request, inner))
        if session is None and self._signs:
            self._publish_recorded()
        return ticket

    @contextmanager
    def _accepting(self, number: int) -> Iterator[None]:
        """Show a watcher how many events were accepted, or which rules refused them."""
        try:
            with self._observer.step("stage") as seen:
                yield
                seen.events(number)
        except EventRejected as error:
            self._observer.refused(reason.rule for reason in error.reasons)
            raise

    def _record_portion(self, portion: list[Pair]) -> list[Ticket]:
        staged = [event for event, _ in portion]
        facts = [fact for _, fact in portion]
        tickets = [Ticket(event.event_id.hex(), event.type) for event in staged]
        if any(fact.type in TURNS for fact in facts):  # what is about to be staged elsewhere must be able to see it
            with self._accepting(len(staged)):
                self._staging.enqueue(staged, facts)
            self._sequencer.drain()
            return tickets
        with self._accepting(len(staged)):
            self._staging.check(facts, [event.event for event in staged])
            self._staging.check_in_force(facts, [event.event for event in staged])
        self._sequencer.append(portion)
        return tickets
