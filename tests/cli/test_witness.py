"""Witnesses as they are run: real processes, killed and started again, two over one state, and what is said of them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.cli.app import run
from adapters.exchange import Exchange
from adapters.files import Directory
from adapters.witness.folder import open_witness
from adapters.witness.server import WitnessServer
from adapters.witnesses import Witnesses
from ledger import Checkpoint, Client, Log, Policy, Row, SigningKey
from ledger.checkpoint import sign_checkpoint
from ledger.cosignature import Cosigner, CosignerKey
from ledger.note import MAX_NOTE, Note
from ledger.testing import MemoryStore
from ledger.witness import Answer, Request, Witness
from tests.cli.conftest import asked, told
from tests.cli.test_operate import PROGRAM
from tests.ledger.test_witness import KEY, NORTH, NOW, ORIGIN, grown, tree


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Path:
    """A folder with the witness `north`, which watches one log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    assert run(["witness", "init", "north.example/w", "north"]) == 0
    watch(tmp_path, KEY)
    capsys.readouterr()
    return tmp_path


def watch(house: Path, *keys: SigningKey) -> None:
    (house / "north" / "logs.policy").write_text("".join(f"log {key.verifier}\n" for key in keys))


def keys_of(house: Path) -> list[CosignerKey]:
    return [Cosigner.parse(path.read_text().strip()).verifier for path in sorted((house / "north").glob("*.key"))]


# The same without the command line, which takes longer to load than these tests to run.
LEAN = """
import signal
from adapters.witness.folder import open_witness
from adapters.witness.server import WitnessServer
print("answers at " + WitnessServer(open_witness("north")[0]).start().url, flush=True)
signal.pause()
"""


@contextmanager
def process(*command: str):
    """A witness in a process of its own: the process, and where it answers."""
    running = subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
    try:
        line = running.stdout.readline()
        assert "answers at http://127.0.0.1:" in line, line
        yield running, line.strip().split("answers at ")[1].split(";")[0]
    finally:
        running.kill()
        running.communicate()


def lean():
    return process(sys.executable, "-c", LEAN)


def post(url: str, body: bytes) -> tuple[int, bytes]:
    exchange = Exchange(url)
    try:
        return exchange.ask("add-checkpoint", body, until=time.monotonic() + 30, most=MAX_NOTE)
    finally:
        exchange.close()


def shown(url: str, origin: str) -> Checkpoint:
    exchange = Exchange(url)
    path = f"{sha256(origin.encode()).hexdigest()}/checkpoint"
    status, body = exchange.ask(path, until=time.monotonic() + 30, most=MAX_NOTE)
    exchange.close()
    assert status == 200
    return Checkpoint.parse(Note.parse(body).text)


@contextmanager
def closing_server(server: WitnessServer):
    try:
        yield server
    finally:
        server.stop()


# A process


def test_what_it_signed_outlives_a_kill(house):
    with lean() as (running, url):
        assert post(url, grown(0, 8))[0] == 200
        running.send_signal(signal.SIGKILL)
        running.wait(30)
    with lean() as (_, url):
        assert shown(url, ORIGIN) == tree(8)
        assert post(url, grown(0, 3)) == (409, b"8\n")
        assert post(url, bytes(Request(8, (), tree(8, bytes(32)).signed)))[0] == 422
        assert post(url, grown(8, 20))[0] == 200


