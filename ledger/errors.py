"""Everything that can go wrong, in one tree.

::

    LedgerError                       catch this one to catch everything
    ├── MalformedError (ValueError)   bytes that are not what the format says; parsers raise nothing else
    ├── VerificationError             bytes that parse, and do not prove what they should
    │   ├── InvalidSignature          a known key did not sign this
    │   ├── UnknownKey                nobody the policy names signed this
    │   ├── QuorumNotMet              too few of the witnesses that the policy names signed this
    │   ├── ProofMismatch             a Merkle proof leads to another root
    │   ├── TileMismatch              stored or served bytes do not hash to what the checkpoint covers
    │   └── Fork                      two signed checkpoints of one log contradict each other
    ├── StorageError                  the storage said no
    │   ├── NotFound
    │   ├── Conflict                  write-once bytes differ, or a compare-and-swap lost
    │   └── Unavailable               locked, full, read-only, unreachable: nothing is known to be lost
    ├── Rollback                      storage is behind what was already signed: the log must not sign
    └── Overloaded                    come back later; nothing was accepted

``provenance.errors`` adds ``EventRejected`` to the same tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.checkpoint import Checkpoint
    from ledger.evidence import Evidence

__all__ = [
    "Conflict",
    "Fork",
    "InvalidSignature",
    "LedgerError",
    "MalformedError",
    "NotFound",
    "Overloaded",
    "ProofMismatch",
    "QuorumNotMet",
    "Rollback",
    "StorageError",
    "TileMismatch",
    "Unavailable",
    "UnknownKey",
    "VerificationError",
]


class LedgerError(Exception):
    """Base of every error this library raises on purpose."""


class MalformedError(LedgerError, ValueError):
    """Bytes or text that are not in the format they should be in."""


class VerificationError(LedgerError):
    """Well-formed bytes that do not prove what they should."""


class InvalidSignature(VerificationError):
    """A known key's signature over these bytes does not verify."""


class UnknownKey(VerificationError):
    """No key that the verifier trusts signed these bytes."""


class QuorumNotMet(VerificationError):
    """Too few of the witnesses named by the policy cosigned."""


class ProofMismatch(VerificationError):
    """A Merkle proof does not lead to the root that was signed."""


class TileMismatch(VerificationError):
    """A tile or entry bundle does not hash to what the checkpoint covers.

    ``path`` names the object, ``offset`` the first bad byte in it (None when the whole object is bad).
    """

    def __init__(self, message: str, *, path: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset


class Fork(VerificationError):
    """Two signed checkpoints of one origin that cannot both be true.

    ``old`` and ``new`` are the two checkpoints, each with its signed bytes. ``evidence`` holds both and the proof that
    they contradict each other, for anybody who has the log's key; None where no proof could be read.
    """

    def __init__(self, message: str, old: Checkpoint, new: Checkpoint, evidence: Evidence | None = None) -> None:
        super().__init__(message)
        self.old = old
        self.new = new
        self.evidence = evidence


class StorageError(LedgerError):
    """A storage refused or failed. ``path`` names the object where there is one."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class NotFound(StorageError):
    """The object or row is not there."""


class Conflict(StorageError):
    """Other bytes are already there, or somebody else swapped first."""


class Unavailable(StorageError):
    """The storage cannot answer now (locked, full, read-only, unreachable). The outcome may be unknown."""


class Rollback(LedgerError):
    """The storage is behind something already signed or published. Nothing is signed until it is refilled.

    ``newest`` is the checkpoint that shows it, with its signed bytes, where somebody else holds one (None elsewhere).
    """

    def __init__(self, message: str, *, newest: Checkpoint | None = None) -> None:
        super().__init__(message)
        self.newest = newest


class Overloaded(LedgerError):
    """More work is waiting than is accepted. Nothing of this call was kept: try again later."""
