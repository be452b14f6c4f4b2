"""A market whose keys lie in a key service, in another process: ours never holds them."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from adapters import connect, create, open_log
from ledger import InvalidSignature, RemoteKey, SigningKey, Unavailable, UnknownKey, VerifierKey
from provenance import PartyKey, PublicKey, RemotePartyKey, Statement, audit
from provenance.keys import ES256

ORIGIN = "market.example/log"


def serve(pipe: Connection) -> None:
    """Two keys, made here: tells their public halves, then signs with either whatever it is sent."""
    log, market = Ed25519PrivateKey.generate(), generate_private_key(SECP256R1())
    numbers = market.public_key().public_numbers()
    pipe.send((log.public_key().public_bytes_raw(), numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")))
    while (asked := pipe.recv()) is not None:
        name, message = asked
        pipe.send(log.sign(message) if name == "log" else market.sign(message, ECDSA(SHA256())))


class Service:
    """How this process reaches the other one."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        log, x, y = self._pipe.recv()
        self.reachable = True
        self.keys: dict[str, Any] = {
            "log": RemoteKey(VerifierKey(ORIGIN, log), lambda message: self._ask("log", message)),
            "market": RemotePartyKey(PublicKey("P-256", x, y), lambda message: self._ask("market", message)),
        }

    def _ask(self, name: str, message: bytes) -> bytes:
        if not self.reachable:
            message = f"key service: no answer for {name}"
            raise Unavailable(message)
        self._pipe.send((name, message))
        return self._pipe.recv()

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()
        self._process.close()


@pytest.fixture(scope="module")
def started():
    service = Service()
    yield service
    service.close()


@pytest.fixture
def service(started):
    yield started
    started.reachable = True


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'market.db'}"


def test_a_market_without_a_key_of_its_own(service, url, tmp_path):
    ledger = create(url, origin=ORIGIN, publish=tmp_path / "public", keys=service.keys)
    assert [path.name for path in (tmp_path / "market.keys").iterdir()] == ["claim.pem"]
    ledger = connect(url, publish=tmp_path / "public", keys=service.keys)
    ada = ledger.register_party("person", name="Ada")
    (tmp_path / "work.bin").write_bytes(b"a work")
    work = ledger.create(tmp_path / "work.bin", creators=[ada])
    ledger.publish()
    log = open_log(tmp_path / "public", ledger.log.policy)
    found = audit(log, rules=True)
    assert not found.findings
    assert found.checkpoint.size == ledger.log.size
    assert ledger.receipt(work).index < ledger.log.size
    statement = Statement.parse(ledger.log.row(ledger.receipt(work).index).entry)
    assert (statement.alg, statement.kid) == (ES256, service.keys["market"].kid)


def test_while_the_service_is_away_events_wait(service, url, tmp_path):
    ledger = create(url, origin=ORIGIN, publish=tmp_path / "public", keys=service.keys)
    service.reachable = False
    connect(url, signs=False).register_party("person", name="Ada", ref="user:1")
    with pytest.raises(Unavailable, match="key service: no answer"):
        ledger.publish()
    assert ledger.waiting == 1
    service.reachable = True
    ledger.publish()
    assert ledger.waiting == 0
    assert not audit(open_log(tmp_path / "public", ledger.log.policy), rules=True).findings


def test_a_log_key_of_another_name_makes_nothing(service, url, tmp_path):
    with pytest.raises(UnknownKey, match=r"log key market\.example/log: want one named other\.example/log"):
        create(url, origin="other.example/log", keys=service.keys)
    assert not (tmp_path / "market.keys").exists()


def test_what_is_no_key(url):
    party, log = PartyKey.generate(), SigningKey.generate(ORIGIN)
    for keys in ({"log": party}, {"market": log}, {"claim": party}):
        with pytest.raises(TypeError, match=f"keys: {next(iter(keys))} is {type(next(iter(keys.values()))).__name__}"):
            create(url, origin=ORIGIN, keys={"log": log, "market": party, **keys})


def test_party_keys_elsewhere():
    private = generate_private_key(SECP256R1())
    numbers = private.public_key().public_numbers()
    public = PublicKey("P-256", numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))
    key = RemotePartyKey(public, lambda message: private.sign(message, ECDSA(SHA256())))
    assert key.kid == public.kid
    for number in range(32):  # half of the signatures have a high S
        public.verify(key.sign(b"%d" % number), b"%d" % number, public.alg)
    for answer in (b"", b"\x30\x00", bytes(64), PartyKey.generate().sign(b"1"), private.sign(b"2", ECDSA(SHA256()))):
        with pytest.raises(InvalidSignature, match=f"signature by key {public.kid.hex()}"):
            RemotePartyKey(public, lambda _, answer=answer: answer).sign(b"1")
    log = SigningKey.generate(ORIGIN)
    assert RemotePartyKey.of(log).sign(b"1") == PartyKey.from_seed(log.seed).sign(b"1")
