"""What is redacted is gone from everywhere, for good, and no entry, tile or proof has changed."""

from __future__ import annotations

import contextlib
import random

import pytest

from ledger import Client, Log, NotFound, Row, SigningKey, Unavailable, fsck
from ledger.batch import staging_path
from ledger.testing import FaultyStore, MemoryStore

KEY = SigningKey("market.example/log", bytes(range(32)))
SECRET = b"secret "


def _rows(start: int, stop: int) -> list[Row]:
    return [Row(b"entry %d" % i, SECRET + b"%d;" % i if i % 2 else b"") for i in range(start, stop)]


def _log(store, size: int = 300, *, place=None) -> tuple[Log, MemoryStore]:
    place = MemoryStore() if place is None else place
    log = Log.create(store, KEY, b"genesis", publish=[place])
    log.extend(_rows(1, size))
    log.publish()
    return log, place


def _holds(store, index: int) -> bool:
    """Whether the bytes beside an entry are anywhere in a storage."""
    secret = SECRET + b"%d;" % index
    if isinstance(store, FaultyStore):
        store = store.store
    if isinstance(store, MemoryStore):
        return any(secret in data for data in store.objects.values())
    objects = [store.get(path) for path in store.list("")]
    return any(secret in data for data in [*objects, *(row.opened for row in store.rows(KEY.name))])


def _proofs(log: Log) -> list[bytes]:
    size = log.checkpoint.size
    return [bytes(log.prove(i)) for i in range(0, size, 7)] + [
        b"".join(log.prove_consistency(n)) for n in range(1, size)
    ]


def _tiles(place: MemoryStore) -> dict[str, bytes]:
    return {path: data for path, data in place.objects.items() if not path.startswith(("events/", "staging/"))}


@pytest.mark.parametrize("gone", [[1], [299], [255, 257], [3, 5, 257, 299]])
def test_it_is_gone_from_storage_and_published_places(store, gone):
    log, place = _log(store)
    before, tiles = _proofs(log), _tiles(place)
    rows = list(log.rows(0, 300))
    log.redact(gone)
    assert not any(_holds(at, index) for index in gone for at in (store, place))
    want = [row._replace(opened=b"") if i in gone else row for i, row in enumerate(rows)]
    again = Log.open(store, KEY, publish=[place])
    for each in (log, again):
        assert list(each.rows(0, 300)) == want
        assert _proofs(each) == before
    assert _tiles(place) == tiles
    client = Client(place, log.policy)
    assert [item for number in (0, 1) for item in client.opened(number)] == [row.opened for row in want]
    assert fsck(client) == 300


def test_what_is_not_there_cannot_be_redacted(store):
    log, _ = _log(store)
    for wrong in ([300], [-1], [3, 1000]):
        with pytest.raises(NotFound, match="to be redacted, the log has 300"):
            log.redact(wrong)
        with pytest.raises(NotFound, match="to be redacted, the log has 300"):
            log.extend([Row(b"why", b"")], redact=wrong)
    assert log.size == 300
    assert _holds(store, 3)
    log.redact([])


@pytest.mark.parametrize("window", [0.0, 3600.0])
def test_whoever_only_redacts_needs_no_key(store, window):
    log, _ = _log(store)
    log.extend(_rows(300, 310))
    Log.open(store, KEY.verifier, window=window).redact([1, 299, 305])
    assert not any(_holds(store, index) for index in (1, 299, 305))
    assert not any(row.opened for row in Log.open(store, KEY).rows(305, 306))


def test_a_second_time_writes_nothing(store):
    faulty = FaultyStore(MemoryStore())
    log, _ = _log(store, place=faulty)
    log.redact([3, 299])
    written = len(faulty.writes)
    log.redact([3, 299, 2])  # beside 2 nothing was open
    assert len(faulty.writes) == written


