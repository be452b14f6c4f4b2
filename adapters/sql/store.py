"""A log in SQLite: objects, checkpoints and waiting rows in one file, every commit durable.

Settings of *our* connections: `synchronous=FULL` (a commit is on disk when it returns), `BEGIN IMMEDIATE` for writes,
so that two writers wait for each other instead of failing half way, and 30 s of patience. A new file is put into
write-ahead mode; a file that exists keeps the mode it has. The host's own connections are never touched.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, MetaData, bindparam, create_engine, delete, event, exc, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from adapters.sql.tables import heads, metadata, objects, rows
from ledger.errors import Conflict, NotFound, StorageError, Unavailable
from ledger.storage import Head, Row

__all__ = ["SqlStore", "SqlTransaction", "storage_errors"]

_BUSY_SECONDS = 30.0
_LEADER_SECONDS = 60.0
_CACHE_KIB = 65_536


class SqlStore:
    """A `ledger.storage.Database` in one SQLite file. Safe to share between threads."""

    def __init__(
        self,
        url: str | URL,
        *,
        create: bool = False,
        extra: Sequence[MetaData] = (),
        timeout: float = _BUSY_SECONDS,
    ) -> None:
        """Open the file that `url` (`sqlite:///market.db`) names; `create` makes file and missing tables.

        `extra` names further tables to make; `timeout` is how many seconds a write waits for other writers. Raises
        `NotFound` for a file that is not there, `StorageError` for another kind of database, `Unavailable` when it
        cannot be opened.
        """
        self.url = make_url(url)
        if self.url.get_backend_name() != "sqlite":
            msg = f"{self.url.render_as_string()}: this release stores in SQLite only; want sqlite:///FILE"
            raise StorageError(msg)
        path = self.url.database
        if not path or path == ":memory:" or path.startswith("file:"):
            msg = "an SQLite database in memory cannot be shared with the market: give a file, sqlite:///market.db"
            raise StorageError(msg)
        is_new = not Path(path).exists()
        if is_new and not create:
            msg = f"{path}: no such database; `provenance init` makes one"
            raise NotFound(msg)
        arguments = {"timeout": timeout}
        self.engine = create_engine(self.url, connect_args=arguments)
        event.listen(self.engine, "connect", _on_connect)
        event.listen(self.engine, "begin", _on_begin)
        # Every thread keeps its own connection: a pool would only run out of them.
        self._reads = create_engine(self.url, connect_args=arguments, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._local = threading.local()
        self._readers: WeakSet[Connection] = WeakSet()
        self._lock = threading.RLock()
        self._leading = threading.Lock()
        self._writer: Connection | None = None
        if create:
            with storage_errors(path):
                if is_new:
                    with self._reads.connect() as connection:
                        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                for tables in (metadata, *extra):
                    tables.create_all(self.engine)

    def close(self) -> None:
        """Give every connection back."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            for connection in list(self._readers):
                connection.close()
            self._readers.clear()
            self._local = threading.local()
        self.engine.dispose()
        self._reads.dispose()

    @property
    def reading(self) -> Connection:
        """This thread's connection for reads; every statement on it sees all that was committed before."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with storage_errors("connect"):
                connection = self._local.connection = self._reads.connect()
            with self._lock:
                self._readers.add(connection)
        return connection

    # Objects

    def get(self, path: str) -> bytes:
        """As `Objects.get`."""
        with storage_errors(path):
            data = self.reading.execute(_GET, {"path": path}).scalar_one_or_none()
        if data is None:
            msg = f"{path}: not in {self.url.database}"
            raise NotFound(msg, path=path)
        return bytes(data)

    def put(self, path: str, data: bytes) -> None:
        """As `Objects.put`."""
        with self.transaction() as tx:
            tx.put(path, data)

    def replace(self, path: str, data: bytes) -> None:
        """As `Objects.replace`."""
        with self.transaction() as tx:
            tx.replace(path, data)

    def discard(self, *paths: str) -> None:
        """As `Objects.discard`."""
        with self.transaction() as tx:
            for path in paths:
                below = objects.c.path.startswith(path, autoescape=True)
                tx.connection.execute(delete(objects).where(below if path.endswith("/") else objects.c.path == path))

    def list(self, prefix: str) -> list[str]:
        """As `ListsObjects.list`."""
        with storage_errors(prefix or "objects"):
            where = objects.c.path.startswith(prefix, autoescape=True)
            return list(self.reading.execute(select(objects.c.path).where(where)).scalars())

    # Checkpoints

    def load(self, origin: str) -> bytes:
        """As `Checkpoints.load`."""
        return self.head(origin).signed

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`."""
        with self.transaction() as tx:
            tx.create(origin, signed)

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`."""
        with self.transaction() as tx:
            tx.swap(origin, old, new)

    # Database

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """As `Database.transaction`: one `BEGIN IMMEDIATE` … `COMMIT`, on a connection that is kept open."""
        with self._lock, storage_errors(self.url.database or "write"):
            if self._writer is None:
                self._writer = self.engine.connect()
            if self._writer.in_transaction():
                msg = f"{self.url.database}: this thread is inside a transaction already; write through that one"
                raise StorageError(msg)
            with self._writer.begin():
                yield SqlTransaction(self._writer)

    def head(self, origin: str) -> Head:
        """As `Database.head`."""
        with storage_errors(origin):
            row = self.reading.execute(select(heads.c.size, heads.c.signed).where(heads.c.origin == origin)).first()
        if row is None:
            msg = f"{origin}: no such log in {self.url.database}"
            raise NotFound(msg)
        return Head(row.size, bytes(row.signed))

    def rows(self, origin: str) -> list[Row]:  # noqa: ARG002 - a database holds one log
        """As `Database.rows`."""
        with storage_errors("rows"):
            found = self.reading.execute(select(rows.c.entry, rows.c.opened).order_by(rows.c.idx))
            return [Row(bytes(entry), bytes(opened)) for entry, opened in found]

    @contextmanager
    def leading(self) -> Iterator[None]:
        """As `Queue.leading`: the lock is SQLite's own, on a file beside the database, gone with its process."""
        database = str(self.url.database)
        with storage_errors(f"{database}: waiting to lead"), self._leading:
            lock = sqlite3.connect(f"{database}-leader", timeout=_LEADER_SECONDS, isolation_level=None)
            try:
                lock.execute("BEGIN EXCLUSIVE")
                yield
            except sqlite3.OperationalError as error:
                msg = f"{database}: waiting to lead: {error}; another sequencer has led for {_LEADER_SECONDS:.0f} s"
                raise Unavailable(msg) from error
            finally:
                lock.close()

    def origins(self) -> list[str]:
        """Names of the logs in this database."""
        with storage_errors("heads"):
            return list(self.reading.execute(select(heads.c.origin).order_by(heads.c.origin)).scalars())


class SqlTransaction:
    """A `ledger.storage.Transaction` on `connection`, for other tables of the same database to join."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def put(self, path: str, data: bytes) -> None:
        """As `Objects.put`."""
        if self.connection.execute(_PUT, {"path": path, "data": data}).rowcount:
            return
        if bytes(self.connection.execute(_GET, {"path": path}).scalar_one()) != data:
            msg = f"{path}: other bytes are there already; the database is damaged or another log writes to it"
            raise Conflict(msg, path=path)

    def replace(self, path: str, data: bytes) -> None:
        """As `Objects.replace`."""
        self.connection.execute(_REPLACE, {"path": path, "data": data})

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`. A database holds one log: rows and tiles do not name theirs."""
        there = self.connection.execute(select(heads.c.origin)).scalars().first()
        if there is not None:
            msg = f"{origin}: this database holds the log {there} already"
            raise Conflict(msg)
        self.connection.execute(_CREATE, {"origin": origin, "size": 0, "signed": signed})

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`."""
        if self.connection.execute(_SWAP, {"at": origin, "old": old, "new": new}).rowcount != 1:
            msg = f"{origin}: another writer swapped the checkpoint first"
            raise Conflict(msg)

    def extend(self, origin: str, old: int, new: int, kept: Sequence[Row], *, trim: bool) -> None:
        """As `Transaction.extend`."""
        if self.connection.execute(_EXTEND, {"at": origin, "old": old, "new": new}).rowcount != 1:
            msg = f"{origin}: another writer sequenced entries first"
            raise Conflict(msg)
        if trim:
            self.connection.execute(_TRIM)
        if kept:
            values = [
                {"idx": idx, "entry": row.entry, "opened": row.opened} for idx, row in enumerate(kept, new - len(kept))
            ]
            self.connection.execute(_ROWS, values if len(values) > 1 else values[0])


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn what the database driver raises into this library's errors, and nothing else."""
    try:
        yield
    except exc.IntegrityError as error:
        msg = f"{what}: {error.orig}"
        raise Conflict(msg) from error
    except exc.OperationalError as error:
        said = str(error.orig)
        if said.startswith("no such table"):
            msg = f"{what}: {said}: no log was made in this database; `provenance init` makes one"
            raise NotFound(msg) from error
        advice = next((f"; {do}" for sign, do in _ADVICE.items() if sign in said), "")
        msg = f"{what}: {said}{advice}"
        raise Unavailable(msg) from error
    except exc.DBAPIError as error:
        msg = f"{what}: {error.orig}"
        raise StorageError(msg) from error


def _on_connect(connection: sqlite3.Connection, _: Any) -> None:
    # The driver's own transaction control begins too late: it does not open one before SAVEPOINT or SELECT.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA fullfsync=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_ADVICE = {
    "locked": "another program holds it: try again, and keep its transactions short",
    "full": "make room, then try again: what was promised before is safe",
    "readonly": "the file or its folder may not be written to: mend that, then try again",
    "disk I/O error": "look at the disk before anything else",
    "unable to open": "is its folder there, and may it be written to?",
}
_GET = select(objects.c.data).where(objects.c.path == bindparam("path"))
_PUT = insert(objects).on_conflict_do_nothing()
_REPLACE = insert(objects)
_REPLACE = _REPLACE.on_conflict_do_update(index_elements=["path"], set_={"data": _REPLACE.excluded.data})
_CREATE = insert(heads)
_SWAP = (
    update(heads)
    .where(heads.c.origin == bindparam("at"), heads.c.signed == bindparam("old"))
    .values(signed=bindparam("new"))
)
_EXTEND = (
    update(heads)
    .where(heads.c.origin == bindparam("at"), heads.c.size == bindparam("old"))
    .values(size=bindparam("new"))
)
_TRIM = delete(rows)
_ROWS = insert(rows)
