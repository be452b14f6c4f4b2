"""`provenance disclose` and `provenance disclosed`: what an auditor types, and the exit status of each answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from adapters import connect
from adapters.cli.app import run
from provenance.disclosure import Disclosure


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    assert run(["init", "cli.example/log"]) == 0
    ledger = connect("sqlite:///market.db", publish="public")
    ada, bo = (ledger.register_party("person", ref=name) for name in ("ada", "bo"))
    (tmp_path / "dunes.txt").write_text("dunes")
    work = ledger.create("dunes.txt", creators=[ada], terms="CC0-1.0", ref="work:1")
    for number in range(3):
        ledger.license(work, to=bo, offer=ledger.offers_of(work)[0].id, ref=f"order:{number}")
    assert run(["trust", "public", "--yes"]) == 0
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> Any:
    capsys.readouterr()
    assert run([*words, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_from_operator_to_auditor(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = asked(capsys, 0, "disclose", "a.tar", "--type", "grant.issue", "--field", "ref", "--ref", "audit:1")
    assert made["claims"] == [{"types": ["grant.issue"], "start": 0, "stop": made["size"]}]
    found = asked(capsys, 0, "disclosed", "a.tar")
    assert (found["record"], found["claims"][0]["complete"]) == ("intact", True)
    assert {item["word"] for item in found["items"] if item["type"] == "grant.issue"} == {"disclosed"}
    assert asked(capsys, 2, "disclosed", "a.tar", "--offline")["record"] == "cannot check"
    report = asked(capsys, 0, "audit", "--disclosed", "a.tar")
    assert report["events"].get("sealed") is None
    assert run(["trace", "dunes.txt", "--disclosed", "a.tar"]) == 0
    assert run(["audit", "--disclosed", "a.tar", "--db", "sqlite:///market.db"]) == 3
    capsys.readouterr()
    assert run(["disclosed", "a.tar"]) == 0
    text = capsys.readouterr().out
    assert "✔ complete" in text
    assert "next: provenance audit --disclosed a.tar" in text


def test_what_it_answers_for_less(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("public", "old")
    assert run(["disclose", "one.tar", "--event", "order:0"]) == 0
    assert asked(capsys, 0, "disclosed", "one.tar", "--offline")["claims"] == []
    ledger = connect("sqlite:///market.db", publish="public")
    offer = ledger.offers_of(ledger.find("work:1", verb="create"))[0].id
    ledger.license(ledger.find("work:1", verb="create"), to=ledger.find("bo"), offer=offer)
    assert run(["disclose", "all.tar", "--type", "grant.issue"]) == 0
    behind = asked(capsys, 2, "disclosed", "all.tar", "--log", "old")
    assert "not yet published" in {item["word"] for item in behind["items"]}
    ledger.erase(ledger.find("order:1"))
    words = [item["word"] for item in asked(capsys, 0, "disclosed", "all.tar")["items"] if not item["field"]]
    assert words.count("erased") == 1
    package = Disclosure.parse(Path("all.tar").read_bytes())
    kept = {index: entry for index, entry in package.entries.items() if b"grant.issue" not in entry}
    less = Disclosure(
        package.checkpoint,
        package.claimed_at,
        package.claims,
        {},
        {},
        kept,
        {index: package.proofs[index] for index in kept},
    )
    Path("less.tar").write_bytes(bytes(less))
    found = asked(capsys, 2, "disclosed", "less.tar")
    assert len(found["claims"][0]["lacking"]) == 3


def test_what_is_wrong(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.tar").write_bytes(b"no tar")
    assert run(["disclosed", "bad.tar"]) == 1
    assert run(["disclosed", "none.tar"]) == 2
    assert run(["disclose", "nothing.tar"]) == 3
    assert run(["disclose", "a.tar", "--event", "order:9"]) == 2
    assert run(["disclose", "a.tar", "--event", "order:0"]) == 0
    shutil.rmtree("home")
    assert run(["disclosed", "a.tar"]) == 2
    assert "no policy for origin cli.example/log" in capsys.readouterr().err


def test_a_slip_of_the_pen_is_told(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A field that no event has, a range of no entry, a file that is no package."""
    fields = asked(capsys, 0, "disclose", "a.tar", "--type", "grant.issue", "--field", "ref", "--field", "nmae")[
        "fields"
    ]
    assert fields == {"ref": 3, "nmae": 0}
    assert run(["disclose", "b.tar", "--event", "order:0", "--field", "nmae"]) == 0
    assert "field     nmae: none of these events has one" in capsys.readouterr().out
    size = connect("sqlite:///market.db", publish="public").log.size
    assert run(["disclose", "c.tar", "--type", "grant.issue", "--from", "5", "--to", "3"]) == 3
    assert "--from 5 --to 3: that is no entry" in capsys.readouterr().err
    assert not Path("c.tar").exists()
    assert connect("sqlite:///market.db", publish="public").log.size == size  # and nothing says that one was made
    assert run(["disclosed", "dunes.txt"]) == 1
    assert "dunes.txt: disclosure: " in capsys.readouterr().err
