"""Signed notes: text that one or more keys signed (c2sp.org/signed-note).

A note is UTF-8 text that ends in a newline, an empty line, and one line for each signature::

    — example.com/foo Uw2Qw…base64 of (4-byte key ID ‖ signature)

Keys are text that one can paste. A verifier key ("vkey") is `NAME+HEX KEY ID+BASE64`, a signing key
`PRIVATE+KEY+NAME+HEX KEY ID+BASE64`, both with a type byte in front of the key; type 1 is Ed25519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.errors import InvalidSignature, MalformedError, UnknownKey

__all__ = [
    "MAX_NOTE",
    "MAX_SIGNATURES",
    "Note",
    "RemoteKey",
    "Signature",
    "Signer",
    "SigningKey",
    "VerifierKey",
    "open_note",
    "sign_note",
]

MAX_NOTE = 1_000_000
"""Bytes of the longest note that is read."""

MAX_SIGNATURES = 100
"""Most signature lines that are read: the specification asks for at least 16, Go's implementation stops at 100."""

_ED25519 = b"\x01"
_PREFIX = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_CONTROLS = bytes(set(range(0x20)) - {0x0A})


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the name and 4-byte key ID it claims, and the bytes after the key ID. Not yet verified."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_PREFIX}{self.name} {base64.b64encode(self.key_id + self.value).decode()}"

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Read one signature line, without its newline. Raises `MalformedError`."""
        name, space, encoded = line.removeprefix(_PREFIX).partition(" ")
        if not line.startswith(_PREFIX) or not space:
            msg = f"signature line {line[:40]!r}: want '— NAME BASE64'"
            raise MalformedError(msg)
        check_name(name)
        raw = decode_base64(encoded, f"signature of {shown(name)}")
        if len(raw) < 5:
            msg = f"signature of {shown(name)}: {len(raw)} bytes, want a 4-byte key id and a signature"
            raise MalformedError(msg)
        return cls(name, raw[:4], raw[4:])


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note. Nothing in it is verified: `open_note` does that."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note; `bytes(Note.parse(data)) == data` for all that is accepted. Raises `MalformedError`."""
        if len(data) > MAX_NOTE:
            msg = f"note: {len(data)} bytes, want at most {MAX_NOTE}"
            raise MalformedError(msg)
        try:
            decoded = data.decode("utf-8")
        except UnicodeDecodeError as error:
            msg = f"note: not UTF-8 at byte {error.start}"
            raise MalformedError(msg) from error
        _check_characters(decoded, data)
        # The text may hold empty lines itself: the last one separates it from the signatures.
        text, separator, rest = decoded.rpartition("\n\n")
        if not separator or not rest.endswith("\n"):
            msg = "note: want text, an empty line and signature lines that each end in a newline"
            raise MalformedError(msg)
        lines = rest[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            msg = f"note: {len(lines)} signature lines, want at most {MAX_SIGNATURES}"
            raise MalformedError(msg)
        return cls(text + "\n", tuple(Signature.parse(line) for line in lines))

    def __bytes__(self) -> bytes:
        return (self.text + "\n" + "".join(f"{s}\n" for s in self.signatures)).encode()


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 verifier key. Written `example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k`."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey. Raises `MalformedError`, also when its key ID is not the hash of its key."""
        parts = text.split("+", 2)
        if len(parts) != 3:
            msg = f"verifier key {text[:80]!r}: want NAME+KEYID+BASE64"
            raise MalformedError(msg)
        name, key_id, encoded = parts
        key = cls(check_name(name), _decode_key(name, encoded))
        if key_id != key.key_id.hex():
            msg = f"verifier key {shown(name)}: key id {key_id[:16]!r}, want {key.key_id.hex()} for this name and key"
            raise MalformedError(msg)
        return key

    def verify(self, text: str, signature: Signature) -> None:
        """Raise `UnknownKey` when the line names another key, `InvalidSignature` when it does not sign `text`."""
        if (signature.name, signature.key_id) != (self.name, self.key_id):
            theirs = f"{shown(signature.name)} {signature.key_id.hex()}"
            msg = f"signature by {theirs}: this key is {shown(self.name)} {self.key_id.hex()}"
            raise UnknownKey(msg)
        self.verify_bytes(text.encode(), signature.value)

    def verify_bytes(self, message: bytes, signature: bytes) -> None:
        """Raise `InvalidSignature` unless `signature` is this key's Ed25519 signature (64 bytes) over `message`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except BadSignature as error:
            msg = f"signature by {shown(self.name)} {self.key_id.hex()}: does not verify over this text"
            raise InvalidSignature(msg) from error


@runtime_checkable
class Signer(Protocol):
    """What signs as a log: a `SigningKey`, a `RemoteKey`, or whatever else reaches the key where it lies.

    Both verbs raise `Unavailable` while the key cannot be reached: then nothing is signed, and the log tries again.
    """

    @property
    def name(self) -> str:
        """Name in the signature lines; for a log's key the origin."""

    @property
    def verifier(self) -> VerifierKey:
        """The key that verifies it."""

    def sign(self, text: str) -> Signature:
        """Sign the text of a note, its last newline included."""

    def sign_bytes(self, message: bytes) -> bytes:
        """Ed25519 signature over `message`, 64 bytes, for other formats that the same key signs."""


class SigningKey:
    """An Ed25519 key that signs notes. `str(key)` is the secret; `repr(key)` does not show it."""

    __slots__ = ("_private", "_seed", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            msg = f"signing key {name}: seed of {len(seed)} bytes, want 32"
            raise MalformedError(msg)
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(check_name(name), self._private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """Make a new key with this name from the system's randomness."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read `PRIVATE+KEY+NAME+KEYID+BASE64`. Raises `MalformedError`, which never repeats the secret part."""
        parts = text.split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            msg = "signing key: want PRIVATE+KEY+NAME+KEYID+BASE64"
            raise MalformedError(msg)
        _, _, name, key_id, encoded = parts
        key = cls(name, _decode_key(name, encoded))
        if key_id != key.verifier.key_id.hex():
            msg = f"signing key {shown(name)}: key id {key_id[:16]!r}, want {key.verifier.key_id.hex()}"
            raise MalformedError(msg)
        return key

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self._seed).decode()
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{encoded}"

    def __repr__(self) -> str:
        return f"<SigningKey {self.name} {self.verifier.key_id.hex()}>"

    @property
    def name(self) -> str:
        """Name in the signature lines; for a log's key the origin."""
        return self.verifier.name

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for signing other formats with the same key."""
        return self._seed

    def sign(self, text: str) -> Signature:
        """Sign the text of a note, its last newline included."""
        return Signature(self.name, self.verifier.key_id, self._private.sign(text.encode()))

    def sign_bytes(self, message: bytes) -> bytes:
        """Ed25519 signature over `message`, 64 bytes, for other formats that the same key signs."""
        return self._private.sign(message)


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A log key that lies in a KMS, an HSM or another process: `ask` has it sign, and is the only way to it.

    `ask(message)` returns the Ed25519 signature (RFC 8032, 64 bytes) of the key that `verifier` names, and raises
    `Unavailable` while it cannot be reached. What it returns is verified before anybody sees it.
    """

    verifier: VerifierKey
    ask: Callable[[bytes], bytes] = field(repr=False)

    @property
    def name(self) -> str:
        """Name in the signature lines; for a log's key the origin."""
        return self.verifier.name

    def sign(self, text: str) -> Signature:
        """Sign the text of a note, its last newline included. Raises as `sign_bytes`."""
        return Signature(self.name, self.verifier.key_id, self.sign_bytes(text.encode()))

    def sign_bytes(self, message: bytes) -> bytes:
        """Ed25519 signature over `message`. Raises `InvalidSignature` when what was returned is of another key."""
        signature = self.ask(message)
        self.verifier.verify_bytes(message, signature)
        return signature


def sign_note(text: str, *keys: Signer, others: Iterable[Signature] = ()) -> bytes:
    """Sign `text` with every key and return the note; `others` are kept, except where one of `keys` replaces them.

    Raises `MalformedError` for text that cannot be a note (no final newline, control characters).
    """
    if not text.endswith("\n"):
        msg = "note text: want a newline at its end"
        raise MalformedError(msg)
    _check_characters(text, text.encode())
    new = [key.sign(text) for key in keys]
    replaced = {(s.name, s.key_id) for s in new}
    kept = [s for s in others if (s.name, s.key_id) not in replaced]
    for signature in kept:
        Signature.parse(str(signature))
    return bytes(Note(text, (*kept, *new)))


def open_note(data: bytes, verifiers: Sequence[VerifierKey]) -> tuple[Note, tuple[VerifierKey, ...]]:
    """Parse a note and return it with the keys of `verifiers` that signed it, at least one.

    Lines of unknown keys are ignored, and so are repeated lines of one key. Raises `MalformedError`,
    `InvalidSignature` when a known key's line does not verify (whoever else signed), `UnknownKey` when no known key
    signed, or when two verifiers share name and key ID so that a line could mean either.
    """
    note = Note.parse(data)
    known: dict[tuple[str, bytes], list[VerifierKey]] = {}
    for key in verifiers:
        known.setdefault((key.name, key.key_id), []).append(key)
    signed: dict[tuple[str, bytes], VerifierKey] = {}
    for line in note.signatures:
        identity = (line.name, line.key_id)
        if identity in signed:
            continue
        keys = known.get(identity, [])
        if len(keys) > 1:
            msg = f"signature by {shown(line.name)} {line.key_id.hex()}: {len(keys)} verifier keys match, want one"
            raise UnknownKey(msg)
        if keys:
            keys[0].verify(note.text, line)
            signed[identity] = keys[0]
    if not signed:
        names = ", ".join(sorted({f"{s.name} {s.key_id.hex()}" for s in note.signatures}))
        msg = f"note: signed by {shown(names, 200)}, none of them a known key"
        raise UnknownKey(msg)
    return note, tuple(signed.values())


def check_name(name: str) -> str:
    """Return `name`, or raise `MalformedError` unless it can name a key: not empty, no space, no plus sign."""
    # Python counts U+001C to U+001F as space too. Other controls than these stand in no note (`_CONTROL`).
    if name.split() != [name] or "+" in name or _CONTROL.search(name):
        msg = f"key name {name[:80]!r}: want text without spaces, plus signs and control characters"
        raise MalformedError(msg)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        msg = f"key name {name[:80]!r}: not UTF-8"
        raise MalformedError(msg) from error
    return name


def decode_base64(text: str, what: str) -> bytes:
    """Decode standard, padded base64 and refuse every second spelling of the same bytes. Raises `MalformedError`."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        msg = f"{what}: not base64"
        raise MalformedError(msg) from error
    if base64.b64encode(raw).decode() != text:
        msg = f"{what}: base64 is not in its one canonical form"
        raise MalformedError(msg)
    return raw


def shown(text: str, most: int = 80) -> str:
    """`text` for a message: cut, and escaped where a terminal might obey it or a reader be misled."""
    cut = text[:most]
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def _check_characters(text: str, raw: bytes) -> None:
    # In UTF-8 no other character has such bytes; to look for them takes a tenth of the time of the pattern.
    if len(raw.translate(None, _CONTROLS)) != len(raw) and (found := _CONTROL.search(text)):
        line = text.count("\n", 0, found.start()) + 1
        msg = f"note: control character in line {line}"
        raise MalformedError(msg)


def _decode_key(name: str, encoded: str) -> bytes:
    raw = decode_base64(encoded, f"key {shown(name)}")
    if raw[:1] != _ED25519:
        msg = f"key {shown(name)}: type 0x{raw[:1].hex()}, want 0x01 (Ed25519)"
        raise MalformedError(msg)
    if len(raw) != 33:
        msg = f"key {shown(name)}: {len(raw) - 1} bytes, want 32"
        raise MalformedError(msg)
    return raw[1:]
