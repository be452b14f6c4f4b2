"""What a benchmark hands over, and how two programs are compared on a machine that does not keep still.

An absolute figure says more about the machine than about the program, and speed swings within seconds. So a bound is a
ratio to a floor that runs in between, round by round, and what counts is the median of the rounds.
"""

from __future__ import annotations

import gc
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

__all__ = ["MIN_ROUNDS", "Figure", "Rounds", "open_floor", "rounds"]

MIN_ROUNDS = 5
"""Fewer rounds than this say nothing about a median."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and its bound, in the same unit. Without a bound it is shown for comparison, and holds."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    direction: Literal[">=", "<="] = ">="

    @property
    def holds(self) -> bool:
        """Whether the value keeps its bound."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.direction == ">=" else self.value <= self.bound


@dataclass(frozen=True, slots=True)
class Rounds:
    """Seconds that each program took, one row per program in the order given to `rounds`, one column per round."""

    seconds: tuple[tuple[float, ...], ...]

    def cost(self, program: int = 0, floor: int = 1) -> float:
        """How many times as long as the floor the program takes: the median over the rounds of their ratio."""
        return median(ours / bare for ours, bare in zip(self.seconds[program], self.seconds[floor], strict=True))

    def speed(self, program: int = 0, floor: int = 1) -> float:
        """The rate of the program as a multiple of the floor's: the median over the rounds of their ratio."""
        return median(bare / ours for ours, bare in zip(self.seconds[program], self.seconds[floor], strict=True))

    def typical(self, program: int = 0) -> float:
        """The median of the program's own seconds, for a figure without a bound."""
        return median(self.seconds[program])


def rounds(*programs: Callable[[], float | None], times: int = MIN_ROUNDS) -> Rounds:
    """Run the programs in turn, `times` times over, beginning each round with another one.

    Every program does the same amount of work. One that returns a number measured itself, in seconds (a percentile, or
    the time without its preparations); one that returns None is timed from outside. Raises `ValueError` for fewer than
    two programs or `MIN_ROUNDS` rounds.
    """
    if len(programs) < 2 or times < MIN_ROUNDS:
        msg = f"{len(programs)} programs, {times} rounds: want two programs and {MIN_ROUNDS} rounds or more"
        raise ValueError(msg)
    seconds: list[list[float]] = [[] for _ in programs]
    for turn in range(times):
        for place in range(len(programs)):
            number = (turn + place) % len(programs)
            gc.collect()  # nobody pays for what another left behind
            start = time.perf_counter()
            own = programs[number]()
            elapsed = time.perf_counter() - start
            seconds[number].append(elapsed if own is None else own)
    return Rounds(tuple(map(tuple, seconds)))


def open_floor(path: str | Path) -> sqlite3.Connection:
    """A bare database as durable as ours: write-ahead log, and every commit on disk before it returns.

    Transactions are the caller's: `BEGIN IMMEDIATE` and `COMMIT`, nothing implicit.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
