"""Backups of ledgers, and ledgers from backups: the same one, in whatever storage it lies by then."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from adapters import connect, create, open_log
from adapters.backup import backup, check_backup, restore
from adapters.key_files import KEY_FILES
from adapters.object_vault import ObjectVault
from adapters.objects import Bucket
from adapters.recover import recover
from ledger import Conflict, Fork, LedgerError, MalformedError, NotFound, Rollback, UnknownKey, fsck
from ledger.errors import StorageError
from ledger.note import SigningKey
from provenance import Money, ProvenanceLedger, audit
from provenance.statement import Statement
from tests.indexes import differences

ORIGIN = "market.example/log"
PRICE = Money(1250, "EUR")
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Shop:
    """A market's ledger with something of everything in it."""

    root: Path
    url: str
    where: dict
    ledger: ProvenanceLedger
    names: dict[str, str]

    @property
    def keys(self) -> dict[str, str]:
        return keys_in(self.root)

    def sell(self, order: int, *, publish: bool = True) -> str:
        """One sale; without `publish` it only waits."""
        details = {"to": "user:1", "offer": "offer:1", "price": PRICE, "ref": f"order:{order}"}
        details |= {name: self.names[details[name]] for name in ("to", "offer")}
        if publish:
            ticket = self.ledger.license(self.names["work:1"], **details)
        else:
            with Session(create_engine(self.url)) as session:
                ticket = self.ledger.license(self.names["work:1"], **details, session=session)
                session.commit()
        self.names[f"order:{order}"] = ticket.id
        return ticket.id

    def fill(self, count: int, prefix: str = "person") -> None:
        body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
        self.ledger.record_many(
            self.ledger.draft("party.register", body=body, personal={"name": f"{prefix} {n}"}) for n in range(count)
        )

    def name_of(self, ref: str) -> bytes:
        """Address of the vault item with the name of a party."""
        return bytes.fromhex(json.loads(self.ledger.event(self.names[ref]))["commits"]["name"])

    def erase(self, *targets: bytes) -> None:
        body = {"targets": [target.hex() for target in targets], "method": "delete", "basis": "gdpr-17"}
        self.ledger.record_many([self.ledger.draft("erasure.execute", body=body)])


def keys_in(root: Path) -> dict[str, str]:
    return {
        "log": f"file:{root}/market.keys/log.key",
        "market": f"file:{root}/market.keys/market.key",
        "claim": f"file:{root}/market.keys/claim.pem",
    }


def open_shop(root: Path, url: str = "", **where) -> Shop:
    url = url or f"sqlite:///{root / 'market.db'}"
    where = where or {"publish": root / "public"}
    ledger = create(url, origin=ORIGIN, keys=keys_in(root), market_name="Shop", **where)
    (root / "dunes.jpg").write_bytes(b"dunes" * 100)
    ada = ledger.register_party("person", name="Ada Lovelace", ref="user:1")
    work = ledger.create(root / "dunes.jpg", creators=[ada], terms="CC-BY-4.0", ref="work:1")
    offer = ledger.offer(work, terms="LicenseRef-sale", price=PRICE, ref="offer:1")
    return Shop(root, url, where, ledger, {"user:1": ada.id, "work:1": work.id, "offer:1": offer.id})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = open_shop(tmp_path)
    shop.sell(1)
    return shop


def same(one: ProvenanceLedger, other: ProvenanceLedger, names: dict[str, str]) -> None:
    """The same log, the same names, the same contents."""
    size = min(one.log.size, other.log.size)
    assert list(one.log.rows(0, size)) == list(other.log.rows(0, size))
    assert differences(one.index, other.index) == []
    for ref, event in names.items():
        assert other.find(ref) == one.find(ref)
        assert other.event(event) == one.event(event)
    assert other.disclosures() == one.disclosures()


