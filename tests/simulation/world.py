"""A deterministic world: processes that take turns at every call of a storage, their clocks, locks and deaths.

Each simulated process runs the real code in greenlets. Whenever that code calls a storage, waits for a lock, sleeps or
looks at an event, the scheduler picks who goes on, by a random number generator that the seed alone decides. Time
passes only here. A crash throws `Crashed` into every greenlet of a process; from then on none of its calls has any
effect, so that whatever its code does while it unwinds changes nothing outside of its own memory.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from types import SimpleNamespace
from typing import Self
from unittest.mock import patch

import greenlet

import ledger.batch
import ledger.edge
import ledger.group
import ledger.home
import ledger.log
import ledger.places
import ledger.reader
import ledger.stored
import ledger.writer
import provenance.following
import provenance.sequencer
import provenance.worker
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.merkle import subtree_root
from ledger.policy import Policy
from provenance.events import new_event

_MOST_STEPS = 30_000


class Crashed(BaseException):
    """The process is gone. Not an `Exception`: no code of ours may handle it."""


class Violation(AssertionError):
    """A promise was broken; the seed shows it again."""


class Process:
    """Memory that is lost together: its greenlets, and whatever they refer to."""

    def __init__(self, name: str, *, mortal: bool = True) -> None:
        self.name = name
        self.mortal = mortal
        self.alive = True
        self.clock_error = 0.0  # seconds by which its clock is wrong
        self.tasks: list[Task] = []


class Task:
    """One thread of a process."""

    def __init__(self, process: Process, act: Callable[[], None], wake: float, hub: greenlet.greenlet) -> None:
        self.process = process
        self.greenlet = greenlet.greenlet(act, hub)
        self.wake = wake  # not before this time
        self.until: Callable[[], bool] | None = None  # or as soon as this holds


class World:
    """Everything of one history."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        self.steps = 0
        self.crash_chance = 0.0
        self.restart: Callable[[Process], None] = lambda _: None
        self.trace: deque[str] = deque(maxlen=400)
        self.counts: dict[str, int] = {}
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._hub = greenlet.getcurrent()

    # Inside a task

    @property
    def process(self) -> Process:
        assert self._current is not None
        return self._current.process

    def pause(self) -> None:
        """Let others have a turn. Raises `Crashed` in a process that is gone."""
        self._yield(self.now, None)

    def sleep(self, seconds: float) -> None:
        self._yield(self.now + max(0.0, seconds), None)

    def wait(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until it holds, or for `timeout` seconds; return whether it does."""
        if until():
            return True
        self._yield(float("inf") if timeout is None else self.now + timeout, until)
        return until()

    def note(self, what: str) -> None:
        """For the end of a history that failed."""
        who = self._current.process.name if self._current else "world"
        self.trace.append(f"{self.now:9.3f} {who:10} {what}")

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _yield(self, wake: float, until: Callable[[], bool] | None) -> None:
        task = self._current
        assert task is not None
        if task.process.alive:
            task.wake, task.until = wake, until
            self._hub.switch()
        if not task.process.alive:
            raise Crashed

    # Around them

    def spawn(self, process: Process, act: Callable[[], None], *, after: float = 0.0) -> Task:
        task = Task(process, act, self.now + after, self._hub)
        process.tasks.append(task)
        self._tasks.append(task)
        return task

    def running(self, name: str) -> bool:
        """Whether a process whose name begins so has anything to do."""
        return any(task.process.name.startswith(name) for task in self._tasks)

    def run(self) -> None:
        """Until no task is left. Whatever a task raises ends the history."""
        while self._tasks:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                msg = f"no end after {_MOST_STEPS} steps"
                raise Violation(msg)
            now = self.now
            ready = [t for t in self._tasks if t.wake <= now or (t.until is not None and t.until())]
            if not ready:
                self.now = min(t.wake for t in self._tasks)
                if self.now == float("inf"):
                    msg = "everybody waits for somebody else"
                    raise Violation(msg)
                continue
            self.now += 0.0005
            self._switch(self.random.choice(ready))
            if self.crash_chance and self.random.random() < self.crash_chance:
                self._crash()

    def _switch(self, task: Task) -> None:
        self._current = task
        task.until = None
        try:
            task.greenlet.switch()
        finally:
            self._current = None
            if task.greenlet.dead:
                self._forget(task)

    def _crash(self) -> None:
        mortal = sorted({t.process.name for t in self._tasks if t.process.mortal})
        if not mortal:
            return
        name = self.random.choice(mortal)
        process = next(t.process for t in self._tasks if t.process.name == name)
        self.note(f"{name} crashes")
        self.count("crashes")
        process.alive = False
        for task in list(process.tasks):
            self._current = task
            try:
                if task.greenlet:  # it has begun
                    with contextlib.suppress(Crashed):
                        task.greenlet.throw(Crashed)
            finally:
                self._current = None
            self._forget(task)
        self.restart(process)

    def _forget(self, task: Task) -> None:
        if task in self._tasks:
            self._tasks.remove(task)
            task.process.tasks.remove(task)


class Lock:
    """`threading.Lock`, for the greenlets of one process."""

    def __init__(self) -> None:
        self._held = False

    def acquire(self) -> bool:
        while self._held:
            _world().wait(lambda: not self._held)
        self._held = True
        return True

    def release(self) -> None:
        self._held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Event:
    """`threading.Event`, likewise."""

    def __init__(self) -> None:
        self._flag = False

    def set(self) -> None:
        self._flag = True

    def clear(self) -> None:
        self._flag = False

    def is_set(self) -> bool:
        return self._flag

    def wait(self, timeout: float | None = None) -> bool:
        return _world().wait(self.is_set, timeout)


class Pool:
    """`ThreadPoolExecutor`: what was submitted runs in tasks of the calling process, in an order of the world's."""

    def __init__(self, ways: int, **_: object) -> None:
        self._world = _world()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def submit(self, act: Callable[..., None], *args: object) -> SimpleNamespace:
        done: list[BaseException | None] = []

        def run() -> None:
            try:
                act(*args)
            except Exception as error:  # noqa: BLE001 - raised again by `result`
                done.append(error)
            else:
                done.append(None)

        def result() -> None:
            self._world.wait(lambda: bool(done))
            if done[0] is not None:
                raise done[0]

        self._world.spawn(self._world.process, run)
        return SimpleNamespace(result=result)


_worlds: list[World] = []


@functools.lru_cache(maxsize=4096)
def open_once(signed: bytes, policy: Policy) -> Checkpoint:
    return open_checkpoint(signed, policy)


def root_once(hashes: Sequence[bytes]) -> bytes:
    return _root_once(b"".join(hashes))


@functools.lru_cache(maxsize=4096)
def _root_once(joined: bytes) -> bytes:
    return subtree_root([joined[at : at + 32] for at in range(0, len(joined), 32)])


def _world() -> World:
    return _worlds[-1]


@contextlib.contextmanager
def installed(world: World) -> Iterator[None]:
    """Clocks, locks, threads and random numbers of the code under test are this world's."""
    threads = SimpleNamespace(Lock=Lock, Event=Event)
    clock = SimpleNamespace(monotonic=lambda: world.now, time=lambda: world.now, sleep=world.sleep)
    pending = ledger.group.Pending
    with contextlib.ExitStack() as stack:
        unheard = logging.getLogger("provenance.unheard")
        unheard.disabled = True
        timed = (ledger.log, ledger.writer, ledger.group, provenance.following, provenance.sequencer, provenance.worker)
        for module in timed:
            for name, stand_in in (("threading", threads), ("time", clock), ("logger", unheard)):
                if hasattr(module, name):
                    stack.enter_context(patch.object(module, name, stand_in))
        stack.enter_context(patch.object(ledger.writer, "random", world.random))
        # Its default lock was looked up when the class was made.
        stack.enter_context(patch.object(ledger.log, "Pending", lambda *a, **k: pending(*a, **k, gate=Lock())))
        stack.enter_context(patch.object(ledger.batch, "ThreadPoolExecutor", Pool))
        # Pure functions, asked the same thing over and over.
        for module in (ledger.home, ledger.places):
            stack.enter_context(patch.object(module, "open_checkpoint", open_once))
        for module in (ledger.reader, ledger.stored, ledger.edge):
            stack.enter_context(patch.object(module, "subtree_root", root_once))
        # Simulated transactions carry no connection of SQLAlchemy, and salts come from the seed.
        stack.enter_context(patch.object(provenance.sequencer, "connection_of", lambda tx: tx))
        salted = lambda *a, **k: new_event(*a, **k, salt=world.random.randbytes(32))  # noqa: E731
        stack.enter_context(patch.object(provenance.sequencer, "new_event", salted))
        _worlds.append(world)
        try:
            yield
        finally:
            _worlds.pop()
