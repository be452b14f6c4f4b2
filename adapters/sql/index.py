"""The index as tables: in the database of the log, or in one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from adapters.sql.errors import storage_errors
from adapters.sql.store import SqlStore
from provenance.index import Index

__all__ = ["SqlIndex"]


class SqlIndex:
    """A `provenance.index.IndexStore` in `store`; it joins when that is the database of the queue."""

    def __init__(self, store: SqlStore, *, joins: bool) -> None:
        self._store = store
        self.joins = joins

    def on(self, connection: Connection | None = None) -> Index:
        """As `IndexStore.on`."""
        if connection is not None and self.joins:
            return Index(connection, schema=self._store.schema)
        return Index(self._store.reading, schema=self._store.schema, errors=lambda: storage_errors("index"))

    @contextmanager
    def writing(self, connection: Connection) -> Iterator[Index]:
        """As `IndexStore.writing`."""
        if self.joins:
            yield self.on(connection)
            return
        with self._store.transaction() as tx:
            yield Index(tx.connection, schema=self._store.schema)
