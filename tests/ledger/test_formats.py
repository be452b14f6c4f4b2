"""Every format: what is accepted round-trips to the byte, and nothing altered is accepted with another meaning."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import (
    Checkpoint,
    InvalidSignature,
    LedgerError,
    Log,
    MalformedError,
    Policy,
    Proof,
    ProofMismatch,
    SigningKey,
    UnknownKey,
    VerifierKey,
    open_checkpoint,
)
from ledger.checkpoint import parse_decimal, sign_checkpoint
from ledger.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from ledger.note import MAX_NOTE, MAX_SIGNATURES, Note, Signature, decode_base64, open_note, sign_note
from ledger.policy import MAX_POLICY
from ledger.publish import pack_batch, parse_batch
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

KEY = SigningKey("market.example/log", bytes(range(32)))
POLICY = Policy.of(KEY.verifier)
OTHER = SigningKey("witness.example/w", bytes(32))
ENTRIES = [b"entry %d" % i for i in range(9)]


def _log():
    log = Log.create(MemoryStore(), KEY, ENTRIES[0])
    for entry in ENTRIES[1:]:
        log.append(entry)
    return log


LOG = _log()
PROOF = bytes(LOG.prove(5))
CHECKPOINT = LOG.checkpoint.signed

names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1)
lines = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=40)
hashes = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**63 - 1)


@st.composite
def altered(draw, data: bytes):
    """`data` with some of its bytes flipped, dropped, inserted or repeated, and certainly not what it was."""
    new = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(new) - 1, 0)))
        match draw(st.sampled_from(["flip", "drop", "insert", "repeat", "cut"])):
            case "flip" if new:
                new[at] ^= draw(st.integers(1, 255))
            case "drop":
                del new[at : at + draw(st.integers(1, 40))]
            case "insert":
                new[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "repeat":
                piece = new[at : at + draw(st.integers(1, 80))]
                new[at:at] = piece
            case "cut":
                del new[at:]
    return bytes(new)


# Round trips


@given(st.lists(lines, min_size=1), st.lists(st.tuples(names, st.binary(min_size=5, max_size=80)), min_size=1))
def test_notes_round_trip(text, signatures):
    note = Note("".join(f"{line}\n" for line in text), tuple(Signature(n, v[:4], v[4:]) for n, v in signatures))
    assert Note.parse(bytes(note)) == note
    assert bytes(Note.parse(bytes(note))) == bytes(note)


@given(names, st.binary(min_size=32, max_size=32))
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


@given(st.lists(names, unique=True, max_size=40), st.sampled_from(["", "https://market.example/log", "x\u2028"]))
def test_policies_round_trip(origins, url):
    keys = [SigningKey(name, i.to_bytes(32, "big")).verifier for i, name in enumerate(origins)]
    text = "".join(f"log {key} {url}".rstrip(" ") + "\n" for key in keys) + "quorum none\n"
    policy = Policy.parse(text)
    assert str(policy) == text
    assert Policy.parse(str(policy)) == policy


@given(st.lists(st.binary(max_size=300), max_size=WIDTH))
def test_bundles_round_trip(entries):
    assert parse_bundle(pack_bundle(entries), width=len(entries)) == entries
    assert pack_bundle(parse_bundle(pack_bundle(entries))) == pack_bundle(entries)
    assert parse_open(pack_open(entries)) == entries


@given(st.none() | st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, WIDTH))
def test_paths_round_trip(level, index, width):
    path = bundle_path(index, width) if level is None else tile_path(level, index, width)
    assert parse_path(path) == (level, index, width)


paths = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
objects = st.lists(st.tuples(paths, st.binary(max_size=60)), max_size=4)


@given(objects, objects)
def test_batch_files_round_trip(puts, opens):
    data = pack_batch(puts, opens)
    assert parse_batch(data) == (puts, opens)
    assert pack_batch(*parse_batch(data)) == data


# Anything at all

PARSERS = {
    "note": Note.parse,
    "signature": lambda data: Signature.parse(data.decode("utf-8", "replace")),
    "verifier key": lambda data: VerifierKey.parse(data.decode("utf-8", "replace")),
    "signing key": lambda data: SigningKey.parse(data.decode("utf-8", "replace")),
    "checkpoint": lambda data: Checkpoint.parse(data.decode("utf-8", "replace")),
    "policy": lambda data: Policy.parse(data.decode("utf-8", "replace")),
    "proof": Proof.parse,
    "bundle": parse_bundle,
    "open bundle": parse_open,
    "tile": lambda data: parse_tile(data, 3, "tile/0/000.p/3"),
    "path": lambda data: parse_path(data.decode("utf-8", "replace")),
    "batch file": parse_batch,
}
GOOD = {
    "note": CHECKPOINT,
    "signature": CHECKPOINT.splitlines()[-1],
    "verifier key": str(KEY.verifier).encode(),
    "signing key": str(KEY).encode(),
    "checkpoint": str(LOG.checkpoint).encode(),
    "policy": str(POLICY).encode(),
    "proof": PROOF,
    "bundle": pack_bundle(ENTRIES),
    "open bundle": pack_open(ENTRIES),
    "tile": bytes(96),
    "path": b"tile/0/x001/x234/067.p/89",
    "batch file": pack_batch([("tile/0/000", bytes(32))], [("events/000", b"x")]),
}


@pytest.mark.parametrize("kind", PARSERS)
@given(st.data())
def test_parsers_raise_one_class(kind, data):
    garbage = data.draw(st.binary(max_size=200) | altered(GOOD[kind]))
    with contextlib.suppress(MalformedError):
        PARSERS[kind](garbage)


# Nothing altered means something else


@given(altered(CHECKPOINT))
def test_altered_checkpoint(data):
    try:
        checkpoint = open_checkpoint(data, POLICY)
    except (MalformedError, UnknownKey, InvalidSignature):
        return
    assert checkpoint == LOG.checkpoint  # other signature lines may come and go


@given(altered(PROOF))
def test_altered_proof(data):
    try:
        checkpoint = Proof.parse(data).verify(ENTRIES[5], POLICY)
    except (MalformedError, UnknownKey, InvalidSignature, ProofMismatch):
        return
    proof = Proof.parse(data)
    assert checkpoint == LOG.checkpoint
    assert (proof.index, proof.hashes) == (5, LOG.prove(5).hashes)


@given(st.integers(0, 40), st.binary(max_size=40))
def test_proof_of_another_entry_or_index(index, entry):
    proof = LOG.prove(5)
    if entry != ENTRIES[5]:
        with pytest.raises(ProofMismatch):
            proof.verify(entry, POLICY)
    if index != 5:
        with pytest.raises(ProofMismatch):
            Proof(index, proof.hashes, proof.checkpoint).verify(ENTRIES[5], POLICY)


@given(altered(pack_bundle(ENTRIES)))
def test_altered_bundle_has_other_leaves(data):
    if data == pack_bundle(ENTRIES):
        return
    try:
        entries = parse_bundle(data, width=len(ENTRIES))
    except MalformedError:
        return
    assert [leaf_hash(e) for e in entries] != [leaf_hash(e) for e in ENTRIES]


# The traps of Python, one by one

WRONG_NUMBERS = ["+5", "-5", "1_0", "007", "٣", "5 ", " 5", "5\r", "5\n", "", "0x5", "5.0", "²", str(2**63), "9" * 99]


@pytest.mark.parametrize("text", WRONG_NUMBERS)
def test_int_accepts_more_than_a_number(text):
    with pytest.raises(MalformedError):
        parse_decimal(text, "number")
    with pytest.raises(MalformedError):
        Checkpoint.parse(str(LOG.checkpoint).replace("\n9\n", f"\n{text}\n"))
    with pytest.raises(MalformedError):
        Proof.parse(PROOF.replace(b"index 5\n", f"index {text}\n".encode())).verify(ENTRIES[5], POLICY)


@pytest.mark.parametrize("text", ["AA", "AA=", "AA=\n=", "A A==", "AA==\n", "AB==", "AA-_", "AA===", "\uff21\uff21=="])
def test_base64_has_one_spelling(text):
    with pytest.raises(MalformedError):
        decode_base64(text, "x")


@pytest.mark.parametrize("space", ["\u2003", "\u00a0", "\u3000", "\u2028", "\u0085", "\x1c", "\t", " ", "\n"])
def test_unicode_spaces(space):
    """They stand in no name, and they separate nothing."""
    with pytest.raises(MalformedError):
        SigningKey(f"a{space}b", bytes(32))
    with pytest.raises(MalformedError):
        Signature.parse(f"— name{space}{base64.b64encode(bytes(68)).decode()}x")
    if space not in "\t ":
        with pytest.raises(MalformedError):
            Policy.parse(f"log{space}{KEY.verifier}\nquorum none\n")


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085"])
def test_only_newlines_end_lines(separator):
    """`str.splitlines` would end a line there."""
    text = f"one{separator}line\n"
    note, _ = open_note(sign_note(text, KEY), [KEY.verifier])
    assert note.text == text
    checkpoint = Checkpoint.parse(f"a{separator}b\n0\n{base64.b64encode(EMPTY_ROOT).decode()}\n")
    assert checkpoint.origin == f"a{separator}b"


@pytest.mark.parametrize("control", ["\x00", "\x1c", "\x0b", "\x0c", "\r", "\t"])
def test_control_characters(control):
    with pytest.raises(MalformedError, match="control character in line 2"):
        sign_note(f"one\ntwo{control}\n", KEY)
    with pytest.raises(MalformedError, match="control character in line 1"):
        Note.parse(CHECKPOINT.replace(b"log\n", f"log{control}\n".encode(), 1))


def test_crlf():
    with pytest.raises(MalformedError):
        open_checkpoint(CHECKPOINT.replace(b"\n", b"\r\n"), POLICY)
    with pytest.raises(MalformedError):
        Proof.parse(PROOF.replace(b"\n", b"\r\n"))
    with pytest.raises(MalformedError):
        Policy.parse(str(POLICY).replace("\n", "\r\n"))


@pytest.mark.parametrize("index", [-1, 9, 2**63, 2**64, True, 5.0, None])
def test_index_is_a_whole_number_in_the_tree(index):
    """0-based: the last of nine is 8."""
    leaf, proof = leaf_hash(ENTRIES[5]), LOG.prove(5)
    with pytest.raises(ProofMismatch):
        verify_inclusion(proof.hashes, index=index, size=9, leaf=leaf, root=LOG.checkpoint.root)
    with pytest.raises(ProofMismatch):
        LOG.prove(index)


@pytest.mark.parametrize("size", [-1, 0, True, 9.0, 2**64, None])
def test_sizes_are_whole_numbers(size):
    with pytest.raises(ProofMismatch):
        verify_inclusion((), index=0, size=size, leaf=leaf_hash(b""), root=leaf_hash(b""))
    for sizes_ in ({"old": size, "new": 9}, {"old": 9, "new": size}):
        with pytest.raises(ProofMismatch):
            verify_consistency((), **sizes_, old_root=LOG.checkpoint.root, new_root=LOG.checkpoint.root)


def test_duplicate_signature_lines():
    lines_ = CHECKPOINT.decode().splitlines(keepends=True)
    doubled = "".join([*lines_, lines_[-1]]).encode()
    note, signed = open_note(doubled, [KEY.verifier])
    assert len(note.signatures) == 2
    assert signed == (KEY.verifier,)
    assert bytes(note) == doubled


@pytest.mark.parametrize("count", [16, 17, MAX_SIGNATURES])
def test_many_signatures(count):
    others = [Signature(f"w{i}", b"abcd", bytes(64)) for i in range(count - 1)]
    note, signed = open_note(sign_note("text\n", KEY, others=others), [KEY.verifier])
    assert len(note.signatures) == count
    assert signed == (KEY.verifier,)


def test_too_many_signatures():
    others = [Signature(f"w{i}", b"abcd", bytes(64)) for i in range(MAX_SIGNATURES)]
    with pytest.raises(MalformedError, match="101 signature lines, want at most 100"):
        Note.parse(sign_note("text\n", KEY, others=others))


def test_large_signatures_fit():
    """A hundred of the size that ML-DSA-44 has."""
    others = [Signature(f"w{i}", b"abcd", bytes(2428)) for i in range(MAX_SIGNATURES - 1)]
    open_note(sign_note("text\n", KEY, others=others), [KEY.verifier])


def test_empty_lines_in_the_text():
    text = "a\n\n— not a signature\n\n\n"
    note, _ = open_note(sign_note(text, KEY), [KEY.verifier])
    assert note.text == text


def test_a_known_key_that_did_not_sign_spoils_the_note():
    """Whoever else signed: RFC-style leniency would hide that a log's key is misused."""
    forged = Signature(OTHER.name, OTHER.verifier.key_id, bytes(64))
    with pytest.raises(InvalidSignature):
        open_note(sign_note("text\n", KEY, others=[forged]), [KEY.verifier, OTHER.verifier])
    assert open_note(sign_note("text\n", KEY, others=[forged]), [KEY.verifier])


