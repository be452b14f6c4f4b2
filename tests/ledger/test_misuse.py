"""What verifiers of others allowed, and what Python makes easy to get wrong: for each a test that shows it here.

`MISUSE` and `TRAPS` name them all, with the tests: those in this file, and those that stand where they belong.
"""

from __future__ import annotations

import re
from hashlib import sha256

import cbor2
import pytest

from ledger import (
    Checkpoint,
    InvalidSignature,
    Log,
    MalformedError,
    Policy,
    Proof,
    ProofMismatch,
    SigningKey,
    UnknownKey,
)
from ledger.checkpoint import sign_checkpoint
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.note import MAX_NOTE, MAX_SIGNATURES, Note, Signature, sign_note
from ledger.policy import MAX_LINES, MAX_POLICY
from ledger.receipt import MAX_RECEIPT, MAX_RECEIPTS, Receipt, join_receipts, parse_key_set, sign_proof, split_receipts
from ledger.subtree import part_root, verify_in_part
from ledger.testing import MemoryStore
from ledger.tile import parse_bundle, parse_open
from ledger.witness import MAX_REQUEST, Request, read_answer
from provenance.keys import PartyKey
from provenance.statement import Statement, sign_statement

KEY = SigningKey("market.example/log", bytes(range(32)))
POLICY = Policy.of(KEY.verifier)
PARTY = PartyKey.from_seed(bytes(32))


def statement(number: int) -> bytes:
    event = sha256(b"%d" % number).digest()
    return sign_statement(PARTY, issuer="ab" * 32, type="work.create", origin=KEY.name, event_id=event)


ENTRIES = [statement(number) for number in range(9)]


def _log(key: SigningKey = KEY, entries: list[bytes] = ENTRIES) -> tuple[Log, MemoryStore]:
    place = MemoryStore()
    log = Log.create(MemoryStore(), key, entries[0], publish=[place])
    for entry in entries[1:]:
        log.append(entry)
    log.publish()
    return log, place


LOG, PLACE = _log()
PROOF = LOG.prove(5)
CHECKPOINT = LOG.checkpoint.signed
RECEIPT = sign_proof(KEY, PROOF, ENTRIES[5])

MISUSE = {
    "hashes handed out that no verified record covered": [
        "tests/ledger/test_client.py::test_hashes_that_no_record_covers_are_not_handed_out",
        "tests/ledger/test_client.py::test_a_hostile_store_yields_nothing_that_was_not_logged",
    ],
    "an inclusion proof not bound to a signed checkpoint": [
        "tests/ledger/test_misuse.py::test_a_proof_brings_no_checkpoint_of_its_own",
        "tests/ledger/test_misuse.py::test_a_receipt_brings_no_root_of_its_own",
        "tests/ledger/test_receipt.py::test_the_numbers_are_signed",
    ],
    "a global index taken for a shard index": [
        "tests/ledger/test_misuse.py::test_an_index_is_one_of_its_own_log",
        "tests/ledger/test_misuse.py::test_an_index_in_a_part_is_one_of_the_whole_tree",
    ],
    "a leaf hash not checked against the body": [
        "tests/ledger/test_misuse.py::test_what_is_proven_is_the_entry_and_no_hash_of_it",
        "tests/ledger/test_misuse.py::test_a_node_is_no_entry",
        "tests/provenance/test_published.py::test_what_was_logged_against_the_rules_is_found",
    ],
    "unbounded proof or entry counts": [
        "tests/ledger/test_misuse.py::test_inputs_have_bounds",
        "tests/ledger/test_misuse.py::test_policies_as_deep_as_they_may_be",
        "tests/ledger/test_strict.py::test_what_is_too_long_is_refused",
    ],
    "a proof that configures its own verification": [
        "tests/ledger/test_misuse.py::test_a_proof_configures_nothing",
        "tests/ledger/test_misuse.py::test_a_receipt_configures_nothing",
        "tests/ledger/test_misuse.py::test_a_key_set_is_no_policy",
    ],
    "stored entries edited while the hashes kept verifying": [
        "tests/ledger/test_fsck.py::test_entries_edited_while_the_hashes_keep_verifying",
        "tests/faults/test_flipped_bytes.py::test_every_byte_of_entry_bundles_and_tiles",
    ],
}

