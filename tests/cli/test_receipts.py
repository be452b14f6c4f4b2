"""Proofs as they are made and verified on the command line, also with code that shares none with ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import cbor2
import cwt
import pytest

from adapters import connect
from adapters.cli.app import run
from adapters.key_files import KEY_SET
from ledger import Policy, Proof, SigningKey
from ledger.cosignature import ED25519, Cosigner
from ledger.receipt import Receipt, parse_key_set
from tests.cli.conftest import asked, told

ORIGIN = "shop.example/log"
POLICY = ("--policy", "public/market.policy")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("a.txt").write_text("a text of mine", "utf-8")
        for command in (
            f"init {ORIGIN} --name Shop",
            "register person --name Ada --ref user:1",
            "create a.txt --creator user:1 --ref work:1",
        ):
            assert run(command.split()) == 0
    return folder


@pytest.fixture
def shop(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    shutil.copytree(begun, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PROVENANCE_HOME", str(tmp_path / "home"))
    return folder


def root_of(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2, step by step."""
    fn, sn, r = index, size - 1, leaf
    for p in path:
        assert sn
        if fn & 1 or fn == sn:
            r = sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    assert not sn
    return r


def test_others_verify_it_with_what_is_published(shop, capsys):
    """CBOR and COSE by libraries, the keys from the well-known place, the tree by the RFC: not a line of ours."""
    told(capsys, "receipt", "work:1", "--transparent", "--out", "sale.cose")
    protected, unprotected, payload, signature = cbor2.loads(Path("sale.cose").read_bytes()).value
    (receipt,) = unprotected.pop(394)
    assert unprotected == {}
    head, proofs, detached, _ = cbor2.loads(receipt).value
    assert detached is None
    assert cbor2.loads(head)[395] == 1
    claims, statement = cbor2.loads(head)[15], cbor2.loads(protected)[15]
    (proof,) = proofs[396][-1]
    size, index, path = cbor2.loads(proof)
    assert claims == {1: ORIGIN, 2: statement[2], "numbers": [size, index]}
    entry = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    root = root_of(sha256(b"\x00" + entry).digest(), index, size, path)
    keys = [cwt.COSEKey.new(key) for key in cbor2.loads((shop / "public" / KEY_SET).read_bytes())]
    verifier = cwt.COSE.new(verify_kid=True)
    assert verifier.decode(receipt, keys, detached_payload=root) == root
    with pytest.raises(cwt.VerifyError):
        verifier.decode(receipt, keys, detached_payload=sha256(root).digest())
    ledger = connect("sqlite:///market.db", signs=False)
    assert payload == sha256(ledger.event(ledger.find("work:1"))).digest()


def test_a_reader_verifies_it_offline(shop, capsys, tmp_path_factory, monkeypatch):
    """With the file and a policy: no log, no database, no key."""
    made = asked(capsys, "receipt", "work:1", "--transparent")
    assert made["files"][0] == "work-1.statement.cose"
    there = tmp_path_factory.mktemp("reader")
    shutil.copy(made["files"][0], there)
    shutil.copy("public/market.policy", there)
    monkeypatch.chdir(there)
    found = asked(capsys, "verify", made["files"][0], "--policy", "market.policy")
    assert (found["record"], found["size"], found["origin"]) == ("intact", made["size"], ORIGIN)
    assert [(check["name"], check["word"]) for check in found["checks"]] == [
        ("receipt", "included"),
        ("statement", "not checked"),
    ]
    assert f"entry #{made['index']}" in found["checks"][0]["detail"]
    assert f"no policy for origin {ORIGIN}" in told(capsys, "verify", made["files"][0], code=2)


