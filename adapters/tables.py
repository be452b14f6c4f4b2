"""All tables of a ledger, in whichever database each is: checked and mended by what the database product knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.assemble import Parts
from adapters.published import Portions, raise_unless_damage
from adapters.sql.damage import Database, damaged, make_keys_again, tables_in
from adapters.sql.subjects import SqlSubjectKeys
from ledger.errors import StorageError
from ledger.fsck import Fault
from provenance.index import metadata as index

__all__ = ["any_damaged", "check_tables", "mend_keys"]

_DERIVED = "--repair derives it again"
_KEYS = "--repair makes its keys again; where rows are gone, restore from a backup"


def check_tables(parts: Parts, at: Any) -> Portions:
    """What the product finds wrong, table by table, behind the one that `at` is the number of."""
    for number, (database, table) in enumerate(_stored(parts)):
        if at is not None and number <= at:
            continue
        place = f"table {table}"
        try:
            found = damaged(database, table)
        except StorageError as error:
            raise_unless_damage(error)
            yield number, [Fault(place, f"table {error}")]
            continue
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        mend = _DERIVED if table in index.tables else _KEYS
        yield number, [Fault(place, f"{place}: {found[0]}{more}; {mend}")] if found else []


def any_damaged(parts: Parts) -> bool:
    """Whether the product finds anything wrong: then rows may hold what their columns do not allow."""
    return any(faults for _, faults in check_tables(parts, None))


def mend_keys(parts: Parts) -> list[str]:
    """Make the keys again of each table that the product finds damaged; which tables are sound now."""
    mended = []
    for database, table in _stored(parts):
        try:
            if damaged(database, table) and make_keys_again(database, table):
                mended.append(f"keys of {table}")
        except StorageError as error:
            raise_unless_damage(error)  # it is said once more when all is checked again
    return mended


def _stored(parts: Parts) -> Iterator[tuple[Database, str]]:
    keys = parts.subject_keys if isinstance(parts.subject_keys, SqlSubjectKeys) else None
    for database in (parts.store, parts.index_store, keys):
        if database is not None:
            yield from ((database, table) for table in tables_in(database))
