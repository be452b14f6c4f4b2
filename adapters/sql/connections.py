"""Our connections to one database: one that writes, one for each thread that reads; kept open, replaced when lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from sqlalchemy import Connection

from adapters.sql.backend import Backend
from adapters.sql.errors import storage_errors
from ledger.errors import StorageError, Unavailable

__all__ = ["LEADER_SECONDS", "Connections"]

LEADER_SECONDS = 60.0
"""How long a sequencer waits for another one to be done."""


class Connections:
    """Safe to share between threads. One that the server has ended is noticed before it is used again."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        self._local = threading.local()
        self._readers: WeakSet[Connection] = WeakSet()
        self._lock = threading.RLock()
        self._leading = threading.Lock()
        self._writer: Connection | None = None

    def reading(self) -> Connection:
        """This thread's connection for reads. A pool would only run out of them."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None or self._backend.hung_up(connection):
            self._local.connection = None
            if connection is not None:
                connection.close()
            with storage_errors(self._backend.name):
                connection = self._local.connection = self._backend.reader()
            with self._lock:
                self._readers.add(connection)
        return connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer shares, committed at the end of the block."""
        with self._lock, storage_errors(self._backend.name):
            writer = self._writer
            if writer is not None and writer.in_transaction():
                msg = f"{self._backend.name}: this thread is inside a transaction already; write through that one"
                raise StorageError(msg)
            if writer is None or self._backend.hung_up(writer):
                self._writer = None
                if writer is not None:
                    writer.close()
                writer = self._writer = self._backend.writer()
            with writer.begin():
                self._backend.begin(writer)
                yield writer

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Nobody else is inside, in any thread, process or host."""
        if not self._leading.acquire(timeout=LEADER_SECONDS):
            msg = f"{self._backend.name}: waiting to lead; another thread has led for {LEADER_SECONDS:.0f} s"
            raise Unavailable(msg)
        try:
            with self._backend.leader():
                yield
        finally:
            self._leading.release()

    def close(self) -> None:
        """Give every connection back; the next use makes new ones."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            for connection in list(self._readers):
                connection.close()
            self._readers.clear()
            self._local = threading.local()
        with self._leading:
            self._backend.close()

    def leave_to_parent(self) -> None:
        """In a process that was forked: what is open here is the parent's. Ours are made when they are needed."""
        _inherited.append((self._writer, list(self._readers), self._local, self._backend.leave_to_parent()))
        self._begin()


def _after_fork() -> None:
    for connections in list(_open):
        connections.leave_to_parent()


_open: WeakSet[Connections] = WeakSet()
# Never let go: closing them here would end them there.
_inherited: list[object] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
