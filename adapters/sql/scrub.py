"""Rewriting a database so that nothing that was deleted lies on in its files."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing

from sqlalchemy import Connection, Engine, MetaData, bindparam, inspect, text
from sqlalchemy.engine import URL

from adapters.sql.errors import storage_errors
from ledger.errors import Unavailable

__all__ = ["rewrite_database"]

_PATIENCE = 60.0  # seconds that a rewrite waits for readers and writers
_LOOK = 0.2  # seconds between two looks whether they are gone
_CONTENTS = frozenset({"data", "event", "items", "opened", "secret"})  # columns with more than digests in them
_MOST_SEGMENTS = 1024  # of the write-ahead log, 16 MiB each by default


def rewrite_database(
    url: URL, engine: Engine, name: str, *, schema: str | None, metadatas: Collection[MetaData]
) -> list[str]:
    """Rewrite the tables of `metadatas` and what else of this database holds their old bytes; return what it cannot.

    SQLite rewrites the whole file, the market's tables too, and empties its write-ahead log. PostgreSQL rewrites each
    table with all its indexes, drops what the planner remembers of their contents, and writes over its write-ahead log
    where this role may have it do so. Raises `Unavailable` when somebody does not let go within a minute.
    """
    with storage_errors(f"scrubbing {name}"):
        if url.get_backend_name() == "sqlite":
            _rewrite_file(str(url.database), name)
            return []
        options = {"isolation_level": "AUTOCOMMIT", "schema_translate_map": {None: schema}}
        with engine.connect().execution_options(**options) as connection:
            return list(_rewrite_tables(connection, name, schema, metadatas))


# SQLite


def _rewrite_file(path: str, name: str) -> None:
    with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
        # What is freed on the way is overwritten, also in a journal that is kept from one transaction to the next.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("VACUUM")
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        msg = f"{name}: somebody reads an old state of it, so its write-ahead log stays; run it again"
        raise Unavailable(msg)


# PostgreSQL


def _rewrite_tables(
    connection: Connection, name: str, schema: str | None, metadatas: Collection[MetaData]
) -> Iterator[str]:
    quote = connection.dialect.identifier_preparer.quote
    there = set(inspect(connection).get_table_names(schema=schema))
    ours = {table.name: table for metadata in metadatas for table in metadata.sorted_tables if table.name in there}
    _check_owner(connection, name, schema, list(ours))
    connection.execute(text(f"SET lock_timeout = '{int(_PATIENCE * 1000)}ms'"))
    _wait_for_snapshots(connection, name)
    remembered = False
    for each, table in sorted(ours.items()):
        # The driver halves what quoting has doubled.
        place = quote(each) if schema is None else f"{quote(schema)}.{quote(each)}"
        for column in table.c:
            if column.name in _CONTENTS:
                remembered |= _forget_sample(connection, schema, each, column.name, place)
        connection.exec_driver_sql(f"VACUUM (FULL) {place}")
    is_super = bool(connection.execute(_SUPER).scalar_one())
    if remembered and is_super:
        connection.execute(text("VACUUM (FULL) pg_catalog.pg_statistic"))
    elif remembered:
        yield "free pages of pg_statistic, until a superuser rewrites it: VACUUM FULL pg_catalog.pg_statistic"
    if not is_super:
        yield "write-ahead log of PostgreSQL, until it has written over it: only a superuser has it do so at once"
    elif _write_over_log(connection):
        yield "write-ahead log of PostgreSQL that it keeps for a replica, a slot or its archive"
    if connection.execute(text("SELECT current_setting('archive_mode') <> 'off'")).scalar_one():
        yield "archived write-ahead log of PostgreSQL"


def _check_owner(connection: Connection, name: str, schema: str | None, ours: list[str]) -> None:
    """Refuse where the server would leave tables as they are, with nothing but a warning."""
    values = {"names": ours, "schema": schema}
    found = connection.execute(_NOT_OURS, values).scalars().all()
    if found:
        msg = f"{name}: {', '.join(found)} belong to another role, who alone can rewrite them; run this as that role"
        raise Unavailable(msg)


def _wait_for_snapshots(connection: Connection, name: str) -> None:
    """Wait until nobody can still see what was deleted before now: it would be copied."""
    now = connection.execute(text("SELECT pg_current_xact_id()::xid::text")).scalar_one()
    until = time.monotonic() + _PATIENCE
    while connection.execute(_OLDER, {"now": now}).scalar_one():
        if time.monotonic() > until:
            msg = f"{name}: a transaction, replica or slot still sees what was erased; end it, then run this again"
            raise Unavailable(msg)
        time.sleep(_LOOK)


def _forget_sample(connection: Connection, schema: str | None, table: str, column: str, place: str) -> bool:
    """Drop what the planner has sampled of a column, and let it sample no more; whether there was anything."""
    values = {"schema": schema, "table": table, "column": column}
    sampled = bool(connection.execute(_SAMPLED, values).scalar_one())
    quoted = connection.dialect.identifier_preparer.quote(column)
    if sampled:
        # A change of type forgets the sample; to the same type it rewrites nothing.
        connection.exec_driver_sql(f"ALTER TABLE {place} ALTER COLUMN {quoted} TYPE bytea")
    connection.exec_driver_sql(f"ALTER TABLE {place} ALTER COLUMN {quoted} SET STATISTICS 0")
    return sampled


def _write_over_log(connection: Connection) -> bool:
    """Have the server write over every segment of its log that holds older bytes; whether it keeps some of those.

    A segment that is no longer needed is removed, or renamed to be written again later, with all that is in it. To
    switch to the next segment fills the rest of the current one with empty pages.
    """

    def segments() -> list[str]:
        return list(connection.execute(_SEGMENTS).scalars())

    last = str(connection.execute(text("SELECT pg_walfile_name(pg_current_wal_lsn())")).scalar_one())
    for _ in range(2):  # what was current at the first checkpoint is freed by the second
        connection.execute(text("CHECKPOINT"))
        connection.execute(_SWITCH)
    connection.execute(text("CHECKPOINT"))
    for _ in range(min(len(segments()), _MOST_SEGMENTS)):
        connection.execute(_SWITCH)
    connection.execute(text("CHECKPOINT"))
    return any(each <= last for each in segments())


_SUPER = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
_NOT_OURS = text(
    "SELECT relname::text FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE relkind = 'r' AND nspname = coalesce(:schema, current_schema()) AND relname IN :names "
    "AND NOT pg_has_role(current_user, relowner, 'usage') ORDER BY relname"
).bindparams(bindparam("names", expanding=True))
_SAMPLED = text(
    "SELECT count(*) FROM pg_stats WHERE schemaname = coalesce(:schema, current_schema()) "
    "AND tablename = :table AND attname = :column"
)
_OLDER = text(
    "SELECT count(*) FROM ("
    "SELECT backend_xmin AS x FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datname IS NULL) "
    "UNION ALL SELECT xmin FROM pg_replication_slots "
    "UNION ALL SELECT transaction FROM pg_prepared_xacts WHERE database = current_database()"
    ") AS seen WHERE x IS NOT NULL AND age(x) > age(CAST(CAST(:now AS text) AS xid))"
)
_SEGMENTS = text("SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' ORDER BY name")
_SWITCH = text("SELECT pg_logical_emit_message(false, 'provenance', 'scrubbed'), pg_switch_wal()")