_FORMATS = "tests/ledger/test_formats.py::"
TRAPS = {
    "int() accepts a sign, an underscore, zeros and other digits": ["test_int_accepts_more_than_a_number"],
    "base64.b64decode without validate": ["test_base64_has_one_spelling"],
    "str.split() at Unicode spaces": ["test_unicode_spaces"],
    "splitlines() at U+2028 and 0x1c": ["test_only_newlines_end_lines", "test_control_characters"],
    "1-based against 0-based index": ["test_index_is_a_whole_number_in_the_tree"],
    "negative, bool and large integers": ["test_sizes_are_whole_numbers", "test_index_is_a_whole_number_in_the_tree"],
    "True as a number in CBOR": ["tests/ledger/test_receipt.py::test_numbers_are_whole_numbers"],
    "notes with CRLF": ["test_crlf"],
    "duplicate signature lines": ["test_duplicate_signature_lines"],
    "more than 16 and more than 100 signatures": ["test_many_signatures", "test_too_many_signatures"],
    "empty lines in the text of a note": ["test_empty_lines_in_the_text"],
    "trees of size 0 and 1": ["test_size_0_and_size_1"],
    "COSE with indefinite lengths or a key twice": ["tests/ledger/test_receipt.py::test_other_bytes_are_refused"],
    "receipts in the protected header": [
        "tests/ledger/test_misuse.py::test_receipts_in_the_protected_header_are_none",
    ],
    "a proof longer than needed": ["test_a_proof_longer_than_needed"],
    "the right root under the wrong origin": ["test_right_root_under_wrong_origin"],
    "a bundle with trailing bytes": ["test_trailing_bytes"],
    "entries of no byte and of 65,535": ["test_entries_of_every_length", "test_entries_that_are_too_long"],
}


@pytest.mark.parametrize("row", [*MISUSE, *TRAPS])
def test_every_row_has_its_tests(root, row):
    for name in (MISUSE | TRAPS)[row]:
        path, _, test = (name if "::" in name else _FORMATS + name).partition("::")
        source = (root / path).read_text("utf-8")
        assert re.search(rf"^ *def {test}\b", source, re.MULTILINE), name


def test_a_proof_brings_no_checkpoint_of_its_own():
    """Not bound to a signed checkpoint: unsigned, or signed by whoever made the proof."""
    proof = LOG.prove(5)
    unsigned = str(LOG.checkpoint).encode()
    with pytest.raises(MalformedError):
        Proof(5, proof.hashes, unsigned).verify(ENTRIES[5], POLICY)
    impostor = SigningKey(KEY.name, bytes(32))
    signed = sign_checkpoint(Checkpoint(KEY.name, 9, LOG.checkpoint.root), impostor).signed
    with pytest.raises(UnknownKey):
        Proof(5, proof.hashes, signed).verify(ENTRIES[5], POLICY)


@pytest.mark.parametrize(
    "line", ["security: false", "algorithm md5", "index 4", "size 9", "leaf AAAA", "quorum none", str(KEY.verifier)]
)
def test_a_proof_configures_nothing(line):
    """No line is known that would, before the index or after it; `extra` is carried and not looked at."""
    for data in (
        bytes(PROOF).replace(b"index 5\n", f"{line}\nindex 5\n".encode()),
        bytes(PROOF).replace(b"index 5\n", f"index 5\n{line}\n".encode()),
    ):
        with pytest.raises(MalformedError):
            Proof.parse(data)
    proof = Proof(5, (), LOG.checkpoint.signed, extra=b"security: false")
    with pytest.raises(ProofMismatch):
        proof.verify(ENTRIES[5], POLICY)


def test_a_node_is_no_entry():
    """The entry `left ‖ right` has another hash than the node above them."""
    left, right = (leaf_hash(e) for e in ENTRIES[:2])
    with pytest.raises(ProofMismatch):
        Proof(0, LOG.prove(0).hashes[1:], LOG.checkpoint.signed).verify(left + right, POLICY)


