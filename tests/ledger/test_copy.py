"""Copies of a published log, and storages that are filled from one."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from adapters.sql.store import SqlStore
from ledger import (
    Client,
    Conflict,
    Fork,
    LedgerError,
    Log,
    NotFound,
    Policy,
    Rollback,
    SigningKey,
    Unavailable,
    UnknownKey,
    fsck,
)
from ledger.copy import copy_log
from ledger.refill import extend_unsigned, refill
from ledger.storage import Row
from ledger.testing import MemoryStore
from ledger.tile import CHECKPOINT, bundle_path, tile_path

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
    with pytest.raises(Fork) as caught:
        copy_log(Client(other, policy), one)
    assert caught.value.evidence.verify(policy).new.size == 401
    with pytest.raises(UnknownKey):
        copy_log(Client(two, policy), log_of(5, SigningKey("other.example/log", bytes(32)))[1])


class Counting(MemoryStore):
    """Counts what is read of it, and may stop taking writes."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.left = 10**9

    def get(self, path: str) -> bytes:
        self.read.append(path)
        return super().get(path)

    def put(self, path: str, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            msg = f"{path}: no room"
            raise Unavailable(msg, path=path)
        super().put(path, data)


class Wide(Counting):
    """Takes several writes at once."""

    parallel = 4


def shown(store: MemoryStore) -> dict[str, bytes]:
    """All but batch files."""
    return {path: data for path, data in store.objects.items() if not path.startswith("staging/")}


def bundles(read: list[str]) -> list[str]:
    return [path for path in read if path.startswith("tile/entries/")]


@pytest.mark.parametrize("kind", [Counting, Wide])
@pytest.mark.parametrize("stop", [0, 1, 5, 13, 30, 31, 32, 36])
def test_an_interrupted_copy_goes_on(kind: type[Counting], stop: int) -> None:
    _, original = log_of(4500)
    source, target = Counting(), kind()
    source.objects, source.heads = original.objects, original.heads
    policy = Policy.of(KEY.verifier)
    target.left = stop
    with pytest.raises(Unavailable):
        copy_log(Client(source, policy), target)
    assert CHECKPOINT not in target.objects
    target.left = 10**9
    source.read.clear()
    copy_log(Client(source, policy), target)
    assert fsck(Client(target, policy)) == 4501
    assert target.objects == shown(original)
    if kind is Counting:  # side by side, some of the last may be missing
        assert len(bundles(source.read)) <= 19 - max(0, stop // 2 - 8)


def test_what_the_target_shows_is_not_read_again() -> None:
    log, original = log_of(2000)
    source, target = Counting(), MemoryStore()
    source.objects, source.heads = original.objects, original.heads
    policy = Policy.of(KEY.verifier)
    copy_log(Client(source, policy), target)
    log.extend([Row(b"later %d" % n, b"open") for n in range(600)])
    log.publish()
    source.read.clear()
    copy_log(Client(source, policy), target)
    assert sorted(bundles(source.read)) == [bundle_path(n) for n in (7, 8, 9)] + [bundle_path(10, 41)]
    assert target.objects == shown(original)


def test_partial_forms_in_a_copy_go_once_the_full_one_is_there() -> None:
    log, store = log_of(0)
    target = MemoryStore()
    policy = Policy.of(KEY.verifier)
    for count in (100, 100, 100, 500):
        log.extend([Row(b"%d" % n, b"") for n in range(count)])
        log.publish()
        copy_log(Client(store, policy), target)
    partial = [path for path in target.objects if ".p/" in path]
    assert sorted(partial) == sorted([tile_path(0, 3, 33), tile_path(1, 0, 3), bundle_path(3, 33), tile_path(1, 0, 1)])


# Refilling what is empty


def test_an_empty_database_becomes_the_published_log(tmp_path: Path) -> None:
    log, published = log_of(3000)
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)

    class Killed(Exception):
        pass

    def kill(done: int, _: int) -> None:
        if done > 1000:
            raise Killed

    with pytest.raises(Killed):
        refill(store, KEY.verifier, published, progress=kill)
    with pytest.raises(LedgerError):
        Log.open(store, KEY)  # nobody signs from there
    assert refill(store, KEY.verifier, published) == range(1024, 3001)
    again = Log.open(store, KEY, publish=[published])
    assert list(again.rows(0, 3001)) == list(log.rows(0, 3001))
    assert again.append(b"next") == 3001
    store.close()


@pytest.mark.parametrize("size", [1, 256, 257, 65_536, 65_537])
def test_nobody_opens_what_is_half_refilled(tmp_path: Path, size: int) -> None:
    """Also where the published size is a round one, whose edge is a single hash."""
    store, source = MemoryStore(), SqlStore(f"sqlite:///{tmp_path / 'source.db'}", create=True)
    log = Log.create(source, KEY, b"genesis", publish=[store], window=3600.0)
    if size > 1:
        log.extend([Row(b"", b"")] * (size - 1))
    log.publish()

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done < total:
            raise Killed

    target = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    if size > 1024:
        with pytest.raises(Killed):
            refill(target, KEY, store, progress=kill)
        with pytest.raises(LedgerError):
            Log.open(target, KEY)
    refill(target, KEY, store)
    assert Log.open(target, KEY, publish=[store]).size == size
    source.close()
    target.close()


def test_an_empty_bucket_and_head_become_the_published_log() -> None:
    log, published = log_of(700)
    objects, heads = MemoryStore(), MemoryStore()
    assert refill(objects, KEY.verifier, published, checkpoints=heads) == range(701)
    again = Log.open(objects, KEY, checkpoints=heads)
    assert list(again.rows(0, 701)) == list(log.rows(0, 701))
    assert refill(objects, KEY.verifier, published, checkpoints=heads) == range(701, 701)
    again.append(b"next")
    with pytest.raises(Rollback):
        Log.open(published, KEY, publish=[objects])
    assert refill(published, KEY.verifier, objects) == range(701, 702)
    assert Log.open(published, KEY, publish=[objects]).size == 702


def test_a_head_that_was_put_back_follows_its_own_tiles() -> None:
    """Tiles went on in the bucket, the cell with the head is an older copy."""
    objects, heads = MemoryStore(), MemoryStore()
    log = Log.create(objects, KEY, b"genesis", checkpoints=heads)
    old = dict(heads.heads)
    log.extend([Row(b"%d" % n, b"") for n in range(300)])
    heads.heads = old
    with pytest.raises(Rollback):
        Log.open(objects, KEY, checkpoints=heads)
    assert refill(objects, KEY, objects, checkpoints=heads) == range(1, 301)
    assert Log.open(objects, KEY, checkpoints=heads).append(b"next") == 301
    other = Log.create(MemoryStore(), KEY, b"another genesis", checkpoints=(cell := MemoryStore()))
    assert other.size == 1
    with pytest.raises(Fork, match="not a beginning of what is published") as caught:
        refill(objects, KEY, objects, checkpoints=cell)
    assert caught.value.evidence.verify(Policy.of(KEY.verifier)).old.size == 1


@pytest.mark.parametrize("written", range(8))
def test_a_batch_whose_head_was_lost_is_in_nobodys_way(written: int) -> None:
    """The head is gone with its database, and with it a checkpoint that nobody had seen; tiles under it are there."""
    objects, heads = Counting(), MemoryStore()
    log = Log.create(objects, KEY, b"genesis", checkpoints=heads)
    old = dict(heads.heads)
    log.extend([Row(b"%d" % n, b"") for n in range(254)])
    seen = log.publish()
    objects.left = 1 + written  # the batch file, and some of its objects
    with contextlib.suppress(Unavailable):
        log.extend([Row(b"lost %d" % n, b"") for n in range(300)])
    objects.left = 10**9
    reached = objects.get(CHECKPOINT) != seen.signed
    heads.heads = old
    assert refill(objects, KEY, objects, checkpoints=heads).stop == (555 if reached else 255)
    again = Log.open(objects, KEY, checkpoints=heads)
    first = again.extend([Row(b"other %d" % n, b"") for n in range(400)])
    assert first == (555 if reached else 255)
    assert fsck(Client(objects, Policy.of(KEY.verifier))) == first + 400
    assert reached or any(path.startswith("staging/555-") for path in objects.objects)


def test_rows_that_were_sequenced_and_never_signed(tmp_path: Path) -> None:
    _, published = log_of(255)
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    rows = [Row(b"row %d" % n, b"open") for n in range(300)]
    refill(store, KEY, published)
    for _ in range(2):
        extend_unsigned(store, KEY.name, 256, rows)
    head = store.head(KEY.name)
    assert (head.size, head.signed) == (556, published.get(CHECKPOINT))
    with pytest.raises(Conflict, match="entry #256 in storage"):
        extend_unsigned(store, KEY.name, 256, [Row(b"another", b"")])
    with pytest.raises(NotFound, match="all before #600"):
        extend_unsigned(store, KEY.name, 600, rows)
    log = Log.open(store, KEY, publish=[published])
    assert list(log.rows(256, 556)) == rows
    assert log.publish().size == 556
    store.close()
