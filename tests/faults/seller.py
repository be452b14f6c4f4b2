"""A market that sells until it is killed: python seller.py URL PUBLIC FIRST WORK."""

from __future__ import annotations

import sys

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from adapters import connect


def main(url: str, public: str, first: str, work: str) -> None:
    ledger = connect(url, publish=public)
    engine = create_engine(url)
    for order in range(int(first), int(first) + 1_000_000):
        with Session(engine) as session:
            session.execute(text("INSERT INTO sales VALUES (:id)"), {"id": order})
            ledger.offer(work, terms="CC-BY-4.0", ref=f"order:{order}", session=session)
            if order % 7 == 0:
                session.rollback()
                continue
            session.commit()
        print(order, flush=True)  # noqa: T201 - to the test that started it
        if order % 3 == 0:
            ledger.publish()


if __name__ == "__main__":
    main(*sys.argv[1:])
