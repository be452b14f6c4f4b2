"""Data that other implementations published: Merkle proofs, notes, keys, checkpoints, paths, tiles, proofs.

Where a row gives two expectations the specification wins, and the row is named here.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from adapters.files import Directory
from ledger import (
    Checkpoint,
    Client,
    InvalidSignature,
    Log,
    MalformedError,
    Policy,
    Proof,
    ProofMismatch,
    SigningKey,
    UnknownKey,
    VerifierKey,
    fsck,
    open_checkpoint,
)
from ledger.checkpoint import sign_checkpoint
from ledger.edge import Edge
from ledger.merkle import (
    EMPTY_ROOT,
    Tree,
    consistency_nodes,
    inclusion_nodes,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)
from ledger.note import Note, Signature, open_note, sign_note
from ledger.reader import TileReader
from ledger.storage import Row
from ledger.testing import MemoryStore
from ledger.tile import (
    WIDTH,
    bundle_path,
    bundle_ranges,
    parse_bundle,
    parse_path,
    parse_tile,
    tile_path,
    tile_widths,
)

# Accepted upstream with roots of 12 bytes: only equal sizes, equal roots and no proof are looked at there. A root
# hash has 32 bytes (RFC 9162 §2.1.1).
SHORT_ROOTS = {"consistency/additional/sizes-are-equal-one-and-proof-is-empty"}

# This API takes a list of keys, and no lookup that could answer with another key than it was asked for.
NO_LOOKUP = {
    "line name differs from the key handed back by the key lookup",
    "line key id differs from the key handed back by the key lookup",
}


@cache
def _json(path: Path):
    return json.loads(path.read_text("utf-8"))


def _lines(path: Path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _b64(text: str) -> bytes:
    return base64.b64decode(text)


# Merkle tree


def test_inclusion(vectors):
    rows = _lines(vectors / "merkle" / "inclusion.jsonl")
    assert len(rows) == 98
    accepted = 0
    for row in rows:
        arguments = {
            "index": row["leafIdx"],
            "size": row["treeSize"],
            "leaf": _b64(row["leafHash"]),
            "root": _b64(row["root"]),
        }
        proof = [_b64(h) for h in row["proof"]]
        if row["wantErr"]:
            with pytest.raises(ProofMismatch):
                verify_inclusion(proof, **arguments)
        else:
            verify_inclusion(proof, **arguments)
            accepted += 1
    assert accepted == 6


def test_consistency(vectors):
    rows = _lines(vectors / "merkle" / "consistency.jsonl")
    assert len(rows) == 98
    assert {row["name"] for row in rows} >= SHORT_ROOTS
    accepted = 0
    for row in rows:
        arguments = {
            "old": row["size1"],
            "new": row["size2"],
            "old_root": _b64(row["root1"]),
            "new_root": _b64(row["root2"]),
        }
        proof = [_b64(h) for h in row["proof"]]
        if row["wantErr"] or row["name"] in SHORT_ROOTS:
            with pytest.raises(ProofMismatch):
                verify_consistency(proof, **arguments)
        else:
            verify_consistency(proof, **arguments)
            accepted += 1
    assert accepted == 5


def test_eight_leaves(vectors):
    data = _json(vectors / "merkle" / "eight_leaf_constants.json")
    leaves = [leaf_hash(bytes.fromhex(x)) for x in data["leaf_inputs"]]
    levels = [[bytes.fromhex(h) for h in level] for level in data["node_hashes_by_level"]]
    assert levels[0] == leaves
    for below, level in pairwise(levels):
        assert [node_hash(*pair) for pair in zip(below[::2], below[1::2], strict=True)] == level
    tree, roots = Tree(), [EMPTY_ROOT.hex()]
    for leaf in leaves:
        tree.append(leaf)
        roots.append(tree.root().hex())
    assert roots == data["root_hash_by_size"]

    def read(nodes):
        return [levels[level][index] for level, index in nodes]

    for size in range(1, 9):
        root = bytes.fromhex(data["root_hash_by_size"][size])
        for index in range(size):
            proof = prove_inclusion(index, size, read)
            verify_inclusion(proof, index=index, size=size, leaf=leaves[index], root=root)
        for old in range(1, size + 1):
            old_root = bytes.fromhex(data["root_hash_by_size"][old])
            proof = prove_consistency(old, size, read)
            verify_consistency(proof, old=old, new=size, old_root=old_root, new_root=root)


@pytest.mark.parametrize("kind", ["inclusion", "consistency"])
def test_proof_nodes(vectors, kind):
    """Theirs lists one list of nodes and the range of it that folds into one hash; ours a list for each hash."""
    rows = _json(vectors / "merkle" / "proof_nodes.json")[kind]
    checked = 0
    for row in rows:
        if kind == "inclusion":
            sizes, nodes_of = (row["index"], row["size"]), inclusion_nodes
        else:
            sizes, nodes_of = (row["size1"], row["size2"]), consistency_nodes
        if row["wantErr"]:
            with pytest.raises(ProofMismatch):
                nodes_of(*sizes)
            continue
        nodes = [tuple(node) for node in row["nodes"]]
        begin, end = row["fold"] or (0, 0)
        # Folded from the last to the first: the last is the leftmost.
        want = [[n] for n in nodes[:begin]]
        if row["fold"]:
            want.append(nodes[begin:end][::-1])
        want += [[n] for n in nodes[end:]]
        assert nodes_of(*sizes) == want, row
        checked += 1
    assert checked == {"inclusion": 20, "consistency": 25}[kind]


# Paths and bundles


def _width(partial: int) -> int:
    return partial or WIDTH


def test_paths(vectors):
    data = _json(vectors / "tlog" / "paths.json")
    for row in data["entries_path_for_log_index"]:
        index, size = row["index"], row["log_size"]
        assert bundle_path(index // WIDTH, min(size - index // WIDTH * WIDTH, WIDTH)) == row["path"]
    for row in data["entries_path"]:
        assert bundle_path(row["n"], _width(row["partial"])) == row["path"]
        assert parse_path(row["path"]) == (None, row["n"], _width(row["partial"]))
    for row in data["tile_path"]:
        assert tile_path(row["level"], row["index"], _width(row["partial"])) == row["path"]
        assert parse_path(row["path"]) == (row["level"], row["index"], _width(row["partial"]))
    for row in data["index_with_suffix"]:
        path = tile_path(row["level"], row["index"], _width(row["partial"]))
        assert path == f"tile/{row['level']}/{row['path']}"
    assert len(data["parse"]) + len(data["parse_spec_rules"]) == 33
    for row in [*data["parse"], *data["parse_spec_rules"]]:
        path = f"tile/{row['level_text']}/{row['index_text']}"
        if row["wantErr"]:
            with pytest.raises(MalformedError):
                parse_path(path)
        else:
            assert parse_path(path) == (row["level"], row["index"], _width(row["partial"]))
    for row in data["bundle_ranges"]:
        start, size = row["from"], row["tree_size"]
        want = [(w["index"], _width(w["partial"]), w["first"], w["n"]) for w in row["want"]]
        assert list(bundle_ranges(start, start + row["n"], size)) == want, row["desc"]


def test_sentences_of_the_specification(vectors):
    number, small, large = _json(vectors / "tlog" / "paths.json")["spec_sentences"]
    assert tile_path(0, number["index"]) == f"tile/0/{number['index_text']}"
    assert [tile_path(*tile) for tile in tile_widths(small["tree_size"])] == small["partial"]
    size = large["tree_size"]
    assert [width for _, _, width in tile_widths(size)] == [
        large["partial_level0_width"],
        large["partial_level1_width"],
        large["partial_level2_width"],
    ]
    assert (size // WIDTH, size // WIDTH**2) == (large["full_level0_tiles"], large["full_level1_tiles"])


def test_nodes_in_tiles(vectors):
    """A reader asks for the tile that the table names."""
    for row in _json(vectors / "tlog" / "paths.json")["node_to_tile"]:
        size = (row["tree_index"] + 1) << row["tree_level"]
        edge, tiles = Edge(), {}
        puts, _ = edge.extend([Row(b"%d" % i, b"") for i in range(max(size, WIDTH))])
        tiles.update(puts)
        tiles.update(edge.partial()[0])
        asked = []

        def fetch(path, asked=asked, tiles=tiles):
            asked.append(path)
            return tiles[path]

        reader = TileReader(edge.size, edge.root(), fetch)
        reader([(row["tree_level"], row["tree_index"])])
        full = tile_path(row["tile_level"], row["tile_index"])
        assert any(path == full or path.startswith(f"{full}.p/") for path in asked)


def test_bundles(vectors):
    for row in _json(vectors / "tlog" / "entry_bundles.json")["bundle_parse"]:
        data = bytes.fromhex(row["input_hex"])
        if row["wantErr"]:
            with pytest.raises(MalformedError):
                parse_bundle(data)
        else:
            assert parse_bundle(data) == [bytes.fromhex(e) for e in row["entries_hex"]]


# Logs that others wrote


def test_golden_log_byte_for_byte(vectors):
    """The same entries under the same published test key: the same checkpoints, tiles and bundles."""
    data = _json(vectors / "tlog" / "tessera_golden.json")
    golden = vectors / "tlog" / data["directory"]
    key = SigningKey.parse(data["published_test_signing_key"])
    assert str(key.verifier) == data["vkey"]
    entries = [entry.encode() for entry in data["entries_utf8"]]

    empty = sign_checkpoint(Checkpoint(data["origin"], 0, EMPTY_ROOT), key)
    assert empty.signed == (golden / "checkpoint.0").read_bytes()
    store, place = MemoryStore(), MemoryStore()
    log = Log.create(store, key, entries[0], publish=[place])
    for size, entry in enumerate([*entries[1:], None], 1):
        assert place.objects["checkpoint"] == (golden / f"checkpoint.{size}").read_bytes()
        assert log.checkpoint.root == _b64(data["root_by_size"][size])
        if entry is not None:
            log.append(entry)
            log.publish()
    assert place.objects["checkpoint"] == (golden / "checkpoint").read_bytes()
    files = [file for file in (golden / "tile").rglob("*") if file.is_file()]
    assert len(files) == 30
    for file in files:
        assert place.objects[file.relative_to(golden).as_posix()] == file.read_bytes()
    assert set(place.objects) == {file.relative_to(golden).as_posix() for file in files} | {"checkpoint"}


def test_golden_log_is_read(vectors):
    data = _json(vectors / "tlog" / "tessera_golden.json")
    golden = Directory(vectors / "tlog" / data["directory"])
    client = Client(golden, Policy.of(VerifierKey.parse(data["vkey"])))
    assert fsck(client, client.latest()) == 15
    assert list(client.entries(0, 15)) == [entry.encode() for entry in data["entries_utf8"]]
    for index, entry in enumerate(data["entries_utf8"]):
        assert client.prove(index).verify(entry.encode(), client.policy).size == 15


def test_tiles_of_a_real_log(vectors):
    """Hash tiles of a Certificate Transparency log. Its data tile has another format and is not read."""
    data = _json(vectors / "tlog" / "navigli2025h2.json")
    objects = Directory(vectors / "tlog" / data["directory"])
    tiles = {path: parse_tile(objects.get(path), width, path) for path, width in data["sizes"].items()}
    full = [tiles[f"tile/0/00{i}"] for i in range(4)]
    assert full[0][0].hex() == data["first_leaf_hash_hex"]
    assert full[3][0].hex() == data["leaf_768_hash_hex"]
    above = [subtree_root(tile) for tile in full]
    derived = data["derived"]
    assert [h.hex() for h in above] == derived["level1_tile_000_partial_4_hex"]
    for size in (256, 778, 1024):
        leaves = [h for tile in full for h in tile][:size]
        tree = Tree()
        for leaf in leaves:
            tree.append(leaf)
        root = _b64(derived[f"mth_size_{size}"])
        assert tree.root() == root
        extra = {tile_path(1, 0, size // WIDTH): b"".join(above[: size // WIDTH])}
        reader = TileReader(size, root, lambda path, extra=extra: extra.get(path) or objects.get(path))
        for index in (0, size // 2, size - 1):
            proof = prove_inclusion(index, size, reader)
            verify_inclusion(proof, index=index, size=size, leaf=leaves[index], root=root)


# Notes and keys

ERRORS = {
    "malformed": MalformedError,
    "unverified": UnknownKey,
    "invalid_signature": InvalidSignature,
    "ambiguous_key": UnknownKey,
}


def test_notes(vectors):
    cases = _json(vectors / "note" / "open.json")["cases"]
    assert len(cases) == 26
    assert {case["name"] for case in cases} >= NO_LOOKUP
    for case in cases:
        data = _b64(case["note_b64"])
        keys = [VerifierKey.parse(vkey) for vkey in case["verifiers"]]
        if case["name"] in NO_LOOKUP:
            expected = UnknownKey  # which its remark says is the answer for a plain list of keys
        elif case["result"] == "either":
            expected = MalformedError  # a signature is a 4-byte key id and at least one byte (c2sp.org/signed-note)
        elif case["result"] == "error":
            expected = ERRORS[case["error_class"]]
        else:
            expected = None
        if expected is not None:
            with pytest.raises(expected):
                open_note(data, keys)
            continue
        note, signed = open_note(data, keys)
        assert bytes(note) == data
        assert note.text == case["text"]
        assert [(k.name, k.key_id.hex()) for k in signed] == [(v["name"], v["key_id_hex"]) for v in case["verified"]]
        unverified = {(s.name, s.key_id.hex()) for s in note.signatures} - {(k.name, k.key_id.hex()) for k in signed}
        assert unverified == {(u["name"], u["key_id_hex"]) for u in case["unverified"]}


def test_verifier_keys(vectors):
    """Types 0x02, 0x04 and 0x05 are other signature types, and refused as such; so is a key ID of one's own making."""
    for row in _json(vectors / "note" / "keys.json")["verifier_keys"]:
        if row["valid"] and row["type"] == "01":
            assert str(VerifierKey.parse(row["vkey"])) == row["vkey"]
        else:
            with pytest.raises(MalformedError):
                VerifierKey.parse(row["vkey"])


