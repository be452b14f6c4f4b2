"""What the index keeps of one entry, taken from its statement and, where it can be read, from its event."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, NamedTuple

import orjson

__all__ = ["Facts", "facts_of", "key_of"]

_DIGESTS = {"file_digest": "file", "store_digest": "store"}


class Facts(NamedTuple):
    """Rows for the four tables, without the entry's index, which is known last."""

    event_id: bytes
    type: str
    issuer: bytes
    sealed: bool
    strength: str
    claimed_at: str
    links: tuple[tuple[str, bytes, str, str], ...]  # (role, event id or b"", outside, detail)
    digests: tuple[tuple[bytes, str], ...]  # (digest, kind)
    time: str  # of a log.time, else ""


def key_of(digest: bytes) -> int:
    """First 8 bytes as a signed integer."""
    return int.from_bytes(digest[:8], "big", signed=True)


def facts_of(*, event_id: bytes, type: str, issuer: str, sealed: bool, event: bytes | None) -> Facts:  # noqa: A002
    """Facts of an entry. `event` must be the bytes whose SHA-256 is `event_id`, or None when nobody can read them."""
    issuing = bytes.fromhex(issuer)
    if event is None:
        return Facts(event_id, type, issuing, sealed, "", "", (), (), "")
    value: dict[str, Any] = orjson.loads(event)
    links = tuple(_link(ref) for ref in value.get("refs", ()))
    body = value.get("body", {})
    found = [(bytes.fromhex(body[name]), kind) for name, kind in _DIGESTS.items() if name in body]
    content = body.get("digests", {}).get("sha-256") if isinstance(body.get("digests"), dict) else None
    if content:
        found.append((bytes.fromhex(content), "content"))
    if type == "terms.publish":
        found.append((sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest(), "terms"))
    return Facts(
        event_id,
        type,
        issuing,
        sealed,
        value.get("strength", ""),
        value.get("claimed_at", ""),
        links,
        tuple(found),
        body["time"] if type == "log.time" else "",
    )


def outside_key(outside: str) -> int:
    """Key of something that is no event of this log."""
    return key_of(sha256(outside.encode()).digest())


def _link(ref: dict[str, Any]) -> tuple[str, bytes, str, str]:
    target = ref["id"]
    detail = ref.get("relation") or ref.get("as") or ""
    if isinstance(target, str):
        return ref["role"], bytes.fromhex(target), "", detail
    if "log" in target:
        return ref["role"], b"", f"{target['log']}#{target['event']}", detail
    return ref["role"], b"", f"{target['scheme']}:{target['id']}", detail
