"""What a log promises to those who write: indexes, windows, group commit, and no signature after a rollback."""

from __future__ import annotations

import contextlib
import copy
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.sql.store import SqlStore
from ledger import (
    Checkpoint,
    Client,
    Conflict,
    Fork,
    LedgerError,
    Log,
    MalformedError,
    NotFound,
    Policy,
    ProofMismatch,
    Rollback,
    Row,
    SigningKey,
    TileMismatch,
    Unavailable,
    fsck,
    refill,
)
from ledger.batch import staging_path
from ledger.checkpoint import open_checkpoint, sign_checkpoint
from ledger.group import GroupCommit, Pending
from ledger.merkle import verify_consistency
from ledger.testing import MemoryStore

KEY = SigningKey("market.example/log", bytes(range(32)))


def _back_up(path, copied) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(copied),))


def _fill(log: Log, number: int) -> None:
    log.extend([Row(b"entry %d" % i, b"") for i in range(log.size, log.size + number)])


def test_indexes_count_from_the_genesis(store):
    log = Log.create(store, KEY, b"genesis")
    assert (log.origin, log.size, log.checkpoint.size) == (KEY.name, 1, 1)
    assert log.append(b"one") == 1
    assert log.extend([Row(b"two", b""), Row(b"three", b"open")]) == 2
    assert log.extend([]) == 4
    assert [row.entry for row in log.rows(0, 4)] == [b"genesis", b"one", b"two", b"three"]
    assert log.row(3) == Row(b"three", b"open")
    for start, stop in ((-1, 0), (0, 5), (3, 2)):
        with pytest.raises(NotFound):
            list(log.rows(start, stop))


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_published_and_opened_again(store, size):
    place = MemoryStore()
    log = Log.create(store, KEY, b"entry 0", publish=[place])
    _fill(log, size - 1)
    assert log.publish().size == size
    client = Client(place, log.policy)
    assert list(client.entries(0, size)) == [b"entry %d" % i for i in range(size)]
    assert fsck(client) == size
    again = Log.open(store, KEY, publish=[place], remembered=client.checkpoint)
    assert again.checkpoint == client.checkpoint
    assert again.append(b"next") == size
    assert again.publish().size == size + 1
    proof = client.checkpoint, client.latest(), client.prove_consistency(size)
    verify_consistency(proof[2], old=size, new=size + 1, old_root=proof[0].root, new_root=proof[1].root)


def test_create_is_not_open(store):
    with pytest.raises(NotFound):
        Log.open(store, KEY)
    place = MemoryStore()
    Log.create(store, KEY, b"genesis", publish=[place])
    with pytest.raises(Conflict):
        Log.create(store, KEY, b"genesis")
    with pytest.raises(Conflict, match="already published"):
        Log.create(MemoryStore(), KEY, b"genesis", publish=[place])


def test_create_where_another_log_is_published():
    place = MemoryStore()
    Log.create(MemoryStore(), SigningKey.generate("other.example/log"), b"genesis", publish=[place])
    for key in (KEY, SigningKey.generate("other.example/log")):
        with pytest.raises(Conflict, match="already published there; open or refill that log, or give another place"):
            Log.create(MemoryStore(), key, b"genesis", publish=[place])


def test_create_with_entries_that_are_there_from_the_first_checkpoint_on(store):
    place = MemoryStore()
    log = Log.create(store, KEY, b"genesis", following=[Row(b"the market", b"open")], publish=[place])
    assert (log.size, log.checkpoint.size, open_checkpoint(place.get("checkpoint"), log.policy).size) == (2, 2, 2)
    assert list(log.rows(0, 2)) == [Row(b"genesis", b""), Row(b"the market", b"open")]
    with pytest.raises(MalformedError, match="entry: 65536 bytes, want at most 65535"):
        Log.create(MemoryStore(), KEY, b"genesis", following=[Row(bytes(65_536), b"")])


