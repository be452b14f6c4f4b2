"""Commands that list and show what there is: works, models, datasets, events. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer

from adapters.cli.given import WORK, At, moment, named, types_given
from adapters.cli.output import command, help_alone, show
from adapters.cli.where import AsJson, Where, at_ledger
from ledger.errors import NotFound
from provenance.ledger import ProvenanceLedger
from provenance.questions import Kinship, Listed, Training
from provenance.report import safe_text

__all__ = ["add_to", "personal_of"]

Limit = Annotated[int, typer.Option("--limit", min=1, help="how many at most")]
Disclose = Annotated[bool, typer.Option("--disclose", help="show what the vault holds of it too")]

_WORKS = ("work.create", "work.derive")
_SHOWN = 20
_VERBS = {
    "work": WORK,
    "model": ("register_model",),
    "dataset": ("snapshot",),
    "event": (),
}
_TYPES: dict[str, tuple[str, ...]] = {
    "work": _WORKS,
    "model": ("model.register",),
    "dataset": ("dataset.snapshot",),
}


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for noun, about in (
        ("work", "Works: what they were made from, and what became of them."),
        ("model", "Models: who made them, from what they learned."),
        ("dataset", "Datasets: who made them, and which models learned from them."),
        ("event", "Any event of the log."),
    ):
        group = typer.Typer()
        group.callback(invoke_without_command=True, help=about)(help_alone)
        group.command("list", help=f"List {noun}s, the earliest first.")(at_ledger(_lists(noun)))
        group.command("show", help=f"Show one {noun}, and everything that was said of it.")(at_ledger(_shows(noun)))
        app.add_typer(group, name=noun)


def _lists(noun: str) -> Callable[..., None]:
    def list_(
        type_: Annotated[str | None, typer.Option("--type", help="only of this type, such as grant.issue")] = None,
        at: At = None,
        limit: Limit = _SHOWN,
        *,
        where: Where,
        as_json: AsJson = False,
    ) -> None:
        ledger = where.open(signs=False)
        when = moment(at)
        types = _TYPES.get(noun) or (types_given(ledger, [type_]) if type_ else tuple(ledger.counts(at=when)))
        if type_ is not None and type_ not in types:
            msg = f"--type {type_}: a {noun} is a {' or '.join(types)}"
            raise typer.BadParameter(msg)
        found = ledger.listed(*([type_] if type_ else types), at=when)
        rows = found.rows[:limit]
        value = {"size": found.size, "time": found.time, "number": len(found), "rows": [row._asdict() for row in rows]}
        lines = [_line(row) for row in rows]
        counted = f"{len(rows)} shown of {len(found)} at size {found.size}"
        next_ = command(noun, "show", rows[0].id if rows else noun.upper(), *where.options)
        show(value, as_json=as_json, text="\n".join([*lines, counted, f"next: {next_}"]))

    return list_


def _shows(noun: str) -> Callable[..., None]:
    def show_(
        name: Annotated[str, typer.Argument(help="its id, or the ref it was given")],
        at: At = None,
        disclose: Disclose = False,
        *,
        where: Where,
        as_json: AsJson = False,
    ) -> None:
        ledger = where.open(signs=False)
        event_id, when = str(named(ledger, name, _VERBS[noun])), moment(at)
        entry = ledger.before(when).index.find(bytes.fromhex(event_id))
        if entry is None:
            msg = f"{noun} {event_id}: not in the log{'' if at is None else f' at {at}'}"
            raise NotFound(msg)
        wanted = _TYPES.get(noun)
        if wanted is not None and entry.type not in wanted:
            msg = f"{event_id}: is a {entry.type}, want a {' or '.join(wanted)}; try `provenance event show`"
            raise NotFound(msg)
        value: dict[str, Any] = {
            "id": event_id,
            "type": entry.type,
            "index": entry.idx,
            "logged_at": ledger.index.time_of(entry.idx),
            "strength": entry.strength,
            "sealed": entry.sealed,
            "event": _event(ledger, event_id),
        }
        lines = [
            f"{entry.type:<9} {event_id}",
            f"place     #{entry.idx}, logged at {value['logged_at'] or 'the beginning'}, claimed {entry.claimed_at}",
            f"claim     {entry.strength or 'sealed, erased or unreadable'}",
        ]
        if forgotten := _gone(ledger, event_id):
            value["forgotten"] = forgotten
            lines.append(f"gone      {forgotten}")
        if entry.type in {*_WORKS, "model.register", "dataset.snapshot"}:
            _add_work(ledger, event_id, when, value, lines)
        said = ledger.about(event_id, at=when)
        value["about"] = [row._asdict() for row in said.rows]
        lines += [f"said      {_line(row)} ({row.role})" for row in said.rows[:_SHOWN]]
        if len(said) > _SHOWN:
            lines.append(f"          and {len(said) - _SHOWN} more: --json lists all")
        if disclose:
            value["personal"] = personal_of(ledger, value["event"])
            lines += [f"{name:<9} {safe_text(text, limit=200)}" for name, text in value["personal"].items()]
        lines.append(f"next: {command('proof', event_id, *where.reading)}")
        show(value, as_json=as_json, text="\n".join(lines))

    return show_


def _add_work(
    ledger: ProvenanceLedger, work: str, when: int | datetime | None, value: dict[str, Any], lines: list[str]
) -> None:
    """State, owners, offers, what is reserved, relatives, and the models that learned from it."""
    status = ledger.work_status(work, at=when)
    shares = ledger.shares_of(work, at=when)
    offers = ledger.offers_of(work, at=when)
    up, down = ledger.ancestors(work, at=when), ledger.descendants(work, at=when)
    trained = ledger.trained_on(work, at=when)
    reserved = ledger.reserved(work, at=when)
    value |= {
        "status": status._asdict(),
        "shares": shares,
        "offers": [offer._asdict() for offer in offers],
        "reserved": {use: each._asdict() for use, each in reserved.items()},
        "ancestors": [row._asdict() for row in up.rows],
        "descendants": [row._asdict() for row in down.rows],
        "trained": [row._asdict() for row in trained.rows],
    }
    lines.append(f"status    {status.state}{f', {status.reason}' if status.reason else ''}")
    lines += [f"share     {party} {units / 1_000_000:.6g} %" for party, units in shares.items()]
    lines += [f"offer     {offer.id} {safe_text(offer.license, limit=100)}" for offer in offers]
    lines += [f"reserved  {use}: {each.said}" for use, each in reserved.items()]
    lines += [_relative("from", row) for row in up.rows[:_SHOWN]]
    lines += [_relative("into", row) for row in down.rows[:_SHOWN]]
    lines += [_trained(row) for row in trained.rows[:_SHOWN]]


def _line(row: Listed) -> str:
    return f"#{row.idx:<6} {row.id}  {row.type}{', sealed' if row.sealed else ''}"


def _relative(word: str, row: Kinship) -> str:
    return f"{word:<9} {safe_text(row.id, limit=100)} {row.relation}, {row.depth} away"


def _trained(row: Training) -> str:
    since = ", reserved since" if row.reserved_since else ""
    return f"trained   {row.model} #{row.idx} on {row.basis}, {row.verdict}; reserved then: {row.reserved}{since}"


def _event(ledger: ProvenanceLedger, event_id: str) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = orjson.loads(ledger.event(event_id))
    except NotFound:
        return None
    return value


def personal_of(ledger: ProvenanceLedger, event: dict[str, Any] | None) -> dict[str, str]:
    """What the vault holds of an event, by name; what is not there any more says so."""
    found = {}
    for name, digest in (event or {"commits": {}})["commits"].items():
        item = ledger.item(bytes.fromhex(digest))
        found[name] = _gone(ledger, digest) or "not here" if item is None else str(item.value)
    return found


def _gone(ledger: ProvenanceLedger, address: str) -> str:
    """That something was erased, by which entry, and whether its bytes have left the files; "" where it was not."""
    found = ledger.forgotten(address)
    if found is None:
        return ""
    return f"erased by #{found.by}, {'scrubbed from the files' if found.scrubbed else 'not yet scrubbed'}"