def copy_database(source: Path, target: Path) -> None:
    """As an operator would, beside a market that runs."""
    with contextlib.closing(sqlite3.connect(source)) as one, contextlib.closing(sqlite3.connect(target)) as other:
        one.backup(other)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_ledger_comes_back_whole(shop: Shop, tmp_path: Path) -> None:
    shop.fill(600)
    shop.ledger.log.checkpoint  # noqa: B018
    waiting = shop.sell(2, publish=False)
    shop.ledger.sequence_once()  # sequenced, and under no checkpoint if the window is still open
    shop.sell(3, publish=False)
    done = backup(shop.url, tmp_path / "backup")
    assert done.faults == ()
    assert done.manifest.parts.queue.items == 1
    assert done.manifest.sequenced == shop.ledger.log.size
    assert check_backup(tmp_path / "backup").manifest == done.manifest

    url = f"sqlite:///{tmp_path / 'new.db'}"
    report = restore(tmp_path / "backup", url, publish=tmp_path / "public", keys=shop.keys)
    assert (report.size, report.waiting, report.lost, report.nameless) == (shop.ledger.log.size, 1, (), 0)
    assert report.compared == (str(tmp_path / "public"),)
    again = connect(url, publish=tmp_path / "public", keys=shop.keys)
    same(shop.ledger, again, shop.names)
    assert again.waiting == 1
    assert again.event(waiting)
    assert again.file_of(shop.names["work:1"]) == tmp_path / "dunes.jpg"
    again.publish()
    assert again.receipt(shop.names["order:3"]).index == report.size
    published = open_log(tmp_path / "public", again.log.policy)
    assert fsck(published) == again.log.size
    assert audit(published).record == "intact"


def test_keys_are_not_in_it_and_nobody_else_reads_what_is_private(shop: Shop, tmp_path: Path) -> None:
    backup(shop.url, tmp_path / "backup")
    stored = b"".join(files_of(tmp_path / "backup").values())
    for key in ("log.key", "market.key", "claim.pem"):
        secret = (tmp_path / "market.keys" / key).read_bytes().split(b"\n")[0 if key != "claim.pem" else 1]
        assert secret
        assert secret not in stored
    private = tmp_path / "backup" / "private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in private.iterdir()} == {0o600}
    outside = b"".join(data for name, data in files_of(tmp_path / "backup").items() if not name.startswith("private/"))
    assert b"Ada Lovelace" in stored
    assert b"Ada Lovelace" not in outside
    assert b"order:1" not in outside


def test_a_backup_is_a_log_that_anybody_can_check(shop: Shop, tmp_path: Path) -> None:
    backup(shop.url, tmp_path / "backup")
    log = open_log(tmp_path / "backup", (tmp_path / "backup" / "market.policy").read_text())
    assert fsck(log) == shop.ledger.log.checkpoint.size
    for line in (tmp_path / "backup" / "private").glob("vault-*").__next__().read_bytes().splitlines():
        assert json.loads(line)["kind"]


def test_the_next_one_writes_what_is_new_and_forgets_what_was_erased(shop: Shop, tmp_path: Path) -> None:
    shop.fill(700)
    folder = tmp_path / "backup"
    first = backup(shop.url, folder)
    before = {path: (folder / path).stat().st_ino for path in files_of(folder) if path.startswith("tile/")}
    assert any(b"Ada Lovelace" in data for data in files_of(folder).values())
    shop.erase(shop.name_of("user:1"))
    shop.fill(300, "more")
    seen: list[tuple[str, int, int]] = []
    second = backup(shop.url, folder, progress=lambda *step: seen.append(step))
    assert second.manifest.sequenced > first.manifest.sequenced
    assert not any(b"Ada Lovelace" in data for data in files_of(folder).values())
    assert min(done for what, done, _ in seen if what == "entries") > 512
    now = {path: (folder / path).stat().st_ino for path in files_of(folder) if path.startswith("tile/")}
    kept = {path: number for path, number in before.items() if ".p/" not in path}
    assert kept.items() <= now.items()
    assert not any(path.startswith(("tile/0/002.p/", "tile/entries/002.p/")) for path in now)
    assert check_backup(folder).checkpoint.size == second.manifest.sequenced
    assert len(list((folder / "private").iterdir())) == 5


