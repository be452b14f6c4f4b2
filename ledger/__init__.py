"""A transparency log: bytes in, proofs out. Every format is published, so that others' tools can check it.

What verifies needs a `Policy`; what writes needs a `SigningKey` and a storage (`ledger.storage`)::

    policy = Policy.parse(open("market.policy").read())
    checkpoint = Proof.parse(open("sale.tlog-proof", "rb").read()).verify(entry, policy)
"""

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.errors import (
    Conflict,
    Fork,
    InvalidSignature,
    LedgerError,
    MalformedError,
    NotFound,
    Overloaded,
    ProofMismatch,
    QuorumNotMet,
    Rollback,
    StorageError,
    TileMismatch,
    Unavailable,
    UnknownKey,
    VerificationError,
)
from ledger.evidence import Evidence
from ledger.fsck import fsck
from ledger.log import Log
from ledger.note import RemoteKey, Signer, SigningKey, VerifierKey
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.refill import refill
from ledger.storage import Row

__all__ = [
    "Checkpoint",
    "Client",
    "Conflict",
    "Evidence",
    "Fork",
    "InvalidSignature",
    "LedgerError",
    "Log",
    "MalformedError",
    "NotFound",
    "Overloaded",
    "Policy",
    "Proof",
    "ProofMismatch",
    "QuorumNotMet",
    "RemoteKey",
    "Rollback",
    "Row",
    "Signer",
    "SigningKey",
    "StorageError",
    "TileMismatch",
    "Unavailable",
    "UnknownKey",
    "VerificationError",
    "VerifierKey",
    "fsck",
    "open_checkpoint",
    "refill",
]
