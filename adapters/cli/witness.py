"""Commands of and about witnesses: begin one, run it, and ask what one does about a log."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.evidence import tell_evidence
from adapters.cli.operate import signals
from adapters.cli.output import (
    ALTERED,
    CANNOT_CHECK,
    INTACT,
    aged,
    command,
    fail,
    grouped,
    help_alone,
    show,
    working,
)
from adapters.cli.passphrase import passphrase
from adapters.cli.reader import Log, PolicyFile
from adapters.cli.trust import find_place
from adapters.cli.where import AsJson, Where, at_ledger
from adapters.connect import connect, open_log
from adapters.witness.explain import Explained, State, explain
from adapters.witness.folder import begin_witness, keep_fork, open_witness, read_logs
from adapters.witness.server import WitnessServer
from ledger.cosignature import ML_DSA_44, CosignerKey
from ledger.errors import Fork, MalformedError, Unavailable
from ledger.note import Note
from ledger.policy import Policy, Witness
from provenance.report import safe_text

__all__ = ["add_to"]

Folder = Annotated[Path, typer.Argument(help="the folder of the witness", metavar="FOLDER")]

_LISTEN = "127.0.0.1:8765"
_WORDS = frozenset({"log", "witness", "group", "all", "any", "none", "quorum"})  # of policies
_LONG = 200  # characters of a line that a terminal is shown; a key of ML-DSA-44 has ten times as many
_LOOK = 0.25  # seconds between looks at whether a signal came
_MARKS: dict[State, str] = {"cosigns": "■", "refuses": "□", "absent": "□", "lies": "✕", "contradicts": "✕"}
_STATUS: dict[State, int] = {
    "cosigns": INTACT,
    "refuses": CANNOT_CHECK,
    "absent": CANNOT_CHECK,
    "lies": ALTERED,
    "contradicts": ALTERED,
}


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(_group)
    group.command("init")(init)
    group.command("serve")(serve)
    group.command("explain")(explain_)
    group.command("use")(at_ledger(use))
    app.add_typer(group, name="witness")


def _group(context: typer.Context) -> None:
    """Witnesses. Who saw a checkpoint, so that nobody can be shown another log."""
    help_alone(context)


def init(
    name: Annotated[str, typer.Argument(help="what it is called for ever, such as north.example/w")],
    folder: Folder,
    url: Annotated[str, typer.Option("--url", help="where others will reach it")] = "",
    as_json: AsJson = False,
) -> int:
    """Begin a witness. Its keys, a file for what it has seen, a list of the logs that it watches."""
    keys = begin_witness(folder, name)
    label = _label(name, keys[0])
    lines = [str(Witness(f"{label}-ml-dsa" if key.type == ML_DSA_44 else label, key, url)) for key in keys]
    for_others = folder / "witness.policy"
    for_others.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    text = [
        f"{name}: keys, what it has seen and logs.policy are in {folder}; never put an older copy of it back",
        f"a log that wants it puts lines of {for_others} into its policy, and their names into a group:",
        *(line if len(line) < _LONG else f"{line[:_LONG]}…" for line in lines),
        f"next: add a line `log VKEY` to {folder / 'logs.policy'}, then {command('witness', 'serve', str(folder))}",
    ]
    value = {"name": name, "keys": [str(key) for key in keys], "policy": lines}
    show(value, as_json=as_json, text="\n".join(text))
    return INTACT


def use(
    policy: Annotated[Path, typer.Argument(help="a policy with witnesses and a quorum", metavar="POLICY")],
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Ask these witnesses before a checkpoint is published.

    From now on; `quorum none` without witnesses ends that. Processes that run already ask them once they are started
    again.
    """
    if not policy.is_file():
        msg = f"{policy}: no such file; want a policy with lines of witnesses, groups and quorum"
        raise typer.BadParameter(msg)
    try:
        asked = Policy.parse(policy.read_text(encoding="utf-8"))
    except (MalformedError, UnicodeDecodeError) as error:
        msg = f"{policy}: {error}"
        raise typer.BadParameter(msg) from error
    ledger = connect(where.db, publish=where.shown, witnesses=asked, passphrase=passphrase, **where.parts)
    with working("publishing"):
        checkpoint = ledger.publish()
    names = [witness.name for witness in asked.witnesses]
    # Verified before they were shown.
    lines = {(line.name, line.key_id) for line in Note.parse(checkpoint.signed).signatures}
    by = [witness.name for witness in asked.witnesses if (witness.key.name, witness.key.key_id) in lines]
    value = {
        "origin": ledger.origin,
        "witnesses": names,
        "cosigned": by,
        "quorum": asked.quorum,
        "size": checkpoint.size,
    }
    told = f"cosigned by {', '.join(by) or 'nobody'}; the quorum is {asked.quorum}" if names else "no witness is asked"
    text = [
        f"{ledger.origin}: published at size {checkpoint.size}, {told}",
        f"next: {command('witness', 'explain', *where.reading)}",
    ]
    show(value, as_json=as_json, text="\n".join(text))
    return INTACT


