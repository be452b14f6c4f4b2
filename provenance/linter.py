"""Personal data that must not stand in an event: rule G5, by looking at values instead of types.

The types of events that this version knows have no place for most of it. What it does not know, and words that happen
to be somebody's, are looked at here: e-mail and IP addresses, numbers like phone numbers, names, free text, characters
that do not show, and digests of short texts without a salt, which a dictionary finds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from ipaddress import ip_address
from itertools import product
from string import ascii_lowercase, digits
from typing import Any

import orjson

from provenance.errors import Reason
from provenance.item import Item

__all__ = ["lint"]

_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}\.[^\s@.]{2,}")
_LIKE_ADDRESS = re.compile(
    r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])"
    r"|(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*"
)
_PHONE = re.compile(r"(?<![\w.])\+[0-9][0-9 ()/-]{6,18}[0-9](?![\w])")
_NAME = re.compile(r"(?:[A-ZÀ-Þ][A-Za-zÀ-ÿ'’-]{1,30} ){1,3}[A-ZÀ-Þ][A-Za-zÀ-ÿ'’-]{1,30}")
_HEX = re.compile(r"[0-9a-f]{64}")
_TEXT_WORDS = 6
_LONGEST = 200
# Fields of the envelope and of bodies that say nothing of a person, or that their own types look at closely.
_KEYS_LEFT_OUT = frozenset({"salt", "actor", "id", "event", "claimed_at", "ledger", "kind", "type"})
_PRODUCTS = frozenset({"tool", "name"})  # names of programs may look like those of people


def lint(event: bytes, items: Iterable[bytes] = ()) -> tuple[Reason, ...]:
    """Everything in an event that looks personal, each with its place; `items` are the vault items that go with it.

    Rules `G5.email`, `G5.ip`, `G5.phone`, `G5.name`, `G5.text`, `G5.unicode`, `G5.digest`. A finding is a suspicion: it
    says what it saw and where, never the value. Bytes that are no JSON give none: others refuse them.
    """
    try:
        value = orjson.loads(event)
    except orjson.JSONDecodeError:
        return ()
    if not isinstance(value, dict):
        return ()
    guesses = _guesses(value, items)
    found = [reason for part in ("body", "refs") for reason in _look(value.get(part), part, guesses)]
    known = {"v", "kind", "type", "ledger", "actor", "strength", "claimed_at", "salt", "body", "refs", "commits"}
    found += [reason for part in value.keys() - known for reason in _look(value[part], part, guesses)]
    return tuple(dict.fromkeys(found))


def _look(value: Any, place: str, guesses: frozenset[str], key: str = "") -> Iterator[Reason]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _look(inner, f"{place}.{name}"[:200], guesses, name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _look(inner, f"{place}.{number}"[:200], guesses, key)
    elif isinstance(value, str) and value:
        yield from _text(value, place, guesses, key)


def _text(text: str, place: str, guesses: frozenset[str], key: str) -> Iterator[Reason]:
    if _HEX.fullmatch(text):
        if text in guesses:
            yield Reason("G5.digest", f"{place}: the digest of a short text without a salt, which a dictionary finds")
        return
    if key in _KEYS_LEFT_OUT and " " not in text and "@" not in text:
        return
    if _EMAIL.search(text):
        yield Reason("G5.email", f"{place}: looks like an e-mail address; it goes to the vault")
    if any(_is_address(found[0]) for found in _LIKE_ADDRESS.finditer(text)) and key != "version":
        yield Reason("G5.ip", f"{place}: looks like an IP address; it goes to the vault")
    if _PHONE.search(text):
        yield Reason("G5.phone", f"{place}: looks like a phone number; it goes to the vault")
    if any(unicodedata.category(char) in {"Cf", "Cc", "Co", "Cs"} for char in text) or not unicodedata.is_normalized(
        "NFC", text
    ):
        yield Reason("G5.unicode", f"{place}: characters that do not show, or not in NFC")
    if key not in _PRODUCTS and _NAME.fullmatch(text):
        yield Reason("G5.name", f"{place}: looks like a person's name; it goes to the vault")
    if len(text.split()) >= _TEXT_WORDS or (len(text) > _LONGEST and " " in text):
        yield Reason("G5.text", f"{place}: free text; it goes to the vault")


def _is_address(text: str) -> bool:
    try:
        ip_address(text.rstrip("."))
    except ValueError:
        return False
    return True


def _guesses(event: dict[str, Any], items: Iterable[bytes]) -> frozenset[str]:
    """Digests that somebody would try: of every text that goes with it, however it is written, and of short ones."""
    texts: set[str] = set()
    for raw in items:
        value = Item.parse(raw).value
        if isinstance(value, str):
            texts |= {value, value.strip(), value.lower(), value.casefold(), value.upper(), value.title()}
    texts |= {text for text in _strings(event.get("body")) if len(text) < 64}
    return _short() | {sha256(text.encode()).hexdigest() for text in texts}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


@cache
def _short() -> frozenset[str]:
    """Digests of the numbers below 100,000 and of texts of up to two letters: made once, on first use."""
    letters = ascii_lowercase + ascii_lowercase.upper() + digits
    texts = [str(number) for number in range(100_000)]
    texts += ["".join(pair) for length in (1, 2) for pair in product(letters, repeat=length)]
    return frozenset(sha256(text.encode()).hexdigest() for text in texts)
