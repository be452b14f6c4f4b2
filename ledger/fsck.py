"""Re-deriving every tile of a log from its entries, and naming the first byte that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.copies import Copies, get_or_none
from ledger.errors import LedgerError, MalformedError, NotFound, ProofMismatch, TileMismatch
from ledger.merkle import leaf_hash, subtree_root
from ledger.reader import first_difference, mismatch
from ledger.tile import (
    CHECKPOINT,
    HEIGHT,
    WIDTH,
    bundle_path,
    bundle_spans,
    parse_bundle,
    parse_path,
    parse_tile,
    tile_path,
    tile_widths,
)

__all__ = ["Fault", "Look", "fault_of", "fsck", "standing", "strays", "walk"]

Progress = Callable[[int, int], None]
"""Called with (entries checked, entries in all)."""

Look = Callable[[int, list[bytes]], None]
"""Called with (index of the first, entries of one bundle) once they are known to be the log's own."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in one place: the path of an object, or a row by the name of its table.

    `altered` is False where something is missing or cannot be checked, but nothing contradicts.
    """

    place: str
    detail: str
    altered: bool = True


def fault_of(error: LedgerError) -> Fault:
    """The fault that an error of `walk` names. Its message begins with the place."""
    place = getattr(error, "path", "") or str(error).partition(": ")[0]
    return Fault(place, str(error), altered=not isinstance(error, NotFound))


def fsck(
    log: Client,
    checkpoint: Checkpoint | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    look: Look | None = None,
    progress: Progress | None = None,
) -> int:
    """Check that entries, tiles and checkpoint agree, from the bundle that holds `start` on; return where it ended.

    Give the returned index as `start` to go on. Everything is checked when the calls together cover `[0, size)`.
    `look` is shown the entries of each bundle, so that their contents can be checked in the same pass.
    Raises `TileMismatch` with `path` and `offset` of the first bad byte: of an entry where the tiles agree with the
    checkpoint, of a tile where the entries do. `NotFound` names a missing object, `MalformedError` one that cannot be
    read. A checkpoint other than the one `log` stands on raises `ProofMismatch`.
    """
    done = start
    found = standing(log)
    if checkpoint is not None and checkpoint != found:
        msg = f"fsck: asked for the checkpoint of size {checkpoint.size}, the log stands on {found.size}"
        raise ProofMismatch(msg)
    for done, error in walk(log, start=start, stop=stop, look=look):
        if error is not None:
            raise error
        if progress is not None:
            progress(done, found.size)
    return done


def standing(log: Client) -> Checkpoint:
    """The checkpoint that `log` stands on, as `Client.checkpoint`; a `TileMismatch` names the first bad object."""
    try:
        return log.checkpoint
    except TileMismatch as error:
        raise _at_the_edge(log, error) from error


def walk(
    log: Client, *, start: int = 0, stop: int | None = None, look: Look | None = None
) -> Iterator[tuple[int, LedgerError | None]]:
    """As `fsck`, but it goes on behind what is wrong. After each bundle: (where to go on, the error or None).

    A tile above level 0 is checked with the last of the bundles below it; then both come with the same index. Raises
    only what keeps everything from being read: `Unavailable`, and the errors of `Client.latest`.
    """
    size = standing(log).size
    if start >= size:
        return
    end = size if stop is None else min(stop, size)
    number = start // WIDTH
    while number * WIDTH < end:
        width = min(WIDTH, size - number * WIDTH)
        done = number * WIDTH + width
        yield done, _error(log, _check_bundle, number, width, look)
        number += 1
        # A full tile of a higher level is checked with the last of the tiles below it.
        level = 1
        while number % WIDTH**level == 0:
            error = _error(log, _check_tile, level, number // WIDTH**level - 1, WIDTH)
            if error is not None:
                yield done, error
            level += 1
    if number * WIDTH >= size:
        # The partial tiles above level 0 were folded into the root already; check that they are what is below them.
        for level, index, width in tile_widths(size):
            error = _error(log, _check_tile, level, index, width) if level else None
            if error is not None:
                yield size, error


def strays(log: Client, paths: Iterable[str]) -> Iterator[Fault]:
    """What is wrong with `paths`, all that a place holds, besides what `walk` reads: what no log writes there.

    A partial tile or bundle of an earlier size may stay (c2sp.org/tlog-tiles), and must then be a beginning of what
    the checkpoint covers. What lies beyond the checkpoint is passed over: a writer puts it there first. What the
    objects below `events/` hold is checked by whoever knows their statements.
    """
    size = log.checkpoint.size
    for path in paths:
        try:
            level, index, width = parse_path(path.replace("events/", "tile/entries/", 1))
        except MalformedError:
            if path != CHECKPOINT:
                yield Fault(path, f"{path}: no object of a log has this name")
            continue
        if width < WIDTH and index * WIDTH + width <= size >> (HEIGHT * (level or 0)):
            error = _error(log, _check_partial, level, index, width, path)
            if error is not None and not isinstance(error, NotFound):  # dropped since it was listed
                yield fault_of(error)


def _error(log: Client, check: Callable[..., None], *arguments: Any) -> LedgerError | None:
    """What `check` finds wrong with the place that it is given, None when that is as it should be."""
    try:
        check(log, *arguments)
    except TileMismatch as error:
        return _closer(log, error)
    except (MalformedError, NotFound) as error:
        return error
    return None


def _check_bundle(log: Client, number: int, width: int, look: Look | None) -> None:
    entries = _full_bundle(log, number) if width == WIDTH else None
    if entries is None:
        entries = _look_closer(log, number, width)
    if look is not None:
        look(number * WIDTH, entries)


def _full_bundle(log: Client, number: int) -> list[bytes] | None:
    """The entries of a full bundle that hash to its tile and the tile to the tree; None where anything is wrong.

    The one path that has to be fast: two reads, a hash for each entry and one for each node.
    """
    data = log.get(bundle_path(number))
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at + 1 < end:
        start = at + 2
        at = start + (data[at] << 8 | data[at + 1])
        entries.append(data[start:at])
    if at != end or len(entries) != WIDTH:
        return None
    leaves = [sha256(b"\x00" + entry).digest() for entry in entries]
    if b"".join(leaves) != log.get(tile_path(0, number)) or subtree_root(leaves) != log.reader([(HEIGHT, number)])[0]:
        return None
    return entries


def _look_closer(log: Client, number: int, width: int) -> list[bytes]:
    """The entries of a bundle, or the error that names the first bad byte of bundle or tile."""
    bundle, data = log.bundle(number, width)
    path, stored = _stored(log, 0, number, width)
    try:
        spans = bundle_spans(data, width=width)
    except MalformedError as error:
        msg = f"{bundle}: broken from byte {_first_broken(data, stored)} on: {error}"
        raise MalformedError(msg) from error
    entries = [data[begin:end] for begin, end in spans]
    derived = [leaf_hash(entry) for entry in entries]
    if derived == stored:
        if width == WIDTH:
            log.reader.tile(0, number)  # what agrees with each other must also lead to the root
        return entries
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


def _check_partial(log: Client, level: int | None, index: int, width: int, path: str) -> None:
    """An object of an earlier size must be a beginning of what is there now."""
    data = log.get(path)
    want = log.reader([(HEIGHT * (level or 0), n) for n in range(index * WIDTH, index * WIDTH + width)])
    if level is not None:
        stored = parse_tile(data, width, path)
        if stored != want:
            raise mismatch(path, first_difference(stored, want))
        return
    try:
        spans = bundle_spans(data, width=width)
    except MalformedError as error:
        msg = f"{path}: broken from byte {_first_broken(data, want)} on: {error}"
        raise MalformedError(msg) from error
    for offset, (begin, end) in enumerate(spans):
        if leaf_hash(data[begin:end]) != want[offset]:
            msg = f"{path}: entry {index * WIDTH + offset} at byte {begin} is not the one that was logged"
            raise TileMismatch(msg, path=path, offset=begin)


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


def _at_the_edge(log: Client, error: TileMismatch) -> TileMismatch:
    """The same error for the first full tile or bundle below the edge that is not what leads to the root.

    Where the tiles of the edge are derived and not stored, what they are derived from is to blame.
    """
    closer = _closer(log, error)
    if closer.offset is not None:
        return closer
    checkpoint = open_checkpoint(log.get(CHECKPOINT), log.policy)
    copies = Copies(checkpoint, [log])
    for level, index, width in tile_widths(checkpoint.size):
        for n in range(index * WIDTH, index * WIDTH + width) if level else ():
            want, path = copies.tile(level - 1, n), tile_path(level - 1, n)
            data = get_or_none(log, path)
            if want is not None and data is not None and data != b"".join(want):
                at = next((i for i, (a, b) in enumerate(zip(data, b"".join(want), strict=False)) if a != b), None)
                return mismatch(path, at)
    return closer


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
