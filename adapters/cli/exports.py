"""Commands that hand out what the log says, in formats of others."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.given import WORK, At, Ref, moment, named, party_named
from adapters.cli.output import command, help_alone, progress, show
from adapters.cli.where import AsJson, Where, at_ledger
from ledger.errors import Unavailable
from provenance.export import export_prov
from provenance.ticket import Ticket

__all__ = ["add_to"]

_WORKS = (*WORK, "alias", "version", "snapshot", "register_model")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True, help="Hand out what the log says, in formats of others.")(help_alone)
    group.command("prov")(at_ledger(prov))
    app.add_typer(group, name="export")


def prov(
    names: Annotated[
        list[str], typer.Argument(help="id or ref of the work, then the file to write", metavar="[WORK] OUT.json")
    ],
    party: Annotated[str | None, typer.Option("--party", help="everything about this party instead of a work")] = None,
    everything: Annotated[bool, typer.Option("--all", help="the whole log instead of a work")] = False,
    to: Annotated[str | None, typer.Option("--to", help="the party that gets it: then it is recorded")] = None,
    at: At = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Write the lineage of a work as PROV-JSON.

    Or all about a party, or the whole log. Nothing personal and nothing sealed is in it.
    """
    *works, out = names
    if len(works) + (party is not None) + everything != 1:
        msg = "want one of WORK OUT.json, --party PARTY OUT.json, --all OUT.json"
        raise typer.BadParameter(msg)
    if ref is not None and to is None:
        msg = "--ref: names what is recorded; want --to PARTY with it"
        raise typer.BadParameter(msg)
    ledger = where.open(signs=to is not None)
    work = str(named(ledger, works[0], _WORKS)) if works else None
    whom = None if party is None else str(party_named(ledger, party))
    with progress() as bars:
        found = export_prov(
            ledger.before(moment(at)),
            work=work,
            party=whom,
            progress=lambda done, total: bars("entries", done, total),
        )
    # Before anything leaves: what cannot be recorded does not.
    recorded = None
    if to is not None:
        digest, counts = sha256(found.data).hexdigest(), {"prov": 1, **found.records}
        recorded = ledger.record_export(digest, counts, to=party_named(ledger, to), subject=work or whom, ref=ref)
    try:
        Path(out).write_bytes(found.data)
    except OSError as error:
        msg = f"{out}: {error.strerror}"
        raise Unavailable(msg) from error
    value = {
        "file": out,
        "size": found.size,
        "time": found.time,
        "records": dict(found.records),
        "left": dict(found.left),
        "recorded": None if recorded is None else recorded.id,
    }
    lines = [
        f"wrote     {out}, {len(found.data)} bytes, read back and the same",
        f"as of     size {found.size}{f', {found.time}' if found.time else ''}",
        *(f"{number:>9} {kind}" for kind, number in found.records.items()),
        *(f"left out  {number} {kind}" for kind, number in found.left.items()),
        *([] if recorded is None else [f"recorded  {recorded.type} {recorded.id}"]),
        f"next: {_next(everything, recorded, where)}",
    ]
    show(value, as_json=as_json, text="\n".join(lines))


def _next(everything: bool, recorded: Ticket | None, where: Where) -> str:
    if recorded is not None:
        return command("event", "show", recorded.id, *where.options)
    if everything:
        return "any tool that reads PROV-JSON"
    return command("export", "prov", "--all", "log.json", *where.options)
