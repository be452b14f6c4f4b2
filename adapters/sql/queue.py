"""The queue as a table beside the market's own, and joining the market's transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Column, Connection, Select, and_, bindparam, delete, false, func, select, tuple_, update
from sqlalchemy.orm import Session, scoped_session

from adapters.sql.checksum import checksum
from adapters.sql.doctor import SAVEPOINT_LINES, savepoints_hold
from adapters.sql.errors import storage_errors
from adapters.sql.staging import stage_named
from adapters.sql.store import SqlStore
from adapters.sql.tables import files, once, queue, refs
from ledger.errors import Conflict, StorageError
from provenance.index.bulk import among, columns_of, insert_missing, schema_options
from provenance.once import Place
from provenance.queue import Name, Staged

__all__ = ["SqlQueue", "file_row", "queue_row"]

_PORTION = 1000  # names read at once


class SqlQueue:
    """A `provenance.queue.Queue` in the database of a store."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        # With each statement: the options of a market's connection are not ours to change.
        self._options = schema_options(store.schema)
        upsert = store.insert(files)
        new = {"path": upsert.excluded.path, "checksum": upsert.excluded.checksum}
        self._see_file = upsert.on_conflict_do_update(index_elements=["event_id"], set_=new)
        turn = store.insert(once)
        self._turn = turn.on_conflict_do_update(
            index_elements=["rule", "key"], set_={"event_id": turn.excluded.event_id}
        )

    @property
    def reading(self) -> Connection:
        """As `Queue.reading`."""
        return self._store.reading

    @contextmanager
    def joining(self, session: Any) -> Iterator[Connection]:
        """As `Queue.joining`.

        Also refused: a connection to another product, and one that commits by itself. Nothing of ours makes PostgreSQL
        give the caller's transaction up, except what does so to any statement: a deadlock, a full disk, a lost server.
        What the caller's own rows raise when they are flushed is SQLAlchemy's, as from any other flush of theirs.
        """
        if session is None:
            with self._store.transaction() as tx:
                yield tx.connection
            return
        if isinstance(session, scoped_session):
            session = session()
        if isinstance(session, Session):
            session.flush()
        with storage_errors("staging in the caller's transaction"):
            connection = _connection(session)
            self._refuse_unsafe(connection)
            yield connection

    def stage(
        self,
        connection: Connection,
        events: Sequence[Staged],
        *,
        name: Name | None = None,
        unless: Sequence[tuple[str, bytes]] = (),
    ) -> bool:
        """As `Queue.stage`: one statement where PostgreSQL stages what nobody else can; else a look costs little."""
        schema = self._store.schema
        rows = [queue_row(event) for event in events]
        # Two may stage what somebody else signed at once: then it has to be known which of them took the name.
        own = all(event.statement is None for event in events)
        at_once = name is not None and own and connection.dialect.name == "postgresql"
        if not at_once and not self._keep(connection, unless):
            return False
        if name is not None and at_once:
            staged = stage_named(connection, name, rows, unless, schema=schema)
            if staged < len(rows) and self.named(connection, name.verb, name.ref) != name:
                return False  # another event has it, or one of `unless` is taken
        elif name is None or insert_missing(connection, refs, [name], schema=schema):
            staged = insert_missing(connection, queue, rows, schema=schema)
        else:
            return False  # somebody has it
        if staged == len(rows):
            return True
        if name is not None:
            values = {"verb": name.verb, "ref": name.ref}
            connection.execute(_UNNAME, values, execution_options=self._options)
        msg = f"queue: {len(rows) - staged} of {len(rows)} events are staged already"
        raise Conflict(msg)

    def take(self, connection: Connection, places: Sequence[Place]) -> Place | None:
        """As `Queue.take`."""
        for at, place in enumerate(places):
            if insert_missing(connection, once, [place], schema=self._store.schema):
                continue
            values = {"rule_": place.rule, "key_": place.key, "by": place.event_id}
            if connection.execute(_TAKE_OVER, values, execution_options=self._options).rowcount:
                continue
            if self.holder(connection, place.rule, place.key) == place.event_id:
                continue
            for taken in places[:at]:
                values = {"rule": taken.rule, "key": taken.key, "event_id": taken.event_id}
                connection.execute(_FREE_ONE, values, execution_options=self._options)
            return place
        return None

    def wait_turn(self, connection: Connection, rule: str) -> None:
        """As `Queue.wait_turn`: a row of a free place, written anew.

        A lock alone would let a transaction pass that looks at what was there when it began.
        """
        key = sha256(rule.encode()).digest()
        values = {"rule": rule, "key": key, "event_id": key}
        connection.execute(self._turn, values, execution_options=self._options)

    def give_back(self, connection: Connection, event_ids: Sequence[bytes]) -> None:
        """As `Queue.give_back`."""
        for where in among(connection, once.c.event_id, list(event_ids)):
            connection.execute(delete(once).where(where), execution_options=self._options)

    def holder(self, connection: Connection, rule: str, key: bytes) -> bytes | None:
        """As `Queue.holder`."""
        found = connection.execute(_HOLDER, {"rule": rule, "key": key}, execution_options=self._options)
        holder = found.scalar_one_or_none()
        return None if holder is None else bytes(holder)

    def named(self, connection: Connection, verb: str, ref: str) -> Name | None:
        """As `Queue.named`."""
        values = {"verb": verb, "ref": ref}
        row = connection.execute(_NAMED, values, execution_options=self._options).first()
        return Name(verb, ref, bytes(row.event_id), bytes(row.fingerprint)) if row else None

    def names(self, connection: Connection, ref: str) -> list[tuple[str, bytes]]:
        """As `Queue.names`."""
        found = connection.execute(_NAMES, {"ref": ref}, execution_options=self._options)
        return [(verb, bytes(event_id)) for verb, event_id in found]

    def every_name(self, verb: str | None = None) -> Iterator[list[tuple[str, str, bytes]]]:
        """As `Queue.every_name`."""
        after = (verb or "", "")
        place = tuple_(refs.c.verb, refs.c.ref)
        query = select(refs.c.verb, refs.c.ref, refs.c.event_id).order_by(refs.c.verb, refs.c.ref).limit(_PORTION)
        while True:
            this = query.where(place > after) if verb is None else query.where(refs.c.verb == verb, place > after)
            with storage_errors("refs"):
                found = [(v, ref, bytes(event_id)) for v, ref, event_id in self._store.reading.execute(this)]
            if not found:
                return
            yield found
            after = found[-1][:2]

    def waiting(self, connection: Connection, event_ids: Iterable[bytes]) -> dict[bytes, Staged]:
        """As `Queue.waiting`."""
        found: dict[bytes, Staged] = {}
        for where in among(connection, queue.c.event_id, list(event_ids)):
            for row in connection.execute(select(queue).where(where), execution_options=self._options):
                found[bytes(row.event_id)] = _staged(row)
        return found

    def of_type(self, connection: Connection, type: str) -> list[bytes]:  # noqa: A002 - the field's name
        """As `Queue.of_type`."""
        found = connection.execute(_OF_TYPE, {"type": type}, execution_options=self._options).scalars()
        return [bytes(event_id) for event_id in found]

    def forget_names(self, connection: Connection, names: Sequence[tuple[str, str]]) -> None:
        """As `Queue.forget_names`."""
        for verb, ref in names:
            connection.execute(_UNNAME, {"verb": verb, "ref": ref}, execution_options=self._options)

    def forget_files(self, connection: Connection, event_ids: Iterable[bytes]) -> None:
        """As `Queue.forget_files`."""
        for where in among(connection, files.c.event_id, list(event_ids)):
            connection.execute(delete(files).where(where), execution_options=self._options)

    def see_file(self, connection: Connection, event_id: bytes, path: str) -> None:
        """As `Queue.see_file`."""
        values = dict(zip(columns_of(files), file_row(event_id, path), strict=True))
        connection.execute(self._see_file, values, execution_options=self._options)

    def file_of(self, connection: Connection, event_id: bytes) -> str | None:
        """As `Queue.file_of`."""
        found = connection.execute(_FILE_OF, {"event_id": event_id}, execution_options=self._options)
        return found.scalar_one_or_none()

    def peek(self, limit: int) -> list[Staged]:
        """As `Queue.peek`."""
        with storage_errors("queue"):
            return [_staged(row) for row in self._store.reading.execute(_PEEK, {"most": limit})]

    def newest(self) -> int:
        """As `Queue.newest`."""
        with storage_errors("queue"):
            return int(self._store.reading.execute(_NEWEST).scalar_one() or 0)

    def remove(self, connection: Connection, event_ids: Sequence[bytes]) -> None:
        """As `Queue.remove`."""
        # Not by `id`: SQLite gives the number of a row that is gone to the next one, which is another event.
        gone = sum(self._delete(connection, queue.c.event_id, event_ids))
        if gone != len(event_ids):
            msg = f"queue: {len(event_ids) - gone} of {len(event_ids)} rows were taken by another sequencer"
            raise Conflict(msg)

    def forget(self, connection: Connection, event_ids: Iterable[bytes]) -> None:
        """As `Queue.forget`."""
        sum(self._delete(connection, queue.c.event_id, list(event_ids)))

    def leading(self) -> AbstractContextManager[None]:
        """As `Queue.leading`."""
        return self._store.leading()

    def __len__(self) -> int:
        with storage_errors("queue"):
            return int(self._store.reading.execute(_COUNT).scalar_one())

    def _keep(self, connection: Connection, places: Sequence[tuple[str, bytes]]) -> bool:
        """Whether these places are free, and so until the transaction ends."""
        if connection.dialect.name != "postgresql":
            if places:
                connection.execute(_BEGIN_WRITING)  # one writes at once: from here on nobody else does
            return all(self.holder(connection, rule, key) is None for rule, key in places)
        return all(self._hold(connection, rule, key) for rule, key in places)

    def _hold(self, connection: Connection, rule: str, key: bytes) -> bool:
        found = connection.execute(_HOLD, {"rule": rule, "key": key}, execution_options=self._options).first()
        return found is not None or insert_missing(connection, once, [(rule, key, key)], schema=self._store.schema) == 1

    def _delete(self, connection: Connection, column: Column[Any], values: Sequence[Any]) -> Iterator[int]:
        for where in among(connection, column, values):
            yield connection.execute(delete(queue).where(where), execution_options=self._options).rowcount

    def _refuse_unsafe(self, connection: Connection) -> None:
        """Raise where what we write could survive a rollback, or would go somewhere else."""
        product, ours = connection.dialect.name, self._store.engine.dialect.name
        if product != ours:
            msg = f"session: a connection to {product}, want one to {self._store.name}, where the ledger is"
            raise StorageError(msg)
        if _commits_itself(connection):
            msg = "session: this connection commits every statement by itself; begin a transaction, or leave it out"
            raise StorageError(msg)
        if connection.in_nested_transaction() and not savepoints_hold(connection.engine):
            msg = (
                "staging inside a savepoint: this engine's savepoints survive a rollback of the outer "
                f"transaction; add where the engine is made:\n{SAVEPOINT_LINES}"
            )
            raise StorageError(msg)


