"""`ledger.storage.Objects`: written once, replaced whole, there when the call has returned."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.conformance.children import Death
from adapters.conformance.place import Place, Wrong, blob, check, refused, same, together
from ledger.errors import Conflict, NotFound, StorageError, Unavailable

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__ = ["NAMES", "has", "one_put"]

LARGEST = 256 * 65_537
"""Bytes of the largest entry bundle."""

NAMES = (
    "checkpoint",
    "log.vkey",
    ".well-known/scitt-keys",
    "tile/0/000",
    "tile/0/x001/x234/067.p/255",
    "tile/entries/x001/067",
    "events/000",
    f"staging/256-{'0f' * 32}",
    "a b",
    "a%2Fb",
    "a+b",
    "a_b/c",
    "a%b/c",
    "axb/c",
    "~tilde",
    f"long/{'x' * 200}",
)
"""Paths of a log, and paths that something between us and the disk may read as more than a path."""

ESCAPES = ("../outside", "a/../../outside", "..", "{outside}/outside", "a\0b", "")


# No fault


@check("objects", "none")
def sizes(place: Place) -> None:
    """From nothing to the largest bundle, byte for byte."""
    store = place.open()
    for n, size in enumerate((0, 1, 255, 4096, 65_537, LARGEST)):
        data = blob(f"size {size}", size)
        store.put(f"tile/entries/{n:03}", data)
        same(f"get of {size} bytes that were put", store.get(f"tile/entries/{n:03}"), data)
    for size in (300, 20, 0, 70_000):
        data = blob(f"replaced {size}", size)
        store.replace("checkpoint", data)
        same(f"get of {size} bytes that replaced others", store.get("checkpoint"), data)


@check("objects", "none")
def names(place: Place) -> None:
    """Every path names one object, and no other path names it too."""
    store = place.open()
    for name in NAMES:
        store.put(name, blob(name))
    for name in NAMES:
        same(f"get {name}", store.get(name), blob(name))


@check("objects", "none")
def written_once(place: Place) -> None:
    """The same bytes again succeed, other bytes raise `Conflict` and change nothing."""
    store = place.open()
    for n, data in enumerate((blob("once"), b"")):
        path = f"tile/0/{n:03}"
        store.put(path, data)
        store.put(path, data)
        for other in (blob("other"), data + b"x", data[:-1] + b"y", *([data[:-1], b""] if data else [])):
            with refused(f"put of other bytes at {path}", Conflict):
                store.put(path, other)
            same(f"get {path} after other bytes were refused", store.get(path), data)


@check("objects", "none")
def absent(place: Place) -> None:
    """What was never written is `NotFound`, whatever has a similar name."""
    store = place.open()
    for path in ("checkpoint", "tile/0/000"):
        with refused(f"get {path} of an empty storage", NotFound):
            store.get(path)
    store.put("tile/0/001", b"x")
    for path in ("tile/0/00", "tile/0/0011", "tile/0/001.p/1", "tile/1/001", "tile/0/00_", "tile/0/%"):
        with refused(f"get {path}, where only tile/0/001 was put", NotFound):
            store.get(path)


@check("objects", "none")
def nothing_outside(place: Place) -> None:
    """A path that leads elsewhere is refused, or is a name like any other; it never leads elsewhere."""
    store = place.open()
    store.put("a/inside", b"x")
    outside = place.folder.parent / "outside"
    before = _beside(place.folder)
    for path in ESCAPES:
        name = path.format(outside=outside.parent)
        for verb in ("put", "replace"):
            try:
                getattr(store, verb)(name, b"x")
                same(f"get {path!r} after {verb}", store.get(name), b"x")
            except StorageError:
                pass
            same(f"files beside the storage after {verb} {path!r}", _beside(place.folder), before)
    outside.write_bytes(b"another's")
    for path in ESCAPES[:-1]:
        name = path.format(outside=outside.parent)
        try:
            got = store.get(name)
        except StorageError:
            got = b""
        if got == b"another's":
            msg = f"get {path!r}: returned a file from outside of the storage"
            raise Wrong(msg)
        try:
            store.discard(name)
        except StorageError:
            continue
        same(f"the file outside after discard {path!r}", outside.exists(), want=True)


@check("objects", "none")
def discarded(place: Place) -> None:
    """What is discarded is gone or still whole; nothing else is touched, and nothing is missed."""
    store = place.open()
    gone = ("tile/0/000.p/1", "tile/0/000.p/2", "a_b/c", "one", "two")
    stay = ("tile/0/000", "tile/0/000.px", "tile/0/001.p/1", "axb/c", "a_bc", "one.more", "three")
    for path in (*gone, *stay):
        store.put(path, blob(path))
    store.discard("tile/0/000.p/")
    store.discard("a_b/", "one", "two")
    store.discard("one")
    store.discard("never/", "never", "tile/0/000.p/")
    store.discard()
    for path in stay:
        same(f"get {path}, which was not discarded", store.get(path), blob(path))
    for path in gone:
        _whole_or_absent(store, path, blob(path))
        store.put(path, blob(path))
        same(f"get {path}, put again after it was discarded", store.get(path), blob(path))


# Opened again


@check("objects", "reopened")
def all_is_there(place: Place) -> None:
    """A new handle reads the newest of everything, also after it was opened and written a few times."""
    store = place.open()
    for life in range(4):
        for n in range(5):
            store.put(f"tile/{life}/{n:03}", blob(f"{life} {n}"))
        store.replace("checkpoint", blob(f"checkpoint {life}"))
        store.replace("events/000", blob(f"events {life}", 1000 * (4 - life)))
        store = place.reopen()
        same(f"get checkpoint, opened again {life + 1} times", store.get("checkpoint"), blob(f"checkpoint {life}"))
        same("get events/000, opened again", store.get("events/000"), blob(f"events {life}", 1000 * (4 - life)))
        for past, n in itertools.product(range(life + 1), range(5)):
            same(f"get tile/{past}/{n:03}, opened again", store.get(f"tile/{past}/{n:03}"), blob(f"{past} {n}"))
    with refused("put of other bytes, opened again", Conflict):
        store.put("tile/0/000", b"other")


@check("objects", "reopened")
def discarded_before(place: Place) -> None:
    """What was gone does not come back."""
    store = place.open()
    for path in ("tile/0/000", "tile/0/000.p/1"):
        store.put(path, blob(path))
    store.discard("tile/0/000.p/")
    there = _whole_or_absent(store, "tile/0/000.p/1", blob("tile/0/000.p/1"))
    store = place.reopen()
    same("what was discarded is there, opened again", has(store, "tile/0/000.p/1"), there)
    same("get tile/0/000, opened again", store.get("tile/0/000"), blob("tile/0/000"))


@check("objects", "two handles")
def seen_at_once(place: Place) -> None:
    """What one handle has written, another reads, also where it looked before."""
    one, two = place.open(), place.open()
    for n in range(3):
        path = f"tile/0/{n:03}"
        with refused(f"get {path}, which nobody put", NotFound):
            two.get(path)
        one.put(path, blob(path))
        same(f"get {path}, put through another handle", two.get(path), blob(path))
        with refused(f"put of other bytes at {path}, put through another handle", Conflict):
            two.put(path, b"other")
        writer, reader = (one, two) if n % 2 else (two, one)
        writer.replace("checkpoint", blob(f"checkpoint {n}"))
        same("get checkpoint, replaced through another handle", reader.get("checkpoint"), blob(f"checkpoint {n}"))


# Several at once


@check("objects", "threads")
def one_put_wins(place: Place) -> None:
    """Of writers with different bytes for one path, those of one succeed, and these bytes stay."""
    handles = [place.open(), place.open()]
    for n in range(place.times(12, 4)):
        path = f"tile/0/{n:03}"

        def put(i: int, path: str = path) -> int | None:
            try:
                handles[i % 2].put(path, blob(f"{path} {i % 4}", 3000))
            except Conflict:
                return None
            return i % 4

        _one_winner(path, handles, together(*((lambda i=i: put(i)) for i in range(8))))


@check("objects", "threads")
def never_half(place: Place) -> None:
    """Who reads while others replace gets the whole of one or of another."""
    handles = [place.open(), place.open()]
    values = [blob(f"value {n}", 10 + 9000 * n) for n in range(4)]
    handles[0].replace("events/000", values[0])
    times = place.times(25, 6)

    def write(handle: Any, first: int) -> None:
        for n in range(times):
            handle.replace("events/000", values[(first + n) % 4])

    def read(handle: Any) -> None:
        for _ in range(4 * times):
            if (got := handle.get("events/000")) not in values:
                msg = f"get while others replace: {len(got)} bytes that nobody wrote"
                raise Wrong(msg)

    one, two = handles
    together(lambda: write(one, 0), lambda: write(two, 2), lambda: read(one), lambda: read(two))
    same("both handles read the same at the end", one.get("events/000"), two.get("events/000"))


def put_mine(child: Child) -> None:
    """Program: put bytes of one's own at every path, and say where they won."""
    store = child.open()
    child.wait()
    for n in range(child.arguments["times"]):
        path = f"tile/0/{n:03}"
        try:
            store.put(path, blob(f"{path} {child.arguments['number']}", 3000))
        except Conflict:
            continue
        child.say(n)


