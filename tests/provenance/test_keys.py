"""Keys: strict encodings, one behavior of Ed25519, low S, and a secret that does not slip out."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from hashlib import sha256

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidSignature, MalformedError
from provenance.keys import EDDSA, ES256, PartyKey, PublicKey

seeds = st.binary(min_size=32, max_size=32)

# RFC 8037, appendix A
RFC8037_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC8037_D = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def p256() -> tuple:
    private = generate_private_key(SECP256R1())
    numbers = private.public_key().public_numbers()
    return private, PublicKey("P-256", numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))


def raw(private, message: bytes) -> tuple[int, int]:
    return decode_dss_signature(private.sign(message, ECDSA(SHA256())))


def pack(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def low(r: int, s: int) -> bytes:
    return pack(r, min(s, P256_ORDER - s))


@given(seeds)
def test_party_key_round_trip(seed):
    key = PartyKey.from_seed(seed)
    assert str(PartyKey.parse(str(key))) == str(key)
    assert PublicKey.from_jwk(key.public.jwk()) == key.public
    key.public.verify(key.sign(b"x"), b"x", EDDSA)


def test_generated_keys_differ():
    assert PartyKey.generate().public != PartyKey.generate().public


def test_example_of_rfc_8037():
    key = PartyKey.parse(f"provenance-party-key:{RFC8037_D}")
    assert key.public.jwk() == {"kty": "OKP", "crv": "Ed25519", "x": RFC8037_X}


def test_thumbprint_of_rfc_9679():
    # section 6: the key of RFC 9052, appendix C.7.1, without its key id
    key = PublicKey(
        "P-256",
        bytes.fromhex("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"),
        bytes.fromhex("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c"),
    )
    assert key.thumbprint.hex() == "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"


@given(seeds)
def test_thumbprint_is_over_the_deterministic_cose_key(seed):
    key = PartyKey.from_seed(seed).public
    cose = cbor2.dumps({1: 1, -1: 6, -2: key.x}, canonical=True)
    assert key.thumbprint == sha256(cose).digest()
    assert key.kid == key.thumbprint[:8]


def test_the_secret_is_in_str_only():
    key = PartyKey.generate()
    secret = str(key).removeprefix("provenance-party-key:")
    assert secret not in repr(key)
    assert secret not in f"{[key]}"
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        RFC8037_D,
        f"provenance-party-key: {RFC8037_D}",
        f"Provenance-Party-Key:{RFC8037_D}",
        f"provenance-party-key:{RFC8037_D}=",
        f"provenance-party-key:{RFC8037_D}\n",
        f"provenance-party-key:{RFC8037_D[:-1]}",
        f"provenance-party-key:{RFC8037_D[:-1]}B",  # the last two bits are not part of the key
        f"provenance-party-key:{RFC8037_D.replace('_', '/')}",
        f"provenance-party-key:{RFC8037_D[:-1]}\u0416",
        f"provenance-party-key:!{RFC8037_D[1:]}",
    ],
)
def test_bad_party_keys_are_refused_and_never_repeated(text):
    with pytest.raises(MalformedError) as caught:
        PartyKey.parse(text)
    assert RFC8037_D[:8] not in str(caught.value)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_seeds_have_32_bytes(size):
    with pytest.raises(MalformedError, match="want 32"):
        PartyKey.from_seed(bytes(size))


JWK = {"kty": "OKP", "crv": "Ed25519", "x": RFC8037_X}


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "EC"},
        {"crv": "X25519"},
        {"crv": "P-256"},
        {"crv": None},
        {"d": RFC8037_D},
        {"kid": "1"},
        {"y": RFC8037_X},
        {"x": RFC8037_X + "="},
        {"x": RFC8037_X[:-1] + "p"},
        {"x": RFC8037_X.replace("_", "/")},
        {"x": RFC8037_X[:-4]},
        {"x": 7},
        {"x": None},
    ],
)
def test_jwks_are_read_strictly(change):
    with pytest.raises(MalformedError) as caught:
        PublicKey.from_jwk({**JWK, **change})
    assert RFC8037_D not in str(caught.value)


def test_missing_member_of_a_jwk():
    with pytest.raises(MalformedError, match="members"):
        PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519"})


def test_p256_jwk_round_trip_and_points_off_the_curve():
    _, key = p256()
    assert PublicKey.from_jwk(key.jwk()) == key
    off = key.y[:-1] + bytes([key.y[-1] ^ 1])
    for x, y in ((key.x, off), (bytes(32), bytes(32)), (b"\xff" * 32, key.y), (key.x, b""), (key.x[1:], key.y)):
        with pytest.raises(MalformedError):
            PublicKey("P-256", x, y)


def test_unknown_curve():
    with pytest.raises(MalformedError, match="want Ed25519 or P-256"):
        PublicKey("secp256k1", bytes(32), bytes(32))


@pytest.mark.parametrize("value", [b"", bytes(31), bytes(33)])
def test_ed25519_keys_have_32_bytes(value):
    with pytest.raises(MalformedError, match="want x of 32 bytes"):
        PublicKey.from_ed25519(value)


def test_es256_needs_low_s():
    private, key = p256()
    for number in range(20):
        message = b"%d" % number
        r, s = raw(private, message)
        good, bad = sorted((s, P256_ORDER - s))
        key.verify(pack(r, good), message, ES256)
        with pytest.raises(InvalidSignature, match="low S"):
            key.verify(pack(r, bad), message, ES256)


def test_the_key_decides_the_algorithm():
    private, key = p256()
    party = PartyKey.generate()
    with pytest.raises(InvalidSignature, match="algorithm -7, want -8"):
        party.public.verify(party.sign(b"x"), b"x", ES256)
    with pytest.raises(InvalidSignature, match="algorithm -8, want -7"):
        key.verify(low(*raw(private, b"x")), b"x", EDDSA)
    with pytest.raises(InvalidSignature, match="algorithm 0"):
        party.public.verify(party.sign(b"x"), b"x", 0)


def test_every_flipped_bit_of_a_signature_is_refused():
    private, key = p256()
    party = PartyKey.generate()
    for public, signature in ((key, low(*raw(private, b"x"))), (party.public, party.sign(b"x"))):
        for bit in range(512):
            damaged = bytearray(signature)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(InvalidSignature):
                public.verify(bytes(damaged), b"x", public.alg)
        for length in (0, 63, 65, 128):
            with pytest.raises(InvalidSignature, match="want 64"):
                public.verify((signature * 2)[:length], b"x", public.alg)


@pytest.mark.parametrize("r_s", [(0, 0), (0, 1), (1, 0), (P256_ORDER, 1)])
def test_es256_edges_are_refused(r_s):
    _, key = p256()
    with pytest.raises(InvalidSignature):
        key.verify(pack(*r_s), b"x", ES256)


def test_der_signatures_are_refused():
    private, key = p256()
    with pytest.raises(InvalidSignature, match="want 64"):
        key.verify(private.sign(b"x", ECDSA(SHA256())), b"x", ES256)


def test_ed25519_edges(vectors):
    """914 of 914 as `ref10` has it, where the key itself is one; the others are refused as keys."""
    judged = 0
    lines = (vectors / "keys" / "ed25519_edge" / "vectors.jsonl").read_text("utf-8").splitlines()
    for case in map(json.loads, lines):
        flags = set(case["flags"] or ())
        refused_key = bool(flags & {"low_order_A", "non_canonical_A"})
        try:
            key = PublicKey.from_ed25519(bytes.fromhex(case["key"]))
        except MalformedError:
            assert refused_key, case["n"]
            continue
        assert not refused_key, case["n"]
        judged += 1
        try:
            key.verify(bytes.fromhex(case["sig"]), case["msg"].encode(), EDDSA)
            accepted = True
        except InvalidSignature:
            accepted = False
        assert accepted == case["accept"]["ref10"], case["n"]
    assert 0 < judged < len(lines)


def test_es256_fixtures_of_atproto(vectors):
    cases = json.loads((vectors / "keys" / "atproto" / "signature-fixtures.json").read_text("utf-8"))
    ours = [case for case in cases if case["algorithm"] == "ES256"]
    assert ours
    for case in ours:
        point = EllipticCurvePublicKey.from_encoded_point(
            SECP256R1(), base58(case["publicKeyMultibase"].removeprefix("z"))[-33:]
        ).public_numbers()
        key = PublicKey("P-256", point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big"))
        message = base64.b64decode(case["messageBase64"] + "==")
        signature = base64.b64decode(case["signatureBase64"] + "==")
        if case["validSignature"]:
            key.verify(signature, message, ES256)
        else:
            with pytest.raises(InvalidSignature):
                key.verify(signature, message, ES256)


def base58(text: str) -> bytes:
    number = 0
    for character in text:
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(character)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
