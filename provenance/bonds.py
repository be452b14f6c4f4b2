"""What is erased only together: an event that limits an earlier one, and the earlier one.

A withdrawal that is erased alone would make the consent valid again that it withdrew. So whatever takes an earlier
event back, uses it up, or goes on from it leaves with that one or not at all, sealed or open. Nobody loses by it: what
is personal in an event are its fields, and these can always go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from provenance.before import Before
from provenance.index import Entry

__all__ = ["bonds_of", "in_order"]

_CONSENT = "consent.record"
_SIDES = ("subject", "controller")

_LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "assent.answer": "of",
        "attest.revoke": "attestation",
        "attribution.set": "work",
        "derive.amend": "child",
        "dispute.appeal": "dispute",
        "dispute.judge": "dispute",
        "dispute.open": "target",
        "grant.consume": "grant",
        "grant.revoke": "grant",
        "grant.transfer": "grant",
        "mandate.revoke": "mandate",
        "offer.detach": "offer",
        "party.unlink": "link",
        "payout.confirm": "settlement",
        "reservation.declare": "work",
        "split.declare": "work",
        "split.transfer": "work",
        "syndicate.withdraw": "placement",
        "work.status": "work",
    }
)
"""Types that limit what an earlier event says, and the role in which they point to it."""


def bonds_of(entry: Entry, before: Before) -> list[bytes]:
    """Ids of the events that must be erased where this entry's event is: of a consent the earlier of the same two.

    Follows from the index, and so also for what cannot be read here; of a sealed event that is erased nothing is left
    to follow from.
    """
    if entry.type == _CONSENT:
        return _earlier(entry, before)
    role = _LIMITS.get(entry.type)
    links = () if role is None else before.index.links_from(entry.idx)
    return list(dict.fromkeys(link.event_id for link in links if link.role == role and link.event_id))


def in_order(wanted: Iterable[bytes], before: Before) -> list[bytes]:
    """The same addresses, each event behind those it is erased with; earlier consents are added."""
    asked = dict.fromkeys(wanted)
    entries = dict(before.entries_of(asked))
    found: dict[bytes, None] = {}
    for each in asked:
        ahead = [each]
        while ahead:
            entry = entries.get(ahead[-1])
            bonds = [] if entry is None else bonds_of(entry, before)
            if entry is not None and entry.type == _CONSENT:
                entries |= before.index.entries_of(bonds)
            missing = [bond for bond in bonds if bond in entries and bond not in found and bond not in ahead]
            ahead += reversed(missing)
            if not missing:
                found[ahead.pop()] = None
    return list(found)


def _earlier(entry: Entry, before: Before) -> list[bytes]:
    """Consents before this one, between the same two."""
    index = before.index
    sides = [(link.role, link.event_id) for link in index.links_from(entry.idx) if link.role in _SIDES]
    subject = next((party for role, party in sides if role == "subject"), b"")
    found = []
    for idx in dict.fromkeys(link.source for link in index.links_to(subject, "subject") if link.source < entry.idx):
        other = index.entry(idx)
        if other is not None and other.type == _CONSENT:
            theirs = [(link.role, link.event_id) for link in index.links_from(idx) if link.role in _SIDES]
            found += [other.event_id] * (theirs == sides)
    return found
