"""Finding every row of a market that has no event, and every event that has no row: both are joined by `ref`.

What a sale and its event in one transaction cannot lose, a script that writes rows past the market's own code can.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ledger.errors import MalformedError
from provenance.drafts import is_event_id
from provenance.names import erased_names

if TYPE_CHECKING:
    from provenance.ledger import ProvenanceLedger

__all__ = ["Counts", "Named", "Reconciliation", "reconcile"]

_PORTION = 10_000  # names written at once


class Named(NamedTuple):
    """An event by the name that the market gave it. `waits`: accepted, and not yet in the log."""

    verb: str
    ref: str
    event: str
    waits: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """What a reconciliation found, in numbers. A ref counts once, however many rows name it."""

    rows: int  # that the query returned
    refs: int  # different ones among them
    events: int  # with a ref
    waiting: int  # of these, accepted and not yet in the log
    rows_without_event: int
    events_without_row: int
    rows_erased: int = 0  # with refs whose event is there, and whose name was erased here

    @property
    def equal(self) -> bool:
        """Whether every row has its event, also where its name was erased, and every event its row."""
        return self.rows_without_event == self.events_without_row == 0


class Reconciliation:
    """Both sides beside each other in a temporary file, gone at the end of the `with` block."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str], both: sqlite3.Connection) -> None:
        self._folder = folder
        self._both = both
        self.counts = Counts(*both.execute(_COUNTS).fetchone())

    def rows_without_event(self) -> Iterator[str]:
        """Refs of the market that were never recorded, or whose event is neither waiting nor in the log; in order."""
        for (ref,) in self._both.execute(_ROWS_ALONE):
            yield ref

    def rows_erased(self) -> Iterator[str]:
        """Refs of the market that were erased here, while rows of the market still have them; in order."""
        for (ref,) in self._both.execute("SELECT ref FROM erased ORDER BY ref"):
            yield ref

    def events_without_row(self) -> Iterator[Named]:
        """Events whose ref is none of the market's; in order."""
        for verb, ref, event, waits in self._both.execute(_EVENTS_ALONE):
            yield Named(verb, ref, event.hex(), bool(waits))

    def close(self) -> None:
        """Remove the temporary file."""
        self._both.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def reconcile(
    ledger: ProvenanceLedger, refs: Iterable[str | tuple[str, str | None]], *, verb: str | None = None
) -> Reconciliation:
    """Compare `refs`, one for each row of the market, with the events that were recorded under a ref.

    A name that was erased has no event any more, and nothing here tells that it ever had one. Give the pair of ref and
    event id, where the row keeps that: such a row is found to be erased, and counts as what has its event.

    `verb` looks at what that verb recorded alone (`license`), as the rows of one table mostly do. An event that waits
    counts as recorded. Events without a ref cannot be joined and are left out. Nothing is written but a temporary file,
    and memory does not grow with the number of rows. What is recorded meanwhile may show as an event without a row:
    look again before acting. Raises `MalformedError` for a ref that is no text, `Unavailable`.
    """
    folder = tempfile.TemporaryDirectory(prefix="provenance-reconcile-")
    try:
        both = sqlite3.connect(Path(folder.name) / "both.db", isolation_level=None)
        try:
            _fill(both, ledger, refs, verb)
            return Reconciliation(folder, both)
        except BaseException:
            both.close()
            raise
    except BaseException:
        folder.cleanup()
        raise


def _fill(both: sqlite3.Connection, ledger: ProvenanceLedger, refs: Iterable[Any], verb: str | None) -> None:
    for statement in _TABLES:
        both.execute(statement)
    both.execute("BEGIN")
    # The market's side first: whatever row it shows, its event is there by the time that events are read.
    both.executemany(_ROW, _checked(refs))
    names = ledger.names(verb=verb)
    while portion := list(islice(names, _PORTION)):
        both.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", portion)
    before = ledger.before()
    alone = both.execute(_KEEPING)
    while kept := alone.fetchmany(_PORTION):
        named = [("", ref, event) for ref, event in kept]
        gone = erased_names(named, lambda addresses: before.index.erased(addresses).keys(), before.data)
        both.executemany("INSERT INTO erased VALUES (?)", sorted((ref,) for _, ref in gone))
    both.execute("COMMIT")


def _checked(refs: Iterable[Any]) -> Iterator[tuple[str, bytes | None]]:
    for number, given in enumerate(refs):
        ref, event = given if isinstance(given, tuple) else (given, None)
        if not isinstance(ref, str):
            msg = f"row {number}: the ref is of type {type(ref).__name__}, want text such as 'order:' || id"
            raise MalformedError(msg)
        if event is not None and not (isinstance(event, str) and is_event_id(event)):
            msg = f"row {number}: the event id beside the ref is {str(event)[:80]!r}, want 64 hex digits, or nothing"
            raise MalformedError(msg)
        yield ref, None if event is None else bytes.fromhex(event)


_TABLES = (
    "PRAGMA journal_mode=OFF",
    "PRAGMA synchronous=OFF",
    "CREATE TABLE market (ref TEXT PRIMARY KEY, rows INTEGER NOT NULL, event BLOB) WITHOUT ROWID",
    "CREATE TABLE erased (ref TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE events (verb TEXT, ref TEXT, event BLOB, waits INTEGER, PRIMARY KEY (ref, verb)) WITHOUT ROWID",
)
_ROW = """
INSERT INTO market VALUES (?, 1, ?)
ON CONFLICT DO UPDATE SET rows = rows + 1, event = coalesce(event, excluded.event)
"""
_ALONE = "NOT EXISTS (SELECT 1 FROM events WHERE events.ref = market.ref)"
_KEEPING = f"SELECT ref, event FROM market WHERE event IS NOT NULL AND {_ALONE}"  # noqa: S608 - our own text
_ROWS_ALONE = f"SELECT ref FROM market WHERE {_ALONE} AND ref NOT IN (SELECT ref FROM erased) ORDER BY ref"  # noqa: S608
_EVENTS_ALONE = """
SELECT verb, ref, event, waits FROM events WHERE NOT EXISTS (SELECT 1 FROM market WHERE market.ref = events.ref)
ORDER BY ref, verb
"""
_COUNTS = f"""
SELECT (SELECT coalesce(sum(rows), 0) FROM market),
       (SELECT count(*) FROM market),
       (SELECT count(*) FROM events),
       (SELECT count(*) FROM events WHERE waits),
       (SELECT count(*) FROM market WHERE {_ALONE} AND ref NOT IN (SELECT ref FROM erased)),
       (SELECT count(*) FROM events WHERE NOT EXISTS (SELECT 1 FROM market WHERE market.ref = events.ref)),
       (SELECT count(*) FROM erased)
"""  # noqa: S608
