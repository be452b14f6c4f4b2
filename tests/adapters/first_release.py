"""A database as release 0.1.0 left it: its own DDL, filled with the rows of a ledger of today."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, text

DDL = """\
CREATE TABLE provenance_files (event_id BLOB NOT NULL, path VARCHAR NOT NULL, PRIMARY KEY (event_id));
CREATE TABLE provenance_heads (origin VARCHAR NOT NULL, size INTEGER NOT NULL, signed BLOB NOT NULL,
    PRIMARY KEY (origin));
CREATE TABLE provenance_objects (id INTEGER NOT NULL, path VARCHAR NOT NULL, data BLOB NOT NULL, PRIMARY KEY (id),
    UNIQUE (path));
CREATE TABLE provenance_queue (id INTEGER NOT NULL, event_id BLOB NOT NULL, type VARCHAR NOT NULL, event BLOB NOT NULL,
    items BLOB NOT NULL, statement BLOB, sealed BOOLEAN NOT NULL, PRIMARY KEY (id), UNIQUE (event_id));
CREATE TABLE provenance_refs (verb VARCHAR NOT NULL, ref VARCHAR NOT NULL, event_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL, PRIMARY KEY (verb, ref));
CREATE TABLE provenance_rows (idx INTEGER NOT NULL, entry BLOB NOT NULL, opened BLOB NOT NULL, PRIMARY KEY (idx));
CREATE TABLE provenance_vault (id INTEGER NOT NULL, prefix INTEGER NOT NULL, address BLOB NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (id));
CREATE INDEX provenance_vault_prefix ON provenance_vault (prefix);
CREATE TABLE provenance_index_digests (id INTEGER NOT NULL, "key" INTEGER NOT NULL, digest BLOB NOT NULL,
    idx INTEGER NOT NULL, kind VARCHAR NOT NULL, PRIMARY KEY (id));
CREATE INDEX provenance_index_digests_key ON provenance_index_digests ("key");
CREATE TABLE provenance_index_entries (idx INTEGER NOT NULL, "key" INTEGER NOT NULL, event_id BLOB NOT NULL,
    type VARCHAR NOT NULL, issuer INTEGER NOT NULL, sealed BOOLEAN NOT NULL, strength VARCHAR NOT NULL,
    claimed_at VARCHAR NOT NULL, PRIMARY KEY (idx));
CREATE INDEX provenance_index_entries_key ON provenance_index_entries ("key");
CREATE TABLE provenance_index_links (id INTEGER NOT NULL, source INTEGER NOT NULL, role VARCHAR NOT NULL,
    target INTEGER NOT NULL, event_id BLOB NOT NULL, outside VARCHAR NOT NULL, detail VARCHAR NOT NULL,
    PRIMARY KEY (id));
CREATE INDEX provenance_index_links_target ON provenance_index_links (target);
CREATE INDEX provenance_index_links_source ON provenance_index_links (source);
CREATE TABLE provenance_index_times (idx INTEGER NOT NULL, time VARCHAR NOT NULL, PRIMARY KEY (idx));
"""
TABLES = [line.split()[2] for line in DDL.splitlines() if line.startswith("CREATE TABLE")]


def _columns() -> dict[str, list[str]]:
    """The columns that each table had."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(DDL)
        return {table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] for table in TABLES}


COLUMNS = _columns()
Contents = dict[str, list[tuple[object, ...]]]


def build(market: Path, old: Path) -> None:
    """Write `old`, with the keys beside it, holding what the ledger of today in `market` does."""
    engine = create_engine(f"sqlite:///{old}")
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    with engine.begin() as connection:
        for statement in DDL.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.execute(text("ATTACH DATABASE :path AS today"), {"path": str(market)})
        for table, names in COLUMNS.items():
            columns = ", ".join(f'"{name}"' for name in names)
            connection.exec_driver_sql(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM today.{table}")
    engine.dispose()
    shutil.copytree(market.with_suffix(".keys"), old.with_suffix(".keys"))


def contents(engine: Engine | Connection, schema: str | None = None) -> Contents:
    """Every row of every table of that release, but for the index: an upgrade may have it made again."""
    if isinstance(engine, Engine):
        with engine.connect() as connection:
            return contents(connection, schema)
    place = "" if schema is None else f"{schema}."
    found = {}
    for table in TABLES:
        if table.startswith("provenance_index_"):
            continue
        columns = ", ".join(f'"{column}"' for column in COLUMNS[table])
        rows = [tuple(row) for row in engine.execute(text(f"SELECT {columns} FROM {place}{table}"))]
        found[table] = sorted(rows, key=repr)
    return found
