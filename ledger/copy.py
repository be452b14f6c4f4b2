"""Copying a published log to another place, every byte verified on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.edge import Edge
from ledger.errors import Fork, NotFound, Rollback
from ledger.merkle import tree_root
from ledger.storage import Objects, Row
from ledger.tile import CHECKPOINT, WIDTH, open_path

__all__ = ["copy_log"]


def copy_log(log: Client, target: Objects, *, progress: Callable[[int, int], None] | None = None) -> Checkpoint:
    """Write everything under `log.checkpoint` to `target`, the checkpoint last; return the checkpoint.

    Entries are verified as they are read and tiles are derived from them, so that the copy holds nothing that the
    checkpoint does not cover, but for open bundles, which a reader checks against their statements. May be repeated.
    Raises what `Client.entries` raises, `Conflict` when another log lies at `target`, `Rollback` when `target` shows
    more of this log than is copied, and `Fork` when it shows something else.
    """
    checkpoint = log.checkpoint
    _check_target(target, log)
    edge = Edge()
    for number in range(-(-checkpoint.size // WIDTH)):
        stop = min((number + 1) * WIDTH, checkpoint.size)
        entries = list(log.entries(number * WIDTH, stop))
        puts, _ = edge.extend([Row(entry, b"") for entry in entries])
        for path, data in puts:
            target.put(path, data)
        with contextlib.suppress(NotFound):  # where nothing in a bundle is open
            target.replace(open_path(number), log.get(open_path(number)))
        if progress is not None:
            progress(stop, checkpoint.size)
    for path, data in edge.partial()[0]:
        target.put(path, data)
    target.replace(CHECKPOINT, checkpoint.signed)
    return checkpoint


def _check_target(target: Objects, log: Client) -> None:
    """Refuse to put an older or another history over what a place already shows."""
    checkpoint = log.checkpoint
    try:
        there = open_checkpoint(target.get(CHECKPOINT), log.policy)
    except NotFound:
        return
    if there.size > checkpoint.size:
        msg = f"{checkpoint.origin}: the target shows size {there.size}, the copy would show {checkpoint.size}"
        raise Rollback(msg)
    if tree_root(there.size, log.reader) != there.root:
        msg = f"{checkpoint.origin}: what the target shows at size {there.size} is not a beginning of this log"
        raise Fork(msg, there, checkpoint)
