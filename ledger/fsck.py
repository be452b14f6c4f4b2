"""Re-deriving every tile of a log from its entries, and naming the first byte that is wrong."""

from __future__ import annotations

from collections.abc import Callable

from ledger.checkpoint import Checkpoint
from ledger.client import Client
from ledger.errors import MalformedError, NotFound, ProofMismatch, TileMismatch
from ledger.merkle import HASH_SIZE, leaf_hash, subtree_root
from ledger.tile import HEIGHT, WIDTH, bundle_spans, parse_tile, tile_path

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
    try:
        spans = bundle_spans(data, width=width)
    except MalformedError as error:
        msg = f"{bundle}: {error}"
        raise MalformedError(msg) from error
    derived = [leaf_hash(data[begin:end]) for begin, end in spans]
    path, stored = _stored(log, 0, number, width)
    if derived == stored:
        if width == WIDTH:
            log.reader.tile(0, number)  # what agrees with each other must also lead to the root
        return
    bad = next(i for i, (a, b) in enumerate(zip(derived, stored, strict=True)) if a != b)
    if width == WIDTH and subtree_root(derived) == log.reader([(HEIGHT, number)])[0]:
        _bad_hash(path, bad, derived, stored)
    begin, end = spans[bad]
    msg = f"{bundle}: entry {number * WIDTH + bad} at byte {begin} ({end - begin} bytes) is not the one that was logged"
    raise TileMismatch(msg, path=bundle, offset=begin)


def _check_tile(log: Client, level: int, index: int, width: int) -> None:
    path, stored = _stored(log, level, index, width)
    first = index * WIDTH
    derived = log.reader([(HEIGHT * level, n) for n in range(first, first + width)])
    if derived != stored:
        _bad_hash(path, next(i for i in range(width) if derived[i] != stored[i]), derived, stored)


def _stored(log: Client, level: int, index: int, width: int) -> tuple[str, list[bytes]]:
    path = tile_path(level, index, width)
    try:
        return path, parse_tile(log.get(path), width, path)
    except NotFound:
        if width == WIDTH:
            raise
    path = tile_path(level, index)
    return path, parse_tile(log.get(path), WIDTH, path)[:width]


def _bad_hash(path: str, bad: int, derived: list[bytes], stored: list[bytes]) -> None:
    byte = next(i for i in range(HASH_SIZE) if derived[bad][i] != stored[bad][i])
    offset = bad * HASH_SIZE + byte
    msg = f"{path}: hash {bad} is wrong from byte {offset} on: the entries give {derived[bad].hex()}"
    raise TileMismatch(msg, path=path, offset=offset)
