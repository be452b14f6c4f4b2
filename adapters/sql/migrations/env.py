"""Run by Alembic: on the connection, and for the schema, that `adapters.sql.upgrade` puts into the configuration."""

from __future__ import annotations

from alembic import context

from adapters.sql.version import VERSION_TABLE

_given = context.config.attributes
context.configure(
    connection=_given["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=_given["schema"],
)
# The transaction is the caller's.
context.run_migrations()
