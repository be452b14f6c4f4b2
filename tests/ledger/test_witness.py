"""A witness between request and answer: published steps, then what no answer may ever do."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from ledger import Checkpoint, Conflict, MalformedError, NotFound, Policy, ProofMismatch, SigningKey, VerifierKey
from ledger.checkpoint import sign_checkpoint
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner
from ledger.evidence import Evidence
from ledger.merkle import beginning_root, prove_consistency, subtree_root, tree_root
from ledger.note import MAX_NOTE, MAX_SIGNATURES, Note, Signature
from ledger.subtree import part_root, prove_part
from ledger.testing import MemoryStore
from ledger.witness import SIZE_TYPE, Answer, Request, SubtreeRequest, Witness, read_answer

ORIGIN = "market.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
NORTH = Cosigner("north.example/w", ED25519, bytes([1] * 32))
LATER = Cosigner("north.example/w", ML_DSA_44, bytes([2] * 32))
NOW = 1_790_000_000
LEAVES = [bytes([number] * 32) for number in range(20)]


def read(nodes):
    return [subtree_root(LEAVES[index << level : (index + 1) << level]) for level, index in nodes]


def tree(size: int, root: bytes | None = None, key: SigningKey = KEY) -> Checkpoint:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root or tree_root(size, read)), key)


def signed(size: int, key: SigningKey = KEY) -> bytes:
    return tree(size, key=key).signed


def grown(old: int, new: int) -> bytes:
    proof = prove_consistency(old, new, read) if 0 < old < new else ()
    return bytes(Request(old, proof, signed(new)))


def witness(store: MemoryStore | None = None) -> Witness:
    return Witness({ORIGIN: [KEY.verifier]}, [NORTH, LATER], store or MemoryStore())


def wanted(answer: Answer, status: Any, body: Any, name: str) -> None:
    assert answer.status in (status if isinstance(status, list) else [status]), answer
    if body is None:
        return
    if "equals" in body:
        assert (answer.body.decode(), answer.type) == (body["equals"], body["content_type"])
    else:
        lines = read_answer(answer.status, answer.body)
        assert not isinstance(lines, int)
        assert {line.name for line in lines} == {name}


def published(data: dict[str, Any], store: MemoryStore) -> Witness:
    logs = {log["origin"]: [VerifierKey.parse(log["vkey"])] for log in data["logs"]}
    return Witness(logs, [Cosigner(data["witness_name"], ED25519, bytes(32))], store)


@pytest.mark.parametrize("name", ["litewitness", "sumdb"])
def test_published_steps(vectors, name):
    data = json.loads((vectors / "witness" / f"{name}.json").read_text("utf-8"))
    store = MemoryStore()
    at = published(data, store)
    origin = data["logs"][0]["origin"]
    for step in data["steps"]:
        wanted(
            at.add_checkpoint(step["request_body"].encode(), time=NOW),
            step["c2sp_status"],
            step["c2sp_body"],
            data["witness_name"],
        )
        stored = Checkpoint.parse(Note.parse(store.load(origin)).text).size
        assert stored == step["stored_size_after"]


def test_published_updates(vectors):
    data = json.loads((vectors / "witness" / "transparency_dev.json").read_text("utf-8"))
    for case in data["update_cases"]:
        at = published(data, MemoryStore())
        if "setup_request_body" in case:
            answer = at.add_checkpoint(case["setup_request_body"].encode(), time=NOW)
            assert answer.status == case["setup_c2sp_status"]
        answer = at.add_checkpoint(case["request_body"].encode(), time=NOW)
        wanted(answer, case["c2sp_status"], case.get("c2sp_body"), data["witness_name"])


def test_published_race(vectors):
    """The slow request passed its checks before the fast one was stored: it signs nothing."""
    data = json.loads((vectors / "witness" / "race.json").read_text("utf-8"))
    origin = data["logs"][0]["origin"]

    class Slow(MemoryStore):
        def swap(self, origin: str, old: bytes, new: bytes) -> None:
            if not hasattr(self, "begun"):
                self.begun = True
                self.raced = fast.add_checkpoint(data["request_b"].encode(), time=NOW)
            super().swap(origin, old, new)

    store = Slow()
    fast, slow = published(data, store), published(data, store)
    for step in data["setup"]:
        assert slow.add_checkpoint(step["request_body"].encode(), time=NOW).status == step["c2sp_status"]
    answer = slow.add_checkpoint(data["request_a"].encode(), time=NOW)
    want = data["want"]
    assert (store.raced.status, answer.status) == (want["b_status"], want["a_status"])
    assert (answer.body.decode(), answer.type) == (want["a_body"], SIZE_TYPE)
    stored = Checkpoint.parse(Note.parse(store.load(origin)).text)
    assert (stored.size, stored.root.hex()) == (want["stored_size"], want["stored_root_hex"])


def test_it_follows_a_log():
    at = witness()
    for old, new in ((0, 3), (3, 3), (3, 8), (8, 20)):
        answer = at.add_checkpoint(grown(old, new), time=NOW)
        lines = read_answer(answer.status, answer.body)
        assert [line.key_id for line in lines] == [NORTH.verifier.key_id, LATER.verifier.key_id]
        assert NORTH.verifier.verify(tree(new), lines[0]) == LATER.verifier.verify(tree(new), lines[1]) == NOW
    shown = at.checkpoint(sha256(ORIGIN.encode()).hexdigest())
    assert shown.status == 200
    assert len(Note.parse(shown.body).signatures) == 3
    assert at.checkpoint("00" * 32).status == 404


def test_it_never_signs_two_trees():
    at = witness()
    assert at.add_checkpoint(grown(0, 8), time=NOW).status == 200
    fork = sign_checkpoint(Checkpoint(ORIGIN, 8, bytes(32)), KEY).signed
    assert at.add_checkpoint(bytes(Request(8, (), fork)), time=NOW).status == 422
    longer = sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), KEY).signed
    assert at.add_checkpoint(bytes(Request(8, (bytes(32),), longer)), time=NOW).status == 422
    assert at.add_checkpoint(bytes(Request(3, prove_consistency(3, 8, read), signed(8))), time=NOW).status == 409
    assert at.add_checkpoint(bytes(Request(9, (), signed(8))), time=NOW).status == 400
    stranger = signed(9, SigningKey(ORIGIN, bytes(32)))
    assert at.add_checkpoint(bytes(Request(8, (), stranger)), time=NOW).status == 403


OTHER = [bytes([200 - number] * 32) for number in range(20)]


def read_other(nodes):
    return [subtree_root(OTHER[index << level : (index + 1) << level]) for level, index in nodes]


def forked(old: int, new: int) -> bytes:
    """What the log asks when its storage holds another history: its own proof of it, and its signature."""
    proof = prove_consistency(old, new, read_other) if 0 < old < new else ()
    return bytes(Request(old, proof, tree(new, tree_root(new, read_other)).signed))


@pytest.mark.parametrize("old, new, status", [(5, 5, 422), (8, 8, 422), (5, 9, 422), (7, 20, 422), (12, 13, 422)])
def test_a_log_that_forks_is_convicted(old, new, status):
    """By what it sent: two roots of one size, or a proof from another beginning than the one that it had signed."""
    at = witness()
    assert at.add_checkpoint(grown(0, old), time=NOW).status == 200
    answer = at.add_checkpoint(forked(old, new), time=NOW)
    assert answer.status == status
    assert answer.body.startswith(f"{ORIGIN}: consistency proof from {old} to {new}".encode())
    evidence = Evidence.parse(bytes(answer.evidence))
    proven = evidence.verify(Policy.of(KEY.verifier))
    assert (proven.old, proven.new.size, proven.root) == (tree(old), new, tree_root(old, read_other))
    assert Note.parse(proven.old.signed).signatures[-1].name == NORTH.verifier.name  # the witness says when it saw it


def test_a_log_that_forks_at_one_size_is_convicted_by_whatever_it_asks_from():
    at = witness()
    assert at.add_checkpoint(grown(0, 6), time=NOW).status == 200
    answer = at.add_checkpoint(forked(0, 6), time=NOW)
    assert (answer.status, answer.body) == (409, b"6\n")
    assert answer.evidence.verify(Policy.of(KEY.verifier)).new.root == tree_root(6, read_other)


def test_nobody_is_convicted_by_less():
    at = witness()
    assert at.add_checkpoint(forked(0, 8), time=NOW).evidence is None  # the first that it sees
    at = witness()
    assert at.add_checkpoint(grown(0, 6), time=NOW).status == 200
    stranger = tree(6, bytes(32), SigningKey(ORIGIN, bytes(32))).signed
    good = Request.parse(grown(6, 11))
    for refused, status in (
        (grown(0, 6), 409),
        (grown(3, 9), 409),
        (forked(0, 9), 409),  # without a proof from 6
        (bytes(Request(6, (), stranger)), 403),
        (bytes(replace(good, proof=())), 422),
        (bytes(replace(good, proof=good.proof[::-1])), 422),
        (bytes(replace(good, proof=(bytes(32), *good.proof[1:]))), 422),
        (bytes(replace(good, proof=Request.parse(forked(6, 11)).proof)), 422),
    ):
        answer = at.add_checkpoint(refused, time=NOW)
        assert (answer.status, answer.evidence) == (status, None), refused
    at = witness()
    assert at.add_checkpoint(grown(0, 8), time=NOW).status == 200
    assert at.add_checkpoint(forked(8, 9), time=NOW).evidence is None  # from a power of two, a proof holds no old root
    assert at.add_checkpoint(grown(8, 9), time=NOW).evidence is None


def test_the_beginning_that_a_proof_has():
    for new in range(2, 20):
        for old in range(1, new):
            proof = prove_consistency(old, new, read)
            if not old & (old - 1):
                with pytest.raises(ProofMismatch, match="does not hold the root"):
                    beginning_root(proof, old=old, new=new, new_root=tree_root(new, read))
                continue
            assert beginning_root(proof, old=old, new=new, new_root=tree_root(new, read)) == tree_root(old, read)
            for wrong in (proof[:-1], (*proof, bytes(32)), (bytes(32), *proof[1:])):
                with pytest.raises(ProofMismatch):
                    beginning_root(wrong, old=old, new=new, new_root=tree_root(new, read))


def test_many_at_once():
    store = MemoryStore()
    answers: list[Answer] = []
    lock = threading.Lock()

    def ask(new: int) -> None:
        answer = witness(store).add_checkpoint(grown(0, new), time=NOW)
        with lock:
            answers.append(answer)

    threads = [threading.Thread(target=ask, args=(new,)) for new in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] + [409] * 15
    assert len({answer.body for answer in answers if answer.status == 409}) == 1


def test_a_witness_that_cannot_remember_signs_nothing():
    class Broken(MemoryStore):
        def create(self, origin: str, signed: bytes) -> None:
            msg = "busy"
            raise Conflict(msg)

    answer = witness(Broken()).add_checkpoint(grown(0, 3), time=NOW)
    assert (answer.status, answer.body) == (409, b"0\n")


def test_a_name_that_is_too_long_for_one_of_its_keys():
    """ML-DSA-44 signs origins up to 255 bytes; the other key signs on."""
    key = SigningKey(f"{'long' * 70}.example/log", bytes(32))
    head = sign_checkpoint(Checkpoint(key.name, 3, tree(3).root), key)
    asked = bytes(Request(0, (), head.signed))
    answer = Witness({key.name: [key.verifier]}, [LATER, NORTH], MemoryStore()).add_checkpoint(asked, time=NOW)
    (line,) = read_answer(answer.status, answer.body)
    assert NORTH.verifier.verify(head, line) == NOW
    with pytest.raises(MalformedError, match="292 bytes"):
        Witness({key.name: [key.verifier]}, [LATER], MemoryStore()).add_checkpoint(asked, time=NOW)


@pytest.mark.parametrize("size", ["0", "3"])
@pytest.mark.parametrize("root", ["\u2014 no root", "\u00e9", "AAAA", "", "=", "A" * 43 + "=", "\u0130" * 44])
def test_a_root_that_is_none_is_malformed(size, root):
    """Anybody may send it, before any signature is looked at."""
    note = f"{ORIGIN}\n{size}\n{root}\n\n\u2014 {ORIGIN} AAAAAAAA\n".encode()
    for body in (bytes(Request(0, (), note)), b"old 0\n\n" + note):
        answer = witness().add_checkpoint(body, time=NOW)
        assert answer.status == (403 if root == "A" * 43 + "=" else 400)
    answer = witness().sign_subtree(f"subtree 0 1\n{'A' * 43}=\n\n".encode() + note)
    assert answer.status in {400, 403}


def test_a_log_that_signs_a_hundred_times_is_kept_with_one_line():
    """With its own lines beside all of them, the witness could never again read what it has seen."""
    later = Cosigner(ORIGIN, ML_DSA_44, bytes([7] * 32))
    asked, kept = Witness({ORIGIN: [later.verifier]}, [NORTH], MemoryStore()), sha256(ORIGIN.encode()).hexdigest()
    for old, new in ((0, 3), (3, 5)):
        lines = tuple(later.sign(tree(new), time=NOW + at) for at in range(MAX_SIGNATURES))
        proof = prove_consistency(old, new, read) if old else ()
        request = bytes(Request(old, proof, bytes(Note(str(tree(new)), lines))))
        assert asked.add_checkpoint(request, time=NOW).status == 200
        shown = Note.parse(asked.checkpoint(kept).body)
        assert [line.name for line in shown.signatures] == [ORIGIN, NORTH.verifier.name]


def test_a_checkpoint_that_grows_too_long_with_its_lines_is_refused():
    """It would be stored, and never read again."""
    seen = MemoryStore()
    asked = Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen)
    room = MAX_NOTE - len(sign_checkpoint(replace(tree(3), extensions=("x",)), KEY).signed)
    for length, status in ((room, 400), (room - 1_000, 200)):
        head = sign_checkpoint(replace(tree(3), extensions=("x" * (length + 1),)), KEY)
        assert len(head.signed) <= MAX_NOTE
        assert asked.add_checkpoint(bytes(Request(0, (), head.signed)), time=NOW).status == status
    assert asked.add_checkpoint(grown(3, 5), time=NOW).status == 200


@pytest.mark.parametrize("time", [0, -1, 2**63])
def test_a_clock_that_cannot_be_signs_nothing(time):
    seen = MemoryStore()
    with pytest.raises(MalformedError, match="time"):
        Witness({ORIGIN: [KEY.verifier]}, [NORTH, LATER], seen).add_checkpoint(grown(0, 3), time=time)
    with pytest.raises(NotFound):
        seen.load(ORIGIN)


def test_answers_that_say_nothing():
    for status, body in ((200, b"no line\n"), (200, b""), (409, b"many\n"), (500, b"oops"), (409, b"007\n")):
        with pytest.raises(MalformedError):
            read_answer(status, body)
    assert read_answer(409, b"7\n") == 7
    line = NORTH.sign(Checkpoint(ORIGIN, 3, bytes(32)), time=NOW)
    assert read_answer(200, f"{line}\n".encode()) == (line,)
    assert isinstance(line, Signature)


def part(start: int, end: int, size: int, *cosigners: Cosigner) -> SubtreeRequest:
    """A request to sign a part of a tree that these cosigned."""
    note = Note.parse(signed(size))
    lines = tuple(each.sign(tree(size), time=NOW) for each in cosigners)
    proof = prove_part(start, end, size, read)
    checkpoint = bytes(Note(note.text, lines or note.signatures))
    return SubtreeRequest(start, end, part_root(start, end, read), proof, checkpoint)


@pytest.mark.parametrize("signers", [(NORTH,), (LATER,), (NORTH, LATER)])
def test_it_signs_parts_of_what_it_cosigned(signers):
    for start, end in ((8, 13), (0, 8), (12, 13), (0, 20)):
        request = part(start, end, 20, *signers)
        assert SubtreeRequest.parse(bytes(request)) == request
        (line,) = read_answer(200, witness().sign_subtree(bytes(request)).body)
        assert (line.name, line.key_id) == (LATER.verifier.name, LATER.verifier.key_id)
        LATER.verifier.verify_subtree(ORIGIN, start=start, end=end, hash=request.hash, signature=line.value)
        assert line.value[:8] == bytes(8)


def test_parts_that_it_does_not_sign():
    good = part(8, 13, 20, NORTH)
    stranger = Cosigner("north.example/w", ML_DSA_44, bytes(32))
    forged = Note.parse(signed(20))
    forged_line = Signature(NORTH.verifier.name, NORTH.verifier.key_id, bytes(72))
    cases = {
        422: [
            replace(good, hash=bytes(32)),
            replace(good, proof=good.proof[:-1]),
            replace(good, proof=(*good.proof, bytes(32))),
            replace(good, start=8, end=12),
        ],
        400: [replace(good, start=9), replace(good, end=8), replace(good, start=16, end=24)],
        403: [
            part(8, 13, 20),
            part(8, 13, 20, stranger),
            replace(good, checkpoint=bytes(Note(forged.text, (forged_line,)))),
        ],
    }
    for status, requests in cases.items():
        for request in requests:
            assert witness().sign_subtree(bytes(request)).status == status, request
    other = Witness({"other.example/log": [KEY.verifier]}, [NORTH, LATER], MemoryStore())
    assert other.sign_subtree(bytes(good)).status == 404
    without = Witness({ORIGIN: [KEY.verifier]}, [NORTH], MemoryStore())
    assert without.sign_subtree(bytes(good)).status == 404
    wrong = [bytes(good).replace(b"subtree 8", b"subtree 08"), bytes(good).replace(b" 13\n", b" 13 \n")]
    for data in (
        *wrong,
        b"",
        b"x" * 2_000_000,
        bytes(replace(good, proof=(bytes(32),) * 64)),
        b"subtree 0 1\n\n" + signed(20),
    ):
        assert witness().sign_subtree(data).status == 400
