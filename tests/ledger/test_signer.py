"""A log whose key lies elsewhere: it signs the same bytes, and what does not sign as it should stops it."""

from __future__ import annotations

import pytest

from ledger import Client, InvalidSignature, Log, Policy, RemoteKey, Signer, SigningKey, Unavailable, fsck
from ledger.merkle import leaf_hash
from ledger.note import open_note, sign_note
from ledger.receipt import Receipt, sign_receipt
from ledger.testing import MemoryStore

KEY = SigningKey("market.example/log", bytes(range(32)))


class Service:
    """A key service: it signs for whoever asks, as long as it can be reached, and hands nothing out."""

    def __init__(self, key: SigningKey = KEY) -> None:
        self._key = key
        self.reachable = True

    def __call__(self, message: bytes) -> bytes:
        if not self.reachable:
            message = "key service: no answer"
            raise Unavailable(message)
        return self._key.sign_bytes(message)


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def remote(service):
    return RemoteKey(KEY.verifier, service)


def test_both_keys_are_signers(remote):
    for key in (KEY, remote):
        assert isinstance(key, Signer)
        assert (key.name, key.verifier) == ("market.example/log", KEY.verifier)
    assert not isinstance(KEY.verifier, Signer)
    assert not hasattr(remote, "seed")


def test_the_same_bytes_wherever_the_key_lies(remote):
    text = "market.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert sign_note(text, remote) == sign_note(text, KEY)
    assert open_note(sign_note(text, remote), [KEY.verifier])[1] == (KEY.verifier,)
    path, root = (leaf_hash(b"other"),), bytes(32)
    receipt = sign_receipt(remote, "inclusion", (2, 0), path, root)
    assert bytes(receipt) == bytes(sign_receipt(KEY, "inclusion", (2, 0), path, root))
    assert Receipt.parse(bytes(receipt)) == receipt


def test_a_log_is_written_and_read(remote):
    store, place = MemoryStore(), MemoryStore()
    log = Log.create(store, remote, b"genesis", publish=[place])
    log.append(b"one")
    log.publish()
    again = Log.open(store, remote, publish=[place])
    assert again.append(b"two") == 2
    assert again.publish().size == 3
    client = Client(place, Policy.of(KEY.verifier))
    client.latest()
    assert list(client.entries(0, 3)) == [b"genesis", b"one", b"two"]
    assert fsck(client) == 3


def test_while_the_key_cannot_be_reached_nothing_is_lost(service, remote):
    store = MemoryStore()
    log = Log.create(store, remote, b"genesis", window=0)
    service.reachable = False
    with pytest.raises(Unavailable, match="key service: no answer"):
        log.append(b"one")
    assert Log.open(store, KEY.verifier).checkpoint.size == 1
    service.reachable = True
    assert log.append(b"one") == 1
    assert log.publish().size == 2
    assert fsck(Client(store, log.policy)) == 2


@pytest.mark.parametrize(
    "answer",
    [
        SigningKey("market.example/log", bytes(32)).sign_bytes,
        lambda message: KEY.sign_bytes(message + b"!"),
        lambda message: KEY.sign_bytes(message) + b"\0",
        lambda _: b"",
    ],
    ids=["another key", "another message", "too long", "nothing"],
)
def test_what_another_key_signed_gets_nowhere(answer):
    store = MemoryStore()
    Log.create(store, KEY, b"genesis")
    log = Log.open(store, RemoteKey(KEY.verifier, answer))
    with pytest.raises(InvalidSignature, match=f"signature by market.example/log {KEY.verifier.key_id.hex()}"):
        log.append(b"one")
    assert Log.open(store, KEY).size == 1
