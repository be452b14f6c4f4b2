"""What only the operator can check: that the vault holds what the log promised, and the index what the log says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from provenance.canonical import address
from provenance.history import Finding, History
from provenance.index import Index

__all__ = ["audit_holdings"]


def audit_holdings(history: History, *, vault: Mapping[bytes, bytes], index: Index) -> Iterator[Finding]:
    """Compare what an operator holds with a log that was read with `disclosed=vault`.

    `vault` are all items by address. For every entry: a sealed event that is not there (`vault.missing`, nothing is
    altered, but the content is lost), bytes under an address that is not theirs (`vault.mismatch`), and the same for
    each personal item that an event commits to. Last, `index.differs` where the index is not what the log gives: it is
    a cache, `provenance index rebuild` mends it.
    """
    for idx in range(history.log.checkpoint.size):
        reading = history.reading(idx)
        if reading.statement is None:
            continue
        if reading.statement.sealed:
            yield from _held(idx, f"event of the {reading.statement.type}", reading.statement.event_id, vault)
        if reading.event is not None:
            for field, digest in orjson.loads(reading.event).get("commits", {}).items():
                yield from _held(idx, f"item {field}", bytes.fromhex(digest), vault)
    for idx in index.differences(history.index):
        text = f"index of entry #{idx} is not what the log gives; run `provenance index rebuild`"
        yield Finding(idx, "index.differs", text, altered=False)


def _held(idx: int, what: str, digest: bytes, vault: Mapping[bytes, bytes]) -> Iterator[Finding]:
    data = vault.get(digest)
    if data is None:
        text = f"#{idx}: the {what} {digest.hex()} is not in the vault; restore it from a backup"
        yield Finding(idx, "vault.missing", text, altered=False)
    elif address(data) != digest:
        text = f"#{idx}: the {what} {digest.hex()} hashes to {address(data).hex()}: its bytes were changed"
        yield Finding(idx, "vault.mismatch", text)
