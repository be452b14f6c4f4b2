"""The queue as a table beside the market's own, and joining the market's transactions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select
from sqlalchemy.orm import Session

from adapters.sql.doctor import SAVEPOINT_LINES, savepoints_hold
from adapters.sql.store import SqlStore, storage_errors
from adapters.sql.tables import files, queue, refs
from ledger.errors import Conflict, StorageError
from provenance.queue import Staged

__all__ = ["SqlQueue"]

_PORTION = 500  # values in one IN list


class SqlQueue:
    """A `provenance.queue.Queue` in the database of a store."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    @property
    def reading(self) -> Connection:
        """As `Queue.reading`."""
        return self._store.reading

    @contextmanager
    def joining(self, session: Any) -> Iterator[Connection]:
        """As `Queue.joining`."""
        if session is None:
            with self._store.transaction() as tx:
                yield tx.connection
            return
        with storage_errors("staging in the caller's transaction"):
            connection = _connection(session)
            if connection.in_nested_transaction() and not savepoints_hold(connection.engine):
                msg = (
                    "staging inside a savepoint: this engine's savepoints survive a rollback of the outer "
                    f"transaction; add where the engine is made:\n{SAVEPOINT_LINES}"
                )
                raise StorageError(msg)
            yield connection

    def stage(self, connection: Connection, events: Sequence[Staged]) -> None:
        """As `Queue.stage`."""
        connection.execute(insert(queue), [_values(event) for event in events])

    def name(self, connection: Connection, verb: str, ref: str, event_id: bytes, fingerprint: bytes) -> None:
        """As `Queue.name`."""
        with storage_errors(f"ref {ref[:80]!r} of {verb}"):
            connection.execute(
                insert(refs), {"verb": verb, "ref": ref, "event_id": event_id, "fingerprint": fingerprint}
            )

    def named(self, connection: Connection, verb: str, ref: str) -> tuple[bytes, bytes] | None:
        """As `Queue.named`."""
        row = connection.execute(
            select(refs.c.event_id, refs.c.fingerprint).where(refs.c.verb == verb, refs.c.ref == ref)
        ).first()
        return (bytes(row.event_id), bytes(row.fingerprint)) if row else None

    def names(self, connection: Connection, ref: str) -> list[tuple[str, bytes]]:
        """As `Queue.names`."""
        found = connection.execute(select(refs.c.verb, refs.c.event_id).where(refs.c.ref == ref).order_by(refs.c.verb))
        return [(verb, bytes(event_id)) for verb, event_id in found]

    def waiting(self, connection: Connection, event_ids: Iterable[bytes]) -> dict[bytes, Staged]:
        """As `Queue.waiting`."""
        wanted = list(event_ids)
        found: dict[bytes, Staged] = {}
        for at in range(0, len(wanted), _PORTION):
            where = queue.c.event_id.in_(wanted[at : at + _PORTION])
            for row in connection.execute(select(queue).where(where)):
                found[bytes(row.event_id)] = _staged(row)
        return found

    def see_file(self, connection: Connection, event_id: bytes, path: str) -> None:
        """As `Queue.see_file`."""
        connection.execute(delete(files).where(files.c.event_id == event_id))
        connection.execute(insert(files), {"event_id": event_id, "path": path})

    def file_of(self, connection: Connection, event_id: bytes) -> str | None:
        """As `Queue.file_of`."""
        return connection.execute(select(files.c.path).where(files.c.event_id == event_id)).scalar_one_or_none()

    def peek(self, limit: int) -> list[Staged]:
        """As `Queue.peek`."""
        with storage_errors("queue"):
            return [_staged(row) for row in self._store.reading.execute(_PEEK, {"most": limit})]

    def remove(self, connection: Connection, ids: Sequence[int]) -> None:
        """As `Queue.remove`."""
        gone = 0
        for at in range(0, len(ids), _PORTION):
            gone += connection.execute(delete(queue).where(queue.c.id.in_(ids[at : at + _PORTION]))).rowcount
        if gone != len(ids):
            msg = f"queue: {len(ids) - gone} of {len(ids)} rows were taken by another sequencer"
            raise Conflict(msg)

    def forget(self, connection: Connection, event_ids: Iterable[bytes]) -> None:
        """As `Queue.forget`."""
        wanted = list(event_ids)
        for at in range(0, len(wanted), _PORTION):
            connection.execute(delete(queue).where(queue.c.event_id.in_(wanted[at : at + _PORTION])))

    def leading(self) -> AbstractContextManager[None]:
        """As `Queue.leading`."""
        return self._store.leading()

    def __len__(self) -> int:
        with storage_errors("queue"):
            return int(self._store.reading.execute(select(func.count()).select_from(queue)).scalar_one())


def _connection(session: Any) -> Connection:
    if isinstance(session, Connection):
        return session
    if isinstance(session, Session):
        session.flush()
        return session.connection()
    msg = f"session: {type(session).__name__}, want an SQLAlchemy Session, AsyncSession or Connection"
    raise TypeError(msg)


def _values(event: Staged) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "type": event.type,
        "event": event.event,
        "items": json.dumps([item.decode() for item in event.items]).encode(),
        "statement": event.statement,
        "sealed": event.sealed,
    }


def _staged(row: Any) -> Staged:
    return Staged(
        row.id,
        bytes(row.event_id),
        row.type,
        bytes(row.event),
        tuple(item.encode() for item in json.loads(row.items)),
        None if row.statement is None else bytes(row.statement),
        bool(row.sealed),
    )


_PEEK = select(queue).order_by(queue.c.id).limit(bindparam("most"))
