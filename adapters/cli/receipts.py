"""The proof of an event in each of its forms, and COSE receipts that somebody handed over."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.given import file_given, named
from adapters.cli.output import command, show
from adapters.cli.trust import find_log, find_policy
from adapters.cli.where import AsJson, Where, at_ledger
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.merkle import tree_root
from ledger.receipt import parse_receipts
from provenance.ledger import ProvenanceLedger
from provenance.transparent import verify_receipt
from provenance.verdict import Verdict

__all__ = ["add_to", "is_receipt", "receipt_verdict"]

_COSE_SIGN1 = b"\xd2\x84"  # tag 18, a list of four: how every receipt and statement begins, and no medium
_STDOUT = "-"


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("receipt")(at_ledger(receipt))


def receipt(
    event: Annotated[str | None, typer.Argument(help="id or ref of an event")] = None,
    out: Annotated[
        str | None, typer.Option("--out", help="the file to write; - is standard output", metavar="FILE")
    ] = None,
    cose: Annotated[bool, typer.Option("--cose", help="as a COSE receipt (RFC 9942), for tools of SCITT")] = False,
    transparent: Annotated[
        bool, typer.Option("--transparent", help="the statement with its COSE receipt inside (RFC 9943)")
    ] = False,
    since: Annotated[
        int | None,
        typer.Option("--since", min=1, help="instead: a COSE receipt that the log grew from this size", metavar="SIZE"),
    ] = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Write the proof of an event. A .tlog-proof, or with the log's key a COSE receipt or transparent statement."""
    if (event is None) == (since is None) or (cose and transparent) or (since is not None and transparent):
        msg = "want an EVENT, with --cose, --transparent or neither; or --since SIZE alone"
        raise typer.BadParameter(msg)
    if as_json and out == _STDOUT:
        msg = "--json, --out -: want one of them on standard output"
        raise typer.BadParameter(msg)
    ledger = where.open(signs=cose or transparent or since is not None)
    name, data, value = _grown(ledger, since) if since is not None else _proof(ledger, str(event), cose, transparent)
    place = out or name
    next_ = command("verify", place if place != _STDOUT else name, *where.reading)
    if place == _STDOUT:
        sys.stdout.buffer.write(data)
        typer.echo(f"next: {next_}", err=True)
        return
    Path(place).write_bytes(data)
    if not (cose or transparent or since is not None):
        next_ = command("audit", where.read_at, *where.reading[2:])
    text = f"{place}, {len(data)} bytes, for log {ledger.origin} at size {value['size']}\nnext: {next_}"
    show({**value, "file": place, "origin": ledger.origin}, as_json=as_json, text=text)


def is_receipt(file: Path) -> bool:
    """Whether a file begins as a COSE receipt or transparent statement does."""
    try:
        with file.open("rb") as opened:
            return opened.read(2) == _COSE_SIGN1
    except OSError:
        return False  # whoever reads all of it says why


def receipt_verdict(
    file: Path, *, log: str | None, policy: Path | None, entry: Path | None, checkpoints: Sequence[Path]
) -> Verdict:
    """The answer for such a file: offline under a policy, or with the log at hand for what the file lacks."""
    if log is not None and checkpoints:
        msg = "--log, --checkpoint: want one of them, as the log shows every earlier size"
        raise typer.BadParameter(msg)
    data = file_given(file)
    statement, receipts = parse_receipts(data)
    issuer = receipts[0].issuer
    said = None if entry is None else file_given(entry)
    if log is None:
        accepted = find_policy(policy, issuer)
        opened = [open_checkpoint(file_given(path), accepted) for path in checkpoints]
        by_size = {each.size: each for each in opened if each.origin == issuer}
        verdict = verify_receipt(data, accepted, entry=said, known=by_size.get, subject=file.name)
    else:
        client = find_log(log, policy, issuer)
        if statement is None and said is None and receipts[0].kind == "inclusion":
            said = client.entry(receipts[0].numbers[1])
        verdict = verify_receipt(
            data, client.policy, entry=said, known=lambda size: _tree(client, size), subject=file.name
        )
    if verdict.record == "cannot check":
        more = [] if policy is None else ["--policy", str(policy)]
        return dataclasses.replace(verdict, next=command("verify", str(file), "--log", log or "FOLDER|URL", *more))
    return verdict


def _tree(client: Client, size: int) -> Checkpoint | None:
    """The log as it was at an earlier size, under the checkpoint of now."""
    now = client.checkpoint
    return Checkpoint(now.origin, size, tree_root(size, client.reader)) if size <= now.size else None


def _proof(
    ledger: ProvenanceLedger, event: str, cose: bool, transparent: bool
) -> tuple[str, bytes, dict[str, str | int]]:
    ticket = named(ledger, event)
    name = event[:16] if event == ticket else event.replace(":", "-").replace("/", "-")
    found = ledger.receipt(ticket)
    if transparent:
        form, data = "statement.cose", ledger.transparent_statement(ticket)
    elif cose:
        form, data = "receipt.cose", bytes(ledger.cose_receipt(ticket))
    else:
        form, data = "tlog-proof", bytes(found.proof)
    size = open_checkpoint(found.proof.checkpoint, ledger.log.policy).size
    return f"{name}.{form}", data, {"event": str(ticket), "index": found.index, "size": size}


def _grown(ledger: ProvenanceLedger, since: int) -> tuple[str, bytes, dict[str, str | int]]:
    made = ledger.cose_consistency(since)
    return f"since-{since}.receipt.cose", bytes(made), {"since": since, "size": made.numbers[1]}