def test_two_processes_never_sign_two_trees(house):
    """Each is asked for another tree of the same logs, at the same moment."""
    logs = [SigningKey(f"log-{number}.example", bytes([number] * 32)) for number in range(20)]
    watch(house, *logs)

    def tree_of(key: SigningKey, which: int) -> Checkpoint:
        return sign_checkpoint(Checkpoint(key.verifier.name, 5, bytes([which] * 32)), key)

    with lean() as (_, one), lean() as (_, other):
        answers: dict[str, list[tuple[int, bytes, int]]] = {key.verifier.name: [] for key in logs}
        meet = threading.Barrier(2)

        def ask(url: str, which: int) -> None:
            exchange = Exchange(url)
            for key in logs:
                body = bytes(Request(0, (), tree_of(key, which).signed))
                meet.wait(30)
                status, said = exchange.ask("add-checkpoint", body, until=time.monotonic() + 30, most=MAX_NOTE)
                answers[key.verifier.name].append((status, said, which))
            exchange.close()

        threads = [threading.Thread(target=ask, args=each) for each in ((one, 1), (other, 2))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for key in logs:
            origin = key.verifier.name
            (won, _, which), (lost, said, _) = sorted(answers[origin])
            assert (won, lost, said) == (200, 409, b"5\n")
            assert shown(one, origin) == shown(other, origin) == tree_of(key, which)


def test_it_ends_in_order_and_says_what_it_refused(house):
    with process(*PROGRAM, "witness", "serve", "north", "--listen", "127.0.0.1:0", "--prefix", "/w") as (running, url):
        assert url.endswith("/w")
        assert post(url, grown(0, 3))[0] == 200
        assert post(url, grown(0, 3)) == (409, b"3\n")
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert said.endswith("WARNING 127.0.0.1 POST /w/add-checkpoint HTTP/1.1: 409 3\n")
    assert said.count("\n") == 1


def test_a_log_that_forks_is_convicted_by_a_file(house, capsys):
    with process(*PROGRAM, "witness", "serve", "north", "--listen", "127.0.0.1:0") as (running, url):
        assert post(url, grown(0, 5))[0] == 200
        assert post(url, bytes(Request(5, (), tree(5, bytes(32)).signed)))[0] == 422
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    (path,) = (house / "north").glob("fork-*.evidence")
    assert f"ERROR {ORIGIN}: has signed two histories; the evidence is in north/{path.name}: pass it on" in said
    told(capsys, "evidence", "verify", str(path), "--policy", "north/logs.policy", code=3)  # no quorum line in it
    Path("log.policy").write_text(f"log {KEY.verifier}\nquorum none\n")
    assert run(["evidence", "verify", str(path), "--policy", "log.policy"]) == 0
    assert "signed two histories" in capsys.readouterr().out


# What is typed


def test_init_says_what_others_need(house, capsys):
    said = asked(capsys, "witness", "init", "harbour.example", "harbour", "--url", "https://harbour.example/w")
    assert said["name"] == "harbour.example"
    policy = Policy.parse("\n".join([*said["policy"], "quorum none", ""]))
    assert [str(line.key) for line in policy.witnesses] == said["keys"]
    assert [line.name for line in policy.witnesses] == ["harbour", "harbour-ml-dsa"][: len(said["keys"])]
    assert {line.url for line in policy.witnesses} == {"https://harbour.example/w"}
    assert (house / "harbour" / "witness.policy").read_text().splitlines() == said["policy"]
    for path in (house / "harbour").glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert (house / "harbour").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "name, label",
    [
        ("north.example/w", "north"),
        ("witness.example/w1", "witness-example-w1"),
        ("log.shop.example", "log-shop-example"),
        ("none.example", "none-example"),
        ("a#b.example/w", "a-b-example-w"),
        ("w\u00e9.example", "w-example"),
        ("quorum", "w-KEYID"),
        ("\u00e9", "w-KEYID"),
    ],
)
def test_what_policies_call_it_is_a_name_for_every_reader(house, capsys, name, label):
    """Others refuse the words of the format as names, and end a line at `#`."""
    said = asked(capsys, "witness", "init", name, "new")
    keys = [CosignerKey.parse(key) for key in said["keys"]]
    label = label.replace("KEYID", keys[0].key_id.hex())
    policy = Policy.parse(Path("new/witness.policy").read_text("utf-8") + f"quorum {label}\n")
    assert [(line.name, line.key) for line in policy.witnesses] == [(label, keys[0]), (f"{label}-ml-dsa", keys[1])]


def test_use_names_those_that_cosigned(house, capsys):
    """And not all that were asked: one of two is down, and one is enough."""
    told(capsys, "init", "shop.example/log")
    log = next(iter(Policy.parse(Path("public/market.policy").read_text("utf-8")).logs))
    watched = {log.key.name: [log.key]}
    away = Cosigner.generate("away.example/w")
    with closing_server(WitnessServer(Witness(watched, [NORTH], MemoryStore())).start()) as server:
        text = f"{log}\nwitness north {NORTH.verifier} {server.url}\nwitness away {away.verifier} http://127.0.0.1:9\n"
        Path("w.policy").write_text(f"{text}group one any north away\nquorum one\n")
        said = asked(capsys, "witness", "use", "w.policy")
        assert (said["witnesses"], said["cosigned"], said["quorum"]) == (["north", "away"], ["north"], "one")
        assert "size 2, cosigned by north; the quorum is one" in told(capsys, "witness", "use", "w.policy")
    Path("w.policy").write_text(f"{text}quorum none\n")
    assert "size 2, cosigned by north" in told(capsys, "witness", "use", "w.policy")
    Path("w.policy").write_text(f"{log}\nquorum none\n")
    assert ", no witness is asked" in told(capsys, "witness", "use", "w.policy")


