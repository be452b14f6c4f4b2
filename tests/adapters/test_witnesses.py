"""Collecting cosignatures: one round trip, a quorum is enough, no witness can stop anybody, our own signature can."""

from __future__ import annotations

import logging
import os
import random
import re
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.exchange import Exchange
from adapters.witness.server import WitnessServer
from adapters.witnesses import Witnesses
from ledger import Checkpoint, Client, Fork, Log, Policy, Rollback, SigningKey, Unavailable, UnknownKey
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner
from ledger.cosigning import Witnessing
from ledger.merkle import prove_consistency
from ledger.note import Note
from ledger.policy import LogLine
from ledger.testing import MemoryStore
from ledger.witness import Answer, Request, Witness
from tests.ledger.test_witness import KEY, NOW, ORIGIN, read, tree


@dataclass
class Prover:
    """Consistency proofs to one size, and from which sizes they were asked for, in which thread."""

    new: int
    asked: list[int] = field(default_factory=list)

    def __call__(self, old: int) -> tuple[bytes, ...]:
        assert threading.current_thread() is threading.main_thread()
        self.asked.append(old)
        return prove_consistency(old, self.new, read)  # raises for anything that needs no proof


class Peer:
    """A witness on a port. Tests put `act` in its place: (method, path, body, go on) -> Answer, or raw bytes."""

    def __init__(self, name: str) -> None:
        seed = name.encode().ljust(32, b".")
        self.name = name
        self.keys = [Cosigner(f"{name}.example/w", ED25519, seed), Cosigner(f"{name}.example/w", ML_DSA_44, seed)]
        self.witness = Witness({ORIGIN: [KEY.verifier]}, self.keys, MemoryStore())
        self.act: Any = None
        self.requests: list[tuple[str, str]] = []
        self.connections = 0
        self.released = threading.Event()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                peer.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                peer.requests.append((self.command, self.path))
                answer = (peer.act or peer.honest)(self.command, self.path, body)
                if isinstance(answer, Answer):
                    self.send_response(answer.status)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.send_header("Content-Type", answer.type)
                    self.end_headers()
                    self.wfile.write(answer.body)
                    return
                self.close_connection = True
                try:
                    for part in answer:
                        self.wfile.write(part)
                except OSError:
                    pass  # nobody waits any more

            def do_GET(self):
                self.do_POST()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/below"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def honest(self, method: str, path: str, body: bytes) -> Answer:
        if method == "POST":
            assert path == "/below/add-checkpoint"
            return self.witness.add_checkpoint(body, time=NOW)
        return self.witness.checkpoint(path.split("/")[2])

    def slow(self, *request) -> Answer:
        self.released.wait(20)
        return self.honest(*request)

    def lines(self, *, both: bool = False, url: str = "") -> str:
        """Lines of a policy."""
        found = f"witness {self.name} {self.keys[0].verifier} {url or self.url}\n"
        return found + (f"witness {self.name}-pq {self.keys[1].verifier} {url or self.url}/\n" if both else "")

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def peers():
    all_ = [Peer(name) for name in ("north", "harbour", "civic")]
    yield all_
    for peer in all_:
        peer.close()


def policy(peers, needed: int | str, **options) -> Policy:
    names = " ".join(peer.name for peer in peers)
    text = f"log {KEY.verifier}\n" + "".join(peer.lines(**options) for peer in peers)
    return Policy.parse(f"{text}group all-of-them {needed} {names}\nquorum all-of-them\n")


@contextmanager
def collecting(policy: Policy, **options):
    witnesses = Witnesses(policy, **options)
    yield witnesses
    witnesses.close()


def cosigned(lines, shown: Checkpoint, policy: Policy) -> tuple[str, ...]:
    """The names of those who signed; the policy has verified every line."""
    note = Note.parse(shown.signed)
    return policy.verify(Note(note.text, (*note.signatures, *lines)), shown)


