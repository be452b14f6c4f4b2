"""The command line as its users type it: an operator's day, an auditor's visit, everybody's mistakes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import encypher_c2pa
import pytest
from PIL import Image

from adapters.cli.app import run
from provenance import Statement
from provenance.content import read_manifest

TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 20).save("a.png")
    Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 30).save("b.png")
    for command in (
        "init shop.example/log --name Shop",
        "register person --name Ada --ref user:1",
        "create a.png --creator user:1 --terms CC-BY-4.0 --ref work:1",
        "derive b.png --parent work:1 --creator user:1 --source-type humanEdits --ref work:2",
        "attach work:1 a.png a.signed.png",
        "attach work:2 b.png b.signed.png",
        "offer work:2 --terms LicenseRef-x --price 500EUR --ref offer:1",
        "license work:2 --to user:1 --offer offer:1 --price 500EUR --ref order:1",
    ):
        assert run(command.split()) == 0, capsys.readouterr().err
    capsys.readouterr()
    return tmp_path


def test_every_answer_names_the_next_command_and_has_a_json_twin(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ["--log", "public", "--policy", "public/market.policy"]
    for command in (
        ["status"],
        ["verify", "b.signed.png", *log],
        ["trace", "b.signed.png", *log],
        ["proof", "b.signed.png", "proofs", *log],
        ["audit", "public", "--policy", "public/market.policy"],
        ["index", "rebuild"],
        ["log", "export", "copy", *log],
    ):
        assert run(command) == 0
        out = capsys.readouterr().out
        assert out.rstrip().splitlines()[-1].strip().startswith("next: "), out
        assert run([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)


def test_a_proof_is_three_files_that_fit(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = ["--policy", "public/market.policy"]
    assert run(["proof", "b.signed.png", "proofs", "--log", "public", *policy]) == 0
    next_ = capsys.readouterr().out.splitlines()[-1]
    assert next_ == "next: provenance verify proofs/b.signed.png.tlog-proof --policy public/market.policy"
    entry, event = (shop / "proofs" / f"b.signed.png.{suffix}" for suffix in ("entry", "event.json"))
    assert Statement.parse(entry.read_bytes()).event_id == sha256(event.read_bytes()).digest()
    assert (shop / "proofs" / "b.signed.png.signer.tlog-proof").is_file()
    assert run([*next_.split()[2:], "--html", "proof.html"]) == 0
    out = capsys.readouterr().out
    assert "✔ event" in out
    assert out.splitlines()[-1].strip() == "next: provenance audit LOG --policy public/market.policy"
    assert run(["verify", "proofs/b.signed.png.tlog-proof"]) == 2
    assert "no policy for origin shop.example/log" in capsys.readouterr().err
    event.write_bytes(event.read_bytes().replace(b"humanEdits", b"humanEdit5"))
    assert run([*next_.split()[2:]]) == 1
    entry.unlink()
    assert run([*next_.split()[2:]]) == 2


def test_an_auditor_needs_neither_database_nor_keys(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    there = tmp_path_factory.mktemp("auditor")
    shutil.copytree(shop / "public", there / "public")
    shutil.copy(shop / "b.signed.png", there)
    os.chdir(there)
    assert run(["trust", "public", "--yes"]) == 0
    assert run(["audit", "public", "--save", "last"]) == 0
    assert run(["audit", "public", "--since", "last"]) == 0
    assert run(["verify", "b.signed.png"]) == 0
    assert run(["trace", "b.signed.png", "--html", "page.html"]) == 0
    assert (there / "page.html").stat().st_size < 300_000


@pytest.mark.parametrize(
    "command,status,says",
    [
        ("verify b.signed.png --log public", 2, "no policy for origin shop.example/log"),
        ("verify nothing.png --log public --policy public/market.policy", 2, "nothing.png: no such file"),
        ("verify a.png b.png", 3, "unexpected extra argument"),
        ("verify", 3, "Missing argument"),
        ("no-such-verb", 3, "No such command"),
        ("audit nowhere --policy public/market.policy", 2, "nowhere: no such folder"),
        ("init shop.example/log", 1, "there is"),
        ("create empty.png --creator user:1", 1, "empty"),
        ("create a.png --creator user:9", 2, "user:9"),
        ("derive b.png --parent user:1 --creator user:1", 1, "party.register"),
        ("create b.png --creator user:1 --ref work:1", 1, "work:1"),
        ("offer work:1 --terms CC0-1.0 --price cheap", 3, "minor units"),
        ("attach work:1 b.png c.png", 1, "SHA-256"),
        ("attach work:1 a.png a.png", 1, "same file"),
        ("status --db nothing.db", 2, "nothing.db: no such database"),
        ("doctor --production", 1, ""),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_do(
    shop: Path, capsys: pytest.CaptureFixture[str], command: str, status: int, says: str
) -> None:
    Path("empty.png").touch()
    assert run(command.split()) == status
    err = capsys.readouterr().err
    assert says in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 1 or not says


def test_altered_files_and_logs_exit_1(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = ["--log", "public", "--policy", "public/market.policy"]
    data = bytearray(Path("b.signed.png").read_bytes())
    data[-30] ^= 1
    Path("c.png").write_bytes(data)
    assert run(["verify", "c.png", *log]) == 1
    assert run(["verify", "b.signed.png", *log]) == 0
    newest = max(Path("public/tile/entries/000.p").iterdir(), key=lambda path: int(path.name))
    entries = bytearray(newest.read_bytes())
    entries[300] ^= 1
    newest.write_bytes(entries)
    assert run(["audit", "public", "--policy", "public/market.policy"]) == 1
    assert newest.name in capsys.readouterr().err


def test_an_older_database_is_refused_and_recovers(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_wal = [Path("market.db"), Path("market.db-wal"), Path("market.db-shm")]
    assert run(["publish"]) == 0
    older = {path: path.read_bytes() for path in with_wal if path.exists()}
    assert (
        run(["license", "work:2", "--to", "user:1", "--offer", "offer:1", "--price", "500EUR", "--ref", "order:2"]) == 0
    )
    assert run(["create", "a.png", "--creator", "user:1", "--ref", "work:3"]) == 0
    for path in with_wal:
        path.unlink(missing_ok=True)
    for path, data in older.items():
        path.write_bytes(data)
    capsys.readouterr()
    assert run(["status"]) == 1
    assert "refill" in capsys.readouterr().err
    assert run(["doctor"]) == 1
    capsys.readouterr()
    assert run(["recover", "--json"]) == 0
    lost = json.loads(capsys.readouterr().out)["lost"]
    assert [item["type"] for item in lost] == ["grant.issue"]
    assert run(["status"]) == 0
    assert run(["create", "b.png", "--creator", "user:1", "--ref", "work:4"]) == 0
    assert run(["audit", "public", "--policy", "public/market.policy"]) == 0


def test_an_operator_audits_what_only_he_holds(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", "public", "--policy", "public/market.policy", "--db", "market.db"]
    assert run(command) == 0
    with sqlite3.connect("market.db") as connection:
        assert connection.execute("DELETE FROM provenance_vault WHERE instr(data, 'grant.issue')").rowcount == 1
    capsys.readouterr()
    assert run(command) == 2
    assert "vault.missing" in capsys.readouterr().out


def test_trust_never_waits_for_an_answer_that_cannot_come(shop: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from adapters.cli import main; main()", "trust", "public"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert not (shop / "home" / "trusted").exists()


def test_the_demo_leaves_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "the demo"
    own = tmp_path / "my own file.txt"
    own.write_text("some text of my own", "utf-8")
    assert run(["demo", str(place)]) == 0
    assert run(["demo", str(place), "--media", str(own)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 80
    assert {path.name for path in (place / "public").iterdir()} == {
        ".well-known",
        "checkpoint",
        "events",
        "log.vkey",
        "market.policy",
        "tile",
    }
    assert (place / "public" / "log.vkey").read_text().startswith("demo.market.example/log+")
    assert (place / "report.html").stat().st_size < 300_000
    assert (place / "media" / own.name).read_bytes() == own.read_bytes()
    checked = 0
    for file in sorted((place / "media").iterdir()):
        beside = file.with_name(file.name + ".c2pa")
        if file.suffix == ".c2pa":
            continue
        manifest = read_manifest(file)
        assert manifest is not None
        assert manifest.state == "Valid"
        if file.suffix in TYPES:
            store = str(beside) if beside.exists() else None
            second = encypher_c2pa.verify(str(file), TYPES[file.suffix], manifest_store=store, telemetry=False)
            assert second["validation_state"] == "Valid"
            checked += 1
    assert checked == 6
    for proof in (place / "proofs").glob("*.event.json"):
        entry = proof.with_name(proof.name.removesuffix("event.json") + "entry")
        assert Statement.parse(entry.read_bytes()).event_id == sha256(proof.read_bytes()).digest()
