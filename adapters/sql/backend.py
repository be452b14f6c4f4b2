"""What a database product does in its own way; everything else of `SqlStore` is the same on all of them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

__all__ = ["Backend"]


class Backend(Protocol):
    """One database as its product wants to be used. All connections are ours, never the host's."""

    @property
    def url(self) -> URL:
        """Where it is, for the driver that we use."""

    @property
    def name(self) -> str:
        """How messages call it: never with a password."""

    @property
    def schema(self) -> str | None:
        """The schema our tables are in; None where there are none."""

    @property
    def engine(self) -> Engine:
        """Makes connections that commit durably."""

    def insert(self, table: Any) -> Any:
        """An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""

    def making(self) -> AbstractContextManager[Connection]:
        """A transaction to make tables in, with what they need made before; nobody else is inside one."""

    def writer(self) -> Connection:
        """A connection for `begin`."""

    def reader(self) -> Connection:
        """A connection on which every statement sees what was committed before it."""

    def begin(self, connection: Connection) -> None:
        """Inside a fresh SQLAlchemy transaction of a `writer`: wait until no other writer is inside one."""

    def hung_up(self, connection: Connection) -> bool:
        """Whether the other end is known to be gone, without asking it."""

    def leader(self) -> AbstractContextManager[None]:
        """Wait until no other process leads, over all hosts that reach this database. Not for two threads at once."""

    def close(self) -> None:
        """Give every connection back."""

    def leave_to_parent(self) -> object:
        """After a fork: forget what is open without closing it, and return it so that it can be kept."""
