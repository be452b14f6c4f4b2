"""A log's own storage as its writer reads it: whole tiles and bundles, checked where they lead to a signed root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ledger.edge import Edge
from ledger.errors import NotFound, StorageError, Unavailable
from ledger.merkle import Node, leaf_hash, subtree_root
from ledger.storage import ReadsObjects, Row
from ledger.tile import (
    WIDTH,
    bundle_path,
    open_path,
    parse_bundle,
    parse_open,
    parse_tile,
    tile_path,
    tile_widths,
)

__all__ = ["Stored"]


class Stored:
    """Tiles, bundles and right edges of one log in `objects`. Nothing here is proven: compare roots.

    `newest` are objects by path that are read instead of those.
    """

    def __init__(self, objects: ReadsObjects, *, newest: Mapping[str, bytes] = MappingProxyType({})) -> None:
        self._objects = objects
        self._newest = newest

    def _get(self, path: str) -> bytes:
        data = self._newest.get(path)
        return self._objects.get(path) if data is None else data

    def tile(self, level: int, index: int) -> list[bytes]:
        """The 256 hashes of a full tile."""
        path = tile_path(level, index)
        return parse_tile(self._get(path), WIDTH, path)

    def bundle(self, number: int, width: int = WIDTH) -> list[Row]:
        """The entries of a bundle with what is open beside them; the full one serves where a partial was dropped."""
        try:
            entries = parse_bundle(self._get(bundle_path(number, width)), width=width)
        except NotFound:
            if width == WIDTH:
                raise
            entries = parse_bundle(self._get(bundle_path(number)))[:width]
        try:
            opened = parse_open(self._get(open_path(number)))
        except NotFound:
            opened = []
        if any(opened) and len(opened) < len(entries):  # where all is redacted, nothing was open since
            msg = f"{open_path(number)}: {len(opened)} items beside {len(entries)} entries, an older one; try again"
            raise Unavailable(msg, path=open_path(number))
        opened += [b""] * (len(entries) - len(opened))
        return [Row(entry, item) for entry, item in zip(entries, opened, strict=False)]

    def edge(
        self, size: int, total: int, rows: Sequence[Row] | None = None, roots: dict[Node, bytes] | None = None
    ) -> Edge:
        """The right edge of the first `size` entries of a storage that holds `total`.

        `rows` are those after the last full bundle, where they lie apart. `roots` keeps what full tiles hash to, for
        calls that follow. Raises `StorageError`, `NotFound`, `MalformedError`.
        """
        roots = {} if roots is None else roots
        levels: list[list[bytes]] = []
        bundle, width = divmod(size, WIDTH)
        if not width:
            last: Sequence[Row] = []
        elif rows is not None and bundle == total // WIDTH:
            last = rows[:width]
        else:
            last = self.bundle(bundle, width)
        if len(last) != width:
            msg = f"{len(last)} rows after the last full bundle, want {width} at size {size}; restore the storage"
            raise StorageError(msg)
        for level, index, count in tile_widths(size):
            while len(levels) < level:
                levels.append([])
            if level == 0:
                levels.append([leaf_hash(row.entry) for row in last])
            elif (total >> 8 * (level + 1)) > index:
                levels.append(self.tile(level, index)[:count])
            else:
                first = index * WIDTH
                for n in range(first, first + count):
                    if (level, n) not in roots:
                        roots[level, n] = subtree_root(self.tile(level - 1, n))
                levels.append([roots[level, n] for n in range(first, first + count)])
        return Edge(size, levels, last)
