"""What SQLite itself finds wrong in how our tables are stored, and making their keys again.

Rows are checked elsewhere by what they must agree with. That cannot tell of a page that leads nowhere, or of a key that
leads past a row: whoever looks by that key would be told that there is none. A PostgreSQL with checksums refuses a page
that was changed when it reads it; its keys are for `pg_amcheck`.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Engine, Table

from adapters.sql.errors import storage_errors

__all__ = ["Database", "damaged", "make_keys_again"]


class Database(Protocol):
    """Where tables of ours are."""

    @property
    def engine(self) -> Engine:
        """Makes connections that commit durably."""

    @property
    def reading(self) -> Connection:
        """A connection on which every statement sees what was committed before it."""


def damaged(database: Database, table: Table) -> list[str]:
    """What is wrong in one table and its keys, in SQLite's words (https://sqlite.org/pragma.html#pragma_integrity_check).

    Takes some 3 s for a million events. Raises `StorageError` where SQLite cannot even say.
    """
    if database.engine.dialect.name != "sqlite":
        return []
    with storage_errors(table.name):
        found = database.reading.exec_driver_sql(f"PRAGMA integrity_check({table.name})").scalars().all()
    return [" ".join(line.split()) for line in found if line != "ok"]


def make_keys_again(database: Database, table: Table) -> bool:
    """Derive the keys of a table from its rows; whether nothing is wrong in it now."""
    with storage_errors(table.name), database.engine.begin() as connection:
        connection.exec_driver_sql(f"REINDEX {table.name}")
    return not damaged(database, table)
