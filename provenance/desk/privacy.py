"""Verbs that make the market forget, and keep it from forgetting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from ledger.errors import MalformedError, NotFound
from provenance.before import Before
from provenance.bonds import bonds_of, in_order
from provenance.canonical import address, dumps
from provenance.desk.base import Desk, follows
from provenance.drafts import Named, is_event_id
from provenance.errors import EventRejected
from provenance.events import Draft
from provenance.events.vocabulary import ALWAYS_OPEN
from provenance.holds import held, holds_on
from provenance.index import Entry
from provenance.moments import Moment, format_time
from provenance.rules import PARTIES
from provenance.scrubs import Forgotten, scrub_due, scrubbed_through
from provenance.session import joins_async
from provenance.staging import Request
from provenance.subjects import KeepsSubjects
from provenance.ticket import Ticket
from provenance.vault import holds

__all__ = ["Erased", "Kept", "PrivacyVerbs", "TakenDown"]

T = TypeVar("T")

_MOST_LOOKS = 3  # at what is held, while holds are set
_ADDRESS = 32  # bytes
_MOST = 10_000  # targets of one erasure
_TARGET = 67  # bytes of one, as it stands in the event
_BYTES = 1_000_000  # of targets and tombstones in one erasure: an event has at most 1 MiB


@dataclass(frozen=True, slots=True)
class Kept:
    """What was not erased, and why; `because` is the event (64 hex digits) that says so, "" when the rules do."""

    address: str
    reason: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did. `ticket` is None when there was nothing left to do.

    `erased` are addresses of vault items, ids of events and of keys, `before` those that had been erased already.
    `notices` say where copies may be that are beyond reach: (kind of place, how many).
    """

    ticket: Ticket | None
    erased: tuple[str, ...]
    before: tuple[str, ...]
    kept: tuple[Kept, ...]
    notices: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class TakenDown:
    """A work that is taken down: the event that says so, what was erased with it, and what stays visible.

    `kept` are personal fields that are under a hold, each with its reason, as of an erasure.
    """

    ticket: Ticket
    erased: tuple[str, ...]
    visible: tuple[str, ...]
    kept: tuple[Kept, ...] = ()


