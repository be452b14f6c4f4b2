"""Commands that copy: a backup of a ledger, a ledger from a backup, a published log to another place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.backup import Checked, Restored, backup, check_backup, restore
from adapters.cli.given import file_given
from adapters.cli.output import ALTERED, INTACT, command, progress, show
from adapters.cli.passphrase import passphrase
from adapters.cli.trust import find_log
from adapters.cli.where import AsJson, Where, at_ledger
from adapters.files import Directory
from adapters.key_files import key_files, show_key_files
from adapters.log_keys import ring_of
from ledger.copy import copy_log
from ledger.errors import MalformedError
from ledger.fsck import Fault
from ledger.note import VerifierKey
from ledger.policy import Policy
from ledger.storage import Objects
from provenance.erasures import ErasedInCopy
from provenance.succession import follow, read_links

__all__ = ["add_to", "copy_"]

PolicyFile = Annotated[Path | None, typer.Option("--policy", help="whose signatures you accept")]

_SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("backup")(at_ledger(backup_))
    app.command("restore")(at_ledger(restore_))


def backup_(
    folder: Annotated[Path, typer.Argument(help="where the backup goes; an older one there is brought up to date")],
    without_vault: Annotated[
        bool, typer.Option("--without-vault", help="leave sealed events and personal items out")
    ] = False,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Back up a ledger while its market runs. What was written is checked.

    Log, queue, names and vault, from any kind of storage into one folder. Keys are never in it: keep them apart.
    """
    parts = {name: value for name, value in where.parts.items() if name != "index"}
    with progress() as bars:
        done = backup(where.db, folder, with_vault=not without_vault, progress=bars, **parts)
    manifest = done.manifest
    held = manifest.parts
    value: dict[str, Any] = {**manifest.model_dump(), "faults": [fault.detail for fault in done.faults]}
    vault = "left out" if held.vault is None else f"{held.vault.items} items"
    lines = [
        f"{manifest.origin}: {manifest.sequenced} entries, {held.queue.items} waiting, vault {vault}, in {folder}",
        *_faults(done.faults),
        "keys are not in it: keep them in another place",
        f"next: {command('restore', '--check', str(folder))}",
    ]
    show(value, as_json=as_json, text="\n".join(lines))
    return ALTERED if done.faults else INTACT


