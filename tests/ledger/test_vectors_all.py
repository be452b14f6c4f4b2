"""Published data that no other test reads; and that nothing of what is published about the log is passed over.

Where a file gives two expectations the specification wins, and the choice is named at the row.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest

from ledger import Checkpoint, InvalidSignature, MalformedError, Policy, ProofMismatch, SigningKey, VerifierKey
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner, CosignerKey, _split, subtree_message
from ledger.merkle import EMPTY_ROOT, Node, inclusion_nodes, leaf_hash, node_hash, range_nodes
from ledger.note import Note, Signature
from ledger.policy import Group
from ledger.policy import Witness as WitnessLine
from ledger.receipt import Receipt
from ledger.subtree import check_part, part_nodes
from ledger.testing import MemoryStore
from ledger.witness import Request, Witness
from provenance.canonical import dumps
from provenance.identity import parse_did_key
from provenance.keys import EDDSA

FOLDERS = ("note", "cosignature", "witness", "receipts", "keys", "merkle", "tlog")

LEFT_OUT = {
    "receipts/cose_draft_examples/inclusion-receipt.cddl": "the grammar of the file beside it, which is read",
    "receipts/cose_draft_examples/consistency-receipt.cddl": "the grammar of the file beside it, which is read",
    "receipts/cose_draft_examples/inclusion-receipt.diag": "the file beside it in words",
    "receipts/cose_draft_examples/consistency-receipt.diag": "the file beside it in words",
    "tlog/navigli2025h2/tile/data/003.p/10": "entries of static-ct-api are no entry bundles",
    "tlog/go_paths.json": "paths with a tile height in them belong to the Go checksum database alone",
    "cosignature/groups.json#empty_group_is_satisfied": "a group without members is refused here, as in tlog-policy",
    "receipts/decoded.json#labels": "numbers of RFC 9942 and RFC 9943, which every receipt that is read holds",
    "receipts/decoded.json#missing": "says that the key of the examples is not published: no signature is checked",
    "keys/did_key.json#types": "the table behind the rows of `valid`, which are read",
    "merkle/eight_leaf_constants.json#hash": "a remark",
    "merkle/eight_leaf_constants.json#encoding": "a remark",
    "note/keys.json#mangle_rule": "a remark; test_vectors.test_damaged_keys follows it",
    "note/other_types.json#optional": "a remark",
    "cosignature/mldsa_limits.json#optional": "a remark",
    "witness/litewitness.json#leaf_hashes_hex": "what the signed roots of the steps were made of",
    "witness/litewitness.json#endpoint": "a remark",
    "witness/race.json#schedule": "in words what test_witness.test_published_race does",
}

READ_BY_STEM = {"witness/litewitness.json", "witness/sumdb.json"}  # as f"{name}.json", in test_witness


@cache
def data(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_nothing_is_passed_over(root, vectors):
    """Every file, and every list in it, is named by a test that reads it, or stands above with the reason why not."""
    source = "\n".join(path.read_text("utf-8") for path in (root / "tests").rglob("test_*.py"))
    strings = set(re.findall(r"""["']([^"'\n]+)["']""", source))
    words = {part for text in strings for part in text.split("/")}
    missed = []
    for file in sorted(path for folder in FOLDERS for path in (vectors / folder).rglob("*") if path.is_file()):
        name = file.relative_to(vectors).as_posix()
        inside = set(name.split("/")[1:-1])  # a folder that is read as a whole is named, its files are not
        if file.name == "README.md" or name in LEFT_OUT:
            continue
        if file.name not in words and name not in READ_BY_STEM and not inside & words:
            missed.append(name)
        elif file.suffix == ".json" and not inside and isinstance(data(file), dict):
            missed += [f"{name}#{key}" for key in data(file) if not key.startswith("source") and key not in words]
    assert [name for name in missed if name not in LEFT_OUT] == []
    for name in LEFT_OUT:
        path, _, key = name.partition("#")
        assert key in data(vectors / path) if key else (vectors / path).is_file()


# note, checkpoint


def test_hashes_of_origins(vectors):
    """A witness is asked by SHA-256 of the origin (c2sp.org/tlog-witness); another project's own id is not spoken."""
    rows = data(vectors / "note" / "checkpoint.json")["origin_to_id"]
    assert len(rows) == 6
    for row in rows:
        assert sha256(row["origin"].encode()).hexdigest() == row["c2sp_origin_hash_hex"]
        key = SigningKey("any.example", bytes(32))
        witness = Witness({row["origin"]: [key.verifier]}, [], MemoryStore())
        assert witness.checkpoint(row["c2sp_origin_hash_hex"]).status == 404
        tree = str(Checkpoint(row["origin"], 0, EMPTY_ROOT))
        witness = Witness({row["origin"]: [key.verifier]}, [Cosigner("w", ED25519, bytes(32))], MemoryStore())
        answer = witness.add_checkpoint(bytes(Request(0, (), bytes(Note(tree, (key.sign(tree),))))), time=1)
        assert answer.status == 200
        assert witness.checkpoint(row["c2sp_origin_hash_hex"]).status == 200
        assert witness.checkpoint(row["distributor_id_hex"]).status == 404


