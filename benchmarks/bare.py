"""What the floors share: an empty database with our tables, and a tree of bundles and tiles in few lines."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.sql.store import SqlStore
from benchmarks.figure import open_floor
from ledger.tile import WIDTH, bundle_path, open_path, tile_path
from provenance.index import metadata

__all__ = ["BareTree", "Blob", "open_bare", "percentile"]

Blob = tuple[str, bytes]

PUT = "INSERT INTO provenance_objects (path, data) VALUES (?, ?)"
HEAD = "UPDATE provenance_heads SET size = ?, signed = ?"


@contextmanager
def open_bare() -> Iterator[sqlite3.Connection]:
    """A new database with the tables of ours, as durable, with as large a cache; gone at the end."""
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "bare.db"
        SqlStore(f"sqlite:///{path}", create=True, extra=[metadata]).close()
        with closing(open_floor(path)) as connection:
            connection.execute("PRAGMA cache_size = -65536")
            connection.execute("INSERT INTO provenance_heads (origin, size, signed) VALUES ('bare', 0, x'')")
            yield connection


class BareTree:
    """Turns entries into entry bundles, open bundles and hash tiles; it checks nothing and finds nothing again."""

    def __init__(self) -> None:
        self.size = 0
        self._entries: list[bytes] = []
        self._opened: list[bytes] = []
        self._levels: list[list[bytes]] = [[]]

    def extend(self, entries: Sequence[bytes], opened: Sequence[bytes] = ()) -> Iterator[Blob]:
        """Add entries and yield the blobs that they complete."""
        self._entries += entries
        self._opened += opened
        self.size += len(entries)
        while len(self._entries) >= WIDTH:
            part, self._entries = self._entries[:WIDTH], self._entries[WIDTH:]
            beside, self._opened = self._opened[:WIDTH], self._opened[WIDTH:]
            number = (self.size - len(self._entries)) // WIDTH - 1
            yield bundle_path(number), _pack(part, 2)
            if beside:
                yield open_path(number), _pack(beside, 4)
            yield from self._add(0, number, [sha256(b"\x00" + entry).digest() for entry in part])

    def rest(self) -> Iterator[Blob]:
        """The blobs that are not complete."""
        if self._entries:
            number = self.size // WIDTH
            yield bundle_path(number, len(self._entries)), _pack(self._entries, 2)
            yield open_path(number), _pack(self._opened, 4)
            hashes = [sha256(b"\x00" + entry).digest() for entry in self._entries]
            yield tile_path(0, number, len(hashes)), b"".join(hashes)
        for level, nodes in enumerate(self._levels[1:], 1):
            if nodes:
                yield tile_path(level, self.size // WIDTH ** (level + 1), len(nodes)), b"".join(nodes)

    def _add(self, level: int, number: int, hashes: list[bytes]) -> Iterator[Blob]:
        yield tile_path(level, number), b"".join(hashes)
        while len(hashes) > 1:
            hashes = [sha256(b"\x01" + a + b).digest() for a, b in zip(hashes[::2], hashes[1::2], strict=True)]
        if level + 1 == len(self._levels):
            self._levels.append([])
        above = self._levels[level + 1]
        above += hashes
        if len(above) == WIDTH:
            self._levels[level + 1] = []
            yield from self._add(level + 1, number // WIDTH, above)


def percentile(seconds: Iterable[float], share: float) -> float:
    """The value that this share (0 to 1) of all values does not exceed, in the same unit."""
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _pack(items: Sequence[bytes], prefix: int) -> bytes:
    return b"".join(part for item in items for part in (len(item).to_bytes(prefix, "big"), item))
