"""Who may speak for whom: a party for itself, a custodian for whom it keeps, an agent inside its mandate.

A mandate is a `mandate.grant` event of the principal: which types of event the agent may say (`offer.attach`,
`offer.*`, `*`), about which works (all where none is named), for where (everywhere where no territory is named), and in
which window of log time. `*` is everything but `party.*`, `mandate.*` and `log.*`: who a party is and who else speaks
for it is entrusted by name only, its keys and the log never. It begins once the agent has agreed (`provenance.assent`),
and ends with its window, with a `mandate.revoke` by the principal or the agent, and with the principal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from ledger.errors import MalformedError
from provenance.assent import Group, judge
from provenance.errors import Reason
from provenance.identity.chain import Party

if TYPE_CHECKING:
    from provenance.before import Before

__all__ = [
    "ENDED",
    "Mandate",
    "Mandates",
    "Revoked",
    "Speakers",
    "may_speak",
    "read_mandates",
    "territories_of",
    "works_of",
]

ENDED = frozenset({"mandate.revoked", "mandate.window"})
"""Rules that an act breaks whose mandate has ended: whoever accepted it may have done so before."""

_BY_NAME_ONLY = ("party.", "mandate.", "log.")
_NEVER = ("party.keys", "log.")
_WORLD = "001"  # of UN M49


class Revoked(NamedTuple):
    """That a mandate was revoked by an event, at an entry; None while that only waits for its place."""

    event_id: bytes
    idx: int | None


@dataclass(frozen=True, slots=True)
class Mandate:
    """What an agent may say for a principal. Times are log time, RFC 3339; "" means without a limit.

    `state` is effective, or why it does not count: pending until the agent agrees (by `answer_by`), refused, expired.
    """

    id: bytes
    index: int
    principal: bytes
    agent: bytes
    actions: tuple[str, ...]
    works: frozenset[bytes]
    since: str = ""
    until: str = ""
    territories: tuple[str, ...] = ()
    revoked: Revoked | None = None
    state: str = "effective"
    answer_by: str = ""

    @classmethod
    def read(cls, event_id: bytes, index: int, data: bytes) -> Mandate:
        """Read the bytes of a `mandate.grant` at this entry. Raises `MalformedError`."""
        try:
            event = orjson.loads(data)
            body, refs = event["body"], event["refs"]
            return cls(
                event_id,
                index,
                bytes.fromhex(event["actor"]),
                next(bytes.fromhex(ref["id"]) for ref in refs if ref["role"] == "agent"),
                tuple(map(str, body["actions"])),
                frozenset(bytes.fromhex(ref["id"]) for ref in refs if ref["role"] == "work"),
                str(body.get("from", "")),
                str(body.get("until", "")),
                tuple(map(str, body.get("territories", ()))),
            )
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
            msg = f"mandate.grant {event_id.hex()}: cannot be read: {error!s:.200}"
            raise MalformedError(msg) from error

    def allows(self, type_: str) -> bool:
        """Whether its actions cover this type of event."""
        if type_.startswith(_NEVER):
            return False
        family = type_.split(".", maxsplit=1)[0]
        wide = () if type_.startswith(_BY_NAME_ONLY) else ("*",)
        return not {type_, f"{family}.*", *wide}.isdisjoint(self.actions)

    def objection(
        self, type_: str, works: Iterable[bytes], time: str, territories: Iterable[str] | None = None
    ) -> Reason | None:
        """Why it does not cover an act of this type about these works at this log time; None when it does.

        `territories` are where the act is to hold: none listed is everywhere, None where it names no territory.
        """
        own = self.id.hex()
        if self.revoked is not None:
            where = "by an event that waits" if self.revoked.idx is None else f"at #{self.revoked.idx}"
            return Reason("mandate.revoked", f"mandate {own} was revoked {where}", (own, self.revoked.event_id.hex()))
        if self.state != "effective":
            text = f"mandate {own} is {self.state}: its agent {self.agent.hex()} has not agreed to it"
            return Reason("mandate.pending", text, (own,))
        if self.since and time < self.since:
            text = f"mandate {own} begins at {self.since}, log time is {time or 'none'}"
            return Reason("mandate.window", text, (own,))
        if self.until and time > self.until:
            return Reason("mandate.window", f"mandate {own} ended at {self.until}, log time is {time}", (own,))
        if not self.allows(type_):
            return Reason("mandate.scope", f"mandate {own} is for {', '.join(self.actions)}, not for {type_}", (own,))
        works = tuple(works)
        outside = [work for work in works if work not in self.works]
        if self.works and (outside or not works):
            about = f"work {outside[0].hex()}" if outside else "none of its works"
            events = (own, *(work.hex() for work in outside))
            text = f"mandate {own} is for {len(self.works)} works, the act is about {about}"
            return Reason("mandate.scope", text, events)
        if self.territories and territories is not None:
            wide = [each for each in tuple(territories) or (_WORLD,) if not _within(each, self.territories)]
            if wide:
                where = "everywhere" if wide == [_WORLD] else ", ".join(wide)
                text = f"mandate {own} is for {', '.join(self.territories)}, the act is for {where}"
                return Reason("mandate.scope", text, (own,))
        return None


class Speakers(Protocol):
    """What is known of parties and mandates just before an act."""

    @property
    def place(self) -> int:
        """Entries before the act."""

    @property
    def time(self) -> str:
        """Log time, RFC 3339, "" before the first."""

    def party(self, party_id: bytes) -> Party | None:
        """A party, None when there is none with this id."""

    def mandates(self, principal: bytes, agent: bytes) -> Iterable[Mandate]:
        """What the principal granted the agent, earliest first, also what has ended."""


def may_speak(
    issuer: bytes,
    actor: bytes,
    type: str,  # noqa: A002 - the field's name in the event
    works: Iterable[bytes],
    before: Speakers,
    *,
    territories: Iterable[str] | None = None,
) -> Reason | None:
    """Why `issuer` may not say an event of this type, about these works and territories, for `actor`; None when it may.

    The rule that is broken is `mandate.missing`, `.scope`, `.pending`, `.window` or `.revoked`; the sentence is about
    the mandate that comes closest, and the events are that mandate and what ended it.
    """
    if issuer == actor:
        return None
    party = before.party(actor)
    if party is not None and party.guardian(before.place) == issuer:
        return None
    works, territories = tuple(works), None if territories is None else tuple(territories)
    ended = None if party is None else party.deactivated(before.place)
    found: list[Reason] = []
    for mandate in before.mandates(actor, issuer):
        reason = mandate.objection(type, works, before.time, territories)
        if reason is None and ended is None:
            return None
        found.append(reason or Reason("mandate.revoked", f"its principal was deactivated at #{ended}", (actor.hex(),)))
    if found:
        return min(found, key=lambda reason: _CLOSEST.index(reason.rule))
    text = f"{issuer.hex()} speaks for {actor.hex()} without a mandate of it"
    if party is not None and party.custodian == issuer:
        text = f"{text}: the party was claimed at #{party.changes[0].index}, and has keys of its own"
    return Reason("mandate.missing", text, (actor.hex(), issuer.hex()))


_CLOSEST = ("mandate.revoked", "mandate.window", "mandate.pending", "mandate.scope", "mandate.missing")


def works_of(event: Mapping[str, Any]) -> Iterator[bytes]:
    """The works that an event is about: those it says something of, not those that it is made from."""
    refs = event.get("refs")
    for ref in refs if isinstance(refs, list) else ():
        role, target = ref.get("role"), ref.get("id")
        about = role == "work" or (role == "of" and event.get("type") in {"work.alias", "work.version"})
        if (about or role in {"child", "model"}) and isinstance(target, str):
            yield bytes.fromhex(target)


def territories_of(event: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Where a placement or terms are to hold, as ISO 3166 and UN M49 codes; None where the event names no territory.

    A placement that lists none is for everywhere, which is ().
    """
    body = event.get("body")
    if event.get("type") == "syndicate.place" and isinstance(body, dict):
        return tuple(map(str, body.get("territories") or ()))
    machine = body.get("machine") if event.get("type") == "terms.publish" and isinstance(body, dict) else None
    named = machine.get("territory") if isinstance(machine, dict) else None
    return tuple(map(str, named)) if isinstance(named, list) and named else None