def restore_(
    folder: Annotated[
        Path | None, typer.Argument(help="the backup; without one, all comes from what is published")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="read and verify the backup; restore nothing")] = False,
    policy: Annotated[Path | None, typer.Option("--policy", help="with --check: the policy with the log's key")] = None,
    remembered: Annotated[
        Path | None, typer.Option("--remembered", help="a checkpoint that the log is known to have reached")
    ] = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Put a backup into an empty storage. What was published since comes on top.

    What is published is compared before anything could be signed, and what the log says is erased is left out.
    """
    if check:
        return _check(folder, policy, where, as_json)
    with progress() as bars:
        done = restore(
            folder,
            where.db,
            publish=where.shown,
            remembered=None if remembered is None else file_given(remembered),
            progress=bars,
            passphrase=passphrase,
            **where.parts,
        )
    show(_value(done), as_json=as_json, text="\n".join(_lines(done, folder, where)))
    return INTACT


def copy_(
    source: Annotated[str, typer.Argument(help="where the log is published", metavar="FROM")],
    target: Annotated[str, typer.Argument(help="a folder or a bucket", metavar="TO")],
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> int:
    """Copy a published log, verified, to a folder or bucket.

    What TO shows already is compared first and not copied again; a copy that was interrupted goes on. What the log
    says is erased is taken out of TO as well.
    """
    client = find_log(source, policy)
    place = _writable(target)
    with progress() as bars:
        copied = copy_log(
            client, place, redacts=ErasedInCopy(client), progress=lambda done, total: bars("entries", done, total)
        )
    had = follow(client, client.policy, all_kinds=True).spans(copied.origin)
    show_key_files(place, key_files(ring_of(had), links=read_links(client)))
    value = {"origin": copied.origin, "size": copied.size, "root": copied.root.hex(), "to": target}
    next_ = command("audit", target, *(["--policy", str(policy)] if policy else []))
    show(value, as_json=as_json, text=f"{copied.origin}: {copied.size} entries in {target}\nnext: {next_}")
    return INTACT


def _writable(target: str) -> Objects:
    if "://" not in target:
        return Directory(target)
    from adapters.objects import Bucket

    return Bucket.open(target)


def _check(folder: Path | None, policy: Path | None, where: Where, as_json: bool) -> int:
    if folder is None:
        msg = "--check: want the folder of a backup"
        raise typer.BadParameter(msg)
    key = None
    if policy is not None:
        try:
            logs = Policy.parse(file_given(policy).decode("utf-8", "replace")).logs
            key = next((log.key for log in logs if isinstance(log.key, VerifierKey)), None)
        except MalformedError as error:
            msg = f"--policy {policy}: {error}"
            raise typer.BadParameter(msg) from error
    with progress() as bars:
        found = check_backup(folder, key=key, progress=bars)
    value = {**found.manifest.model_dump(), "faults": [fault.detail for fault in found.faults]}
    show(value, as_json=as_json, text="\n".join(_checked(found, folder, where, given=key is not None)))
    return ALTERED if found.faults else INTACT


def _checked(found: Checked, folder: Path, where: Where, *, given: bool) -> list[str]:
    manifest = found.manifest
    key = f"log key  {manifest.key}{'' if given else ' (as the backup says: compare it with the one you keep)'}"
    return [
        f"{manifest.origin}: whole, {manifest.sequenced} entries as of {manifest.taken}",
        key,
        *_faults(found.faults),
        f"next: {command('restore', str(folder), *where.options)}",
    ]


def _lines(done: Restored, folder: Path | None, where: Where) -> list[str]:
    lines = [f"{done.checkpoint.origin}: {done.size} entries in {where.db}, from {folder or where.read_at}"]
    if done.refilled and folder is not None:
        lines.append(f"published since: #{done.refilled[0]} to #{done.refilled[-1]}, taken from {where.read_at}")
    if done.compared:
        lines.append(f"compared with {', '.join(done.compared)}")
    else:
        lines.append(
            f"compared with nothing: nothing is published at {where.read_at}; if this log was published elsewhere, "
            "stop, and restore again with that place as --publish"
        )
    if done.erased:
        lines.append(f"erased   {done.erased} items, as the log says")
    lines += [f"lost: #{one.idx} {one.type} {one.event}: sealed, its content is nowhere" for one in done.lost[:_SHOWN]]
    if len(done.lost) > _SHOWN:
        lines.append(f"… and {len(done.lost) - _SHOWN} more: --json lists all")
    if done.locked:
        lines.append(f"locked   {done.locked} vault items, encrypted under keys of subjects that are not there")
    lines.append(f"waiting  {done.waiting} events, {done.sequenced} of the backup were in the log by now")
    if done.nameless:
        lines.append(f"names    {done.names}, and {done.nameless} of events that this backup does not have")
    lines.append(f"next: {command('doctor', *where.options)}")
    return lines


def _value(done: Restored) -> dict[str, Any]:
    return {
        "origin": done.checkpoint.origin,
        "published": done.checkpoint.size,
        "sequenced": done.size,
        "compared": list(done.compared),
        "from": done.refilled.start,
        "to": done.refilled.stop,
        "lost": [{"index": one.idx, "type": one.type, "event": one.event} for one in done.lost],
        "erased": done.erased,
        "waiting": done.waiting,
        "in_log_by_now": done.sequenced,
        "names": done.names,
        "nameless": done.nameless,
        "locked": done.locked,
    }


def _faults(faults: tuple[Fault, ...]) -> list[str]:
    lines = [f"✕ {fault.detail}" for fault in faults[:_SHOWN]]
    return lines + ([f"… and {len(faults) - _SHOWN} more: --json lists all"] if len(faults) > _SHOWN else [])
