"""The parts of a market's ledger on one SQLite database."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.connect import Clock
from adapters.keys import load_secret
from adapters.sql.queue import SqlQueue
from adapters.sql.store import SqlStore
from adapters.sql.vault import SqlVault
from ledger.log import Log
from ledger.note import SigningKey
from ledger.storage import Objects
from provenance.index import Index
from provenance.keys import PartyKey
from provenance.ledger import ProvenanceLedger

__all__ = ["assemble", "ledger_on"]


def assemble(store: SqlStore, *, target: Objects | None, keys: Mapping[str, str], clock: Clock) -> ProvenanceLedger:
    """Open the log in `store` with these keys, and the desk on top of it."""
    key = SigningKey.parse(load_secret(keys["log"]))
    log = Log.open(store, key, publish=[target] if target is not None else [])
    market = PartyKey.parse(load_secret(keys["market"]))
    return ledger_on(store, log, key, market, claim=keys.get("claim"), clock=clock)


def ledger_on(
    store: SqlStore, log: Log, key: SigningKey, market: PartyKey, *, claim: str | None, clock: Clock
) -> ProvenanceLedger:
    """The desk on an open log; `claim` is the URI of the certificate and key that sign manifests."""
    return ProvenanceLedger(
        log=log,
        queue=SqlQueue(store),
        vault=SqlVault(store),
        index=lambda: Index(store.reading),
        log_key=PartyKey.from_seed(key.seed),
        market_key=market,
        claim=None if claim is None else lambda: load_secret(claim),
        clock=clock,
    )
