"""The tables of a log, its queue and its vault, on a metadata of their own: never in the host's `create_all`."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, MetaData, Table
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

__all__ = ["files", "heads", "metadata", "objects", "queue", "refs", "rows", "vault"]

metadata = MetaData()


class _Private(SQLModel, registry=registry(metadata=metadata)):
    pass


class _Object(_Private, table=True):
    __tablename__ = "provenance_objects"
    id: int | None = Field(default=None, primary_key=True)
    path: str = Field(unique=True)
    data: bytes


class _Head(_Private, table=True):
    __tablename__ = "provenance_heads"
    origin: str = Field(primary_key=True)
    size: int  # entries sequenced
    signed: bytes  # newest checkpoint


class _Row(_Private, table=True):
    """Entries after the last full bundle."""

    __tablename__ = "provenance_rows"
    idx: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    entry: bytes
    opened: bytes


class _Item(_Private, table=True):
    """Vault items and sealed events. `prefix` is the first 8 bytes of the address: a narrow index key."""

    __tablename__ = "provenance_vault"
    __table_args__ = (Index("provenance_vault_prefix", "prefix"),)
    id: int | None = Field(default=None, primary_key=True)
    prefix: int
    address: bytes
    data: bytes


class _Staged(_Private, table=True):
    """Events accepted and not yet sequenced."""

    __tablename__ = "provenance_queue"
    id: int | None = Field(default=None, primary_key=True)
    event_id: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    type: str
    event: bytes
    items: bytes  # JSON list of vault items, as text
    statement: bytes | None  # None: the market's own, signed by the sequencer
    sealed: bool


class _Ref(_Private, table=True):
    """The market's own names for what it recorded: unique for each verb."""

    __tablename__ = "provenance_refs"
    verb: str = Field(primary_key=True)
    ref: str = Field(primary_key=True)
    event_id: bytes
    fingerprint: bytes


class _File(_Private, table=True):
    """Where a work's file was last seen on this machine."""

    __tablename__ = "provenance_files"
    event_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    path: str


def _table(model: type[SQLModel]) -> Table:
    return metadata.tables[str(model.__tablename__)]


objects = _table(_Object)
heads = _table(_Head)
rows = _table(_Row)
vault = _table(_Item)
queue = _table(_Staged)
refs = _table(_Ref)
files = _table(_File)
