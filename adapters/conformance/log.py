"""A whole log on the storage: whatever happens, what it promised is there, once, and the public files are whole.

A role that the storage does not play is played by another adapter beside it, in files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.conformance.children import Death
from adapters.conformance.faults import Faulty, with_faults
from adapters.conformance.place import Place, Wrong, check, refused, same, together
from adapters.files import Directory
from adapters.sql.store import SqlStore
from ledger.client import Client
from ledger.errors import Conflict, NotFound, StorageError, Unavailable
from ledger.fsck import fsck
from ledger.log import Log
from ledger.note import SigningKey
from ledger.storage import Checkpoints, Objects, Row
from ledger.testing import MemoryStore

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__: list[str] = []

KEY = SigningKey("market.example/log", bytes(range(32)))


# No fault


@check("log", "none")
def open_never_creates(place: Place) -> None:
    """A log that nobody created is not there, before and after somebody looked."""
    for _ in range(2):
        with refused("open of a log that nobody created", NotFound):
            _open(place)
    _create(place)
    with refused("create of a log that is there", Conflict):
        _create(place)
    same("entries of a new log", _entries(_open(place)), [b"genesis"])


@check("log", "none", "reopened")
def in_batches(place: Place) -> None:
    """Over the edges of bundles, in small and large batches, some published and some not, opened again or not."""
    log = _create(place)
    want = [b"genesis"]
    for n, number in enumerate((1, 100, 153, 1, 1, 256, 88)):
        rows = _rows(f"batch {n}", number)
        same("index of the first entry of a batch", log.extend(rows), len(want))
        want += [row.entry for row in rows]
        if n % 2:
            same("size of the checkpoint", log.publish().size, len(want))
        if place.fault == "reopened":
            place.close()
            log = _open(place)
        same("size of the log", log.size, len(want))
    log.publish()
    for index in (0, 1, 255, 256, 511, len(want) - 1):
        log.prove(index).verify(want[index], log.policy)
    _check_whole(place, dict(enumerate(want)))


# Two handles, threads, processes


@check("log", "two handles")
def in_turn(place: Place) -> None:
    """Two handles append in turn, each after what the other has done."""
    logs = [_create(place), _open(place)]
    want = [b"genesis"]
    for n in range(8):
        rows = _rows(f"turn {n}", 1 + 40 * (n % 3))
        same("index of the first entry", logs[n % 2].extend(rows), len(want))
        want += [row.entry for row in rows]
        if n % 3 == 0:
            same("size of the checkpoint", logs[n % 2].publish().size, len(want))
    _check_whole(place, dict(enumerate(want)))


@check("log", "threads")
def two_writers_race(place: Place) -> None:
    """Two handles, two threads on each: nobody loses an entry, no index is given twice."""
    logs = [_create(place), _open(place)]
    times = place.times(8, 2)
    promised = together(*((lambda i=i: _append_some(logs[i % 2], f"{i}", times)) for i in range(4)))
    _check_promises(place, [{0: b"genesis"}, *promised])


def append_some(child: Child) -> None:
    """Program: append, and say what was promised."""
    log = _open_in(child)
    child.wait()
    promised = _append_some(log, f"process {child.arguments['number']}", child.arguments["times"])
    for index, entry in promised.items():
        child.say([index, entry.decode()])
    log.publish()


@check("log", "processes")
def two_processes_race(place: Place) -> None:
    """The same between processes, which also publish to one place."""
    _create(place)
    times = place.times(10, 2)
    ended = place.run(*((append_some, {"number": number, "times": times}) for number in range(2)))
    _check_promises(place, [{0: b"genesis"}, *(_heard(child.finished().said) for child in ended)])


# Faults


@check("log", "not written", "reply lost")
def one_write_fails(place: Place) -> None:
    """Every write of create, append and publish, or many of them: the log is opened again and has what it promised."""
    counting = _Life(place.fresh("counted"), -1)
    same("writes that failed without a fault", counting.failures, 0)
    counting.place.close()
    for number in place.spread(counting.faulty.writes, place.times(12, 4)):
        life = _Life(place.fresh(f"{number}"), number)
        try:
            life.check()
        except (Wrong, StorageError) as error:
            msg = f"write {number} of {counting.faulty.writes}, {place.fault}: {type(error).__name__}: {error}"
            raise Wrong(msg) from error
        finally:
            life.place.close()


class _Life:
    """One life of a log on a storage of which one write fails, what it promised, and what came after."""

    def __init__(self, place: Place, fail_at: int) -> None:
        self.place = place
        self.public = MemoryStore()
        self.promised: dict[int, bytes] = {}
        self.unknown: list[bytes] = []
        self.failures = 0
        objects, checkpoints = _parts(place, place.open())
        together_ = place.capabilities.objects and place.capabilities.checkpoints
        transactions = place.capabilities.transactions
        applied = place.fault == "reply lost"
        self.faulty: Faulty
        if place.capabilities.objects:
            self.faulty = with_faults(objects, fail_at=fail_at, applied=applied, transactions=transactions)
            self.objects, self.checkpoints = self.faulty, self.faulty if together_ else checkpoints
        else:
            self.faulty = with_faults(checkpoints, fail_at=fail_at, applied=applied, transactions=False)
            self.objects, self.checkpoints = objects, self.faulty
        self._live()

    def _live(self) -> None:
        try:
            log = Log.create(self.objects, KEY, b"genesis", checkpoints=self.checkpoints, publish=[self.public])
        except Unavailable:
            self.failures += 1
            return
        self._append(log, "before")

    def _append(self, log: Log, name: str) -> None:
        for n, number in enumerate((1, 3, 255, 2)):
            rows = _rows(f"{name} {n}", number)
            try:
                first = log.extend(rows)
                self.promised.update({first + i: row.entry for i, row in enumerate(rows)})
            except Unavailable:
                self.failures += 1
                self.unknown += [row.entry for row in rows]
            try:
                if n % 2:
                    log.publish()
            except Unavailable:
                self.failures += 1

    def check(self) -> None:
        same("writes that failed", self.failures, 1)
        objects, checkpoints = _parts(self.place, self.place.reopen())
        try:
            log = Log.open(objects, KEY, checkpoints=checkpoints, publish=[self.public])
        except NotFound:  # it failed before there was a log: creating may be repeated as it was
            log = Log.create(objects, KEY, b"genesis", checkpoints=checkpoints, publish=[self.public])
        self.promised[0] = b"genesis"
        self._append(log, "after")
        same("size of the checkpoint", log.publish().size, log.size)
        _check_entries(log, self.promised, [self.unknown])
        _check_public(log, self.public)


def append_and_die(child: Child) -> None:
    """Program: append and publish until killed, by its own hand after `number` batches where that is given."""
    log, life = _open_in(child), child.arguments["life"]
    child.wait()
    for n in range(child.arguments.get("number", 1_000_000)):
        rows = _rows(f"{life} {n}", 1 + 30 * (n % 4))
        first = log.extend(rows)
        child.say([first, len(rows), n])
        if n % 3 == 2:
            log.publish()
    child.die()


@check("log", "killed")
def at_any_moment(place: Place) -> None:
    """Killed after a batch or at whatever it is doing: opened again, nothing promised is missing or there twice."""
    _create(place)
    promised, unknown = {0: b"genesis"}, []
    for life in range(4):
        arguments, after = {"life": life}, 0.0
        if life % 2:
            after = place.pick.uniform(0.01, 0.1)
        else:
            arguments["number"] = place.pick.randrange(1, place.times(8, 4))
        (ended,) = place.run((append_and_die, arguments), death=Death(after=after))
        last = -1
        for first, number, last in ended.gone().said:
            promised.update({first + i: row.entry for i, row in enumerate(_rows(f"{life} {last}", number))})
        unknown.append([row.entry for row in _rows(f"{life} {last + 1}", 1 + 30 * ((last + 1) % 4))])
        place.close()
        _check_whole(place, promised, unknown)


def one_batch(child: Child) -> None:
    """Program: append a batch that fills a bundle, publish, and die meanwhile."""
    n = child.arguments["n"]
    if n == 0:
        _open_in(child, create=True)
    log = _open_in(child)
    with child.dying():
        log.extend(_rows(f"killed {n}", 200))
        log.publish()


@check("log", "killed", "disk full")
def in_a_batch(place: Place) -> None:
    """The same at moments over the whole length of an append and its publication."""
    _create(place)
    promised, unknown = {0: b"genesis"}, []
    for n, death in enumerate(place.deaths((one_batch, {"n": 0}), place.times(8, 3), 20_000), 1):
        place.run((one_batch, {"n": n}), death=death)[0].gone()
        unknown.append([row.entry for row in _rows(f"killed {n}", 200)])
        log = _open(place)
        promised[log.append(b"after %d" % n)] = b"after %d" % n
        _check_whole(place, promised, unknown)
        place.close()


def append_until_full(child: Child) -> None:
    """Program: append until there is no room, then once there is; and say what was promised."""
    log = _open_in(child)
    with child.full(1 << 20), refused("append on a full disk", Unavailable):
        for n in range(100):
            rows = [Row(b"%d %d" % (n, i) + bytes(9000), b"") for i in range(40)]
            child.say([log.extend(rows), n])
    child.say([log.append(b"room again"), -1])
    log.publish()


@check("log", "disk full")
def refused_and_gone_on(place: Place) -> None:
    """`Unavailable`, nothing promised is lost, and the same handle goes on once there is room."""
    _create(place)
    (ended,) = place.run((append_until_full, {}))
    promised, last = {0: b"genesis"}, -1
    for first, n in ended.finished().said:
        if n < 0:
            promised[first] = b"room again"
        else:
            promised.update({first + i: b"%d %d" % (n, i) + bytes(9000) for i in range(40)})
            last = n
    unknown = [[b"%d %d" % (last + 1, i) + bytes(9000) for i in range(40)]]
    _check_whole(place, promised, unknown)


# Logs and their parts


def _parts(place: Place, handle: Any) -> tuple[Any, Any]:
    objects, checkpoints = _roles(place.folder, handle)
    if checkpoints is not handle and isinstance(checkpoints, SqlStore):
        place.keep(checkpoints)
    return objects, checkpoints


def _roles(folder: Path, handle: Any) -> tuple[Any, Any]:
    """The storage in the roles that it plays, and others beside it in those that it does not."""
    objects = handle if isinstance(handle, Objects) else Directory(f"{folder}-objects")
    if isinstance(handle, Checkpoints):
        return objects, handle
    return objects, SqlStore(f"sqlite:///{folder}-head.db", create=True)


def _public(folder: Path) -> Directory:
    return Directory(f"{folder}-public")


def _create(place: Place) -> Log:
    objects, checkpoints = _parts(place, place.open())
    return Log.create(objects, KEY, b"genesis", checkpoints=checkpoints, publish=[_public(place.folder)])


def _open(place: Place) -> Log:
    objects, checkpoints = _parts(place, place.open())
    return Log.open(objects, KEY, checkpoints=checkpoints, publish=[_public(place.folder)], window=0.005)


def _open_in(child: Child, *, create: bool = False) -> Log:
    objects, checkpoints = _roles(child.folder, child.open())
    publish = [_public(child.folder)]
    if create:
        return Log.create(objects, KEY, b"genesis", checkpoints=checkpoints, publish=publish)
    return Log.open(objects, KEY, checkpoints=checkpoints, publish=publish, window=0.005)


def _rows(name: str, number: int) -> list[Row]:
    return [Row(f"{name}, entry {n}".encode(), f"{name}, opened {n}".encode() if n % 2 else b"") for n in range(number)]


def _append_some(log: Log, name: str, times: int) -> dict[int, bytes]:
    """Append a few batches; what was promised."""
    promised: dict[int, bytes] = {}
    for n in range(times):
        rows = _rows(f"{name} {n}", 1 + 20 * (n % 3))
        first = log.extend(rows)
        promised.update({first + i: row.entry for i, row in enumerate(rows)})
    return promised


def _heard(said: Sequence[Any]) -> dict[int, bytes]:
    return {index: entry.encode() for index, entry in said}


# What must hold


def _entries(log: Log) -> list[bytes]:
    return [row.entry for row in log.rows(0, log.size)]


def _check_promises(place: Place, promises: Sequence[dict[int, bytes]]) -> None:
    given = Counter(index for promised in promises for index in promised)
    twice = [index for index, times in given.items() if times > 1]
    same("indexes that were given twice", twice, [])
    promised = {index: entry for some in promises for index, entry in some.items()}
    _check_whole(place, promised)
    same("entries in the log", _open(place).size, len(promised))


def _check_whole(place: Place, promised: dict[int, bytes], unknown: Sequence[Sequence[bytes]] = ()) -> None:
    """Open the log as after a crash, and check what it promised and what it published."""
    log = _open(place)
    same("size of the checkpoint", log.publish().size, log.size)
    _check_entries(log, promised, unknown)
    _check_public(log, _public(place.folder))


def _check_entries(log: Log, promised: dict[int, bytes], unknown: Sequence[Sequence[bytes]]) -> None:
    """All that was promised is at its index; a batch of which nobody heard is there as a whole, or not at all."""
    entries = _entries(log)
    for index, entry in promised.items():
        got = entries[index] if index < len(entries) else b"nothing"
        if got != entry:
            msg = f"entry {index}: is {got[:60]!r}, was promised to be {entry[:60]!r}"
            raise Wrong(msg)
    rest = [entry for index, entry in enumerate(entries) if index not in promised]
    for batch in unknown:
        if batch and rest[: len(batch)] == list(batch):
            rest = rest[len(batch) :]
    same("entries that nobody appended, or appended once", rest, [])


def _check_public(log: Log, public: Any) -> None:
    client = Client(public, log.policy)
    same("size of the published checkpoint", client.latest().size, log.size)
    same("entries that fsck has checked", fsck(client), log.size)
    rows = list(log.rows(0, log.size))
    same("published entries", list(client.entries(0, log.size)), [row.entry for row in rows])
    opened = [item for number in range(-(-log.size // 256)) for item in client.opened(number)]
    opened += [b""] * (len(rows) - len(opened))
    same("published open items", opened, [row.opened for row in rows])
