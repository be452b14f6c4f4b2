"""Outside identities: did:key against published vectors, documents and certificates as bytes, both sides signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedError
from provenance.before import Before
from provenance.canonical import address, dumps
from provenance.identity import did_key, link_objections, links_of, parse_did_key, sign_link
from provenance.identity.did import keys_of_certificate, keys_of_document
from provenance.index import Index, facts_of
from provenance.keys import PartyKey, PartySigner, PublicKey, RemotePartyKey

LEDGER = "market.example/log"
PARTY, OTHER = "ab" * 32, "cd" * 32
SEED = b"\x07" * 32
KEY = PartyKey.from_seed(SEED)
WEB = "did:web:ada.example"


# Keys


@given(st.binary(min_size=32, max_size=32))
def test_did_key_round_trip(seed: bytes) -> None:
    key = PartyKey.from_seed(seed).public
    assert parse_did_key(did_key(key)) == key


@given(st.integers(1, 2**128))
def test_did_key_round_trip_of_p256(secret: int) -> None:
    numbers = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    key = PublicKey("P-256", numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
    assert parse_did_key(did_key(key)) == key


def test_did_key_vectors(vectors: Any) -> None:
    """Two kinds of key sign here; the others are refused by name, and what is no did:key as well."""
    cases = json.loads((vectors / "keys" / "did_key.json").read_text("utf-8"))
    read = 0
    for case in cases["valid"]:
        raw = bytes.fromhex(case["raw_public_key_hex"])
        if case["type"] == "ed25519-pub":
            assert parse_did_key(case["did"]) == PublicKey.from_ed25519(raw)
        elif case["type"] == "p256-pub":
            key = parse_did_key(case["did"])
            assert bytes((2 + (key.y[-1] & 1),)) + key.x == raw
        else:
            with pytest.raises(MalformedError, match="codec"):
                parse_did_key(case["did"])
            continue
        assert did_key(parse_did_key(case["did"])) == case["did"]
        read += 1
    assert read == 4
    assert len(cases["invalid"]) == 14
    for case in cases["invalid"]:
        with pytest.raises(MalformedError):
            parse_did_key(case["did"])


def test_did_keys_of_atproto(vectors: Any) -> None:
    cases = json.loads((vectors / "keys" / "atproto" / "w3c_didkey_P256.json").read_text("utf-8"))
    assert cases
    for case in cases:
        assert did_key(parse_did_key(case["publicDidKey"])) == case["publicDidKey"]
    for case in json.loads((vectors / "keys" / "atproto" / "w3c_didkey_K256.json").read_text("utf-8")):
        with pytest.raises(MalformedError, match="codec"):
            parse_did_key(case["publicDidKey"])


@given(st.text(max_size=80))
def test_any_other_text_is_refused(text: str) -> None:
    for did in (text, f"did:key:{text}", f"did:key:z{text}", did_key(KEY.public) + text):
        try:
            assert did_key(parse_did_key(did)) == did
        except MalformedError:
            continue


def test_did_documents_of_the_vectors_hold_their_key(vectors: Any) -> None:
    cases = json.loads((vectors / "keys" / "did_key.json").read_text("utf-8"))
    document = next(case for case in cases["valid"] if "did_document" in case)
    data = json.dumps(document["did_document"]).encode()
    assert keys_of_document(data, document["did"]) == [parse_did_key(document["did"])]
    with pytest.raises(MalformedError):
        keys_of_document(data, "did:web:other.example")
    for bad in (b"", b"[]", b'{"id":"did:web:x"}', b"{" + b" " * 70_000 + b"}"):
        with pytest.raises(MalformedError):
            keys_of_document(bad, "did:web:x")


def web_document(*keys: PublicKey, did: str = WEB) -> bytes:
    methods: list[Any] = [
        {"id": f"{did}#{n}", "publicKeyJwk": {**key.jwk(), "alg": "EdDSA"}} for n, key in enumerate(keys)
    ]
    return json.dumps({"id": did, "verificationMethod": [7, {"publicKeyMultibase": "zzz"}, *methods]}).encode()


def certificate(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Ada")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + timedelta(days=30))
    return builder.sign(key, None if isinstance(key, Ed25519PrivateKey) else SHA256()).public_bytes(Encoding.DER)


def test_keys_of_certificates() -> None:
    der = certificate(Ed25519PrivateKey.from_private_bytes(SEED))
    fingerprint = sha256(der).hexdigest()
    assert keys_of_certificate(der, fingerprint) == [KEY.public]
    with pytest.raises(MalformedError):
        keys_of_certificate(der, "00" * 32)
    with pytest.raises(MalformedError):
        keys_of_certificate(b"no DER", sha256(b"no DER").hexdigest())
    p256 = certificate(ec.derive_private_key(5, ec.SECP256R1()))
    assert [key.curve for key in keys_of_certificate(p256, sha256(p256).hexdigest())] == ["P-256"]
    other = certificate(rsa.generate_private_key(65537, 2048))
    assert keys_of_certificate(other, sha256(other).hexdigest()) == []


# Links


def link(scheme: str, other: Any, *, proof: Any = None, actor: str = PARTY, **body: Any) -> dict[str, Any]:
    if proof is not None:
        body["proof"] = proof
    refs = [] if other is None else [{"role": "other", "id": other}]
    return {
        "type": "party.link",
        "actor": actor,
        "ledger": LEDGER,
        "body": {"scheme": scheme, **body},
        "refs": refs,
    }


def outside(
    scheme: str, other: str, *, signer: PartySigner = KEY, said: str | None = None, **body: Any
) -> dict[str, Any]:
    proof = sign_link(signer, ledger=LEDGER, party=PARTY, scheme=scheme, other=said or other)
    return link(scheme, {"scheme": scheme, "id": other}, proof=proof, **body)


def rules(event: dict[str, Any]) -> list[str]:
    return [reason.rule for reason in link_objections(event)]


def test_a_link_must_hold_in_itself() -> None:
    did = did_key(KEY.public)
    assert rules(outside("did:key", did)) == []
    assert rules(outside("did:key", did, signer=PartyKey.from_seed(b"\x08" * 32))) == ["party.link.key"]
    assert rules(outside("did:key", did, said="did:key:zOther")) == ["party.link.proof"]
    assert rules(link("did:key", {"scheme": "did:web", "id": WEB})) == ["party.link.other"]
    assert rules(link("did:key", None)) == ["party.link.other"]
    assert rules(link("did:key", {"scheme": "did:key", "id": did})) == []  # one-sided, and no lie
    assert rules(link("party", {"scheme": "did:web", "id": WEB})) == ["party.link.other"]
    assert rules(link("party", OTHER)) == []
    assert rules(link("account", None)) == []


def test_a_link_signed_by_a_key_that_lies_elsewhere() -> None:
    private = ec.derive_private_key(7, ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    public = PublicKey("P-256", numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
    signer = RemotePartyKey(public, lambda message: private.sign(message, ec.ECDSA(SHA256())))
    event = outside("did:key", did_key(public), signer=signer)
    assert event["body"]["proof"]["alg"] == "ES256"
    assert rules(event) == []


@pytest.mark.parametrize("change", [{"alg": "none"}, {"alg": "ES256"}, {"signature": "A" * 86}, {"signature": "??"}])
def test_a_proof_that_does_not_verify_is_refused(change: dict[str, str]) -> None:
    event = outside("did:key", did_key(KEY.public))
    event["body"]["proof"] = {**event["body"]["proof"], **change}
    assert rules(event) == ["party.link.proof"]


@pytest.mark.parametrize("field", ["ledger", "actor"])
def test_a_proof_is_for_one_party_of_one_log(field: str) -> None:
    event = outside("did:key", did_key(KEY.public))
    event[field] = OTHER if field == "actor" else "other.example/log"
    assert rules(event) == ["party.link.proof"]


class Written:
    """Events in an index, one entry each."""

    def __init__(self) -> None:
        self.index = Index.in_memory()
        self.events: dict[bytes, bytes] = {}

    def add(self, event: dict[str, Any]) -> bytes:
        envelope = {"v": 1, "kind": "event", "ledger": LEDGER, "strength": "self", "claimed_at": "2026-11-23T07:15:00Z"}
        data = dumps({**envelope, "commits": {}, "salt": f"{len(self.events):064x}", **event})
        own = address(data)
        facts = facts_of(event_id=own, type=event["type"], issuer=event["actor"], sealed=False, event=data)
        self.index.write(len(self.events), [facts])
        self.events[own] = data
        return own

    def states(self, documents: dict[str, bytes] | None = None, size: int | None = None) -> list[str]:
        before = Before(self.index, self.events.get, market=b"")
        if size is not None:
            before = before.at(size)
        return [found.state for found in links_of(bytes.fromhex(PARTY), before, documents=(documents or {}).get)]


def test_a_link_counts_when_the_other_side_has_signed() -> None:
    log = Written()
    document, der = web_document(KEY.public), certificate(Ed25519PrivateKey.from_private_bytes(SEED))
    digest, fingerprint = sha256(document).hexdigest(), sha256(der).hexdigest()
    log.add(outside("did:key", did_key(KEY.public)))
    log.add(outside("did:web", WEB, document_digest=digest))
    log.add(outside("x509", fingerprint))
    log.add(link("did:key", {"scheme": "did:key", "id": did_key(KEY.public)}))
    log.add(link("account", None))
    log.add(outside("did:web", WEB))
    assert log.states() == ["counts", *["one-sided"] * 5]
    given = {digest: document, fingerprint: der}
    assert log.states(given) == ["counts", "counts", "counts", *["one-sided"] * 3]
    assert log.states({digest: document + b" ", fingerprint: der})[1] == "one-sided"
    assert log.states({digest: document, fingerprint: b"other"})[2] == "one-sided"


def test_a_document_that_does_not_hold_the_key_links_nothing() -> None:
    log = Written()
    document = web_document(PartyKey.from_seed(b"\x09" * 32).public)
    digest = sha256(document).hexdigest()
    log.add(outside("did:web", WEB, document_digest=digest))
    assert log.states({digest: document}) == ["one-sided"]


@pytest.mark.parametrize("answers", [["yes"], ["no"], ["no", "yes"], []])
def test_a_party_of_this_log_answers(answers: list[str]) -> None:
    log = Written()
    made = log.add(link("party", OTHER))
    for answer in answers:
        stranger = {"type": "assent.answer", "actor": "ef" * 32, "body": {"answer": "yes"}}
        log.add({**stranger, "refs": [{"role": "of", "id": made.hex()}]})
        said = {"type": "assent.answer", "actor": OTHER, "body": {"answer": answer}}
        log.add({**said, "refs": [{"role": "of", "id": made.hex()}]})
    assert log.states() == ["counts" if answers[:1] == ["yes"] else "one-sided"]


@pytest.mark.parametrize("actor", [PARTY, OTHER, "ef" * 32])
def test_either_side_takes_a_link_back(actor: str) -> None:
    log = Written()
    made = log.add(link("party", OTHER))
    log.add(
        {"type": "assent.answer", "actor": OTHER, "body": {"answer": "yes"}, "refs": [{"role": "of", "id": made.hex()}]}
    )
    log.add({"type": "party.unlink", "actor": actor, "body": {}, "refs": [{"role": "link", "id": made.hex()}]})
    assert log.states() == ["unlinked" if actor in {PARTY, OTHER} else "counts"]
    assert log.states(size=2) == ["counts"]
    assert log.states(size=1) == ["one-sided"]
