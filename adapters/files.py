"""A directory as object store: what any web server can serve as a static log (c2sp.org/tlog-tiles)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ledger.errors import Conflict, NotFound, StorageError, Unavailable
from ledger.tile import largest

__all__ = ["Directory", "sync_directory"]


class Directory:
    """Objects as files below `root`, which is made when the first object is written.

    A file appears whole or not at all: it is written beside its place, flushed to disk, then moved there. The folder
    of the partial forms of a tile goes with the last of them.
    """

    parallel = 8  # a disk flushes many files in little more than the time of one

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._base = os.fspath(self.root)
        self._made: set[Path] = set()

    def __repr__(self) -> str:
        return f"Directory({str(self.root)!r})"

    def get(self, path: str) -> bytes:
        """Bytes of the file. Raises `NotFound`, `Unavailable`."""
        most = largest(path)
        try:
            # Without a buffer, and as much as is there: a read of as much as may be there would make room for it first.
            with open(self._name(path), "rb", buffering=0) as file:  # noqa: PTH123 - a Path takes longer than the read
                fits = most is None or os.fstat(file.fileno()).st_size <= most
                data = file.readall() if fits else b""
        except (FileNotFoundError, NotADirectoryError):
            msg = f"{path}: not in {self.root}"
            raise NotFound(msg, path=path) from None
        except OSError as error:
            raise _unavailable(path, error) from error
        if not fits:
            msg = f"{path}: more than {most} bytes"
            raise Unavailable(msg, path=path)
        return data

    def put(self, path: str, data: bytes) -> None:
        """Write once; durable on return. Raises `Conflict` when other bytes are there, `Unavailable`."""
        place = self._place(path)
        try:
            with _written(place, data, self._made) as temporary:
                try:
                    os.link(temporary, place)
                except FileExistsError:
                    if place.read_bytes() != data:
                        msg = f"{path}: other bytes are in {self.root} already; another log may be publishing there"
                        raise Conflict(msg, path=path) from None
            sync_directory(place.parent)
        except OSError as error:
            raise _unavailable(path, error) from error

    def replace(self, path: str, data: bytes) -> None:
        """Write or overwrite; readers see the old file or the new one; durable on return. Raises `Unavailable`."""
        place = self._place(path)
        try:
            with _written(place, data, self._made) as temporary:
                temporary.replace(place)
            sync_directory(place.parent)
        except OSError as error:
            raise _unavailable(path, error) from error

    def discard(self, *paths: str) -> None:
        """Remove files, or with a final `/` folders. What cannot be removed stays."""
        for path in paths:
            if path.endswith("/"):
                shutil.rmtree(self._place(path[:-1]), ignore_errors=True)
            else:
                place = self._place(path)
                with contextlib.suppress(OSError):
                    place.unlink(missing_ok=True)
                    if place.parent.suffix == ".p":
                        place.parent.rmdir()  # refused while another partial form is in it

    def list(self, prefix: str) -> Iterator[str]:
        """As `ledger.storage.ListsObjects.list`; files that are being written do not show."""
        top = self._place(prefix) if prefix else self.root
        for folder, _, names in os.walk(top):
            for name in names:
                if not name.startswith("."):
                    yield (Path(folder) / name).relative_to(self.root).as_posix()

    def _place(self, path: str) -> Path:
        return Path(self._name(path))

    def _name(self, path: str) -> str:
        if not path or path.startswith("/") or "\0" in path or not {".", ".."}.isdisjoint(path.split("/")):
            msg = f"path {path[:80]!r}: want a relative path without '..'"
            raise StorageError(msg, path=path)
        return f"{self._base}/{path}"


@contextlib.contextmanager
def _written(place: Path, data: bytes, made: set[Path]) -> Iterator[Path]:
    """A flushed temporary file beside `place`, gone at the end of the `with` block."""
    parent = place.parent
    if parent not in made or not parent.is_dir():
        _make_directory(parent)
        made.add(parent)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _make_directory(path: Path) -> None:
    """Make `path` and its parents so that they survive a crash: a new name is durable once its parent is flushed."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_directory(folder.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unavailable(path: str, error: OSError) -> Unavailable:
    return Unavailable(f"{path}: {error.strerror or error} ({error.filename or ''})", path=path)
