"""Who may sign what at which position: keys and mandates are events of the same log, so that order decides."""

from provenance.identity.chain import RECOVERY, KeyEvent, KeySpan, KeyState, KeyVerdict, Party, party_of
from provenance.identity.did import did_key, parse_did_key
from provenance.identity.links import Documents, PartyLink, link_message, link_objections, links_of, sign_link
from provenance.identity.mandates import (
    ENDED,
    Mandate,
    Mandates,
    Revoked,
    may_speak,
    read_mandates,
    territories_of,
    works_of,
)
from provenance.identity.parties import Parties, has_changed, key_events, read_party, registration_of, verify_by

__all__ = [
    "ENDED",
    "RECOVERY",
    "Documents",
    "KeyEvent",
    "KeySpan",
    "KeyState",
    "KeyVerdict",
    "Mandate",
    "Mandates",
    "Parties",
    "Party",
    "PartyLink",
    "Revoked",
    "did_key",
    "has_changed",
    "key_events",
    "link_message",
    "link_objections",
    "links_of",
    "may_speak",
    "parse_did_key",
    "party_of",
    "read_mandates",
    "read_party",
    "registration_of",
    "sign_link",
    "territories_of",
    "verify_by",
    "works_of",
]
