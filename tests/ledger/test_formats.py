"""The traps of Python in formats, one by one, and policies. What holds for every format is in `test_strict`."""

from __future__ import annotations

import base64

import pytest

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
    open_checkpoint,
)
from ledger.checkpoint import parse_decimal, sign_checkpoint
from ledger.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from ledger.note import MAX_SIGNATURES, Note, Signature, decode_base64, open_note, sign_note
from ledger.testing import MemoryStore
from ledger.tile import (
    MAX_ENTRY,
    pack_bundle,
    parse_bundle,
    parse_path,
    parse_tile,
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

# Traps

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


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/x000/001",  # a group of zeros in front
        "tile/0/x000/x001/067",
        "tile/00/001",
        "tile/64/001",
        "tile/0/1",
        "tile/0/0001",
        "tile/0/x001",
        "tile/0/001.p/0",
        "tile/0/001.p/08",
        "tile/0/001.p/256",
        "tile/0/001/",
        "/tile/0/001",
        "tile/0/../0/001",
        "tile/0/٠٠١",
        "tile/entries/x009/x223/x372/x036/x854/x775/x808/000",  # 2^63 and more
        "tile/data/001",
    ],
)
def test_paths_have_one_spelling(path):
    with pytest.raises(MalformedError):
        parse_path(path)


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
