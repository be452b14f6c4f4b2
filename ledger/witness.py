r"""A witness: signs only what extends everything it signed before (c2sp.org/tlog-witness).

What it does between a request and its answer, without a network and without a clock::

    POST add-checkpoint            old 20852014\n
                                   PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n   up to 63 hashes: consistency proof
                                   \n
                                   …the log's checkpoint, as it was signed
    200  its signature lines · 400 malformed · 403 not signed by the log · 404 no log it knows
    409  `20852163\n`, the size that it has seen · 422 the proof does not show that the log grew

What it has seen is stored by compare-and-swap before it answers: two requests at once cannot make it sign two trees.

`sign-subtree` is about a part of a tree whose checkpoint it cosigned before, and needs no memory::

    POST sign-subtree              subtree 8 13\n
                                   mbsQCg+dEIMGlpqeGgk94JutQwKKS2Lo5IuDhKmDjiU=\n   the root of the part
                                   CD82D2LDm0phY0+xKbHyZfq3Hw21lVkuV7Zis5EFg0k=\n   up to 63 hashes: its proof
                                   \n
                                   …the checkpoint, with a cosignature of this witness
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from ledger.checkpoint import Checkpoint, parse_decimal
from ledger.cosignature import ML_DSA_44, Cosigner, CosignerKey, Signs
from ledger.errors import (
    Conflict,
    InvalidSignature,
    MalformedError,
    NotFound,
    ProofMismatch,
    UnknownKey,
    VerificationError,
)
from ledger.evidence import Evidence
from ledger.merkle import EMPTY_ROOT, HASH_SIZE, verify_consistency
from ledger.note import MAX_NOTE, MAX_SIGNATURES, Note, Signature, VerifierKey, decode_base64, shown
from ledger.policy import Policy
from ledger.proof import MAX_HASHES
from ledger.storage import Checkpoints
from ledger.subtree import check_part, verify_part

__all__ = [
    "MAX_REQUEST",
    "REFUSALS",
    "SIZE_TYPE",
    "Answer",
    "Collects",
    "Request",
    "SubtreeRequest",
    "Witness",
    "read_answer",
]

MAX_REQUEST = MAX_NOTE + 64 * 64
"""Bytes of the longest request that is read."""

SIZE_TYPE = "text/x.tlog.size"
"""Media type of an answer that says which size the witness has seen."""

REFUSALS: Mapping[int, str] = {
    400: "takes the request for malformed",
    403: "knows this log by another key",
    404: "does not watch this log",
    409: "has seen another size",
    422: "says that the log did not grow from what it saw",
    429: "is asked too often",
}
"""What a witness says of a log with each status but 200, in words."""

_TEXT = "text/plain; charset=utf-8"
_RETRIES = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """A status of HTTP, a body and its media type; and what is not sent, that the log which asked has forked."""

    status: int
    body: bytes = b""
    type: str = _TEXT
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """That a log of the size `old`, which the witness has seen, has grown into `checkpoint` (the note, as signed)."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    @classmethod
    def parse(cls, data: bytes) -> Request:
        """Read a request; `bytes(Request.parse(data)) == data`. Raises `MalformedError`. Verifies nothing."""
        first, hashes, checkpoint = _lines(data, "add-checkpoint")
        if not first.startswith("old ") or len(hashes) > MAX_HASHES:
            msg = f"add-checkpoint: want 'old SIZE', at most {MAX_HASHES} hashes, an empty line and a checkpoint"
            raise MalformedError(msg)
        return cls(parse_decimal(first.removeprefix("old "), "add-checkpoint: old size"), hashes, checkpoint)

    @classmethod
    def about(cls, checkpoint: Checkpoint, *, old: int, proof: Iterable[bytes]) -> Request:
        """That it has grown into `checkpoint`, with the lines in the log's own name alone.

        What others have signed beside it tells a witness nothing, and some read no more than 10 KiB of a request:
        three lines of ML-DSA-44.
        """
        note = Note.parse(checkpoint.signed)
        own = tuple(line for line in note.signatures if line.name == checkpoint.origin)
        return cls(old, tuple(proof), bytes(Note(note.text, own)))

    def __bytes__(self) -> bytes:
        return _joined(f"old {self.old}", self.proof, self.checkpoint)


