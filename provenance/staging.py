"""Accepting events: every rule is checked, then event and name are written in the caller's transaction.

What the checks need of earlier events is remembered (`provenance.recall`), so that a sale under a known offer costs
the market's transaction what is written and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.errors import Conflict
from provenance.drafts import Named, draft_facts, fingerprint, submitted
from provenance.errors import EventRejected, Reason
from provenance.events import Draft
from provenance.identity import Party
from provenance.index import Facts, IndexStore
from provenance.moments import milliseconds
from provenance.once import TURNS, Place
from provenance.queue import Name, Queue, Staged, places_taken
from provenance.recall import Recall
from provenance.rules import Act, Before, barriers, check_acts, check_refs, in_force, targets
from provenance.ticket import Ticket

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Request", "Staging"]

_MOST_LOOKS = 10  # at what speaks against a grant, while others change it


@dataclass(frozen=True, slots=True)
class Request:
    """What a verb wants recorded: drafts, all or none; the ticket is about the one at position `about`."""

    verb: str
    drafts: Sequence[Draft]
    ref: str | None = None
    about: int = 0
    file: str | Path | None = None  # where the work's file was seen
    file_of: str | None = None  # event id of that work, when it is not the one asked about
    terms: Named | None = None  # as they were given
    asked: bytes | None = None  # digest of what was asked for, where the draft does not say it

    @property
    def ticket(self) -> Ticket:
        """For the event that it is about."""
        main = self.drafts[self.about]
        return Ticket(main.id.hex(), main.type, self.ref)

    @property
    def name(self) -> Name | None:
        """The market's name for it."""
        if self.ref is None:
            return None
        main = self.drafts[self.about]
        return Name(self.verb, self.ref, main.id, self.asked or fingerprint(main, self.terms))


