"""The tables that may be read and those that may be written with: what is built in, and what a log adopted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ledger.errors import MalformedError
from provenance.canonical import dumps, loads
from provenance.vocabularies.table import Table, Term

__all__ = ["BUILT_IN", "SAYS_WORDS", "Vocabularies", "vocabularies_at"]

SAYS_WORDS = ("log.genesis", "vocab.adopt", "vocab.retire")
"""Types of the events that say which tables are in use."""


class Vocabularies:
    """An unchanging set of tables, some of them in use.

    Every table in it can be read with, retired terms included. Only the tables in use are written with: those that were
    adopted and not retired since, the newest adoption first.
    """

    def __init__(self, tables: Iterable[Table], adopted: Iterable[tuple[str, str]]) -> None:
        self._tables: Mapping[tuple[str, str], Table] = MappingProxyType({table.name: table for table in tables})
        self._adopted = tuple(adopted)

    def __iter__(self) -> Iterator[Table]:
        """Every table, by vocabulary and version."""
        return iter(sorted(self._tables.values(), key=_order))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabularies):
            return NotImplemented
        return self._adopted == other._adopted and dict(self._tables) == dict(other._tables)

    def __hash__(self) -> int:
        return hash(self._adopted)

    def table(self, vocabulary: str, version: str) -> Table | None:
        """A table, in use or not; None when it is not known."""
        return self._tables.get((vocabulary, version))

    def active(self, vocabulary: str) -> Table | None:
        """The table in use that was adopted last; None when there is none."""
        return next((self._tables[name] for name in reversed(self._adopted) if name[0] == vocabulary), None)

    def term(self, vocabulary: str, word: str) -> Term | None:
        """A word as the newest table that has it says it, those in use first; None when no table has it."""
        return self._terms.get(vocabulary, {}).get(word)

    def refuses(self, vocabulary: str, word: str) -> tuple[str, str] | None:
        """Why this word may not be written, as rule and sentence; None when it may.

        `vocab.retired` of a term that is retired, `vocab.adopted` of one that stands in no table in use.
        """
        if word in self._writable.get(vocabulary, ()):
            return None
        for name in reversed(self._adopted):
            term = self._tables[name].terms.get(word) if name[0] == vocabulary else None
            if term is not None:
                instead = f"; write {term.instead}" if term.instead else ""
                return "vocab.retired", f"{word} is retired in {vocabulary} {name[1]} and read only{instead}"
        active = self.active(vocabulary)
        used = "nothing of it is in use here" if active is None else f"{active.version} is in use here"
        return "vocab.adopted", f"{word} stands in no table of {vocabulary} that is in use; {used}"

    def with_table(self, table: bytes) -> Vocabularies:
        """The same with one more table, in use.

        Raises `MalformedError` unless it is a table; also where another one is known under its vocabulary and version,
        because a version never changes, and where it adds words to a closed vocabulary.
        """
        new = Table.parse(table)
        known = self._tables.get(new.name)
        if known is not None and known != new:
            digests = f"{new.digest.hex()}, want {known.digest.hex()}, as it is known"
            msg = f"table {new.vocabulary} {new.version}: SHA-256 {digests}"
            raise MalformedError(msg)
        added = sorted(new.terms.keys() - self._closed.get(new.vocabulary, new.terms.keys()))
        if added:
            text = f"adds {added[0]}, but programs act on these words; use a release that brings it"
            msg = f"table {new.vocabulary} {new.version}: {text}"
            raise MalformedError(msg)
        return Vocabularies([*self._tables.values(), new], [*self._without(*new.name), new.name])

    def adopting(self, vocabulary: str, version: str) -> Vocabularies:
        """The same with a known table in use. Raises `KeyError` when it is not known."""
        return Vocabularies(
            self._tables.values(), [*self._without(vocabulary, version), self._tables[vocabulary, version].name]
        )

    def retiring(self, vocabulary: str, version: str) -> Vocabularies:
        """The same with a table that is read and no longer written with."""
        return Vocabularies(self._tables.values(), self._without(vocabulary, version))

    def pins(self) -> dict[str, str]:
        """Version in use of each vocabulary, for the genesis event of a log."""
        return dict(sorted(self._adopted))

    def digests(self) -> dict[str, str]:
        """SHA-256 in hex of the table in use of each vocabulary, for the genesis event of a log."""
        return {name[0]: self._tables[name].digest.hex() for name in sorted(self._adopted)}

    def _without(self, *name: str) -> list[tuple[str, str]]:
        return [each for each in self._adopted if each != name]

    @cached_property
    def _terms(self) -> Mapping[str, Mapping[str, Term]]:
        found: dict[str, dict[str, Term]] = {}
        used = [self._tables[name] for name in self._adopted]
        for table in [*(table for table in self if table.name not in self._adopted), *used]:
            found.setdefault(table.vocabulary, {}).update(table.terms)
        return found

    @cached_property
    def _writable(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, dict[str, bool]] = {}
        for name in self._adopted:
            words = found.setdefault(name[0], {})
            words.update({term.word: not term.retired for term in self._tables[name].terms.values()})
        return {vocabulary: frozenset(w for w, used in words.items() if used) for vocabulary, words in found.items()}

    @cached_property
    def _closed(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for table in self._tables.values():
            if table.closed:
                found[table.vocabulary] = found.get(table.vocabulary, frozenset()) | table.terms.keys()
        return found


def vocabularies_at(events: Iterable[bytes], since: Vocabularies | None = None) -> Vocabularies:
    """The vocabularies in use after these events of one log: `log.genesis`, `vocab.adopt`, `vocab.retire`, in order.

    `since` are those before the first of them; absent, they begin with the genesis event. Other events are passed over,
    and so is what has no effect: a table that is neither known here nor in the event, or whose digest is another one. A
    vocabulary that the genesis event does not name is as it is built in. Raises nothing.
    """
    found = BUILT_IN if since is None else since
    for data in events:
        try:
            event = loads(data)
            found = _SAYS[event["type"]](found, event["body"])
        except (MalformedError, KeyError, TypeError, AttributeError):
            continue
    return found


def _begun(found: Vocabularies, body: Mapping[str, Any]) -> Vocabularies:
    digests = body.get("vocabulary_digests", {})
    for vocabulary, version in body["vocabularies"].items():
        built_in, table = found.active(vocabulary), found.table(vocabulary, version)
        if built_in is not None:
            found = found.retiring(*built_in.name)
        if table is not None and digests.get(vocabulary, table.digest.hex()) == table.digest.hex():
            found = found.adopting(*table.name)
    return found


def _adopted(found: Vocabularies, body: Mapping[str, Any]) -> Vocabularies:
    name, digest = (body["vocabulary"], body["version"]), body["digest"]
    if "table" not in body:
        known = found.table(*name)
        return found if known is None or known.digest.hex() != digest else found.adopting(*name)
    data = dumps(body["table"])
    table = Table.parse(data)
    return found.with_table(data) if (table.name, table.digest.hex()) == (name, digest) else found


def _retired(found: Vocabularies, body: Mapping[str, Any]) -> Vocabularies:
    return found.retiring(body["vocabulary"], body["version"])


_SAYS: Mapping[str, Callable[[Vocabularies, Mapping[str, Any]], Vocabularies]] = MappingProxyType(
    {"log.genesis": _begun, "vocab.adopt": _adopted, "vocab.retire": _retired}
)


def _order(table: Table) -> tuple[str, list[tuple[int, str]]]:
    """By vocabulary, then by version: numbers in it by their value, so that 10 comes after 9."""
    parts = re.findall(r"[0-9]+|[^0-9]+", table.version)
    return table.vocabulary, [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _built_in() -> Vocabularies:
    folder = Path(__file__).parent / "tables"
    tables = sorted((Table.parse(path.read_bytes()) for path in folder.glob("*.json")), key=_order)
    return Vocabularies(tables, {table.vocabulary: table.name for table in tables}.values())


BUILT_IN = _built_in()
"""The tables that this version brings; of each vocabulary the newest is in use."""