def test_names_that_mislead_a_reader():
    """The specification allows them, so a line of an unknown key may have one; messages show them escaped."""
    note = sign_note("text\n", SigningKey("evil\u202e\u009b31m", bytes(32)))
    with pytest.raises(UnknownKey) as caught:
        open_note(note, [KEY.verifier])
    assert str(caught.value).isprintable()
    assert "\\u202e" in str(caught.value)


def test_size_0_and_size_1():
    assert open_checkpoint(sign_checkpoint(Checkpoint(KEY.name, 0, EMPTY_ROOT), KEY).signed, POLICY).size == 0
    with pytest.raises(MalformedError, match="not that of the empty tree"):
        Checkpoint.parse(str(Checkpoint(KEY.name, 0, bytes(32))))
    log = Log.create(MemoryStore(), KEY, b"genesis")
    proof = log.prove(0)
    assert proof.hashes == ()
    assert Proof.parse(bytes(proof)).verify(b"genesis", POLICY).root == leaf_hash(b"genesis")


def test_a_proof_longer_than_needed():
    proof = LOG.prove(5)
    for hashes_ in ((*proof.hashes, bytes(32)), (bytes(32), *proof.hashes), proof.hashes[:-1], proof.hashes * 2):
        with pytest.raises(ProofMismatch):
            Proof(5, hashes_, proof.checkpoint).verify(ENTRIES[5], POLICY)