@dataclass(frozen=True, slots=True)
class SubtreeRequest:
    """That the part `[start, end)` with the root `hash` is in the tree of `checkpoint`, which the witness cosigned."""

    start: int
    end: int
    hash: bytes
    proof: tuple[bytes, ...]
    checkpoint: bytes

    @classmethod
    def parse(cls, data: bytes) -> SubtreeRequest:
        """As `Request.parse`."""
        first, hashes, checkpoint = _lines(data, "sign-subtree")
        words = first.split(" ")
        if len(words) != 3 or words[0] != "subtree" or not 1 <= len(hashes) <= MAX_HASHES + 1:
            msg = (
                f"sign-subtree: want 'subtree START END', a hash, at most {MAX_HASHES} hashes of its proof, an empty "
                "line and a checkpoint"
            )
            raise MalformedError(msg)
        start, end = (parse_decimal(word, "sign-subtree: range") for word in words[1:])
        return cls(start, end, hashes[0], hashes[1:], checkpoint)

    def __bytes__(self) -> bytes:
        return _joined(f"subtree {self.start} {self.end}", (self.hash, *self.proof), self.checkpoint)


class Collects(Protocol):
    """What asks witnesses to cosign a checkpoint before it is published: `adapters.witnesses.Witnesses` over HTTP."""

    def collect(self, checkpoint: Checkpoint, prove: Callable[[int], Sequence[bytes]]) -> tuple[Signature, ...]:
        """Return verified cosignatures of `checkpoint`, whose `signed` is the log's own note.

        Returns as soon as they are a quorum, else what came in time: the caller decides whether that is enough.
        `prove(old)` is the consistency proof from a size above 0 and below `checkpoint.size`, and asked for no other;
        it is called in the thread of the caller only.

        Raises `Rollback` when a witness holds a checkpoint that this log signed at a larger size: it is in `newest`.
        Either this storage is behind, or another process of the log went ahead meanwhile; a caller whose trusted
        storage has come to that size takes it for the second and tries again. Raises `Fork` when a witness holds one
        that this log signed and that contradicts this one. A witness that shows no signature of the log for what it
        says raises nothing: it counts as absent.
        """


