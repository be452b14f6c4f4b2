"""`provenance consent` and `provenance reserve`."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from adapters.cli.app import run
from tests.cli.conftest import asked, told

BOTH = ["ada", "--controller", "lab", "--purpose", "voice"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "cli.example/log"]) == 0
    assert run(["register", "person", "--ref", "ada"]) == 0
    assert run(["register", "org", "--ref", "lab"]) == 0
    Path("song.bin").write_bytes(b"song")
    assert run(["create", "song.bin", "--creator", "ada", "--ref", "song"]) == 0
    Path("notice.txt").write_text("We train on your voice.", "utf-8")
    return tmp_path


def test_a_consent_ends_by_itself_or_by_the_person(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["consent", "record", *BOTH, "--notice", "notice.txt", "--work", "song", "--as", "ada"]
    made = asked(capsys, *words, "--expires", "2099-01-31T00:00:00Z", "--ref", "yes")
    event = asked(capsys, "event", "show", "yes")["event"]
    assert event["body"]["notice"] == sha256(b"We train on your voice.").hexdigest()
    assert event["body"]["expires"] == "2099-01-31T00:00:00Z"
    assert {ref["role"] for ref in event["refs"]} == {"subject", "controller", "work"}
    assert event["actor"] == next(ref["id"] for ref in event["refs"] if ref["role"] == "subject")
    shown = asked(capsys, "consent", "show", *BOTH)
    assert (shown["valid"], shown["expires"], shown["events"]) == (True, "2099-01-31T00:00:00Z", [made["event"]])
    assert "until     2099-01-31T00:00:00Z" in told(capsys, "consent", "show", *BOTH)
    assert "2099-01-31T00:00:00Z" in told(capsys, "consent", "receipt", "yes")
    asked(capsys, "consent", "withdraw", *BOTH, "--notice", "notice.txt")
    assert asked(capsys, "consent", "show", *BOTH)["state"] == "ConsentWithdrawn"
    assert asked(capsys, "consent", "show", *BOTH, "--at", str(made["index"] + 1))["valid"] is True


def test_a_time_that_is_none_and_one_that_is_over(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["consent", "record", *BOTH, "--notice", "notice.txt", "--expires"]
    assert "--expires tomorrow: want UTC" in told(capsys, *words, "tomorrow", code=3)
    assert "consent.record.expires" in told(capsys, *words, "2001-01-01T00:00:00Z", code=1)


def test_what_is_reserved(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("robots.txt").write_bytes(b"User-agent: *\n")
    words = ["reserve", "song", "train=disallow", "search=allow", "--raw", "robots.txt", "--source", "aipref-08"]
    made = asked(capsys, *words, "--as", "ada", "--ref", "no")
    body = asked(capsys, "event", "show", "no")["event"]["body"]
    assert body["statements"] == {"search": "allow", "train": "disallow"}
    assert (body["raw"], body["source"]) == (sha256(b"User-agent: *\n").hexdigest(), "aipref-08")
    shown = asked(capsys, "work", "show", "song")["reserved"]
    assert shown["train"] == {"said": "disallow", "events": [made["event"]]}
    assert "reserved  search: allow\nreserved  train: disallow" in told(capsys, "work", "show", "song")
    later = ["reserve", "song", "train=allow", "--replaces", "no", "--as", "ada", "--from", "2099-01-31T00:00:00Z"]
    asked(capsys, *later)
    assert asked(capsys, "work", "show", "song")["reserved"] == {}  # replaced by what holds later only
    assert asked(capsys, "work", "show", "song", "--at", str(made["index"] + 1))["reserved"] == shown


@pytest.mark.parametrize(
    "statements,code,word",
    [
        (["train"], 3, "train=disallow"),
        (["train=allow", "train=disallow"], 3, "train=allow is said too"),
        (["learn=disallow"], 1, "learn"),
        (["train=never"], 1, "statements.train: Input should be"),
    ],
)
def test_statements_that_are_none(
    shop: Path, capsys: pytest.CaptureFixture[str], statements: list[str], code: int, word: str
) -> None:
    assert word in told(capsys, "reserve", "song", *statements, code=code)
