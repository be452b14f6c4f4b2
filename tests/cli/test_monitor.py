"""A market that forks, as others meet it: the monitor finds it, and anybody is convinced by one command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.cli.app import run
from ledger import Evidence, Policy
from ledger.cosignature import ED25519, Cosigner
from ledger.testing import MemoryStore
from ledger.witness import Request, Witness
from tests.adapters.test_witnesses import NOW, Peer

POLICY = ["--policy", "market.policy"]
PROGRAM = [sys.executable, "-c", "from adapters.cli import main; main()"]
ROOT = str(Path(__file__).resolve().parents[2])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A market whose operator keeps a second database, under the same key and with the same beginning."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PROVENANCE_DB", raising=False)
    monkeypatch.delenv("PROVENANCE_PUBLISH", raising=False)
    (tmp_path / "poem.txt").write_text("The dune remembers every foot.\n")
    assert run(["init", "market.example/log"]) == 0
    assert run(["register", "person", "--name", "Ada", "--ref", "user:1"]) == 0
    shutil.copy("public/market.policy", "market.policy")
    shutil.copytree("market.keys", "other/market.keys")
    shutil.copytree("public", "other/public")
    for file in Path().glob("market.db*"):
        shutil.copy(file, "other")
    capsys.readouterr()
    return tmp_path


def here(*words: str) -> int:
    return run(list(words))


def there(*words: str) -> int:
    """The operator's second history."""
    return run([*words, "--db", "other/market.db", "--publish", "other/public"])


def grow(history: Callable[..., int], number: int) -> None:
    assert history("register", "org", "--ref", f"org:{number}") == 0


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def look(*words: str) -> int:
    return run(["monitor", "public", *POLICY, "--once", *words])


