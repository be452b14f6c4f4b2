"""Rebuilding what can be rebuilt: the index from log and vault, a database from the public files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from adapters.connect import Place, _parts, database_url, keys_beside, open_objects
from adapters.keys import load_secret
from adapters.sql.store import SqlStore
from adapters.sql.vault import SqlVault
from ledger.errors import Conflict, NotFound
from ledger.log import Log
from ledger.note import SigningKey
from ledger.policy import Policy
from ledger.refill import refill
from ledger.storage import Checkpoints, ReadsObjects
from provenance.index import Index, metadata
from provenance.index.rebuild import facts_at, rebuild
from provenance.signatures import Signatures
from provenance.statement import Statement
from provenance.vault import Vault

__all__ = ["Recovery", "rebuild_index", "recover"]

_BATCH = 4096


class Recovery(NamedTuple):
    """What `recover` did: the entries that came back, and the sealed events (index, type, event id) that cannot."""

    refilled: range
    lost: list[tuple[int, str, str]]


def rebuild_index(
    database: str | Engine,
    *,
    into: str | None = None,
    verify: bool = False,
    objects: Place | None = None,
    checkpoints: Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Derive the index of a ledger again while its market runs, put it into use, and return its size. Needs no key.

    `into` is the URL of another database to keep it in, made where it is not there: from then on
    `connect(index=URL)`, in every process. `verify` checks every statement's signature by the keys valid at its
    position. The rest is where the ledger is, as in `connect`. Raises `InvalidSignature`, `UnknownKey` or
    `MalformedError` at the first bad statement, `Conflict` when another rebuild begins meanwhile; whatever is raised,
    the old index is still in use.
    """
    from adapters.assemble import open_log_of

    parts = _parts(database, objects, checkpoints, vault, index, schema)
    key = parts.read_layout()
    target = parts.index_store or parts.store
    if into is not None:
        target = _index_store(into)

    @contextmanager
    def begin() -> Iterator[Connection]:
        with target.transaction() as tx:
            yield tx.connection

    return rebuild(
        begin,
        log=lambda: open_log_of(parts, key, target=None),
        vault=parts.sealed,
        leading=parts.store.leading,
        signatures=Signatures(Policy.of(key), key.name) if verify else None,
        progress=progress,
    )


def recover(
    database: str,
    published: str | os.PathLike[str] | ReadsObjects,
    *,
    keys: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recovery:
    """Refill a database that is behind what was published, index what came back, and say what could not come back.

    Open events and all entries return, verified. Sealed events and personal items were only in the lost database:
    `lost` names the sealed ones, so that they can be taken from a newer backup of the vault. Raises `Fork` when the
    database contradicts what is published.
    """
    store = SqlStore(database_url(database))
    key = SigningKey.parse(load_secret((keys or keys_beside(store))["log"]))
    refilled = refill(store, key, open_objects(published), progress=progress)
    log = _open(store, keys)
    vault = SqlVault(store)
    _index(store, log, refilled.start, None)
    lost = []
    for index, row in zip(refilled, log.rows(refilled.start, refilled.stop), strict=True):
        statement = Statement.parse(row.entry)
        if statement.sealed and not _has(vault, statement.event_id):
            lost.append((index, statement.type, statement.event_id.hex()))
    return Recovery(refilled, lost)


def _open(store: SqlStore, keys: Mapping[str, str] | None) -> Log:
    return Log.open(store, SigningKey.parse(load_secret((keys or keys_beside(store))["log"])))


def _index(store: SqlStore, log: Log, start: int, progress: Callable[[int, int], None] | None) -> None:
    vault = SqlVault(store)
    with store.transaction() as tx:
        index = Index(tx.connection)
        if start == 0:
            index.clear()
        for first in range(start, log.size, _BATCH):
            stop = min(first + _BATCH, log.size)
            index.write(first, [facts_at(row, vault)[0] for row in log.rows(first, stop)])
            if progress is not None:
                progress(stop, log.size)


def _index_store(url: str) -> SqlStore:
    """The database that an index is moved to; never one that holds a log of its own."""
    store = SqlStore(database_url(url), create=True, extra=[metadata])
    if store.origins():
        msg = f"{url}: holds the log {store.origins()[0]}; give a database of its own to keep the index in"
        raise Conflict(msg)
    return store


def _get(vault: SqlVault, event_id: bytes) -> bytes | None:
    try:
        return vault.get(event_id)
    except NotFound:
        return None


def _has(vault: SqlVault, event_id: bytes) -> bool:
    return _get(vault, event_id) is not None
