"""`provenance import` and `provenance export prov`."""

from __future__ import annotations

import json
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from adapters import connect
from adapters.cli.app import run
from tests.cli.conftest import asked, told

MAP = """
[[rows]]
verb = "party"
ref = "user:{user}"
kind = "person"
name = "{name}"

[[rows]]
verb = "work"
ref = "photo:{id}"
creator = "user:{user}"
sha256 = "{sha256}"
media_type = "image/jpeg"
size = "{size}"
claimed_at = "{taken}"
"""

HEADER = "id,user,name,sha256,size,taken,mood\n"


def line(number: int, **changes: object) -> str:
    values = {
        "id": number,
        "user": number % 2,
        "name": f"Seller {number % 2}",
        "sha256": sha256(b"%d" % number).hexdigest(),
        "size": 100 + number,
        "taken": "2019-03-01",
        "mood": "fine",
    }
    return ",".join(map(str, {**values, **changes}.values())) + "\n"


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "cli.example/log"]) == 0
    Path("map.toml").write_text(MAP, "utf-8")
    return tmp_path


def size() -> int:
    return connect("market.db", publish="public").index.size


def test_a_table_is_tried_then_taken_then_known(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos.csv").write_text("\ufeff" + HEADER + line(1) + line(2) + line(3, size="big") + line(4), "utf-8")
    words = ["import", "table", "photos.csv", "--map", "map.toml"]
    before = size()
    tried = asked(capsys, *words, "--dry-run")
    assert size() == before
    taken = asked(capsys, *words)
    assert taken["counts"] == tried["counts"]
    assert taken["counts"] == {
        "party": {"accepted": 2, "duplicate": 2},
        "work": {"accepted": 3, "rejected": 1},
    }
    assert taken["fields"]["mood"] == "not in the map, not taken"
    assert taken["source"] == sha256(Path("photos.csv").read_bytes()).hexdigest()
    again = asked(capsys, *words)
    assert again["counts"] == {"party": {"duplicate": 4}, "work": {"duplicate": 3, "rejected": 1}}
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "work           4: 3 duplicate, 1 rejected (75.0% taken whole)" in shown
    assert "size: 'big', want a whole number" in shown
    assert "event list --type import.accepted" in shown
    assert asked(capsys, "event", "list", "--type", "import.accepted")["number"] == 2
    assert asked(capsys, "work", "show", "photo:1")["event"]["claimed_at"] == "2019-03-01T00:00:00Z"


def test_a_broken_line_is_refused_and_others_go_on(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos.csv").write_text(HEADER + line(1) + line(2, name='"x"y') + "9,9,9,9,9,9,9,9,9\n" + line(3), "utf-8")
    counts = asked(capsys, "import", "table", "photos.csv", "--map", "map.toml")["counts"]
    assert counts["row"] == {"rejected": 2}
    assert counts["work"] == {"accepted": 2}


@pytest.mark.parametrize(
    "data,word",
    [(b"id,user\xff\n", "no UTF-8 at byte 7"), (b"id,user,id\n1,2,3\n", "'id' stands there twice")],
)
def test_what_is_no_table(market: Path, capsys: pytest.CaptureFixture[str], data: bytes, word: str) -> None:
    Path("photos.csv").write_bytes(data)
    assert run(["import", "table", "photos.csv", "--map", "map.toml"]) == 1
    assert word in capsys.readouterr().err


def test_a_query_gives_the_rows(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect("old.db") as old:
        old.execute("CREATE TABLE photos (id, user, name, sha256, size, taken)")
        for number in (1, 2):
            values = (number, 7, "Seller", sha256(b"%d" % number).hexdigest(), 9, "2019-03-01 10:00:00")
            old.execute("INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?)", values)
    old.close()
    words = ["import", "table", "--map", "map.toml", "--query", "SELECT * FROM photos"]
    taken = asked(capsys, *words, "--from", "sqlite:///old.db")
    assert taken["counts"]["work"] == {"accepted": 2}
    assert run(words) == 3
    assert run([*words, "--from", "sqlite:///none.db"]) == 2
    assert not Path("none.db").exists()
    assert run(["import", "table", "--map", "map.toml", "--query", "SELECT", "--from", "sqlite:///old.db"]) == 2
    assert run([*words, "--from", "no-such://user:secret@host/db"]) == 2
    assert "secret" not in capsys.readouterr().err
    assert run(["import", "table", "--map", "map.toml"]) == 3
    Path("map.toml").write_text("rows = 1", "utf-8")
    assert run([*words, "--from", "sqlite:///old.db"]) == 3


def test_datasets_of_others(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = {
        "id": "a",
        "name": "A",
        "licenses": [{"name": "\x1b[31mHouse\u202e"}],
        "derived_from": [],
        "model_generated": [],
    }
    Path("datasets.jsonl").write_text(json.dumps(value) + "\n", "utf-8")
    assert run(["import", "collection", "datasets.jsonl"]) == 0
    shown = capsys.readouterr().out
    assert "1 degraded (0.0% taken whole)" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    folder = Path("cards/deep")
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"@type": "sc:Dataset", "name": "A", "license": "mit"}', "utf-8")
    (folder / "b.json").write_text("[]", "utf-8")
    assert asked(capsys, "import", "croissant", "cards")["counts"] == {"dataset": {"degraded": 1, "rejected": 1}}
    assert run(["import", "croissant", "nothing.json"]) == 2
    assert len(asked(capsys, "dataset", "list")["rows"]) == 2


def test_prov_of_a_work_a_party_and_everything(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos.csv").write_text(HEADER + line(1) + line(2), "utf-8")
    assert run(["import", "table", "photos.csv", "--map", "map.toml"]) == 0
    found = asked(capsys, "export", "prov", "photo:1", "work.json")
    assert found["records"]["entity"] == 2  # the work, and the log
    whole = asked(capsys, "export", "prov", "--all", "all.json")
    assert whole["records"]["entity"] == 3
    assert whole["left"]["import.accepted"] == 1
    assert asked(capsys, "export", "prov", "--party", "user:1", "party.json")["records"]["agent"] == 1
    text = Path("all.json").read_text("utf-8")
    assert set(json.loads(text)["prefix"]) >= {"event", "ledger"}
    assert "Seller" not in text
    assert asked(capsys, "export", "prov", "--all", "early.json", "--at", "1")["records"] == {"entity": 1}
    for words in (
        ["photo:1"],
        ["--all", "photo:1", "x.json"],
        ["--all", "--party", "user:1", "x.json"],
        ["a", "b", "c"],
    ):
        assert run(["export", "prov", *words]) == 3
    assert run(["export", "prov", "nothing", "x.json"]) == 2
    assert run(["export", "prov", "--all", "no/such/folder.json"]) == 2
    assert not Path("x.json").exists()


def test_what_leaves_for_somebody_is_recorded(market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos.csv").write_text(HEADER + line(1), "utf-8")
    assert run(["import", "table", "photos.csv", "--map", "map.toml"]) == 0
    before = size()
    assert asked(capsys, "export", "prov", "--party", "user:1", "party.json")["recorded"] is None
    assert size() == before
    words = ["export", "prov", "--party", "user:1", "party.json", "--to", "user:1", "--ref", "request:1"]
    found = asked(capsys, *words, "--at", str(before))
    event = asked(capsys, "event", "show", "request:1")["event"]
    assert event["body"]["bundle"] == sha256(Path("party.json").read_bytes()).hexdigest()
    assert event["body"]["counts"] == {"prov": 1, **found["records"]}
    ada = asked(capsys, "party", "show", "user:1")["party"]
    assert event["refs"] == [{"role": "subject", "id": ada}, {"role": "to", "id": ada}]
    assert asked(capsys, *words, "--at", str(before))["recorded"] == found["recorded"]  # the same again
    assert "next: provenance event show" in told(capsys, "export", "prov", "photo:1", "w.json", "--to", "user:1")
    assert asked(capsys, "erase", "--subject", "user:1")["notices"] == [["export", 2]]
    assert "want --to PARTY with it" in told(capsys, "export", "prov", "--all", "x.json", "--ref", "x", code=3)
    assert run(["export", "prov", "--all", "x.json", "--to", "nobody"]) == 2
    assert not Path("x.json").exists()
