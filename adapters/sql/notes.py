"""Notes as rows of a small table in the ledger's own database."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from adapters.sql.checksum import checksum
from adapters.sql.errors import storage_errors
from adapters.sql.store import SqlStore
from adapters.sql.tables import state

__all__ = ["SqlNotes"]


class SqlNotes:
    """A `provenance.notes.Notes` in the database of a store."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        upsert = store.insert(state)
        new = {"value": upsert.excluded.value, "checksum": upsert.excluded.checksum}
        self._save = upsert.on_conflict_do_update(index_elements=["key"], set_=new)

    def load(self, key: str) -> bytes | None:
        """As `Notes.load`."""
        with storage_errors("notes"):
            data = self._store.reading.execute(_LOAD, {"key": key}).scalar_one_or_none()
        return None if data is None else bytes(data)

    def save(self, key: str, data: bytes) -> None:
        """As `Notes.save`."""
        with self._store.transaction() as tx:
            values = {"key": key, "value": data, "checksum": checksum(key.encode(), data)}
            tx.connection.execute(self._save, values)


_LOAD = select(state.c.value).where(state.c.key == bindparam("key"))
