"""What the index keeps of one entry, taken from its statement and, where it can be read, from its event."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from provenance.once import places_of

__all__ = ["HELD", "Facts", "facts_left", "facts_of", "key_of"]

HELD = "held"
"""Kind of the digests that a hold names: addresses of vault items and ids of events."""

_DIGESTS = {"file_digest": "file", "store_digest": "store", "description": "description"}
_DETAILS = ("relation", "as", "basis")  # what a ref says of itself in one word, the first that is there
_UNITS = ("rate", "units", "amount")
_OF_ACTOR = {"mandate.grant": "principal", "party.link": "party"}  # asked for by the party that said it
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class Facts(NamedTuple):
    """Rows for the four tables, without the entry's index, which is known last."""

    event_id: bytes
    type: str
    issuer: bytes
    sealed: bool
    strength: str
    claimed_at: str
    links: tuple[tuple[str, bytes, str, str, int | None], ...]  # (role, event id or b"", outside, detail, units)
    digests: tuple[tuple[bytes, str], ...]  # (digest, kind)
    time: str  # of a log.time, else ""
    erased: tuple[bytes, ...] = ()  # addresses that an erasure names
    places: tuple[tuple[str, bytes], ...] = ()  # that it takes (`provenance.once`)


def key_of(digest: bytes) -> int:
    """First 8 bytes as a signed integer."""
    return int.from_bytes(digest[:8], "big", signed=True)


def facts_of(*, event_id: bytes, type: str, issuer: str, sealed: bool, event: bytes | None) -> Facts:  # noqa: A002
    """Facts of an entry. `event` must be the bytes whose SHA-256 is `event_id`, or None when nobody can read them.

    Never fails on what is in them: whoever signed them may have written anything, and what is no ref and no digest
    gives no fact.
    """
    value = {} if event is None else _object(event)
    body = value.get("body")
    body = body if isinstance(body, dict) else {}
    refs = value.get("refs")
    time = body.get("time")
    links = tuple(link for ref in (refs if isinstance(refs, list) else ()) if (link := _link(ref)) is not None)
    said = value.get("actor")
    actor = _digest(said)
    if actor is not None and said != issuer:
        links = (*links, ("actor", actor, "", "", None))  # an agent signed for it
    if actor is not None and type in _OF_ACTOR:
        links = (*links, (_OF_ACTOR[type], actor, "", "", None))
    return Facts(
        event_id,
        type,
        bytes.fromhex(issuer),
        sealed,
        _text(value.get("strength")),
        _text(value.get("claimed_at")),
        links,
        tuple(_digests(type, body)),
        _text(time) if type == "log.time" else "",
        tuple(_targets(body)) if type == "erasure.execute" else (),
        places_of(type, value),
    )


def facts_left(*, event_id: bytes, type: str, issuer: str, tombstone: bytes | None) -> Facts:  # noqa: A002
    """Facts of an entry whose open event is erased: its refs, as the tombstone repeats them, and nothing of its body.

    A tombstone that speaks of another type than the statement gives none.
    """
    said = None if tombstone is None or _object(tombstone).get("type") != type else tombstone
    facts = facts_of(event_id=event_id, type=type, issuer=issuer, sealed=False, event=said)
    return facts._replace(strength="", claimed_at="", digests=(), time="", erased=())


def outside_key(outside: str) -> int:
    """Key of something that is no event of this log."""
    return key_of(sha256(outside.encode()).digest())


def _object(event: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(event)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _digest(value: Any) -> bytes | None:
    if not isinstance(value, str) or len(value) != 64:
        return None
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        return None
    return raw if raw.hex() == value else None  # one spelling: lower case, nothing in between


def _digests(type_: str, body: dict[str, Any]) -> Iterator[tuple[bytes, str]]:
    for name, kind in _DIGESTS.items():
        if (digest := _digest(body.get(name))) is not None:
            yield digest, kind
    content = body.get("digests")
    if isinstance(content, dict) and (digest := _digest(content.get("sha-256"))) is not None:
        yield digest, "content"
    if type_ == "hold.set":
        yield from ((target, HELD) for target in _targets(body))
    if type_ == "terms.publish" and body:
        yield sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest(), "terms"


def _targets(body: dict[str, Any]) -> Iterator[bytes]:
    targets = body.get("targets")
    yield from dict.fromkeys(filter(None, map(_digest, targets if isinstance(targets, list) else ())))


def _units(ref: dict[str, Any]) -> int | None:
    """The share, rate or amount of a ref, where it is a number that a database keeps."""
    for name in _UNITS:
        said = ref.get(name)
        if isinstance(said, str) and _NUMBER.fullmatch(said):
            return int(said)
    return None


def _link(ref: Any) -> tuple[str, bytes, str, str, int | None] | None:
    if not isinstance(ref, dict):
        return None
    role, target = _text(ref.get("role")), ref.get("id")
    if len(ref) == 2 and role and isinstance(target, str):  # most of them: it says nothing of itself
        event_id = _digest(target)
        return None if event_id is None else (role, event_id, "", "", None)
    detail = ""
    for name in _DETAILS:
        if detail := _text(ref.get(name)):
            break
    units = _units(ref)
    if isinstance(target, str):
        event_id = _digest(target)
        return None if event_id is None else (role, event_id, "", detail, units)
    if isinstance(target, dict):
        for first, second, joint in (("log", "event", "#"), ("scheme", "id", ":")):
            if _text(target.get(first)) and _text(target.get(second)):
                return role, b"", f"{target[first]}{joint}{target[second]}", detail, units
    return None
