"""PostgreSQL: our tables in any schema of any database, beside the market's own or apart from them.

Settings of *our* connections: a commit is on disk when it returns, also where the server's default is otherwise
(`synchronous_commit=off` is raised to `on`; `fsync` is the server's own: `doctor` looks at it). A write
waits at most `timeout` seconds for a lock. A host that vanishes is noticed within half a minute, by both ends, so that
what it held is free again. The URL must lead to one server, directly or through a pool of *sessions*: a pool of
transactions would take the leader's lock away. The host's own connections are never touched.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event, exc
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from adapters.sql.errors import storage_errors
from ledger.errors import StorageError
from provenance.errors import MissingExtra

__all__ = ["Postgres"]

_WRITING, _LEADING, _MAKING = (int.from_bytes(word) for word in (b"writ", b"lead", b"make"))  # upper half of a lock
_CONNECT_SECONDS = 10
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}  # seconds, seconds, probes
_FOREIGN_OPTIONS = frozenset({"prepared_statement_cache_size", "async_fallback"})  # of SQLAlchemy's asyncpg dialect


class Postgres:
    """A `Backend` in one PostgreSQL database."""

    insert = staticmethod(insert)

    def __init__(self, url: URL, *, schema: str | None, timeout: float, patience: float) -> None:
        """`timeout` is how many seconds a write waits for others, `patience` how many a sequencer waits to lead.

        Connects at once. Raises `MissingExtra` without the driver, `Unavailable`, `NotFound`.
        """
        self.url = _for_our_driver(url)
        self.name = self.url.render_as_string(hide_password=True).partition("?")[0]
        self._timeout = timeout
        self._patience = patience
        arguments: dict[str, Any] = {
            "connect_timeout": _CONNECT_SECONDS,
            **_KEEPALIVE,
            "application_name": "provenance",
        }
        given = {name: value for name, value in arguments.items() if name not in self.url.query}
        try:
            self.engine = create_engine(self.url, connect_args=given, hide_parameters=True, poolclass=NullPool)
        except ImportError as error:
            verb = "PostgreSQL"
            raise MissingExtra(verb, "postgres") from error
        event.listen(self.engine, "connect", self._on_connect)
        self._leader: Connection | None = None
        self.schema = schema or self._default_schema()
        self._ours = {"schema_translate_map": {None: self.schema}, "isolation_level": "AUTOCOMMIT"}
        preparer = self.engine.dialect.identifier_preparer
        # As text: it is looked up when it runs, and says `undefined table` where nothing was made.
        heads = f"{preparer.quote_schema(self.schema)}.provenance_heads".replace("'", "''")
        self._table = f"'{heads}'::regclass::oid::bigint"
        # One message. Whoever runs a stricter isolation by default would see the time before the lock was given.
        self._begin = (
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
            f"SELECT pg_advisory_xact_lock(({_WRITING}::bigint << 32) | {self._table})"
        )

    @contextmanager
    def making(self) -> Iterator[Connection]:
        """As `Backend.making`: the schema is made where it is not there."""
        with self.writer() as connection, connection.begin():
            connection.exec_driver_sql(f"BEGIN; SELECT pg_advisory_xact_lock({_MAKING}::bigint << 32)")
            found = connection.exec_driver_sql("SELECT 1 FROM pg_namespace WHERE nspname = %(s)s", {"s": self.schema})
            if found.first() is None:
                connection.execute(CreateSchema(self.schema))
            yield connection

    def writer(self) -> Connection:
        """As `Backend.writer`: the driver begins nothing by itself."""
        return self.engine.connect().execution_options(**self._ours)

    def reader(self) -> Connection:
        """As `Backend.reader`."""
        return self.engine.connect().execution_options(**self._ours)

    def begin(self, connection: Connection) -> None:
        """As `Backend.begin`: a lock of this transaction, on the number of our table."""
        connection.exec_driver_sql(self._begin)

    def hung_up(self, connection: Connection) -> bool:
        """As `Backend.hung_up`: a server says nothing to a connection that waits, except when it ends it."""
        if connection.invalidated:
            return True
        driver: Any = connection.connection.driver_connection
        return driver.closed or _readable(driver.fileno())

    @contextmanager
    def leader(self) -> Iterator[None]:
        """As `Backend.leader`: a lock of a connection that does nothing else, and gone with it."""
        lock = f"({_LEADING}::bigint << 32) | {self._table}"
        connection = self._leader
        with storage_errors(f"{self.name}: waiting to lead"):
            if connection is None or self.hung_up(connection):
                self._leader = None
                if connection is not None:
                    connection.close()
                connection = self._leader = self.reader()
                connection.exec_driver_sql(f"SET lock_timeout = {int(self._patience * 1000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({lock})")
        try:
            yield
        finally:
            try:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({lock})")
            except exc.DBAPIError:
                connection.invalidate()  # the server frees what an ended connection held

    def close(self) -> None:
        """As `Backend.close`."""
        if self._leader is not None:
            self._leader.close()
            self._leader = None
        self.engine.dispose()

    def leave_to_parent(self) -> object:
        """As `Backend.leave_to_parent`."""
        left = self._leader, self.engine.pool
        self._leader = None
        self.engine.dispose(close=False)
        return left

    def _default_schema(self) -> str:
        with storage_errors(self.name), self.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT current_schema()").scalar()
        if found is None:
            msg = f"{self.name}: this role's search_path names no schema that is there; give one: schema="
            raise StorageError(msg)
        return str(found)

    def _on_connect(self, connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_SETTINGS, {"wait": str(int(self._timeout * 1000)), **_KEEPALIVE})
        connection.commit()


def _for_our_driver(url: URL) -> URL:
    """The same database through psycopg, whatever driver the market uses."""
    query = {name: value for name, value in url.query.items() if name not in _FOREIGN_OPTIONS}
    if "ssl" in query:  # asyncpg's name for it
        query["sslmode"] = query.pop("ssl")
    return url.set(drivername="postgresql+psycopg", query=query)


def _readable(descriptor: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


_SETTINGS = """\
SELECT set_config('lock_timeout', %(wait)s, false),
       set_config('tcp_keepalives_idle', %(keepalives_idle)s::text, false),
       set_config('tcp_keepalives_interval', %(keepalives_interval)s::text, false),
       set_config('tcp_keepalives_count', %(keepalives_count)s::text, false),
       CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END
"""
