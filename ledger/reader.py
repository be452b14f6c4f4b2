"""Reading nodes out of tiles that nobody has to trust: every hash returned is proven against one root.

The partial tiles of the right edge are read first and folded into the root; a full tile is checked against its
parent's hash. Of a full tile, once checked, the 16 nodes in its middle are kept (512 bytes): with them a later read
checks and folds 16 leaves of the tile instead of 256. What was folded above the lowest tiles, which every proof needs
and of which there is 1 in 256, is kept as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.errors import NotFound, TileMismatch
from ledger.merkle import HASH_SIZE, Node, Tree, frontier, node_hash, subtree_root
from ledger.tile import HEIGHT, WIDTH, parse_tile, tile_path, tile_widths

__all__ = ["MiddleNodes", "TileReader", "first_difference", "mismatch"]

Fetch = Callable[[str], bytes]
MiddleNodes = dict[tuple[int, int], bytes]
"""Checked middle nodes of full tiles by (tile level, tile index), 512 bytes each.

May be carried over to a later tree of one log.
"""

_GROUP = 16
_MAX_CACHED = 40_960  # tiles, 512 bytes each: 20 MB, which a log of ten million entries fills
_MAX_FOLDED = 1024  # groups of 31 nodes, 1 kB each: 1 MB

Pyramid = list[list[bytes]]


class TileReader:
    """Authenticated nodes of the tree with this size and root; `fetch` returns the bytes at a tile path.

    Costs one read of each partial tile when it is made. Raises `TileMismatch` for bytes that do not lead to the root,
    `MalformedError` for a tile of the wrong length, and what `fetch` raises.
    """

    def __init__(self, size: int, root: bytes, fetch: Fetch, *, cache: MiddleNodes | None = None) -> None:
        self.size = size
        self._fetch = fetch
        self._middles: MiddleNodes = {} if cache is None else cache
        self._folded: dict[tuple[int, int, int], Pyramid] = {}
        self._edge: dict[int, tuple[int, Pyramid]] = {}
        edge = {level: self._hashes(level, index, width) for level, index, width in tile_widths(size)}
        if _edge_root(size, edge) != root:
            raise self._bad_edge(root, edge)
        for level, index, _ in tile_widths(size):
            self._edge[level] = index, _pyramid(edge[level])

    def __call__(self, nodes: Sequence[Node]) -> list[bytes]:
        """The hashes of complete nodes `(level, index)` of this tree, in the order asked (a `merkle.ReadNodes`)."""
        groups: dict[tuple[int, int, int], Pyramid] = {}
        return [self._node(level, index, groups) for level, index in nodes]

    def tile(self, level: int, index: int) -> list[bytes]:
        """All hashes of a tile of this tree: 256, or fewer for the last one of its level."""
        if level in self._edge and self._edge[level][0] == index:
            return self._edge[level][1][0]
        hashes = self._hashes(level, index, WIDTH)
        self._keep(level, index, hashes)
        return hashes

    def _node(self, level: int, index: int, groups: dict[tuple[int, int, int], Pyramid]) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        tile_index, offset = divmod(index, WIDTH >> height)
        edge = self._edge.get(tile_level)
        if edge and edge[0] == tile_index:
            return edge[1][height][offset]
        key = (tile_level, tile_index)
        hashes = None
        middles = self._middles.get(key)
        if middles is None:
            hashes = self._hashes(*key, WIDTH)
            middles = self._keep(*key, hashes)
        if height >= 4:
            span = 1 << (height - 4)
            return subtree_root(_cut(middles)[offset * span : (offset + 1) * span])
        group, offset = divmod(offset, _GROUP >> height)
        place = (*key, group)
        pyramid = groups.get(place) or self._folded.get(place)
        if pyramid is None:
            part = slice(group * _GROUP, (group + 1) * _GROUP)
            pyramid = groups[place] = _pyramid(hashes[part] if hashes else self._hashes(*key, WIDTH, part))
            if pyramid[4][0] != middles[group * HASH_SIZE : (group + 1) * HASH_SIZE]:
                raise mismatch(tile_path(*key), group * _GROUP * HASH_SIZE)
            if tile_level and len(self._folded) < _MAX_FOLDED:
                self._folded[place] = pyramid
        return pyramid[height][offset]

    def _keep(self, level: int, index: int, hashes: list[bytes]) -> bytes:
        """Check a full tile against its parent's hash and keep its middle nodes."""
        middles = [subtree_root(hashes[i : i + _GROUP]) for i in range(0, WIDTH, _GROUP)]
        known = self._middles.get((level, index))
        if known is not None:
            for group, (got, want) in enumerate(zip(middles, _cut(known), strict=True)):
                if got != want:
                    raise mismatch(tile_path(level, index), group * _GROUP * HASH_SIZE)
            return known
        if subtree_root(middles) != self._node((level + 1) * HEIGHT, index, {}):
            raise mismatch(tile_path(level, index), None)
        if len(self._middles) >= _MAX_CACHED:
            # The older half at once, from a copy: other threads may be adding to it.
            for key in list(self._middles)[: _MAX_CACHED // 2]:
                self._middles.pop(key, None)
        kept = self._middles[(level, index)] = b"".join(middles)
        return kept

    def _bad_edge(self, root: bytes, edge: dict[int, list[bytes]]) -> TileMismatch:
        """Name the partial tile that leads away from `root`, and its first bad byte where the tiles below tell."""
        tiles = list(tile_widths(self.size))
        suspects = []
        for level, index, width in tiles:
            if level:
                first = index * WIDTH
                below = [subtree_root(self._hashes(level - 1, n, WIDTH)) for n in range(first, first + width)]
                if below == edge[level]:
                    continue
                if _edge_root(self.size, {**edge, level: below}) == root:
                    return mismatch(tile_path(level, index, width), first_difference(edge[level], below))
            suspects.append(tile_path(level, index, width))
        paths = ", ".join(suspects or [tile_path(*tile) for tile in tiles])
        msg = f"{paths}: lead to another root than the checkpoint of size {self.size}"
        return TileMismatch(msg, path=paths)

    def _hashes(self, level: int, index: int, width: int, only: slice = slice(None)) -> list[bytes]:
        path = tile_path(level, index, width)
        try:
            return parse_tile(self._fetch(path), width, path, only=only)
        except NotFound:
            # A partial tile may be dropped once the full one is there.
            if width == WIDTH:
                raise
        path = tile_path(level, index)
        return parse_tile(self._fetch(path), WIDTH, path)[:width]


def _cut(nodes: bytes) -> list[bytes]:
    return [nodes[at : at + HASH_SIZE] for at in range(0, len(nodes), HASH_SIZE)]


def _pyramid(hashes: list[bytes]) -> Pyramid:
    """All complete nodes over `hashes`, level by level."""
    levels = [hashes]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return levels


def _edge_root(size: int, edge: dict[int, list[bytes]]) -> bytes:
    """Root over the partial tiles of a tree, by level."""
    return Tree(size, [node for level in sorted(edge, reverse=True) for node in frontier(edge[level])]).root()


def first_difference(got: Sequence[bytes], want: Sequence[bytes]) -> int | None:
    """Offset of the first byte in which two tiles of one width differ."""
    pairs = enumerate(zip(b"".join(got), b"".join(want), strict=True))
    return next((i for i, (a, b) in pairs if a != b), None)


def mismatch(path: str, offset: int | None) -> TileMismatch:
    """The error for a tile whose bytes are not those that were hashed."""
    where = "" if offset is None else f" from byte {offset} on"
    return TileMismatch(f"{path}: does not hash to what its parent says{where}", path=path, offset=offset)