def test_signing_keys(vectors):
    for row in _json(vectors / "note" / "keys.json")["signing_keys"]:
        if not row["valid"]:
            with pytest.raises(MalformedError):
                SigningKey.parse(row["key"])
            continue
        key = SigningKey.parse(row["key"])
        assert str(key) == row["key"]
        assert str(key.verifier) == row["vkey"]


def test_damaged_keys(vectors):
    """Every proper substring, and every copy with one byte increased."""
    data = _json(vectors / "note" / "keys.json")
    keys = [(VerifierKey.parse, row["vkey"]) for row in data["verifier_keys"] if row.get("mangle")]
    ((parse, text),) = keys
    spans = {text[i:j] for i in range(len(text)) for j in range(i, len(text) + 1)} - {text}
    rows = len(text) * (len(text) + 1) // 2 - 1
    changed = [text[:i] + chr(ord(c) + 1) + text[i + 1 :] for i, c in enumerate(text)]
    assert rows + len(changed) >= 2276
    signing = next(row["key"] for row in data["signing_keys"] if row.get("mangle"))
    for parser, bad in [(parse, bad) for bad in (*spans, *changed)] + [
        (SigningKey.parse, signing[:i] + chr(ord(c) + 1) + signing[i + 1 :]) for i, c in enumerate(signing)
    ]:
        with pytest.raises(MalformedError):
            parser(bad)
    for i in range(len(signing)):
        for j in range(i, len(signing) + 1):
            if j - i < len(signing):
                with pytest.raises(MalformedError):
                    SigningKey.parse(signing[i:j])


