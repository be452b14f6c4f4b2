"""The vault as a table."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, select

from adapters.sql.store import SqlStore, storage_errors
from adapters.sql.tables import vault
from ledger.errors import NotFound
from provenance.index.bulk import insert_many

__all__ = ["SqlVault"]


class SqlVault:
    """A `provenance.vault.Vault` in the database of a store."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def put(self, connection: Connection, items: Iterable[tuple[bytes, bytes]]) -> None:
        """As `Vault.put`."""
        values = [(_prefix(address), address, data) for address, data in items]
        insert_many(connection, vault, values)

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

    def erase(self, connection: Connection, addresses: Iterable[bytes]) -> None:
        """As `Vault.erase`."""
        values = [{"at": _prefix(address), "which": address} for address in addresses]
        if values:
            connection.execute(_ERASE, values)


def _prefix(address: bytes) -> int:
    return int.from_bytes(address[:8], "big", signed=True)


_GET = (
    select(vault.c.data).where(vault.c.prefix == bindparam("prefix"), vault.c.address == bindparam("address")).limit(1)
)
_ERASE = delete(vault).where(vault.c.prefix == bindparam("at"), vault.c.address == bindparam("which"))
