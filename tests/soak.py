"""Loaded by `make soak`: writes what ran, for how long and how it ended to benchmarks/soak.md, which is committed.

A whole run takes hours. `make soak ARGS="-k vault"` runs a part of it: then the table keeps what it says of the others.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

TABLE = Path(__file__).resolve().parent.parent / "benchmarks" / "soak.md"

_ROW = re.compile(r"\| `(?P<test>.+)` \| (?P<date>\S+) \| (?P<seconds>\S+) \| (?P<outcome>\S+) \|")


class Row(NamedTuple):
    test: str
    date: str
    seconds: str
    outcome: str

    def __str__(self) -> str:
        return f"| `{self.test}` | {self.date} | {self.seconds} | {self.outcome} |"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    today = f"{dt.datetime.now(dt.UTC).date()}"
    rows = [
        Row(report.nodeid.removeprefix("tests/"), today, f"{report.duration:,.1f}", report.outcome)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if report.when == "call"
    ]
    if not rows:
        return
    options = terminalreporter.config
    part = options.option.keyword or list(options.args) != list(options.getini("testpaths"))
    known = {row.test: row for row in (read(TABLE.read_text("utf-8")) if part else [])}
    known |= {row.test: row for row in rows}
    TABLE.write_text(table(known.values()), "utf-8")
    terminalreporter.write_line(f"wrote {TABLE}")


def read(text: str) -> list[Row]:
    """The rows of a table."""
    return [Row(**found.groupdict()) for found in map(_ROW.fullmatch, text.splitlines()) if found]


def table(rows: Iterable[Row]) -> str:
    """All of it, in the order of the tests."""
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [
        "# Last long runs",
        "",
        f"`make soak`: {where}, {settings().max_examples:,} examples for each property. Of each test its last run.",
        "",
        "| test | date | seconds | outcome |",
        "|---|---|---:|---|",
        *map(str, sorted(rows)),
    ]
    return "\n".join(lines) + "\n"
