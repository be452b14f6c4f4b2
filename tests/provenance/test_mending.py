"""`fsck --repair`: what is derivable comes back from rows, published copy, log and vault; the rest is named."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner

from adapters import connect, create
from adapters.cli.app import app, run
from adapters.fsck import Holdings, open_holdings
from adapters.key_files import KEY_FILES
from adapters.recover import rebuild_index
from ledger import Client, fsck
from provenance import Money, ProvenanceLedger
from tests.provenance.conftest import Clock, Market


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 entries, all but the last two published; nobody is connected any more."""
    root = tmp_path_factory.mktemp("market")
    url = f"sqlite:///{root / 'market.db'}"
    ledger = create(url, origin="test.market.example/log", publish=root / "public", market_name="M", clock=Clock())
    ada = ledger.register_party("person", name="Ada", ref="user:1")
    (root / "w").write_bytes(b"w")
    work = ledger.create(root / "w", creators=[ada], title="A title", terms="CC-BY-4.0", ref="work:1")
    offer = ledger.offer(work, terms="CC-BY-4.0", price=Money(5, "EUR"))
    ledger.license(work, to=ada, offer=offer, price=Money(5, "EUR"), ref="order:1")
    body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
    drafts = [ledger.draft("party.register", body=body, personal={"name": f"P{n}"}) for n in range(600)]
    ledger.record_many(drafts[: 598 - ledger.log.size])
    engine = create_engine(url)
    with engine.begin() as connection:
        for n in range(2):
            ledger.register_party("person", name=f"Late {n}", session=connection)
    ledger.sequence_once()
    engine.dispose()
    with sqlite3.connect(root / "market.db") as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    return root


@dataclass
class Sold:
    root: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.root / 'market.db'}"

    @property
    def public(self) -> Path:
        return self.root / "public"

    def reopen(self) -> ProvenanceLedger:
        return connect(self.url, publish=self.public, clock=Clock())


@pytest.fixture
def sold(template: Path, tmp_path: Path) -> Sold:
    """A copy of it."""
    return Sold(Path(shutil.copytree(template, tmp_path / "market")))


def damage(market: Market | Sold, sql: str) -> None:
    with sqlite3.connect(market.root / "market.db") as connection:
        assert connection.execute(sql).rowcount > 0
    connection.close()


def holdings(market: Market | Sold) -> Holdings:
    return open_holdings(market.url, published=[market.public])


def everything(market: Market | Sold) -> tuple[object, ...]:
    """All that is stored of the log: published files, objects, rows, head."""
    with sqlite3.connect(market.root / "market.db") as connection:
        rows = [
            connection.execute(f"SELECT {columns} FROM provenance_{table} ORDER BY 1").fetchall()
            for table, columns in (("objects", "path, data"), ("rows", "idx, entry, opened"), ("heads", "*"))
        ]
    connection.close()
    files = {path: path.read_bytes() for path in Path(market.public).rglob("*") if path.is_file()}
    return (files, *rows)


FLIP = "CAST(substr({0}, 1, 99) || x'00' || substr({0}, 101) AS BLOB)"


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE provenance_objects SET data = {FLIP.format('data')} WHERE path = 'tile/0/001'",
        "DELETE FROM provenance_objects WHERE path = 'tile/0/000'",
        f"UPDATE provenance_objects SET data = {FLIP.format('data')} WHERE path = 'tile/entries/001'",
        f"UPDATE provenance_objects SET data = {FLIP.format('data')} WHERE path = 'events/000'",
        "DELETE FROM provenance_objects WHERE path LIKE 'tile/%'",
        f"UPDATE provenance_rows SET entry = {FLIP.format('entry')} WHERE idx = 530",
        f"UPDATE provenance_rows SET opened = {FLIP.format('opened')} WHERE idx = 531",
        "UPDATE provenance_rows SET idx = 4000 WHERE idx = 520",
        "UPDATE provenance_rows SET idx = 3 WHERE idx = 598",
        "UPDATE provenance_heads SET size = 601",
    ],
)
def test_the_database_from_what_is_published(sold, sql):
    before = everything(sold)
    damage(sold, sql)
    assert list(holdings(sold).faults()) != []
    report = holdings(sold).repair()
    assert report.mended
    assert report.lost == []
    assert everything(sold) == before
    assert list(holdings(sold).faults()) == []
    assert sold.reopen().publish().size == 600


