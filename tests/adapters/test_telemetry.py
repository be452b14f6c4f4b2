"""What a ledger tells OpenTelemetry: how many and how long, and nothing about anybody."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from adapters import connect, create
from adapters.telemetry import instrument
from ledger.errors import Conflict, Rollback, Unavailable
from provenance import EventRejected, Money
from provenance.observe import UNOBSERVED
from tests.provenance.conftest import ORIGIN, Market, market  # noqa: F401 - a fixture

NAMES = {
    "provenance.staged": "{event}",
    "provenance.refused": "{rule}",
    "provenance.sequenced": "{event}",
    "provenance.conflicts": "{conflict}",
    "provenance.batch.size": "{event}",
    "provenance.sequence.duration": "s",
    "provenance.publish.duration": "s",
    "provenance.staged_to_published.duration": "s",
    "provenance.queue.depth": "{event}",
    "provenance.queue.age": "s",
    "provenance.checkpoint.age": "s",
    "provenance.index.lag": "{entry}",
}


class Watched:
    """Providers in memory, and what they have seen."""

    def __init__(self):
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def metrics(self):
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def values(self, name: str, origin: str = ORIGIN) -> list[float]:
        points = self.metrics()[name].data.data_points
        mine = [point for point in points if point.attributes["provenance.origin"] == origin]
        return [point.sum if hasattr(point, "sum") else point.value for point in mine]

    def spans(self):
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def watched(market: Market):  # noqa: F811
    both = Watched()
    instrument(market.ledger, meter_provider=both.meters, tracer_provider=both.tracers)
    yield both
    market.ledger.observe(UNOBSERVED)
    both.meters.shutdown()


def everything(market: Market) -> None:  # noqa: F811
    """One of each: a sale in the market's transaction, a refusal, a conflict, a bulk load, an error."""
    desk = market.ledger
    work = desk.create(market.file(b"secret content"), creators=[market.ada], title="secret title", ref="work:secret")
    offer = desk.offer(work, terms="LicenseRef-secret", price=Money(1250, "EUR"))
    desk.offer(work, terms="CC0-1.0", ref="offer:secret")
    with pytest.raises(EventRejected):
        desk.derive(market.file(b"x"), parents=["00" * 32], creators=["11" * 32])
    with pytest.raises(Conflict):
        desk.offer(work, terms="CC-BY-4.0", ref="offer:secret")
    with market.engine.begin() as connection:
        desk.license(work, to=market.bo, offer=offer, price=Money(1250, "EUR"), ref="order:secret", session=connection)
    market.clock.forward(2)
    overtake(market, desk.publish)
    desk.record_many(
        [desk.draft("terms.publish", body={"license": f"LicenseRef-{n}", "machine": {}}) for n in range(5)]
    )
    market.clock.forward(-3600)
    with pytest.raises(Rollback):
        desk.register_party("org", name="too early")
    market.clock.forward(3600)


def overtake(market: Market, act: Callable[[], object]) -> None:  # noqa: F811
    """Let the next batch find once that another process was faster."""
    queue, remove = market.ledger._sequencer._queue, market.ledger._sequencer._queue.remove

    def late(connection, ids):
        queue.remove = remove
        msg = "another sequencer took them"
        raise Conflict(msg)

    queue.remove = late
    act()


def test_twelve_instruments_with_units_and_few_labels(market, watched):  # noqa: F811
    everything(market)
    metrics = watched.metrics()
    assert {name: metric.unit for name, metric in metrics.items()} == NAMES
    assert len(metrics) <= 12
    labels = {key for metric in metrics.values() for point in metric.data.data_points for key in point.attributes}
    assert labels == {"provenance.origin", "error.type", "provenance.rule"}
    words = {
        str(value)
        for metric in metrics.values()
        for point in metric.data.data_points
        for value in point.attributes.values()
    }
    assert words == {ORIGIN, "Rollback", "Conflict", "G1"}


def test_the_figures(market, watched):  # noqa: F811
    everything(market)
    # work; terms and offer; license; terms and offer; five; the one that could not be sequenced
    assert watched.values("provenance.staged") == [12]
    assert watched.values("provenance.conflicts") == [1]
    assert watched.values("provenance.queue.depth") == [1]
    assert watched.values("provenance.index.lag") == [0]
    assert sum(watched.values("provenance.sequenced")) == 11
    assert sum(watched.values("provenance.batch.size")) == 11
    assert sum(watched.values("provenance.refused")) >= 2
    market.clock.forward(7)
    assert watched.values("provenance.queue.age") == [3607.0]
    (seen,) = watched.metrics()["provenance.staged_to_published.duration"].data.data_points
    # The license waited for two seconds, the others for none; what was recorded in bulk never waited.
    assert (seen.count, seen.sum) == (6, 2.0)


