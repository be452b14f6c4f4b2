"""Where a check works: a fresh storage, handles on it, processes beside it, and the list of all checks."""

from __future__ import annotations

import hashlib
import itertools
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.conformance.children import PATIENCE, Children, Death, Ended, Program, Wrong
from adapters.conformance.declared import FAULTS, ROLES, Capabilities, Factory
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__ = ["CHECKS", "Check", "Place", "Wrong", "blob", "check", "refused", "same", "together"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to be tried, in one cell of the grid. Its name is no part of another's: `-k` picks it alone."""

    role: str
    fault: str
    run: Callable[[Place], None]

    @property
    def name(self) -> str:
        """For example `checkpoints-threads-one_winner`."""
        return f"{self.role}-{self.fault.replace(' ', '_')}-{self.run.__name__}"


CHECKS: list[Check] = []


def check(role: str, *faults: str) -> Callable[[Callable[[Place], None]], Callable[[Place], None]]:
    """Register a function as check of a role, once under each of the faults."""
    if role not in {*ROLES, "log"} or not faults or not set(faults) <= set(FAULTS):
        msg = f"check of {role} under {faults}: no such cell"
        raise ValueError(msg)

    def register(run: Callable[[Place], None]) -> Callable[[Place], None]:
        CHECKS.extend(Check(role, fault, run) for fault in faults)
        return run

    return register


@dataclass(slots=True)
class Place:
    """A fresh storage for one check. `folder` is the storage's own; what lies beside it must stay as it is."""

    folder: Path
    factory: Factory
    capabilities: Capabilities
    seed: int
    fault: str
    children: Children
    pick: random.Random = field(init=False)
    _handles: list[Any] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.pick = random.Random(self.seed)  # noqa: S311 - repeatable, no secret
        self.folder.mkdir(parents=True, exist_ok=True)

    def open(self) -> Any:
        """A further handle on the storage; where it cannot be reopened, the only one."""
        if self._handles and not self.capabilities.reopens:
            return self._handles[0]
        handle = self.factory(self.folder)
        self._handles.append(handle)
        return handle

    def reopen(self) -> Any:
        """Give all handles back, then open the storage again; where it cannot be, the only handle."""
        if self.capabilities.reopens:
            self.close()
        return self.open()

    def fresh(self, name: str) -> Place:
        """Another storage, which nobody has used yet. Close it yourself."""
        folder = self.folder.with_name(f"{self.folder.name}-{name}")
        return Place(folder, self.factory, self.capabilities, self.seed, self.fault, self.children)

    def keep(self, handle: T) -> T:
        """Close this too at the end."""
        self._handles.append(handle)
        return handle

    def close(self) -> None:
        """Close every handle that can be closed."""
        handles, self._handles = self._handles, []
        for handle in handles:
            if hasattr(handle, "close"):
                handle.close()

    def times(self, number: int, slow: int) -> int:
        """How often to do it, on a fast storage or a slow one."""
        return slow if self.capabilities.slow else number

    def run(self, *programs: Program, death: Death | None = None) -> list[Ended]:
        """Run programs side by side, each in a process of its own that begins when all are ready; wait for all."""
        return self.children.run(self.folder, programs, death)

    def pause(self, program: Program, moment: int, meanwhile: Callable[[], T]) -> tuple[Ended, T]:
        """Stop a program at a moment of its `dying` block, do something else, and let it go on; what came of both."""
        results: list[T] = []
        errors: list[BaseException] = []

        def other() -> None:
            try:
                results.append(meanwhile())
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the check
                errors.append(error)

        (ended,) = self.children.run(self.folder, [program], Death(pause_at=moment), meanwhile=other)
        if errors:
            raise errors[0]
        ended.finished()
        if not results:  # it had ended before it could be paused
            results.append(meanwhile())
        return ended, results[0]

    def lives(self, act: Callable[[Child], None]) -> Iterator[tuple[int, Ended, bool]]:
        """Run `act` again and again until it dies: (which life it was, what came of it, whether it was killed by us).

        Every other time it dies by its own hand, after a `number` of things that it is given; else at any moment.
        """
        for life in range(4):
            by_us = bool(life % 2)
            arguments = {"life": life} if by_us else {"life": life, "number": self.pick.randrange(1, 6)}
            after = self.pick.uniform(0.01, 0.06) if by_us else 0.0
            (ended,) = self.run((act, arguments), death=Death(after=after))
            yield life, ended, by_us

    def deaths(self, program: Program, number: int, size: int) -> Iterator[Death]:
        """Ways to die in the middle of a program that writes about `size` bytes, by the fault of this check.

        Killed: at moments over the whole length of its `dying` block. With the disk full: in the middle of a file.
        """
        if self.fault == "killed":
            yield from (Death(at=moment) for moment in self.moments(program, number))
            return
        for n in range(number):
            largest = max((file.stat().st_size for file in self.folder.rglob("*") if file.is_file()), default=0)
            yield Death(beyond=1 + self.pick.randrange(size) + (largest if n % 2 else 0))

    def moments(self, program: Program, number: int) -> list[int]:
        """Moments of the `dying` block of a program at which to kill it, over its whole length, picked by the seed.

        The program runs once, on a storage of its own, to count them.
        """
        counted = self.folder.with_name(f"{self.folder.name}-counted")
        counted.mkdir(exist_ok=True)
        (ended,) = self.children.run(counted, [program])
        calls = ended.finished().calls
        if calls == 0:
            msg = f"{program[0].__name__}: nothing was called where it was to be killed"
            raise Wrong(msg)
        return [1 + moment for moment in self.spread(calls, number)]

    def spread(self, total: int, number: int) -> list[int]:
        """`number` of the numbers below `total`, over the whole range, picked by the seed; all where they are few."""
        number = min(number, total)
        edges = [total * n // number for n in range(number + 1)]
        return [self.pick.randrange(low, high) for low, high in itertools.pairwise(edges)]


def blob(name: str, size: int = 100) -> bytes:
    """The same bytes for the same name, in every process."""
    return hashlib.shake_128(name.encode()).digest(size)


def same(what: str, got: object, want: object) -> None:
    """Raise `Wrong` unless both are equal."""
    if got != want or type(got) is not type(want):
        msg = f"{what}: got {_shown(got)}, want {_shown(want)}"
        raise Wrong(msg)


@contextmanager
def refused(what: str, *kinds: type[LedgerError]) -> Iterator[None]:
    """Raise `Wrong` unless the block raises one of these errors of the contract."""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    try:
        yield
    except kinds:
        return
    except Exception as error:
        msg = f"{what}: raised {type(error).__name__} ({str(error)[:200]}), want {wanted}"
        raise Wrong(msg) from error
    msg = f"{what}: went through, want {wanted}"
    raise Wrong(msg)


def together(*functions: Callable[[], T]) -> list[T]:
    """Call all at once, each in a thread of its own; return what they returned, or raise what the first one raised."""
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []
    ready = threading.Barrier(len(functions))

    def call(n: int) -> None:
        try:
            ready.wait(PATIENCE)
            results[n] = functions[n]()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the check
            errors.append(error)

    threads = [threading.Thread(target=call, args=(n,), daemon=True) for n in range(len(functions))]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # a race that is there should show
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]
    hanging = sum(thread.is_alive() for thread in threads)
    if hanging:
        msg = f"{hanging} of {len(threads)} threads have not answered for {PATIENCE:.0f} s"
        raise Wrong(msg)
    return results


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:8].hex()}…" if len(value) > 8 else repr(value)
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 6:
        return f"{len(value)} of them, {', '.join(map(_shown, value[:3]))}, …"
    return repr(value)[:200]
