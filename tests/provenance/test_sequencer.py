"""A batch where log and index share no transaction, and two processes lead at once: a lock on leading may be lost."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from adapters import connect, create
from ledger.errors import MalformedError
from provenance.statement import Statement
from tests.provenance.conftest import ORIGIN, Clock


@pytest.mark.parametrize("seen", [True, False])
def test_what_another_process_sequences_between_asking_the_index_and_appending(tmp_path: Path, monkeypatch, seen):
    """Whether or not this process has `seen` it by then, as it does where another thread publishes."""
    clock, ahead = Clock(), Clock()
    url = f"sqlite:///{tmp_path / 'market.db'}"
    where = {"index": f"sqlite:///{tmp_path / 'index.db'}", "publish": tmp_path / "public"}
    ledger = create(url, origin=ORIGIN, clock=clock, **where)
    other = connect(url, clock=ahead, **where)
    clock.forward(100)
    ahead.forward(400)
    monkeypatch.setattr(other._sequencer._queue, "leading", nullcontext)
    log_time = ledger._sequencer._log_time
    asked = []

    def log_time_and_then_others():
        decided = log_time()
        asked.append(decided)
        assert other.sequence_once() == 1
        if seen:
            ledger.log.publish()
        return decided

    monkeypatch.setattr(ledger._sequencer, "_log_time", log_time_and_then_others)
    party = ledger.register_party("person", ref="user:1")
    assert [decided is not None for decided in asked] == [True]
    logged = []
    for row in ledger.log.rows(0, ledger.log.size):
        try:
            logged.append(Statement.parse(row.entry).event_id.hex())
        except MalformedError:
            continue
    assert logged.count(party.id) == 1
    moments = [ledger.index.time_of(entry.idx) for entry in ledger.index.of_type("log.time")]
    assert moments == sorted(moments)
    assert ledger.index.size == ledger.log.size