def test_keys_are_encrypted_where_there_is_a_passphrase(house, monkeypatch, capsys):
    monkeypatch.setenv("PROVENANCE_PASSPHRASE", "correct horse")
    asked(capsys, "witness", "init", "civic.example", "civic")
    assert "PRIVATE" not in (house / "civic" / "ed25519.key").read_text()
    (house / "civic" / "logs.policy").write_text(f"log {KEY.verifier}\n")
    witness, seen, _ = open_witness("civic")
    assert witness.add_checkpoint(grown(0, 3), time=NOW).status == 200
    seen.close()
    monkeypatch.delenv("PROVENANCE_PASSPHRASE")
    assert "is encrypted" in told(capsys, "witness", "serve", "civic", code=1)


def test_a_witness_never_begins_again(house, capsys):
    assert "not empty" in told(capsys, "witness", "init", "north.example/w", "north", code=1)
    (house / "north" / "seen.db").unlink()
    assert "provenance witness init" in told(capsys, "witness", "serve", "north", code=2)


@pytest.mark.parametrize(
    "words, code, says",
    [
        (("nowhere",), 2, "no such folder; `provenance witness init NAME nowhere`"),
        (("north", "--listen", "here"), 3, "want HOST:PORT"),
        (("north", "--listen", "127.0.0.1:70000"), 3, "want HOST:PORT"),
        (("north", "--log", "x", "--policy", "y"), 3, "want one of them"),
        (("north", "--policy", "y"), 3, "no such file"),
        (("north", "--policy", "latin-1.policy"), 3, "--policy latin-1.policy: 'utf-8' codec can't decode byte 0xe9"),
        (("north", "--log", "x"), 3, "--log: policy line 1"),
        (("north", "--policy", "torn.policy"), 3, "--policy torn.policy: policy line 2"),
        (("north", "--policy", "empty.policy"), 3, "--policy empty.policy: names no log"),
        (("north", "--key", "env:NOT_SET_ANYWHERE"), 2, "not set"),
    ],
)
def test_serve_says_what_is_wrong(house, capsys, words, code, says):
    Path("latin-1.policy").write_bytes("# caf\u00e9\nlog x\n".encode("latin-1"))
    Path("torn.policy").write_text(f"log {KEY.verifier}\nlog mar")
    Path("empty.policy").write_text("")
    assert says in told(capsys, "witness", "serve", *words, code=code)


def test_serve_without_logs_or_keys(house, capsys):
    watch(house)
    assert "names no log; add a line `log VKEY`" in told(capsys, "witness", "serve", "north", code=2)
    (house / "north" / "logs.policy").unlink()
    assert "logs.policy" in told(capsys, "witness", "serve", "north", code=2)
    for path in (house / "north").glob("*.key"):
        path.unlink()
    assert "no key in it" in told(capsys, "witness", "serve", "north", code=2)


def test_keys_may_lie_elsewhere(house, monkeypatch, capsys):
    monkeypatch.setenv("WITNESS_KEY", str(NORTH))
    witness, seen, keys = open_witness("north", keys=["env:WITNESS_KEY"])
    assert keys == (NORTH.verifier,)
    assert witness.add_checkpoint(grown(0, 3), time=NOW).status == 200
    seen.close()
    other = next(path for path in sorted((house / "north").glob("*.key")))
    other.write_text(str(Cosigner.generate("other.example")))
    assert "several names" in told(
        capsys, "witness", "serve", "north", "--key", f"file:{other}", "--key", "env:WITNESS_KEY", code=1
    )


def test_a_port_that_is_taken(house, capsys):
    with serving() as server:
        port = server.url.rpartition(":")[2]
        said = told(capsys, "witness", "serve", "north", "--listen", f"127.0.0.1:{port}", code=2)
    assert "is it running already?" in said


# What is said of one


@contextmanager
def serving():
    """The witness of the house, in this process."""
    witness, seen, _ = open_witness("north")
    with closing(seen):
        server = WitnessServer(witness, clock=lambda: NOW).start()
        try:
            yield server
        finally:
            server.stop()


def publish(house: Path, count: int, name: str = "public") -> Log:
    """A published log of so many entries."""
    log = Log.create(MemoryStore(), KEY, b"genesis", publish=[Directory(house / name)])
    log.extend([Row(b"%d" % number, b"") for number in range(1, count)])
    log.publish()
    return log


def write_policy(house: Path, url: str, *, keys: list[CosignerKey] | None = None) -> str:
    lines = [f"witness n{number} {key} {url}" for number, key in enumerate(keys or keys_of(house))]
    text = "\n".join([f"log {KEY.verifier}", *lines, "quorum n0", ""])
    (house / "p.policy").write_text(text)
    return text


WORDS = ("witness", "explain", "--log", "public", "--policy", "p.policy")


