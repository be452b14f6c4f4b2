"""Tables of release 0.1.0

That release wrote no revision: where its tables are found, this script counts as run.
"""  # noqa: D400 - Alembic's form: the first line is a title

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None

# SQLite counts up only what is declared INTEGER; that release stored nowhere else.
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# In the order of its bytes, whatever the database's language: all paths below a prefix are one range of the index.
_PATH = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them."""
    schema = context.config.attributes["schema"]
    op.create_table(
        "provenance_objects",
        sa.Column("id", _NUMBER, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("path", _PATH, nullable=False, unique=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_heads",
        sa.Column("origin", sa.String(), primary_key=True, nullable=False),
        sa.Column("size", _NUMBER, nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_rows",
        sa.Column("idx", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("opened", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_vault",
        sa.Column("id", _NUMBER, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("prefix", _NUMBER, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_queue",
        sa.Column("id", _NUMBER, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("event_id", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.Column("items", sa.LargeBinary(), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_refs",
        sa.Column("verb", sa.String(), primary_key=True, nullable=False),
        sa.Column("ref", sa.String(), primary_key=True, nullable=False),
        sa.Column("event_id", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_files",
        sa.Column("event_id", sa.LargeBinary(), primary_key=True, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_index_entries",
        sa.Column("idx", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("key", _NUMBER, nullable=False),
        sa.Column("event_id", sa.LargeBinary(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("issuer", _NUMBER, nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("strength", sa.String(), nullable=False),
        sa.Column("claimed_at", sa.String(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_index_links",
        sa.Column("id", _NUMBER, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("source", _NUMBER, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("target", _NUMBER, nullable=False),
        sa.Column("event_id", sa.LargeBinary(), nullable=False),
        sa.Column("outside", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_index_digests",
        sa.Column("id", _NUMBER, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("key", _NUMBER, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("idx", _NUMBER, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        schema=schema,
    )
    op.create_table(
        "provenance_index_times",
        sa.Column("idx", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("time", sa.String(), nullable=False),
        schema=schema,
    )
    for table, column in (
        ("provenance_vault", "prefix"),
        ("provenance_index_entries", "key"),
        ("provenance_index_links", "source"),
        ("provenance_index_links", "target"),
        ("provenance_index_digests", "key"),
    ):
        op.create_index(f"{table}_{column}", table, [column], schema=schema)
    if op.get_context().dialect.name == "postgresql":
        # Tiles are hashes and bundles are signatures: nothing in them compresses.
        where = "provenance_objects" if schema is None else f'"{schema}".provenance_objects'
        op.execute(f"ALTER TABLE {where} ALTER COLUMN data SET STORAGE EXTERNAL")
    if op.get_context().dialect.name == "postgresql":
        # Tiles are hashes and bundles are signatures: nothing in them compresses, and PostgreSQL would try.
        place = f'"{schema}".provenance_objects' if schema else "provenance_objects"
        op.execute(f"ALTER TABLE {place} ALTER COLUMN data SET STORAGE EXTERNAL")
