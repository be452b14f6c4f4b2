"""Copies of a published log."""

from __future__ import annotations

import pytest

from ledger import Client, Fork, Log, Policy, Rollback, SigningKey, UnknownKey, fsck
from ledger.copy import copy_log
from ledger.storage import Row
from ledger.testing import MemoryStore

KEY = SigningKey("example.com/log", bytes(32))


def log_of(entries: int, key: SigningKey = KEY) -> tuple[Log, MemoryStore]:
    store = MemoryStore()
    log = Log.create(store, key, b"genesis")
    log.extend([Row(b"%d" % n, b"open %d" % n) for n in range(entries)])
    log.publish()
    return log, store


def test_a_copy_is_checked_like_the_original() -> None:
    _, store = log_of(700)
    copy = MemoryStore()
    client = Client(store, Policy.of(KEY.verifier))
    assert copy_log(client, copy) == client.checkpoint
    copied = Client(copy, Policy.of(KEY.verifier))
    assert fsck(copied) == 701
    assert copied.opened(1) == client.opened(1)
    assert copy_log(client, copy).size == 701


def test_a_copy_grows_and_never_shrinks() -> None:
    log, store = log_of(300)
    old = Client(store, Policy.of(KEY.verifier))
    assert old.checkpoint.size == 301
    copy = MemoryStore()
    log.extend([Row(b"later", b"")] * 300)
    log.publish()
    copy_log(Client(store, Policy.of(KEY.verifier)), copy)
    assert Client(copy, Policy.of(KEY.verifier)).checkpoint.size == 601
    with pytest.raises(Rollback, match="601"):
        copy_log(old, copy)


def test_another_history_is_not_copied_over() -> None:
    _, one = log_of(300)
    _, two = log_of(10)
    fork, other = log_of(0)
    fork.extend([Row(b"else", b"")] * 400)
    fork.publish()
    policy = Policy.of(KEY.verifier)
    with pytest.raises(Fork):
        copy_log(Client(other, policy), one)
    with pytest.raises(UnknownKey):
        copy_log(Client(two, policy), log_of(5, SigningKey("other.example/log", bytes(32)))[1])
