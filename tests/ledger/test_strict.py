"""Every format that `ledger` reads, in one table: one way to write it, one error, bounds, and nothing altered counts.

A row says how bytes are read, how what was read is written again, good examples, and how long anything may be that is
read at all. What is verified has a row in a second table: what it proves, which nothing altered may change.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger
from ledger import (
    Checkpoint,
    InvalidSignature,
    Log,
    MalformedError,
    Policy,
    Proof,
    ProofMismatch,
    QuorumNotMet,
    SigningKey,
    UnknownKey,
    VerifierKey,
    open_checkpoint,
)
from ledger.batch import pack_batch, parse_batch
from ledger.checkpoint import parse_decimal
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner, CosignerKey
from ledger.encrypted_key import MIN_WORK, EncryptedKey, encrypt_key
from ledger.evidence import MAX_EVIDENCE, Evidence
from ledger.merkle import EMPTY_ROOT, Node, leaf_hash, subtree_root
from ledger.note import MAX_NOTE, Note, Signature, decode_base64, open_note
from ledger.policy import MAX_POLICY, parse_log_key
from ledger.receipt import (
    MAX_RECEIPT,
    Receipt,
    join_receipts,
    key_set,
    parse_key_set,
    parse_receipts,
    sign_proof,
    sign_receipt,
    split_receipts,
)
from ledger.subtree import prove_part
from ledger.testing import MemoryStore
from ledger.tile import (
    MAX_ENTRY,
    WIDTH,
    bundle_path,
    pack_bundle,
    pack_open,
    parse_bundle,
    parse_open,
    parse_path,
    parse_tile,
    tile_path,
)
from ledger.witness import MAX_REQUEST, Request, SubtreeRequest, Witness, read_answer
from provenance.keys import PartyKey
from provenance.statement import sign_statement
from provenance.succession import Link
from tests.ledger.altering import altered

ORIGIN = "market.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
NORTH = Cosigner("north.example/w", ED25519, bytes([1] * 32))
CIVIC = Cosigner("civic.example/w", ML_DSA_44, bytes([2] * 32))
LATER = Cosigner(ORIGIN, ML_DSA_44, bytes([3] * 32))
POLICY = Policy.of(KEY.verifier)
WITNESSED = Policy.parse(
    f"log {KEY.verifier} https://market.example/log\n"
    f"witness north {NORTH.verifier} https://north.example/w\nwitness civic {CIVIC.verifier}\n"
    "group both all north civic\nquorum both\n"
)
PARTY = PartyKey.from_seed(bytes(32))
NOW = 1_790_000_000


def _entry(number: int) -> bytes:
    event = sha256(b"%d" % number).digest()
    return sign_statement(PARTY, issuer="ab" * 32, type="work.create", origin=ORIGIN, event_id=event)


ENTRIES = [_entry(number) for number in range(9)]


def _log() -> Log:
    log = Log.create(MemoryStore(), KEY, ENTRIES[0])
    for entry in ENTRIES[1:]:
        log.append(entry)
    return log


LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def tree_root_of(start: int, end: int) -> bytes:
    return subtree_root(LEAVES[start:end])


def nodes_of(nodes: Iterable[Node]) -> list[bytes]:
    return [tree_root_of(index << level, (index + 1) << level) for level, index in nodes]


LOG = _log()
TREE = LOG.checkpoint
CHECKPOINT = TREE.signed
OLD = Checkpoint(ORIGIN, 4, LOG.root_at(4))
PROOF = LOG.prove(5)
COSIGNED = CHECKPOINT + "".join(f"{key.sign(TREE, time=NOW)}\n" for key in (NORTH, CIVIC)).encode()
INCLUSION = sign_proof(KEY, PROOF, ENTRIES[5], subject="work.create")
GROWN = sign_receipt(KEY, "consistency", (4, 9), LOG.prove_consistency(4), TREE.root)
TRANSPARENT = join_receipts(ENTRIES[5], [INCLUSION, GROWN])
ENCRYPTED = encrypt_key(str(KEY), "one passphrase", public=str(KEY.verifier), work=MIN_WORK)
PART = (4, 8, tree_root_of(4, 8), prove_part(4, 8, 9, nodes_of))
PART_REQUEST = bytes(SubtreeRequest(*PART, bytes(Note(str(TREE), (CIVIC.sign(TREE, time=NOW),)))))  # all it looks at
REQUEST = bytes(Request(4, LOG.prove_consistency(4), CHECKPOINT))


def _of_text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def _text(value: Any) -> bytes:
    return str(value).encode("utf-8", "surrogateescape")


def _path(parts: tuple[int | None, int, int]) -> bytes:
    level, index, width = parts
    return (bundle_path(index, width) if level is None else tile_path(level, index, width)).encode()


def _answer(found: tuple[Signature, ...] | int) -> bytes:
    return f"{found}\n".encode() if isinstance(found, int) else "".join(f"{line}\n" for line in found).encode()


def _joined(found: tuple[bytes | None, tuple[Receipt, ...]]) -> bytes:
    statement, receipts = found
    return bytes(receipts[0]) if statement is None else join_receipts(statement, receipts)


@dataclass(frozen=True)
class Format:
    parse: Callable[[bytes], Any]
    write: Callable[[Any], bytes]
    good: tuple[bytes, ...]
    most: int | None = None  # bytes; None where what holds it is bounded
    exact: bool = True  # False: comments and spaces are allowed, and not kept


FORMATS = {
    "decimal": Format(
        _of_text(lambda text: parse_decimal(text, "number")), _text, (b"0", b"9", str(2**63 - 1).encode()), 19
    ),
    "base64": Format(_of_text(lambda text: decode_base64(text, "x")), base64.b64encode, (b"", b"AA==", b"q83v")),
    "note": Format(Note.parse, bytes, (CHECKPOINT, COSIGNED), MAX_NOTE),
    "signature": Format(_of_text(Signature.parse), _text, (CHECKPOINT.splitlines()[-1], COSIGNED.splitlines()[-1])),
    "verifier key": Format(_of_text(VerifierKey.parse), _text, (_text(KEY.verifier),)),
    "signing key": Format(_of_text(SigningKey.parse), _text, (_text(KEY),)),
    "cosigner key": Format(_of_text(CosignerKey.parse), _text, (_text(NORTH.verifier), _text(CIVIC.verifier))),
    "cosigner": Format(_of_text(Cosigner.parse), _text, (_text(NORTH), _text(CIVIC))),
    "encrypted key": Format(_of_text(EncryptedKey.parse), _text, (_text(ENCRYPTED),), 65_536),
    "checkpoint": Format(_of_text(Checkpoint.parse), _text, (_text(TREE),)),
    "policy": Format(_of_text(Policy.parse), _text, (_text(POLICY), _text(WITNESSED)), MAX_POLICY, exact=False),
    "key of a log": Format(_of_text(parse_log_key), _text, (_text(KEY.verifier), _text(LATER.verifier))),
    "link between keys": Format(Link.parse, bytes, (bytes(Link(PROOF, ENTRIES[5], b"{}")),), 4 * MAX_NOTE),
    "proof": Format(Proof.parse, bytes, (bytes(PROOF), bytes(Proof(0, (), CHECKPOINT, b"more"))), 4 * MAX_NOTE),
    "evidence": Format(
        Evidence.parse,
        bytes,
        (bytes(Evidence(CHECKPOINT, CHECKPOINT)), bytes(Evidence(CHECKPOINT, COSIGNED))),
        MAX_EVIDENCE,
    ),
    "request to a witness": Format(Request.parse, bytes, (REQUEST,), MAX_REQUEST),
    "request to sign a part": Format(SubtreeRequest.parse, bytes, (PART_REQUEST,), MAX_REQUEST),
    "lines of a witness": Format(
        lambda data: read_answer(200, data), _answer, (_text(NORTH.sign(TREE, time=NOW)) + b"\n",), MAX_NOTE
    ),
    "size of a witness": Format(lambda data: read_answer(409, data), _answer, (b"0\n", b"20852163\n"), 20),
    "receipt": Format(Receipt.parse, bytes, (bytes(INCLUSION), bytes(GROWN)), MAX_RECEIPT),
    "transparent statement": Format(split_receipts, _joined, (TRANSPARENT,), 16 * MAX_RECEIPT + MAX_ENTRY),
    "either of them": Format(parse_receipts, _joined, (TRANSPARENT, bytes(GROWN)), 16 * MAX_RECEIPT + MAX_ENTRY),
    "key set": Format(
        lambda data: parse_key_set(data, ORIGIN),
        key_set,
        (key_set([KEY.verifier]), key_set([KEY.verifier, SigningKey(ORIGIN, bytes(32)).verifier])),
        1000 * MAX_RECEIPT,
    ),
    "path": Format(_of_text(parse_path), _path, (b"tile/0/x001/x234/067.p/89", b"tile/entries/000", b"tile/63/999")),
    "tile": Format(lambda data: parse_tile(data, 3, "tile/0/000.p/3"), b"".join, (bytes(range(96)),), 96),
    "entry bundle": Format(
        parse_bundle, pack_bundle, (pack_bundle(ENTRIES), b"", bytes(2 * WIDTH)), WIDTH * (2 + MAX_ENTRY)
    ),
    "open bundle": Format(parse_open, pack_open, (pack_open(ENTRIES), b"", bytes(4 * WIDTH))),
    "batch file": Format(
        parse_batch,
        lambda found: pack_batch(*found),
        (
            pack_batch([], []),
            pack_batch([("tile/0/000", bytes(32))], [("events/000", b"x"), ("checkpoint", CHECKPOINT)]),
        ),
    ),
}


# Written in one way


def test_every_parser_is_in_the_table():
    """A new one as well: what is named `parse`, or begins so."""
    found = set()
    for module in (import_module(f"ledger.{each.name}") for each in iter_modules(ledger.__path__)):
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_"):
                if hasattr(value, "parse"):
                    found.add(f"{name}.parse")
                elif name.startswith("parse_"):
                    found.add(name)
    assert len(found) > 20
    table = Path(__file__).read_text("utf-8").partition("FORMATS = {")[2].partition("# Written in one way")[0]
    assert {name for name in found if name not in table} == set()


@pytest.mark.parametrize("kind", FORMATS)
def test_good_examples_round_trip(kind):
    form = FORMATS[kind]
    for good in form.good:
        assert form.write(form.parse(good)) == good
        assert form.most is None or len(good) <= form.most


@pytest.mark.parametrize("kind", FORMATS)
@given(st.data())
def test_anything_is_refused_with_one_error_or_is_the_one_way_to_write_it(kind, data):
    form = FORMATS[kind]
    anything = st.binary(max_size=200) | st.text(max_size=200).map(str.encode)
    given_ = data.draw(anything | st.sampled_from(form.good).flatmap(altered))
    try:
        found = form.parse(given_)
    except MalformedError:
        return
    again = form.write(found)
    assert again == given_ or not form.exact
    assert form.write(form.parse(again)) == again


@pytest.mark.parametrize("kind", [kind for kind, form in FORMATS.items() if form.most is not None])
@pytest.mark.parametrize("filler", [b"\0", b"x", b"9", b"\n", b"\x81", b"AAAA"])
def test_what_is_too_long_is_refused(kind, filler):
    """Also where it begins as something good."""
    form = FORMATS[kind]
    for begins in (b"", form.good[0]):
        with pytest.raises(MalformedError):
            form.parse(begins + filler * (form.most // len(filler) + 1))


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_follows_and_nothing_is_repeated(kind):
    form = FORMATS[kind]
    for good in filter(None, form.good):
        for bad in (good + b"\0", good + b"\n", b"\n" + good, good + b"\r\n", good + good, good[:-1], good[1:]):
            try:
                found = form.parse(bad)
            except MalformedError:
                continue
            assert not form.exact or form.write(found) == bad, bad[:80]
            assert form.parse(form.write(found)) == found


# Whatever can be said can be read again

names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1)
lines = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=40)
hashes = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**63 - 1)


@given(st.lists(lines, min_size=1), st.lists(st.tuples(names, st.binary(min_size=5, max_size=80)), min_size=1))
def test_notes_round_trip(text, signatures):
    note = Note("".join(f"{line}\n" for line in text), tuple(Signature(n, v[:4], v[4:]) for n, v in signatures))
    assert Note.parse(bytes(note)) == note
    assert bytes(Note.parse(bytes(note))) == bytes(note)


@given(names, hashes)
def test_keys_round_trip(name, seed):
    key = SigningKey(name, seed)
    assert VerifierKey.parse(str(key.verifier)) == key.verifier
    assert str(SigningKey.parse(str(key))) == str(key)
    assert str(key) not in repr(key)
    assert base64.b64encode(seed).decode()[:20] not in repr(key)


@given(lines.filter(bool), sizes, hashes, st.lists(lines.filter(bool), max_size=3))
def test_checkpoints_round_trip(origin, size, root, extensions):
    checkpoint = Checkpoint(origin, size, root if size else EMPTY_ROOT, tuple(extensions))
    assert Checkpoint.parse(str(checkpoint)) == checkpoint
    assert str(Checkpoint.parse(str(checkpoint))) == str(checkpoint)


@given(sizes, st.lists(hashes, max_size=63), st.binary(min_size=1, max_size=99), st.none() | st.binary(max_size=99))
def test_proofs_round_trip(index, path, checkpoint, extra):
    proof = Proof(index, tuple(path), checkpoint, extra)
    assert Proof.parse(bytes(proof)) == proof
    assert bytes(Proof.parse(bytes(proof))) == bytes(proof)


@given(sizes, st.lists(hashes, max_size=63), st.binary(max_size=99))
def test_requests_round_trip(old, path, checkpoint):
    request = Request(old, tuple(path), checkpoint)
    assert Request.parse(bytes(request)) == request


@given(st.lists(names, unique=True, max_size=40), st.sampled_from(["", "https://market.example/log", "x\u2028"]))
def test_policies_round_trip(origins, url):
    keys = [SigningKey(name, i.to_bytes(32, "big")).verifier for i, name in enumerate(origins)]
    text = "".join(f"log {key} {url}".rstrip(" ") + "\n" for key in keys) + "quorum none\n"
    policy = Policy.parse(text)
    assert str(policy) == text
    assert Policy.parse(str(policy)) == policy


@given(
    st.sampled_from(["inclusion", "consistency"]),
    st.integers(2, 2**63 - 1),
    st.lists(hashes, min_size=1, max_size=63),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.data(),
)
def test_receipts_round_trip(kind, size, path, subject, data):
    if kind == "inclusion":
        numbers = (size, data.draw(st.integers(0, size - 1)))
    else:
        numbers = (data.draw(st.integers(1, size - 1)), size)
    receipt = sign_receipt(KEY, kind, numbers, path, bytes(32), subject=subject)
    assert Receipt.parse(bytes(receipt)) == receipt
    assert parse_receipts(join_receipts(ENTRIES[0], [receipt] * 3)) == (ENTRIES[0], (receipt,) * 3)


@given(st.lists(st.binary(max_size=300), max_size=WIDTH))
def test_bundles_round_trip(entries):
    assert parse_bundle(pack_bundle(entries), width=len(entries)) == entries
    assert pack_bundle(parse_bundle(pack_bundle(entries))) == pack_bundle(entries)
    assert parse_open(pack_open(entries)) == entries


@given(st.none() | st.integers(0, 63), sizes, st.integers(1, WIDTH))
def test_paths_round_trip(level, index, width):
    assert parse_path(_path((level, index, width)).decode()) == (level, index, width)


paths = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
objects = st.lists(st.tuples(paths, st.binary(max_size=60)), max_size=4)


@given(objects, objects)
def test_batch_files_round_trip(puts, opens):
    data = pack_batch(puts, opens)
    assert parse_batch(data) == (puts, opens)
    assert pack_batch(*parse_batch(data)) == data


# What others wrote


def _published(vectors: Path) -> dict[str, list[bytes]]:
    def read(name: str) -> Any:
        return json.loads((vectors / name).read_text("utf-8"))

    keys = read("note/keys.json")
    golden = vectors / "tlog" / "tessera_golden"
    return {
        "note": [
            *(base64.b64decode(case["note_b64"]) for case in read("note/open.json")["cases"] if case["result"] == "ok"),
            *(case["note"].encode() for case in read("note/other_types.json")["cases"]),
            *(case["note"].encode() for case in read("note/checkpoint.json")["parse_signed"]["cases"]),
            *(path.read_bytes() for path in golden.glob("checkpoint*")),
        ],
        "verifier key": [row["vkey"].encode() for row in keys["verifier_keys"] if row["valid"] and row["type"] == "01"],
        "signing key": [row["key"].encode() for row in keys["signing_keys"] if row["valid"]],
        "checkpoint": [path.read_bytes().rpartition(b"\n\n")[0] + b"\n" for path in golden.glob("checkpoint*")],
        "proof": [row["want"].encode() for row in read("cosignature/tlog_proof.json")["marshal"]],
        "request to a witness": [
            *(step["request_body"].encode() for step in read("witness/litewitness.json")["steps"]),
            *(case["request_body"].encode() for case in read("witness/transparency_dev.json")["update_cases"]),
        ],
        "entry bundle": [path.read_bytes() for path in (golden / "tile/entries/000.p").iterdir()],
        "path": [
            f"tile/{row['level_text']}/{row['index_text']}".encode()
            for row in read("tlog/paths.json")["parse"]
            if not row["wantErr"]
        ],
    }


def test_what_others_wrote_round_trips(vectors):
    """To the byte, as far as it is well-formed at all; which of it is, the tests of each file say."""
    read = dict.fromkeys(FORMATS, 0)
    for kind, found in _published(vectors).items():
        for data in found:
            try:
                value = FORMATS[kind].parse(data)
            except MalformedError:
                continue
            assert FORMATS[kind].write(value) == data
            read[kind] += 1
    counts = {kind: number for kind, number in read.items() if number}
    assert counts.keys() == _published(vectors).keys()
    assert sum(counts.values()) > 80


def test_what_others_wrote_altered(vectors):
    published = [(kind, data) for kind, found in _published(vectors).items() for data in found]

    @given(st.sampled_from(published).flatmap(lambda each: st.tuples(st.just(each[0]), altered(each[1]))))
    def read(given_):
        kind, data = given_
        try:
            value = FORMATS[kind].parse(data)
        except MalformedError:
            return
        assert FORMATS[kind].write(value) == data

    read()


# Nothing altered is believed


def _open(data: bytes) -> Any:
    return open_checkpoint(data, POLICY)


def _prove(data: bytes) -> Any:
    proof = Proof.parse(data)
    return proof.verify(ENTRIES[5], POLICY), proof.index, proof.hashes


def _both(data: bytes) -> Any:
    statement, receipts = split_receipts(data)
    roots = [
        receipt.verify_inclusion(statement, POLICY)
        if receipt.kind == "inclusion"
        else receipt.verify_consistency(OLD.root, POLICY)
        for receipt in receipts
    ]
    assert set(roots) == {TREE.root}
    return statement


def _keys(data: bytes) -> Any:
    keys = parse_key_set(data, ORIGIN)
    if keys != POLICY.keys(ORIGIN):
        msg = "a reader compares them with the policy"
        raise UnknownKey(msg)
    return keys


def _bundle(data: bytes) -> Any:
    entries = parse_bundle(data, width=len(ENTRIES))
    if [leaf_hash(entry) for entry in entries] != LEAVES:
        msg = "other leaves"
        raise ProofMismatch(msg)
    return entries


def _witness(data: bytes) -> Any:
    """The tree that a witness signs, which has seen the older one."""
    witness = Witness({ORIGIN: [KEY.verifier]}, [NORTH], MemoryStore())
    first = bytes(Request(0, (), _signed(OLD)))
    assert witness.add_checkpoint(first, time=NOW).status == 200
    answer = witness.add_checkpoint(data, time=NOW)
    if answer.status != 200:
        assert answer.status in {400, 403, 404, 409, 422}
        msg = answer.body.decode()
        raise MalformedError(msg)
    lines = read_answer(answer.status, answer.body)
    assert not isinstance(lines, int)
    tree = Checkpoint.parse(Note.parse(Request.parse(data).checkpoint).text)
    assert NORTH.verifier.verify(tree, lines[0]) == NOW
    return tree


def _part(data: bytes) -> Any:
    """The part of a tree that a witness signs, which cosigned that tree."""
    answer = Witness({ORIGIN: [KEY.verifier]}, [NORTH, CIVIC], MemoryStore()).sign_subtree(data)
    if answer.status != 200:
        assert answer.status in {400, 403, 404, 422}
        msg = answer.body.decode()
        raise MalformedError(msg)
    lines = read_answer(answer.status, answer.body)
    assert not isinstance(lines, int)
    said = SubtreeRequest.parse(data)
    CIVIC.verifier.verify_subtree(ORIGIN, start=said.start, end=said.end, hash=said.hash, signature=lines[0].value)
    return said.start, said.end, said.hash


def _signed(tree: Checkpoint) -> bytes:
    return bytes(Note(str(tree), (KEY.sign(str(tree)),)))


def _receipt_of_others() -> bytes:
    """Inclusion, as another program may write it: the labels of its header in another order."""
    protected, *rest = cbor2.loads(bytes(INCLUSION)).value
    protected = cbor2.dumps(dict(reversed(cbor2.loads(protected).items())))
    rest[-1] = KEY.sign_bytes(cbor2.dumps(["Signature1", protected, b"", TREE.root]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, *rest]))


BELIEVED: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "note": (lambda data: open_note(data, [KEY.verifier])[0].text, CHECKPOINT),
    "checkpoint": (_open, CHECKPOINT),
    "cosigned checkpoint": (lambda data: open_checkpoint(data, WITNESSED), COSIGNED),
    "proof": (_prove, bytes(PROOF)),
    "receipt of inclusion": (
        lambda data: (found := Receipt.parse(data), found.verify_inclusion(ENTRIES[5], POLICY)),
        bytes(INCLUSION),
    ),
    "receipt of others": (
        lambda data: (found := Receipt.parse(data), found.verify_inclusion(ENTRIES[5], POLICY)),
        _receipt_of_others(),
    ),
    "receipt of consistency": (
        lambda data: (found := Receipt.parse(data), found.verify_consistency(OLD.root, POLICY)),
        bytes(GROWN),
    ),
    "transparent statement": (_both, TRANSPARENT),
    "key set": (_keys, key_set([KEY.verifier])),
    "entry bundle": (_bundle, pack_bundle(ENTRIES)),
    "request to a witness": (_witness, REQUEST),
    "request to sign a part": (_part, PART_REQUEST),
}
REFUSED = (MalformedError, UnknownKey, InvalidSignature, ProofMismatch, QuorumNotMet)


@pytest.mark.parametrize("kind", BELIEVED)
@given(st.data())
def test_nothing_altered_is_believed(kind, data):
    """It is refused, or says what it said: lines of others, whom nobody asks, may come and go."""
    believe, good = BELIEVED[kind]
    changed = data.draw(altered(good))
    want = believe(good)
    try:
        got = believe(changed)
    except REFUSED:
        return
    assert got == want


@pytest.mark.parametrize("kind", BELIEVED)
def test_every_byte_counts(kind):
    """With one bit of it flipped nothing is believed: a signature covers it, a hash, or the encoding."""
    believe, good = BELIEVED[kind]
    believe(good)
    for at in range(0, len(good), 1 if len(good) < 1_000 else 13):
        with pytest.raises(REFUSED):
            believe(good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :])


@given(st.integers(0, 40), st.binary(max_size=40))
def test_proof_of_another_entry_or_index(index, entry):
    with pytest.raises(ProofMismatch):
        PROOF.verify(entry, POLICY)
    with pytest.raises(InvalidSignature):  # of a receipt, root and index are what its signature covers
        INCLUSION.verify_inclusion(entry, POLICY)
    if index != PROOF.index:
        with pytest.raises(ProofMismatch):
            Proof(index, PROOF.hashes, PROOF.checkpoint).verify(ENTRIES[5], POLICY)
