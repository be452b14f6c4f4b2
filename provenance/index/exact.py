"""Reading rows as they are stored, also where a disk changed them into what the column's type does not allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Boolean, Column, CursorResult, Integer, LargeBinary, Select, String, cast, select
from sqlmodel import AutoString

__all__ = ["read_exactly"]


def read_exactly(
    run: Callable[[Select[Any]], CursorResult[Any]],
    columns: Sequence[Column[Any]],
    narrowed: Callable[[Select[Any]], Select[Any]],
    *,
    dialect: str,
) -> Iterator[tuple[Any, ...]]:
    """Rows of `columns`; `narrowed` adds what is wanted of them and in which order, `run` executes it.

    A truth value comes as the number it is stored as (257 would read as true). In SQLite, which stores any bytes as
    text, text that is no UTF-8 comes with its odd bytes as surrogates, where the driver would raise.
    """
    binary = dialect == "sqlite"
    texts = [at for at, column in enumerate(columns) if binary and isinstance(column.type, (String, AutoString))]
    wanted = [
        cast(column, LargeBinary)
        if at in texts
        else cast(column, Integer)
        if isinstance(column.type, Boolean)
        else column
        for at, column in enumerate(columns)
    ]
    for row in run(narrowed(select(*wanted))):
        values = [bytes(value) if isinstance(value, (bytes, memoryview)) else value for value in row]
        for at in texts:
            if values[at] is not None:
                values[at] = values[at].decode("utf-8", "surrogateescape")
        yield tuple(values)
