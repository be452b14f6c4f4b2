"""What a rule is given: the act to be judged, and everything that was before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import orjson

from ledger.errors import MalformedError
from provenance.erasures import ERASURE, targets_of
from provenance.events import Unknown, read_event
from provenance.identity import Mandate, Party, party_of, read_mandates, read_party
from provenance.index import Entry, Facts, Index
from provenance.vocabularies import BUILT_IN, Vocabularies, vocabularies_at

__all__ = ["Act", "Before"]

Read = Callable[[bytes], bytes | None]
"""Bytes of an earlier or waiting event by its id, None when nobody here can read it."""

Holder = Callable[[str, bytes], bytes | None]
"""Id of the event that took a place which can be taken once (`provenance.once`), None while it is free."""


Waiting = Callable[[str], Iterable[bytes]]
"""Ids of the events of a type that are accepted and have no place in the log yet."""


class Act:
    """One event to be judged: what the index keeps of it, and what it says."""

    def __init__(self, fact: Facts, data: bytes) -> None:
        self.fact = fact
        self.data = data

    @cached_property
    def event(self) -> dict[str, Any]:
        """The event, as it was written."""
        value: dict[str, Any] = orjson.loads(self.data)
        return value

    @property
    def id(self) -> str:
        """Event id, 64 hex digits."""
        return self.fact.event_id.hex()

    @property
    def type(self) -> str:
        """Event type."""
        return self.fact.type

    @property
    def issuer(self) -> bytes:
        """Party id of whoever signs it, 32 bytes."""
        return self.fact.issuer

    @property
    def body(self) -> dict[str, Any]:
        """The event's body."""
        body: dict[str, Any] = self.event["body"]
        return body

    @property
    def actor(self) -> bytes:
        """Party id of whom it is said for: its own id where that is "self"."""
        actor = self.event["actor"]
        return self.fact.event_id if actor == "self" else bytes.fromhex(actor)

    def refs(self, role: str) -> Iterator[bytes]:
        """Ids of the events of this log that it points to in this role, in order."""
        return (link[1] for link in self.fact.links if link[0] == role and link[1])

    def ref(self, role: str) -> bytes | None:
        """The first of `refs`, None when there is none."""
        return next(self.refs(role), None)


