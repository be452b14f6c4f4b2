"""Putting a ledger back: from a backup, from what is published, or from both, into an empty storage of any kind.

What was published is compared before anything could be signed, and what the log says is erased is never written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select

from adapters.assemble import Parts, open_log_of
from adapters.backup.checking import Checked, check_backup, log_in, rows_in
from adapters.backup.manifest import read_lines, read_manifest
from adapters.backup.tables import (
    Waiting,
    parse_item,
    parse_line,
    portions,
    put_files,
    put_names,
    put_queue,
    waiting_or_logged,
)
from adapters.connect import keys_of
from adapters.files import Directory
from adapters.key_files import key_files, show_key_files
from adapters.keys import Keys, Passphrase, ask_once, log_signer, pq_signer
from adapters.locations import Place, open_objects, open_storage, parts_at
from adapters.log_keys import ring_of, with_secrets
from adapters.recover import Lost, lost_in, rebuild_for
from adapters.sql.errors import storage_errors
from adapters.sql.tables import queue, refs
from adapters.sql.tables import vault as vault_table
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.cosignature import CosignerKey
from ledger.errors import Conflict, MalformedError, NotFound, StorageError, UnknownKey
from ledger.evidence import forked
from ledger.keyring import Keyring
from ledger.log import Log
from ledger.merkle import tree_root
from ledger.policy import Policy
from ledger.refill import extend_unsigned, refill
from ledger.storage import Checkpoints, ReadsObjects, Row
from ledger.tile import CHECKPOINT
from provenance.erasures import apply_erasures, redact_erased
from provenance.names import Named, erased_names
from provenance.queue import retake
from provenance.recall import Recall
from provenance.statement import Headers
from provenance.subjects import SubjectKeys, WrappingVault, is_wrapped, keep
from provenance.succession import Link, follow, read_links
from provenance.vault import Vault, holds
from provenance.waiting import contents_of, facts_of_staged

__all__ = ["Restored", "restore"]

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, in all)."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What `restore` did.

    `checkpoint` and `size` are the log's now. `compared` are the places whose checkpoints were compared with it.
    `refilled` are the entries that came from what is published, `lost` the sealed ones among all that cannot be read
    any more. `erased` counts the addresses that the log says are erased. Of the backup's queue `waiting` events wait
    again and `sequenced` were in the log by now; of its names `names` are back and `nameless` belong to events that it
    does not have, or are erased. `locked` counts the vault items that are encrypted under a subject's key that is not
    there.
    """

    checkpoint: Checkpoint
    size: int
    compared: tuple[str, ...]
    refilled: range
    lost: tuple[Lost, ...]
    erased: int
    waiting: int
    sequenced: int
    names: int
    nameless: int
    locked: int = 0


class _Shown(NamedTuple):
    """A place that shows the log."""

    name: str
    objects: ReadsObjects
    client: Client


