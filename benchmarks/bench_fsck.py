"""How fast everything that is published is checked, against bare hashes and signatures, and in how much memory."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.files import Directory
from benchmarks.figure import Figure, rounds
from ledger.client import Client
from ledger.fsck import fsck
from ledger.log import Log
from ledger.note import SigningKey
from ledger.policy import Policy
from ledger.storage import ReadsObjects, Row
from ledger.testing import MemoryStore
from provenance.holdings import Contents
from provenance.identity import Party
from provenance.keys import PartyKey
from provenance.signatures import Signatures
from provenance.statement import Statement, sign_statement

ENTRY = 300  # bytes
SIZE = 100_000
LARGE = 1_000_000
SIGNED = 4_096  # statements whose signatures are verified: a round of them takes half a second
ISSUERS = 200
TYPES = ("grant.issue", "revenue.report", "consent.give", "settlement.line")
BATCH = 16_384
ORIGIN = "bench.example/log"
KEY = SigningKey.generate(ORIGIN)
POLICY = Policy.of(KEY.verifier)
MB = 1_000_000


def figures() -> Iterator[Figure]:
    """All figures of checking what is published."""
    with TemporaryDirectory(prefix="bench-") as folder:
        yield from _hashing(Path(folder) / "opaque")
    with TemporaryDirectory(prefix="bench-") as folder:
        yield from _reading(Path(folder) / "statements")
    for size in (SIZE, LARGE):
        with TemporaryDirectory(prefix="bench-") as folder:
            _publish(Path(folder) / "log", (_entry(index) for index in range(size)))
            yield Figure(f"fsck, peak memory at {size:,} opaque entries", _peak(Path(folder) / "log"), "MB", 200, "<=")


def _hashing(folder: Path) -> Iterator[Figure]:
    entries = [_entry(index) for index in range(SIZE)]
    _publish(folder, entries)
    files, memory = Directory(folder), MemoryStore()
    memory.objects = {path: files.get(path) for path in files.list("")}

    def check(place: ReadsObjects) -> None:
        assert fsck(Client(place, POLICY)) == SIZE

    measured = rounds(lambda: check(memory), lambda: _hash(entries), lambda: check(files), times=11)
    yield Figure(f"fsck, {ENTRY}-byte entries hashed, in memory", SIZE / measured.typical(), "entries/s")
    yield Figure("fsck, hashed / bare SHA-256 of the same entries", measured.speed(), "x its rate", 0.4)
    yield Figure("fsck, the same from a folder", SIZE / measured.typical(2), "entries/s")
    yield Figure("fsck, from a folder / bare SHA-256", measured.speed(2), "x its rate")


def _reading(folder: Path) -> Iterator[Figure]:
    """Statements of sealed events by a few hundred issuers, read and then also verified."""
    keys = [PartyKey.generate() for _ in range(ISSUERS)]
    parties = {sha256(key.kid).digest(): key for key in keys}
    issuers = list(parties.items())
    random_ = random.Random(1)
    entries = [_genesis()]
    entries += [_statement(*random_.choice(issuers), random_.choice(TYPES), index) for index in range(1, SIZE)]
    _publish(folder, entries)

    def decoding() -> None:
        client = Client(Directory(folder), POLICY)
        contents = Contents(client.opened)
        assert fsck(client, look=contents.look) == SIZE
        assert len(contents.take()) == 1  # the genesis event, which is not published here

    measured = rounds(decoding, lambda: _hash(entries), times=7)
    yield Figure("fsck, statements decoded too", SIZE / measured.typical(), "entries/s")
    yield Figure("fsck, decoded / bare SHA-256 of the same entries", measured.speed(), "x its rate", 0.12)

    publics = {party: Ed25519PublicKey.from_public_bytes(key.public.x) for party, key in issuers}
    signed = [Statement.parse(entry) for entry in entries[1:SIGNED]]
    messages = [(publics[bytes.fromhex(one.issuer)], one.signature, one.message) for one in signed]

    def find(party_id: bytes) -> Party:
        public = parties[party_id].public
        return Party(party_id, 0, "org", {public.kid: public})

    def verifying() -> None:
        client = Client(Directory(folder), POLICY)
        contents = Contents(client.opened, signatures=Signatures(POLICY, ORIGIN, find=find))
        fsck(client, stop=SIGNED, look=contents.look)
        assert len(contents.take()) == 1

    def checking() -> None:
        for key, signature, message in messages:
            key.verify(signature, message)

    measured = rounds(verifying, checking)
    yield Figure("fsck, signatures verified too", SIGNED / measured.typical(), "entries/s")
    yield Figure("fsck, verified / bare Ed25519 of the same signatures", measured.speed(), "x its rate", 0.7)


def _hash(entries: Sequence[bytes]) -> None:
    for entry in entries:
        sha256(b"\x00" + entry).digest()


def _publish(folder: Path, entries: Iterator[bytes] | Sequence[bytes]) -> None:
    rest = iter(entries)
    log = Log.create(Directory(folder), KEY, next(rest), checkpoints=MemoryStore())
    batch: list[Row] = []
    for entry in rest:
        batch.append(Row(entry, b""))
        if len(batch) == BATCH:
            log.extend(batch)
            batch = []
    log.extend(batch)
    log.publish()


def _peak(folder: Path) -> float:
    """Peak resident memory of a process that does nothing but check, in MB, as Linux tells it."""
    program = (
        "import sys; from adapters.files import Directory; from ledger import Client, Policy, fsck; "
        "fsck(Client(Directory(sys.argv[1]), Policy.parse(sys.argv[2]))); print(open('/proc/self/status').read())"
    )
    arguments = [sys.executable, "-c", program, str(folder), str(POLICY)]
    told = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout  # noqa: S603 - a fixed program
    return int(next(line for line in told.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024 / MB


def _entry(index: int) -> bytes:
    return index.to_bytes(8, "big") * (ENTRY // 8) + bytes(ENTRY % 8)


def _genesis() -> bytes:
    event_id = sha256(b"genesis").digest()
    return sign_statement(
        PartyKey.from_seed(KEY.seed), issuer=event_id.hex(), type="log.genesis", origin=ORIGIN, event_id=event_id
    )


def _statement(party: bytes, key: PartyKey, type_: str, index: int) -> bytes:
    event_id = sha256(b"%d" % index).digest()
    return sign_statement(key, issuer=party.hex(), type=type_, origin=ORIGIN, event_id=event_id, sealed=True)
