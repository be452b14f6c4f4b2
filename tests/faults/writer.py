"""A process that appends until it is killed, and prints what it was promised: python writer.py URL PUBLIC NAME."""

from __future__ import annotations

import sys

from adapters.files import Directory
from adapters.sql.store import SqlStore
from ledger import Log, Row, SigningKey

KEY = SigningKey("market.example/log", bytes(range(32)))


def main(url: str, public: str, name: str, most: str = "1000000") -> None:
    log = Log.open(SqlStore(url), KEY, publish=[Directory(public)] if public else [], window=0.005)
    for i in range(int(most)):
        number = 1 + i % 40
        first = log.extend([Row(f"{name} {i} {n}".encode(), b"") for n in range(number)])
        print(first, number, i, flush=True)  # noqa: T201 - to the test that started it
        if public and i % 3 == 0:
            log.publish()


if __name__ == "__main__":
    main(*sys.argv[1:])
