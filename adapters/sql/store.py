"""A log in a database: objects, checkpoints and waiting rows in its tables, every commit durable.

What differs between products is in `adapters.sql.sqlite` and `adapters.sql.postgres`; a driver is loaded when the
first URL of its kind is opened.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    and_,
    bindparam,
    delete,
    exc,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.engine import URL, make_url

from adapters.sql.backend import Backend
from adapters.sql.connections import LEADER_SECONDS, Connections
from adapters.sql.errors import storage_errors
from adapters.sql.tables import heads, metadata, objects, rows
from adapters.sql.version import create_tables
from ledger.errors import Conflict, NotFound, StorageError
from ledger.storage import Head, Row
from provenance.index.bulk import among, insert_many

__all__ = ["SqlStore", "SqlTransaction", "open_backend", "storage_errors"]

_BUSY_SECONDS = 30.0
_GATHERED = 8 * 1024 * 1024  # bytes
_FEW = 2  # objects: so many are written faster one by one


class SqlStore:
    """A `ledger.storage.Database` in the tables of one database. Safe to share between threads."""

    def __init__(
        self,
        url: str | URL,
        *,
        create: bool = False,
        extra: Sequence[MetaData] = (),
        schema: str | None = None,
        timeout: float = _BUSY_SECONDS,
    ) -> None:
        """Open the database that `url` names (`sqlite:///market.db`, `postgresql://…`); `create` makes what is missing.

        Another driver in the URL, such as the market's asyncpg or aiosqlite, is replaced by ours. `extra` names
        further tables to make; `schema` puts all of them into a schema of PostgreSQL; `timeout` is how many seconds a
        write waits for other writers. Raises `NotFound` for a file or database that is not there, `StorageError` for
        another product, `Unavailable` when it cannot be opened, `MissingExtra` without its driver.
        """
        self._backend = open_backend(url, create=create, schema=schema, timeout=timeout)
        self._statements = _Statements(self._backend)
        self._connections = Connections(self._backend)
        # A store that nobody needs any more leaves no connection behind. Not at exit: somebody may be using it.
        weakref.finalize(self, self._connections.close).atexit = False
        if create:
            with storage_errors(self.name), self._backend.making() as connection:
                create_tables(connection, (metadata, *extra))

    @property
    def url(self) -> URL:
        """Where the database is, for the driver that we use."""
        return self._backend.url

    @property
    def name(self) -> str:
        """The database as messages call it: never with a password."""
        return self._backend.name

    @property
    def schema(self) -> str | None:
        """The schema that our tables are in, for connections that are not ours; None in SQLite."""
        return self._backend.schema

    @property
    def engine(self) -> Engine:
        """Makes connections of ours that commit durably."""
        return self._backend.engine

    def insert(self, table: Any) -> Any:
        """An INSERT as this product spells it, with `on_conflict_do_nothing` and `on_conflict_do_update`."""
        return self._backend.insert(table)

    def close(self) -> None:
        """Give every connection back."""
        self._connections.close()

    @property
    def reading(self) -> Connection:
        """This thread's connection for reads; every statement on it sees all that was committed before.

        Closed with the store: keep that as long as you read.
        """
        return self._connections.reading()

    # Objects

    def get(self, path: str) -> bytes:
        """As `Objects.get`."""
        with storage_errors(path):
            data = self.reading.execute(_GET, {"path": path}).scalar_one_or_none()
        if data is None:
            msg = f"{path}: not in {self.name}"
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
                tx.connection.execute(delete(objects).where(_below(path) if path.endswith("/") else _at(path)))

    def list(self, prefix: str) -> Iterable[str]:
        """As `ListsObjects.list`."""
        with storage_errors(prefix or "objects"):
            return list(self.reading.execute(select(objects.c.path).where(_below(prefix))).scalars())

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
        """As `Database.transaction`, on a connection that is kept open."""
        with self._connections.writing() as connection:
            tx = SqlTransaction(connection, self._statements)
            yield tx
            tx.flush()

    def head(self, origin: str) -> Head:
        """As `Database.head`."""
        with storage_errors(origin):
            row = self.reading.execute(select(heads.c.size, heads.c.signed).where(heads.c.origin == origin)).first()
        if row is None:
            msg = f"{origin}: no such log in {self.name}"
            raise NotFound(msg)
        return Head(row.size, bytes(row.signed))

    def rows(self, origin: str) -> Sequence[Row]:  # noqa: ARG002 - a database holds one log
        """As `Database.rows`."""
        with storage_errors("rows"):
            found = self.reading.execute(select(rows.c.entry, rows.c.opened).order_by(rows.c.idx))
            return [Row(bytes(entry), bytes(opened)) for entry, opened in found]

    @contextmanager
    def leading(self) -> Iterator[None]:
        """As `Queue.leading`."""
        with self._connections.leading():
            yield

    def origins(self) -> Sequence[str]:
        """Names of the logs in this database."""
        with storage_errors("heads"):
            return list(self.reading.execute(select(heads.c.origin).order_by(heads.c.origin)).scalars())


class SqlTransaction:
    """A `ledger.storage.Transaction` on `connection`, for other tables of the same database to join.

    A server is a round trip away: what is put there is gathered and written together, at the latest when the
    transaction ends, and a `Conflict` may be raised only then.
    """

    def __init__(self, connection: Connection, statements: _Statements) -> None:
        self.connection = connection
        self._statements = statements
        self._gathered: dict[str, bytes] = {}
        self._bytes = 0

    def put(self, path: str, data: bytes) -> None:
        """As `Objects.put`."""
        if not self._statements.gathers:
            self._put(path, data)
            return
        if self._gathered.setdefault(path, data) != data:
            raise _conflict(path)
        self._bytes += len(data)
        if self._bytes > _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what was put so far."""
        gathered, self._gathered, self._bytes = self._gathered, {}, 0
        if len(gathered) > _FEW:
            # Nobody else writes: what is not there now will not be there a moment later.
            for where in among(self.connection, objects.c.path, list(gathered)):
                for path, data in self.connection.execute(select(objects.c.path, objects.c.data).where(where)):
                    if gathered.pop(path) != bytes(data):
                        raise _conflict(path)
            insert_many(self.connection, objects, list(gathered.items()))
            return
        for path, data in gathered.items():
            self._put(path, data)

    def _put(self, path: str, data: bytes) -> None:
        if self.connection.execute(self._statements.put, {"path": path, "data": data}).rowcount:
            return
        if bytes(self.connection.execute(_GET, {"path": path}).scalar_one()) != data:
            raise _conflict(path)

    def replace(self, path: str, data: bytes) -> None:
        """As `Objects.replace`."""
        self.flush()
        self.connection.execute(self._statements.replace, {"path": path, "data": data})

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
        first = new - len(kept)
        insert_many(self.connection, rows, [(first + at, row.entry, row.opened) for at, row in enumerate(kept)])


