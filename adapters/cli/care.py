"""Commands that look after a ledger: doctor, index rebuild, recover."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from adapters.cli.output import ALTERED, INTACT, command, help_alone, progress, show
from adapters.cli.passphrase import passphrase
from adapters.cli.where import AsJson, Where, at_ledger
from adapters.doctor import Finding, examine
from adapters.recover import rebuild_index, recover

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("doctor")(at_ledger(doctor))
    app.command("recover")(at_ledger(recover_))
    index = typer.Typer()
    index.callback(invoke_without_command=True)(_index)
    index.command("rebuild")(at_ledger(rebuild))
    app.add_typer(index, name="index")


def _index(context: typer.Context) -> None:
    """The index: a cache that can be rebuilt at any time."""
    help_alone(context)


def doctor(
    engine: Annotated[
        str | None, typer.Option("--engine", help="your own engine, as module:name", metavar="M:N")
    ] = None,
    alembic: Annotated[
        Path | None, typer.Option("--alembic", help="your alembic.ini or env.py, to look into", metavar="FILE")
    ] = None,
    production: Annotated[bool, typer.Option("--production", help="also refuse what is for development only")] = False,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Say what is wrong, each with its fix; 1 if one must be mended."""
    host, is_async = _load(engine) if engine else (None, False)

    def look() -> list[Finding]:
        return examine(
            where.db,
            publish=where.shown,
            passphrase=passphrase,
            engine=host,
            env=alembic,
            production=production,
            **where.parts,
        )

    findings = asyncio.run(greenlet_spawn(look)) if is_async else look()
    value = {"checks": [finding._asdict() for finding in findings]}
    bad = any(finding.status == "bad" for finding in findings)
    fixes = [where.leading(finding.fix) for finding in findings if finding.fix.startswith("provenance ")]
    again = ["doctor", *(["--engine", engine] if engine else []), *(["--production"] if production else [])]
    next_ = command(*(again if bad else ["status"]), *where.options)
    lines = [*(_line(finding) for finding in findings), f"next: {fixes[0] if fixes else next_}"]
    show(value, as_json=as_json, text="\n".join(lines))
    return ALTERED if bad else INTACT


def rebuild(
    into: Annotated[str | None, typer.Option("--into", help="move it: another database to keep it in")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="check every statement's signature on the way")] = False,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Derive the index again from log and vault. The market runs on beside it."""
    with progress() as bars:
        size = rebuild_index(
            where.db,
            into=into,
            verify=verify,
            progress=lambda done, total: bars("entries", done, total),
            **where.parts,
        )
    checked = ", every signature checked" if verify else ""
    said = f"index rebuilt: {size} entries{checked}"
    next_ = command("status", *where.options)
    if into is not None:
        said += "\nevery process that connects with index= and this URL uses it from now on, and lets it follow the log"
    value = {"size": size, "verified": verify, "moved": into is not None}
    show(value, as_json=as_json, text=f"{said}\nnext: {next_}")
    return INTACT


def recover_(*, where: Where, as_json: AsJson = False) -> int:
    """Refill a database that is behind what was published.

    All entries and open events come back from the public files, verified; sealed events that only the lost database
    held are listed.
    """
    with progress() as bars:
        report = recover(
            where.db, where.shown, progress=lambda done, total: bars("entries", done, total), **where.parts
        )
    value: dict[str, Any] = {
        "from": report.refilled.start,
        "to": report.refilled.stop,
        "lost": [{"index": index, "type": kind, "event": event} for index, kind, event in report.lost],
    }
    if report.refilled:
        first, last = report.refilled[0], report.refilled[-1]
        lines = [f"refilled {len(report.refilled)} entries, #{first} to #{last}, from {where.read_at}"]
    else:
        lines = [f"nothing to refill: {where.db} holds all that {where.read_at} shows"]
    lines += [
        f"lost: #{i} {kind} {event}: sealed, its content was only in the database" for i, kind, event in report.lost
    ]
    lines.append(f"next: {command('status', *where.options)}")
    show(value, as_json=as_json, text="\n".join(lines))
    return INTACT


def _line(finding: Finding) -> str:
    mark = {"ok": "■", "note": "□", "bad": "✕"}[finding.status]
    fix = f"\n    {finding.fix}" if finding.fix else ""
    # Not indented: these lines are there to be pasted.
    lines = f"\n\n{finding.lines}" if finding.lines else ""
    return f"{mark} {finding.name}: {finding.detail}{fix}{lines}"


def _load(name: str) -> tuple[Engine, bool]:
    """The market's own engine, and whether it is an asynchronous one."""
    module, colon, attribute = name.partition(":")
    if not colon:
        msg = f"{name!r}: want module:name of an SQLAlchemy Engine"
        raise typer.BadParameter(msg)
    if "" not in sys.path:
        sys.path.insert(0, "")  # the market's modules, from where the command was typed
    try:
        engine = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # another's module may raise anything
        msg = f"{name}: {type(error).__name__}: {error}"
        raise typer.BadParameter(msg) from error
    if isinstance(engine, AsyncEngine):
        return engine.sync_engine, True
    if not isinstance(engine, Engine):
        msg = f"{name}: is of type {type(engine).__name__}, want an SQLAlchemy Engine or AsyncEngine"
        raise typer.BadParameter(msg)
    return engine, False
