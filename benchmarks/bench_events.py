"""How fast the market's own creations are recorded, with all that belongs to it.

Ours: build and validate each event, sign it, and write log, vault and index durably, then publish to a folder. The
floor does the same with bare primitives: it writes the same rows into the same tables and the same files, and leaves
out whatever makes it safe (rules, refs, conflicts, Unicode).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters import create
from adapters.files import sync_directory
from benchmarks.bare import HEAD, PUT, BareTree, open_bare
from benchmarks.figure import Figure, rounds
from provenance import ProvenanceLedger
from provenance.events import Draft
from provenance.events.union import EVENT

EVENTS = 50_000
BATCH = 4096
CREATORS = 1_000
TENTHS = 10
ORIGIN = "bench.example/log"


def figures() -> Iterator[Figure]:
    """All figures of events."""
    measured = rounds(_ours, _bare)
    yield Figure(f"record_many, {EVENTS:,} creations", EVENTS / measured.typical(), "events/s", 6_000)
    yield Figure(f"record_many, {EVENTS:,} creations: bare primitives", EVENTS / measured.typical(1), "events/s")
    yield Figure(f"record_many, {EVENTS:,} creations / bare primitives", measured.speed(), "x their rate", 0.5)
    with _market() as (ledger, creators):
        seconds = [_record(ledger, creators, tenth * EVENTS) for tenth in range(TENTHS)]
    yield Figure(f"record_many, last {EVENTS:,} of {TENTHS * EVENTS:,}", EVENTS / seconds[-1], "events/s")
    yield Figure("record_many, last tenth / first tenth", seconds[0] / seconds[-1], "x its rate", 0.6)


def _ours() -> float:
    with _market() as (ledger, creators):
        return _record(ledger, creators, 0)


def _record(ledger: ProvenanceLedger, creators: list[str], first: int) -> float:
    start = time.perf_counter()
    tickets = ledger.record_many(_draft(ledger, creators, number) for number in range(first, first + EVENTS))
    seconds = time.perf_counter() - start
    assert len(tickets) == EVENTS
    assert ledger.log.checkpoint.size > EVENTS
    return seconds


def _draft(ledger: ProvenanceLedger, creators: list[str], number: int) -> Draft:
    return ledger.draft(
        "work.create", body=_body(number), refs=_refs(creators, number), personal={"title": f"Dunes at dawn, {number}"}
    )


def _body(number: int) -> dict[str, Any]:
    return {
        "digests": {"sha-256": sha256(number.to_bytes(8, "big")).hexdigest()},
        "media_type": "image/jpeg",
        "size": 2_000_000 + number,
        "source_type": "digitalCapture",
        "human_contribution": "full",
        "tools": "none",
    }


def _refs(creators: list[str], number: int) -> list[dict[str, str]]:
    return [{"role": "creator", "as": "photographer", "id": creators[number % len(creators)]}]


@contextmanager
def _market() -> Iterator[tuple[ProvenanceLedger, list[str]]]:
    with TemporaryDirectory(prefix="bench-") as folder:
        ledger = create(f"sqlite:///{folder}/market.db", origin=ORIGIN, publish=f"{folder}/public", market_name="Bench")
        parties = [
            ledger.draft(
                "party.register",
                body={"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []},
                personal={"name": f"Creator {number}"},
            )
            for number in range(CREATORS)
        ]
        yield ledger, [ticket.id for ticket in ledger.record_many(parties)]


def _bare() -> float:
    creators = [random.randbytes(32).hex() for _ in range(CREATORS)]
    with open_bare() as database, TemporaryDirectory(prefix="bench-") as folder:
        tree = BareTree()
        publish: list[str] = []
        start = time.perf_counter()
        sign = _signer()
        for first in range(0, EVENTS, BATCH):
            batch = range(first, min(first + BATCH, EVENTS))
            rows = _BareRows()
            made = [rows.add(number, creators[number % CREATORS], _refs(creators, number), sign) for number in batch]
            database.execute("BEGIN IMMEDIATE")
            for path, data in tree.extend([entry for entry, _ in made], [event for _, event in made]):
                database.execute(PUT, (path, data))
                publish.append(path)
            database.execute(HEAD, (tree.size, b"checkpoint"))
            for sql, values in rows.inserts():
                database.executemany(sql, values)
            database.execute("COMMIT")
        for path in publish:
            (data,) = database.execute("SELECT data FROM provenance_objects WHERE path = ?", (path,)).fetchone()
            _write(Path(folder) / path, data)
        for path, data in tree.rest():
            _write(Path(folder) / path, data)
        _write(Path(folder) / "checkpoint", b"checkpoint")
        return time.perf_counter() - start


class _BareRows:
    """The rows of one batch."""

    def __init__(self) -> None:
        self._entries: list[tuple[Any, ...]] = []
        self._links: list[tuple[Any, ...]] = []
        self._digests: list[tuple[Any, ...]] = []
        self._items: list[tuple[Any, ...]] = []

    def add(
        self, number: int, creator: str, refs: list[dict[str, str]], sign: Callable[[bytes], bytes]
    ) -> tuple[bytes, bytes]:
        """Make one event and its statement."""
        item = _dumps({"kind": "title", "salt": os.urandom(32).hex(), "value": f"Dunes at dawn, {number}"})
        address = sha256(item).digest()
        body = _body(number)
        event = _dumps(
            {
                "v": 1,
                "kind": "event",
                "type": "work.create",
                "ledger": ORIGIN,
                "actor": creator,
                "strength": "observed",
                "claimed_at": "2026-11-23T07:15:00Z",
                "salt": os.urandom(32).hex(),
                "body": body,
                "refs": refs,
                "commits": {"title": address.hex()},
            }
        )
        EVENT.validate_json(event)
        event_id = sha256(event).digest()
        issuer, content = bytes.fromhex(creator), bytes.fromhex(body["digests"]["sha-256"])
        self._entries.append(
            (number, _key(event_id), event_id, "work.create", _key(issuer), 0, "observed", "2026-11-23T07:15:00Z")
        )
        self._links.append((number, "creator", _key(issuer), issuer, "", "photographer"))
        self._digests.append((_key(content), content, number, "content"))
        self._items.append((_key(address), address, item))
        return sign(event_id), event

    def inserts(self) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """Statements and their values."""
        yield "INSERT INTO provenance_index_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._entries
        yield "INSERT INTO provenance_index_links VALUES (NULL, ?, ?, ?, ?, ?, ?, NULL)", self._links
        yield "INSERT INTO provenance_index_digests VALUES (NULL, ?, ?, ?, ?)", self._digests
        yield "INSERT INTO provenance_vault VALUES (NULL, ?, ?, ?)", self._items


def _signer() -> Callable[[bytes], bytes]:
    """Signs as COSE_Sign1, with a protected header of the usual length that was encoded beforehand."""
    key = Ed25519PrivateKey.generate()
    protected = b"\x58\x9b" + bytes(155)

    def sign(event_id: bytes) -> bytes:
        signature = key.sign(b"\x84\x6aSignature1" + protected + b"\x40\x58\x20" + event_id)
        return b"\xd2\x84" + protected + b"\xa0\x58\x20" + event_id + b"\x58\x40" + signature

    return sign


def _write(path: Path, data: bytes) -> None:
    """Durably, and never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(path.parent)


def _dumps(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _key(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big", signed=True)
