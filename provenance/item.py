"""A vault item: one personal field with a salt of its own, found by its digest and erased by deleting it.

::

    {"kind":"title","salt":"5f0c…64 hex digits","value":"Dunes at dawn"}

An event carries only the item's address, the SHA-256 of these bytes. The salt is what keeps a guess at a short value
from being confirmed once the bytes are gone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

from ledger.errors import MalformedError
from provenance.canonical import address, dumps, loads

__all__ = ["MAX_TEXT", "SALT_SIZE", "Item"]

MAX_TEXT = 16_384
"""Most characters of a text value."""

SALT_SIZE = 32
"""Bytes of a salt."""

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_KEYS = ["kind", "salt", "value"]


@dataclass(frozen=True, slots=True)
class Item:
    """One field: `kind` is its name (`title`), `value` text or any canonical JSON, `salt` 32 random bytes.

    Raises `MalformedError` for what has no canonical form and for text over `MAX_TEXT` characters. Neither `repr` nor
    an error shows value and salt.
    """

    kind: str
    value: Any = field(repr=False)
    salt: bytes = field(repr=False)
    address: bytes = field(init=False, repr=False, compare=False)
    """SHA-256 of `bytes(item)`, 32 bytes."""
    _data: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if type(self.kind) is not str or not _KIND.fullmatch(self.kind):
            msg = f"vault item: kind {self.kind!r:.80}, want a lower-case name of at most 64 characters"
            raise MalformedError(msg)
        if len(self.salt) != SALT_SIZE:
            msg = f"vault item {self.kind}: salt of {len(self.salt)} bytes, want {SALT_SIZE}"
            raise MalformedError(msg)
        if type(self.value) is str and len(self.value) > MAX_TEXT:
            msg = f"vault item {self.kind}: text of {len(self.value)} characters, want at most {MAX_TEXT}"
            raise MalformedError(msg)
        try:
            data = dumps({"kind": self.kind, "salt": self.salt.hex(), "value": self.value})
        except MalformedError as error:
            msg = f"vault item {self.kind}: {error}"
            raise MalformedError(msg) from None
        object.__setattr__(self, "_data", data)
        object.__setattr__(self, "address", address(data))

    @classmethod
    def new(cls, kind: str, value: Any) -> Item:
        """Make an item with a fresh salt. Text is brought into NFC: the same text, in the one encoding we keep."""
        return cls(kind, normalize("NFC", value) if type(value) is str else value, os.urandom(SALT_SIZE))

    @classmethod
    def parse(cls, data: bytes) -> Item:
        """Read an item; `bytes(Item.parse(data)) == data`. Raises `MalformedError`."""
        value = loads(data)
        if type(value) is not dict or list(value) != _KEYS:
            msg = "vault item: want an object of kind, salt and value"
            raise MalformedError(msg)
        salt = value["salt"]
        if type(salt) is not str or not re.fullmatch(r"[0-9a-f]{64}", salt):
            msg = "vault item: salt is not 64 lower-case hex digits"
            raise MalformedError(msg)
        return cls(value["kind"], value["value"], bytes.fromhex(salt))

    def __bytes__(self) -> bytes:
        return self._data
