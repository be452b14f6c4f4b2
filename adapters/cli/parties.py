"""Commands about who acts: parties are listed and shown, mandates granted and revoked."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import typer

from adapters.cli.given import PARTY, WORK, At, Ref, Until, moment, named, time_given
from adapters.cli.market import recorded
from adapters.cli.nouns import personal_of
from adapters.cli.output import command, help_alone, show
from adapters.cli.where import AsJson, Where, at_ledger
from provenance.identity import Mandate, Party, PartyLink
from provenance.report import safe_text

__all__ = ["add_to"]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    party = typer.Typer()
    party.callback(invoke_without_command=True)(_party)
    party.command("list")(at_ledger(list_))
    party.command("show")(at_ledger(show_))
    app.add_typer(party, name="party")
    mandate = typer.Typer()
    mandate.callback(invoke_without_command=True)(_mandate)
    for verb in (grant, revoke):
        mandate.command(verb.__name__)(at_ledger(verb))
    mandate.command("list")(at_ledger(mandates))
    app.add_typer(mandate, name="mandate")


def _party(context: typer.Context) -> None:
    """Parties of the log: who acts, with which keys."""
    help_alone(context)


def _mandate(context: typer.Context) -> None:
    """Who speaks for whom."""
    help_alone(context)


def list_(
    kind: Annotated[str | None, typer.Option("--kind", help="only of this kind, such as person")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="how many at most")] = _SHOWN,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """List parties, the earliest first."""
    ledger = where.open(signs=False)
    entries = ledger.index.of_type("party.register")
    found: list[Party] = []
    for entry in entries:
        party = ledger.party(entry.event_id.hex())
        if kind is None or party.kind == kind:
            found.append(party)
        if len(found) == limit:
            break
    value = {"parties": [_party_value(party) for party in found], "registered": len(entries)}
    lines = [f"#{party.index:<6} {party.id.hex()}  {party.kind}, {_keys_text(party)}" for party in found]
    shown = f"{len(found)} shown of {len(entries)} registered"
    next_ = command("party", "show", found[0].id.hex() if found else "PARTY", *where.options)
    show(value, as_json=as_json, text="\n".join([*lines, shown, f"next: {next_}"]))


def show_(
    party: Annotated[str, typer.Argument(help="id or ref of a party")],
    at: At = None,
    disclose: Annotated[bool, typer.Option("--disclose", help="show what the vault holds of it too")] = False,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show a party, with keys, custody, mandates and links. Nothing personal without --disclose."""
    ledger = where.open(signs=False)
    who = str(named(ledger, party, PARTY))
    found = ledger.party(who, at=moment(at))
    granted = ledger.mandates_of(who, at=moment(at))
    held = ledger.mandates_of(agent=who, at=moment(at))
    links = ledger.links_of(who, at=moment(at))
    personal = personal_of(ledger, orjson.loads(ledger.event(who))) if disclose else {}
    value = {
        **_party_value(found),
        "keys": _spans(found),
        "rotation_keys": [key.jwk() for key in found.state.rotation],
        "mandates": [_mandate_value(mandate) for mandate in granted],
        "mandated_by": [_mandate_value(mandate) for mandate in held],
        "links": [_link_value(link) for link in links],
        **({"personal": personal} if disclose else {}),
    }
    lines = [
        f"party     {who}",
        f"kind      {found.kind}, registered at #{found.index}",
        f"custody   {_custody(found)}",
        *(f"key       {span['kid']} {span['curve']}, valid {_span_text(span)}" for span in _spans(found)),
        *(f"rotation  {key.kid.hex()} {key.curve}" for key in found.state.rotation),
        *(f"change    #{state.index} {state.reason}" for state in found.changes),
        *(f"mandate   {_mandate_text(mandate)}" for mandate in granted),
        *(f"agent of  {_mandate_text(mandate)}" for mandate in held),
        *(f"link      {link.scheme} {safe_text(link.other, limit=100)}: {link.state}, {link.why}" for link in links),
        *(f"{name:<9} {safe_text(text, limit=200)}" for name, text in personal.items()),
        f"next: {command('party', 'list', *where.options)}",
    ]
    show(value, as_json=as_json, text="\n".join(lines))


