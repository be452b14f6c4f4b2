"""Commands of auditors and creators: they need public files and a policy, no database and no key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.x509 import load_pem_x509_certificates

from adapters.cli.copies import copy_
from adapters.cli.given import file_given, named
from adapters.cli.output import ALTERED, INTACT, command, echo, fail, help_alone, progress, show, status_of, width
from adapters.cli.receipts import is_proof, proof_verdict
from adapters.cli.trust import accept, accepted_key, find_log, may_ask, offered
from adapters.cli.where import AsJson, Where, at_own_ledger
from adapters.connect import open_log
from adapters.files import Directory
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.copy import copy_log
from ledger.errors import MalformedError, NotFound
from ledger.note import Note
from ledger.policy import Policy
from provenance.audit import Audit
from provenance.audit import audit as run_audit
from provenance.content import read_manifest
from provenance.disclosure import Disclosure
from provenance.drafts import is_event_id
from provenance.history import History
from provenance.holdings import audit_holdings
from provenance.proofs import write_proof
from provenance.report import as_json as verdict_json
from provenance.report import render_html, render_text
from provenance.statement import Statement
from provenance.verdict import Verdict
from provenance.verify import verify as run_verify
from provenance.verify import verify_work

__all__ = ["Log", "PolicyFile", "add_to", "read_history", "read_package", "where_read"]

Log = Annotated[str | None, typer.Option("--log", help="where the log is published", metavar="FOLDER|URL")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="whose signatures you accept")]
Anchors = Annotated[Path | None, typer.Option("--anchors", help="certificates (PEM) you trust to sign manifests")]
Disclosed = Annotated[Path | None, typer.Option("--disclosed", help="a disclosure package that you were given")]
Html = Annotated[Path | None, typer.Option("--html", help="write the page here")]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for verb in (verify, trace, trust):
        app.command(verb.__name__)(verb)
    app.command("proof")(at_own_ledger(proof))
    app.command("audit")(at_own_ledger(audit))
    log = typer.Typer()
    log.callback(invoke_without_command=True)(_log)
    log.command("export")(export)
    log.command("copy")(copy_)
    app.add_typer(log, name="log")


def _log(context: typer.Context) -> None:
    """Published logs as files."""
    help_alone(context)


def verify(
    file: Annotated[Path, typer.Argument(help="the file to verify")],
    log: Log = None,
    policy: PolicyFile = None,
    anchors: Anchors = None,
    disclosed: Disclosed = None,
    entry: Annotated[
        Path | None,
        typer.Option("--entry", help="the log entry that a proof is about, where it is not beside it", metavar="FILE"),
    ] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="one you have, for a COSE receipt; repeat", metavar="FILE"),
    ] = None,
    html: Html = None,
    as_json: AsJson = False,
) -> int:
    """Verify a file: manifest, log, terms and credits, each apart. Or a proof: .tlog-proof, COSE receipt, statement."""
    if is_proof(file):
        verdict = proof_verdict(file, log=log, policy=policy, entry=entry, checkpoints=checkpoints or ())
        return _answer(verdict, html, as_json)
    if entry is not None or checkpoints:
        msg = f"--entry, --checkpoint: are for proofs, which {file} is none of"
        raise typer.BadParameter(msg)
    return _answer(_verdict(file, log, policy, anchors, disclosed), html, as_json)


def trace(
    work: Annotated[str, typer.Argument(help="a file, or the id of a work")],
    log: Log = None,
    policy: PolicyFile = None,
    anchors: Anchors = None,
    disclosed: Disclosed = None,
    html: Html = None,
    as_json: AsJson = False,
) -> int:
    """Show what a work was made from, and what from it. `--html` draws it."""
    path = Path(work)
    if is_event_id(work) and not path.exists():
        verdict = verify_work(work, read_history(find_log(log, policy), _given(disclosed)))
        return _answer(_with_next(verdict, work, log, policy), html, as_json)
    return _answer(_verdict(path, log, policy, anchors, disclosed), html, as_json)


def proof(
    work: Annotated[str, typer.Argument(help="a file, the id of an event, or with --db a ref")],
    folder: Annotated[Path, typer.Argument(help="where the proof goes")] = Path("proofs"),
    log: Log = None,
    policy: PolicyFile = None,
    *,
    where: Where | None,
    as_json: AsJson = False,
) -> int:
    """Write a proof to keep. It is proof, entry and event, and those of the signer.

    An operator who gives --db also gets the event of a sealed entry, which only he can hand to those entitled.
    """
    ledger = where.open(signs=False) if where else None
    history = read_history(find_log(log, policy), disclosed=ledger.disclosures() if ledger else None)
    path = Path(work)
    if path.is_file():
        name, event = path.name, run_verify(path, history).work
    else:
        event = str(named(ledger, work)) if ledger else work
        name = event[:16] if event == work else work.replace(":", "-").replace("/", "-")
    entry = history.index.find(bytes.fromhex(event)) if is_event_id(event) else None
    if entry is None:
        checkpoint = history.log.checkpoint
        msg = f"{work}: not in the log {checkpoint.origin} at size {checkpoint.size}; want a file or an event id in it"
        raise NotFound(msg)
    written = write_proof(folder, name, history, entry)
    value = {"index": entry.idx, "files": [str(p) for p in written]}
    next_ = command("verify", str(written[0]), *where_read(None, policy))
    show(value, as_json=as_json, text="\n".join([*(str(p) for p in written), f"next: {next_}"]))
    return INTACT


def trust(
    location: Annotated[str, typer.Argument(help="where the log is published", metavar="FOLDER|URL")],
    yes: Annotated[bool, typer.Option("--yes", help="accept without asking")] = False,
    as_json: AsJson = False,
) -> int:
    """Accept a log's key, once. Compare it before with what the market says elsewhere."""
    key = offered(location)
    client = open_log(location, Policy.of(key))
    genesis = Statement.parse(client.entry(0)).event_id.hex()
    value = {"origin": key.name, "key": str(key), "genesis": genesis}
    text = f"origin   {key.name}\nlog key  {key}\ngenesis  {genesis}"
    accepted_key(key)
    if not yes:
        typer.echo(text + "\nCompare these with what the market publishes elsewhere.", err=True)
        may_ask(command("trust", location, "--yes"))
        if not typer.confirm("Accept this key for this origin from now on?", err=True):
            fail("not accepted, and nothing is kept; ask the market by another way which key is its own")
            return ALTERED
    path = accept(key, location)
    show(
        {**value, "policy": str(path)},
        as_json=as_json,
        text=f"{text}\naccepted in {path}\nnext: {command('audit', location)}",
    )
    return INTACT


