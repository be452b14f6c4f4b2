"""What facts are as rows of the index, and which of them go when an event is erased."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from provenance.index.bulk import among, insert_many
from provenance.index.facts import Facts, key_of, outside_key
from provenance.index.tables import digests, entries, erased, kin, links, places, times

__all__ = ["forget_in", "leave_in", "rows_of"]

_PORTION = 500  # entries in one statement

Tables = Mapping[Table, Table]
"""The tables that stand for the index's own, for an index that is made beside it."""


def rows_of(first: int, facts: Sequence[Facts]) -> list[tuple[Table, list[tuple[Any, ...]]]]:
    """What `facts` of the entries from `first` on are as rows of each table, for `insert_many`."""
    rows: list[tuple[Any, ...]] = []
    link_rows: list[tuple[Any, ...]] = []
    digest_rows: list[tuple[Any, ...]] = []
    time_rows: list[tuple[Any, ...]] = []
    erased_rows: list[tuple[Any, ...]] = []
    place_rows: list[tuple[Any, ...]] = []
    kin_rows: list[tuple[Any, ...]] = []
    for idx, fact in enumerate(facts, first):
        event_id = fact.event_id
        issuer = key_of(fact.issuer)
        rows.append((idx, key_of(event_id), event_id, fact.type, issuer, fact.sealed, fact.strength, fact.claimed_at))
        child = event_id
        for role, target, outside, detail, units in fact.links:
            key = key_of(target) if target else outside_key(outside)
            link_rows.append((idx, role, key, target, outside, detail, units))
            if role == "child":
                child = target
            elif role == "parent":
                kin_rows.append((idx, key_of(child), child, key, target, outside, detail, units))
        for digest, kind in fact.digests:
            digest_rows.append((key_of(digest), digest, idx, kind))
        if fact.time:
            time_rows.append((idx, fact.time))
        erased_rows += [(idx, key_of(address), address) for address in fact.erased]
        place_rows += [(idx, rule, key_of(place), place) for rule, place in fact.places]
    return [
        (entries, rows),
        (links, link_rows),
        (digests, digest_rows),
        (times, time_rows),
        (erased, erased_rows),
        (places, place_rows),
        (kin, kin_rows),
    ]


def forget_in(
    connection: Connection,
    event_ids: Iterable[bytes],
    tables: Tables = MappingProxyType({}),
    *,
    options: Mapping[str, Any] | None = None,
) -> None:
    """As `Index.forget`, in these tables; `options` are for each statement."""
    wanted, table = set(event_ids), tables.get(entries, entries)
    for where in among(connection, table.c.key, [key_of(event_id) for event_id in wanted]):
        found = connection.execute(
            select(table.c.idx, table.c.event_id).where(where, table.c.sealed), execution_options=options or {}
        )
        gone = [idx for idx, event_id in found if bytes(event_id) in wanted]
        if gone:
            _empty(connection, gone, tables, options)


def leave_in(
    connection: Connection,
    left: Mapping[int, Facts],
    tables: Tables = MappingProxyType({}),
    *,
    schema: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """As `Index.leave`, in these tables; `options` are for each statement."""
    ordered = sorted(left)
    for at in range(0, len(ordered), _PORTION):
        _empty(connection, ordered[at : at + _PORTION], tables, options)
    for idx in ordered:
        for table, values in rows_of(idx, [left[idx]]):
            if table in {links, kin, places}:
                insert_many(connection, tables.get(table, table), values, schema=schema)


def _empty(connection: Connection, gone: Sequence[int], tables: Tables, options: Mapping[str, Any] | None) -> None:
    """Keep of these entries what their statements say."""
    entry, link, digest, relation, place = (
        tables.get(table, table) for table in (entries, links, digests, kin, places)
    )
    for statement in (
        update(entry).where(entry.c.idx.in_(gone)).values(strength="", claimed_at=""),
        delete(link).where(link.c.source.in_(gone)),
        delete(digest).where(digest.c.idx.in_(gone)),
        delete(relation).where(relation.c.idx.in_(gone)),
        delete(place).where(place.c.idx.in_(gone)),
    ):
        connection.execute(statement, execution_options=options or {})
