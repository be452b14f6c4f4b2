"""What a witness has seen, in an SQLite file of its own: on disk before anything that was signed leaves the house.

A commit waits for the disk, and a witness is asked about many logs at once. So writers share commits: while one is
under way, those who come wait, and one of them writes for all. Each swap still wins or loses by itself.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from adapters.files import sync_directory
from ledger.errors import Conflict, NotFound, StorageError, Unavailable
from ledger.note import shown

__all__ = ["Seen"]

_APPLICATION = 0x50774974  # the file says whose it is: https://sqlite.org/pragma.html#pragma_application_id
_VERSION = 1
_BUSY_SECONDS = 10.0

_TABLE = "CREATE TABLE seen (origin TEXT PRIMARY KEY, signed BLOB NOT NULL) WITHOUT ROWID"
_LOAD = "SELECT signed FROM seen WHERE origin = ?"
_CREATE = "INSERT INTO seen (origin, signed) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SWAP = "UPDATE seen SET signed = ? WHERE origin = ? AND signed = ?"


@dataclass(slots=True, eq=False)
class _Change:
    """One writer's statement, and what became of it."""

    statement: str
    values: tuple[object, ...]
    done: bool = False
    won: bool = False
    error: StorageError | None = None


class Seen:
    """A `ledger.storage.Checkpoints` in one SQLite file; safe to share between threads, and the file between processes.

    Nothing else may be in the file, and no log may write there. A copy of it that is put back makes the witness forget
    what it signed since: start a new witness, with new keys, instead.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        """Open the file at `path`; with `create`, make it.

        Raises `NotFound` when it is not there, because a witness that begins anew may sign a second tree; `Conflict`
        when it is to be made and is there; `StorageError` for a file that is something else, `Unavailable`.
        """
        self._name = os.fspath(path)
        there = Path(path).exists()
        if create and there:
            msg = f"{self._name}: is there already; a witness never begins again over what it has seen"
            raise Conflict(msg)
        if not create and not there:
            msg = f"{self._name}: no such file; make it with `provenance witness init`, once for a key"
            raise NotFound(msg)
        self._lock = threading.Lock()  # guards the list
        self._waiting: list[_Change] = []
        self._writing = threading.Lock()  # and whoever holds it has the writer
        self._reading = threading.Lock()
        try:
            self._writer = self._connect()
            self._reader = self._connect()
            if create:
                self._make()
            self._check()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def load(self, origin: str) -> bytes:
        """As `Checkpoints.load`."""
        try:
            with self._reading, closing(self._reader.execute(_LOAD, (origin,))) as found:
                row = found.fetchone()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        if row is None:
            msg = f"{shown(origin, 200)}: nothing of this log was seen yet"
            raise NotFound(msg)
        return bytes(row[0])

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`."""
        self._write(origin, _CREATE, (origin, signed))

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`."""
        self._write(origin, _SWAP, (new, origin, old))

    def close(self) -> None:
        """Close the file; what was stored stays."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def _write(self, origin: str, statement: str, values: tuple[object, ...]) -> None:
        change = _Change(statement, values)
        with self._lock:
            self._waiting.append(change)
        with self._writing:
            # Whoever had the writer before may have written this, too.
            if not change.done:
                with self._lock:
                    group, self._waiting = self._waiting, []
                self._commit(group)
        if change.error is not None:
            raise change.error
        if not change.won:
            msg = f"{shown(origin, 200)}: another request was stored first"
            raise Conflict(msg)

    def _commit(self, group: list[_Change]) -> None:
        """Write all of them in one transaction; on disk when this returns, unless they have an error."""
        error: Unavailable | None = None
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for each in group:
                each.won = self._writer.execute(each.statement, each.values).rowcount == 1
            self._writer.execute("COMMIT")
        except sqlite3.Error as caught:
            error = self._unavailable(caught)
        finally:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            for each in group:
                each.error = error
                each.done = True

    def _connect(self) -> sqlite3.Connection:
        # Every use is under a lock of ours. Transactions are ours, too: nothing implicit.
        connection = sqlite3.connect(self._name, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # where a flush alone stops short of the disk
        return connection

    def _make(self) -> None:
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("BEGIN IMMEDIATE")
        self._writer.execute(_TABLE)
        self._writer.execute(f"PRAGMA application_id = {_APPLICATION}")
        self._writer.execute(f"PRAGMA user_version = {_VERSION}")
        self._writer.execute("COMMIT")
        sync_directory(Path(self._name).parent)

    def _check(self) -> None:
        whose = self._reader.execute("PRAGMA application_id").fetchone()[0]
        version = self._reader.execute("PRAGMA user_version").fetchone()[0]
        if whose != _APPLICATION or version != _VERSION:
            self.close()
            msg = (
                f"{self._name}: not the file of a witness that this release knows (application {whose:#x}, version "
                f"{version}); want one that `provenance witness init` made, and nothing else in it"
            )
            raise StorageError(msg)

    def _unavailable(self, error: sqlite3.Error) -> Unavailable:
        return Unavailable(f"{self._name}: {error}; nothing was signed")
