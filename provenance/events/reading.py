"""Reading an event that somebody wrote, perhaps with a later version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ledger.errors import MalformedError
from provenance.canonical import address, loads
from provenance.events.envelope import Actor, Event
from provenance.events.fields import EventType, Hex
from provenance.events.union import EVENT, problems
from provenance.vocabularies import BUILT_IN, Vocabularies

__all__ = ["Unknown", "read_event"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that this version does not fully understand, kept byte for byte. Decisions that rest on it are unknown.

    Either its type is unknown (`unknown_fields` is empty), or `unknown_fields` names the places in it that are
    (`body.mood`): fields that were added, or values outside of what this version knows there.
    """

    type: str
    data: bytes
    ledger: str
    actor: str
    strength: str
    claimed_at: str
    commits: dict[str, str]
    unknown_fields: tuple[str, ...]

    def __bytes__(self) -> bytes:
        return self.data

    @property
    def id(self) -> bytes:
        """Event id: SHA-256 of the bytes, 32 bytes."""
        return address(self.data)


def read_event(data: bytes, *, vocabularies: Vocabularies = BUILT_IN) -> Event | Unknown:
    """Read an event; `bytes(read_event(data)) == data`.

    Raises `MalformedError` unless it is canonical JSON with the keys and the JSON types of an envelope. Neither unknown
    types nor unknown fields are an error, nor words that stand in no table of `vocabularies`, in use or not: see
    `Unknown`. Nothing is said about rules: see `Event.broken_rules`.
    """
    loads(data)
    try:
        return EVENT.validate_json(data, context=vocabularies)
    except ValidationError as error:
        unknown = tuple(dict.fromkeys(where for where, _ in problems(error)))
    try:
        envelope = _ENVELOPE.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        msg = f"event: {'.'.join(map(str, first['loc'])) or 'whole'}: {first['msg']}"
        raise MalformedError(msg) from None
    return Unknown(
        envelope.type,
        data,
        envelope.ledger,
        envelope.actor,
        envelope.strength,
        envelope.claimed_at,
        envelope.commits,
        () if unknown == ("type",) else unknown,
    )


class _Lenient(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Ref(_Lenient):
    role: str
    id: Hex | dict[str, Any]


class _Envelope(_Lenient):
    """What an event of any type and any later version has."""

    v: Annotated[int, Field(ge=1)]
    kind: Literal["event"]
    type: EventType
    ledger: str
    actor: Actor
    strength: str
    claimed_at: str
    salt: Hex
    body: dict[str, Any]
    refs: list[_Ref]
    commits: dict[str, Hex]


_ENVELOPE = TypeAdapter(_Envelope)
