"""Keys of parties: public ones as they stand in the log (JWK), and the signing key of a party as text.

::

    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    provenance-party-key:nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A

One behavior of Ed25519, that of RFC 8032 as OpenSSL has it: the equation without cofactor, S below the group order. On
top of it a public key must be a canonical point of large order, or one signature would fit many messages.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ledger.errors import InvalidSignature, MalformedError
from ledger.note import Signer

__all__ = ["EDDSA", "ES256", "KID_SIZE", "SIGNATURE_SIZE", "PartyKey", "PartySigner", "PublicKey", "RemotePartyKey"]

EDDSA = -8
"""COSE algorithm of Ed25519 (RFC 9053 §2.2)."""

ES256 = -7
"""COSE algorithm of ECDSA with P-256 and SHA-256 (RFC 9053 §2.1); here with low S only."""

SIGNATURE_SIZE = 64
"""Bytes of a signature of either algorithm: R ‖ S, or r ‖ s."""

KID_SIZE = 8
"""Bytes of a thumbprint that name a key in a statement."""

_COORDINATE = 32
_PREFIX = "provenance-party-key:"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P25519 = 2**255 - 19
_D = -121665 * pow(121666, -1, _P25519) % _P25519  # of the curve -x² + y² = 1 + d x² y² (RFC 8032 §5.1)
# y of the eight points whose order divides 8: 0, 1, -1 and the two of order 8
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({0, 1, _P25519 - 1, _Y8, _P25519 - _Y8})


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: `curve` "Ed25519" with the key in `x`, or "P-256" with the point (`x`, `y`); each of 32 bytes.

    Raises `MalformedError` unless it is a point of that curve (for Ed25519: in canonical form and not of small order).
    """

    curve: str
    x: bytes
    y: bytes = b""
    thumbprint: bytes = field(init=False, repr=False, compare=False)
    """SHA-256 of the deterministic COSE_Key (RFC 9679), 32 bytes. Its first 8 bytes are the key id of statements."""
    _point: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.curve == "Ed25519":
            point, cose = _ed25519(self.x, self.y)
        elif self.curve == "P-256":
            point, cose = _p256(self.x, self.y)
        else:
            msg = f"public key: curve {self.curve!r:.80}, want Ed25519 or P-256"
            raise MalformedError(msg)
        object.__setattr__(self, "_point", point)
        object.__setattr__(self, "thumbprint", sha256(cose).digest())

    @classmethod
    def from_ed25519(cls, raw: bytes) -> PublicKey:
        """The key with these 32 bytes (RFC 8032). Raises `MalformedError`."""
        return cls("Ed25519", raw)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> PublicKey:
        """Read a JWK (RFC 7517, RFC 8037) of exactly kty, crv, x and, for P-256, y. Raises `MalformedError`."""
        curve = jwk.get("crv")
        if curve == "Ed25519":
            _want_members(jwk, {"kty": "OKP", "crv": "Ed25519"}, {"x"})
            return cls("Ed25519", _coordinate(jwk, "x"))
        if curve == "P-256":
            _want_members(jwk, {"kty": "EC", "crv": "P-256"}, {"x", "y"})
            return cls("P-256", _coordinate(jwk, "x"), _coordinate(jwk, "y"))
        msg = f"JWK: crv {curve!r:.80}, want Ed25519 or P-256"
        raise MalformedError(msg)

    def jwk(self) -> dict[str, str]:
        """As a JWK; `PublicKey.from_jwk(key.jwk()) == key`."""
        if self.curve == "Ed25519":
            return {"kty": "OKP", "crv": "Ed25519", "x": _encode(self.x)}
        return {"kty": "EC", "crv": "P-256", "x": _encode(self.x), "y": _encode(self.y)}

    @property
    def kid(self) -> bytes:
        """What statements call this key: the first 8 bytes of its thumbprint."""
        return self.thumbprint[:KID_SIZE]

    @property
    def alg(self) -> int:
        """The one COSE algorithm that this key is used with: `EDDSA` or `ES256`."""
        return EDDSA if self.curve == "Ed25519" else ES256

    def verify(self, signature: bytes, message: bytes, alg: int) -> None:
        """Raise `InvalidSignature` unless this key signed `message` with `alg` (`EDDSA` or `ES256`).

        The key decides the algorithm: another `alg` is refused, as is an ES256 signature with high S.
        """
        if alg != self.alg:
            msg = f"signature by key {self.kid.hex()}: algorithm {alg}, want {self.alg} for a key on {self.curve}"
            raise InvalidSignature(msg)
        if len(signature) != SIGNATURE_SIZE:
            msg = f"signature by key {self.kid.hex()}: {len(signature)} bytes, want {SIGNATURE_SIZE}"
            raise InvalidSignature(msg)
        try:
            if alg == EDDSA:
                self._point.verify(signature, message)
            else:
                r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                if s > _P256_ORDER // 2:
                    msg = f"signature by key {self.kid.hex()}: s is above half the order, want low S"
                    raise InvalidSignature(msg)
                self._point.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
        except BadSignature:
            msg = f"signature by key {self.kid.hex()}: does not verify over these bytes"
            raise InvalidSignature(msg) from None


