"""Beginning a ledger: keys, genesis and the market's own registration."""

from __future__ import annotations

from pathlib import Path

from adapters.assemble import Parts
from adapters.connect import Clock
from adapters.key_files import key_files
from adapters.keys import (
    Keys,
    Passphrase,
    claim_uri,
    environment_passphrase,
    log_signer,
    market_signer,
    pq_signer,
    save_secret,
)
from adapters.known_key import at_rest
from ledger.cosignature import ML_DSA_44, Cosigner, Signs
from ledger.errors import Conflict, StorageError, UnknownKey
from ledger.keyring import Keyring
from ledger.log import Log
from ledger.note import Signer, SigningKey, shown
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
    there = parts.store.origins()
    if there:
        msg = f"{parts.store.name}: there is a ledger named {there[0]} in it; connect to it instead"
        raise Conflict(msg)
    signer, also, market_key = _keys(keys, origin, passphrase, post_quantum=post_quantum)
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
    targets = [publish] if publish is not None else []
    log = Log.create(parts.tiles, ring, _row(log_party, genesis, origin), checkpoints=parts.heads, publish=targets)
    log.extend([_row(market_key, market, origin)])
    for target in [*targets, *([parts.objects] if parts.objects is not None else [])]:
        for path, data in key_files(ring).items():
            target.replace(path, data)
    log.publish()

    # The index follows by itself.
    def signers() -> Signers:
        return Signers(log_party, market_key)

    return parts.ledger(log, signers=signers, claim=claim_uri(keys), passphrase=passphrase, clock=clock)


def _keys(
    keys: Keys, origin: str, passphrase: Passphrase | None, *, post_quantum: bool
) -> tuple[Signer, Signs | None, PartySigner]:
    """The log's keys and the market's: those that were given, and new ones, saved, where a URI says where to."""
    log = SigningKey.generate(origin) if isinstance(keys["log"], str) else log_signer(keys)
    also: Signs | None = None
    if post_quantum:
        also = Cosigner.generate(origin, ML_DSA_44) if isinstance(keys.get("log_pq"), str) else pq_signer(keys)
    market = PartyKey.generate() if isinstance(keys["market"], str) else market_signer(keys)
    if log.name != origin:
        msg = f"log key {shown(log.name)}: want one named {origin}, as the log"
        raise UnknownKey(msg)
    claim = make_development_credential(origin)
    known = passphrase() if callable(passphrase) else passphrase or environment_passphrase()
    made = {"log": log, "log_pq": also, "market": market, "claim": claim}
    for name, key in made.items():
        uri = claim_uri(keys) if name == "claim" else keys.get(name)
        if isinstance(uri, str) and key is not None:
            _save(uri, at_rest(str(key), known))
    return log, also, market


def _save(uri: str, text: str) -> None:
    scheme, _, path = uri.partition(":")
    if scheme != "file":
        msg = f"{uri[:40]}: a new key is written to a file: PATH of mode 0600; move it where you want it then"
        raise StorageError(msg)
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_secret(path, text)


def _row(key: PartySigner, draft: Draft, origin: str) -> Row:
    statement = sign_statement(key, issuer=draft.id.hex(), type=draft.type, origin=origin, event_id=draft.id)
    return Row(statement, draft.data)
