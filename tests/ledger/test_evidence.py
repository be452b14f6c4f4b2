"""Evidence of a fork: it convicts a log that signed two histories, and never one that only grew."""

from __future__ import annotations

import base64
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger import (
    Checkpoint,
    Client,
    Evidence,
    Fork,
    InvalidSignature,
    LedgerError,
    Log,
    MalformedError,
    Policy,
    ProofMismatch,
    Row,
    SigningKey,
    UnknownKey,
)
from ledger.checkpoint import sign_checkpoint
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner, has_ml_dsa
from ledger.evidence import MAX_EVIDENCE, cosigned, forked
from ledger.merkle import ReadNodes, leaf_hash, prove_consistency, subtree_root, tree_root
from ledger.note import Note
from ledger.policy import Witness
from ledger.testing import MemoryStore
from tests.ledger.altering import altered

KEY = SigningKey("market.example/log", bytes(range(32)))
NEXT = SigningKey("market.example/log", bytes(32))
POLICY = Policy.of(KEY.verifier)
NORTH = Cosigner("north.example/w", ED25519, bytes([1] * 32))
HARBOUR = Cosigner("harbour.example", ED25519, bytes([2] * 32))
NOW = 1_790_000_000


def reader(leaves: list[bytes]) -> ReadNodes:
    return lambda nodes: [subtree_root(leaves[i << level : (i + 1) << level]) for level, i in nodes]


def leaves_of(size: int, fork_at: int | None = None) -> list[bytes]:
    """Leaf hashes of a log, another history from entry `fork_at` on."""
    at = size if fork_at is None else fork_at
    return [leaf_hash(b"%s %d" % (b"entry" if i < at else b"other", i)) for i in range(size)]


def signed(leaves: list[bytes], key: SigningKey = KEY) -> Checkpoint:
    return sign_checkpoint(Checkpoint(key.name, len(leaves), tree_root(len(leaves), reader(leaves))), key)


def evidence(old: int, new: int, fork_at: int = 0) -> Evidence:
    one, two = leaves_of(old), leaves_of(new, fork_at)
    return Evidence.of(signed(one), signed(two), reader(two))


# Conviction


@given(st.integers(1, 70), st.integers(1, 70), st.data())
def test_two_histories_convict_whichever_was_seen_first(old, new, data):
    fork_at = data.draw(st.integers(0, min(old, new) - 1))
    one, two = leaves_of(old), leaves_of(new, fork_at)
    larger = one if old > new else two
    found = Evidence.of(signed(one), signed(two), reader(larger))
    assert Evidence.parse(bytes(found)) == found
    proven = found.verify(POLICY)
    assert {proven.old, proven.new} == {signed(one), signed(two)}
    assert (proven.old.size, proven.new.size) == (min(old, new), max(old, new))
    assert proven.root == tree_root(proven.old.size, reader(larger)) != proven.old.root
    assert second_opinion(bytes(found))


@given(st.integers(1, 70), st.integers(1, 70), st.data())
def test_a_log_that_only_grew_is_never_convicted(old, new, data):
    assume(old <= new)
    honest = leaves_of(new)
    first, second = signed(honest[:old]), signed(honest)
    with pytest.raises(ProofMismatch, match="that is no fork"):
        Evidence.of(first, second, reader(honest))
    if old == new:
        assert not convicts(Evidence(first.signed, second.signed))
        return
    other = leaves_of(new, data.draw(st.integers(0, new - 1)))
    liars = [reader(other), reader(honest), lambda nodes: [data.draw(st.sampled_from(honest + other)) for _ in nodes]]
    for read in liars:
        root = data.draw(st.sampled_from([tree_root(old, read), first.root, *honest, *other]))
        hashes = data.draw(st.permutations(prove_consistency(old, new, read)))
        assert not convicts(Evidence(first.signed, second.signed, root, tuple(hashes)))


def convicts(found: Evidence) -> bool:
    try:
        found.verify(POLICY)
    except LedgerError:
        return False
    return True


@pytest.mark.parametrize("old,new", [(5, 5), (5, 9), (8, 9), (1, 64)])
def test_every_change_is_refused_or_says_the_same(old, new):
    data = bytes(evidence(old, new))
    want = Evidence.parse(data).verify(POLICY)

    @given(altered(data))
    def holds(changed):
        try:
            got = Evidence.parse(changed).verify(POLICY)
        except LedgerError:
            return
        # Only lines that no key of the policy signed can have changed.
        assert (got.old, got.new, got.root) == (want.old, want.new, want.root)

    holds()


