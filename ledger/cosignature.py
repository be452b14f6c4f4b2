r"""Cosignatures: that somebody else saw this checkpoint, and when (c2sp.org/tlog-cosignature).

Two kinds. Each has keys of its own, and a signature line of a note carries the time in seconds before the signature::

    type 0x04, Ed25519   "cosignature/v1\ntime 1679315147\n" ‖ the text of the note, its extensions included
    type 0x06, ML-DSA-44 "subtree/v1\n\0" ‖ len cosigner ‖ u64 time ‖ len origin ‖ u64 start ‖ u64 end ‖ hash

The second is also how a log signs its own checkpoints against the day when Ed25519 falls. It signs no extension lines,
and a part of a tree that does not begin at 0 is signed without a time.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519

from ledger.checkpoint import MAX_TREE_SIZE, Checkpoint
from ledger.errors import InvalidSignature, MalformedError, UnknownKey
from ledger.merkle import HASH_SIZE
from ledger.note import Signature, check_name, decode_base64, shown
from ledger.subtree import check_part

mldsa: Any
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # before cryptography 47
    mldsa = None

__all__ = [
    "ED25519",
    "MAX_TIME",
    "ML_DSA_44",
    "Cosigner",
    "CosignerKey",
    "Signs",
    "has_ml_dsa",
    "subtree_message",
    "v1_message",
]

ED25519 = 0x04
"""Type byte of Ed25519 cosignatures."""

ML_DSA_44 = 0x06
"""Type byte of ML-DSA-44 (FIPS 204) cosignatures over checkpoints and parts of trees."""

MAX_TIME = 2**63 - 1
"""Latest time of a cosignature, in seconds since 1970."""

_PUBLIC = {ED25519: 32, ML_DSA_44: 1312}
_SIGNED = {ED25519: 64, ML_DSA_44: 2420}
_WORDS = {ED25519: "Ed25519", ML_DSA_44: "ML-DSA-44"}
_TIME = 8
_SEED = 32
_MOST_NAME = 255  # bytes: a length of one byte is signed


@runtime_checkable
class Signs(Protocol):
    """What signs checkpoints with a key of its own: a `Cosigner`, or one whose key lies in a KMS or HSM."""

    @property
    def verifier(self) -> CosignerKey:
        """The key that verifies it."""

    def sign(self, checkpoint: Checkpoint, *, time: int) -> Signature:
        """Sign a checkpoint as seen at `time`, in seconds since 1970. Raises `MalformedError`, `Unavailable`."""


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A key that verifies cosignatures, written as a vkey: `NAME+KEYID+BASE64`.

    `type` is `ED25519` or `ML_DSA_44`, `public` the raw key of 32 or 1312 bytes. Raises `MalformedError`.
    """

    name: str
    type: int
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.type not in _PUBLIC:
            msg = f"cosigner key {shown(self.name)}: type 0x{self.type:02x}, want 0x04 or 0x06"
            raise MalformedError(msg)
        if len(self.public) != _PUBLIC[self.type]:
            msg = f"cosigner key {shown(self.name)}: {len(self.public)} bytes, want {_PUBLIC[self.type]}"
            raise MalformedError(msg)
        if self.type == ML_DSA_44:
            _check_length(self.name, "cosigner name")

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key)."""
        return _key_id(self.name, self.type, self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes((self.type,)) + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> CosignerKey:
        """Read a vkey of type 0x04 or 0x06. Raises `MalformedError`, also when its key ID is not that of its key."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            msg = f"cosigner key {shown(text)}: want NAME+KEYID+BASE64"
            raise MalformedError(msg)
        name, key_id, encoded = parts
        raw = decode_base64(encoded, f"cosigner key {shown(name)}")
        key = cls(name, raw[0] if raw else 0, raw[1:])
        if key_id != key.key_id.hex():
            msg = f"cosigner key {shown(name)}: key id {key_id[:16]!r}, want {key.key_id.hex()} for this name and key"
            raise MalformedError(msg)
        return key

    def verify(self, checkpoint: Checkpoint, signature: Signature) -> int:
        """The time (seconds since 1970) at which this key's holder saw the checkpoint.

        Raises `UnknownKey` when the line names another key, `InvalidSignature` when it does not sign this checkpoint,
        has another length, or a time that cannot be.
        """
        if (signature.name, signature.key_id) != (self.name, self.key_id):
            theirs = f"{shown(signature.name)} {signature.key_id.hex()}"
            msg = f"cosignature by {theirs}: this key is {shown(self.name)} {self.key_id.hex()}"
            raise UnknownKey(msg)
        time, raw = _split(signature, _SIGNED[self.type])
        self._verify(_message(self, checkpoint, time), raw)
        return time

    def verify_subtree(self, origin: str, *, start: int, end: int, hash: bytes, signature: bytes) -> None:  # noqa: A002
        """Raise `InvalidSignature` unless this ML-DSA-44 key signed the part `[start, end)` of the tree of `origin`.

        `signature` is the 8 bytes of a time, which is 0 for a part that does not begin at 0, and 2,420 bytes. Raises
        `ProofMismatch` for a part that no tree is made of.
        """
        check_part(start, end)
        if self.type != ML_DSA_44:
            msg = f"cosigner key {shown(self.name)}: is {_WORDS[self.type]}, want ML-DSA-44 for a part of a tree"
            raise InvalidSignature(msg)
        time, raw = _split(Signature(self.name, self.key_id, signature), _SIGNED[self.type])
        self._verify(subtree_message(self.name, origin, time=time, start=start, end=end, hash=hash), raw)

    def _verify(self, message: bytes, raw: bytes) -> None:
        try:
            _public(self).verify(raw, message)
        except BadSignature:
            msg = f"cosignature by {shown(self.name)} {self.key_id.hex()}: does not verify over this checkpoint"
            raise InvalidSignature(msg) from None


