"""What all events have in common: the envelope, refs, and the base of the models.

::

    {"actor":"4be0…","body":{…},"claimed_at":"2026-11-23T07:15:00Z","commits":{"title":"77c1…"},"kind":"event",
     "ledger":"market.example/log","refs":[{"as":"photographer","id":"4be0…","role":"creator"}],"salt":"5f0c…",
     "strength":"self","type":"work.create","v":1}

*Every pointer of an event stands in refs, every value in body, every personal field in commits* (as the address of a
vault item). Optional members are left out where they are not said; there is no null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from provenance.canonical import address, dumps
from provenance.errors import Reason
from provenance.events.fields import ExternalId, Hex, Origin, Term, Time
from provenance.events.vocabulary import Strength

__all__ = ["Actor", "Commits", "Event", "ExternalRef", "LogRef", "Model", "RefId", "exactly_one"]


class Model(BaseModel):
    """Base of all models: strict types, frozen, no unknown members."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class LogRef(Model):
    """An event of another log."""

    log: Origin
    event: Hex


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

Actor = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|self)$")]
"""Who says it: a party id, or "self" where the event is the registration of its own signer."""

Commits = dict[Literal["ref"], Hex]
"""Addresses of vault items by the name of the personal field. `ref` is the market's own name for the thing."""


class Event(Model):
    """An event that this version knows. `bytes(event)` are its canonical bytes, whatever it was made from."""

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

    def broken_rules(self) -> Iterator[Reason]:
        """The rules between the members of this one event that it breaks. None of them needs another event.

        Reading does not apply them: what was logged is a fact. Writing does, as must whoever accepts an event that
        somebody else wrote.
        """
        return iter(())


def exactly_one(refs: Iterable[Any], type_: str, *roles: str) -> Iterator[Reason]:
    """Rules `<type>.<role>`: the event has one ref of each of these roles."""
    found = [ref.role for ref in refs]
    for role in roles:
        if found.count(role) != 1:
            yield Reason(f"{type_}.{role}", f"refs: {found.count(role)} of role {role}, want exactly one")
