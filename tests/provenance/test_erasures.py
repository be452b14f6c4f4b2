"""What the log says is erased is gone, and nothing brings it back."""

from __future__ import annotations

import json

import pytest

from adapters import connect, create
from adapters.object_vault import ObjectVault
from adapters.objects import Bucket
from adapters.recover import rebuild_index
from ledger import NotFound
from ledger.errors import Unavailable
from ledger.storage import Row
from provenance import EventRejected
from provenance.canonical import address, dumps
from provenance.erasures import apply_erasures, erased_addresses
from provenance.events import new_event
from provenance.item import Item
from provenance.keys import PartyKey
from provenance.statement import sign_statement

from .conftest import Clock, Market

KEY = PartyKey.from_seed(bytes(range(32)))
ORIGIN = "market.example/log"


def erasure(ledger, *targets: bytes):
    body = {"targets": [target.hex() for target in targets], "method": "delete", "basis": "gdpr-17"}
    return ledger.draft("erasure.execute", body=body)


def name_of(ledger, ticket) -> bytes:
    return bytes.fromhex(json.loads(ledger.event(ticket))["commits"]["name"])


def test_an_erased_item_is_gone_and_its_event_stays(market: Market) -> None:
    ledger = market.ledger
    at = name_of(ledger, market.ada)
    assert ledger.item(at).value == "Ada"
    before, event = ledger.receipt(market.ada), ledger.event(market.ada)
    [ticket] = ledger.record_many([erasure(ledger, at)])
    assert ledger.item(at) is None
    assert ledger.event(market.ada) == event
    assert ledger.item(name_of(ledger, market.bo)).value == "Bo"
    before.proof.verify(before.entry, ledger.log.policy)
    assert ledger.receipt(market.ada).entry == before.entry
    assert list(erased_addresses(ledger.log.rows(0, ledger.log.size))) == [at]
    assert json.loads(ledger.receipt(ticket).event)["body"]["targets"] == [at.hex()]


def test_with_the_item_in_the_same_batch(market: Market) -> None:
    """What waits is put into the vault and erased again in one transaction."""
    ledger = market.ledger
    draft = ledger.draft(
        "party.register",
        body={"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []},
        personal={"name": "Cy"},
    )
    at = draft.items[0].address
    ledger.record_many([draft, erasure(ledger, at)])
    assert ledger.item(at) is None


def test_only_the_market_erases(market: Market) -> None:
    ledger = market.ledger
    registration = new_event(
        "party.register",
        ledger=ledger.origin,
        actor="self",
        strength="self",
        claimed_at="2026-11-23T08:00:00Z",
        body={"kind": "person", "keys": [KEY.public.jwk()], "rotation_keys": [], "next_key_hashes": []},
    )
    signed = {"issuer": registration.id.hex(), "origin": ledger.origin}
    ledger.submit(
        registration.data, sign_statement(KEY, type="party.register", event_id=registration.id, **signed), ref="cy"
    )
    draft = new_event(
        "erasure.execute",
        ledger=ledger.origin,
        actor=registration.id.hex(),
        strength="self",
        claimed_at="2026-11-23T08:00:00Z",
        body={"targets": [name_of(ledger, market.ada).hex()], "method": "delete", "basis": "wish"},
    )
    with pytest.raises(EventRejected, match=r"erasure\.actor"):
        ledger.submit(draft.data, sign_statement(KEY, type="erasure.execute", event_id=draft.id, **signed))
    assert ledger.item(name_of(ledger, market.ada)).value == "Ada"


class Stubborn(ObjectVault):
    """A vault whose service goes away when it is to erase."""

    away = False

    def erase(self, addresses, *, connection=None):
        if self.away and (addresses := list(addresses)):
            msg = "vault: away"
            raise Unavailable(msg)
        super().erase(addresses, connection=connection)


@pytest.mark.parametrize("elsewhere", ["vault", "vault and tiles"])
def test_a_vault_apart_that_was_away_forgets_before_anything_else_happens(tmp_path, elsewhere) -> None:
    """The erasure is in the log, the process dies before the vault heard of it: the next one tells it first."""
    vault = Stubborn(Bucket.open("memory://"))
    url = f"sqlite:///{tmp_path / 'market.db'}"
    where = {"vault": vault, "clock": Clock()}
    if elsewhere == "vault and tiles":
        where["objects"] = Bucket.open("memory://")
    else:
        where["publish"] = tmp_path / "public"
    ledger = create(url, origin=ORIGIN, **where)
    ada = ledger.register_party("person", name="Ada", ref="user:1")
    at = name_of(ledger, ada)
    size = ledger.log.size
    vault.away = True
    with pytest.raises(Unavailable):
        ledger.record_many([erasure(ledger, at)])
    assert ledger.log.size == size + 1  # it is said
    assert vault.get(at)
    with pytest.raises(Unavailable):
        connect(url, **where)  # nothing is served before it is done
    with pytest.raises(Unavailable):
        ledger.register_party("person", name="Bo", ref="user:2")
    vault.away = False
    ledger = connect(url, **where)
    with pytest.raises(NotFound):
        vault.get(at)
    assert ledger.index.size == ledger.log.size
    assert ledger.find("user:2") == ledger.register_party("person", name="Bo", ref="user:2")


def test_a_vault_that_was_put_back_is_told_before_the_index_is_made_again(market: Market) -> None:
    ledger = market.ledger
    at = name_of(ledger, market.ada)
    item = bytes(ledger.item(at))
    ledger.record_many([erasure(ledger, at)])
    ledger._vault.put([(at, item)])
    assert ledger._vault.get(at) == item
    assert ledger.item(at) is None
    rebuild_index(market.url)
    with pytest.raises(NotFound):
        ledger._vault.get(at)


def test_what_only_looks_like_an_erasure_erases_nothing(market: Market) -> None:
    ledger = market.ledger
    good = erasure(ledger, bytes(32))
    item = Item.new("note", "erasure.execute")
    rows = [
        Row(b"erasure.execute", good.data),
        Row(sign_statement(KEY, issuer="00" * 32, type="erasure.execute", origin=ORIGIN, event_id=good.id), b""),
        Row(
            sign_statement(KEY, issuer="00" * 32, type="erasure.execute", origin=ORIGIN, event_id=bytes(32)), good.data
        ),
        Row(sign_statement(KEY, issuer="00" * 32, type="erasure.executes", origin=ORIGIN, event_id=good.id), good.data),
    ]
    for value in ({}, {"body": 1}, {"body": {"targets": "all"}}, {"body": {"targets": [1, "x", "AA" * 32]}}):
        data = dumps(value)
        rows.append(
            Row(
                sign_statement(KEY, issuer="00" * 32, type="erasure.execute", origin=ORIGIN, event_id=address(data)),
                data,
            )
        )
    assert list(erased_addresses(rows)) == []
    ledger._vault.put([(item.address, bytes(item))])
    assert apply_erasures(rows, ledger._vault) == set()
    assert ledger.item(item.address) is not None
