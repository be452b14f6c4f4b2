"""Traps of engines that lose or keep the wrong rows, each found by trying it, and the lines that mend it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, exc, text

__all__ = ["BEGIN_LINES", "SAVEPOINT_LINES", "begins_immediate", "savepoints_hold", "unsafe_settings"]

SAVEPOINT_LINES = """\
from sqlalchemy import event

@event.listens_for(engine, "savepoint")
def _begin_first(connection, name):
    if not connection.connection.driver_connection.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
"""

BEGIN_LINES = """\
from sqlalchemy import event

@event.listens_for(engine, "connect")
def _no_driver_transactions(dbapi_connection, record):
    dbapi_connection.isolation_level = None

@event.listens_for(engine, "begin")
def _begin_immediate(connection):
    connection.exec_driver_sql("BEGIN IMMEDIATE")
"""

_known: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()


def savepoints_hold(engine: Engine) -> bool:
    """Whether rows written inside a savepoint vanish when the outer transaction is rolled back.

    Tried once for each engine, on a temporary table. Python's SQLite driver by default opens no transaction before a
    SAVEPOINT, so that releasing it commits.
    """
    if engine.dialect.name != "sqlite":
        return True
    if engine not in _known:
        with engine.connect() as connection, _impatient(connection):
            _known[engine] = _probe(connection)
    return _known[engine]


def _probe(connection: Connection) -> bool:
    try:
        connection.execute(text("CREATE TEMP TABLE IF NOT EXISTS provenance_probe (x INTEGER)"))
        connection.commit()
        outer = connection.begin()
        with connection.begin_nested():
            connection.execute(text("INSERT INTO provenance_probe VALUES (1)"))
        outer.rollback()
        left = connection.execute(text("SELECT count(*) FROM provenance_probe")).scalar_one()
        connection.rollback()
        connection.execute(text("DROP TABLE provenance_probe"))
        connection.commit()
    except exc.OperationalError as error:
        if "locked" not in str(error.orig):
            raise
        # The caller's transaction holds the write lock and ours asks for it when it begins: such a transaction is open
        # before any savepoint.
        return True
    return int(left) == 0


@contextmanager
def _impatient(connection: Connection) -> Iterator[None]:
    """Let a lock fail at once, and leave the host's connection as it was."""
    # A cursor of the driver's, which an asynchronous one offers in the same form: it begins no transaction.
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA busy_timeout")
    (before,) = cursor.fetchall()[0]
    cursor.execute("PRAGMA busy_timeout=0")
    try:
        yield
    finally:
        cursor.execute(f"PRAGMA busy_timeout={before}")
        cursor.close()


def begins_immediate(engine: Engine) -> bool:
    """Whether a transaction of this engine takes SQLite's write lock when it begins.

    One that begins deferred reads first and locks at its first write; if another writer committed in between, SQLite
    fails it at once, without waiting. Tried by letting a second connection ask for the lock.
    """
    if engine.dialect.name != "sqlite":
        return True
    with engine.connect() as first, first.begin():
        first.execute(text("SELECT 1 FROM sqlite_master")).all()
        with engine.connect() as second, _impatient(second):
            cursor = second.connection.cursor()
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                return True
            cursor.execute("ROLLBACK")
    return False


def unsafe_settings(connection: Connection) -> dict[str, str]:
    """Settings with which a commit of this connection can be lost in a crash of the server, and their values.

    `synchronous_commit=off` loses the newest commits; without `fsync` or `full_page_writes` the database itself may
    be damaged. Ours are never made with the first; a market's decides over its own sales and what it stages with them.
    """
    if connection.dialect.name != "postgresql":
        return {}
    row = connection.execute(text(_DURABILITY)).one()
    return {name: value for name, value in row._mapping.items() if value == "off"}  # noqa: SLF001 - its public name


_DURABILITY = """\
SELECT current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit
"""
