"""What is reserved of a work, by all that was declared about it."""

from __future__ import annotations

from typing import NamedTuple

from provenance.before import Before

__all__ = ["Reserved", "reservation_of", "reservations_of"]

_STRICTEST_FIRST = ("disallow", "constrained", "unknown", "allow")


class Reserved(NamedTuple):
    """What is said of one use: `disallow`, `constrained`, `allow` or `unknown`; `events` (ids in hex) say so."""

    said: str
    events: tuple[str, ...]


def reservation_of(work: bytes, use: str, before: Before) -> tuple[str, tuple[bytes, ...]]:
    """What is said of one use of a work at a place of the log, and the events that say it; unknown where none does."""
    return reservations_of(work, before).get(use, ("unknown", ()))


def reservations_of(work: bytes, before: Before) -> dict[str, tuple[str, tuple[bytes, ...]]]:
    """What is said of a work at a place of the log, by use (`train`, `mining` …), and the events that say it.

    `disallow` where any standing declaration says so, else `constrained`, else `allow`: preferences combine to the
    strictest (draft-ietf-aipref-vocab). While one cannot be read here any more, none allows: `unknown`. A declaration
    that a later one names as its `prev` stands no more; what it says of a whole work holds from `valid_from` on, in log
    time.
    """
    said: dict[str, dict[str, list[bytes]]] = {}
    unread: list[bytes] = []
    for event_id in before.pointing(work, "work", "reservation.declare"):
        if before.holder("reservation", event_id) is not None:
            continue
        event = before.event(event_id)
        if event is None:
            unread.append(event_id)
        elif event["body"].get("valid_from", "") <= before.time:
            for use, word in event["body"]["statements"].items():
                said.setdefault(use, {}).setdefault(word, []).append(event_id)
    return {use: _strictest(words | ({"unknown": unread} if unread else {})) for use, words in sorted(said.items())}


def _strictest(words: dict[str, list[bytes]]) -> tuple[str, tuple[bytes, ...]]:
    return next(((word, tuple(words[word])) for word in _STRICTEST_FIRST if word in words), ("unknown", ()))