class PrivacyVerbs(Desk):
    """Erasing, holding, taking down."""

    def erase(
        self,
        *targets: Named | bytes,
        subject: Named | None = None,
        basis: str = "gdpr-17",
        request: Named | None = None,
        ref: str | None = None,
    ) -> Erased:
        """Erase personal fields and whole events for good; what cannot go is kept, each with its reason.

        A target is the address of a vault item or an event. `subject` adds every personal field of the events about a
        party, or said by it, and the key that they are encrypted under, where there are `subject_keys`: then backups
        forget them too. An erased event takes its fields along; an open one leaves a tombstone, so that what
        derives from it stands. What limits an earlier event (`provenance.bonds`) goes only together with that one: a
        consent takes the earlier ones between the same two along, all else is kept unless both are named. It is gone
        from every answer when this returns, and its bytes from the files after `scrub`; copies that others made are
        told as `notices`. Erasing twice is no error.

        Raises `NotFound` for what was never logged here, `MalformedError` for what is no address. Sequences and
        publishes: the log has to say it first.
        """
        party = None if subject is None else _address(subject)
        keys = self._retire_keys(party)  # first: what is sequenced from here on lies under another key
        wanted = [_address(each) for each in targets]

        return _again_if_held(lambda: self._look_and_erase(wanted, party, keys, basis, request, ref))

    @joins_async
    def hold(
        self,
        *targets: Named | bytes,
        ground: str,
        until: datetime | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Keep vault items or events from being erased, on a legal ground, until a log time or its release.

        An event is kept with the personal fields that it still has. Raises `NotFound` for what was never logged here,
        `EventRejected` (`hold.erased`) for what is erased already.
        """
        named = [_address(each) for each in targets]
        body: dict[str, Any] = {"ground": ground}
        if until is not None:
            body["until"] = format_time(until)

        def make(now: Before) -> Request:
            kept = [each.hex() for each in self._with_fields(named, now)]
            draft = self.draft("hold.set", body={**body, "targets": kept}, personal={"ref": ref})
            return Request("hold", [draft], ref)

        return self._record(make, session)

    @joins_async
    def release_hold(self, hold: Named, *, ref: str | None = None, session: Any = None) -> Ticket:
        """End a hold: what it kept may be erased."""
        refs = [{"role": "hold", "id": str(hold)}]
        draft = self.draft("hold.release", body={}, refs=refs, personal={"ref": ref})
        return self._record(Request("release_hold", [draft], ref), session)

    def takedown(self, work: Named, *, reason: str, ref: str | None = None) -> TakenDown:
        """Take a work down: nothing is licensed of it any more, and its personal fields are erased in the same batch.

        What stays is what others rest on: that it was registered, by whom, its digests, what was made from it.
        """
        return _again_if_held(lambda: self._look_and_take(work, reason, ref))

    def held(self, *, at: Moment = None) -> dict[str, str]:
        """Every address under a hold at a moment, with the hold's event id."""
        return {target.hex(): hold.hex() for target, hold in held(self.before(at)).items()}

    def erased_by(self, address: Named | bytes, *, at: Moment = None) -> int | None:
        """Index of the erasure that names an address or event, None while it is not erased."""
        raw = address if isinstance(address, bytes) else bytes.fromhex(str(address))
        return self.before(at).index.erased([raw]).get(raw)

    def forgotten(self, address: Named | bytes, *, at: Moment = None) -> Forgotten | None:
        """Which erasure names an address or event, and whether its bytes have left the files; None where none does."""
        found = self.erased_by(address, at=at)
        return None if found is None else Forgotten(found, found <= scrubbed_through(self._notes))

    def scrub_due(self) -> int:
        """How many erasures came after the last scrubbing, whose bytes may lie on in files."""
        return scrub_due(self._index.on(), self._notes)

    # Looked at, and done

    def _look_and_erase(
        self,
        wanted: Sequence[bytes],
        party: bytes | None,
        keys: Sequence[bytes],
        basis: str,
        request: Named | None,
        ref: str | None,
    ) -> Erased:
        self._sequencer.drain()
        before = self.before()
        personal = [] if party is None else self._personal_of(party, before)
        chosen = self._choose([*wanted, *personal], before, logged=personal)
        _add_keys(chosen, keys, personal)
        if not chosen.targets:
            self._publish_recorded()  # what waited
            return Erased(None, (), tuple(chosen.before), tuple(chosen.kept), ())
        drafts = [
            self._erasure(some, chosen.stones, chosen.notices, basis, request, None if number else ref)
            for number, some in enumerate(_portions(chosen.targets, chosen.stones))
        ]
        ticket = self._record(Request("erase", drafts, ref), None)
        erased = tuple(each.hex() for each in chosen.targets)
        return Erased(ticket, erased, tuple(chosen.before), tuple(chosen.kept), tuple(chosen.notices.items()))

    def _look_and_take(self, work: Named, reason: str, ref: str | None) -> TakenDown:
        event_id = bytes.fromhex(str(work))
        self._publish_recorded()
        before = self.before()
        event = before.event(event_id)
        fields = _commits(event)
        chosen = self._choose(fields, before, logged=fields)

        def make(now: Before) -> Request:
            refs = [{"role": "work", "id": str(work)}, *follows(now, "work.status", event_id)]
            body = {"state": "takendown", "reason": reason}
            drafts = [self.draft("work.status", body=body, refs=refs, personal={"ref": ref})]
            if chosen.targets:
                drafts.append(self._erasure(chosen.targets, {}, chosen.notices, "unlawful-content", None))
            return Request("takedown", drafts, ref)

        ticket = self._record(make, None)
        visible = ("creators", "digests", "derivations") if event is not None else ()
        erased = tuple(each.hex() for each in chosen.targets)
        return TakenDown(ticket, erased, ("entry", "type", *visible), tuple(chosen.kept))

    # What can go

    def _personal_of(self, party: bytes, before: Before) -> list[bytes]:
        """Addresses of all personal fields of the events about a party, or said by it. Raises `NotFound`."""
        entry = before.index.find(party)
        if entry is None or entry.type not in PARTIES:
            there = "never logged here" if entry is None else f"a {entry.type}"
            msg = f"subject {party.hex()}: {there}, want a party; nothing was erased"
            raise NotFound(msg)
        found = dict.fromkeys(_commits(before.event(party)))
        index = before.index
        sources = {link.source for link in index.links_to(party)} | {entry.idx for entry in index.issued_by(party)}
        if party == self.market:
            sources = set()  # whatever the market recorded of others is not about itself
        for event_id in index.event_ids(sorted(sources)).values():
            found.update(dict.fromkeys(_commits(before.event(event_id))))
        return list(found)

    def _with_fields(self, named: Sequence[bytes], before: Before) -> list[bytes]:
        """The same addresses, each event followed by those of its personal fields that are not erased."""
        found: dict[bytes, None] = {}
        unknown = []
        for each in named:
            data = before.data(each)
            fields = _commits(before.event(each))
            gone = before.erased(fields)
            found |= dict.fromkeys([each, *(field for field in fields if field not in gone)])
            if data is None and not before.entries_of([each]) and not before.erased([each]):
                unknown.append(each)
        if unknown:  # the queue first: what lies there is on its way into the vault
            waiting = {address(item) for event in self._queue.peek(_MOST) for item in event.items}
            unknown = [each for each in unknown if each not in waiting and not holds(self._vault, each)]
        if unknown:
            msg = f"{', '.join(each.hex() for each in unknown[:5])}: never logged here, or lost; nothing is held"
            raise NotFound(msg)
        return list(found)

    def _retire_keys(self, party: bytes | None) -> list[bytes]:
        """Ids of the keys under which fields about a party lie; the market's own key is over too much else."""
        if party is None or party == self.market or not isinstance(self._vault, KeepsSubjects):
            return []
        return self._vault.retire(party)

    def _choose(self, wanted: Iterable[bytes], before: Before, *, logged: Iterable[bytes] = ()) -> _Chosen:
        """What of this can be erased. Of `logged` it is known that the log names it, should it be lost here."""
        asked, known = in_order(wanted, before), set(logged)
        entries = before.entries_of(asked)
        whole = [each for each in asked if each in entries and not entries[each].type.startswith(ALWAYS_OPEN)]
        along = [each for event_id in whole for each in _commits(before.event(event_id))]
        known.update(along)
        asked = list(dict.fromkeys([*asked, *along]))
        gone, on_hold = before.index.erased(asked), holds_on(asked, before)
        chosen = _Chosen()
        unknown = []
        for each in asked:
            entry = entries.get(each)
            if each in gone:
                chosen.before.append(each.hex())
            elif each in on_hold:
                hold = on_hold[each].hex()
                chosen.kept.append(Kept(each.hex(), "under a hold", hold))
            elif entry is not None and entry.type.startswith(ALWAYS_OPEN):
                chosen.kept.append(Kept(each.hex(), f"a {entry.type} is always open, and never erased"))
            elif entry is not None:
                event = before.event(each)
                if event is None:
                    chosen.kept.append(Kept(each.hex(), f"the {entry.type} is not readable here"))
                    continue
                chosen.targets.append(each)
                if not entry.sealed:
                    stone = {"event": each.hex(), **{name: event[name] for name in ("type", "actor", "refs")}}
                    chosen.stones[each] = stone
            elif each in known or holds(self._vault, each):
                chosen.targets.append(each)
            else:
                unknown.append(each)
        _keep_bound(chosen, gone, before, entries)
        meanwhile = self._index.on().erased(unknown) if unknown else {}  # by somebody else, since the first look
        chosen.before += [each.hex() for each in meanwhile]
        lost = [each.hex() for each in unknown if each not in meanwhile]
        if lost:
            msg = f"{', '.join(lost[:5])}: never logged here, or lost; nothing was erased"
            raise NotFound(msg)
        if chosen.stones:
            chosen.notices["published-place"] = len(self.log.places)
        exports = len(before.index.of_type("export.made"))
        if exports:
            chosen.notices["export"] = exports
        return chosen

    def _erasure(
        self,
        targets: Sequence[bytes],
        stones: Mapping[bytes, Mapping[str, Any]],
        notices: Mapping[str, int],
        basis: str,
        request: Named | None,
        ref: str | None = None,
    ) -> Draft:
        body: dict[str, Any] = {
            "targets": [target.hex() for target in targets],
            "method": "delete",
            "basis": basis,
        }
        own = [dict(stones[target]) for target in targets if target in stones]
        if own:
            body["tombstones"] = own
        if notices:
            body["notices"] = [{"to": kind, "count": count} for kind, count in notices.items()]
        refs = [] if request is None else [{"role": "request", "id": str(request)}]
        return self.draft("erasure.execute", body=body, refs=refs, personal={"ref": ref})


class _Chosen:
    """What of a request can be done."""

    def __init__(self) -> None:
        self.targets: list[bytes] = []
        self.stones: dict[bytes, Mapping[str, Any]] = {}
        self.before: list[str] = []
        self.kept: list[Kept] = []
        self.notices: dict[str, int] = {}


def _again_if_held(act: Callable[[], T]) -> T:
    """What `act` returns; it looks once more where a hold came after it had looked, and is kept by that then."""
    for _ in range(_MOST_LOOKS - 1):
        try:
            return act()
        except EventRejected as error:
            if any(reason.rule != "hold.active" for reason in error.reasons):
                raise
    return act()


def _keep_bound(chosen: _Chosen, gone: Collection[bytes], before: Before, entries: Mapping[bytes, Entry]) -> None:
    """Keep every event that is erased together with another one which is not (`provenance.bonds`)."""
    going = {*chosen.targets, *gone}
    for each in [target for target in chosen.targets if target in entries]:  # each behind what it goes with
        other = next((bond for bond in bonds_of(entries[each], before) if bond not in going), None)
        if other is not None:
            going.remove(each)
            chosen.targets.remove(each)
            chosen.stones.pop(each, None)
            reason = f"the {entries[each].type} limits {other.hex()}, which stays; erase both, or its fields alone"
            chosen.kept.append(Kept(each.hex(), reason, other.hex()))


def _portions(targets: Sequence[bytes], stones: Mapping[bytes, Mapping[str, Any]]) -> Iterator[list[bytes]]:
    """Targets of as many erasures as it takes, none of them larger than an event may be."""
    some: list[bytes] = []
    size = 0
    for target in targets:
        more = _TARGET + (len(dumps(dict(stones[target]))) if target in stones else 0)
        if some and (len(some) == _MOST or size + more > _BYTES):
            yield some
            some, size = [], 0
        some.append(target)
        size += more
    if some:
        yield some


def _add_keys(chosen: _Chosen, keys: Sequence[bytes], personal: Sequence[bytes]) -> None:
    """Erase the keys of a party too, unless something that lies under them is kept."""
    kept = {each.address for each in chosen.kept}
    under = next((each.hex() for each in personal if each.hex() in kept), None)
    if under is None:
        chosen.targets += keys
    else:
        reason = f"a key that may be over {under}, which is kept"
        chosen.kept += [Kept(key.hex(), reason) for key in keys]


def _address(named: Named | bytes) -> bytes:
    """What somebody named, as 32 bytes. Raises `MalformedError`."""
    if isinstance(named, bytes) and len(named) == _ADDRESS:
        return named
    if not isinstance(named, bytes) and is_event_id(str(named)):
        return bytes.fromhex(str(named))
    said = named if isinstance(named, bytes) else str(named)[:80]
    msg = f"{said!r}: want a ticket, an event id or the address of a vault item; `find` gives the event of a ref"
    raise MalformedError(msg)


def _commits(event: Mapping[str, Any] | None) -> list[bytes]:
    return [] if event is None else [bytes.fromhex(field) for field in event["commits"].values()]
