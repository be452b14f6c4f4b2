"""A few small facts that every process of one ledger shares: when it last published, whether a worker runs."""

from __future__ import annotations

from typing import Protocol

__all__ = ["FsckMemory", "MemoryNotes", "Notes"]


class Notes(Protocol):
    """Values of a few hundred bytes by name; the last writer wins. Losing them costs a line of `status`, nothing else.

    Both raise `Unavailable` when the storage does not answer.
    """

    def load(self, key: str) -> bytes | None:
        """What was saved last under this name, by whichever process; None when nothing was."""

    def save(self, key: str, data: bytes) -> None:
        """Keep these bytes under this name; seen by every process when this returns."""


class MemoryNotes:
    """Notes of one process, for a ledger whose storages keep none."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load(self, key: str) -> bytes | None:
        """As `Notes.load`."""
        return self._kept.get(key)

    def save(self, key: str, data: bytes) -> None:
        """As `Notes.save`."""
        self._kept[key] = data


class FsckMemory:
    """Where slices of checking remember how far they came: a `ledger.rounds.Memory` as one of the ledger's notes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def load(self) -> bytes | None:
        """As `Memory.load`."""
        return self._notes.load("fsck")

    def save(self, data: bytes) -> None:
        """As `Memory.save`."""
        self._notes.save("fsck", data)
