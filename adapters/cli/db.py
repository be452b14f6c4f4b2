"""Commands for the tables: which revision they are, and bringing them to this release."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from adapters.cli.output import ALTERED, INTACT, command, help_alone, show, working
from adapters.cli.where import AsJson, Database, Schema
from adapters.locations import database_url
from adapters.sql.store import SqlStore
from adapters.sql.upgrade import Plan, Step, downgrade, plan, upgrade
from adapters.sql.version import HEAD, read_version
from ledger.errors import NotFound

__all__ = ["add_to"]

_DB = "market.db"


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(_group)
    group.command("upgrade")(upgrade_)
    group.command("downgrade")(downgrade_)
    group.command("version")(version)
    app.add_typer(group, name="db")


def _group(context: typer.Context) -> None:
    """The tables of the ledger in the market's database."""
    help_alone(context)


def upgrade_(
    only_plan: Annotated[bool, typer.Option("--plan", help="show each step, its SQL and locks; run nothing")] = False,
    db: Database = _DB,
    schema: Schema = None,
    as_json: AsJson = False,
) -> int:
    """Bring the tables to this release. Every step is done whole or not at all."""
    store = SqlStore(database_url(db), schema=schema)
    planned = plan(store)
    if only_plan:
        next_ = command(*(["db", "upgrade"] if planned.steps else ["status"]), *_place(db, schema))
        show(_value(planned), as_json=as_json, text=f"{_text(planned)}\nnext: {next_}")
        return INTACT
    with working("upgrading"):
        done = upgrade(store)
    said = f"upgraded from {planned.found} to {HEAD}" if planned.steps else f"at revision {HEAD} already"
    value = {"from": planned.found, "to": HEAD, "run": done}
    show(value, as_json=as_json, text=f"{said}\nnext: {command('status', *_place(db, schema))}")
    return INTACT


def downgrade_(
    revision: Annotated[str, typer.Argument(help="the revision that the older release knows, such as 0001")],
    db: Database = _DB,
    schema: Schema = None,
    as_json: AsJson = False,
) -> int:
    """Undo what is newer than a revision. Before going back to an older release."""
    store = SqlStore(database_url(db), schema=schema)
    done = downgrade(store, revision)
    said = f"undone: {', '.join(done)}" if done else f"nothing is newer than {revision}"
    show({"undone": done}, as_json=as_json, text=f"{said}\nnext: install the release that knows {revision}")
    return INTACT


def version(db: Database = _DB, schema: Schema = None, as_json: AsJson = False) -> int:
    """Show the revision of the tables. 1 where this release wants another."""
    store = SqlStore(database_url(db), schema=schema)
    found = read_version(store.reading)
    if found is None:
        msg = f"{db}: no log was made in this database; `provenance init` makes one"
        raise NotFound(msg)
    same = found == HEAD
    next_ = command(*(["status"] if same else ["db", "upgrade", "--plan"]), *_place(db, schema))
    text = f"tables: revision {found}, this release wants {HEAD}\nnext: {next_}"
    show({"found": found, "wanted": HEAD}, as_json=as_json, text=text)
    return INTACT if same else ALTERED


def _place(db: str, schema: str | None) -> list[str]:
    return ["--db", db, *(["--schema", schema] if schema else [])]


def _value(planned: Plan) -> dict[str, Any]:
    steps = [{**step._asdict(), "locks": [lock._asdict() for lock in step.locks]} for step in planned.steps]
    return {"from": planned.found, "to": planned.wanted, "steps": steps}


def _text(planned: Plan) -> str:
    if not planned.steps:
        return f"tables: at revision {planned.wanted} already"
    lines = [f"tables: revision {planned.found}, this release wants {planned.wanted}; the market's own are not touched"]
    return "\n".join([*lines, *(line for step in planned.steps for line in _lines(step))])


def _lines(step: Step) -> list[str]:
    locks = [f"    locks {lock.table} ({lock.mode}: {lock.effect}; {lock.rows} rows in it)" for lock in step.locks]
    undone = "can be undone" if step.reversible else "cannot be undone: make a backup first"
    return [
        f"■ {step.revision} {step.title}",
        *(f"    {statement};" for statement in step.statements),
        *(locks or ["    locks nothing that is there already"]),
        f"    {undone}",
    ]
