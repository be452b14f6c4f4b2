"""Commands about consent, and about what is reserved from programs that learn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.given import (
    PARTY,
    WORK,
    As,
    At,
    Ref,
    digest_given,
    file_given,
    moment,
    named,
    party_named,
    time_given,
)
from adapters.cli.market import recorded
from adapters.cli.output import INTACT, command, help_alone, show
from adapters.cli.where import AsJson, Where, at_ledger

__all__ = ["add_to"]

Subject = Annotated[str, typer.Argument(help="id or ref of the person")]
Controller = Annotated[str, typer.Option("--controller", help="id or ref of who processes the data")]
Purposes = Annotated[list[str], typer.Option("--purpose", help="one word, such as voice-cloning; repeat for several")]
Work = Annotated[str | None, typer.Option("--work", help="id or ref of the work that it is about")]
Notice = Annotated[str, typer.Option("--notice", help="the text that was shown: a file, or its SHA-256 in hex")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True, help="Consent of people: record, withdraw, show.")(help_alone)
    for verb in (record, withdraw, receipt):
        group.command(verb.__name__)(at_ledger(verb))
    group.command("show")(at_ledger(show_))
    app.add_typer(group, name="consent")
    app.command("reserve")(at_ledger(reserve))


def record(
    subject: Subject,
    controller: Controller,
    purpose: Purposes,
    notice: Notice,
    state: Annotated[str, typer.Option("--state", help="a consent status of W3C DPV")] = "ConsentGiven",
    basis: Annotated[str, typer.Option("--basis", help="a legal basis of W3C DPV")] = "Consent",
    expires: Annotated[
        str | None, typer.Option("--expires", help="log time at which it ends", metavar="2027-01-31T00:00:00Z")
    ] = None,
    work: Work = None,
    party: As = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Record the state of a consent; it is sealed."""
    ledger = where.open()
    ticket = ledger.consent(
        named(ledger, subject, PARTY),
        controller=named(ledger, controller, PARTY),
        purposes=purpose,
        notice=digest_given(notice),
        state=state,
        basis=basis,
        expires=time_given("--expires", expires),
        work=None if work is None else named(ledger, work, WORK),
        actor=party_named(ledger, party),
        ref=ref,
    )
    recorded(ledger, ticket, as_json, command("consent", "receipt", ticket.id, *where.options))


def withdraw(
    subject: Subject,
    controller: Controller,
    purpose: Purposes,
    notice: Notice,
    work: Work = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Record that the person withdraws a consent."""
    ledger = where.open()
    ticket = ledger.withdraw_consent(
        named(ledger, subject, PARTY),
        controller=named(ledger, controller, PARTY),
        purposes=purpose,
        notice=digest_given(notice),
        work=None if work is None else named(ledger, work, WORK),
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
    who, whom = named(ledger, subject, PARTY), named(ledger, controller, PARTY)
    found = ledger.consent_of(who, controller=whom, purpose=purpose, at=moment(at))
    lines = [
        f"{purpose}: {found.state or 'nothing is on record'}, {'valid' if found.valid else 'not valid'}",
        *([f"until     {found.expires}"] if found.expires else []),
        *(f"record    {event}" for event in found.events),
        f"next: {command(*(['event', 'show', found.events[-1]] if found.events else ['status']), *where.options)}",
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


def reserve(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    statements: Annotated[
        list[str],
        typer.Argument(help="what is said of each use: allow, disallow or constrained", metavar="USE=WORD..."),
    ],
    start: Annotated[
        str | None,
        typer.Option("--from", help="log time from which on it holds [default: now]", metavar="2027-01-31T00:00:00Z"),
    ] = None,
    replaces: Annotated[
        str | None, typer.Option("--replaces", help="the declaration that it takes the place of")
    ] = None,
    raw: Annotated[Path | None, typer.Option("--raw", help="the file it was found in; its SHA-256 is kept")] = None,
    source: Annotated[str, typer.Option("--source", help="the vocabulary it was found in, such as cawg-1.1")] = "own",
    table: Annotated[str, typer.Option("--table", help="by which it was brought into these uses")] = "ai-use-1",
    party: As = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Record what is reserved of a work. For example: reserve photo:7 train=disallow search=allow.

    Uses are train, train_generative, inference_input, index, mining, search. Not retroactive.
    """
    said = _said(statements)
    ledger = where.open()
    about = named(ledger, work, WORK)
    ticket = ledger.reserve(
        about,
        said,
        source=source,
        table=table,
        raw=None if raw is None else file_given(raw),
        valid_from=time_given("--from", start),
        replaces=None if replaces is None else named(ledger, replaces, ("reserve",)),
        actor=party_named(ledger, party),
        ref=ref,
    )
    recorded(ledger, ticket, as_json, command("work", "show", str(about), *where.options))


def _said(statements: list[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for statement in statements:
        use, sign, word = statement.partition("=")
        if not sign:
            msg = f"{statement}: want a use and what is said of it, such as train=disallow"
            raise typer.BadParameter(msg)
        if said.setdefault(use, word) != word:
            msg = f"{statement}: {use}={said[use]} is said too"
            raise typer.BadParameter(msg)
    return said
