"""Statements: one encoding, every change refused, and a foreign library that reads ours."""

from __future__ import annotations

from contextlib import suppress

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cwt import COSE, COSEKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidSignature, LedgerError, MalformedError, UnknownKey
from provenance.keys import EDDSA, ES256, PartyKey, PublicKey
from provenance.statement import Statement, check_origin, sign_statement

KEY = PartyKey.from_seed(bytes(range(32)))
ISSUER = "4b" * 32
EVENT = bytes(range(100, 132))
ORIGIN = "market.example/log"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

words = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
types = st.lists(words, min_size=2, max_size=4).map(".".join)
origins = st.text(
    st.characters(categories=["Ll", "Lu", "Lo", "Nd", "Po", "So"], exclude_characters="+"), min_size=1, max_size=255
).filter(lambda text: len(text.encode()) <= 255)
ids = st.binary(min_size=32, max_size=32)


def signed(**changes) -> bytes:
    return sign_statement(
        KEY, **{"issuer": ISSUER, "type": "work.create", "origin": ORIGIN, "event_id": EVENT} | changes
    )


def judge(data: bytes) -> None:
    """What a reader does with an entry."""
    Statement.parse(data).verify(KEY.public)


@given(ids, types, origins, ids, st.booleans(), ids)
def test_round_trip(issuer, type_, origin, event_id, sealed, seed):
    key = PartyKey.from_seed(seed)
    data = sign_statement(key, issuer=issuer.hex(), type=type_, origin=origin, event_id=event_id, sealed=sealed)
    statement = Statement.parse(data)
    assert bytes(statement) == data
    assert statement == Statement(EDDSA, key.kid, issuer.hex(), type_, origin, sealed, event_id, statement.signature)
    statement.verify(key.public)


@given(ids, types, origins, ids, st.booleans())
def test_encoding_is_the_deterministic_one_of_the_oracle(issuer, type_, origin, event_id, sealed):
    data = sign_statement(KEY, issuer=issuer.hex(), type=type_, origin=origin, event_id=event_id, sealed=sealed)
    claims = {1: issuer.hex(), 2: type_, 3: origin} | ({"sealed": True} if sealed else {})
    header = {1: -8, 4: KEY.kid, 15: claims, 258: -16, 259: "application/json"}
    message = cbor2.loads(data)
    assert message.tag == 18
    protected, unprotected, payload, signature = message.value
    assert protected == cbor2.dumps(header, canonical=True)
    assert (unprotected, payload) == ({}, event_id)
    assert data == cbor2.dumps(message, canonical=True)
    assert Statement.parse(data).message == cbor2.dumps(["Signature1", protected, b"", payload])
    assert len(signature) == 64


@pytest.mark.parametrize("sealed", [False, True])
def test_a_foreign_library_verifies_ours(sealed):
    data = signed(sealed=sealed)
    key = COSEKey.new({1: 1, 2: KEY.kid, 3: -8, 4: [2], -1: 6, -2: KEY.public.x})
    protected, unprotected, payload = COSE.new().decode_with_headers(data, key)
    assert payload == EVENT
    assert unprotected == {}
    assert protected[4] == KEY.kid
    assert protected[15][2] == "work.create"
    assert protected[258] == -16
    assert protected[15].get("sealed") is (True if sealed else None)


def test_size():
    assert len(signed()) == 244
    assert len(signed(sealed=True)) == 252


def test_signatures_are_deterministic():
    assert signed() == signed()


def test_every_changed_bit_is_refused():
    for data in (signed(), signed(sealed=True), es256()[0]):
        judge_of(data)(data)
        for bit in range(8 * len(data)):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            refused(data, bytes(damaged))


def test_every_changed_byte_is_refused():
    data = signed(sealed=True)
    for at in range(len(data) - 64):  # the signature's own bytes: above, and in test_keys
        for value in range(256):
            if value != data[at]:
                refused(data, data[:at] + bytes([value]) + data[at + 1 :], parse_only=True)


def test_every_removed_repeated_and_inserted_byte_is_refused():
    for data in (signed(), signed(sealed=True), es256()[0]):
        for at in range(len(data) + 1):
            refused(data, data[:at] + data[at + 1 :]) if at < len(data) else None
            refused(data, data[:at]) if at < len(data) else None
            refused(data, data[:at] + data[at : at + 1] * 2 + data[at + 1 :]) if at < len(data) else None
            for value in (0x00, 0x18, 0x20, 0x40, 0x5F, 0x61, 0x78, 0xA0, 0xBF, 0xF6, 0xFF):
                refused(data, data[:at] + bytes([value]) + data[at:])


