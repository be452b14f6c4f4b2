"""A market that existed before: the rows of a table, as what the market observed. Old dates are only claimed.

A map says, in TOML, what each row gives and in which order; `{column}` stands for the row's value::

    [[rows]]
    verb = "party"
    ref = "user:{user_id}"
    kind = "person"
    name = "{user_name}"

    [[rows]]
    verb = "work"
    ref = "work:{id}"
    creator = "user:{user_id}"
    sha256 = "{sha256}"
    media_type = "{mime}"
    size = "{bytes}"
    claimed_at = "{created}"

A step whose field comes out empty has no such field; where it needs that, the row is refused.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ledger.errors import MalformedError

__all__ = ["VERBS", "Row", "Step", "TableMap", "read_row"]

Row = Mapping[Any, Any] | MalformedError
"""A row's values by column, more values than columns under None as `csv` has it; or what is wrong with the row."""

_FILE = frozenset({"sha256", "media_type", "size"})
_ABOUT_WORK = frozenset({"title", "role", "source_type", "claimed_at"})


class _Verb(NamedTuple):
    """The fields that a step needs, of which it may name a file instead, and those that it may have."""

    needs: frozenset[str]
    may: frozenset[str]
    of_file: bool = False


VERBS: Mapping[str, _Verb] = {
    "party": _Verb(frozenset({"ref", "kind"}), frozenset({"name", "account", "claimed_at"})),
    "work": _Verb(frozenset({"ref", "creator"}), _ABOUT_WORK, of_file=True),
    "derive": _Verb(frozenset({"ref", "creator", "parents"}), _ABOUT_WORK | {"relation"}, of_file=True),
    "offer": _Verb(frozenset({"ref", "work", "terms"}), frozenset({"amount", "currency", "claimed_at"})),
    "license": _Verb(
        frozenset({"ref", "work", "to", "offer"}), frozenset({"amount", "currency", "quantity", "claimed_at"})
    ),
}
"""What a step may be, with the fields it needs and those it may have.

A work has `file`, which is read, or `sha256`, `media_type` and `size`. `parents` are refs of works, with a space
between two of them.
"""

MAX_MAP = 100_000
"""Characters of the longest map that is read."""

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)?(?:Z|\+00:?00)?)?", re.ASCII)
_COLUMN = re.compile(r"(?!\d+$)[^.\[\]{}!:]+")  # any name that stands for the value as a whole


class Step(NamedTuple):
    """One thing that a row gives: its verb, and its fields with the row's values put in."""

    verb: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TableMap:
    """What each row of a table gives, in order."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> TableMap:
        """Read a map. Raises `MalformedError` with the step and field that are not as they should be."""
        if len(text) > MAX_MAP:
            msg = f"map: {len(text)} characters, want at most {MAX_MAP}"
            raise MalformedError(msg)
        try:
            value = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            msg = f"map: no TOML: {error}"
            raise MalformedError(msg) from None
        rows = value.get("rows")
        if set(value) != {"rows"} or not isinstance(rows, list) or not rows:
            msg = "map: want [[rows]] and nothing else"
            raise MalformedError(msg)
        return cls(tuple(_step(number, each) for number, each in enumerate(rows, 1)))

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it takes."""
        named = (string.Formatter().parse(text) for step in self.steps for text in step.fields.values())
        return frozenset(name for parts in named for _, name, _, _ in parts if name)


def read_row(row: Row, table: TableMap) -> list[Step] | str:
    """The steps that a row gives, or why it gives none."""
    if isinstance(row, MalformedError):
        return str(row)
    try:
        return [_filled(step, row) for step in table.steps]
    except MalformedError as error:
        return str(error)


def _step(number: int, value: Any) -> Step:
    if not isinstance(value, dict) or value.get("verb") not in VERBS:
        msg = f"map: step {number}: want a verb of {', '.join(VERBS)}"
        raise MalformedError(msg)
    verb = VERBS[value["verb"]]
    fields = {name: text for name, text in value.items() if name != "verb"}
    needs = verb.needs | (({"file"} if "file" in fields else _FILE) if verb.of_file else frozenset())
    if not needs <= set(fields) <= needs | verb.may:
        lacking = ", ".join(sorted(needs - set(fields))) or "nothing"
        odd = ", ".join(sorted(set(fields) - needs - verb.may)) or "nothing"
        msg = f"map: step {number} ({value['verb']}): lacks {lacking}, does not know {odd}"
        raise MalformedError(msg)
    for name, text in fields.items():
        try:
            parts = list(string.Formatter().parse(text)) if isinstance(text, str) else [("", "?", "?", None)]
        except ValueError as error:
            msg = f"map: step {number}: {name}: {error}"
            raise MalformedError(msg) from None
        if any(
            spec or conversion or (column is not None and not _COLUMN.fullmatch(column))
            for _, column, spec, conversion in parts
        ):
            msg = f"map: step {number}: {name}: want text with {{column}} in it and nothing more"
            raise MalformedError(msg)
    return Step(value["verb"], fields)


def _filled(step: Step, row: Mapping[Any, Any]) -> Step:
    if row.get(None):
        msg = f"{len(row[None])} values more than the table has columns"
        raise MalformedError(msg)
    needs = VERBS[step.verb].needs | _FILE | {"file"}
    fields: dict[str, str] = {}
    for name, text in step.fields.items():
        columns = [column for _, column, _, _ in string.Formatter().parse(text) if column]
        unknown = [column for column in columns if column not in row]
        if unknown:
            msg = f"{step.verb}: {name}: the table has no column {', '.join(unknown)}"
            raise MalformedError(msg)
        values = {column: "" if row[column] is None else str(row[column]).strip() for column in columns}
        if columns and not all(values.values()):
            if name in needs:
                empty = ", ".join(column for column, value in values.items() if not value)
                msg = f"{step.verb}: {name}: the column {empty} is empty"
                raise MalformedError(msg)
            continue
        fields[name] = text.format_map(values)
    if "claimed_at" in fields:
        fields["claimed_at"] = _time(fields["claimed_at"], step.verb)
    return Step(step.verb, fields)


def _time(text: str, verb: str) -> str:
    """A date or UTC time as RFC 3339 with whole seconds."""
    found = _DATE.fullmatch(text)
    if found is None:
        msg = f"{verb}: claimed_at: {text[:40]!r}, want a date, or a time in UTC as 2019-03-01 12:30:00"
        raise MalformedError(msg)
    clock = found[2] or "00:00:00"
    return f"{found[1]}T{clock if len(clock) == 8 else clock + ':00'}Z"
