"""Health turns before users notice, in every process, and says what is not affected."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from collections import namedtuple

import pytest
from sqlalchemy import create_engine, text

from adapters import connect, create
from adapters.sql.notes import SqlNotes
from adapters.sql.store import SqlStore
from ledger.errors import Rollback
from ledger.fsck import Fault
from ledger.rounds import Rounds
from provenance.health import Health
from provenance.worker import Worker
from tests.provenance.conftest import ORIGIN, Clock, Market

FLOW = ["database", "log", "queue", "oldest event", "checkpoint", "published", "clock", "index", "worker", "fsck"]


def found(health: Health, name: str) -> tuple[str, str]:
    (check,) = [check for check in health.checks if check.name == name]
    return check.status, check.sentence


def stage(market: Market, ref: str) -> None:
    with market.engine.begin() as connection:
        market.ledger.register_party("person", ref=ref, session=connection)


def elsewhere(market: Market):
    """Another process: it holds no key."""
    return connect(market.url, publish=market.public, signs=False, clock=market.clock)


def change(market: Market, statement: str) -> None:
    with market.engine.begin() as connection:
        connection.execute(text(statement))


class Memory:
    """Where rounds of checking remember, in the table that `health` reads."""

    def __init__(self, market: Market) -> None:
        self._notes = SqlNotes(SqlStore(market.url))

    def load(self) -> bytes | None:
        return self._notes.load("fsck")

    def save(self, data: bytes) -> None:
        self._notes.save("fsck", data)


@dataclasses.dataclass
class Step:
    name: str
    portions: list[tuple[int, list[Fault]]]

    def run(self, at):
        yield from self.portions


def test_all_is_well_and_every_check_says_so(market):
    health = market.ledger.health()
    assert [check.name for check in health.checks] == [*FLOW, "disk of the database", "disk of the published log"]
    assert (health.status, health.live, health.ready, health.needs) == ("ok", True, True, ())
    assert health.at == "2026-11-23T08:00:00Z"
    assert all(check.sentence and not check.fix for check in health.checks)
    with pytest.raises(dataclasses.FrozenInstanceError):
        health.live = False


def test_a_market_that_sleeps_is_well(market):
    market.clock.forward(86_400)
    assert elsewhere(market).health().status == "ok"
    assert found(market.ledger.health(), "checkpoint") == ("ok", "everything is published; last checkpoint 24 h old")


@pytest.mark.parametrize("seconds, status", [(4.5, "ok"), (6, "degraded"), (29, "degraded"), (31, "bad")])
def test_what_waits_too_long_shows_everywhere(market, seconds, status):
    stage(market, "user:3")
    market.clock.forward(1)
    stage(market, "user:4")
    market.clock.forward(seconds - 1)
    for ledger in (market.ledger, elsewhere(market)):
        health = ledger.health()
        assert found(health, "oldest event")[0] == health.status == status
        assert found(health, "queue") == ("ok", "2 events wait")
        assert (health.live, health.ready) == (True, True)
        assert [check.fix for check in health.needs] == ([] if status == "ok" else ["provenance worker"])
        assert ledger.standing()[2:4] == (2, seconds)
    market.ledger.publish()
    assert elsewhere(market).health().status == "ok"


def test_limits_follow_the_window(market):
    stage(market, "user:3")
    market.clock.forward(40)
    ledger = market.ledger
    assert [ledger.health(window=window).status for window in (0.1, 1, 2, 10)] == ["bad", "bad", "degraded", "ok"]
    market.ledger.publish()
    with ledger.worker(window=10.0):
        pass
    stage(market, "user:4")
    market.clock.forward(40)
    (check,) = [check for check in elsewhere(market).health().checks if check.name == "oldest event"]
    assert (check.status, check.value, check.limit, check.unit) == ("ok", 40.0, 50.0, "s")


@pytest.mark.parametrize("seconds, status", [(4, "ok"), (6, "degraded"), (31, "bad")])
def test_what_is_sequenced_and_not_published_shows_everywhere(market, seconds, status):
    stage(market, "user:3")
    assert market.ledger.sequence_once() == 1
    market.clock.forward(seconds)
    for ledger in (market.ledger, elsewhere(market)):
        health = ledger.health()
        assert found(health, "checkpoint")[0] == found(health, "published")[0] == health.status == status
        assert found(health, "checkpoint")[1].startswith("1 entries are not published; last checkpoint ")
        assert {check.fix for check in health.needs} <= {"provenance publish"}
    market.ledger.publish_once()
    assert market.ledger.health().status == "ok"


def test_a_place_that_shows_nothing_or_something_else(market):
    checkpoint = market.public / "checkpoint"
    before = checkpoint.read_bytes()
    checkpoint.unlink()
    status, sentence = found(market.ledger.health(), "published")
    assert (status, sentence.startswith("no checkpoint in ")) == ("bad", True)
    checkpoint.write_bytes(before.replace(b"\n", b"\r\n"))
    assert found(market.ledger.health(), "published")[0] == "bad"
    checkpoint.write_bytes(before)
    assert market.ledger.health().status == "ok"


def test_a_clock_behind_the_log_stops_the_sequencer_and_shows(market):
    market.clock.forward(-90)
    status, sentence = found(market.ledger.health(), "clock")
    assert status == "bad"
    assert "90 s behind the log time 2026-11-23T08:00:00Z" in sentence
    stage(market, "user:3")
    with pytest.raises(Rollback):
        market.ledger.publish()


def test_hosts_whose_clocks_differ(market):
    market.clock.forward(60)
    stage(market, "user:3")
    market.clock.forward(-30)
    status, sentence = found(market.ledger.health(), "clock")
    assert (status, sentence) == ("degraded", "an event was staged 30 s in the future: the clocks of two hosts differ")


def test_an_index_that_lost_entries(market):
    change(market, "DELETE FROM provenance_index_entries WHERE idx = (SELECT max(idx) FROM provenance_index_entries)")
    health = market.ledger.health()
    assert found(health, "index") == ("degraded", "1 entries behind the log")
    assert [check.fix for check in health.needs] == ["provenance index rebuild"]


def test_a_worker_is_heard_of_in_other_processes_until_it_falls_silent(market):
    other = elsewhere(market)
    with market.ledger.worker(window=0.01) as worker:
        stage(market, "user:3")
        while market.ledger.waiting:
            assert not worker.wait(0.005)
        while (noted := SqlNotes(SqlStore(market.url)).load("worker")) is None:
            assert not worker.wait(0.005)
        assert found(other.health(), "worker") == ("ok", "was last heard of 0.0 s ago")
    assert found(other.health(), "worker") == ("ok", "none runs: events are published by whoever calls publish()")
    # The host went away instead: nobody noted that it stopped.
    SqlNotes(SqlStore(market.url)).save("worker", noted)
    assert found(other.health(), "worker") == ("ok", "was last heard of 0.0 s ago")
    market.clock.forward(31)
    assert found(other.health(), "worker")[0] == "degraded"
    stage(market, "user:4")
    assert found(other.health(), "worker")[0] == "bad"
    assert json.loads(noted)["window"] == 0.01


def test_a_worker_that_only_a_person_can_help_shows_everywhere(market):
    other = elsewhere(market)
    market.clock.forward(-90)
    stage(market, "user:3")
    worker = market.ledger.worker(window=0.01).start()
    assert worker.wait(20)
    here, there = market.ledger.health(), other.health()
    assert (here.live, there.live) == (False, True)
    assert (here.ready, there.ready) == (True, True)
    assert found(here, "worker")[0] == found(there, "worker")[0] == "bad"
    assert "set the clock right" in found(there, "worker")[1]
    with pytest.raises(Rollback):
        worker.stop()
    market.clock.forward(90)
    with market.ledger.worker(window=0.01):
        pass
    assert (market.ledger.health().status, other.health().status) == ("ok", "ok")


def test_a_worker_that_a_bug_ends_says_so_without_what_it_was_given(caplog):
    class Broken:
        origin = ORIGIN

        def sequence_once(self):
            return int("secret")

        def publish_once(self):
            raise NotImplementedError

    said = []
    worker = Worker(Broken(), window=0.001, beat=lambda *words: said.append(words))
    with pytest.raises(ValueError, match="secret"):
        worker.run()
    assert isinstance(worker.error, ValueError)
    assert said == [("failed", 0.001, "ValueError")]
    assert "secret" not in caplog.text


def test_checking_in_slices(market):
    memory = Memory(market)
    assert market.ledger.fsck_report() is None
    clean = Step("entries", [(2, []), (4, [])])
    Rounds([clean], memory).slice(0.0, now="2026-11-23T08:00:00Z")
    assert found(market.ledger.health(), "fsck") == ("ok", "no whole pass yet")
    assert market.ledger.fsck_report().position == 2
    Rounds([clean], memory).slice(60.0, now="2026-11-23T08:00:00Z")
    assert found(market.ledger.health(), "fsck") == ("ok", "last whole pass 0 d ago, nothing found")
    market.clock.forward(9 * 86_400)
    assert found(market.ledger.health(), "fsck") == ("degraded", "last whole pass 9 d ago, nothing found")
    Rounds([Step("entries", [(4, [Fault("tile/0/000", "is not what was logged")])])], memory).slice(
        60.0, now="2026-12-02T08:00:00Z"
    )
    health = elsewhere(market).health()
    assert found(health, "fsck") == ("bad", "1 faults found")
    assert health.ready


@pytest.mark.parametrize("free, status, ready", [(2**31, "ok", True), (2**29, "degraded", True), (2**27, "bad", False)])
def test_a_volume_that_fills_up(market, monkeypatch, free, status, ready):
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as the standard library's
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**40, 2**40 - free, free))
    health = market.ledger.health()
    assert found(health, "disk of the database")[0] == health.status == status
    assert (health.ready, health.live) == (ready, True)


def test_a_volume_that_is_gone(market):
    shutil.rmtree(market.public)
    health = market.ledger.health()
    assert found(health, "disk of the published log")[0] == "degraded"
    assert (health.status, health.ready) == ("bad", True)


def test_a_database_that_does_not_answer(market):
    ledger = elsewhere(market)
    market.engine.dispose()
    for path in market.root.glob("market.db*"):
        path.write_bytes(b"no database" * 1000)
    seen: list[Health] = []
    thread = threading.Thread(target=lambda: seen.append(ledger.health()))  # a thread has a connection of its own
    thread.start()
    thread.join()
    (health,) = seen
    assert [(check.name, check.status) for check in health.checks] == [("database", "bad")]
    assert (health.live, health.ready) == (True, False)


def test_a_storage_that_went_back(market):
    ledger = elsewhere(market)
    change(market, "UPDATE provenance_heads SET size = size - 1")
    health = ledger.health()
    assert found(health, "log")[0] == "bad"
    assert "restore the newer storage" in found(health, "log")[1]
    assert health.ready


def test_tiles_apart_from_the_database(tmp_path):
    clock = Clock()
    objects = tmp_path / "tiles"
    ledger = create(f"sqlite:///{tmp_path / 'market.db'}", origin=ORIGIN, objects=objects, clock=clock)
    health = ledger.health()
    assert (health.status, found(health, "published")) == ("ok", ("ok", "shows size 2"))
    (objects / "checkpoint").unlink()
    assert found(ledger.health(), "published")[0] == "bad"


def test_an_index_elsewhere_that_is_damaged(tmp_path):
    index = f"sqlite:///{tmp_path / 'index.db'}"
    clock = Clock()
    ledger = create(f"sqlite:///{tmp_path / 'market.db'}", origin=ORIGIN, index=index, clock=clock)
    ledger.register_party("person", ref="user:1")
    assert ledger.health().status == "ok"
    engine = create_engine(index)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE provenance_index_times"))
    health = ledger.health()
    assert found(health, "figures")[0] == "bad"
    assert "no such table" in found(health, "figures")[1]
    assert found(health, "queue")[0] == "ok"
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE provenance_index_entries"))
    assert (ledger.health().status, ledger.health().ready) == ("bad", True)
    engine.dispose()


def test_what_is_published_is_never_called_a_failure_for_want_of_a_note(market, caplog):
    ledger = market.reopen()
    change(market, "DROP TABLE provenance_state")
    stage(market, "user:3")
    assert ledger.publish().size > 4
    assert "not noted when it was published" in caplog.text


def test_the_figures(market):
    standing = market.ledger.standing()
    size = market.ledger.log.size
    assert standing == (size, size, 0, None, standing.published, 0)
    market.clock.forward(5)
    assert market.ledger.standing().published == standing.published + 5
