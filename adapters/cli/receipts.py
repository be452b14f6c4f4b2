"""The proof of an event in each of its forms, and the answer for one that somebody handed over."""

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
from ledger.note import Note
from ledger.proof import Proof
from ledger.receipt import parse_receipts
from provenance.ledger import ProvenanceLedger
from provenance.offline import verify_proof, verify_receipt
from provenance.proofs import read_signers
from provenance.verdict import Verdict

__all__ = ["add_to", "is_proof", "proof_verdict"]

_COSE_SIGN1 = b"\xd2\x84"  # tag 18, a list of four: how every receipt and statement begins, and no medium
_TLOG_PROOF = b"c2sp.org/tlog-proof@"
_FORMS = (".tlog-proof", ".receipt.cose")  # of a proof whose entry lies beside it
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
    name, data, entry, value = (
        _grown(ledger, since) if since is not None else _proof(ledger, str(event), cose, transparent)
    )
    place = out or name
    next_ = command("verify", place if place != _STDOUT else name, *where.reading)
    if place == _STDOUT:
        sys.stdout.buffer.write(data)
        typer.echo(f"next: {next_}", err=True)
        return
    files = [place]
    Path(place).write_bytes(data)
    if entry:
        files.append(str(_beside(Path(place), ".entry")))
        Path(files[1]).write_bytes(entry)
    about = f"for log {ledger.origin} at size {value['size']}"
    lines = [f"{files[0]}, {len(data)} bytes, {about}", *(f"{each}, what it is about" for each in files[1:])]
    text = "\n".join([*lines, f"next: {next_}"])
    show({**value, "files": files, "origin": ledger.origin}, as_json=as_json, text=text)


def is_proof(file: Path) -> bool:
    """Whether a file begins as a `.tlog-proof`, a COSE receipt or a transparent statement does."""
    try:
        with file.open("rb") as opened:
            begin = opened.read(len(_TLOG_PROOF))
    except OSError:
        return False  # whoever reads all of it says why
    return begin.startswith((_COSE_SIGN1, _TLOG_PROOF))


def proof_verdict(
    file: Path, *, log: str | None, policy: Path | None, entry: Path | None, checkpoints: Sequence[Path]
) -> Verdict:
    """The answer for such a file: offline under a policy, or with the log at hand for what the file lacks.

    The entry that it is about, and its event, may lie beside it.
    """
    if log is not None and checkpoints:
        msg = "--log, --checkpoint: want one of them, as the log shows every earlier size"
        raise typer.BadParameter(msg)
    data = file_given(file)
    said = file_given(entry) if entry is not None else _there(_beside(file, ".entry"))
    if data.startswith(_TLOG_PROOF):
        proof = Proof.parse(data)
        origin = Checkpoint.parse(Note.parse(proof.checkpoint).text).origin
        accepted = find_policy(policy, origin) if log is None else find_log(log, policy, origin).policy
        event = _there(_beside(file, ".event.json"))
        signers = read_signers(file)
        verdict = verify_proof(data, accepted, entry=said, event=event, signers=signers, subject=file.name)
    else:
        verdict = _receipt_verdict(file.name, data, said, log, policy, checkpoints)
    more = [] if policy is None else ["--policy", str(policy)]
    if verdict.record == "cannot check":
        return dataclasses.replace(verdict, next=command("verify", str(file), "--log", log or "FOLDER|URL", *more))
    if any(check.name == "event" for check in verdict.checks):  # all of it is here: the rest only the log can tell
        place = log or ("LOG" if more else None)
        return dataclasses.replace(verdict, next=command("audit", *([place] if place else []), *more))
    return verdict


def _receipt_verdict(
    name: str, data: bytes, entry: bytes | None, log: str | None, policy: Path | None, checkpoints: Sequence[Path]
) -> Verdict:
    statement, receipts = parse_receipts(data)
    issuer = receipts[0].issuer
    if log is None:
        accepted = find_policy(policy, issuer)
        opened = [open_checkpoint(file_given(path), accepted) for path in checkpoints]
        by_size = {each.size: each for each in opened if each.origin == issuer}
        return verify_receipt(data, accepted, entry=entry, known=by_size.get, subject=name)
    client = find_log(log, policy, issuer)
    if statement is None and entry is None and receipts[0].kind == "inclusion":
        entry = client.entry(receipts[0].numbers[1])
    return verify_receipt(data, client.policy, entry=entry, known=lambda size: _tree(client, size), subject=name)


def _beside(file: Path, suffix: str) -> Path:
    """Where something about the same event lies: SALE.entry beside SALE.tlog-proof and SALE.receipt.cose."""
    form = next((form for form in _FORMS if file.name.endswith(form)), file.suffix)
    return file.with_name(file.name.removesuffix(form) + suffix)


def _there(path: Path) -> bytes | None:
    return file_given(path) if path.is_file() else None


def _tree(client: Client, size: int) -> Checkpoint | None:
    """The log as it was at an earlier size, under the checkpoint of now."""
    now = client.checkpoint
    return Checkpoint(now.origin, size, tree_root(size, client.reader)) if size <= now.size else None


def _proof(
    ledger: ProvenanceLedger, event: str, cose: bool, transparent: bool
) -> tuple[str, bytes, bytes, dict[str, str | int]]:
    """Name and bytes of a proof, the entry where that is not in it, and what a program is told."""
    ticket = named(ledger, event)
    name = event[:16] if event == ticket else event.replace(":", "-").replace("/", "-")
    found = ledger.receipt(ticket)
    form, data, entry = _FORMS[0], bytes(found.proof), found.entry
    if cose:
        form, data = _FORMS[1], bytes(ledger.cose_receipt(ticket))
    elif transparent:
        form, data, entry = ".statement.cose", ledger.transparent_statement(ticket), b""
    size = open_checkpoint(found.proof.checkpoint, ledger.log.policy).size
    return name + form, data, entry, {"event": str(ticket), "index": found.index, "size": size}


def _grown(ledger: ProvenanceLedger, since: int) -> tuple[str, bytes, bytes, dict[str, str | int]]:
    made = ledger.cose_consistency(since)
    return f"since-{since}.receipt.cose", bytes(made), b"", {"since": since, "size": made.numbers[1]}
