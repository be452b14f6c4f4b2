"""The log entry: a signed hash envelope over an event id.

A COSE_Sign1 (RFC 9052, tag 18) in deterministic CBOR (RFC 8949 §4.2.1). It is a hash envelope (RFC 9995), and thereby a
signed statement of SCITT (RFC 9943)::

    18([<<{ 1: -8,                                algorithm: -8 EdDSA, -7 ES256 with low S
            4: h'f1d2…8 bytes',                   key id: start of the key's RFC 9679 thumbprint
           15: {1: "4be0…64 hex digits",          issuer: party id; of log.* the genesis event
                2: "work.create",                 event type
                3: "market.example/log",          origin of the one log it is for
                "sealed": true},                  only where the event is sealed, else absent
          258: -16,                               the payload is a SHA-256 digest …
          259: "application/json" }>>,            … of this media type
        {}, h'…32 bytes event id', h'…64 bytes signature'])

One statement has one encoding: the parser encodes again what it read, and refuses any difference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ledger.errors import MalformedError, UnknownKey
from ledger.note import check_name
from provenance.keys import EDDSA, ES256, KID_SIZE, SIGNATURE_SIZE, PartySigner, PublicKey

__all__ = ["MAX_ORIGIN", "MAX_SIZE", "TYPE", "Headers", "Statement", "check_origin", "sign_statement"]

MAX_SIZE = 4096
"""Most bytes of a statement that is read. Ours have 200 to 300."""

MAX_ORIGIN = 255
"""Most bytes of a log's origin (its length is one byte in what c2sp.org/tlog-cosignature has cosigners sign)."""

TYPE = r"[a-z][a-z0-9-]{0,31}(\.[a-z][a-z0-9-]{0,31}){1,3}"
"""What the name of an event type looks like, whether this version knows it or not: work.create."""

_TYPE = re.compile(TYPE)
_PARTY = re.compile(r"[0-9a-f]{64}")

# The parts of the encoding that never change, in their order
_COSE_SIGN1 = b"\xd2\x84"  # tag 18, array of 4
_ALG = {EDDSA: b"\xa5\x01\x27", ES256: b"\xa5\x01\x26"}  # map of 5, 1: alg
_KID = b"\x04\x48"  # 4: bytes of 8
_CLAIMS = {False: b"\x0f\xa3", True: b"\x0f\xa4"}  # 15: map of 3 or 4
_ISSUER = b"\x01\x78\x40"  # 1: text of 64
_SUBJECT = b"\x02"
_AUDIENCE = b"\x03"
_SEALED = {False: b"", True: b"\x66sealed\xf5"}  # "sealed": true
_ENVELOPE = b"\x19\x01\x02\x2f\x19\x01\x03\x70application/json"  # 258: -16, 259: "application/json"
_UNPROTECTED_PAYLOAD = b"\xa0\x58\x20"  # empty map, bytes of 32
_SIGNATURE = b"\x58\x40"  # bytes of 64
_REST = len(_UNPROTECTED_PAYLOAD) + 32 + len(_SIGNATURE) + SIGNATURE_SIZE
_MAX_HEADERS = 16_384  # about 10 MB
_SIG_STRUCTURE = b"\x84\x6aSignature1"  # array of 4, context (RFC 9052 §4.4)
_NO_AAD_PAYLOAD = b"\x40\x58\x20"  # empty bytes, bytes of 32


@dataclass(frozen=True, slots=True)
class Statement:
    """That `issuer` says the event with this id, of this type, in the log `origin`. To be believed after `verify`.

    Raises `MalformedError` where a field is not what the format says.
    """

    alg: int
    kid: bytes
    issuer: str
    type: str
    origin: str
    sealed: bool
    event_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _check(self.alg, self.kid, self.issuer, self.event_id)
        if len(self.signature) != SIGNATURE_SIZE:
            msg = f"statement: signature of {len(self.signature)} bytes, want {SIGNATURE_SIZE}"
            raise MalformedError(msg)
        _encode_claims(self.type, self.origin, self.sealed)

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """Read a statement; `bytes(Statement.parse(data)) == data`. Raises `MalformedError`. Verifies nothing."""
        if len(data) > MAX_SIZE:
            msg = f"statement: {len(data)} bytes, want at most {MAX_SIZE}"
            raise MalformedError(msg)
        # Places are taken for granted here, because encoding again finds whatever is not as it should be.
        at = 4 if data[2:3] == b"\x58" else 5
        alg = EDDSA if data[at + 2 : at + 3] == b"\x27" else ES256
        kid = data[at + 5 : at + 13]
        sealed = data[at + 14 : at + 15] == b"\xa4"
        issuer = data[at + 18 : at + 82].decode("latin-1")
        type_, at = _read_text(data, at + 83, "type")
        origin, at = _read_text(data, at + 1, "origin")
        at += len(_SEALED[sealed]) + len(_ENVELOPE) + len(_UNPROTECTED_PAYLOAD)
        event_id, at = data[at : at + 32], at + 32 + len(_SIGNATURE)
        statement = cls(alg, kid, issuer, type_, origin, sealed, event_id, data[at : at + SIGNATURE_SIZE])
        again = bytes(statement)
        if again != data:
            first = next((i for i, (got, want) in enumerate(zip(data, again, strict=False)) if got != want), len(again))
            msg = f"statement: not the one encoding of what it says from byte {first}, {len(data)} bytes in all"
            raise MalformedError(msg)
        return statement

    def __bytes__(self) -> bytes:
        protected = _encode_protected(self.alg, self.kid, self.issuer, self.type, self.origin, self.sealed)
        return _join(protected, self.event_id, self.signature)

    @property
    def message(self) -> bytes:
        """The bytes that are signed: the Sig_structure of RFC 9052 §4.4."""
        protected = _encode_protected(self.alg, self.kid, self.issuer, self.type, self.origin, self.sealed)
        return _sig_structure(protected, self.event_id)

    def verify(self, key: PublicKey) -> None:
        """Raise `UnknownKey` when another key is named, `InvalidSignature` unless `key` signed this statement.

        Whether `key` was the issuer's at this place in the log is another question: see `provenance.identity`.
        """
        if self.kid != key.kid:
            msg = f"statement of {self.issuer}: signed by key {self.kid.hex()}, this key is {key.kid.hex()}"
            raise UnknownKey(msg)
        key.verify(self.signature, self.message, self.alg)