def test_create_beside_a_published_checkpoint():
    """The objects are one of the places it publishes to, also when the checkpoints are kept elsewhere."""
    objects = MemoryStore()
    Log.create(objects, KEY, b"genesis", checkpoints=MemoryStore())
    with pytest.raises(Conflict, match="already published"):
        Log.create(objects, KEY, b"genesis", checkpoints=MemoryStore())


def test_one_log_in_one_database(database):
    Log.create(database, KEY, b"genesis")
    with pytest.raises(Conflict, match="holds the log market"):
        Log.create(database, SigningKey.generate("other.example/log"), b"genesis")


def test_a_window_spares_checkpoints(database):
    log = Log.create(database, KEY, b"genesis", window=3600.0)
    for i in range(20):
        log.append(b"%d" % i)
    assert (log.size, log.checkpoint.size) == (21, 1)
    with pytest.raises(ProofMismatch):
        log.prove(5)
    assert log.publish().size == 21
    assert log.publish() == log.checkpoint
    assert log.prove(5).verify(b"4", log.policy) == log.checkpoint


def test_without_a_window_every_batch_is_signed(store):
    log = Log.create(store, KEY, b"genesis", window=0.0)
    assert log.append(b"one") == 1
    assert log.checkpoint.size == 2


def test_roots_of_the_past(store):
    log = Log.create(store, KEY, b"entry 0", window=3600.0)
    roots = {1: log.checkpoint.root}
    for size in (2, 200, 256, 257, 300, 513):
        _fill(log, size - log.size)
        roots[size] = log.root_at(size)
    assert roots[513] == log.publish().root
    again = Log.open(store, KEY)
    assert {size: again.root_at(size) for size in roots} == roots


def test_partial_tiles_go_when_the_full_one_is_there(store):
    place = MemoryStore()
    log = Log.create(store, KEY, b"entry 0", publish=[place])
    _fill(log, 9)
    log.publish()
    assert "tile/entries/000.p/10" in place.objects
    _fill(log, 290)
    log.publish()
    assert sorted(place.objects) == [
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    ]
    batches = [path for path in getattr(store, "objects", {}) if path.startswith("staging/")]
    assert batches in ([], [f"staging/300-{log.checkpoint.root.hex()}"])  # none in a database, elsewhere the newest


def test_what_is_published_in_the_open(store):
    place = MemoryStore()
    log = Log.create(store, KEY, b"genesis", publish=[place])
    log.extend([Row(b"%d" % i, b"" if i % 2 else b"open %d" % i) for i in range(300)])
    log.publish()
    client = Client(place, log.policy)
    assert client.opened(0)[:4] == [b"", b"open 0", b"", b"open 2"]
    assert client.opened(1)[-2:] == [b"open 298", b""]
    assert client.opened(2) == []


# Rollback and forks


def test_remembered(store):
    log = Log.create(store, KEY, b"genesis")
    ahead = sign_checkpoint(Checkpoint(KEY.name, 7, bytes(32)), KEY)
    with pytest.raises(Rollback, match="storage is at size 1, the checkpoint remembered by the caller at 7"):
        Log.open(store, KEY, remembered=ahead)
    with pytest.raises(Fork) as caught:
        Log.open(store, KEY, remembered=sign_checkpoint(Checkpoint(KEY.name, 1, bytes(32)), KEY))
    assert (caught.value.old.root, caught.value.new) == (bytes(32), log.checkpoint)
    with pytest.raises(ProofMismatch, match="is one of other"):
        Log.open(store, KEY, remembered=Checkpoint("other", 1, log.checkpoint.root))
    assert Log.open(store, KEY, remembered=log.checkpoint).append(b"on") == 1


