"""A market that runs: one screen, a worker under a supervisor, rows against events, wherever the ledger lies."""

from __future__ import annotations

import gc
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters import connect
from adapters.cli.app import run
from adapters.cli.operate import MARKS, settled
from adapters.objects import Bucket
from adapters.probe import PASSED
from adapters.sql.notes import SqlNotes
from adapters.sql.store import SqlStore
from ledger import rounds
from ledger.rounds import Pass, Report
from provenance.moments import format_time

PROGRAM = [sys.executable, "-c", "import sys; from adapters.cli import main; sys.exit(main())"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    assert run(["init", "shop.example/log"]) == 0
    assert run(["register", "person", "--name", "Ada", "--ref", "user:1"]) == 0
    with sqlite3.connect("market.db") as market:
        market.execute("CREATE TABLE users (id INTEGER PRIMARY KEY)")
        market.execute("INSERT INTO users VALUES (1)")
    market.close()
    capsys.readouterr()
    return tmp_path


def stage(shop: Path, ref: str) -> None:
    """As a web worker does: it holds no key."""
    ledger = connect(str(shop / "market.db"), signs=False)
    ledger.register_party("person", ref=ref)
    ledger._queue._store.close()


def test_one_screen(shop, capsys):
    assert run(["status"]) == 0
    first, today, fsck, next_ = capsys.readouterr().out.splitlines()
    assert first.startswith(" shop.example/log   size 4   checkpoint ")
    assert first.endswith(" old ■   queue 0 ■   index −0 ■")
    assert today.split() == ["today", "log.time", "1", "party.register", "1"]
    assert fsck == " fsck       never ran ■"
    assert next_ == "next: provenance audit public --policy public/market.policy"
    assert run(["status", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["size"], value["status"], value["ready"], value["today"]["party.register"]) == (4, "ok", True, 1)
    assert {check["name"] for check in value["checks"]} >= {"database", "queue", "checkpoint", "published", "index"}


def test_what_needs_somebody_is_said_with_the_command(shop, capsys):
    (shop / "public" / "checkpoint").unlink()
    stage(shop, "user:2")
    assert run(["status"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "queue 1 (oldest 0." in lines[0]
    assert "old ✕   queue" in lines[0]
    assert lines[3].startswith(" needs you  ✕ published: no checkpoint in ")
    assert lines[3].endswith(" · `provenance publish`")
    assert lines[4].strip() == "sales go on; what is late are proofs, the index or checks"
    assert lines[5] == "next: provenance publish"
    assert run(["publish"]) == 0
    assert run(["status"]) == 0


def test_how_far_checking_has_come(shop, capsys):
    assert run(["fsck", "--seconds", "0.001"]) == 0
    capsys.readouterr()
    store = SqlStore("sqlite:///market.db")
    notes = SqlNotes(store)
    now = format_time(datetime.now(UTC))
    whole = Pass(now, now)
    for position, bar in ((1, "████░░░░░░░░░░░ 25 % of 4"), (4, "███████████████ 100 % of 4")):
        report = Report(Pass(now), "entries", position, whole)
        notes.save("fsck", rounds._pack(report))
        run(["status"])
        line = capsys.readouterr().out.splitlines()[2]
        assert line == f" fsck       {bar}, step entries, last full pass {now}, faults 0 ■"
    notes.save("fsck", rounds._pack(Report(replace(whole, found=2), "", None, replace(whole, found=2))))
    assert run(["status"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == f" fsck       last full pass {now}, faults 2 ✕"
    assert lines[-1] == "next: provenance fsck"
    store.close()


def test_status_needs_no_key(shop):
    shutil.rmtree("market.keys")
    assert run(["status"]) == 0
    assert run(["publish"]) == 2


def test_shapes_first_and_color_where_there_is_one(shop, capsys, monkeypatch):
    assert len(set(MARKS.values())) == 3
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    run(["status"])
    assert "\x1b[32m■" in capsys.readouterr().out
    monkeypatch.delenv("FORCE_COLOR")
    run(["status"])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_publishes_until_it_is_told_to_end(shop, how):
    process = subprocess.Popen([*PROGRAM, "worker", "--window", "0.05"], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert b"sequencing and publishing every 0.05 s" in process.stderr.readline()
        stage(shop, "user:2")
        ledger = connect(str(shop / "market.db"), publish="public", signs=False)
        while ledger.standing().signed < 5:
            assert process.poll() is None
        stage(shop, "user:3")
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, b"")
    assert out.decode().splitlines() == ["shop.example/log published at size 6", "next: provenance status"]
    assert run(["status"]) == 0


def test_a_process_that_settled_is_as_before_when_it_is_done():
    class Loop:
        pass

    with settled():
        assert gc.get_freeze_count() > 10_000
        first = Loop()
        first.itself = first
        gone = weakref.ref(first)
        del first
        gc.collect()
        assert gone() is None  # what is made afterwards is looked at
    assert gc.get_freeze_count() == 0


def test_a_worker_that_cannot_go_on_says_why_and_fails(shop, capsys):
    with sqlite3.connect("market.db") as market:
        market.execute("UPDATE provenance_index_times SET time = '2999-01-01T00:00:00Z'")
    market.close()
    stage(shop, "user:2")
    assert run(["worker", "--window", "0.05"]) == 1
    assert "set the clock right" in capsys.readouterr().err
    assert run(["status", "--json"]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["worker"]["status"] == checks["clock"]["status"] == "bad"
    assert "set the clock right" in checks["worker"]["sentence"]


def test_rows_against_events(shop, capsys):
    query = "SELECT 'user:' || id FROM users"
    assert run(["reconcile", "--query", query]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "1 rows = 1 events ■"
    stage(shop, "user:2")
    with sqlite3.connect("market.db") as market:
        market.executemany("INSERT INTO users VALUES (?)", [(n,) for n in range(100, 130)])
    market.close()
    assert run(["reconcile", "--query", query, "--first", "2"]) == 1
    assert capsys.readouterr().out.splitlines()[:-1] == [
        "31 rows ≠ 2 events (1 still waiting) ✕",
        "rows without an event 30",
        " ✕ user:100",
        " ✕ user:101",
        " … and 28 more: --first 30",
        "events without a row  1",
        f" ✕ user:2   register_party {_id(shop, 'user:2')}   waits",
    ]
    assert run(["reconcile", "--query", query, "--verb", "license", "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert (value["equal"], value["rows_without_event"], value["events"], len(value["no_event"])) == (False, 31, 0, 20)


def test_rows_whose_names_are_erased(shop, capsys):
    with sqlite3.connect("market.db") as market:
        market.execute("ALTER TABLE users ADD COLUMN event TEXT")
        market.execute("UPDATE users SET event = ?", (_id(shop, "user:1"),))
    market.close()
    query = "SELECT 'user:' || id, event FROM users"
    assert run(["reconcile", "--query", query]) == 0
    assert run(["erase", "--subject", "user:1"]) == 0
    capsys.readouterr()
    assert run(["reconcile", "--query", query]) == 0
    assert capsys.readouterr().out.splitlines()[1:4] == [
        "rows without an event 0",
        "rows with an erased name 1   theirs is yours to erase, too",
        " □ user:1",
    ]
    assert run(["reconcile", "--query", "SELECT 'user:' || id FROM users"]) == 1
    out = capsys.readouterr().out
    assert "1 erasures so far: some may be erased names, which nothing tells from unknown ones;" in out
    assert run(["event", "show", "user:1"]) == 2
    assert "or the name was erased with what it stood for" in capsys.readouterr().err


def _id(shop: Path, ref: str) -> str:
    return connect(str(shop / "market.db"), signs=False).find(ref).id


@pytest.mark.parametrize(
    "query, status, says",
    [
        ("DELETE FROM users", 2, "readonly"),
        ("SELEC", 2, "syntax error"),
        ("SELECT id FROM users", 1, "want text such as 'order:' || id"),
        ("SELECT 'user:1' FROM users WHERE 'a:b' LIKE '%:b'", 0, ""),
    ],
)
def test_a_query_only_reads(shop, capsys, query, status, says):
    assert run(["reconcile", "--query", query]) == status
    assert says in capsys.readouterr().err
    with sqlite3.connect("market.db") as market:
        assert market.execute("SELECT count(*) FROM users").fetchone() == (1,)
    market.close()


def test_rows_in_another_database(shop, capsys):
    with sqlite3.connect("orders.db") as orders:
        orders.execute("CREATE TABLE people (ref TEXT)")
        orders.execute("INSERT INTO people VALUES ('user:1')")
    orders.close()
    assert run(["reconcile", "--query", "SELECT ref FROM people", "--engine-url", "orders.db"]) == 0
    assert run(["reconcile", "--query", "SELECT ref FROM people"]) == 2
    assert run(["reconcile", "--query", "SELECT 1", "--engine-url", "nothing://x"]) == 3


def test_a_ledger_on_a_server_with_tiles_in_a_bucket_by_environment_alone(
    tmp_path, monkeypatch, postgres, seaweed, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PROVENANCE_DB", postgres.database())
    place = seaweed.url()
    monkeypatch.setenv("PROVENANCE_OBJECTS", place)
    monkeypatch.setenv("PROVENANCE_SCHEMA", "provenance")
    assert run(["init", "far.example/log"]) == 0
    assert run(["register", "person", "--name", "Ada", "--ref", "user:1"]) == 0
    assert not (tmp_path / "public").exists()
    capsys.readouterr()
    assert run(["status"]) == 0
    out = capsys.readouterr().out
    assert "size 4" in out
    assert "postgres" not in out  # what the environment says may hold a password
    # The race of 64 takes long here, and has a test of its own: this bucket has passed it.
    Bucket.open(place, **seaweed.options).replace(PASSED, b"64 ways\n")
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "passed the race of its writers before (64 ways)" in out
    assert "■ writer: the primary, which takes writes" in out
    assert run(["reconcile", "--query", "SELECT 'user:1'::text WHERE 'a%' LIKE 'a%'"]) == 0
    assert run(["reconcile", "--query", "SELECT lo_create(0)::text"]) == 2
    assert "read-only" in capsys.readouterr().err


@pytest.mark.parametrize(
    "db, says",
    [
        ("mysql://root@localhost/x", "want SQLite (a file or sqlite:///FILE) or PostgreSQL (postgresql://…)"),
        (".", "a folder, want a file such as"),
    ],
)
def test_what_can_never_be_a_database(shop, capsys, db, says):
    assert run(["status", "--db", db]) == 3
    assert says in capsys.readouterr().err


def spoil(table: str, change: Callable[[bytearray], None]) -> None:
    """Change the first page of a table where nobody looks at it: in the file."""
    with closing(sqlite3.connect("market.db")) as market:
        market.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = market.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = market.execute("PRAGMA page_size").fetchone()
    with Path("market.db").open("r+b") as file:
        file.seek((page - 1) * size)
        data = bytearray(file.read(size))
        change(data)
        file.seek((page - 1) * size)
        file.write(data)


def unmake(page: bytearray) -> None:
    """It is no page of a table any more (https://sqlite.org/fileformat2.html#b_tree_pages)."""
    page[0] = 0


def renumber(page: bytearray) -> None:
    """The first row has the number 100."""
    at = int.from_bytes(page[8:10], "big")
    while page[at] & 0x80:
        at += 1
    page[at + 1] = 100


def apart(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which has read nothing of the file yet."""
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_page_of_the_index_that_is_wrong_is_derived_again(shop):
    spoil("provenance_index_entries", renumber)
    done = apart("fsck")
    assert done.returncode == 1
    assert "table provenance_index_entries: " in done.stdout
    assert "Rowid 100 out of order" in done.stdout
    assert done.stdout.splitlines()[-1] == "next: provenance fsck --repair"
    done = apart("fsck", "--repair")
    assert (done.returncode, done.stdout.splitlines()[:2]) == (0, ["mended index of 4 entries", "Record: intact"])


def test_what_cannot_be_mended_is_said_with_all_the_rest(shop):
    spoil("provenance_vault", unmake)
    done = apart("fsck", "--repair")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "nothing could be mended"
    assert "table provenance_vault: database disk image is malformed; --repair makes its keys again" in done.stdout
    assert "Record: altered" in done.stdout


def test_a_database_that_is_none_is_an_error_of_ours(shop):
    for left in shop.glob("market.db-*"):
        left.unlink()
    Path("market.db").write_bytes(b"\xff" * 8192)
    done = apart("fsck")
    assert done.returncode == 1
    assert "market.db: file is not a database; its files are damaged" in done.stderr
