"""A disk that is full, a file that may not be written, a database that others hold: refused, said, and gone on."""

from __future__ import annotations

import contextlib
import resource
import signal
import sqlite3

import pytest
from sqlalchemy import event

from adapters.files import Directory
from adapters.sql.store import SqlStore
from ledger import Client, Log, NotFound, Row, SigningKey, StorageError, Unavailable, fsck

KEY = SigningKey("market.example/log", bytes(range(32)))


@pytest.fixture
def database(tmp_path):
    made = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True, timeout=0.05)
    yield made
    made.close()


def _grow(log: Log, until: type[Exception]) -> str:
    for i in range(100):
        try:
            log.extend([Row(b"%d %d" % (i, n) + bytes(3000), b"") for n in range(50)])
        except until as error:
            return str(error)
    pytest.fail("there was room for all of it")


def _whole(log: Log, place: Directory) -> None:
    assert log.publish().size == log.size
    client = Client(place, log.policy)
    assert fsck(client, client.latest()) == log.size


def test_database_full(database, tmp_path):
    place = Directory(tmp_path / "public")
    log = Log.create(database, KEY, b"genesis", publish=[place])
    with database.transaction() as tx:
        driver = tx.connection.connection.driver_connection
    (pages,) = driver.execute("PRAGMA page_count").fetchone()
    driver.execute(f"PRAGMA max_page_count={pages + 300}")
    message = _grow(log, Unavailable)
    assert "database or disk is full; make room, then try again" in message
    size = log.size
    assert size > 50
    with pytest.raises(Unavailable, match="is full"):
        log.extend([Row(b"%d" % i + bytes(3000), b"") for i in range(256)])
    driver.execute("PRAGMA max_page_count=1000000000")
    assert log.append(b"there is room again") == size
    _whole(log, place)
    assert Log.open(database, KEY, publish=[place]).size == size + 1


def test_file_too_large(database, tmp_path):
    """The operating system refuses to write on."""
    place = Directory(tmp_path / "public")
    log = Log.create(database, KEY, b"genesis", publish=[place])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        message = _grow(log, Unavailable)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "log.db: " in message
    size = log.size
    assert log.append(b"there is room again") == size
    _whole(log, place)


def test_no_room_to_publish(database, tmp_path):
    place = Directory(tmp_path / "public")
    log = Log.create(database, KEY, b"genesis", publish=[place])
    log.extend([Row(bytes(9000), b"") for _ in range(255)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    published = place.get("checkpoint")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        with pytest.raises(Unavailable, match="tile/entries/000: File too large"):
            place.put("tile/entries/000", bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert place.get("checkpoint") == published
    assert not list((tmp_path / "public").rglob("*.tmp"))
    with pytest.raises(NotFound):
        place.get("tile/entries/000")
    _whole(log, place)


def test_database_locked(database, tmp_path):
    log = Log.create(database, KEY, b"genesis", window=0.0)
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(Unavailable, match="database is locked; another program holds it"):
                log.append(b"refused")
        assert log.row(0).entry == b"genesis"  # reading goes on
        assert log.prove(0).verify(b"genesis", log.policy).size == 1
        other.execute("ROLLBACK")
    assert log.append(b"accepted") == 1
    assert log.publish().size == 2


def test_database_read_only(tmp_path):
    writable = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    Log.create(writable, KEY, b"genesis").append(b"one")
    writable.close()
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}")
    # What SQLite says when the file may not be written; a mode of the file would not stop a superuser.
    event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=ON"))
    log = Log.open(store, KEY)
    with pytest.raises(Unavailable, match="readonly database; the file or its folder may not be written to"):
        log.append(b"two")
    assert log.row(1).entry == b"one"
    store.close()
    again = SqlStore(f"sqlite:///{tmp_path / 'log.db'}")
    assert Log.open(again, KEY).append(b"two") == 2
    again.close()


def test_not_a_database(tmp_path):
    (tmp_path / "log.db").write_bytes(b"this is a text file, not a database" * 100)
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}")
    with pytest.raises(StorageError, match="not a database"):
        Log.open(store, KEY)
    store.close()


def test_a_database_cut_short(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    log = Log.create(store, KEY, b"genesis")
    log.extend([Row(bytes(3000), b"") for _ in range(600)])
    log.publish()
    store.close()
    data = (tmp_path / "log.db").read_bytes()
    (tmp_path / "log.db").write_bytes(data[: len(data) // 2 // 4096 * 4096])
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}")
    with pytest.raises(StorageError, match=r"malformed|corrupt|not in"):
        Log.open(store, KEY).append(b"on")
    store.close()
