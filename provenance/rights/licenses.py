"""License expressions (SPDX 3.0.1, annex B), with the keys of the SPDX list and of ScanCode.

>>> parse_license("MIT OR (CC-BY-4.0 AND CC0-1.0)").branches
(frozenset({'MIT'}), frozenset({'CC-BY-4.0', 'CC0-1.0'}))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import Any

from ledger.errors import MalformedError
from provenance.vocabularies import BUILT_IN, Term

__all__ = ["MAX_BRANCHES", "MAX_EXPRESSION", "License", "facts_of", "parse_license"]

MAX_EXPRESSION = 500
"""Most characters of an expression."""

MAX_BRANCHES = 64
"""Most alternatives that an expression may come to."""


@dataclass(frozen=True, slots=True)
class License:
    """What an expression offers: any one of its branches, and all licenses of that branch at once.

    A license `WITH` an exception is one of its own: `Apache-2.0 WITH LLVM-exception`.
    """

    expression: str
    """In the spelling of the lists."""
    branches: tuple[frozenset[str], ...]
    unknown: frozenset[str]
    """Those of its licenses that neither list has; nothing can be said of them."""


@lru_cache(maxsize=4096)
def parse_license(expression: str) -> License:
    """Read an expression; aliases and other spellings become the key of the list (`gpl-3.0+`: `GPL-3.0-or-later`).

    Raises `MalformedError` for what is no expression, one of more than 500 characters or more than 64 alternatives.
    Keys that are not known, `NONE` and `NOASSERTION` among them, are no error: see `License.unknown`.
    """
    if len(expression) > MAX_EXPRESSION:
        msg = f"license: {len(expression)} characters, want at most {MAX_EXPRESSION}"
        raise MalformedError(msg)
    try:
        read = _lists().parse(expression)
    except Exception as error:  # its parser raises errors of several families, none of them ours
        msg = f"license {expression[:80]!r}: no license expression"
        raise MalformedError(msg) from error
    if read is None:
        msg = "license: empty"
        raise MalformedError(msg)
    branches = _branches(read)
    unknown = frozenset(key for branch in branches for key, known in branch if not known)
    return License(str(read), tuple(frozenset(key for key, _ in branch) for branch in branches), unknown)


def facts_of(key: str) -> Term | None:
    """What is known of one license beyond its name; None for most of them."""
    return BUILT_IN.term("license", key)


Key = tuple[str, bool]
"""A license, and whether a list has it."""


@cache
def _lists() -> Any:
    """Built when it is first asked for: it takes a tenth of a second and 2,447 licenses."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _branches(read: Any) -> tuple[frozenset[Key], ...]:
    """Alternatives, each a set of licenses that hold at once."""
    operator = getattr(read, "operator", "").strip()
    if operator == "OR":
        found = [branch for argument in read.args for branch in _branches(argument)]
    elif operator == "AND":
        parts = [_branches(argument) for argument in read.args]
        count = 1
        for part in parts:
            count *= len(part)
        found = [] if count > MAX_BRANCHES else [frozenset[Key]().union(*choice) for choice in product(*parts)]
        if not found:
            _refuse(count)
    else:
        return (frozenset({(str(read), _is_known(read))}),)
    if len(found) > MAX_BRANCHES:
        _refuse(len(found))
    return tuple(dict.fromkeys(found))


def _refuse(count: int) -> None:
    msg = f"license: {count} alternatives, want at most {MAX_BRANCHES}"
    raise MalformedError(msg)


def _is_known(symbol: Any) -> bool:
    known = _lists().known_symbols
    exception = getattr(symbol, "exception_symbol", None)
    if exception is None:
        return symbol.key in known and not symbol.is_exception
    license_ = symbol.license_symbol
    return license_.key in known and not license_.is_exception and exception.key in known and exception.is_exception
