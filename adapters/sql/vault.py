"""The vault as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, bindparam, delete, select

from adapters.sql.store import SqlStore, storage_errors
from adapters.sql.tables import vault
from ledger.errors import NotFound
from provenance.index.bulk import insert_many

__all__ = ["SqlVault"]


class SqlVault:
    """A `provenance.vault.Vault` in the database of a store."""

    joins = True

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def put(self, items: Iterable[tuple[bytes, bytes]], *, connection: Connection | None = None) -> None:
        """As `Vault.put`."""
        values = [(_prefix(address), address, data) for address, data in items]
        with self._joined(connection) as joined:
            insert_many(joined, vault, values)

    def get(self, address: bytes) -> bytes:
        """As `Vault.get`."""
        with storage_errors("vault"):
            found = self._store.reading.execute(_GET, {"prefix": _prefix(address), "address": address}).first()
        if found is None:
            msg = f"vault item {address.hex()}: not there"
            raise NotFound(msg)
        return bytes(found.data)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """As `Vault.items`."""
        with storage_errors("vault"):
            for row in self._store.reading.execute(select(vault.c.address, vault.c.data)):
                yield bytes(row.address), bytes(row.data)

    def erase(self, addresses: Iterable[bytes], *, connection: Connection | None = None) -> None:
        """As `Vault.erase`."""
        values = [{"at": _prefix(address), "which": address} for address in addresses]
        if values:
            with self._joined(connection) as joined:
                joined.execute(_ERASE, values)

    @contextmanager
    def _joined(self, connection: Connection | None) -> Iterator[Connection]:
        if connection is not None:
            yield connection
            return
        with self._store.transaction() as tx:
            yield tx.connection


def _prefix(address: bytes) -> int:
    return int.from_bytes(address[:8], "big", signed=True)


_GET = (
    select(vault.c.data).where(vault.c.prefix == bindparam("prefix"), vault.c.address == bindparam("address")).limit(1)
)
_ERASE = delete(vault).where(vault.c.prefix == bindparam("at"), vault.c.address == bindparam("which"))
