"""Taking a backup, of any kind of storage, while the market runs.

The order makes it consistent without stopping anybody: what waits is read before the log, so that an event on its way
from one to the other is in at least one of them; vault and names are read after both, so that nothing is named that is
not there. What is there twice, or named and nowhere, `restore` leaves out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from adapters.assemble import Parts, open_log_of
from adapters.backup.checking import Under, check_log
from adapters.backup.manifest import FORMAT, Manifest, read_manifest, write_manifest, write_part
from adapters.backup.manifest import Parts as ManifestParts
from adapters.backup.tables import Sequenced, file_lines, item_line, name_lines, portions, queue_lines
from adapters.files import Directory
from adapters.key_files import key_files, show_key_files
from adapters.locations import Place, parts_at
from adapters.log_keys import noted_keys
from ledger.checkpoint import Checkpoint
from ledger.client import Client
from ledger.copy import copy_log, redact_copy
from ledger.errors import Conflict, NotFound
from ledger.fsck import Fault
from ledger.keyring import Keyring
from ledger.owned import Owned
from ledger.storage import Checkpoints, ReadsObjects, Row
from ledger.stored import Stored
from ledger.tile import WIDTH
from provenance.erasures import ErasedInCopy
from provenance.moments import format_time
from provenance.subjects import SubjectKeys, WrappingVault, is_wrapped
from provenance.vault import Vault

__all__ = ["Backup", "backup"]

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, in all)."""

_STEP = 1000  # vault items from one call of `progress` to the next


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup as it was written. `faults` are what was found wrong in what was copied: the backup has it too."""

    manifest: Manifest
    faults: tuple[Fault, ...]


def backup(
    database: str | Engine,
    folder: str | os.PathLike[str],
    *,
    objects: Place | None = None,
    checkpoints: Checkpoints | None = None,
    vault: Vault | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    with_vault: bool = True,
    progress: Progress | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Backup:
    """Write everything that a ledger consists of into `folder`, durably; needs no key and stops nobody.

    Everything accepted before the call is in it. Of a folder that holds an older backup of the same log the tiles stay;
    all else is written anew, so that a backup no longer holds what was erased since. Until the end the older backup
    stays as it was. The index is left out, because it is derived, and keys are never in it, neither the ledger's nor
    those of subjects: items are copied as they are stored. Without `with_vault` sealed events and personal items are
    left out too, but for those of events that still wait, which nothing encrypts.

    What is written is read again and checked against the checkpoint. Where the ledger is, as in `connect`. Raises
    `Conflict` when the folder holds another log or is being written to, `Rollback` when its log is longer than this
    ledger's and `Fork` when it is another, `TileMismatch` and `MalformedError` for what leads to another root than the
    checkpoint's, `Unavailable`.
    """
    parts = parts_at(database, objects, checkpoints, vault, None, schema, subject_keys)
    keys = parts.read_layout()
    root = Path(folder)
    with _alone(root):
        _check_folder(root, keys)
        queue = write_part(root, "queue", queue_lines(parts.store))
        source, checkpoint, rows = _log_of(parts, keys)
        before = _size_of(root, keys)
        log = Client(source, keys.policy)
        erased = ErasedInCopy(log)
        copy_log(
            log,
            Directory(root),
            redacts=erased,
            progress=None if progress is None else lambda done, total: progress("entries", done, total),
        )
        asked = parts.witnesses()
        show_key_files(Directory(root), key_files(keys, links=parts.links()))
        lines = (Sequenced.of(row).model_dump_json().encode() for row in erased.add(rows))
        row_part = write_part(root, "rows", lines)
        redact_copy(Directory(root), erased.indexes(Directory(root), checkpoint.size))
        faults: list[Fault] = []
        vault_part = write_part(root, "vault", _vault_lines(parts, faults, progress)) if with_vault else None
        manifest = Manifest(
            format=FORMAT,
            origin=checkpoint.origin,
            **noted_keys(keys),
            witnesses=None if asked is None else str(asked),
            taken=format_time(clock()),
            checkpoint=checkpoint.signed.decode(),
            sequenced=checkpoint.size + row_part.items,
            parts=ManifestParts(
                rows=row_part,
                queue=queue,
                names=write_part(root, "names", name_lines(parts.store)),
                files=write_part(root, "files", file_lines(parts.store)),
                vault=vault_part,
            ),
        )
        faults += check_log(root, manifest, keys.policy, start=before, progress=progress)
        write_manifest(root, manifest)
    return Backup(manifest, tuple(faults))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the folder, until the end of the block or of the process."""
    import fcntl  # not on every system: what else this module does needs none of it

    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{root}: another backup is being written there; let it finish"
            raise Conflict(msg) from None
        yield
    finally:
        os.close(handle)


def _check_folder(root: Path, keys: Keyring) -> None:
    try:
        there = read_manifest(root)
    except NotFound:
        return
    if there.key not in {str(line.key) for line in keys.lines}:
        msg = f"{root}: holds a backup of {there.key}, want one of {keys.verifiers[0]}; give a folder of its own"
        raise Conflict(msg)


def _size_of(root: Path, keys: Keyring) -> int:
    """Size of the log in the last whole backup there: what it holds was checked then."""
    try:
        return read_manifest(root).opened(keys.policy).size
    except NotFound:
        return 0


def _log_of(parts: Parts, keys: Keyring) -> tuple[ReadsObjects, Checkpoint, Iterator[Row]]:
    """The log as published, its newest checkpoint, and what is sequenced behind that; all as of one moment."""
    if parts.objects is not None or parts.checkpoints is not None:
        log = open_log_of(parts, keys, target=None)  # also finishes what a crash interrupted
        return Under(parts.tiles, log.checkpoint.signed), log.checkpoint, iter(())
    owned = Owned(parts.store, keys.policy, keys.origin)
    return owned, owned.checkpoint, _unpublished(owned, Stored(parts.store))


def _unpublished(owned: Owned, stored: Stored) -> Iterator[Row]:
    start, stop = owned.checkpoint.size, owned.head.size
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        at = number * WIDTH
        yield from (stored.bundle(number) if at + WIDTH <= stop else owned.rows)[max(start - at, 0) : stop - at]


def _vault_lines(parts: Parts, faults: list[Fault], progress: Progress | None) -> Iterator[bytes]:
    """Every item as it is stored, under its own address; what is not is no item any more, and is told.

    One whose key is not there cannot be told from a good one, and is copied.
    """
    done = 0
    for page in portions(parts.stored.items(), _STEP):
        vault = parts.sealed
        said = dict(vault.opened(page) if isinstance(vault, WrappingVault) else page)
        for address, stored in page:
            done += 1
            data = said.get(address)
            if (data is None or sha256(data).digest() == address) and (is_wrapped(stored) or b"\n" not in stored):
                yield item_line(address, stored)
            else:
                place = f"vault {address.hex()}"
                text = f"{place}: holds other bytes, left out; restore it from an earlier backup"
                faults.append(Fault(place, text))
        if progress is not None:
            progress("vault items", done, done)
