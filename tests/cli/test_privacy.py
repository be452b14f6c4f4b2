"""Erasing, holding, taking down and scrubbing as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.cli.app import run

NAME = "Zwetlana-Distinctive-Untertan"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("DB", "PUBLISH", "SUBJECT_KEYS"):
        monkeypatch.delenv(f"PROVENANCE_{name}", raising=False)
    assert run(["init", "market.example/log"]) == 0
    assert run(["register", "person", "--name", NAME, "--ref", "user:1"]) == 0
    (tmp_path / "dunes.bin").write_bytes(b"dunes")
    assert run(["create", "dunes.bin", "--creator", "user:1", "--title", "Dunes", "--ref", "work:1"]) == 0
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def last(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    """What a command said, and its last line."""
    capsys.readouterr()
    assert run(list(words)) == status
    out = capsys.readouterr().out
    return out, out.rstrip().splitlines()[-1]


def test_erase_then_scrub(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ada = said(capsys, "party", "show", "user:1")["party"]
    dunes = said(capsys, "work", "show", "work:1")["id"]
    out, next_ = last(capsys, "erase", "--subject", "user:1")
    assert out.count("erased    ") == 4  # name and ref, title and ref of the work
    assert next_ == "next: provenance scrub"
    assert said(capsys, "status")["scrub_due"] == 1
    assert "scrub      1 erasures since the last one" in last(capsys, "status")[0]
    assert "□ scrub: 1 erasures since the last one" in last(capsys, "doctor")[0]
    shown = said(capsys, "party", "show", ada, "--disclose")["personal"]["name"]
    assert shown.startswith("erased by #")
    assert shown.endswith(", not yet scrubbed")
    done = said(capsys, "scrub")
    assert done["erasure"] > 0
    assert f"erased by #{done['erasure']}, scrubbed" in last(capsys, "work", "show", dunes, "--disclose")[0]
    assert done["rewritten"] == ["market.db"]
    assert said(capsys, "status")["scrub_due"] == 0
    assert not any(NAME.encode() in path.read_bytes() for path in shop.rglob("*") if path.is_file())
    assert run(["erase", "--subject", "user:1"]) == 2  # the name is gone with the person
    again = said(capsys, "erase", "--subject", ada)
    assert (again["ticket"], again["erased"], len(again["before"])) == (None, [], 4)
    out, next_ = last(capsys, "scrub")
    assert "beyond    free blocks of a disk" in out
    assert next_ == "next: provenance doctor"


def test_what_is_held_stays(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["hold", "set", "work:1", "--ground", "tax-records", "--until", "2036-12-31T00:00:00Z"]) == 0
    held = said(capsys, "hold", "list")["held"]
    address, hold = next(iter(held.items()))
    out, next_ = last(capsys, "erase", "work:1")
    assert len(held) == 3  # the work, its title and its ref, by which it is still found
    assert all(f"kept      {each}: under a hold {hold}" in out for each in held)
    assert "nothing was erased by this" in out
    assert "gone from every answer" not in out
    assert next_ == "next: provenance hold list"
    out, _ = last(capsys, "takedown", "work:1", "--reason", "court-order")
    assert f"work      {address}" in out
    assert out.count(f": under a hold {hold}") == 2
    assert run(["hold", "release", hold]) == 0
    assert said(capsys, "hold", "list")["held"] == {}
    assert said(capsys, "erase", address)["erased"][0] == address
    assert run(["hold", "release", hold]) == 1  # twice


def test_takedown(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, next_ = last(capsys, "takedown", "work:1", "--reason", "court-order")
    assert "visible   entry, type, creators, digests, derivations" in out
    assert out.count("erased    ") == 2
    assert next_ == "next: provenance scrub"
    work = next(line.split()[1] for line in out.splitlines() if line.startswith("work "))
    assert run(["takedown", "work:1", "--reason", "court-order"]) == 2  # the ref is gone with it
    assert "takendown" in last(capsys, "work", "show", work)[0]
    assert "erased" not in last(capsys, "takedown", work, "--reason", "court-order")[0]


def test_wrong_use(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["erase"]) == 3
    assert run(["erase", "ab" * 32]) == 2  # never logged
    assert "never logged here" in capsys.readouterr().err
    assert run(["hold", "set", "work:1", "--ground", "tax-records", "--until", "tomorrow"]) == 3
    assert run(["hold", "set", "work:1", "--ground", "tax records"]) == 1
    assert "body.ground: want one word, such as court-order" in capsys.readouterr().err
    assert run(["hold", "set", "ab" * 32, "--ground", "tax-records"]) == 2
    assert "nothing is held" in capsys.readouterr().err
    assert run(["erase", "--subject", "user:2"]) == 2
    assert run(["erase", "--subject", "work:1"]) == 2
    assert "a work.create, want a party" in capsys.readouterr().err


def test_keys_of_subjects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROVENANCE_DB", raising=False)
    monkeypatch.setenv("PROVENANCE_SUBJECT_KEYS", "sqlite:///subjects.db")
    out, next_ = last(capsys, "init", "market.example/log")
    assert "subjects  keys in a database of their own" in out
    assert "subject" not in next_  # the environment says it to the next command as well
    assert run(["register", "person", "--name", NAME, "--ref", "user:1"]) == 0
    assert run(["backup", "bk"]) == 0
    lines = b"".join(path.read_bytes() for path in (tmp_path / "bk").rglob("*") if path.is_file())
    assert NAME.encode() not in lines
    assert "■ subject keys: apart" in last(capsys, "doctor")[0]
    assert len(said(capsys, "erase", "--subject", "user:1")["erased"]) == 3
    assert run(["fsck"]) == 0
    assert run(["index", "rebuild"]) == 0
    assert run(["audit", "public", "--policy", "public/market.policy", "--db", "market.db"]) == 0
    monkeypatch.delenv("PROVENANCE_SUBJECT_KEYS")
    capsys.readouterr()
    assert run(["status"]) == 1
    assert "connect with subject_keys=" in capsys.readouterr().err
    options = ["--subject-keys", "subjects.db"]
    assert last(capsys, "hold", "list", *options)[1].endswith("--subject-keys subjects.db")


def test_an_audit_accuses_nobody_of_what_is_erased(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    offer = said(capsys, "offer", "work:1", "--terms", "CC0-1.0")
    sale = said(capsys, "license", "work:1", "--to", "user:1", "--offer", offer["event"])
    audit = ["audit", "public", "--policy", "public/market.policy", "--rules", "--db", "market.db"]
    assert "not judged" not in last(capsys, *audit)[0]
    assert run(["erase", offer["event"]]) == 0
    out, _ = last(capsys, *audit)
    why = f"since the offer.attach #{offer['index']} is erased"
    assert f"? #{sale['index']} grant.offer: event #{sale['index']}: cannot be judged, {why}" in out
    assert "2 events not judged by every rule: what it looks at is erased or not here; unknown" in out
    assert "broken rules" not in out
    assert "Record: intact" in out
    value = said(capsys, *audit)
    assert (value["against_rules"], len(value["unknown"])) == ([], 2)