class Witness:
    """Answers requests. Safe to share between threads and processes, as far as its storage is.

    `logs` are the keys of each log that it watches, by origin; `cosigners` sign (an Ed25519 and an ML-DSA-44 one, say);
    `seen` is where it remembers, one cell for each origin, and must be its own: no log writes there.
    """

    def __init__(
        self, logs: Mapping[str, Sequence[VerifierKey | CosignerKey]], cosigners: Iterable[Signs], seen: Checkpoints
    ) -> None:
        self._logs = {origin: tuple(keys) for origin, keys in logs.items()}
        self._cosigners = tuple(cosigners)
        self._seen = seen
        self._origins = {sha256(origin.encode()).hexdigest(): origin for origin in logs}

    def add_checkpoint(self, data: bytes, *, time: int) -> Answer:
        """Answer one request at `time` (seconds since 1970). What it signs was stored, durably, before.

        Raises `StorageError` when it cannot remember: then nothing was signed.
        """
        try:
            request = Request.parse(data)
            tree = _tree(request.checkpoint)
        except MalformedError as error:
            return _refused(400, str(error))
        keys = self._logs.get(tree.origin)
        if keys is None:
            return _refused(404, f"log {shown(tree.origin, 200)}: not watched here")
        if request.old > tree.size:
            return _refused(400, f"old size {request.old} is above the checkpoint's, {tree.size}")
        try:
            note = Note.parse(request.checkpoint)  # signature lines that are none prove nothing
            lines = _verified(note, tree, keys)
        except (MalformedError, UnknownKey, InvalidSignature) as error:
            return _refused(403, str(error))
        for _ in range(_RETRIES):
            stored = self._load(tree.origin)
            have = stored[1] if stored is not None else Checkpoint(tree.origin, 0, EMPTY_ROOT)
            if request.old != have.size:
                answer = Answer(409, f"{have.size}\n".encode(), SIZE_TYPE)
                return self._with_evidence(answer, stored, tree, request)
            try:
                _grew(have, tree, request.proof)
            except ProofMismatch as error:
                answer = _refused(422, f"{shown(tree.origin, 200)}: {error}")
                return self._with_evidence(answer, stored, tree, request)
            signed = self._sign(tree, time)
            if not signed:
                return _refused(400, "extension lines, which no key of this witness signs")
            text = "".join(f"{line}\n" for line in signed)
            kept = bytes(Note(note.text, (*lines, *signed)))
            if len(kept) > MAX_NOTE:  # nobody could read it again
                return _refused(400, f"with the lines of this witness {len(kept)} bytes, want at most {MAX_NOTE}")
            try:
                if stored is None:
                    self._seen.create(tree.origin, kept)
                else:
                    self._seen.swap(tree.origin, stored[0], kept)
            except Conflict:
                continue  # another request was faster: what it stored decides
            return Answer(200, text.encode())
        return Answer(409, f"{self._size(tree.origin)}\n".encode(), SIZE_TYPE)

    def sign_subtree(self, data: bytes) -> Answer:
        """Answer one request to sign a part of a tree that it cosigned: with its ML-DSA-44 `Cosigner`s, without a time.

        One that has none answers 404, as one that does not know the request.
        """
        signers = [c for c in self._cosigners if isinstance(c, Cosigner) and c.verifier.type == ML_DSA_44]
        if not signers:
            return _refused(404, "sign-subtree: this witness has no key that signs parts of trees")
        try:
            request = SubtreeRequest.parse(data)
            tree = _tree(request.checkpoint)
            check_part(request.start, request.end, tree.size)
        except (MalformedError, ProofMismatch) as error:
            return _refused(400, str(error))
        if tree.origin not in self._logs:
            return _refused(404, f"log {shown(tree.origin, 200)}: not watched here")
        try:
            _verified(Note.parse(request.checkpoint), tree, [each.verifier for each in self._cosigners])
        except (MalformedError, UnknownKey, InvalidSignature) as error:
            return _refused(403, str(error))
        part = {"start": request.start, "end": request.end}
        try:
            verify_part(request.proof, **part, size=tree.size, part_root=request.hash, root=tree.root)
        except ProofMismatch as error:
            return _refused(422, str(error))
        lines = []
        for each in signers:
            value = each.sign_subtree(tree.origin, **part, hash=request.hash)
            lines.append(Signature(each.verifier.name, each.verifier.key_id, value))
        return Answer(200, "".join(f"{line}\n" for line in lines).encode())

    def checkpoint(self, origin_hash: str) -> Answer:
        """The newest checkpoint that it cosigned, of the log whose origin has this SHA-256 (hex): what monitors ask."""
        origin = self._origins.get(origin_hash)
        stored = None if origin is None else self._load(origin)
        if stored is not None:
            return Answer(200, stored[0])
        return _refused(404, "no checkpoint of such a log was cosigned here")

    def _load(self, origin: str) -> tuple[bytes, Checkpoint] | None:
        try:
            kept = self._seen.load(origin)
        except NotFound:
            return None
        return kept, Checkpoint.parse(Note.parse(kept).text)

    def _with_evidence(
        self, answer: Answer, stored: tuple[bytes, Checkpoint] | None, tree: Checkpoint, request: Request
    ) -> Answer:
        """A refusal of what the log has signed; with the evidence, where that contradicts what was seen of it."""
        if stored is None:
            return answer
        seen, new = replace(stored[1], signed=stored[0]), replace(tree, signed=request.checkpoint)
        try:
            evidence = Evidence.of_proof(seen, new, request.proof)
            evidence.verify(Policy.of(*self._logs[tree.origin]))
        except (MalformedError, VerificationError):
            return answer
        return replace(answer, evidence=evidence)

    def _size(self, origin: str) -> int:
        stored = self._load(origin)
        return 0 if stored is None else stored[1].size

    def _sign(self, tree: Checkpoint, time: int) -> list[Signature]:
        """The lines of every key that can: ML-DSA-44 signs no extension lines, and no origin above 255 bytes."""
        found: list[Signature] = []
        refused: MalformedError | None = None
        for cosigner in self._cosigners:
            try:
                found.append(cosigner.sign(tree, time=time))
            except MalformedError as error:
                refused = error
        if refused is not None and not found and not tree.extensions:
            raise refused
        return found


