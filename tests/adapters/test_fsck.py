"""The operator's check on a real PostgreSQL, alone and with a bucket."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from adapters import connect, create
from adapters.fsck import open_holdings
from adapters.key_files import BESIDE
from adapters.recover import rebuild_index
from ledger.cosignature import Cosigner
from provenance import Money
from tests.provenance.conftest import Clock

ORIGIN = "postgres.example/log"


def _trade(ledger, folder) -> None:
    ada = ledger.register_party("person", name="Ada", ref="user:1")
    (folder / "work").write_bytes(b"work")
    work = ledger.create(folder / "work", creators=[ada], title="Dunes", terms="CC-BY-4.0", ref="work:1")
    offer = ledger.offer(work, terms="CC-BY-4.0", price=Money(5, "EUR"), ref="offer:1")
    ledger.license(work, to=ada, offer=offer, price=Money(5, "EUR"), ref="order:1")
    body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
    ledger.record_many([ledger.draft("party.register", body=body, personal={"name": f"P{n}"}) for n in range(300)])


def test_all_in_postgresql(postgres, tmp_path):
    url = postgres.database()
    public = tmp_path / "public"
    ledger = create(url, origin=ORIGIN, publish=public, schema="prov", keys=_keys(tmp_path), clock=Clock())
    _trade(ledger, tmp_path)

    def kept():
        return open_holdings(url, schema="prov", published=[public], signatures=True)

    assert list(kept().faults()) == []
    report = kept().rounds().slice(60.0, now="2026-11-24T07:00:00Z")
    assert report.last is not None
    assert report.last.found == 0

    def flipped(table: str, column: str, at: int, where: str) -> str:
        byte = f"set_byte({column}, {at}, get_byte({column}, {at}) # 255)"
        return f"UPDATE prov.provenance_{table} SET {column} = {byte} WHERE {where}"

    places = {
        flipped("vault", "data", 9, "id = 2"): "vault ",
        flipped("objects", "data", 9, "path = 'tile/0/000'"): "tile/0/000",
        flipped("rows", "entry", 200, "idx = 257"): "tile/",
        flipped("refs", "fingerprint", 9, "verb = 'offer'"): "name ",
        "UPDATE prov.provenance_index_entries SET type = 'x' WHERE idx = 100": "index of entry #100",
    }
    with kept()._parts.store.engine.connect() as connection:
        for sql, place in places.items():
            assert connection.execute(text(sql)).rowcount == 1
            connection.commit()
            assert any(fault.place.startswith(place) for fault in kept().faults()), sql
            if place != "vault ":
                kept().repair()
                rebuild_index(url, schema="prov")
    assert [fault.place[:5] for fault in kept().faults()] == ["vault", "name "]


def test_tiles_in_a_bucket(postgres, seaweed, tmp_path):
    url, bucket = postgres.database(), seaweed.bucket()
    ledger = create(url, origin=ORIGIN, objects=bucket, keys=_keys(tmp_path), clock=Clock())
    _trade(ledger, tmp_path)

    def kept():
        return open_holdings(url, objects=bucket, signatures=True)

    assert list(kept().faults()) == []
    store = kept()._parts.tiles
    good = store.get("tile/0/000")
    store.discard("tile/0/000")
    store.put("tile/0/000", good[:-1] + bytes([good[-1] ^ 1]))
    assert [fault.place for fault in kept().faults()][:1] == ["tile/0/000"]
    assert kept().repair().mended == ["tile/0/000"]
    assert store.get("tile/0/000") == good
    assert list(kept().faults()) == []
    shown = {path: store.get(path) for path in store.list("") if path in BESIDE}
    assert len(shown) > 2
    for path, data in shown.items():
        store.replace(path, bytes([data[0] ^ 1]) + data[1:])
    assert {fault.place for fault in kept().faults()} == shown.keys()
    assert set(kept().repair().mended) == shown.keys()
    assert {path: store.get(path) for path in shown} == shown
    assert list(kept().faults()) == []


def test_a_head_in_a_bucket(seaweed, tmp_path, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    place = seaweed.url()
    ledger = create("market.db", origin=ORIGIN, objects=place, checkpoints=place, keys=_keys(tmp_path))
    _trade(ledger, tmp_path)

    def kept():
        return open_holdings("market.db", objects=place, checkpoints=place)

    assert list(kept().faults()) == []
    bucket = kept()._parts.tiles
    (path,) = (path for path in bucket.list("heads/") if "probe" not in path)
    head = bucket.get(path)
    bucket.replace(path, bytes([head[0] ^ 1]) + head[1:])
    assert f"head of {ORIGIN}" in [fault.place for fault in kept().faults()]
    assert kept().repair().mended == [f"head of {ORIGIN}"]
    assert bucket.get(path) == head
    assert list(kept().faults()) == []
    bucket.replace(path, bytes([head[0] ^ 1]) + head[1:])
    bucket.put(f"staging/999-{'00' * 32}", b"")
    assert ["covers all; restore a backup" in fault.detail for fault in kept().repair().lost] == [True]
    assert bucket.get(path) != head


def test_a_place_that_shows_the_key_shows_the_files_of_keys_too(tmp_path):
    ledger = create("market.db", origin=ORIGIN, publish="public", keys=_keys(tmp_path), post_quantum=True)
    witness = Cosigner.generate("witness.example/w").verifier
    policy = f"log {ledger.log.keys.verifiers[0]}\nwitness other {witness} http://127.0.0.1:9\nquorum none\n"
    connect("market.db", publish="public", keys=_keys(tmp_path), witnesses=policy)
    shown = {path: (tmp_path / "public" / path).read_bytes() for path in BESIDE}
    assert str(witness).encode() in shown["market.policy"]

    def kept():
        return open_holdings("market.db", published=["public"])

    assert list(kept().faults()) == []
    for path in BESIDE[1:]:
        (tmp_path / "public" / path).unlink()
    assert [fault.place.split()[-1] for fault in kept().faults()] == list(BESIDE[1:])
    assert kept().repair().lost == []
    assert {path: (tmp_path / "public" / path).read_bytes() for path in BESIDE} == shown
    assert list(kept().faults()) == []
    for path in BESIDE:
        (tmp_path / "public" / path).unlink()
    assert list(kept().faults()) == [], "a place that names no keys leaves that to others"


def _keys(folder):
    return {name: f"file:{folder / 'keys' / name}" for name in ("log", "log_pq", "market", "claim")}


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
