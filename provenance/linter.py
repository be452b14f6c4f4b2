"""Personal data that must not stand in an event: rule G5, by looking at values instead of types.

The types of events that this version knows have no place for most of it. What it does not know, and words that happen
to be somebody's, are looked at here: e-mail and IP addresses, numbers like phone numbers, names, free text, characters
that do not show or look like others, and digests of short texts without a salt, which a dictionary finds.

What others sign is looked at whole (`lint`), what the market itself says where a typed field leaves room (`lint_own`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from ipaddress import ip_address
from itertools import product
from string import ascii_letters, digits
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from ledger.errors import MalformedError
from provenance.canonical import MAX_DEPTH
from provenance.errors import Reason
from provenance.item import Item

__all__ = ["lint", "lint_own"]

_MOST_WORDS = 3  # more of them are a sentence
_HEX_LENGTH = 64  # of a SHA-256
_LONGEST = 200  # characters of what has spaces
_ENVELOPE = frozenset({"v", "kind", "type", "ledger", "actor", "strength", "claimed_at", "salt"})
_OPERATORS = frozenset({"AND", "OR", "WITH"})  # of a license expression: MIT OR Zlib
# Names of programs, laws and banks may look like a person's.
_NAMED = {
    ("fx.quote", "body.source"),
    ("terms.publish", "body.machine.governing_law"),
    ("work.manifest", "body.tool.name"),
}
_TABLE = ("vocab.adopt", "body.table")  # a standard's own words for its terms

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/-]{0,62}", re.ASCII)  # one word of a vocabulary: nothing to be found in it
_NOBODY_SAID = re.compile(  # a word, a number, a time
    rf"{_PLAIN.pattern}|[0-9]{{1,30}}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:]{{8}}Z", re.ASCII
)
_NOBODY = re.compile(rf"{_NOBODY_SAID.pattern}|[0-9a-f]{{64}}", re.ASCII)  # or a digest
_HEX = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_EMAIL = re.compile(r"[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,}")
_LIKE_ADDRESS = re.compile(
    r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.?[0-9])"
    r"|(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*"
)
_PHONE = re.compile(
    r"(?<![\w.])(?:\+[0-9][0-9 ()/-]{6,18}[0-9]|(?:\([0-9]{2,5}\) ?|0[0-9]{2,4} )[0-9]{3,4}[ -]?[0-9]{3,5})(?!\w)"
    r"|\btel:[0-9]"
)
_NAME = re.compile(r"(?:[A-ZÀ-Þ][A-Za-zÀ-ÿ'’-]{1,30} ){1,3}[A-ZÀ-Þ][A-Za-zÀ-ÿ'’-]{1,30}")
_WORD = re.compile(r"\w+")
_HIDDEN = frozenset({"Cf", "Cc", "Co", "Cs", "Cn"})


class _Seen(NamedTuple):
    """What an event is looked at with: its type, and the digests of texts that go with it."""

    type: str
    guesses: frozenset[str]
    short: bool = True  # whether digests of short texts count: a market's files may be as short


def lint(event: bytes, items: Iterable[bytes] = ()) -> tuple[Reason, ...]:
    """Everything in an event that looks personal, each with its place; `items` are the vault items that go with it.

    Rules `G5.email`, `G5.ip`, `G5.phone`, `G5.name`, `G5.text`, `G5.unicode`, `G5.digest`. A finding is a suspicion: it
    says what it saw and where, never the value. Bytes that are no JSON object give none: others refuse them.
    """
    try:
        value = orjson.loads(event)
    except orjson.JSONDecodeError:
        return ()
    if not isinstance(value, dict) or str(value.get("type")).startswith("log."):
        return ()  # what the log says of itself, nobody else can say
    seen = _Seen(str(value.get("type")), _guesses(value, items))
    found: list[Reason] = []
    for name, inner in value.items():
        if name in _ENVELOPE:
            continue
        if name == "commits" and isinstance(inner, dict):
            found += (reason for field in inner for reason in _text(field, "a name in commits", "", seen))
            continue
        place = name if name in {"body", "refs"} else "a field of the event"
        found += _text(name, "a name in the event", "", seen)
        found += _look(inner, place, "", seen, 1)
    return tuple(dict.fromkeys(found))


def lint_own(
    type: str,  # noqa: A002 - the field's name
    body: Mapping[str, Any],
    refs: Iterable[Mapping[str, Any]] = (),
    personal: Mapping[str, Any] | None = None,
) -> tuple[Reason, ...]:
    """As `lint`, for an event that the market makes itself, of a known type and checked by it; before it is one.

    Of digests only those of its own `personal` values count. What has nothing but words and numbers costs microseconds.
    """
    outside = [ref["id"] for ref in refs if not isinstance(ref["id"], str)]
    said = [(name, inner) for name, inner in body.items() if name != "digests"]  # those of content are for finding it
    nobody = _NOBODY_SAID if personal else _NOBODY
    if all(_is_plain(inner, nobody) for _, inner in said) and _is_plain(outside, nobody):
        return ()
    values = {variant for text in _strings(dict(personal or {}), 1) for variant in _variants(text)}
    seen = _Seen(type, _digests(values), short=False)
    found = [reason for name, inner in said for reason in _look(inner, f"body.{name}", name, seen, 1)]
    found += [reason for id_ in outside for reason in _look(id_, "refs.id", "id", seen, 1)]
    return tuple(dict.fromkeys(found))


def _is_plain(value: Any, nobody: re.Pattern[str]) -> bool:
    """Whether all text in a value is of this kind."""
    if isinstance(value, str):
        return nobody.fullmatch(value) is not None
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return True
    return all(_is_plain(inner, nobody) for inner in value)


def _look(value: Any, place: str, key: str, seen: _Seen, depth: int) -> Iterator[Reason]:
    if isinstance(value, str):
        yield from _text(value, place, key, seen)
    elif depth > MAX_DEPTH:
        return  # no event is so deep
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _text(name, f"a name in {place}", "", seen)
            shown = name if _PLAIN.fullmatch(name) else "…"  # a place is told, never what is personal in it
            yield from _look(inner, f"{place}.{shown}"[:200], name, seen, depth + 1)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _look(inner, f"{place}.{number}"[:200], key, seen, depth + 1)


def _text(text: str, place: str, key: str, seen: _Seen) -> Iterator[Reason]:
    if _PLAIN.fullmatch(text) or not text:
        return
    if _HEX.fullmatch(text):
        digest = text.lower()
        if digest in seen.guesses or (seen.short and digest in _short()):
            yield Reason("G5.digest", f"{place}: the digest of a short text without a salt, which a dictionary finds")
        return
    plain = unicodedata.normalize("NFKC", unquote(text) if "%" in text else text)
    if "@" in plain and _EMAIL.search(plain):
        yield Reason("G5.email", f"{place}: looks like an e-mail address; it goes to the vault")
    if key != "version" and any(_is_address(found[0]) for found in _LIKE_ADDRESS.finditer(plain)):
        yield Reason("G5.ip", f"{place}: looks like an IP address; it goes to the vault")
    if _PHONE.search(plain):
        yield Reason("G5.phone", f"{place}: looks like a phone number; it goes to the vault")
    if _has_tricks(text):
        yield Reason("G5.unicode", f"{place}: characters that do not show or look like others, or not in NFC")
    if (seen.type, place) in _NAMED or (seen.type == _TABLE[0] and f"{place}.".startswith(f"{_TABLE[1]}.")):
        return
    words = text.split()
    if _OPERATORS.intersection(words) and len(words) % 2 and _OPERATORS.issuperset(words[1::2]):
        return
    if _NAME.fullmatch(text):
        yield Reason("G5.name", f"{place}: looks like a person's name; it goes to the vault")
    if len(words) > _MOST_WORDS or (len(text) > _LONGEST and len(words) > 1):
        yield Reason("G5.text", f"{place}: free text; it goes to the vault")
    elif not text.isascii() and key != "log" and any(char.isalpha() for char in text if not char.isascii()):
        yield Reason("G5.text", f"{place}: letters that no word of a vocabulary has; free text goes to the vault")


def _is_address(text: str) -> bool:
    try:
        ip_address(text.rstrip("."))
    except ValueError:
        return False
    return True


def _has_tricks(text: str) -> bool:
    if text.isascii():
        return any(char < " " or char == "\x7f" for char in text)
    if any(unicodedata.category(char) in _HIDDEN for char in text) or not unicodedata.is_normalized("NFC", text):
        return True
    return any(len({_script(char) for char in word if char.isalpha()}) > 1 for word in _WORD.findall(text))


def _script(char: str) -> str:
    """Latin, Greek or Cyrillic, whose letters look like each other; "" for all others."""
    script = unicodedata.name(char, "").partition(" ")[0]
    return script if script in {"LATIN", "GREEK", "CYRILLIC"} else ""


def _guesses(event: dict[str, Any], items: Iterable[bytes]) -> frozenset[str]:
    """Digests that somebody would try: of every text that goes with the event, however it is written."""
    texts: set[str] = set()
    for raw in items:
        with suppress(MalformedError):
            for text in _strings(Item.parse(raw).value, 1):
                texts |= _variants(text)
    texts.update(text for text in _strings(event.get("body"), 1) if len(text) < _HEX_LENGTH)
    return _digests(texts)


def _variants(text: str) -> set[str]:
    stripped = text.strip()
    found = {text, stripped, text.lower(), stripped.lower(), stripped.casefold()}
    return found | {stripped.upper(), stripped.title(), "".join(stripped.split())}


def _digests(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts)


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif type(value) is int:
        yield str(value)
    elif depth > MAX_DEPTH:
        return
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner, depth + 1)


@cache
def _short() -> frozenset[str]:
    """Digests of the numbers below 100,000 and of texts of up to two letters: made once, on first use."""
    letters = ascii_letters + digits
    texts = [str(number) for number in range(100_000)]
    texts += ["".join(pair) for length in (1, 2) for pair in product(letters, repeat=length)]
    return frozenset(sha256(text.encode()).hexdigest() for text in texts)
