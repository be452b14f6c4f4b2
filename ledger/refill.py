"""Bringing a storage that was put back behind what is published up to date again, from the public files alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.copy import copy_log
from ledger.edge import Edge
from ledger.errors import Conflict, Fork, LedgerError, MalformedError, NotFound
from ledger.evidence import forked
from ledger.keyring import Keyring, own_note
from ledger.merkle import tree_root
from ledger.note import VerifierKey
from ledger.storage import Checkpoints, Database, ListsObjects, Objects, ReadsObjects, Row
from ledger.stored import Stored
from ledger.tile import CHECKPOINT, HEIGHT, WIDTH, parse_path

__all__ = ["extend_unsigned", "refill"]

_BATCH = 4 * WIDTH  # entries in memory at a time

Progress = Callable[[int, int], None]


def refill(
    objects: Objects,
    keys: VerifierKey | Keyring,
    published: ReadsObjects,
    *,
    checkpoints: Checkpoints | None = None,
    progress: Progress | None = None,
) -> range:
    """Append what `published` shows and the storage lacks; return the indexes that were refilled, durably stored.

    The storage may be empty: then it holds the whole published log afterwards. `checkpoints` is where its head is, by
    default in `objects`. What is read is verified against the published checkpoint first. Nothing is signed: the
    published checkpoint becomes the newest. May be repeated; until it has come to its end nobody can sign from there.

    Raises `Fork` when the storage holds something else than what was published; then neither can be continued without
    a person's decision. `progress` is called with (entries stored, entries in all).
    """
    ring = keys if isinstance(keys, Keyring) else Keyring(keys)
    client = Client(published, ring.policy)
    if isinstance(objects, Database) and checkpoints in (None, objects):
        return _refill_database(objects, ring.origin, client, progress)
    heads = checkpoints if checkpoints is not None else objects
    if not isinstance(heads, Checkpoints):
        msg = f"{type(objects).__name__} holds no checkpoints: give a storage for them as well"
        raise LedgerError(msg)
    return _refill_objects(objects, heads, ring.origin, client, progress)


def extend_unsigned(database: Database, origin: str, first: int, rows: Sequence[Row]) -> None:
    """Append entries that were sequenced as `[first, first + len(rows))` and are under no checkpoint yet.

    Those that are there are left out. Nothing is signed. Raises `NotFound` when those before `first` are not there,
    `Conflict` when others are in their place.
    """
    head = database.head(origin)
    stored = Stored(database)
    edge = stored.edge(head.size, head.size, database.rows(origin))
    if head.size < first:
        msg = f"{origin}: the storage has {head.size} entries, want all before #{first}"
        raise NotFound(msg)
    held = head.size - len(edge.rows)
    there = min(head.size - first, len(rows))
    for at, row in enumerate(rows[:there], first):
        found = edge.rows[at - held] if at >= held else stored.bundle(at // WIDTH)[at % WIDTH]
        if found.entry != row.entry:
            msg = f"{origin}: entry #{at} in storage is not the one that was sequenced there"
            raise Conflict(msg)
    for at in range(there, len(rows), _BATCH):
        _store(database, origin, edge, list(rows[at : at + _BATCH]), None)


def _refill_database(store: Database, origin: str, client: Client, progress: Progress | None) -> range:
    target = client.checkpoint
    try:
        head = store.head(origin)
    except NotFound:
        head = None
    size = 0 if head is None else head.size
    edge = Stored(store).edge(size, size, store.rows(origin)) if size else Edge()
    common = min(size, target.size)
    mine = None if head is None else open_checkpoint(head.signed, client.policy)
    if _root_at(store, origin, common, size) != tree_root(common, client.reader):
        msg = f"{origin}: the first {common} entries stored are not those published"
        raise Fork(msg, mine or target, target)
    for at in range(size, target.size, _BATCH):
        stop = min(at + _BATCH, target.size)
        # A head that names more than is stored yet: nobody can open such a log, until the last entry is there.
        begin = own_note(target, client.policy) if head is None and at == 0 else None
        _store(store, origin, edge, _rows(client, at, stop), begin)
        if progress is not None:
            progress(stop, target.size)
    if mine is not None and target.size > mine.size:
        with store.transaction() as tx:
            tx.swap(origin, mine.signed, own_note(target, client.policy))
    return range(size, max(size, target.size))


def _refill_objects(
    objects: Objects, heads: Checkpoints, origin: str, client: Client, progress: Progress | None
) -> range:
    target = client.checkpoint
    try:
        mine: Checkpoint | None = open_checkpoint(heads.load(origin), client.policy)
    except NotFound:
        mine = None
    size = 0 if mine is None else mine.size
    if mine is not None:
        if size > target.size:
            return range(size, size)
        if tree_root(size, client.reader) != mine.root:
            msg = f"{origin}: the head of size {size} in storage is not a beginning of what is published"
            raise forked(msg, mine, target, client.reader)
    if not _shows(objects, target):
        copy_log(client, objects, progress=progress)
    if size < target.size:  # nobody signs from there meanwhile
        _drop_unpublished(objects, target.size)
    if mine is None:
        heads.create(origin, own_note(target, client.policy))
    elif size < target.size:
        heads.swap(origin, mine.signed, own_note(target, client.policy))
    return range(size, target.size)


def _drop_unpublished(objects: Objects, size: int) -> None:
    """Drop what a batch had written whose checkpoint was lost before anybody saw it: others come in its place.

    Its batch file stays: what it held is in nobody's log, and may be nowhere else.
    """
    if not isinstance(objects, ListsObjects):
        return
    objects.discard(*[path for path in objects.list("tile/") if _beyond(path, size)])


def _beyond(path: str, size: int) -> bool:
    """Whether this is a tile or bundle that holds something a tree of `size` does not."""
    try:
        level, index, width = parse_path(path)
    except MalformedError:  # for `fsck`
        return False
    return index * WIDTH + width > size >> (HEIGHT * (level or 0))


def _shows(objects: ReadsObjects, checkpoint: Checkpoint) -> bool:
    """Whether this place shows exactly that already, as where it is the published place itself."""
    try:
        return objects.get(CHECKPOINT) == checkpoint.signed
    except NotFound:
        return False


def _root_at(store: Database, origin: str, size: int, total: int) -> bytes:
    if size == 0:
        return Edge().root()
    return Stored(store).edge(size, total, store.rows(origin)).root()


def _rows(client: Client, start: int, stop: int) -> list[Row]:
    rows: list[Row] = []
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        begin, end = max(start, number * WIDTH), min(stop, (number + 1) * WIDTH)
        opened = client.opened(number)
        opened += [b""] * (WIDTH - len(opened))
        entries = client.entries(begin, end)
        rows += [Row(entry, opened[i % WIDTH]) for i, entry in enumerate(entries, begin)]
    return rows


def _store(store: Database, origin: str, edge: Edge, rows: list[Row], begin: bytes | None) -> None:
    """Append one batch; `begin` is the head of a log that is not there yet."""
    first = edge.size
    puts, opens = edge.extend(rows)
    trim = edge.size // WIDTH > first // WIDTH
    with store.transaction() as tx:
        if begin is not None:
            tx.create(origin, begin)
        tx.extend(origin, first, edge.size, edge.rows if trim else rows, trim=trim)
        for path, data in puts:
            tx.put(path, data)
        for path, data in opens:
            tx.replace(path, data)
