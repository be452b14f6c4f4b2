"""Commands of auditors and creators: they need public files and a policy, no database and no key."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.output import INTACT, echo, fail, progress, show, status_of
from adapters.cli.trust import accept, find_log, offered
from adapters.connect import connect, open_log
from adapters.files import Directory
from ledger.checkpoint import open_checkpoint
from ledger.client import Client
from ledger.copy import copy_log
from ledger.errors import NotFound
from ledger.policy import Policy
from provenance.audit import Audit
from provenance.audit import audit as run_audit
from provenance.content import read_manifest
from provenance.history import History
from provenance.holdings import audit_holdings
from provenance.proofs import write_proof
from provenance.report import as_json as verdict_json
from provenance.report import render_html, render_text
from provenance.verdict import Verdict
from provenance.verify import verify as run_verify
from provenance.verify import verify_work

__all__ = ["add_to"]

Log = Annotated[str | None, typer.Option("--log", help="where the log is published", metavar="FOLDER|URL")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="whose signatures you accept")]
Anchors = Annotated[Path | None, typer.Option("--anchors", help="certificates (PEM) you trust to sign manifests")]
Html = Annotated[Path | None, typer.Option("--html", help="write the page here")]
AsJson = Annotated[bool, typer.Option("--json", help="the same answer as JSON")]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (verify, trace, proof, trust, audit):
        app.command(command.__name__)(command)
    log = typer.Typer(no_args_is_help=True, help="Published logs as files.")
    log.command("export")(export)
    app.add_typer(log, name="log")


def verify(
    file: Annotated[Path, typer.Argument(help="the file to verify")],
    log: Log = None,
    policy: PolicyFile = None,
    anchors: Anchors = None,
    html: Html = None,
    as_json: AsJson = False,
) -> int:
    """Verify a file: manifest, ingredients, log, signer, event, terms and credits, each apart."""
    return _answer(_verdict(file, log, policy, anchors), html, as_json)


def trace(
    work: Annotated[str, typer.Argument(help="a file, or the id of a work")],
    log: Log = None,
    policy: PolicyFile = None,
    anchors: Anchors = None,
    html: Html = None,
    as_json: AsJson = False,
) -> int:
    """Show what a work was made from and what was made from it; `--html` draws it."""
    path = Path(work)
    if len(work) == 64 and not path.exists():
        return _answer(verify_work(work, _history(find_log(log, policy))), html, as_json)
    return _answer(_verdict(path, log, policy, anchors), html, as_json)


def proof(
    work: Annotated[str, typer.Argument(help="a file, or the id of an event")],
    folder: Annotated[Path, typer.Argument(help="where the proof goes")] = Path("proofs"),
    log: Log = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> int:
    """Write a proof that a person can keep: proof, entry and event, with those of the signer's registration."""
    history = _history(find_log(log, policy))
    path = Path(work)
    name, event = (work[:16], work) if not path.is_file() else (path.name, "")
    if not event:
        verdict = run_verify(path, history)
        event = verdict.work
    entry = history.index.find(bytes.fromhex(event)) if len(event) == 64 else None
    if entry is None:
        msg = f"{work}: not in the log {history.log.checkpoint.origin} at size {history.log.checkpoint.size}"
        raise NotFound(msg)
    written = write_proof(folder, name, history, entry)
    value = {"index": entry.idx, "files": [str(p) for p in written]}
    lines = [*(str(p) for p in written), f"next: sha256sum {written[2]}   # the event id inside the entry"]
    show(value, as_json=as_json, text="\n".join(lines))
    return INTACT


def trust(
    location: Annotated[str, typer.Argument(help="where the log is published", metavar="FOLDER|URL")],
    yes: Annotated[bool, typer.Option("--yes", help="accept without asking")] = False,
    as_json: AsJson = False,
) -> int:
    """Accept a log's key once; compare what is shown with what the market says elsewhere."""
    key = offered(location)
    client = open_log(location, Policy.of(key))
    history_genesis = client.entry(0)
    from provenance.statement import Statement

    genesis = Statement.parse(history_genesis).event_id.hex()
    value = {"origin": key.name, "key": str(key), "genesis": genesis}
    text = f"origin   {key.name}\nlog key  {key}\ngenesis  {genesis}"
    if not yes:
        typer.echo(text + "\nCompare these with what the market publishes elsewhere.", err=True)
        typer.confirm("Accept this key for this origin from now on?", abort=True, err=True)
    path = accept(key, location)
    show(
        {**value, "policy": str(path)},
        as_json=as_json,
        text=f"{text}\naccepted in {path}\nnext: provenance verify FILE",
    )
    return INTACT


