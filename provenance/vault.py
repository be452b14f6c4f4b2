"""The erasable half of the ledger: sealed events and personal fields, each under its own digest.

The log remembers *that*, the vault remembers *what*. An item is canonical JSON with `kind` and `salt`; its address is
its SHA-256. Once its bytes are gone, nobody can confirm a guess about them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.errors import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["ReadsMany", "Vault", "holds", "read_many"]


class Vault(Protocol):
    """Content-addressed, erasable storage. Losing it loses what was sealed; it can prove nothing false.

    `joins` says whether it lies in the database of the queue: then `put` and `erase` may be given its connection and
    take effect with that transaction. With None they are durable when they return.
    """

    joins: bool

    def put(self, items: Iterable[tuple[bytes, bytes]], *, connection: Connection | None = None) -> None:
        """Keep (address, bytes) pairs; again is the same as once. Raises `Unavailable`."""

    def get(self, address: bytes) -> bytes:
        """Bytes whose SHA-256 is `address` (32 bytes). Raises `NotFound`, `Unavailable`."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """Everything, as (address, bytes), without holding it in memory at once."""

    def erase(self, addresses: Iterable[bytes], *, connection: Connection | None = None) -> None:
        """Forget these items; unknown ones are no error."""


@runtime_checkable
class ReadsMany(Protocol):
    """Declared by a vault that reads thousands of items in a few requests: an index is then made faster."""

    def many(self, addresses: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those of these items that are there, by address. Raises `Unavailable`."""


def holds(vault: Vault, address: bytes) -> bool:
    """Whether the item at `address` is there. Raises `Unavailable`."""
    try:
        vault.get(address)
    except NotFound:
        return False
    return True


def read_many(vault: Vault, addresses: Iterable[bytes]) -> dict[bytes, bytes]:
    """Those of these items that are there, by address; one by one where the vault reads no faster."""
    if isinstance(vault, ReadsMany):
        return vault.many(addresses)
    found = {}
    for address in addresses:
        with suppress(NotFound):
            found[address] = vault.get(address)
    return found
