"""A log's storage in one SQLite file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.sql.store import SqlStore
from adapters.sql.tables import metadata
from ledger import Conflict, NotFound, StorageError, Unavailable


@pytest.fixture
def store(tmp_path):
    made = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True, timeout=5)
    yield made
    made.close()


def _pragma(store, name):
    with store.engine.connect() as connection:
        return connection.connection.driver_connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_every_commit_is_durable(store):
    store.put("x", b"1")
    assert _pragma(store, "synchronous") == 2  # FULL
    assert _pragma(store, "journal_mode") == "wal"
    with store.transaction() as tx:
        assert tx.connection.connection.driver_connection.isolation_level is None


def test_a_file_that_exists_keeps_its_mode(tmp_path):
    path = tmp_path / "market.db"
    market = sqlite3.connect(path)
    market.execute("CREATE TABLE orders (id INTEGER)")
    market.close()
    store = SqlStore(f"sqlite:///{path}", create=True)
    store.put("x", b"1")
    assert _pragma(store, "journal_mode") == "delete"
    assert store.get("x") == b"1"
    store.close()


def test_a_link_to_a_database_that_is_not_there_yet_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "market.db").symlink_to(tmp_path / "disk" / "market.db")
    store = SqlStore(f"sqlite:///{tmp_path / 'market.db'}", create=True)
    assert _pragma(store, "journal_mode") == "wal"
    store.close()
    assert (tmp_path / "disk" / "market.db").stat().st_size > 0


@pytest.mark.parametrize("first", [False, True], ids=["ours first", "the market first"])
def test_who_makes_a_database_at_the_same_moment_waits_for_the_other(tmp_path, monkeypatch, first):
    path = tmp_path / "market.db"
    touch = Path.touch
    market = None

    def late(made, **how):
        nonlocal market
        if not first:
            touch(made, **how)
        market = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        market.executescript("BEGIN IMMEDIATE; CREATE TABLE orders (id INTEGER)")
        threading.Timer(0.2, market.execute, ["COMMIT"]).start()
        if first:
            touch(made, **how)

    monkeypatch.setattr(Path, "touch", late)
    store = SqlStore(f"sqlite:///{path}", create=True)
    store.put("x", b"1")
    assert market.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    assert _pragma(store, "journal_mode") == ("delete" if first else "wal"), "whose file it is says how it is"
    market.close()
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == ["market.db"]


def test_what_is_left_of_a_database_that_is_gone_does_not_come_back(tmp_path):
    path = tmp_path / "market.db"
    held = SqlStore(f"sqlite:///{path}", create=True)
    held.put("x", b"of the one that is gone")
    path.unlink()
    assert (tmp_path / "market.db-wal").stat().st_size
    store = SqlStore(f"sqlite:///{path}", create=True)
    with pytest.raises(NotFound):
        store.get("x")
    assert _pragma(store, "journal_mode") == "wal"
    store.put("x", b"of this one")
    assert store.get("x") == b"of this one"


def test_opening_creates_nothing(tmp_path):
    path = tmp_path / "log.db"
    with pytest.raises(NotFound, match="no such database"):
        SqlStore(f"sqlite:///{path}")
    assert not path.exists()
    sqlite3.connect(path).close()
    path.touch()
    store = SqlStore(f"sqlite:///{path}")
    for use in (lambda: store.get("x"), lambda: store.load("o"), store.origins, lambda: store.put("x", b"")):
        with pytest.raises(NotFound, match="no log was made in this database"):
            use()
    store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(StorageError, match="cannot be shared"):
        SqlStore(url, create=True)


def test_another_database_is_refused():
    with pytest.raises(StorageError, match=r"^mysql: want a database of SQLite .* or PostgreSQL") as caught:
        SqlStore("mysql://ada:secret@127.0.0.1/market")
    assert "secret" not in str(caught.value)
    with pytest.raises(StorageError, match="not a URL; want sqlite:///FILE") as caught:
        SqlStore("ada:secret@market")
    assert "secret" not in str(caught.value)


def test_a_schema_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"schema 'provenance': SQLite has no schemas"):
        SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True, schema="provenance")
    assert not list(tmp_path.iterdir())


def test_the_markets_own_driver_is_replaced_by_ours(tmp_path):
    store = SqlStore(f"sqlite+aiosqlite:///{tmp_path / 'log.db'}", create=True)
    store.put("x", b"1")
    assert store.get("x") == b"1"
    assert str(store.url) == f"sqlite:///{tmp_path / 'log.db'}"
    store.close()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(Unavailable, match=r"log\.db: could not be made: .*; is its folder there"):
        SqlStore(f"sqlite:///{tmp_path / 'no' / 'log.db'}", create=True)


def test_one_swap_wins(store):
    store.create("origin", b"old")

    def swap(i):
        try:
            store.swap("origin", b"old", b"%d" % i)
        except Conflict:
            return None
        return b"%d" % i

    with ThreadPoolExecutor(8) as pool:
        winners = [new for new in pool.map(swap, range(32)) if new]
    assert winners == [store.load("origin")]


def test_reads_see_what_was_committed_and_no_more(store):
    with store.transaction() as tx:
        tx.put("x", b"1")
        with pytest.raises(NotFound):
            store.get("x")
    assert store.get("x") == b"1"


def test_threads_beyond_any_pool(store):
    store.put("x", b"1")
    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(lambda _: store.get("x"), range(200))) == {b"1"}


def test_closed_and_used_again(store):
    store.put("x", b"1")
    assert store.get("x") == b"1"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.get("x"), range(8)))
    store.close()
    assert store.get("x") == b"1"
    store.put("y", b"2")


def test_its_tables_are_its_own(store):
    from sqlmodel import SQLModel

    assert all(name.startswith("provenance_") for name in metadata.tables)
    assert not any(name.startswith("provenance_") for name in SQLModel.metadata.tables)


def test_the_hosts_transactions_do_not_fail(store, tmp_path):
    """A write lasts no longer than its own commit: a host that waits a little gets its turn."""
    host = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", timeout=5)

    def write(target, i):
        with target.transaction() as tx:
            tx.connection.execute(text("SELECT count(*) FROM provenance_objects"))
            tx.put(f"{i}", b"x")

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(write, (store, host)[i % 2], i) for i in range(60)]:
            future.result()
    assert all(store.get(f"{i}") == b"x" for i in range(60))
    host.close()


def test_a_forked_process_makes_its_own_connections(tmp_path):
    program = """
import os, sys
from adapters.sql.store import SqlStore
store = SqlStore(sys.argv[1], create=True)
store.put("before", b"1")
with store.transaction() as tx:
    tx.put("within", b"1")
    pid = os.fork()
    if pid == 0:
        assert store.get("before") == b"1"
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
print(sorted(store.list("")))
"""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    said = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True).stdout
    assert said == "['before', 'within']\n"
