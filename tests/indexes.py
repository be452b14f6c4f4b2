"""What tells two indexes of one log apart."""

from __future__ import annotations

from sqlalchemy import select

from provenance.index import Index
from provenance.index.tables import digests, entries, links, times

__all__ = ["differences"]


def differences(one: Index, other: Index) -> list[int]:
    """Entries that these describe differently, as far as the other goes; in order."""
    size = other.size
    found: set[int] = set()
    for table, at in ((entries, "idx"), (links, "source"), (digests, "idx"), (times, "idx")):
        columns = [column for column in table.c if column.name != "id"]
        query = select(*columns).where(table.c[at] < size)
        mine, theirs = ({tuple(row) for row in each._run(query)} for each in (one, other))
        place = [column.name for column in columns].index(at)
        found |= {int(row[place]) for row in mine ^ theirs}
    return sorted(found)