def restore(
    folder: str | os.PathLike[str] | None,
    database: str,
    *,
    publish: Place | ReadsObjects | None,
    objects: Place | None = None,
    checkpoints: Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    remembered: bytes | None = None,
    keys: Keys | None = None,
    passphrase: Passphrase | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Put the backup in `folder` into an empty storage, and what was published since on top of it.

    Without a folder all comes from what is published: every entry and every open event, nothing sealed. The storage
    may be of another kind than the one the backup was taken from; `connect` with the same places afterwards. Tables are
    made where there are none. `publish` is the place of all readers, a bucket given as `objects` is another; both are
    compared first, as is `remembered`, a signed checkpoint that this log is known to have reached. `keys` and
    `passphrase` are as in `connect`, of which only the log's key is used; where it is not there, the one that the
    backup names is believed.

    A restore that was interrupted is repeated with the same call; until it is through nobody can connect. Raises
    `Conflict` when the storage is not empty, `MalformedError`, `TileMismatch` and `NotFound` for a backup that is not
    whole, `Fork` when two of the places contradict each other, `Rollback` when none has what is remembered.
    """
    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys, make=True)
    where = keys_of(parts.store, keys)
    targets = _targets(parts, publish)
    opens = ask_once(passphrase)
    ring, links, source = _keys_and_backup(folder, where, opens, targets, progress)
    again = _begin(parts, sha256(b"" if source is None else bytes(source.manifest)).hexdigest())
    newest, compared = _newest(ring, source, targets)
    refilled = _put_log(parts, ring, where, opens, source, newest, progress)
    log = _compare(parts, ring, remembered)
    erased = apply_erasures(log.rows(0, log.size), parts.sealed)  # from a vault that was there
    redact_erased(log, erased)  # from a backup or a copy that is older than the erasure
    locked = 0 if source is None else _put_vault(parts, source, log, erased, again=again, progress=progress)
    rebuild_for(parts, ring, progress=None if progress is None else lambda done, total: progress("index", done, total))
    waiting, sequenced, names, nameless = _put_names(parts, source, log, erased) if source is not None else (0, 0, 0, 0)
    whole = source is not None and source.manifest.parts.vault is not None
    lost = lost_in(log, refilled if whole else range(log.size), parts.sealed, erased)
    if source is not None and source.manifest.witnesses is not None:
        parts.note_witnesses(Policy.parse(source.manifest.witnesses))
    for number, link in enumerate(links):
        parts.note_link(number, link)
    if parts.objects is not None:  # as `create` puts them beside the tiles
        show_key_files(parts.objects, key_files(ring, witnessed=parts.witnesses(), links=links))
    parts.note_layout(ring)
    return Restored(
        checkpoint=log.checkpoint,
        size=log.size,
        compared=compared,
        refilled=refilled,
        lost=tuple(lost),
        erased=len(erased),
        waiting=waiting,
        sequenced=sequenced,
        names=names,
        nameless=nameless,
        locked=locked,
    )


# Before anything is written


def _keys_and_backup(
    folder: str | os.PathLike[str] | None,
    where: Keys,
    opens: Passphrase | None,
    targets: Sequence[tuple[str, ReadsObjects]],
    progress: Progress | None,
) -> tuple[Keyring, list[Link], Checked | None]:
    """The log's keys, all that it had, the links between them, and the backup once all of it was found to be whole."""
    try:
        known = Policy.of(log_signer(where, opens).verifier, *_pq_verifier(where, opens))
    except NotFound:
        if folder is None:
            raise
        known = read_manifest(Path(folder)).keys.policy
    links: list[Link] = []
    for objects in [*([] if folder is None else [Directory(folder)]), *(objects for _, objects in targets)]:
        known = follow(objects, known, all_kinds=True)
        links = max(links, read_links(objects), key=len)
    ring = ring_of(known.logs)
    if folder is None:
        return ring, links, None
    checked = check_backup(folder, key=ring, progress=progress)
    if checked.faults:
        text = f"{checked.faults[0].detail}; this was in the ledger when the backup was taken: take an earlier one"
        raise MalformedError(text)
    return ring, links, checked


def _pq_verifier(where: Keys, opens: Passphrase | None) -> Iterator[CosignerKey]:
    with suppress(NotFound):  # most logs have none
        if "log_pq" in where:
            yield pq_signer(where, opens).verifier


def _begin(parts: Parts, source: str) -> bool:
    """Refuse a storage that holds anything, unless it is what an interrupted restore of the same source has left."""
    if parts.restoring == source:
        return True
    with storage_errors(parts.store.name):
        reading = parts.store.reading
        held = {
            "log": len(parts.store.origins()),
            "queue": reading.execute(select(func.count()).select_from(queue)).scalar_one(),
            "names": reading.execute(select(func.count()).select_from(refs)).scalar_one(),
            "vault": reading.execute(select(func.count()).select_from(vault_table)).scalar_one(),
        }
    full = [name for name, number in held.items() if number]
    if full:
        msg = (
            f"{parts.store.name}: not empty ({', '.join(full)}); restore into an empty database, "
            f"or mend this one with `provenance recover`"
        )
        raise Conflict(msg)
    parts.note_restoring(source)
    return False


def _targets(parts: Parts, publish: Place | ReadsObjects | None) -> list[tuple[str, ReadsObjects]]:
    """Every place where readers may have seen this log, by name."""
    found: list[tuple[str, ReadsObjects]] = []
    if publish is not None:
        place = _readable(publish)
        if place is not None:
            found.append((str(publish), place))
    if parts.objects is not None:
        found.append((repr(parts.objects), parts.objects))
    return found


def _readable(publish: Place | ReadsObjects) -> ReadsObjects | None:
    """What is published there, None when the folder does not exist."""
    if isinstance(publish, (str, os.PathLike)):
        text = os.fspath(publish)
        if "://" not in text and not Path(text).is_dir():
            return None
        return open_objects(text) if text.startswith(("http://", "https://")) else open_storage(text)
    return publish


def _newest(
    keys: Keyring, source: Checked | None, targets: Sequence[tuple[str, ReadsObjects]]
) -> tuple[_Shown, tuple[str, ...]]:
    """The longest log among backup and published places, which all others begin; and the places compared."""
    own = [] if source is None else [(f"the backup {source.folder}", log_in(source.folder, source.manifest))]
    shown: list[_Shown] = []
    for name, objects in [*own, *targets]:
        client = Client(objects, keys.policy)
        try:
            client.latest()
        except NotFound as error:
            if getattr(error, "path", "") != CHECKPOINT:
                raise
            continue  # nothing is published there
        shown.append(_Shown(name, objects, client))
    if not shown:
        msg = f"{keys.origin}: nothing is published in the places given, and there is no backup: nothing to restore"
        raise NotFound(msg)
    # Of equally long ones the backup, which is first.
    newest = max(shown, key=lambda one: one.client.checkpoint.size)
    for one in shown:
        old = one.client.checkpoint
        if tree_root(old.size, newest.client.reader) != old.root:
            msg = (
                f"{keys.origin}: {one.name} (size {old.size}) and {newest.name} (size {newest.client.checkpoint.size}) "
                "contradict each other: both were signed, so the log has forked; nothing was signed now. "
                "Keep both as evidence, stop every writer, and find out which one others have seen"
            )
            raise forked(msg, old, newest.client.checkpoint, newest.client.reader)
    return newest, tuple(one.name for one in shown[len(own) :])


# The parts


def _put_log(
    parts: Parts,
    keys: Keyring,
    where: Keys,
    opens: Passphrase | None,
    source: Checked | None,
    newest: _Shown,
    progress: Progress | None,
) -> range:
    """Fill the storage; return which entries came from what is published."""
    step = None if progress is None else lambda done, total: progress("entries", done, total)
    tiles, heads = parts.tiles, parts.heads
    start = 0 if source is None else source.checkpoint.size
    rows: list[Row] = [] if source is None else list(rows_in(source.folder, source.manifest))
    joined = parts.objects is None and parts.checkpoints is None
    if joined and source is not None:
        refill(tiles, keys, log_in(source.folder, source.manifest), checkpoints=heads, progress=step)
        extend_unsigned(parts.store, keys.origin, start, rows)
    refill(tiles, keys, newest.objects, checkpoints=heads, progress=step)
    end = newest.client.checkpoint.size
    if not joined and start + len(rows) > end:
        # A storage without transactions keeps nothing that is not signed.
        log = _signing(parts, where, opens, keys)
        held = [row.entry for row in log.rows(start, log.size)]
        if held != [row.entry for row in rows[: len(held)]]:
            msg = f"{keys.origin}: entries from #{start} on are not those that were sequenced when the backup was taken"
            raise Conflict(msg)
        if rows[len(held) :]:
            log.extend(rows[len(held) :], at=log.size)
    return range(min(start + len(rows), end), end)


def _signing(parts: Parts, where: Keys, opens: Passphrase | None, keys: Keyring) -> Log:
    try:
        signing = with_secrets(keys, where, opens)
    except NotFound as error:
        msg = f"{error}; {keys.origin} has sequenced entries to be signed in this storage: put the log's key back first"
        raise UnknownKey(msg) from error
    return open_log_of(parts, signing, target=None)


def _compare(parts: Parts, keys: Keyring, remembered: bytes | None) -> Log:
    """The log as it is now, held against all that is known of it; a log opened so signs nothing."""
    checkpoint = None if remembered is None else open_checkpoint(remembered, keys.policy)
    return Log.open(parts.tiles, keys, checkpoints=parts.heads, remembered=checkpoint)


def _put_vault(
    parts: Parts,
    source: Checked,
    log: Log,
    erased: Container[bytes],
    *,
    again: bool,
    progress: Progress | None,
) -> int:
    """Put the items back, but for those that the log says are erased: their bytes never reach the storage.

    Also what waited when the backup was taken and is in the log by now, whose contents may be nowhere else. How many
    are encrypted under keys that are not there.
    """
    root, held = source.folder, source.manifest.parts
    part = held.vault
    done = locked = 0
    for lines in portions(read_lines(root, part)) if part is not None else ():
        parsed = list(map(parse_item, lines))
        items = [item for item in parsed if item[0] not in erased]
        if isinstance(parts.sealed, WrappingVault):
            parts.sealed.forget([item for item in parsed if item[0] in erased])  # should their keys be back as well
        locked += _locked(parts, items)
        parts.stored.put([(at, data) for at, data in items if not (again and holds(parts.stored, at))])
        done += len(lines)
        if progress is not None and part is not None:
            progress("vault items", done, part.items)
    headers = Headers()
    waited = {parse_line(Waiting, line).id for line in read_lines(root, held.queue)}
    rows = log.rows(0, log.size) if waited else iter(())
    logged = {event_id for row in rows if (event_id := headers.read(row.entry)[1]) in waited}
    for line in read_lines(root, held.queue) if logged else ():
        staged = parse_line(Waiting, line).staged
        if staged.event_id in logged:
            owned = [item for item in contents_of([staged]) if item.address not in erased]
            keep(parts.sealed, [item for item in owned if not holds(parts.sealed, item.address)])
    return locked


def _locked(parts: Parts, items: Sequence[tuple[bytes, bytes]]) -> int:
    """How many of these items as they are stored cannot be opened, because their keys are not there."""
    wrapped = [item for item in items if is_wrapped(item[1])]
    if not wrapped:
        return 0
    vault = parts.sealed
    if not isinstance(vault, WrappingVault):
        msg = f"{parts.store.name}: vault items of this backup are encrypted under keys of subjects; give subject_keys="
        raise StorageError(msg)
    return len(wrapped) - sum(1 for _ in vault.opened(wrapped))


def _put_names(parts: Parts, source: Checked, log: Log, erased: Collection[bytes]) -> tuple[int, int, int, int]:
    """Queue, names and file hints. How many events wait, and were logged; how many names are back, and left out."""
    root, held, index = source.folder, source.manifest.parts, parts.index.on()
    waiting, sequenced = put_queue(parts.store, read_lines(root, held.queue), lambda ids: set(index.known(ids)))
    recall = Recall(log=log, queue=parts.queue, vault=parts.sealed, index=parts.index)

    def gone(names: list[Named]) -> set[tuple[str, str]]:
        return erased_names(names, set(erased).intersection, recall.read) if erased else set()

    there = waiting_or_logged(parts.store, index)
    names, nameless = put_names(parts.store, read_lines(root, held.names), there, gone)
    put_files(parts.store, read_lines(root, held.files), erased)
    for lines in portions(read_lines(root, held.queue)):
        staged = [parse_line(Waiting, line).staged for line in lines]
        retake(parts.queue, [facts_of_staged(event, market=b"") for event in staged])
    return waiting, sequenced, names, nameless
