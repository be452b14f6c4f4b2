"""Head and batch files of a log whose objects and head share no transaction: checked, and mended where that is proven.

A batch file stays until the next batch is done, and whoever opens the log finishes it (`ledger.staged`): one that a
disk changed would be written over what is good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ledger.batch import parse_batch, staging_path
from ledger.checkpoint import Checkpoint
from ledger.copies import Fits, get_or_none
from ledger.errors import MalformedError
from ledger.fsck import Fault
from ledger.keyring import own_note
from ledger.policy import Policy
from ledger.repair import Repaired, checkpoint_in
from ledger.storage import Checkpoints, ListsObjects, Objects, ReadsObjects, Row
from ledger.tile import CHECKPOINT, WIDTH, parse_open, parse_path

__all__ = ["batches_in", "check_batches", "check_head", "mend_batches", "mend_head"]

_STAGING = "staging/"


def batches_in(objects: Objects) -> list[str]:
    """Paths of the batch files in a storage that can list."""
    return sorted(objects.list(_STAGING)) if isinstance(objects, ListsObjects) else []


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
    shown = (checkpoint_in(get_or_none(one, CHECKPOINT), policy) for one in shown_at)
    newest = max(filter(None, shown), key=lambda checkpoint: checkpoint.size, default=None)
    if newest is None or any(_size(path) > newest.size for path in batches):
        text = f"{place}: no checkpoint with a good signature is shown that covers all; restore a backup"
        return Repaired(lost=[Fault(place, text)])
    heads.swap(origin, there, own_note(newest, policy))
    return Repaired(mended=[place])


def check_batches(
    objects: Objects, paths: Sequence[str], head: Checkpoint, bundle: Callable[[int], Sequence[Row]], fits: Fits
) -> Iterator[Fault]:
    """Batch files can be read, and the one that led to `head` holds what is stored, and events as their entries say."""
    for path in paths:
        data = get_or_none(objects, path)
        text = (
            None if data is None else _wrong(objects, data, head if path == staging_path(head) else None, bundle, fits)
        )
        if text is not None:
            yield Fault(path, f"{path}: {text}; --repair drops it, as all of it is stored")


def mend_batches(objects: Objects, wrong: Sequence[str], head: Checkpoint, policy: Policy) -> list[str]:
    """Drop batch files that are `wrong`; what was dropped. Not the one that leads to `head` before that is shown."""
    shown = checkpoint_in(get_or_none(objects, CHECKPOINT), policy)
    done = shown is not None and shown.size >= head.size
    gone = [path for path in wrong if done or path != staging_path(head)]
    objects.discard(*gone)
    return gone


def _wrong(
    objects: Objects, data: bytes, head: Checkpoint | None, bundle: Callable[[int], Sequence[Row]], fits: Fits
) -> str | None:
    try:
        puts, opens = parse_batch(data)
        if head is None:
            return None  # of a writer whose swap another was faster than: nobody will finish it
        for name, content in puts:
            parse_path(name)
            if get_or_none(objects, name) != content:
                return f"{name} in it is not what is stored"
        for name, content in opens:
            _, number, _ = parse_path(name.replace("events/", "tile/entries/", 1))
            items = parse_open(content)
            if not name.startswith("events/") or number * WIDTH + len(items) > head.size:
                return f"{name} in it is none of the log's"
            entries = bundle(number)
            for row, item in zip(entries, items, strict=False):
                if item and not fits(row.entry, item):
                    return f"{name} in it holds another event than the log names"
    except MalformedError as error:
        return str(error)
    return None


def _size(path: str) -> int:
    """The size that a batch file leads to, 0 where its name is none."""
    digits = path.removeprefix(_STAGING).partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else 0
