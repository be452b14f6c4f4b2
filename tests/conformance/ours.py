"""Our own adapters, as the conformance kit opens them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

from adapters.conformance import Capabilities
from adapters.files import Directory
from adapters.object_vault import ObjectVault
from adapters.objects import Bucket
from adapters.sql.queue import SqlQueue
from adapters.sql.store import SqlStore
from adapters.sql.subjects import SqlSubjectKeys
from adapters.sql.vault import SqlVault
from ledger.testing import MemoryStore
from provenance.subjects import WrappingVault


def memory(_: Path) -> MemoryStore:
    return MemoryStore()


memory.capabilities = Capabilities(
    objects=True, lists=True, checkpoints=True, reopens=False, processes=False, fills=False
)


def directory(folder: Path) -> Directory:
    return Directory(folder)


directory.capabilities = Capabilities(objects=True, lists=True)


def sqlite(folder: Path) -> SqlStore:
    return SqlStore(f"sqlite:///{folder / 'log.db'}", create=True)


sqlite.capabilities = Capabilities(objects=True, lists=True, checkpoints=True, transactions=True, origins=False)


class _OnStore:
    """A part that lies in the database of a store, which is closed with it."""

    opens = sqlite

    def __init__(self, folder: Path) -> None:
        self.store = type(self).opens(folder)
        super().__init__(self.store)

    def close(self) -> None:
        self.store.close()


class SqliteVault(_OnStore, SqlVault):
    capabilities = Capabilities(vault=True)


class WrappedVault(WrappingVault):
    """Everything encrypted, its keys in a database of their own."""

    capabilities = Capabilities(vault=True, fills=False)

    def __init__(self, folder: Path) -> None:
        self.store = sqlite(folder)
        self.subjects = SqlSubjectKeys(f"sqlite:///{folder / 'subjects.db'}", create=True)
        super().__init__(SqlVault(self.store), self.subjects)

    def close(self) -> None:
        self.store.close()
        self.subjects.close()


class SqliteQueue(_OnStore, SqlQueue):
    capabilities = Capabilities(queue=True, fills=False)


def _name(folder: Path) -> str:
    """A name for a schema or prefix that belongs to the folder."""
    return "c" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def postgres(folder: Path) -> SqlStore:
    made = folder / "made"  # looking for what is missing takes longer than most checks
    store = SqlStore(os.environ["CONFORMANCE_POSTGRES"], create=not made.exists(), schema=_name(folder))
    made.touch()
    return store


postgres.capabilities = dataclasses.replace(sqlite.capabilities, fills=False, slow=True)


def bucket(folder: Path) -> Bucket:
    return Bucket.open(f"s3://{os.environ['CONFORMANCE_BUCKET']}/{_name(folder)}")


bucket.capabilities = Capabilities(objects=True, lists=True, checkpoints=True, fills=False, slow=True)


def bucket_vault(folder: Path) -> ObjectVault:
    return ObjectVault(bucket(folder))


bucket_vault.capabilities = Capabilities(vault=True, fills=False, slow=True)


class PostgresVault(_OnStore, SqlVault):
    opens = postgres
    capabilities = Capabilities(vault=True, fills=False)


class PostgresQueue(_OnStore, SqlQueue):
    opens = postgres
    capabilities = Capabilities(queue=True, fills=False)
