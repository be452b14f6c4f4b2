"""The runner: what it prints, what it exits with, and that every benchmark can be loaded."""

from __future__ import annotations

from importlib import import_module

import pytest

import benchmarks
from benchmarks import run
from benchmarks.figure import Figure, Rounds, rounds

MODULE = """
from benchmarks.figure import Figure
def figures():
    yield Figure("rate", {value}, "x floor", 0.6)
    yield Figure("size", 12.0, "bytes")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder that stands for benchmarks/."""
    monkeypatch.setattr(benchmarks, "__path__", [str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize("name", run.available())
def test_benchmark_loads_without_measuring(name):
    assert callable(import_module(f"benchmarks.bench_{name}").figures)


def test_prints_a_line_per_figure_and_exits_0_when_all_hold(folder, capsys):
    (folder / "bench_held.py").write_text(MODULE.format(value=0.7), "utf-8")
    assert run.main([]) == 0
    *header, rate, size, total = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in header] == ["machine", "python", "sqlite"]
    assert "journal_mode=wal, synchronous=FULL" in header[2]
    assert rate.split() == ["rate", "0.7", "x", "floor", ">=", "0.6", "holds"]
    assert size.split() == ["size", "12", "bytes", "-", "holds"]
    assert total == "2 figures, 0 short"


def test_one_short_figure_fails_the_run(folder, capsys):
    (folder / "bench_missed.py").write_text(MODULE.format(value=0.5), "utf-8")
    assert run.main(["missed"]) == 1
    assert capsys.readouterr().out.splitlines()[3].endswith("short")


def test_measuring_nothing_is_no_success(folder, capsys):
    assert run.main([]) == 1
    assert "0 figures" in capsys.readouterr().out


def test_unknown_name_is_wrong_use(folder, capsys):
    with pytest.raises(SystemExit, match="2"):
        run.main(["absent"])
    assert "no benchmark absent" in capsys.readouterr().err


@pytest.mark.parametrize("value,direction,holds", [(2.0, ">=", True), (1.9, ">=", False), (2.1, "<=", False)])
def test_a_bound_has_a_direction(value, direction, holds):
    assert Figure("f", value, "s", 2.0, direction).holds is holds


def test_ratio_is_taken_round_by_round():
    # the machine was ten times slower in the last round: totals would say 0.37 and 2.7
    measured = Rounds(((1.0, 1.0, 1.0, 1.0, 10.0), (2.0, 2.0, 2.0, 2.0, 30.0)))
    assert measured.speed() == 2.0
    assert measured.cost() == 0.5
    assert measured.cost(1, 0) == 2.0
    assert measured.typical(1) == 2.0


def test_programs_take_turns_and_may_measure_themselves():
    order = []
    measured = rounds(lambda: order.append("a"), lambda: order.append("b") or 0.25, times=5)
    assert "".join(order) == "abbaabbaab"
    assert measured.seconds[1] == (0.25,) * 5
    assert all(seconds > 0 for seconds in measured.seconds[0])


@pytest.mark.parametrize("programs,times", [([int], 5), ([int, int], 4)])
def test_too_little_to_compare_is_refused(programs, times):
    with pytest.raises(ValueError, match="want two programs and 5 rounds"):
        rounds(*programs, times=times)