def test_one_round_trip_once_the_size_is_known(peers):
    asks = policy(peers, "all")
    with collecting(asks) as witnesses:
        for size in (3, 3, 8, 20):
            lines = witnesses.collect(tree(size), Prover(size))
            assert cosigned(lines, tree(size), asks) == ("north", "harbour", "civic")
    for peer in peers:
        assert peer.requests == [("POST", "/below/add-checkpoint")] * 4
        assert peer.connections == 1


def test_it_learns_a_size_from_a_conflict(peers):
    asks = policy(peers, "all")
    with collecting(asks) as before:
        before.collect(tree(8), Prover(8))
    prove = Prover(20)
    with collecting(asks) as witnesses:
        assert cosigned(witnesses.collect(tree(20), prove), tree(20), asks) == ("north", "harbour", "civic")
    assert prove.asked == [8]
    assert [len(peer.requests) for peer in peers] == [3, 3, 3]


def test_two_keys_of_one_witness_cost_one_request(peers):
    north = peers[0]
    asks = Policy.parse(
        f"log {KEY.verifier}\n{north.lines(both=True)}group both all north north-pq\nquorum both\n",
    )
    with collecting(asks) as witnesses:
        assert cosigned(witnesses.collect(tree(3), Prover(3)), tree(3), asks) == ("north", "north-pq")
    assert len(north.requests) == 1


def test_a_quorum_is_not_kept_waiting_by_the_slow(peers):
    asks = policy(peers, 2)
    slow = peers[1]
    slow.act = slow.slow
    with collecting(asks, deadline=20) as witnesses:
        begun = time.monotonic()
        lines = witnesses.collect(tree(3), Prover(3))
        assert time.monotonic() - begun < 15
        assert cosigned(lines, tree(3), asks) == ("north", "civic")
        slow.released.set()
        while not witnesses._peers[1].seen:  # it answers after all: what it has seen is known now
            time.sleep(0.001)
        assert len(witnesses.collect(tree(8), Prover(8))) >= 2
        assert witnesses._peers[1].seen[ORIGIN] >= 3


@pytest.mark.parametrize("down", range(4))
def test_some_are_down(peers, down, caplog):
    asks = policy(peers, 2)
    for peer in peers[:down]:
        peer.server.shutdown()
        peer.server.server_close()
    with collecting(asks) as witnesses:
        for size in (3, 8):
            names = [line.name for line in witnesses.collect(tree(size), Prover(size))]
            assert len(names) >= min(2, 3 - down)
            assert set(names) <= {f"{peer.name}.example/w" for peer in peers[down:]}
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) <= down  # once each, although they were asked twice
    assert all("absent: http://127.0.0.1" in each for each in warned)


def forged(peer):
    """Lines that name the right key and do not verify."""
    line = peer.keys[0].sign(tree(9), time=NOW)
    return Answer(200, f"{line}\n".encode())


