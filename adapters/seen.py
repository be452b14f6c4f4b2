"""What a monitor remembers, in one SQLite file that only it writes to."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ledger.checkpoint import Checkpoint
from ledger.errors import Unavailable
from ledger.evidence import Evidence
from ledger.note import Note
from provenance.seen import Sighting, Standing

__all__ = ["SeenFile"]

_TABLES = """
CREATE TABLE IF NOT EXISTS sighting (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, signed BLOB NOT NULL, source TEXT NOT NULL,
    first INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (origin, size, root)
);
CREATE TABLE IF NOT EXISTS evidence (origin TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS standing (origin TEXT PRIMARY KEY, signed BLOB NOT NULL, rest TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS waiting ON sighting (origin, size) WHERE settled = 0;
"""
_WAIT = 30.0  # seconds for another process that uses the same file


class SeenFile:
    """A `provenance.seen.Seen` for any number of logs; `:memory:` keeps nothing. Made when it is not there.

    Every call is a transaction of its own, flushed to disk when it returns. Raises `Unavailable` for a file that cannot
    be used, or is none of ours.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        with self._errors():
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=_WAIT)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, sighting: Sighting) -> None:
        """As `Seen.add`."""
        seen = sighting.checkpoint
        values = (seen.origin, seen.size, seen.root, seen.signed, sighting.source, sighting.first)
        self._run(
            "INSERT OR IGNORE INTO sighting (origin, size, root, signed, source, first) VALUES (?, ?, ?, ?, ?, ?)",
            *values,
        )

    def of_size(self, origin: str, size: int) -> list[Sighting]:
        """As `Seen.of_size`."""
        return self._sightings("origin = ? AND size = ? ORDER BY first, root", origin, size)

    def waiting(self, origin: str) -> list[Sighting]:
        """As `Seen.waiting`."""
        return self._sightings("origin = ? AND settled = 0 ORDER BY size, root", origin)

    def settle(self, checkpoint: Checkpoint) -> None:
        """As `Seen.settle`."""
        key = (checkpoint.origin, checkpoint.size, checkpoint.root)
        self._run("UPDATE sighting SET settled = 1 WHERE origin = ? AND size = ? AND root = ?", *key)

    def convict(self, evidence: Evidence) -> None:
        """As `Seen.convict`."""
        self._run("INSERT OR IGNORE INTO evidence (origin, data) VALUES (?, ?)", evidence.origin, bytes(evidence))

    def evidence(self, origin: str) -> Evidence | None:
        """As `Seen.evidence`."""
        rows = self._run("SELECT data FROM evidence WHERE origin = ?", origin)
        return Evidence.parse(rows[0][0]) if rows else None

    def load(self, origin: str) -> Standing:
        """As `Seen.load`."""
        rows = self._run("SELECT signed, rest FROM standing WHERE origin = ?", origin)
        return Standing(rows[0][0], **json.loads(rows[0][1])) if rows else Standing()

    def save(self, origin: str, standing: Standing) -> None:
        """As `Seen.save`."""
        rest = asdict(standing)
        signed = rest.pop("signed")
        self._run(
            "INSERT OR REPLACE INTO standing (origin, signed, rest) VALUES (?, ?, ?)", origin, signed, json.dumps(rest)
        )

    def _sightings(self, where: str, *values: Any) -> list[Sighting]:
        # `where` is one of two texts above.
        rows = self._run(f"SELECT signed, source, first FROM sighting WHERE {where}", *values)  # noqa: S608
        return [Sighting(_parsed(signed), source, first) for signed, source, first in rows]

    def _run(self, statement: str, *values: Any) -> list[Any]:
        with self._errors():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            msg = f"{self._path}: {error}; want the state file of a monitor, or a new one where it can be written"
            raise Unavailable(msg, path=self._path) from error


def _parsed(signed: bytes) -> Checkpoint:
    """What was verified before it was stored; who reads it verifies it again, under the policy of that day."""
    tree = Checkpoint.parse(Note.parse(signed).text)
    return Checkpoint(tree.origin, tree.size, tree.root, tree.extensions, signed)
