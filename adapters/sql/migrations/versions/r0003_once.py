"""Places that are taken once, and what erasures name"""  # noqa: D400 - Alembic's form: the first line is a title

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INDEX = ("provenance_index_entries", "provenance_index_links", "provenance_index_digests", "provenance_index_times")


def upgrade() -> None:
    """Make them. The index is emptied where it is here: it follows the log by itself, from the first entry on."""
    schema = context.config.attributes["schema"]
    op.create_table(
        "provenance_once",
        sa.Column("rule", sa.String(), primary_key=True, nullable=False),
        sa.Column("key", sa.LargeBinary(), primary_key=True, nullable=False),
        sa.Column("event_id", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_index("provenance_once_event", "provenance_once", ["event_id"], schema=schema)
    if not _has_index():
        return
    dialect = context.config.attributes["connection"].dialect
    place = "" if schema is None else f"{dialect.identifier_preparer.quote(schema)}."
    for table in _INDEX:
        op.execute(f"{'TRUNCATE' if dialect.name == 'postgresql' else 'DELETE FROM'} {place}{table}")
    for column in ("type", "issuer"):
        name = f"provenance_index_entries_{column}"
        op.create_index(name, "provenance_index_entries", [column, "idx"], schema=schema)
    op.add_column("provenance_index_links", sa.Column("units", _BIG, nullable=True), schema=schema)
    op.create_table(
        "provenance_index_erased",
        sa.Column("id", _BIG, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("idx", _BIG, nullable=False),
        sa.Column("key", _BIG, nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_index("provenance_index_erased_key", "provenance_index_erased", ["key"], schema=schema)
    op.create_index("provenance_index_erased_idx", "provenance_index_erased", ["idx"], schema=schema)
    op.create_table(
        "provenance_index_places",
        sa.Column("id", _BIG, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("idx", _BIG, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("key", _BIG, nullable=False),
        sa.Column("place", sa.LargeBinary(), nullable=False),
        schema=schema,
    )
    op.create_index("provenance_index_places_key", "provenance_index_places", ["key"], schema=schema)
    op.create_index("provenance_index_places_idx", "provenance_index_places", ["idx"], schema=schema)
    op.create_table(
        "provenance_index_kin",
        sa.Column("id", _BIG, sa.Identity(), primary_key=True, nullable=False),
        sa.Column("idx", _BIG, nullable=False),
        sa.Column("child", _BIG, nullable=False),
        sa.Column("child_id", sa.LargeBinary(), nullable=False),
        sa.Column("parent", _BIG, nullable=False),
        sa.Column("parent_id", sa.LargeBinary(), nullable=False),
        sa.Column("outside", sa.String(), nullable=False),
        sa.Column("relation", sa.String(), nullable=False),
        sa.Column("units", _BIG, nullable=True),
        schema=schema,
    )
    for column in ("child", "parent", "idx"):
        op.create_index(f"provenance_index_kin_{column}", "provenance_index_kin", [column], schema=schema)


def downgrade() -> None:
    """Drop them: all of it is derived from queue, log and vault."""
    schema = context.config.attributes["schema"]
    op.drop_table("provenance_once", schema=schema)
    if _has_index():
        op.drop_table("provenance_index_kin", schema=schema)
        op.drop_table("provenance_index_places", schema=schema)
        op.drop_table("provenance_index_erased", schema=schema)
        # By what they are over: a rebuild gives keys other names.
        for key in sa.inspect(op.get_bind()).get_indexes(_INDEX[0], schema=schema):
            if key["column_names"][0] in {"type", "issuer"}:
                op.drop_index(str(key["name"]), _INDEX[0], schema=schema)
        op.drop_column("provenance_index_links", "units", schema=schema)


def _has_index() -> bool:
    """Whether the index is in this database: an operator may have put it elsewhere."""
    # Not `op.get_bind()`: a plan is made without one.
    connection = context.config.attributes["connection"]
    return bool(sa.inspect(connection).has_table(_INDEX[0], schema=context.config.attributes["schema"]))
