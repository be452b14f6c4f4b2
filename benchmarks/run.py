"""Run benchmarks and print one line per figure: `python -m benchmarks.run [NAME ...]`.

Every `benchmarks/bench_NAME.py` has a function `figures()` that yields each `Figure` as soon as it is known. Exits 0
only when there were figures and all hold their bounds.
"""

from __future__ import annotations

import argparse
import os
import pkgutil
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path

import benchmarks
from benchmarks.figure import Figure, open_floor

PREFIX = "bench_"
_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")  # https://sqlite.org/pragma.html#pragma_synchronous


def available() -> list[str]:
    """The names of all benchmarks, without their prefix."""
    modules = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name.removeprefix(PREFIX) for name in modules if name.startswith(PREFIX))


def machine() -> Iterator[str]:
    """What a figure depends on besides our code, a line each."""
    with tempfile.TemporaryDirectory() as folder, closing(open_floor(Path(folder) / "probe.db")) as database:
        journal = database.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = _SYNCHRONOUS[database.execute("PRAGMA synchronous").fetchone()[0]]
        place = Path(folder).parent
    yield f"machine  {processor()}, {os.cpu_count()} cores, {platform.platform()}"
    yield f"python   {platform.python_implementation()} {platform.python_version()}"
    yield f"sqlite   {sqlite3.sqlite_version}, journal_mode={journal}, synchronous={synchronous}, files in {place}"


def processor() -> str:
    """The name of the processor, as well as this system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except FileNotFoundError:  # not Linux
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def line(figure: Figure) -> str:
    """One figure as it is printed: name, value, unit, bound, `holds` or `short`."""
    bound = "-" if figure.bound is None else f"{figure.direction} {figure.bound:,.4g}"
    verdict = "holds" if figure.holds else "short"
    return f"{figure.name:<64} {figure.value:>10,.4g} {figure.unit:<14} {bound:>12}  {verdict}"


def run(names: Sequence[str]) -> int:
    """Run the named benchmarks and return the exit status."""
    for fact in machine():
        print(fact, flush=True)
    short = count = 0
    for name in names:
        for figure in import_module(f"{benchmarks.__name__}.{PREFIX}{name}").figures():
            print(line(figure), flush=True)
            count += 1
            short += not figure.holds
    print(f"{count} figures, {short} short")
    return 0 if count and not short else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line: no name means all."""
    known = available()
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure, and compare with bare floors.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known) or 'none yet'}")
    names = parser.parse_args(arguments).names or known
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no benchmark {', '.join(unknown)}: want some of {', '.join(known)}")
    return run(names)


if __name__ == "__main__":
    sys.exit(main())
