"""Storages for tests: in memory, and one that fails when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from ledger.errors import Conflict, NotFound, Unavailable

__all__ = ["FaultyStore", "MemoryStore"]


class MemoryStore:
    """Objects and checkpoints in dictionaries: both roles, no transactions."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.heads: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> bytes:
        """As `Objects.get`."""
        try:
            return self.objects[path]
        except KeyError:
            msg = f"{path}: not there"
            raise NotFound(msg, path=path) from None

    def put(self, path: str, data: bytes) -> None:
        """As `Objects.put`."""
        with self._lock:
            if self.objects.setdefault(path, data) != data:
                msg = f"{path}: other bytes are there already"
                raise Conflict(msg, path=path)

    def replace(self, path: str, data: bytes) -> None:
        """As `Objects.replace`."""
        self.objects[path] = data

    def discard(self, *paths: str) -> None:
        """As `Objects.discard`."""
        below = tuple(path for path in paths if path.endswith("/"))
        with self._lock:
            for name in [n for n in self.objects if n in paths or (below and n.startswith(below))]:
                del self.objects[name]

    def list(self, prefix: str) -> Iterable[str]:
        """As `ListsObjects.list`."""
        return [name for name in list(self.objects) if name.startswith(prefix)]

    def load(self, origin: str) -> bytes:
        """As `Checkpoints.load`."""
        try:
            return self.heads[origin]
        except KeyError:
            msg = f"{origin}: no such log in this storage"
            raise NotFound(msg) from None

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`."""
        with self._lock:
            if origin in self.heads:
                msg = f"{origin}: this log exists already"
                raise Conflict(msg)
            self.heads[origin] = signed

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`."""
        with self._lock:
            if self.heads.get(origin) != old:
                msg = f"{origin}: another writer swapped the checkpoint first"
                raise Conflict(msg)
            self.heads[origin] = new


class FaultyStore:
    """A store that counts its writes and fails one of them.

    `fail_at` is the number of the write to fail, from 0; `applied` says whether it took effect before the reply was
    lost. After the failure it works again. `writes` lists what was called: (verb, path or origin).
    """

    def __init__(self, store: MemoryStore, *, fail_at: int | None = None, applied: bool = False) -> None:
        self.store = store
        self.fail_at = fail_at
        self.applied = applied
        self.writes: list[tuple[str, str]] = []
        self.get = store.get
        self.load = store.load

    def put(self, path: str, data: bytes) -> None:
        """As `Objects.put`."""
        self._write("put", path, lambda: self.store.put(path, data))

    def replace(self, path: str, data: bytes) -> None:
        """As `Objects.replace`."""
        self._write("replace", path, lambda: self.store.replace(path, data))

    def discard(self, *paths: str) -> None:
        """As `Objects.discard`."""
        self._write("discard", " ".join(paths), lambda: self.store.discard(*paths))

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`."""
        self._write("create", origin, lambda: self.store.create(origin, signed))

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`."""
        self._write("swap", origin, lambda: self.store.swap(origin, old, new))

    def _write(self, verb: str, name: str, act: Callable[[], None]) -> None:
        number = len(self.writes)
        self.writes.append((verb, name))
        if number != self.fail_at:
            act()
            return
        if self.applied:
            act()
        msg = f"{verb} {name}: reply lost" if self.applied else f"{verb} {name}: not written"
        raise Unavailable(msg, path=name)
