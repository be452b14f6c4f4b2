"""The tables of a log, its queue and its vault, on a metadata of their own: never in the host's `create_all`.

They name no schema: where an operator gives them one, each statement is told when it runs.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import DDL, BigInteger, Column, Identity, Index, Integer, LargeBinary, MetaData, String, Table, event
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

__all__ = ["files", "heads", "metadata", "objects", "once", "queue", "refs", "rows", "state", "vault"]

metadata = MetaData()

# A row number of SQLite is an INTEGER and nothing else; PostgreSQL's INTEGER ends at 2^31.
_BIG = BigInteger().with_variant(Integer, "sqlite")

# In the order of its bytes, whatever the database's language: all paths below a prefix are one range of the index.
_PATH = String().with_variant(String(collation="C"), "postgresql")


def _id() -> Any:
    # An identity needs no right on a sequence: a market's role may be granted INSERT alone.
    return Field(default=None, sa_column=Column(_BIG, Identity(), primary_key=True))


def _big(**options: Any) -> Any:
    return Field(sa_type=_BIG, **options)


class _Private(SQLModel, registry=registry(metadata=metadata)):
    pass


class _Object(_Private, table=True):
    __tablename__ = "provenance_objects"
    id: int | None = _id()
    path: str = Field(unique=True, sa_type=_PATH)
    data: bytes


class _Head(_Private, table=True):
    __tablename__ = "provenance_heads"
    origin: str = Field(primary_key=True)
    size: int = _big()  # entries sequenced
    signed: bytes  # newest checkpoint


class _Row(_Private, table=True):
    """Entries after the last full bundle."""

    __tablename__ = "provenance_rows"
    idx: int = _big(primary_key=True, sa_column_kwargs={"autoincrement": False})
    entry: bytes
    opened: bytes


class _Item(_Private, table=True):
    """Vault items and sealed events. `prefix` is the first 8 bytes of the address: a narrow index key."""

    __tablename__ = "provenance_vault"
    __table_args__ = (Index("provenance_vault_prefix", "prefix"),)
    id: int | None = _id()
    prefix: int = _big()
    address: bytes
    data: bytes


class _Staged(_Private, table=True):
    """Events accepted and not yet sequenced."""

    __tablename__ = "provenance_queue"
    id: int | None = _id()
    event_id: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    type: str
    event: bytes
    items: bytes  # JSON list of vault items, as text
    statement: bytes | None  # None: the market's own, signed by the sequencer
    sealed: bool
    staged_at: int = _big(sa_column_kwargs={"server_default": "0"})  # milliseconds since 1970, 0: before revision 0002
    checksum: bytes | None  # of event id and `staged_at` (`adapters.sql.checksum`); None: before revision 0005


class _Ref(_Private, table=True):
    """The market's own names for what it recorded: unique for each verb."""

    __tablename__ = "provenance_refs"
    verb: str = Field(primary_key=True)
    ref: str = Field(primary_key=True)
    event_id: bytes
    fingerprint: bytes


class _Once(_Private, table=True):
    """Places that can be taken once (`provenance.once`), and who has them: derived from queue, log and vault."""

    __tablename__ = "provenance_once"
    __table_args__ = (Index("provenance_once_event", "event_id"),)
    rule: str = Field(primary_key=True)
    key: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    event_id: bytes


class _File(_Private, table=True):
    """Where a work's file was last seen on this machine."""

    __tablename__ = "provenance_files"
    event_id: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    path: str
    checksum: bytes | None  # of both; None: before revision 0005


class _State(_Private, table=True):
    """Where work that is done in slices has got to, and what was found out about a storage: small, and derivable."""

    __tablename__ = "provenance_state"
    key: str = Field(primary_key=True)
    value: bytes
    checksum: bytes | None  # of both; None: before revision 0005


def _table(model: type[SQLModel]) -> Table:
    return metadata.tables[str(model.__tablename__)]


objects = _table(_Object)
heads = _table(_Head)
rows = _table(_Row)
vault = _table(_Item)
queue = _table(_Staged)
refs = _table(_Ref)
files = _table(_File)
once = _table(_Once)
state = _table(_State)

# Tiles are hashes and bundles are signatures: nothing in them compresses, and PostgreSQL would try.
event.listen(
    objects,
    "after_create",
    DDL(  # type: ignore[no-untyped-call]
        "ALTER TABLE %(fullname)s ALTER COLUMN data SET STORAGE EXTERNAL"
    ).execute_if(dialect="postgresql"),
)
