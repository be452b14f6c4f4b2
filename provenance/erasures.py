"""Which vault items a log says are erased, so that no copy of the vault brings them back.

An old backup, a bucket that was put back, a refilled database: whoever has them first applies what the log says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

from ledger.errors import MalformedError
from ledger.storage import Row
from provenance.canonical import address
from provenance.statement import Statement
from provenance.vault import Vault

__all__ = ["ERASURE", "apply_erasures", "erased_addresses", "targets_of"]

ERASURE = "erasure.execute"

_ADDRESS = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PORTION = 1000
_IN_STATEMENT = ERASURE.encode()  # as it stands in the header of every such statement


def erased_addresses(rows: Iterable[Row]) -> Iterator[bytes]:
    """Addresses (32 bytes) that the erasures among these log rows name. What is no erasure costs one search.

    An event that is not the one that was signed names nothing: `audit` reports it.
    """
    for row in rows:
        if _IN_STATEMENT not in row.entry:
            continue
        try:
            statement = Statement.parse(row.entry)
        except MalformedError:
            continue
        if statement.type == ERASURE and row.opened and address(row.opened) == statement.event_id:
            yield from targets_of(row.opened)


def targets_of(event: bytes) -> list[bytes]:
    """The addresses that the bytes of an erasure name; what is none, as only a later version could write it, is not."""
    value: Any = orjson.loads(event)
    body = value.get("body")
    targets = body.get("targets") if isinstance(body, dict) else None
    named = targets if isinstance(targets, list) else []
    return [bytes.fromhex(target) for target in named if isinstance(target, str) and _ADDRESS.fullmatch(target)]


def apply_erasures(rows: Iterable[Row], vault: Vault) -> set[bytes]:
    """Erase from `vault` what these log rows say is erased, and return the addresses. Durable on return."""
    erased = set(erased_addresses(rows))
    ready = iter(erased)
    while portion := list(islice(ready, _PORTION)):
        vault.erase(portion)
    return erased
