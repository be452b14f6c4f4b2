"""All tables of a ledger, in whichever database each is: checked and mended by what the database product knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import MetaData

from adapters.assemble import Parts
from adapters.published import Portions, raise_unless_damage
from adapters.sql import subjects
from adapters.sql import tables as own
from adapters.sql.damage import Database, columns_in, damaged, make_keys_again, tables_in
from ledger.errors import NotFound, StorageError
from ledger.fsck import Fault
from provenance.index import metadata as index

__all__ = ["check_tables", "mend_keys"]

_DERIVED = "--repair derives it again"
_RESTORE = "restore it from a backup"
_KEYS = "--repair makes its keys again; where rows are gone, restore from a backup"


def check_tables(parts: Parts, at: Any) -> Portions:
    """What the product finds wrong, table by table, behind the one that `at` is the number of."""
    number = -1
    for database, wanted in _databases(parts):
        there = tables_in(database)
        told: set[str] = set()
        for table in (*sorted({*there, *wanted}), None) if there else ():
            number += 1
            if at is not None and number <= at:
                continue
            place = f"file {database.engine.url.database}" if table is None else f"table {table}"
            gone = table in wanted and table not in there
            found = ["is not there"] if gone else _wrong(database, table, wanted.get(table or "", set()))
            found = [line for line in found if line not in told]  # the check of a whole file says them once more
            told.update(found)
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            mend = _DERIVED if table in index.tables else _KEYS if table in there else _RESTORE
            yield number, [Fault(place, f"{place}: {found[0]}{more}; {mend}")] if found else []


def _wrong(database: Database, table: str | None, columns: set[str]) -> list[str]:
    """`columns` are those that it has to have."""
    try:
        lost = columns and columns - columns_in(database, str(table))
        return [f"has no column {name}" for name in sorted(lost)] or damaged(database, table)
    except NotFound:
        return []  # a rebuild of the index dropped it meanwhile
    except StorageError as error:
        raise_unless_damage(error)
        return [str(error).partition(": ")[2].partition("; ")[0]]  # without whose it is, and without its own advice


def mend_keys(parts: Parts) -> list[str]:
    """Make the keys again of each table that the product finds damaged; which tables are sound now."""
    mended = []
    for database, _ in _databases(parts):
        for table in tables_in(database):
            try:
                if damaged(database, table) and make_keys_again(database, table):
                    mended.append(f"keys of {table}")
            except StorageError as error:
                raise_unless_damage(error)  # it is said once more when all is checked again
    return mended


def _databases(parts: Parts) -> Iterator[tuple[Database, dict[str, set[str]]]]:
    """Each database that holds tables of ours, and those that it has to hold, with their columns."""
    for store in (parts.store, parts.index_store):
        if store is not None:  # all are made in each
            yield store, _columns(own.metadata) | _columns(index)
    if isinstance(parts.subject_keys, subjects.SqlSubjectKeys):
        yield parts.subject_keys, _columns(subjects.metadata)


def _columns(metadata: MetaData) -> dict[str, set[str]]:
    return {table.name: set(table.columns.keys()) for table in metadata.sorted_tables}
