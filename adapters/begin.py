"""Beginning a ledger: keys, genesis and the market's own registration.

One process begins at a time, and the log comes to be in one step with both entries. So a ledger is there whole or not
at all: whoever begins it at the same moment finds it there, and one that was interrupted before is begun again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from adapters.assemble import Parts
from adapters.connect import Clock
from adapters.key_files import key_files, show_key_files
from adapters.keys import (
    Keys,
    Passphrase,
    claim_uri,
    environment_passphrase,
    log_signer,
    market_signer,
    pq_signer,
    read_secret,
    save_secret,
)
from adapters.known_key import at_rest, public_half, public_half_of
from adapters.sql.notes import SqlNotes
from ledger.cosignature import ML_DSA_44, Cosigner, Signs
from ledger.errors import Conflict, MalformedError, NotFound, StorageError, UnknownKey
from ledger.keyring import Keyring
from ledger.log import Log
from ledger.note import Signer, SigningKey, shown
from ledger.publish import check_free
from ledger.storage import Objects, Row
from provenance.content import make_development_credential
from provenance.events import LEAF_RULE, VOCABULARIES, VOCABULARY_DIGESTS, Draft, new_event
from provenance.keys import PartyKey, PartySigner, RemotePartyKey
from provenance.ledger import ProvenanceLedger
from provenance.moments import format_time
from provenance.queue import Staged
from provenance.sequencer import Signers
from provenance.statement import sign_statement
from provenance.subjects import Owned, keep

__all__ = ["SEALED", "begin"]

SEALED = (
    "consent.record",
    "grant.issue",
    "grant.transfer",
    "payout.confirm",
    "revenue.report",
    "settlement.compute",
    "split.declare",
    "split.transfer",
)
"""Types whose events stay in the vault."""

_BEGINNING = "beginning"
"""Noted in the database: the public halves of keys made for a ledger that may not have come to be."""


def begin(
    parts: Parts,
    *,
    origin: str,
    publish: Objects | None,
    keys: Keys,
    passphrase: Passphrase | None,
    post_quantum: bool,
    market_name: str | None,
    clock: Clock,
) -> ProvenanceLedger:
    """See `adapters.create`."""
    with parts.store.leading():
        log, market_key = _begin(parts, origin, publish, keys, passphrase, post_quantum, market_name, clock)

    def signers() -> Signers:
        return Signers(RemotePartyKey.of(log.signer), market_key)

    # The index follows by itself.
    return parts.ledger(log, signers=signers, claim=claim_uri(keys), passphrase=passphrase, clock=clock)


def _begin(
    parts: Parts,
    origin: str,
    publish: Objects | None,
    keys: Keys,
    passphrase: Passphrase | None,
    post_quantum: bool,
    market_name: str | None,
    clock: Clock,
) -> tuple[Log, PartySigner]:
    targets = [publish] if publish is not None else []
    places = targets if parts.objects is None else [*targets, parts.objects]
    _check_new(parts, origin, places)
    signer, also, market_key = _keys(parts, keys, origin, passphrase, post_quantum=post_quantum)
    ring = Keyring(signer, also)
    log_party = RemotePartyKey.of(signer)
    now = format_time(clock())
    genesis = new_event(
        "log.genesis",
        ledger=origin,
        actor="self",
        strength="self",
        claimed_at=now,
        body={
            "origin": origin,
            "log_keys": [str(key) for key in ring.verifiers],
            "leaf_rule": LEAF_RULE,
            "sealed": list(SEALED),
            "vocabularies": dict(VOCABULARIES),
            "vocabulary_digests": dict(VOCABULARY_DIGESTS),
        },
    )
    market = new_event(
        "party.register",
        ledger=origin,
        actor="self",
        strength="self",
        claimed_at=now,
        body={"kind": "market", "keys": [market_key.public.jwk()], "rotation_keys": [], "next_key_hashes": []},
        personal={} if market_name is None else {"name": market_name},
    )
    parts.note_layout(ring)
    waited = Staged(0, market.id, market.type, market.data, (), None, sealed=False)
    keep(parts.sealed, [Owned(item.address, bytes(item), waited) for item in market.items])
    log = Log.create(
        parts.tiles,
        ring,
        _row(log_party, genesis, origin),
        following=[_row(market_key, market, origin)],
        checkpoints=parts.heads,
        publish=targets,
    )
    for place in places:
        show_key_files(place, key_files(ring))
    return log, market_key


def _check_new(parts: Parts, origin: str, places: Collection[Objects]) -> None:
    """Raise `Conflict`, before anything is made, where there is a ledger or a published log already."""
    there = list(parts.store.origins())
    try:
        parts.heads.load(origin)
        there.append(origin)
    except NotFound:
        pass
    if there:
        msg = f"{parts.store.name}: there is a ledger named {there[0]} in it; connect to it instead"
        raise Conflict(msg)
    if parts.restoring is not None:
        msg = f"{parts.store.name}: a restore into it was interrupted; run that again, or begin in another database"
        raise Conflict(msg)
    for place in places:
        check_free(place)


def _keys(
    parts: Parts, keys: Keys, origin: str, passphrase: Passphrase | None, *, post_quantum: bool
) -> tuple[Signer, Signs | None, PartySigner]:
    """The log's keys and the market's: those that were given, and new ones, saved, where a URI says where to.

    Those that an interrupted beginning of this ledger has saved are taken: they have signed nothing.
    """
    notes = SqlNotes(parts.store)
    made_before = json.loads(notes.load(_BEGINNING) or b"[]")
    saved = {name: uri for name, uri in keys.items() if isinstance(uri, str) and _is_saved(uri, made_before)}
    log = SigningKey.generate(origin) if _is_new(keys["log"], saved) else log_signer(keys, passphrase)
    also: Signs | None = None
    if post_quantum:
        fresh = _is_new(keys.get("log_pq"), saved)
        also = Cosigner.generate(origin, ML_DSA_44) if fresh else pq_signer(keys, passphrase)
    market = PartyKey.generate() if _is_new(keys["market"], saved) else market_signer(keys, passphrase)
    if log.name != origin:
        msg = f"log key {shown(log.name)}: want one named {origin}, as the log"
        raise UnknownKey(msg)
    made = {"log": log, "log_pq": also, "market": market, "claim": make_development_credential(origin)}
    uris = {name: claim_uri(keys) if name == "claim" else keys.get(name) for name in made}
    secrets = {
        uri: str(made[name])
        for name, uri in uris.items()
        if isinstance(uri, str) and name not in saved and made[name] is not None
    }
    if secrets:
        notes.save(_BEGINNING, json.dumps([*made_before, *map(public_half_of, secrets.values())]).encode())
    known = passphrase() if callable(passphrase) else passphrase or environment_passphrase()
    for uri, secret in secrets.items():
        _save(uri, at_rest(secret, known))
    return log, also, market


def _is_new(key: object, saved: Mapping[str, str]) -> bool:
    return isinstance(key, str) and key not in saved.values()


def _is_saved(uri: str, made_before: Collection[str]) -> bool:
    """Whether a key is there that was made for this ledger. Raises `Conflict` where there is another."""
    path = _path(uri)
    try:
        text = read_secret(uri)
    except NotFound:
        return False
    with suppress(MalformedError):  # half a key, or none of ours
        if public_half(text) in made_before:
            return True
    msg = f"{path}: a key is there already, and not one of this ledger; keys are never overwritten: move it elsewhere"
    raise Conflict(msg)


def _save(uri: str, text: str) -> None:
    path = _path(uri)
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_secret(path, text)


def _path(uri: str) -> str:
    scheme, _, path = uri.partition(":")
    if scheme != "file":
        msg = f"{uri[:40]}: a new key is written to a file: PATH of mode 0600; move it where you want it then"
        raise StorageError(msg)
    return path


def _row(key: PartySigner, draft: Draft, origin: str) -> Row:
    statement = sign_statement(key, issuer=draft.id.hex(), type=draft.type, origin=origin, event_id=draft.id)
    return Row(statement, draft.data)
