"""OpenTelemetry: twelve instruments and four spans of a ledger, for whichever exporter the market has set up.

::

    from adapters.telemetry import instrument

    ledger = connect(engine, publish="public/")
    instrument(ledger)

Only the API is used: without an SDK in the process nothing is measured and little is spent. Labels are the log's origin
and small sets of words, never an event, a work, a party or a ref. Needs the extra `telemetry`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from ledger.errors import LedgerError
from provenance.errors import MissingExtra
from provenance.health import Standing
from provenance.ledger import ProvenanceLedger
from provenance.observe import Seen, StepName

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import TracerProvider

__all__ = ["instrument"]

_SCOPE = "provenance-ledger"

logger = logging.getLogger(__name__)


def instrument(
    ledger: ProvenanceLedger,
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
) -> None:
    """Measure and trace everything `ledger` does from now on; by default with the providers of the process.

    Several ledgers may share a provider: `provenance.origin` tells them apart. The four gauges ask the database when
    they are read. Raises `MissingExtra` without `opentelemetry-api`.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError as error:
        verb = "OpenTelemetry"
        raise MissingExtra(verb, "telemetry") from error
    provider = meter_provider or metrics.get_meter_provider()
    instruments = _made.get(provider)
    if instruments is None:
        instruments = _made[provider] = _Instruments(provider.get_meter(_SCOPE))
    tracer = (tracer_provider or trace.get_tracer_provider()).get_tracer(_SCOPE)
    instruments.ledgers.add(ledger)
    ledger.observe(_Watch(ledger.origin, instruments, tracer))


class _Instruments:
    """All there are of one provider: an instrument that is made twice would be two."""

    def __init__(self, meter: Any) -> None:
        self.ledgers: WeakSet[ProvenanceLedger] = WeakSet()
        self.staged = meter.create_counter(
            "provenance.staged",
            "{event}",
            "Events accepted, also where the market rolled back later",
        )
        self.refused = meter.create_counter("provenance.refused", "{rule}", "Rules that events were refused for")
        self.sequenced = meter.create_counter("provenance.sequenced", "{event}", "Events moved into the log")
        self.conflicts = meter.create_counter(
            "provenance.conflicts", "{conflict}", "Batches that began again because another process was faster"
        )
        self.batch = meter.create_histogram(
            "provenance.batch.size",
            "{event}",
            "Events of one batch",
            explicit_bucket_boundaries_advisory=[1, 4, 16, 64, 256, 1024, 4096],
        )
        self.durations = {
            "sequence": meter.create_histogram(
                "provenance.sequence.duration",
                "s",
                "One batch, from the queue into log, vault and index",
                explicit_bucket_boundaries_advisory=_SECONDS,
            ),
            "publish": meter.create_histogram(
                "provenance.publish.duration",
                "s",
                "One checkpoint, until it is everywhere the log is published",
                explicit_bucket_boundaries_advisory=_SECONDS,
            ),
        }
        self.waits = meter.create_histogram(
            "provenance.staged_to_published.duration",
            "s",
            "How long each event waited until others could prove it",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        for name, unit, text, read in _GAUGES:
            meter.create_observable_gauge(name, [self._reads(read)], unit, text)

    def _reads(self, read: Callable[[Standing], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        from opentelemetry.metrics import Observation

        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for ledger in list(self.ledgers):
                try:
                    value = read(ledger.standing())
                except LedgerError as error:
                    logger.warning("%s: no figures: %s", ledger.origin, error, extra={"origin": ledger.origin})
                    continue
                if value is not None:
                    yield Observation(value, _labels(ledger.origin))

        return observe


class _Watch:
    """A `provenance.observe.Observer` of one ledger."""

    def __init__(self, origin: str, instruments: _Instruments, tracer: Any) -> None:
        self._labels = _labels(origin)
        self._instruments = instruments
        self._tracer = tracer

    @contextmanager
    def step(self, name: StepName) -> Iterator[Seen]:
        """As `Observer.step`."""
        step = _Step()
        began = time.monotonic()
        outcome = dict(self._labels)
        # The message of an error may name a ref: only its class is told.
        with self._tracer.start_as_current_span(
            f"provenance.{name}", attributes=self._labels, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield step
            except BaseException as error:
                outcome["error.type"] = type(error).__name__
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(_error_status())
                raise
            finally:
                if step.number is not None:
                    span.set_attribute("provenance.events", step.number)
                if name in self._instruments.durations:
                    self._instruments.durations[name].record(time.monotonic() - began, outcome)
        if step.number:
            self._count(name, step.number)

    def conflicted(self) -> None:
        """As `Observer.conflicted`."""
        self._instruments.conflicts.add(1, self._labels)

    def refused(self, rules: Iterable[str]) -> None:
        """As `Observer.refused`: by family, `G1` of `G1.unknown-ref`."""
        for rule in rules:
            self._instruments.refused.add(1, {**self._labels, "provenance.rule": rule.partition(".")[0]})

    def published(self, waits: Iterable[float]) -> None:
        """As `Observer.published`."""
        for wait in waits:
            self._instruments.waits.record(max(0.0, wait), self._labels)

    def _count(self, name: StepName, number: int) -> None:
        if name == "stage":
            self._instruments.staged.add(number, self._labels)
        elif name == "sequence":
            self._instruments.sequenced.add(number, self._labels)
            self._instruments.batch.record(number, self._labels)


class _Step:
    """A `provenance.observe.Seen`."""

    number: int | None = None

    def events(self, number: int) -> None:
        self.number = number


def _labels(origin: str) -> dict[str, str]:
    return {"provenance.origin": origin}


def _error_status() -> Any:
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR)


_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0]
_GAUGES: tuple[tuple[str, str, str, Callable[[Standing], float | None]], ...] = (
    ("provenance.queue.depth", "{event}", "Events that wait to be sequenced", lambda now: now.waiting),
    ("provenance.queue.age", "s", "How long the first of them has waited", lambda now: now.oldest or 0.0),
    ("provenance.checkpoint.age", "s", "Since everything was last published", lambda now: now.published),
    ("provenance.index.lag", "{entry}", "Entries that the index is behind the log", lambda now: now.index_behind),
)
_made: WeakKeyDictionary[Any, _Instruments] = WeakKeyDictionary()
"""By provider."""
