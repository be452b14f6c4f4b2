"""A small table of positions, and when an event was staged"""  # noqa: D400 - Alembic's form: the first line is a title

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make it."""
    op.create_table(
        "provenance_state",
        sa.Column("key", sa.String(), primary_key=True, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        schema=context.config.attributes["schema"],
    )
    # A constant default: PostgreSQL notes it and rewrites no row.
    op.add_column(
        "provenance_queue",
        sa.Column(
            "staged_at", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, server_default="0"
        ),
        schema=context.config.attributes["schema"],
    )


def downgrade() -> None:
    """Drop them: what they hold is found out again."""
    op.drop_column("provenance_queue", "staged_at", schema=context.config.attributes["schema"])
    op.drop_table("provenance_state", schema=context.config.attributes["schema"])
