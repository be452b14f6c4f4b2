"""Bringing the tables of a database to this release, and saying first what that would do.

Every script runs in a transaction of its own, together with the note of its revision: an upgrade that is interrupted
goes on where it stopped. Meanwhile no other sequencer works; the market's own tables are not touched.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from sqlalchemy import Connection, func, inspect, select, table

from adapters.sql.store import storage_errors
from adapters.sql.version import FIRST, HEAD, VERSION_TABLE, check_version, read_version, stamp
from ledger.errors import StorageError
from provenance.errors import MissingExtra
from provenance.index.place import schema_of

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory

    from adapters.sql.store import SqlStore

__all__ = ["Lock", "Plan", "Step", "downgrade", "plan", "upgrade"]

_SCRIPTS = Path(__file__).parent / "migrations"

# https://www.postgresql.org/docs/current/explicit-locking.html
_EXCLUSIVE, _SHARE, _ROWS = "ACCESS EXCLUSIVE", "SHARE", "ROW EXCLUSIVE"
_BLOCKS = {_EXCLUSIVE: "reads and writes wait", _SHARE: "writes wait", _ROWS: "nobody waits"}
_NAME = r'(?P<name>(?:"?\w+"?\.)?"?\w+"?)'
_STATEMENTS = (
    (re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_NAME}"), None),
    (re.compile(rf"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?\S+ ON {_NAME}"), _SHARE),
    (re.compile(rf"(?:ALTER|DROP) TABLE (?:IF EXISTS )?{_NAME}"), _EXCLUSIVE),
    (re.compile(rf"(?:ALTER|DROP) INDEX (?:IF EXISTS )?{_NAME}"), _EXCLUSIVE),
    (re.compile(rf"TRUNCATE (?:TABLE )?{_NAME}"), _EXCLUSIVE),
    (re.compile(rf"(?:INSERT INTO|UPDATE|DELETE FROM) {_NAME}"), _ROWS),
)


class Lock(NamedTuple):
    """What a step holds until it is done: a table that was there before, how, and the rows that are in it now."""

    table: str
    mode: str
    effect: str
    rows: int


class Step(NamedTuple):
    """One revision: its title, the SQL it runs, the locks that SQL takes, and whether `downgrade` can undo it."""

    revision: str
    title: str
    statements: tuple[str, ...]
    locks: tuple[Lock, ...]
    reversible: bool


class Plan(NamedTuple):
    """Where the tables are, where they would go, and by which steps. No steps: there is nothing to do."""

    found: str
    wanted: str
    steps: tuple[Step, ...]


def plan(store: SqlStore) -> Plan:
    """What `upgrade` would do; nothing is written and nobody waits.

    Raises `NotFound` in a database without our tables, `StorageError` where they belong to a newer release,
    `MissingExtra` without Alembic.
    """
    scripts = _scripts()
    connection = store.reading
    with storage_errors("plan of the upgrade"):
        found = _found(connection)
        steps = [] if _has_version(connection) else [_adopt(connection)]
        steps += [_step(connection, script) for script in _ahead(scripts, found)]
    return Plan(found, HEAD, tuple(steps))


def upgrade(store: SqlStore) -> list[str]:
    """Bring the tables to this release; the revisions that were run, none when there was nothing to do.

    Durable, each revision by itself, when this returns. Raises as `plan`, and `Unavailable` when another sequencer or
    the market's own transactions do not let go of the tables.
    """
    scripts = _scripts()
    with store.leading():
        with _writing(store) as connection:
            found = _found(connection)
            if not _has_version(connection):
                stamp(connection, found)
        return [script.revision for script in _ahead(scripts, found) if _run(store, script)]


def downgrade(store: SqlStore, revision: str) -> list[str]:
    """Undo what is newer than `revision`, for the release that knows no more; the revisions that were undone.

    Raises `StorageError` for one that is not known or cannot be undone.
    """
    scripts = _scripts()
    known = {script.revision: script for script in _ahead(scripts, "")}
    if revision not in known:
        msg = f"revision {revision}: unknown, want one of {', '.join(sorted(known))}"
        raise StorageError(msg)
    done = []
    with store.leading():
        with _writing(store) as connection:
            found = _found(connection)
            if not _has_version(connection):
                stamp(connection, found)
        for number in sorted((number for number in known if revision < number <= found), reverse=True):
            if not _reversible(known[number]):
                msg = f"revision {number}: cannot be undone; restore the backup that was made before it"
                raise StorageError(msg)
            with _writing(store) as connection:
                from alembic import command

                command.downgrade(_config(connection), str(known[number].down_revision))
            done.append(number)
    return done


def _run(store: SqlStore, script: Script) -> bool:
    """Run one script unless another process was faster."""
    from alembic import command

    with _writing(store) as connection:
        if str(read_version(connection)) >= script.revision:
            return False
        command.upgrade(_config(connection), script.revision)
    return True


def _step(connection: Connection, script: Script) -> Step:
    from alembic import command

    buffer = io.StringIO()
    command.upgrade(_config(connection, output=buffer), f"{script.down_revision}:{script.revision}", sql=True)
    lines = [line for line in buffer.getvalue().splitlines() if not line.startswith("--")]
    found = [
        " ".join(statement.split()).replace("( ", "(").replace(" )", ")") for statement in "\n".join(lines).split(";")
    ]
    statements = tuple(statement for statement in found if statement not in {"", "BEGIN", "COMMIT"})
    return Step(script.revision, script.doc, statements, _locks(connection, statements), _reversible(script))


def _adopt(connection: Connection) -> Step:
    """What comes before the first script in a database that release 0.1.0 made."""
    title = "the tables of release 0.1.0 are as they should be: their revision is noted"
    statements = (
        f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL)",
        f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{FIRST}')",  # noqa: S608 - two constants
    )
    return Step(FIRST, title, statements, _locks(connection, statements), reversible=True)


def _locks(connection: Connection, statements: Sequence[str]) -> tuple[Lock, ...]:
    """Read off the statements: the strongest lock on each table that is there already."""
    schema = schema_of(connection)
    there = set(inspect(connection).get_table_names(schema=schema))
    order = [_ROWS, _SHARE, _EXCLUSIVE]
    modes: dict[str, str] = {}
    for statement in statements:
        for pattern, mode in _STATEMENTS:
            if mode is None and pattern.match(statement):
                break
            if mode is not None and (found := pattern.match(statement)):
                name = found["name"].rpartition(".")[2].strip('"')
                modes[name] = max(mode, modes.get(name, mode), key=order.index)
                break
        else:
            msg = f"upgrade: cannot say what this locks: {statement[:80]}"
            raise StorageError(msg)
    rows = {name: _count(connection, name, schema) for name in modes if name in there}
    if connection.dialect.name == "sqlite":
        # A transaction that writes holds the file: other writers wait, whatever their tables, and readers do not.
        return (Lock("the whole file", "RESERVED", "writes wait", sum(rows.values())),)
    return tuple(Lock(name, modes[name], _BLOCKS[modes[name]], number) for name, number in rows.items())


def _count(connection: Connection, name: str, schema: str | None) -> int:
    return int(connection.execute(select(func.count()).select_from(table(name, schema=schema))).scalar_one())


def _found(connection: Connection) -> str:
    """The revision that is there, which this release knows."""
    found = read_version(connection)
    if found is None or found > HEAD:
        check_version(connection)
    return str(found)


def _has_version(connection: Connection) -> bool:
    return inspect(connection).has_table(VERSION_TABLE, schema=schema_of(connection))


@contextmanager
def _writing(store: SqlStore) -> Iterator[Connection]:
    with store.transaction() as tx:
        yield tx.connection


def _scripts() -> ScriptDirectory:
    try:
        from alembic.script import ScriptDirectory
    except ImportError as error:
        verb = "upgrading the tables"
        raise MissingExtra(verb, "cli") from error
    return ScriptDirectory(str(_SCRIPTS))


def _ahead(scripts: ScriptDirectory, found: str) -> list[Script]:
    """Scripts newer than `found`, oldest first."""
    return [script for script in reversed(list(scripts.walk_revisions())) if script.revision > found]


def _reversible(script: Script) -> bool:
    return hasattr(script.module, "downgrade")


def _config(connection: Connection, *, output: TextIO | None = None) -> Config:
    from alembic.config import Config

    config = Config(output_buffer=output, attributes={"connection": connection, "schema": schema_of(connection)})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
