"""Queue, names and file hints as lines of JSON, out of one database and into another."""

from __future__ import annotations

import base64
import re
from array import array
from collections.abc import Callable, Container, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Table, func, select, tuple_

from adapters.sql.errors import storage_errors
from adapters.sql.queue import file_row, queue_row
from adapters.sql.store import SqlStore
from adapters.sql.tables import files, queue, refs
from ledger.errors import MalformedError
from ledger.storage import Row
from provenance.index import Index
from provenance.index.bulk import among, insert_missing
from provenance.names import Named
from provenance.queue import Staged
from provenance.subjects import is_wrapped

__all__ = [
    "File",
    "Name",
    "Sequenced",
    "There",
    "Waiting",
    "file_lines",
    "item_line",
    "name_lines",
    "parse_item",
    "parse_line",
    "portions",
    "put_files",
    "put_names",
    "put_queue",
    "queue_lines",
    "waiting_or_logged",
]

_PORTION = 500  # rows in memory, and in one statement

There = Callable[[list[bytes]], set[bytes]]
"""Which of some event ids are there."""

T = TypeVar("T")
_WRAPPED = re.compile(rb"([0-9a-f]{64}) (\S+)", re.ASCII)
_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Sequenced(_Line):
    """A log row under no checkpoint yet, entry and open event in base64."""

    entry: str
    opened: str

    @classmethod
    def of(cls, row: Row) -> Sequenced:
        """The line of a row."""
        return cls(entry=_encode(row.entry), opened=_encode(row.opened))

    @property
    def row(self) -> Row:
        """The row. Raises `MalformedError`."""
        return Row(_decode(self.entry), _decode(self.opened))


class Waiting(_Line):
    """An accepted event: its own bytes and its vault items as text, the statement in base64 where others signed it.

    `staged_at` is in milliseconds since 1970, 0 where that is not known.
    """

    event: str
    items: list[str]
    sealed: bool
    staged_at: int = 0
    statement: str | None = None
    type: str

    @property
    def id(self) -> bytes:
        """The event id."""
        return sha256(self.event.encode()).digest()

    @property
    def staged(self) -> Staged:
        """As it waits in a queue. Raises `MalformedError`."""
        statement = None if self.statement is None else _decode(self.statement)
        items = tuple(item.encode() for item in self.items)
        return Staged(0, self.id, self.type, self.event.encode(), items, statement, self.sealed, self.staged_at)


class Name(_Line):
    """What the market calls an event, unique for each verb."""

    verb: str
    ref: str
    event: _Hex
    fingerprint: _Hex


class File(_Line):
    """Where a work's file was last seen."""

    event: _Hex
    path: str


L = TypeVar("L", bound=_Line)


def parse_line(kind: type[L], line: bytes) -> L:
    """One line of a part. Raises `MalformedError`."""
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        msg = f"{kind.__name__.lower()} of a backup: {'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}"
        raise MalformedError(msg) from None


def item_line(address: bytes, stored: bytes) -> bytes:
    """The line of a vault item: its bytes, which hash to its address; or the address and base64 of encrypted bytes."""
    return f"{address.hex()} {_encode(stored)}".encode() if is_wrapped(stored) else stored


def parse_item(line: bytes) -> tuple[bytes, bytes]:
    """The inverse of `item_line`: (address, what is stored). Raises `MalformedError`."""
    found = _WRAPPED.fullmatch(line)
    if found is None:
        return sha256(line).digest(), line
    stored = _decode(found[2].decode())
    if not is_wrapped(stored):
        msg = f"vault item {found[1].decode()} of a backup: no encrypted item"
        raise MalformedError(msg)
    return bytes.fromhex(found[1].decode()), stored


def portions(found: Iterable[T], size: int = _PORTION) -> Iterator[list[T]]:
    """The same in lists of at most `size`."""
    ready = iter(found)
    while portion := list(islice(ready, size)):
        yield portion


# Out


