"""What every command shares: where output goes, what an error says, how long work shows that it goes on."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ledger.errors import (
    LedgerError,
    NotFound,
    Overloaded,
    QuorumNotMet,
    Unavailable,
    UnknownKey,
)
from provenance.errors import MissingExtra
from provenance.report import safe_text
from provenance.verdict import Record

__all__ = [
    "ALTERED",
    "CANNOT_CHECK",
    "INTACT",
    "WRONG_USE",
    "NoPolicy",
    "aged",
    "command",
    "echo",
    "fail",
    "flush",
    "grouped",
    "help_alone",
    "progress",
    "show",
    "status_of",
    "width",
    "working",
]

INTACT, ALTERED, CANNOT_CHECK, WRONG_USE = 0, 1, 2, 3

_RECORDS: dict[Record, int] = {"intact": INTACT, "altered": ALTERED, "cannot check": CANNOT_CHECK}
_UNCHECKED = (NotFound, Unavailable, Overloaded, QuorumNotMet, MissingExtra)
_WIDEST = 100

ShowProgress = Callable[[str, int, int], None]


class NoPolicy(UnknownKey):
    """The user has accepted no policy that covers this log."""


def status_of(outcome: Record | LedgerError) -> int:
    """The exit status for a verdict or an error."""
    if isinstance(outcome, str):
        return _RECORDS[outcome]
    return CANNOT_CHECK if isinstance(outcome, (*_UNCHECKED, NoPolicy)) else ALTERED


def echo(text: str) -> None:
    """One line or more of data. A reader who has seen enough (`| head`) ends the output, never the command."""
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        _write_nowhere()


def flush() -> None:
    """Hand over what was echoed, while an error can still be told."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere()


def show(value: dict[str, Any], *, as_json: bool, text: str) -> None:
    """The same answer as JSON or as text."""
    echo(json.dumps(value, indent=2, ensure_ascii=False) if as_json else text)


def fail(message: str) -> None:
    """One line on standard error."""
    line = " ".join(safe_text(line.strip(), limit=2_000) for line in message.splitlines() if line.strip())
    sys.stderr.write(f"provenance: {line}\n")


def help_alone(context: typer.Context) -> None:
    """What can be typed, on standard error, when nothing of it was."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(WRONG_USE)


def width() -> int:
    """Columns that a report may take: those of the terminal, at most 100; 100 too where output is no terminal."""
    return min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)


def command(*words: str) -> str:
    """A `provenance` command as it can be pasted into a shell."""
    return shlex.join(["provenance", *words])


@contextmanager
def progress() -> Iterator[ShowProgress]:
    """Bars on standard error, for work that takes longer than a moment; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield step


@contextmanager
def working(what: str) -> Iterator[None]:
    """A moving bar with the time so far, for work whose length is not known."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bars.add_task(safe_text(what, limit=60).replace("[", r"\["), total=None)
        yield


def grouped(value: int) -> str:
    """`120 884`."""
    return f"{value:,}".replace(",", " ")


def aged(seconds: float) -> str:
    """`4.0 s`, `12 min`, `3 d`."""
    seconds = max(0.0, seconds)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _write_nowhere() -> None:
    """Let the rest of the output, and what the interpreter flushes at its end, go to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
