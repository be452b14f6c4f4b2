"""Head and batch files of a log whose objects and head share no transaction: checked, and mended where that is proven.

A batch file stays until the next batch is done: whoever opens the log finishes it where that was interrupted
(`ledger.staged`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledger.batch import batches_in, pack_batch, parse_batch, size_after, staging_path
from ledger.checkpoint import Checkpoint
from ledger.copies import get_or_none
from ledger.errors import MalformedError
from ledger.fsck import Fault
from ledger.keyring import own_note
from ledger.policy import Policy
from ledger.repair import Repaired, checkpoint_in, newest_shown
from ledger.storage import Checkpoints, Objects, ReadsObjects
from ledger.tile import CHECKPOINT

__all__ = ["check_batches", "check_head", "mend_batches", "mend_head"]


def check_head(heads: Checkpoints, origin: str, policy: Policy) -> Iterator[Fault]:
    """The head is a checkpoint that this log signed."""
    if checkpoint_in(heads.load(origin), policy) is None:
        text = f"head of {origin}: no checkpoint that this log signed; --repair takes the newest one that is shown"
        yield Fault(f"head of {origin}", text)


def mend_head(
    heads: Checkpoints, origin: str, policy: Policy, shown_at: Sequence[ReadsObjects], batches: Sequence[str]
) -> Repaired:
    """Put the newest checkpoint that is shown in the place of a head that nobody signed, if no batch goes beyond it."""
    place, there = f"head of {origin}", heads.load(origin)
    if checkpoint_in(there, policy) is not None:
        return Repaired()
    newest = newest_shown(shown_at, policy)
    if newest is None or any((size_after(path) or 0) > newest.size for path in batches):
        text = f"{place}: no checkpoint with a good signature is shown that covers all; restore a backup"
        return Repaired(lost=[Fault(place, text)])
    heads.swap(origin, there, own_note(newest, policy))
    return Repaired(mended=[place])


def check_batches(objects: Objects) -> Iterator[Fault]:
    """Every batch file is as it was written."""
    for path in batches_in(objects):
        try:
            parse_batch(get_or_none(objects, path) or pack_batch([], []))  # finished and dropped meanwhile
        except MalformedError as error:
            yield Fault(path, f"{path}: {error}; --repair drops it once all of it is stored")


def mend_batches(objects: Objects, head: Checkpoint, policy: Policy) -> list[str]:
    """Drop batch files that are wrong; what was dropped. Not the one that leads to `head` before that is shown."""
    shown = checkpoint_in(get_or_none(objects, CHECKPOINT), policy)
    done = shown is not None and shown.size >= head.size
    gone = [fault.place for fault in check_batches(objects) if done or fault.place != staging_path(head)]
    objects.discard(*gone)
    return gone