@check("objects", "processes")
def one_process_wins(place: Place) -> None:
    """The same between processes, which all make the storage at once."""
    times = place.times(20, 5)
    ended = place.run(*((put_mine, {"number": number, "times": times}) for number in range(3)))
    won = [set(child.finished().said) for child in ended]
    store = place.open()
    for n in range(times):
        path = f"tile/0/{n:03}"
        _one_winner(path, [store], [i if n in won[i] else None for i in range(3)])


def paused_put(child: Child) -> None:
    """Program: put one object, pause meanwhile, and say whether it won."""
    store, path = child.open(), f"tile/1/{child.arguments['n']:03}"
    try:
        with child.dying():
            store.put(path, blob(f"{path} 0", 3000))
    except Conflict:
        return
    child.say(0)


@check("objects", "processes")
def paused_in_a_put(place: Place) -> None:
    """A writer that stands still in the middle of its put, while another puts other bytes: one of them wins."""
    store = place.open()
    for n, moment in enumerate(place.moments((paused_put, {"n": 0}), place.times(8, 3))):
        path = f"tile/1/{n:03}"

        def put(path: str = path) -> int | None:
            try:
                store.put(path, blob(f"{path} 1", 3000))
            except Conflict:
                return None
            return 1

        ended, other = place.pause((paused_put, {"n": n}), moment, put)
        _one_winner(path, [store, place.open()], [other, *ended.said])


