"""A market in a folder of its own: a ledger on SQLite, a published log, parties, works, a clock that stands still."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from adapters import connect, create, open_log
from provenance import History, ProvenanceLedger, Ticket

ORIGIN = "test.market.example/log"


@dataclass
class Clock:
    """A clock that moves only when told to."""

    now: datetime = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Market:
    """Everything a test asks for."""

    root: Path
    ledger: ProvenanceLedger
    clock: Clock
    engine: Engine
    ada: Ticket
    bo: Ticket
    files: list[Path] = field(default_factory=list)

    def file(self, content: bytes, name: str = "") -> Path:
        path = self.root / (name or f"file{len(self.files)}.bin")
        path.write_bytes(content)
        self.files.append(path)
        return path

    def work(self, content: bytes = b"some bytes", **details: object) -> Ticket:
        return self.ledger.create(self.file(content), creators=[self.ada], **details)  # type: ignore[arg-type]

    def reopen(self) -> ProvenanceLedger:
        self.ledger = connect(self.url, publish=self.public, clock=self.clock)
        return self.ledger

    @property
    def url(self) -> str:
        return f"sqlite:///{self.root / 'market.db'}"

    @property
    def public(self) -> Path:
        return self.root / "public"

    def history(self) -> History:
        return History.read(open_log(self.public, self.ledger.log.policy))


@pytest.fixture
def market(tmp_path: Path) -> Market:
    clock = Clock()
    url = f"sqlite:///{tmp_path / 'market.db'}"
    ledger = create(url, origin=ORIGIN, publish=tmp_path / "public", market_name="Test Market", clock=clock)
    ada = ledger.register_party("person", name="Ada", ref="user:1")
    bo = ledger.register_party("person", name="Bo", ref="user:2")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sales (id INTEGER PRIMARY KEY)"))
    return Market(tmp_path, ledger, clock, engine, ada, bo)