def test_an_origin_that_was_expected(vectors):
    """The note of the Go checksum database, whose key is named otherwise: the origin is what the text says."""
    (case,) = [
        case
        for case in data(vectors / "note" / "open.json")["cases"]
        if case["name"].startswith("real Go checksum") and b"6476701" in b64decode(case["note_b64"])
    ][:1]
    checkpoint = Checkpoint.parse(Note.parse(b64decode(case["note_b64"])).text)
    for row in data(vectors / "note" / "checkpoint.json")["sumdb_origin"]:
        assert (checkpoint.origin == row["expected_origin"]) is not row["wantErr"]
        assert row.get("size", checkpoint.size) == checkpoint.size


# cosignature


def test_times_of_cosignatures(vectors):
    for row in data(vectors / "cosignature" / "ed25519_cosignatures.json")["timestamp_field"]:
        if row["wantErr"]:
            with pytest.raises((MalformedError, InvalidSignature)):
                _split(Signature.parse(f"\u2014 w {row['signature_base64']}"), 64)
        else:
            time, raw = _split(Signature.parse(f"\u2014 w {row['signature_base64']}"), 64)
            assert (time, len(raw)) == (row["timestamp"], 64)


def test_whom_a_policy_asks(vectors):
    """Each witness once, in the order of the policy, however many groups it counts in."""
    published = data(vectors / "cosignature" / "groups.json")
    witnesses = tuple(
        WitnessLine(name, CosignerKey.parse(row["cosignature_vkey"]), row["url"])
        for name, row in published["witness_keys"].items()
    )
    for case in published["endpoints"]:
        groups: list[Group] = []

        def add(group: dict[str, Any], groups: list[Group] = groups) -> str:
            members = tuple(member if isinstance(member, str) else add(member) for member in group["members"])
            groups.append(Group(f"g{len(groups)}", str(group["threshold"]), members))
            return groups[-1].name

        quorum = add(case["group"])
        policy = Policy((), witnesses, tuple(groups), quorum)
        asked = [f"{witness.url.rstrip('/')}/add-checkpoint" for witness in policy.wanted()]
        assert asked == case["urls"], case["name"]


def test_limits_of_ml_dsa(vectors):
    published = data(vectors / "cosignature" / "mldsa_limits.json")
    civic = Cosigner("civic.example", ML_DSA_44, bytes(32))
    (case,) = published["subtree_signing"]
    assert case["timestamp_nonzero"]
    assert case["wantErr"]
    part: dict[str, Any] = {"start": case["start"], "end": case["end"], "hash": bytes(32)}
    with pytest.raises(MalformedError, match="want 0 for a part"):
        subtree_message(civic.verifier.name, "log.example", time=1, **part)
    with pytest.raises(ProofMismatch, match="no tree is made of it"):  # nor is there such a part
        civic.sign_subtree("log.example", **part)
    part |= {"start": 16}
    signature = civic.sign_subtree("log.example", **part)
    assert signature[:8] == bytes(8)
    civic.verifier.verify_subtree("log.example", **part, signature=signature)
    with pytest.raises(MalformedError, match="want 0 for a part"):
        civic.verifier.verify_subtree("log.example", **part, signature=bytes(7) + b"\1" + signature[8:])
    changed = {"root hash": ("log.example", part | {"hash": bytes([1] * 32)}), "log origin": ("other.example", part)}
    assert changed.keys() == set(published["subtree_verify_must_fail_when_changed"])
    for origin, arguments in changed.values():
        with pytest.raises(InvalidSignature):
            civic.verifier.verify_subtree(origin, **arguments, signature=signature)
    assert published["ed25519_conversion_of_ml_dsa_key"]["wantErr"]
    with pytest.raises(MalformedError):  # a key of one kind is never taken for one of the other
        VerifierKey.parse(str(civic.verifier))
    with pytest.raises(MalformedError):
        CosignerKey(civic.verifier.name, ED25519, civic.verifier.public)


