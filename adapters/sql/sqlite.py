"""SQLite: one file beside the market's own tables or with them, every commit durable.

Settings of *our* connections: `synchronous=FULL` (a commit is on disk when it returns), `BEGIN IMMEDIATE` for writes,
so that two writers wait for each other instead of failing half way, and 30 s of patience. A new file is put into
write-ahead mode; a file that exists keeps the mode it has. The host's own connections are never touched.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from ledger.errors import NotFound, StorageError, Unavailable

__all__ = ["Sqlite"]

_CACHE_KIB = 24_576
_PAUSE = 0.005  # seconds between attempts at what SQLite does not wait for


class Sqlite:
    """A `Backend` in one SQLite file."""

    schema = None
    insert = staticmethod(insert)

    def __init__(self, url: URL, *, create: bool, schema: str | None, timeout: float, patience: float) -> None:
        """`timeout` is how many seconds a write waits for others, `patience` how many a sequencer waits to lead."""
        self.url = url.set(drivername="sqlite")
        path = url.database
        if schema is not None:
            msg = f"schema {schema!r}: SQLite has no schemas; leave it out, or give a database file of its own"
            raise StorageError(msg)
        if not path or path == ":memory:" or path.startswith("file:"):
            msg = "an SQLite database in memory cannot be shared with the market: give a file, sqlite:///market.db"
            raise StorageError(msg)
        self.name = path
        if not create and not Path(path).exists():
            msg = f"{path}: no such database; `provenance init` makes one"
            raise NotFound(msg)
        self._patience = patience
        self._timeout = timeout
        arguments = {"timeout": timeout}
        self.engine = create_engine(self.url, connect_args=arguments, hide_parameters=True)
        event.listen(self.engine, "connect", _on_connect)
        event.listen(self.engine, "begin", _on_begin)
        # Every thread keeps its own connection: a pool would only run out of them.
        self._reads = create_engine(
            self.url, connect_args=arguments, hide_parameters=True, isolation_level="AUTOCOMMIT", poolclass=NullPool
        )

    @contextmanager
    def making(self) -> Iterator[Connection]:
        """As `Backend.making`: a new file is put into write-ahead mode."""
        path = Path(self.name).resolve()  # where a link leads
        if not path.exists():
            _make(path, self._timeout)
        with self.engine.begin() as connection:
            yield connection

    def writer(self) -> Connection:
        """As `Backend.writer`."""
        return self.engine.connect()

    def reader(self) -> Connection:
        """As `Backend.reader`."""
        return self._reads.connect()

    def begin(self, connection: Connection) -> None:
        """As `Backend.begin`: done already, where SQLAlchemy began."""

    def hung_up(self, connection: Connection) -> bool:  # noqa: ARG002 - a file never does
        """As `Backend.hung_up`."""
        return False

    @contextmanager
    def leader(self) -> Iterator[None]:
        """As `Backend.leader`: the lock is SQLite's own, on a file beside the database, gone with its process."""
        lock = sqlite3.connect(f"{self.name}-leader", timeout=self._patience, isolation_level=None)
        try:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                msg = f"{self.name}: waiting to lead: {error}; another sequencer has led for {self._patience:.0f} s"
                raise Unavailable(msg) from error
            yield
        finally:
            lock.close()

    def close(self) -> None:
        """As `Backend.close`."""
        self.engine.dispose()
        self._reads.dispose()

    def leave_to_parent(self) -> object:
        """As `Backend.leave_to_parent`."""
        left = self.engine.pool, self._reads.pool
        self.engine.dispose(close=False)
        self._reads.dispose(close=False)
        return left


def _make(path: Path, patience: float) -> None:
    """An empty database in write-ahead mode; one that somebody else made meanwhile stays as it is."""
    try:
        # Empty first: beside an empty file SQLite throws away a write-ahead log, which an earlier database of this
        # name may have left; it would play that back into any other.
        path.touch(exist_ok=False)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            _change_mode(connection, time.monotonic() + patience)
    except FileExistsError:
        return
    except (OSError, sqlite3.Error) as error:
        msg = f"{path}: could not be made: {error}; is its folder there, may it be written to, and has the disk room?"
        raise Unavailable(msg) from error


def _change_mode(connection: sqlite3.Connection, until: float) -> None:
    """Into write-ahead mode, for which SQLite itself waits for nobody who uses the file."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _on_connect(connection: sqlite3.Connection, _: Any) -> None:
    # The driver's own transaction control begins too late: it does not open one before SAVEPOINT or SELECT.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA fullfsync=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