def _within(territory: str, territories: Iterable[str]) -> bool:
    """Whether a territory is one of these, or a subdivision of one (US-CA of US). Areas of M49 hold only themselves."""
    return any(each in {territory, _WORLD} or territory.startswith(f"{each}-") for each in territories)


class Mandates:
    """All mandates of a log that is read from its first entry on, told as they come."""

    def __init__(self) -> None:
        self._granted: dict[bytes, Mandate] = {}
        self._between: dict[tuple[bytes, bytes], list[bytes]] = {}

    def grant(self, mandate: Mandate) -> None:
        """A mandate was granted."""
        if mandate.id not in self._granted:
            self._granted[mandate.id] = mandate
            self._between.setdefault((mandate.principal, mandate.agent), []).append(mandate.id)

    def answer(self, mandate_id: bytes, party: bytes, *, yes: bool, time: str) -> None:
        """`party` answered a mandate at this log time; the first answer of its agent counts, if it came in time."""
        mandate = self._granted.get(mandate_id)
        if mandate is not None and mandate.state == "pending" and party == mandate.agent:
            late = mandate.answer_by and time > mandate.answer_by
            state = "expired" if late else "effective" if yes else "refused"
            self._granted[mandate_id] = replace(mandate, state=state)

    def revoke(self, mandate_id: bytes, revoked: Revoked, actor: bytes) -> None:
        """`actor` revoked a mandate; without effect for whom it is none of."""
        mandate = self._granted.get(mandate_id)
        if mandate is not None and mandate.revoked is None and actor in {mandate.principal, mandate.agent}:
            self._granted[mandate_id] = _ended(mandate, revoked)

    def between(self, principal: bytes, agent: bytes) -> list[Mandate]:
        """What a principal granted an agent, earliest first."""
        return [self._granted[mandate_id] for mandate_id in self._between.get((principal, agent), ())]


