"""Making damaged objects again from what is proven good: tiles from entries, one copy of a log from another.

Nothing is signed, no entry is invented, and an object that is as it should be is not touched: everything written here
leads to the root of a checkpoint that was signed before. What no copy holds any more is reported and left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.copies import Copies, Fits, Gone, get_or_none, readable_items
from ledger.errors import MalformedError, VerificationError
from ledger.fsck import Fault
from ledger.policy import Policy
from ledger.storage import ListsObjects, Objects, ReadsObjects
from ledger.tile import CHECKPOINT, HEIGHT, WIDTH, bundle_path, open_path, pack_bundle, pack_open, parse_path, tile_path

__all__ = ["Repaired", "checkpoint_in", "newest_shown", "repair"]

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Repaired:
    """What was done: `mended` are the places written again, `lost` what cannot be derived from anything here."""

    mended: list[str] = field(default_factory=list)
    lost: list[Fault] = field(default_factory=list)


def repair(
    target: Objects,
    copies: Copies,
    *,
    fits: Fits | None = None,
    gone: Gone | None = None,
    partial: bool = True,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> Repaired:
    """Write again what is missing or wrong in `target`, as far as `copies` prove what it should be.

    `target` is usually one of the copies. A write-once object that is wrong is discarded and put again. `fits` judges
    what is published in the open; without it that is left alone. `gone` says of an entry that what was open beside it
    was redacted: then nothing fits, and nothing is missed. `partial` says whether partial tiles, bundles and the
    checkpoint lie there too, as they do where a log is published. A checkpoint that `policy` accepts stays: a newer one
    is of a log that went on meanwhile, and one of this size may have the lines of witnesses. May be repeated.
    `progress` is called with (entries, entries in all). Raises `Unavailable`; `Conflict` where the storage does not let
    go of a wrong object.
    """
    report = Repaired()
    checkpoint = copies.checkpoint
    size = checkpoint.size
    for number in range(-(-size // WIDTH)):
        width = min(WIDTH, size - number * WIDTH)
        if width < WIDTH and not partial:
            break
        entries = copies.entries(number)
        _put(target, bundle_path(number, width), None if entries is None else pack_bundle(entries), report)
        if entries is not None and fits is not None:
            _open(target, number, entries, copies.opened(number, entries, fits), gone, report)
        if progress is not None:
            progress(min((number + 1) * WIDTH, size), size)
    level = 0
    while size >> (HEIGHT * level):
        count = size >> (HEIGHT * level)
        for index in range(-(-count // WIDTH)):
            width = min(WIDTH, count - index * WIDTH)
            if width == WIDTH or partial:
                hashes = copies.tile(level, index)
                _put(target, tile_path(level, index, width), None if hashes is None else b"".join(hashes), report)
        level += 1
    if partial:
        _older(target, copies, report)
        data = get_or_none(target, CHECKPOINT)
        if data != checkpoint.signed and checkpoint_in(data, policy) is None:
            target.replace(CHECKPOINT, checkpoint.signed)
            report.mended.append(CHECKPOINT)
    return report


def checkpoint_in(data: bytes | None, policy: Policy | None) -> Checkpoint | None:
    """The checkpoint that these bytes are, None where `policy` accepts none in them."""
    if data is None or policy is None:
        return None
    try:
        return open_checkpoint(data, policy)
    except (MalformedError, VerificationError):
        return None


def newest_shown(places: Iterable[ReadsObjects], policy: Policy) -> Checkpoint | None:
    """The checkpoint of the greatest size that any of these shows and `policy` accepts."""
    shown = (checkpoint_in(get_or_none(place, CHECKPOINT), policy) for place in places)
    return max(filter(None, shown), key=lambda checkpoint: checkpoint.size, default=None)


def _put(target: Objects, path: str, data: bytes | None, report: Repaired) -> None:
    there = get_or_none(target, path)
    if data is None:
        text = f"{path}: no copy has it unchanged; give another copy of the log, or restore a backup"
        report.lost.append(Fault(path, text, altered=there is not None))
    elif there != data:
        if there is not None:
            target.discard(path)
        target.put(path, data)
        report.mended.append(path)


def _open(
    target: Objects,
    number: int,
    entries: Sequence[bytes],
    items: Sequence[bytes],
    gone: Gone | None,
    report: Repaired,
) -> None:
    path = open_path(number)
    there = readable_items(target, number)
    # What lies beyond the checkpoint is kept as it is: nothing proves it yet.
    good = [*items, *there[len(items) :]]
    wrong = [at for at, item in enumerate(there[: len(items)]) if item and item != items[at]]
    if wrong or (any(good) and good != there):
        target.replace(path, pack_open(good))
        report.mended.append(path)
    elif not any(good) and not there and get_or_none(target, path) is not None:
        target.discard(path)
        report.mended.append(path)
    report.lost += [
        Fault(path, f"{path}: no copy has the open item of entry #{number * WIDTH + at} unchanged")
        for at in wrong
        if not items[at] and not (gone is not None and gone(entries[at]))
    ]


def _older(target: Objects, copies: Copies, report: Repaired) -> None:
    """Partial objects of earlier sizes, where `target` can tell which it has: dropped when they are wrong."""
    if not isinstance(target, ListsObjects):
        return
    size = copies.checkpoint.size
    for path in list(target.list("tile/")):
        try:
            level, index, width = parse_path(path)
        except MalformedError:
            continue  # whatever it is, it is not ours to drop
        count = size >> (HEIGHT * (level or 0))
        if width == WIDTH or index * WIDTH + width > count:
            continue
        hashes = copies.tile(level or 0, index)
        if hashes is None or len(hashes) == width:
            continue
        if level is None:
            entries = copies.entries(index)
            good = None if entries is None else pack_bundle(entries[:width])
        else:
            good = b"".join(hashes[:width])
        if good is not None and get_or_none(target, path) != good:
            target.discard(path)
            if len(hashes) < WIDTH:  # no full one serves in its place
                target.put(path, good)
            report.mended.append(path)
