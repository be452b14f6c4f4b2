"""How fast the index is derived again, while nobody else works.

Ours: read every entry and its event from the database, hash the event, take out the facts, write the rows of a new
index in portions, make its keys, swap it for the old one and drop that. With signatures, every statement is verified
as well, by the keys valid at its position; the floor of that is nothing but the verifications.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters import create
from adapters.keys import load_secret
from adapters.recover import rebuild_index
from benchmarks.figure import Figure, rounds
from provenance import ProvenanceLedger
from provenance.keys import PartyKey
from provenance.statement import Statement

EVENTS = 50_000
VERIFIED = 10_000
CREATORS = 1_000
ORIGIN = "bench.example/log"


def figures() -> Iterator[Figure]:
    """All figures of rebuilding."""
    with _market(EVENTS) as (url, ledger):
        size = ledger.log.size

        def ours() -> None:
            assert rebuild_index(url) == size

        def hashing() -> None:
            for row in ledger.log.rows(0, size):
                sha256(row.opened).digest()

        measured = rounds(ours, hashing)
    yield Figure(f"index rebuilt, {EVENTS:,} creations", size / measured.typical(), "entries/s", 15_000)
    with _market(VERIFIED) as (url, ledger):
        size = ledger.log.size
        signed = [Statement.parse(row.entry) for row in ledger.log.rows(0, size)]
        messages = [(statement.signature, statement.message) for statement in signed[1:]]
        folder = Path(url.removeprefix("sqlite:///")).with_suffix(".keys")
        market = PartyKey.parse(load_secret(f"file:{folder / 'market.key'}"))
        key = Ed25519PublicKey.from_public_bytes(market.public.x)

        def verifying() -> None:
            assert rebuild_index(url, verify=True) == size

        def bare() -> None:
            for statement, (signature, message) in zip(signed[1:], messages, strict=True):
                if not statement.type.startswith("log."):
                    key.verify(signature, message)

        measured = rounds(verifying, bare)
    yield Figure(f"index rebuilt with signatures, {VERIFIED:,} creations", size / measured.typical(), "entries/s")
    yield Figure("index rebuilt with signatures / bare verify", measured.speed(), "x its rate", 0.6)


@contextmanager
def _market(events: int) -> Iterator[tuple[str, ProvenanceLedger]]:
    """URL of a ledger with this many creations of many creators, and the ledger."""
    with TemporaryDirectory(prefix="bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'market.db'}"
        ledger = create(url, origin=ORIGIN, market_name="Bench")
        parties = [
            ledger.draft(
                "party.register",
                body={"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []},
                personal={"name": f"Creator {number}"},
            )
            for number in range(CREATORS)
        ]
        creators = [ticket.id for ticket in ledger.record_many(parties)]
        ledger.record_many(
            ledger.draft(
                "work.create",
                body={
                    "digests": {"sha-256": sha256(number.to_bytes(8, "big")).hexdigest()},
                    "media_type": "image/jpeg",
                    "size": 2_000_000 + number,
                    "source_type": "digitalCapture",
                    "human_contribution": "full",
                    "tools": "none",
                },
                refs=[{"role": "creator", "as": "photographer", "id": creators[number % CREATORS]}],
                personal={"title": f"Dunes at dawn, {number}"},
            )
            for number in range(events)
        )
        yield url, ledger
