"""COSE receipts: the published shape, our own by an oracle, and everything that may be altered."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import cbor2
import cwt
import pytest

from ledger import (
    Checkpoint,
    InvalidSignature,
    Log,
    MalformedError,
    Policy,
    ProofMismatch,
    QuorumNotMet,
    RemoteKey,
    SigningKey,
    UnknownKey,
)
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner
from ledger.merkle import (
    consistency_root,
    inclusion_root,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    subtree_root,
    tree_root,
)
from ledger.policy import LogLine
from ledger.receipt import (
    Receipt,
    join_receipts,
    key_id_of,
    key_set,
    parse_key_set,
    parse_receipts,
    sign_proof,
    sign_receipt,
    split_receipts,
)
from ledger.testing import MemoryStore
from provenance.keys import PartyKey, PublicKey
from provenance.statement import Statement, sign_statement

ORIGIN = "market.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
POLICY = Policy.of(KEY.verifier)
PARTY_SEED = bytes(32)
PARTY = PartyKey.from_seed(PARTY_SEED)
ENTRIES = [
    sign_statement(PARTY, issuer="ab" * 32, type="work.create", origin=ORIGIN, event_id=sha256(b"%d" % n).digest())
    for n in range(11)
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def read(nodes):
    return [subtree_root(LEAVES[index << level : (index + 1) << level]) for level, index in nodes]


def included(index, size, **options):
    return sign_receipt(
        KEY, "inclusion", (size, index), prove_inclusion(index, size, read), tree_root(size, read), **options
    )


def grown(old, new):
    return sign_receipt(KEY, "consistency", (old, new), prove_consistency(old, new, read), tree_root(new, read))


def log_of(entries):
    log = Log.create(MemoryStore(), KEY, entries[0])
    for entry in entries[1:]:
        log.append(entry)
    return log


def unbound(place):
    """As others make them: the numbers stand beside the path, where no signature covers them."""
    index, size = place
    unsigned = replace(included(index, size), bound=False)
    head = unsigned._protected()
    message = cbor2.dumps(["Signature1", head, b"", tree_root(size, read)])
    return replace(unsigned, signature=KEY.sign_bytes(message))


def test_published_shape(vectors):
    """Their algorithm is not ours; with ours in its place they are read as they are, 395 before 15."""
    data = json.loads((vectors / "receipts" / "decoded.json").read_text("utf-8"))
    check = data["cross_check"]
    leaf = bytes.fromhex(check["leaf_3_hash_hex"])
    for receipt in data["receipts"]:
        raw = (vectors / "receipts" / receipt["file"]).read_bytes()
        assert len(raw) == receipt["bytes"]
        with pytest.raises(MalformedError):
            Receipt.parse(raw)
        tag = cbor2.loads(raw)
        assert cbor2.dumps(tag) == raw
        head = cbor2.loads(tag.value[0])
        head[1] = -8
        tag.value[0] = cbor2.dumps(head)
        assert list(head) == [1, 4, 395, 15]
        ours = cbor2.dumps(tag, canonical=True)
        parsed = Receipt.parse(ours)
        assert bytes(parsed) == ours
        assert (parsed.bound, parsed.header) == (False, tag.value[0])
        path = tuple(map(bytes.fromhex, receipt["proof"]["path_hex"]))
        assert (parsed.kind, parsed.path) == (receipt["proof_type"], path)
        if parsed.kind == "inclusion":
            assert parsed.numbers == (receipt["proof"]["tree_size"], receipt["proof"]["leaf_index"])
            assert inclusion_root(path, index=3, size=5, leaf=leaf).hex() == check["root_size_5_hex"]
        else:
            assert parsed.numbers == (receipt["proof"]["tree_size_1"], receipt["proof"]["tree_size_2"])
            old = bytes.fromhex(check["root_size_3_hex"])
            assert consistency_root(path, old=3, new=5, old_root=old).hex() == check["root_size_5_hex"]


def test_inclusion_of_every_entry():
    for size in range(2, len(ENTRIES) + 1):
        for index in range(size):
            receipt = Receipt.parse(bytes(included(index, size)))
            assert receipt.verify_inclusion(ENTRIES[index], POLICY) == tree_root(size, read)
            with pytest.raises((InvalidSignature, ProofMismatch)):
                receipt.verify_inclusion(ENTRIES[(index + 1) % size], POLICY)
            with pytest.raises(InvalidSignature, match="want consistency"):
                receipt.verify_consistency(bytes(32), POLICY)


def test_consistency_of_every_size():
    for new in range(2, len(ENTRIES) + 1):
        for old in range(1, new):
            receipt = Receipt.parse(bytes(grown(old, new)))
            assert receipt.verify_consistency(tree_root(old, read), POLICY) == tree_root(new, read)
            with pytest.raises((InvalidSignature, ProofMismatch)):
                receipt.verify_consistency(bytes(32), POLICY)


def test_what_has_no_receipt():
    with pytest.raises(MalformedError):
        included(0, 1)
    with pytest.raises(MalformedError):
        grown(3, 3)


def test_keys_come_from_the_policy():
    receipt = included(3, 5)
    other = SigningKey(ORIGIN, bytes(32))
    with pytest.raises(UnknownKey, match="none of its listed keys"):
        receipt.verify_inclusion(ENTRIES[3], Policy.of(other.verifier))
    with pytest.raises(UnknownKey, match="no policy for origin"):
        receipt.verify_inclusion(ENTRIES[3], Policy.of(SigningKey("other.example", bytes(32)).verifier))
    receipt.verify_inclusion(ENTRIES[3], Policy.of(other.verifier, KEY.verifier))
    with pytest.raises(UnknownKey, match="lists no such key of it"):
        receipt.verify_inclusion(ENTRIES[3], Policy.of(Cosigner(ORIGIN, ML_DSA_44, bytes(32)).verifier))


def test_a_key_counts_for_its_own_sizes():
    """As for checkpoints: one that was handed over at size 5 signs nothing larger, the next one nothing smaller."""
    new = SigningKey(ORIGIN, bytes(32))
    spans = Policy((LogLine(KEY.verifier, last=5), LogLine(new.verifier, first=5)))
    included(3, 5).verify_inclusion(ENTRIES[3], spans)
    with pytest.raises(UnknownKey, match=r"at size 6: .* counts from size 0 to 5"):
        included(3, 6).verify_inclusion(ENTRIES[3], spans)
    with pytest.raises(UnknownKey, match="at size 9"):
        grown(3, 9).verify_consistency(tree_root(3, read), spans)
    path, root = prove_inclusion(3, 4, read), tree_root(4, read)
    early = sign_receipt(new, "inclusion", (4, 3), path, root)
    with pytest.raises(UnknownKey, match=r"at size 4: .* counts from size 5 on"):
        early.verify_inclusion(ENTRIES[3], spans)


def test_a_receipt_of_a_proof():
    """Only of one that the same key signed in a checkpoint: no root gets its first signature here."""
    log = log_of(ENTRIES)
    proof = log.prove(3)
    receipt = sign_proof(log.signer, proof, ENTRIES[3])
    assert receipt.verify_inclusion(ENTRIES[3], POLICY) == log.checkpoint.root
    remote = RemoteKey(KEY.verifier, KEY.sign_bytes)  # as a KMS has it: a function from bytes to a signature
    assert sign_proof(remote, proof, ENTRIES[3]) == receipt
    assert receipt.subject == ORIGIN  # RFC 9943 §6 wants one; a log that names nothing else is its own
    with pytest.raises(ProofMismatch):
        sign_proof(KEY, proof, ENTRIES[4])
    with pytest.raises(UnknownKey):
        sign_proof(SigningKey(ORIGIN, bytes(32)), proof, ENTRIES[3])
    with pytest.raises(MalformedError):
        sign_proof(KEY, Log.create(MemoryStore(), KEY, b"alone").prove(0), b"alone")


def test_a_quorum_is_shown_by_a_checkpoint():
    receipt, grown_ = included(3, 5), grown(3, 5)
    north = Cosigner("north.example/w", ED25519, bytes(32))
    policy = Policy.parse(f"log {KEY.verifier}\nwitness north {north.verifier}\nquorum north\n")
    tree = Checkpoint(ORIGIN, 5, tree_root(5, read))
    old_root = tree_root(3, read)
    with pytest.raises(QuorumNotMet, match="carries no cosignatures"):
        receipt.verify_inclusion(ENTRIES[3], policy)
    with pytest.raises(QuorumNotMet, match="a checkpoint of size 5"):
        grown_.verify_consistency(old_root, policy)
    assert receipt.verify_inclusion(ENTRIES[3], policy, checkpoint=tree) == tree.root
    assert grown_.verify_consistency(old_root, policy, checkpoint=tree) == tree.root
    for other in (replace(tree, size=4), replace(tree, root=bytes(32)), replace(tree, origin="other.example")):
        for accepted in (policy, POLICY):
            with pytest.raises(ProofMismatch):
                receipt.verify_inclusion(ENTRIES[3], accepted, checkpoint=other)


@pytest.mark.parametrize("numbers", [(True, 0), (5, True), (5.0, 3), (None, 0), ("5", 3), (-1, 0), (1 << 63, 0)])
def test_numbers_are_whole_numbers(numbers):
    """`isinstance(True, int)` holds, and CBOR has one for it."""
    for receipt in (included(3, 5), unbound((3, 5))):
        tag = cbor2.loads(bytes(receipt))
        path = cbor2.loads(tag.value[1][396][-1][0])[2]
        tag.value[1][396][-1][0] = cbor2.dumps([*numbers, path], canonical=True)
        head = cbor2.loads(tag.value[0])
        if receipt.bound:
            head[15]["numbers"] = list(numbers)
        tag.value[0] = cbor2.dumps(head, canonical=True)
        with pytest.raises(MalformedError):
            Receipt.parse(cbor2.dumps(tag, canonical=True))


def test_the_numbers_are_signed():
    """RFC 9942 signs the root alone: leaf 2 of 3 has the path that leaf 1 of 2 would have. Ours say both in a claim."""
    receipt = included(2, 3)
    for moved in ((2, 1), (4, 3), (3, 1)):
        with pytest.raises((InvalidSignature, ProofMismatch)):
            replace(receipt, numbers=moved).verify_inclusion(ENTRIES[2], POLICY)
    for grown_, moved in ((grown(4, 9), (4, 11)), (grown(2, 3), (2, 4))):
        with pytest.raises((InvalidSignature, ProofMismatch)):
            replace(grown_, numbers=moved).verify_consistency(tree_root(moved[0], read), POLICY)
    tag = cbor2.loads(bytes(receipt))
    path = cbor2.loads(tag.value[1][396][-1][0])[2]
    tag.value[1][396][-1][0] = cbor2.dumps([2, 1, path], canonical=True)
    with pytest.raises(MalformedError, match=r"its proof is about \(2, 1\), its signed claim about \[3, 2\]"):
        Receipt.parse(cbor2.dumps(tag, canonical=True))


def test_numbers_that_others_do_not_sign():
    """The root is proven all the same; the numbers by a checkpoint alone."""
    receipt = unbound((2, 3))
    assert not Receipt.parse(bytes(receipt)).bound
    moved = replace(receipt, numbers=(2, 1))
    tree = Checkpoint(ORIGIN, 3, tree_root(3, read))
    for said in (receipt, moved):
        assert said.verify_inclusion(ENTRIES[2], POLICY) == tree.root
    assert receipt.verify_inclusion(ENTRIES[2], POLICY, checkpoint=tree) == tree.root
    with pytest.raises(ProofMismatch, match="its tree of 2 entries"):
        moved.verify_inclusion(ENTRIES[2], POLICY, checkpoint=tree)


CLAIMS = {1: ORIGIN, 2: "work", 6: 1_790_000_000, "their own": [1, {"x": b"y"}]}


def signed_by_others(*, claims: dict | None = None, order: tuple[int, ...] = (395, 15, 4, 1), **more) -> bytes:
    """A receipt for entry 3 of 5 as another program writes it: its own order of labels, and claims of its own."""
    head = {1: -8, 4: key_id_of(KEY.verifier), 15: CLAIMS if claims is None else claims, 395: 1}
    protected = cbor2.dumps({label: head[label] for label in order} | more)
    signature = KEY.sign_bytes(cbor2.dumps(["Signature1", protected, b"", tree_root(5, read)]))
    proof = cbor2.dumps([5, 3, list(prove_inclusion(3, 5, read))])
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {396: {-1: [proof]}}, None, signature]))


def test_a_header_in_the_order_of_others():
    """RFC 9942 asks for no order; what is signed is verified as it stands, and claims of their own do not matter."""
    data = signed_by_others()
    receipt = Receipt.parse(data)
    assert bytes(receipt) == data
    assert (receipt.issuer, receipt.subject, receipt.numbers, receipt.bound) == (ORIGIN, "work", (5, 3), False)
    assert receipt.verify_inclusion(ENTRIES[3], POLICY) == tree_root(5, read)
    with pytest.raises(InvalidSignature):
        receipt.verify_inclusion(ENTRIES[4], POLICY)
    assert split_receipts(join_receipts(ENTRIES[3], [receipt])) == (ENTRIES[3], (receipt,))
    bound = Receipt.parse(signed_by_others(claims=CLAIMS | {"numbers": [5, 3]}))
    assert bound.bound
    assert bound.verify_inclusion(ENTRIES[3], POLICY) == tree_root(5, read)
    for said in ({"kid": bytes(32)}, {"issuer": "other.example"}, {"subject": ""}, {"bound": True}):
        with pytest.raises(MalformedError, match="does not say what it says"):
            replace(receipt, **said)
    with pytest.raises(MalformedError, match="does not say what it says"):
        replace(bound, numbers=(4, 2))


@pytest.mark.parametrize(
    "changes",
    [
        {"claims": CLAIMS | {"numbers": [5, 2]}},
        {"claims": CLAIMS | {"numbers": [5, 3, 0]}},
        {"claims": CLAIMS | {"numbers": [5.0, 3]}},
        {"claims": CLAIMS | {"numbers": None}},
        {"claims": CLAIMS | {b"bytes": 1}},
        {"claims": CLAIMS | {7.5: 1}},
        {"claims": {True: ORIGIN}},
        {"claims": {2: "no issuer"}},
        {"order": (1, 4, 15)},
        {"crit": [15]},
    ],
)
def test_headers_of_others_that_are_refused(changes):
    with pytest.raises(MalformedError):
        Receipt.parse(signed_by_others(**changes))


def test_a_header_has_no_label_twice_and_no_long_form():
    good = signed_by_others()
    head = cbor2.loads(good).value[0]
    for wrong in (
        b"\xa5" + head[1:] + b"\x01\x27",  # the algorithm twice
        b"\xbf" + head[1:] + b"\xff",  # indefinite length
        head.replace(b"\x01\x27", b"\x01\x38\x07"),  # -8 in two bytes
        head.replace(b"\x01\x27", b"\xf9\x3c\x00\x27"),  # 1.0 for 1
        head + b"\0",
    ):
        tag = cbor2.loads(good)
        tag.value[0] = wrong
        with pytest.raises(MalformedError):
            Receipt.parse(cbor2.dumps(tag))


def test_labels_are_whole_numbers():
    """394.0 == 394 in Python, and in CBOR they differ."""
    tag = cbor2.loads(join_receipts(ENTRIES[3], [included(3, 5)]))
    tag.value[1] = {394.0: tag.value[1][394]}
    with pytest.raises(MalformedError, match="one encoding"):
        split_receipts(cbor2.dumps(tag, canonical=True))


def test_an_oracle_verifies_it():
    root = tree_root(5, read)
    (public,) = [cwt.COSEKey.new(key) for key in cbor2.loads(key_set([KEY.verifier]))]
    for receipt in (included(3, 5), grown(3, 5)):
        assert cwt.COSE.new(verify_kid=True).decode(bytes(receipt), public, detached_payload=root) == root


def test_a_transparent_statement():
    receipts = (included(3, 5, subject="work"), grown(5, 9))
    joined = join_receipts(ENTRIES[3], receipts)
    statement, found = split_receipts(joined)
    assert (statement, found) == (ENTRIES[3], receipts)
    assert Statement.parse(statement).event_id == sha256(b"3").digest()
    assert found[0].subject == "work"
    root = found[0].verify_inclusion(statement, POLICY)
    assert found[1].verify_consistency(root, POLICY) == tree_root(9, read)
    for wrong in ((), receipts * 9):
        with pytest.raises(MalformedError):
            join_receipts(ENTRIES[3], wrong)
    with pytest.raises(MalformedError):
        join_receipts(joined, receipts)
    with pytest.raises(MalformedError):
        split_receipts(ENTRIES[3])
    assert parse_receipts(joined) == (statement, receipts)
    assert parse_receipts(bytes(receipts[1])) == (None, receipts[1:])
    for neither in (ENTRIES[3], b"", joined[:-1]):
        with pytest.raises(MalformedError):
            parse_receipts(neither)


def test_key_sets():
    keys = (KEY.verifier, SigningKey(ORIGIN, bytes(32)).verifier)
    data = key_set(keys)
    assert parse_key_set(data, ORIGIN) == keys
    assert key_id_of(KEY.verifier) == PublicKey.from_ed25519(KEY.verifier.public).thumbprint
    for wrong in (b"", data + b"\0", data[:-1], b"\x80", cbor2.dumps([{1: 2}]), cbor2.dumps({})):
        with pytest.raises(MalformedError):
            parse_key_set(wrong, ORIGIN)


@pytest.mark.parametrize(
    "change",
    [
        lambda tag: tag.value.__setitem__(2, b"root"),
        lambda tag: tag.value[1].__setitem__(4, b"kid"),
        lambda tag: tag.value[1].__setitem__(396, {-1: [], -2: []}),
        lambda tag: tag.value[1].__setitem__(396, {-3: [b""]}),
        lambda tag: tag.value[1].__setitem__(396, {-1: tag.value[1][396][-1] * 2}),
        lambda tag: tag.value.__setitem__(0, cbor2.dumps({1: -8}, canonical=True)),
        lambda tag: tag.value.__setitem__(3, bytes(63)),
        lambda tag: setattr(tag, "tag", 98),
        lambda tag: tag.value.append(1),
    ],
)
def test_other_shapes_are_refused(change):
    tag = cbor2.loads(bytes(included(3, 5)))
    change(tag)
    with pytest.raises(MalformedError):
        Receipt.parse(cbor2.dumps(tag, canonical=True))


def _claim(tag, said):
    head = cbor2.loads(tag.value[0])
    head[15] |= {"numbers": said}
    tag.value[0] = cbor2.dumps(head, canonical=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda tag, big: tag.value[1][396].__setitem__(-1, [cbor2.dumps([big, 3, [bytes(32)]])]),
        lambda tag, big: tag.value[1].__setitem__(396, {big: [b""]}),
        lambda tag, big: tag.value.__setitem__(0, cbor2.dumps(cbor2.loads(tag.value[0]) | {1: big}, canonical=True)),
        lambda tag, big: tag.value.__setitem__(0, cbor2.dumps(cbor2.loads(tag.value[0]) | {395: big}, canonical=True)),
        lambda tag, big: _claim(tag, [big, 3]),
        lambda tag, big: _claim(tag, [big, None]),
    ],
)
def test_numbers_of_thousands_of_digits(change):
    """Python refuses to write them out, with an error of its own."""
    tag = cbor2.loads(bytes(included(3, 5)))
    change(tag, 1 << 30_000)
    with pytest.raises(MalformedError, match="a number of thousands of digits"):
        Receipt.parse(cbor2.dumps(tag, canonical=True))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd2",
        b"\xd2\x84\x5f\x41\x00\xff\xa0\xf6\x40",  # indefinite length
        b"\xd2\x84\x40\xa2\x01\x00\x01\x00\xf6\x40",  # a key twice
        b"\x9f" * 5000,
        b"\x81" * 5000,
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xd9\xd9\xf7\xd8\x23\xd8\x2b\x80",  # a tag that cannot be hashed
        bytes.fromhex("d82383a2a2f441780000f90000814178f90000c482417860814178"),  # a fraction of text
        b"\xc0\x61x",
        b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x01",
        b"\xd2\x84\x40\xa0\xf6\x40" * 3000,
    ],
)
def test_other_bytes_are_refused(data):
    for parse in (Receipt.parse, split_receipts, lambda raw: parse_key_set(raw, ORIGIN)):
        with pytest.raises(MalformedError):
            parse(data)
