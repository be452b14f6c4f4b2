"""What an operator holds against what the log promised."""

from __future__ import annotations

import ast
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import provenance
from adapters import connect, open_log, rows
from adapters.fsck import Holdings, open_holdings
from ledger.errors import StorageError
from provenance import History, Money
from provenance.events.union import MODELS
from provenance.holdings import audit_holdings
from provenance.index import compare
from tests.provenance.conftest import Market


def findings(market: Market) -> list[tuple[str, bool]]:
    vault = market.ledger.disclosures()
    history = History.read(open_log(market.public, market.ledger.log.policy), disclosed=vault)
    return [(f.rule, f.altered) for f in audit_holdings(history, vault=vault, index=market.ledger.index)]


@pytest.fixture
def sold(market: Market) -> Market:
    work = market.work(b"w", title="A title", terms="CC-BY-4.0")
    offer = market.ledger.offer(work, terms="CC-BY-4.0", price=Money(5, "EUR"))
    market.ledger.license(work, to=market.bo, offer=offer, price=Money(5, "EUR"), ref="order:1")
    return market


def damage(market: Market, sql: str) -> None:
    market.ledger = None  # type: ignore[assignment]
    with sqlite3.connect(Path(market.root) / "market.db") as connection:
        assert connection.execute(sql).rowcount > 0
    market.reopen()


def test_an_honest_operator_holds_everything(sold: Market) -> None:
    assert findings(sold) == []


def test_a_lost_item_is_missing_and_not_altered(sold: Market) -> None:
    damage(sold, "DELETE FROM provenance_vault WHERE instr(data, 'A title')")
    assert findings(sold) == [("vault.missing", False)]


def test_a_lost_sealed_event_is_missing(sold: Market) -> None:
    damage(sold, "DELETE FROM provenance_vault WHERE instr(data, 'grant.issue')")
    assert ("vault.missing", False) in findings(sold)


def test_a_swapped_item_is_a_mismatch(sold: Market) -> None:
    damage(
        sold,
        "UPDATE provenance_vault SET data = CAST(replace(data, 'A ti', 'No ti') AS BLOB) WHERE instr(data, 'A ti')",
    )
    assert findings(sold) == [("vault.mismatch", True)]


def test_a_changed_index_differs(sold: Market) -> None:
    damage(sold, "UPDATE provenance_index_digests SET digest = zeroblob(32) WHERE kind = 'content'")
    assert findings(sold) == [("index.differs", False)]


def test_rows_of_the_index_beyond_the_log_are_found(market: Market) -> None:
    market.work(b"one")
    holdings = open_holdings(market.url, published=[market.public])
    assert list(holdings.faults()) == []
    with market.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO provenance_index_digests (key, digest, idx, kind) VALUES (1, x'00', 99, 'x')")
        )
    (fault,) = holdings.faults()
    assert (fault.place, fault.altered) == ("provenance_index_digests", False)
    assert "a row of entry #99, the log has" in fault.detail