def test_a_receipt_alone_needs_its_entry(shop, capsys):
    made = asked(capsys, "receipt", "work:1", "--cose")
    assert asked(capsys, "proof", made["event"], "p", "--log", "public", *POLICY)["index"] == made["index"]
    entry = f"p/{made['event'][:16]}.entry"
    assert made["files"] == ["work-1.receipt.cose", "work-1.entry"]
    assert asked(capsys, "verify", made["files"][0], *POLICY)["record"] == "intact"
    Path("work-1.entry").unlink()
    alone = asked(capsys, "verify", made["files"][0], *POLICY, code=2)
    assert [check["word"] for check in alone["checks"]] == ["no entry"]
    for more in (["--entry", entry], ["--log", "public"]):
        assert asked(capsys, "verify", made["files"][0], *POLICY, *more)["record"] == "intact"
    assert run(["trust", "public", "--yes"]) == 0
    assert asked(capsys, "verify", made["files"][0], "--entry", entry)["record"] == "intact"
    Path("other.entry").write_bytes(Path(entry).read_bytes()[:-1] + b"x")
    assert asked(capsys, "verify", made["files"][0], *POLICY, "--entry", "other.entry", code=1)["record"] == "altered"


def test_a_kept_proof(shop, capsys):
    """What `receipt` and `proof` write lies beside each other, and is verified together."""
    made = asked(capsys, "receipt", "work:1")
    assert made["files"] == ["work-1.tlog-proof", "work-1.entry"]
    assert [check["word"] for check in asked(capsys, "verify", made["files"][0], *POLICY)["checks"]] == [
        "included",
        "not checked",
    ]
    kept = asked(capsys, "proof", made["event"], "p", "--log", "public", *POLICY)["files"]
    found = asked(capsys, "verify", kept[0], *POLICY)
    assert (found["record"], [check["word"] for check in found["checks"]]) == (
        "intact",
        ["included", "signed", "disclosed"],
    )
    assert asked(capsys, "verify", kept[0], *POLICY, "--log", "public")["record"] == "intact"
    event = next(Path(file) for file in kept if file.endswith(".event.json") and "signer" not in file)
    event.write_bytes(event.read_bytes() + b" ")
    assert asked(capsys, "verify", kept[0], *POLICY, code=1)["checks"][2]["word"] == "mismatch"
    event.unlink()
    Path(kept[1]).write_bytes(Path(kept[1]).read_bytes() + b" ")
    assert asked(capsys, "verify", kept[0], *POLICY, code=1)["checks"][0]["word"] == "mismatch"
    Path(kept[1]).unlink()
    assert asked(capsys, "verify", kept[0], *POLICY, code=2)["checks"][0]["word"] == "no entry"
    assert "no policy for origin" in told(capsys, "verify", kept[0], code=2)


def test_that_the_log_grew(shop, capsys):
    shutil.copy("public/checkpoint", "old")
    old = int(Path("old").read_text("utf-8").split("\n")[1])
    told(capsys, "register", "person", "--ref", "user:2")
    made = asked(capsys, "receipt", "--since", str(old))
    assert made["size"] > made["since"] == old
    assert asked(capsys, "verify", made["files"][0], *POLICY, "--checkpoint", "old")["checks"][0]["word"] == "grown"
    assert asked(capsys, "verify", made["files"][0], *POLICY, "--log", "public")["record"] == "intact"
    assert asked(capsys, "verify", made["files"][0], *POLICY, code=2)["checks"][0]["word"] == "no older tree"
    assert "MalformedError" not in told(capsys, "receipt", "--since", str(made["size"]), code=1)
    assert "want" in told(capsys, "receipt", "--since", str(made["size"] + 1), code=1)


def test_after_a_change_of_keys(shop, capsys):
    """Each receipt under the key of its time; the log shows all of them, and leads from one to the next."""
    shutil.copy("public/market.policy", "old.policy")
    before = asked(capsys, "receipt", "work:1", "--transparent", "--out", "before.cose")
    told(capsys, "key", "new", "--type", "log", "--name", ORIGIN, "--out", "next.key")
    told(capsys, "key", "rotate", "--to", "next.key")
    after = asked(capsys, "receipt", "work:1", "--transparent", "--out", "after.cose")
    assert after["size"] > before["size"]
    assert after["index"] == before["index"]
    for file, policy in (("before.cose", "old.policy"), ("after.cose", "public/market.policy")):
        assert asked(capsys, "verify", file, "--policy", policy)["record"] == "intact"
    for file, policy in (("before.cose", "public/market.policy"), ("after.cose", "old.policy")):
        verdict = asked(capsys, "verify", file, "--policy", policy, code=2)
        assert verdict["checks"][0]["word"] == "unknown key"
        assert asked(capsys, "verify", file, "--policy", policy, "--log", "public")["record"] == "intact"
    keys = parse_key_set((shop / "public" / KEY_SET).read_bytes(), ORIGIN)
    named = [
        line.key
        for path in ("old.policy", "public/market.policy")
        for line in Policy.parse(Path(path).read_text()).logs
    ]
    assert set(keys) == set(named)


