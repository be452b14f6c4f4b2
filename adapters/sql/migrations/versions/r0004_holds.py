"""What holds name is in the index"""  # noqa: D400 - Alembic's form: the first line is a title

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"

# Those with the entries are last: what is in them decides.
_INDEX = tuple(
    f"provenance_index_{name}" for name in ("links", "digests", "times", "erased", "places", "kin", "entries")
)


def upgrade() -> None:
    """Empty the index of a log with holds, where it is here: it follows the log by itself, from the first entry on."""
    if not _has_index():
        return
    place = _place()
    for table in _INDEX:
        held = f"SELECT 1 FROM {place}{_INDEX[-1]} WHERE type = 'hold.set'"  # noqa: S608 - constants, a quoted name
        op.execute(f"DELETE FROM {place}{table} WHERE EXISTS ({held})")  # noqa: S608 - as above


def downgrade() -> None:
    """Leave it out again."""
    if _has_index():
        op.execute(f"DELETE FROM {_place()}provenance_index_digests WHERE kind = 'held'")  # noqa: S608 - as above


def _place() -> str:
    schema = context.config.attributes["schema"]
    quote = context.config.attributes["connection"].dialect.identifier_preparer.quote
    return "" if schema is None else f"{quote(schema)}."


def _has_index() -> bool:
    """Whether the index is in this database: an operator may have put it elsewhere."""
    # Not `op.get_bind()`: a plan is made without one.
    connection = context.config.attributes["connection"]
    return bool(sa.inspect(connection).has_table(_INDEX[-1], schema=context.config.attributes["schema"]))
