"""The form of every answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from provenance.before import Before

__all__ = ["Answer", "answer"]

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Row]):
    """Rows, the tree size and log time that they hold at, and the ids of the events (64 hex digits) they rest on.

    Whoever has a proof of each of `events` under a checkpoint of at least `size` entries can check that nothing in the
    rows was made up; that nothing is missing, by asking the same of the public log at this size.
    """

    rows: tuple[Row, ...]
    size: int
    time: str  # RFC 3339, "" before the first log time
    events: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


def answer(rows: Sequence[Row], events: Iterable[bytes], before: Before) -> Answer[Row]:
    """Rows as an answer at the place of `before`; `events` in any order, each once."""
    return Answer(tuple(rows), before.index.size, before.time, tuple(each.hex() for each in dict.fromkeys(events)))
