"""What is said of a witness that answers strangely; the usual cases are in tests/cli/test_witness.py."""

from __future__ import annotations

import pytest

from adapters.witness.explain import explain
from ledger import Client, Log, Policy, Row, SigningKey
from ledger.cosignature import CosignerKey
from ledger.policy import Witness as Line
from ledger.testing import MemoryStore
from ledger.witness import Answer
from tests.adapters.test_witnesses import BAD, Peer
from tests.ledger.test_witness import KEY, NORTH, ORIGIN, tree


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
