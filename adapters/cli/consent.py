"""Commands about consent."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.cli.market import digest_given, named, recorded
from adapters.cli.nouns import At, moment
from adapters.cli.output import INTACT, command, help_alone, show
from adapters.cli.where import AsJson, Where, at_ledger

__all__ = ["add_to"]

Ref = Annotated[str | None, typer.Option("--ref", help="your own name for it, such as consent:7")]
Subject = Annotated[str, typer.Argument(help="id or ref of the person")]
Controller = Annotated[str, typer.Option("--controller", help="id or ref of who processes the data")]
Purposes = Annotated[list[str], typer.Option("--purpose", help="one word, such as voice-cloning; repeat for several")]
Notice = Annotated[str, typer.Option("--notice", help="the text that was shown: a file, or its SHA-256 in hex")]

_PARTY = ("register_party",)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True, help="Consent of people: record, withdraw, show.")(help_alone)
    for verb in (record, withdraw, receipt):
        group.command(verb.__name__)(at_ledger(verb))
    group.command("show")(at_ledger(show_))
    app.add_typer(group, name="consent")


def record(
    subject: Subject,
    controller: Controller,
    purpose: Purposes,
    notice: Notice,
    state: Annotated[str, typer.Option("--state", help="a consent status of W3C DPV")] = "ConsentGiven",
    basis: Annotated[str, typer.Option("--basis", help="a legal basis of W3C DPV")] = "Consent",
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Record the state of a consent; it is sealed."""
    ledger = where.open()
    ticket = ledger.consent(
        named(ledger, subject, _PARTY),
        controller=named(ledger, controller, _PARTY),
        purposes=purpose,
        notice=digest_given(notice),
        state=state,
        basis=basis,
        ref=ref,
    )
    recorded(ledger, ticket, as_json, command("consent", "receipt", ticket.id, *where.options))


def withdraw(
    subject: Subject,
    controller: Controller,
    purpose: Purposes,
    notice: Notice,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Record that the person withdraws a consent."""
    ledger = where.open()
    ticket = ledger.withdraw_consent(
        named(ledger, subject, _PARTY),
        controller=named(ledger, controller, _PARTY),
        purposes=purpose,
        notice=digest_given(notice),
        ref=ref,
    )
    recorded(ledger, ticket, as_json, command("consent", "receipt", ticket.id, *where.options))


def show_(
    subject: Subject,
    controller: Controller,
    purpose: Annotated[str, typer.Option("--purpose", help="one word")],
    at: At = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show whether a consent holds, now or at an earlier moment."""
    ledger = where.open(signs=False)
    who, whom = named(ledger, subject, _PARTY), named(ledger, controller, _PARTY)
    found = ledger.consent_of(who, controller=whom, purpose=purpose, at=moment(at))
    lines = [
        f"{purpose}: {found.state or 'nothing was ever said'}, {'valid' if found.valid else 'not valid'}",
        *([f"until     {found.expires}"] if found.expires else []),
        *(f"record    {event}" for event in found.events),
        f"next: {command('event', 'show', found.events[-1] if found.events else 'EVENT', *where.options)}",
    ]
    show(found._asdict(), as_json=as_json, text="\n".join(lines))


def receipt(
    consent: Annotated[str, typer.Argument(help="id or ref of the record")],
    *,
    where: Where,
) -> int:
    """The receipt of a recorded consent, as JSON (ISO/IEC TS 27560)."""
    ledger = where.open(signs=False)
    ticket = named(ledger, consent, ("consent", "withdraw_consent"))
    show(ledger.consent_receipt(ticket), as_json=True, text="")
    return INTACT
