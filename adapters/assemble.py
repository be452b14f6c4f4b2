"""The parts of a market's ledger: where its database is, and what of it lies elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.connect import Clock
from adapters.files import Directory
from adapters.keys import Passphrase, load_secret
from adapters.log_keys import keys_noted, noted_keys
from adapters.sql.errors import storage_errors
from adapters.sql.index import SqlIndex
from adapters.sql.notes import SqlNotes
from adapters.sql.queue import SqlQueue
from adapters.sql.store import SqlStore
from adapters.sql.vault import SqlVault
from adapters.sql.version import check_version
from ledger.cosigning import Witnessing
from ledger.errors import NotFound, StorageError
from ledger.keyring import Keyring
from ledger.log import Log
from ledger.policy import Policy
from ledger.rounds import Rounds
from ledger.storage import Checkpoints, Objects
from ledger.stored import Stored
from provenance.index import IndexStore
from provenance.ledger import ProvenanceLedger
from provenance.scrubs import Scrubbed
from provenance.sequencer import Signers
from provenance.subjects import SubjectKeys, WrappingVault
from provenance.succession import Link, link_path, read_links
from provenance.vault import Vault

__all__ = ["Parts", "open_log_of"]

_LAYOUT = "layout"
_WITNESSES = "witnesses"


@dataclass(frozen=True, slots=True)
class Parts:
    """One ledger's storages. What is None lies in `store`, in the same transactions as the queue."""

    store: SqlStore
    objects: Objects | None = None
    checkpoints: Checkpoints | None = None
    vault: Vault | None = None
    index_store: SqlStore | None = None
    subject_keys: SubjectKeys | None = None

    @property
    def layout(self) -> dict[str, bool]:
        """What lies apart from the database."""
        return {
            "objects": self.objects is not None,
            "checkpoints": self.checkpoints is not None,
            "vault": self.vault is not None,
            "index": self.index_store is not None,
            **({} if self.subject_keys is None else {"subject_keys": True}),  # not noted before there were any
        }

    @property
    def tiles(self) -> Objects:
        """Where tiles and bundles are."""
        return self.objects or self.store

    @property
    def heads(self) -> Checkpoints:
        """Where the newest checkpoint is."""
        return self.checkpoints or self.store

    @property
    def queue(self) -> SqlQueue:
        """Where events wait."""
        return SqlQueue(self.store)

    @property
    def stored(self) -> Vault:
        """The vault as its bytes are stored: encrypted where there are `subject_keys`."""
        return self.vault or SqlVault(self.store)

    @property
    def sealed(self) -> Vault:
        """The vault."""
        return self.stored if self.subject_keys is None else WrappingVault(self.stored, self.subject_keys)

    @property
    def index(self) -> IndexStore:
        """The index."""
        return SqlIndex(self.index_store or self.store, joins=self.index_store is None)

    def folders(self, log: Log) -> dict[str, Path]:
        """Where this machine keeps what must not run out of room."""
        found = {}
        if self.store.url.get_backend_name() == "sqlite":
            found["database"] = Path(str(self.store.url.database)).absolute().parent
        for number, place in enumerate(place for place in log.places if isinstance(place, Directory)):
            found["published log" + (f" {number + 1}" if number else "")] = place.root
        return found

    def ledger(
        self,
        log: Log,
        *,
        signers: Callable[[], Signers] | None,
        claim: str | None,
        clock: Clock,
        passphrase: Passphrase | None = None,
    ) -> ProvenanceLedger:
        """The desk on an open log; `claim` is the URI of the certificate and key that sign manifests."""
        return ProvenanceLedger(
            log=log,
            queue=self.queue,
            vault=self.sealed,
            index=self.index,
            signers=signers,
            claim=None if claim is None else lambda: load_secret(claim, passphrase=passphrase),
            clock=clock,
            notes=SqlNotes(self.store),
            folders=self.folders(log),
            rounds=lambda: self.rounds(log),
            scrubs=lambda: self.scrub(log),
        )

    def scrub(self, log: Log) -> Scrubbed:
        """Rewrite what may hold the bytes of what was erased."""
        from adapters.scrub import scrub_parts

        return scrub_parts(self, log.places)

    def rounds(self, log: Log) -> Rounds:
        """Slices of a check of everything that is stored."""
        from adapters.fsck import Holdings

        return Holdings(self, log.keys, published=[place for place in log.places if place is not self.tiles]).rounds()

    def read_layout(self) -> Keyring:
        """The log's keys without their secrets, as noted when the ledger was begun or they were handed over last.

        Raises `StorageError` unless it was laid out like this (the index alone may have moved since), with tables of
        this release.
        """
        with storage_errors(self.store.name):
            check_version(self.store.reading)
        found = SqlNotes(self.store).load(_LAYOUT)
        if self.index_store is not None:
            with storage_errors(self.index_store.name):
                check_version(self.index_store.reading)
        made = _parsed(found, self.store.name) if found else {"key": _key_in(self.store)}
        if "restoring" in made:
            msg = f"{self.store.name}: a restore into it was interrupted; run the same `provenance restore` again"
            raise StorageError(msg)
        for name in ("objects", "checkpoints", "vault"):
            if made.get(name, False) != self.layout[name]:
                where = "in a storage of its own" if made.get(name) else "in the database"
                msg = f"{self.store.name}: {name} of this ledger lie {where}; connect with {name}= as it was created"
                raise StorageError(msg)
        if made.get("subject_keys", False) != (self.subject_keys is not None):
            how = "with subject_keys= as it was created" if made.get("subject_keys") else "without subject_keys="
            used = "are encrypted" if made.get("subject_keys") else "are not encrypted"
            msg = f"{self.store.name}: vault items of this ledger {used} under keys of subjects; connect {how}"
            raise StorageError(msg)
        return keys_noted(made)

    def note_layout(self, keys: Keyring) -> None:
        """Note in the database what lies elsewhere, so that nobody connects without it, and who signs."""
        self._note({**noted_keys(keys), **self.layout})

    def links(self) -> list[Link]:
        """What leads verifiers from each of the log's earlier keys to the next: for every place where it is shown."""
        return read_links(_Noted(SqlNotes(self.store)))

    def note_link(self, number: int, link: Link) -> None:
        """Keep a link: nobody can make it again once the key of before is gone."""
        SqlNotes(self.store).save(link_path(number), bytes(link))

    def witnesses(self) -> Policy | None:
        """The policy whose witnesses every process asks, as noted; None where no witness is asked."""
        found = SqlNotes(self.store).load(_WITNESSES)
        policy = None if found is None else Policy.parse(found.decode())
        return policy if policy is not None and policy.witnesses else None

    def note_witnesses(self, policy: Policy) -> None:
        """Note whom every process that connects from now on has to ask."""
        SqlNotes(self.store).save(_WITNESSES, str(policy).encode())

    def note_restoring(self, source: str) -> None:
        """Note that this database is being filled from `source`: nobody connects until `note_layout`."""
        self._note({"restoring": source})

    @property
    def restoring(self) -> str | None:
        """What `note_restoring` was told last, None when that has come to its end or there was nothing."""
        found = SqlNotes(self.store).load(_LAYOUT)
        return json.loads(found).get("restoring") if found else None

    def _note(self, value: Mapping[str, Any]) -> None:
        SqlNotes(self.store).save(_LAYOUT, json.dumps(value).encode())