def test_an_older_backup_stays_whole_while_a_newer_one_is_written(shop: Shop, tmp_path: Path) -> None:
    shop.fill(300)
    folder = tmp_path / "backup"
    backup(shop.url, folder)
    manifest = (folder / "backup.json").read_bytes()
    size = shop.ledger.log.size
    shop.fill(400, "more")

    class Killed(Exception):
        pass

    def kill(what: str, done: int, total: int) -> None:
        if what == "checked":  # everything is written, but for the manifest
            raise Killed

    with pytest.raises(Killed):
        backup(shop.url, folder, progress=kill)
    assert (folder / "backup.json").read_bytes() == manifest
    assert check_backup(folder).manifest.sequenced == size
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert restore(folder, url, publish=None, keys=shop.keys).size == size
    assert backup(shop.url, folder).manifest.sequenced == shop.ledger.log.size
    assert len(list((folder / "private").iterdir())) == 5


def test_while_the_market_runs(shop: Shop, tmp_path: Path) -> None:
    """Sales, sequencing and publishing go on; everything accepted before the backup is in it, and nothing twice."""
    stop, sale = threading.Event(), threading.Semaphore(0)
    sold: list[int] = []

    def sell() -> None:
        ledger = connect(shop.url, publish=tmp_path / "public", keys=shop.keys)
        order = 1000
        while not stop.is_set():
            with Session(create_engine(shop.url)) as session:
                details = {"to": shop.names["user:1"], "offer": shop.names["offer:1"], "price": PRICE}
                ledger.license(shop.names["work:1"], **details, ref=f"order:{order}", session=session)
                session.commit()
            sold.append(order)
            sale.release()
            order += 1
            if order % 3 == 0:
                ledger.sequence_once()
            if order % 7 == 0:
                ledger.publish()

    seller = threading.Thread(target=sell)
    seller.start()
    try:
        for number in range(4):
            for _ in range(10):
                assert sale.acquire(timeout=60)
            before = list(sold)
            folder = tmp_path / "backup"
            backup(shop.url, folder)
            url = f"sqlite:///{tmp_path / f'new{number}.db'}"
            report = restore(folder, url, publish=None, keys=shop.keys)
            new = connect(url, keys=shop.keys)
            new.publish()
            assert report.lost == ()
            for order in before:
                assert new.event(new.find(f"order:{order}"))
            events = [Statement.parse(row.entry).event_id for row in new.log.rows(0, new.log.size)]
            assert len(events) == len(set(events))
            assert new.index.size == new.log.size
    finally:
        stop.set()
        seller.join()


def test_what_was_published_since_comes_back_and_what_cannot_is_named(shop: Shop, tmp_path: Path) -> None:
    shop.sell(2, publish=False)
    backup(shop.url, tmp_path / "backup")
    shop.ledger.publish()  # order 2 is in the log now
    grant = shop.sell(3)
    shop.fill(300)
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert restore(tmp_path / "backup", url, publish=None, keys=shop.keys).compared == ()
    with pytest.raises(Rollback, match="refill"):
        connect(url, publish=tmp_path / "public", keys=shop.keys)
    (tmp_path / "new.db").unlink()
    report = restore(tmp_path / "backup", url, publish=tmp_path / "public", keys=shop.keys)
    assert report.size == shop.ledger.log.checkpoint.size
    assert (report.waiting, report.sequenced) == (0, 1)
    index = shop.ledger.receipt(grant).index
    # The grant of order 2 was waiting when the backup was taken: its row held the event, its log entry came back.
    assert [(one.idx, one.type, one.event) for one in report.lost] == [(index, "grant.issue", grant)]
    again = connect(url, publish=tmp_path / "public", keys=shop.keys)
    assert again.find("order:2") == shop.ledger.find("order:2")
    assert again.event(shop.names["order:2"])
    with pytest.raises(NotFound):
        again.find("order:3")
    shop.ledger = again
    shop.sell(4)
    assert audit(open_log(tmp_path / "public", again.log.policy)).record == "intact"


