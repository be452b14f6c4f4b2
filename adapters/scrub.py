"""Scrubbing: rewriting what still holds the bytes of something that was erased.

What is *erased* is gone from every answer at once. Its bytes may lie on: in free pages of a database file, in a
write-ahead log. Scrubbing rewrites the tables, and retires the log that is ours to retire. Out of reach, and said so,
are replicas, archives, snapshots and backups of the database, object versions, mirrors, and the free blocks of a disk.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import inspect, text

from adapters.connect import Place, _parts
from adapters.sql import tables
from adapters.sql.errors import storage_errors
from adapters.sql.notes import SqlNotes
from ledger.errors import Unavailable
from provenance.index import metadata as index_tables
from provenance.index.place import schema_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from adapters.assemble import Parts
    from adapters.sql.store import SqlStore
    from provenance.subjects import SubjectKeys
    from provenance.vault import Vault

__all__ = ["SCRUBBED", "Scrubbed", "scrub", "scrub_due"]

SCRUBBED = "scrubbed"
"""Note: {"erasure": index of the newest erasure whose bytes were scrubbed}."""

_PATIENCE = 60.0  # seconds that a rewrite waits for readers and writers


class Scrubbed(NamedTuple):
    """What a run did: up to which erasure (index, -1 for none), what it rewrote, and what it cannot reach."""

    erasure: int
    rewritten: tuple[str, ...]
    beyond: tuple[str, ...]


def scrub(
    database: str | Engine,
    *,
    objects: Place | None = None,
    checkpoints: str | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
) -> Scrubbed:
    """Rewrite every database of a ledger so that nothing erased lies in its files any more. Needs no key.

    SQLite rewrites the whole file and empties its write-ahead log, PostgreSQL each of our tables; whoever writes waits,
    on PostgreSQL also whoever reads. To be run when the market is quiet, with free room as large as the database.
    Raises `Unavailable` when somebody does not let go; what was rewritten by then stays so, and the run is repeated.
    """
    parts = _parts(database, objects, checkpoints, vault, index, schema, subject_keys)
    parts.read_layout()
    newest = parts.index.on().newest_erasure()
    beyond = ["backups, snapshots and replicas of a database", "free blocks of a disk", "mirrors of the published log"]
    stores = [parts.store, *([parts.index_store] if parts.index_store is not None else [])]
    for store in stores:
        with storage_errors(f"scrubbing {store.name}"):
            if store.url.get_backend_name() == "sqlite":
                _rewrite_file(store)
            else:
                _rewrite_tables(store)
    if any(store.url.get_backend_name() != "sqlite" for store in stores):
        beyond.append("write-ahead log and archives of PostgreSQL, until it has written over them")
    if parts.objects is not None or parts.vault is not None:
        beyond.append("earlier versions of objects in a bucket that keeps them")
    SqlNotes(parts.store).save(SCRUBBED, json.dumps({"erasure": newest}).encode())
    return Scrubbed(newest, tuple(store.name for store in stores), tuple(beyond))


def scrub_due(parts: Parts) -> int:
    """How many erasures came after the last scrubbing, whose bytes may lie on in files."""
    note = SqlNotes(parts.store).load(SCRUBBED)
    done = -1 if note is None else int(json.loads(note)["erasure"])
    return sum(entry.idx > done for entry in parts.index.on().of_type("erasure.execute", start=done + 1))


def _rewrite_file(store: SqlStore) -> None:
    store.close()  # a snapshot of our own would keep the log from being emptied
    with closing(sqlite3.connect(str(store.url.database), timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("VACUUM")
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        msg = f"{store.name}: somebody reads an old state of it, so its write-ahead log stays; run it again"
        raise Unavailable(msg)


def _rewrite_tables(store: SqlStore) -> None:
    options = {"isolation_level": "AUTOCOMMIT", "schema_translate_map": {None: store.schema}}
    with store.engine.connect().execution_options(**options) as connection:
        quote = connection.dialect.identifier_preparer.quote
        schema = schema_of(connection)
        there = set(inspect(connection).get_table_names(schema=schema))
        ours = {*tables.metadata.tables, *index_tables.tables}
        connection.execute(text(f"SET lock_timeout = '{int(_PATIENCE)}s'"))
        for name in sorted(ours & there):
            place = quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"
            connection.execute(text(f"VACUUM (FULL) {place}"))
        if _may_checkpoint(connection):
            connection.execute(text("CHECKPOINT"))


def _may_checkpoint(connection: Connection) -> bool:
    """Whether this role may have the server write its pages now; else it does so by itself, in some minutes."""
    role = "SELECT rolsuper OR pg_has_role(current_user, 'pg_checkpoint', 'member') FROM pg_roles"
    return bool(connection.execute(text(f"{role} WHERE rolname = current_user")).scalar_one())
