"""Proofs that somebody kept: what the front desk hands out, and the one answer for each form, under a policy alone."""

from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest

from adapters import connect
from ledger import Checkpoint, Log, MalformedError, NotFound, Policy, ProofMismatch, SigningKey, UnknownKey
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner
from ledger.merkle import leaf_hash
from ledger.receipt import join_receipts, sign_proof, sign_receipt, split_receipts
from ledger.testing import MemoryStore
from provenance import Statement
from provenance.offline import verify_proof, verify_receipt

STRANGER = SigningKey("elsewhere.example/log", bytes(32))


@pytest.fixture
def sold(market):
    """The market, a work in its log, the transparent statement of it, and the policy of a reader."""
    work = market.work()
    return market, work, market.ledger.transparent_statement(work), market.ledger.log.policy


def words(verdict):
    return [(check.name, check.status, check.word) for check in verdict.checks]


def test_what_the_desk_hands_out(sold):
    market, work, data, policy = sold
    found = market.ledger.receipt(work)
    statement, (receipt,) = split_receipts(data)
    assert statement == found.entry
    assert receipt == market.ledger.cose_receipt(work)
    assert receipt.numbers == (market.ledger.log.checkpoint.size, found.index)
    assert receipt.path == found.proof.hashes
    assert (receipt.issuer, receipt.subject) == (market.ledger.origin, Statement.parse(statement).type)
    assert receipt.verify_inclusion(found.entry, policy) == market.ledger.log.checkpoint.root


def test_what_is_not_published_has_no_receipt(sold):
    market, work, _, _ = sold
    ledger = connect(market.url, signs=False)
    with pytest.raises(UnknownKey, match="verifier key only"):
        ledger.cose_receipt(work)
    with pytest.raises(UnknownKey, match="verifier key only"):
        ledger.cose_consistency(2)
    waiting = ledger.register_party("person")
    with pytest.raises(NotFound, match="call publish"):
        market.ledger.transparent_statement(waiting)
    market.ledger.publish()
    assert verify_receipt(market.ledger.transparent_statement(waiting), ledger.log.policy).record == "intact"


def test_that_the_log_grew(sold):
    market, _, _, policy = sold
    old = market.ledger.log.checkpoint
    with pytest.raises(MalformedError):
        market.ledger.cose_consistency(old.size)
    with pytest.raises(ProofMismatch):
        market.ledger.cose_consistency(old.size + 1)
    market.work(b"more")
    receipt = market.ledger.cose_consistency(old.size)
    assert receipt.subject == market.ledger.origin
    assert receipt.verify_consistency(old.root, policy) == market.ledger.log.checkpoint.root
    alone = verify_receipt(bytes(receipt), policy, known={old.size: old}.get)
    assert words(alone) == [("receipt", "ok", "grown")]
    assert alone.size == market.ledger.log.checkpoint.size
    wrong = {old.size: replace(old, root=bytes(32))}.get
    assert verify_receipt(bytes(receipt), policy, known=wrong).record == "altered"


def test_receipts_of_several_trees_and_logs(sold):
    """The root that one receipt proves is where the next begins; another log's counts for whoever accepts that log."""
    market, _, data, policy = sold
    statement, (receipt,) = split_receipts(data)
    old = market.ledger.log.checkpoint.size
    market.work(b"more")
    grown = market.ledger.cose_consistency(old)
    path = (leaf_hash(b"other"),)
    theirs = sign_receipt(STRANGER, "inclusion", (2, 0), path, Checkpoint("", 0, bytes(32)).root)
    joined = join_receipts(statement, [grown, receipt, theirs])
    verdict = verify_receipt(joined, policy)
    assert verdict.record == "intact"
    assert verdict.size == market.ledger.log.checkpoint.size
    assert words(verdict) == [
        ("receipt 3", "note", "no policy"),
        ("receipt 2", "ok", "included"),
        ("receipt 1", "ok", "grown"),
        ("statement", "note", "not checked"),
    ]
    assert verify_receipt(join_receipts(statement, [theirs]), policy).record == "cannot check"
    both = Policy.of(*policy.keys(market.ledger.origin), STRANGER.verifier)
    assert verify_receipt(joined, both).record == "altered"  # it is not signed over the root of its own path
    other_key = Policy.of(SigningKey(market.ledger.origin, bytes(32)).verifier)
    assert words(verify_receipt(bytes(receipt), other_key, entry=statement))[0] == ("receipt", "unknown", "unknown key")
    retired = Policy(tuple(replace(line, last=2) for line in policy.logs))
    assert words(verify_receipt(bytes(receipt), retired, entry=statement))[0] == ("receipt", "bad", "retired key")


