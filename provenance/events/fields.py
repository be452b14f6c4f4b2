"""Types of the single fields, each with one JSON type for ever.

No field takes free text: what a person might write goes to the vault, or it could never be erased. So every type here
is a digest, a number, a time, a name from a table, or a short token without `@` and without anything that reads as an
IP address (rule G5).
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Annotated
from unicodedata import category

from pydantic import AfterValidator, Field

from ledger.policy import parse_log_key
from provenance.canonical import MAX_INTEGER
from provenance.statement import TYPE, check_origin

__all__ = [
    "Action",
    "Actor",
    "Amount",
    "Count",
    "Currency",
    "Digest",
    "EventType",
    "ExternalId",
    "Hex",
    "Index",
    "License",
    "ManifestLabel",
    "MediaType",
    "Natural",
    "Number",
    "Origin",
    "Rate",
    "Seconds",
    "Signature",
    "SignedAmount",
    "Size",
    "Term",
    "Territory",
    "Time",
    "Token",
    "Units",
    "Version",
    "Vkey",
]


def _time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


@lru_cache(maxsize=4096)
def _impersonal(text: str) -> str:
    for found in _LIKE_ADDRESS.finditer(text):
        try:
            ip_address(found[0].rstrip("."))
        except ValueError:
            continue
        msg = "looks like an IP address, and personal data goes to the vault"
        raise ValueError(msg)
    return text


@lru_cache(maxsize=1024)
def _origin(text: str) -> str:
    check_origin(text)
    if any(category(ch) in {"Cf", "Cc", "Co", "Cn"} for ch in text):
        msg = "a character that does not show, by which a name can look like another"
        raise ValueError(msg)
    return text


def _vkey(text: str) -> str:
    _origin(parse_log_key(text).name)
    return text


@lru_cache(maxsize=1024)
def _license(text: str) -> str:
    rest, before = text, ""
    while "()" not in text and rest != before:
        # What stands in the innermost parentheses becomes `()`, until none hold anything.
        rest, before = _IN_PARENTHESES.sub("()", rest), rest
    if not _EXPRESSION.fullmatch(rest) or "()" in text:
        msg = "no SPDX license expression: want identifiers joined by ' AND ', ' OR ' or ' WITH ', or a LicenseRef-…"
        raise ValueError(msg)
    return text


_LIKE_ADDRESS = re.compile(
    r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])"
    r"|(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*"
)

# SPDX 3.0.1, annex B, with single spaces and operators in capitals. No text matches in two ways: each attempt is short.
_IDENTIFIER = (
    r"(?!(?:AND|OR|WITH)(?![A-Za-z0-9.+-]))"
    r"(?:DocumentRef-[A-Za-z0-9.-]+:LicenseRef-[A-Za-z0-9.-]+|[A-Za-z0-9][A-Za-z0-9.-]*\+?)"
)
_OPERAND = rf"(?:\(\)|{_IDENTIFIER}(?: WITH {_IDENTIFIER})?)"
_EXPRESSION = re.compile(rf"{_OPERAND}(?: (?:AND|OR) {_OPERAND})*")
_IN_PARENTHESES = re.compile(rf"\({_EXPRESSION.pattern}\)")

_Impersonal = AfterValidator(_impersonal)

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in lower-case hex: an event id, an address, a SHA-256 digest."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64,128}$")]
"""A digest of any algorithm in lower-case hex, as long as that makes it."""

Origin = Annotated[str, AfterValidator(_origin)]
"""Name of a log: market.example/log."""

Action = Annotated[str, Field(pattern=rf"^({TYPE}|[a-z][a-z0-9-]{{0,31}}\.\*|\*)$")]
"""What a mandate is for: a type of event, a family of them, or `*` for all: offer.attach, offer.*"""

Actor = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|self)$")]
"""Who says it: a party id, or `self` where the event is the registration of its own signer."""

EventType = Annotated[str, Field(pattern=f"^{TYPE}$")]
"""Name of an event type, known or not: work.create."""

Time = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(_time),
]
"""RFC 3339, UTC, whole seconds: 2026-11-23T07:15:00Z."""

ONE_WORD = r"^[A-Za-z0-9][A-Za-z0-9._:+/()-]{0,99}$"

Term = Annotated[str, Field(pattern=ONE_WORD), _Impersonal]
"""One word of some vocabulary: claimSignature.validated."""

Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:+/() -]{0,199}$"), _Impersonal]
"""A short name of something that is not a person: Adobe Photoshop."""

Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
"""Version of a program: 25.0.0.37. Four numbers with dots are no IP address here."""

ExternalId = Annotated[str, Field(pattern=r"^[!-?A-~]{1,500}$"), _Impersonal]
"""Id under some outside scheme, printable ASCII without space and `@`: 10.1000/182."""

MediaType = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$"), _Impersonal
]
"""Media type (RFC 6838 §4.2) in lower case, without parameters: image/jpeg."""

License = Annotated[str, Field(pattern=r"^[A-Za-z0-9.+:() -]{1,500}$"), AfterValidator(_license), _Impersonal]
"""SPDX license expression: CC-BY-4.0, (MIT OR Apache-2.0), LicenseRef-house-terms."""

ManifestLabel = Annotated[str, Field(pattern=r"^urn:c2pa:[A-Za-z0-9._:/-]{1,200}$"), _Impersonal]
"""Label of a C2PA manifest: urn:c2pa:3f0a6d0e-4d8f-4c35-8f0c-2f4b6a1f7f10."""

Vkey = Annotated[str, Field(max_length=2500), AfterValidator(_vkey)]
"""Verifier key of a log (c2sp.org/signed-note; ML-DSA-44: c2sp.org/tlog-cosignature):
example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k."""

Amount = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,29})$")]
"""Money in minor units, as a decimal string without leading zeros: "1250" is 12.50 EUR."""

SignedAmount = Annotated[str, Field(pattern=r"^(0|-?[1-9][0-9]{0,29})$")]
"""Money in minor units that may be owed back, as a decimal string: "-1250" is a refund of 12.50 EUR."""

Number = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,29}$")]
"""A whole number above zero as a decimal string, half of a fraction: "107"."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 4217 alphabetic code: EUR."""

Rate = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,7}|100000000)$")]
"""Share in units of 10^-8, as a decimal string: "5000000" is 5 %, "100000000" is all."""

Units = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,7}|100000000)$")]
"""Shares of a work, at least one of 100,000,000, as a decimal string: "25000000" is a quarter."""

Territory = Annotated[str, Field(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?|[0-9]{3})$")]
"""ISO 3166 country or subdivision, or UN M49 area: DE, US-CA, 150."""

Signature = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{85}[AQgw]$")]
"""64 bytes of an Ed25519 or ECDSA P-256 signature, base64url without padding."""

Size = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
"""Bytes."""

Seconds = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
"""A duration in seconds."""

Count = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
"""How many, at least one."""

Natural = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
"""How many, perhaps none."""

Index = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
"""Place of an entry in the log, from 0."""
