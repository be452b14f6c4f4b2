"""What SQLite itself finds wrong in how our tables are stored, and making their keys again.

Rows are checked elsewhere by what they must agree with. That cannot tell of a page that leads nowhere, or of a key that
leads past a row: whoever looks by that key would be told that there is none. A PostgreSQL with checksums refuses a page
that was changed when it reads it; its keys are for `pg_amcheck`.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Engine

from adapters.sql.errors import storage_errors

__all__ = ["Database", "columns_in", "damaged", "make_keys_again", "tables_in"]

_NAMES = r"SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'provenance\_%' ESCAPE '\' ORDER BY name"


class Database(Protocol):
    """Where tables of ours are."""

    @property
    def engine(self) -> Engine:
        """Makes connections that commit durably."""

    @property
    def reading(self) -> Connection:
        """A connection on which every statement sees what was committed before it."""


def tables_in(database: Database) -> list[str]:
    """Names of our tables in an SQLite database, none in another."""
    if database.engine.dialect.name != "sqlite":
        return []
    with storage_errors("sqlite_master"):
        return list(database.reading.exec_driver_sql(_NAMES).scalars())


def columns_in(database: Database, table: str) -> set[str]:
    """Names of the columns of a table in an SQLite database, none where there is no such table."""
    with storage_errors(table):
        return set(database.reading.exec_driver_sql("SELECT name FROM pragma_table_info(?)", (table,)).scalars())


def damaged(database: Database, table: str | None = None) -> list[str]:
    """What is wrong in one table and its keys, in SQLite's words (https://sqlite.org/pragma.html#pragma_integrity_check).

    Without a table, in the pages of the whole file, the market's too: the check of a table does not see all of them.
    Takes some 3 s for a million events. Raises `StorageError` where SQLite cannot even say.
    """
    pragma = "quick_check" if table is None else f"integrity_check({table})"
    with storage_errors(table or str(database.engine.url.database)):
        found = database.reading.exec_driver_sql(f"PRAGMA {pragma}").scalars().all()
    return [" ".join(line.split()) for line in found if line != "ok"]


def make_keys_again(database: Database, table: str) -> bool:
    """Derive the keys of a table from its rows; whether nothing is wrong in it now."""
    with storage_errors(table), database.engine.begin() as connection:
        connection.exec_driver_sql(f"REINDEX {table}")
    return not damaged(database, table)
