"""Backup, restore and log copy as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from adapters.cli.app import run


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PROVENANCE_DB", raising=False)
    monkeypatch.delenv("PROVENANCE_PUBLISH", raising=False)
    assert run(["init", "market.example/log"]) == 0
    assert run(["register", "person", "--name", "Ada Lovelace", "--ref", "user:1"]) == 0
    (tmp_path / "new").mkdir()
    shutil.copytree("market.keys", "new/market.keys")
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_there_and_back(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["backup", "bk"]) == 0
    out = capsys.readouterr().out
    assert "market.example/log: 4 entries, 0 waiting, vault 2 items, in bk" in out
    assert "keys are not in it" in out
    assert out.rstrip().endswith("next: provenance restore --check bk")
    assert run(["register", "person", "--ref", "user:2"]) == 0
    capsys.readouterr()
    assert run(["restore", "--check", "bk"]) == 0
    assert "as the backup says" in capsys.readouterr().out
    assert run(["restore", "--check", "bk", "--policy", "public/market.policy", "--json"]) == 0
    assert said(capsys)["sequenced"] == 4
    assert run(["restore", "bk", "--db", "new/market.db", "--json"]) == 0
    value = said(capsys)
    assert (value["sequenced"], value["from"], value["to"], value["compared"]) == (5, 4, 5, ["public"])
    assert run(["status", "--db", "new/market.db", "--json"]) == 0
    capsys.readouterr()
    assert run(["restore", "bk", "--db", "new/market.db"]) == 1
    assert "not empty" in capsys.readouterr().err


def test_without_what_is_needed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["restore", "--check"]) == 3
    assert run(["restore", "--check", "nothing"]) == 2
    assert "no backup in it" in capsys.readouterr().err
    (shop / "bk").mkdir()
    (shop / "bk" / "backup.json").write_text('{"format": "provenance-backup/2"}')
    assert run(["restore", "--check", "bk"]) == 1
    assert "want a backup of format provenance-backup/1" in capsys.readouterr().err
    assert run(["restore", "--db", "nokeys.db"]) == 2
    assert "no such key file" in capsys.readouterr().err


def test_a_restore_that_nothing_was_compared_with_says_so(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backup", "bk", "--without-vault", "--json"]) == 0
    capsys.readouterr()
    assert run(["restore", "bk", "--db", "new/market.db", "--publish", "elsewhere"]) == 0
    assert "compared with nothing" in capsys.readouterr().out


def test_what_somebody_remembers(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backup", "bk"]) == 0
    assert run(["register", "person", "--ref", "user:2"]) == 0
    shutil.copy("public/checkpoint", "seen")
    capsys.readouterr()
    place = ["--db", "new/market.db", "--publish", "elsewhere"]
    assert run(["restore", "bk", *place, "--remembered", "seen"]) == 1
    assert "remembered by the caller" in capsys.readouterr().err
    assert run(["status", *place]) == 1
    assert "run the same `provenance restore` again" in capsys.readouterr().err
    assert run(["restore", "bk", *place, "--remembered", "nowhere"]) == 2


def test_a_log_is_copied_and_grows(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["log", "copy", "public", "mirror"]) == 2
    assert "no policy" in capsys.readouterr().err
    policy = ["--policy", "public/market.policy"]
    assert run(["log", "copy", "public", "mirror", *policy]) == 0
    assert run(["register", "person", "--ref", "user:2"]) == 0
    capsys.readouterr()
    assert run(["log", "copy", "public", "mirror", *policy, "--json"]) == 0
    assert said(capsys)["size"] == 5
    assert run(["audit", "mirror", "--policy", "mirror/market.policy"]) == 0
    shutil.copytree("public", "old")
    assert run(["register", "person", "--ref", "user:3"]) == 0
    assert run(["log", "copy", "public", "mirror", *policy]) == 0
    assert run(["log", "copy", "old", "mirror", *policy]) == 1
    assert run(["log", "copy", "public", "https://market.example/log", *policy]) == 1
