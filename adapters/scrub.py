"""Scrubbing: rewriting what still holds the bytes of something that was erased.

What is *erased* is gone from every answer at once. Its bytes may lie on: in free pages of a database file, in a
write-ahead log, in a file that a crash left half written. Scrubbing rewrites the tables and retires the log that is
ours to retire. Out of reach, and said so, are replicas, archives, snapshots and backups of a database, object versions,
mirrors, and the free blocks of a disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.files import Directory
from adapters.locations import Place, optional_storage, parts_at
from adapters.sql import tables
from adapters.sql.notes import SqlNotes
from adapters.sql.scrub import rewrite_database
from ledger.errors import Unavailable
from provenance.index import metadata as index_tables
from provenance.scrubs import Scrubbed, note_scrubbed
from provenance.scrubs import scrub_due as due_in

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.assemble import Parts
    from ledger.storage import ReadsObjects
    from provenance.subjects import SubjectKeys
    from provenance.vault import Vault

__all__ = ["Scrubbed", "scrub", "scrub_due", "scrub_parts"]

_LEFT = 3600.0  # seconds after which nobody writes on at a temporary file


def scrub(
    database: str | Engine,
    *,
    publish: Place | None = None,
    objects: Place | None = None,
    checkpoints: str | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
) -> Scrubbed:
    """Rewrite every database of a ledger so that nothing erased lies in its files any more. Needs no key.

    SQLite rewrites the whole file and empties its write-ahead log, PostgreSQL each of our tables, and as superuser it
    writes over its log (some 16 MiB for each segment that it has); whoever writes waits, on PostgreSQL also whoever
    reads. To be run when the market is quiet, with free room as large as the database. In folders that hold the log,
    also where it is published, what a crash left half written is removed.

    Where the ledger is, as in `connect`. Raises `Unavailable` when somebody does not let go; what was rewritten by then
    stays so, and the run is repeated.
    """
    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys)
    parts.read_layout()
    target = optional_storage(publish)
    return scrub_parts(parts, [] if target is None else [target])


def scrub_parts(parts: Parts, places: Iterable[ReadsObjects]) -> Scrubbed:
    """As `scrub`, for parts that are open and the places where the log is published."""
    newest = parts.index.on().newest_erasure()
    beyond = ["backups, snapshots and replicas of a database", "free blocks of a disk", "mirrors of the published log"]
    rewritten = []
    for store in [parts.store, *([parts.index_store] if parts.index_store is not None else [])]:
        beyond += rewrite_database(
            store.url, store.engine, store.name, schema=store.schema, metadatas=(tables.metadata, index_tables)
        )
        rewritten.append(store.name)
    if parts.subject_keys is not None:
        rewritten += _rewrite_keys(parts.subject_keys, beyond)
        beyond.append("copies of the keys of subjects")
    for place in dict.fromkeys([parts.tiles, *places]):
        if isinstance(place, Directory):
            rewritten += [str(path) for path in _remove_left(place.root)]
    if parts.objects is not None or parts.vault is not None:
        beyond.append("earlier versions of objects in a bucket that keeps them")
    note_scrubbed(SqlNotes(parts.store), newest)
    return Scrubbed(newest, tuple(rewritten), tuple(dict.fromkeys(beyond)))


def scrub_due(parts: Parts) -> int:
    """How many erasures came after the last scrubbing, whose bytes may lie on in files."""
    return due_in(parts.index.on(), SqlNotes(parts.store))


def _rewrite_keys(keys: SubjectKeys, beyond: list[str]) -> list[str]:
    """Rewrite the database of the keys; a store of another kind is the operator's to scrub."""
    from adapters.sql.subjects import SqlSubjectKeys, metadata

    if not isinstance(keys, SqlSubjectKeys):
        beyond.append(f"the keys of subjects in {keys!r}")
        return []
    beyond += rewrite_database(keys.url, keys.engine, keys.name, schema=keys.schema, metadatas=(metadata,))
    return [keys.name]


def _remove_left(root: Path) -> Iterator[Path]:
    """Remove the temporary files below a folder that a crash left behind (`adapters.files`), and say which."""
    before = time.time() - _LEFT
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            if name.startswith(".") and name.endswith(".tmp"):
                try:
                    if path.stat().st_mtime < before:
                        path.unlink()
                        yield path
                except FileNotFoundError:
                    continue
                except OSError as error:
                    msg = f"{path}: {error.strerror}; remove it"
                    raise Unavailable(msg) from error
