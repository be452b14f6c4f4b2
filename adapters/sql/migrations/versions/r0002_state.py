"""A small table of positions"""  # noqa: D400 - Alembic's form: the first line is a title

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


def downgrade() -> None:
    """Drop it: what it holds is found out again."""
    op.drop_table("provenance_state", schema=context.config.attributes["schema"])
