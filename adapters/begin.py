"""Beginning a ledger: keys, genesis and the market's own registration."""

from __future__ import annotations

from pathlib import Path

from adapters.assemble import ledger_on
from adapters.connect import Clock, keys_beside
from adapters.keys import save_secret
from adapters.sql.store import SqlStore
from adapters.sql.vault import SqlVault
from ledger.errors import Conflict
from ledger.log import Log
from ledger.note import SigningKey
from ledger.policy import Policy
from ledger.storage import Objects, Row, Transaction
from provenance.content import make_development_credential
from provenance.events import LEAF_RULE, VOCABULARIES, Draft, new_event
from provenance.index import Facts, Index, facts_of, metadata
from provenance.keys import PartyKey
from provenance.ledger import ProvenanceLedger
from provenance.sequencer import format_time
from provenance.session import connection_of
from provenance.statement import sign_statement

__all__ = ["SEALED", "begin"]

SEALED = ("grant.issue",)
"""Types whose events stay in the vault."""


def begin(url: str, *, origin: str, publish: Objects | None, market_name: str | None, clock: Clock) -> ProvenanceLedger:
    """See `adapters.create`."""
    store = SqlStore(url, create=True, extra=[metadata])
    if store.origins():
        msg = f"{store.url.database}: there is a ledger named {store.origins()[0]} in it; connect to it instead"
        raise Conflict(msg)
    key = SigningKey.generate(origin)
    market_key = PartyKey.generate()
    uris = keys_beside(store)
    paths = {name: Path(uri.removeprefix("file:")) for name, uri in uris.items()}
    paths["log"].parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    save_secret(paths["log"], str(key))
    save_secret(paths["market"], str(market_key))
    save_secret(paths["claim"], str(make_development_credential(origin)))
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

    def first(tx: Transaction, _: int) -> None:
        Index(connection_of(tx)).write(0, [_facts(genesis)])

    def second(tx: Transaction, index: int) -> None:
        connection = connection_of(tx)
        Index(connection).write(index, [_facts(market)])
        SqlVault(store).put([(item.address, bytes(item)) for item in market.items], connection=connection)

    targets = [publish] if publish is not None else []
    log = Log.create(store, key, _row(log_party, genesis, origin), publish=targets, within=first)
    log.extend([_row(market_key, market, origin)], within=second)
    for target in targets:
        target.replace("log.vkey", f"{key.verifier}\n".encode())
        target.replace("market.policy", str(Policy.of(key.verifier)).encode())
    log.publish()
    return ledger_on(store, log, key, market_key, claim=uris["claim"], clock=clock)


def _row(key: PartyKey, draft: Draft, origin: str) -> Row:
    statement = sign_statement(key, issuer=draft.id.hex(), type=draft.type, origin=origin, event_id=draft.id)
    return Row(statement, draft.data)


def _facts(draft: Draft) -> Facts:
    return facts_of(event_id=draft.id, type=draft.type, issuer=draft.id.hex(), sealed=False, event=draft.data)