def test_inputs_have_bounds():
    with pytest.raises(MalformedError, match="want at most"):
        Note.parse(b"x" * (MAX_NOTE + 1))
    with pytest.raises(MalformedError, match="64 hashes, want at most 63"):
        Proof.parse(bytes(Proof(5, (bytes(32),) * 64, CHECKPOINT)))
    with pytest.raises(MalformedError, match="want at most"):
        Proof.parse(bytes(PROOF) + b"x" * (4 * MAX_NOTE))
    with pytest.raises(MalformedError, match="want at most"):
        Proof.parse(bytes(Proof(5, (), CHECKPOINT, bytes(65_537))))
    with pytest.raises(MalformedError, match="257 items or more, want at most 256"):
        parse_bundle(bytes(2 * 10_000))
    with pytest.raises(MalformedError, match="want at most"):
        Policy.parse("#" * (MAX_POLICY + 1))
    with pytest.raises(ProofMismatch, match="want at most 64"):
        verify_inclusion((bytes(32),) * 65, index=0, size=9, leaf=bytes(32), root=bytes(32))
    with pytest.raises(MalformedError, match="101 signature lines, want at most 100"):
        Note.parse(sign_note("x\n", *[], others=[Signature(f"w{n}", b"abcd", b"x") for n in range(MAX_SIGNATURES + 1)]))
    with pytest.raises(MalformedError, match="want at most"):
        Receipt.parse(bytes(RECEIPT) + bytes(MAX_RECEIPT))
    with pytest.raises(MalformedError, match="1 to 16 receipts"):
        join_receipts(ENTRIES[5], [RECEIPT] * (MAX_RECEIPTS + 1))
    with pytest.raises(MalformedError, match="at most 63"):
        Request.parse(bytes(Request(5, (bytes(32),) * 64, CHECKPOINT)))
    with pytest.raises(MalformedError, match="want at most"):
        Request.parse(bytes(MAX_REQUEST + 1))
    with pytest.raises(MalformedError, match="101 lines, want at most 100"):
        read_answer(200, CHECKPOINT.splitlines(keepends=True)[-1] * (MAX_SIGNATURES + 1))
    with pytest.raises(MalformedError):
        parse_open(((1 << 20) + 1).to_bytes(4, "big") + bytes((1 << 20) + 1))


def test_a_receipt_brings_no_root_of_its_own():
    """The payload is what the verifier computes; one that is brought along is refused, right or wrong."""
    for root in (LOG.checkpoint.root, bytes(32)):
        tag = cbor2.loads(bytes(RECEIPT))
        tag.value[2] = root
        with pytest.raises(MalformedError, match="want none"):
            Receipt.parse(cbor2.dumps(tag, canonical=True))
    impostor = sign_proof(*_elsewhere(SigningKey(KEY.name, bytes(32))))
    with pytest.raises(UnknownKey):
        impostor.verify_inclusion(ENTRIES[5], POLICY)


def _elsewhere(key: SigningKey) -> tuple[SigningKey, Proof, bytes]:
    return key, _log(key)[0].prove(5), ENTRIES[5]


def test_an_index_is_one_of_its_own_log():
    """Two shards of one operator: #3 of the second is #12 of both together, and nothing of the first."""
    second_key = SigningKey("market.example/log/2", bytes([2] * 32))
    entries = [statement(100 + number) for number in range(9)]
    second, _ = _log(second_key, entries)
    both = Policy.of(KEY.verifier, second_key.verifier)
    proof = second.prove(3)
    assert proof.verify(entries[3], both).origin == second_key.name
    for index in (len(ENTRIES) + 3, 2, 4):
        with pytest.raises(ProofMismatch):
            Proof(index, proof.hashes, proof.checkpoint).verify(entries[3], both)
    with pytest.raises(ProofMismatch):
        Proof(3, proof.hashes, CHECKPOINT).verify(entries[3], both)
    with pytest.raises(UnknownKey):
        proof.verify(entries[3], POLICY)
    receipt = sign_proof(second_key, proof, entries[3])
    receipt.verify_inclusion(entries[3], both)
    with pytest.raises(UnknownKey):
        receipt.verify_inclusion(entries[3], POLICY)


def test_an_index_in_a_part_is_one_of_the_whole_tree():
    """Leaf 1 of the part [4, 8) is leaf 5, and is asked for by that name."""
    leaves = [leaf_hash(entry) for entry in ENTRIES]
    root = part_root(4, 8, lambda nodes: [_node(leaves, *node) for node in nodes])
    proof = (leaves[4], _node(leaves, 1, 3))
    verify_in_part(proof, index=5, start=4, end=8, leaf=leaves[5], root=root)
    for index in (1, 4, 9):
        with pytest.raises(ProofMismatch):
            verify_in_part(proof, index=index, start=4, end=8, leaf=leaves[5], root=root)