def test_right_root_under_wrong_origin():
    elsewhere = SigningKey("elsewhere.example/log", KEY.seed)
    signed = sign_checkpoint(Checkpoint(elsewhere.name, 9, LOG.checkpoint.root), elsewhere).signed
    with pytest.raises(UnknownKey, match=r"no policy for origin elsewhere\.example/log"):
        Proof(5, LOG.prove(5).hashes, signed).verify(ENTRIES[5], POLICY)
    both = Policy.of(KEY.verifier, SigningKey("elsewhere.example/log", bytes(32)).verifier)
    with pytest.raises(UnknownKey):  # the key of the right origin signs nothing under another
        open_checkpoint(sign_note(str(Checkpoint(elsewhere.name, 9, LOG.checkpoint.root)), KEY), both)
    with pytest.raises(UnknownKey):
        sign_checkpoint(Checkpoint(elsewhere.name, 9, LOG.checkpoint.root), KEY)


def test_trailing_bytes():
    whole = pack_bundle(ENTRIES)
    for data in (whole + b"\0", whole + b"\0\0", whole[:-1]):
        with pytest.raises(MalformedError):
            parse_bundle(data, width=len(ENTRIES))
    with pytest.raises(MalformedError, match=r"tile/1/003\.p/17: 545 bytes, want 17 hashes of 32"):
        parse_tile(bytes(545), 17, "tile/1/003.p/17")