def test_storage_behind_what_is_published(tmp_path):
    """An older database is put back: refused, mended from the public files, and nothing sequenced twice."""
    path, place = tmp_path / "log.db", MemoryStore()
    store = SqlStore(f"sqlite:///{path}", create=True)
    log = Log.create(store, KEY, b"entry 0", publish=[place], window=3600.0)
    _fill(log, 300)
    log.publish()
    _fill(log, 5)  # sequenced, not signed
    _back_up(path, tmp_path / "old.db")
    _fill(log, 700)
    newest = log.publish()
    store.close()

    old = SqlStore(f"sqlite:///{tmp_path / 'old.db'}")
    with pytest.raises(Rollback, match="refill it from what is published"):
        Log.open(old, KEY, publish=[place])
    seen = []
    assert refill(old, KEY, place, progress=lambda done, total: seen.append((done, total))) == range(306, 1006)
    assert seen[-1] == (1006, 1006)
    assert refill(old, KEY, place) == range(1006, 1006)
    log = Log.open(old, KEY, publish=[place], remembered=newest)
    assert log.append(b"next") == 1006
    log.publish()
    assert fsck(Client(place, log.policy)) == 1007
    assert [row.entry for row in log.rows(0, 1006)] == [b"entry %d" % i for i in range(1006)]
    old.close()


def test_refill_that_was_interrupted(tmp_path):
    place = MemoryStore()
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    log = Log.create(store, KEY, b"entry 0", publish=[place])
    _back_up(tmp_path / "log.db", tmp_path / "old.db")
    _fill(log, 3000)
    log.publish()
    store.close()

    class Interrupted(Exception):
        pass

    def stop(done, total):
        if done > 1024:
            raise Interrupted

    old = SqlStore(f"sqlite:///{tmp_path / 'old.db'}")
    with pytest.raises(Interrupted):
        refill(old, KEY, place, progress=stop)
    with pytest.raises(Rollback):
        Log.open(old, KEY, publish=[place])
    assert refill(old, KEY, place).stop == 3001
    assert Log.open(old, KEY, publish=[place]).size == 3001
    old.close()


def test_refill_refuses_another_history(tmp_path):
    place, other = MemoryStore(), SqlStore(f"sqlite:///{tmp_path / 'other.db'}", create=True)
    log = Log.create(MemoryStore(), KEY, b"genesis", publish=[place])
    log.append(b"published")
    log.publish()
    Log.create(other, KEY, b"genesis").append(b"something else")
    with pytest.raises(Fork, match="the first 2 entries stored are not those published"):
        refill(other, KEY, place)
    other.close()


def test_fork_between_storage_and_public(store):
    place = MemoryStore()
    Log.create(MemoryStore(), KEY, b"another genesis", publish=[place])
    Log.create(store, KEY, b"genesis")
    with pytest.raises(Fork, match="published of size 1 is not a beginning of this log") as caught:
        Log.open(store, KEY, publish=[place])
    assert caught.value.evidence.verify(Policy.of(KEY.verifier)).old.size == 1


def test_a_checkpoint_store_put_back():
    """Objects are ahead of the compare-and-swap cell: the log signs nothing."""
    objects, cell = MemoryStore(), MemoryStore()
    log = Log.create(objects, KEY, b"genesis", checkpoints=cell)
    old = dict(cell.heads)
    log.append(b"one")
    cell.heads = old
    with pytest.raises(Rollback):
        Log.open(objects, KEY, checkpoints=cell)
    with pytest.raises(Rollback):
        log.append(b"two")
    with pytest.raises(Rollback):
        log.append(b"and again: a refusal is not forgotten")
    assert cell.heads == old


def test_a_database_put_back_under_a_running_log(tmp_path):
    path = tmp_path / "log.db"
    store = SqlStore(f"sqlite:///{path}", create=True)
    log = Log.create(store, KEY, b"genesis", window=3600.0)
    _fill(log, 5)
    with store.transaction() as tx:  # as if a backup of size 3 had been restored into the same file
        tx.connection.exec_driver_sql("UPDATE provenance_heads SET size = 3")
        tx.connection.exec_driver_sql("DELETE FROM provenance_rows WHERE idx >= 3")
    for _ in range(2):
        with pytest.raises(Rollback, match="storage is at size 3"):
            log.append(b"would take index 3 again")
    store.close()


