"""Cosignatures and quorums: published data, then everything that may be altered, dropped or added."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from ledger import (
    Checkpoint,
    InvalidSignature,
    MalformedError,
    Policy,
    ProofMismatch,
    QuorumNotMet,
    SigningKey,
    UnknownKey,
    cosignature,
    open_checkpoint,
)
from ledger.checkpoint import sign_checkpoint
from ledger.cosignature import (
    ED25519,
    ML_DSA_44,
    Cosigner,
    CosignerKey,
    has_ml_dsa,
    subtree_message,
    v1_message,
)
from ledger.note import Note, Signature
from ledger.policy import Group, Witness

ORIGIN = "market.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
TREE = Checkpoint(ORIGIN, 20852163, bytes(range(32)))
NORTH = Cosigner("north.example/w", ED25519, bytes([1] * 32))
HARBOUR = Cosigner("harbour.example", ED25519, bytes([2] * 32))
CIVIC = Cosigner("civic.example", ML_DSA_44, bytes([3] * 32))
LATER = Cosigner(ORIGIN, ML_DSA_44, bytes([4] * 32))
NOW = 1_790_000_000


def read(vectors: Path, name: str) -> Any:
    return json.loads((vectors / "cosignature" / name).read_text("utf-8"))


def text_of(*keys: Cosigner, quorum: str = "q", threshold: str = "all") -> str:
    lines = [f"log {KEY.verifier} https://market.example/log"]
    lines += [f"witness w{number} {key.verifier}" for number, key in enumerate(keys)]
    lines += [f"group q {threshold} {' '.join(f'w{number}' for number in range(len(keys)))}", f"quorum {quorum}"]
    return "".join(f"{line}\n" for line in lines)


def cosigned(*keys: Cosigner, tree: Checkpoint = TREE, time: int = NOW) -> bytes:
    note = Note.parse(sign_checkpoint(tree, KEY).signed)
    return bytes(Note(note.text, (*note.signatures, *(key.sign(tree, time=time) for key in keys))))


# Published data


def test_published_keys(vectors):
    for case in read(vectors, "cosigner_keys.json")["cases"]:
        if case["type"] == "01":
            assert str(CosignerKey.parse(case["as_cosignature_vkey"])) == case["as_cosignature_vkey"]
        good = case.get("vkey_with_c2sp_key_id", case["vkey"])
        if not case["wantErr"] and case["type"] in {"04", "06"}:
            assert str(CosignerKey.parse(good)) == good
        if case["c2sp_expectation"] == "reject" or case["type"] == "01":  # a note key is no cosigner key
            with pytest.raises(MalformedError):
                CosignerKey.parse(case["vkey"])


def test_published_cosignatures(vectors):
    errors = {"invalid_signature": InvalidSignature, "unverified": UnknownKey, "malformed": MalformedError}
    for case in read(vectors, "ed25519_cosignatures.json")["notes"]:
        if case["result"] == "ok":
            note = Note.parse(case["note"].encode())
            tree = Checkpoint.parse(note.text)
            keys = [CosignerKey.parse(vkey) for vkey in case["cosigners"]]
            times = [key.verify(tree, line) for key, line in zip(keys, note.signatures, strict=True)]
            assert times == case["timestamps"]
            assert v1_message(note.text, time=times[0]).decode() == case["signed_message"]
            continue
        with pytest.raises(errors[case["error_class"]]):
            verify_first(case)


def verify_first(case: dict[str, Any]) -> None:
    note = Note.parse(case["note"].encode())
    tree = Checkpoint.parse(note.text)
    for vkey in case["cosigners"]:
        try:
            key = CosignerKey.parse(vkey)
        except MalformedError as error:
            raise UnknownKey(str(error)) from error  # the note key of the same pair
        key.verify(tree, note.signatures[0])


def test_a_published_line_counts_and_three_like_it_do_not(vectors):
    fixture = read(vectors, "ed25519_cosignatures.json")["sigsum_fixture"]
    key = CosignerKey.parse(fixture["cosigner_vkey"])
    seed = bytes.fromhex(fixture["published_test_seed_hex"])
    assert Cosigner(key.name, ED25519, seed).verifier == key
    tree = Checkpoint.parse(fixture["text"])
    for line in fixture["lines"]:
        signature = Signature.parse(line["line"])
        if line["status"] == "valid":
            assert key.verify(tree, signature) == line["timestamp"]
        else:
            with pytest.raises(UnknownKey if line["status"].startswith("unknown") else InvalidSignature):
                key.verify(tree, signature)


def test_published_quorums(vectors):
    data = read(vectors, "groups.json")
    keys = {name: CosignerKey.parse(key["cosignature_vkey"]) for name, key in data["witness_keys"].items()}
    for case in data["satisfied"]:
        groups: list[Group] = []

        def add(group: dict[str, Any], groups: list[Group] = groups) -> str:
            members = tuple(member if isinstance(member, str) else add(member) for member in group["members"])
            groups.append(Group(f"g{len(groups)}", str(group["threshold"]), members))
            return groups[-1].name

        top = add(case["group"])
        policy = Policy((), tuple(Witness(name, key) for name, key in keys.items()), tuple(groups), top)
        text, _, lines = case["note"].rpartition("\n\n")
        names = set()
        for line in filter(None, lines.split("\n")):
            signature = Signature.parse(line)
            for name, key in keys.items():
                if (signature.name, signature.key_id) == (key.name, key.key_id):
                    time = int.from_bytes(signature.value[:8], "big")
                    assert time == data["timestamp"]
                    key._verify(v1_message(text + "\n", time=time), signature.value[8:])
                    names.add(name)
        assert names == set(case["cosigned_by"])
        assert policy.satisfied(names) is case["satisfied"]


def test_published_policies(vectors):
    """Where they differ, C2SP: no comment behind a line, no public key twice, cosignature keys for witnesses."""
    for case in read(vectors, "policy.json")["cases"]:
        with pytest.raises(MalformedError):
            Policy.parse(case["policy"])
        tidy = "\n".join(line.partition("#")[0].strip() for line in case["policy"].split("\n"))
        for word in set(tidy.split()):
            if word.count("+") >= 2 and b64decode(word.split("+", 2)[2])[:1] == b"\x01":
                name, _, key = word.split("+", 2)
                tidy = tidy.replace(word, str(CosignerKey(name, ED25519, b64decode(key)[1:])))
        if case["c2sp_expectation"] == "reject":
            with pytest.raises(MalformedError):
                Policy.parse(tidy)
        else:
            assert len(Policy.parse(tidy).wanted()) == case["threshold"]


def test_published_limits(vectors):
    data = read(vectors, "mldsa_limits.json")
    for case in data["message_limits"]:
        options = {"time": 1, "start": 0, "end": 1, "hash": bytes(32)}
        if case["wantErr"]:
            with pytest.raises(MalformedError):
                subtree_message(case["cosigner_name"], case["log_origin"], **options)
        else:
            message = subtree_message(case["cosigner_name"], case["log_origin"], **options)
            assert message.startswith(b"subtree/v1\n\0\x05mldsa" + (1).to_bytes(8, "big") + b"\x04test")
    with pytest.raises(MalformedError, match="want 0 for a part"):
        subtree_message("w", "log", time=1, start=10, end=20, hash=bytes(32))
    assert len(CIVIC.verifier.public) == data["sizes"]["public_key"]
    line = CIVIC.sign(TREE, time=NOW)
    assert len(line.value) == data["sizes"]["timestamped_signature"]
    for case in data["key_names"]:
        name = "a b" if case.get("why") == "space" else case["name"]
        if case["wantErr"]:
            with pytest.raises(MalformedError):
                Cosigner(name, ML_DSA_44, bytes(32))


# Ours


@pytest.mark.parametrize("key", [NORTH, CIVIC], ids=["ed25519", "ml-dsa-44"])
def test_keys_are_text(key):
    assert has_ml_dsa()
    assert str(Cosigner.parse(str(key))) == str(key)
    assert CosignerKey.parse(str(key.verifier)) == key.verifier
    assert str(key) not in repr(key)
    with pytest.raises(TypeError, match="not pickled"):
        __import__("pickle").dumps(key)
    with pytest.raises(MalformedError, match="key id"):
        Cosigner.parse(str(key).replace(key.verifier.key_id.hex(), "00000000"))


class NoSuchKeys:
    """A backend that was built without ML-DSA."""

    class MLDSA44PrivateKey:
        @staticmethod
        def from_seed_bytes(_):
            message = "ML-DSA is not supported by this backend"
            raise UnsupportedAlgorithm(message)


@pytest.mark.parametrize("backend", [None, NoSuchKeys], ids=["before 47", "built without"])
def test_a_backend_without_ml_dsa(backend, monkeypatch):
    line = CIVIC.sign(TREE, time=NOW)
    monkeypatch.setattr(cosignature, "mldsa", backend)
    cosignature._public.cache_clear()
    assert not has_ml_dsa()
    public = CosignerKey.parse(str(CIVIC.verifier))  # what it is can be told
    attempts = (
        lambda: Cosigner.generate(public.name, ML_DSA_44),
        lambda: Cosigner.parse(str(CIVIC)),
        lambda: public.verify(TREE, line),
    )
    for attempt in attempts:
        with pytest.raises(UnknownKey, match="ML-DSA-44: the installed `cryptography` has no such keys; install 47"):
            attempt()
    assert NORTH.verifier.verify(TREE, NORTH.sign(TREE, time=NOW)) == NOW


@pytest.mark.parametrize("key", [NORTH, CIVIC], ids=["ed25519", "ml-dsa-44"])
def test_a_cosignature_covers_everything(key):
    line = key.sign(TREE, time=NOW)
    assert key.verifier.verify(TREE, line) == NOW
    for other in (
        Checkpoint(ORIGIN, TREE.size + 1, TREE.root),
        Checkpoint(ORIGIN, TREE.size, bytes(32)),
        Checkpoint("other.example/log", TREE.size, TREE.root),
    ):
        with pytest.raises(InvalidSignature):
            key.verifier.verify(other, line)
    for at in (0, 7, 8, len(line.value) - 1):
        value = bytes(byte ^ (at == place) for place, byte in enumerate(line.value))
        with pytest.raises(InvalidSignature):
            key.verifier.verify(TREE, Signature(line.name, line.key_id, value))
    for time in (0, -1, 2**63):
        with pytest.raises(MalformedError):
            key.sign(TREE, time=time)


def test_a_time_that_cannot_be():
    """Signed by the right key all the same: 2^63 fits no signed integer that others store it in."""
    late = 2**63
    raw = NORTH._private.sign(v1_message(str(TREE), time=late))
    with pytest.raises(InvalidSignature, match=r"want at most 2\^63 - 1"):
        NORTH.verifier.verify(
            TREE, Signature(NORTH.verifier.name, NORTH.verifier.key_id, late.to_bytes(8, "big") + raw)
        )


def test_extension_lines():
    more = Checkpoint(ORIGIN, 5, bytes(32), ("more",))
    assert NORTH.verifier.verify(more, NORTH.sign(more, time=NOW)) == NOW
    with pytest.raises(MalformedError, match="extension"):
        CIVIC.sign(more, time=NOW)


def test_a_part_of_a_tree():
    part = {"start": 256, "end": 512, "hash": bytes(range(32))}
    signature = CIVIC.sign_subtree(ORIGIN, **part)
    CIVIC.verifier.verify_subtree(ORIGIN, **part, signature=signature)
    for changed in ({"hash": bytes(32)}, {"start": 0}, {"end": 511}):
        with pytest.raises(InvalidSignature):
            CIVIC.verifier.verify_subtree(ORIGIN, **{**part, **changed}, signature=signature)
    with pytest.raises(InvalidSignature):
        CIVIC.verifier.verify_subtree("other.example/log", **part, signature=signature)
    with pytest.raises(MalformedError, match="is Ed25519"):
        NORTH.sign_subtree(ORIGIN, **part)
    for start, end in ((256, 513), (3, 9), (7, 7), (8, 4)):  # no tree has such a part
        strange = {**part, "start": start, "end": end}
        with pytest.raises(ProofMismatch, match=f"part .{start}, {end}."):
            CIVIC.sign_subtree(ORIGIN, **strange)
        with pytest.raises(ProofMismatch, match=f"part .{start}, {end}."):
            CIVIC.verifier.verify_subtree(ORIGIN, **strange, signature=signature)


def test_a_quorum():
    policy = Policy.parse(text_of(NORTH, HARBOUR, CIVIC, threshold="2"))
    assert str(Policy.parse(str(policy))) == str(policy)
    opened = open_checkpoint(cosigned(HARBOUR, CIVIC), policy)
    assert opened == TREE
    note = Note.parse(cosigned(HARBOUR, CIVIC))
    assert policy.verify(note, TREE) == ("w1", "w2")
    for few in ((), (NORTH,), (NORTH, NORTH)):
        with pytest.raises(QuorumNotMet, match="absent: w"):
            open_checkpoint(cosigned(*few), policy)
    stranger = Cosigner("stranger.example", ED25519, bytes([9] * 32))
    with pytest.raises(QuorumNotMet):
        open_checkpoint(cosigned(NORTH, stranger), policy)
    assert open_checkpoint(cosigned(stranger, NORTH, CIVIC), policy) == TREE


def test_witnesses_alone_prove_nothing():
    """Nobody but the log can say what the log is."""
    policy = Policy.parse(text_of(NORTH, HARBOUR))
    lines = tuple(key.sign(TREE, time=NOW) for key in (NORTH, HARBOUR))
    with pytest.raises(UnknownKey):
        open_checkpoint(bytes(Note(str(TREE), lines)), policy)


def test_the_line_of_a_known_witness_that_does_not_hold_spoils_the_note():
    policy = Policy.parse(text_of(NORTH, HARBOUR, threshold="any"))
    other = HARBOUR.sign(Checkpoint(ORIGIN, 5, bytes(32)), time=NOW)
    note = Note.parse(cosigned(NORTH))
    with pytest.raises(InvalidSignature):
        open_checkpoint(bytes(Note(note.text, (*note.signatures, other))), policy)


def test_a_log_that_signs_for_later():
    """A policy that lists only the ML-DSA key accepts nothing that Ed25519 alone signed."""
    policy = Policy.of(LATER.verifier)
    assert Policy.parse(str(policy)) == policy
    assert open_checkpoint(cosigned(LATER), policy) == TREE
    with pytest.raises(UnknownKey):
        open_checkpoint(cosigned(), policy)
    assert policy.keys(ORIGIN) == ()


@pytest.mark.parametrize(
    "line",
    [
        "group g 0 w0",
        "group g 3 w0 w1",
        "group g 01 w0 w1",
        "group g +1 w0 w1",
        "group g all",
        "group g all w0 w0",
        "group g all none",
        "group w0 all w1",
        "group g all elsewhere",
        "witness w0 KEY",
        "witness none KEY",
        "quorum elsewhere",
        "unknown line",
    ],
)
def test_policies_that_mean_nothing(line):
    key = Cosigner("third.example", ED25519, bytes([5] * 32)).verifier
    text = f"log {KEY.verifier}\nwitness w0 {NORTH.verifier}\nwitness w1 {HARBOUR.verifier}\n"
    Policy.parse(f"{text}quorum w0\n")
    with pytest.raises(MalformedError, match="policy"):
        Policy.parse(f"{text}{line.replace('KEY', str(key))}\nquorum none\n")


@pytest.mark.parametrize("line", ["# made\r", "# a\x1b[2K", "witness w1 KEY h://x/\x07", "witness w\x0b KEY", "\x7f"])
def test_a_policy_has_no_control_characters(line):
    """Others may see another line there, or none; and somebody reads it at a terminal."""
    text = f"log {KEY.verifier}\n{line.replace('KEY', str(NORTH.verifier))}\nquorum none\n"
    with pytest.raises(MalformedError, match="policy line 2: control character '"):
        Policy.parse(text)
    assert Policy.parse(f"\t# \u00e9 \u2028 quorum w0\nlog {KEY.verifier}\nquorum\tnone\n").quorum == "none"


def test_a_policy_has_one_quorum_and_no_key_twice():
    text = f"log {KEY.verifier}\nwitness w0 {NORTH.verifier}\n"
    again = CosignerKey("other.example", ED25519, NORTH.verifier.public)
    for more in ("", "quorum w0\nquorum w0\n", f"witness w1 {again}\nquorum w0\n"):
        with pytest.raises(MalformedError):
            Policy.parse(text + more)
