"""Many rows at once, straight to the driver: half of the time of an insert is otherwise spent on converting values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    any_,
    bindparam,
    exc,
)
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["among", "columns_of", "in_schema", "insert_many", "insert_missing", "schema_options"]

_PORTION = 500  # values in one IN list of SQLite
_ARRAY = 8_192  # values in one array of PostgreSQL
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_FEW = 8  # rows: fewer are inserted faster than COPY gets going


def schema_options(schema: str | None) -> dict[str, Any] | None:
    """Execution options of a statement that is to find its tables in `schema`; None leaves them to the connection.

    For each execution: options of a connection that is not ours are not ours to change.
    """
    return None if schema is None else {"schema_translate_map": {None: schema}}


def insert_many(
    connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], *, schema: str | None = None
) -> None:
    """Insert `rows`, whose values stand in the order of the table's columns, a column `id` left to the database.

    The values must be what the driver takes as it is: integers, booleans, text and bytes. `schema` is by default the
    one that the connection's options name.
    """
    if not rows:
        return
    dialect = connection.dialect
    where = schema or _schema_of(connection)
    if dialect.driver == "psycopg" and len(rows) > _FEW:
        _copy(connection, table, rows, where)
        return
    sql, names = _statement(dialect, table, where, 1, missing=False)
    connection.exec_driver_sql(sql, list(rows) if names is None else [dict(zip(names, r, strict=True)) for r in rows])


def insert_missing(
    connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], *, schema: str | None = None
) -> int:
    """As `insert_many` for a few rows in one statement, those left out that are there already; how many were not.

    Nothing of it fails on a unique value, so that somebody else's transaction stays usable: PostgreSQL gives up a
    transaction at its first error. It waits for another transaction that has written the same value.
    """
    sql, names = _statement(connection.dialect, table, schema or _schema_of(connection), len(rows), missing=True)
    values = tuple(value for row in rows for value in row)
    return connection.exec_driver_sql(sql, values if names is None else dict(zip(names, values, strict=True))).rowcount


def among(connection: Connection, column: Column[Any], values: Sequence[Any]) -> Iterator[ColumnElement[bool]]:
    """Conditions that together find the rows whose `column` is one of `values`, a portion of them each."""
    arrays = connection.dialect.name == "postgresql"
    size = _ARRAY if arrays else _PORTION
    for at in range(0, len(values), size):
        portion = list(values[at : at + size])
        if arrays:
            # The same text for any number of values: the server plans it once.
            yield column == any_(bindparam(None, portion, type_=ARRAY(column.type)))
        elif len(portion) == 1:
            yield column == portion[0]  # a list is spelled out anew for each execution
        else:
            yield column.in_(portion)


def columns_of(table: Table) -> list[str]:
    """Names of the columns that are written: all but `id`, which the database counts up."""
    return [column.name for column in table.c if column.name != "id"]


def in_schema(table: Table, schema: str | None) -> Table:
    """The table as it is called in this schema, for statements that are kept as text."""
    return table if schema is None else table.to_metadata(MetaData(), schema=schema)


def _schema_of(connection: Connection) -> str | None:
    found = connection.get_execution_options().get("schema_translate_map")
    return None if found is None else found.get(None)


@lru_cache(maxsize=128)
def _statement(
    dialect: Dialect, table: Table, schema: str | None, count: int, *, missing: bool
) -> tuple[str, tuple[str, ...] | None]:
    """An INSERT of `count` rows as this driver spells it; its parameters' names where they are not positional."""
    names = columns_of(table)
    target = in_schema(table, schema)
    values = [{name: bindparam(f"{name}_{at}", type_=table.c[name].type) for name in names} for at in range(count)]
    statement = _INSERTS[dialect.name](target).values(values if count > 1 else values[0])
    compiled = (statement.on_conflict_do_nothing() if missing else statement).compile(dialect=dialect)
    parameters = tuple(f"{name}_{at}" for at in range(count) for name in names)
    return str(compiled), None if compiled.positional else parameters


def _copy(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], schema: str | None) -> None:
    dialect = connection.dialect
    sql, types = _copying(dialect, table, schema)
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except dialect.loaded_dbapi.Error as error:
        # As SQLAlchemy raises what it runs itself.
        lost = dialect.is_disconnect(error, driver, None)
        if lost:
            connection.invalidate(error)
        kind = dialect.loaded_dbapi.Error
        raise exc.DBAPIError.instance(sql, None, error, kind, connection_invalidated=lost, dialect=dialect) from error


@lru_cache(maxsize=64)
def _copying(dialect: Dialect, table: Table, schema: str | None) -> tuple[str, tuple[str, ...]]:
    preparer = dialect.identifier_preparer
    names = columns_of(table)
    columns = ", ".join(preparer.quote(name) for name in names)
    sql = f"COPY {preparer.format_table(in_schema(table, schema))} ({columns}) FROM STDIN (FORMAT BINARY)"
    # Names are quoted for a statement with parameters; this one has none.
    return sql.replace("%%", "%"), tuple(_type(table.c[name]) for name in names)


def _type(column: Column[Any]) -> str:
    for kind, name in ((LargeBinary, "bytea"), (Boolean, "bool"), (Integer, "int8")):
        if isinstance(column.type, kind):
            return name
    return "text"
