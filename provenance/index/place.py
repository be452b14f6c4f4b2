"""Where the tables are, as a connection of ours says it."""

from __future__ import annotations

from sqlalchemy import Connection

__all__ = ["schema_of"]


def schema_of(connection: Connection) -> str | None:
    """The schema that this connection's options put our tables into; None for the database's default."""
    schemas = connection.get_execution_options().get("schema_translate_map") or {}
    schema = schemas.get(None)
    return None if schema is None else str(schema)