def test_a_head_that_nobody_signed_becomes_the_one_that_is_published(sold):
    damage(sold, "UPDATE provenance_heads SET signed = CAST(replace(signed, '598', '599') AS BLOB)")
    assert [fault.place for fault in holdings(sold).faults()]
    assert "head of test.market.example/log" in holdings(sold).repair().mended
    assert list(holdings(sold).faults()) == []
    ledger = sold.reopen()
    assert ledger.log.checkpoint.size == 598
    assert ledger.publish().size == 600


@pytest.mark.parametrize(
    "path",
    ["tile/0/001", "tile/entries/000", "events/002", "tile/1/000.p/2", "checkpoint", *KEY_FILES],
)
def test_what_is_published_from_the_database(sold, path):
    before = everything(sold)
    file = Path(sold.public) / path
    data = file.read_bytes()
    file.write_bytes(data[:50] + b"\x00" + data[51:])
    assert list(holdings(sold).faults()) != []
    assert len(holdings(sold).repair().mended) == 1
    assert everything(sold) == before


def test_what_is_good_is_not_written_again(sold):
    files = {path: path.stat().st_mtime_ns for path in Path(sold.public).rglob("*")}
    report = holdings(sold).repair()
    assert (report.mended, report.lost) == ([], [])
    assert files == {path: path.stat().st_mtime_ns for path in Path(sold.public).rglob("*")}


def test_an_unpublished_entry_cannot_be_derived(sold):
    before = everything(sold)
    damage(sold, f"UPDATE provenance_rows SET entry = {FLIP.format('entry')} WHERE idx = 599")
    assert any("#599" in fault.detail for fault in holdings(sold).faults())
    assert holdings(sold).repair().mended == []
    assert everything(sold) != before


def test_a_sealed_event_comes_from_a_backup_only(sold):
    damage(sold, "DELETE FROM provenance_vault WHERE instr(data, 'grant.issue')")
    assert holdings(sold).repair().mended == []
    assert any("restore it from a backup" in fault.detail for fault in holdings(sold).faults())


def test_slices_find_what_a_whole_pass_finds(sold):
    damage(sold, "UPDATE provenance_index_digests SET digest = zeroblob(32) WHERE kind = 'content'")
    found = list(holdings(sold).faults())
    assert [fault.place[:14] for fault in found] == ["index of entry"]
    for n in range(100):
        report = holdings(sold).rounds().slice(0.0, now=f"t{n}")
        if report.last is not None:
            break
    assert n > 5
    assert report.last.faults == tuple(found)
    rebuild_index(sold.url)
    assert list(holdings(sold).faults()) == []


def test_no_false_alarm_while_the_market_goes_on(sold):
    ledger = sold.reopen()
    enough = threading.Event()

    def sell() -> None:
        numbers = itertools.count()
        while not enough.is_set():
            number = next(numbers)
            ledger.register_party("person", name=f"New {number}", ref=f"new:{number}")

    with ThreadPoolExecutor(1) as pool:
        selling = pool.submit(sell)
        try:
            for _ in range(4):
                assert list(holdings(sold).faults()) == []
        finally:
            enough.set()
        selling.result()
    assert list(holdings(sold).faults()) == []


def test_objects_in_a_folder_of_their_own(tmp_path):
    url, objects = f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "objects"
    ledger = create(url, origin="apart.example/log", objects=objects)
    ada = ledger.register_party("person", name="Ada", ref="user:1")
    (tmp_path / "f").write_bytes(b"f")
    ledger.create(tmp_path / "f", creators=[ada], terms="CC-BY-4.0", ref="work:1")
    kept = open_holdings(url, objects=objects, signatures=True)
    assert list(kept.faults()) == []
    bundle = next((objects / "tile" / "0" / "000.p").glob("[5-9]"))
    good = bundle.read_bytes()
    bundle.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert [fault.altered for fault in open_holdings(url, objects=objects).faults()][:1] == [True]
    assert open_holdings(url, objects=objects).repair().mended == [f"tile/0/000.p/{bundle.name}"]
    assert bundle.read_bytes() == good
    assert list(open_holdings(url, objects=objects).faults()) == []


