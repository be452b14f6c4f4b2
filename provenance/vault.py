"""The erasable half of the ledger: sealed events and personal fields, each under its own digest.

The log remembers *that*, the vault remembers *what*. An item is canonical JSON with `kind` and `salt`; its address is
its SHA-256. Once its bytes are gone, nobody can confirm a guess about them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Vault"]


class Vault(Protocol):
    """Content-addressed, erasable storage. Losing it loses what was sealed; it can prove nothing false."""

    def put(self, connection: Connection, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep (address, bytes) pairs in the transaction of `connection`; again is the same as once."""

    def get(self, address: bytes) -> bytes:
        """Bytes whose SHA-256 is `address` (32 bytes). Raises `NotFound`."""

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """Everything, as (address, bytes)."""

    def erase(self, connection: Connection, addresses: Iterable[bytes]) -> None:
        """Forget these items; unknown ones are no error."""
