"""What looks personal in an event is seen; the examples of all types are clean."""

from __future__ import annotations

from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance import EventRejected, sign_statement
from provenance.item import Item
from provenance.keys import PartyKey
from provenance.linter import lint
from tests.provenance.conftest import ORIGIN, Market


def event(**body: object) -> bytes:
    return orjson.dumps({"kind": "event", "type": "x.y", "body": body, "refs": []})


@pytest.mark.parametrize(
    "value, rule",
    [
        ("ada@example.com", "email"),
        ("mailto:ada@example.co.uk", "email"),
        ("seen from 192.168.0.1", "ip"),
        ("2001:db8::1", "ip"),
        ("+43 660 1234567", "phone"),
        ("Ada Lovelace", "name"),
        ("Zoë Müller-Lüdenscheidt", "name"),
        ("a longer text that somebody wrote about it", "text"),
        ("ad\u202ea", "unicode"),
        ("cafe\u0301", "unicode"),
        (sha256(b"4711").hexdigest(), "digest"),
        (sha256(b"ab").hexdigest(), "digest"),
    ],
)
def test_it_sees(value: str, rule: str) -> None:
    for placed in (event(note=value), event(deep={"list": [value]}), orjson.dumps({"body": {}, "more": value})):
        found = lint(placed)
        assert f"G5.{rule}" in {reason.rule for reason in found}
        assert all(value not in reason.sentence for reason in found)


def test_a_digest_of_what_goes_with_it() -> None:
    item = bytes(Item.new("name", "Ada Lovelace"))
    for guess in ("Ada Lovelace", "ada lovelace", "ADA LOVELACE"):
        assert [reason.rule for reason in lint(event(of=sha256(guess.encode()).hexdigest()), [item])] == ["G5.digest"]
    assert lint(event(of=sha256(item).hexdigest()), [item]) == ()  # salted


@pytest.mark.parametrize(
    "value",
    ["CC-BY-4.0", "image/jpeg", "digitalCapture", "25.0.0.37", sha256(b"a work of some size").hexdigest(), "12:30", ""],
)
def test_what_is_not_personal(value: str) -> None:
    assert lint(event(version=value)) == ()


def test_a_market_at_work_is_clean(market: Market) -> None:
    desk = market.ledger
    work = market.work(terms="CC-BY-4.0", title="Ada at the beach")
    desk.license(work, to=market.bo, offer=desk.offers_of(work)[0].id)
    desk.snapshot(license="MIT", title="Ada's pictures")
    for idx in range(desk.log.size):
        entry = desk.index.entry(idx)
        assert entry is not None
        assert lint(desk.event(entry.event_id.hex())) == ()


def test_what_somebody_else_signs_is_looked_at(market: Market) -> None:
    key = PartyKey.generate()
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    draft = market.ledger.propose("party.register", actor="self", body=body, personal={"name": "Eve Adams"})
    statement = sign_statement(
        key, issuer=draft.id.hex(), type=draft.type, origin=ORIGIN, event_id=draft.id, sealed=False
    )
    party = market.ledger.submit(draft.data, statement, items=[bytes(item) for item in draft.items])
    evidence = sha256(b"4711").hexdigest()
    refs = [{"role": "target", "id": str(party)}]
    opened = market.ledger.propose(
        "dispute.open", actor=party, body={"tag": "improper-usage", "evidence": evidence}, refs=refs
    )
    statement = sign_statement(key, issuer=party.id, type=opened.type, origin=ORIGIN, event_id=opened.id, sealed=False)
    with pytest.raises(EventRejected, match=r"G5\.digest"):
        market.ledger.submit(opened.data, statement)


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_it_never_fails(data: bytes) -> None:
    lint(data)