def test_one_that_cosigns(house, capsys):
    publish(house, 300)
    with serving() as server:
        write_policy(house, server.url)
        first = asked(capsys, *WORDS)["witnesses"][0]
        assert (first["state"], first["size"], first["behind"], first["at"]) == ("cosigns", 300, 0, NOW)
        assert shown(server.url, ORIGIN).size == 300
        out = told(capsys, *WORDS, "n0")
    assert f"{ORIGIN}   size 300   quorum n0" in out
    assert "last cosigned  size 300, 2026-09-21T" in out
    assert "now            cosigns the newest checkpoint" in out
    assert out.rstrip().endswith("next: provenance audit public --policy p.policy")


def test_one_that_is_behind_is_asked_from_where_it_is(house, capsys):
    log = publish(house, 300)
    with serving() as server:
        witnesses = Witnesses(Policy.parse(write_policy(house, server.url)))
        client = Client(Directory(house / "public"), Policy.of(KEY.verifier))
        before = client.latest()
        witnesses.collect(before, lambda _: ())
        log.extend([Row(b"%d" % number, b"") for number in range(700)])
        log.publish()
        assert asked(capsys, *WORDS)["witnesses"][0]["size"] == 1000
        witnesses.close()


def test_one_that_is_down(house, capsys):
    publish(house, 3)
    with serving() as server:
        write_policy(house, server.url)
    out = told(capsys, *WORDS, code=2)
    assert out == ""
    said = asked(capsys, *WORDS, code=2)["witnesses"][0]
    assert (said["state"], said["size"]) == ("absent", None)
    assert "publishing goes on as long as the others are a quorum" in said["do"]


def test_one_that_does_not_watch_this_log(house, capsys):
    publish(house, 3)
    watch(house, SigningKey("other.example", bytes(32)))
    with serving() as server:
        write_policy(house, server.url)
        said = asked(capsys, *WORDS, code=2)["witnesses"][0]
    assert said["state"] == "refuses"
    assert said["says"].startswith("does not watch this log (404: ")
    assert f"`log {KEY.verifier}`" in said["do"]


def test_one_that_knows_another_key(house, capsys):
    publish(house, 3)
    watch(house, SigningKey(ORIGIN, bytes(32)))
    with serving() as server:
        write_policy(house, server.url)
        said = asked(capsys, *WORDS, code=2)["witnesses"][0]
    assert said["says"].startswith("knows this log by another key (403: ")


def test_one_that_signs_with_another_key(house, capsys):
    publish(house, 3)
    with serving() as server:
        write_policy(house, server.url, keys=[NORTH.verifier])
        said = asked(capsys, *WORDS, code=1)["witnesses"][0]
    assert said["state"] == "lies"
    assert "did not sign what it says" in said["says"]


@pytest.mark.parametrize("count", [300, 600])
def test_one_that_contradicts(house, capsys, count):
    """It holds what this log signed: what is published went back, or is another history."""
    publish(house, 500, "before")
    with serving() as server:
        write_policy(house, server.url)
        assert run([*WORDS[:3], "before", *WORDS[4:]]) == 0
        shutil.rmtree(house / "before")
        log = Log.create(MemoryStore(), KEY, b"another", publish=[Directory(house / "public")])
        log.extend([Row(b"%d" % number, b"") for number in range(1, count)])
        log.publish()
        said = asked(capsys, *WORDS, code=1)["witnesses"][0]
        assert said["state"] == "contradicts"
        Policy.of(KEY.verifier).verify(
            Note.parse(said["held"].encode()), Checkpoint.parse(Note.parse(said["held"].encode()).text)
        )
        assert run(list(WORDS)) == 1
        assert capsys.readouterr().out.rstrip().endswith("next: provenance recover")
        assert (house / "fork.evidence").exists() == (count > 500)
        if count > 500:
            assert run(["evidence", "verify", "fork.evidence", "--policy", "p.policy"]) == 0


def test_who_is_asked(house, capsys):
    publish(house, 3)
    with serving() as server:
        text = write_policy(house, server.url)
        for name in ("n0", server.url, f"{server.url}/"):
            assert len(asked(capsys, *WORDS, name)["witnesses"]) == 1
        assert "want one of: n0" in told(capsys, *WORDS, "civic", code=3)
        (house / "p.policy").write_text(text.partition("witness")[0] + "quorum none\n")
        assert "want one of: none" in told(capsys, *WORDS, code=3)


def test_times_that_no_calendar_knows(house, capsys):
    publish(house, 3)
    far = Cosigner.parse((house / "north" / "ed25519.key").read_text().strip())

    class Far(Witness):
        def add_checkpoint(self, data: bytes, *, time: int) -> Answer:
            return super().add_checkpoint(data, time=2**63 - 1)

    server = WitnessServer(Far({ORIGIN: [KEY.verifier]}, [far], MemoryStore())).start()
    write_policy(house, server.url, keys=[far.verifier])
    assert f"at {2**63 - 1} s" in told(capsys, *WORDS)
    server.stop()