def test_another_history_in_place_of_the_storage():
    """Restored behind, and appended to by another process: longer than what this one knows, and not its log."""
    store = MemoryStore()
    log = Log.create(store, KEY, b"genesis")
    elsewhere = copy.copy(store)
    elsewhere.objects, elsewhere.heads = dict(store.objects), dict(store.heads)
    log.append(b"here")
    other = Log.open(elsewhere, KEY)
    other.append(b"there")
    other.append(b"there too")
    store.objects, store.heads = elsewhere.objects, elsewhere.heads
    with pytest.raises(Fork) as caught:
        log.append(b"more")
    assert (caught.value.old.size, caught.value.new.size) == (2, 3)


def test_another_log_publishes_to_the_same_place(store):
    place, elsewhere = MemoryStore(), MemoryStore()
    log = Log.create(store, KEY, b"genesis", publish=[place])
    other = Log.create(MemoryStore(), KEY, b"genesis", publish=[elsewhere])
    log.append(b"here")
    log.publish()
    other.append(b"there")
    elsewhere.objects = place.objects
    with pytest.raises(Fork):
        other.publish()


def test_damaged_storage_is_not_built_on(store):
    log = Log.create(store, KEY, b"entry 0")
    _fill(log, 299)
    log.publish()
    damaged = bytes(8192)
    if isinstance(store, MemoryStore):
        store.objects["tile/0/000"] = damaged
    else:
        with store.transaction() as tx:
            tx.replace("tile/0/000", damaged)
    with pytest.raises(TileMismatch, match="another root than the signed checkpoint of size 300"):
        Log.open(store, KEY)


def test_wrong_key(store):
    Log.create(store, KEY, b"genesis")
    with pytest.raises(LedgerError):
        Log.open(store, SigningKey.generate(KEY.name))


# Callbacks in the transaction of a batch


def test_within_commits_with_the_entries_or_not_at_all(database):
    log = Log.create(database, KEY, b"genesis")
    assert log.extend([Row(b"one", b"")], within=lambda tx, first: tx.replace("note", b"%d" % first)) == 1
    assert database.get("note") == b"1"

    def refuse(tx, first):
        tx.replace("note", b"never")
        raise LookupError(first)

    with pytest.raises(LookupError):
        log.extend([Row(b"two", b"")], within=refuse)
    assert (database.get("note"), log.size) == (b"1", 2)
    assert log.append(b"two, then") == 2


def test_within_that_conflicts_is_not_tried_again(database):
    log = Log.create(database, KEY, b"genesis")
    calls = []

    def taken(tx, first):
        calls.append(first)
        tx.put("once", b"%d" % len(calls))

    log.extend([Row(b"one", b"")], within=taken)
    with pytest.raises(Conflict, match="once: other bytes"):
        log.extend([Row(b"two", b"")], within=taken)
    assert calls == [1, 2]


def test_within_needs_a_database():
    log = Log.create(MemoryStore(), KEY, b"genesis")
    with pytest.raises(TypeError, match="no transactions"):
        log.extend([Row(b"one", b"")], within=lambda tx, first: None)


def test_a_store_without_checkpoints_is_refused():
    with pytest.raises(LedgerError, match="holds no checkpoints"):
        Log.create(object(), KEY, b"genesis")  # type: ignore[arg-type]


# Threads


def test_sixteen_threads_share_commits(store):
    log = Log.create(store, KEY, b"genesis")
    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(lambda i: (log.append(b"%d" % i), b"%d" % i), range(400)))
    assert sorted(index for index, _ in given) == list(range(1, 401))
    log.publish()
    entries = [row.entry for row in log.rows(0, 401)]
    assert all(entries[index] == entry for index, entry in given)
    proofs = [log.prove(index).verify(entry, log.policy) for index, entry in given[:40]]
    assert set(proofs) == {log.checkpoint}


