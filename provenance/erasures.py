"""What a log says is erased, so that no copy of it or of its vault brings it back.

An old backup, a bucket that was put back, a refilled database: whoever has them first applies what the log says. Of
vault items and sealed events nothing stays. Of an open event its entry stays, and what the erasure repeats of it: who
said what kind of thing about which others (a tombstone), so that what was derived from a work still has a parent. The
first erasure that names an event decides what stays.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import orjson

from ledger.client import Client
from ledger.errors import MalformedError, NotFound
from ledger.log import Log
from ledger.storage import ReadsObjects, Row
from ledger.tile import WIDTH, bundle_path, parse_bundle
from provenance.canonical import address
from provenance.events.vocabulary import ALWAYS_OPEN
from provenance.statement import Headers, Statement
from provenance.vault import Vault

__all__ = [
    "ERASURE",
    "ErasedInCopy",
    "apply_erasures",
    "can_be_erased",
    "erased_addresses",
    "erased_entries",
    "named_at",
    "named_by",
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
    return named_by(_erasures(rows))


def named_by(events: Iterable[bytes | None]) -> dict[bytes, bytes | None]:
    """What these erasures, in the order of the log, name, as `named_in`; None is one that cannot be read."""
    named: dict[bytes, bytes | None] = {}
    for event in events:
        for target, tombstone in tombstones_of(event).items() if event is not None else ():
            named.setdefault(target, tombstone)
    return named


def named_at(log: Client, bundles: Iterable[int] | None = None) -> dict[bytes, bytes | None]:
    """What the erasures in a published log name, as `named_in`; what cannot be read there is passed over.

    `bundles` are those that are read, by default all.
    """
    named: dict[bytes, bytes | None] = {}
    size = log.checkpoint.size
    for number in range(-(-size // WIDTH)) if bundles is None else bundles:
        width = min(WIDTH, size - number * WIDTH)
        with suppress(MalformedError, NotFound):
            data = log.bundle(number, width)[1]
            if _IN_STATEMENT in data:
                entries = parse_bundle(data, width=width)
                opened = [*log.opened(number), *[b""] * width]
                for target, tombstone in named_in(map(Row, entries, opened)).items():
                    named.setdefault(target, tombstone)
    return named


def tombstones_of(event: bytes) -> dict[bytes, bytes | None]:
    """The addresses that the bytes of an erasure name, each with its tombstone as in `named_in`."""
    named: dict[bytes, bytes | None] = dict.fromkeys(targets_of(event))
    stones = _body(event).get("tombstones")
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


class ErasedInCopy:
    """What a copy of a published log must forget (`ledger.copy.Redacts`): the open events that its erasures name."""

    def __init__(self, log: Client) -> None:
        self._log = log
        self._bundles: set[int] = set()
        self._named: set[bytes] = set()

    def look(self, first: int, entries: Sequence[bytes]) -> None:
        """As `Redacts.look`."""
        self._bundles |= {at // WIDTH for at, entry in enumerate(entries, first) if _IN_STATEMENT in entry}

    def add(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows: what their erasures name is to be forgotten as well."""
        for row in rows:
            self._named |= named_in([row]).keys()
            yield row

    def indexes(self, copied: ReadsObjects, size: int) -> list[int]:
        """As `Redacts.indexes`."""
        named = self._named | named_at(self._log, sorted(self._bundles)).keys()
        found: list[int] = []
        for number in range(-(-size // WIDTH)) if named else ():
            width = min(WIDTH, size - number * WIDTH)
            entries = parse_bundle(_bundle(copied, number, width))[:width]
            found += erased_entries([Row(entry, b"") for entry in entries], named, first=number * WIDTH)
        return found


def redact_erased(log: Log, addresses: Collection[bytes]) -> None:
    """Forget the open events among these in the log's own storage and wherever it publishes to. Durable on return."""
    log.redact(erased_entries(log.rows(0, log.size) if addresses else (), addresses))


def _bundle(objects: ReadsObjects, number: int, width: int) -> bytes:
    try:
        return objects.get(bundle_path(number, width))
    except NotFound:
        return objects.get(bundle_path(number))  # serves where the partial one was dropped


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
    targets = _body(event).get("targets")
    named = targets if isinstance(targets, list) else []
    return [bytes.fromhex(target) for target in named if isinstance(target, str) and _ADDRESS.fullmatch(target)]


def apply_erasures(rows: Iterable[Row], vault: Vault) -> set[bytes]:
    """Erase from `vault` what these log rows say is erased, and return the addresses. Durable on return."""
    erased = set(erased_addresses(rows))
    ready = iter(erased)
    while portion := list(islice(ready, _PORTION)):
        vault.erase(portion)
    return erased


def _body(event: bytes) -> dict[str, Any]:
    """The body of an event, {} where it has none: whoever signed it may have written anything."""
    try:
        value: Any = orjson.loads(event)
    except orjson.JSONDecodeError:
        return {}
    body = value.get("body") if isinstance(value, dict) else None
    return body if isinstance(body, dict) else {}
