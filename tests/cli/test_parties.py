"""`provenance party` and `provenance mandate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import connect
from adapters.cli.app import run
from provenance import PartyKey
from tests.cli.conftest import asked


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "cli.example/log"]) == 0
    for name in ("Ada", "Bo"):
        assert run(["register", "person", "--name", name, "--ref", name.lower()]) == 0
    return tmp_path


def test_mandates_are_granted_shown_and_revoked(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["mandate", "grant", "ada", "--agent", "bo", "--action", "offer.*", "--until", "2099-01-31T00:00:00Z"]
    made = asked(capsys, *words, "--ref", "mandate:1")
    assert made["type"] == "mandate.grant"
    listed = asked(capsys, "mandate", "list", "ada")
    assert [mandate["actions"] for mandate in listed["granted"]] == [["offer.*"]]
    assert listed["held"] == []
    assert asked(capsys, "mandate", "list", "bo")["held"] == listed["granted"]
    size = asked(capsys, "mandate", "revoke", "mandate:1")["index"]
    assert asked(capsys, "mandate", "list", "ada")["granted"][0]["revoked"]["index"] == size
    assert asked(capsys, "mandate", "list", "ada", "--at", str(size))["granted"][0]["revoked"] is None
    assert run(["mandate", "revoke", "mandate:1", "--reason", "other"]) != 0


def test_a_bad_time_is_wrong_use(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mandate", "grant", "ada", "--agent", "bo", "--action", "*", "--until", "tomorrow"]) == 3
    assert "2027-01-31T00:00:00Z" in capsys.readouterr().err


def test_parties_are_listed_and_shown(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = asked(capsys, "party", "list")
    assert [party["kind"] for party in listed["parties"]] == ["market", "person", "person"]
    assert listed["registered"] == 3
    assert len(asked(capsys, "party", "list", "--kind", "person", "--limit", "1")["parties"]) == 1
    shown = asked(capsys, "party", "show", "ada")
    assert shown["custodian"] == listed["parties"][0]["party"]
    assert shown["keys"] == []
    assert "personal" not in shown
    key = PartyKey.generate().public
    ticket = connect("market.db", publish="public").claim(shown["party"], keys=[key])
    after = asked(capsys, "party", "show", "ada", "--disclose")
    assert after["custodian"] is None
    assert [(span["kid"], span["to"]) for span in after["keys"]] == [(key.kid.hex(), None)]
    assert [change["event"] for change in after["changes"]] == [ticket.id]
    assert after["personal"]["name"] == "Ada"
    capsys.readouterr()
    assert run(["party", "show", "ada"]) == 0
    text = capsys.readouterr().out
    assert "Ada" not in text
    assert key.kid.hex() in text
    assert text.splitlines()[-1].startswith("next: provenance ")
    assert run(["party", "show", "ab" * 32]) == 2