def read_mandates(before: Before, *, principal: bytes | None = None, agent: bytes | None = None) -> Iterator[Mandate]:
    """The logged mandates of a principal, or to an agent, or from one to the other, earliest first.

    One that somebody granted who could not speak for the principal is none. Where the place of its revocation is taken
    already, by an event that waits, it counts as revoked.
    """
    at, role = (principal, "principal") if principal is not None else (agent, "agent")
    for link in () if at is None else before.index.links_to(at, role):
        entry = before.index.entry(link.source)
        data = None if entry is None or entry.type != "mandate.grant" else before.data(entry.event_id)
        if entry is None or data is None or before.event(entry.event_id) is None:
            continue  # what only a later version understands may be narrower than it looks
        try:
            mandate = Mandate.read(entry.event_id, entry.idx, data)
        except MalformedError:
            continue
        if agent not in {None, mandate.agent} or not _said_by_right(mandate, before):
            continue
        yield _ended(_answered(mandate, data, before), _revocation(mandate, before))


def _answered(mandate: Mandate, data: bytes, before: Before) -> Mandate:
    found = judge(mandate.id, orjson.loads(data), [Group.everybody("the agent", [mandate.agent])], before)
    return mandate if found.state == "effective" else replace(mandate, state=found.state, answer_by=found.until)


def _said_by_right(mandate: Mandate, before: Before) -> bool:
    issuer = before.index.issuer_of(mandate.index) or mandate.principal
    if issuer == mandate.principal:
        return True
    then = before.at(mandate.index)
    return may_speak(issuer, mandate.principal, "mandate.grant", mandate.works, then) is None


def _revocation(mandate: Mandate, before: Before) -> Revoked | None:
    for link in before.index.links_to(mandate.id, "mandate"):
        entry = before.index.entry(link.source)
        if entry is None or entry.type != "mandate.revoke":
            continue
        data = before.data(entry.event_id)
        # Whose it was may have been erased since: it goes on ending what it ended.
        if data is None or orjson.loads(data)["actor"] in {mandate.principal.hex(), mandate.agent.hex()}:
            return Revoked(entry.event_id, entry.idx)
    waiting = before.holder("mandate.revoke", mandate.id)
    if waiting is None or before.index.find(waiting) is not None:
        return None
    return Revoked(waiting, None)


def _ended(mandate: Mandate, revoked: Revoked | None) -> Mandate:
    return mandate if revoked is None else replace(mandate, revoked=revoked)
