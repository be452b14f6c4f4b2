"""Bringing a storage that was put back behind what is published up to date again, from the public files alone."""

from __future__ import annotations

from collections.abc import Callable

from ledger.client import Client
from ledger.edge import Edge
from ledger.errors import Fork
from ledger.log import Log
from ledger.merkle import tree_root
from ledger.note import SigningKey
from ledger.policy import Policy
from ledger.storage import Database, ReadsObjects, Row
from ledger.tile import WIDTH

__all__ = ["refill"]

_BATCH = 4 * WIDTH  # entries in memory at a time


def refill(
    store: Database,
    key: SigningKey,
    published: ReadsObjects,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> range:
    """Append what `published` shows and `store` lacks; return the indexes that were refilled, durably stored.

    What is read is verified against the published checkpoint first. Nothing is signed: the published checkpoint
    becomes the newest. Raises `Fork` when the storage holds something else than what was published; then neither can
    be continued without a person's decision. `progress` is called with (entries stored, entries in all).
    """
    policy = Policy.of(key.verifier)
    client = Client(published, policy)
    target = client.checkpoint
    log = Log.open(store, key)
    mine, edge = log.checkpoint, log.edge()
    common = min(edge.size, target.size)
    if log.root_at(common) != tree_root(common, client.reader):
        msg = f"{key.name}: the first {common} entries stored are not those published"
        raise Fork(msg, mine, target)
    start = edge.size
    for at in range(start, target.size, _BATCH):
        stop = min(at + _BATCH, target.size)
        _store(store, key.name, edge, _rows(client, at, stop))
        if progress is not None:
            progress(stop, target.size)
    if target.size > mine.size:
        with store.transaction() as tx:
            tx.swap(key.name, mine.signed, target.signed)
    return range(start, max(start, target.size))


def _rows(client: Client, start: int, stop: int) -> list[Row]:
    rows: list[Row] = []
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        begin, end = max(start, number * WIDTH), min(stop, (number + 1) * WIDTH)
        opened = client.opened(number)
        opened += [b""] * (WIDTH - len(opened))
        entries = client.entries(begin, end)
        rows += [Row(entry, opened[i % WIDTH]) for i, entry in enumerate(entries, begin)]
    return rows


def _store(store: Database, origin: str, edge: Edge, rows: list[Row]) -> None:
    first = edge.size
    puts, opens = edge.extend(rows)
    trim = edge.size // WIDTH > first // WIDTH
    with store.transaction() as tx:
        tx.extend(origin, first, edge.size, edge.rows if trim else rows, trim=trim)
        for path, data in puts:
            tx.put(path, data)
        for path, data in opens:
            tx.replace(path, data)