def test_threads_that_read_while_others_write(database):
    """Every thread has a connection of its own: more of them than a pool would give."""
    log = Log.create(database, KEY, b"entry 0")
    _fill(log, 600)
    log.publish()
    barrier = threading.Barrier(24)

    def read(i):
        barrier.wait(30)
        log.append(b"x")
        return log.prove(i).verify(b"entry %d" % i, log.policy).size

    with ThreadPoolExecutor(24) as pool:
        assert all(size >= 601 for size in pool.map(read, range(24)))


def test_one_bad_entry_spoils_nobody_elses(store):
    log = Log.create(store, KEY, b"genesis")

    def append(i):
        try:
            return log.append(bytes(70_000) if i % 5 == 0 else "text" if i % 7 == 0 else b"%d" % i)
        except (LedgerError, TypeError):
            return None

    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(append, range(100)))
    good = [i for i in range(100) if i % 5 and i % 7]
    assert [i for i, index in enumerate(given) if index is not None] == good
    assert sorted(filter(None, given)) == list(range(1, len(good) + 1))


class _Stop(BaseException):
    """Like KeyboardInterrupt, which would stop pytest itself."""


def test_an_interrupted_leader_hands_over():
    """The interrupt is its own; those in its batch learn that the outcome is unknown; those behind it go on."""
    inside, go = threading.Event(), threading.Event()
    batches = []

    def commit(group):
        batches.append(len(group))
        for item in group:
            item.first = len(batches)
        if len(batches) == 2:
            inside.set()
            assert go.wait(30)
            raise _Stop

    group = GroupCommit(commit)
    assert group.submit(Pending(())) == 1
    with ThreadPoolExecutor(4) as pool:
        leader = pool.submit(group.submit, Pending(()))
        assert inside.wait(30)
        behind = [pool.submit(group.submit, Pending(())) for _ in range(3)]
        while len(group._waiting) < 3:
            threading.Event().wait(0.001)
        go.set()
        with pytest.raises(_Stop):
            leader.result(30)
        assert [f.result(30) for f in behind] == [3, 3, 3]
    assert batches == [1, 1, 3]


def test_those_in_an_interrupted_batch_learn_of_it():
    hold, inside = threading.Event(), threading.Event()

    def commit(group):
        if not inside.is_set():
            inside.set()
            assert hold.wait(30)
            return
        raise _Stop

    group = GroupCommit(commit)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(group.submit, Pending(()))
        assert inside.wait(30)
        rest = [pool.submit(group.submit, Pending(())) for _ in range(2)]
        while len(group._waiting) < 2:
            threading.Event().wait(0.001)
        hold.set()
        first.result(30)
        outcomes = sorted(type(f.exception(30)).__name__ for f in rest)
    assert outcomes == [Unavailable.__name__, _Stop.__name__]
    assert not group._busy


def test_a_waiter_that_is_interrupted_leaves_the_queue():
    """And when the lead comes to it in the same moment, it goes on to the next."""
    group = GroupCommit(lambda items: None)
    group._busy = True  # somebody leads

    class Interrupting:
        """A gate that is interrupted when its owner waits at it, after the lead came."""

        def __init__(self):
            self.asked = 0

        def acquire(self):
            self.asked += 1
            if self.asked == 2:
                item.leads = True
                raise _Stop

    item = Pending((), gate=Interrupting())  # type: ignore[arg-type]
    with pytest.raises(_Stop):
        group.submit(item)
    assert group._waiting == []
    assert not group._busy
    assert group.submit(Pending(())) == -1


# Two handles


def test_two_handles_on_one_storage(store):
    one = Log.create(store, KEY, b"genesis", window=0.0)
    two = Log.open(store, KEY, window=0.0)
    given = [(log.append(entry), entry) for i in range(40) for log, entry in ((one, b"1-%d" % i), (two, b"2-%d" % i))]
    assert [index for index, _ in given] == list(range(1, 81))
    assert two.publish().size == 81
    assert one.publish() == two.checkpoint
    assert [row.entry for row in one.rows(1, 81)] == [entry for _, entry in given]


