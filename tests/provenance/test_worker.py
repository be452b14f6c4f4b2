"""A worker moves what was accepted into the log, by itself, and says when it cannot."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from adapters import connect, open_log
from ledger.errors import Conflict, Rollback, Unavailable
from provenance import audit
from provenance.worker import Worker


class Script:
    """A ledger whose calls do what a list says: a number of events sequenced, or an error raised."""

    origin = "script.example/log"

    def __init__(self, *steps):
        self.steps = list(steps)
        self.published = 0
        self.done = threading.Event()

    def sequence_once(self):
        if not self.steps:
            self.done.set()
            return 0
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def publish_once(self):
        self.published += 1


def stage(market, ref):
    with market.engine.begin() as connection:
        return market.ledger.register_party("person", ref=ref, session=connection)


def test_what_is_staged_is_published(market):
    with market.ledger.worker(window=0.01):
        tickets = [stage(market, f"user:w{n}") for n in range(20)]
    assert market.ledger.waiting == 0
    for ticket in tickets:
        assert market.ledger.receipt(ticket).proof
    assert audit(open_log(market.public, market.ledger.log.policy)).record == "intact"


def test_stopping_publishes_what_was_accepted_before(market):
    worker = market.ledger.worker(window=3600.0).start()
    ticket = stage(market, "user:late")
    worker.stop()
    assert market.ledger.receipt(ticket).index == market.ledger.log.checkpoint.size - 1


def test_two_workers_take_turns(market):
    other = connect(market.url, publish=market.public, clock=market.clock)
    with market.ledger.worker(window=0.01), other.worker(window=0.01):
        tickets = [stage(market, f"user:t{n}") for n in range(30)]
    indexes = {market.ledger.receipt(ticket).index for ticket in tickets}
    assert len(indexes) == 30
    assert audit(open_log(market.public, market.ledger.log.policy)).record == "intact"


def test_a_storage_that_does_not_answer_is_tried_again(caplog):
    ledger = Script(Unavailable("away"), Conflict("overtaken"), 3)
    worker = Worker(ledger, window=0.001).start()
    assert ledger.done.wait(20)
    worker.stop()
    assert ledger.published
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "away; next try in" in caplog.text


def test_what_only_a_person_can_mend_ends_it(caplog):
    worker = Worker(Script(Rollback("storage is behind")), window=0.001).start()
    with pytest.raises(Rollback, match="behind"):
        worker.stop()
    assert isinstance(worker.error, Rollback)
    assert "stopped: storage is behind" in caplog.text
    with pytest.raises(Rollback):
        Worker(Script(Rollback("storage is behind")), window=0.001).run()


def test_one_worker_runs_once(market):
    with market.ledger.worker(window=0.01) as worker, pytest.raises(RuntimeError, match="runs already"):
        worker.start()


def test_a_steady_stream_does_not_hold_a_checkpoint_back():
    ledger = Script(*[1] * 2000)
    worker = Worker(ledger, window=0.0).start()
    assert ledger.done.wait(20)
    worker.stop()
    assert ledger.published >= 2000  # with no window at all, one after each batch


def test_a_process_without_keys_stages_and_another_sequences(market):
    web = connect(market.url, signs=False, clock=market.clock)
    ticket = web.register_party("person", name="Cy", ref="user:cy")
    assert web.waiting == 1
    with pytest.raises(Exception, match="connected without keys"):
        web.publish()
    assert market.ledger.sequence_once() == 1
    market.ledger.publish_once()
    assert web.receipt(ticket).index == market.ledger.receipt(ticket).index
    assert web.market == market.ledger.market


def test_a_check_in_slices_goes_on_where_it_stopped(market):
    market.work(b"one")
    report = market.ledger.fsck_slice(0.0)
    assert (report.last, report.now.ended) == (None, "")
    slices = 1
    while report.last is None:
        report = market.reopen().fsck_slice(0.0)  # in another process, as far as it knows
        slices += 1
    assert slices > 3
    assert report.last.found == 0
    with market.engine.begin() as connection:
        connection.execute(text("UPDATE provenance_vault SET data = zeroblob(8) WHERE id = 1"))
    report = market.ledger.fsck_slice(60.0)
    assert report.now.found == 1
    assert market.ledger.health().status == "bad"
