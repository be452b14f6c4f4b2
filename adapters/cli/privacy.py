"""Commands that make a market forget, and keep it from forgetting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer

from adapters.cli.given import WORK, Ref, Until, named, party_named, time_given
from adapters.cli.market import recorded
from adapters.cli.output import command, help_alone, show, working
from adapters.cli.where import AsJson, Where, at_ledger
from adapters.scrub import scrub
from provenance.desk.privacy import Kept
from provenance.ledger import ProvenanceLedger
from provenance.ticket import Ticket

__all__ = ["add_to"]

Targets = Annotated[list[str], typer.Argument(help="ids or refs of events, addresses of vault items")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for verb in (erase, takedown, scrub_):
        app.command(verb.__name__.rstrip("_"))(at_ledger(verb))
    hold = typer.Typer()
    hold.callback(invoke_without_command=True, help="Keep what must not be erased.")(help_alone)
    hold.command("set", help="Keep events and vault items from being erased.")(at_ledger(hold_))
    hold.command("release", help="End a hold.")(at_ledger(release))
    hold.command("list", help="List what is held.")(at_ledger(list_))
    app.add_typer(hold, name="hold")


def erase(
    targets: Annotated[list[str] | None, typer.Argument(help="ids or refs of events, addresses of items")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="every personal field about this party")] = None,
    basis: Annotated[str, typer.Option("--basis", help="the ground, such as gdpr-17")] = "gdpr-17",
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Erase personal fields and whole events, for good. What stays says why."""
    if not targets and subject is None:
        msg = "want something to erase: events, vault items, or --subject PARTY"
        raise typer.BadParameter(msg)
    ledger = where.open()
    done = ledger.erase(*_named(ledger, targets or []), subject=party_named(ledger, subject), basis=basis, ref=ref)
    lines = [
        *(f"erased    {address}" for address in done.erased),
        *(f"before    {address} was erased already" for address in done.before),
        *_kept(done.kept),
        *(f"copies    made from {count} x {kind} are beyond reach; the log tells them" for kind, count in done.notices),
    ]
    if done.erased:
        lines.append("gone from every answer; the bytes leave the files when scrubbed")
        lines.append(f"next: {command('scrub', *where.options)}")
    else:
        lines.append("nothing was erased by this")
        lines.append(f"next: {command(*(['hold', 'list'] if done.kept else ['status']), *where.options)}")
    value = {**asdict(done), "ticket": None if done.ticket is None else done.ticket.id}
    show(value, as_json=as_json, text="\n".join(lines))


def takedown(
    work: Annotated[str, typer.Argument(help="id or ref of the work")],
    reason: Annotated[str, typer.Option("--reason", help="one word, such as court-order")],
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Take a work down. No more licenses of it; its personal fields are erased, your own ref among them."""
    ledger = where.open()
    about = named(ledger, work, WORK)
    done = ledger.takedown(about, reason=reason, ref=ref)
    lines = [
        f"{done.ticket.type} {done.ticket.id}",
        f"work      {about}",
        *(f"erased    {address}" for address in done.erased),
        *_kept(done.kept),
        f"visible   {', '.join(done.visible)}",
        f"next: {command('scrub', *where.options)}",
    ]
    show({"work": str(about), **asdict(done), "ticket": done.ticket.id}, as_json=as_json, text="\n".join(lines))


def scrub_(*, where: Where, as_json: AsJson = False) -> None:
    """Rewrite the files that still hold bytes of what was erased."""
    with working("rewriting"):
        done = scrub(where.db, publish=where.shown, **where.parts)
    lines = [
        f"scrubbed  up to erasure #{done.erasure}" if done.erasure >= 0 else "scrubbed  nothing was ever erased",
        *(f"rewritten {name}" for name in done.rewritten),
        *(f"beyond    {what}" for what in done.beyond),
        f"next: {command('doctor', *where.options)}",
    ]
    show(done._asdict(), as_json=as_json, text="\n".join(lines))


def hold_(
    targets: Targets,
    ground: Annotated[str, typer.Option("--ground", help="why, in one word, such as tax-records")],
    until: Until = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Set a hold."""
    ledger = where.open()
    ticket = ledger.hold(*_named(ledger, targets), ground=ground, until=time_given("--until", until), ref=ref)
    recorded(ledger, ticket, as_json, command("hold", "release", ticket.id, *where.options))


def release(
    hold: Annotated[str, typer.Argument(help="id or ref of the hold")],
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Release a hold."""
    ledger = where.open()
    ticket = ledger.release_hold(named(ledger, hold, ("hold",)), ref=ref)
    recorded(ledger, ticket, as_json, command("hold", "list", *where.options))


def list_(*, where: Where, as_json: AsJson = False) -> None:
    """List holds."""
    ledger = where.open(signs=False)
    held = ledger.held()
    lines = [f"held      {address} by {hold}" for address, hold in held.items()]
    first = next(iter(held.values()), None)
    next_ = command(*(["event", "show", first] if first else ["status"]), *where.options)
    show({"held": held}, as_json=as_json, text="\n".join([*(lines or ["nothing is held"]), f"next: {next_}"]))


def _kept(kept: Iterable[Kept]) -> list[str]:
    return [f"kept      {each.address}: {each.reason}{f' {each.because}' if each.because else ''}" for each in kept]


def _named(ledger: ProvenanceLedger, targets: list[str]) -> list[Ticket | str]:
    return [named(ledger, target) for target in targets]