def grant(
    principal: Annotated[str, typer.Argument(help="id or ref of the party that is spoken for: yours, or one you keep")],
    agent: Annotated[str, typer.Option("--agent", help="id or ref of the party that may speak for it")],
    action: Annotated[list[str], typer.Option("--action", help="offer.attach, offer.* or *; repeat for several")],
    work: Annotated[list[str] | None, typer.Option("--work", help="only about this work; repeat for several")] = None,
    until: Until = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Let a party speak for another one."""
    ledger = where.open()
    ticket = ledger.mandate(
        named(ledger, principal, PARTY),
        agent=named(ledger, agent, PARTY),
        actions=action,
        works=[named(ledger, one, WORK) for one in work or ()],
        until=time_given("--until", until),
        ref=ref,
    )
    ending = command("mandate", "revoke", ticket.id, *where.options)
    recorded(ledger, ticket, as_json, f"to end it: {ending}")


def revoke(
    mandate: Annotated[str, typer.Argument(help="id or ref of a mandate")],
    reason: Annotated[str | None, typer.Option("--reason", help="one word")] = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """End a mandate: what the agent says from then on is refused."""
    ledger = where.open()
    ticket = ledger.revoke_mandate(named(ledger, mandate, ("mandate",)), reason=reason, ref=ref)
    recorded(ledger, ticket, as_json, command("status", *where.options))


def mandates(
    party: Annotated[str, typer.Argument(help="id or ref of a principal or an agent")],
    at: At = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """List what a party granted and what it holds, also what ended."""
    ledger = where.open(signs=False)
    who = str(named(ledger, party, PARTY))
    granted, held = ledger.mandates_of(who, at=moment(at)), ledger.mandates_of(agent=who, at=moment(at))
    value = {
        "granted": [_mandate_value(mandate) for mandate in granted],
        "held": [_mandate_value(mandate) for mandate in held],
    }
    lines = [
        *(f"granted  {_mandate_text(mandate)}" for mandate in granted),
        *(f"held     {_mandate_text(mandate)}" for mandate in held),
    ]
    next_ = command("party", "show", who, *where.options)
    show(value, as_json=as_json, text="\n".join([*(lines or ["no mandates"]), f"next: {next_}"]))


def _party_value(party: Party) -> dict[str, Any]:
    return {
        "party": party.id.hex(),
        "kind": party.kind,
        "index": party.index,
        "custodian": None if party.custodian is None or party.changes else party.custodian.hex(),
        "changes": [
            {
                "event": state.event_id.hex(),
                "index": state.index,
                "reason": state.reason,
                "void": state.event_id in party.voided,
            }
            for state in party.changes
        ],
        "active": party.state.reason != "deactivate",
    }


def _spans(party: Party) -> list[dict[str, Any]]:
    return [
        {"kid": span.key.kid.hex(), "curve": span.key.curve, "jwk": span.key.jwk(), "from": span.first, "to": span.last}
        for span in party.spans()
    ]


def _span_text(span: dict[str, Any]) -> str:
    return f"from #{span['from']}" + ("" if span["to"] is None else f" to #{span['to']}")


def _keys_text(party: Party) -> str:
    if party.state.reason == "deactivate":
        return "deactivated"
    number = len(party.state.keys)
    return "custodial" if not number and party.custodian else f"{number} key{'s' if number != 1 else ''}"


def _custody(party: Party) -> str:
    if party.custodian is None:
        return "none: it signs for itself"
    if party.changes:
        return f"claimed at #{party.changes[0].index}"
    return f"kept by {party.custodian.hex()}"


def _mandate_value(mandate: Mandate) -> dict[str, Any]:
    revoked = mandate.revoked
    return {
        "mandate": mandate.id.hex(),
        "index": mandate.index,
        "principal": mandate.principal.hex(),
        "agent": mandate.agent.hex(),
        "actions": list(mandate.actions),
        "works": sorted(work.hex() for work in mandate.works),
        "territories": list(mandate.territories),
        "from": mandate.since or None,
        "until": mandate.until or None,
        "state": mandate.state,
        "revoked": None if revoked is None else {"event": revoked.event_id.hex(), "index": revoked.idx},
    }


def _mandate_text(mandate: Mandate) -> str:
    works = f" about {len(mandate.works)} works" if mandate.works else ""
    until = f" until {mandate.until}" if mandate.until else ""
    where = f" for {', '.join(mandate.territories)}" if mandate.territories else ""
    ended = "" if mandate.state == "effective" else f", {mandate.state}"
    ended += "" if mandate.revoked is None else ", revoked"
    whom = f"{mandate.agent.hex()[:12]}… for {mandate.principal.hex()[:12]}…"
    return f"{mandate.id.hex()} #{mandate.index}: {whom}, {', '.join(mandate.actions)}{works}{where}{until}{ended}"


def _link_value(link: PartyLink) -> dict[str, Any]:
    return {**link._asdict(), "event_id": link.event_id.hex()}