def test_witnesses(sold):
    market, _, data, policy = sold
    tree = market.ledger.log.checkpoint
    north = Cosigner("north.example/w", ED25519, bytes(32)).verifier
    strict = Policy.parse(f"log {policy.logs[0].key}\nwitness north {north}\nquorum north\n")
    assert words(verify_receipt(data, strict))[0] == ("receipt", "unknown", "no quorum")
    assert verify_receipt(data, strict, known={tree.size: tree}.get).record == "intact"
    other = Checkpoint(tree.origin, tree.size, bytes(32))
    assert words(verify_receipt(data, strict, known={tree.size: other}.get))[0] == ("receipt", "bad", "mismatch")


def test_a_policy_for_the_day_when_ed25519_falls(sold):
    """Receipts are signed with Ed25519 alone: such a policy cannot check them."""
    market, _, data, _ = sold
    later = Policy.of(Cosigner(market.ledger.origin, ML_DSA_44, bytes(32)).verifier)
    verdict = verify_receipt(data, later)
    assert (verdict.record, words(verdict)[0]) == ("cannot check", ("receipt", "unknown", "no policy"))


def test_a_tlog_proof(sold):
    market, work, _, policy = sold
    found = market.ledger.receipt(work)
    data = bytes(found.proof)
    verdict = verify_proof(data, policy, entry=found.entry, event=found.event)
    assert words(verdict) == [
        ("proof", "ok", "included"),
        ("statement", "note", "not checked"),
        ("event", "ok", "disclosed"),
    ]
    assert (verdict.record, verdict.size) == ("intact", market.ledger.log.checkpoint.size)
    assert words(verify_proof(data, policy, entry=None)) == [("proof", "unknown", "no entry")]
    other = verify_proof(data, policy, entry=found.entry, event=b"{}")
    assert words(other)[2] == ("event", "bad", "mismatch")
    another = market.ledger.receipt(market.ada).entry
    assert words(verify_proof(data, policy, entry=another))[0] == ("proof", "bad", "mismatch")


def test_a_tlog_proof_under_other_policies(sold):
    market, work, _, policy = sold
    found = market.ledger.receipt(work)
    data = bytes(found.proof)
    north = Cosigner("north.example/w", ED25519, bytes(32)).verifier
    strict = Policy.parse(f"log {policy.logs[0].key}\nwitness north {north}\nquorum north\n")
    for other, word in (
        (Policy.of(STRANGER.verifier), "no policy"),
        (Policy.of(SigningKey(market.ledger.origin, bytes(32)).verifier), "unknown key"),
        (strict, "no quorum"),
    ):
        verdict = verify_proof(data, other, entry=found.entry)
        assert (verdict.record, words(verdict)[0]) == ("cannot check", ("proof", "unknown", word))
    retired = Policy(tuple(replace(line, last=2) for line in policy.logs))
    assert words(verify_proof(data, retired, entry=found.entry))[0] == ("proof", "bad", "retired key")
    forged = data.replace(market.ledger.origin.encode() + b"\n", market.ledger.origin.encode() + b"\n1", 1)
    assert words(verify_proof(forged, policy, entry=found.entry))[0] == ("proof", "bad", "bad signature")
    for wrong in (b"", data[:-1], data + b"\0"):
        with pytest.raises(MalformedError):
            verify_proof(wrong, policy, entry=found.entry)


def test_a_statement_for_another_log(sold):
    """A log that takes in what was signed for another one proves that it did, and nothing more."""
    market, work, _, policy = sold
    entry = market.ledger.receipt(work).entry
    log = Log.create(MemoryStore(), STRANGER, b"genesis")
    log.append(entry)
    log.publish()
    taken = sign_proof(STRANGER, log.prove(1), entry)
    assert words(verify_receipt(bytes(taken), log.policy, entry=entry)) == [
        ("receipt", "ok", "included"),
        ("statement", "bad", "for another log"),
    ]
    own = market.ledger.cose_receipt(work)
    both = Policy.of(*policy.keys(market.ledger.origin), STRANGER.verifier)
    assert verify_receipt(join_receipts(entry, [own, taken]), both).record == "intact"
    assert verify_proof(bytes(log.prove(1)), log.policy, entry=entry).record == "altered"


def test_statements_of_another_form(sold):
    """Other services log other statements; a receipt for one is worth the same, and nothing is said of its content."""
    market, _, data, policy = sold
    _, (receipt,) = split_receipts(data)
    other = cbor2.dumps(cbor2.CBORTag(18, [b"\xa0", {}, b"payload", b"signature"]), canonical=True)
    verdict = verify_receipt(join_receipts(other, [receipt]), policy)
    assert words(verdict) == [("receipt", "bad", "bad signature"), ("statement", "note", "another form")]
    assert verdict.claim == ""
    for wrong in (b"", other, market.ledger.receipt(market.ada).entry, data + b"\0"):
        with pytest.raises(MalformedError):
            verify_receipt(wrong, policy)
