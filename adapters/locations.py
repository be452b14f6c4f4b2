"""Where things are: a folder, a URL, a bucket, a database, or the object that somebody made himself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.errors import NotFound
from ledger.storage import Checkpoints, Objects, ReadsObjects

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.assemble import Parts
    from provenance.subjects import SubjectKeys
    from provenance.vault import Vault

__all__ = ["Place", "database_url", "open_objects", "open_storage", "optional_storage", "parts_at"]

Place = str | os.PathLike[str] | Objects
"""A folder, the URL of a bucket (`s3://bucket/prefix`), or a storage of your own."""


def open_objects(location: str | os.PathLike[str] | ReadsObjects) -> ReadsObjects:
    """The objects at a folder or URL, unverified. Raises `NotFound` for a folder that is not there."""
    if isinstance(location, (str, os.PathLike)):
        text = os.fspath(location)
        if text.startswith(("http://", "https://")):
            from adapters.http import Website

            return Website(text)
        if "://" in text:
            from adapters.objects import Bucket

            return Bucket.open(text)
        if not Path(text).is_dir():
            msg = f"{text}: no such folder; want the folder or URL where the log is published"
            raise NotFound(msg, path=text)
        from adapters.files import Directory

        return Directory(text)
    return location


def open_storage(place: Place) -> Objects:
    """A folder or bucket to read and write, named by path or URL; nothing is asked of it yet."""
    if not isinstance(place, (str, os.PathLike)):
        return place
    text = os.fspath(place)
    if "://" in text:
        from adapters.objects import Bucket

        return Bucket.open(text)
    from adapters.files import Directory

    return Directory(text)


def optional_storage(place: Place | None) -> Objects | None:
    """The same, None where there is no place."""
    return None if place is None else open_storage(place)


def database_url(database: str | Engine) -> str:
    """URL of a database given as URL, file name or Engine."""
    if isinstance(database, str):
        return database if "://" in database else f"sqlite:///{database}"
    return database.url.render_as_string(hide_password=False)


def parts_at(
    database: str | Engine,
    objects: Place | None,
    checkpoints: str | Checkpoints | None,
    vault: Vault | None,
    index: str | None,
    schema: str | None,
    subject_keys: str | SubjectKeys | None = None,
    *,
    make: bool = False,
) -> Parts:
    """The parts of a ledger that lies where `connect` is told; with `make`, tables are made where there are none."""
    from adapters.assemble import Parts
    from adapters.sql.store import SqlStore
    from provenance.index import metadata

    store = SqlStore(database_url(database), create=make, extra=[metadata] if make else [], schema=schema)
    index_store = None
    if index is not None:
        index_store = SqlStore(database_url(index), create=make, extra=[metadata] if make else [])
    return Parts(
        store, optional_storage(objects), _head(checkpoints), vault, index_store, _keys_of(subject_keys, make=make)
    )


def _keys_of(place: str | SubjectKeys | None, *, make: bool) -> SubjectKeys | None:
    if not isinstance(place, str):
        return place
    from adapters.sql.subjects import SqlSubjectKeys

    return SqlSubjectKeys(database_url(place), create=make)


def _head(checkpoints: str | Checkpoints | None) -> Checkpoints | None:
    """Where the head is to be. A bucket has to show first that of two writers at once only one wins."""
    if checkpoints is None:
        return None
    from adapters.objects import Bucket
    from adapters.probe import probe_once

    head = Bucket.open(checkpoints) if isinstance(checkpoints, str) else checkpoints
    if isinstance(head, Bucket):
        probe_once(head)
    return head
