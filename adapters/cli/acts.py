"""Commands for acts that need several words, for disputes, and for what somebody vouches for."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from adapters.cli.given import As, At, Ref, digest_given, moment, named, party_named, time_given
from adapters.cli.market import recorded
from adapters.cli.output import command, help_alone, show
from adapters.cli.where import AsJson, Where, at_ledger
from provenance.report import safe_text

__all__ = ["add_to"]

Dispute = Annotated[str, typer.Argument(help="id or ref of the dispute")]
Evidence = Annotated[str, typer.Option("--evidence", help="SHA-256 in hex of what shows it, or the file itself")]

_DISPUTE = ("dispute", "appeal")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    assent = typer.Typer()
    assent.callback(invoke_without_command=True, help="Answer acts that wait for somebody's word.")(help_alone)
    assent.command("give", help="Say yes or no to an act, for a party that you keep.")(at_ledger(give))
    assent.command("list", help="List the acts that wait, for whose word, and until when.")(at_ledger(waiting))
    assent.command("show", help="Show where an act stands.")(at_ledger(standing))
    app.add_typer(assent, name="assent")
    dispute = typer.Typer()
    dispute.callback(invoke_without_command=True, help="Open, judge and end disputes.")(help_alone)
    dispute.command("open", help="Open a dispute about a work or any other event.")(at_ledger(open_))
    dispute.command("judge", help="Judge a dispute, or its appeal, once.")(at_ledger(judge))
    dispute.command("appeal", help="Open a judged dispute again, with new evidence.")(at_ledger(appeal))
    dispute.command("resolve", help="End a judged dispute.")(at_ledger(resolve))
    dispute.command("cancel", help="Take a dispute back before it is judged.")(at_ledger(cancel))
    dispute.command("list", help="List disputes that are not over, and what they tag.")(at_ledger(disputes))
    app.add_typer(dispute, name="dispute")
    app.command("attest", help="Vouch for something of a party, a work or any other event.")(at_ledger(attest))


def give(
    act: Annotated[str, typer.Argument(help="id or ref of the act")],
    answer: Annotated[Literal["yes", "no"], typer.Argument(help="the answer")] = "yes",
    party: As = None,
    reason: Annotated[str | None, typer.Option("--reason", help="one word")] = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Answer an act."""
    ledger = where.open()
    about = named(ledger, act)
    ticket = ledger.assent(about, party=party_named(ledger, party), answer=answer, reason=reason, ref=ref)
    found = ledger.agreement(about)
    more = () if found is None else (f"the act is {found.state}",)
    recorded(ledger, ticket, as_json, command("assent", "list", *where.options), *more)


def waiting(at: At = None, *, where: Where, as_json: AsJson = False) -> None:
    """List what waits."""
    ledger = where.open(signs=False)
    found = ledger.pending(at=moment(at))
    value = {"size": found.size, "time": found.time, "acts": [row._asdict() for row in found.rows]}
    lines = [
        f"#{row.idx:<6} {row.id}  {row.type}, until {row.until or 'no time is known'}, lacks {', '.join(row.missing)}"
        for row in found.rows
    ]
    answer = ["assent", "give", found.rows[0].id, "--as", "PARTY"] if found.rows else ["status"]
    next_ = command(*answer, *where.options)
    text = "\n".join([*(lines or ["nothing waits for anybody's word"]), f"next: {next_}"])
    show(value, as_json=as_json, text=text)