class _Noted:
    """Notes, as `ReadsObjects`."""

    def __init__(self, notes: SqlNotes) -> None:
        self._notes = notes

    def get(self, path: str) -> bytes:
        data = self._notes.load(path)
        if data is None:
            msg = f"{path}: not noted"
            raise NotFound(msg, path=path)
        return data


def open_log_of(
    parts: Parts,
    keys: Keyring,
    *,
    target: Objects | None,
    renew: Callable[[], Keyring] | None = None,
    witnessing: Witnessing | None = None,
) -> Log:
    """Open the log in its storage, in whatever way it is laid out; the rest as in `Log.open`."""
    return Log.open(
        parts.tiles,
        keys,
        checkpoints=parts.heads,
        publish=[target] if target is not None else [],
        renew=renew,
        witnessing=witnessing,
    )


def _parsed(found: bytes, name: str) -> dict[str, Any]:
    try:
        made = json.loads(found)
    except ValueError as error:
        made = error
    if not isinstance(made, dict):
        msg = f"{name}: what is noted about this ledger's layout cannot be read; restore provenance_state"
        raise StorageError(msg)
    return made


def _key_in(store: SqlStore) -> str:
    """The log's key in the genesis entry of a database of release 0.1.0, which noted no layout."""
    origins = store.origins()
    if not origins:
        msg = f"{store.name}: no log in it; `provenance init` makes one"
        raise NotFound(msg)
    try:
        genesis = Stored(store).bundle(0)[0]
    except NotFound:
        genesis = store.rows(origins[0])[0]
    return str(json.loads(genesis.opened)["body"]["log_keys"][0])
