"""Commands that hand sealed contents to somebody entitled, and check what was handed over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.market import named
from adapters.cli.output import ALTERED, CANNOT_CHECK, INTACT, command, progress, show
from adapters.cli.reader import PolicyFile, read_bytes, read_history
from adapters.cli.trust import find_log
from adapters.cli.where import AsJson, Where, at_ledger
from provenance.disclosure import Counted, Disclosure, ItemVerdict, check_disclosure

__all__ = ["add_to"]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("disclose")(at_ledger(disclose))
    app.command("disclosed")(disclosed)


def disclose(
    out: Annotated[Path, typer.Argument(help="the tar file to write")],
    types: Annotated[list[str] | None, typer.Option("--type", help="every event of this type; repeat")] = None,
    start: Annotated[int, typer.Option("--from", min=0, help="first entry of the range")] = 0,
    stop: Annotated[int | None, typer.Option("--to", min=0, help="where the range ends; by default now")] = None,
    events: Annotated[list[str] | None, typer.Option("--event", help="id or ref of an event; repeat")] = None,
    fields: Annotated[list[str] | None, typer.Option("--field", help="a personal field to go along; repeat")] = None,
    ref: Annotated[str | None, typer.Option("--ref", help="your own name for it, such as audit:2026")] = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Write a disclosure package: sealed events, what it claims to be complete for, and a proof of each."""
    if not types and not events:
        msg = "want something to disclose: --type TYPE or --event EVENT"
        raise typer.BadParameter(msg)
    ledger = where.open()
    package = ledger.disclose(
        types=types or (),
        start=start,
        stop=stop,
        events=[named(ledger, each) for each in events or ()],
        fields=fields or (),
        ref=ref,
    )
    out.write_bytes(bytes(package))
    lines = [
        f"package   {out}, {len(package.entries)} events, for log {package.origin} at size {package.size}",
        *(f"claims    every {', '.join(c.types)} from #{c.start} to #{c.stop}" for c in package.claims),
        f"next: {command('disclosed', str(out), '--log', where.read_at, *where.reading[2:])}",
    ]
    value = {
        "file": str(out),
        "origin": package.origin,
        "size": package.size,
        "events": len(package.entries),
        "claims": [claim._asdict() for claim in package.claims],
    }
    show(value, as_json=as_json, text="\n".join(lines))


def disclosed(
    file: Annotated[Path, typer.Argument(help="a disclosure package")],
    log: Annotated[str | None, typer.Option("--log", help="where the log is published", metavar="FOLDER|URL")] = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> int:
    """Check a disclosure package against the published log: every item, and whether it is as complete as it claims."""
    package = Disclosure.parse(read_bytes(file))
    client = find_log(log, policy)
    with progress():
        history = read_history(client, package.contents)
    verdicts, counted = check_disclosure(package, history)
    lines = [f"{_mark(v.word)} #{v.idx:<6} {v.type} {v.field or v.event}: {_word(v)}" for v in verdicts[:_SHOWN]]
    if len(verdicts) > _SHOWN:
        lines.append(f"  and {len(verdicts) - _SHOWN} more: --json lists all")
    lines += [_count_line(each) for each in counted]
    lines.append(f"next: {command('audit', *([log] if log else []))}")
    value = {
        "origin": package.origin,
        "size": package.size,
        "items": [verdict._asdict() for verdict in verdicts],
        "claims": [{**each._asdict(), "complete": each.complete} for each in counted],
    }
    show(value, as_json=as_json, text="\n".join(lines))
    return _status(verdicts, counted)


def _status(verdicts: list[ItemVerdict], counted: list[Counted]) -> int:
    words: set[Any] = {verdict.word for verdict in verdicts}
    if "mismatch" in words:
        return ALTERED
    return CANNOT_CHECK if "missing" in words or not all(each.complete for each in counted) else INTACT


def _mark(word: str) -> str:
    return {"disclosed": "✔", "sealed": "◐", "erased": "◐", "missing": "?", "mismatch": "✕"}[word]


def _word(verdict: ItemVerdict) -> str:
    return verdict.word if verdict.erased_by is None else f"{verdict.word} by #{verdict.erased_by}"


def _count_line(each: Counted) -> str:
    claim = each.claim
    text = f"every {', '.join(claim.types)} from #{claim.start} to #{claim.stop}: {each.entries} in the log"
    text += f", {each.disclosed} disclosed, {each.erased} erased"
    if each.complete:
        return f"✔ complete  {text}"
    lacking = ", ".join(f"#{index}" for index in each.lacking[:5])
    return f"? incomplete  {text}, lacking {lacking}{' …' if len(each.lacking) > 5 else ''}"