def test_witnesses_are_asked_for_where_the_policy_asks_for_them(shop, capsys):
    """A receipt carries no cosignatures: a policy with a quorum is satisfied by a checkpoint of that tree alone."""
    made = asked(capsys, "receipt", "work:1", "--transparent")
    key = SigningKey.parse(Path("market.keys/log.key").read_text("utf-8").strip())
    north = Cosigner("north.example/w", ED25519, bytes(32))
    text = f"log {key.verifier}\nwitness north {north.verifier}\nquorum north\n"
    Path("strict.policy").write_text(text, "utf-8")
    strict = ("--policy", "strict.policy")
    assert asked(capsys, "verify", made["files"][0], *strict, code=2)["checks"][0]["word"] == "no quorum"
    signed = Path("public/checkpoint").read_bytes()
    checkpoint = connect("sqlite:///market.db", publish="public").log.checkpoint
    Path("seen").write_bytes(signed + f"{north.sign(checkpoint, time=1_790_000_000)}\n".encode())
    assert asked(capsys, "verify", made["files"][0], *strict, "--checkpoint", "seen")["record"] == "intact"
    assert "want the quorum north" in told(
        capsys, "verify", made["files"][0], *strict, "--checkpoint", "public/checkpoint", code=2
    )
    assert str(Policy.parse(text)) == text


@pytest.mark.parametrize(
    "form,begins", [([], b"c2sp.org/tlog-proof@v1\n"), (["--cose"], b"\xd2\x84")], ids=["proof", "cose"]
)
def test_to_standard_output(shop, form, begins):
    """The bytes and nothing else; the next command is for the terminal."""
    program = [sys.executable, "-c", "from adapters.cli import main; main()"]
    done = subprocess.run([*program, "receipt", "work:1", *form, "--out", "-"], capture_output=True, check=True)
    assert done.stdout.startswith(begins)
    assert b"next: provenance " in done.stderr
    if form:
        assert bytes(Receipt.parse(done.stdout)) == done.stdout
    else:
        assert bytes(Proof.parse(done.stdout)) == done.stdout


def test_an_altered_file_is_told(shop, capsys):
    asked(capsys, "receipt", "work:1", "--transparent", "--out", "s.cose")
    data = Path("s.cose").read_bytes()
    for at in range(2, len(data), 37):
        Path("s.cose").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert run(["verify", "s.cose", *POLICY]) in {1, 2}
    Path("s.cose").write_bytes(data)
    assert run(["verify", "s.cose", *POLICY]) == 0


@pytest.mark.parametrize(
    "command,status,says",
    [
        ("receipt", 3, "want an EVENT"),
        ("receipt work:1 --since 2", 3, "want an EVENT"),
        ("receipt work:1 --cose --transparent", 3, "want an EVENT"),
        ("receipt work:1 --json --out -", 3, "want one of them"),
        ("receipt work:9 --cose", 2, "nothing was recorded"),
        ("verify a.txt --entry a.txt", 3, "are for proofs"),
        ("verify none.cose --policy public/market.policy --entry a.txt", 3, "are for proofs"),
        ("verify bad.cose --policy public/market.policy", 1, "not CBOR"),
    ],
)
def test_mistakes(shop, capsys, command, status, says):
    Path("bad.cose").write_bytes(b"\xd2\x84")
    assert says in told(capsys, *command.split(), code=status)


def test_without_the_key_nothing_is_signed(shop, capsys):
    """A .tlog-proof needs none."""
    shutil.move("market.keys", "elsewhere")
    assert json.dumps(asked(capsys, "receipt", "work:1"))
    assert "log.key" in told(capsys, "receipt", "work:1", "--cose", code=2)