@given(st.data())
def test_several_changes_at_once_are_refused(data):
    original = signed(sealed=data.draw(st.booleans()))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    if bytes(damaged) != original:
        refused(original, bytes(damaged))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(data):
    with pytest.raises(MalformedError):
        Statement.parse(data)


@given(st.binary(max_size=300), st.integers(0, 243))
def test_arbitrary_endings_raise_nothing_else(tail, at):
    data = signed()[:at] + tail
    with suppress(MalformedError):
        assert bytes(Statement.parse(data)) == data


def judge_of(data: bytes):
    return judge if Statement.parse(data).alg == EDDSA else (lambda d: Statement.parse(d).verify(ES256_KEY))


def refused(original: bytes, damaged: bytes, *, parse_only: bool = False) -> None:
    """`damaged` is refused by the parser, or it says something else and then does not verify."""
    assert damaged != original
    try:
        statement = Statement.parse(damaged)
    except MalformedError:
        return
    assert bytes(statement) == damaged
    if parse_only:
        # Verifying costs 100 µs: that each other message fails is Ed25519's promise.
        assert statement.message != Statement.parse(original).message
        return
    with pytest.raises((UnknownKey, InvalidSignature)):
        judge_of(original)(damaged)


# Encodings that other readers take: each is signed correctly, so that only the parser stands in the way


def cose(
    header: bytes,
    *,
    unprotected: bytes = b"\xa0",
    payload: bytes = b"\x58\x20" + EVENT,
    head: bytes = b"\xd2\x84",
    protected_head: bytes | None = None,
    signature_head: bytes = b"\x58\x40",
    tail: bytes = b"",
) -> bytes:
    protected = cbor2.dumps(header) if protected_head is None else protected_head + header
    message = b"\x84\x6aSignature1" + cbor2.dumps(header) + b"\x40" + b"\x58\x20" + EVENT
    return head + protected + unprotected + payload + signature_head + KEY.sign(message) + tail


CLAIMS = {1: ISSUER, 2: "work.create", 3: ORIGIN}
HEADER = {1: -8, 4: KEY.kid, 15: CLAIMS, 258: -16, 259: "application/json"}


def encoded(*pairs: bytes, head: bytes | None = None) -> bytes:
    return (bytes([0xA0 | len(pairs)]) if head is None else head) + b"".join(pairs)


def pairs_of(header: dict) -> list[bytes]:
    return [cbor2.dumps(key) + cbor2.dumps(value) for key, value in header.items()]


PAIRS = pairs_of(HEADER)
CLAIM_PAIRS = pairs_of(CLAIMS)
CHUNKED = b"\x02\x7f\x65work.\x66create\xff"
LONG = "a" * 24 + ".example"


def test_the_crafted_form_is_ours():
    assert cose(encoded(*PAIRS)) == signed()


