"""A check that never ends, in slices: each takes a bounded time, and the next goes on where it stopped.

::

    rounds = Rounds(steps, ObjectMemory(objects))
    report = rounds.slice(seconds=5, now="2026-11-24T07:00:00Z")     # from cron, a task queue, or a worker
    report.last                                                      # the last whole pass, and what it found
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Protocol

from ledger.errors import NotFound
from ledger.fsck import Fault
from ledger.storage import Objects

__all__ = ["MEMORY_PATH", "Memory", "ObjectMemory", "Pass", "Report", "Rounds", "Step"]

MEMORY_PATH = "fsck.json"
"""Where `ObjectMemory` keeps what it remembers, by default."""

MOST_FAULTS = 100
"""Faults of one pass that are remembered; `Pass.found` counts the others too."""

Position = Any
"""Where a step goes on: any JSON value that it gave itself; None at its beginning."""


class Step(Protocol):
    """One part of a whole pass."""

    @property
    def name(self) -> str:
        """Names the step from one slice to the next."""

    def run(self, at: Position) -> Iterator[tuple[Position, Sequence[Fault]]]:
        """Check from `at` on; after each small portion yield (where to go on, what is wrong in it).

        Raises only what keeps it from going on, such as `Unavailable`.
        """


class Memory(Protocol):
    """Where a few kilobytes are kept from one slice to the next. Losing them costs a pass that begins anew."""

    def load(self) -> bytes | None:
        """What was saved last, None when nothing was."""

    def save(self, data: bytes) -> None:
        """Keep these bytes; durable on return."""


class ObjectMemory:
    """Memory as one replaceable object."""

    def __init__(self, objects: Objects, path: str = MEMORY_PATH) -> None:
        self._objects = objects
        self._path = path

    def load(self) -> bytes | None:
        """As `Memory.load`."""
        try:
            return self._objects.get(self._path)
        except NotFound:
            return None

    def save(self, data: bytes) -> None:
        """As `Memory.save`."""
        self._objects.replace(self._path, data)


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over everything. `ended` is "" while it goes on; times are those that `slice` was told."""

    began: str
    ended: str = ""
    found: int = 0
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """How far checking has come: `now` is the pass that goes on, at `position` in `step`, or has just ended.

    `last` is the last whole pass, None before the first has ended.
    """

    now: Pass
    step: str
    position: Position
    last: Pass | None


class Rounds:
    """Passes over `steps`, one after the other, for ever. Two that run at once do work twice and harm nothing."""

    def __init__(self, steps: Sequence[Step], memory: Memory) -> None:
        self._steps = steps
        self._memory = memory

    def slice(self, seconds: float, *, now: str, monotonic: Callable[[], float] = time.monotonic) -> Report:
        """Check for about `seconds`, at most to the end of the pass, and remember how far it came; durable on return.

        `now` (RFC 3339) is what the report calls its times. At least one portion is checked, however short the time.
        Raises what a step raises; what was checked before is remembered.
        """
        until = monotonic() + seconds
        report = self._recall(now)
        names = [step.name for step in self._steps]
        first = names.index(report.step) if report.step in names else 0
        try:
            for step in self._steps[first:]:
                at = report.position if step.name == report.step else None
                report = replace(report, step=step.name, position=at)
                for position, faults in step.run(at):
                    report = replace(report, position=position, now=_added(report.now, faults))
                    if monotonic() >= until:
                        return report
            ended = replace(report.now, ended=now)
            report = Report(ended, "", None, ended)
        finally:
            self._memory.save(_pack(report))
        return report

    def record(self, faults: Sequence[Fault], *, began: str, ended: str) -> Report:
        """Remember a whole pass that was made in one go; the next slice begins a new one. Durable on return."""
        done = replace(_added(Pass(began), faults), ended=ended)
        report = Report(done, "", None, done)
        self._memory.save(_pack(report))
        return report

    def report(self) -> Report | None:
        """How far the last slice came, None when there was none or nothing is remembered of it."""
        return _parse(self._memory.load())

    def _recall(self, now: str) -> Report:
        report = self.report()
        if report is None:
            return Report(Pass(now), "", None, None)
        return replace(report, now=Pass(now)) if report.now.ended else report


def _added(one: Pass, faults: Iterable[Fault]) -> Pass:
    more = [fault for fault in faults if fault not in one.faults]
    return replace(one, found=one.found + len(more), faults=(*one.faults, *more)[:MOST_FAULTS])


def _pack(report: Report) -> bytes:
    """JSON behind its own SHA-256: what a disk has changed is not believed."""
    data = json.dumps(asdict(report), separators=(",", ":")).encode()
    return sha256(data).hexdigest().encode() + b"\n" + data


def _parse(data: bytes | None) -> Report | None:
    digest, _, text = (data or b"").partition(b"\n")
    if not text or sha256(text).hexdigest().encode() != digest:
        return None
    value = json.loads(text)
    return Report(_pass(value["now"]), value["step"], value["position"], value["last"] and _pass(value["last"]))


def _pass(value: dict[str, Any]) -> Pass:
    return Pass(**{**value, "faults": tuple(Fault(**fault) for fault in value["faults"])})
