"""Processes that are killed at any moment, and processes that write to one database at once."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from adapters.files import Directory
from adapters.sql.store import SqlStore
from ledger import Client, Log, SigningKey, fsck

WRITER = Path(__file__).with_name("writer.py")
KEY = SigningKey("market.example/log", bytes(range(32)))


def _start(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WRITER), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": ""},
    )


def _promised(name: str, line: str) -> dict[int, bytes]:
    first, number, i = map(int, line.split())
    return {first + n: f"{name} {i} {n}".encode() for n in range(number)}


def test_killed_at_random_moments(root, tmp_path):
    url, public = f"sqlite:///{tmp_path / 'log.db'}", tmp_path / "public"
    store = SqlStore(url, create=True)
    Log.create(store, KEY, b"genesis", publish=[Directory(public)])
    store.close()
    pick, promised = random.Random(), {0: b"genesis"}
    for cycle in range(10):
        lines = pick.randrange(1, 60)
        with _start(root, url, str(public), f"run {cycle}") as process:
            assert process.stdout is not None
            for _ in range(lines):
                line = process.stdout.readline()
                assert line, f"cycle {cycle}: the writer ended by itself"
                promised.update(_promised(f"run {cycle}", line))
            process.kill()
            for line in process.stdout.read().splitlines(keepends=True):
                if line.endswith("\n"):  # promised before it died, read after
                    promised.update(_promised(f"run {cycle}", line))
    store = SqlStore(url)
    log = Log.open(store, KEY, publish=[Directory(public)])
    log.publish()
    entries = [row.entry for row in log.rows(0, log.size)]
    assert {index: entries[index] for index in promised} == promised
    assert max(Counter(entries).values()) == 1
    client = Client(Directory(public), log.policy)
    assert client.latest().size == log.size
    assert fsck(client) == log.size
    assert list(client.entries(0, log.size)) == entries
    store.close()


def test_two_processes_append_to_one_database(root, tmp_path):
    url, public = f"sqlite:///{tmp_path / 'log.db'}", tmp_path / "public"
    store = SqlStore(url, create=True)
    log = Log.create(store, KEY, b"genesis")
    with _start(root, url, str(public), "a", "60") as a, _start(root, url, str(public), "b", "60") as b:
        lines = {"a": a.communicate(timeout=60)[0], "b": b.communicate(timeout=60)[0]}
        assert (a.returncode, b.returncode) == (0, 0)
    promised = [
        item for name, text in lines.items() for line in text.splitlines() for item in _promised(name, line).items()
    ]
    log = Log.open(store, KEY, publish=[Directory(public)])
    assert log.publish().size == len(promised) + 1
    entries = [row.entry for row in log.rows(0, log.size)]
    assert sorted(promised) == list(enumerate(entries))[1:]  # nothing lost, no index twice
    client = Client(Directory(public), log.policy)
    assert client.latest().size == log.size
    assert fsck(client) == log.size
    store.close()