class Cosigner:
    """A key that cosigns. `str(key)` is the secret, `PRIVATE+KEY+NAME+KEYID+BASE64`; `repr(key)` does not show it."""

    __slots__ = ("_private", "_seed", "verifier")

    def __init__(self, name: str, type: int, seed: bytes) -> None:  # noqa: A002 - as in the format
        if len(seed) != _SEED:
            msg = f"cosigner {shown(name)}: seed of {len(seed)} bytes, want {_SEED}"
            raise MalformedError(msg)
        if type not in _PUBLIC:
            msg = f"cosigner {shown(name)}: type 0x{type:02x}, want 0x04 or 0x06"
            raise MalformedError(msg)
        self._seed = seed
        self._private = _private(type, seed)
        self.verifier = CosignerKey(name, type, self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str, type: int = ED25519) -> Cosigner:  # noqa: A002 - as in the format
        """Make a new key with this name from the system's randomness."""
        return cls(name, type, ed25519.Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Cosigner:
        """Read `str(key)`. Raises `MalformedError`, which never repeats the secret part."""
        parts = text.split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            msg = "cosigner: want PRIVATE+KEY+NAME+KEYID+BASE64"
            raise MalformedError(msg)
        _, _, name, key_id, encoded = parts
        raw = decode_base64(encoded, f"cosigner {shown(name)}")
        key = cls(name, raw[0] if raw else 0, raw[1:])
        if key_id != key.verifier.key_id.hex():
            msg = f"cosigner {shown(name)}: key id {key_id[:16]!r}, want {key.verifier.key_id.hex()}"
            raise MalformedError(msg)
        return key

    def __str__(self) -> str:
        key = self.verifier
        return f"PRIVATE+KEY+{key.name}+{key.key_id.hex()}+{base64.b64encode(bytes((key.type,)) + self._seed).decode()}"

    def __repr__(self) -> str:
        return f"<Cosigner {self.verifier.name} {self.verifier.key_id.hex()}>"

    def __reduce__(self) -> Any:
        msg = "a cosigner is not pickled: pass on str(key), knowing that it is the secret"
        raise TypeError(msg)

    def sign(self, checkpoint: Checkpoint, *, time: int) -> Signature:
        """Sign a checkpoint as seen at `time`, in seconds since 1970, 1 or later.

        Raises `MalformedError`, for ML-DSA-44 also where the checkpoint has extension lines, which it would not cover.
        """
        if not 0 < time <= MAX_TIME:
            msg = f"cosignature: time {time}, want seconds since 1970, from 1 to 2^63 - 1"
            raise MalformedError(msg)
        key = self.verifier
        raw = self._private.sign(_message(key, checkpoint, time))
        return Signature(key.name, key.key_id, time.to_bytes(_TIME, "big") + raw)

    def sign_subtree(self, origin: str, *, start: int, end: int, hash: bytes) -> bytes:  # noqa: A002 - the format's word
        """Sign the part `[start, end)` of the tree of `origin` without a time; what `verify_subtree` takes.

        Raises `ProofMismatch` for a part that no tree is made of.
        """
        check_part(start, end)
        key = self.verifier
        if key.type != ML_DSA_44:
            msg = f"cosigner {shown(key.name)}: is {_WORDS[key.type]}, want ML-DSA-44 for a part of a tree"
            raise MalformedError(msg)
        message = subtree_message(key.name, origin, time=0, start=start, end=end, hash=hash)
        return bytes(_TIME) + bytes(self._private.sign(message))


def has_ml_dsa() -> bool:
    """Whether the installed `cryptography` has ML-DSA-44."""
    if mldsa is None:
        return False
    try:
        mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(_SEED))
    except UnsupportedAlgorithm:
        return False
    return True