def audit(
    location: Annotated[str | None, typer.Argument(help="where the log is published", metavar="FOLDER|URL")] = None,
    policy: PolicyFile = None,
    since: Annotated[Path | None, typer.Option("--since", help="checkpoint of an earlier audit")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="keep the checkpoint here for the next audit")] = None,
    rules: Annotated[bool, typer.Option("--rules", help="judge every event by the rules between events, too")] = False,
    disclosed: Disclosed = None,
    *,
    where: Where | None,
    as_json: AsJson = False,
) -> int:
    """Check every tile, entry, statement, signer and event of a log.

    What a disclosure package holds is checked with it. An operator who gives --db also has vault and index compared
    with the log.
    """
    client = find_log(location, policy)
    old = None if since is None else _earlier(since, client.policy)
    ledger = where.open(signs=False) if where else None
    vault = ledger.disclosures() if ledger else {}
    given = vault if disclosed is None else _given(disclosed)
    if disclosed is not None and ledger is not None:
        msg = "--disclosed, --db: want one of them; an operator's vault has all of it"
        raise typer.BadParameter(msg)
    with progress() as bars:
        report = run_audit(client, since=old, disclosed=given, rules=rules, progress=bars)
    if ledger is not None:
        held = audit_holdings(report.history, vault=vault, index=ledger.index)
        report = dataclasses.replace(report, findings=(*report.findings, *held))
    if save is not None:
        save.write_bytes(report.checkpoint.signed)
    since, kept = (save, save) if save is not None else (since, Path("last.checkpoint"))
    words = [*([location] if location else []), *where_read(None, policy)]
    words += [*(["--since", str(since)] if since else []), "--save", str(kept)]
    text = f"{_audit_text(report)}\nnext: {command('audit', *words)}"
    show(_audit_value(report), as_json=as_json, text=text)
    return status_of(report.record)


