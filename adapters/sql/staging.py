"""One statement that takes the market's name for events and stages them, for PostgreSQL.

What a sale waits for is the round trip: a second statement would cost it more than all the rest of staging. It returns
no rows, only how many it wrote: reading a result would cost as much again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, cast, exists, literal_column, select, union_all
from sqlalchemy.dialects.postgresql import insert

from adapters.sql.tables import once, queue, refs
from provenance.index.bulk import columns_of, in_schema

__all__ = ["stage_named"]


def stage_named(
    connection: Connection,
    name: Sequence[Any],
    events: Sequence[tuple[Any, ...]],
    unless: Sequence[tuple[str, bytes]],
    *,
    schema: str | None,
) -> int:
    """Insert a row of `refs` and, if it is new, rows of `queue`, but for those that are there; how many of `queue`.

    Nothing is inserted while a row of `once` has one of the places `unless`. It waits for another transaction that is
    taking the same name, and never fails on a value that is not new.
    """
    sql, order = _statement(connection.dialect, schema, len(events), len(unless))
    given = [*name, *(value for place in unless for value in place), *(value for event in events for value in event)]
    values = dict(zip(_parameters(len(events), len(unless)), given, strict=True))
    return connection.exec_driver_sql(sql, values if order is None else tuple(values[part] for part in order)).rowcount


@lru_cache(maxsize=64)
def _statement(dialect: Dialect, schema: str | None, count: int, barriers: int) -> tuple[str, tuple[str, ...] | None]:
    """The statement as this driver spells it, and the order of its parameters where they are positional."""
    names, events, places = in_schema(refs, schema), in_schema(queue, schema), in_schema(once, schema)
    row = [cast(bindparam(column), names.c[column].type) for column in columns_of(refs)]
    taken = [
        exists().where(
            places.c.rule == bindparam(f"rule_{at}", type_=places.c.rule.type),
            places.c.key == bindparam(f"key_{at}", type_=places.c.key.type),
        )
        for at in range(barriers)
    ]
    free = select(*row).where(*(~each for each in taken))
    added = insert(names).from_select(columns_of(refs), free).on_conflict_do_nothing()
    name = added.returning(literal_column("1").label("one")).cte("name")
    columns = columns_of(queue)
    rows = [
        # A NULL alone would be taken for text.
        select(*(cast(bindparam(f"{column}_{at}"), events.c[column].type) for column in columns)).select_from(name)
        for at in range(count)
    ]
    source = union_all(*rows) if count > 1 else rows[0]
    compiled = insert(events).from_select(columns, source).on_conflict_do_nothing().compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup or ()) if compiled.positional else None


@lru_cache(maxsize=64)
def _parameters(count: int, barriers: int) -> tuple[str, ...]:
    places = (f"{part}_{at}" for at in range(barriers) for part in ("rule", "key"))
    return (*columns_of(refs), *places, *(f"{column}_{at}" for at in range(count) for column in columns_of(queue)))