def test_what_was_erased_since_never_comes_back(shop: Shop, tmp_path: Path) -> None:
    """An old backup next to the newer published log: the bytes do not reach the new storage at all."""
    backup(shop.url, tmp_path / "backup")
    at, kept = shop.name_of("user:1"), shop.ledger.register_party("person", name="Bo Bardi", ref="user:2")
    grant = shop.sell(2)
    shop.erase(at, bytes.fromhex(grant), bytes.fromhex(shop.names["order:1"]))
    shop.ledger.publish()
    url = f"sqlite:///{tmp_path / 'new.db'}"
    report = restore(tmp_path / "backup", url, publish=tmp_path / "public", keys=shop.keys)
    assert report.erased == 3
    assert report.lost == ()  # both grants are erased, not lost
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("new.db*"))
    assert b"Ada Lovelace" not in stored
    assert b"Bo Bardi" not in stored  # it was in the lost database alone, and that is said
    again = connect(url, publish=tmp_path / "public", keys=shop.keys)
    assert again.item(at) is None
    assert json.loads(again.event(kept))["type"] == "party.register"
    assert audit(open_log(tmp_path / "public", again.log.policy), disclosed=again.disclosures()).record == "intact"


def test_an_older_database_in_place_forgets_what_was_erased(shop: Shop, tmp_path: Path) -> None:
    """The operator's own copy of the file, put back: `recover` applies erasures before anybody is served."""
    shop.sell(2, publish=False)
    old = tmp_path / "old.db"
    copy_database(tmp_path / "market.db", old)
    at = shop.name_of("user:1")
    shop.erase(at)
    url = f"sqlite:///{old}"
    with pytest.raises(Rollback):
        connect(url, publish=tmp_path / "public", keys=shop.keys)
    report = recover(url, tmp_path / "public")
    assert len(report.refilled) == 2
    assert report.lost == []  # what waited in the copy is in the log now, and its content is in the vault
    again = connect(url, publish=tmp_path / "public", keys=shop.keys)
    assert again.item(at) is None
    assert again.event(shop.names["order:2"]) == shop.ledger.event(shop.names["order:2"])
    assert again.waiting == 0
    assert differences(again.index, shop.ledger.index) == []


def test_a_backup_that_contradicts_what_is_published(shop: Shop, tmp_path: Path) -> None:
    """Two histories under one key: neither is continued, and the error holds the evidence."""
    backup(shop.url, tmp_path / "backup")
    url = f"sqlite:///{tmp_path / 'other.db'}"
    restore(tmp_path / "backup", url, publish=None, keys=shop.keys)
    other = connect(url, publish=tmp_path / "elsewhere", keys=shop.keys)  # never compared: a fork in the making
    other.register_party("person", name="Cy")
    shop.fill(5)
    other.publish()
    backup(url, tmp_path / "forked")
    target = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(Fork, match=r"contradict each other.*nothing was signed") as caught:
        restore(tmp_path / "forked", target, publish=tmp_path / "public", keys=shop.keys)
    assert {caught.value.old.size, caught.value.new.size} == {
        other.log.checkpoint.size,
        shop.ledger.log.checkpoint.size,
    }
    assert caught.value.evidence is not None
    assert caught.value.evidence.verify(other.log.policy).new == caught.value.new
    with pytest.raises(StorageError, match="restore"):
        connect(target, publish=tmp_path / "public", keys=shop.keys)


