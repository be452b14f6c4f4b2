"""Living beside the market's own Alembic: its autogenerate must not propose to drop the tables that are ours.

In the market's `env.py`::

    from adapters.alembic import include_name

    context.configure(connection=connection, target_metadata=target_metadata, include_name=include_name)

and where the market has an `include_name` of its own::

    include_name=lambda *name: include_name(*name) and theirs(*name)

A market that gave our tables a schema of their own, and does not set `include_schemas`, needs neither.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Connection, inspect

from adapters.sql import tables
from adapters.sql.version import VERSION_TABLE
from ledger.errors import NotFound
from provenance.errors import MissingExtra
from provenance.index import metadata as index
from provenance.index.place import schema_of
from provenance.index.rebuild import SPARE

__all__ = ["LINES", "Autogenerate", "include_name", "look_at_autogenerate"]

LINES = """\
from adapters.alembic import include_name

context.configure(..., include_name=include_name)
"""
"""What has to stand in the market's env.py, once for each `context.configure`."""

_OURS = frozenset(
    {
        VERSION_TABLE,
        *tables.metadata.tables,
        *index.tables,
        # An index that is being rebuilt, or was when the process died
        *(f"{name}{suffix}" for name in index.tables for suffix in SPARE),
    }
)


def include_name(name: str | None, type_: str, parent_names: MutableMapping[str, str | None]) -> bool:  # noqa: ARG001
    """Whether Alembic's autogenerate is to look at this: False for our tables, True for all else."""
    return not (type_ == "table" and name in _OURS)


class Autogenerate(NamedTuple):
    """What the market's autogenerate would do to our tables, the fix, and lines to paste for it."""

    status: Literal["ok", "note", "bad"]
    detail: str
    fix: str = ""
    lines: str = ""


def look_at_autogenerate(connection: Connection, *, env: Path | None = None) -> Autogenerate:
    """Whether the market's Alembic would propose to drop our tables, as far as that can be told.

    `env` is the market's `env.py`, the folder that holds it, or its `alembic.ini`. Without it only the database can be
    looked at. Raises `NotFound` when there is no such file, `MissingExtra` for an `alembic.ini` without Alembic.
    """
    names = inspect(connection)
    schema = schema_of(connection)
    apart = schema not in {None, names.default_schema_name}
    if env is not None:
        place = _env_py(env)
        text = place.read_text("utf-8")
        if "adapters.alembic" in text and "include_name" in text:
            return Autogenerate("ok", f"{place} leaves our tables out of autogenerate")
        if not apart or "include_schemas" in text:
            detail = f"{place} does not leave our tables out: autogenerate would propose to drop them"
            return Autogenerate("bad", detail, f"add to {place}:", LINES)
    if apart:
        return Autogenerate("ok", f"our tables are in the schema {schema}, where autogenerate does not look by itself")
    if env is None and names.has_table("alembic_version"):
        detail = "the market uses Alembic in this schema; its env.py cannot be seen from here"
        fix = "look yourself with --alembic alembic.ini; unless it is there, add to env.py:"
        return Autogenerate("note", detail, fix, LINES)
    return Autogenerate("ok", "no Alembic of the market's own in this schema")


def _env_py(given: Path) -> Path:
    place = given
    if given.suffix == ".ini":
        try:
            from alembic.config import Config
            from alembic.script import ScriptDirectory
        except ImportError as error:
            verb = "reading an alembic.ini"
            raise MissingExtra(verb, "cli") from error
        if given.is_file():
            place = Path(ScriptDirectory.from_config(Config(given)).env_py_location)
    elif given.is_dir():
        place = given / "env.py"
    if not place.is_file():
        msg = f"{place}: no such file; want the market's env.py, its folder, or alembic.ini"
        raise NotFound(msg, path=str(place))
    return place
