"""Putting the parts together: a market's ledger on a database, an auditor's log on a folder or URL."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.key_files import KEY, key_files, show_key_files
from adapters.keys import Keys, Passphrase, ask_once, claim_uri, market_signer
from adapters.locations import Place, open_objects, optional_storage, parts_at
from ledger.client import Client
from ledger.copies import get_or_none
from ledger.policy import Policy
from ledger.storage import Checkpoints, ReadsObjects

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

    from adapters.sql.store import SqlStore
    from provenance.ledger import ProvenanceLedger
    from provenance.subjects import SubjectKeys
    from provenance.vault import Vault

__all__ = [
    "connect",
    "create",
    "keys_beside",
    "keys_folder",
    "keys_of",
    "open_log",
    "utc_now",
]

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """What this machine's clock says."""
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
    clock: Clock = utc_now,
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

    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys, make=True)
    return begin(
        parts,
        origin=origin,
        publish=optional_storage(publish),
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
    clock: Clock = utc_now,
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

    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys)
    where = keys_of(parts.store, keys) if signs else None
    opens = ask_once(passphrase)
    held = HeldKeys(parts.read_layout, where, opens)
    noted = parts.witnesses()
    asked = noted if witnesses is None else _policy(witnesses)
    witnessing = None
    if asked is not None:
        from adapters.witnesses import witnessing_by

        witnessing = witnessing_by(asked, lambda: held.keys, fails_open=without_quorum)
    log = open_log_of(parts, held.keys, target=optional_storage(publish), renew=held.renew, witnessing=witnessing)
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


def _policy(given: Policy | str) -> Policy:
    return Policy.parse(given) if isinstance(given, str) else given


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
