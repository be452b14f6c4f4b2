"""Consent as a machine with states: which may follow which, who may say so, and whether it holds now.

The states are those of W3C DPV. Withdrawn is what the person says, revoked what another party says; neither becomes
valid again without a new consent. The state of a subject, a controller and a purpose at some place of the log is that
of the last record of the two that speaks of the purpose; one that was given ends by itself when its time is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from provenance.assent import refs_of
from provenance.before import Before
from provenance.index import Link
from provenance.once import consent_start
from provenance.states import chain

__all__ = ["NEXT", "VALID", "Consent", "consent_of", "illegal_steps", "receipt_of"]

VALID = frozenset({"ConsentGiven", "RenewedConsentGiven"})
"""States in which data may be processed on this ground."""

_ENDS = ("ConsentWithdrawn", "ConsentRevoked", "RenewedConsentGiven", "ConsentExpired", "ConsentInvalidated")
_BEGINS = ("ConsentRequested", "ConsentGiven", "ConsentRefused", "ConsentUnknown")

NEXT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "": frozenset(_BEGINS),
        "ConsentUnknown": frozenset({*_BEGINS, *_ENDS, "ConsentRequestDeferred"}),
        "ConsentRequested": frozenset(
            {"ConsentGiven", "ConsentRefused", "ConsentRequestDeferred", "ConsentExpired", "ConsentInvalidated"}
        ),
        "ConsentRequestDeferred": frozenset(
            {"ConsentRequested", "ConsentGiven", "ConsentRefused", "ConsentInvalidated"}
        ),
        "ConsentGiven": frozenset(_ENDS),
        "RenewedConsentGiven": frozenset(_ENDS),
        "ConsentRefused": frozenset({"ConsentRequested", "ConsentGiven"}),
        "ConsentWithdrawn": frozenset({"ConsentRequested", "ConsentGiven"}),
        "ConsentRevoked": frozenset({"ConsentRequested", "ConsentGiven"}),
        "ConsentExpired": frozenset({"ConsentRequested", "ConsentGiven", "RenewedConsentGiven"}),
        "ConsentInvalidated": frozenset({"ConsentRequested", "ConsentGiven"}),
    }
)
"""What may follow each state; "" is before anything was said."""


class Consent(NamedTuple):
    """The state of one purpose: "" when nothing is on record, `unknown` when a record cannot be read here.

    `valid` is whether it allows processing now; `events` (ids in hex) are the records that the purpose occurs in.
    """

    state: str
    valid: bool
    expires: str
    basis: str
    events: tuple[str, ...]


def consent_of(subject: str, controller: str, purpose: str, before: Before) -> Consent:
    """The consent of a subject to a controller (party ids, 64 hex digits) for one purpose at the place of `before`."""
    found, dark = _read(subject, controller, before)
    if purpose in found:
        return found[purpose]
    return Consent("unknown", False, "", "", dark) if dark else Consent("", False, "", "", ())


def _read(subject: str, controller: str, before: Before) -> tuple[dict[str, Consent], tuple[str, ...]]:
    """What the records say, and those that wait and cannot be read here any more.

    A record that was erased is as if it had never been: not even whose it was is left in the index.
    """
    whom = bytes.fromhex(controller)
    said = [
        event_id
        for event_id in before.pointing(bytes.fromhex(subject), "subject", "consent.record")
        if whom in {link.event_id for link in _links(event_id, before) if link.role == "controller"}
    ]
    logged = set(said)
    said += [each for each in chain("consent", consent_start(subject, controller), before) if each not in logged]
    found: dict[str, Consent] = {}
    dark: tuple[str, ...] = ()
    for event_id in said:
        event = before.event(event_id)
        if event is None:
            if event_id not in logged and before.index.find(event_id) is not None:
                continue  # erased
            dark = (*dark, event_id.hex())
            found = {
                purpose: Consent("unknown", False, "", "", (*known.events, event_id.hex()))
                for purpose, known in found.items()
            }
            continue
        body = event["body"]
        for purpose in body["purposes"]:
            earlier = found[purpose].events if purpose in found else dark
            state, expires = body["state"], body.get("expires", "")
            found[purpose] = Consent(state, state in VALID, expires, body["basis"], (*earlier, event_id.hex()))
    return {purpose: _now(known, before.time) for purpose, known in found.items()}, dark


def _links(event_id: bytes, before: Before) -> list[Link]:
    entry = before.index.find(event_id)
    return [] if entry is None else before.index.links_from(entry.idx)


def illegal_steps(event: Mapping[str, Any], before: Before) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(purpose, state before, events) of each purpose for which a new record is no legal step."""
    subject, controller = (next(refs_of(event, role)).hex() for role in ("subject", "controller"))
    to = event["body"]["state"]
    for purpose in event["body"]["purposes"]:
        known = consent_of(subject, controller, purpose, before)
        if known.state != "unknown" and to not in NEXT.get(known.state, frozenset()):
            yield purpose, known.state, known.events


def receipt_of(event: Mapping[str, Any], *, event_id: str, log: str, index: int, logged_at: str) -> dict[str, Any]:
    """A recorded consent in the words of ISO/IEC TS 27560: what subject and controller keep, beside its proof."""
    body = event["body"]
    subject, controller = (next(refs_of(event, role)).hex() for role in ("subject", "controller"))
    return {
        "schema_version": "ISO/IEC TS 27560:2023",
        "record_id": event_id,
        "pii_principal_id": subject,
        "party": [{"party_id": controller, "party_role": "controller"}],
        "pii_processing": {
            "privacy_notice": {"notice_digest": body["notice"]},
            "purposes": [{"purpose": purpose, "lawful_basis": body["basis"]} for purpose in body["purposes"]],
        },
        "consent_events": [
            {
                "event_state": body["state"],
                "event_time": event["claimed_at"],
                "event_type": event["strength"],
                "validity_duration": body.get("expires", ""),
            }
        ],
        "proof": {"log": log, "event": event_id, "index": index, "logged_at": logged_at},
    }


def _now(known: Consent, time: str) -> Consent:
    if known.valid and known.expires and time > known.expires:
        return known._replace(state="ConsentExpired", valid=False)
    return known
