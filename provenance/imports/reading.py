"""JSON of others, read strictly: what could be read in two ways is not read."""

from __future__ import annotations

import json
from typing import Any

import orjson

from ledger.errors import MalformedError

__all__ = ["read_object"]


def read_object(data: bytes, most: int) -> dict[str, Any]:
    """One JSON object of at most `most` bytes (RFC 8259, and RFC 7493 on names that stand twice).

    Raises `MalformedError`, with the place as far as it is known.
    """
    if len(data) > most:
        msg = f"{len(data)} bytes, want at most {most}"
        raise MalformedError(msg)
    try:
        orjson.loads(data)  # UTF-8, no lone surrogates, no NaN: of this the other reader takes more
        value = json.loads(data, object_pairs_hook=_once)
    except RecursionError:
        msg = "no JSON: too many objects and arrays inside each other"
        raise MalformedError(msg) from None
    except MalformedError:
        raise
    except ValueError as error:
        msg = f"no JSON: {error}"
        raise MalformedError(msg) from None
    if not isinstance(value, dict):
        msg = "no JSON object"
        raise MalformedError(msg)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"no JSON: {twice[:80]!r} stands twice in one object"
        raise MalformedError(msg)
    return value