@pytest.mark.parametrize("size", [300, 512, 600])
def test_with_the_entry_that_says_why(store, size):
    log, place = _log(store, size)
    at = log.extend([Row(b"why", b"because")], redact=[1, 257, size - 1], at=size)
    assert at == size
    assert not _holds(store, 1)
    assert not _holds(store, 257)
    assert not _holds(store, (size - 1) | 1)
    log.redact([1, 257, size - 1])
    log.publish()
    assert not any(_holds(place, index) for index in (1, 257, (size - 1) | 1))
    assert log.row(at) == Row(b"why", b"because")
    assert fsck(Client(place, log.policy)) == size + 1


@pytest.mark.parametrize("more", [1, 30, 256, 900])
def test_a_process_that_knew_it_does_not_write_it_again(store, more):
    """The other one's memory of the last bundle is older than the redaction."""
    log, place = _log(store)
    other = Log.open(store, KEY, publish=[place])
    assert other.row(299).opened
    log.extend([Row(b"why", b"")], redact=[3, 257, 299])
    log.redact([3, 257, 299])
    other.extend(_rows(1000, 1000 + more))
    other.publish()
    other.publish()
    for at in (store, place):
        assert not any(_holds(at, index) for index in (3, 257, 299))
        assert _holds(at, 5)
    assert fsck(Client(place, log.policy)) == 301 + more
    assert not other.row(299).opened


@pytest.mark.parametrize("more", [1, 256, 900])
def test_in_a_database_without_a_reason(database, more):
    """Nothing tells another process but the rows themselves, which it reads before it writes a bundle from them."""
    log, place = _log(database)
    other = Log.open(database, KEY, publish=[place])
    log.redact([3, 257, 299])
    other.extend(_rows(300, 300 + more))
    other.publish()
    for at in (database, place):
        assert not any(_holds(at, index) for index in (3, 257, 299))
        assert _holds(at, 259)
    assert [row.entry for row in other.rows(1, other.size)] == [row.entry for row in _rows(1, 300 + more)]


class _Interrupted(MemoryStore):
    """A place at which something happens just before an open bundle is written."""

    then = None

    def replace(self, path, data):
        act, self.then = self.then, None if path.startswith("events/") else self.then
        if act is not None and path.startswith("events/"):
            act()
        super().replace(path, data)


@pytest.mark.parametrize("size", [300, 700])
def test_redacted_while_another_process_publishes_it(store, size):
    """What it read before is written after: it looks again before the checkpoint shows."""
    place = _Interrupted()
    log, _ = _log(store, 200, place=place)
    log.extend(_rows(200, size))
    other = Log.open(store, KEY)

    def redact():
        other.extend([Row(b"why", b"")], redact=[201, 257])
        other.redact([201, 257])

    place.then = redact
    with contextlib.suppress(Unavailable):
        log.publish()
    log.publish()
    assert not _holds(place, 201)
    assert not _holds(place, 257)
    assert _holds(place, 203)
    assert fsck(Client(place, log.policy)) == size + 1


def test_published_by_another_process_while_it_is_redacted(store):
    """What is shown grows meanwhile, and must not shrink again."""
    place = _Interrupted()
    log, _ = _log(store, 300, place=place)
    other = Log.open(store, KEY, publish=[place])

    def publish():
        other.extend(_rows(301, 400))
        other.publish()

    log.extend([Row(b"why", b"")], redact=[257])
    place.then = publish
    log.redact([257])
    client = Client(place, log.policy)
    assert client.latest().size == 400
    assert len(client.opened(1)) >= 400 - 256
    assert client.opened(1)[399 - 256]
    assert not _holds(place, 257)


def test_all_that_is_open_in_a_bundle(store):
    """Then an open bundle with nothing in it is left, and what comes behind is not open."""
    log, place = _log(store, 2)
    log.extend([Row(b"why", b"")], redact=[1])
    log.redact([1])
    log.extend([Row(b"sealed %d" % i, b"") for i in range(400)])
    log.publish()
    again = Log.open(store, KEY, publish=[place])
    assert again.row(1) == Row(b"entry 1", b"")
    again.extend(_rows(403, 404))
    again.publish()
    assert again.row(403).opened
    client = Client(place, log.policy)
    assert fsck(client) == 404
    assert not _holds(place, 1)
    assert not _holds(store, 1)


