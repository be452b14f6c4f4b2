"""The seam through which somebody watches a ledger at work: metrics and traces, in whatever form they want them.

Nobody watches by default, which costs a fraction of a microsecond for each step. An observer learns how many and how
long, never what: no event, no work, no ref. `adapters.telemetry.instrument` makes one for OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Protocol, Self

__all__ = ["UNOBSERVED", "Observer", "Seen", "StepName", "Unobserved"]

StepName = Literal["stage", "sequence", "integrate", "publish"]
"""Accepting in the market's transaction; one batch from queue to index; its write to the log; a checkpoint."""


class Seen(Protocol):
    """What one step did; it is told before the step ends."""

    def events(self, number: int) -> None:
        """How many events it was about."""


class Observer(Protocol):
    """Watches one ledger, from any number of threads. What it raises reaches the market's call: it should not raise."""

    def step(self, name: StepName) -> AbstractContextManager[Seen]:
        """Around one step, which may run inside another one. An error of the step leaves the `with` block."""

    def conflicted(self) -> None:
        """Another process was faster, and the step begins again."""

    def refused(self, rules: Iterable[str]) -> None:
        """An event was not accepted because of these rules (`G1.unknown-ref`)."""

    def published(self, waits: Iterable[float]) -> None:
        """Events were published that waited this long since they were staged (seconds each)."""


class Unobserved:
    """The observer that does nothing, and the step that tells nobody."""

    def step(self, name: StepName) -> Self:  # noqa: ARG002
        """As `Observer.step`."""
        return self

    def events(self, number: int) -> None:
        """As `Seen.events`."""

    def conflicted(self) -> None:
        """As `Observer.conflicted`."""

    def refused(self, rules: Iterable[str]) -> None:
        """As `Observer.refused`."""

    def published(self, waits: Iterable[float]) -> None:
        """As `Observer.published`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        pass


UNOBSERVED = Unobserved()
