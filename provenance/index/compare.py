"""Whether an index says what the log says, range by range: neither side is ever held as a whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Select, Table, func, select

from ledger.tile import WIDTH
from provenance.index.bulk import among
from provenance.index.exact import read_exactly
from provenance.index.facts import Facts, key_of
from provenance.index.queries import Index
from provenance.index.rows import rows_of
from provenance.index.tables import digests, entries, erased, kin, links, places, times

__all__ = [
    "DigestCounts",
    "differing",
    "find_exactly",
    "of_type_exactly",
    "sources_exactly",
    "surplus",
    "taken_exactly",
]

_PLACES = {
    entries.name: "idx",
    links.name: "source",
    digests.name: "idx",
    times.name: "idx",
    erased.name: "idx",
    places.name: "idx",
    kin.name: "idx",
}

_MOST_SCANS = 32  # of the whole table, for digests that nothing names

Rows = dict[int, list[tuple[Any, ...]]]


class DigestCounts:
    """How many digests an index holds of each bundle of entries, counted once: its table has no index on the entry.

    More of them than the log gives tell where to look for those that are too many. That costs a scan for each bundle,
    so that there is an end to it: an index with so many of them is told to be wrong, and made again as a whole.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._counts: Counter[int] | None = None
        self._scans = 0

    def exceed(self, first: int, stop: int, want: int) -> bool:
        """Whether to look for more than `want` digests of the entries `[first, stop)`: there may be such."""
        numbers = range(first // WIDTH, -(-stop // WIDTH))
        exceeds = sum(self._counted()[number] for number in numbers) > want and self._scans < _MOST_SCANS
        self._scans += exceeds
        return exceeds

    def _counted(self) -> Counter[int]:
        if self._counts is None:
            self._counts = Counter()
            number = digests.c.idx // WIDTH
            query = select(number, func.count()).where(digests.c.idx >= 0).group_by(number)
            for at, count in self._index._run(query):  # noqa: SLF001 - its package
                self._counts[int(at)] += int(count)  # where a disk made it a fraction, beside that bundle
        return self._counts


def differing(index: Index, first: int, facts: Sequence[Facts], counts: DigestCounts) -> list[int]:
    """Entries from `first` on that `index` describes differently than `facts` do, in order.

    Refs count in their order. Finds every row that is missing, changed or too many; digests that are too many as far as
    `counts` says where to look. What lies beyond the log is found by `surplus`.
    """
    stop = first + len(facts)
    found: set[int] = set()
    for table, values in rows_of(first, facts):
        names = [column.name for column in table.c if column.name != "id"]
        at = names.index(_PLACES[table.name])
        want = _by_entry(values, at)
        got = _by_entry(_stored(index, table, names, first, stop, values, counts), at)
        if table.name == digests.name:
            for rows in (*want.values(), *got.values()):
                rows.sort()
        found |= {idx for idx in want.keys() | got.keys() if want.get(idx) != got.get(idx)}
    return sorted(found)


def find_exactly(index: Index, event_id: bytes) -> tuple[int, str] | None:
    """Place and type of the earliest entry whose event has this id, as `Index.find`, also in a damaged index."""
    found = _read(
        index,
        [entries.c.idx, entries.c.type],
        lambda query: (
            query.where(entries.c.key == key_of(event_id), entries.c.event_id == event_id)
            .order_by(entries.c.idx)
            .limit(1)
        ),
    )
    return next(((int(idx), str(kind)) for idx, kind in found), None)


def of_type_exactly(index: Index, type_: str) -> list[int]:
    """Entries of one type, earliest first, also in a damaged index."""
    found = _read(index, [entries.c.idx], lambda query: query.where(entries.c.type == type_).order_by(entries.c.idx))
    return [int(idx) for (idx,) in found]


def sources_exactly(index: Index, event_id: bytes, role: str) -> list[int]:
    """Entries that refer to an event in this role, as `Index.links_to`, also in a damaged index."""
    found = _read(
        index,
        [links.c.source, links.c.role],
        lambda query: query.where(links.c.target == key_of(event_id), links.c.event_id == event_id),
    )
    return sorted(int(source) for source, said in found if said == role)


def taken_exactly(index: Index, after: int, most: int) -> list[tuple[int, str, bytes, bytes]]:
    """Who takes which place (`provenance.once`): (entry, rule, key, event id) of the next `most` entries that do."""
    columns, beyond = [places.c.idx, places.c.rule, places.c.place], places.c.idx > after
    wanted = select(places.c.idx).where(beyond).distinct().order_by(places.c.idx).limit(most)
    last = max((int(idx) for (idx,) in index._run(wanted)), default=after)  # noqa: SLF001 - its package
    order = (places.c.idx, places.c.id)
    found = list(_read(index, columns, lambda query: query.where(beyond, places.c.idx <= last).order_by(*order)))
    ids = index.event_ids(idx for idx, _, _ in found)
    return [(int(idx), rule, place, ids[idx]) for idx, rule, place in found if idx in ids]


def surplus(index: Index, size: int) -> list[tuple[str, int]]:
    """Tables with rows of entries that a log of `size` entries does not have, each with the first such index."""
    found = []
    for table in (entries, links, digests, times, erased, places, kin):
        at = table.c[_PLACES[table.name]]
        where = (at < 0) | (at >= size)
        first = index._run(select(func.min(at)).where(where)).scalar_one()  # noqa: SLF001 - its package
        if first is not None:
            found.append((table.name, int(first)))
    return found


def _stored(
    index: Index,
    table: Table,
    names: Sequence[str],
    first: int,
    stop: int,
    values: Sequence[tuple[Any, ...]],
    counts: DigestCounts,
) -> Iterator[tuple[Any, ...]]:
    at = table.c[_PLACES[table.name]]
    columns = [table.c[name] for name in names]
    inside = (at >= first) & (at < stop)
    if table.name != digests.name:
        order = (at, *(table.c[name] for name in ("id",) if name in table.c))
        yield from _read(index, columns, lambda query: query.where(inside).order_by(*order))
        return
    if counts.exceed(first, stop, len(values)):
        yield from _read(index, columns, lambda query: query.where(inside))
        return
    # There is no index on the entry: what the facts name is looked up by its key.
    keys = sorted({row[names.index("key")] for row in values})
    for some in among(index._connection, digests.c.key, keys):  # noqa: SLF001 - its package
        yield from _read(index, columns, lambda query, some=some: query.where(inside, some))  # type: ignore[misc]


def _read(
    index: Index, columns: Sequence[Column[Any]], narrowed: Callable[[Select[Any]], Select[Any]]
) -> Iterator[tuple[Any, ...]]:
    dialect = index._connection.dialect.name  # noqa: SLF001 - its package
    return read_exactly(index._run, columns, narrowed, dialect=dialect)  # noqa: SLF001


def _by_entry(rows: Iterable[tuple[Any, ...]], at: int) -> Rows:
    found: Rows = defaultdict(list)
    for row in rows:
        found[row[at]].append(row)
    return found
