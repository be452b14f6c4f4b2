"""All tables of a ledger, in whichever database each is: checked and mended by what the database product knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Table

from adapters.assemble import Parts
from adapters.published import Portions, raise_unless_damage
from adapters.sql.damage import Database, damaged, make_keys_again
from adapters.sql.subjects import SqlSubjectKeys
from adapters.sql.subjects import metadata as keys
from adapters.sql.tables import metadata as tables
from ledger.errors import StorageError
from ledger.fsck import Fault
from provenance.index import metadata as index

__all__ = ["check_tables", "mend_keys"]

_DERIVED = "--repair derives it again"
_KEYS = "--repair makes its keys again; where rows are gone, restore from a backup"


def check_tables(parts: Parts, at: Any) -> Portions:
    """What the product finds wrong, table by table, behind the one that `at` is the number of."""
    for number, (database, table) in enumerate(_stored(parts)):
        if at is not None and number <= at:
            continue
        place = f"table {table.name}"
        try:
            found = damaged(database, table)
        except StorageError as error:
            raise_unless_damage(error)
            yield number, [Fault(place, f"table {error}")]
            continue
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        mend = _DERIVED if table.name in index.tables else _KEYS
        yield number, [Fault(place, f"{place}: {found[0]}{more}; {mend}")] if found else []


def mend_keys(parts: Parts) -> list[str]:
    """Make the keys again of each table that the product finds damaged; which tables are sound now."""
    mended = []
    for database, table in _stored(parts):
        try:
            if damaged(database, table) and make_keys_again(database, table):
                mended.append(f"keys of {table.name}")
        except StorageError as error:
            raise_unless_damage(error)  # it is said once more when all is checked again
    return mended


def _stored(parts: Parts) -> Iterator[tuple[Database, Table]]:
    for table in tables.sorted_tables:
        yield parts.store, table
    for table in index.sorted_tables:
        yield parts.index_store or parts.store, table
    if isinstance(parts.subject_keys, SqlSubjectKeys):
        for table in keys.sorted_tables:
            yield parts.subject_keys, table
