"""One byte string for each value: canonical JSON, a subset of RFC 8785 (JCS).

::

    {"kind":"title","salt":"9b2f…","value":"Dunes at dawn"}

Objects, arrays, strings, integers and booleans; no null and no floats, because an absent field is left out and money is
a decimal string. Keys are ASCII, so that sorting them by bytes and by UTF-16 units is the same. Strings are NFC, so
that one text has one encoding. Whoever holds the bytes can compute their address with `sha256sum`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from unicodedata import is_normalized

import orjson

from ledger.errors import MalformedError

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "MAX_SIZE", "address", "dumps", "loads"]

MAX_SIZE = 1 << 20
"""Most bytes of one value (1 MiB), written or read."""

MAX_DEPTH = 32
"""Most objects and arrays inside each other; `[]` has depth 1."""

_TOO_DEEP = f"deeper than {MAX_DEPTH} objects and arrays"

MAX_INTEGER = 2**53 - 1
"""Largest absolute value of an integer: what every JSON reader keeps exactly (RFC 8785 §3.2.2.3, RFC 7493 §2.2)."""


def dumps(value: Any) -> bytes:
    """Encode `value`, in at most `MAX_SIZE` bytes. Raises `MalformedError`, which names the place: `$.refs[0].id: …`.

    Only dict, list, str, int and bool themselves are taken: a subclass might encode as something else.
    """
    try:
        _check(value, 0)
    except _Refused as refused:
        raise MalformedError(str(refused)) from None
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if len(data) > MAX_SIZE:
        msg = f"canonical JSON: {len(data)} bytes, want at most {MAX_SIZE}"
        raise MalformedError(msg)
    return data


def loads(data: bytes) -> Any:
    """Decode canonical JSON; `dumps(loads(data)) == data` for all that is accepted. Raises `MalformedError`.

    What is valid JSON and not canonical is refused: spaces, another order of keys, duplicate keys, escapes that need
    not be, `-0`, other spellings of a number.
    """
    if len(data) > MAX_SIZE:
        msg = f"canonical JSON: {len(data)} bytes, want at most {MAX_SIZE}"
        raise MalformedError(msg)
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        msg = f"canonical JSON: {error.msg} at byte {error.pos}"
        raise MalformedError(msg) from None
    again = dumps(value)
    if again != data:
        at = next((i for i, (got, want) in enumerate(zip(data, again, strict=False)) if got != want), len(again))
        msg = f"canonical JSON: not in its one canonical form from byte {at}"
        raise MalformedError(msg)
    return value


def address(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes: the id of an event, the address of a vault item."""
    return sha256(data).digest()


class _Refused(Exception):  # never leaves this module
    """A value that has no canonical form. Whoever passes it on puts its own step in front of the path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = ""

    def __str__(self) -> str:
        return f"${self.path}: {self.reason}"


def _check(value: Any, depth: int) -> None:
    """Raise `_Refused` unless `value` has a canonical form. This runs for every event: the common cases come first."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _check_text(value)
    elif kind is dict:
        if depth >= MAX_DEPTH:
            raise _Refused(_TOO_DEEP)
        for key, member in value.items():
            if type(key) is not str or not key.isascii():
                msg = f"key {key!r:.80}, want ASCII text"
                raise _Refused(msg)
            if type(member) is str and member.isascii():
                continue
            try:
                _check(member, depth + 1)
            except _Refused as refused:
                refused.path = f".{key[:80]}{refused.path}"
                raise
    elif kind is list:
        if depth >= MAX_DEPTH:
            raise _Refused(_TOO_DEEP)
        for index, member in enumerate(value):
            if type(member) is str and member.isascii():
                continue
            try:
                _check(member, depth + 1)
            except _Refused as refused:
                refused.path = f"[{index}]{refused.path}"
                raise
    elif kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            msg = "integer beyond 2**53 - 1, want a decimal string"
            raise _Refused(msg)
    elif kind is not bool:
        msg = f"{kind.__name__}, want an object, array, string, integer or boolean"
        raise _Refused(msg)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        msg = f"lone surrogate at character {error.start}"
        raise _Refused(msg) from None
    if not is_normalized("NFC", text):
        msg = "text is not in Unicode normalization form C"
        raise _Refused(msg)