@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_the_parser_raises_one_class(data):
    with pytest.raises(MalformedError):
        Evidence.parse(data)
    with pytest.raises(MalformedError):
        Evidence.parse(b"provenance.fork@v1\n\n" + data)


@given(altered(bytes(evidence(5, 9))))
def test_what_is_parsed_is_what_was_written(changed):
    try:
        found = Evidence.parse(changed)
    except MalformedError:
        return
    assert bytes(found) == changed


def test_each_line_is_needed():
    lines = bytes(evidence(11, 23)).split(b"\n")
    for at, line in enumerate(lines[:-1]):
        with pytest.raises(LedgerError):
            Evidence.parse(b"\n".join(lines[:at] + lines[at + 1 :])).verify(POLICY)
        if not line.startswith("— ".encode()):  # a signature may stand there twice, as in any note
            with pytest.raises(LedgerError):
                Evidence.parse(b"\n".join(lines[: at + 1] + lines[at:])).verify(POLICY)


# Who signed


def test_only_keys_of_the_policy_convict():
    found = evidence(5, 9)
    with pytest.raises(UnknownKey):
        found.verify(Policy.of(NEXT.verifier))
    with pytest.raises(UnknownKey, match="no policy for origin"):
        found.verify(Policy.of(SigningKey.generate("other.example/log").verifier))
    framed = leaves_of(9, 0)
    forged = Evidence.of(signed(leaves_of(5)), signed(framed, NEXT), reader(framed))
    with pytest.raises(UnknownKey):
        forged.verify(POLICY)
    assert forged.verify(Policy.of(KEY.verifier, NEXT.verifier)).new.size == 9


def test_a_signature_over_another_tree():
    one, two = signed(leaves_of(5)), signed(leaves_of(5, 2))
    text = Note.parse(two.signed).text
    with pytest.raises(InvalidSignature):
        Evidence(one.signed, bytes(Note(text, Note.parse(one.signed).signatures))).verify(POLICY)


def test_no_witness_is_needed_and_those_that_saw_it_are_named():
    policy = Policy(
        POLICY.logs, (Witness("north", NORTH.verifier), Witness("harbour", HARBOUR.verifier)), quorum="north"
    )
    one, two = signed(leaves_of(5)), signed(leaves_of(5, 2))
    assert Evidence.of(one, two).verify(policy).new_seen == {}
    note = Note.parse(one.signed)
    good = NORTH.sign(one, time=NOW)
    bad = HARBOUR.sign(two, time=NOW)  # over another tree
    seen = bytes(Note(note.text, (*note.signatures, good, bad, Cosigner.generate("x").sign(one, time=1))))
    proven = Evidence.of(replace(one, signed=seen), two).verify(policy)
    assert (proven.old_seen, proven.new_seen) == ({"north": NOW}, {})
    assert cosigned(proven.old, POLICY) == {}


def test_a_log_that_signs_with_ml_dsa_is_convicted_too():
    if not has_ml_dsa():
        pytest.skip("the installed `cryptography` has no ML-DSA")
    key = Cosigner(KEY.name, ML_DSA_44, bytes([4] * 32))
    trees = [leaves_of(5), leaves_of(9, 0)]
    one, two = (Checkpoint(KEY.name, len(tree), tree_root(len(tree), reader(tree))) for tree in trees)
    one, two = (replace(t, signed=bytes(Note(str(t), (key.sign(t, time=NOW),)))) for t in (one, two))
    found = Evidence.of(one, two, reader(trees[1]))
    assert Evidence.parse(bytes(found)).verify(Policy.of(key.verifier)).old == one
    with pytest.raises(UnknownKey):
        found.verify(POLICY)


# What is no evidence


