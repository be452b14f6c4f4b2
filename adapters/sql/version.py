"""Which revision of our tables a database has, told without Alembic: at every start, and when tables are made."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)

from adapters.sql import tables
from ledger.errors import NotFound, StorageError
from provenance.index.place import schema_of

__all__ = ["FIRST", "HEAD", "VERSION_TABLE", "check_version", "create_tables", "read_version", "stamp"]

FIRST = "0001"
"""The tables of release 0.1.0, which wrote no revision into its databases."""

HEAD = "0005"
"""The tables of this release: the newest script in `adapters/sql/migrations/versions`."""

VERSION_TABLE = "provenance_version"
"""Holds the revision, and is Alembic's version table for our scripts: the market's own is `alembic_version`."""

# Not among the tables that `create_all` makes or autogenerate compares: Alembic looks after it.
_version = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)


def read_version(connection: Connection) -> str | None:
    """The revision of our tables: `FIRST` where release 0.1.0 made them, None where there are none."""
    names = inspect(connection)
    schema = schema_of(connection)
    if names.has_table(VERSION_TABLE, schema=schema):
        found = connection.execute(select(_version.c.version_num)).scalars().first()
        if found is not None:
            return str(found)
    return FIRST if names.has_table(tables.heads.name, schema=schema) else None


def check_version(connection: Connection) -> None:
    """Raise unless this release can work with the tables of this database.

    `NotFound` where there are none, `StorageError` where they were made by an older or a newer release.
    """
    found = read_version(connection)
    if found is None:
        msg = "no log was made in this database; `provenance init` makes one"
        raise NotFound(msg)
    if found < HEAD:
        msg = f"tables: revision {found}, this release wants {HEAD}; run `provenance db upgrade` (first with --plan)"
        raise StorageError(msg)
    if found > HEAD:
        msg = f"tables: revision {found} was made by a newer release, this one knows {HEAD}; install the newer release"
        raise StorageError(msg)


def create_tables(connection: Connection, metadatas: Sequence[MetaData]) -> None:
    """Make the tables of this release where none of ours are, and note their revision, in the caller's transaction.

    Tables that are there are left alone. Raises `StorageError` when another release made them.
    """
    if read_version(connection) is not None:
        check_version(connection)
    for metadata in metadatas:
        metadata.create_all(connection)
    stamp(connection, HEAD)


def stamp(connection: Connection, revision: str) -> None:
    """Note that the tables have this revision, in the caller's transaction."""
    _version.create(connection, checkfirst=True)
    connection.execute(delete(_version))
    connection.execute(insert(_version), {"version_num": revision})