class Staging:
    """Checks events against what came before and stages them. Safe to share between threads."""

    def __init__(
        self,
        *,
        queue: Queue,
        index: IndexStore,
        recall: Recall,
        sealed: frozenset[str],
        market: bytes,
        clock: Callable[[], datetime],
        parties: Callable[[bytes], Party | None] | None = None,
    ) -> None:
        self._queue = queue
        self._index = index
        self._recall = recall
        self._sealed = sealed
        self._market = market
        self._clock = clock
        self._settled: set[bytes] = set()  # offers that everybody agreed to
        self._parties = parties

    def record(self, asked: Request | Callable[[Before], Request], session: Any) -> Ticket:
        """Accept the market's own events. The same ref with the same content returns the first ticket."""
        with self._queue.joining(session) as connection:
            request = asked if isinstance(asked, Request) else asked(self.before(connection))
            now = milliseconds(self._clock())
            staged = [self.staged(draft, now) for draft in request.drafts]
            facts = [draft_facts(draft, market=self._market) for draft in request.drafts]
            try:
                self.check(facts, [event.event for event in staged], connection)
                ticket = self.stage(connection, staged, facts, request.name, request.ticket)
            except EventRejected:
                # A rule that the first of two equal calls met may fail for the second: it is the first that counts.
                if request.name is None or self._queue.named(connection, request.verb, request.name.ref) is None:
                    raise
                return self._first_ticket(connection, request.name, request.ticket)
            if request.file is not None and ticket == request.ticket:
                event_id = bytes.fromhex(request.file_of or ticket.id)
                self._queue.see_file(connection, event_id, str(Path(request.file).resolve()))
        return ticket

    def submit(self, staged: Staged, facts: Facts, ref: str | None, session: Any) -> Ticket:
        """Accept one event that somebody else signed; the same one again is a no-op."""
        ticket = Ticket(staged.event_id.hex(), staged.type, ref)
        with self._queue.joining(session) as connection:
            if self._recall.types([staged.event_id], connection):
                return ticket
            self.check([facts], [staged.event], connection)
            name = None if ref is None else Name("submit", ref, staged.event_id, submitted(staged.event, ref))
            now = milliseconds(self._clock())
            try:
                return self.stage(connection, [staged._replace(staged_at=now)], [facts], name, ticket)
            except Conflict:
                if not self._recall.types([staged.event_id], connection):
                    raise
                return ticket  # another transaction was faster with the same event

    def enqueue(self, staged: Sequence[Staged], facts: Sequence[Facts]) -> None:
        """Accept the market's own events without a name, all or none; those that are known already are left out."""
        with self._queue.joining(None) as connection:
            known = self._recall.types([event.event_id for event in staged], connection)
            pairs = zip(staged, facts, strict=True)
            fresh = {event.event_id: (event, fact) for event, fact in pairs if event.event_id not in known}
            if fresh:
                now = milliseconds(self._clock())
                events = [event._replace(staged_at=now) for event, _ in fresh.values()]
                found = [fact for _, fact in fresh.values()]
                self.check(found, [event.event for event in events], connection)
                self.stage(connection, events, found, None, Ticket(events[0].event_id.hex(), events[0].type))

    def check(self, facts: Sequence[Facts], events: Sequence[bytes], connection: Connection | None = None) -> None:
        """Raise `EventRejected` with every failing rule.

        What is to be staged in the transaction of `connection` waits for its turn first (`provenance.once.TURNS`), so
        that what is found here stays so until that ends.
        """
        if connection is not None:
            for rule in sorted({TURNS[fact.type] for fact in facts if fact.type in TURNS}):
                self._queue.wait_turn(connection, rule)
        reasons = check_refs(facts, self._recall.types(targets(facts), connection))
        if not reasons:
            acts = [Act(fact, event) for fact, event in zip(facts, events, strict=True)]
            reasons += check_acts(acts, self.before(connection, acts))
        if reasons:
            raise EventRejected(*reasons)

    def check_in_force(self, facts: Sequence[Facts], events: Sequence[bytes]) -> None:
        """Raise `EventRejected` where something speaks against a grant, for what `stage` does not write."""
        acts = [Act(fact, event) for fact, event in zip(facts, events, strict=True)]
        before = self.before(None, acts)
        if any(before.holder(*place) for place in dict.fromkeys(place for act in acts for place in barriers(act))):
            reasons = [reason for act in acts if act.type == "grant.issue" for reason in in_force(act, before)]
            if reasons:
                raise EventRejected(*reasons)

    def before(self, connection: Connection | None = None, acts: Sequence[Act] = ()) -> Before:
        """What was before, as the transaction of `connection` sees it: what a rule is given, and a verb may ask."""
        return Before(
            self._index.on(connection),
            lambda event_id: self._recall.read(event_id, connection),
            market=self._market,
            acts=acts,
            parties=self._parties,
            holder=lambda rule, key: self._queue.holder(connection or self._queue.reading, rule, key),
            waiting=lambda type_: self._queue.of_type(connection or self._queue.reading, type_),
            settled=self._settled,
        )

    def stage(
        self,
        connection: Connection,
        staged: Sequence[Staged],
        facts: Sequence[Facts],
        name: Name | None,
        ticket: Ticket,
    ) -> Ticket:
        """Write rows, name and the places they take; or the ticket of whoever took the name before for the same.

        Raises `EventRejected` when another event has a place; nothing is written then.
        """
        places = places_taken(facts)
        taken = self._queue.take(connection, places) if places else None
        if taken is not None:
            self._refuse_taken(connection, taken)
        acts = [Act(fact, event.event) for fact, event in zip(facts, staged, strict=True)]
        unless = [place for act in acts for place in barriers(act)]
        for _ in range(_MOST_LOOKS):
            if self._queue.stage(connection, staged, name=name, unless=unless):
                return ticket
            if not unless or (name is not None and self._queue.named(connection, name.verb, name.ref) is not None):
                break  # the name is taken
            before = self.before(connection, acts)
            reasons = [reason for act in acts for reason in in_force(act, before)]
            if reasons:
                self._give_back(connection, places)
                raise EventRejected(*reasons)
            unless = [place for act in acts for place in barriers(act, before)]
        else:
            self._give_back(connection, places)
            msg = f"{ticket.type}: what speaks against it is being changed by others; try again"
            raise Conflict(msg)
        first = None if name is None else self._queue.named(connection, name.verb, name.ref)
        if first is None or first.event_id not in {event.event_id for event in staged}:
            self._give_back(connection, places)  # else they are the same event's, which was staged first
        return ticket if name is None else self._first_ticket(connection, name, ticket)

    def _give_back(self, connection: Connection, places: Sequence[Place]) -> None:
        if places:
            self._queue.give_back(connection, list(dict.fromkeys(place.event_id for place in places)))

    def _refuse_taken(self, connection: Connection, place: Place) -> None:
        holder = self._queue.holder(connection, place.rule, place.key)
        other = "another transaction" if holder is None else f"event {holder.hex()}"
        text = f"{place.rule} {place.key.hex()}: taken by {other}, and it can be taken once"
        events = (place.event_id.hex(), *(() if holder is None else (holder.hex(),)))
        raise EventRejected(Reason(f"once.{place.rule}", text, events))

    def staged(self, draft: Draft, now: int = 0) -> Staged:
        """A draft as it waits in the queue from `now` on (milliseconds since 1970); the sequencer signs it."""
        items = tuple(bytes(item) for item in draft.items)
        return Staged(0, draft.id, draft.type, draft.data, items, None, draft.type in self._sealed, now)

    def _first_ticket(self, connection: Connection, name: Name, ticket: Ticket) -> Ticket:
        taken = self._queue.named(connection, name.verb, name.ref)
        if taken is None or taken.fingerprint != name.fingerprint:
            other = f"event {taken.event_id.hex()}" if taken else "another transaction"
            msg = f"ref {name.ref[:80]!r} of {name.verb}: given before for other content ({other}); use another ref"
            raise Conflict(msg)
        return Ticket(taken.event_id.hex(), ticket.type, name.ref)