def standing(
    act: Annotated[str, typer.Argument(help="id or ref of the act")],
    at: At = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Show one act."""
    ledger = where.open(signs=False)
    event = str(named(ledger, act))
    found = ledger.agreement(event, at=moment(at))
    if found is None:
        show({"act": event, "state": None}, as_json=as_json, text=f"{event}: not in the log yet, or not readable here")
        return 2
    lines = [
        f"act       {event}",
        f"state     {found.state}{f', until {found.until}' if found.until else ''}",
        *([f"because   {found.reason}"] if found.reason else []),
        *(f"yes       {party}" for party in found.yes),
        *(f"no        {party}" for party in found.no),
        *(f"lacks     {party}" for party in found.missing),
        f"next: {command('event', 'show', event, *where.options)}",
    ]
    show({"act": event, **found._asdict()}, as_json=as_json, text="\n".join(lines))
    return 0


def open_(
    target: Annotated[str, typer.Argument(help="id or ref of what is disputed")],
    tag: Annotated[str, typer.Option("--tag", help="what is wrong, in one word of the vocabulary dispute-tag")],
    evidence: Evidence,
    party: As = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Open a dispute."""
    ledger = where.open()
    ticket = ledger.dispute(
        named(ledger, target),
        tag=tag,
        evidence=digest_given(evidence),
        actor=party_named(ledger, party),
        ref=ref,
    )
    recorded(ledger, ticket, as_json, command("dispute", "judge", ticket.id, "upheld", *where.options))


def attest(
    subject: Annotated[str, typer.Argument(help="id or ref of what it is about")],
    claim: Annotated[str, typer.Option("--claim", help="what, in one word, such as rights-cleared")],
    expires: Annotated[
        str, typer.Option("--expires", help="log time at which it ends", metavar="2027-01-31T00:00:00Z")
    ],
    party: As = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Attest something."""
    ledger = where.open()
    about, who = named(ledger, subject), party_named(ledger, party)
    ticket = ledger.attest(about, claim=claim, expires=time_given("--expires", expires), actor=who, ref=ref)
    recorded(ledger, ticket, as_json, command("event", "show", str(about), *where.options))


def judge(
    dispute: Annotated[str, typer.Argument(help="id or ref of the dispute, or of its appeal")],
    decision: Annotated[Literal["upheld", "dismissed"], typer.Argument(help="the decision")],
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Judge a dispute."""
    ledger = where.open()
    ticket = ledger.judge(named(ledger, dispute, _DISPUTE), decision, ref=ref)
    recorded(ledger, ticket, as_json, command("dispute", "list", *where.options))


def appeal(
    dispute: Dispute,
    evidence: Evidence,
    party: As = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Appeal a judgment."""
    ledger = where.open()
    ticket = ledger.appeal(
        named(ledger, dispute, _DISPUTE), evidence=digest_given(evidence), actor=party_named(ledger, party), ref=ref
    )
    recorded(ledger, ticket, as_json, command("dispute", "judge", ticket.id, "dismissed", *where.options))


def resolve(
    dispute: Dispute,
    party: As = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """End a judged dispute."""
    ledger = where.open()
    ticket = ledger.resolve_dispute(named(ledger, dispute, _DISPUTE), actor=party_named(ledger, party), ref=ref)
    recorded(ledger, ticket, as_json, command("dispute", "list", *where.options))


def cancel(
    dispute: Dispute,
    party: As = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Take a dispute back."""
    ledger = where.open()
    ticket = ledger.cancel_dispute(named(ledger, dispute, _DISPUTE), actor=party_named(ledger, party), ref=ref)
    recorded(ledger, ticket, as_json, command("dispute", "list", *where.options))


def disputes(at: At = None, *, where: Where, as_json: AsJson = False) -> None:
    """List disputes."""
    ledger = where.open(signs=False)
    found = ledger.open_disputes(at=moment(at))
    value = {"size": found.size, "time": found.time, "disputes": [row._asdict() for row in found.rows]}
    lines = [
        f"{row.id}  {row.state}, {safe_text(row.tag, limit=100)}: {row.target} and {len(row.tagged) - 1} that derive "
        "from it"
        for row in found.rows
    ]
    next_ = command(*(["dispute", "judge", found.rows[0].id, "upheld"] if found.rows else ["status"]), *where.options)
    show(value, as_json=as_json, text="\n".join([*(lines or ["no dispute is open"]), f"next: {next_}"]))
