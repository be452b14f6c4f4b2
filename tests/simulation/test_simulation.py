"""Histories of a market whose processes, storages and clocks fail; and mistakes that must be found in them.

A failure names its seed: `PROVENANCE_SIMULATION_SEED=7 make test ARGS=tests/simulation` plays that history again.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from tests.simulation.broken import BROKEN
from tests.simulation.history import failures, prepare, run


@pytest.mark.parametrize(
    "count", [pytest.param(1_000, id="short"), pytest.param(100_000, id="long", marks=pytest.mark.soak)]
)
def test_histories(count, seeds):
    happened: Counter[str] = Counter()
    played = seeds(count)
    for seed in played:
        happened.update(run(seed).counts)
    if len(played) == count:  # not only the ones asked for
        rare = {"sales": 3, "crashes": 1, "failures": 1, "late": 0.1, "second leaders": 0.1, "clocks behind": 0.1}
        assert {what: happened[what] for what, times in rare.items() if happened[what] < times * count} == {}


def test_a_seed_is_a_history():
    first, again = run(4711), run(4711)
    assert list(first.trace) == list(again.trace)
    assert (first.now, first.steps, first.counts) == (again.now, again.steps, again.counts)


@pytest.mark.parametrize("what", BROKEN)
def test_mistakes_are_found(what):
    prepare()
    with BROKEN[what]():
        found = list(islice(failures(range(1_000)), 1))
    assert found, f"1,000 histories passed with: {what}"
    seed, error = found[0]
    assert f"seed {seed}," in error.__notes__[0]
    run(seed)  # as it is, nothing happens
