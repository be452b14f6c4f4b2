"""Loaded by `make soak`: writes what ran, for how long and how it ended to benchmarks/soak.md, which is committed."""

from __future__ import annotations

import datetime as dt
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

TABLE = Path(__file__).resolve().parent.parent / "benchmarks" / "soak.md"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if report.when == "call"
    ]
    if not reports:
        return
    today = dt.datetime.now(dt.UTC).date()
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [
        "# Last long run",
        "",
        f"`make soak` on {today}, {where}, {settings().max_examples:,} examples for each property.",
        "",
        "| test | seconds | outcome |",
        "|---|---:|---|",
        *(
            f"| `{report.nodeid.removeprefix('tests/')}` | {report.duration:,.1f} | {report.outcome} |"
            for report in sorted(reports, key=lambda report: report.nodeid)
        ),
    ]
    TABLE.write_text("\n".join(lines) + "\n", "utf-8")
    terminalreporter.write_line(f"wrote {TABLE}")