BAD = {
    "status 429": lambda _: Answer(429, b"later\n"),
    "status 503": lambda _: Answer(503, b""),
    "status 302": lambda _: Answer(302, b""),
    "no lines": lambda _: Answer(200, b""),
    "garbage": lambda _: Answer(200, b"\xff\xfe\n"),
    "another's line": lambda _: Answer(200, f"{KEY.sign('x')}\n".encode()),
    "does not verify": forged,
    "too long": lambda _: Answer(200, b"x" * 1_000_001),
    "endless": lambda _: (b"HTTP/1.1 200 OK\r\n\r\n", *[b"y" * 100_000] * 20),
    "cut off": lambda _: (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabc",),
    "no HTTP": lambda _: (b"SSH-2.0-OpenSSH_9.9\r\n",),
    "nothing": lambda _: (),
    "a size again and again": lambda _: Answer(409, b"1\n"),
    "a size that is none": lambda _: Answer(409, b"+1\n"),
    "far ahead": lambda _: Answer(409, b"9000\n"),
    "refused without a reason": lambda _: Answer(422, b"no\n"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_is_no_answer(peers, kind, caplog):
    asks = policy(peers, 2)
    liar = peers[2]
    liar.act = lambda *_: BAD[kind](liar)
    with collecting(asks) as witnesses:
        assert cosigned(witnesses.collect(tree(3), Prover(3)), tree(3), asks) == ("north", "harbour")
    with collecting(policy(peers, "all")) as witnesses:
        for size in (3, 8):
            assert len(witnesses.collect(tree(size), Prover(size))) == 2
    mine = [record for record in caplog.records if record.witness == "civic"]
    assert mine
    assert all("absent" in record.getMessage() for record in mine)


def test_a_witness_that_drips_is_over_in_time(peers):
    """A byte now and then keeps every single read short; the whole answer has until the deadline."""
    asks = policy(peers, "all")
    stop = threading.Event()

    def drip(*_):
        yield b"HTTP/1.1 200 OK\r\n"
        while not stop.wait(0.02):
            yield b"a"

    peers[2].act = drip
    with collecting(asks, deadline=0.3) as witnesses:
        lines = witnesses.collect(tree(3), Prover(3))
        assert cosigned(lines, tree(3), policy(peers, 2)) == ("north", "harbour")
        assert witnesses._peers[2]._free.acquire(timeout=10)  # its thread has let go
        witnesses._peers[2]._free.release()
    stop.set()


def test_its_absence_is_logged_when_it_begins_and_ends(peers, caplog):
    caplog.set_level(logging.INFO)
    asks = policy(peers, "all")
    with collecting(asks) as witnesses:
        for act, size in ((None, 1), ("down", 2), ("down", 3), (None, 4), (None, 5)):
            peers[0].act = act and (lambda *_: Answer(503, b"maintenance\n"))
            assert len(witnesses.collect(tree(size), Prover(size))) == (2 if act else 3)
    assert [record.getMessage() for record in caplog.records] == [
        "witness north: absent: witness: status 503, 'maintenance'",
        "witness north: cosigns again",
    ]


def test_a_connection_that_was_closed_is_made_again(peers):
    asks = policy(peers, "all")

    def once(*request):
        answer = peers[0].honest(*request)
        yield b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (answer.status, len(answer.body)) + answer.body

    peers[0].act = once  # closes after each answer, and does not say so
    with collecting(asks) as witnesses:
        for size in (1, 2, 3):
            assert len(witnesses.collect(tree(size), Prover(size))) == 3
    assert peers[0].connections == 3


def ahead(peer, seen: Checkpoint):
    """Let it say what it would say had it cosigned this tree."""
    kept = Witness({ORIGIN: [KEY.verifier]}, peer.keys, MemoryStore())
    assert kept.add_checkpoint(bytes(Request(0, (), seen.signed)), time=NOW).status == 200
    peer.witness = kept


def test_a_storage_that_is_behind_is_a_stop(peers):
    ahead(peers[1], tree(20))
    with collecting(policy(peers, "all")) as witnesses:
        with pytest.raises(Rollback, match=r"witness harbour holds .* size 20 .* storage is at 8") as caught:
            witnesses.collect(tree(8), Prover(8))
        assert caught.value.newest == tree(20)
        assert KEY.verifier.public
        Policy.of(KEY.verifier).verify(Note.parse(caught.value.newest.signed), caught.value.newest)
        # Another process was ahead, and now we are where it was.
        assert len(witnesses.collect(tree(20), Prover(20))) == 3


@pytest.mark.parametrize("size", [8, 5])
def test_another_tree_of_ours_is_a_fork(peers, size):
    other = tree(size, bytes([7] * 32))
    ahead(peers[0], other)
    with (
        collecting(policy(peers, "all")) as witnesses,
        pytest.raises(Fork, match=f"witness north holds a checkpoint of size {size}") as caught,
    ):
        witnesses.collect(tree(8), Prover(8))
    assert (caught.value.old, caught.value.new) == (other, tree(8))
    assert Note.parse(caught.value.old.signed).text == str(other)
    assert Note.parse(caught.value.new.signed).text == str(tree(8))
    if size == 8:  # of two sizes, the log makes it, which has the tree
        assert caught.value.evidence.verify(Policy.of(KEY.verifier)).root == tree(8).root


def test_a_fork_answered_with_the_size_is_one_too(peers):
    """As transparency-dev/witness answers to another root at the same size."""
    ahead(peers[0], tree(8, bytes([7] * 32)))
    honest = peers[0].honest
    peers[0].act = lambda *request: Answer(409, b"8\n") if request[0] == "POST" else honest(*request)
    with collecting(policy(peers, "all")) as witnesses, pytest.raises(Fork):
        witnesses.collect(tree(8), Prover(8))


@pytest.mark.parametrize("status", [409, 422])
def test_nobody_else_can_stop_us(peers, status):
    """What a witness shows stops us only with our own signature under it."""
    stranger = SigningKey(ORIGIN, bytes(32))
    for shown in (tree(20, key=stranger), tree(8, bytes(32), stranger), tree(8)):
        body = shown.signed
        peers[0].act = lambda *request, body=body: (
            Answer(status, b"20\n") if request[0] == "POST" else Answer(200, body)
        )
        asks = policy(peers, 2)
        with collecting(asks) as witnesses:
            assert cosigned(witnesses.collect(tree(8), Prover(8)), tree(8), asks) == ("harbour", "civic")
        with collecting(policy(peers, "all")) as witnesses:
            assert len(witnesses.collect(tree(8), Prover(8))) == 2


@pytest.mark.parametrize(
    "size, answer, why",
    [
        (20, None, r"has seen more of this log than there is here, size 20, and shows no checkpoint .* status 404"),
        (8, Answer(409, b"8\n"), r"has seen another tree of size 8, and shows"),
        (5, Answer(422, b""), r"size 8 does not extend what it saw, and shows"),
    ],
)
def test_one_that_shows_monitors_nothing_is_absent_with_what_it_said(peers, caplog, size, answer, why):
    """As litewitness, which has no path for monitors: what it claims stops nobody, and nobody should overlook it."""
    ahead(peers[0], tree(size))
    honest = peers[0].honest

    def act(method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            return Answer(404, b"not found\n")
        return answer or honest(method, path, body)

    peers[0].act = act
    with collecting(policy(peers, "all")) as witnesses:
        assert len(witnesses.collect(tree(8), Prover(8))) == 2
    assert re.search(rf"witness north: absent: does not cosign at size 8: says that .*{why}", caplog.text)


def test_one_that_forgot_what_it_signed_is_named(peers, caplog):
    """Its file was put back: what it cosigned since, it would cosign another history of."""
    with collecting(policy(peers, "all")) as witnesses:
        assert len(witnesses.collect(tree(8), Prover(8))) == 3
        ahead(peers[1], tree(5))
        assert len(witnesses.collect(tree(9), Prover(9))) == 3
        (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert "witness harbour: says that it has seen size 5 of" in record.getMessage()
        assert "cosigned size 8 before" in record.getMessage()
        assert (record.witness, record.url, record.origin) == ("harbour", peers[1].url, ORIGIN)
        ahead(peers[0], tree(10))  # another process of the log went on: nothing is forgotten
        assert len(witnesses.collect(tree(11), Prover(11))) == 3
        assert len([each for each in caplog.records if each.levelno >= logging.ERROR]) == 1


def test_a_request_has_the_lines_of_the_log_alone(peers):
    """What is published carries those of every witness, and some witnesses read no more than 10 KiB."""
    head = tree(8)
    note = Note.parse(head.signed)
    others = [Cosigner(f"w{at}.example/w", ML_DSA_44, bytes([at]) * 32).sign(head, time=NOW) for at in range(4)]
    published = replace(head, signed=bytes(Note(note.text, (*others, *note.signatures))))
    assert len(published.signed) > 10_240
    bodies = []
    honest = peers[0].honest

    def act(method: str, path: str, body: bytes) -> Answer:
        bodies.append(body)
        return honest(method, path, body)

    peers[0].act = act
    with collecting(policy(peers[:1], "all")) as witnesses:
        assert len(witnesses.collect(published, Prover(8))) == 1
    assert bodies == [bytes(Request(0, (), head.signed))]


def test_late_evidence_stops_the_next_call(peers):
    ahead(peers[0], tree(20))
    slow = peers[0]
    slow.act = slow.slow
    asks = policy(peers, 2)
    with collecting(asks, deadline=20) as witnesses:
        assert cosigned(witnesses.collect(tree(8), Prover(8)), tree(8), asks) == ("harbour", "civic")
        slow.released.set()
        while not witnesses._peers[0]._shown:
            time.sleep(0.001)
        with pytest.raises(Rollback):
            witnesses.collect(tree(8), Prover(8))


@pytest.mark.parametrize("seed", range(5))
def test_any_mixture(seed):
    """Whatever some do, every line verifies, and those who answer honestly are a quorum when there are enough."""
    random_ = random.Random(seed)
    all_ = [Peer(name) for name in ("north", "harbour", "civic", "union", "museum")]
    try:
        with collecting(policy(all_, 3), deadline=30) as witnesses:
            for size in range(1, 21):
                kinds = [random_.choice(["honest", "honest", "honest", "slow", *BAD]) for _ in all_]
                honest = {peer.name for peer, kind in zip(all_, kinds, strict=True) if kind == "honest"}
                if len(honest) < 3:  # the slow would be waited for
                    kinds = [kind.replace("slow", "status 503") for kind in kinds]
                for peer, kind in zip(all_, kinds, strict=True):
                    peer.released.clear()
                    act = (lambda *_, peer=peer, kind=kind: BAD[kind](peer)) if kind in BAD else None
                    peer.act = peer.slow if kind == "slow" else act
                lines = witnesses.collect(tree(size), Prover(size))
                for peer in all_:
                    peer.released.set()
                    peer.act = None
                signers = set(cosigned(lines, tree(size), policy(all_, 1))) if lines else set()
                assert signers <= honest
                assert len(signers) >= min(3, len(honest))
                for peer in witnesses._peers:  # who is late has answered before the next one is asked
                    assert peer._free.acquire(timeout=30)
                    peer._free.release()
    finally:
        for peer in all_:
            peer.close()


def test_two_logs_witness_each_other():
    """In one process, at the same time: neither waits for the other."""
    names = ("shop.example/log", "gallery.example/log")
    keys = [SigningKey.generate(name) for name in names]
    cosigners = [Cosigner.generate(f"{name}/w", ED25519) for name in names]
    servers, asked, logs, places = [], [], [], [MemoryStore(), MemoryStore()]
    for key, cosigner in zip(reversed(keys), cosigners, strict=True):
        servers.append(WitnessServer(Witness({key.name: [key.verifier]}, [cosigner], MemoryStore())).start())
    policies = [
        Policy.parse(f"log {key.verifier}\nwitness w {cosigner.verifier} {server.url}\nquorum w\n")
        for key, cosigner, server in zip(keys, reversed(cosigners), reversed(servers), strict=True)
    ]
    for key, place, asks in zip(keys, places, policies, strict=True):
        store = MemoryStore()
        Log.create(store, key, b"genesis", publish=[place])
        asked.append(Witnesses(asks))
        logs.append(Log.open(store, key, publish=[place], witnessing=Witnessing(asks, asked[-1])))

    def grow(log: Log) -> None:
        for number in range(20):
            log.append(b"%d" % number)
            log.publish()

    threads = [threading.Thread(target=grow, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for place, asks in zip(places, policies, strict=True):
        assert Client(place, asks).latest().size == 21
    for witnesses, server in zip(asked, servers, strict=True):
        witnesses.close()
        server.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_that_was_forked_has_connections_of_its_own(peers):
    asks = policy(peers, "all")
    with collecting(asks) as witnesses:
        witnesses.collect(tree(3), Prover(3))
        held = witnesses._peers[0]._free
        assert held.acquire(timeout=10)  # as a thread that is asking, which the child does not have
        if (pid := os.fork()) == 0:
            try:
                os._exit(0 if len(witnesses.collect(tree(8), Prover(8))) == 3 else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        held.release()
        assert len(witnesses.collect(tree(20), Prover(20))) == 3
    assert [peer.connections for peer in peers] == [2, 2, 2]


def test_a_certificate_that_nobody_vouches_for(peers, tmp_path):
    """TLS is checked against the system's authorities, name and all."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    north = peers[0]
    north.server.socket = context.wrap_socket(north.server.socket, server_side=True, do_handshake_on_connect=False)
    address = f"https://localhost:{north.server.server_port}"
    exchange = Exchange(address)
    with pytest.raises(Unavailable, match=r"(?i)certificate.verify.failed"):
        exchange.ask("x/y", until=time.monotonic() + 20, most=100)
    trusting = Exchange(address)
    trusting._connection._context.load_verify_locations(tmp_path / "cert.pem")
    north.act = lambda *_: Answer(200, b"yes\n")
    for _ in range(2):
        assert trusting.ask("x/y", until=time.monotonic() + 20, most=100) == (200, b"yes\n")
    trusting.close()


def test_without_a_quorum_witnesses_are_told_and_not_waited_for(peers):
    asks = Policy.parse(f"log {KEY.verifier}\n{peers[0].lines()}quorum none\n")
    with collecting(asks) as witnesses:
        assert witnesses.collect(tree(3), Prover(3)) == () or peers[0].requests
        while not witnesses._peers[0].seen:
            time.sleep(0.001)


def test_who_has_no_address_is_not_asked(peers):
    text = f"log {KEY.verifier}\nwitness north {peers[0].keys[0].verifier}\nquorum north\n"
    with collecting(Policy.parse(text)) as witnesses:
        assert witnesses.collect(tree(3), Prover(3)) == ()


def test_wrong_use(peers):
    with pytest.raises(Unavailable, match="want a URL"):
        Witnesses(policy(peers, "all", url="ftp://x.example"))
    with collecting(Policy.parse(f"{peers[0].lines()}quorum north\n")) as witnesses, pytest.raises(UnknownKey):
        witnesses.collect(tree(3), Prover(3))


def test_keys_that_the_log_has_by_now_judge_what_is_shown(peers):
    """A process that runs while the log is handed over learns of it: a storage that is behind stays a stop."""
    new = SigningKey(ORIGIN, bytes([9] * 32))
    kept = Witness({ORIGIN: [KEY.verifier, new.verifier]}, peers[1].keys, MemoryStore())
    assert kept.add_checkpoint(bytes(Request(0, (), tree(20, key=new).signed)), time=NOW).status == 200
    peers[1].witness = kept
    lines = [LogLine(KEY.verifier)]
    with collecting(policy(peers, "all"), log=lambda: lines) as witnesses:
        assert len(witnesses.collect(tree(8), Prover(8))) == 2  # nobody knows whose checkpoint that is
        lines[:] = [LogLine(KEY.verifier, last=10), LogLine(new.verifier, first=10)]
        with pytest.raises(Rollback, match=r"witness harbour holds .* size 20"):
            witnesses.collect(tree(9), Prover(9))
        lines[:] = [LogLine(KEY.verifier, last=30), LogLine(new.verifier, first=30)]  # of a thief: it counts from 30
        assert len(witnesses.collect(tree(9), Prover(9))) == 2