def convinced(shop: Path, tmp_path_factory: pytest.TempPathFactory, evidence: Path) -> dict:
    """A third party with the file and the policy alone, in a folder of its own and a process of its own."""
    folder = tmp_path_factory.mktemp("third")
    shutil.copy(evidence, folder / "fork.evidence")
    shutil.copy(shop / "market.policy", folder / "known.policy")
    done = subprocess.run(
        [*PROGRAM, "evidence", "verify", "fork.evidence", "--policy", "known.policy", "--json"],
        cwd=folder,
        env={**os.environ, "PROVENANCE_HOME": str(folder), "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_second_view_convicts(
    shop: Path, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    grow(here, 1)
    grow(there, 2)
    grow(there, 3)
    capsys.readouterr()
    assert look("--state", "kept/state") == 2
    assert "kept/state" in capsys.readouterr().err
    Path("kept").mkdir()
    assert look("--state", "kept/state") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-2:] == [
        "Record: intact",
        "next: provenance monitor public --state kept/state --policy market.policy",
    ]

    # A friend sends the checkpoint that the market showed to him.
    shutil.copy("other/public/checkpoint", "from-a-friend")
    assert look("--state", "kept/state", "--checkpoint", "from-a-friend") == 0
    capsys.readouterr()
    assert look("--state", "kept/state", "--checkpoint", "other/public", "--json") == 1
    (fork,) = said(capsys)["alerts"]
    assert (fork["kind"], fork["record"], fork["evidence"]) == ("fork", "altered", "kept/fork.evidence")

    proven = convinced(shop, tmp_path_factory, shop / "kept" / "fork.evidence")
    assert proven["forked"] is True
    assert proven["old"]["size"] < proven["new"]["size"]
    # Once convicted, for good, and with the same file.
    assert look("--state", "kept/state") == 1
    out = capsys.readouterr().out
    assert "provenance evidence verify kept/fork.evidence --policy market.policy" in out
    assert [path.name for path in Path("kept").glob("*.evidence")] == ["fork.evidence"]
    assert run(["evidence", "verify", "kept/fork.evidence", *POLICY]) == 0
    out = capsys.readouterr().out
    assert "✕ market.example/log signed two histories" in out
    assert out.splitlines()[-1].startswith("next: ")


def test_a_folder_that_is_changed_under_a_monitor_that_runs(shop: Path) -> None:
    grow(here, 1)
    grow(there, 2)
    command = ["monitor", "public", *POLICY, "--every", "0.1", "--json"]
    with subprocess.Popen(
        [*PROGRAM, *command],
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as follower:
        until = time.monotonic() + 60
        while not Path("monitor.state").exists() or b"market.example/log" not in Path("monitor.state").read_bytes():
            assert time.monotonic() < until
            time.sleep(0.05)
        shutil.copytree("other/public", "public", dirs_exist_ok=True)
        # A look may come between the copies of two files.
        told = (alert["kind"] for line in follower.stdout for alert in json.loads(line)["alerts"])
        assert "fork" in told
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(30) == 1
    policy = Policy.parse(Path("market.policy").read_text())
    assert Evidence.parse(Path("fork.evidence").read_bytes()).verify(policy).old.origin == "market.example/log"


def test_an_audit_that_meets_a_fork_keeps_the_evidence(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow(here, 1)
    grow(there, 2)
    grow(there, 3)
    assert run(["audit", "public", *POLICY, "--save", "last.checkpoint"]) == 0
    capsys.readouterr()
    assert run(["audit", "other/public", *POLICY, "--since", "last.checkpoint"]) == 1
    err = capsys.readouterr().err
    assert "does not extend" in err
    assert "provenance evidence verify fork.evidence --policy market.policy" in err
    assert run(["evidence", "verify", "fork.evidence", *POLICY]) == 0
    # Other evidence does not replace it.
    grow(there, 4)
    assert run(["audit", "other/public", *POLICY, "--since", "last.checkpoint"]) == 1
    assert run(["evidence", "verify", "fork-2.evidence", *POLICY]) == 0
    capsys.readouterr()
    # A place where nothing can be written changes neither the answer nor what is said of it.
    Path("fork.evidence").unlink()
    Path("fork.evidence").mkdir()
    assert run(["audit", "other/public", *POLICY, "--since", "last.checkpoint"]) == 1
    assert "evidence" in capsys.readouterr().err


def test_what_is_no_evidence(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow(here, 1)
    grow(there, 2)
    assert look("--checkpoint", "other/public") == 1
    whole = Path("fork.evidence").read_bytes()
    capsys.readouterr()
    assert run(["evidence"]) == 3
    assert run(["evidence", "verify", "absent", *POLICY]) == 2
    assert run(["evidence", "verify", "fork.evidence"]) == 2
    assert "no policy for origin market.example/log" in capsys.readouterr().err
    Path("other.policy").write_text(str(Policy(())))
    assert run(["evidence", "verify", "fork.evidence", "--policy", "other.policy"]) == 2
    assert "lists no key of market.example/log" in capsys.readouterr().err
    Path("cut").write_bytes(whole[:-1])
    assert run(["evidence", "verify", "cut", *POLICY]) == 1
    head, *notes = whole.split(b"\n\n")
    same = b"\n\n".join([head, *notes[:2], notes[0], notes[1] + b"\n"])
    Path("same").write_bytes(same)
    assert run(["evidence", "verify", "same", *POLICY]) == 1
    assert "that is no fork" in capsys.readouterr().err


def test_news_by_id_file_and_ref(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow(here, 1)
    assert look("--watch", "user:1") == 3
    assert "known to its market alone" in capsys.readouterr().err
    assert look("--watch", "user:1", "--watch", "poem.txt", "--db", "market.db") == 0
    assert "user:1: #3 party.register is its own entry" in capsys.readouterr().out
    assert here("create", "poem.txt", "--creator", "user:1", "--ref", "work:1") == 0
    capsys.readouterr()
    assert look("--watch", "user:1", "--watch", "poem.txt", "--db", "market.db", "--json") == 0
    alerts = said(capsys)["alerts"]
    assert [(a["watched"], a["type"]) for a in alerts] == [("user:1", "work.create"), ("poem.txt", "work.create")]
    assert look("--watch", "user:1", "--watch", "poem.txt", "--db", "market.db") == 0
    assert "work.create" not in capsys.readouterr().out, "told once"
    event = alerts[0]["event"]
    assert look("--watch", f"work:{event}") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "is its own entry" in line)
    assert line.endswith(f"provenance proof {event} --log public --policy market.policy")
    assert run(line.split("; provenance ")[1].split()) == 0


def test_silence_and_places_that_are_not_there(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["monitor", "absent", *POLICY, "--once"]) == 2
    assert look("--checkpoint", "absent") == 2
    assert look("--checkpoint", "north") == 2
    assert look("--every", "0") == 3
    assert run(["monitor", "public", "--once"]) == 2
    capsys.readouterr()
    old = Path("public/checkpoint").read_bytes()
    grow(here, 1)
    assert look() == 0
    Path("public/checkpoint").write_bytes(old)
    capsys.readouterr()
    assert look() == 1
    out = capsys.readouterr().out
    assert "✕ rollback: log: " in out
    assert out.splitlines()[-2] == "Record: altered"
    assert not list(Path().glob("*.evidence"))
    Path("public/checkpoint").unlink()
    assert look("--json") == 2
    assert [alert["kind"] for alert in said(capsys)["alerts"]] == ["unreachable"]


def test_a_witness_that_was_shown_another_history(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow(there, 1)
    for number in (2, 3):
        grow(here, number)
    log = Policy.parse(Path("market.policy").read_text()).logs[0]
    peer = Peer("north")
    try:
        peer.witness = Witness({log.key.name: [log.key]}, peer.keys, MemoryStore())
        request = Request(0, (), Path("other/public/checkpoint").read_bytes())
        assert peer.witness.add_checkpoint(bytes(request), time=NOW).status == 200
        Path("market.policy").write_text(f"{log}\n{peer.lines()}quorum none\n")
        capsys.readouterr()
        assert look("--checkpoint", "north") == 1
        below = sha256(log.key.name.encode()).hexdigest()
        assert look("--state", "new", "--checkpoint", f"{peer.url}/{below}/checkpoint") == 1
    finally:
        peer.close()
    assert "(shown by north at" in capsys.readouterr().out
    assert run(["evidence", "verify", "fork.evidence", *POLICY, "--json"]) == 0
    proven = said(capsys)
    assert (proven["old"]["cosigned"], proven["new"]["cosigned"]) == ({"north": NOW}, {})


def test_a_witness_of_the_policy_is_asked_by_its_name(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = Cosigner("north.example/w", ED25519, bytes(32)).verifier
    log = Path("market.policy").read_text().partition("quorum")[0]
    for url, status, word in (("", 3, "want a witness with an address"), (" http://127.0.0.1:9", 2, "unreachable")):
        Path("named.policy").write_text(f"{log}witness north {key}{url}\nquorum none\n")
        capsys.readouterr()
        words = ["--policy", "named.policy", "--once", "--checkpoint", "north"]
        assert run(["monitor", "public", *words]) == status
        told = capsys.readouterr()
        assert word in told.out + told.err