TRAPS = {
    "no tag": cose(encoded(*PAIRS), head=b"\x84"),
    "tag 98": cose(encoded(*PAIRS), head=b"\xd8\x62\x84"),
    "tag 18 twice": cose(encoded(*PAIRS), head=b"\xd2\xd2\x84"),
    "tag 18 in two bytes": cose(encoded(*PAIRS), head=b"\xd8\x12\x84"),
    "self-described": cose(encoded(*PAIRS), head=b"\xd9\xd9\xf7\xd2\x84"),
    "array length in two bytes": cose(encoded(*PAIRS), head=b"\xd2\x98\x04"),
    "indefinite array": cose(encoded(*PAIRS), head=b"\xd2\x9f", tail=b"\xff"),
    "array of 5": cose(encoded(*PAIRS), head=b"\xd2\x85", tail=b"\xf6"),
    "trailing byte": cose(encoded(*PAIRS), tail=b"\x00"),
    "trailing statement": signed() + signed(),
    "leading byte": b"\x00" + signed(),
    "filled unprotected header": cose(encoded(*PAIRS), unprotected=b"\xa1\x04\x48" + KEY.kid),
    "receipt in the unprotected header": cose(encoded(*PAIRS), unprotected=b"\xa1\x19\x01\x8a\x80"),
    "indefinite unprotected header": cose(encoded(*PAIRS), unprotected=b"\xbf\xff"),
    "unprotected length in two bytes": cose(encoded(*PAIRS), unprotected=b"\xb8\x00"),
    "no unprotected header": cose(encoded(*PAIRS), unprotected=b"\xf6"),
    "detached payload": cose(encoded(*PAIRS), payload=b"\xf6"),
    "payload as text": cose(encoded(*PAIRS), payload=b"\x78\x20" + EVENT),
    "payload length in three bytes": cose(encoded(*PAIRS), payload=b"\x59\x00\x20" + EVENT),
    "indefinite payload": cose(encoded(*PAIRS), payload=b"\x5f\x58\x20" + EVENT + b"\xff"),
    "payload of 31 bytes": cose(encoded(*PAIRS), payload=b"\x58\x1f" + EVENT[1:]),
    "payload of 33 bytes": cose(encoded(*PAIRS), payload=b"\x58\x21" + EVENT + b"\x00"),
    "signature length in three bytes": cose(encoded(*PAIRS), signature_head=b"\x59\x00\x40"),
    "protected length in three bytes": cose(
        encoded(*PAIRS), protected_head=b"\x59" + len(encoded(*PAIRS)).to_bytes(2, "big")
    ),
    "protected length too short": cose(encoded(*PAIRS), protected_head=b"\x58" + bytes([len(encoded(*PAIRS)) - 1])),
    "protected as text": cose(encoded(*PAIRS), protected_head=b"\x78" + bytes([len(encoded(*PAIRS))])),
    "protected not wrapped": cose(encoded(*PAIRS), protected_head=b""),
    "empty protected header": cose(b""),
    "other order of labels": cose(encoded(*PAIRS[::-1])),
    "259 before 258": cose(encoded(*PAIRS[:3], PAIRS[4], PAIRS[3])),
    "indefinite header map": cose(encoded(*PAIRS, b"\xff", head=b"\xbf")),
    "header map length in two bytes": cose(encoded(*PAIRS, head=b"\xb8\x05")),
    "duplicate label": cose(encoded(PAIRS[0], *PAIRS)),
    "duplicate label, other value": cose(encoded(b"\x01\x26", *PAIRS)),
    "label in two bytes": cose(encoded(b"\x18\x01\x27", *PAIRS[1:])),
    "label as text": cose(encoded(b"\x611\x27", *PAIRS[1:])),
    "alg in two bytes": cose(encoded(b"\x01\x38\x07", *PAIRS[1:])),
    "alg as text": cose(encoded(*pairs_of({**HEADER, 1: "EdDSA"}))),
    "alg as float": cose(encoded(b"\x01\xf9\xc8\x00", *PAIRS[1:])),
    "alg as bignum": cose(encoded(b"\x01\xc3\x41\x07", *PAIRS[1:])),
    "alg Ed25519 of RFC 9864": cose(encoded(*pairs_of({**HEADER, 1: -19}))),
    "no alg": cose(encoded(*PAIRS[1:])),
    "no kid": cose(encoded(PAIRS[0], *PAIRS[2:])),
    "kid of 4 bytes": cose(encoded(*pairs_of({**HEADER, 4: KEY.kid[:4]}))),
    "kid of 32 bytes": cose(encoded(*pairs_of({**HEADER, 4: KEY.public.thumbprint}))),
    "kid as text": cose(encoded(*pairs_of({**HEADER, 4: "12345678"}))),
    "content type": cose(encoded(PAIRS[0], b"\x03" + cbor2.dumps("application/json"), *PAIRS[1:])),
    "crit": cose(encoded(PAIRS[0], b"\x02" + cbor2.dumps([258]), *PAIRS[1:])),
    "location": cose(encoded(*PAIRS, cbor2.dumps(260) + cbor2.dumps("https://market.example/"))),
    "receipt in the protected header": cose(encoded(*PAIRS, cbor2.dumps(394) + b"\x80")),
    "no hash algorithm": cose(encoded(*PAIRS[:3], PAIRS[4])),
    "hash algorithm SHA-512": cose(encoded(*pairs_of({**HEADER, 258: -44}))),
    "no preimage type": cose(encoded(*PAIRS[:4])),
    "preimage type as number": cose(encoded(*pairs_of({**HEADER, 259: 50}))),
    "other preimage type": cose(encoded(*pairs_of({**HEADER, 259: "application/cbor"}))),
    "preimage label in four bytes": cose(encoded(*PAIRS[:4], b"\x1a\x00\x00\x01\x03" + PAIRS[4][3:])),
    "no claims": cose(encoded(*PAIRS[:2], *PAIRS[3:])),
    "claims wrapped in bytes": cose(encoded(*pairs_of({**HEADER, 15: cbor2.dumps(CLAIMS)}))),
    "claims in an indefinite map": cose(
        encoded(*PAIRS[:2], b"\x0f\xbf" + b"".join(CLAIM_PAIRS) + b"\xff", *PAIRS[3:])
    ),
    "claims in another order": cose(encoded(*PAIRS[:2], b"\x0f\xa3" + b"".join(CLAIM_PAIRS[::-1]), *PAIRS[3:])),
    "claim twice": cose(encoded(*PAIRS[:2], b"\x0f\xa4" + CLAIM_PAIRS[0] + b"".join(CLAIM_PAIRS), *PAIRS[3:])),
    "claim iat": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 6: 1}}))),
    "no audience": cose(encoded(*pairs_of({**HEADER, 15: {1: ISSUER, 2: "work.create"}}))),
    "audience as array": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 3: [ORIGIN]}}))),
    "sealed false": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, "sealed": False}}))),
    "sealed null": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, "sealed": None}}))),
    "sealed 1": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, "sealed": 1}}))),
    "Sealed": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, "Sealed": True}}))),
    "sealed first": cose(
        encoded(*PAIRS[:2], b"\x0f\xa4" + b"\x66sealed\xf5" + b"".join(CLAIM_PAIRS), *PAIRS[3:])
    ),
    "issuer in capitals": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 1: ISSUER.upper()}}))),
    "issuer too short": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 1: ISSUER[:-1]}}))),
    "issuer as bytes": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 1: bytes.fromhex(ISSUER) * 2}}))),
    "issuer as did": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 1: "did:web:market.example"}}))),
    "issuer not ASCII": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 1: "é" * 32}}))),
    "type empty": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 2: ""}}))),
    "type one word": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 2: "work"}}))),
    "type in capitals": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 2: "Work.create"}}))),
    "type with newline": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 2: "work.create\n"}}))),
    "type in Unicode digits": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 2: "work.create٣"}}))),
    "type length in two bytes": cose(
        encoded(*PAIRS[:2], b"\x0f\xa3" + CLAIM_PAIRS[0] + b"\x02\x78\x0bwork.create" + CLAIM_PAIRS[2], *PAIRS[3:])
    ),
    "type in chunks": cose(
        encoded(*PAIRS[:2], b"\x0f\xa3" + CLAIM_PAIRS[0] + CHUNKED + CLAIM_PAIRS[2], *PAIRS[3:])
    ),
    "type not UTF-8": cose(
        encoded(*PAIRS[:2], b"\x0f\xa3" + CLAIM_PAIRS[0] + b"\x02\x6bwork.creat\xff" + CLAIM_PAIRS[2], *PAIRS[3:])
    ),
    "origin empty": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 3: ""}}))),
    "origin with a space": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 3: "market example"}}))),
    "origin with a plus": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 3: "market+example"}}))),
    "origin of 256 bytes": cose(encoded(*pairs_of({**HEADER, 15: {**CLAIMS, 3: "a" * 256}}))),
    "origin length in three bytes": cose(
        encoded(
            *PAIRS[:2],
            b"\x0f\xa3" + b"".join(CLAIM_PAIRS[:2]) + b"\x03\x79\x00\x20" + LONG.encode(),
            *PAIRS[3:],
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_what_others_take_is_refused(trap):
    with pytest.raises(MalformedError):
        Statement.parse(TRAPS[trap])


@pytest.mark.parametrize("depth", [500, 4000])
def test_nesting_and_size_are_no_danger(depth):
    for data in (b"\xd2\x84" + b"\x81" * depth, b"\xd2" * depth, b"\xa1" * depth, b"\x5b" + b"\xff" * depth):
        with pytest.raises(MalformedError):
            Statement.parse(data)
    with pytest.raises(MalformedError, match="want at most 4096"):
        Statement.parse(bytes(4097))


def test_refusal_names_the_first_byte():
    data = signed()
    with pytest.raises(MalformedError, match="from byte 244, 245 bytes"):
        Statement.parse(data + b"\x00")
    with pytest.raises(MalformedError, match="from byte 0,"):
        Statement.parse(b"\xd3" + data[1:])


# Verifying


def test_another_key_is_unknown():
    with pytest.raises(UnknownKey, match="this key is"):
        Statement.parse(signed()).verify(PartyKey.generate().public)


@pytest.mark.parametrize(
    "other",
    [
        {"issuer": "5c" * 32},
        {"type": "work.derive"},
        {"origin": "other.example/log"},
        {"event_id": bytes(32)},
        {"sealed": True},
    ],
)
def test_a_signature_fits_one_statement_only(other):
    data = signed()
    with pytest.raises(InvalidSignature):
        judge(signed(**other)[:-64] + data[-64:])


def es256() -> tuple[bytes, bytes]:
    """A statement under ES256, and the same with high S."""
    unsigned = Statement(ES256, ES256_KEY.kid, ISSUER, "work.create", ORIGIN, False, EVENT, bytes(64))
    r, s = decode_dss_signature(ES256_PRIVATE.sign(unsigned.message, ECDSA(SHA256())))
    forms = [r.to_bytes(32, "big") + t.to_bytes(32, "big") for t in sorted((s, P256_ORDER - s))]
    low, high = (bytes(unsigned)[:-64] + form for form in forms)
    return low, high


ES256_PRIVATE = generate_private_key(SECP256R1())
POINT = ES256_PRIVATE.public_key().public_numbers()
ES256_KEY = PublicKey("P-256", POINT.x.to_bytes(32, "big"), POINT.y.to_bytes(32, "big"))


def test_es256():
    low, high = es256()
    statement = Statement.parse(low)
    assert bytes(statement) == low
    statement.verify(ES256_KEY)
    with pytest.raises(InvalidSignature, match="low S"):
        Statement.parse(high).verify(ES256_KEY)
    key = COSEKey.new({1: 2, 2: ES256_KEY.kid, 3: -7, 4: [2], -1: 1, -2: ES256_KEY.x, -3: ES256_KEY.y})
    assert COSE.new().decode(low, key) == EVENT


def test_the_algorithm_of_another_key_is_refused():
    data = signed()
    swapped = data.replace(b"\xa5\x01\x27", b"\xa5\x01\x26", 1)
    assert Statement.parse(swapped).alg == ES256
    with pytest.raises(InvalidSignature, match="algorithm -7, want -8"):
        judge(swapped)


# Writing


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "self"},
        {"issuer": ISSUER.upper()},
        {"issuer": ISSUER + "\n"},
        {"type": "work"},
        {"type": "Work.create"},
        {"type": "work.create\n"},
        {"type": "a.b.c.d.e"},
        {"type": "x" * 33 + ".y"},
        {"origin": ""},
        {"origin": "a b"},
        {"origin": "a+b"},
        {"origin": "a\nb"},
        {"origin": "é" * 128},
        {"origin": "\ud800"},
        {"event_id": b""},
        {"event_id": bytes(31)},
    ],
)
def test_what_has_no_form_is_not_signed(change):
    with pytest.raises(MalformedError):
        signed(**change)


@pytest.mark.parametrize(
    "change", [{"alg": -19}, {"alg": 0}, {"kid": b""}, {"kid": bytes(9)}, {"signature": bytes(63)}, {"issuer": ""}]
)
def test_what_has_no_form_cannot_be_made(change):
    fields = {
        "alg": EDDSA, "kid": bytes(8), "issuer": ISSUER, "type": "work.create", "origin": ORIGIN, "sealed": False,
        "event_id": EVENT, "signature": bytes(64),
    }  # fmt: skip
    Statement(**fields)
    with pytest.raises(MalformedError):
        Statement(**fields | change)


def test_longest_names():
    type_ = ".".join(["t" * 32] * 4)
    origin = "o" * 255
    data = signed(type=type_, origin=origin)
    statement = Statement.parse(data)
    assert (statement.type, statement.origin) == (type_, origin)
    statement.verify(KEY.public)
    assert check_origin(origin) == origin


def test_every_error_is_one_of_ours():
    for error in (MalformedError, UnknownKey, InvalidSignature):
        assert issubclass(error, LedgerError)
