"""Putting the parts together: a market's ledger on a database, an auditor's log on a folder or URL."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.key_files import KEY, key_files, show_key_files
from adapters.keys import Keys, Passphrase, ask_once, claim_uri, market_signer
from ledger.client import Client
from ledger.copies import get_or_none
from ledger.errors import NotFound
from ledger.policy import Policy
from ledger.storage import Checkpoints, Objects, ReadsObjects

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

    from adapters.assemble import Parts
    from adapters.sql.store import SqlStore
    from ledger.cosigning import Witnessing
    from ledger.keyring import Keyring
    from provenance.ledger import ProvenanceLedger
    from provenance.subjects import SubjectKeys
    from provenance.vault import Vault

__all__ = [
    "connect",
    "create",
    "database_url",
    "keys_beside",
    "keys_folder",
    "keys_of",
    "open_log",
    "open_objects",
    "open_storage",
]

Place = str | os.PathLike[str] | Objects
"""A folder, the URL of a bucket (`s3://bucket/prefix`), or a storage of your own."""

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def create(
    database: str | Engine,
    *,
    origin: str,
    publish: Place | None = None,
    objects: Place | None = None,
    checkpoints: str | Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    keys: Keys | None = None,
    passphrase: Passphrase | None = None,
    post_quantum: bool = False,
    market_name: str | None = None,
    clock: Clock = _now,
) -> ProvenanceLedger:
    """Begin a ledger: keys, database, genesis entry and the market's own registration, published.

    `origin` names the log for ever, usually a URL without its scheme (`market.example/log`). New keys are written to
    where `keys` says (`file:` only), by default a folder beside the database (`market.keys` for `market.db`, files of
    mode 0600), with a development certificate that `doctor` refuses in production; they are encrypted when there is a
    `passphrase`, here or in the environment. Where `keys` has a signer, that key is used and none is made. With
    `post_quantum` the log signs with ML-DSA-44 too, by the key "log_pq", and never without again: its records then
    outlive Ed25519. The rest as in `connect`.

    The ledger is there whole or not at all: where this was interrupted it is called again, and of several who call it
    at once for one database the first makes it. Raises `Conflict` where a ledger is there already, a log is published
    there, or a key that is not this ledger's is where a new one should go; `UnknownKey` when the log's key that was
    given has another name than `origin`, or when there is no ML-DSA-44 on this machine.
    """
    from adapters.begin import begin

    parts = _parts(database, objects, checkpoints, vault, index, schema, subject_keys, make=True)
    return begin(
        parts,
        origin=origin,
        publish=_place(publish),
        keys=keys_of(parts.store, keys),
        passphrase=ask_once(passphrase),
        post_quantum=post_quantum,
        market_name=market_name,
        clock=clock,
    )


def connect(
    database: str | Engine,
    *,
    publish: Place | None = None,
    objects: Place | None = None,
    checkpoints: str | Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    keys: Keys | None = None,
    passphrase: Passphrase | None = None,
    signs: bool = True,
    witnesses: Policy | str | None = None,
    without_quorum: bool = False,
    clock: Clock = _now,
) -> ProvenanceLedger:
    """Open a market's ledger; nothing is made that is not there.

    `database` is a URL (`sqlite:///market.db`, `postgresql+psycopg://…`) or the market's own Engine, which is only
    asked for its URL: we open connections of our own beside it. `publish` is where others read the log: a folder, a
    bucket (`s3://bucket/log`) or any `Objects`.

    What grows beyond one machine goes elsewhere: `objects` for tiles and bundles (then others read them there),
    `vault` for sealed events and personal items, `index` for the URL of a database that the index was moved to, and
    `checkpoints` for the head when it shall not be in the database either: a bucket or its URL, which at its first use
    is probed for up to a minute. `schema` is the PostgreSQL schema of our tables. A ledger is opened as it was created.

    `subject_keys` is the URL of a database of its own with the keys that vault items are encrypted under, one for each
    party that they are about, so that erasing a party ends what backups hold of it as well. Back it up apart from the
    rest, and for a short time only; without it every item is lost.

    `keys` says where the keys "log", "market" and "claim" are: URIs (`file:PATH`, `env:NAME`), by default of files in
    the folder beside the database, or for the first two a `Signer` and a `PartySigner`, as for a key in a KMS.
    Encrypted ones are opened with `passphrase`, text or a callable that is asked once, by default what
    `PROVENANCE_PASSPHRASE` or `PROVENANCE_PASSPHRASE_FILE` says.

    `signs=False` is for processes that only stage and read, such as web workers: they need no key, and a `worker`
    elsewhere sequences what they stage.

    `witnesses` is a policy (c2sp.org/tlog-policy; parsed, or its text) whose witnesses are asked on every publication,
    from now on and by every process that connects, until another one is given: readers are shown nothing that its
    quorum has not cosigned, and the published `market.policy` asks for it. What is recorded is sequenced all the same;
    `publish` raises `QuorumNotMet` while too few answer, unless `without_quorum` says that this process publishes all
    the same: readers who ask for the quorum then refuse such a checkpoint.

    Raises `NotFound` without a ledger there, `Rollback` or `Fork` when the storage is behind or beside what is
    published, `StorageError` when it was laid out in another way, its tables need `provenance db upgrade`, the
    bucket lets two writers win, or a key is encrypted and there is no passphrase; `UnknownKey` when it is another one.
    """
    from adapters.assemble import open_log_of
    from adapters.log_keys import HeldKeys
    from provenance.keys import RemotePartyKey
    from provenance.sequencer import Signers

    parts = _parts(database, objects, checkpoints, vault, index, schema, subject_keys)
    where = keys_of(parts.store, keys) if signs else None
    opens = ask_once(passphrase)
    held = HeldKeys(parts.read_layout, where, opens)
    noted = parts.witnesses()
    asked = noted if witnesses is None else _policy(witnesses)
    witnessing = None if asked is None else _witnessing(asked, lambda: held.keys, fails_open=without_quorum)
    log = open_log_of(parts, held.keys, target=_place(publish), renew=held.renew, witnessing=witnessing)
    if where is None:
        return parts.ledger(log, signers=None, claim=None, clock=clock)
    market = market_signer(where, opens)
    if held.keys.holds_turn(log.signed.signed):  # else a hand-over was interrupted, which shows its own
        files = key_files(held.keys, witnessed=asked, links=parts.links())
        for place in log.places:
            if asked != noted or get_or_none(place, KEY) != files[KEY]:  # or it was not there before
                show_key_files(place, files)
    if asked is not None and asked != noted:
        parts.note_witnesses(asked)

    def signers() -> Signers:
        return Signers(RemotePartyKey.of(log.signer), market)

    return parts.ledger(log, signers=signers, claim=claim_uri(where), passphrase=opens, clock=clock)


def open_log(location: str | os.PathLike[str] | ReadsObjects, policy: Policy | str) -> Client:
    """Open a published log for reading: a folder, a URL, or any object store.

    No account, no database, no trust beyond `policy` (parsed, or its text). Where the log has handed over to other keys
    since, it is followed from those that the policy names. Reads the newest checkpoint at once: raises `NotFound`,
    `UnknownKey`, `InvalidSignature`, `QuorumNotMet`, `TileMismatch`.
    """
    from provenance.succession import follow

    objects = open_objects(location)
    client = Client(objects, follow(objects, _policy(policy)))
    client.latest()
    return client


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


def _policy(given: Policy | str) -> Policy:
    return Policy.parse(given) if isinstance(given, str) else given


def _witnessing(policy: Policy, keys: Callable[[], Keyring], *, fails_open: bool = False) -> Witnessing | None:
    from adapters.witnesses import Witnesses
    from ledger.cosigning import Witnessing

    if not policy.witnesses:
        return None
    return Witnessing(policy, Witnesses(policy, log=lambda: keys().lines), fails_open)


def keys_beside(store: SqlStore) -> dict[str, str]:
    """Where keys are by default: in `keys_folder`."""
    folder = keys_folder(store.url)
    return {
        "log": f"file:{folder / 'log.key'}",
        "log_pq": f"file:{folder / 'log-pq.key'}",
        "market": f"file:{folder / 'market.key'}",
        "claim": f"file:{folder / 'claim.pem'}",
    }


def keys_of(store: SqlStore, keys: Keys | None) -> Keys:
    """`keys`, and where it does not say, `keys_beside`."""
    return {**keys_beside(store), **(keys or {})}


def keys_folder(url: URL) -> Path:
    """`market.keys/` beside `market.db`, `NAME.keys/` here for a database server's NAME."""
    path = Path(str(url.database))
    return path.with_suffix(".keys") if url.get_backend_name() == "sqlite" else Path(f"{path.name}.keys")


def database_url(database: str | Engine) -> str:
    """URL of a database given as URL, file name or Engine."""
    if isinstance(database, str):
        return database if "://" in database else f"sqlite:///{database}"
    return database.url.render_as_string(hide_password=False)


def _parts(
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
    from adapters.assemble import Parts
    from adapters.sql.store import SqlStore
    from provenance.index import metadata

    store = SqlStore(database_url(database), create=make, extra=[metadata] if make else [], schema=schema)
    index_store = None
    if index is not None:
        index_store = SqlStore(database_url(index), create=make, extra=[metadata] if make else [])
    return Parts(store, _place(objects), _head(checkpoints), vault, index_store, _keys_of(subject_keys, make=make))


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


def _place(place: Place | None) -> Objects | None:
    return None if place is None else open_storage(place)


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
