"""A small market for tests: a work on offer, and sales in transactions of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from adapters import connect, create, open_log
from adapters.files import Directory
from adapters.objects import Bucket
from ledger import Client, Policy, fsck
from provenance import Money, ProvenanceLedger, audit

PRICE = Money(100, "EUR")


class Shop:
    """Made where `where` says, which is what `adapters.connect` takes."""

    def __init__(self, folder: Path, **where: Any) -> None:
        self.folder = folder
        self.where = {**where, "keys": {name: f"file:{folder / name}" for name in ("log", "market", "claim")}}
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.engine: Engine = create_engine(where["database"])
        self.sold: set[str] = set()
        (folder / "work.bin").write_bytes(b"a work")
        self.ledger: ProvenanceLedger = create(**self.where, origin="sales.example/log", clock=self._clock)
        buyer = self.ledger.register_party("person")
        work = self.ledger.create(folder / "work.bin", creators=[buyer])
        self.sale = (work.id, self.ledger.offer(work, terms="LicenseRef-one", price=PRICE).id, buyer.id)
        self.policy: Policy = self.ledger.log.policy
        with self.engine.begin() as connection:
            connection.execute(text("CREATE TABLE sales (id VARCHAR(40) PRIMARY KEY)"))

    def _clock(self) -> datetime:
        return self.now()

    def sell(self, order: str, ledger: ProvenanceLedger | None = None) -> None:
        """Raises what staging raises; then there is no sale."""
        work, offer, buyer = self.sale
        with Session(self.engine) as session:
            session.execute(text("INSERT INTO sales VALUES (:id)"), {"id": order})
            (ledger or self.ledger).license(work, to=buyer, offer=offer, price=PRICE, ref=order, session=session)
            session.commit()
        self.sold.add(order)

    def reopen(self, **changed: Any) -> ProvenanceLedger:
        """As after a restart."""
        self.close()
        self.ledger = connect(**{**self.where, **changed}, clock=self._clock)
        return self.ledger

    def close(self) -> None:
        """Give every connection back."""
        self.ledger._queue._store.close()
        self.engine.dispose()

    @property
    def published(self) -> Client:
        """As a stranger reads it."""
        place = self.where.get("publish", self.where.get("objects"))
        if isinstance(place, (str, Path)):
            place = Bucket.open(place) if "://" in str(place) else Directory(place)
        return open_log(place, self.policy)

    def check(self) -> None:
        """Everything accepted is published, once, and whole."""
        self.ledger.publish()
        assert self.ledger.waiting == 0
        with self.engine.connect() as connection:
            sales = {row.id for row in connection.execute(text("SELECT id FROM sales"))}
        assert sales == self.sold
        grants = [entry.event_id.hex() for entry in self.ledger.index.of_type("grant.issue")]
        assert sorted(grants) == sorted(self.ledger.find(order).id for order in sales)
        log = self.published
        assert fsck(log) == log.latest().size == self.ledger.index.size
        assert audit(log).record == "intact"
