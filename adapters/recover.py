"""Rebuilding what can be rebuilt: the index from log and vault, a database from the public files."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, Engine

from adapters.locations import Place, database_url, open_objects, parts_at
from adapters.log_keys import ring_of
from adapters.sql.errors import storage_errors
from adapters.sql.store import SqlStore
from ledger.errors import Conflict
from ledger.log import Log
from ledger.refill import refill
from ledger.storage import Checkpoints, ReadsObjects
from provenance.erasures import apply_erasures, redact_erased
from provenance.index import metadata
from provenance.index.rebuild import rebuild
from provenance.queue import retake
from provenance.signatures import Signatures
from provenance.statement import Statement
from provenance.succession import Link, follow, read_links
from provenance.vault import Vault, holds
from provenance.waiting import facts_of_staged

if TYPE_CHECKING:
    from adapters.assemble import Parts
    from ledger.keyring import Keyring
    from provenance.subjects import SubjectKeys

__all__ = ["Lost", "Recovery", "lost_in", "rebuild_for", "rebuild_index", "recover"]


class Lost(NamedTuple):
    """A sealed event of which nothing is here but its entry."""

    idx: int
    type: str
    event: str  # event id in hex


class Recovery(NamedTuple):
    """What `recover` did: the entries that came back, and the sealed events among them that cannot."""

    refilled: range
    lost: list[Lost]


def rebuild_index(
    database: str | Engine,
    *,
    into: str | None = None,
    verify: bool = False,
    objects: Place | None = None,
    checkpoints: Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Derive the index of a ledger again while its market runs, put it into use, and return its size. Needs no key.

    `into` is the URL of another database to keep it in, made where it is not there: from then on
    `connect(index=URL)`, in every process. `verify` checks every statement's signature by the keys valid at its
    position. What the log says is erased is erased from the vault too, should it be there again. The rest is where the
    ledger is, as in `connect`. Raises `InvalidSignature`, `UnknownKey` or
    `MalformedError` at the first bad statement, `Conflict` when another rebuild begins meanwhile; whatever is raised,
    the old index is still in use.
    """
    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys)
    keys = parts.read_layout()
    target = None if into is None else _index_store(into)
    signatures = Signatures(keys.policy, keys.origin) if verify else None
    return rebuild_for(parts, keys, into=target, signatures=signatures, progress=progress)


def rebuild_for(
    parts: Parts,
    keys: Keyring,
    *,
    into: SqlStore | None = None,
    signatures: Signatures | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """As `rebuild_index`, for parts that are open."""
    from adapters.assemble import open_log_of

    target = into or parts.index_store or parts.store

    @contextmanager
    def begin() -> Iterator[Connection]:
        with target.transaction() as tx:
            yield tx.connection

    @contextmanager
    def beside() -> Iterator[Connection]:
        with storage_errors(target.name), target.engine.connect() as connection:
            ours = connection.execution_options(schema_translate_map={None: target.schema})
            with ours.begin():
                yield ours

    log = open_log_of(parts, keys, target=None)

    def newest() -> Log:
        log.refresh()
        return log

    size = rebuild(
        begin,
        beside=beside,
        log=newest,
        vault=parts.sealed,
        leading=parts.store.leading,
        signatures=signatures,
        seen=lambda facts: retake(parts.queue, facts),
        progress=progress,
    )
    # What is in the log has its places by now; what waits has those that it took when it was accepted.
    waiting = parts.queue.peek(max(1, len(parts.queue)))
    retake(parts.queue, (facts_of_staged(event, market=b"") for event in waiting))
    return size


def recover(
    database: str | Engine,
    published: str | os.PathLike[str] | ReadsObjects | None = None,
    *,
    objects: Place | None = None,
    checkpoints: Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recovery:
    """Refill a ledger that is behind what was published, index what came back, and say what could not come back.

    Open events and all entries return, verified, from `published` and from the bucket given as `objects`. What the log
    says is erased is erased first. Keys that the log was handed over to since are followed. Sealed events and personal
    items were only in the lost database: `lost` names the sealed ones, so that they can be taken from a newer backup of
    the vault. Nothing is signed, and no key is needed. Where the ledger is, as in `connect`; one whose database is gone
    altogether is for `restore`. Raises `Fork` when the ledger contradicts what is published.
    """
    from adapters.assemble import open_log_of

    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys)
    keys = parts.read_layout()
    places = [open_objects(published)] if published is not None else []
    places += [parts.objects] if parts.objects is not None else []
    after, links = _followed(keys, places)
    for number, link in enumerate(links):
        parts.note_link(number, link)
    indexed = parts.index.on().size
    starts = [refill(parts.tiles, after, at, checkpoints=parts.heads, progress=progress).start for at in places]
    if after != keys:
        parts.note_layout(after)
    log = open_log_of(parts, after, target=None)
    erased = apply_erasures(log.rows(0, log.size), parts.sealed)
    redact_erased(log, erased)
    parts.ledger(log, signers=None, claim=None, clock=lambda: datetime.now(UTC))  # index and queue follow the log
    start = min(starts, default=log.size)
    unseen = range(min(start, indexed), log.size)
    return Recovery(range(start, log.size), list(lost_in(log, unseen, parts.sealed, erased)))


def _followed(keys: Keyring, places: Sequence[ReadsObjects]) -> tuple[Keyring, Sequence[Link]]:
    """The keys that the log was handed over to since, as is published, and the links that say so."""
    known, links = keys.policy, list[Link]()
    for place in places:
        known = follow(place, known, all_kinds=True)
        links = max(links, read_links(place), key=len)
    if len(known.logs) == len(keys.lines):
        return keys, ()
    return ring_of(known.logs), links


def lost_in(log: Log, among: range, vault: Vault, erased: Container[bytes]) -> Iterator[Lost]:
    """The sealed events `among` the entries of a log that are not in the vault, and not because they are `erased`."""
    for index, row in zip(among, log.rows(among.start, among.stop), strict=True):
        statement = Statement.parse(row.entry)
        if statement.sealed and statement.event_id not in erased and not holds(vault, statement.event_id):
            yield Lost(index, statement.type, statement.event_id.hex())


def _index_store(url: str) -> SqlStore:
    """The database that an index is moved to; never one that holds a log of its own."""
    store = SqlStore(database_url(url), create=True, extra=[metadata])
    if store.origins():
        msg = f"{url}: holds the log {store.origins()[0]}; give a database of its own to keep the index in"
        raise Conflict(msg)
    return store
