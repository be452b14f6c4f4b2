"""One line for each check, each with its fix; what is wrong is made wrong and found."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from sqlalchemy import create_engine, text

from adapters import connect, create
from adapters.alembic import LINES
from adapters.cli.app import run
from adapters.doctor import Finding, examine
from adapters.objects import Bucket
from adapters.probe import PASSED
from adapters.sql.store import SqlStore
from adapters.sql.upgrade import downgrade
from adapters.sql.version import FIRST
from tests.provenance.conftest import ORIGIN

SQLITE = [
    "database",
    "tables",
    "migrations",
    "log key",
    "market key",
    "claim key",
    "certificate",
    "keys",
    "key file",
    "scrub",
    "subject keys",
    "log",
    "queue",
    "oldest event",
    "checkpoint",
    "published",
    "clock",
    "index",
    "worker",
    "fsck",
    "disk of the database",
    "disk of the published log",
]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    create("market.db", origin=ORIGIN, publish="public").register_party("person", ref="user:1")
    return tmp_path


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def look(**options) -> dict[str, Finding]:
    return by_name(examine("market.db", publish="public", **options))


def change(statement: str) -> None:
    engine = create_engine("sqlite:///market.db")
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def copy(path: str) -> None:
    """The database as of now, in SQLite's own default mode, and its keys."""
    engine = create_engine("sqlite:///market.db", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM INTO :path"), {"path": path})
    engine.dispose()
    shutil.copytree("market.keys", Path(path).with_suffix(".keys"))


def test_a_sound_ledger(shop):
    before = {path: path.read_bytes() for path in (shop / "public").rglob("*") if path.is_file()}
    found = look()
    assert list(found) == SQLITE
    assert {name for name, finding in found.items() if finding.status != "ok"} == {"certificate"}
    assert found["certificate"].status == "note"
    assert look(production=True)["certificate"].status == "bad"
    assert found["database"].detail == "market.db opens, every commit durable (synchronous=FULL), journal wal"
    assert {path: path.read_bytes() for path in (shop / "public").rglob("*") if path.is_file()} == before


def test_every_finding_that_is_not_ok_has_a_fix(shop, capsys):
    (shop / "market.keys" / "log.key").chmod(0o644)
    (shop / "market.keys" / "market.key").unlink()
    (shop / "public" / "checkpoint").unlink()
    found = look()
    assert {name for name, finding in found.items() if finding.status == "bad"} == {
        "log key",
        "market key",
        "published",
    }
    assert all(finding.fix for finding in found.values() if finding.status != "ok")
    assert "chmod 600" in found["log key"].detail
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "✕ log key: " in out
    assert out.splitlines()[-1] == "next: provenance publish"
    assert run(["doctor", "--json"]) == 1
    assert [check["name"] for check in json.loads(capsys.readouterr().out)["checks"]] == [
        name for name in SQLITE if name != "keys"
    ]


@pytest.mark.parametrize("name, says", [("log", "is signed by key"), ("market", "is this the right market key")])
def test_keys_of_another_ledger(shop, name, says):
    create("other.db", origin=ORIGIN, publish="there")
    shutil.copy(f"other.keys/{name}.key", f"market.keys/{name}.key")
    found = look()
    assert found["keys"].status == "bad"
    assert says in found["keys"].detail, found["keys"].detail
    assert found["log"].status == "ok"


def test_a_journal_that_makes_readers_wait(shop):
    copy("copy.db")
    found = by_name(examine("copy.db", publish="public"))["database"]
    assert (found.status, found.fix) == ("note", "PRAGMA journal_mode=WAL, once, while the market stands still")


def test_tables_of_another_release(shop, capsys):
    store = SqlStore("sqlite:///market.db")
    downgrade(store, FIRST)
    store.close()
    found = look()
    assert (found["tables"].status, found["tables"].fix) == ("bad", "provenance db upgrade")
    assert not set(found) & {"ledger", "log", "queue"}  # nothing is said of what could not be looked at
    with closing(sqlite3.connect("market.db")) as connection:
        connection.execute("VACUUM INTO 'other.db'")
    assert run(["doctor", "--db", "other.db", "--publish", "there"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "next: provenance db upgrade --db other.db"


def test_a_database_without_a_ledger_and_no_database(shop):
    engine = create_engine("sqlite:///other.db")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    engine.dispose()
    found = by_name(examine("other.db"))
    assert (found["tables"].status, found["tables"].fix) == ("bad", "provenance init ORIGIN")
    assert [(f.name, f.status) for f in examine("nothing.db")] == [("database", "bad")]


def test_an_older_copy_of_the_database(shop):
    copy("older.db")
    connect("market.db", publish="public").register_party("person", ref="user:2")
    found = by_name(examine("older.db", publish="public"))
    assert found["ledger"].status == "bad"
    assert found["ledger"].fix == "if the database is an older copy: provenance recover --publish public"


def test_a_place_that_cannot_be_written_or_is_another_logs(shop):
    found = by_name(examine("market.db", publish="market.db/public"))
    assert found["key file"].status == found["published"].status == "bad"
    assert found["key file"].fix == "let this user write there"
    create("other.db", origin="other.example/log", publish="there")
    (shop / "public" / "log.vkey").write_bytes((shop / "there" / "log.vkey").read_bytes())
    assert "is another log's" in look()["key file"].detail


def test_a_place_without_a_key_is_told_and_left_as_it_is(shop):
    (shop / "public" / "log.vkey").unlink()
    (shop / "public" / "market.policy").unlink()
    found = look()["key file"]
    assert (found.status, found.fix) == ("bad", "provenance publish, where the log's key is: it writes what lacks")
    assert not (shop / "public" / "log.vkey").exists()
    assert run(["publish", "--db", "market.db", "--publish", "public"]) == 0
    assert look()["key file"].status == "ok"
    assert (shop / "public" / "market.policy").exists()


def test_what_waits_and_an_index_that_is_behind(shop):
    change("DELETE FROM provenance_index_entries WHERE idx = (SELECT max(idx) FROM provenance_index_entries)")
    found = look()
    # Opening a ledger lets its index follow the log.
    assert (found["index"].status, found["index"].detail) == ("ok", "as far as the log")
    connect("market.db", signs=False).register_party("person", ref="user:9")
    assert look()["queue"].detail == "1 events wait"


def test_a_bucket_races_once(shop):
    bucket = Bucket(MemoryStore())
    create("far.db", origin="far.example/log", objects=bucket)
    found = by_name(examine("far.db", objects=bucket))
    assert (found["bucket"].status, found["bucket"].detail.endswith("passed the race of its writers now")) == (
        "ok",
        True,
    )
    assert bucket.get(PASSED)
    again = by_name(examine("far.db", objects=bucket))
    assert again["bucket"].detail.endswith("before (64 ways)")
    assert {name for name, finding in again.items() if finding.status == "bad"} == set()
    wrong = by_name(examine("far.db"))
    assert "in a storage of its own" in wrong["ledger"].detail


def test_the_markets_alembic(shop, capsys):
    (shop / "env.py").write_text("from alembic import context\ncontext.configure(connection=connection)\n")
    found = look(env=shop / "env.py")["migrations"]
    assert (found.status, found.lines) == ("bad", LINES)
    assert run(["doctor", "--alembic", "env.py"]) == 1
    assert LINES in capsys.readouterr().out
    assert look(env=shop / "nothing.py")["migrations"].status == "bad"


# PostgreSQL


@pytest.fixture
def server(postgres, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    url = postgres.database()
    create(url, origin=ORIGIN, publish="public")
    return url


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_sound_server(server):
    found = by_name(examine(server, publish="public"))
    assert [name for name in found if name not in SQLITE] == [
        "writer",
        "durability",
        "autovacuum",
        "clock of the server",
    ]
    assert {name for name, finding in found.items() if finding.status != "ok"} == {"certificate"}
    assert "disk of the database" not in found  # that is the server's


def test_a_standby(server):
    name = server.rpartition("/")[2]
    execute(
        server,
        "CREATE SCHEMA says",
        "CREATE FUNCTION says.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        f"ALTER DATABASE {name} SET search_path = public, says, pg_catalog",
    )
    found = by_name(examine(server, publish="public"))["writer"]
    assert (found.status, found.detail) == ("bad", "a standby, where nothing can be written")
    assert "target_session_attrs" in found.fix


def test_an_engine_whose_commits_can_be_lost(server):
    name = server.rpartition("/")[2]
    execute(server, f"ALTER DATABASE {name} SET synchronous_commit = off")
    engine = create_engine(server)
    found = by_name(examine(server, publish="public", engine=engine))
    engine.dispose()
    assert found["durability"].status == "ok"  # ours are raised to on
    theirs = found["durability of the engine"]
    assert (theirs.status, theirs.fix) == ("bad", "set to on: synchronous_commit")
    assert (found["savepoints"].status, found["transactions"].status) == ("ok", "ok")


def test_a_server_that_never_cleans_up(server):
    try:
        execute(server, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
        while (found := by_name(examine(server, publish="public"))["autovacuum"]).status == "ok":
            pass
        assert found == Finding(
            "autovacuum",
            "bad",
            "autovacuum is off: the queue, whose rows come and go, only grows and slows down",
            "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()",
        )
    finally:
        execute(server, "ALTER SYSTEM RESET autovacuum", "SELECT pg_reload_conf()")


def test_a_server_that_is_away():
    (found,) = examine("postgresql://nobody@127.0.0.1:1/market")
    assert (found.name, found.status) == ("database", "bad")