def test_an_erased_item_is_not_missing_and_one_that_is_back_is_named(market):
    ledger = market.ledger
    with sqlite3.connect(market.root / "market.db") as connection:
        address, data = connection.execute(
            "SELECT address, data FROM provenance_vault WHERE instr(data, 'Ada')"
        ).fetchone()
    connection.close()
    body = {"targets": [address.hex()], "method": "delete", "basis": "gdpr-17"}
    ledger.record_many([ledger.draft("erasure.execute", body=body)])
    assert list(holdings(market).faults()) == []
    damage(
        market,
        f"INSERT INTO provenance_vault (prefix, address, data) VALUES "
        f"({int.from_bytes(address[:8], 'big', signed=True)}, x'{address.hex()}', x'{data.hex()}')",
    )
    assert [fault.place for fault in holdings(market).faults()] == [f"vault {address.hex()}"]


def _command(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words), standalone_mode=False)
    return result.return_value, result.output


def test_the_command(sold, monkeypatch):
    monkeypatch.chdir(sold.root)
    assert run(["fsck", "--db", "market.db", "--seconds", "1", "public"]) == 3
    status, text = _command("fsck", "--signatures")
    assert (status, text.splitlines()) == (0, ["Record: intact", "next: provenance status"])
    file = Path(sold.public) / "tile/entries/001"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")  # never the last byte of a signature
    status, text = _command("fsck", "public", "--policy", "public/market.policy")
    assert status == 1
    assert text.startswith("✕ tile/entries/001: entry 511 at byte ")
    status, text = _command("fsck", "--seconds", "0", "--json")
    assert json.loads(text)["last"]["found"] == 0
    status, text = _command("fsck", "--json")
    assert status == 1
    assert [fault["place"] for fault in json.loads(text)["faults"]] == ["tile/entries/001"]
    status, text = _command("fsck", "--repair")
    assert status == 0
    assert text.splitlines()[0].endswith("tile/entries/001")
    assert (
        fsck(Client(open_holdings(sold.url, published=[sold.public])._published[0], connect(sold.url).log.policy))
        == 598
    )


def copied(sold: Sold, name: str) -> str:
    """The URL of the same ledger as it is now, in another database."""
    shutil.copytree(sold.root / "market.keys", sold.root / f"{name}.keys")
    with sqlite3.connect(sold.root / "market.db") as there, sqlite3.connect(sold.root / f"{name}.db") as copy:
        there.backup(copy)
    return f"sqlite:///{sold.root / name}.db"


def test_a_place_that_shows_more_is_never_put_back(sold):
    """A database that fell behind would sign another history over it."""
    old = copied(sold, "old")
    ledger = sold.reopen()
    ledger.register_party("person", name="Later")
    ledger.publish()
    before = everything(sold)
    report = open_holdings(old, published=[sold.public]).repair()
    assert report.mended == []
    [fault] = report.lost
    assert "shows size 601, this ledger has 600 and lost what came after" in fault.detail
    assert everything(sold) == before


def test_a_place_that_shows_another_log_is_evidence(sold):
    shutil.copytree(sold.public, sold.root / "public-other")
    other = connect(copied(sold, "other"), publish=sold.root / "public-other")
    other.register_party("person", name="Else")
    other.publish()
    ledger = sold.reopen()
    ledger.register_party("person", name="Later")
    ledger.publish()
    before = everything(sold)
    report = open_holdings(f"sqlite:///{sold.root / 'other.db'}", published=[sold.public]).repair()
    assert report.mended == []
    assert ["shows another log than this one at size 601" in fault.detail for fault in report.lost] == [True]
    assert everything(sold) == before


def test_tiles_that_are_ahead_of_the_head_are_never_put_back(tmp_path):
    url, objects = f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "objects"
    ledger = create(url, origin="apart.example/log", objects=objects)
    shutil.copytree(tmp_path / "market.keys", tmp_path / "old.keys")
    with sqlite3.connect(tmp_path / "market.db") as there, sqlite3.connect(tmp_path / "old.db") as copy:
        there.backup(copy)
    ledger.register_party("person", name="Ada", ref="user:1")
    ledger.publish()
    shown = (objects / "checkpoint").read_bytes()
    old = open_holdings(f"sqlite:///{tmp_path / 'old.db'}", objects=objects)
    assert any("lost what came after" in fault.detail for fault in old.faults())
    report = old.repair()
    assert report.mended == []
    assert ["lost what came after" in fault.detail for fault in report.lost] == [True]
    assert (objects / "checkpoint").read_bytes() == shown
