"""The market's own names for what is erased: gone from every answer, and no backup brings them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import normalize

import orjson
import pytest
from sqlalchemy import create_engine, text

from adapters import connect, create
from adapters.backup import backup, restore
from adapters.fsck import open_holdings
from ledger import NotFound
from ledger.testing import MemoryStore
from provenance import PartyKey, ProvenanceLedger, Ticket, sign_statement
from provenance.names import erased_names
from tests.provenance.conftest import ORIGIN, Clock, Market


def ref_of(ledger: ProvenanceLedger, ticket: Ticket) -> bytes:
    return bytes.fromhex(orjson.loads(ledger.event(ticket))["commits"]["ref"])


def names(url: str) -> set[tuple[str, str]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {tuple(row) for row in connection.execute(text("SELECT verb, ref FROM provenance_refs"))}
    engine.dispose()
    return found


def test_a_name_goes_with_the_item_that_repeats_it(market: Market) -> None:
    desk = market.ledger
    work = market.work(ref="user:1", title="a title")  # the same words, by another verb
    assert names(market.url) == {("register_party", "user:1"), ("register_party", "user:2"), ("create", "user:1")}
    desk.erase(ref_of(desk, market.ada))
    assert names(market.url) == {("register_party", "user:2"), ("create", "user:1")}
    assert desk.find("user:1") == Ticket(work.id, work.type, "user:1")
    with pytest.raises(NotFound, match="or the name was erased with what it stood for; an event that is left answers"):
        desk.find("user:1", verb="register_party")
    assert list(open_holdings(market.url, published=[market.public]).faults()) == []
    assert desk.register_party("person", ref="user:1").id != market.ada.id


def test_an_event_takes_its_name_and_the_place_of_its_file_along(market: Market) -> None:
    desk = market.ledger
    work = market.work(ref="work:1")
    assert desk.file_of(work) is not None
    desk.erase(work)
    assert ("create", "work:1") not in names(market.url)
    assert desk.file_of(work) is None


def test_what_somebody_else_signed(market: Market) -> None:
    desk = market.ledger
    key = PartyKey.generate()
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    party = desk.propose("party.register", actor="self", body=body)

    def submit(draft: Any, ref: str) -> Ticket:
        signed = {"issuer": party.id.hex(), "type": draft.type, "origin": ORIGIN, "event_id": draft.id}
        return desk.submit(draft.data, sign_statement(key, **signed), ref=ref)

    submit(party, "user:9")
    work = market.work()
    refs = [{"role": "target", "id": work.id}]
    said = {"tag": "improper-usage", "evidence": "cd" * 32}
    dispute = submit(desk.propose("dispute.open", actor=party.id.hex(), body=said, refs=refs), "complaint of user:9")
    desk.erase(dispute, work)
    assert {ref for verb, ref in names(market.url) if verb == "submit"} == {"user:9"}


def test_however_it_was_written(market: Market) -> None:
    written = normalize("NFD", "Zoë")
    party = market.ledger.register_party("person", ref=written)
    market.ledger.erase(ref_of(market.ledger, party))
    assert ("register_party", written) not in names(market.url)


@pytest.mark.parametrize("apart", [False, True])
def test_no_backup_brings_it_back(tmp_path: Path, apart: bool) -> None:
    url, clock = f"sqlite:///{tmp_path / 'market.db'}", Clock()
    where: dict[str, Any] = {"objects": MemoryStore()} if apart else {}
    keys = {name: f"file:{tmp_path}/keys/{name}" for name in ("log", "market", "claim")}
    desk = create(url, origin=ORIGIN, publish=tmp_path / "public", keys=keys, clock=clock, **where)
    ada = desk.register_party("person", name="Ada", ref="user:1")
    desk.register_party("person", name="Bo", ref="user:2")
    content = tmp_path / "file.bin"
    content.write_bytes(b"bytes")
    work = desk.create(content, creators=[ada], ref="work:1")
    backup(url, tmp_path / "backup", **where)
    desk.erase(ref_of(desk, ada), work)
    left = {("register_party", "user:2")}
    assert names(url) == left
    again = f"sqlite:///{tmp_path / 'again.db'}"
    there: dict[str, Any] = {"objects": MemoryStore()} if apart else {}
    done = restore(tmp_path / "backup", again, publish=tmp_path / "public", keys=keys, **there)
    assert (done.names, done.nameless) == (1, 2)
    assert names(again) == left
    restored = connect(again, publish=tmp_path / "public", keys=keys, clock=clock, **there)
    assert restored.file_of(work) is None
    assert restored.find("user:2").type == "party.register"


def test_a_name_that_stayed_is_found(market: Market) -> None:
    """As an earlier version left it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("provenance.following.forget_names", lambda *_: None)
        market.ledger.erase(ref_of(market.ledger, market.ada))
    assert ("register_party", "user:1") in names(market.url)
    [fault] = open_holdings(market.url, published=[market.public]).faults()
    assert "is erased, and stands here still" in fault.detail


def test_only_the_names_of_what_is_erased() -> None:
    held, other = b"h" * 32, b"o" * 32
    event = b'{"commits":{"ref":"%s"}}' % held.hex().encode()
    found = {b"1": event, b"2": b'{"commits":{}}', b"3": None, b"4": event}
    said = [("license", f"order:{number}", number.encode()) for number in "1234"]
    assert erased_names(said, lambda wanted: {held} & set(wanted), found.get) == {
        ("license", "order:1"),
        ("license", "order:4"),
    }
    assert erased_names(said, lambda wanted: {b"3"} & set(wanted), found.get) == {("license", "order:3")}
    assert erased_names(said, lambda wanted: {other} & set(wanted), found.get) == set()
