"""What a log needs of a storage: two protocols, cut by how far each has to be trusted.

`Objects` is untrusted: it may be stale, slow or hostile. Losing it costs a copy from elsewhere; whoever can write
to it can at most make verification fail. `Checkpoints` is trusted for one thing: that its compare-and-swap is one.
Whoever can write to it can make the log sign a second history.

A storage that plays both roles in one database also declares `transaction()` and thereby is a `Database`: a whole
batch commits at once, entries wait as rows, and no batch file is needed.

A storage whose every write costs a round trip may have an attribute `parallel`, the number of its writes that may be
under way at once (1 where there is none): the objects of one batch are then written side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Checkpoints", "Database", "Head", "ListsObjects", "Objects", "ReadsObjects", "Row", "Transaction"]


class ReadsObjects(Protocol):
    """Reading half of `Objects`: all that an auditor needs."""

    def get(self, path: str) -> bytes:
        """Return the bytes at `path`. Raises `NotFound`, `Unavailable`."""


@runtime_checkable
class Objects(ReadsObjects, Protocol):
    """Named byte strings. Paths are relative, ASCII, with `/` between their parts.

    For a while after a write a reader may be shown what was there before, or not yet find what was put; only what is
    below `events/` must not seem to be missing once it was there, for that reads as nothing being open.
    """

    def put(self, path: str, data: bytes) -> None:
        """Write once; durable when this returns. The same bytes again succeed; others raise `Conflict`."""

    def replace(self, path: str, data: bytes) -> None:
        """Write or overwrite whole, never half; last writer wins; durable when this returns.

        A call that failed may still be done a while later, but not over what was written after it. Only for
        `checkpoint`, open bundles, key and policy files, and a batch file that something is redacted in.
        """

    def discard(self, *paths: str) -> None:
        """A hint that these are not needed any more; of a path that ends in `/`, all below it.

        What cannot be dropped stays. Never raises `NotFound`. Several at once may cost one request.
        """


@runtime_checkable
class ListsObjects(Protocol):
    """Declared by a storage that can say what it holds: `fsck` then also finds what should not be there."""

    def list(self, prefix: str) -> Iterable[str]:
        """Paths below `prefix` ("" or ending in `/`), in no particular order. Raises `Unavailable`."""


@runtime_checkable
class Checkpoints(Protocol):
    """The newest signed checkpoint of each origin. Linearizable across threads, processes and restarts."""

    def load(self, origin: str) -> bytes:
        """Return the newest signed checkpoint. Raises `NotFound` when this origin was never created."""

    def create(self, origin: str, signed: bytes) -> None:
        """Store the first checkpoint; durable on return. Raises `Conflict` when there is one."""

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """Replace exactly `old` by `new`; durable on return. Raises `Conflict` when `old` is not what is stored.

        After any other error the outcome is unknown: load again.
        """


class Head(NamedTuple):
    """Where a log stands in a `Database`: entries sequenced, and the newest signed checkpoint."""

    size: int
    signed: bytes


class Row(NamedTuple):
    """One sequenced entry, and what is published beside it in the open (b"" for nothing)."""

    entry: bytes
    opened: bytes


class Transaction(Protocol):
    """Writes that commit together when the `with` block of `Database.transaction` ends, or not at all."""

    def put(self, path: str, data: bytes) -> None:
        """As `Objects.put`."""

    def replace(self, path: str, data: bytes) -> None:
        """As `Objects.replace`."""

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`; the log then has size 0."""

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`."""

    def extend(self, origin: str, old: int, new: int, rows: Sequence[Row], *, trim: bool) -> None:
        """Advance the sequenced size from exactly `old` to `new` and keep `rows` as those before `new`.

        `trim` drops all earlier rows first: their bundle is full and was put. Raises `Conflict` when the size is not
        `old`.
        """


@runtime_checkable
class Database(Objects, Checkpoints, Protocol):
    """A storage of both roles with transactions."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a write transaction that no other writer shares; durable when the block ends without an error."""

    def head(self, origin: str) -> Head:
        """Sequenced size and newest checkpoint, read together. Raises `NotFound`."""

    def rows(self, origin: str) -> Sequence[Row]:
        """The entries of the last bundle that is not full, in order, as far as they are sequenced."""
