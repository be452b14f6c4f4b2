"""The entries of a published log as they can be read: each proven, each with what became of its event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from ledger.client import Client
from ledger.errors import MalformedError
from ledger.tile import WIDTH
from provenance.statement import Statement

__all__ = ["ItemStatus", "Reading", "Readings"]

ItemStatus = Literal["disclosed", "sealed", "erased", "missing", "mismatch", "not yet published"]
"""What became of an entry's event: its bytes are here and fit · kept back on purpose · taken away on purpose, as an
erasure in the log says · should be here and are not (the operator's fault) · other bytes are there · its bundle is
behind the checkpoint."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One entry as published: `statement` is None when it is none, `event` when its bytes are not here or not right."""

    index: int
    entry: bytes
    statement: Statement | None
    event: bytes | None
    status: ItemStatus
    problem: str = ""


class Readings:
    """Entries of `log` up to its checkpoint. What was `disclosed` (bytes by SHA-256) counts as if it were published."""

    def __init__(self, log: Client, disclosed: Mapping[bytes, bytes]) -> None:
        self._log = log
        self._disclosed = disclosed
        self.gone: set[bytes] = set()
        """Events that are erased, as far as is known: an erasure comes later in the log than what it names."""
        self._opened = lru_cache(maxsize=64)(self._open_bundle)
        self._entries = lru_cache(maxsize=64)(self._read_bundle)

    def between(self, start: int, stop: int) -> Iterator[Reading]:
        """Entries `[start, stop)` as published, in order, each proven to be in the log."""
        for number in range(start // WIDTH, -(-stop // WIDTH)):
            begin, end = max(start, number * WIDTH), min(stop, (number + 1) * WIDTH)
            opened, problem = self._opened(number)
            first = number * WIDTH
            for idx, entry in enumerate(self._entries(number)[begin - first : end - first], begin):
                yield self._reading(idx, entry, opened, problem)

    def _read_bundle(self, number: int) -> tuple[bytes, ...]:
        """The entries of a bundle under the checkpoint, each proven to be in the log."""
        size = self._log.checkpoint.size
        return tuple(self._log.entries(number * WIDTH, min(size, (number + 1) * WIDTH)))

    def _open_bundle(self, number: int) -> tuple[list[bytes], str]:
        try:
            return self._log.opened(number), ""
        except MalformedError as error:
            return [], str(error)

    def _reading(self, idx: int, entry: bytes, opened: list[bytes], problem: str) -> Reading:
        try:
            statement = Statement.parse(entry)
        except MalformedError as error:
            return Reading(idx, entry, None, None, "mismatch", f"entry #{idx} is no statement: {error}")
        at = idx % WIDTH
        event = opened[at] if at < len(opened) else b""
        event = event or self._disclosed.get(statement.event_id, b"")
        want = statement.event_id
        if event:
            if sha256(event).digest() == want:
                if want in self.gone:
                    return Reading(idx, entry, statement, None, "erased")
                return Reading(idx, entry, statement, event, "disclosed")
            got = sha256(event).hexdigest()
            return Reading(idx, entry, statement, None, "mismatch", f"event #{idx} hashes to {got}, want {want.hex()}")
        if want in self.gone:
            return Reading(idx, entry, statement, None, "erased")
        if statement.sealed:
            return Reading(idx, entry, statement, None, "sealed")
        if problem:
            return Reading(idx, entry, statement, None, "mismatch", problem)
        if at >= len(opened):
            text = f"event #{idx} ({statement.type}) is not yet published: its bundle holds {len(opened)} events"
            return Reading(idx, entry, statement, None, "not yet published", text)
        text = f"event #{idx} ({statement.type}) is missing: it is not sealed, and no erasure names it"
        return Reading(idx, entry, statement, None, "missing", text)
