"""`provenance.queue.Queue`: accepted with the market's transaction, taken once, by one sequencer at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from adapters.conformance.place import Place, Wrong, blob, check, refused, same, together
from ledger.errors import Conflict
from provenance.queue import Name, Staged

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__: list[str] = []


def staged(name: str) -> Staged:
    """An event, as the front desk stages it."""
    items = tuple(f'{{"kind":"note","salt":"{name} {n}"}}'.encode() for n in range(len(name) % 3))
    statement = None if len(name) % 2 else blob(f"statement of {name}")
    return Staged(0, blob(name, 32), "work.create", blob(f"event {name}", 400), items, statement, bool(items))


# No fault


@check("queue", "none")
def in_and_out(place: Place) -> None:
    """The oldest first, each as it was staged; removed once, and forgotten without a word."""
    queue = place.open()
    same("len of an empty queue", len(queue), 0)
    names = [f"{n}{'x' * n}" for n in range(7)]
    with queue.joining(None) as connection:
        queue.stage(connection, [staged(name) for name in names[:3]])
        queue.stage(connection, [staged(name) for name in names[3:]])
    same("peek", _peek(queue, 100), names)
    same("len", len(queue), 7)
    same("peek(3)", _peek(queue, 3), names[:3])
    for got, name in zip(queue.peek(100), names, strict=True):
        same("what was staged, apart from its id", got._replace(id=0), staged(name))
    rows = queue.peek(4)
    with queue.joining(None) as connection:
        waiting = queue.waiting(connection, [staged(names[1]).event_id, staged("never").event_id])
        same("waiting", list(waiting), [staged(names[1]).event_id])
        queue.remove(connection, [rows[0].event_id, rows[2].event_id])
    with refused("remove of what was removed", Conflict), queue.joining(None) as connection:
        queue.remove(connection, [rows[1].event_id, rows[2].event_id])
    same("peek after a remove that was refused", _peek(queue, 100), [names[1], *names[3:]])
    with queue.joining(None) as connection:
        queue.forget(connection, [rows[0].event_id, rows[1].event_id])
        queue.remove(connection, [])
        queue.forget(connection, [])
    same("peek after forget", _peek(queue, 100), names[3:])


@check("queue", "none")
def not_before_it_commits(place: Place) -> None:
    """What a transaction that failed has staged, removed or named is as if it had never been."""
    queue = place.open()
    _stage(queue, "stays")
    for end in (ValueError("the sale failed"), Conflict("elsewhere")):
        try:
            with queue.joining(None) as connection:
                queue.stage(connection, [staged("goes")], name=_name("offer", "goes"))
                queue.remove(connection, [queue.peek(1)[0].event_id])
                raise end
        except type(end):
            pass
        same("peek after a rollback", _peek(queue, 10), ["stays"])
        same("named after a rollback", queue.named(queue.reading, "offer", "order:1"), None)


@check("queue", "none")
def staged_once(place: Place) -> None:
    """A name stands for one event of each verb; whoever comes second adds nothing. No event is staged twice."""
    queue = place.open()
    for verb in ("offer", "license"):
        with queue.joining(None) as connection:
            same("stage with a new name", queue.stage(connection, [staged(verb)], name=_name(verb, verb)), True)
        with queue.joining(None) as connection:
            same(
                "stage with a name that is taken", queue.stage(connection, [staged("x")], name=_name(verb, "x")), False
            )
        same("named", tuple(queue.named(queue.reading, verb, "order:1")), tuple(_name(verb, verb)))
    with refused("stage of an event that is staged", Conflict), queue.joining(None) as connection:
        queue.stage(connection, [staged("offer")])
    same("len", len(queue), 2)
    same("named of nothing", queue.named(queue.reading, "offer", "order:2"), None)
    same("names", sorted(queue.names(queue.reading, "order:1")), [(v, blob(v, 32)) for v in ("license", "offer")])
    with queue.joining(None) as connection:
        queue.forget_names(connection, [("license", "order:1"), ("license", "order:9")])
    same("names of what is left", queue.names(queue.reading, "order:1"), [("offer", blob("offer", 32))])
    same("of a type", queue.of_type(queue.reading, "work.create"), [blob(v, 32) for v in ("offer", "license")])
    same("of another type", queue.of_type(queue.reading, "hold.set"), [])


@check("queue", "none")
def files(place: Place) -> None:
    """Where a work's file was seen last."""
    queue = place.open()
    with queue.joining(None) as connection:
        queue.see_file(connection, blob("work", 32), "old.jpg")
        queue.see_file(connection, blob("work", 32), "new.jpg")
    same("file_of", queue.file_of(queue.reading, blob("work", 32)), "new.jpg")
    same("file_of nothing", queue.file_of(queue.reading, blob("nothing", 32)), None)
    with queue.joining(None) as connection:
        queue.forget_files(connection, [blob("work", 32), blob("nothing", 32)])
    same("file_of what was forgotten", queue.file_of(queue.reading, blob("work", 32)), None)


# Opened again, two handles, threads, processes


@check("queue", "reopened", "two handles")
def the_same_rows(place: Place) -> None:
    """Staged by one, seen and taken by another."""
    mine = place.open()
    theirs = place.open() if place.fault == "two handles" else mine
    for n in range(3):
        _stage(mine, f"{n}")
        if place.fault == "reopened":
            mine = theirs = place.reopen()
        same("peek", _peek(theirs, 10), [f"{n}"])
        (row,) = theirs.peek(1)
        with theirs.joining(None) as connection:
            theirs.remove(connection, [row.event_id])
        same("len", len(mine), 0)
        _stage(mine, "stays")  # on some databases with the number of the row that is gone
        with refused("remove of what another has taken", Conflict), mine.joining(None) as connection:
            mine.remove(connection, [row.event_id])
        same("peek after a remove that was refused", _peek(mine, 10), ["stays"])
        with mine.joining(None) as connection:
            mine.forget(connection, [staged("stays").event_id])


