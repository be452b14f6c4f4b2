"""Secret keys as text that a passphrase opens.

::

    provenance-encrypted-key:scrypt-17:market.example/log+530d903a+AekyeRrm56hA…:Zm9vYmFy…

In the middle stands what the key is, for anybody to read: its public half, such as a vkey. The last part is base64 of
salt (16 bytes) ‖ nonce (12) ‖ the secret text under AES-256-GCM, whose tag (16) covers everything before it as well.
The AES key is scrypt (RFC 7914) of the passphrase, in NFC and UTF-8, with r = 8, p = 1 and N = 2^17: that costs whoever
guesses 128 MiB and some tenths of a second for each guess. The exponent is in the text; one that would take this
machine's memory, or none of its time, is refused.
"""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ledger.errors import MalformedError, UnknownKey
from ledger.note import decode_base64, shown

__all__ = ["MAX_WORK", "MIN_WORK", "WORK", "EncryptedKey", "encrypt_key", "is_encrypted"]

WORK = 17
"""Exponent of N for what is written: 128 MiB."""

MIN_WORK, MAX_WORK = 14, 18
"""Exponents that are read: from 16 to 256 MiB."""

MAX_PASSPHRASE = 1_024
"""Bytes of the longest passphrase."""

_PREFIX = "provenance-encrypted-key:"
_LONGEST = 65_536  # characters
_SALT, _NONCE, _TAG = 16, 12, 16
_WORK = re.compile(r"scrypt-(1[0-9])")
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class EncryptedKey:
    """One secret key, encrypted. `public` says which; nothing vouches for that until `decrypt` returns."""

    public: str
    work: int
    salt: bytes
    nonce: bytes
    box: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.public or _UNFIT.search(self.public):
            msg = f"encrypted key {shown(self.public)}: want its public half, without spaces and control characters"
            raise MalformedError(msg)
        if not MIN_WORK <= self.work <= MAX_WORK:
            msg = f"encrypted key {shown(self.public)}: scrypt-{self.work}, want scrypt-{MIN_WORK} to {MAX_WORK}"
            raise MalformedError(msg)
        if (len(self.salt), len(self.nonce)) != (_SALT, _NONCE) or len(self.box) <= _TAG:
            msg = f"encrypted key {shown(self.public)}: want {_SALT} and {_NONCE} bytes, a secret and a tag of {_TAG}"
            raise MalformedError(msg)
        if len(str(self)) > _LONGEST:
            msg = f"encrypted key {shown(self.public)}: longer than {_LONGEST} characters"
            raise MalformedError(msg)

    @classmethod
    def parse(cls, text: str) -> EncryptedKey:
        """Read `str(key)`; decrypts nothing, and takes no more memory than the text. Raises `MalformedError`."""
        if not is_encrypted(text) or len(text) > _LONGEST:
            msg = f"encrypted key: want text of at most {_LONGEST} characters that starts with {_PREFIX}"
            raise MalformedError(msg)
        work, _, rest = text.removeprefix(_PREFIX).partition(":")
        public, separator, encoded = rest.rpartition(":")
        if not _WORK.fullmatch(work) or not separator:
            msg = f"encrypted key: {shown(work, 20)!r}, want {_PREFIX}scrypt-N:PUBLIC:BASE64"
            raise MalformedError(msg)
        raw = decode_base64(encoded, f"encrypted key {shown(public)}")
        salt, nonce, box = raw[:_SALT], raw[_SALT : _SALT + _NONCE], raw[_SALT + _NONCE :]
        return cls(public, int(work.removeprefix("scrypt-")), salt, nonce, box)

    def __str__(self) -> str:
        return self._head + base64.b64encode(self.salt + self.nonce + self.box).decode()

    @property
    def _head(self) -> str:
        return f"{_PREFIX}scrypt-{self.work}:{self.public}:"

    def decrypt(self, passphrase: str) -> str:
        """The secret text. Takes 2^(`work` + 10) bytes of memory while it runs.

        Raises `UnknownKey` when the passphrase is another one, or the text is not as it was written: nobody can tell
        which. `MalformedError` for what cannot be a passphrase.
        """
        key = _derive(passphrase, self.salt, self.work)
        try:
            secret = AESGCM(key).decrypt(self.nonce, self.box, _bytes(self._head, "encrypted key"))
        except InvalidTag:
            msg = f"encrypted key {shown(self.public)}: this passphrase does not open it, or its text was changed"
            raise UnknownKey(msg) from None
        try:
            return secret.decode()
        except UnicodeDecodeError:
            msg = f"encrypted key {shown(self.public)}: what is in it is not UTF-8"
            raise MalformedError(msg) from None


def encrypt_key(secret: str, passphrase: str, *, public: str, work: int = WORK) -> EncryptedKey:
    """Encrypt the text of a secret key; `public` is its public half, as others know it.

    Raises `MalformedError` for an empty passphrase or secret, one that is too long, a `work` that would not be read.
    """
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    unmade = EncryptedKey(public, work, salt, nonce, bytes(len(_bytes(secret, "secret key")) + _TAG))
    box = AESGCM(_derive(passphrase, salt, work)).encrypt(nonce, secret.encode(), _bytes(unmade._head, "public half"))  # noqa: SLF001 - its own module
    return EncryptedKey(public, work, salt, nonce, box)


def is_encrypted(text: str) -> bool:
    """Whether `text` says of itself that it is an encrypted key."""
    return text.startswith(_PREFIX)


def _derive(passphrase: str, salt: bytes, work: int) -> bytes:
    typed = _bytes(unicodedata.normalize("NFC", passphrase), "passphrase")
    if not 0 < len(typed) <= MAX_PASSPHRASE:
        msg = f"passphrase: {len(typed)} bytes, want 1 to {MAX_PASSPHRASE}"
        raise MalformedError(msg)
    return Scrypt(salt=salt, length=32, n=1 << work, r=8, p=1).derive(typed)


def _bytes(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        msg = f"{what}: not UTF-8"
        raise MalformedError(msg) from None
