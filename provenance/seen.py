"""What a monitor remembers of a log between two looks: every checkpoint it was shown, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ledger.checkpoint import Checkpoint
from ledger.evidence import Evidence

__all__ = ["Seen", "Sighting", "Standing"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A checkpoint that the log signed, who showed it first, and when (seconds since 1970)."""

    checkpoint: Checkpoint
    source: str
    first: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a monitor has come with one log; the value of a monitor that has seen nothing is `Standing()`.

    `signed` is the note that all others are compared with, and `grown` when it was first seen (seconds since 1970).
    `absent` counts, for each witness, the looks since it was last among the cosigners. `read` says for each thing that
    is watched (its id in hex digits) which entry is read next, `works` which works were found to be of a party.
    """

    signed: bytes = b""
    grown: int = 0
    absent: Mapping[str, int] = field(default_factory=dict)
    read: Mapping[str, int] = field(default_factory=dict)
    works: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Seen(Protocol):
    """Where a monitor remembers. Every change is durable when the call returns, and whole or not there.

    What is in it is the monitor's own word and is trusted by nobody else; losing it costs the memory that finds forks.
    All raise `Unavailable` when it cannot be read or written.
    """

    def add(self, sighting: Sighting) -> None:
        """Remember a checkpoint, unless one of this log with this size and root is there already."""

    def of_size(self, origin: str, size: int) -> Sequence[Sighting]:
        """The sightings of this size, the earliest first: two are a fork."""

    def waiting(self, origin: str) -> Sequence[Sighting]:
        """The sightings that were not settled yet, the smallest first."""

    def settle(self, checkpoint: Checkpoint) -> None:
        """Note that a checkpoint was compared; it stays remembered."""

    def convict(self, evidence: Evidence) -> None:
        """Keep evidence for good; of each log the first is enough, and later ones are dropped."""

    def evidence(self, origin: str) -> Evidence | None:
        """The evidence against this log, None when there is none."""

    def load(self, origin: str) -> Standing:
        """Where the monitor stands with this log."""

    def save(self, origin: str, standing: Standing) -> None:
        """Replace where it stands."""
