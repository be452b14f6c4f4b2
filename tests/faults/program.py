"""The program of the fault table: four sales in the market's own transactions, sequenced and published.

Its log is short of a full bundle before, so that there is every kind of write. `meeting(fault)` makes one write of it
fail: nothing happens (`lost`), it happens and says that it failed (`reply lost`), or the process is killed before or
after. `python program.py` starts such processes for the lines of JSON that it reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import psycopg
from sqlalchemy import Engine, create_engine, event, exc, text
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Session

import adapters.sql.postgres
from adapters import connect
from adapters.files import Directory
from adapters.hand_over import hand_over
from adapters.objects import Bucket
from ledger.errors import LedgerError, Unavailable
from provenance import Money, ProvenanceLedger
from provenance.index import bulk

OUTCOMES = ("lost", "reply lost", "killed before", "killed after")
PRICE = Money(100, "EUR")


class Write(NamedTuple):
    """The `nth` write of that name."""

    name: str
    nth: int


class Fault(NamedTuple):
    write: Write
    outcome: str


class _Meeting:
    """Counts writes; does to one of them what the fault says."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault
        self.writes: list[Write] = []
        self.met = False
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def comes(self, name: str) -> str:
        """What is to become of this write."""
        with self._lock:
            write = Write(name, self._seen[name])
            self._seen[name] += 1
            self.writes.append(write)
        if self.fault is None or write != self.fault.write:
            return ""
        self.met = True
        if self.fault.outcome == "killed before":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.fault.outcome

    def went(self) -> None:
        if self.fault is not None and self.fault.outcome == "killed after":
            os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def meeting(fault: Fault | None) -> Iterator[_Meeting]:
    """Between the code and every storage, for as long as the `with` block runs."""
    met = _Meeting(fault)
    statements: dict[int, str] = {}
    thread = threading.local()

    def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip()[:6].upper() in {"INSERT", "UPDATE", "DELETE", "WITH N"}:
            name = _named(statement)
            thread.began = getattr(thread, "began", "") or name
            outcome = statements[id(cursor)] = met.comes(name)
            if outcome == "lost":
                raise _database_error(connection.dialect)

    def after(connection: Any, cursor: Any, *_: Any) -> None:
        outcome = statements.pop(id(cursor), "")
        if outcome == "reply lost":
            raise _database_error(connection.dialect)
        if outcome:
            met.went()

    def do_commit(dialect: Any, connection: Any, commit: Callable[..., None] = DefaultDialect.do_commit) -> None:
        began, thread.began = getattr(thread, "began", ""), ""
        outcome = met.comes(f"COMMIT after {began}") if began else ""
        if outcome == "lost":
            connection.rollback()
            raise _driver_error(dialect)
        commit(dialect, connection)
        if outcome == "reply lost":
            raise _driver_error(dialect)
        if outcome:
            met.went()

    def copy(connection: Any, table: Any, *rest: Any, act: Callable[..., None] = bulk._copy) -> None:
        name = f"COPY {table.name}"
        thread.began = getattr(thread, "began", "") or name
        outcome = met.comes(name)
        if outcome == "lost":
            raise _database_error(connection.dialect)
        act(connection, table, *rest)
        if outcome == "reply lost":
            raise _database_error(connection.dialect)
        if outcome:
            met.went()

    with contextlib.ExitStack() as stack:
        for name, listener in (("before_cursor_execute", before), ("after_cursor_execute", after)):
            event.listen(Engine, name, listener)
            stack.callback(event.remove, Engine, name, listener)
        stack.enter_context(patch.object(DefaultDialect, "do_commit", do_commit))
        stack.enter_context(patch.object(bulk, "_copy", copy))
        for kind in (Directory, Bucket):
            for verb in ("put", "replace", "discard", *(("create", "swap") if kind is Bucket else ())):
                stack.enter_context(patch.object(kind, verb, _through(met, kind, verb)))
        yield met


def _through(met: _Meeting, kind: type, verb: str) -> Callable[..., None]:
    act = getattr(kind, verb)

    def call(store: Any, *arguments: Any) -> None:
        if verb == "discard" and not arguments:
            return
        outcome = met.comes(f"{verb} {re.sub('-[0-9a-f]{64}', '', str(arguments[0]))}")
        if outcome == "lost":
            if verb != "discard":  # a hint may be lost unheard
                msg = f"{verb} {arguments[0]}: not written"
                raise Unavailable(msg)
            return
        act(store, *arguments)
        if outcome == "reply lost" and verb != "discard":
            msg = f"{verb} {arguments[0]}: reply lost"
            raise Unavailable(msg)
        if outcome:
            met.went()

    return call


def _named(statement: str) -> str:
    found = re.match(r"\s*(\w+(?: INTO| FROM)?) (?:\"?\w+\"?\.)?\"?(\w+)", statement)
    assert found, statement
    if found[1] == "WITH":
        return "INSERT INTO provenance_refs, provenance_queue"
    return f"{found[1]} {found[2]}"


def _driver_error(dialect: Any) -> Exception:
    said = "disk I/O error" if dialect.name == "sqlite" else "server closed the connection unexpectedly"
    return (sqlite3.OperationalError if dialect.name == "sqlite" else psycopg.OperationalError)(said)


def _database_error(dialect: Any) -> Exception:
    return exc.OperationalError("", None, _driver_error(dialect))


# The program


def open_ledger(settings: dict[str, Any]) -> ProvenanceLedger:
    return connect(**place_of(settings))


def place_of(settings: dict[str, Any]) -> dict[str, Any]:
    """What `connect` takes."""
    where = dict(settings["connect"])
    if "checkpoints" in where:
        where["checkpoints"] = Bucket.open(where["checkpoints"])
    return {**where, "clock": lambda: datetime.now(UTC) + timedelta(hours=1)}  # a log time is due


def close(ledger: ProvenanceLedger) -> None:
    ledger._queue._store.close()


@contextlib.contextmanager
def market_engine(settings: dict[str, Any]) -> Iterator[Engine]:
    engine = create_engine(settings["connect"]["database"])
    try:
        yield engine
    finally:
        engine.dispose()


def sell(ledger: ProvenanceLedger, engine: Engine, settings: dict[str, Any], order: str) -> None:
    """A sale with its event, which is sealed, in one transaction of the market's; then a line that says so."""
    work, offer, buyer = settings["sale"]
    with Session(engine) as session:
        session.execute(text("INSERT INTO sales VALUES (:id)"), {"id": order})
        ledger.license(work, to=buyer, offer=offer, price=PRICE, ref=order, session=session)
        ledger.offer(work, terms="CC0-1.0", ref=order, session=session)
        session.commit()
    with Path(settings["said"]).open("a") as said:
        said.write(f"{order}\n")


def run(settings: dict[str, Any], orders: list[str]) -> None:
    """Ends with the first error, as the fault wants it. With "to" among the settings, the log's keys change."""
    if "to" in settings:
        hand_over(**place_of(settings), to=settings["to"])
        return
    ledger = open_ledger(settings)
    try:
        with market_engine(settings) as engine:
            for order in orders:
                sell(ledger, engine, settings, order)
        ledger.sequence_once()
        ledger.publish_once()
    finally:
        close(ledger)


def main() -> None:
    assert adapters.sql.postgres  # loaded here, once
    for line in sys.stdin:
        settings, orders, (write, outcome) = json.loads(line)
        process = os.fork()
        if not process:
            with contextlib.suppress(LedgerError, exc.DBAPIError), meeting(Fault(Write(*write), outcome)):
                run(settings, orders)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - to the test that started it


if __name__ == "__main__":
    main()
