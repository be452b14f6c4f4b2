"""One statement that takes the market's name for events and stages them, for PostgreSQL.

What a sale waits for is the round trip: a second statement would cost it more than all the rest of staging. It returns
no rows, only how many it wrote: reading a result would cost as much again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Label,
    Table,
    and_,
    bindparam,
    cast,
    exists,
    literal_column,
    or_,
    select,
    union_all,
)
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

    Nothing of both is inserted where an event has one of the places `unless`, and nobody can take one until the
    transaction ends (`provenance.once`): a row of `once` that is its own key stands for a free place, and is locked in
    share mode, so that whoever wants to take it waits. It waits itself for another transaction that is taking one of
    them or the same name, and never fails on a value that is not new.
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
    free = select(*row).where(*(_kept(places, at) for at in range(barriers)))
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


def _kept(places: Table, at: int) -> ColumnElement[bool]:
    """Whether a place is free, and stays so until the transaction ends."""
    rule, key = (cast(bindparam(f"{name}_{at}"), places.c[name].type) for name in ("rule", "key"))
    this: ColumnElement[bool] = and_(places.c.rule == rule, places.c.key == key)
    one: Label[int] = literal_column("1").label("one")
    # After a wait for whoever takes it, the row is looked at as it is then, not as it was when the statement began.
    held = select(one).where(this, places.c.event_id == key).with_for_update(read=True).cte(f"held_{at}")
    absent = select(rule, key, key).where(~exists().where(this))
    added = insert(places).from_select(columns_of(places), absent).on_conflict_do_nothing()
    made = added.returning(one).cte(f"made_{at}")
    return or_(exists().select_from(held), exists().select_from(made))


@lru_cache(maxsize=64)
def _parameters(count: int, barriers: int) -> tuple[str, ...]:
    places = (f"{part}_{at}" for at in range(barriers) for part in ("rule", "key"))
    return (*columns_of(refs), *places, *(f"{column}_{at}" for at in range(count) for column in columns_of(queue)))
