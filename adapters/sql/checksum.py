"""A checksum for the few values that are in no hash and under no signature: hints, and positions of work in slices.

It tells of a disk that changed one. It keeps nobody off who writes to the database: what an auditor checks rests on
none of these values.
"""

from __future__ import annotations

from hashlib import sha256

__all__ = ["checksum"]


def checksum(key: bytes, value: bytes) -> bytes:
    """8 bytes of SHA-256 over the key of a row and the value beside it."""
    return sha256(b"%d:%b%b" % (len(key), key, value)).digest()[:8]
