r"""Evidence of a fork: one file that convicts a log of having signed two histories.

::

    provenance.fork@v1
    root 5p1nRUfPcHS9SLaDYUdVUqOhIAAfKJD9BuOUJyPyPaM=   what the newer tree has as its first 600 entries
    rzFuy5Go7nrpkhBwKy1HWPMM3eO/YePY54fXRoH5Cm4=        consistency proof from 600 to 1000 (RFC 9162 §2.1.4)
    …

    market.example/log                                  one checkpoint, as it was signed
    600
    …

    — market.example/log Uw2Qw…

    market.example/log                                  the other, not smaller
    1000
    …

Two checkpoints of one size and with two roots need no proof: then there is no `root` line and no hash. Of two sizes,
the hashes lead to the root of the larger tree and also to `root`, that of its first entries: so the log signed the
larger tree, and with it that beginning. Where the smaller checkpoint has another root, both cannot be true.

Nobody is convicted by what they did not sign: a log that only grew has one root for each size, and no hashes lead from
another one to a root that it signed, short of a collision of SHA-256.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import Fork, InvalidSignature, MalformedError, ProofMismatch, StorageError, VerificationError
from ledger.merkle import HASH_SIZE, ReadNodes, beginning_root, consistency_root, prove_consistency, tree_root
from ledger.note import MAX_NOTE, Note, decode_base64, shown
from ledger.policy import NONE, Policy
from ledger.proof import MAX_HASHES

__all__ = ["MAX_EVIDENCE", "Conviction", "Evidence", "cosigned", "forked", "of_log_alone"]

MAX_EVIDENCE = 2 * MAX_NOTE + 64 * 64
"""Bytes of the longest evidence that is read: two notes, and a proof."""

_HEADER = "provenance.fork@v1"


@dataclass(frozen=True, slots=True)
class Conviction:
    """What evidence proves: `old` and `new` were both signed for one log, and contradict each other.

    The tree of `new` begins with `old.size` entries whose root is `root`, which is not `old.root`. `old_seen` and
    `new_seen` are the witnesses of the policy that cosigned each, with the time in seconds since 1970.
    """

    old: Checkpoint
    new: Checkpoint
    root: bytes
    old_seen: Mapping[str, int]
    new_seen: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two signed checkpoints of one log, and the proof that they contradict each other: to be believed after `verify`.

    `old` and `new` are the notes as they were signed, `new` the larger where they differ in size; then `root` is what
    the tree of `new` has as its first entries, and `hashes` prove it. Raises `MalformedError` for anything else.
    """

    old: bytes
    new: bytes
    root: bytes | None = None
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        old, new = (Checkpoint.parse(Note.parse(note).text) for note in (self.old, self.new))
        if old.origin != new.origin:
            msg = f"evidence: checkpoints of {shown(old.origin, 200)} and of {shown(new.origin, 200)}, want one log"
            raise MalformedError(msg)
        if not 0 < old.size <= new.size:
            msg = f"evidence: checkpoints of size {old.size} and {new.size}, want the smaller first, and none of size 0"
            raise MalformedError(msg)
        if (old.size == new.size) != (self.root is None) or (self.root is None and self.hashes):
            msg = "evidence: want a root and a proof for checkpoints of two sizes, and neither for those of one"
            raise MalformedError(msg)
        if len(self.hashes) > MAX_HASHES:
            msg = f"evidence: {len(self.hashes)} hashes, want at most {MAX_HASHES}"
            raise MalformedError(msg)
        for hash_ in (*([] if self.root is None else [self.root]), *self.hashes):
            if len(hash_) != HASH_SIZE:
                msg = f"evidence: a hash of {len(hash_)} bytes, want {HASH_SIZE}"
                raise MalformedError(msg)

    @classmethod
    def of(cls, old: Checkpoint, new: Checkpoint, read: ReadNodes | None = None) -> Evidence:
        """Make evidence of two signed checkpoints, in any order; `read` gives nodes of the larger tree.

        Two of one size need no `read`. Raises `ProofMismatch` when they do not contradict each other, or nothing shows
        that they do, `MalformedError` when one was never signed, and what `read` raises.
        """
        if old.size > new.size:
            old, new = new, old
        if old.size == new.size:
            if old.root == new.root:
                raise _consistent(old, new)
            return cls(old.signed, new.signed)
        if read is None:
            msg = f"{old.origin}: checkpoints of size {old.size} and {new.size}, and no tree that shows how one grew"
            raise ProofMismatch(msg)
        root = tree_root(old.size, read)
        if root == old.root:
            raise _consistent(old, new)
        return cls(old.signed, new.signed, root, prove_consistency(old.size, new.size, read))

    @classmethod
    def of_proof(cls, old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> Evidence:
        """Make evidence of two signed checkpoints and of what the log sent to prove that `new` extends `old`.

        Raises `ProofMismatch` when that does not show a contradiction, `MalformedError` when one was never signed.
        """
        if old.size == new.size:
            return cls.of(old, new)
        root = beginning_root(proof, old=old.size, new=new.size, new_root=new.root)
        if root == old.root:
            raise _consistent(old, new)
        return cls(old.signed, new.signed, root, tuple(proof))

    @classmethod
    def parse(cls, data: bytes) -> Evidence:
        """Read evidence; `bytes(Evidence.parse(data)) == data`. Raises `MalformedError`. Verifies nothing."""
        if len(data) > MAX_EVIDENCE:
            msg = f"evidence: {len(data)} bytes, want at most {MAX_EVIDENCE}"
            raise MalformedError(msg)
        # No checkpoint has an empty line but the one before its signatures.
        head, *notes = data.split(b"\n\n")
        if len(notes) != 4:
            msg = f"evidence: {len(notes)} empty lines, want 4: before, between and inside two checkpoints"
            raise MalformedError(msg)
        try:
            header, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            msg = f"evidence: not ASCII at byte {error.start}"
            raise MalformedError(msg) from None
        if header != _HEADER:
            msg = f"evidence: want first line {_HEADER!r}"
            raise MalformedError(msg)
        root = None
        if lines and lines[0].startswith("root "):
            root = decode_base64(lines.pop(0).removeprefix("root "), "evidence root")
        hashes = tuple(decode_base64(line, f"evidence hash {at}") for at, line in enumerate(lines))
        text, signatures, *new = notes
        return cls(text + b"\n\n" + signatures + b"\n", b"\n\n".join(new), root, hashes)

    def __bytes__(self) -> bytes:
        lines = [_HEADER]
        if self.root is not None:
            lines.append("root " + base64.b64encode(self.root).decode())
        lines += [base64.b64encode(hash_).decode() for hash_ in self.hashes]
        return ("\n".join(lines) + "\n\n").encode() + self.old + b"\n" + self.new

    @property
    def origin(self) -> str:
        """The log that it is about: to find the policy, which then has to agree."""
        return Checkpoint.parse(Note.parse(self.old).text).origin

    def verify(self, policy: Policy) -> Conviction:
        """Return what is proven: that a key which `policy` lists for this log signed two histories.

        The log's own signature under each is enough; no witness has to have seen either. Raises `UnknownKey` when the
        policy does not list the log or who signed, `InvalidSignature`, and `ProofMismatch` when the checkpoints do not
        contradict each other, or it is not proven that they do.
        """
        signed = of_log_alone(policy)
        old, new = (open_checkpoint(note, signed) for note in (self.old, self.new))
        root = new.root
        if self.root is not None:
            root = self.root
            leads = consistency_root(self.hashes, old=old.size, new=new.size, old_root=root)
            if leads != new.root:
                msg = f"evidence: the proof leads to root {leads.hex()} of size {new.size}, want {new.root.hex()}"
                raise ProofMismatch(msg)
        if root == old.root:
            raise _consistent(old, new)
        return Conviction(old, new, root, cosigned(old, policy), cosigned(new, policy))


def forked(message: str, old: Checkpoint, new: Checkpoint, read: ReadNodes | None = None) -> Fork:
    """The error for two signed checkpoints that contradict each other, with the evidence; `read` as in `Evidence.of`.

    Where the proof cannot be read, the message says why and the error holds none.
    """
    try:
        evidence = Evidence.of(old, new, read)
    except (MalformedError, StorageError, VerificationError) as error:
        return Fork(f"{message}; no evidence can be made of it: {error}", old, new)
    return Fork(message, old, new, evidence)


def of_log_alone(policy: Policy) -> Policy:
    """The policy that asks for the log's own signature and for no witness: enough to convict, not enough to rely on."""
    return replace(policy, witnesses=(), groups=(), quorum=NONE)


def cosigned(checkpoint: Checkpoint, policy: Policy) -> dict[str, int]:
    """The witnesses of `policy` whose cosignature on a signed checkpoint holds, and its time in seconds since 1970.

    Others, and lines that do not hold, say nothing.
    """
    found: dict[str, int] = {}
    for line in Note.parse(checkpoint.signed).signatures:
        for witness in policy.witnesses:
            if (line.name, line.key_id) == (witness.key.name, witness.key.key_id):
                try:
                    found.setdefault(witness.name, witness.key.verify(checkpoint, line))
                except (InvalidSignature, MalformedError):
                    continue
    return found


def _consistent(old: Checkpoint, new: Checkpoint) -> ProofMismatch:
    msg = f"{old.origin}: the checkpoint of size {new.size} extends the one of size {old.size}: that is no fork"
    return ProofMismatch(msg)
