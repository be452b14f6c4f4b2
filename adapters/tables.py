"""All tables of a ledger, in whichever database each is: checked and mended by what the database product knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.assemble import Parts
from adapters.published import Portions, raise_unless_damage
from adapters.sql.damage import Database, damaged, damaged_file, make_keys_again, tables_in
from adapters.sql.subjects import SqlSubjectKeys
from ledger.errors import StorageError
from ledger.fsck import Fault
from provenance.index import metadata as index

__all__ = ["check_tables", "mend_keys"]

_DERIVED = "--repair derives it again"
_RESTORE = "restore it from a backup"
_KEYS = "--repair makes its keys again; where rows are gone, restore from a backup"


def check_tables(parts: Parts, at: Any) -> Portions:
    """What the product finds wrong, table by table, behind the one that `at` is the number of."""
    told = False
    for number, (database, table) in enumerate(_parts_of(parts)):
        if at is not None and number <= at:
            continue
        kind, name = ("file", database.engine.url.database) if table is None else ("table", table)
        mend = _DERIVED if table in index.tables else _KEYS if table else _RESTORE
        try:
            found = damaged_file(database) if table is None else damaged(database, table)
        except StorageError as error:
            raise_unless_damage(error)
            found, mend = [str(error).removeprefix(f"{name}: ")], ""
        if table is None and told:
            found = []  # the same once more
        told |= bool(found)
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        text = f"{kind} {name}: {found[0]}{more}{mend and '; '}{mend}" if found else ""
        yield number, [Fault(f"{kind} {name}", text)] if found else []


def mend_keys(parts: Parts) -> list[str]:
    """Make the keys again of each table that the product finds damaged; which tables are sound now."""
    mended = []
    for database, table in _parts_of(parts):
        try:
            if table is not None and damaged(database, table) and make_keys_again(database, table):
                mended.append(f"keys of {table}")
        except StorageError as error:
            raise_unless_damage(error)  # it is said once more when all is checked again
    return mended


def _parts_of(parts: Parts) -> Iterator[tuple[Database, str | None]]:
    """Each table, and behind those of a database None for all of it."""
    keys = parts.subject_keys if isinstance(parts.subject_keys, SqlSubjectKeys) else None
    for database in (parts.store, parts.index_store, keys):
        if database is not None:
            names = tables_in(database)
            yield from ((database, table) for table in (*names, None) if names)
