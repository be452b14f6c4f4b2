"""Really Simple Licensing (RSL 1.0, 10 December 2025): what a file licenses for a path.

::

    <rsl xmlns="https://rslstandard.org/rsl"><content url="/"><license>
      <permits type="usage">search</permits></license></content></rsl>

Of all `content` that is about the path the narrowest scope decides, whatever the order. What is prohibited there is not
licensed, even where it is permitted too; a `permits` is a list of all that is; where there is none, the rest is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple
from xml.etree import ElementTree as ET

from ledger.errors import MalformedError
from provenance.rights.reservations import Said, matches
from provenance.vocabularies import BUILT_IN, Table

__all__ = ["MAX_FILE", "Rsl", "RslAnswer", "parse_rsl"]

MAX_FILE = 1 << 20
"""Most bytes of a file (1 MiB)."""

_MOST = 10_000  # elements
_RSL = "{https://rslstandard.org/rsl}"
_INSIDE: Mapping[str, frozenset[str]] = {
    "rsl": frozenset({"content"}),
    "content": frozenset({"license", "schema", "alternate", "copyright", "terms"}),
    "license": frozenset({"permits", "prohibits", "payment", "legal", "reporting"}),
    "payment": frozenset({"standard", "custom", "amount", "accepts"}),
}
_TYPES = frozenset({"usage", "user", "geo"})
_PAYMENTS = frozenset({"purchase", "subscription", "training", "crawl", "use", "contribution", "attribution", "free"})
_USERS = frozenset({"commercial", "non-commercial", "education", "government", "personal"})


class RslAnswer(NamedTuple):
    """What is said of one use. Under `conditions` only, where there are any: in short words, for people."""

    verdict: Literal["licensed", "not_licensed", "no_statement"]
    conditions: tuple[str, ...] = ()
    contradicts: bool = False
    """The file permits and prohibits it in one scope."""

    @property
    def said(self) -> Said:
        """The same as a reservation: what is licensed under conditions is `constrained`."""
        if self.verdict == "licensed":
            return "constrained" if self.conditions else "allow"
        return "disallow" if self.verdict == "not_licensed" else "unknown"


@dataclass(frozen=True, slots=True)
class _License:
    permits: Mapping[str, frozenset[str]]
    prohibits: Mapping[str, frozenset[str]]
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rsl:
    """A file that conforms."""

    content: tuple[tuple[str, tuple[_License, ...]], ...]
    """Location and licenses of each `content`."""
    table: Table
    """The version of the vocabulary that it was read by."""

    def judge(self, path: str, usage: str) -> RslAnswer:
        """What the file says of a usage (`ai-train`, `ai-input`, `ai-index`, `search`) of a path.

        A usage that the table does not have is not licensed, in doubt.
        """
        found = [(location, licenses) for location, licenses in self.content if matches(location, path)]
        if not found:
            return RslAnswer("no_statement")
        narrowest = max(len(location) for location, _ in found)
        scope = [each for location, licenses in found if len(location) == narrowest for each in licenses]
        prohibited = any(self._covers(each.prohibits.get("usage", frozenset()), usage) for each in scope)
        permitting = [each for each in scope if self._permits(each, usage)]
        listed = any("usage" in each.permits for each in permitting)
        if prohibited or not permitting or usage not in self.table.terms:
            return RslAnswer("not_licensed", contradicts=prohibited and listed)
        # Of several licenses whoever uses it takes one: the first that asks least.
        return RslAnswer("licensed", min((each.conditions for each in permitting), key=len))

    def said(self, path: str) -> dict[str, Said]:
        """What the file says of each usage of a path, for `to_uses`."""
        return {usage: self.judge(path, usage).said for usage, term in self.table.terms.items() if term.maps}

    def _permits(self, license_: _License, usage: str) -> bool:
        return "usage" not in license_.permits or self._covers(license_.permits["usage"], usage)

    def _covers(self, tokens: frozenset[str], usage: str) -> bool:
        return any(usage in _spread(self.table, token) for token in tokens)


def parse_rsl(document: bytes, *, table: Table | None = None) -> Rsl:
    """Read a file in UTF-8, by the newest table of `rsl` where none is given. Elements of other namespaces are ignored.

    Raises `MalformedError` for what is no XML, has a document type, is larger than 1 MiB, or does not conform: such a
    file licenses nothing. Drafts before 1.0 have the same namespace and do not conform.
    """
    table = table or BUILT_IN.active("rsl")
    if table is None or len(document) > MAX_FILE:
        msg = f"RSL: {len(document)} bytes, want at most {MAX_FILE}"
        raise MalformedError(msg)
    try:
        text = document.decode("utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            _refuse("a document type, which is not read")
        root = ET.fromstring(text)  # noqa: S314 - bounded, and without a document type there are no entities
    except (ET.ParseError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, MalformedError):
            raise
        msg = "RSL: no XML in UTF-8"
        raise MalformedError(msg) from error
    if root.tag != f"{_RSL}rsl":
        _refuse("the first element is not rsl of RSL")
    if sum(1 for _ in root.iter()) > _MOST:
        _refuse(f"more than {_MOST} elements")
    return Rsl(tuple(_content(each, table) for each in _children(root)), table)


def _content(element: ET.Element, table: Table) -> tuple[str, tuple[_License, ...]]:
    location = element.get("url")
    if location is None:
        _refuse("content without url")
    if element.get("encrypted", "false") not in {"true", "false"}:
        _refuse("encrypted: want true or false")
    server = ("a token of the license server",) if element.get("server") else ()
    licenses = [each for each in _children(element) if each.tag == f"{_RSL}license"]
    if not licenses:
        _refuse("content needs at least one license")
    return str(location), tuple(_license(each, table, server) for each in licenses)


def _license(element: ET.Element, table: Table, conditions: tuple[str, ...]) -> _License:
    said: dict[str, dict[str, frozenset[str]]] = {"permits": {}, "prohibits": {}}
    for child in _children(element):
        name = child.tag.removeprefix(_RSL)
        if name in said:
            type_ = child.get("type", "")
            if type_ in said[name]:
                _refuse(f"more than one {name} of type {type_}")
            said[name][type_] = _tokens(child, type_, table)
            if type_ != "usage":
                verb = "only" if name == "permits" else "not"
                conditions += (f"{verb} {type_} {' '.join(sorted(said[name][type_]))}",)
        elif name == "payment":
            conditions += tuple(_payment(child))
        elif name == "reporting":
            conditions += ("reporting",)
    return _License(said["permits"], said["prohibits"], conditions)


def _tokens(element: ET.Element, type_: str, table: Table) -> frozenset[str]:
    tokens = frozenset((element.text or "").split())
    if type_ not in _TYPES or not tokens:
        _refuse(f"type {type_[:20]!r} with {len(tokens)} words, want usage, user or geo and some")
    allowed = table.terms.keys() if type_ == "usage" else _USERS if type_ == "user" else tokens
    wrong = sorted(tokens - allowed)
    if wrong:
        _refuse(f"{wrong[0][:40]!r} is no word of type {type_}")
    return tokens


def _payment(element: ET.Element) -> Iterator[str]:
    type_ = element.get("type")
    if type_ is not None and type_ not in _PAYMENTS:
        _refuse(f"{type_[:40]!r} is no type of payment")
    named = [child.tag.removeprefix(_RSL) for child in _children(element)]
    if type_ not in {None, "free"} or named:
        yield f"payment {type_ or ' '.join(named)}"


def _children(element: ET.Element) -> Iterator[ET.Element]:
    """Those of RSL; each must be one that may stand there."""
    parent = element.tag.removeprefix(_RSL)
    for child in element:
        if child.tag.startswith(_RSL):
            name = child.tag.removeprefix(_RSL)
            if name not in _INSIDE.get(parent, frozenset()):
                _refuse(f"unknown element {name[:40]} in {parent}")
            yield child


def _spread(table: Table, token: str) -> frozenset[str]:
    """A token and all that it covers."""
    found: set[str] = set()
    waiting = [token]
    while waiting:
        each = waiting.pop()
        term = table.terms.get(each)
        covered = None if term is None or each in found else term.facts.get("covers")
        found.add(each)
        waiting += covered if isinstance(covered, tuple) else ()
    return frozenset(found)


def _refuse(reason: str) -> None:
    msg = f"RSL: {reason}"
    raise MalformedError(msg)
