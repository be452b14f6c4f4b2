"""What witnesses cost: answering over the network with durable memory, collecting a quorum, verifying cosignatures."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time, sleep
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from adapters.witness.folder import begin_witness
from adapters.witness.server import WitnessServer
from adapters.witnesses import Witnesses
from benchmarks.figure import Figure, open_floor, rounds
from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner, CosignerKey, subtree_message, v1_message
from ledger.merkle import Node, prove_consistency, subtree_root, tree_root
from ledger.note import Note, SigningKey
from ledger.policy import Policy
from ledger.testing import MemoryStore
from ledger.witness import Answer, Request, Witness

LOGS = 16  # that ask at once, each on one kept connection
STEPS = 40  # checkpoints of each log, a round
GROWTH = 10  # entries between two checkpoints
ROUNDS = 5
AWAY = 0.05  # seconds
CALLS = 10  # a round
VERIFIED = 100  # a round
NOW = 1_790_000_000
LEAVES = [sha256(b"%d" % number).digest() for number in range(STEPS * ROUNDS * GROWTH)]

_PROGRAM = "from adapters.cli import main; main()"
_nodes: dict[Node, bytes] = {}


def figures() -> Iterator[Figure]:
    """All figures of witnesses."""
    yield from _answering(both=False)
    yield from _answering(both=True)
    yield from _collecting()
    yield from _verifying()


def _answering(*, both: bool) -> Iterator[Figure]:
    """One server process, as it is run; many logs at once, each with proofs that its checkpoints grow."""
    keys = [SigningKey.generate(f"log-{number}.example") for number in range(LOGS)]
    with TemporaryDirectory(prefix="bench-") as folder:
        place = Path(folder) / "witness"
        begin_witness(place, "bench.example/w")
        (place / "logs.policy").write_text("".join(f"log {key.verifier}\n" for key in keys))
        if not both:
            (place / "ml-dsa-44.key").unlink()
        asked = [_requests(key) for key in keys]
        with _serving(place) as port, closing(open_floor(Path(folder) / "bare.db")) as bare:
            bare.execute("CREATE TABLE seen (origin TEXT PRIMARY KEY, signed BLOB)")
            bare.execute("INSERT INTO seen VALUES ('log', x'')")

            def ours() -> None:
                threads = [threading.Thread(target=_ask, args=(port, each)) for each in asked]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            def commits() -> None:
                for _ in range(LOGS * STEPS):
                    bare.execute("BEGIN IMMEDIATE")
                    bare.execute("UPDATE seen SET signed = ? WHERE origin = 'log'", (os.urandom(300),))
                    bare.execute("COMMIT")

            measured = rounds(ours, commits, times=ROUNDS)
        assert not any(list(each) for each in asked)
    name = f"witness, {LOGS} logs at once, Ed25519{' and ML-DSA-44' if both else ''}"
    yield Figure(name, LOGS * STEPS / measured.typical(), "checkpoints/s", None if both else 500)
    yield Figure("the same: of bare commits one by one", measured.speed(), "x")


def _requests(key: SigningKey) -> Iterator[bytes]:
    """Requests of a log that grows, made before the clock runs."""
    found = []
    for old in range(0, STEPS * ROUNDS * GROWTH, GROWTH):
        new = old + GROWTH
        tree = sign_checkpoint(Checkpoint(key.verifier.name, new, tree_root(new, _read)), key)
        found.append(bytes(Request(old, prove_consistency(old, new, _read) if old else (), tree.signed)))
    return iter(found)


def _read(nodes: Sequence[Node]) -> list[bytes]:
    for level, index in nodes:
        if (level, index) not in _nodes:
            _nodes[level, index] = subtree_root(LEAVES[index << level : (index + 1) << level])
    return [_nodes[node] for node in nodes]


def _ask(port: int, requests: Iterator[bytes]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        for _ in range(STEPS):
            client.request("POST", "/add-checkpoint", next(requests))
            answer = client.getresponse()
            said = answer.read()
            assert answer.status == 200, said


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-c", _PROGRAM, "witness", "serve", str(folder), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own program
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        yield int(line.split(" answers at ")[1].split(";")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate()


class _Away(Witness):
    """A witness that takes its time, as one on another continent."""

    def add_checkpoint(self, data: bytes, *, time: int) -> Answer:
        sleep(AWAY)
        return super().add_checkpoint(data, time=time)


def _collecting() -> Iterator[Figure]:
    """A quorum of three, and beside it one bare request to one of them."""
    key = SigningKey.generate("bench.example/log")
    cosigners = [Cosigner.generate(f"{name}.example", ED25519) for name in ("north", "harbour", "civic")]
    asked = _requests(key)
    bare = _requests(key)
    with ExitStack() as stack:
        servers = []
        for cosigner in (*cosigners, cosigners[0]):
            witness = _Away({key.verifier.name: [key.verifier]}, [cosigner], MemoryStore())
            servers.append(WitnessServer(witness).start())
            stack.callback(servers[-1].stop)
        lines = [f"witness w{n} {c.verifier} {servers[n].url}\n" for n, c in enumerate(cosigners)]
        policy = Policy.parse(f"log {key.verifier}\n{''.join(lines)}group all-three all w0 w1 w2\nquorum all-three\n")
        witnesses = Witnesses(policy)
        stack.callback(witnesses.close)
        client = http.client.HTTPConnection(urlsplit(servers[3].url).netloc)
        stack.callback(client.close)

        def quorum() -> None:
            for _ in range(CALLS):
                request = Request.parse(next(asked))
                tree = Checkpoint.parse(Note.parse(request.checkpoint).text)
                tree = Checkpoint(tree.origin, tree.size, tree.root, signed=request.checkpoint)
                found = witnesses.collect(tree, _prover(request))
                assert len(found) == 3

        def one() -> None:
            for _ in range(CALLS):
                client.request("POST", "/add-checkpoint", next(bare))
                assert client.getresponse().read()

        measured = rounds(quorum, one, times=ROUNDS)
    yield Figure("a quorum of 3 witnesses, 50 ms away", measured.typical() / CALLS * 1e3, "ms")
    yield Figure("a quorum of 3 witnesses, 50 ms away: of one bare request", measured.cost(), "x", 1.3, "<=")


def _prover(request: Request) -> Callable[[int], tuple[bytes, ...]]:
    def prove(old: int) -> tuple[bytes, ...]:
        assert old == request.old, "a second round trip"
        return request.proof

    return prove


def _verifying() -> Iterator[Figure]:
    """A checkpoint under a policy that wants all of six witnesses, and beside it the seven signatures alone."""
    key = SigningKey.generate("bench.example/log")
    cosigners = [
        Cosigner.generate(f"w{number}.example", type_) for number in range(3) for type_ in (ED25519, ML_DSA_44)
    ]
    tree = sign_checkpoint(Checkpoint(key.verifier.name, 123_456, LEAVES[0]), key)
    note = Note.parse(tree.signed)
    lines = [each.sign(tree, time=NOW) for each in cosigners]
    data = bytes(Note(note.text, (*note.signatures, *lines)))
    names = [f"w{number}" for number in range(len(cosigners))]
    witnesses = "".join(f"witness {name} {each.verifier}\n" for name, each in zip(names, cosigners, strict=True))
    policy = Policy.parse(f"log {key.verifier}\n{witnesses}group six all {' '.join(names)}\nquorum six\n")
    bare: list[tuple[Any, bytes, bytes]] = [
        (Ed25519PublicKey.from_public_bytes(key.verifier.public), note.signatures[0].value, note.text.encode())
    ]
    for cosigner, line in zip(cosigners, lines, strict=True):
        public, message = _bare(cosigner.verifier, tree)
        bare.append((public, line.value[8:], message))

    def ours() -> float:
        began = process_time()
        for _ in range(VERIFIED):
            open_checkpoint(data, policy)
        return process_time() - began

    def signatures() -> float:
        began = process_time()
        for _ in range(VERIFIED):
            for public, signature, message in bare:
                public.verify(signature, message)
        return process_time() - began

    # Seconds of the processor: nothing is waited for, and whoever else runs would be measured along.
    measured = rounds(ours, signatures, times=15)
    name = "verify a checkpoint with 3 Ed25519 and 3 ML-DSA-44 cosignatures"
    yield Figure(name, VERIFIED / measured.typical(), "checkpoints/s")
    yield Figure("the same: of the 7 bare signature checks", measured.cost(), "x", 1.3, "<=")


def _bare(key: CosignerKey, tree: Checkpoint) -> tuple[Any, bytes]:
    if key.type == ED25519:
        return Ed25519PublicKey.from_public_bytes(key.public), v1_message(str(tree), time=NOW)
    message = subtree_message(key.name, tree.origin, time=NOW, start=0, end=tree.size, hash=tree.root)
    return MLDSA44PublicKey.from_public_bytes(key.public), message