# witness, between a request and its answer


def test_what_monitors_read(vectors):
    published = data(vectors / "witness" / "transparency_dev.json")
    (log,) = published["logs"]
    for case in published["monitor_get"]["cases"]:
        store = MemoryStore()
        key, north = VerifierKey.parse(log["vkey"]), Cosigner(published["witness_name"], ED25519, bytes(32))
        witness = Witness({log["origin"]: [key]}, [north], store)
        if case["stored"]:
            first = bytes(Request(0, (), case["checkpoint"].encode()))
            assert witness.add_checkpoint(first, time=7).status == 200
        answer = witness.checkpoint(case["origin_hash_hex"])
        assert answer.status == case["want_status"]
        if answer.status == 200:
            note = Note.parse(answer.body)
            key.verify(note.text, note.signatures[0])
            assert north.verifier.verify(Checkpoint.parse(note.text), note.signatures[1]) == 7
            assert note.text == Note.parse(case["checkpoint"].encode()).text


def test_statuses(vectors):
    """One request for each row that the specification knows; a limit of rates is for the server in front."""
    published = data(vectors / "witness" / "transparency_dev.json")
    stranger = VerifierKey.parse(published["unknown_log_vkey"])
    key, other = SigningKey("log.example", bytes(32)), SigningKey("log.example", bytes([1] * 32))
    north = Cosigner(published["witness_name"], ED25519, bytes(32))
    leaves = [leaf_hash(b"%d" % number) for number in range(2)]
    both = node_hash(*leaves)

    def asked(
        old: int, size: int, root: bytes, proof: tuple[bytes, ...] = (), *, by: SigningKey = key, origin: str = ""
    ) -> tuple[int, str]:
        witness = Witness({key.name: [key.verifier]}, [north], MemoryStore())
        text = str(Checkpoint(key.name, 1, leaves[0]))
        first = bytes(Request(0, (), bytes(Note(text, (key.sign(text),)))))
        assert witness.add_checkpoint(first, time=7).status == 200
        text = str(Checkpoint(origin or key.name, size, root))
        answer = witness.add_checkpoint(bytes(Request(old, proof, bytes(Note(text, (by.sign(text),))))), time=8)
        return answer.status, answer.type

    found = {
        "accepted": asked(1, 2, both, (leaves[1],)),
        "stale (old size differs)": asked(0, 2, both),
        "no valid signature": asked(1, 2, both, (leaves[1],), by=other),
        "unknown log": asked(1, 2, both, (leaves[1],), origin=stranger.name),
        "invalid proof": asked(1, 2, both, (leaves[0],)),
        "old size larger than new": asked(2, 1, leaves[0]),
        "root mismatch at equal size": asked(1, 1, leaves[1]),
    }
    for row in published["status_table"]:
        if row["c2sp"] is None:
            assert row["condition"] not in found
            continue
        status, kind = found[row["condition"]]
        assert status == row["c2sp"], row["condition"]  # 422 where upstream says 409: the specification
        assert kind == ("text/x.tlog.size" if status == 409 else "text/plain; charset=utf-8")


def test_bodies(vectors):
    """The one that upstream reads has hashes of two bytes: refused, as the specification says."""
    for row in data(vectors / "witness" / "transparency_dev.json")["parse_body"]:
        assert row["c2sp_expectation"] == "reject"
        with pytest.raises(MalformedError):
            Request.parse(row["body"].encode())


# receipts


def test_receipt_shapes_to_refuse(vectors):
    """An empty path is against the grammar of RFC 9942, whoever emits it: a log here begins with a genesis entry."""
    (row,) = data(vectors / "receipts" / "decoded.json")["must_reject_shapes"]
    tag = cbor2.loads((vectors / "receipts" / "cose_draft_examples" / "inclusion-receipt.cbor").read_bytes())
    head = cbor2.loads(tag.value[0]) | {1: -8}
    tag.value[0] = cbor2.dumps(head, canonical=True)
    assert Receipt.parse(cbor2.dumps(tag, canonical=True)).numbers == (5, 3)
    tag.value[1] = {396: {-1: [bytes.fromhex(row["proof_hex"])]}}
    with pytest.raises(MalformedError, match="0 hashes"):
        Receipt.parse(cbor2.dumps(tag, canonical=True))


# keys