@runtime_checkable
class PartySigner(Protocol):
    """What signs statements as a party: a `PartyKey`, a `RemotePartyKey`, or whatever else reaches the key."""

    @property
    def public(self) -> PublicKey:
        """The half that verifies it."""

    @property
    def kid(self) -> bytes:
        """What statements call this key: `public.kid`."""

    def sign(self, message: bytes) -> bytes:
        """Signature over `message` by `public.alg`, 64 bytes. Raises `Unavailable` while the key cannot be reached."""


@dataclass(frozen=True, slots=True)
class RemotePartyKey:
    """A party's key that lies in a KMS, an HSM or another process: `ask` has it sign, and is the only way to it.

    `ask(message)` returns the signature of the key `public` as such services do: 64 bytes for Ed25519 (RFC 8032), DER
    for P-256 with SHA-256 (RFC 3279 §2.2.3), here brought to low S. It raises `Unavailable` while the key cannot be
    reached. What it returns is verified before anybody sees it.
    """

    public: PublicKey
    ask: Callable[[bytes], bytes] = field(repr=False)

    @classmethod
    def of(cls, log: Signer) -> RemotePartyKey:
        """The key of a log, as it signs the statements that are the log's own."""
        return cls(PublicKey.from_ed25519(log.verifier.public), log.sign_bytes)

    @property
    def kid(self) -> bytes:
        """What statements call this key."""
        return self.public.kid

    def sign(self, message: bytes) -> bytes:
        """Signature over `message`, 64 bytes. Raises `InvalidSignature` when what was returned is of another key."""
        signature = self.ask(message)
        if self.public.alg == ES256:
            signature = self._low_s(signature)
        self.public.verify(signature, message, self.public.alg)
        return signature

    def _low_s(self, signature: bytes) -> bytes:
        try:
            r, s = decode_dss_signature(signature)
        except ValueError:
            msg = f"signature by key {self.kid.hex()}: {len(signature)} bytes that are no ECDSA signature in DER"
            raise InvalidSignature(msg) from None
        if not (0 < r < _P256_ORDER and 0 < s < _P256_ORDER):
            msg = f"signature by key {self.kid.hex()}: numbers outside of the order of P-256"
            raise InvalidSignature(msg)
        return r.to_bytes(32, "big") + min(s, _P256_ORDER - s).to_bytes(32, "big")