def test_a_remembered_checkpoint_that_nobody_has_any_more(shop: Shop, tmp_path: Path) -> None:
    backup(shop.url, tmp_path / "backup")
    shop.fill(3)
    signed = shop.ledger.log.checkpoint.signed
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(Rollback, match="remembered"):
        restore(tmp_path / "backup", url, publish=None, remembered=signed, keys=shop.keys)
    with pytest.raises(StorageError, match="interrupted"):
        connect(url, keys=shop.keys)
    # The same call with a place that has it goes on where it stopped.
    report = restore(tmp_path / "backup", url, publish=tmp_path / "public", remembered=signed, keys=shop.keys)
    assert report.checkpoint.signed == signed


def test_a_restore_that_was_interrupted_goes_on(shop: Shop, tmp_path: Path) -> None:
    shop.fill(1200)
    shop.sell(2, publish=False)
    backup(shop.url, tmp_path / "backup")
    shop.fill(1100, "later")
    url = f"sqlite:///{tmp_path / 'new.db'}"

    class Killed(Exception):
        pass

    for stop in (("entries", 1024), ("entries", 1209), ("entries", 2233), ("vault items", 1000), ("index", 0)):

        def kill(what: str, done: int, total: int, stop: tuple[str, int] = stop) -> None:
            if what == stop[0] and done >= stop[1]:
                raise Killed

        with pytest.raises(Killed):
            restore(tmp_path / "backup", url, publish=tmp_path / "public", keys=shop.keys, progress=kill)
        with pytest.raises(StorageError, match="interrupted"):
            connect(url, publish=tmp_path / "public", keys=shop.keys)
    report = restore(tmp_path / "backup", url, publish=tmp_path / "public", keys=shop.keys)
    again = connect(url, publish=tmp_path / "public", keys=shop.keys)
    assert list(again.log.rows(0, report.size)) == list(shop.ledger.log.rows(0, report.size))
    items = list(again._vault.items())
    assert len(items) == len(dict(items))
    # The names of those who came later were in the lost database alone, as was the market's name for order 2.
    assert len(items) == len(dict(shop.ledger._vault.items())) - 1100
    assert (report.waiting, report.sequenced) == (0, 1)


KILLED = """
import os, signal, sys
from adapters.backup import backup, restore

verb, step, *rest = sys.argv[1:]

def progress(what, done, total):
    if what == step:
        os.kill(os.getpid(), signal.SIGKILL)

if verb == "backup":
    backup(rest[0], rest[1], progress=progress)
else:
    keys = {"log": f"file:{rest[3]}/log.key"}
    restore(rest[1], rest[0], publish=rest[2], keys=keys, progress=progress)
"""


def test_killed_at_any_step(shop: Shop, tmp_path: Path) -> None:
    """The process dies; the same call again comes to the end, and nothing is there twice."""
    shop.fill(1100)
    folder, public = tmp_path / "backup", tmp_path / "public"
    url = f"sqlite:///{tmp_path / 'new.db'}"

    def kill(*arguments: object) -> None:
        done = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False, cwd=ROOT)
        assert done.returncode == -signal.SIGKILL

    kill("backup", "checked", shop.url, folder)
    backup(shop.url, folder)
    assert check_backup(folder).faults == ()
    assert len(list((folder / "private").iterdir())) == 5
    for step in ("vault items", "index"):
        kill("restore", step, url, folder, public, tmp_path / "market.keys")
    restore(folder, url, publish=public, keys=shop.keys)
    again = connect(url, publish=public, keys=shop.keys)
    same(shop.ledger, again, shop.names)
    items = list(again._vault.items())
    assert len(items) == len(dict(items))


def test_only_into_an_empty_storage(shop: Shop, tmp_path: Path) -> None:
    backup(shop.url, tmp_path / "backup")
    with pytest.raises(Conflict, match=r"not empty \(log, names, vault\)"):
        restore(tmp_path / "backup", shop.url, publish=tmp_path / "public", keys=shop.keys)
    assert connect(shop.url, publish=tmp_path / "public", keys=shop.keys).log.size == shop.ledger.log.size


