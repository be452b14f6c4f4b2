"""`provenance key`: keys are made once, told by their public half, and never shown."""

from __future__ import annotations

import json
import stat
import sys

import pytest
import typer

from adapters.cli.app import run
from adapters.keys import load_secret
from ledger import SigningKey, VerifierKey, cosignature, encrypted_key
from ledger.cosignature import Cosigner, CosignerKey
from provenance import PartyKey
from provenance.content import Credential

PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROVENANCE_PASSPHRASE", raising=False)
    monkeypatch.delenv("PROVENANCE_PASSPHRASE_FILE", raising=False)
    monkeypatch.setitem(encrypted_key.encrypt_key.__kwdefaults__, "work", encrypted_key.MIN_WORK)
    return tmp_path


@pytest.fixture
def types(monkeypatch):
    """Somebody at a terminal, who answers every question with the next of these."""
    answers: list[str] = []

    def prompt(what, *, hide_input, confirmation_prompt, err):
        assert hide_input
        assert err
        asked.append((what, confirmation_prompt))
        return answers.pop(0)

    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", prompt)

    def will_type(*passphrases):
        answers.extend(passphrases)
        return asked

    return will_type


def shown(capsys, *arguments):
    assert run(["key", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def public_of(type_, secret):
    if type_ == "claim":
        return f"sha256:{Credential.parse(secret).fingerprint}"
    if type_ == "market":
        return PartyKey.parse(secret).public.jwk()
    return (SigningKey if type_ == "log" else Cosigner).parse(secret).verifier


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
@pytest.mark.parametrize(
    "type_, algorithm",
    [("log", "Ed25519"), ("witness", "Ed25519"), ("ml-dsa-44", "ML-DSA-44"), ("market", "Ed25519"), ("claim", "P-256")],
)
def test_made_and_told(folder, capsys, monkeypatch, type_, algorithm, passphrase):
    if passphrase:
        monkeypatch.setenv("PROVENANCE_PASSPHRASE", passphrase)
    named = [] if type_ == "market" else ["--name", "market.example/log"]
    made = shown(capsys, "new", "--type", type_, *named)
    path = folder / f"{type_}.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = load_secret(f"file:{path}")
    assert (path.read_text() == secret + "\n") == (passphrase is None)
    assert (made["type"], made["algorithm"], made["encrypted"]) == (type_, algorithm, passphrase is not None)
    public = public_of(type_, secret)
    assert (
        public
        == {
            "log": lambda: VerifierKey.parse(made["public"]),
            "market": lambda: made["jwk"],
            "claim": lambda: made["public"],
        }.get(type_, lambda: CosignerKey.parse(made["public"]))()
    )
    if type_ not in {"market", "claim"}:
        assert (made["name"], made["key_id"]) == ("market.example/log", public.key_id.hex())
    monkeypatch.delenv("PROVENANCE_PASSPHRASE", raising=False)
    assert shown(capsys, "show", path.name) == {**made, "place": f"file:{path.name}"}
    monkeypatch.setenv("OUR_KEY", path.read_text())
    assert shown(capsys, "show", "env:OUR_KEY") == {**made, "place": "env:OUR_KEY"}


def test_nothing_secret_is_shown(folder, capsys):
    assert run(["key", "new", "--name", "market.example/log"]) == 0
    assert run(["key", "show", "log.key"]) == 0
    made, told = capsys.readouterr().out.split("next: provenance key encrypt log.key --out log.key.encrypted\n")[:2]
    assert made == told
    secret = SigningKey.parse((folder / "log.key").read_text().strip())
    assert made.splitlines() == [
        "type       log, Ed25519",
        "name       market.example/log",
        f"key id     {secret.verifier.key_id.hex()}",
        f"public     {secret.verifier}",
        "encrypted  no",
        "place      file:log.key",
    ]
    assert str(secret).split("+", 4)[4] not in made  # base64 has that sign, too


def test_keys_are_never_overwritten(folder, capsys):
    assert run(["key", "new", "--type", "market"]) == 0
    before = (folder / "market.key").read_bytes()
    for again in (["new", "--type", "market"], ["new", "--type", "market", "--out", "market.key"]):
        assert run(["key", *again]) == 1
        assert "never overwritten" in capsys.readouterr().err
    assert (folder / "market.key").read_bytes() == before


def test_a_passphrase_is_typed(folder, capsys, types):
    asked = types(PASSPHRASE, PASSPHRASE, "another one")
    assert run(["key", "new", "--name", "market.example/log", "--passphrase"]) == 0
    assert run(["key", "show", "log.key"]) == 0  # asks nothing
    assert "encrypted  scrypt-14, AES-256-GCM" in capsys.readouterr().out
    assert run(["key", "show", "log.key", "--passphrase"]) == 0
    assert run(["key", "show", "log.key", "--passphrase"]) == 1
    assert "this passphrase does not open it" in capsys.readouterr().err
    assert asked == [("new passphrase", True), ("passphrase of the keys", False), ("passphrase of the keys", False)]


def test_nobody_there_to_be_asked(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert run(["key", "new", "--name", "market.example/log", "--passphrase"]) == 1
    assert "set PROVENANCE_PASSPHRASE or PROVENANCE_PASSPHRASE_FILE" in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_encrypted_later(folder, capsys, types):
    types(PASSPHRASE, PASSPHRASE)
    made = shown(capsys, "new", "--name", "market.example/log")
    told = shown(capsys, "encrypt", "log.key", "--out", "log.key.encrypted")
    assert told == {**made, "encrypted": True, "place": "file:log.key.encrypted"}
    plain = (folder / "log.key").read_text().strip()
    assert load_secret(f"file:{folder / 'log.key.encrypted'}", passphrase=PASSPHRASE) == plain
    assert run(["key", "encrypt", "log.key.encrypted", "--out", "again.key"]) == 3
    assert "is encrypted already" in capsys.readouterr().err
    (folder / "notes.txt").touch(0o600)
    (folder / "notes.txt").write_text("my notes")
    assert run(["key", "encrypt", "notes.txt", "--out", "again.key"]) == 1
    assert "notes" not in capsys.readouterr().err
    assert not (folder / "again.key").exists()


def test_a_key_that_says_it_is_another(folder, capsys, monkeypatch):
    monkeypatch.setenv("PROVENANCE_PASSPHRASE", PASSPHRASE)
    one, other = (SigningKey.generate("market.example/log") for _ in range(2))
    text = str(encrypted_key.encrypt_key(str(one), PASSPHRASE, public=str(other.verifier)))
    (folder / "log.key").touch(0o600)
    (folder / "log.key").write_text(text)
    assert run(["key", "show", "log.key", "--passphrase"]) == 1
    assert "holds another key than it says" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["new"],
        ["new", "--type", "market", "--name", "ada"],
        ["new", "--name", "two words"],
        ["new", "--type", "rsa", "--name", "market.example/log"],
        ["encrypt", "log.key"],
    ],
)
def test_wrong_use(folder, capsys, arguments):
    assert run(["key", *arguments]) == 3
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "c2VjcmV0",
        "PRIVATE+KEY+c2VjcmV0",
        "PRIVATE+KEY+name+00000000+AXNlY3JldA==",
        "PRIVATE+KEY+name+00000000+BnNlY3JldA==",
        "provenance-party-key:c2VjcmV0",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----",
        "provenance-encrypted-key:scrypt-17:name:c2VjcmV0",
    ],
)
def test_what_is_no_key(folder, capsys, text):
    assert run(["key", "show", "log.key"]) == 2
    (folder / "log.key").touch(0o600)
    (folder / "log.key").write_text(text)
    capsys.readouterr()
    assert run(["key", "show", "log.key"]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert "c2VjcmV0" not in said.err
    assert "NlY3JldA" not in said.err


def test_without_ml_dsa_it_is_said_in_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr(cosignature, "mldsa", None)
    assert run(["key", "new", "--type", "ml-dsa-44", "--name", "market.example/log"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "provenance: ML-DSA-44: the installed `cryptography` has no such keys; install 47 or later, built with ML-DSA"
    ]
    assert not list(folder.iterdir())


def test_a_market_whose_keys_are_encrypted(folder, capsys, types, monkeypatch):
    asked = types(PASSPHRASE, PASSPHRASE, "another one")
    assert run(["init", "market.example/log", "--passphrase"]) == 0
    for name in ("log.key", "market.key", "claim.pem"):
        assert (folder / "market.keys" / name).read_text().startswith("provenance-encrypted-key:scrypt-14:")
    assert run(["register", "person", "--name", "Ada"]) == 0
    assert run(["publish"]) == 1
    assert "this passphrase does not open it" in capsys.readouterr().err
    assert [twice for _, twice in asked] == [True, False, False]
    (folder / "passphrase").write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("PROVENANCE_PASSPHRASE_FILE", str(folder / "passphrase"))
    assert run(["publish"]) == 0
    assert run(["doctor"]) == 0
    assert "log.key is there and private, encrypted" in capsys.readouterr().out
    monkeypatch.delenv("PROVENANCE_PASSPHRASE_FILE")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert run(["doctor"]) == 1
    assert "log key: passphrase of the keys: nobody can be asked" in capsys.readouterr().out
    assert run(["status"]) == 0  # needs no key
