"""Commands that hand sealed contents to somebody entitled, and check what was handed over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.given import Ref, named, types_given
from adapters.cli.output import command, show, status_of
from adapters.cli.reader import Log, PolicyFile, read_history, read_package, where_read
from adapters.cli.trust import find_log, find_place
from adapters.cli.where import AsJson, Where, at_ledger
from ledger.policy import Policy
from provenance.disclosed import Counted, ItemVerdict, check_disclosure, verify_offline
from provenance.disclosure import Claim
from provenance.item import Item
from provenance.report import safe_text

__all__ = ["add_to"]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("disclose")(at_ledger(disclose))
    app.command("disclosed")(disclosed)


def disclose(
    out: Annotated[Path, typer.Argument(help="the tar file to write")],
    types: Annotated[list[str] | None, typer.Option("--type", help="every event of this type; repeat")] = None,
    start: Annotated[int, typer.Option("--from", min=0, help="first entry of the range that --type is about")] = 0,
    stop: Annotated[int | None, typer.Option("--to", min=0, help="first entry behind it; by default all")] = None,
    events: Annotated[list[str] | None, typer.Option("--event", help="id or ref of an event; repeat")] = None,
    fields: Annotated[list[str] | None, typer.Option("--field", help="a personal field to go along; repeat")] = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Write a disclosure package. Sealed events, a proof of each, and what it claims to be complete for."""
    if not types and not events:
        msg = "want something to disclose: --type TYPE or --event EVENT"
        raise typer.BadParameter(msg)
    if stop is not None and stop <= start:
        msg = f"--from {start} --to {stop}: that is no entry; --to is the first one behind them"
        raise typer.BadParameter(msg)
    ledger = where.open()
    package = ledger.disclose(
        types=types_given(ledger, types or ()),
        start=start,
        stop=stop,
        events=[named(ledger, each) for each in events or ()],
        fields=fields or (),
        ref=ref,
    )
    out.write_bytes(bytes(package))
    along = Counter(Item.parse(item).kind for item in package.items.values())
    counts = {field: along[field] for field in fields or ()}
    lines = [
        f"package   {out}, {len(package.entries)} events, for log {package.origin} at size {package.size}",
        *(f"claims    {_claimed(claim)}" for claim in package.claims),
        *(f"field     {field}: {number or 'none of these events has one'}" for field, number in counts.items()),
        f"next: {command('disclosed', str(out), '--log', where.read_at, *where.reading[2:])}",
    ]
    value = {
        "file": str(out),
        "origin": package.origin,
        "size": package.size,
        "events": len(package.entries),
        "fields": counts,
        "claims": [claim._asdict() for claim in package.claims],
    }
    show(value, as_json=as_json, text="\n".join(lines))


def disclosed(
    file: Annotated[Path, typer.Argument(help="a disclosure package")],
    log: Log = None,
    policy: PolicyFile = None,
    offline: Annotated[bool, typer.Option("--offline", help="by its proofs and your policy alone")] = False,
    as_json: AsJson = False,
) -> int:
    """Check a disclosure package against the published log.

    Every item, and whether it is as complete as it claims. --offline leaves the log out, and what only that can tell.
    """
    package = read_package(file)
    if offline:
        checked = verify_offline(package, Policy.parse(find_place("", policy, package.origin)[1]))
        next_ = command("disclosed", str(file), *where_read(log or ("LOG" if policy else None), policy))
    else:
        history = read_history(find_log(log, policy, None if log else package.origin), package.contents)
        checked = check_disclosure(package, history)
        next_ = command("audit", *([log] if log else []), *where_read(None, policy), "--disclosed", str(file))
    lines = [f"{package.origin}   made at size {package.size}, {package.claimed_at}"]
    lines += [_item_line(each) for each in checked.items[:_SHOWN]]
    if len(checked.items) > _SHOWN:
        lines.append(f"… and {len(checked.items) - _SHOWN} more: --json lists all")
    lines += [_count_line(each, offline) for each in checked.claims]
    lines += [f"Record: {checked.record}", f"next: {next_}"]
    value = {
        "record": checked.record,
        "origin": package.origin,
        "size": package.size,
        "claimed_at": package.claimed_at,
        "items": [each._asdict() for each in checked.items],
        "claims": [
            {**each._asdict(), "claim": each.claim._asdict(), "complete": each.complete} for each in checked.claims
        ],
    }
    show(value, as_json=as_json, text="\n".join(lines))
    return status_of(checked.record)


def _item_line(each: ItemVerdict) -> str:
    mark = {"disclosed": "✔", "sealed": "◐", "erased": "◐", "mismatch": "✕"}.get(each.word, "?")
    word = each.word if each.erased_by is None else f"{each.word} by #{each.erased_by}"
    place = "" if each.idx is None else f"#{each.idx} "
    detail = f" ({safe_text(each.detail, limit=200)})" if each.detail else ""
    return f"{mark} {place}{each.type} {safe_text(each.field or each.event, limit=80)}: {word}{detail}"


def _count_line(each: Counted, offline: bool) -> str:
    text = _claimed(each.claim)
    if offline:
        return f"? {text}: cannot check without the log"
    counted = f"{each.disclosed} disclosed, {each.erased} erased"
    if each.complete:
        return f"✔ complete    {text}: {each.entries} in the log, {counted}"
    if each.complete is None:
        return f"? {text}: {counted}; the rest is not yet published"
    lacking = ", ".join(f"#{index}" for index in each.lacking[:5])
    return f"? incomplete  {text}: {counted}, lacking {lacking}{' …' if len(each.lacking) > 5 else ''}"


def _claimed(claim: Claim) -> str:
    where = f"from #{claim.start} to #{claim.stop - 1}" if claim.stop > claim.start else "of no entries"
    return f"every {', '.join(claim.types)} {where}"