def test_without_the_vault(shop: Shop, tmp_path: Path) -> None:
    done = backup(shop.url, tmp_path / "backup", with_vault=False)
    assert done.manifest.parts.vault is None
    assert not any(b"Ada Lovelace" in data for data in files_of(tmp_path / "backup").values())
    url = f"sqlite:///{tmp_path / 'new.db'}"
    report = restore(tmp_path / "backup", url, publish=tmp_path / "public", keys=shop.keys)
    assert [(one.type, one.event) for one in report.lost] == [("grant.issue", shop.names["order:1"])]
    assert connect(url, keys=shop.keys).find("order:1").id == shop.names["order:1"]


def test_from_what_is_published_alone(shop: Shop, tmp_path: Path) -> None:
    """Everything open comes back; what was sealed is named."""
    shop.fill(300)
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(NotFound, match="key"):
        restore(None, url, publish=tmp_path / "public", keys=keys_in(tmp_path / "nowhere"))
    with pytest.raises(NotFound, match="nothing to restore"):
        restore(None, url, publish=tmp_path / "nowhere", keys=shop.keys)
    report = restore(None, url, publish=tmp_path / "public", keys=shop.keys)
    assert [(one.type, one.event) for one in report.lost] == [("grant.issue", shop.names["order:1"])]
    assert report.refilled == range(shop.ledger.log.checkpoint.size)
    again = connect(url, publish=tmp_path / "public", keys=shop.keys)
    assert again.event(shop.names["work:1"]) == shop.ledger.event(shop.names["work:1"])
    again.register_party("person", ref="user:9")
    assert fsck(open_log(tmp_path / "public", again.log.policy)) == report.size + 1


def test_the_key_of_another_log(shop: Shop, tmp_path: Path) -> None:
    backup(shop.url, tmp_path / "backup")
    other = SigningKey.generate(ORIGIN)
    with pytest.raises(UnknownKey):
        check_backup(tmp_path / "backup", key=other.verifier)
    shop.ledger = connect(shop.url, publish=tmp_path / "public", keys=shop.keys)
    (tmp_path / "more").mkdir()
    two = open_shop(tmp_path / "more")
    with pytest.raises(Conflict, match="a folder of its own"):
        backup(two.url, tmp_path / "backup")
    with pytest.raises(UnknownKey):
        restore(tmp_path / "backup", f"sqlite:///{tmp_path / 'new.db'}", publish=None, keys=two.keys)


def test_a_changed_byte_in_any_file_is_found(shop: Shop, tmp_path: Path) -> None:
    """In the middle of every file, and its last byte gone."""
    shop.fill(300)
    shop.sell(2, publish=False)
    folder = tmp_path / "backup"
    backup(shop.url, folder)
    for name, data in files_of(folder).items():
        if name in {"checkpoint", *KEY_FILES}:
            continue  # for other readers; a restore takes them from the manifest
        middle = len(data) // 2 if name != "backup.json" else data.index(b'"checkpoint"') + 40
        if not data:
            continue
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        for bad in (changed, data[:-1] if name != "backup.json" else data[:-3]):
            (folder / name).write_bytes(bad)
            if name.startswith("events/"):
                with contextlib.suppress(MalformedError):
                    assert check_backup(folder).faults
            else:
                with pytest.raises(LedgerError):
                    check_backup(folder)
            (folder / name).write_bytes(data)
        if ".p/" not in name and name != "backup.json" and not name.startswith("events/"):
            (folder / name).unlink()
            with pytest.raises(NotFound):
                check_backup(folder)
            (folder / name).write_bytes(data)
    assert check_backup(folder).faults == ()


