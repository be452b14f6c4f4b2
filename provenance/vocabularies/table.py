"""One table of words: canonical JSON, named by vocabulary and version, known by its SHA-256.

::

    {"source":"…","terms":{"humanEdits":{"label":"human-edited media"},"minorHumanEdits":{"instead":"humanEdits",
     "retired":true}},"version":"2024-Q3","vocabulary":"iptc-digital-source-type"}

The files in `tables/` are exactly these bytes: `sha256sum` prints the digest that stands in the genesis event of a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ledger.errors import MalformedError
from provenance.canonical import address, loads

__all__ = ["MAX_TERMS", "WORD", "Fact", "Table", "Term"]

MAX_TERMS = 10_000
"""Most terms of one table."""

WORD = r"^[A-Za-z0-9][A-Za-z0-9._:+/()-]{0,99}$"
"""What a word looks like, in any table."""

Fact = bool | str | tuple[str, ...]
"""What a program may want to know of a term besides its name."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a table."""

    word: str
    label: str = ""
    """A few words for people, "" where there are none."""
    retired: bool = False
    """It is read and no longer written."""
    instead: str = ""
    """What is written instead of a retired term, "" where nothing is."""
    maps: tuple[str, ...] = ()
    """The words of another vocabulary that this one stands for; `ai-use` in the tables of reservations."""
    facts: Mapping[str, Fact] = field(default_factory=dict, hash=False)
    """For example `valid` of a consent status, `generative` of a source type."""


@dataclass(frozen=True, slots=True)
class Table:
    """A version of a vocabulary. Equal to another one when its bytes are."""

    vocabulary: str = field(compare=False)
    version: str = field(compare=False)
    source: str = field(compare=False)
    """Whose terms they are, and where."""
    closed: bool = field(compare=False)
    """The program acts on the words, so that only a table that it brings itself can add one."""
    terms: Mapping[str, Term] = field(compare=False)
    data: bytes
    """Canonical JSON, at most 1 MiB."""
    digest: bytes = field(compare=False)
    """SHA-256 of `data`, 32 bytes."""

    def __bytes__(self) -> bytes:
        return self.data

    @property
    def name(self) -> tuple[str, str]:
        """Vocabulary and version."""
        return self.vocabulary, self.version

    @classmethod
    def parse(cls, data: bytes) -> Table:
        """Read a table; `bytes(Table.parse(data)) == data`.

        Raises `MalformedError` unless it is canonical JSON with exactly the members of a table: 1 to 10,000 terms, each
        word and version at most 100 characters, labels and sources at most 200. A term that is retired may name what is
        written `instead`, a term of the same table that is not retired itself.
        """
        loads(data)
        try:
            read = _Table.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            msg = f"table: {'.'.join(str(step)[:80] for step in first['loc']) or 'whole'}: {first['msg']}"
            raise MalformedError(msg) from None
        terms = {word: _term(word, said) for word, said in read.terms.items()}
        for term in terms.values():
            other = terms.get(term.instead)
            if term.instead and (not term.retired or other is None or other.retired):
                msg = f"table: terms.{term.word}.instead: want a term in use, where this one is retired"
                raise MalformedError(msg)
        return cls(
            read.vocabulary,
            read.version,
            read.source,
            read.closed is not None,
            MappingProxyType(terms),
            data,
            address(data),
        )


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


_Word = Annotated[str, Field(pattern=WORD)]
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Term(_Strict):
    label: _Text | None = None
    retired: Literal[True] | None = None
    instead: _Word | None = None
    maps: Annotated[tuple[_Word, ...], Field(min_length=1, max_length=100)] | None = None
    facts: (
        Annotated[
            dict[_Word, bool | _Text | Annotated[tuple[_Word, ...], Field(max_length=100)]],
            Field(min_length=1, max_length=20),
        ]
        | None
    ) = None


class _Table(_Strict):
    vocabulary: _Word
    version: _Word
    source: _Text
    closed: Literal[True] | None = None
    terms: Annotated[dict[_Word, _Term], Field(min_length=1, max_length=MAX_TERMS)]


def _term(word: str, said: _Term) -> Term:
    facts = MappingProxyType(said.facts or {})
    return Term(word, said.label or "", said.retired is not None, said.instead or "", said.maps or (), facts)
