"""What a log says is erased, so that no copy of it or of its vault brings it back.

An old backup, a bucket that was put back, a refilled database: whoever has them first applies what the log says. Of
vault items and sealed events nothing stays. Of an open event its entry stays, and what the erasure repeats of it: who
said what kind of thing about which others (a tombstone), so that what was derived from a work still has a parent. The
first erasure that names an event decides what stays.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

from ledger.errors import MalformedError
from ledger.log import Log
from ledger.storage import Row
from provenance.canonical import address
from provenance.events.vocabulary import ALWAYS_OPEN
from provenance.statement import Headers, Statement
from provenance.vault import Vault

__all__ = [
    "ERASURE",
    "apply_erasures",
    "can_be_erased",
    "erased_addresses",
    "erased_entries",
    "named_in",
    "redact_erased",
    "targets_of",
    "tombstones_of",
]

ERASURE = "erasure.execute"

_ADDRESS = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PORTION = 1000
_IN_STATEMENT = ERASURE.encode()  # as it stands in the header of every such statement


def erased_addresses(rows: Iterable[Row]) -> Iterator[bytes]:
    """Addresses (32 bytes) that the erasures among these log rows name. What is no erasure costs one search.

    An event that is not the one that was signed names nothing: `audit` reports it.
    """
    for event in _erasures(rows):
        yield from targets_of(event)


def named_in(rows: Iterable[Row]) -> dict[bytes, bytes | None]:
    """What the erasures among these log rows name, in their order: each address with its tombstone.

    A tombstone is JSON as of an event, with its type, actor and refs alone; None where there is none.
    """
    named: dict[bytes, bytes | None] = {}
    for event in _erasures(rows):
        for target, tombstone in tombstones_of(event).items():
            named.setdefault(target, tombstone)
    return named


def tombstones_of(event: bytes) -> dict[bytes, bytes | None]:
    """The addresses that the bytes of an erasure name, each with its tombstone as in `named_in`."""
    named: dict[bytes, bytes | None] = dict.fromkeys(targets_of(event))
    body: Any = orjson.loads(event).get("body")
    stones = body.get("tombstones") if isinstance(body, dict) else None
    for stone in stones if isinstance(stones, list) else ():
        of = stone.get("event") if isinstance(stone, dict) else None
        target = bytes.fromhex(of) if isinstance(of, str) and _ADDRESS.fullmatch(of) else b""
        if target in named and named[target] is None:
            named[target] = orjson.dumps({name: stone.get(name) for name in ("type", "actor", "refs")})
    return named


def can_be_erased(type: str, *, sealed: bool) -> bool:  # noqa: A002 - the field's name
    """Whether an event of this type leaves the log when it is erased: what all others stand on never does."""
    return not sealed and not type.startswith(ALWAYS_OPEN)


def erased_entries(rows: Iterable[Row], addresses: Collection[bytes], *, first: int = 0) -> list[int]:
    """Indexes of the entries among these log rows, from `first` on, whose open event is one of these and may go."""
    headers = Headers()
    found = []
    for index, row in enumerate(rows, first) if addresses else ():
        try:
            statement, event_id = headers.read(row.entry)
        except MalformedError:
            continue
        if event_id in addresses and can_be_erased(statement.type, sealed=statement.sealed):
            found.append(index)
    return found


def redact_erased(log: Log, addresses: Collection[bytes]) -> None:
    """Forget the open events among these in the log's own storage and wherever it publishes to. Durable on return."""
    log.redact(erased_entries(log.rows(0, log.size) if addresses else (), addresses))


def _erasures(rows: Iterable[Row]) -> Iterator[bytes]:
    """The events of the erasures among these log rows."""
    for row in rows:
        if _IN_STATEMENT not in row.entry:
            continue
        try:
            statement = Statement.parse(row.entry)
        except MalformedError:
            continue
        if statement.type == ERASURE and row.opened and address(row.opened) == statement.event_id:
            yield row.opened


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
