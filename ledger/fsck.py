"""Re-deriving every tile of a log from its entries, and naming the first byte that is wrong."""

from __future__ import annotations

from collections.abc import Callable

from ledger.checkpoint import Checkpoint
from ledger.client import Client
from ledger.errors import MalformedError, NotFound, ProofMismatch, TileMismatch
from ledger.merkle import leaf_hash, subtree_root
from ledger.reader import first_difference, mismatch
from ledger.tile import HEIGHT, WIDTH, bundle_spans, parse_bundle, parse_path, parse_tile, tile_path

__all__ = ["fsck"]

Progress = Callable[[int, int], None]
"""Called with (entries checked, entries in all)."""


def fsck(
    log: Client,
    checkpoint: Checkpoint | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Check that entries, tiles and checkpoint agree, from the bundle that holds `start` on; return where it ended.

    Give the returned index as `start` to go on. Everything is checked when the calls together cover `[0, size)`.
    Raises `TileMismatch` with `path` and `offset` of the first bad byte: of an entry where the tiles agree with the
    checkpoint, of a tile where the entries do. `NotFound` names a missing object, `MalformedError` one that cannot be
    read. A checkpoint other than the one `log` stands on raises `ProofMismatch`.
    """
    try:
        return _check(log, checkpoint, start, stop, progress)
    except TileMismatch as error:
        raise _closer(log, error) from error


def _check(log: Client, checkpoint: Checkpoint | None, start: int, stop: int | None, progress: Progress | None) -> int:
    standing = log.checkpoint
    if checkpoint is not None and checkpoint != standing:
        msg = f"fsck: asked for the checkpoint of size {checkpoint.size}, the log stands on {standing.size}"
        raise ProofMismatch(msg)
    size = standing.size
    end = size if stop is None else min(stop, size)
    number = start // WIDTH
    while number * WIDTH < end:
        _check_bundle(log, number, min(WIDTH, size - number * WIDTH))
        number += 1
        # A full tile of a higher level is checked with the last of the tiles below it.
        level = 1
        while number % WIDTH**level == 0:
            _check_tile(log, level, number // WIDTH**level - 1, WIDTH)
            level += 1
        if progress is not None:
            progress(min(number * WIDTH, size), size)
    done = min(number * WIDTH, size)
    if done == size:
        # The partial tiles above level 0 were folded into the root already; check that they are what is below them.
        level = 1
        while size >> (HEIGHT * level):
            count = size >> (HEIGHT * level)
            if count % WIDTH:
                _check_tile(log, level, count // WIDTH, count % WIDTH)
            level += 1
    return done


def _check_bundle(log: Client, number: int, width: int) -> None:
    bundle, data = log.bundle(number, width)
    path, stored = _stored(log, 0, number, width)
    try:
        spans = bundle_spans(data, width=width)
    except MalformedError as error:
        msg = f"{bundle}: broken from byte {_first_broken(data, stored)} on: {error}"
        raise MalformedError(msg) from error
    derived = [leaf_hash(data[begin:end]) for begin, end in spans]
    if derived == stored:
        if width == WIDTH:
            log.reader.tile(0, number)  # what agrees with each other must also lead to the root
        return
    if width == WIDTH and subtree_root(derived) == log.reader([(HEIGHT, number)])[0]:
        raise mismatch(path, first_difference(stored, derived))
    bad = next(i for i, (a, b) in enumerate(zip(derived, stored, strict=True)) if a != b)
    begin, end = spans[bad]
    msg = f"{bundle}: entry {number * WIDTH + bad} at byte {begin} ({end - begin} bytes) is not the one that was logged"
    raise TileMismatch(msg, path=bundle, offset=begin)


def _check_tile(log: Client, level: int, index: int, width: int) -> None:
    path, stored = _stored(log, level, index, width)
    first = index * WIDTH
    derived = log.reader([(HEIGHT * level, n) for n in range(first, first + width)])
    if derived != stored:
        raise mismatch(path, first_difference(stored, derived))


def _stored(log: Client, level: int, index: int, width: int) -> tuple[str, list[bytes]]:
    path = tile_path(level, index, width)
    try:
        return path, parse_tile(log.get(path), width, path)
    except NotFound:
        if width == WIDTH:
            raise
    path = tile_path(level, index)
    return path, parse_tile(log.get(path), WIDTH, path)[:width]


def _first_broken(data: bytes, stored: list[bytes]) -> int:
    """Where the first entry that is not the logged one begins, its length field included."""
    at = 0
    for hash_ in stored:
        stop = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if leaf_hash(data[at + 2 : stop]) != hash_ or stop > len(data):
            break
        at = stop
    return at


def _closer(log: Client, error: TileMismatch) -> TileMismatch:
    """The same error with the offset of the first bad byte, where what lies below the tile tells it."""
    try:
        level, index, width = parse_path(error.path)
        if level is None:
            return error
        path, stored = _stored(log, level, index, width)
        if level == 0:
            derived = [leaf_hash(entry) for entry in parse_bundle(log.bundle(index, width)[1], width=width)]
        else:
            below = range(index * WIDTH, index * WIDTH + width)
            derived = [subtree_root(_stored(log, level - 1, n, WIDTH)[1]) for n in below]
    except (MalformedError, NotFound):
        return error  # several tiles, or nothing to derive them from
    offset = first_difference(stored, derived)
    return error if offset is None else mismatch(path, offset)