def test_signing(vectors):
    data = _json(vectors / "note" / "sign.json")
    key = SigningKey.parse(data["signing_key"])
    for case in data["cases"]:
        text = case.get("text", data["text"])
        if case.get("signer_raises"):
            continue  # by name: signing with a key in memory does not fail
        if name := case.get("signer_name_override"):
            with pytest.raises(MalformedError):
                SigningKey(name, key.seed)
            continue
        if case["name"] == "existing signature whose bytes do not start with its key id":
            # A signature here is made of its key ID and the rest: the two cannot disagree.
            continue
        existing = [
            Signature(s["name"], bytes.fromhex(s["key_id_hex"]), _b64(s["base64"])[4:] or b"\0")
            for s in case["existing_signatures"]
        ]
        keys = [] if case.get("no_signer") else [key]
        if case["result"] == "ok":
            assert sign_note(text, *keys, others=existing).decode() == data["want_note"]
        else:
            with pytest.raises(MalformedError):
                sign_note(text, *keys, others=existing)


def test_other_signature_types(vectors):
    """ECDSA and RFC 6962 signatures parse as lines of unknown keys and prove nothing."""
    for case in _json(vectors / "note" / "other_types.json")["cases"]:
        note = Note.parse(case["note"].encode())
        assert bytes(note) == case["note"].encode()
        with pytest.raises(UnknownKey):
            open_note(case["note"].encode(), [SigningKey.generate(note.signatures[0].name).verifier])