# Replies that were lost, processes that were killed, disks that are full


@check("objects", "reply lost")
def done_again(place: Place) -> None:
    """Who has not heard that a write was done does it again, perhaps from another handle."""
    store = place.open()
    for path in ("tile/0/000", "events/000"):
        store.put(path, blob(path))
        store = place.reopen()
        store.put(path, blob(path))
        same(f"get {path}, put twice", store.get(path), blob(path))
    for n in range(2):
        store.replace("checkpoint", blob("checkpoint"))
        same(f"get checkpoint, replaced {n + 1} times by the same", store.get("checkpoint"), blob("checkpoint"))
        store.discard("events/000")
        store = place.reopen()


def write_and_die(child: Child) -> None:
    """Program: write until killed, by its own hand after `number` rounds where that is given."""
    store = child.open()
    child.wait()
    for n in range(child.arguments.get("number", 1_000_000)):
        store.put(f"tile/0/x{child.arguments['life']:03}/{n:03}", blob(f"{n}", 500))
        child.say(n)
        store.replace("checkpoint", blob(f"{child.arguments['life']} {n}", 200 + n % 7))
        child.say(n)
    child.die()


@check("objects", "killed")
def acknowledged(place: Place) -> None:
    """What had returned when the process was killed is there."""
    for life in range(3):
        number = place.pick.randrange(1, 8)
        (ended,) = place.run((write_and_die, {"life": life, "number": number}))
        same("writes that returned before the process died", len(ended.gone().said), 2 * number)
        _check_written(place.reopen(), life, ended.said)


@check("objects", "killed")
def at_any_moment(place: Place) -> None:
    """The same when it is killed at whatever it is doing."""
    for life in range(3):
        (ended,) = place.run((write_and_die, {"life": life}), death=Death(after=place.pick.uniform(0.01, 0.06)))
        _check_written(place.reopen(), life, ended.gone().said)


def one_put(child: Child) -> None:
    """Program: put one object, and die meanwhile."""
    store = child.open()
    with child.dying():
        store.put(f"tile/1/{child.arguments['n']:03}", blob("put", 5000))


def one_replace(child: Child) -> None:
    """Program: replace one object, and die meanwhile."""
    store = child.open()
    with child.dying():
        store.replace("events/000", blob(f"replaced {child.arguments['n']}", 5000))


@check("objects", "killed", "disk full")
def in_a_put(place: Place) -> None:
    """An object whose put was cut short is whole or absent, can be put again, and only it."""
    place.open().put("tile/1/099", b"before")
    for n, death in enumerate(place.deaths((one_put, {"n": 0}), place.times(6, 3), 5000)):
        path, data = f"tile/1/{n:03}", blob("put", 5000)
        place.run((one_put, {"n": n}), death=death)[0].gone()
        store = place.reopen()
        if _whole_or_absent(store, path, data):
            with refused("put of other bytes where the put of a killed process is", Conflict):
                store.put(path, b"other")
        store.put(path, data)
        same(f"get {path}, put again", store.get(path), data)
        same("get of what was put before", store.get("tile/1/099"), b"before")