def queue_lines(store: SqlStore) -> Iterator[bytes]:
    """Everything that waits when this begins, but for what is sequenced while it is read.

    Which rows there are is one statement: of what one transaction staged, all is here or nothing.
    """
    with storage_errors("queue"):
        ids = array("q", store.reading.execute(select(queue.c.id).order_by(queue.c.id)).scalars())
    for at in range(0, len(ids), _PORTION):
        with storage_errors("queue"):
            wheres = among(store.reading, queue.c.id, ids[at : at + _PORTION].tolist())
            rows = [row for w in wheres for row in store.reading.execute(select(queue).where(w).order_by(queue.c.id))]
        for row in rows:
            value: dict[str, Any] = {
                "event": bytes(row.event).decode(),
                "items": orjson.loads(bytes(row.items)),
                "sealed": bool(row.sealed),
                "staged_at": row.staged_at,
                "type": row.type,
            }
            if row.statement is not None:
                value["statement"] = _encode(bytes(row.statement))
            yield orjson.dumps(value)


def name_lines(store: SqlStore) -> Iterator[bytes]:
    """The market's names, also of events that this backup has neither in its queue nor in its log."""
    for row in _pages(store, refs, ("verb", "ref")):
        event_id, fingerprint = bytes(row.event_id).hex(), bytes(row.fingerprint).hex()
        yield orjson.dumps({"verb": row.verb, "ref": row.ref, "event": event_id, "fingerprint": fingerprint})


def file_lines(store: SqlStore) -> Iterator[bytes]:
    """Where files were last seen."""
    for row in _pages(store, files, ("event_id",)):
        yield orjson.dumps({"event": bytes(row.event_id).hex(), "path": row.path})


# In


def put_queue(store: SqlStore, lines: Iterable[bytes], logged: There) -> tuple[int, int]:
    """Stage again what is not `logged`; return how many events wait now, and how many were left out. Repeatable."""
    left_out = 0
    for portion in portions(lines):
        waiting = [parse_line(Waiting, line) for line in portion]
        known = logged([one.id for one in waiting])
        left_out += sum(one.id in known for one in waiting)
        _insert(store, queue, [queue_row(one.staged) for one in waiting if one.id not in known])
    with storage_errors("queue"):
        return int(store.reading.execute(select(func.count()).select_from(queue)).scalar_one()), left_out


def put_names(
    store: SqlStore, lines: Iterable[bytes], there: There, gone: Callable[[list[Named]], set[tuple[str, str]]]
) -> tuple[int, int]:
    """Put back the names of events that are `there`; return how many, and how many were left out. May be repeated.

    A name without its event would answer a retry with a ticket for something that is nowhere; one that is `gone` is
    erased.
    """
    kept = left_out = 0
    for portion in portions(lines):
        names = [parse_line(Name, line) for line in portion]
        rows = [(n.verb, n.ref, bytes.fromhex(n.event), bytes.fromhex(n.fingerprint)) for n in names]
        found = there([row[2] for row in rows])
        erased = gone([row[:3] for row in rows if row[2] in found])
        rows = [row for row in rows if row[2] in found and row[:2] not in erased]
        kept += len(rows)
        left_out += len(names) - len(rows)
        _insert(store, refs, rows)
    return kept, left_out


def put_files(store: SqlStore, lines: Iterable[bytes], gone: Container[bytes]) -> None:
    """Put back where files were last seen, but for those of events that are `gone`. May be repeated."""
    for portion in portions(lines):
        seen = [file_row(bytes.fromhex(one.event), one.path) for one in (parse_line(File, line) for line in portion)]
        _insert(store, files, [row for row in seen if row[0] not in gone])


def waiting_or_logged(store: SqlStore, index: Index) -> There:
    """Which events are in the log or wait for it."""

    def there(event_ids: list[bytes]) -> set[bytes]:
        found = set(index.known(event_ids))
        with storage_errors("queue"):
            for where in among(store.reading, queue.c.event_id, event_ids):
                found.update(map(bytes, store.reading.execute(select(queue.c.event_id).where(where)).scalars()))
        return found

    return there


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        msg = f"base64 in a backup: {error}"
        raise MalformedError(msg) from error


def _insert(store: SqlStore, table: Table, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        with store.transaction() as tx:
            insert_missing(tx.connection, table, rows, schema=store.schema)


def _pages(store: SqlStore, table: Table, names: tuple[str, ...]) -> Iterator[Any]:
    """All rows in the order of a key, a page at a time."""
    columns = [table.c[name] for name in names]
    last: tuple[Any, ...] | None = None
    while True:
        query = select(table).order_by(*columns).limit(_PORTION)
        if last is not None:
            query = query.where(tuple_(*columns) > tuple_(*last))
        with storage_errors(table.name):
            page = store.reading.execute(query).all()
        if not page:
            return
        yield from page
        last = tuple(getattr(page[-1], name) for name in names)
