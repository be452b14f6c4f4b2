"""Commands of a running market: where the ledger stands, the worker, and rows against events."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from adapters.cli.output import ALTERED, INTACT, aged, command, echo, fail, grouped, show, width, working
from adapters.cli.where import AsJson, Where, WithoutQuorum, at_ledger
from adapters.locations import database_url
from ledger.errors import LedgerError, Unavailable
from ledger.rounds import Report
from provenance.erasures import ERASURE
from provenance.health import Check, Health, Standing, Status
from provenance.reconcile import Counts, Reconciliation, reconcile

__all__ = ["add_to", "settled", "signals"]

MARKS: dict[Status, str] = {"ok": "■", "degraded": "□", "bad": "✕"}
_COLORS = {"■": "green", "□": "yellow", "✕": "red"}
_BAR = 15  # squares
_LOOK = 0.25  # seconds between looks at whether a signal came
_MOST_ROWS = 5_000  # fetched at once


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for verb in (status, worker):
        app.command(verb.__name__)(at_ledger(verb))
    app.command("reconcile")(at_ledger(reconcile_))


def status(*, where: Where, as_json: AsJson = False) -> int:
    """Where the ledger stands, on one screen; 1 if something is bad. Needs no key."""
    ledger = where.open(signs=False)
    health = ledger.health()
    try:
        stands = ledger.standing()
        since = ledger.index.first_since(f"{health.at[:10]}T00:00:00Z")
        today = ledger.index.counts(since)
    except LedgerError:  # said by a check
        stands, today = None, {}
    report = ledger.fsck_report()
    due = ledger.scrub_due() if health.ready else None
    value = {
        "origin": ledger.origin,
        "status": health.status,
        "live": health.live,
        "ready": health.ready,
        "at": health.at,
        **({} if stands is None else stands._asdict()),
        "today": today,
        "fsck": None if report is None else asdict(report),
        "scrub_due": due,
        "checks": [asdict(check) for check in health.checks],
    }
    lines = [
        *([] if stands is None else [_first(ledger.origin, stands, health)]),
        *_flowed(" today      ", [f"{kind} {grouped(count)}" for kind, count in today.items()] or ["nothing yet"]),
        f" fsck       {_progress(report, health, 0 if stands is None else stands.size)}",
        *(
            [f" scrub      {due} erasures since the last one □ bytes may lie on in files · `provenance scrub`"]
            if due
            else []
        ),
        *_needs(health),
        f"next: {_next(health, where)}",
    ]
    if as_json:
        show(value, as_json=True, text="")
    else:
        _colored("\n".join(lines))
    return ALTERED if health.status == "bad" else INTACT


def worker(
    window: Annotated[float, typer.Option("--window", min=0.05, help="seconds between checkpoints")] = 1.0,
    *,
    where: Where,
    without_quorum: WithoutQuorum = False,
) -> int:
    """Sequence and publish until SIGTERM or Ctrl-C. Then publish what was accepted, and end."""
    ledger = where.open(without_quorum=without_quorum)
    with signals() as came, settled():
        running = ledger.worker(window=window).start()
        fail(f"{ledger.origin}: sequencing and publishing every {window:g} s; end with SIGTERM or Ctrl-C")
        while not came and not running.wait(_LOOK):
            pass
        running.stop()
    echo(f"{ledger.origin} published at size {ledger.log.checkpoint.size}\nnext: {command('status', *where.options)}")
    return INTACT


def reconcile_(
    query: Annotated[
        str,
        typer.Option("--query", help="SQL that returns for each row its ref [and event id]", metavar="SQL"),
    ],
    verb: Annotated[str | None, typer.Option("--verb", help="only what this verb recorded, such as license")] = None,
    engine_url: Annotated[
        str | None, typer.Option("--engine-url", help="where to run it [default: --db]", metavar="FILE|URL")
    ] = None,
    first: Annotated[int, typer.Option("--first", min=0, help="how many of each kind to show")] = 20,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Find rows without event and events without row. Reads only; 1 if there are any."""
    ledger = where.open(signs=False)
    with (
        working("comparing"),
        _refs(engine_url or where.db, query) as refs,
        reconcile(ledger, refs, verb=verb) as found,
    ):
        counts = found.counts
        shown = _shown(found, first)
        erasures = ledger.counts().get(ERASURE, 0)
    value = {"equal": counts.equal, **asdict(counts), **shown}
    mark = MARKS["ok" if counts.equal else "bad"]
    rows = f"{grouped(counts.rows)} rows" + (f" with {grouped(counts.refs)} refs" if counts.refs != counts.rows else "")
    waiting = f" ({grouped(counts.waiting)} still waiting)" if counts.waiting else ""
    lines = [
        f"{rows} {'=' if counts.equal else '≠'} {grouped(counts.events)} events{waiting} {mark}",
        f"rows without an event {grouped(counts.rows_without_event)}",
        *(f" ✕ {ref}" for ref in shown["no_event"]),
        *_more(counts.rows_without_event, first),
        *_erased(counts, shown["erased"], first, erasures),
        f"events without a row  {grouped(counts.events_without_row)}",
        *(f" ✕ {e['ref']}   {e['verb']} {e['event']}{'   waits' if e['waits'] else ''}" for e in shown["no_row"]),
        *_more(counts.events_without_row, first),
    ]
    if counts.equal:
        next_ = command("status", *where.options)
    else:
        next_ = "record what is missing with the ref of its row; ask who deleted the rows whose events are there"
    if as_json:
        show(value, as_json=True, text="")
    else:
        _colored("\n".join([*lines, f"next: {next_}"]))
    return INTACT if counts.equal else ALTERED


