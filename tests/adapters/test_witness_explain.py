"""What is said of a witness that answers strangely; the usual cases are in tests/cli/test_witness.py."""

from __future__ import annotations

from hashlib import sha256

import pytest

from adapters.witness.explain import explain
from ledger import Checkpoint, Client, Log, Policy, Row, SigningKey
from ledger.checkpoint import sign_checkpoint
from ledger.cosignature import ML_DSA_44, Cosigner, CosignerKey
from ledger.note import Note
from ledger.policy import Witness as Line
from ledger.testing import MemoryStore
from ledger.witness import Answer, Request, Witness
from tests.adapters.test_witnesses import BAD, Peer
from tests.ledger.test_witness import KEY, NORTH, NOW, ORIGIN, tree


@pytest.fixture
def peer():
    found = Peer("north")
    yield found
    found.close()


@pytest.fixture
def log():
    return Log.create(MemoryStore(), KEY, b"genesis", publish=[MemoryStore()])


def client(log: Log) -> Client:
    return Client(log.places[-1], Policy.of(KEY.verifier))


def lines(peer: Peer, *keys: CosignerKey) -> list[Line]:
    return [Line(f"n{number}", key, peer.url) for number, key in enumerate(keys or [peer.keys[0].verifier])]


def act(peer: Peer, *, get: Answer | None = None, post: Answer | None = None) -> None:
    """Let it answer this instead of what it would."""

    def answer(method: str, path: str, body: bytes) -> Answer:
        wanted = get if method == "GET" else post
        return peer.honest(method, path, body) if wanted is None else wanted

    peer.act = answer


def test_what_it_shows_may_be_old(peer, log):
    """Monitors may be shown what is an hour old; the log is asked from where the witness really is."""
    assert explain(lines(peer), client(log)).state == "cosigns"
    old = peer.honest("GET", f"/below/{peer.requests[0][1].split('/')[2]}/checkpoint", b"")
    for size in (5, 9):
        log.extend([Row(b"%d" % number, b"") for number in range(size - log.size)])
        log.publish()
        act(peer, get=old)
        said = explain(lines(peer), client(log))
        assert (said.state, said.size, said.behind) == ("cosigns", size, 0)


def test_it_says_that_it_is_ahead_and_shows_nothing(peer, log):
    act(peer, post=Answer(409, b"9000\n"))
    said = explain(lines(peer), client(log))
    assert said.state == "refuses"
    assert said.says == "has seen another size (409: 9000)"
    assert said.size is None


@pytest.mark.parametrize(
    "status, state", [(400, "refuses"), (422, "refuses"), (429, "refuses"), (500, "absent"), (302, "absent")]
)
def test_statuses(peer, log, status, state):
    act(peer, post=Answer(status, b"because\x1b[31m\n"))
    said = explain(lines(peer), client(log))
    assert said.state == state
    assert str(status) in said.says
    assert said.says.isprintable()
    assert said.do


@pytest.mark.parametrize("answer", [Answer(500, b""), Answer(302, b"")])
def test_it_does_not_say_what_it_holds(peer, log, answer):
    act(peer, get=answer)
    assert explain(lines(peer), client(log)).state == "absent"


@pytest.mark.parametrize("kind", ["no lines", "garbage", "another's line", "does not verify"])
def test_lies_are_named(peer, log, kind):
    act(peer, post=BAD[kind](peer))
    said = explain(lines(peer), client(log))
    assert said.state == "lies"
    assert said.held is None


def test_another_log_signed_what_it_shows(peer, log):
    stranger = SigningKey(ORIGIN, bytes(32))
    act(peer, get=Answer(200, tree(3, key=stranger).signed))
    assert explain(lines(peer), client(log)).state == "lies"


def test_a_log_of_the_same_name_under_another_key_is_no_lie(peer, log):
    """It watches whom it was told to watch; the operator has to be told the key."""
    stranger = SigningKey(ORIGIN, bytes(32))
    peer.witness = Witness({ORIGIN: [stranger.verifier]}, peer.keys, MemoryStore())
    asked = bytes(Request(0, (), tree(3, key=stranger).signed))
    assert peer.witness.add_checkpoint(asked, time=NOW).status == 200
    said = explain(lines(peer), client(log))
    assert (said.state, said.size, said.at) == ("refuses", None, None)
    assert said.says.startswith("knows this log by another key (403")
    assert f"log {KEY.verifier}" in said.do


def test_a_checkpoint_of_another_log_is_a_lie(peer, log):
    other = SigningKey("other.example/log", bytes(32))
    peer.witness = Witness({other.name: [other.verifier]}, peer.keys, MemoryStore())
    head = sign_checkpoint(Checkpoint(other.name, 3, tree(3).root), other)
    assert peer.witness.add_checkpoint(bytes(Request(0, (), head.signed)), time=NOW).status == 200
    act(peer, get=peer.witness.checkpoint(sha256(other.name.encode()).hexdigest()))
    said = explain(lines(peer), client(log))
    assert (said.state, said.says) == ("lies", f"shows a checkpoint of {other.name} when it is asked for {ORIGIN}")


def test_it_is_asked_with_the_lines_of_the_log_alone(peer, log):
    """Some witnesses read no more than 10 KiB, and what is published carries the lines of every witness."""
    place = log.places[-1]
    head = client(log).latest()
    note = Note.parse(head.signed)
    others = [Cosigner(f"w{at}.example/w", ML_DSA_44, bytes([at]) * 32).sign(head, time=NOW) for at in range(4)]
    place.replace("checkpoint", bytes(Note(note.text, (*note.signatures, *others))))
    asked = []

    def answer(method: str, path: str, body: bytes) -> Answer:
        asked.append(len(body))
        return Answer(500, b"too large") if len(body) > 10_240 else peer.honest(method, path, body)

    peer.act = answer
    assert explain(lines(peer), client(log)).state == "cosigns"
    assert len(place.get("checkpoint")) > 10_240 > max(asked)


def test_every_key_has_to_have_signed(peer, log):
    both = [key.verifier for key in peer.keys]
    said = explain(lines(peer, *both), client(log))
    assert (said.state, said.names) == ("cosigns", ("n0", "n1"))
    said = explain(lines(peer, both[0], NORTH.verifier), client(log))
    assert said.state == "lies"


def test_no_longer_than_it_may_take(peer, log):
    peer.act = peer.slow
    said = explain(lines(peer), client(log), deadline=0.05)
    assert said.state == "absent"
    assert "no answer in time" in said.says
