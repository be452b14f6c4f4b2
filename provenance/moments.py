"""When: a log size, a checkpoint or a log time, each of which names one place in the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ledger.checkpoint import Checkpoint
from ledger.errors import NotFound

if TYPE_CHECKING:
    from provenance.index import Index

__all__ = ["Moment", "earlier", "format_time", "later", "milliseconds", "parse_time", "size_at"]

Moment = int | Checkpoint | datetime | None
"""A log size, a checkpoint, a log time (aware), or None for now: everything that is indexed."""


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC, whole seconds: 2026-11-23T07:15:00Z."""
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return f"{utc.year:04}-{utc.month:02}-{utc.day:02}T{utc.hour:02}:{utc.minute:02}:{utc.second:02}Z"


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def milliseconds(time: datetime) -> int:
    """Milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def later(time: str, by: timedelta) -> str:
    """A log time so much later; "" stays "", for what is before the first log time."""
    return format_time(parse_time(time) + by) if time else ""


def earlier(time: str, by: timedelta) -> str:
    """A log time so much earlier; "" stays ""."""
    return later(time, -by)


def size_at(index: Index, at: Moment) -> int:
    """How many entries the log had: of those that are indexed, all for None.

    At a log time everything counts whose own log time is that or earlier. Raises `NotFound` for a size or checkpoint
    that the index has not reached, `ValueError` for a time without a zone or a negative size.
    """
    if at is None:
        return index.size
    if isinstance(at, datetime):
        if at.tzinfo is None:
            msg = f"time {at.isoformat()}: has no zone, want an aware datetime"
            raise ValueError(msg)
        return index.first_since(format_time(at + timedelta(seconds=1)))
    size = at.size if isinstance(at, Checkpoint) else at
    if size < 0:
        msg = f"size {size}: want 0 or more"
        raise ValueError(msg)
    if size > index.size:
        msg = f"size {size}: the index has {index.size} entries; let it follow the log, or ask about an earlier size"
        raise NotFound(msg)
    return size