def _first(origin: str, stands: Standing, health: Health) -> str:
    age = "never" if stands.published is None else f"{aged(stands.published)} old"
    oldest = f" (oldest {aged(stands.oldest)})" if stands.oldest is not None else ""
    return (
        f" {origin}   size {grouped(stands.size)}   checkpoint {age} {_mark(health, 'checkpoint', 'published')}   "
        f"queue {grouped(stands.waiting)}{oldest} {_mark(health, 'queue', 'oldest event', 'worker')}   "
        f"index −{grouped(stands.index_behind)} {_mark(health, 'index')}"
    )


def _progress(report: Report | None, health: Health, size: int) -> str:
    if report is None:
        return f"never ran {_mark(health, 'fsck')}"
    parts = []
    if not report.now.ended:
        at = report.position if report.step == "entries" and isinstance(report.position, int) else 0
        done = min(1.0, at / size) if size else 0.0
        full = round(done * _BAR)
        parts.append(
            f"{'█' * full}{'░' * (_BAR - full)} {done * 100:.0f} % of {grouped(size)}, step {report.step or 'head'}"
        )
    parts.append(f"last full pass {report.last.ended}" if report.last else "no full pass yet")
    found = max(report.now.found, report.last.found if report.last else 0)
    return f"{', '.join(parts)}, faults {found} {_mark(health, 'fsck')}"


def _flowed(head: str, words: list[str]) -> list[str]:
    """Words side by side, in as many lines as the terminal needs."""
    lines = [head]
    for word in words:
        if len(lines[-1]) > len(head) and len(lines[-1]) + len(word) > width():
            lines.append(" " * len(head))
        lines[-1] += word + "   "
    return [line.rstrip() for line in lines]


def _needs(health: Health) -> Iterator[str]:
    for number, check in enumerate(health.needs):
        fix = f" · `{check.fix}`" if check.fix.startswith("provenance ") else f" · {check.fix}" if check.fix else ""
        lead = " needs you  " if number == 0 else "            "
        yield f"{lead}{MARKS[check.status]} {check.name}: {check.sentence}{fix}"
    if health.needs and health.ready:
        yield "            sales go on; what is late are proofs, the index or checks"


def _next(health: Health, where: Where) -> str:
    for check in health.needs:
        if check.fix.startswith("provenance "):
            return where.leading(check.fix)
    if health.needs:
        return command("doctor", *where.options)
    return command("audit", where.read_at, *where.reading[2:])


def _mark(health: Health, *names: str) -> str:
    found = {check.status for check in health.checks if _is_one(check, names)}
    return MARKS["bad" if "bad" in found else "degraded" if "degraded" in found else "ok"]


def _is_one(check: Check, names: tuple[str, ...]) -> bool:
    return check.name in names or check.name.rpartition(" ")[0] in names


def _colored(lines: str) -> None:
    """Shapes say it; where there are colors, they say it again."""
    console = Console()
    if console.color_system is None:
        echo(lines)
        return
    styled = Text(lines)
    for mark, color in _COLORS.items():
        styled.highlight_words([mark], style=color)
    console.print(styled, soft_wrap=True)


def _shown(found: Reconciliation, first: int) -> dict[str, list[Any]]:
    return {
        "no_event": list(islice(found.rows_without_event(), first)),
        "erased": list(islice(found.rows_erased(), first)),
        "no_row": [named._asdict() for named in islice(found.events_without_row(), first)],
    }


def _erased(counts: Counts, shown: list[str], first: int, erasures: int) -> list[str]:
    """Rows whose names were erased, and what may be one of them as far as anybody can tell."""
    lines = []
    if counts.rows_erased:
        lines = [f"rows with an erased name {grouped(counts.rows_erased)}   theirs is yours to erase, too"]
        lines += [f" □ {ref}" for ref in shown]
        lines += _more(counts.rows_erased, first)
    if counts.rows_without_event and erasures:
        lines += [
            f"   {grouped(erasures)} erasures so far: some may be erased names, which nothing tells from unknown ones;",
            "   let the query return the event id as well, where the row keeps it",
        ]
    return lines


def _more(number: int, first: int) -> list[str]:
    return [f" … and {grouped(number - first)} more: --first {number}"] if number > first else []


@contextmanager
def _refs(url: str, query: str) -> Iterator[Iterator[Any]]:
    """The ref, and the event id where there is one, of each row of the market, in a transaction that cannot write."""
    try:
        engine = create_engine(database_url(url), hide_parameters=True)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        msg = f"--engine-url: {error}"
        raise typer.BadParameter(msg) from error
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only=ON")
            elif engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            # Nothing in the query is a parameter: 'order:7731' is text.
            statement = text(query.replace(":", "\\:"))
            rows = connection.execution_options(yield_per=_MOST_ROWS).execute(statement)
            yield (tuple(row[:2]) if len(row) > 1 else row[0] for row in rows)
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()
        msg = f"--query: {said[0] if said else type(error).__name__}"
        raise Unavailable(msg) from error
    finally:
        engine.dispose()


@contextmanager
def settled() -> Iterator[None]:
    """Take what is loaded by now for permanent: else each batch has Python look through all of it for garbage."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def signals() -> Iterator[list[int]]:
    """The signals that asked us to end, as they come; the handlers of before are put back."""
    came: list[int] = []
    asked = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in asked}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
