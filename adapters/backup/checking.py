"""Whether a backup is whole: every part, and the log in it against its checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.backup.manifest import Manifest, read_lines, read_manifest
from adapters.backup.tables import File, Name, Sequenced, Waiting, parse_item, parse_line
from adapters.files import Directory
from ledger.checkpoint import Checkpoint
from ledger.client import Client
from ledger.errors import MalformedError, UnknownKey
from ledger.fsck import Fault, fsck
from ledger.keyring import Keyring
from ledger.note import VerifierKey
from ledger.policy import Policy
from ledger.storage import ReadsObjects, Row
from ledger.tile import CHECKPOINT
from provenance.holdings import Contents

__all__ = ["Checked", "Under", "check_backup", "check_log", "log_in", "rows_in"]

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, in all)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup that is whole. `faults` are what was wrong in the ledger already when it was taken."""

    folder: Path
    manifest: Manifest
    checkpoint: Checkpoint
    faults: tuple[Fault, ...]


def check_backup(
    folder: str | os.PathLike[str], *, key: VerifierKey | Keyring | None = None, progress: Progress | None = None
) -> Checked:
    """Read all of a backup: every part is what was written, every entry leads to the checkpoint, every event fits.

    `key` is the log's own, as the caller knows it, or all that it had; without it a backup is held against the keys
    that it names itself.
    Needs no database. Raises `NotFound`, `MalformedError`, `TileMismatch` at the first thing that is missing or
    altered, `UnknownKey` when the key is another.
    """
    root = Path(folder)
    manifest = read_manifest(root)
    keys = manifest.keys if key is None else Keyring(key) if isinstance(key, VerifierKey) else key
    if manifest.key not in {str(line.key) for line in keys.lines}:
        msg = f"{root}: a backup of the log {manifest.key}, want {keys.verifiers[0]}"
        raise UnknownKey(msg)
    checkpoint = manifest.opened(keys.policy)
    if checkpoint.size + manifest.parts.rows.items != manifest.sequenced:
        msg = f"{root}: {checkpoint.size} entries and {manifest.parts.rows.items} rows, want {manifest.sequenced}"
        raise MalformedError(msg)
    _check_lines(root, manifest)
    faults = check_log(root, manifest, keys.policy, progress=progress)
    return Checked(root, manifest, checkpoint, tuple(faults))


def check_log(
    root: Path, manifest: Manifest, policy: Policy, *, start: int = 0, progress: Progress | None = None
) -> list[Fault]:
    """Check the log in a backup from entry `start` on. Raises at the first object that is not the log's own."""
    client = Client(log_in(root, manifest), policy)
    contents = Contents(client.opened)
    faults: list[Fault] = []

    def checked(done: int, size: int) -> None:
        faults.extend(fault for fault in contents.take() if fault.altered)
        if progress is not None:
            progress("checked", done, size)

    fsck(client, start=start, look=contents.look, progress=checked)
    return faults


def log_in(root: Path, manifest: Manifest) -> ReadsObjects:
    """The log in a backup, under the checkpoint that the manifest names, also while a newer backup is written."""
    return Under(Directory(root), manifest.checkpoint.encode())


def rows_in(root: Path, manifest: Manifest) -> Iterator[Row]:
    """What was sequenced behind the checkpoint. Raises `MalformedError`."""
    for line in read_lines(root, manifest.parts.rows):
        yield parse_line(Sequenced, line).row


class Under:
    """Objects that are read under a checkpoint which they may show only in a moment, or no longer."""

    def __init__(self, objects: ReadsObjects, signed: bytes) -> None:
        self._objects = objects
        self._signed = signed

    def get(self, path: str) -> bytes:
        """As `ReadsObjects.get`."""
        return self._signed if path == CHECKPOINT else self._objects.get(path)


def _check_lines(root: Path, manifest: Manifest) -> None:
    parts = manifest.parts
    for kind, part in ((Sequenced, parts.rows), (Waiting, parts.queue), (Name, parts.names), (File, parts.files)):
        for line in read_lines(root, part):
            parse_line(kind, line)
    if parts.vault is not None:
        for line in read_lines(root, parts.vault):
            parse_item(line)  # one in plain is found by the SHA-256 of its line: it cannot be another one
