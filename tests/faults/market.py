"""A market that sells until it is killed. Nothing in it knows which storage it runs on.

`python market.py SETTINGS` imports everything once and then starts a process for each line it reads, `ROLE NAME`; it
prints the process's id. SETTINGS is JSON: what `adapters.connect` takes, and the folder for what is acknowledged.

Roles: `sell` has four writers that sell in the market's own transaction and hold no key; `shop` has four that also
publish now and then; `sequence` moves events into the log. Eight writers are one of each of the first two.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import adapters.sql.postgres
from adapters import connect
from ledger import LedgerError
from provenance import Money, ProvenanceLedger

WRITERS = 4
PRICE = Money(100, "EUR")


def open_market(settings: dict[str, Any], *, signs: bool) -> ProvenanceLedger:
    return connect(**settings["connect"], signs=signs)


def close(ledger: ProvenanceLedger) -> None:
    ledger._queue._store.close()


def own_engine(settings: dict[str, Any]) -> Engine:
    """The market's own, which we know nothing about."""
    url = settings["connect"]["database"]
    return create_engine(url, connect_args={"timeout": 30} if url.startswith("sqlite") else {}, pool_pre_ping=True)


def sell(settings: dict[str, Any], name: str, *, publishes: bool) -> None:
    """Four writers; each says what it sold only after the commit."""
    ledger = _patiently(lambda: open_market(settings, signs=publishes))
    engine = own_engine(settings)
    work, offer, buyer = (settings["sale"][part] for part in ("work", "offer", "buyer"))
    said = os.open(Path(settings["folder"]) / f"{name}.sold", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(writer: int) -> None:
        for number in range(1_000_000):
            order = f"{name}-{writer}-{number}"
            with contextlib.suppress(LedgerError, DBAPIError), Session(engine) as session:
                session.execute(text("INSERT INTO sales VALUES (:id)"), {"id": order})
                ledger.license(work, to=buyer, offer=offer, price=PRICE, ref=f"order:{order}", session=session)
                if number % 9 == 8:
                    session.rollback()
                    continue
                session.commit()
                os.write(said, f"{order}\n".encode())
            if publishes and number % 16 == 15:
                with contextlib.suppress(LedgerError):
                    ledger.publish()

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def sequence(settings: dict[str, Any]) -> None:
    """A worker, begun again whenever it ends."""
    while True:
        with contextlib.suppress(LedgerError):
            ledger = open_market(settings, signs=True)
            try:
                ledger.worker(window=0.1).run()
            finally:
                close(ledger)
        time.sleep(0.05)


def _patiently(act: Any) -> Any:
    while True:
        try:
            return act()
        except LedgerError:
            time.sleep(random.uniform(0, 0.1))


def _start(settings: dict[str, Any], role: str, name: str) -> int:
    process = os.fork()
    if process:
        return process
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(Path(settings["folder"]) / f"{name}.log", os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(log, stream)
        if role == "sequence":
            sequence(settings)
        sell(settings, name, publishes=role == "shop")
    except BaseException:
        import traceback

        traceback.print_exc()
        raise
    finally:
        os._exit(1)


def main(settings: dict[str, Any]) -> None:
    assert adapters.sql.postgres  # loaded here, once
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who are killed
    started = []
    try:
        for line in sys.stdin:
            role, name = line.split()
            started.append(_start(settings, role, name))
            print(started[-1], flush=True)  # noqa: T201 - to the test that started it
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
