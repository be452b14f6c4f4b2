"""Every write of create, append and publish fails once, not applied or applied with the reply lost.

Then the log is opened again and goes on; whatever it promised is there, once, and the public files are whole.
"""

from __future__ import annotations

import pytest

from ledger import Client, Log, Row, SigningKey, StorageError, Unavailable, fsck
from ledger.testing import FaultyStore, MemoryStore

KEY = SigningKey("market.example/log", bytes(range(32)))
STEPS = 7


class _Run:
    """One life of a log on stores that fail at one write; what it promised; and a second life without faults."""

    def __init__(self, *, which: str = "", fail_at: int | None = None, applied: bool = False) -> None:
        self.store, self.cell, self.place = (
            FaultyStore(
                MemoryStore(),
                fail_at=fail_at if which == name else None,
                applied=applied,
            )
            for name in ("objects", "checkpoints", "public")
        )
        self.promised: dict[int, bytes] = {}
        self.unknown: list[bytes] = []
        self.failures = 0

    def live(self) -> None:
        try:
            log = Log.create(self.store, KEY, b"genesis", checkpoints=self.cell, publish=[self.place])
        except Unavailable:
            self.failures += 1
            return
        self._append(log, 0)

    def _append(self, log: Log, start: int) -> None:
        for i in range(start, start + STEPS):
            rows = [Row(b"%d-%d" % (i, n), b"open" if n % 2 else b"") for n in range(1 if i % 2 else 90)]
            try:
                first = log.extend(rows)
                self.promised.update({first + n: row.entry for n, row in enumerate(rows)})
            except Unavailable:
                self.failures += 1
                self.unknown += [row.entry for row in rows]
            try:
                log.publish()
            except Unavailable:
                self.failures += 1

    def again(self) -> Log:
        try:
            log = Log.open(self.store, KEY, checkpoints=self.cell, publish=[self.place])
        except StorageError:  # it failed before there was a log: creating may be repeated as it was
            log = Log.create(self.store, KEY, b"genesis", checkpoints=self.cell, publish=[self.place])
        self._append(log, 100)
        return log


def _count(which: str) -> int:
    run = _Run()
    run.live()
    assert run.failures == 0
    return len({"objects": run.store, "checkpoints": run.cell, "public": run.place}[which].writes)


def _cases():
    for which in ("objects", "checkpoints", "public"):
        for fail_at in range(_count(which)):
            for applied in (False, True):
                yield pytest.param(which, fail_at, applied, id=f"{which}-{fail_at}-{'lost' if applied else 'failed'}")


@pytest.mark.parametrize("which, fail_at, applied", list(_cases()))
def test_one_write_fails(which, fail_at, applied):
    run = _Run(which=which, fail_at=fail_at, applied=applied)
    run.live()
    # A hint to drop something may fail unheard, in a store that says nothing; this one says so.
    assert run.failures == 1
    log = run.again()
    assert run.failures == 1
    entries = [row.entry for row in log.rows(0, log.size)]
    assert entries[0] == b"genesis"
    assert {index: entries[index] for index in run.promised} == run.promised
    rest = [entry for index, entry in enumerate(entries[1:], 1) if index not in run.promised]
    assert rest in ([], run.unknown)  # what was not promised is there as a whole, or not at all
    client = Client(run.place, log.policy)
    assert client.latest() == log.checkpoint
    assert fsck(client) == log.size
    assert list(client.entries(0, log.size)) == entries
    stored = Client(run.store, log.policy)
    assert fsck(stored) == log.size


def test_a_store_that_is_away_for_long():
    """Nothing is lost meanwhile, and the same handle goes on once it is back."""
    store = MemoryStore()
    log = Log.create(store, KEY, b"genesis")
    put, promised = store.put, []

    def refuse(path: str, data: bytes) -> None:
        msg = f"{path}: away"
        raise Unavailable(msg, path=path)

    store.put = refuse  # type: ignore[method-assign]
    for i in range(5):
        with pytest.raises(Unavailable, match="away"):
            log.append(b"%d" % i)
    store.put = put  # type: ignore[method-assign]
    promised = [log.append(b"back %d" % i) for i in range(3)]
    assert promised == [1, 2, 3]
    assert fsck(Client(store, log.policy)) == 4


def test_the_batch_file_of_a_lost_swap_serves_for_the_same_tree():
    """Two entries are refused together and go through one by one: the file left behind leads to the same root."""
    store, cell = MemoryStore(), FaultyStore(MemoryStore(), fail_at=1)
    log = Log.create(store, KEY, b"genesis", checkpoints=cell)
    rows = [Row(b"one", b"open"), Row(b"two", b"")]
    with pytest.raises(Unavailable):
        log.extend(rows)
    assert [log.extend([row]) for row in rows] == [1, 2]
    again = Log.open(store, KEY, checkpoints=cell)
    assert list(again.rows(1, 3)) == rows
    assert fsck(Client(store, log.policy)) == 3