@check("queue", "threads")
def taken_once(place: Place) -> None:
    """Many stage and many take: each event is taken by one."""
    handles = [place.open(), place.open()]
    taken: list[bytes] = []
    times = place.times(10, 4)

    def stage(i: int) -> None:
        for n in range(times):
            _stage(handles[i % 2], f"{i} {n}")

    def take(i: int) -> None:
        while len(taken) < 3 * times:
            rows = handles[i % 2].peek(4)
            try:
                with handles[i % 2].joining(None) as connection:
                    handles[i % 2].remove(connection, [row.event_id for row in rows])
            except Conflict:
                continue
            taken.extend(row.event_id for row in rows)

    together(*((lambda i=i: stage(i)) for i in range(3)), lambda: take(0), lambda: take(1))
    same("events taken", sorted(taken), sorted(blob(f"{i} {n}", 32) for i in range(3) for n in range(times)))
    same("len", len(handles[0]), 0)


@check("queue", "threads")
def one_leads(place: Place) -> None:
    """Never two at once, through whichever handle."""
    handles = [place.open(), place.open()]
    leaders, lock, most = 0, threading.Lock(), 0

    def lead(i: int) -> None:
        nonlocal leaders, most
        for n in range(3):
            with handles[i % 2].leading():
                with lock:
                    leaders += 1
                    most = max(most, leaders)
                _stage(handles[i % 2], f"{i}{n}")
                with lock:
                    leaders -= 1

    together(*((lambda i=i: lead(i)) for i in range(4)))
    same("sequencers that led at once", most, 1)
    same("len", len(handles[0]), 12)


@check("queue", "threads")
def one_turn_at_a_time(place: Place) -> None:
    """Whoever has the turn sees all that was staged in earlier ones, and nobody stages meanwhile what waits for it."""
    handles = [place.open(), place.open()]
    times = place.times(8, 3)

    def stage(i: int) -> None:
        for _ in range(times):
            with handles[i % 2].joining(None) as connection:
                handles[i % 2].wait_turn(connection, "turn")
                waiting = handles[i % 2].of_type(connection, "work.create")
                handles[i % 2].stage(connection, [staged(f"turn {len(waiting)}")])

    together(*((lambda i=i: stage(i)) for i in range(4)))
    same("events staged", len(handles[0]), 4 * times)


def take(child: Child) -> None:
    """Program: take until nothing waits, one at a time, and say what was taken."""
    queue = child.open()
    child.wait()
    while rows := queue.peek(3):
        try:
            with queue.joining(None) as connection:
                queue.remove(connection, [row.event_id for row in rows])
        except Conflict:
            continue
        for row in rows:
            child.say(row.event_id.hex())


@check("queue", "processes")
def taken_by_one_process(place: Place) -> None:
    """Each event is taken by one process."""
    queue = place.open()
    names = [f"{n}" for n in range(30)]
    with queue.joining(None) as connection:
        queue.stage(connection, [staged(name) for name in names])
    said = [word for ended in place.run(*[(take, {})] * 3) for word in ended.finished().said]
    same("events taken", sorted(said), sorted(blob(name, 32).hex() for name in names))


# Faults


def stage_and_die(child: Child) -> None:
    """Program: stage until killed; by its own hand, as leader, inside of a transaction where `number` is given."""
    queue, life = child.open(), child.arguments["life"]
    child.wait()
    with queue.leading():
        for n in range(child.arguments.get("number", 1_000_000)):
            _stage(queue, f"{life} {n}")
            child.say(f"{life} {n}")
        with queue.joining(None) as connection:
            queue.stage(connection, [staged(f"{life} never")])
            child.die()


@check("queue", "killed")
def acknowledged(place: Place) -> None:
    """What was staged when its transaction had committed waits; a dead leader is succeeded at once."""
    for life, ended, by_us in place.lives(stage_and_die):
        queue = place.reopen()
        with queue.leading():
            known = {staged(f"{life} {n}").event_id: f"{life} {n}" for n in range(len(ended.gone().said) + 1)}
            rows = queue.peek(100_000)
            got = [known.get(row.event_id, "what was never committed") for row in rows]
        if got[: len(ended.said)] != ended.said or len(got) > len(ended.said) + by_us:
            msg = f"peek after a kill: {got[-3:]} last of {len(got)}, want the {len(ended.said)} that were acknowledged"
            raise Wrong(msg)
        with queue.joining(None) as connection:
            queue.remove(connection, [row.event_id for row in rows])


def _name(verb: str, name: str) -> Name:
    return Name(verb, "order:1", staged(name).event_id, blob("fingerprint", 32))


def _stage(queue: Any, name: str) -> None:
    with queue.joining(None) as connection:
        queue.stage(connection, [staged(name)])


def _peek(queue: Any, limit: int) -> list[str]:
    """Names of what `peek` returns, read from the events' ids."""
    known = {staged(name).event_id: name for name in [f"{n}{'x' * n}" for n in range(7)]}
    known |= {staged(name).event_id: name for name in ("stays", "goes", "0", "1", "2")}
    return [known[row.event_id] for row in queue.peek(limit)]