@pytest.mark.parametrize("length", [0, 1, MAX_ENTRY])
def test_entries_of_every_length(length):
    entry = b"x" * length
    assert parse_bundle(pack_bundle([entry, entry])) == [entry, entry]
    log = Log.create(MemoryStore(), KEY, entry)
    assert log.append(entry) == 1
    assert log.row(1).entry == entry
    assert log.prove(1).verify(entry, POLICY).size == 2


def test_entries_that_are_too_long():
    with pytest.raises(MalformedError, match="65536 bytes, want at most 65535"):
        pack_bundle([bytes(MAX_ENTRY + 1)])
    log = _log()
    with pytest.raises(MalformedError, match="65536 bytes, want at most 65535"):
        log.append(bytes(MAX_ENTRY + 1))
    with pytest.raises(MalformedError, match="65536 bytes, want at most 65535"):
        Log.create(MemoryStore(), KEY, bytes(MAX_ENTRY + 1))
    assert log.append(b"fits") == 9


# What real verifiers let through


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
        PROOF.replace(b"index 5\n", f"{line}\nindex 5\n".encode()),
        PROOF.replace(b"index 5\n", f"index 5\n{line}\n".encode()),
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
        Proof.parse(PROOF + b"x" * (4 * MAX_NOTE))
    with pytest.raises(MalformedError, match="want at most"):
        Proof.parse(bytes(Proof(5, (), CHECKPOINT, bytes(65_537))))
    with pytest.raises(MalformedError, match="257 items or more, want at most 256"):
        parse_bundle(bytes(2 * 10_000))
    with pytest.raises(MalformedError, match="want at most"):
        Policy.parse("#" * (MAX_POLICY + 1))
    with pytest.raises(ProofMismatch, match="want at most 64"):
        verify_inclusion((bytes(32),) * 65, index=0, size=9, leaf=bytes(32), root=bytes(32))
    with pytest.raises(MalformedError):
        parse_open(((1 << 20) + 1).to_bytes(4, "big") + bytes((1 << 20) + 1))