def test_more_bundles_than_one_batch_holds():
    store, place = MemoryStore(), MemoryStore()
    log, _ = _log(store, 256 * 70, place=place)
    gone = range(1, 256 * 70, 256)
    log.extend([Row(b"why", b"")], redact=gone)
    log.redact(gone)
    for at in (store, place):
        assert not any(SECRET + b"%d;" % index in b"".join(at.objects.values()) for index in gone)


def test_batch_files_of_others_are_redacted():
    """A batch that lost its swap left its file: it holds the last bundle as it was."""
    store = MemoryStore()
    log, _ = _log(store)
    lost = staging_path(log.checkpoint).replace("300-", "999-")
    store.put(lost, store.get(staging_path(log.checkpoint)))
    store.put("staging/1-" + "0" * 64, b"cut off")
    assert SECRET + b"299;" in store.get(lost)
    log.redact([299])
    assert not _holds(store, 299)


class _Listing(FaultyStore):
    """One that can say what it holds, as folders and buckets can: a hint to drop something may fail."""

    def list(self, prefix):
        return self.store.list(prefix)


class _Run:
    """A log on stores that fail at one write of what redacts."""

    def __init__(self, *, which: str = "", fail_at: int | None = None, applied: bool = False) -> None:
        self.store, self.cell, self.place = (_Listing(MemoryStore(), applied=applied) for _ in range(3))
        self.log = Log.create(self.store, KEY, b"genesis", checkpoints=self.cell, publish=[self.place])
        self.log.extend(_rows(1, 300))
        self.log.publish()
        self.began = {name: len(at.writes) for name, at in self._stores()}
        for name, at in self._stores():
            at.fail_at = self.began[name] + fail_at if name == which and fail_at is not None else None

    def _stores(self):
        return (("objects", self.store), ("checkpoints", self.cell), ("public", self.place))

    def live(self) -> bool:
        """Whether all went well."""
        try:
            self.log.extend([Row(b"why", b"")], redact=[3, 255, 257, 299], at=300)
            self.log.redact([3, 255, 257, 299])
            self.log.publish()
        except Unavailable:
            return False
        return True

    def writes(self, which: str) -> int:
        return len(dict(self._stores())[which].writes) - self.began[which]


def _cases():
    run = _Run()
    assert run.live()
    for which in ("objects", "checkpoints", "public"):
        for fail_at in range(run.writes(which)):
            for applied in (False, True):
                yield pytest.param(which, fail_at, applied, id=f"{which}-{fail_at}-{'lost' if applied else 'failed'}")


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("which, fail_at, applied", list(_cases()))
def test_one_write_fails(which, fail_at, applied, same):
    run = _Run(which=which, fail_at=fail_at, applied=applied)
    assert not run.live()
    log = run.log if same else Log.open(run.store, KEY, checkpoints=run.cell, publish=[run.place])
    if log.refresh() == 300:
        log.extend([Row(b"why", b"")], redact=[3, 255, 257, 299], at=300)
    # Once the reason is in the log, nothing that the log's own storage writes can bring it back.
    log.extend(_rows(301, 600))
    log.redact([3, 255, 257, 299])
    log.publish()
    for at in (run.store, run.place):
        assert not any(_holds(at, index) for index in (3, 255, 257, 299))
        assert _holds(at, 5)
        assert fsck(Client(at, log.policy)) == 600
    assert [row.entry for row in log.rows(0, 301)] == [b"genesis", *(row.entry for row in _rows(1, 300)), b"why"]


