"""A checksum beside each value that nothing else vouches for"""  # noqa: D400 - Alembic's form: the first line is a title

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"

_TABLES = ("provenance_queue", "provenance_files", "provenance_state")


def upgrade() -> None:
    """Add it; rows that are there have none, and PostgreSQL rewrites none of them."""
    for table in _TABLES:
        column = sa.Column("checksum", sa.LargeBinary(), nullable=True)
        op.add_column(table, column, schema=context.config.attributes["schema"])


def downgrade() -> None:
    """Drop it."""
    for table in _TABLES:
        op.drop_column(table, "checksum", schema=context.config.attributes["schema"])
