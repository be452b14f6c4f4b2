"""Evidence of forks: kept wherever a command meets one, and checked by anybody who has the log's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.given import file_given
from adapters.cli.output import INTACT, NoPolicy, command, fail, help_alone, show
from adapters.cli.reader import PolicyFile
from adapters.cli.trust import find_policy
from adapters.cli.where import AsJson
from adapters.files import Directory
from ledger.checkpoint import Checkpoint
from ledger.errors import Conflict, Fork, StorageError
from ledger.evidence import Conviction, Evidence
from provenance.moments import format_time

__all__ = ["add_to", "keep_evidence", "tell_evidence"]

_LAST_TIME = 253_402_300_799  # seconds since 1970 at the end of the year 9999


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(_evidence)
    group.command("verify")(verify)
    app.add_typer(group, name="evidence")


def _evidence(context: typer.Context) -> None:
    """Evidence that a log has signed two histories."""
    help_alone(context)


def verify(
    file: Annotated[Path, typer.Argument(help="the evidence, such as fork.evidence")],
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> int:
    """Say whether evidence convicts a log. 0 if it proves that the log forked, 1 if it does not, 2 without its key.

    Needs the file and the log's key, and nothing else: no network, and nothing that the log serves.
    """
    evidence = Evidence.parse(file_given(file))
    accepted = find_policy(policy, evidence.origin)
    if evidence.origin not in accepted.origins:
        msg = f"{policy}: lists no key of {evidence.origin}, which the evidence is about"
        raise NoPolicy(msg)
    proven = evidence.verify(accepted)
    words = ["evidence", "verify", str(file), *(["--policy", str(policy)] if policy else [])]
    lines = [
        f"✕ {proven.old.origin} signed two histories",
        _line(proven.old, proven.old_seen),
        _line(proven.new, proven.new_seen),
        f"  the first {proven.old.size} entries of the second have root {proven.root.hex()}",
        "Evidence: valid, under the key of the log in your policy",
        f"next: pass the file on; everybody who relies on this log can check it: {command(*words)}",
    ]
    show(_value(proven), as_json=as_json, text="\n".join(lines))
    return INTACT


def keep_evidence(evidence: Evidence, folder: Path) -> Path:
    """Write `fork.evidence` to a folder, under another name where other evidence lies there; durable on return.

    Raises `Unavailable`.
    """
    place = Directory(folder)
    for number in count(1):
        name = "fork.evidence" if number == 1 else f"fork-{number}.evidence"
        try:
            place.put(name, bytes(evidence))
        except Conflict:
            continue
        break
    return folder / name


def tell_evidence(error: Fork, arguments: Sequence[str]) -> None:
    """Keep what a command met, in the current folder, and say who can check it with which command.

    `arguments` are those of the command: the policy that it was given is the one to check under.
    """
    if error.evidence is None:
        return
    try:
        path = keep_evidence(error.evidence, Path())
    except StorageError as unkept:
        fail(f"the evidence could not be written: {unkept}; run the command again where files can be written")
        return
    given = [value for name, value in pairwise(arguments) if name == "--policy"]
    checked = command("evidence", "verify", str(path), *[word for value in given[-1:] for word in ("--policy", value)])
    fail(f"evidence written to {path}: keep it, and pass it on; anybody with the log's key checks it: {checked}")


def _line(checkpoint: Checkpoint, seen: Mapping[str, int]) -> str:
    cosigned = ", ".join(f"{name} {_time(time)}" for name, time in seen.items())
    return (
        f"  size {checkpoint.size}   root {checkpoint.root.hex()}   cosigned by {cosigned or 'none of your witnesses'}"
    )


def _value(proven: Conviction) -> dict[str, Any]:
    return {
        "origin": proven.old.origin,
        "forked": True,
        "root_of_old_in_new": proven.root.hex(),
        **{
            name: {"size": checkpoint.size, "root": checkpoint.root.hex(), "cosigned": dict(seen)}
            for name, checkpoint, seen in (
                ("old", proven.old, proven.old_seen),
                ("new", proven.new, proven.new_seen),
            )
        },
    }


def _time(seconds: int) -> str:
    """A time that a witness signed, which may be any number."""
    return format_time(datetime.fromtimestamp(seconds, UTC)) if seconds <= _LAST_TIME else f"{seconds} s since 1970"
