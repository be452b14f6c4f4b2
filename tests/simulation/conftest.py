"""Which histories are played: `PROVENANCE_SIMULATION_SEED=7` plays that one again, `7-9` those three."""

from __future__ import annotations

import os
from random import SystemRandom

import pytest


@pytest.fixture
def seeds() -> object:
    """A function from a number of histories to their seeds: others in every run, unless the environment names some."""

    def seeds_of(count: int) -> range:
        asked = os.environ.get("PROVENANCE_SIMULATION_SEED")
        if asked:
            first, _, last = asked.partition("-")
            return range(int(first), int(last or first) + 1)
        first = SystemRandom().randrange(10**9)
        return range(first, first + count)

    return seeds_of
