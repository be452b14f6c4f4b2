"""The newest checkpoint that a log signed, and what it was signed over."""

from __future__ import annotations

from typing import NamedTuple

from ledger.checkpoint import Checkpoint
from ledger.edge import Edge
from ledger.errors import ProofMismatch, Rollback
from ledger.evidence import forked
from ledger.merkle import tree_root
from ledger.reader import TileReader

__all__ = ["Signed"]


class Signed(NamedTuple):
    """A checkpoint of one log, the right edge of its tree, and the nodes of it that its own storage proves."""

    checkpoint: Checkpoint
    edge: Edge
    reader: TileReader

    def check_extends(self, other: Checkpoint, what: str) -> None:
        """Raise unless this log extends `other`, which is `what`.

        `Rollback` when the log is behind, `Fork` when it is another history, `ProofMismatch` for another log.
        """
        mine = self.checkpoint
        if other.origin != mine.origin:
            msg = f"{mine.origin}: the checkpoint {what} is one of {other.origin}"
            raise ProofMismatch(msg)
        if other.size > mine.size:
            msg = (
                f"{mine.origin}: storage is at size {mine.size}, the checkpoint {what} at {other.size}; "
                "refusing to sign: restore the newer storage, or refill it from what is published"
            )
            raise Rollback(msg)
        if tree_root(other.size, self.reader) != other.root:
            msg = f"{mine.origin}: the checkpoint {what} of size {other.size} is not a beginning of this log"
            raise forked(msg, other, mine, self.reader)