def serve(
    folder: Folder,
    log: Annotated[
        list[str] | None, typer.Option("--log", help="watch this log, and only those named so", metavar="VKEY")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="watch the logs of this file [default: FOLDER/logs.policy]")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", help="file:PATH or env:NAME [default: those of FOLDER]", metavar="URI")
    ] = None,
    listen: Annotated[str, typer.Option("--listen", help="where to answer", metavar="HOST:PORT")] = _LISTEN,
    prefix: Annotated[str, typer.Option("--prefix", help="what stands before every path", metavar="/PATH")] = "",
) -> int:
    """Answer logs over HTTP until SIGTERM or Ctrl-C. Then answer what is under way, and end."""
    if log and policy:
        msg = "--log and --policy: want one of them"
        raise typer.BadParameter(msg)
    if policy is not None and not policy.is_file():
        msg = f"--policy {policy}: no such file"
        raise typer.BadParameter(msg)
    try:
        logs = "".join(f"log {each}\n" for each in log or ()) or (policy.read_text(encoding="utf-8") if policy else "")
        if (log or policy) and not read_logs(logs):
            msg = "names no log"
            raise MalformedError(msg)  # noqa: TRY301 - said as everything else that is wrong with it
    except (MalformedError, UnicodeDecodeError) as error:
        msg = f"{f'--policy {policy}' if policy else '--log'}: {error}"
        raise typer.BadParameter(msg) from error
    host, port = _address(listen)
    witness, seen, keys = open_witness(folder, logs=logs, keys=key or ())
    _log_here()
    with signals() as came:
        try:
            keep = partial(keep_fork, folder)
            server = WitnessServer(witness, host=host, port=port, prefix=prefix, keep=keep).start()
        except OSError as error:
            seen.close()
            msg = f"--listen {listen}: {error.strerror or error}; is it running already?"
            raise Unavailable(msg) from error
        fail(f"{keys[0].name}: answers at {server.url}; end with SIGTERM or Ctrl-C")
        wait = threading.Event()
        while not came:
            wait.wait(_LOOK)
        server.stop()
    seen.close()
    return INTACT


def explain_(
    witness: Annotated[
        str | None, typer.Argument(help="its name in the policy, or its URL [default: all]", metavar="NAME|URL")
    ] = None,
    log: Log = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> int:
    """Say what the policy's witnesses do about a log.

    What they last cosigned, how old that is, what they answer now, and what to do.

    1 if one contradicts the log or does not verify, 2 if one does not cosign. Asks as the log itself does.
    """
    location, text = find_place(log, policy)
    read = Policy.parse(text)
    found = _chosen(read, witness)
    # Without its quorum: that it is not met may be why somebody asks.
    client = open_log(location, Policy.of(*(line.key for line in read.logs)))
    said = [explain(lines, client) for lines in found]
    newest = client.checkpoint
    lines = [
        f"{newest.origin}   size {grouped(newest.size)}   quorum {read.quorum}",
        *(line for each in said for line in _lines(each)),
        f"next: {_next(said, location, policy)}",
    ]
    value = {"origin": newest.origin, "size": newest.size, "witnesses": [_value(each) for each in said]}
    show(value, as_json=as_json, text="\n".join(lines))
    for each in said:
        if each.held is not None and each.evidence is not None:
            fork = Fork(each.says, each.held, newest, each.evidence)
            tell_evidence(fork, ["--policy", str(policy)] if policy else [])
    return _worst(said)


def _label(name: str, key: CosignerKey) -> str:
    """What policies call it: the beginning of its name, where every reader of policies takes that for a name.

    Some refuse the words of the format, and end a line at `#`.
    """
    whole = re.sub(r"[^0-9A-Za-z]+", "-", name).strip("-")
    for label in (name.partition(".")[0], whole):
        if re.fullmatch(r"[0-9A-Za-z-]+", label) and label.lower() not in _WORDS:
            return label
    return f"w-{key.key_id.hex()}"


def _value(said: Explained) -> dict[str, Any]:
    held = None if said.held is None else said.held.signed.decode()
    evidence = None if said.evidence is None else bytes(said.evidence).decode()
    return {**asdict(said), "held": held, "evidence": evidence}


def _chosen(policy: Policy, wanted: str | None) -> list[list[Witness]]:
    """The lines of the policy for each witness asked for: one with several keys is asked once."""
    at: dict[str, list[Witness]] = {}
    for line in policy.witnesses:
        if line.url:
            at.setdefault(line.url.rstrip("/"), []).append(line)
    if wanted is not None:
        at = {url: lines for url, lines in at.items() if wanted.rstrip("/") == url or wanted in {e.name for e in lines}}
    if not at:
        known = ", ".join(line.name for line in policy.witnesses if line.url)
        msg = f"{wanted or 'witness'}: the policy knows no such witness with a URL, want one of: {known or 'none'}"
        raise typer.BadParameter(msg)
    return list(at.values())


def _lines(said: Explained) -> list[str]:
    if said.size is None:
        last = "nothing of this log, as far as it shows"
    else:
        time_ = "" if said.at is None else f", {_moment(said.at)}, {aged(time.time() - said.at)} ago"
        behind = f", {grouped(said.behind)} entries behind" if said.behind else ""
        last = f"size {grouped(said.size)}{time_}{behind}"
    return [
        f"{_MARKS[said.state]} {safe_text(', '.join(said.names), limit=200)}   {safe_text(said.url, limit=200)}",
        f"    last cosigned  {last}",
        f"    now            {safe_text(said.says, limit=500)}",
        f"    to do          {safe_text(said.do, limit=2_000)}",
    ]


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"at {seconds} s"  # a time that no calendar knows


def _next(said: list[Explained], location: str, policy: Path | None) -> str:
    if any(each.state == "contradicts" for each in said):
        return command("recover")
    chosen = ["--log", location, *(["--policy", str(policy)] if policy else [])]
    if all(each.state == "cosigns" for each in said):
        return command("audit", location, *chosen[2:])
    return command("witness", "explain", *chosen)


def _worst(said: list[Explained]) -> int:
    found = {_STATUS[each.state] for each in said}
    return next(status for status in (ALTERED, CANNOT_CHECK, INTACT) if status in found)


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        msg = f"--listen {listen}: want HOST:PORT, such as {_LISTEN}"
        raise typer.BadParameter(msg)
    return host.strip("[]"), int(port)


def _log_here() -> None:
    """What is refused, a line each, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("adapters.witness")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
