"""`ledger.storage.Database`: a batch commits as a whole, or not at all, and one writer at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from adapters.conformance.children import Death
from adapters.conformance.place import Place, Wrong, blob, check, refused, same, together
from ledger.errors import Conflict, NotFound, Unavailable
from ledger.storage import Head, Row

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__: list[str] = []

ORIGIN = "market.example/log"


class Stop(Exception):
    """Not one of ours: what a callback of the market might raise."""


# No fault


@check("transactions", "none")
def rows_in_order(place: Place) -> None:
    """`extend` keeps rows after those that are there, `trim` drops those first; the size is compared and swapped."""
    store = place.open()
    with refused("head before create", NotFound):
        store.head(ORIGIN)
    with store.transaction() as tx:
        tx.create(ORIGIN, b"zero")
    same("head after create", _head(store), Head(0, b"zero"))
    same("rows after create", _rows(store), [])
    steps = ((0, 3, 3, False), (3, 4, 1, False), (4, 256, 252, False), (256, 258, 2, True), (258, 600, 88, True))
    kept: list[Row] = []
    for old, new, number, trim in steps:
        rows = _some(new - number, new)
        with store.transaction() as tx:
            tx.extend(ORIGIN, old, new, rows, trim=trim)
        kept = rows if trim else kept + rows
        same(f"head after extend to {new}", _head(store), Head(new, b"zero"))
        same(f"rows after extend to {new}", _rows(store), kept)
    for wrong in (0, 599, 601):
        with refused(f"extend from {wrong} of a log of size 600", Conflict), store.transaction() as tx:
            tx.extend(ORIGIN, wrong, wrong + 1, _some(wrong, wrong + 1), trim=False)
    same("rows after an extend that was refused", _rows(store), kept)


@check("transactions", "none")
def all_or_nothing(place: Place) -> None:
    """Whatever ends the block early takes everything in it along, and comes out as it was."""
    store = place.open()
    _begin(store)

    def write(end: Exception | None, n: int) -> None:
        with store.transaction() as tx:
            _batch(tx, n)
            if end is not None:
                raise end

    for end in (Stop("a callback"), KeyError("x"), Unavailable("elsewhere")):
        try:
            write(end, 0)
        except Exception as error:
            if error is not end:
                msg = f"{type(end).__name__} raised in a transaction: came out as {type(error).__name__} ({error})"
                raise Wrong(msg) from error
        else:
            msg = f"{type(end).__name__} raised in a transaction: did not come out"
            raise Wrong(msg)
        _check_batches(store, 0)
    write(None, 0)
    _check_batches(store, 1)
    refusals: tuple[tuple[str, Callable[[Any], None]], ...] = (
        ("put of other bytes", lambda tx: tx.put("tile/0/000", b"other")),
        ("swap from what is not stored", lambda tx: tx.swap(ORIGIN, b"wrong", b"fork")),
        ("extend from another size", lambda tx: tx.extend(ORIGIN, 0, 1, _some(0, 1), trim=False)),
        ("create of a log that is there", lambda tx: tx.create(ORIGIN, b"fork")),
    )
    for what, refuse in refusals:
        with refused(f"{what} in a transaction", Conflict), store.transaction() as tx:
            _batch(tx, 1)
            refuse(tx)
        _check_batches(store, 1)
    write(None, 1)
    _check_batches(store, 2)


# Opened again, two handles, threads, processes


@check("transactions", "reopened", "two handles")
def seen_when_it_ends(place: Place) -> None:
    """Nobody sees a batch before it is complete, everybody afterwards."""
    store = place.open()
    _begin(store)
    for n in range(4):
        reader = place.open() if place.fault == "two handles" else store
        with store.transaction() as tx:
            _batch(tx, n)
            if reader is not store:
                _check_batches(reader, n)
        if place.fault == "reopened":
            store = reader = place.reopen()
        _check_batches(reader, n + 1)


@check("transactions", "threads")
def one_writer_at_a_time(place: Place) -> None:
    """Batches from many threads follow one another: none is lost, none is mixed with another."""
    handles = [place.open(), place.open()]
    _begin(handles[0])
    times = place.times(12, 3)
    together(*((lambda i=i: _extend_on(handles[i % 2], times)) for i in range(4)))
    _check_batches(handles[1], 4 * times)


def extend_on(child: Child) -> None:
    """Program: write batches until `times` were taken."""
    store = child.open()
    child.wait()
    _extend_on(store, child.arguments["times"])


@check("transactions", "processes")
def one_process_at_a_time(place: Place) -> None:
    """The same between processes."""
    _begin(place.open())
    times = place.times(12, 3)
    for ended in place.run(*((extend_on, {"times": times}) for _ in range(3))):
        ended.finished()
    _check_batches(place.open(), 3 * times)


def paused_batch(child: Child) -> None:
    """Program: write one batch, pause meanwhile, and say whether it was taken."""
    store, at = child.open(), child.arguments["at"]
    if at == 0:
        _begin(store)
    try:
        with child.dying(), store.transaction() as tx:
            _batch(tx, at)
    except Conflict:
        return
    child.say("won")


@check("transactions", "processes")
def paused_in_a_batch(place: Place) -> None:
    """A writer that stands still in the middle of its batch, while another writes the same one: one of them wins."""
    store = place.open()
    _begin(store)
    with store.transaction() as tx:
        _batch(tx, 0)
    for at, moment in enumerate(place.moments((paused_batch, {"at": 0}), place.times(8, 3)), 1):

        def write(at: int = at) -> bool:
            try:
                with store.transaction() as tx:
                    _batch(tx, at)
            except Conflict:
                return False
            return True

        ended, won = place.pause((paused_batch, {"at": at}), moment, write)
        if len(ended.said) + won != 1:
            msg = f"the same batch twice, one paused meanwhile: {len(ended.said) + won} were taken, want one"
            raise Wrong(msg)
        _check_batches(store, at + 1)


# Faults


def batches_and_die(child: Child) -> None:
    """Program: write batches until killed; by its own hand inside of the last one where `number` is given."""
    store, first = child.open(), child.arguments["first"]
    child.wait()
    for n in range(first, first + child.arguments.get("number", 1_000_000)):
        with store.transaction() as tx:
            _batch(tx, n)
        child.say(n + 1)
    with store.transaction() as tx:
        _batch(tx, first + child.arguments["number"])
        child.die()


@check("transactions", "killed")
def inside_of_one(place: Place) -> None:
    """Of a transaction whose process died inside there is nothing, and it keeps nobody from writing."""
    _begin(place.open())
    at = 0
    for _ in range(3):
        number = place.pick.randrange(4)
        (ended,) = place.run((batches_and_die, {"first": at, "number": number}))
        at += len(ended.gone().said)
        store = place.reopen()
        _check_batches(store, at)
        with store.transaction() as tx:
            _batch(tx, at)
        at += 1
        _check_batches(store, at)


@check("transactions", "killed")
def at_any_moment(place: Place) -> None:
    """Killed at whatever it is doing: all that was acknowledged, and at most one more, whole."""
    _begin(place.open())
    at = 0
    for _ in range(3):
        (ended,) = place.run((batches_and_die, {"first": at}), death=Death(after=place.pick.uniform(0.01, 0.08)))
        at = max([at, *ended.gone().said])
        store = place.reopen()
        at += store.head(ORIGIN).size > at
        _check_batches(store, at)


def one_batch(child: Child) -> None:
    """Program: write one batch, and die meanwhile."""
    store, at = child.open(), child.arguments["at"]
    if at == 0:
        _begin(store)
    with child.dying(), store.transaction() as tx:
        _batch(tx, at)


@check("transactions", "killed", "disk full")
def in_a_commit(place: Place) -> None:
    """A batch that was cut short is there as a whole or not at all."""
    store = place.open()
    _begin(store)
    with store.transaction() as tx:
        _batch(tx, 0)
    at = 1
    for death in place.deaths((one_batch, {"at": 0}), place.times(8, 4), 4000):
        place.run((one_batch, {"at": at}), death=death)[0].gone()
        store = place.reopen()
        if store.head(ORIGIN).size == at:
            _check_batches(store, at)
            with store.transaction() as tx:
                _batch(tx, at)
        at += 1
        _check_batches(store, at)


def too_large(child: Child) -> None:
    """Program: a transaction for which there is no room, then one for which there is."""
    store = child.open()
    with child.full(1 << 20):
        with refused("a transaction of 8 MB on a full disk", Unavailable), store.transaction() as tx:
            _batch(tx, 1)
            for n in range(80):
                tx.put(f"tile/9/{n:03}", blob(f"{n}", 100_000))
        _check_batches(store, 1)
    with store.transaction() as tx:
        _batch(tx, 1)


@check("transactions", "disk full")
def refused_as_a_whole(place: Place) -> None:
    """`Unavailable`, nothing of it is there, and the same handle goes on once there is room."""
    store = place.open()
    _begin(store)
    with store.transaction() as tx:
        _batch(tx, 0)
    place.run((too_large, {}))[0].finished()
    store = place.reopen()
    _check_batches(store, 2)
    with refused("get of what a transaction put that was refused", NotFound):
        store.get("tile/9/000")


def _begin(store: Any) -> None:
    with store.transaction() as tx:
        tx.create(ORIGIN, _signed(0))


def _signed(n: int) -> bytes:
    return blob(f"signed {n}")


def _some(start: int, stop: int) -> list[Row]:
    return [Row(blob(f"entry {n}", n % 300), blob(f"opened {n}", 50) if n % 3 else b"") for n in range(start, stop)]


def _batch(tx: Any, n: int) -> None:
    """Batch n adds one row, an object of each kind, and the next checkpoint."""
    tx.extend(ORIGIN, n, n + 1, _some(n, n + 1), trim=False)
    tx.put(f"tile/0/{n:03}", blob(f"tile {n}", 1000))
    tx.replace("events/000", blob(f"events {n}", 500))
    tx.swap(ORIGIN, _signed(n), _signed(n + 1))


def _extend_on(store: Any, times: int) -> None:
    done = 0
    while done < times:
        n = store.head(ORIGIN).size
        try:
            with store.transaction() as tx:
                _batch(tx, n)
        except Conflict:
            continue
        done += 1


def _check_batches(store: Any, number: int) -> None:
    """Exactly the first `number` batches are there."""
    same(f"head after {number} batches", _head(store), Head(number, _signed(number)))
    same("load", store.load(ORIGIN), _signed(number))
    same(f"rows after {number} batches", _rows(store), _some(0, number))
    for n in range(number):
        same(f"get tile/0/{n:03}", store.get(f"tile/0/{n:03}"), blob(f"tile {n}", 1000))
    with refused(f"get tile/0/{number:03} after {number} batches", NotFound):
        store.get(f"tile/0/{number:03}")
    if number:
        same("get events/000", store.get("events/000"), blob(f"events {number - 1}", 500))


def _head(store: Any) -> Head:
    head = store.head(ORIGIN)
    return Head(head.size, head.signed)


def _rows(store: Any) -> Sequence[Row]:
    return [Row(row.entry, row.opened) for row in store.rows(ORIGIN)]