def _node(leaves: list[bytes], level: int, index: int) -> bytes:
    if not level:
        return leaves[index]
    halves = (_node(leaves, level - 1, 2 * index + side) for side in (0, 1))
    return sha256(b"\x01" + b"".join(halves)).digest()


def test_what_is_proven_is_the_entry_and_no_hash_of_it():
    """Nobody hands in a leaf hash: it is made from the bytes, and the bytes say which event they are about."""
    entry = ENTRIES[5]
    assert PROOF.verify(entry, POLICY) == LOG.checkpoint
    for other in (leaf_hash(entry), sha256(entry).digest(), entry + b"\0", entry[:-1], b"\0" + entry, b""):
        with pytest.raises(ProofMismatch):
            PROOF.verify(other, POLICY)
        with pytest.raises(InvalidSignature):
            RECEIPT.verify_inclusion(other, POLICY)
    assert Statement.parse(entry).event_id == sha256(b"5").digest()


@pytest.mark.parametrize(
    "change",
    [{1: -7}, {1: 0}, {1: None}, {395: 2}, {395: True}, {"security": False}, {2: ["security"], "security": False}],
    ids=["another algorithm", "algorithm 0", "no algorithm", "another tree", "true", "no security", "critical"],
)
def test_a_receipt_configures_nothing(change):
    """Algorithm and structure are those of the key that the policy lists; a header that says more is refused."""
    tag = cbor2.loads(bytes(RECEIPT))
    tag.value[0] = cbor2.dumps(cbor2.loads(tag.value[0]) | change, canonical=True)
    with pytest.raises(MalformedError):
        Receipt.parse(cbor2.dumps(tag, canonical=True))
    tag = cbor2.loads(bytes(RECEIPT))
    tag.value[1] |= change
    with pytest.raises(MalformedError):
        Receipt.parse(cbor2.dumps(tag, canonical=True))


def test_a_key_set_is_no_policy():
    """Whoever serves the log serves its keys: a reader compares them, and what is verified never brings them."""
    from ledger.receipt import key_set

    impostor = SigningKey(KEY.name, bytes(32))
    found = parse_key_set(key_set([impostor.verifier]), KEY.name)
    assert found != POLICY.keys(KEY.name)
    receipt = sign_proof(*_elsewhere(impostor))
    receipt.verify_inclusion(ENTRIES[5], Policy.of(*found))  # only who says so relies on it
    with pytest.raises(UnknownKey):
        receipt.verify_inclusion(ENTRIES[5], POLICY)


def test_receipts_in_the_protected_header_are_none():
    """There they would be the issuer's word, from before the statement was logged."""
    joined = cbor2.loads(join_receipts(ENTRIES[5], [RECEIPT]))
    head = cbor2.loads(joined.value[0]) | joined.value[1]
    for unprotected in ({}, {4: b"kid"}):
        joined.value[:2] = [cbor2.dumps(head, canonical=True), unprotected]
        with pytest.raises(MalformedError):
            split_receipts(cbor2.dumps(joined, canonical=True))
    joined.value[1] = {394: [bytes(RECEIPT)]}
    statement, (receipt,) = split_receipts(cbor2.dumps(joined, canonical=True))
    with pytest.raises(InvalidSignature):  # the leaf is all of the statement: this one was never logged
        receipt.verify_inclusion(statement, POLICY)


def test_policies_as_deep_as_they_may_be():
    """Groups in groups, as many as are read: what they need is counted without going down into each."""
    from ledger.cosignature import ED25519, Cosigner

    north = Cosigner("north.example/w", ED25519, bytes(32))
    lines = [f"log {KEY.verifier}", f"witness g0 {north.verifier}"]
    lines += [f"group g{number} all g{number - 1}" for number in range(1, MAX_LINES + 1)]
    policy = Policy.parse("\n".join([*lines, f"quorum g{MAX_LINES}"]))
    assert policy.satisfied({"g0"})
    assert not policy.satisfied(set())
    assert [witness.name for witness in policy.wanted()] == ["g0"]
    with pytest.raises(MalformedError, match="more than 1000"):
        Policy.parse("\n".join([*lines, "group more all g1000", "quorum more"]))
