"""Faults put between a log and its storage: a write that is not done, and one that is done but whose reply is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ledger.errors import Unavailable
from ledger.storage import Head, Row, Transaction

__all__ = ["Faulty", "FaultyDatabase", "with_faults"]


class Faulty:
    """A storage that counts its writes, from 0, and fails the one numbered `fail_at`; before and after it works.

    `applied` says whether that write took effect before its reply was lost.
    """

    def __init__(self, store: Any, *, fail_at: int, applied: bool) -> None:
        self.store = store
        self.fail_at = fail_at
        self.applied = applied
        self.writes = 0

    def get(self, path: str) -> bytes:
        """As `Objects.get`."""
        data: bytes = self.store.get(path)
        return data

    def put(self, path: str, data: bytes) -> None:
        """As `Objects.put`."""
        self.write(lambda: self.store.put(path, data))

    def replace(self, path: str, data: bytes) -> None:
        """As `Objects.replace`."""
        self.write(lambda: self.store.replace(path, data))

    def discard(self, *paths: str) -> None:
        """As `Objects.discard`."""
        self.write(lambda: self.store.discard(*paths))

    def load(self, origin: str) -> bytes:
        """As `Checkpoints.load`."""
        signed: bytes = self.store.load(origin)
        return signed

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`."""
        self.write(lambda: self.store.create(origin, signed))

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`."""
        self.write(lambda: self.store.swap(origin, old, new))

    def write(self, act: Callable[[], None]) -> None:
        """Count, and fail or do it. Raises `Unavailable`."""
        number, self.writes = self.writes, self.writes + 1
        if number != self.fail_at:
            act()
            return
        if self.applied:
            act()
        msg = "the reply was lost" if self.applied else "not written"
        raise Unavailable(msg)


class FaultyDatabase(Faulty):
    """The same for a `Database`: a transaction is one write."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """As `Database.transaction`."""
        number, self.writes = self.writes, self.writes + 1
        with self.store.transaction() as tx:
            yield tx
            if number == self.fail_at and not self.applied:
                msg = "not written"
                raise Unavailable(msg)
        if number == self.fail_at:
            msg = "the reply was lost"
            raise Unavailable(msg)

    def head(self, origin: str) -> Head:
        """As `Database.head`."""
        head: Head = self.store.head(origin)
        return head

    def rows(self, origin: str) -> Sequence[Row]:
        """As `Database.rows`."""
        rows: Sequence[Row] = self.store.rows(origin)
        return rows


def with_faults(store: Any, *, fail_at: int, applied: bool, transactions: bool) -> Faulty:
    """`store` behind the fault."""
    return (FaultyDatabase if transactions else Faulty)(store, fail_at=fail_at, applied=applied)
