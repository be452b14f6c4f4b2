"""What all events have in common: the envelope, refs, and the base of the models.

::

    {"actor":"4be0…","body":{…},"claimed_at":"2026-11-23T07:15:00Z","commits":{"title":"77c1…"},"kind":"event",
     "ledger":"market.example/log","refs":[{"as":"photographer","id":"4be0…","role":"creator"}],"salt":"5f0c…",
     "strength":"self","type":"work.create","v":1}

*Every pointer of an event stands in refs, every value in body, every personal field in commits* (as the address of a
vault item). Optional members are left out where they are not said; there is no null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from provenance.canonical import address, dumps
from provenance.errors import Reason
from provenance.events.fields import Actor, ExternalId, Hex, Origin, Term, Time
from provenance.events.vocabulary import Strength
from provenance.events.words import refused_words
from provenance.vocabularies import BUILT_IN, Vocabularies

__all__ = [
    "MANY",
    "MAX_PARENTS",
    "MAX_REFS",
    "ONE",
    "OPTIONAL",
    "SOME",
    "Actor",
    "AnyRef",
    "Commits",
    "Ending",
    "Event",
    "EventRef",
    "ExternalRef",
    "LogRef",
    "Model",
    "Nothing",
    "OnlyRef",
    "Reasoned",
    "RefId",
    "Roles",
    "Rules",
    "Times",
    "repeated",
    "too_many",
]

MAX_PARENTS = 1_000
"""Most parents of one event. More are a dataset: one snapshot names them all by its root."""

MAX_REFS = 5_000
"""Most refs of one other role: so many fit into an event's 1 MiB."""


class Times(NamedTuple):
    """How many refs of one role an event has, and the name of the rule about it where that is not the role itself."""

    least: int
    most: int
    rule: str = ""


Roles = Mapping[str, Times]
Rules = Mapping[str, str]

ONE = Times(1, 1)
OPTIONAL = Times(0, 1)
SOME = Times(1, MAX_REFS)
MANY = Times(0, MAX_REFS)


class Model(BaseModel):
    """Base of all models: strict types, frozen, no unknown members."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class LogRef(Model):
    """An event of another log. `proof` is the SHA-256 of the file that proves it there (c2sp.org/tlog-proof, RFC 9942).

    The file itself is kept in the vault, or wherever else it is found by its digest.
    """

    log: Origin
    event: Hex
    proof: Hex | None = None


class ExternalRef(Model):
    """Something outside of all logs: {"scheme": "doi", "id": "10.1000/182"}, with the SHA-256 of its bytes if known."""

    scheme: Term
    id: ExternalId
    digest: Hex | None = None


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "event"
    return "log" if isinstance(value, LogRef) or (isinstance(value, dict) and "log" in value) else "external"


RefId = Annotated[
    Annotated[Hex, Tag("event")] | Annotated[LogRef, Tag("log")] | Annotated[ExternalRef, Tag("external")],
    Discriminator(_form),
]
"""What a ref points to: an event id of this log, an event of another log, or something outside."""

Commits = dict[Literal["ref"], Hex]
"""Addresses of vault items by the name of the personal field. `ref` is the market's own name for the thing."""


Role = TypeVar("Role", bound=str)


class EventRef(Model, Generic[Role]):
    """An event of this log, and what it is to the one that points to it."""

    role: Role
    id: Hex


class AnyRef(Model, Generic[Role]):
    """An event of this log or of another, or something outside of all logs."""

    role: Role
    id: RefId


class Nothing(Model):
    """A body of which the refs say all."""


class Ending(Model):
    """The body of what ends something: why, in one word, where that is said."""

    reason: Term | None = None


class Reasoned(Model):
    """The body of what ends something that has to be accounted for: why, in one word."""

    reason: Term


OnlyRef = dict[Literal["ref"], Hex]
"""Commits of an event without personal fields of its own."""


