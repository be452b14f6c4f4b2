"""Tiles and entry bundles: how a log lies in files (c2sp.org/tlog-tiles).

A tile holds up to 256 hashes of one level of the tree; a tile of level L holds nodes of tree level 8·L. The entries
themselves lie in bundles of up to 256, each with its length in front. Tiles and bundles that are not full are
*partial*: their width stands in their path, as in `tile/0/x001/x234/067.p/89`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ledger.errors import MalformedError
from ledger.merkle import HASH_SIZE

__all__ = [
    "CHECKPOINT",
    "HEIGHT",
    "MAX_ENTRY",
    "MAX_OPEN",
    "WIDTH",
    "bundle_path",
    "bundle_ranges",
    "bundle_spans",
    "largest",
    "open_path",
    "pack_bundle",
    "pack_open",
    "parse_bundle",
    "parse_open",
    "parse_path",
    "parse_tile",
    "tile_path",
    "tile_widths",
]

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_ENTRY = 65_535
"""Bytes of the longest entry: its length is a uint16."""
MAX_OPEN = 1 << 20
"""Bytes of the longest item in an open bundle."""
MAX_LEVEL = 63

CHECKPOINT = "checkpoint"

_INDEX = re.compile(r"((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)
_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/(.+)", re.ASCII | re.DOTALL)


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Path of the hash tile `index` of tile level `level` (0…63); `width` below 256 makes it partial."""
    return f"tile/{level}/{_index(index, width)}"


def bundle_path(index: int, width: int = WIDTH) -> str:
    """Path of the entry bundle `index`: entries `[256·index, 256·index + width)`."""
    return f"tile/entries/{_index(index, width)}"


def open_path(index: int) -> str:
    """Path of what is published in the open beside bundle `index`; it has no partial form and is replaced instead."""
    return f"events/{_index(index, WIDTH)}"


def parse_path(path: str) -> tuple[int | None, int, int]:
    """Level (None for an entry bundle), index and width of a path. Raises `MalformedError`.

    `tile/1/x001/234.p/8` gives (1, 1234, 8); the width of a full tile is 256.
    """
    outer = _PATH.fullmatch(path)
    inner = outer and _INDEX.fullmatch(outer[2])
    if not outer or not inner:
        msg = f"path {path[:80]!r}: want tile/LEVEL/INDEX or tile/entries/INDEX, with .p/WIDTH when partial"
        raise MalformedError(msg)
    level = None if outer[1] == "entries" else int(outer[1])
    index = int(inner[1].replace("x", "").replace("/", "") + inner[2])
    width = int(inner[3]) if inner[3] else WIDTH
    if (
        (level or 0) > MAX_LEVEL
        or index >= 1 << 63
        or (inner[3] and width >= WIDTH)
        or _index(index, width) != outer[2]
    ):
        msg = f"path {path[:80]!r}: level at most 63, index below 2^63, width from 1 to 255, no leading groups of zeros"
        raise MalformedError(msg)
    return level, index, width


def tile_widths(size: int) -> Iterator[tuple[int, int, int]]:
    """The partial tiles of a tree of `size` leaves, lowest level first: (level, index, width)."""
    level = 0
    while size >> (HEIGHT * level):
        count = size >> (HEIGHT * level)
        if count % WIDTH:
            yield level, count // WIDTH, count % WIDTH
        level += 1


def bundle_ranges(start: int, stop: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    """The bundles that hold entries `[start, stop)` of a tree: (index, width, first in bundle, number)."""
    stop = min(stop, size)
    while start < stop:
        index, first = divmod(start, WIDTH)
        number = min(stop - start, WIDTH - first)
        yield index, min(size - index * WIDTH, WIDTH), first, number
        start += number


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """Bytes of an entry bundle. Raises `MalformedError` for an entry of more than 65,535 bytes."""
    try:
        return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])
    except OverflowError as error:
        msg = f"entry: {max(map(len, entries))} bytes, want at most {MAX_ENTRY}"
        raise MalformedError(msg) from error


def parse_bundle(data: bytes, *, width: int | None = None) -> list[bytes]:
    """Entries of a bundle. Raises `MalformedError`, also when `width` is given and differs from their number."""
    return [data[start:stop] for start, stop in bundle_spans(data, width=width)]


def bundle_spans(data: bytes, *, width: int | None = None) -> list[tuple[int, int]]:
    """Where each entry of a bundle begins and ends, without its length field. Raises as `parse_bundle`."""
    return _spans(data, 2, MAX_ENTRY, "entry bundle", width)


def pack_open(items: Sequence[bytes]) -> bytes:
    """Bytes of an open bundle: for each entry uint32-BE length ‖ item, length 0 = nothing here."""
    return b"".join([len(item).to_bytes(4, "big") + item for item in items])


def parse_open(data: bytes) -> list[bytes]:
    """Items of an open bundle; it may be shorter than the entry bundle beside it. Raises `MalformedError`."""
    return [data[start:stop] for start, stop in _spans(data, 4, MAX_OPEN, "open bundle", None)]


def parse_tile(data: bytes, width: int, path: str, *, only: slice = slice(None)) -> list[bytes]:
    """The hashes of a tile, or `only` some. Raises `MalformedError` unless there are exactly `width` in all."""
    if len(data) != width * HASH_SIZE:
        msg = f"{path}: {len(data)} bytes, want {width} hashes of {HASH_SIZE}"
        raise MalformedError(msg)
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)[only]]


def largest(path: str) -> int | None:
    """Bytes that no well-formed object at `path` exceeds, with room to say what is wrong; None where any may be."""
    if path == CHECKPOINT or (path.startswith("tile/") and not path.startswith("tile/entries/")):
        return 1 << 20
    if path.startswith("tile/entries/"):
        return WIDTH * (2 + MAX_ENTRY)
    return WIDTH * (4 + MAX_OPEN) if path.startswith("events/") else None


def _index(index: int, width: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups)) + (f".p/{width}" if width < WIDTH else "")


def _spans(data: bytes, prefix: int, limit: int, what: str, width: int | None) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at, end = 0, len(data)
    while at < end:
        start = at + prefix
        stop = start + int.from_bytes(data[at:start], "big")
        if stop > end or stop - start > limit:
            have = f"{end - at} bytes are left, want {prefix + max(stop - start, 0)}"
            msg = f"{what}: item {len(spans)} at byte {at}: {have if stop > end else f'more than {limit} bytes'}"
            raise MalformedError(msg)
        spans.append((start, stop))
        at = stop
        if len(spans) > WIDTH:
            break
    if len(spans) > WIDTH or (width is not None and len(spans) != width):
        msg = f"{what}: {len(spans)} items{' or more' if at < end else ''}, want {width or f'at most {WIDTH}'}"
        raise MalformedError(msg)
    return spans
