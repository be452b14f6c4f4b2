"""Checkpoints: what a log signs about its whole tree (c2sp.org/tlog-checkpoint).

The text of the note is the origin, the tree size and the root hash, a line each::

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.errors import MalformedError, UnknownKey
from ledger.merkle import EMPTY_ROOT, HASH_SIZE
from ledger.note import Note, Signer, decode_base64, sign_note

if TYPE_CHECKING:
    from ledger.policy import Policy

__all__ = ["MAX_TREE_SIZE", "Checkpoint", "open_checkpoint", "parse_decimal", "sign_checkpoint"]

MAX_TREE_SIZE = 2**63 - 1
"""Largest tree size that is read: what fits every signed 64-bit integer that others may store it in."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Origin, tree size and root hash of a log at one moment.

    `signed` is the note it came from, signatures included, or empty when it was never signed; it does not take part
    in comparisons.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()
    signed: bytes = field(default=b"", compare=False, repr=False)

    def __str__(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a checkpoint; `str(Checkpoint.parse(text)) == text`. Raises `MalformedError`.

        Verifies nothing: `open_checkpoint` is for bytes from elsewhere.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:
            msg = f"checkpoint: {len(lines) - 1} lines, want origin, size and root, each with a newline"
            raise MalformedError(msg)
        origin, size, root, *extensions = lines[:-1]
        if not origin:
            msg = "checkpoint: empty origin"
            raise MalformedError(msg)
        if not all(extensions):
            msg = "checkpoint: empty extension line"
            raise MalformedError(msg)
        tree_size = parse_decimal(size, "checkpoint size")
        hash_ = decode_base64(root, "checkpoint root")
        if len(hash_) != HASH_SIZE:
            msg = f"checkpoint root: {len(hash_)} bytes, want {HASH_SIZE}"
            raise MalformedError(msg)
        if tree_size == 0 and hash_ != EMPTY_ROOT:
            msg = "checkpoint of size 0: its root is not that of the empty tree"
            raise MalformedError(msg)
        return cls(origin, tree_size, hash_, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, *keys: Signer) -> Checkpoint:
    """Sign with the log's key; the result carries the note in `signed`.

    Raises `UnknownKey` when a key's name is not the origin: nobody would accept that signature.
    """
    for key in keys:
        if key.name != checkpoint.origin:
            msg = f"checkpoint of {checkpoint.origin}: the key is named {key.name}"
            raise UnknownKey(msg)
    note = sign_note(str(checkpoint), *keys)
    return Checkpoint(checkpoint.origin, checkpoint.size, checkpoint.root, checkpoint.extensions, note)


def open_checkpoint(data: bytes, policy: Policy) -> Checkpoint:
    """Parse `data` and return the checkpoint it proves under `policy`.

    Only a key that the policy lists *for this origin* counts, and a quorum of its witnesses has to have seen it. Raises
    `MalformedError`, `UnknownKey`, `InvalidSignature`, `QuorumNotMet`.
    """
    note = Note.parse(data)
    parsed = Checkpoint.parse(note.text)
    policy.verify(note, parsed)
    return Checkpoint(parsed.origin, parsed.size, parsed.root, parsed.extensions, data)


def parse_decimal(text: str, what: str) -> int:
    """Read a non-negative decimal number in its one spelling: no sign, no leading zero, ASCII digits only."""
    if not _DECIMAL.fullmatch(text) or (value := int(text)) > MAX_TREE_SIZE:
        msg = f"{what} {text[:32]!r}: want a decimal number from 0 to 2^63 - 1"
        raise MalformedError(msg)
    return value
