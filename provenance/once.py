"""Places in the log's meaning that can be taken once, so that rules which depend on order hold before they are ordered.

Two sellers may stage at the same moment: whether a grant is consumed already, or a dispute judged, no look into the log
can tell either of them. So each such event *takes a place*, a unique row beside the queue, in the market's own
transaction: the second one is refused while its sale can still be called off. Which places an event takes follows from
its bytes alone, so that the rows can be made again from log and vault.

What has states is a chain: each event names the one before it as `prev`, and so takes the place behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = [
    "CHAINS",
    "ONCE",
    "TURNS",
    "Place",
    "consent_start",
    "consume_place",
    "payout_start",
    "places_of",
    "revenue_start",
    "start_of",
]

_EVENT_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Place(NamedTuple):
    """One place: `rule` says of what kind, `key` which one (32 bytes), `event_id` who takes it."""

    rule: str
    key: bytes
    event_id: bytes


def places_of(type: str, event: dict[str, Any]) -> tuple[tuple[str, bytes], ...]:  # noqa: A002 - the field's name
    """The places, as (rule, key), that an event takes: none for most. What only a later version writes takes none."""
    if type not in CHAINS and type not in ONCE:
        return ()
    found: list[tuple[str, bytes]] = []
    try:
        if type in CHAINS:
            family, start = CHAINS[type]
            key = _ref(event, "prev") or start(event)
            if key is not None:
                found.append((family, key))
        if type in ONCE:
            rule, keys = ONCE[type]
            found += [(rule, key) for key in keys(event)]
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()
    return tuple(found)


def start_of(type: str, event: dict[str, Any]) -> bytes | None:  # noqa: A002 - the field's name
    """Where the chain begins that this event is a link of; None where it has no fixed beginning, or is no link."""
    return CHAINS[type][1](event) if type in CHAINS else None


def consent_start(subject: str, controller: str) -> bytes:
    """Where the chain of consents of one subject (party id, 64 hex digits) to one controller begins."""
    return _key("consent", subject, controller)


def consume_place(grant: str, number: int) -> bytes:
    """Key of the place that the `number`th use of a grant (event id, 64 hex digits) takes."""
    return _key("grant.consume", grant, str(number))


def payout_start(settlement: str, payee: str) -> bytes:
    """Where the chain of what a payee (party id, 64 hex digits) is paid of a settlement (event id) begins."""
    return _key("payout", settlement, payee)


def revenue_start(work: str, source_key: str) -> bytes:
    """Where the chain of what one source reports about a work (event id, 64 hex digits) begins."""
    return _key("revenue", work, source_key)


def _ref(event: dict[str, Any], role: str) -> bytes | None:
    for ref in event["refs"]:
        if ref["role"] == role and isinstance(ref["id"], str) and _EVENT_ID.fullmatch(ref["id"]):
            return bytes.fromhex(ref["id"])
    return None


def _key(*parts: str) -> bytes:
    return sha256("\n".join(parts).encode()).digest()


def _at(role: str) -> Callable[[dict[str, Any]], bytes | None]:
    return lambda event: _ref(event, role)


def _consent(event: dict[str, Any]) -> bytes | None:
    subject, controller = _ref(event, "subject"), _ref(event, "controller")
    return consent_start(subject.hex(), controller.hex()) if subject and controller else None


def _payout(event: dict[str, Any]) -> bytes | None:
    settlement, payee = _ref(event, "settlement"), _ref(event, "payee")
    return payout_start(settlement.hex(), payee.hex()) if settlement and payee else None


def _revenue(event: dict[str, Any]) -> bytes | None:
    work = _ref(event, "work")
    return None if work is None else revenue_start(work.hex(), event["body"]["source_key"])


def _nowhere(_: dict[str, Any]) -> bytes | None:
    return None


def _one(role: str) -> Callable[[dict[str, Any]], Iterator[bytes]]:
    def keys(event: dict[str, Any]) -> Iterator[bytes]:
        found = _ref(event, role)
        if found is not None:
            yield found

    return keys


def _numbered(event: dict[str, Any]) -> Iterator[bytes]:
    grant = _ref(event, "grant")
    if grant is not None:
        yield consume_place(grant.hex(), event["body"]["number"])


def _evidence(event: dict[str, Any]) -> Iterator[bytes]:
    yield bytes.fromhex(event["body"]["evidence"])


def _answered(event: dict[str, Any]) -> Iterator[bytes]:
    of = _ref(event, "of")
    if of is not None:
        yield _key("assent", of.hex(), event["actor"])


def _succession(event: dict[str, Any]) -> Iterator[bytes]:
    prev = _ref(event, "prev")
    if prev is not None and event["body"]["reason"] != "recover":  # that goes back to an event with a successor
        yield prev


def _table(event: dict[str, Any]) -> Iterator[bytes]:
    yield _key(event["type"], event["body"]["vocabulary"], event["body"]["version"])


Start = Callable[[dict[str, Any]], bytes | None]
Keys = Callable[[dict[str, Any]], Iterator[bytes]]

CHAINS: Mapping[str, tuple[str, Start]] = MappingProxyType(
    {
        "attribution.set": ("attribution", _at("work")),
        "consent.record": ("consent", _consent),
        "dispute.appeal": ("dispute.appeal", _at("dispute")),
        "dispute.open": ("dispute", _at("target")),
        "generation.run": ("generation", _nowhere),
        "grant.transfer": ("grant.holder", _at("grant")),
        "log.keys": ("log.keys", _nowhere),
        "payout.confirm": ("payout", _payout),
        "reservation.declare": ("reservation", _nowhere),
        "revenue.report": ("revenue", _revenue),
        "split.declare": ("split", _at("work")),
        "split.transfer": ("split", _at("work")),
        "work.status": ("work.status", _at("work")),
    }
)
"""Types that are links of a chain: (name of the chain, where it begins when there is no `prev`)."""

ONCE: Mapping[str, tuple[str, Keys]] = MappingProxyType(
    {
        "assent.answer": ("assent", _answered),
        "attest.revoke": ("attest.revoke", _one("attestation")),
        "attribution.answer": ("attribution.answer", _one("claim")),
        "dispute.appeal": ("dispute.evidence", _evidence),
        "dispute.cancel": ("dispute.end", _one("dispute")),
        "dispute.judge": ("dispute.judge", _one("dispute")),
        "dispute.open": ("dispute.evidence", _evidence),
        "dispute.resolve": ("dispute.end", _one("dispute")),
        "grant.consume": ("grant.consume", _numbered),
        "grant.revoke": ("grant.revoke", _one("grant")),
        "hold.release": ("hold.release", _one("hold")),
        "mandate.revoke": ("mandate.revoke", _one("mandate")),
        "offer.detach": ("offer.detach", _one("offer")),
        "party.keys": ("party.keys", _succession),
        "party.unlink": ("party.unlink", _one("link")),
        "syndicate.withdraw": ("syndicate.withdraw", _one("placement")),
        "vocab.adopt": ("vocabulary", _table),
        "vocab.retire": ("vocabulary", _table),
    }
)
"""Types that happen once: (name of the place, its keys)."""

TURNS: Mapping[str, str] = MappingProxyType({"erasure.execute": "hold", "hold.set": "hold"})
"""Types of which one at a time is looked at and staged, by the name of what they wait at.

No place of one follows from the other's bytes: a hold and an erasure name any number of the same addresses. They are
rare, so that all of them wait for each other.
"""