def v1_message(text: str, *, time: int) -> bytes:
    """What an Ed25519 cosigner signs about the text of a note, its final newline included."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def subtree_message(cosigner: str, origin: str, *, time: int, start: int, end: int, hash: bytes) -> bytes:  # noqa: A002
    """What an ML-DSA-44 cosigner signs: the part `[start, end)` of a tree; a checkpoint is `[0, size)`.

    Raises `MalformedError` for a name or origin of more than 255 bytes, a part that is none, a hash of another length,
    or a time for a part that does not begin at 0.
    """
    if not 0 <= start <= end <= MAX_TREE_SIZE:
        msg = f"subtree [{start}, {end}): want 0 <= start <= end < 2^63"
        raise MalformedError(msg)
    if start and time:
        msg = f"subtree [{start}, {end}): time {time}, want 0 for a part that does not begin at 0"
        raise MalformedError(msg)
    if len(hash) != HASH_SIZE:
        msg = f"subtree [{start}, {end}): hash of {len(hash)} bytes, want {HASH_SIZE}"
        raise MalformedError(msg)
    if not 0 <= time <= MAX_TIME:
        msg = f"subtree [{start}, {end}): time {time}, want 0 to 2^63 - 1"
        raise MalformedError(msg)
    name, log = _check_length(cosigner, "cosigner name"), _check_length(origin, "origin")
    numbers = (time.to_bytes(8, "big"), start.to_bytes(8, "big"), end.to_bytes(8, "big"))
    head = b"subtree/v1\n\0" + bytes((len(name),)) + name + numbers[0]
    return head + bytes((len(log),)) + log + numbers[1] + numbers[2] + hash


def _message(key: CosignerKey, checkpoint: Checkpoint, time: int) -> bytes:
    if key.type == ED25519:
        return v1_message(str(checkpoint), time=time)
    if checkpoint.extensions:
        msg = f"checkpoint of {shown(checkpoint.origin)}: has extension lines, which no ML-DSA-44 signature covers"
        raise MalformedError(msg)
    return subtree_message(key.name, checkpoint.origin, time=time, start=0, end=checkpoint.size, hash=checkpoint.root)


def _split(signature: Signature, size: int) -> tuple[int, bytes]:
    raw = signature.value
    if len(raw) != _TIME + size:
        msg = f"cosignature by {shown(signature.name)}: {len(raw)} bytes, want {_TIME} of a time and {size}"
        raise InvalidSignature(msg)
    time = int.from_bytes(raw[:_TIME], "big")
    if time > MAX_TIME:
        msg = f"cosignature by {shown(signature.name)}: time {time}, want at most 2^63 - 1"
        raise InvalidSignature(msg)
    return time, raw[_TIME:]


def _check_length(text: str, what: str) -> bytes:
    raw = text.encode()
    if not raw or len(raw) > _MOST_NAME:
        msg = f"{what} {shown(text)}: {len(raw)} bytes, want 1 to {_MOST_NAME}"
        raise MalformedError(msg)
    return raw


def _private(type_: int, seed: bytes) -> Any:
    if type_ == ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    _need_ml_dsa()
    return mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)


@lru_cache(maxsize=256)
def _key_id(name: str, type_: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes((type_,)) + public).digest()[:4]


@lru_cache(maxsize=256)
def _public(key: CosignerKey) -> Any:
    if key.type == ED25519:
        return ed25519.Ed25519PublicKey.from_public_bytes(key.public)
    _need_ml_dsa()
    return mldsa.MLDSA44PublicKey.from_public_bytes(key.public)


def _need_ml_dsa() -> None:
    if not has_ml_dsa():
        msg = "ML-DSA-44: the installed `cryptography` has no such keys; install 47 or later, built with ML-DSA"
        raise UnknownKey(msg)
