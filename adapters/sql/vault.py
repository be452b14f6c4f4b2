"""The vault as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, bindparam, delete, exists, select

from adapters.sql.errors import storage_errors
from adapters.sql.store import SqlStore
from adapters.sql.tables import vault
from ledger.errors import NotFound
from provenance.index.bulk import among, insert_many, schema_options

__all__ = ["SqlVault"]

_ROWS = 1_000  # in memory at once


class SqlVault:
    """A `provenance.vault.Vault` in the database of a store."""

    joins = True

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def put(self, items: Iterable[tuple[bytes, bytes]], *, connection: Connection | None = None) -> None:
        """As `Vault.put`."""
        values = [(_prefix(address), address, data) for address, data in items]
        with self._joined(connection) as joined:
            insert_many(joined, vault, values, schema=self._store.schema)

    def get(self, address: bytes) -> bytes:
        """As `Vault.get`."""
        with storage_errors("vault"):
            found = self._store.reading.execute(_GET, {"prefix": _prefix(address), "address": address}).first()
        if found is None:
            msg = f"vault item {address.hex()}: not there"
            raise NotFound(msg)
        return bytes(found.data)

    def many(self, addresses: Iterable[bytes]) -> dict[bytes, bytes]:
        """As `ReadsMany.many`."""
        wanted = set(addresses)
        reading = self._store.reading
        found: dict[bytes, bytes] = {}
        with storage_errors("vault"):
            for where in among(reading, vault.c.prefix, [_prefix(address) for address in wanted]):
                for address, data in reading.execute(select(vault.c.address, vault.c.data).where(where)):
                    found[bytes(address)] = bytes(data)
        return {address: found[address] for address in wanted & found.keys()}

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """As `Vault.items`."""
        last = -(2**63)
        while True:
            with storage_errors("vault"):
                page = self._store.reading.execute(_PAGE, {"last": last}).all()
            if not page:
                return
            yield from ((bytes(row.address), bytes(row.data)) for row in page)
            last = page[-1].id

    def erase(self, addresses: Iterable[bytes], *, connection: Connection | None = None) -> None:
        """As `Vault.erase`."""
        values = [{"at": _prefix(address), "which": address} for address in addresses]
        if values:
            with self._joined(connection) as joined:
                joined.execute(_ERASE, values, execution_options=schema_options(self._store.schema))

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
_EARLIER = vault.alias("earlier")
_AGAIN = exists().where(
    _EARLIER.c.prefix == vault.c.prefix, _EARLIER.c.address == vault.c.address, _EARLIER.c.id < vault.c.id
)
# Rows are numbered while nobody else writes: none appears behind the last one seen. An item that was put again has
# several rows, for a unique index on addresses would cost more than all else; only the first one counts.
_PAGE = select(vault).where(vault.c.id > bindparam("last"), ~_AGAIN).order_by(vault.c.id).limit(_ROWS)
