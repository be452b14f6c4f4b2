"""Slices of a check that never ends: bounded, remembered, and telling what the last whole pass found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger import Client, Log, NotFound, Row, SigningKey, Unavailable
from ledger.fsck import Fault, fault_of, walk
from ledger.rounds import MEMORY_PATH, MOST_FAULTS, ObjectMemory, Rounds
from ledger.testing import MemoryStore

KEY = SigningKey("market.example/log", bytes(range(32)))


class Steps:
    """A clock that moves by one second for each portion, and a step that counts to `size`."""

    def __init__(self, name: str, size: int, faulty: tuple[int, ...] = ()) -> None:
        self.name = name
        self.size = size
        self.faulty = faulty
        self.seen: list[int] = []

    def run(self, at: int | None) -> Iterator[tuple[int, list[Fault]]]:
        for number in range(at or 0, self.size):
            self.seen.append(number)
            found = [Fault(f"{self.name} {number}", "bad")] if number in self.faulty else []
            yield number + 1, found


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_slices_together_are_one_pass():
    memory = ObjectMemory(MemoryStore())
    first, second = Steps("first", 5, faulty=(3,)), Steps("second", 3)
    reports = []
    for hour in range(20):
        report = Rounds([first, second], memory).slice(2.0, now=f"h{hour}", monotonic=Clock())
        reports.append(report)
        if report.last is not None:
            break
    assert first.seen == list(range(5))
    assert second.seen == list(range(3))
    assert len(reports) > 3
    assert [report.last for report in reports[:-1]] == [None] * (len(reports) - 1)
    assert report.now == report.last
    assert (report.last.began, report.last.ended, report.last.found) == ("h0", f"h{len(reports) - 1}", 1)
    assert report.last.faults == (Fault("first 3", "bad"),)
    again = Rounds([first, second], memory).slice(1.0, now="later", monotonic=Clock())
    assert (again.now.began, again.now.found, again.step, again.position) == ("later", 0, "first", 1)
    assert again.last == report.last


def test_a_slice_checks_something_however_short_it_is():
    step = Steps("only", 9)
    Rounds([step], ObjectMemory(MemoryStore())).slice(0.0, now="", monotonic=Clock())
    assert step.seen == [0]


def test_a_pass_ends_its_slice():
    step = Steps("only", 4)
    report = Rounds([step], ObjectMemory(MemoryStore())).slice(1e9, now="t", monotonic=Clock())
    assert step.seen == [0, 1, 2, 3]
    assert report.last is not None


def test_what_is_remembered_and_was_changed_is_not_believed():
    store = MemoryStore()
    step = Steps("only", 4)
    rounds = Rounds([step], ObjectMemory(store))
    rounds.slice(1.0, now="t", monotonic=Clock())
    saved = store.objects[MEMORY_PATH]
    for at in range(len(saved)):
        store.objects[MEMORY_PATH] = saved[:at] + bytes([saved[at] ^ 1]) + saved[at + 1 :]
        assert rounds.report() is None
    store.objects[MEMORY_PATH] = saved
    assert rounds.report() is not None


def test_many_faults_are_counted_and_the_first_are_kept():
    step = Steps("only", 500, faulty=tuple(range(400)))
    report = Rounds([step], ObjectMemory(MemoryStore())).slice(1e9, now="t", monotonic=Clock())
    assert report.last.found == 400
    assert [fault.place for fault in report.last.faults] == [f"only {n}" for n in range(MOST_FAULTS)]


def test_a_step_that_fails_goes_on_where_it_stopped():
    class Failing(Steps):
        def run(self, at):
            for portion in super().run(at):
                if portion[0] == 3 and at is None:
                    msg = "away"
                    raise Unavailable(msg)
                yield portion

    step = Failing("only", 5)
    rounds = Rounds([step], ObjectMemory(MemoryStore()))
    with pytest.raises(Unavailable):
        rounds.slice(1e9, now="t", monotonic=Clock())
    assert rounds.report().position == 2
    assert rounds.slice(1e9, now="u", monotonic=Clock()).last.found == 0
    assert step.seen == [0, 1, 2, 2, 3, 4]


def test_walk_goes_on_behind_what_is_wrong():
    place = MemoryStore()
    log = Log.create(MemoryStore(), KEY, b"0", publish=[place])
    log.extend([Row(b"%d" % i, b"") for i in range(1, 1000)])
    log.publish()
    data = place.objects["tile/entries/001"]
    place.objects["tile/entries/001"] = data[:-1] + b"x"
    del place.objects["tile/0/002"]
    found = [(done, error and fault_of(error)) for done, error in walk(Client(place, log.policy))]
    assert [done for done, _ in found] == [256, 512, 768, 1000]
    assert [fault and (fault.place, fault.altered) for _, fault in found] == [
        None,
        ("tile/entries/001", True),
        ("tile/0/002", False),
        None,
    ]
    assert isinstance(next(iter(walk(Client(place, log.policy), start=600)))[1], NotFound)