def test_digests_too_many_are_found(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    work = market.work(b"one")
    for number in range(3):
        market.work(b"other %d" % number)
    place = market.ledger.index.find(bytes.fromhex(work.id)).idx
    holdings = open_holdings(market.url, published=[market.public])
    assert list(holdings.faults()) == []
    add = "INSERT INTO provenance_index_digests (key, digest, idx, kind)"
    damage(market, f"{add} VALUES (1, x'00', {place}, 'content')")
    # The same as one that is named, of an entry that does not name it; and one twice
    damage(market, f"{add} SELECT key, digest, {place + 1}, kind FROM provenance_index_digests WHERE idx = {place + 2}")
    damage(market, f"{add} SELECT key, digest, idx, kind FROM provenance_index_digests WHERE idx = {place + 3} LIMIT 1")
    wrong = [place, place + 1, place + 3]
    assert [fault.place for fault in holdings.faults()] == [f"index of entry #{idx}" for idx in wrong]
    assert findings(market) == [("index.differs", False)] * 3
    monkeypatch.setattr(compare, "_MOST_SCANS", 0)  # as where very many were found: of no named key, and not sought
    assert [fault.place for fault in holdings.faults()] == [f"index of entry #{idx}" for idx in wrong[1:]]


def test_a_layout_that_cannot_be_read_is_an_error_of_ours(market: Market) -> None:
    with market.engine.begin() as connection:
        connection.execute(text("UPDATE provenance_state SET value = x'7b' WHERE key = 'layout'"))
    with pytest.raises(StorageError, match="layout cannot be read"):
        market.reopen()
    with pytest.raises(StorageError, match="layout cannot be read"):
        open_holdings(market.url)


def test_every_verb_that_takes_a_name_is_known() -> None:
    """By its calls: what takes a name makes a `Request` of its own verb, or has another make it."""
    makers = {"Request": 0, "_about": 2, "_consent": 0, "_change_keys": 0}
    verbs = set()
    for path in (Path(provenance.__file__).parent).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in makers and len(node.args) > makers[name]:
                    verb = node.args[makers[name]]
                    verbs |= {verb.value} if isinstance(verb, ast.Constant) else set()

    assert {"judge", "consent", "withdraw_consent", "takedown", "rotate_keys", "import"} <= verbs
    assert verbs | {"submit"} == rows._VERBS.keys()
    for type_ in rows._VERBS.values():
        assert type_ is None or type_ in MODELS


def test_names_given_to_later_verbs(market: Market) -> None:
    work = market.work(b"one", ref="work:1")
    opened = market.ledger.dispute(work, tag="improper-usage", evidence="00" * 32, actor=market.bo, ref="dispute:1")
    market.ledger.judge(opened, "upheld", ref="judged:1")
    market.ledger.hold(work, ground="legal-claim", ref="hold:1")
    market.ledger.takedown(work, reason="court-order", ref="down:1")
    assert [fault.place for fault in open_holdings(market.url, published=[market.public]).faults()] == []
    damage(market, "UPDATE provenance_refs SET verb = 'hold' WHERE verb = 'judge'")
    (fault,) = open_holdings(market.url, published=[market.public]).faults()
    assert "stands for a dispute.judge, want hold.set" in fault.detail


def holdings(market: Market) -> Holdings:
    return open_holdings(market.url, published=[market.public])


def test_a_database_that_fell_behind_what_it_published(sold: Market, tmp_path: Path) -> None:
    """As when a disk spoils a frame of SQLite's write-ahead log: what was committed after it is gone without a word."""
    for name in ("old", "other"):
        with sqlite3.connect(sold.root / "market.db") as there, sqlite3.connect(tmp_path / f"{name}.db") as copy:
            there.backup(copy)
        shutil.copytree(tmp_path / "market.keys", tmp_path / f"{name}.keys")
    shutil.copytree(sold.public, tmp_path / "public-other")
    old = open_holdings(f"sqlite:///{tmp_path / 'old.db'}", published=[sold.public])
    assert list(old.faults()) == []
    sold.work(b"later")
    sold.ledger.publish()
    [fault] = old.faults()
    size = sold.ledger.log.size
    assert f"shows size {size}, this ledger has {size - 1} and lost what came after" in fault.detail
    assert not fault.altered

    other = connect(f"sqlite:///{tmp_path / 'other.db'}", publish=tmp_path / "public-other", clock=sold.clock)
    other.create(sold.file(b"something else"), creators=[sold.ada])
    other.publish()
    [fault] = open_holdings(f"sqlite:///{tmp_path / 'other.db'}", published=[sold.public]).faults()
    assert f"shows another log than this one at size {size}" in fault.detail
    assert fault.altered


def test_places_that_are_taken_by_nothing_that_takes_them(market: Market) -> None:
    work = market.work(b"one")
    market.ledger.set_status(work, "suspended", reason="complaint")
    dispute = market.ledger.dispute(work, tag="improper-usage", evidence="00" * 32)
    with market.engine.begin() as connection:
        market.ledger.judge(dispute, "upheld", session=connection)

    def faults() -> list[str]:
        return [fault.place for fault in open_holdings(market.url, published=[market.public]).faults()]

    assert faults() == []
    damage(market, "UPDATE provenance_once SET key = zeroblob(32) WHERE rule = 'work.status'")
    assert faults() == [f"place work.status {'00' * 32}", f"place work.status {work.id}"]
    damage(market, f"UPDATE provenance_once SET event_id = x'{'ab' * 32}' WHERE rule = 'work.status'")
    assert faults() == [f"place work.status {'00' * 32}", f"place work.status {work.id}"]
    damage(market, "DELETE FROM provenance_once")
    missing = [fault for fault in holdings(market).faults() if fault.place.startswith("place")]
    assert [fault.place.split()[1] for fault in missing] == ["work.status", "dispute", "dispute.evidence"]
    assert not any(fault.altered for fault in missing)
    assert all("takes it, and nobody has it" in fault.detail for fault in missing)
    [waits] = [fault for fault in holdings(market).faults() if fault.place.startswith("queue row")]
    assert "has not taken its place dispute.judge" in waits.detail


def test_places_are_mended(market: Market) -> None:
    """Those that are gone, those that somebody else has, and those that nothing takes; sales go on meanwhile."""
    desk, work = market.ledger, market.work(b"one")
    offer = desk.offer(work, terms="CC0-1.0")
    desk.license(work, to=market.bo, offer=offer)
    desk.withdraw_offer(offer)
    desk.set_status(work, "suspended", reason="complaint")
    other = desk.offer(market.work(b"two"), terms="CC0-1.0")
    dispute = desk.dispute(work, tag="improper-usage", evidence="00" * 32)
    with market.engine.begin() as connection:
        desk.judge(dispute, "upheld", session=connection)
    read = "SELECT rule, key, event_id FROM provenance_once WHERE event_id <> key ORDER BY rule"

    def rows() -> list[tuple[Any, ...]]:
        with market.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(read))]

    good = rows()
    damage(market, "DELETE FROM provenance_once WHERE rule IN ('work.status', 'dispute.judge')")
    damage(market, f"UPDATE provenance_once SET event_id = x'{other.id}' WHERE rule = 'offer.detach'")
    damage(market, f"INSERT INTO provenance_once VALUES ('grant.revoke', x'{'ab' * 32}', x'{'cd' * 32}')")
    damage(market, f"INSERT INTO provenance_once VALUES ('offer.detach', x'{other.id}', x'{other.id}')")  # is kept free
    assert len(list(holdings(market).faults())) == 5
    assert len(holdings(market).mend_places()) == 5
    assert rows() == good
    assert list(holdings(market).faults()) == []
    assert holdings(market).mend_places() == []