def _connection(session: Any) -> Connection:
    if isinstance(session, Connection):
        return session
    if isinstance(session, Session):
        return session.connection()
    msg = f"session: {type(session).__name__}, want an SQLAlchemy Session, AsyncSession or Connection"
    raise TypeError(msg)


def _commits_itself(connection: Connection) -> bool:
    driver = connection.connection
    if getattr(driver.dbapi_connection, "autocommit", False) is True:
        return True
    if connection.dialect.name != "sqlite" or getattr(driver.dbapi_connection, "isolation_level", "") is not None:
        return False
    # A host that leaves nothing to the driver begins by itself: then there is a transaction by now.
    return not getattr(driver.driver_connection, "in_transaction", False)


def queue_row(event: Staged) -> tuple[Any, ...]:
    """The columns that are written of a waiting event."""
    items = orjson.dumps([item.decode() for item in event.items])
    check = checksum(event.event_id, b"%d" % event.staged_at)
    return event.event_id, event.type, event.event, items, event.statement, event.sealed, event.staged_at, check


def file_row(event_id: bytes, path: str) -> tuple[bytes, str, bytes]:
    """The columns that are written of a file that was seen."""
    return event_id, path, checksum(event_id, path.encode())


def _staged(row: Any) -> Staged:
    number, event_id, kind, event, items, statement, sealed, staged_at, _ = row
    return Staged(
        number,
        bytes(event_id),
        kind,
        bytes(event),
        tuple(item.encode() for item in orjson.loads(items)),
        None if statement is None else bytes(statement),
        bool(sealed),
        staged_at,
    )