class _Statements:
    """Those that products spell differently."""

    def __init__(self, backend: Backend) -> None:
        self.gathers = backend.engine.dialect.name == "postgresql"
        # Inline: PostgreSQL would otherwise be asked for the row's number, and answer that instead of how many.
        insert = backend.insert(objects).inline().execution_options(preserve_rowcount=True)
        self.put = insert.on_conflict_do_nothing()
        self.replace = insert.on_conflict_do_update(index_elements=["path"], set_={"data": insert.excluded.data})


def open_backend(url: str | URL, *, create: bool, schema: str | None, timeout: float) -> Backend:
    """The product that `url` names, with nothing opened or made but an empty file. Raises as `SqlStore`."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        # Not what it says: that may repeat a password.
        msg = "database: not a URL; want sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        raise StorageError(msg) from None
    match parsed.get_backend_name():
        case "sqlite":
            from adapters.sql.sqlite import Sqlite

            return Sqlite(parsed, create=create, schema=schema, timeout=timeout, patience=LEADER_SECONDS)
        case "postgresql":
            from adapters.sql.postgres import Postgres

            return Postgres(parsed, schema=schema, timeout=timeout, patience=LEADER_SECONDS)
        case other:
            msg = f"{other}: want a database of SQLite (sqlite:///FILE) or PostgreSQL (postgresql://USER@HOST/DATABASE)"
            raise StorageError(msg)


def _conflict(path: str) -> Conflict:
    msg = f"{path}: other bytes are there already; the database is damaged or another log writes to it"
    return Conflict(msg, path=path)


def _at(path: str) -> ColumnElement[bool]:
    return objects.c.path == path


def _below(prefix: str) -> ColumnElement[bool]:
    """All paths that begin with `prefix`: one range of their index, which is in the order of the bytes."""
    if not prefix:
        return true()
    return and_(objects.c.path >= prefix, objects.c.path < prefix[:-1] + chr(ord(prefix[-1]) + 1))


_GET = select(objects.c.data).where(objects.c.path == bindparam("path"))
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