@check("objects", "killed", "disk full")
def in_a_replace(place: Place) -> None:
    """An object whose replacement was cut short is the old one or the new one."""
    old = blob("old", 7000)
    place.open().replace("events/000", old)
    for n, death in enumerate(place.deaths((one_replace, {"n": 0}), place.times(6, 3), 5000)):
        place.run((one_replace, {"n": n}), death=death)[0].gone()
        store = place.reopen()
        new, got = blob(f"replaced {n}", 5000), store.get("events/000")
        if got not in {old, new}:
            msg = f"get after a replace was cut short: {len(got)} bytes that are neither the old ones nor the new ones"
            raise Wrong(msg)
        store.replace("events/000", new)
        same("get after it was replaced again", store.get("events/000"), new)
        old = new


def fill(child: Child) -> None:
    """Program: put objects, each twice as large, until there is no room; then make room."""
    store = child.open()
    store.put("staging/099", b"before")
    with child.full(1 << 20):
        for n in range(8):
            path, data = f"staging/{n:03}", blob(f"full {n}", 100_000 << n)
            try:
                store.put(path, data)
            except Unavailable:
                break
            except Exception as error:
                msg = f"put on a full disk: raised {type(error).__name__} ({error}), want Unavailable"
                raise Wrong(msg) from error
            child.say(n)
        else:
            msg = "files of at most 1 MiB held an object of 12 MB: that is no full disk; declare fills=False"
            raise Wrong(msg)
        with refused("replace on a full disk", Unavailable):
            store.replace("checkpoint", data)
        same("get of what was put before the disk was full", store.get("staging/099"), b"before")
    store.put(path, data)
    child.say(n)
    store.replace("checkpoint", b"room again")


@check("objects", "disk full")
def refused_and_gone_on(place: Place) -> None:
    """`Unavailable`, nothing half written, and the same handle goes on once there is room."""
    place.open().replace("checkpoint", b"before")
    (ended,) = place.run((fill, {}))
    ended.finished()
    store = place.reopen()
    for n in ended.said:
        same(
            f"get staging/{n:03}, put around a full disk", store.get(f"staging/{n:03}"), blob(f"full {n}", 100_000 << n)
        )
    same("get checkpoint, replaced once there was room", store.get("checkpoint"), b"room again")


def _beside(folder: Path) -> list[str]:
    return sorted(str(file) for file in folder.parent.rglob("*") if folder not in {file, *file.parents})


def has(store: Any, path: str) -> bool:
    """Whether there is something at `path`."""
    try:
        store.get(path)
    except NotFound:
        return False
    return True


def _whole_or_absent(store: Any, path: str, data: bytes) -> bool:
    try:
        same(f"get {path}", store.get(path), data)
    except NotFound:
        return False
    return True


def _one_winner(path: str, handles: list[Any], won: list[int | None]) -> None:
    winners = sorted({i for i in won if i is not None})
    if len(winners) != 1:
        msg = f"put of different bytes at {path}: {len(winners)} were told that theirs are there, want one"
        raise Wrong(msg)
    for handle in handles:
        same(f"get {path} after a race", handle.get(path), blob(f"{path} {winners[0]}", 3000))


def _check_written(store: Any, life: int, said: list[int]) -> None:
    """`said` has every number twice, once for the put and once for the replace; one more may have been done."""
    done = len(said)
    for n in range((done + 1) // 2):
        path = f"tile/0/x{life:03}/{n:03}"
        try:
            got = store.get(path)
        except NotFound:
            msg = f"get {path}: not found, though put had returned before the process was killed"
            raise Wrong(msg) from None
        same(f"get {path}, put before the process was killed", got, blob(f"{n}", 500))
    _whole_or_absent(store, f"tile/0/x{life:03}/{done // 2:03}", blob(f"{done // 2}", 500))
    if done < 2:
        return
    last = done // 2 - 1
    got = store.get("checkpoint")
    if got not in {blob(f"{life} {n}", 200 + n % 7) for n in (last, last + 1)}:
        msg = (
            f"get checkpoint: not the one that had replaced the others before the process was killed ({len(got)} bytes)"
        )
        raise Wrong(msg)
