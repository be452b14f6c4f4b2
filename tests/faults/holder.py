"""Somebody who holds or erases what others erase or hold: python holder.py URL FOLDER hold|erase TARGET,…"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from adapters import connect
from provenance import EventRejected


def main(url: str, folder: str, act: str, targets: str) -> None:
    keys = {name: f"file:{folder}/keys/{name}" for name in ("log", "market", "claim")}
    clock = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)  # what the tests' own ledger began with
    ledger = connect(url, keys=keys, publish=f"{folder}/public", clock=lambda: clock)
    engine = create_engine(url, poolclass=NullPool)
    for target in targets.split(","):
        try:
            if act == "hold":
                with engine.begin() as connection:
                    ledger.hold(target, ground="dispute", session=connection)
                word = "held"
            else:
                done = ledger.erase(target)
                word = "erased" if done.ticket else "held" if done.kept else "late"
        except EventRejected as error:
            if {reason.rule for reason in error.reasons} != {"hold.erased"}:
                raise
            word = "late"
        print(word, target, flush=True)  # noqa: T201 - to the test that started it


if __name__ == "__main__":
    main(*sys.argv[1:])
