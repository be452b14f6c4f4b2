"""The right edge of a log: the tiles and the bundle that are not full yet, kept in memory by whoever writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ledger.errors import MalformedError
from ledger.merkle import Tree, frontier, leaf_hash, subtree_root
from ledger.storage import Row
from ledger.tile import (
    MAX_ENTRY,
    MAX_OPEN,
    WIDTH,
    bundle_path,
    open_path,
    pack_bundle,
    pack_open,
    tile_path,
    tile_widths,
)

__all__ = ["Edge", "check_rows"]

Full = list[tuple[str, bytes]]


class Edge:
    """The last partial bundle and the partial tile of every level of a tree that grows by `extend`."""

    def __init__(self, size: int = 0, levels: Iterable[Sequence[bytes]] = (), rows: Iterable[Row] = ()) -> None:
        self.size = size
        self.levels = [list(hashes) for hashes in levels]
        self.rows = list(rows)
        self._redacted = False  # something in the last bundle: what is open beside it is written though it be nothing

    def copy(self) -> Edge:
        """An edge that grows on its own: a batch that fails leaves this one as it was."""
        copied = Edge(self.size, self.levels, self.rows)
        copied._redacted = self._redacted
        return copied

    def redact(self, indexes: Collection[int]) -> bool:
        """Forget what is open beside those of these entries that are in the last bundle; whether anything was."""
        first = self.size - len(self.rows)
        places = [at for at in range(len(self.rows)) if first + at in indexes and self.rows[at].opened]
        for at in places:
            self.rows[at] = Row(self.rows[at].entry, b"")
        self._redacted = self._redacted or bool(places)
        return bool(places)

    def extend(self, rows: Sequence[Row]) -> tuple[Full, Full]:
        """Add entries. Returns what became full: (tiles, then entry bundles to put, open bundles to replace).

        The small ones together: beside a bundle each, they would waste half a page of a database.
        """
        tiles: Full = []
        bundles: Full = []
        opens: Full = []
        for at in _cuts(len(self.rows), len(rows)):
            part = rows[at]
            self.rows += part
            self.size += len(part)
            self._add(0, [leaf_hash(row.entry) for row in part], tiles)
            if len(self.rows) == WIDTH:
                index = self.size // WIDTH - 1
                bundles.append((bundle_path(index), pack_bundle([row.entry for row in self.rows])))
                if self._is_open():
                    opens.append((open_path(index), pack_open([row.opened for row in self.rows])))
                self.rows = []
                self._redacted = False
        return [*tiles, *bundles], opens

    def root(self) -> bytes:
        """Root hash of the tree."""
        return Tree(self.size, [node for hashes in reversed(self.levels) for node in frontier(hashes)]).root()

    def partial(self) -> tuple[Full, Full]:
        """What is not full: (partial tiles and entry bundle to put, open bundle to replace)."""
        puts = [(tile_path(*tile), b"".join(self.levels[tile[0]])) for tile in tile_widths(self.size)]
        opens: Full = []
        if self.rows:
            index = self.size // WIDTH
            puts.append((bundle_path(index, len(self.rows)), pack_bundle([row.entry for row in self.rows])))
            if self._is_open():
                opens.append((open_path(index), pack_open([row.opened for row in self.rows])))
        return puts, opens

    def _is_open(self) -> bool:
        return self._redacted or any(row.opened for row in self.rows)

    def _add(self, level: int, hashes: list[bytes], puts: Full) -> None:
        if level == len(self.levels):
            self.levels.append([])
        tile = self.levels[level]
        tile += hashes
        if len(tile) == WIDTH:
            index = self.size // WIDTH ** (level + 1) - 1
            puts.append((tile_path(level, index), b"".join(tile)))
            self.levels[level] = []
            self._add(level + 1, [subtree_root(tile)], puts)


def _cuts(held: int, new: int) -> Iterable[slice]:
    """Slices of `new` rows that each fill the bundle that already holds `held`, and a rest."""
    start = 0
    while start < new:
        stop = min(new, start + WIDTH - held)
        yield slice(start, stop)
        start, held = stop, 0


def check_rows(rows: Sequence[tuple[Any, Any]]) -> None:
    """Refuse what no bundle can hold before it shares a batch with the entries of others."""
    for entry, opened in rows:
        if type(entry) is not bytes or type(opened) is not bytes:
            msg = f"entry: {type(entry).__name__} beside {type(opened).__name__}, want bytes"
            raise TypeError(msg)
        if len(entry) > MAX_ENTRY:
            msg = f"entry: {len(entry)} bytes, want at most {MAX_ENTRY}"
            raise MalformedError(msg)
        if len(opened) > MAX_OPEN:
            msg = f"open item: {len(opened)} bytes, want at most {MAX_OPEN}"
            raise MalformedError(msg)
