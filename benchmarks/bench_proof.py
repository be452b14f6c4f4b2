"""How fast a log of a million entries proves them, how fast proofs are verified, and what `import ledger` costs."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from statistics import median
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.sql.store import SqlStore
from benchmarks.bare import percentile
from benchmarks.figure import Figure, rounds
from ledger.log import Log
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.note import Note, SigningKey
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.storage import Row

ENTRY = 300  # bytes
SIZE = 1_000_000
BATCH = 16_384
WARM = 5_000  # proofs a round
COLD = 1_000  # few: nearly every one needs a tile that was not read before
KEY = SigningKey.generate("bench.example/log")


def figures() -> Iterator[Figure]:
    """All figures of proofs, and the import."""
    with TemporaryDirectory(prefix="bench-") as folder:
        url = f"sqlite:///{folder}/log.db"
        _fill(url)
        yield from _proving(url)
        yield from _verifying(url)
    yield from _importing()


def _fill(url: str) -> None:
    with closing(SqlStore(url, create=True)) as store:
        log = Log.create(store, KEY, _entry(0), window=3600.0)
        for first in range(1, SIZE, BATCH):
            log.extend([Row(_entry(index), b"") for index in range(first, min(first + BATCH, SIZE))])
        assert log.publish().size == SIZE


def _proving(url: str) -> Iterator[Figure]:
    random_ = random.Random(1)
    took: list[float] = []
    with closing(SqlStore(url)) as store:
        log = Log.open(store, KEY)
        for number in range(0, SIZE, 256):
            log.prove(number)

        def warm() -> None:
            for index in random_.choices(range(SIZE), k=WARM):
                start = time.perf_counter()
                log.prove(index)
                took.append(time.perf_counter() - start)

        def cold() -> None:
            with closing(SqlStore(url)) as other:
                handle = Log.open(other, KEY)
                for index in random_.choices(range(SIZE), k=COLD):
                    handle.prove(index)

        measured = rounds(warm, cold)
    yield Figure(f"prove, random of {SIZE:,}, warm", WARM / measured.typical(), "proofs/s", 5_000)
    for share in (0.5, 0.99):
        yield Figure(f"prove, random of {SIZE:,}, warm, p{share * 100:.0f}", percentile(took, share) * 1e6, "µs")
    yield Figure(f"prove, first {COLD:,} of a new handle", COLD / measured.typical(1), "proofs/s", 1_500)


def _verifying(url: str) -> Iterator[Figure]:
    with closing(SqlStore(url)) as store:
        log = Log.open(store, KEY)
        indexes = random.Random(2).choices(range(SIZE), k=1_000)
        proofs = [log.prove(index) for index in indexes]
        checkpoint = log.checkpoint
    entries = [_entry(index) for index in indexes]
    leaves = [leaf_hash(entry) for entry in entries]
    size, root = checkpoint.size, checkpoint.root
    messages = [b"\x01" + bytes(32) + hash_ for proof in proofs for hash_ in proof.hashes]

    def path() -> None:
        for proof, leaf in zip(proofs, leaves, strict=True):
            verify_inclusion(proof.hashes, index=proof.index, size=size, leaf=leaf, root=root)

    def hashing() -> None:
        for message in messages:
            sha256(message).digest()

    measured = rounds(path, hashing, times=11)
    yield Figure(f"verify, the path of one of {SIZE:,}", measured.typical() / len(proofs) * 1e6, "µs")
    yield Figure("verify, the path / its bare SHA-256 calls", measured.cost(), "x their time", 2.5, "<=")

    policy = Policy.of(KEY.verifier)
    public = Ed25519PrivateKey.from_private_bytes(KEY.seed).public_key()
    note = Note.parse(checkpoint.signed)
    text, signature = note.text.encode(), note.signatures[0].value

    def whole() -> None:
        for proof, entry in zip(proofs, entries, strict=True):
            proof.verify(entry, policy)

    def bare() -> None:
        for proof, entry in zip(proofs, entries, strict=True):
            public.verify(signature, text)
            verify_inclusion(proof.hashes, index=proof.index, size=size, leaf=leaf_hash(entry), root=root)

    measured = rounds(whole, bare)
    yield Figure("verify, the whole proof", measured.typical() / len(proofs) * 1e6, "µs")
    yield Figure("verify, the whole proof / bare Ed25519 + path", measured.cost(), "x their time", 2.0, "<=")
    measured = rounds(lambda: _parse([bytes(proof) for proof in proofs]), bare)
    yield Figure("parse, a .tlog-proof written and read", measured.typical() / len(proofs) * 1e6, "µs")


def _parse(written: Sequence[bytes]) -> None:
    for data in written:
        Proof.parse(data)


def _importing() -> Iterator[Figure]:
    def start(program: str) -> None:
        subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603 - two fixed programs

    start("import ledger")  # compiled from here on
    measured = rounds(lambda: start("import ledger"), lambda: start("pass"), times=11)
    extra = median(ours - bare for ours, bare in zip(*measured.seconds, strict=True))
    yield Figure("import ledger, beyond starting Python", extra * 1e3, "ms", 100, "<=")


def _entry(index: int) -> bytes:
    return index.to_bytes(8, "big") * (ENTRY // 8) + bytes(ENTRY % 8)