class Before:
    """Everything before an act: the index at the place where it is judged, and the bytes of earlier events.

    `market` is the id of the market's party. `acts` are what is accepted with it, all or none. `time` is the log time
    that windows are measured by (RFC 3339, "" before the first); None takes the index's last. At staging `holder` and
    `waiting` know what waits; without them the index answers, and nothing does. `unread` are the ids of the events that
    were asked for and could not be read, at this place or an earlier one.
    """

    def __init__(
        self,
        index: Index,
        read: Read,
        *,
        market: bytes,
        acts: Sequence[Act] = (),
        time: str | None = None,
        holder: Holder | None = None,
        waiting: Waiting = lambda _: (),
        parties: Callable[[bytes], Party | None] | None = None,
        settled: set[bytes] | None = None,
        unread: set[bytes] | None = None,
    ) -> None:
        self.index = index
        self.market = market
        self._read = read
        self._acts = {act.fact.event_id: act for act in acts}
        self._time = time
        self._holder = holder
        self.waiting = waiting
        self._parties = parties
        self._settled = set() if settled is None else settled
        self.unread: set[bytes] = set() if unread is None else unread
        self._entries: tuple[frozenset[bytes], dict[bytes, Entry]] | None = None

    @cached_property
    def time(self) -> str:
        """Log time at the place of the act, RFC 3339, "" before the first."""
        return self.index.last_time() if self._time is None else self._time

    def data(self, event_id: bytes) -> bytes | None:
        """Bytes of an earlier event, None when it is unknown or cannot be read here."""
        if not event_id:
            return None  # what points nowhere
        act = self._acts.get(event_id)
        data = act.data if act is not None else self._read(event_id)
        if data is None:
            self.unread.add(event_id)
        return data

    def event(self, event_id: bytes, *types: str) -> dict[str, Any] | None:
        """An earlier event; None when it is not known, cannot be read here, or says what only a later version knows.

        So no decision rests on what this version does not understand: it is unknown. Nor on what breaks the rules of
        its own type, or is of none of `types` where they are given: a log may hold that, and it counts for nothing.
        """
        data = self.data(event_id)
        event = None if data is None else self.understood(data)
        return event if event is None or not types or event["type"] in types else None

    def understood(self, data: bytes) -> dict[str, Any] | None:
        """An event by its bytes; None as in `event`."""
        return _known(data, BUILT_IN) or _known(data, self.vocabularies)

    def at(self, size: int) -> Before:
        """The same as of an earlier size of the log: what waits, or is accepted with the act, is not in it."""
        index = self.index.at(size)
        time = index.time_of(size - 1) if size else ""
        return Before(index, self._read, market=self.market, time=time, parties=self._parties, unread=self.unread)

    @cached_property
    def vocabularies(self) -> Vocabularies:
        """The tables in use at the place of the act, by what is in the log."""
        genesis = self.index.entry(0)
        entries = ([] if genesis is None else [genesis]) + self.adoptions
        return _vocabularies(tuple(self.data(entry.event_id) or b"" for entry in entries))

    @cached_property
    def adoptions(self) -> list[Entry]:
        """What the log said about tables after its genesis event; in most logs, nothing."""
        return self.index.of_type("vocab.adopt", "vocab.retire")

    @cached_property
    def place(self) -> int:
        """Entries before the act, but for what waits."""
        return self.index.size

    def party(self, party_id: bytes) -> Party | None:
        """A party with its keys, None when there is none with this id; one that waits stands at `place`."""
        found = read_party(party_id, self.index, self.data) if self._parties is None else self._parties(party_id)
        if found is None or found.index >= self.place:
            event = self.event(party_id)
            if event is None or event["type"] != "party.register":
                return None
            found = party_of(party_id, self.place, self.data(party_id) or b"")
        return found.until(self.place)

    def mandates(self, principal: bytes, agent: bytes) -> Iterator[Mandate]:
        """What the principal granted the agent, earliest first, also what has ended."""
        return read_mandates(self, principal=principal, agent=agent)

    def issuer_of(self, idx: int) -> bytes:
        """Party id of whoever signed an entry, as its statement says; b"" for an entry that is not there."""
        return self.index.issuer_of(idx) or b""

    def holder(self, rule: str, key: bytes) -> bytes | None:
        """Who took this place (`provenance.once`): an event in the log or one that waits for it; None while free."""
        return self.index.taken(rule, key) if self._holder is None else self._holder(rule, key)

    def along(self, type_: str) -> list[bytes]:
        """Ids of the events of this type that are accepted with the act, or are the act."""
        return [event_id for event_id, act in self._acts.items() if act.type == type_]

    def erased(self, addresses: Iterable[bytes]) -> set[bytes]:
        """Those of these addresses that an earlier erasure names, one that waits, or one accepted with the act."""
        wanted = set(addresses)
        found = {address for act in self._acts.values() for address in act.fact.erased}
        for erasure in self.waiting(ERASURE):  # before the index, where a sequencer moves them to
            found.update(targets_of(self.data(erasure) or b""))
        return (wanted & found) | self.index.erased(wanted).keys()

    def entries_of(self, event_ids: Iterable[bytes]) -> dict[bytes, Entry]:
        """As `Index.entries_of`; asked once for what several rules ask."""
        wanted = frozenset(event_ids)
        if self._entries is None or self._entries[0] != wanted:
            self._entries = wanted, self.index.entries_of(wanted)
        return self._entries[1]

    def is_settled(self, event_id: bytes) -> bool:
        """Whether this act is known to lack nobody's word."""
        return event_id in self._settled

    def settle(self, event_id: bytes) -> None:
        """Remember that it does."""
        self._settled.add(event_id)

    def pointing(self, event_id: bytes, role: str, *types: str) -> Iterator[bytes]:
        """Ids of the logged events of these types that point to `event_id` in this role, earliest first."""
        for link in self.index.links_to(event_id, role):
            entry = self.index.entry(link.source)
            if entry is not None and (not types or entry.type in types):
                yield entry.event_id

    def accepted(self, event_id: bytes, role: str, type_: str) -> Iterator[Act]:
        """What of this type is accepted with the act, all or none, and points to `event_id` in this role."""
        return (act for act in self._together.get((role, event_id), ()) if act.type == type_)

    @cached_property
    def _together(self) -> dict[tuple[str, bytes], list[Act]]:
        found: dict[tuple[str, bytes], list[Act]] = {}
        for act in self._acts.values():
            for role, event_id, *_ in act.fact.links:
                found.setdefault((role, event_id), []).append(act)
        return found

    def newest(self, family: str, start: bytes) -> bytes | None:
        """The last event of a chain (`provenance.once`) that begins at `start`, None while it has no link.

        Waiting events count: whoever comes next has to name the last one as its `prev`.
        """
        found: bytes | None = None
        at = start
        while (after := self.holder(family, at)) is not None:
            found = at = after
        return found


@lru_cache(maxsize=4096)
def _known(data: bytes, vocabularies: Vocabularies) -> dict[str, Any] | None:
    try:
        event = read_event(data, vocabularies=vocabularies)
    except MalformedError:
        return None
    # A table that was retired since takes nothing back of what was said by it.
    if isinstance(event, Unknown) or any(not r.rule.startswith("vocab.") for r in event.broken_rules(vocabularies)):
        return None
    value: dict[str, Any] = orjson.loads(data)
    return value


@lru_cache(maxsize=16)
def _vocabularies(events: tuple[bytes, ...]) -> Vocabularies:
    """One value for each state, so that what is remembered by it is found again."""
    return vocabularies_at(events)
