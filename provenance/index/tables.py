"""Tables of the index, on a metadata of their own.

Keys are the first 8 bytes of a digest: narrow to store, and followed by a comparison of the whole digest.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, MetaData, Table
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

__all__ = ["BIG", "digests", "entries", "erased", "kin", "links", "metadata", "places", "times"]

metadata = MetaData()

# A row number of SQLite is an INTEGER and nothing else; PostgreSQL's INTEGER ends at 2^31.
BIG = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Any:
    return Field(default=None, sa_column=Column(BIG, Identity(), primary_key=True))


def _big(**options: Any) -> Any:
    return Field(sa_type=BIG, **options)


class _Private(SQLModel, registry=registry(metadata=metadata)):
    pass


class _Entry(_Private, table=True):
    """One log entry: what its statement says, which is public even when the event is sealed or erased."""

    __tablename__ = "provenance_index_entries"
    __table_args__ = (
        Index("provenance_index_entries_key", "key"),
        Index("provenance_index_entries_type", "type", "idx"),
        Index("provenance_index_entries_issuer", "issuer", "idx"),
    )
    idx: int = _big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: int = _big()
    event_id: bytes
    type: str
    issuer: int = _big()  # key of the party id
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
    id: int | None = _id()
    source: int = _big()
    role: str
    target: int = _big()  # key of the event id; of SHA-256 of `outside` when that is set
    event_id: bytes  # b"" when outside
    outside: str  # "scheme:id" or "origin#event"
    detail: str  # relation of a parent, credit of a creator, basis of an input
    units: int | None = Field(sa_column=Column(BIG, nullable=True))  # rate, share or amount of the ref


class _Digest(_Private, table=True):
    """One digest that an event names; every one of them finds the event."""

    __tablename__ = "provenance_index_digests"
    __table_args__ = (Index("provenance_index_digests_key", "key"),)
    id: int | None = _id()
    key: int = _big()
    digest: bytes
    idx: int = _big()
    kind: str  # content, file, store


class _Time(_Private, table=True):
    """Log times: that of an entry is the last one at or before it."""

    __tablename__ = "provenance_index_times"
    idx: int = _big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    time: str


class _Erased(_Private, table=True):
    """One address that an erasure names: a vault item, or a whole event."""

    __tablename__ = "provenance_index_erased"
    __table_args__ = (
        Index("provenance_index_erased_key", "key"),
        Index("provenance_index_erased_idx", "idx"),
    )
    id: int | None = _id()
    idx: int = _big()  # of the erasure
    key: int = _big()
    address: bytes


class _Place(_Private, table=True):
    """One place that an event takes (`provenance.once`): the earliest row of each is the one who has it."""

    __tablename__ = "provenance_index_places"
    __table_args__ = (
        Index("provenance_index_places_key", "key"),
        Index("provenance_index_places_idx", "idx"),
    )
    id: int | None = _id()
    idx: int = _big()
    rule: str
    key: int = _big()
    place: bytes


class _Kin(_Private, table=True):
    """One derivation, said by entry `idx`: a child, and its parent in this log or outside of it.

    It repeats what stands in links, so that ancestors and descendants are found without looking at anything else.
    """

    __tablename__ = "provenance_index_kin"
    __table_args__ = (
        Index("provenance_index_kin_child", "child"),
        Index("provenance_index_kin_parent", "parent"),
        Index("provenance_index_kin_idx", "idx"),
    )
    id: int | None = _id()
    idx: int = _big()
    child: int = _big()
    child_id: bytes
    parent: int = _big()
    parent_id: bytes  # b"" when outside
    outside: str
    relation: str
    units: int | None = Field(sa_column=Column(BIG, nullable=True))  # rate owed to the parent


def _table(model: type[SQLModel]) -> Table:
    return metadata.tables[str(model.__tablename__)]


entries = _table(_Entry)
links = _table(_Link)
digests = _table(_Digest)
times = _table(_Time)
erased = _table(_Erased)
places = _table(_Place)
kin = _table(_Kin)