def test_spans_hold_each_other_and_nothing_else(market, watched):  # noqa: F811
    everything(market)
    spans = watched.spans()
    assert set(spans) == {f"provenance.{name}" for name in ("stage", "sequence", "integrate", "publish")}
    keys = {key for span in watched.exporter.get_finished_spans() for key in span.attributes}
    assert keys == {"provenance.origin", "provenance.events", "error.type"}
    by_id = {span.context.span_id: span for span in watched.exporter.get_finished_spans()}
    integrated = [span for span in by_id.values() if span.name == "provenance.integrate"]
    assert {by_id[span.parent.span_id].name for span in integrated} == {"provenance.sequence"}
    failed = [span for span in by_id.values() if span.status.status_code is StatusCode.ERROR]
    assert {span.attributes["error.type"] for span in failed} >= {"EventRejected", "Rollback", "Conflict"}
    told = json.dumps([json.loads(span.to_json()) for span in by_id.values()])
    assert "secret" not in told
    assert market.ada.id not in told
    assert not any(span.events for span in by_id.values())


def test_two_ledgers_share_a_provider(market, watched, tmp_path):  # noqa: F811
    other = create(f"sqlite:///{tmp_path / 'other.db'}", origin="other.example/log")
    instrument(other, meter_provider=watched.meters, tracer_provider=watched.tracers)
    other.register_party("person")
    with market.engine.begin() as connection:
        market.ledger.register_party("person", session=connection)
    assert watched.values("provenance.queue.depth") == [1]
    assert watched.values("provenance.queue.depth", "other.example/log") == [0]
    assert watched.values("provenance.staged", "other.example/log") == [1]


def test_what_was_not_published_is_measured_when_it_is(market, watched, monkeypatch):  # noqa: F811
    with market.engine.begin() as connection:
        market.ledger.register_party("person", session=connection)
    published = market.ledger.log.publish
    monkeypatch.setattr(market.ledger.log, "publish", lambda: (_ for _ in ()).throw(Unavailable("no room")))
    with pytest.raises(Unavailable):
        market.ledger.publish()
    assert "provenance.staged_to_published.duration" not in watched.metrics()
    monkeypatch.setattr(market.ledger.log, "publish", published)
    market.clock.forward(4)
    market.ledger.publish_once()
    assert watched.values("provenance.staged_to_published.duration") == [4.0]


def test_a_gauge_that_cannot_be_read_says_so(market, watched, monkeypatch, caplog):  # noqa: F811
    def away():
        msg = "the database is away"
        raise Unavailable(msg)

    monkeypatch.setattr(market.ledger, "standing", away)
    assert not set(watched.metrics()) & {"provenance.queue.depth", "provenance.index.lag"}
    assert "no figures: the database is away" in caplog.text


def test_a_process_without_keys_is_watched_as_well(market, watched):  # noqa: F811
    web = connect(market.url, signs=False, clock=market.clock)
    instrument(web, meter_provider=watched.meters, tracer_provider=watched.tracers)
    web.register_party("person")
    assert watched.values("provenance.staged") == [1]
    web.observe(UNOBSERVED)


def test_logs_are_structured_and_say_nothing_about_anybody(market, caplog):  # noqa: F811
    caplog.set_level(logging.INFO)
    everything(market)
    records = [record for record in caplog.records if record.name.split(".")[0] in {"ledger", "provenance", "adapters"}]
    (batch, *_) = [r for r in records if r.name == "provenance.sequencer" and r.levelname == "INFO"]
    assert (batch.origin, batch.batch) == (ORIGIN, 1)
    assert batch.size > 1
    assert batch.seconds >= 0
    (checkpoint, *_) = [r for r in records if r.name == "provenance.publishing"]
    assert (checkpoint.levelname, checkpoint.origin, checkpoint.size) == ("INFO", ORIGIN, batch.size)
    assert [r.levelname for r in records if "was faster" in r.getMessage()] == ["WARNING"]
    told = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert "secret" not in told
    assert market.ada.id not in told
    assert not any(logging.getLogger(record.name).handlers for record in records)


_WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from adapters import create
from adapters.telemetry import instrument
from provenance.errors import MissingExtra
try:
    instrument(create(sys.argv[1], origin="o.example/log"))
except MissingExtra as error:
    print(error)
"""


def test_without_the_extra_it_says_which(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, f"sqlite:///{tmp_path / 'm.db'}"], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "OpenTelemetry needs the optional part `telemetry`: pip install 'provenance-ledger[telemetry]'\n"
    )


def test_nothing_of_opentelemetry_is_loaded_for_a_ledger(tmp_path):
    program = "import sys; from adapters import create; create(sys.argv[1], origin='o.example/log');"
    program += "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    url = f"sqlite:///{tmp_path / 'm.db'}"
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