class Event(Model):
    """An event that this version knows. `bytes(event)` are its canonical bytes, whatever it was made from."""

    signed_by: ClassVar[str] = "any party"
    """Who may say it, in words."""
    roles: ClassVar[Roles] = {}
    """How many refs of each role it has: the rules `<type>.<role>`."""
    rules: ClassVar[Rules] = {}
    """The other rules `<type>.<name>` by name: what must hold inside the event."""

    v: Annotated[int, Field(ge=1, le=1)]
    kind: Literal["event"]
    type: str
    ledger: Origin
    actor: str
    strength: Strength
    claimed_at: Time
    salt: Hex
    body: Any
    refs: tuple[Any, ...]
    commits: dict[Any, Hex]

    def __bytes__(self) -> bytes:
        return dumps(self.model_dump(mode="json", by_alias=True, exclude_unset=True))

    @property
    def id(self) -> bytes:
        """Event id: SHA-256 of the canonical bytes, 32 bytes."""
        return address(bytes(self))

    def broken_rules(self, vocabularies: Vocabularies = BUILT_IN) -> Iterator[Reason]:
        """The rules between the members of this one event that it breaks: `roles`, then `rules`. Each is named.

        None of them needs another event, but for what says which tables are in use: `vocabularies`, for the rules
        `vocab.retired` and `vocab.adopted`. Reading does not apply them: what was logged is a fact. Writing does, as
        must whoever accepts an event that somebody else wrote.
        """
        yield from _wrong_refs(self)
        yield from self._breaks()
        yield from self._misspoken(vocabularies)

    def _breaks(self) -> Iterator[Reason]:
        """Those of `rules`."""
        return iter(())

    def _misspoken(self, vocabularies: Vocabularies) -> Iterator[Reason]:
        """What is wrong with its words, by the tables in use."""
        yield from refused_words(self, vocabularies)

    def _broken(self, rule: str, sentence: str, *events: str) -> Reason:
        return Reason(f"{self.type}.{rule}", sentence, events)


def too_many(type_: str, roles: Roles, found: Mapping[str, int]) -> Iterator[Reason]:
    """Rules `<type>.<role>` where there are more refs of a role than an event of this type holds."""
    for role, (_, most, rule) in roles.items():
        number = found.get(role, 0)
        if number > most > 1:
            instead = (
                "record a dataset.snapshot of them, and derive from that" if role == "parent" else "say it in parts"
            )
            yield Reason(f"{type_}.{rule or role}", f"refs: {number} of role {role}, want at most {most}; {instead}")


def repeated(values: Iterable[Any]) -> Any:
    """The first value that stands there twice, None when there is none."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _wrong_refs(event: Event) -> Iterator[Reason]:
    found: dict[str, int] = {}
    for ref in event.refs:
        found[ref.role] = found.get(ref.role, 0) + 1
    for role, (least, most, rule) in event.roles.items():
        number = found.get(role, 0)
        if number < least or number > most == 1:
            want = ("exactly one" if least else "at most one") if most == 1 else "at least one"
            yield Reason(f"{event.type}.{rule or role}", f"refs: {number or 'none'} of role {role}, want {want}")
    if len(event.refs) > len(found):
        yield from too_many(event.type, event.roles, found)
        yield from _twice(event)


def _twice(event: Event) -> Iterator[Reason]:
    """A thing stands twice in one role, and in it as the same."""
    seen: set[Any] = set()
    for ref in event.refs:
        times = event.roles.get(ref.role)
        if times is None or times.most == 1:
            continue
        target = ref.id
        if not isinstance(target, str):
            target = (target.log, target.event) if isinstance(target, LogRef) else (target.scheme, target.id)
        key = (ref.role, target, ref.__dict__.get("as_"), ref.__dict__.get("purpose"))
        if key in seen:
            name = target if isinstance(target, str) else " ".join(target)
            rule = "G2.duplicate-parent" if ref.role == "parent" else f"{event.type}.{times.rule or ref.role}"
            events = (target,) if isinstance(target, str) else ()
            yield Reason(rule, f"refs: the {ref.role} {name} stands there twice", events)
        seen.add(key)
