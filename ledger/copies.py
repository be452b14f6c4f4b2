"""Several copies of one log, each of which may be damaged, put together under one signed checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product

from ledger.checkpoint import Checkpoint
from ledger.errors import MalformedError, NotFound
from ledger.merkle import Tree, frontier, leaf_hash, subtree_root
from ledger.storage import ReadsObjects
from ledger.tile import HEIGHT, WIDTH, bundle_path, open_path, parse_open, parse_tile, tile_path, tile_widths

__all__ = ["Copies", "Fits", "Gone", "get_or_none", "readable_items"]

Fits = Callable[[bytes, bytes], bool]
"""Called with (entry, open item beside it): whether the item is the one that the entry promises, and may be there."""

Gone = Callable[[bytes], bool]
"""Called with an entry: whether what was open beside it was redacted, so that nobody misses it."""

_MOST_GUESSES = 1024  # ways in which copies that disagree are put together before a tile is given up
_KEPT = 64  # proven tiles above level 0 in memory


class Copies:
    """Several copies of one log, each of which may be damaged; what is returned is proven under one checkpoint.

    None where no copy, and nothing that can be derived from one, leads to the checkpoint's root.
    """

    def __init__(self, checkpoint: Checkpoint, copies: Sequence[ReadsObjects]) -> None:
        self.checkpoint = checkpoint
        self._copies = copies
        self._kept: dict[tuple[int, int], list[bytes] | None] = {}
        self._edge = self._find_edge()

    def tile(self, level: int, index: int) -> list[bytes] | None:
        """All hashes of a tile under the checkpoint; fewer than 256 for the last of its level."""
        width = self._width(level, index)
        if width < WIDTH:
            return self._edge.get(level)
        if (level, index) not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            above = self.tile(level + 1, index // WIDTH)
            want = None if above is None else above[index % WIDTH]
            candidates = self._candidates(level, index, WIDTH)
            self._kept[level, index] = next((c for c in candidates if subtree_root(c) == want), None)
        return self._kept[level, index]

    def entries(self, number: int) -> list[bytes] | None:
        """The entries of a bundle, each taken from a copy that holds it unchanged."""
        hashes = self.tile(0, number)
        if hashes is None:
            return None
        found: dict[bytes, bytes] = {}
        for entries in self._bundles(number, len(hashes)):
            found |= {leaf_hash(entry): entry for entry in entries}
            if all(hash_ in found for hash_ in hashes):
                return [found[hash_] for hash_ in hashes]
        return None

    def opened(self, number: int, entries: Sequence[bytes], fits: Fits) -> list[bytes]:
        """For each entry the open item that fits it, from whichever copy has it; b"" where none has."""
        found = [b""] * len(entries)
        for copy in self._copies:
            for at, item in enumerate(readable_items(copy, number)[: len(entries)]):
                if item and not found[at] and fits(entries[at], item):
                    found[at] = item
        return found

    def _width(self, level: int, index: int) -> int:
        return min(WIDTH, (self.checkpoint.size >> (HEIGHT * level)) - index * WIDTH)

    def _find_edge(self) -> dict[int, list[bytes]]:
        """The partial tiles by level, which only together lead to the root. Empty when none of them does."""
        tiles = list(tile_widths(self.checkpoint.size))
        choices = [list(islice(self._candidates(*tile), 64)) for tile in tiles]
        for chosen in islice(product(*choices), _MOST_GUESSES):
            nodes = [node for hashes in reversed(chosen) for node in frontier(hashes)]
            if Tree(self.checkpoint.size, nodes).root() == self.checkpoint.root:
                return {level: hashes for (level, _, _), hashes in zip(tiles, chosen, strict=True)}
        return {}

    def _candidates(self, level: int, index: int, width: int) -> Iterator[list[bytes]]:
        """What a tile may be: as a copy has it, as it follows from below, and as these complete each other."""
        seen: list[list[bytes]] = []
        for source in (self._stored, self._derived):
            for hashes in source(level, index, width):
                if hashes not in seen:
                    seen.append(hashes)
                    yield hashes
        choices = [list(dict.fromkeys(hashes)) for hashes in zip(*seen, strict=True)]
        for chosen in islice(product(*choices), _MOST_GUESSES if len(seen) > 1 else 0):
            yield list(chosen)

    def _stored(self, level: int, index: int, width: int) -> Iterator[list[bytes]]:
        for copy in self._copies:
            for stored in {width, WIDTH}:
                path = tile_path(level, index, stored)
                try:
                    yield parse_tile(copy.get(path), stored, path)[:width]
                except (MalformedError, NotFound):
                    continue

    def _derived(self, level: int, index: int, width: int) -> Iterator[list[bytes]]:
        if level == 0:
            for entries in self._bundles(index, width):
                if len(entries) == width:
                    yield [leaf_hash(entry) for entry in entries]
            return
        first = index * WIDTH
        choices = [self._roots(level - 1, n) for n in range(first, first + width)]
        if not all(choices):
            return
        # All from one copy, before copies are mixed.
        for at in range(max(map(len, choices))):
            yield [roots[min(at, len(roots) - 1)] for roots in choices]
        for chosen in islice(product(*choices), _MOST_GUESSES):
            yield list(chosen)

    def _roots(self, level: int, index: int) -> list[bytes]:
        """What a full tile may hash to: usually the one thing that all copies say."""
        roots = {subtree_root(hashes): None for hashes in self._stored(level, index, WIDTH)}
        if len(roots) != 1 or level == 0:
            roots |= {subtree_root(hashes): None for hashes in self._derived(level, index, WIDTH)}
        return list(roots)

    def _bundles(self, number: int, width: int) -> Iterator[list[bytes]]:
        for copy in self._copies:
            for stored in {width, WIDTH}:
                data = get_or_none(copy, bundle_path(number, stored))
                if data is not None:
                    yield _cut(data, 2)[:width]


def get_or_none(objects: ReadsObjects, path: str) -> bytes | None:
    """The bytes at `path`, None when nothing is there."""
    try:
        return objects.get(path)
    except NotFound:
        return None


def readable_items(objects: ReadsObjects, number: int) -> list[bytes]:
    """The items of an open bundle, as far as it can be read."""
    data = get_or_none(objects, open_path(number))
    if data is None:
        return []
    try:
        return parse_open(data)
    except MalformedError:
        return _cut(data, 4)


def _cut(data: bytes, prefix: int) -> list[bytes]:
    """The items of a bundle up to where it breaks; what they are is decided by their hashes."""
    items: list[bytes] = []
    at = 0
    while at < len(data) and len(items) < WIDTH:
        start = at + prefix
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            break
        items.append(data[start:at])
    return items
