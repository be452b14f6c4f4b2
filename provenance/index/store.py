"""Where the index lies: in the database of the queue, or in one of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from provenance.index.queries import Index

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["IndexStore"]


class IndexStore(Protocol):
    """Opens the index for reading and writing. It is a cache: losing it costs a rebuild.

    `joins` says whether it lies in the database of the queue: then it is read and written in the same transaction.
    """

    joins: bool

    def on(self, connection: Connection | None = None) -> Index:
        """For reading: as the transaction of `connection` sees it where it joins, else as committed."""

    def writing(self, connection: Connection) -> AbstractContextManager[Index]:
        """For writing: in the transaction of `connection` where it joins, else committed at the end of the block."""
