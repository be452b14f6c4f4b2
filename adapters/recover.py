"""Rebuilding what can be rebuilt: the index from log and vault, a database from the public files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from adapters.connect import database_url, keys_beside, open_objects
from adapters.keys import load_secret
from adapters.sql.store import SqlStore
from adapters.sql.vault import SqlVault
from ledger.errors import NotFound
from ledger.log import Log
from ledger.note import SigningKey
from ledger.refill import refill
from ledger.storage import ReadsObjects, Row
from provenance.canonical import address
from provenance.index import Facts, Index, facts_of
from provenance.statement import Statement

__all__ = ["Recovery", "rebuild_index", "recover"]

_BATCH = 4096


class Recovery(NamedTuple):
    """What `recover` did: the entries that came back, and the sealed events (index, type, event id) that cannot."""

    refilled: range
    lost: list[tuple[int, str, str]]


def rebuild_index(
    database: str, *, keys: Mapping[str, str] | None = None, progress: Callable[[int, int], None] | None = None
) -> int:
    """Derive the index of a ledger again, in one transaction; return its size. The market may go on reading."""
    store = SqlStore(database_url(database))
    log = _open(store, keys)
    _index(store, log, 0, progress)
    return log.size


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
            index.write(first, [_facts(row, vault) for row in log.rows(first, stop)])
            if progress is not None:
                progress(stop, log.size)


def _facts(row: Row, vault: SqlVault) -> Facts:
    statement = Statement.parse(row.entry)
    event: bytes | None = row.opened
    if not event:
        event = _get(vault, statement.event_id)
    elif address(event) != statement.event_id:
        event = None  # not what was signed: `audit` reports it, the index does not repeat it
    return facts_of(
        event_id=statement.event_id,
        type=statement.type,
        issuer=statement.issuer,
        sealed=statement.sealed,
        event=event,
    )


def _get(vault: SqlVault, event_id: bytes) -> bytes | None:
    try:
        return vault.get(event_id)
    except NotFound:
        return None


def _has(vault: SqlVault, event_id: bytes) -> bool:
    return _get(vault, event_id) is not None