class PartyKey:
    """An Ed25519 key that signs statements. `str(key)` is the secret; `repr(key)` does not show it."""

    __slots__ = ("_private", "_seed", "kid", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            msg = f"party key: seed of {len(seed)} bytes, want 32"
            raise MalformedError(msg)
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey.from_ed25519(self._private.public_key().public_bytes_raw())
        self.kid = self.public.kid

    @classmethod
    def generate(cls) -> PartyKey:
        """Make a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_seed(cls, seed: bytes) -> PartyKey:
        """The key with this secret seed of 32 bytes (RFC 8032 §5.1.5). Raises `MalformedError`."""
        return cls(seed)

    @classmethod
    def parse(cls, text: str) -> PartyKey:
        """Read `provenance-party-key:…`; `str(PartyKey.parse(text)) == text`.

        Raises `MalformedError`, which never repeats the secret part.
        """
        if not text.startswith(_PREFIX):
            msg = f"party key: want text that starts with {_PREFIX}"
            raise MalformedError(msg)
        return cls(_decode(text.removeprefix(_PREFIX), "party key"))

    def __str__(self) -> str:
        return _PREFIX + _encode(self._seed)

    def __repr__(self) -> str:
        return f"<PartyKey {self.kid.hex()}>"

    def __reduce__(self) -> Any:
        msg = "a party key is not pickled: pass on str(key), knowing that it is the secret"
        raise TypeError(msg)

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature over `message`, 64 bytes."""
        return self._private.sign(message)


def _ed25519(x: bytes, y: bytes) -> tuple[Ed25519PublicKey, bytes]:
    """The key, and its COSE_Key {1: 1 (OKP), -1: 6 (Ed25519), -2: x}."""
    if len(x) != _COORDINATE or y:
        msg = f"Ed25519 key: {len(x)} and {len(y)} bytes, want x of 32 bytes and no y"
        raise MalformedError(msg)
    ordinate = int.from_bytes(x, "little") & ((1 << 255) - 1)
    if ordinate >= _P25519:
        msg = "Ed25519 key: not in its canonical form"
        raise MalformedError(msg)
    if ordinate in _SMALL_ORDER:
        msg = "Ed25519 key: a point of small order, under which anybody can sign"
        raise MalformedError(msg)
    square = ordinate * ordinate
    if pow((square - 1) * (_D * square + 1), (_P25519 - 1) // 2, _P25519) != 1:
        msg = "Ed25519 key: not a point of the curve"
        raise MalformedError(msg)
    return Ed25519PublicKey.from_public_bytes(x), b"\xa3\x01\x01\x20\x06\x21\x58\x20" + x


def _p256(x: bytes, y: bytes) -> tuple[Any, bytes]:
    """The key, and its COSE_Key {1: 2 (EC2), -1: 1 (P-256), -2: x, -3: y}."""
    if len(x) != _COORDINATE or len(y) != _COORDINATE:
        msg = f"P-256 key: coordinates of {len(x)} and {len(y)} bytes, want 32 each"
        raise MalformedError(msg)
    numbers = EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), SECP256R1())
    try:
        point = numbers.public_key()
    except ValueError:
        msg = "P-256 key: not a point of the curve"
        raise MalformedError(msg) from None
    return point, b"\xa4\x01\x02\x20\x01\x21\x58\x20" + x + b"\x22\x58\x20" + y


def _want_members(jwk: Mapping[str, Any], fixed: Mapping[str, str], coordinates: set[str]) -> None:
    if set(jwk) != fixed.keys() | coordinates:
        msg = f"JWK: members {', '.join(sorted(map(str, jwk)))[:200]}, want {', '.join([*fixed, *sorted(coordinates)])}"
        raise MalformedError(msg)
    for name, want in fixed.items():
        if jwk[name] != want:
            msg = f"JWK: {name} {jwk[name]!r:.80}, want {want}"
            raise MalformedError(msg)


def _coordinate(jwk: Mapping[str, Any], name: str) -> bytes:
    return _decode(jwk[name], f"JWK {name}")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: Any, what: str) -> bytes:
    """Decode 32 bytes of unpadded base64url and refuse every second spelling (RFC 4648 §3.5). Never shows the text."""
    if type(text) is not str or len(text) != 43 or not text.isascii():
        msg = f"{what}: want 43 characters of base64url without padding"
        raise MalformedError(msg)
    try:
        raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except binascii.Error:
        msg = f"{what}: not base64url"
        raise MalformedError(msg) from None
    if _encode(raw) != text:
        msg = f"{what}: base64url is not in its one canonical form"
        raise MalformedError(msg)
    return raw