def test_an_item_that_is_not_what_its_address_says_is_told_and_left_out(shop: Shop, tmp_path: Path) -> None:
    at = shop.name_of("user:1")
    with create_engine(shop.url).begin() as connection:
        connection.exec_driver_sql("UPDATE provenance_vault SET data = ? WHERE address = ?", (b"{}", at))
    done = backup(shop.url, tmp_path / "backup")
    assert [fault.place for fault in done.faults] == [f"vault {at.hex()}"]
    assert check_backup(tmp_path / "backup").faults == ()


def test_a_ledger_that_went_back_does_not_replace_its_newer_backup(shop: Shop, tmp_path: Path) -> None:
    backup(shop.url, tmp_path / "old")
    shop.fill(10)
    newest = backup(shop.url, tmp_path / "new").manifest
    url = f"sqlite:///{tmp_path / 'back.db'}"
    restore(tmp_path / "old", url, publish=None, keys=shop.keys)
    with pytest.raises(Rollback):
        backup(url, tmp_path / "new")
    fork = connect(url, keys=shop.keys)
    for number in range(20):
        fork.register_party("person", ref=f"fork:{number}")
    with pytest.raises(Fork):
        backup(url, tmp_path / "new")
    assert check_backup(tmp_path / "new").manifest == newest


def test_two_at_once_in_one_folder(shop: Shop, tmp_path: Path) -> None:
    def second(*_: object) -> None:
        with pytest.raises(Conflict, match="another backup is being written"):
            backup(shop.url, tmp_path / "backup")

    backup(shop.url, tmp_path / "backup", progress=second)
    backup(shop.url, tmp_path / "backup")


# From one kind of storage to another


