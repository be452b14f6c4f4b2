"""Beginning a ledger: keys, genesis and the market's own registration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adapters.assemble import Parts
from adapters.connect import Clock
from adapters.keys import save_secret
from ledger.errors import Conflict, StorageError
from ledger.log import Log
from ledger.note import SigningKey
from ledger.policy import Policy
from ledger.storage import Objects, Row
from provenance.content import make_development_credential
from provenance.events import LEAF_RULE, VOCABULARIES, VOCABULARY_DIGESTS, Draft, new_event
from provenance.keys import PartyKey
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
    keys: Mapping[str, str],
    market_name: str | None,
    clock: Clock,
) -> ProvenanceLedger:
    """See `adapters.create`."""
    there = parts.store.origins()
    if there:
        msg = f"{parts.store.name}: there is a ledger named {there[0]} in it; connect to it instead"
        raise Conflict(msg)
    key = SigningKey.generate(origin)
    market_key = PartyKey.generate()
    _save(keys, log=str(key), market=str(market_key), claim=str(make_development_credential(origin)))
    log_party = PartyKey.from_seed(key.seed)
    now = format_time(clock())
    genesis = new_event(
        "log.genesis",
        ledger=origin,
        actor="self",
        strength="self",
        claimed_at=now,
        body={
            "origin": origin,
            "log_keys": [str(key.verifier)],
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
    parts.note_layout(key.verifier)
    waited = Staged(0, market.id, market.type, market.data, (), None, sealed=False)
    keep(parts.sealed, [Owned(item.address, bytes(item), waited) for item in market.items])
    targets = [publish] if publish is not None else []
    log = Log.create(parts.tiles, key, _row(log_party, genesis, origin), checkpoints=parts.heads, publish=targets)
    log.extend([_row(market_key, market, origin)])
    for target in [*targets, *([parts.objects] if parts.objects is not None else [])]:
        target.replace("log.vkey", f"{key.verifier}\n".encode())
        target.replace("market.policy", str(Policy.of(key.verifier)).encode())
    log.publish()
    # The index follows by itself.
    return parts.ledger(log, signers=Signers(log_party, market_key), claim=keys.get("claim"), clock=clock)


def _save(keys: Mapping[str, str], **secrets: str) -> None:
    for name, text in secrets.items():
        scheme, _, path = keys[name].partition(":")
        if scheme != "file":
            msg = (
                f"{keys[name][:40]}: a new key is written to a file: PATH of mode 0600; move it where you want it then"
            )
            raise StorageError(msg)
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_secret(path, text)


def _row(key: PartyKey, draft: Draft, origin: str) -> Row:
    statement = sign_statement(key, issuer=draft.id.hex(), type=draft.type, origin=origin, event_id=draft.id)
    return Row(statement, draft.data)
