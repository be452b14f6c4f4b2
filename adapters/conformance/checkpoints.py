"""`ledger.storage.Checkpoints`: created once, then compare-and-swap, linearizable whoever swaps from wherever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.conformance.children import Death
from adapters.conformance.place import Place, Wrong, blob, check, refused, same, together
from ledger.errors import Conflict, NotFound, StorageError, Unavailable

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__: list[str] = []

ORIGIN = "market.example/log"
OTHERS = ("market.example/log/2", "market.example_log", "market.example%2Flog", "market.example/lo")


# No fault


@check("checkpoints", "none")
def created_once(place: Place) -> None:
    """Not there, then there; a second `create` raises `Conflict`, whatever it brings."""
    store = place.open()
    with refused("load before create", NotFound):
        store.load(ORIGIN)
    with refused("swap before create", Conflict, NotFound):
        store.swap(ORIGIN, b"old", b"new")
    with refused("load after a swap that was refused", NotFound):
        store.load(ORIGIN)
    store.create(ORIGIN, blob("first"))
    for again in (blob("first"), blob("second"), b""):
        with refused("create of a log that is there", Conflict):
            store.create(ORIGIN, again)
        same("load after a create that was refused", store.load(ORIGIN), blob("first"))


@check("checkpoints", "none")
def swapped_from_exactly_the_old(place: Place) -> None:
    """Other bytes than those stored raise `Conflict`, and nothing changes."""
    store = place.open()
    head = blob("0")
    store.create(ORIGIN, head)
    for n, size in enumerate((100, 1, 30_000, 200, 4000), 1):
        new = blob(f"{n}", size)
        for wrong in (new, head[:-1], head + b"x", b"", blob(f"{n - 2}")):
            with refused("swap from what is not stored", Conflict):
                store.swap(ORIGIN, wrong, new)
            same("load after a swap that was refused", store.load(ORIGIN), head)
        store.swap(ORIGIN, head, new)
        same("load after a swap", store.load(ORIGIN), new)
        head = new


@check("checkpoints", "none")
def each_origin_apart(place: Place) -> None:
    """Logs with similar names are different logs; who holds only one says so by refusing a second."""
    store = place.open()
    store.create(ORIGIN, blob(ORIGIN))
    for origin in OTHERS:
        with refused(f"load of {origin}, which nobody created", NotFound):
            store.load(origin)
    if not place.capabilities.origins:
        with refused("create of a second log, which is not declared", Conflict):
            store.create(OTHERS[0], blob("second"))
    else:
        for origin in OTHERS:
            store.create(origin, blob(origin))
        for origin in OTHERS:
            same(f"load of {origin}", store.load(origin), blob(origin))
            store.swap(origin, blob(origin), b"on")
    same("load of the first log", store.load(ORIGIN), blob(ORIGIN))


# Opened again


@check("checkpoints", "reopened")
def the_newest(place: Place) -> None:
    """A new handle knows the last swap, however often the storage was opened before."""
    store = place.open()
    store.create(ORIGIN, blob("0"))
    for n in range(1, 9):
        store.swap(ORIGIN, blob(f"{n - 1}"), blob(f"{n}"))
        if n % 2 == 0:
            store = place.reopen()
        same(f"load after {n} swaps, opened again {n // 2} times", store.load(ORIGIN), blob(f"{n}"))
    with refused("create, opened again", Conflict):
        store.create(ORIGIN, b"first")
    with refused("swap from an old one, opened again", Conflict):
        store.swap(ORIGIN, blob("7"), b"fork")
    same("load", store.load(ORIGIN), blob("8"))


@check("checkpoints", "two handles")
def seen_by_both(place: Place) -> None:
    """Neither handle ever works from what it remembers."""
    handles = [place.open(), place.open()]
    with refused("load before create", NotFound):
        handles[1].load(ORIGIN)
    handles[0].create(ORIGIN, blob("0"))
    with refused("create through another handle", Conflict):
        handles[1].create(ORIGIN, b"fork")
    for n in range(1, 7):
        mine, other = handles[n % 2], handles[(n + 1) % 2]
        same("load of what another handle wrote", mine.load(ORIGIN), blob(f"{n - 1}"))
        mine.swap(ORIGIN, blob(f"{n - 1}"), blob(f"{n}"))
        with refused("swap from what another handle has swapped", Conflict):
            other.swap(ORIGIN, blob(f"{n - 1}"), b"fork")
        same("load of what another handle swapped", other.load(ORIGIN), blob(f"{n}"))


# Several at once


@check("checkpoints", "threads")
def one_swap_wins(place: Place) -> None:
    """All swap from the same bytes at the same moment: exactly one succeeds, and its bytes are there."""
    handles = [place.open(), place.open()]
    head = blob("0")
    handles[0].create(ORIGIN, head)
    for n in range(place.times(40, 6)):

        def swap(i: int, n: int = n, head: bytes = head) -> bytes | None:
            new = blob(f"{n} {i}")
            try:
                handles[i % 2].swap(ORIGIN, head, new)
            except Conflict:
                return None
            return new

        won = [new for new in together(*((lambda i=i: swap(i)) for i in range(8))) if new is not None]
        if len(won) != 1:
            msg = f"8 swaps of the same checkpoint at once: {len(won)} succeeded, want exactly one"
            raise Wrong(msg)
        head = won[0]
        for handle in handles:
            same("load after a race", handle.load(ORIGIN), head)


@check("checkpoints", "threads")
def no_update_is_lost(place: Place) -> None:
    """Everybody swaps on as fast as possible: those that succeeded follow one another without a gap."""
    handles = [place.open(), place.open()]
    handles[0].create(ORIGIN, b"first")
    times = place.times(30, 5)
    swaps = together(*((lambda i=i: _swap_on(handles[i % 2], f"{i}", times)) for i in range(6)))
    _check_line([swap for some in swaps for swap in some], handles[0].load(ORIGIN))


@check("checkpoints", "threads")
def one_create_wins(place: Place) -> None:
    """Of many who begin the log at once, one does."""
    handles = [place.open(), place.open()]

    def create(i: int) -> bytes | None:
        try:
            handles[i % 2].create(ORIGIN, blob(f"{i}"))
        except Conflict:
            return None
        return blob(f"{i}")

    won = [first for first in together(*((lambda i=i: create(i)) for i in range(8))) if first is not None]
    if len(won) != 1:
        msg = f"8 times create at once: {len(won)} succeeded, want exactly one"
        raise Wrong(msg)
    same("load after a race", handles[1].load(ORIGIN), won[0])


def swap_on(child: Child) -> None:
    """Program: create the log if nobody has; then swap on, and say what was swapped for what."""
    store = child.open()
    child.wait()
    try:
        store.create(ORIGIN, b"first")
        child.say("created")
    except Conflict:
        pass
    for old, new, sure in _swap_on(store, str(child.arguments["number"]), child.arguments["times"]):
        child.say([old.decode(), new.decode(), sure])


@check("checkpoints", "processes")
def no_update_is_lost_between_processes(place: Place) -> None:
    """The same between processes, which also begin the log at once."""
    times = place.times(30, 5)
    ended = place.run(*((swap_on, {"number": number, "times": times}) for number in range(3)))
    said = [word for child in ended for word in child.finished().said]
    same("processes that created the log", said.count("created"), 1)
    swaps = [(word[0].encode(), word[1].encode(), word[2]) for word in said if word != "created"]
    _check_line(swaps, place.open().load(ORIGIN))


def paused_swap(child: Child) -> None:
    """Program: swap once, pause meanwhile, and say whether it was done."""
    store, at = child.open(), child.arguments["at"]
    if at == 0:
        store.create(ORIGIN, blob("0"))
    try:
        with child.dying():
            store.swap(ORIGIN, blob(f"{at}"), b"theirs")
    except Conflict:
        return
    child.say("won")


@check("checkpoints", "processes")
def paused_in_a_swap(place: Place) -> None:
    """A writer that stands still in the middle of its swap, while another swaps from the same: one of them wins."""
    store = place.open()
    store.create(ORIGIN, blob("1"))
    for at, moment in enumerate(place.moments((paused_swap, {"at": 0}), place.times(24, 6)), 1):

        def swap(at: int = at) -> bool:
            try:
                store.swap(ORIGIN, blob(f"{at}"), b"ours")
            except Conflict:
                return False
            return True

        ended, won = place.pause((paused_swap, {"at": at}), moment, swap)
        if len(ended.said) + won != 1:
            msg = f"swaps from the same checkpoint, one paused meanwhile: {len(ended.said) + won} succeeded, want one"
            raise Wrong(msg)
        same("load after both", store.load(ORIGIN), b"ours" if won else b"theirs")
        store.swap(ORIGIN, b"ours" if won else b"theirs", blob(f"{at + 1}"))


# Replies that were lost, processes that were killed, disks that are full


@check("checkpoints", "reply lost")
def again_is_a_conflict(place: Place) -> None:
    """Who has not heard of a swap loads again; to swap again tells him that it was done, or that another was faster."""
    store = place.open()
    store.create(ORIGIN, blob("0"))
    for n in range(1, 5):
        store.swap(ORIGIN, blob(f"{n - 1}"), blob(f"{n}"))
        store = place.reopen()
        with refused("the same swap again", Conflict):
            store.swap(ORIGIN, blob(f"{n - 1}"), blob(f"{n}"))
        same("load after the same swap twice", store.load(ORIGIN), blob(f"{n}"))


def swap_and_die(child: Child) -> None:
    """Program: swap on from `first` until killed, by its own hand after `number` swaps where that is given."""
    store = child.open()
    first = child.arguments["first"]
    child.wait()
    for n in range(first, first + child.arguments.get("number", 1_000_000)):
        _swap_next(store, n, late=n == first)
        child.say(n + 1)
    child.die()


@check("checkpoints", "killed")
def acknowledged(place: Place) -> None:
    """A swap that had returned when the process was killed is there, and nothing keeps others from going on."""
    place.open().create(ORIGIN, blob("0"))
    at = 0
    for _ in range(4):
        number = place.pick.randrange(1, 6)
        (ended,) = place.run((swap_and_die, {"first": at, "number": number}))
        same("swaps that returned before the process died", len(ended.gone().said), number)
        at += number
        same("load after the process that swapped was killed", place.reopen().load(ORIGIN), blob(f"{at}"))


@check("checkpoints", "killed")
def at_any_moment(place: Place) -> None:
    """The same when it is killed at whatever it is doing: then one more swap may have been done."""
    place.open().create(ORIGIN, blob("0"))
    at = 0
    for _ in range(3):
        (ended,) = place.run((swap_and_die, {"first": at}), death=Death(after=place.pick.uniform(0.01, 0.06)))
        at = max([at, *ended.gone().said])
        at += _old_or_new(place.reopen(), blob(f"{at}"), blob(f"{at + 1}"))


def one_swap(child: Child) -> None:
    """Program: swap once, and die meanwhile."""
    store, at = child.open(), child.arguments["at"]
    if at == 0:
        store.create(ORIGIN, blob("0"))
    with child.dying():
        store.swap(ORIGIN, blob(f"{at}"), blob(f"{at + 1}"))


@check("checkpoints", "killed", "disk full")
def in_a_swap(place: Place) -> None:
    """A swap that was cut short was done or was not, and the next one goes on from there."""
    store = place.open()
    store.create(ORIGIN, blob("1"))
    at = 1
    for death in place.deaths((one_swap, {"at": 0}), place.times(8, 4), 250):
        place.run((one_swap, {"at": at}), death=death)[0].gone()
        store = place.reopen()
        if not _old_or_new(store, blob(f"{at}"), blob(f"{at + 1}")):
            _swap_next(store, at, late=True)
        at += 1


def swap_when_full(child: Child) -> None:
    """Program: swap while nothing can be written, then once there is room."""
    store = child.open()
    store.swap(ORIGIN, blob("0"), blob("1"))
    with child.full(0):
        with refused("swap on a full disk", Unavailable):
            store.swap(ORIGIN, blob("1"), blob("lost"))
        same("load on a full disk", store.load(ORIGIN), blob("1"))
    store.swap(ORIGIN, blob("1"), blob("2"))


@check("checkpoints", "disk full")
def refused_and_gone_on(place: Place) -> None:
    """`Unavailable`; the old one stays, and the same handle swaps it once there is room."""
    place.open().create(ORIGIN, blob("0"))
    place.run((swap_when_full, {}))[0].finished()
    same("load after a full disk", place.reopen().load(ORIGIN), blob("2"))


def _swap_on(store: Any, name: str, times: int) -> list[tuple[bytes, bytes, bool]]:
    """Swap the newest for one of our own, `times` times; what was swapped for what, and whether that is sure."""
    done: list[tuple[bytes, bytes, bool]] = []
    while len(done) < times:
        old, new = store.load(ORIGIN), f"{name} {len(done)}".encode()
        try:
            store.swap(ORIGIN, old, new)
        except Conflict:
            continue
        except Unavailable:  # others kept it waiting too long: it may have been done
            done.append((old, new, False))
        else:
            done.append((old, new, True))
    return done


def _check_line(swaps: list[tuple[bytes, bytes, bool]], last: bytes) -> None:
    """Every swap that succeeded began where another ended: a line from the first checkpoint to the last."""
    sure = {old: new for old, new, is_sure in swaps if is_sure}
    perhaps = {old: new for old, new, is_sure in swaps if not is_sure}
    number = sum(is_sure for *_, is_sure in swaps)
    at, length = b"first", 0
    while at != last and length <= len(swaps):
        length += at in sure
        at = sure.get(at, perhaps.get(at, last))
    if len(sure) != number or length != number:
        msg = (
            f"{number} swaps succeeded: {number - length} are not in the line to the newest, "
            f"{number - len(sure)} began where others did"
        )
        raise Wrong(msg)


def _swap_next(store: Any, n: int, *, late: bool) -> None:
    """Swap from `n`. What a killed process had sent to a server may arrive `late`, and be the same swap."""
    try:
        store.swap(ORIGIN, blob(f"{n}"), blob(f"{n + 1}"))
    except Conflict:
        if not late:
            raise
        same("load after a swap that came before ours", store.load(ORIGIN), blob(f"{n + 1}"))


def _old_or_new(store: Any, old: bytes, new: bytes) -> bool:
    try:
        got = store.load(ORIGIN)
    except StorageError as error:
        msg = f"load after the process that swapped was killed: raised {type(error).__name__} ({error})"
        raise Wrong(msg) from error
    if got not in {old, new}:
        msg = f"load after a swap was cut short: {len(got)} bytes, neither the old ones nor the new ones"
        raise Wrong(msg)
    return bool(got == new)