_PEEK = select(queue).order_by(queue.c.id).limit(bindparam("most"))
_NEWEST = select(func.max(queue.c.id))
_COUNT = select(func.count()).select_from(queue)
_THIS = and_(refs.c.verb == bindparam("verb"), refs.c.ref == bindparam("ref"))
_NAMED = select(refs.c.event_id, refs.c.fingerprint).where(_THIS)
_UNNAME = delete(refs).where(_THIS)
_THIS_PLACE = and_(once.c.rule == bindparam("rule"), once.c.key == bindparam("key"))
# A place that somebody relies on to stay free has a row that is its own key: what is locked, and taken over.
_HOLDER = select(once.c.event_id).where(_THIS_PLACE, once.c.event_id != once.c.key)
_HOLD = select(once.c.key).where(_THIS_PLACE, once.c.event_id == once.c.key).with_for_update(read=True)
_BEGIN_WRITING = update(once).where(false()).values(rule=once.c.rule)
_TAKE_OVER = (
    update(once)
    .where(once.c.rule == bindparam("rule_"), once.c.key == bindparam("key_"), once.c.event_id == once.c.key)
    .values(event_id=bindparam("by"))
)
_FREE_ONE = delete(once).where(_THIS_PLACE, once.c.event_id == bindparam("event_id"))
_OF_TYPE = select(queue.c.event_id).where(queue.c.type == bindparam("type")).order_by(queue.c.id)
_FILE_OF = select(files.c.path).where(files.c.event_id == bindparam("event_id"))


def _names() -> Select[Any]:
    """What a ref stands for: one look for each verb that is there, and not one at every name."""
    verbs = select(func.min(refs.c.verb).label("verb")).cte("verbs", recursive=True)
    after = select(func.min(refs.c.verb)).where(refs.c.verb > verbs.c.verb).scalar_subquery()
    verbs = verbs.union_all(select(after).where(verbs.c.verb.is_not(None)))
    this = and_(refs.c.verb == verbs.c.verb, refs.c.ref == bindparam("ref"))
    return select(refs.c.verb, refs.c.event_id).select_from(verbs.join(refs, this)).order_by(refs.c.verb)


_NAMES = _names()