# Checkpoints


def test_checkpoint_bodies(vectors):
    """All that are accepted upstream have short "hashes", which a root hash is not: refused, as `strict_c2sp` says."""
    rows = _json(vectors / "note" / "checkpoint.json")["parse_body"]
    assert len(rows) == 12
    for row in rows:
        assert row["wantErr"] or row["strict_c2sp"] == "reject"
        with pytest.raises(MalformedError):
            Checkpoint.parse(row["body"])


def test_checkpoint_bodies_with_whole_hashes(vectors):
    """The same bodies with hashes of 32 bytes: what upstream accepts is accepted, but for empty extension lines."""
    for row in _json(vectors / "note" / "checkpoint.json")["parse_body"]:
        if row["wantErr"]:
            continue
        root = base64.b64encode(_b64(row["hash_b64"])[:32].ljust(32, b".")).decode()
        body = row["body"].replace(row["hash_b64"], root)
        if row["name"] == "valid with trailing newlines":
            with pytest.raises(MalformedError):
                Checkpoint.parse(body)
            continue
        checkpoint = Checkpoint.parse(body)
        assert str(checkpoint) == body
        assert (checkpoint.origin, checkpoint.size) == (row["origin"], row["size"])
        assert "".join(f"{line}\n" for line in checkpoint.extensions) == row["rest"]