def test_a_credential_of_the_vectors(vectors):
    """Canonical JSON, did:key and Ed25519, as eddsa-jcs-2022 puts them together; that itself is not spoken here."""
    folder = vectors / "keys" / "w3c_eddsa_jcs_2022"
    text = {path.stem: path.read_text("utf-8").strip() for path in folder.glob("*.txt")}
    document, proof = (dumps(data(folder / name)) for name in ("unsigned.json", "proofConfigJCS.json"))
    assert (document.decode(), proof.decode()) == (text["canonDocJCS"], text["proofCanonJCS"])
    hashes = [sha256(proof).digest(), sha256(document).digest()]
    assert [each.hex() for each in hashes] == [text["proofHashJCS"], text["docHashJCS"]]
    assert b"".join(hashes).hex() == text["combinedHashJCS"]
    key = parse_did_key(f"did:key:{data(folder / 'keyPair.json')['publicKeyMultibase']}")
    key.verify(bytes.fromhex(text["sigHexJCS"]), b"".join(hashes), EDDSA)
    assert data(folder / "signedJCS.json")["proof"]["proofValue"] == text["sigBTC58JCS"]
    with pytest.raises(InvalidSignature):
        key.verify(bytes.fromhex(text["sigHexJCS"]), b"".join(reversed(hashes)), EDDSA)


@pytest.mark.parametrize("name", ["did_syntax_valid.txt", "did_syntax_invalid.txt"])
def test_names_of_other_methods(vectors, name):
    """Of DIDs only did:key and did:web are read; what is a DID of some other method, or none, is no key."""
    lines = (vectors / "keys" / "atproto" / name).read_text("utf-8").split("\n")
    read = [line for line in lines if line and not line.startswith("#")]
    assert len(read) == {"did_syntax_valid.txt": 24, "did_syntax_invalid.txt": 18}[name]
    for line in read:
        with pytest.raises(MalformedError):
            parse_did_key(line)


# merkle


def test_hasher_and_compact_ranges(vectors):
    published = data(vectors / "merkle" / "eight_leaf_constants.json")
    for row in published["hasher"]:
        match row["kind"]:
            case "empty":
                got = EMPTY_ROOT
            case "leaf":
                got = leaf_hash(bytes.fromhex(row["input_hex"]))
            case _:
                got = node_hash(bytes.fromhex(row["left_hex"]), bytes.fromhex(row["right_hex"]))
        assert got.hex() == row["want"], row["desc"]
    for size, nodes in enumerate(published["compact_range_by_size"]):
        assert [list(node) for node in range_nodes(0, size)] == nodes


def _wanted(row: dict[str, Any]) -> list[list[Node]]:
    """Theirs lists one list of nodes and the range of it that folds into one hash, from the last; ours one for each."""
    nodes = [(level, index) for level, index in row["nodes"]]
    begin, end = row["fold"] or (0, 0)
    folded = [nodes[begin:end][::-1]] if row["fold"] else []
    return [*([node] for node in nodes[:begin]), *folded, *([node] for node in nodes[end:])]


def test_nodes_of_proofs_that_a_tree_holds_a_part(vectors):
    """An empty part has no root, and so no proof: refused, where upstream gives an empty one."""
    checked = empty = 0
    for row in data(vectors / "merkle" / "proof_nodes.json")["subtree_consistency"]:
        arguments = (row["start"], row["end"], row["size"])
        if row["wantErr"] or row["start"] == row["end"]:
            empty += not row["wantErr"]
            with pytest.raises(ProofMismatch):
                part_nodes(*arguments)
            continue
        assert part_nodes(*arguments) == _wanted(row), row
        checked += 1
    assert (checked, empty) == (59, 3)


def test_nodes_of_proofs_in_a_part(vectors):
    """Those of a tree of the part's leaves alone, moved to where the part begins."""
    checked = 0
    for row in data(vectors / "merkle" / "proof_nodes.json")["subtree_inclusion"]:
        start, end, index = row["start"], row["end"], row["index"]
        if row["wantErr"]:
            with pytest.raises(ProofMismatch):
                _nodes_in_part(start, end, index)
            continue
        assert _nodes_in_part(start, end, index) == _wanted(row), row
        checked += 1
    assert checked == 43


def _nodes_in_part(start: int, end: int, index: int) -> list[list[Node]]:
    check_part(start, end)
    groups = inclusion_nodes(index - start, end - start)
    return [[(level, at + (start >> level)) for level, at in group] for group in groups]
