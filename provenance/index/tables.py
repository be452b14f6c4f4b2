"""Tables of the index, on a metadata of their own.

Keys are the first 8 bytes of a digest: narrow to store, and followed by a comparison of the whole digest.
"""

from __future__ import annotations

from sqlalchemy import Index, MetaData, Table
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

__all__ = ["digests", "entries", "links", "metadata", "times"]

metadata = MetaData()


class _Private(SQLModel, registry=registry(metadata=metadata)):
    pass


class _Entry(_Private, table=True):
    """One log entry: what its statement says, which is public even when the event is sealed or erased."""

    __tablename__ = "provenance_index_entries"
    __table_args__ = (Index("provenance_index_entries_key", "key"),)
    idx: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: int
    event_id: bytes
    type: str
    issuer: int  # key of the party id
    sealed: bool
    strength: str  # "" when the event is not readable
    claimed_at: str


class _Link(_Private, table=True):
    """One ref of an event: from entry `source` to another event, or to something outside of this log."""

    __tablename__ = "provenance_index_links"
    __table_args__ = (
        Index("provenance_index_links_source", "source"),
        Index("provenance_index_links_target", "target"),
    )
    id: int | None = Field(default=None, primary_key=True)
    source: int
    role: str
    target: int  # key of the event id; of SHA-256 of `outside` when that is set
    event_id: bytes  # b"" when outside
    outside: str  # "scheme:id" or "origin#event"
    detail: str  # relation of a parent, credit of a creator


class _Digest(_Private, table=True):
    """One digest that an event names; every one of them finds the event."""

    __tablename__ = "provenance_index_digests"
    __table_args__ = (Index("provenance_index_digests_key", "key"),)
    id: int | None = Field(default=None, primary_key=True)
    key: int
    digest: bytes
    idx: int
    kind: str  # content, file, store


class _Time(_Private, table=True):
    """Log times: that of an entry is the last one at or before it."""

    __tablename__ = "provenance_index_times"
    idx: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    time: str


def _table(model: type[SQLModel]) -> Table:
    return metadata.tables[str(model.__tablename__)]


entries = _table(_Entry)
links = _table(_Link)
digests = _table(_Digest)
times = _table(_Time)