def test_publishing_covers_what_other_handles_sequenced(database):
    place = MemoryStore()
    one = Log.create(database, KEY, b"genesis", window=3600.0, publish=[place])
    two = Log.open(database, KEY, window=3600.0)
    two.append(b"sequenced elsewhere")
    assert one.publish().size == 2
    assert one.prove(1).verify(b"sequenced elsewhere", one.policy).size == 2
    assert Client(place, one.policy).latest().size == 2


def test_two_handles_in_threads_publish_to_one_place(database):
    place = MemoryStore()
    logs = [Log.create(database, KEY, b"genesis", publish=[place], window=0.0)]
    logs.append(Log.open(database, KEY, publish=[place], window=0.0))

    def work(log):
        given = []
        for i in range(30):
            given.append(log.append(b"%d" % i))
            log.publish()
        return given

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, logs)
    assert sorted([*first, *second]) == list(range(1, 61))
    client = Client(place, logs[0].policy)
    assert client.latest().size == 61  # whoever wrote last, the newest stands
    assert fsck(client) == 61


class _Place(MemoryStore):
    """A place where something else happens just before one of its verbs."""

    def __init__(self):
        super().__init__()
        self.before = {}

    def _happens(self, verb, path):
        if path == "checkpoint" and (act := self.before.pop(verb, None)):
            act()

    def get(self, path):
        self._happens("get", path)
        return super().get(path)

    def replace(self, path, data):
        self._happens("replace", path)
        super().replace(path, data)


def test_overtaken_while_publishing(database):
    """Another process signs and publishes later, and the older checkpoint is written over its own: not for long."""
    place = _Place()
    one = Log.create(database, KEY, b"genesis", publish=[place], window=3600.0)
    two = Log.open(database, KEY, publish=[place], window=3600.0)

    def overtake():
        two.append(b"later")
        assert two.publish().size == 3

    one.append(b"sooner")
    place.before["replace"] = overtake
    assert one.publish().size == 3
    client = Client(place, one.policy)
    assert client.latest().size == 3
    assert fsck(client) == 3


def test_opened_while_another_process_publishes(database):
    """What is published between two looks is no rollback."""
    place = _Place()
    one = Log.create(database, KEY, b"genesis", publish=[place], window=3600.0)

    def go_on():
        one.append(b"one")
        one.publish()

    place.before["get"] = go_on
    assert Log.open(database, KEY, publish=[place]).checkpoint.size == 2


def test_loaded_while_another_process_sequences(tmp_path):
    """Size and rows are two reads: those of one moment belong together."""

    class Busy(SqlStore):
        def rows(self, origin):
            if go_on:
                go_on.pop()()
            return super().rows(origin)

    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    one = Log.create(store, KEY, b"entry 0", window=3600.0)
    _fill(one, 100)
    go_on = [lambda: _fill(one, 300), lambda: _fill(one, 7)]
    busy = Busy(f"sqlite:///{tmp_path / 'log.db'}")
    two = Log.open(busy, KEY)
    assert two.size == 408
    assert two.append(b"next") == 408
    assert two.publish().root == Log.open(store, KEY).root_at(409)
    store.close()
    busy.close()


def test_the_batch_file_of_a_lost_race_is_dropped_later():
    store = MemoryStore()
    first = Log.create(store, KEY, b"genesis")
    second = Log.open(store, KEY)
    first.append(b"faster")
    assert second.append(b"slower, and staged in vain at first") == 2
    assert len([path for path in store.objects if path.startswith("staging/")]) == 2
    first.append(b"on top")
    third = Log.open(store, KEY)
    assert [path for path in store.objects if path.startswith("staging/")] == [staging_path(third.checkpoint)]
    assert [row.entry for row in third.rows(1, 4)] == [b"faster", b"slower, and staged in vain at first", b"on top"]
