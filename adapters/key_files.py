"""What a published log shows of its key beside its tiles: for a reader to compare, never to be believed."""

from __future__ import annotations

from ledger.note import VerifierKey
from ledger.policy import Policy
from ledger.receipt import key_set

__all__ = ["KEY_FILES", "KEY_SET", "key_files"]

KEY_SET = ".well-known/scitt-keys"
"""Where tools of SCITT look for the keys of receipts, below the log's place or at the top of its host (RFC 8615)."""

KEY_FILES = ("log.vkey", "market.policy", KEY_SET)
"""The paths of all of them."""


def key_files(key: VerifierKey) -> dict[str, bytes]:
    """By path: the key itself, a policy that accepts it alone, and the key as a COSE_KeySet (RFC 9052 §7)."""
    contents = (f"{key}\n".encode(), str(Policy.of(key)).encode(), key_set([key]))
    return dict(zip(KEY_FILES, contents, strict=True))
