"""Keys that outside identifiers stand for: `did:key`, the document of a `did:web`, an X.509 certificate.

Nothing is fetched: documents and certificates come as bytes from whoever has them, and are checked against the digest
that was pinned when they were used.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.errors import MalformedError
from provenance.keys import PublicKey

__all__ = ["did_key", "keys_of_certificate", "keys_of_document", "parse_did_key", "parse_multikey"]

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519 = b"\xed\x01"  # multicodec 0xed as an unsigned varint
_P256 = b"\x80\x24"  # multicodec 0x1200
_LONGEST_KEY = 200  # characters
_LARGEST = 65_536  # bytes of a document or certificate
_PREFIX = "did:key:"


def parse_did_key(did: str) -> PublicKey:
    """The key of a `did:key` (W3C CCG did:key v0.9): Ed25519, or P-256 as a compressed point. Raises `MalformedError`.

    ::

        did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK
    """
    if not did.startswith(_PREFIX):
        msg = f"did:key {did[:80]!r}: want {_PREFIX} and a multibase key"
        raise MalformedError(msg)
    return parse_multikey(did.removeprefix(_PREFIX))


def did_key(key: PublicKey) -> str:
    """As a `did:key`; `parse_did_key(did_key(key)) == key`."""
    raw = _ED25519 + key.x if key.curve == "Ed25519" else _P256 + bytes((2 + (key.y[-1] & 1),)) + key.x
    return f"{_PREFIX}z{_to_base58(raw)}"


def parse_multikey(text: str) -> PublicKey:
    """A key as base58btc multibase of multicodec (W3C Controlled Identifiers v1.0 §2.2.2). Raises `MalformedError`."""
    if not text.startswith("z") or len(text) > _LONGEST_KEY:
        msg = f"multikey {text[:80]!r}: want base58btc, which begins with z, of at most {_LONGEST_KEY} characters"
        raise MalformedError(msg)
    raw = _from_base58(text[1:])
    codec, point = raw[:2], raw[2:]
    if codec == _ED25519:
        return PublicKey.from_ed25519(point)
    if codec != _P256:
        msg = f"multikey: codec {codec.hex() or 'none'}, want {_ED25519.hex()} (Ed25519) or {_P256.hex()} (P-256)"
        raise MalformedError(msg)
    if len(point) != 33:
        msg = f"multikey: P-256 key of {len(point)} bytes, want a compressed point of 33"
        raise MalformedError(msg)
    try:
        numbers = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point).public_numbers()
    except ValueError:
        msg = "multikey: not a point of P-256"
        raise MalformedError(msg) from None
    return PublicKey("P-256", numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))


def keys_of_document(document: bytes, did: str) -> list[PublicKey]:
    """The Ed25519 and P-256 keys in the verification methods of a DID document (W3C DID Core §5.2), in its order.

    The document must be about `did`. Keys of other kinds are passed over. Raises `MalformedError`.
    """
    try:
        value: Any = orjson.loads(document) if len(document) <= _LARGEST else None
    except orjson.JSONDecodeError:
        value = None
    methods = value.get("verificationMethod") if isinstance(value, dict) else None
    if not isinstance(methods, list) or value.get("id") != did:
        msg = f"document of {did[:80]}: want a JSON object of at most {_LARGEST} bytes with this id and its keys"
        raise MalformedError(msg)
    found = []
    for method in methods:
        if not isinstance(method, dict):
            continue
        try:
            if isinstance(method.get("publicKeyMultibase"), str):
                found.append(parse_multikey(method["publicKeyMultibase"]))
            elif isinstance(method.get("publicKeyJwk"), dict):
                jwk = method["publicKeyJwk"]
                found.append(PublicKey.from_jwk({name: jwk[name] for name in ("kty", "crv", "x", "y") if name in jwk}))
        except MalformedError:
            continue
    return found


def keys_of_certificate(der: bytes, fingerprint: str) -> list[PublicKey]:
    """The key of an X.509 certificate (RFC 5280) in DER, whose SHA-256 must be `fingerprint` (64 hex digits).

    Empty when it is neither Ed25519 nor P-256. Whether the certificate is trusted, or was revoked, is another
    question. Raises `MalformedError`.
    """
    if len(der) > _LARGEST or sha256(der).hexdigest() != fingerprint:
        msg = f"certificate: SHA-256 is {sha256(der).hexdigest()}, want {fingerprint[:64]}"
        raise MalformedError(msg)
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except ValueError as error:
        msg = f"certificate {fingerprint}: cannot be read: {error!s:.200}"
        raise MalformedError(msg) from error
    if isinstance(key, Ed25519PublicKey):
        return [PublicKey.from_ed25519(key.public_bytes_raw())]
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        numbers = key.public_numbers()
        return [PublicKey("P-256", numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))]
    return []


def _from_base58(text: str) -> bytes:
    number = 0
    for character in text:
        digit = _BASE58.find(character)
        if digit < 0:
            msg = f"base58: {character!r} is none of its 58 characters"
            raise MalformedError(msg)
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _to_base58(raw: bytes) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text
