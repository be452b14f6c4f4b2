"""Commands that look after a ledger: doctor, index rebuild, recover."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.market import AsJson, Database, Publish
from adapters.cli.output import ALTERED, INTACT, progress, show
from adapters.doctor import Finding, examine
from adapters.recover import rebuild_index, recover

__all__ = ["add_to"]

_DB = "market.db"
_PUBLIC = Path("public")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("doctor")(doctor)
    app.command("recover")(recover_)
    index = typer.Typer(no_args_is_help=True, help="The index: a cache that can be rebuilt at any time.")
    index.callback()(_group)
    index.command("rebuild")(rebuild)
    app.add_typer(index, name="index")


def _group() -> None:
    """The index: a cache that can be rebuilt at any time."""


def doctor(
    engine: Annotated[
        str | None, typer.Option("--engine", help="your own engine, as module:name", metavar="M:N")
    ] = None,
    production: Annotated[bool, typer.Option("--production", help="also refuse what is for development only")] = False,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> int:
    """One line for each check, each with its fix. Status 1 when something must be mended."""
    host = _load(engine) if engine else None
    findings = examine(db, publish=publish, engine=host, production=production)
    value = {"checks": [finding._asdict() for finding in findings]}
    show(value, as_json=as_json, text="\n".join(_line(finding) for finding in findings))
    return ALTERED if any(finding.status == "bad" for finding in findings) else INTACT


def rebuild(db: Database = _DB, as_json: AsJson = False) -> int:
    """Forget the index and derive it again from log and vault."""
    with progress() as bars:
        size = rebuild_index(db, progress=lambda done, total: bars("entries", done, total))
    show({"size": size}, as_json=as_json, text=f"index rebuilt: {size} entries\nnext: provenance status")
    return INTACT


def recover_(db: Database = _DB, publish: Publish = _PUBLIC, as_json: AsJson = False) -> int:
    """Bring a database that was put back behind what is published up to date from the public files."""
    with progress() as bars:
        report = recover(db, publish, progress=lambda done, total: bars("entries", done, total))
    value: dict[str, Any] = {
        "from": report.refilled.start,
        "to": report.refilled.stop,
        "lost": [{"index": index, "type": kind, "event": event} for index, kind, event in report.lost],
    }
    lines = [f"refilled entries {report.refilled.start} to {report.refilled.stop} from {publish}"]
    lines += [
        f"lost: #{i} {kind} {event}: sealed, its content was only in the database" for i, kind, event in report.lost
    ]
    lines.append("next: provenance status")
    show(value, as_json=as_json, text="\n".join(lines))
    return INTACT


def _line(finding: Finding) -> str:
    mark = {"ok": "■", "note": "□", "bad": "✕"}[finding.status]
    fix = f"\n    {finding.fix}".replace("\n", "\n    ").rstrip() if finding.fix else ""
    return f"{mark} {finding.name}: {finding.detail}{fix}"


def _load(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not colon:
        msg = f"{name!r}: want module:name of an SQLAlchemy Engine"
        raise typer.BadParameter(msg)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        msg = f"{name}: {error}"
        raise typer.BadParameter(msg) from error