class Headers:
    """Reads the statements of a whole log, where few protected headers come again and again: each is read once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Statement] = {}

    def read(self, data: bytes) -> tuple[Statement, bytes]:
        """A statement with the same protected header as `data`, and the event id of `data`.

        Raises `MalformedError` where `Statement.parse` does. What follows the header has a fixed length and form, and
        the header says its own length: a known header with such a rest is the one encoding of what it says.
        """
        header, rest = data[:-_REST], data[-_REST:]
        known = self._known.get(header)
        if known is None or rest[:3] != _UNPROTECTED_PAYLOAD or rest[35:37] != _SIGNATURE:
            known = Statement.parse(data)
            if len(self._known) >= _MAX_HEADERS:
                self._known.clear()
            self._known[header] = known
        return known, rest[3:35]


def sign_statement(
    key: PartySigner,
    *,
    issuer: str,
    type: str,  # noqa: A002 - the field's name in the event
    origin: str,
    event_id: bytes,
    sealed: bool = False,
) -> bytes:
    """Sign an event id (32 bytes) and return the statement's bytes: the log entry.

    `issuer` is a party id in 64 hex digits: in a self-registration and genesis the event's own id, in other log.*
    events that of the genesis event. Raises `MalformedError` where an argument is not what the format says.
    """
    alg = key.public.alg
    _check(alg, key.kid, issuer, event_id)
    protected = _encode_protected(alg, key.kid, issuer, type, origin, sealed)
    return _join(protected, event_id, key.sign(_sig_structure(protected, event_id)))


@lru_cache(maxsize=1024)
def check_origin(origin: str) -> str:
    """Return `origin`, or raise `MalformedError` unless a log can have this name and checkpoints can carry it."""
    check_name(origin)
    size = len(origin.encode())
    if size > MAX_ORIGIN:
        msg = f"origin {origin[:80]!r}: {size} bytes, want at most {MAX_ORIGIN}"
        raise MalformedError(msg)
    return origin


def _check(alg: int, kid: bytes, issuer: str, event_id: bytes) -> None:
    if alg not in _ALG:
        msg = f"statement: algorithm {alg}, want {EDDSA} or {ES256}"
        raise MalformedError(msg)
    if len(kid) != KID_SIZE:
        msg = f"statement: key id of {len(kid)} bytes, want {KID_SIZE}"
        raise MalformedError(msg)
    if not _PARTY.fullmatch(issuer):
        msg = "statement: issuer is not 64 lower-case hex digits"
        raise MalformedError(msg)
    if len(event_id) != 32:
        msg = f"statement: event id of {len(event_id)} bytes, want 32"
        raise MalformedError(msg)


def _encode_protected(alg: int, kid: bytes, issuer: str, type_: str, origin: str, sealed: bool) -> bytes:
    """The protected header, with the head of the byte string that it stands in."""
    claims = _encode_claims(type_, origin, sealed)
    header = b"".join((_ALG[alg], _KID, kid, _CLAIMS[sealed], _ISSUER, issuer.encode("ascii"), claims))
    return _head(0x40, len(header)) + header


@lru_cache(maxsize=1024)
def _encode_claims(type_: str, origin: str, sealed: bool) -> bytes:
    """The header from behind the issuer to its end. A log has few types and one origin: these are kept."""
    if not _TYPE.fullmatch(type_):
        msg = f"statement: type {type_[:80]!r}, want lower-case words joined by dots"
        raise MalformedError(msg)
    check_origin(origin)
    return b"".join((_SUBJECT, _text(type_), _AUDIENCE, _text(origin), _SEALED[sealed], _ENVELOPE))


def _join(protected: bytes, event_id: bytes, signature: bytes) -> bytes:
    return b"".join((_COSE_SIGN1, protected, _UNPROTECTED_PAYLOAD, event_id, _SIGNATURE, signature))


def _sig_structure(protected: bytes, event_id: bytes) -> bytes:
    return b"".join((_SIG_STRUCTURE, protected, _NO_AAD_PAYLOAD, event_id))


def _text(text: str) -> bytes:
    raw = text.encode()
    return _head(0x60, len(raw)) + raw


def _head(major: int, length: int) -> bytes:
    """Shortest head of a CBOR string of `length` bytes, which here are at most some hundreds."""
    if length < 24:
        return bytes((major | length,))
    if length < 256:
        return bytes((major | 24, length))
    return bytes((major | 25,)) + length.to_bytes(2, "big")


def _read_text(data: bytes, at: int, what: str) -> tuple[str, int]:
    """A text of up to 255 bytes at `at`, and where it ends."""
    head = data[at : at + 2]
    if len(head) < 2:
        msg = f"statement: ends at byte {len(data)}, before its {what}"
        raise MalformedError(msg)
    length, at = (head[1], at + 2) if head[0] == 0x78 else (head[0] & 0x1F, at + 1)
    try:
        return data[at : at + length].decode(), at + length
    except UnicodeDecodeError as error:
        msg = f"statement: {what} is not UTF-8 at byte {at + error.start}"
        raise MalformedError(msg) from error