def test_what_cannot_contradict():
    one, two = signed(leaves_of(5)), signed(leaves_of(9, 0))
    elsewhere = signed(leaves_of(9, 0), SigningKey("other.example/log", bytes(32)))
    with pytest.raises(MalformedError, match="want one log"):
        Evidence(one.signed, elsewhere.signed, two.root)
    with pytest.raises(MalformedError, match="want the smaller first"):
        Evidence(two.signed, one.signed, two.root)
    with pytest.raises(MalformedError, match="none of size 0"):
        Evidence(signed([]).signed, two.signed, two.root)
    with pytest.raises(MalformedError, match="want a root and a proof"):
        Evidence(one.signed, two.signed)
    with pytest.raises(MalformedError, match="neither for those of one"):
        Evidence(one.signed, signed(leaves_of(5, 0)).signed, two.root)
    with pytest.raises(MalformedError, match="neither for those of one"):
        Evidence(one.signed, signed(leaves_of(5, 0)).signed, None, (two.root,))
    with pytest.raises(MalformedError, match="64 hashes, want at most 63"):
        Evidence(one.signed, two.signed, two.root, (two.root,) * 64)
    with pytest.raises(MalformedError, match="31 bytes"):
        Evidence(one.signed, two.signed, two.root, (two.root[1:],))
    with pytest.raises(MalformedError, match="note: want text"):
        Evidence.of(replace(one, signed=b""), two, reader(leaves_of(9, 0)))
    with pytest.raises(ProofMismatch, match="no tree that shows"):
        Evidence.of(one, two)
    with pytest.raises(MalformedError, match="want at most"):
        Evidence.parse(bytes(MAX_EVIDENCE + 1))
    assert evidence(5, 9).origin == KEY.name


# Where it comes from


def _log(size: int, entry: bytes = b"entry %d") -> MemoryStore:
    place = MemoryStore()
    log = Log.create(MemoryStore(), KEY, b"entry 0", publish=[place])
    log.extend([Row(entry % i, b"") for i in range(1, size)])
    log.publish()
    return place


@pytest.mark.parametrize("old,new", [(600, 600), (600, 601), (512, 700), (3, 1000)])
def test_a_reader_that_meets_a_fork_brings_the_evidence(old, new):
    seen = Client(_log(old), POLICY).latest()
    with pytest.raises(Fork) as caught:
        Client(_log(new, b"other %d"), POLICY).latest(since=seen)
    found = caught.value.evidence
    assert Evidence.parse(bytes(found)).verify(POLICY).old == seen
    assert second_opinion(bytes(found))


def test_two_roots_for_one_size_need_no_tile():
    place = _log(600, b"other %d")
    place.objects = {"checkpoint": place.objects["checkpoint"]}
    with pytest.raises(Fork) as caught:
        Client(place, POLICY).latest(since=Client(_log(600), POLICY).latest())
    assert caught.value.evidence.verify(POLICY).new.size == 600


def test_without_the_proof_the_error_says_why():
    one, two = signed(leaves_of(5)), signed(leaves_of(9, 0))

    def read(nodes):
        return Client(MemoryStore(), POLICY).reader(nodes)

    error = forked("a fork", one, two, read)
    assert (error.evidence, error.old, error.new) == (None, one, two)
    assert str(error) == "a fork; no evidence can be made of it: checkpoint: not there"


# A second opinion: the file as it is documented, and the literal definition of RFC 9162 §2.1.4.1 turned around


def second_opinion(data: bytes) -> bool:
    head, old, new = (part.removesuffix("\n") for part in split(data.decode()))
    root, hashes = "", head.split("\n")[1:]
    if hashes and hashes[0].startswith("root "):
        root = hashes.pop(0)[5:]
    for note in (old, new):
        text, _, lines = note.partition("\n\n")
        name, _, line = lines.removeprefix("— ").partition(" ")
        assert name == text.split("\n")[0] == KEY.name
        KEY.verifier.verify(text + "\n", Note.parse(note.encode() + b"\n").signatures[0])
        assert line
    m, n = (int(note.split("\n")[1]) for note in (old, new))
    old_root, new_root = (note.split("\n")[2] for note in (old, new))
    if m == n:
        return old_root != new_root
    path = [base64.b64decode(text) for text in hashes]
    first, second = roots(m, n, base64.b64decode(root), path, complete=True)
    assert path == []
    assert [base64.b64encode(first).decode(), base64.b64encode(second).decode()] == [root, new_root]
    return root != old_root


def split(text: str) -> tuple[str, str, str]:
    head, one, two, three, four = text.split("\n\n")
    return head, f"{one}\n\n{two}", f"{three}\n\n{four}"


def roots(m: int, n: int, root: bytes, path: list[bytes], *, complete: bool) -> tuple[bytes, bytes]:
    """Old and new root from SUBPROOF(m, D[n], b), whose hashes are taken from the front of `path`."""
    if m == n:
        node = root if complete else path.pop(0)
        return node, node
    k = 1 << (n - 1).bit_length() - 1
    if m <= k:
        first, second = roots(m, k, root, path, complete=complete)
        return first, sha256(b"\1" + second + path.pop(0)).digest()
    first, second = roots(m - k, n - k, root, path, complete=False)
    left = path.pop(0)
    return sha256(b"\1" + left + first).digest(), sha256(b"\1" + left + second).digest()