def read_answer(status: int, body: bytes) -> tuple[Signature, ...] | int:
    """What an answer says to the log that asked: signature lines, or (409) the size that the witness has seen.

    Lines are bounded and not verified: the policy does that. Raises `MalformedError` for any other answer, with what
    the witness said.
    """
    if len(body) > MAX_NOTE:
        msg = f"witness: an answer of {len(body)} bytes, want at most {MAX_NOTE}"
        raise MalformedError(msg)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        msg = f"witness: status {status}, not UTF-8 at byte {error.start}"
        raise MalformedError(msg) from None
    if status == 200 and text.endswith("\n"):
        lines = text[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            msg = f"witness: an answer of {len(lines)} lines, want at most {MAX_SIGNATURES}"
            raise MalformedError(msg)
        return tuple(Signature.parse(line) for line in lines)
    if status == 409 and text.endswith("\n"):
        return parse_decimal(text[:-1], "size that the witness has seen")
    means = f"{REFUSALS[status]}: " if status in REFUSALS else ""
    msg = f"witness: {means}status {status}, {shown(text.strip(), 200)!r}"
    raise MalformedError(msg)


def _lines(data: bytes, what: str) -> tuple[str, tuple[bytes, ...], bytes]:
    """First line, hashes and checkpoint of a request."""
    if len(data) > MAX_REQUEST:
        msg = f"{what}: {len(data)} bytes, want at most {MAX_REQUEST}"
        raise MalformedError(msg)
    head, separator, checkpoint = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        msg = f"{what}: not ASCII at byte {error.start}"
        raise MalformedError(msg) from None
    if not separator or len(lines) > MAX_HASHES + 1:
        msg = f"{what}: want at most {MAX_HASHES} hashes of a proof, an empty line and a checkpoint"
        raise MalformedError(msg)
    hashes = tuple(decode_base64(line, f"{what}: hash {at}") for at, line in enumerate(lines))
    if any(len(each) != HASH_SIZE for each in hashes):
        msg = f"{what}: want hashes of {HASH_SIZE} bytes"
        raise MalformedError(msg)
    return first, hashes, checkpoint


def _joined(first: str, hashes: Iterable[bytes], checkpoint: bytes) -> bytes:
    lines = [first, *(base64.b64encode(each).decode() for each in hashes)]
    return ("\n".join(lines) + "\n\n").encode() + checkpoint


def _tree(signed: bytes) -> Checkpoint:
    """The checkpoint of a note, also one of size 0 with a wrong root: that is for the proof to refuse."""
    try:
        text = signed.rpartition(b"\n\n")[0].decode() + "\n"
    except UnicodeDecodeError as error:
        msg = f"checkpoint: not UTF-8 at byte {error.start}"
        raise MalformedError(msg) from None
    try:
        return Checkpoint.parse(text)
    except MalformedError:
        origin, size, root, *rest = [*text.split("\n"), "", "", ""]
        if not origin or size != "0" or any(rest):
            raise
        raw = decode_base64(root, "checkpoint root")
        if len(raw) != HASH_SIZE:
            raise
        return Checkpoint(origin, 0, raw)


def _verified(note: Note, tree: Checkpoint, keys: Sequence[VerifierKey | CosignerKey]) -> tuple[Signature, ...]:
    """The lines by `keys`, one of each; at least one, and none that does not hold."""
    lines: dict[tuple[str, bytes], Signature] = {}
    for line in dict.fromkeys(note.signatures):
        for key in keys:
            if (line.name, line.key_id) == (key.name, key.key_id):
                if isinstance(key, CosignerKey):
                    key.verify(tree, line)
                else:
                    key.verify(note.text, line)
                lines.setdefault((line.name, line.key_id), line)
    if not lines:
        names = ", ".join(sorted({f"{s.name} {s.key_id.hex()}" for s in note.signatures}))
        msg = f"checkpoint of {shown(tree.origin, 200)}: signed by {shown(names, 200)}, by no key that counts here"
        raise UnknownKey(msg)
    return tuple(lines.values())


def _grew(have: Checkpoint, tree: Checkpoint, proof: tuple[bytes, ...]) -> None:
    """Raise `ProofMismatch` unless `tree` begins with what was seen: with nothing, every tree does, without a proof."""
    if tree.size == 0 and tree.root != EMPTY_ROOT:
        msg = "checkpoint of size 0: its root is not that of the empty tree"
        raise ProofMismatch(msg)
    if have.size == 0:
        if proof:
            msg = f"consistency proof from 0: {len(proof)} hashes, want none"
            raise ProofMismatch(msg)
        return
    verify_consistency(proof, old=have.size, new=tree.size, old_root=have.root, new_root=tree.root)


def _refused(status: int, why: str) -> Answer:
    return Answer(status, f"{why}\n".encode())