@pytest.mark.parametrize("seed", range(30))
def test_in_any_order(store, seed):
    """Two processes append, publish and redact as they like; what was redacted with a reason never shows again."""
    chance = random.Random(seed)
    place = MemoryStore()
    handles = [Log.create(store, KEY, b"genesis", publish=[place])]
    handles.append(Log.open(store, KEY, publish=[place]))
    gone: set[int] = set()
    for _ in range(25):
        log = chance.choice(handles)
        act = chance.random()
        if act < 0.5:
            first = log.refresh()
            log.extend(_rows(first, first + chance.choice([1, 3, 40, 300])), at=first)
        elif act < 0.7:
            log.publish()
        elif act < 0.8:
            handles[handles.index(log)] = Log.open(store, KEY, publish=[place])
        else:
            size = log.refresh()
            some = [chance.randrange(size) for _ in range(3)]
            log.extend([Row(b"why %d" % size, b"")], redact=some)
            log.redact(some)
            gone |= {*some}
        assert not any(_holds(at, index) for at in (store, place) for index in gone)
    log.publish()
    for at in (store, place):
        assert not any(_holds(at, index) for index in gone)
    size = handles[0].refresh()
    shown = [row.opened for row in Log.open(store, KEY).rows(0, size)]
    secret = [b"" if i in gone or not i % 2 else SECRET + b"%d;" % i for i in range(size)]
    why = [i for i, row in enumerate(handles[0].rows(0, size)) if row.entry.startswith((b"why", b"genesis"))]
    assert [item for i, item in enumerate(shown) if i not in why] == [s for i, s in enumerate(secret) if i not in why]
    assert fsck(Client(place, log.policy)) == log.checkpoint.size


@pytest.mark.parametrize("seed", range(40))
def test_in_any_order_with_writes_that_fail(seed):
    """As above, and any write may be lost, or its reply; whoever redacts says so again until nobody objects."""
    chance = random.Random(seed)
    stores = [_Listing(MemoryStore()) for _ in range(3)]
    store, cell, place = stores
    where = {"checkpoints": cell, "publish": [place]}
    handles = [Log.create(store, KEY, b"genesis", **where)]
    handles.append(Log.open(store, KEY, **where))
    gone: set[int] = set()

    def calmly(act):
        for each in stores:
            each.fail_at = None
        return act()

    for _ in range(30):
        at = chance.randrange(2)
        failing = chance.choice(stores)
        failing.fail_at = len(failing.writes) + chance.randrange(12) if chance.random() < 0.7 else None
        failing.applied = chance.random() < 0.5
        some = [chance.randrange(calmly(handles[at].refresh)) for _ in range(3)] if chance.random() < 0.3 else []
        failing.fail_at = len(failing.writes) + chance.randrange(12) if chance.random() < 0.7 else None
        size = handles[at].size
        with contextlib.suppress(Unavailable):
            if some:
                handles[at].extend([Row(b"why", b"")], redact=some, at=size)
                handles[at].redact(some)
            elif chance.random() < 0.6:
                handles[at].extend([Row(b"entry", SECRET + b"x;")] * chance.choice([1, 40, 300]))
            elif chance.random() < 0.7:
                handles[at].publish()
            else:
                handles[at] = Log.open(store, KEY, **where)
        if some:
            if calmly(handles[at].refresh) == size:
                handles[at].extend([Row(b"why", b"")], redact=some, at=size)
            handles[at].redact(some)
            gone |= {*some}
        calmly(lambda: None)
    log = Log.open(store, KEY, **where)
    log.publish()
    why = {i for i, row in enumerate(log.rows(0, log.size)) if row.entry in {b"why", b"genesis"}}
    want = [SECRET + b"x;" if i not in gone | why else b"" for i in range(log.size)]
    assert [row.opened for row in log.rows(0, log.size)] == want
    for each in (store, place):
        client = Client(each, log.policy)
        assert fsck(client) == log.size
        shown = [item for n in range(-(-log.size // 256)) for item in [*client.opened(n), *[b""] * 256][:256]]
        assert shown[: log.size] == want