def test_checkpoints_are_written(vectors):
    for row in _json(vectors / "note" / "checkpoint.json")["marshal"]:
        assert str(Checkpoint(row["origin"], row["size"], _b64(row["hash_b64"]))) == row["body"]


def test_signed_checkpoints(vectors):
    """Signatures count as published; as checkpoints they are refused: short hash, and a key of another name.

    The policy here accepts a log's key under the origin that is its name, as c2sp.org/tlog-checkpoint advises.
    """
    data = _json(vectors / "note" / "checkpoint.json")["parse_signed"]
    keys = {name: VerifierKey.parse(row["vkey"]) for name, row in data["keys"].items()}
    trusted = [keys[data["log_key"]], *(keys[name] for name in data["other_known_keys"])]
    for case in data["cases"]:
        note = case["note"].encode()
        if case["verified_signatures"]:
            _, signed = open_note(note, trusted)
            assert len(signed) == case["verified_signatures"], case["name"]
        with pytest.raises((MalformedError, UnknownKey)):
            open_checkpoint(note, Policy.of(*trusted))


def test_right_root_under_wrong_origin(vectors):
    """The Go checksum database signs with a key that is not named as its origin: no policy here accepts that."""
    cases = [c for c in _json(vectors / "note" / "open.json")["cases"] if c["name"].startswith("real Go checksum")]
    assert len(cases) == 3
    for case in cases:
        key = VerifierKey.parse(case["verifiers"][0])
        note, _ = open_note(_b64(case["note_b64"]), [key])
        checkpoint = Checkpoint.parse(note.text)
        assert checkpoint.origin == "go.sum database tree"
        assert str(checkpoint) == note.text
        with pytest.raises(UnknownKey, match=r"no policy for origin go\.sum database tree"):
            open_checkpoint(_b64(case["note_b64"]), Policy.of(key))


# Proofs


def test_proofs_are_written(vectors):
    rows = _json(vectors / "cosignature" / "tlog_proof.json")["marshal"]
    assert len(rows) == 6
    for row in rows:
        extra = None if row["extra_b64"] is None else _b64(row["extra_b64"])
        hashes = tuple(_b64(h) for h in row["hashes_b64"])
        proof = Proof(row["index"], hashes, row["checkpoint"].encode(), extra)
        assert bytes(proof).decode() == row["want"]
        assert Proof.parse(row["want"].encode()) == proof


def test_broken_proofs(vectors):
    rows = _json(vectors / "cosignature" / "tlog_proof.json")["parse_errors"]
    assert len(rows) == 8
    for row in rows:
        text = row.get("input") or "".join(part * times for part, times in row["input_parts"])
        with pytest.raises(MalformedError):
            Proof.parse(text.encode())
