"""Copying a published log to another place, every byte verified on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from ledger.batch import write_all
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.edge import Edge
from ledger.errors import MalformedError, NotFound, Rollback
from ledger.evidence import forked
from ledger.merkle import leaf_hash, tree_root
from ledger.publish import Partials
from ledger.reader import TileReader
from ledger.redact import redacted_bundle
from ledger.storage import Objects, ReadsObjects, Row
from ledger.tile import CHECKPOINT, WIDTH, bundle_path, open_path, parse_bundle, tile_widths

__all__ = ["Redacts", "copy_log", "edge_at", "redact_copy"]

_PORTION = 8  # bundles in memory, written side by side where the target can


class Redacts(Protocol):
    """Tells a copy what entries say is to be forgotten of earlier ones, in what it copied before as well."""

    def look(self, first: int, entries: Sequence[bytes]) -> None:
        """Look at entries from index `first` on, each of which is proven to be in the log."""

    def indexes(self, copied: ReadsObjects, size: int) -> Collection[int]:
        """The entries, among the first `size` that are `copied`, beside which nothing may be open any more."""


def copy_log(
    log: Client,
    target: Objects,
    *,
    redacts: Redacts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Checkpoint:
    """Write everything under `log.checkpoint` to `target`, the checkpoint last; return the checkpoint.

    Entries are verified as they are read and tiles are derived from them, so that the copy holds nothing that the
    checkpoint does not cover, but for open bundles, which a reader checks against their statements. What `target` shows
    already is not read again, and a copy that was interrupted goes on where it stopped. Partial forms that a full one
    replaces are dropped. What `redacts` says is forgotten in all of the copy before it shows the checkpoint. `progress`
    is called with (entries written, entries in all).

    Raises what `Client.entries` raises, `Conflict` when another log lies at `target`, `Rollback` when `target` shows
    more of this log than is copied, and `Fork` when it shows something else.
    """
    checkpoint = log.checkpoint
    shown = _shown_size(target, log)
    partials = Partials(target)
    partials.find(shown)
    number = shown // WIDTH if shown else _interrupted_at(target, log)
    edge = edge_at(number * WIDTH, log.reader)
    last = -(-checkpoint.size // WIDTH)
    if redacts is not None and not shown:
        for bundle in range(number):  # of a copy that was interrupted
            redacts.look(bundle * WIDTH, parse_bundle(target.get(bundle_path(bundle))))
    for first in range(number, last, _PORTION):
        bundles = range(first, min(first + _PORTION, last))
        stop = min(bundles.stop * WIDTH, checkpoint.size)
        entries = list(log.entries(first * WIDTH, stop))
        if redacts is not None:
            redacts.look(first * WIDTH, entries)
        puts, _ = edge.extend([Row(entry, b"") for entry in entries])
        opens = []
        for bundle in bundles:
            with contextlib.suppress(NotFound):  # where nothing in a bundle is open
                opens.append((open_path(bundle), log.get(open_path(bundle))))
        write_all(target, puts, opens)
        if progress is not None:
            progress(stop, checkpoint.size)
    puts, _ = edge.partial()
    write_all(target, puts, [])
    if redacts is not None:
        redact_copy(target, redacts.indexes(target, checkpoint.size))
    target.replace(CHECKPOINT, checkpoint.signed)
    partials.add(path for path, _ in puts)
    target.discard(*partials.take_stale(checkpoint.size))
    return checkpoint


def redact_copy(target: Objects, indexes: Collection[int]) -> None:
    """Forget what is open beside these entries of a copy that nobody else writes to. Durable on return."""
    for number in sorted({index // WIDTH for index in indexes}):
        changed = redacted_bundle(target, number, indexes)
        if changed is not None:
            target.replace(*changed)


def edge_at(size: int, reader: TileReader) -> Edge:
    """The right edge of the first `size` entries, a multiple of 256, from the proven tiles of a tree at least as large.

    `Edge.extend` goes on from there.
    """
    levels: list[list[bytes]] = []
    for level, index, width in tile_widths(size):
        while len(levels) < level:
            levels.append([])
        levels.append(reader.tile(level, index)[:width])
    return Edge(size, levels)


def _shown_size(target: Objects, log: Client) -> int:
    """What a place shows of this log; refuses to put an older or another history over it."""
    checkpoint = log.checkpoint
    try:
        there = open_checkpoint(target.get(CHECKPOINT), log.policy)
    except NotFound:
        return 0
    if there.size > checkpoint.size:
        msg = f"{checkpoint.origin}: the target shows size {there.size}, the copy would show {checkpoint.size}"
        raise Rollback(msg)
    if tree_root(there.size, log.reader) != there.root:
        msg = f"{checkpoint.origin}: what the target shows at size {there.size} is not a beginning of this log"
        raise forked(msg, there, checkpoint, log.reader)
    return there.size


def _interrupted_at(target: Objects, log: Client) -> int:
    """The bundle that a copy without a checkpoint goes on with: they are written in order, a portion side by side."""
    low, high = 0, log.checkpoint.size // WIDTH
    while low < high:
        middle = (low + high) // 2
        if _has_bundle(target, log, middle):
            low = middle + 1
        else:
            high = middle
    return max(low - _PORTION, 0)


def _has_bundle(target: Objects, log: Client, number: int) -> bool:
    try:
        entries = parse_bundle(target.get(bundle_path(number)))
    except (MalformedError, NotFound):
        return False
    return [leaf_hash(entry) for entry in entries] == log.reader.tile(0, number)