# Policies


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {KEY.verifier}\n",
        f"log {KEY.verifier}\nquorum none\nquorum none\n",
        f"log {KEY.verifier}\nlog {KEY.verifier}\nquorum none\n",
        f"log {KEY.verifier}\nlog {SigningKey('other', KEY.seed).verifier}\nquorum none\n",
        f"log {KEY.verifier} https://a https://b\nquorum none\n",
        f"log {KEY.verifier}\nquorum any\n",
        f"log {KEY.verifier}\nwitness w {OTHER.verifier}\nquorum w\n",
        "log nothing\nquorum none\n",
        f"LOG {KEY.verifier}\nquorum none\n",
    ],
)
def test_policies_that_cannot_be_honored(text):
    """What asks for witnesses is refused, not read as if it asked for none."""
    with pytest.raises(MalformedError):
        Policy.parse(text)


def test_policy_with_comments():
    policy = Policy.parse(f"# ours\n\n \t log\t{KEY.verifier}   https://market.example/log\nquorum  none")
    assert policy.origins == {KEY.name}
    assert policy.keys(KEY.name) == (KEY.verifier,)
    assert policy.keys("elsewhere") == ()
    assert policy.logs[0].url == "https://market.example/log"


def test_errors_never_repeat_a_secret():
    secret = str(KEY)
    tail = secret.rsplit("+", 1)[1]
    for bad in (
        secret[:-1],
        secret.replace("PRIVATE", "PRIVAT"),
        secret.replace(KEY.verifier.key_id.hex(), "00000000"),
    ):
        with pytest.raises(LedgerError) as caught:
            SigningKey.parse(bad)
        assert tail[:12] not in str(caught.value)