def audit(
    location: Annotated[str | None, typer.Argument(help="where the log is published", metavar="FOLDER|URL")] = None,
    policy: PolicyFile = None,
    since: Annotated[Path | None, typer.Option("--since", help="checkpoint of an earlier audit")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="keep the checkpoint here for the next audit")] = None,
    db: Annotated[str | None, typer.Option("--db", help="operators: compare this vault and index as well")] = None,
    as_json: AsJson = False,
) -> int:
    """Check every tile, entry, statement, signer and event of a published log."""
    client = find_log(location, policy)
    old = None
    if since is not None:
        old = open_checkpoint(_bytes(since), client.policy)
    ledger = connect(db) if db else None
    vault = ledger.disclosures() if ledger else {}
    with progress() as bars:
        report = run_audit(client, since=old, disclosed=vault, progress=bars)
    if ledger is not None:
        held = audit_holdings(report.history, vault=vault, index=ledger.index)
        report = dataclasses.replace(report, findings=(*report.findings, *held))
    if save is not None:
        save.write_bytes(report.checkpoint.signed)
    echo(json.dumps(_audit_value(report), indent=2, ensure_ascii=False) if as_json else _audit_text(report, location))
    return status_of(report.record)


def export(
    folder: Annotated[Path, typer.Argument(help="where the copy goes")],
    log: Log = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> int:
    """Copy a published log, verified, to a folder that any web server can serve."""
    client = find_log(log, policy)
    with progress() as bars:
        copied = copy_log(client, Directory(folder), progress=lambda done, total: bars("tiles", done, total))
    value = {"origin": copied.origin, "size": copied.size, "folder": str(folder)}
    text = f"{copied.origin}: {copied.size} entries in {folder}\nnext: provenance audit {folder} --policy FILE"
    show(value, as_json=as_json, text=text)
    return INTACT


def _verdict(file: Path, log: str | None, policy: Path | None, anchors: Path | None) -> Verdict:
    pem = _bytes(anchors).decode("ascii", "replace") if anchors else None
    manifest = read_manifest(file, anchors=pem)
    origin = manifest.reference[0] if manifest is not None and manifest.reference and log is None else None
    history = _history(find_log(log, policy, origin))
    with progress() as bars:
        verdict = run_verify(file, history, anchors=pem, progress=lambda done, total: bars("file", done, total))
    if not verdict.work:
        return verdict
    words = [
        "provenance",
        "trace",
        str(file),
        *(["--log", log] if log else []),
        *(["--policy", str(policy)] if policy else []),
    ]
    return dataclasses.replace(verdict, next=f"{shlex.join(words)} --html trace.html")


def _history(client: Client) -> History:
    with progress() as bars:
        return History.read(client, progress=lambda done, total: bars("entries", done, total))


def _answer(verdict: Verdict, html: Path | None, as_json: bool) -> int:
    if html is not None:
        html.write_text(render_html(verdict), encoding="utf-8")
        fail(f"page written to {html}")
    echo(verdict_json(verdict) if as_json else render_text(verdict, color=_color()))
    return status_of(verdict.record)


def _color() -> bool:
    from rich.console import Console

    return Console().color_system is not None


def _audit_value(report: Audit) -> dict[str, Any]:
    return {
        "record": report.record,
        "origin": report.checkpoint.origin,
        "size": report.checkpoint.size,
        "root": report.checkpoint.root.hex(),
        "types": dict(report.counts),
        "events": dict(report.statuses),
        "findings": [dataclasses.asdict(finding) for finding in report.findings],
    }


def _audit_text(report: Audit, location: str | None) -> str:
    size = report.checkpoint.size
    statuses = "  ".join(f"{word} {number}" for word, number in report.statuses.items())
    lines = [
        f"{report.checkpoint.origin}   size {size}   root {report.checkpoint.root.hex()}",
        f"types    {'  '.join(f'{kind} {number}' for kind, number in report.counts.items())}",
        f"events   {statuses}",
    ]
    lines += [f"{'✕' if f.altered else '?'} #{f.index} {f.rule}: {f.detail}" for f in report.findings[:_SHOWN]]
    if len(report.findings) > _SHOWN:
        lines.append(f"… and {len(report.findings) - _SHOWN} more: --json lists all")
    lines.append(f"Record: {report.record}")
    lines.append(f"next: provenance audit {location or ''} --since last.checkpoint --save last.checkpoint")
    return "\n".join(lines)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise NotFound(msg) from error