def export(
    folder: Annotated[Path, typer.Argument(help="where the copy goes")],
    log: Log = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> int:
    """Copy a log, verified, to a folder that any web server can serve."""
    client = find_log(log, policy)
    with progress() as bars:
        copied = copy_log(client, Directory(folder), progress=lambda done, total: bars("tiles", done, total))
    value = {"origin": copied.origin, "size": copied.size, "folder": str(folder)}
    next_ = command("audit", str(folder), *where_read(None, policy))
    text = f"{copied.origin}: {copied.size} entries in {folder}\nnext: {next_}"
    show(value, as_json=as_json, text=text)
    return INTACT


def _verdict(file: Path, log: str | None, policy: Path | None, anchors: Path | None, disclosed: Path | None) -> Verdict:
    pem = _certificates(anchors) if anchors else None
    manifest = read_manifest(file, anchors=pem)
    origin = manifest.reference[0] if manifest is not None and manifest.reference and log is None else None
    history = read_history(find_log(log, policy, origin), _given(disclosed))
    with progress() as bars:
        verdict = run_verify(file, history, anchors=pem, progress=lambda done, total: bars("file", done, total))
    return _with_next(verdict, str(file), log, policy)


def _with_next(verdict: Verdict, shown: str, log: str | None, policy: Path | None) -> Verdict:
    """The verdict with a next command that works as it stands."""
    if verdict.work:
        words = ["trace", shown, *where_read(log, policy), "--html", "trace.html"]
    else:
        words = ["audit", *([log] if log else []), *where_read(None, policy)]
    return dataclasses.replace(verdict, next=command(*words))


def where_read(log: str | None, policy: Path | None) -> list[str]:
    """What leads another command to the same published log, under the same policy."""
    return [*(["--log", log] if log else []), *(["--policy", str(policy)] if policy else [])]


def read_history(client: Client, disclosed: Mapping[bytes, bytes] | None = None) -> History:
    """Read a published log to its end, with a bar."""
    with progress() as bars:
        return History.read(
            client, disclosed=disclosed or {}, progress=lambda done, total: bars("entries", done, total)
        )


def _given(package: Path | None) -> Mapping[bytes, bytes]:
    return {} if package is None else read_package(package).contents


def _answer(verdict: Verdict, html: Path | None, as_json: bool) -> int:
    if html is not None:
        html.write_text(render_html(verdict), encoding="utf-8")
        fail(f"page written to {html}")
    echo(verdict_json(verdict) if as_json else render_text(verdict, width=width(), color=_color()))
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
        "against_rules": [dataclasses.asdict(finding) for finding in report.against_rules],
        "unknown": [dataclasses.asdict(finding) for finding in report.unknown],
        "personal": [dataclasses.asdict(finding) for finding in report.personal],
    }


def _audit_text(report: Audit) -> str:
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
    lines += [f"· #{f.index} {f.rule}: {f.detail}" for f in report.against_rules[:_SHOWN]]
    if report.against_rules:
        lines.append(f"{len(report.against_rules)} broken rules: those events are in the log, and count for nothing")
    lines += [f"? #{f.index} {f.rule}: {f.detail}" for f in report.unknown[:_SHOWN]]
    if report.unknown:
        number = len({finding.index for finding in report.unknown})
        lines.append(
            f"{number} event{'s' * (number > 1)} not judged by every rule: what it looks at is erased or not here; "
            "unknown, which is nobody's fault"
        )
    lines += [f"· #{f.index} {f.rule}: {f.detail}" for f in report.personal[:_SHOWN]]
    if report.personal:
        lines.append(f"{len(report.personal)} values that look personal: they belong in the vault")
    lines.append(f"Record: {report.record}")
    return "\n".join(lines)


def _earlier(path: Path, policy: Policy) -> Checkpoint:
    """The checkpoint that an earlier audit kept; a file that is none is wrong use, no finding about the log."""
    data = file_given(path)
    try:
        Note.parse(data)
    except MalformedError as error:
        msg = f"--since {path}: {error}; want what `provenance audit --save` wrote"
        raise typer.BadParameter(msg) from error
    return open_checkpoint(data, policy)


def _certificates(path: Path) -> str:
    data = file_given(path)
    try:
        load_pem_x509_certificates(data)
    except ValueError as error:
        msg = f"--anchors {path}: want certificates in PEM"
        raise typer.BadParameter(msg) from error
    return data.decode("ascii", "replace")


def read_package(path: Path) -> Disclosure:
    """A disclosure package that the user named. Raises `NotFound`, `MalformedError`."""
    try:
        with path.open("rb") as file:
            return Disclosure.read(file)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise NotFound(msg) from error
    except MalformedError as error:
        msg = f"{path}: {error}; want a package as `provenance disclose` writes it"
        raise MalformedError(msg) from error
