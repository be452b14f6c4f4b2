"""COSE receipts beside `scitt-cose`, which shares no code with ours: each reads the other's."""

from __future__ import annotations

import pytest
import scitt_cose
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ledger import InvalidSignature, MalformedError, Policy, ProofMismatch, SigningKey
from ledger.receipt import Receipt, join_receipts, key_id_of, parse_receipts, sign_proof
from tests.ledger.test_receipt import ENTRIES, KEY, PARTY_SEED, POLICY, included, log_of

SECRET = Ed25519PrivateKey.from_private_bytes(KEY.seed)
PEM = SECRET.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(seed: bytes) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verify(receipt: bytes, entry: bytes, *, seed: bytes = KEY.seed) -> bool:
    found = scitt_cose.verify_receipt(receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=public_pem(seed))
    return bool(found.ok)


def theirs(index: int, size: int, **options: object) -> bytes:
    entries = [entry.hex() for entry in ENTRIES[:size]]
    return scitt_cose.build_receipt(
        leaf_entry_hex=entries[index],
        leaf_index=index,
        tree_entries_hex=entries,
        alg="EdDSA",
        log_private_key_pem=PEM,
        **options,
    )


def test_it_verifies_ours():
    for size in range(2, len(ENTRIES) + 1):
        for index in range(size):
            receipt = bytes(included(index, size, subject="work.create"))
            assert verify(receipt, ENTRIES[index])
            assert not verify(receipt, ENTRIES[(index + 1) % size])
            assert not verify(receipt, ENTRIES[index], seed=bytes(32))


def test_it_takes_our_transparent_statements_apart():
    log = log_of(ENTRIES)
    receipt = sign_proof(log.signer, log.prove(3), ENTRIES[3])
    joined = join_receipts(ENTRIES[3], [receipt])
    assert scitt_cose.extract_receipts(joined) == [bytes(receipt)]
    assert scitt_cose.attach_receipts(ENTRIES[3], [bytes(receipt)]) == joined
    said = scitt_cose.parse_signed_statement(joined, public_key_pem=public_pem(PARTY_SEED))
    assert said["signature_verified"] is True
    assert (said["issuer"], said["subject"]) == ("ab" * 32, "work.create")
    assert said["payload"] == ENTRIES[3][-98:-66]
    other = scitt_cose.parse_signed_statement(joined, public_key_pem=public_pem(KEY.seed))
    assert other["signature_verified"] is False


@pytest.mark.parametrize("more", [{}, {"sub": "work.create"}, {"sub": "work.create", "iat": 1_790_000_000}])
def test_ours_verifies_its(more):
    """Their labels stand in another order, and no claim says which place the proof is about."""
    for size in range(2, len(ENTRIES) + 1):
        for index in range(size):
            data = theirs(index, size, iss=KEY.name, kid=key_id_of(KEY.verifier), **more)
            receipt = Receipt.parse(data)
            assert bytes(receipt) == data
            assert (receipt.numbers, receipt.bound, receipt.subject) == ((size, index), False, more.get("sub", ""))
            receipt.verify_inclusion(ENTRIES[index], POLICY)
            with pytest.raises((InvalidSignature, ProofMismatch)):
                receipt.verify_inclusion(ENTRIES[(index + 1) % size], POLICY)
    joined = scitt_cose.attach_receipts(ENTRIES[10], [data])
    assert parse_receipts(joined) == (ENTRIES[10], (receipt,))


def test_what_of_its_is_refused():
    """A receipt that names no log, no key, or another label than ours; and one of a tree of one leaf."""
    named = {"iss": KEY.name, "kid": key_id_of(KEY.verifier)}
    for options in ({}, {"iss": KEY.name}, {"kid": named["kid"]}, named | {"grade": "gold"}):
        with pytest.raises(MalformedError):
            Receipt.parse(theirs(3, 5, **options))
    with pytest.raises(MalformedError, match="0 hashes"):
        Receipt.parse(theirs(0, 1, **named))
    other = SigningKey(KEY.name, bytes(32))
    receipt = Receipt.parse(theirs(3, 5, iss=KEY.name, kid=key_id_of(other.verifier)))
    with pytest.raises(InvalidSignature):
        receipt.verify_inclusion(ENTRIES[3], Policy.of(other.verifier))