def test_up_to_a_server_with_a_bucket_and_back(shop: Shop, tmp_path: Path, postgres, seaweed, monkeypatch) -> None:
    """SQLite → PostgreSQL and S3 → SQLite: how one outgrows a machine; what was sequenced keeps its place."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    shop.fill(300)
    shop.sell(2, publish=False)
    shop.ledger.sequence_once()  # a row behind the checkpoint, which a bucket cannot hold unsigned
    shop.sell(3, publish=False)
    backup(shop.url, tmp_path / "backup")
    size = shop.ledger.log.size

    bucket = seaweed.url()
    server = {"objects": bucket, "schema": "provenance"}
    url = postgres.database()
    report = restore(tmp_path / "backup", url, publish=tmp_path / "public", keys=shop.keys, **server)
    assert (report.size, report.checkpoint.size, report.waiting) == (size, size, 1)
    there = connect(url, publish=tmp_path / "public", keys=shop.keys, **server)
    same(shop.ledger, there, shop.names)
    there.publish()
    assert there.receipt(shop.names["order:3"])
    there.register_party("person", name="Bo Bardi", ref="user:2")
    assert fsck(open_log(bucket, there.log.policy)) == there.log.size
    assert Bucket.open(bucket).get("log.vkey") == (tmp_path / "public" / "log.vkey").read_bytes()

    backup(url, tmp_path / "backup", **server)
    assert check_backup(tmp_path / "backup").manifest.sequenced == there.log.size
    back = f"sqlite:///{tmp_path / 'back.db'}"
    restore(tmp_path / "backup", back, publish=tmp_path / "public", keys=shop.keys)
    again = connect(back, publish=tmp_path / "public", keys=shop.keys)
    same(there, again, shop.names | {"user:2": there.find("user:2").id})


def test_a_bucket_that_survived_its_database(tmp_path: Path) -> None:
    """Tiles in a bucket: it is ahead of the backup, and the log goes on from it."""
    bucket = Bucket.open("memory://")
    shop = open_shop(tmp_path, objects=bucket)
    shop.sell(1)
    backup(shop.url, tmp_path / "backup", objects=bucket)
    grant = shop.sell(2)
    url = f"sqlite:///{tmp_path / 'new.db'}"
    report = restore(tmp_path / "backup", url, publish=None, objects=bucket, keys=shop.keys)
    assert report.size == shop.ledger.log.size
    assert [one.event for one in report.lost] == [grant]
    again = connect(url, objects=bucket, keys=shop.keys)
    again.register_party("person", ref="user:2")
    assert fsck(open_log(bucket, again.log.policy)) == report.size + 1
    with pytest.raises(StorageError, match="objects"):
        connect(url, keys=shop.keys)


def test_head_and_tiles_in_a_bucket(tmp_path: Path) -> None:
    """Only queue, names and vault were in the database: that alone is restored, the log is there."""
    bucket = Bucket.open("memory://")
    where = {"objects": bucket, "checkpoints": bucket}
    shop = open_shop(tmp_path, **where)
    shop.sell(1, publish=False)
    backup(shop.url, tmp_path / "backup", **where)
    shop.ledger.publish()
    url = f"sqlite:///{tmp_path / 'new.db'}"
    report = restore(tmp_path / "backup", url, publish=None, keys=shop.keys, **where)
    assert (report.size, report.waiting, report.sequenced) == (shop.ledger.log.size, 0, 1)
    assert [one.event for one in report.lost] == []
    assert connect(url, keys=shop.keys, **where).event(shop.names["order:1"])
    # And all of it elsewhere, in a bucket that holds nothing yet.
    other = Bucket.open("memory://")
    new = f"sqlite:///{tmp_path / 'newer.db'}"
    where = {"objects": other, "checkpoints": other}
    restore(tmp_path / "backup", new, publish=bucket, keys=shop.keys, **where)
    again = connect(new, keys=shop.keys, **where)
    assert list(again.log.rows(0, report.size)) == list(shop.ledger.log.rows(0, report.size))


def test_a_vault_of_its_own(tmp_path: Path) -> None:
    """Restored into a vault that survived, with everything that was erased since."""
    vault = ObjectVault(Bucket.open("memory://"))
    shop = open_shop(tmp_path, publish=tmp_path / "public", vault=vault)
    shop.sell(1)
    backup(shop.url, tmp_path / "backup", vault=vault)
    at = shop.name_of("user:1")
    item = vault.get(at)
    shop.erase(at)
    new = ObjectVault(Bucket.open("memory://"))
    new.put([(at, item)])  # a bucket that was put back to yesterday
    url = f"sqlite:///{tmp_path / 'new.db'}"
    restore(tmp_path / "backup", url, publish=tmp_path / "public", vault=new, keys=shop.keys)
    assert dict(new.items()) == dict(vault.items())


def test_recover_when_the_head_is_behind_the_bucket(tmp_path: Path) -> None:
    """The database was put back, the bucket went on: the log refuses, and goes on once it is recovered."""
    bucket = Bucket.open("memory://")
    shop = open_shop(tmp_path, objects=bucket)
    copy_database(tmp_path / "market.db", tmp_path / "old.db")
    shop.fill(300)
    grant = shop.sell(1)
    url = f"sqlite:///{tmp_path / 'old.db'}"
    with pytest.raises(Rollback):
        connect(url, objects=bucket, keys=shop.keys)
    report = recover(url, objects=bucket)
    assert len(report.refilled) == 301
    assert [one.event for one in report.lost] == [grant]
    again = connect(url, objects=bucket, keys=shop.keys)
    again.register_party("person", ref="user:2")
    assert fsck(open_log(bucket, again.log.policy)) == shop.ledger.log.size + 1


def test_an_index_of_its_own(shop: Shop, tmp_path: Path) -> None:
    """The index is never in a backup; it is made where the new ledger keeps it."""
    backup(shop.url, tmp_path / "backup")
    url, index = (f"sqlite:///{tmp_path / name}" for name in ("new.db", "index.db"))
    restore(tmp_path / "backup", url, publish=tmp_path / "public", index=index, keys=shop.keys)
    again = connect(url, publish=tmp_path / "public", index=index, keys=shop.keys)
    same(shop.ledger, again, shop.names)
    again.register_party("person", ref="user:2")
    assert again.index.size == again.log.size
