"""The same market program on SQLite, PostgreSQL, and PostgreSQL + S3, killed at random while eight writers write.

After every kill it is opened again, and whoever audits what is published finds it intact; there is an event for every
sale, a sale for every event, each once.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from adapters import create, open_log
from adapters.objects import Bucket
from ledger import fsck
from provenance import audit
from tests.faults.market import PRICE, close, open_market, own_engine

MARKET = Path(__file__).with_name("market.py")
SEED = os.environ.get("PROVENANCE_KILL_SEED")
ROLES = {"web": "sell", "shop": "shop", "sequencer": "sequence"}


class _Market:
    """The running program, and what it has promised."""

    def __init__(self, root: Path, folder: Path, **where: Any) -> None:
        self.folder = folder
        self.keys = {name: f"file:{folder / name}" for name in ("log", "market", "claim")}
        self.settings = {"connect": {**where, "keys": self.keys}, "folder": str(folder), "sale": {}}
        self.read_from = where.get("publish") or where["objects"]
        self._root = root
        self._checked: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        (self.folder / "work.bin").write_bytes(b"a work")
        ledger = create(**self.settings["connect"], origin="sales.example/log", market_name="M")
        buyer = ledger.register_party("person")
        work = ledger.create(self.folder / "work.bin", creators=[buyer])
        offer = ledger.offer(work, terms="LicenseRef-one", price=PRICE)
        self.settings["sale"] = {"work": work.id, "offer": offer.id, "buyer": buyer.id}
        self.policy = ledger.log.policy
        close(ledger)
        engine = own_engine(self.settings)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE sales (id VARCHAR(80) PRIMARY KEY)"))
        engine.dispose()

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[str, str], int]]:
        """Starts processes: called with a role and a name, it returns the process's id."""
        arguments = [sys.executable, str(MARKET), json.dumps(self.settings)]
        paths = os.pathsep.join([str(self._root), os.environ.get("PYTHONPATH", "")])
        with subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        ) as nursery:
            assert nursery.stdin is not None
            assert nursery.stdout is not None

            def start(role: str, name: str) -> int:
                print(role, name, file=nursery.stdin, flush=True)
                return int(nursery.stdout.readline())

            yield start
            nursery.stdin.close()

    def sold(self) -> set[str]:
        """What was acknowledged; a line that was cut was not."""
        lines = [path.read_text().splitlines(keepends=True) for path in self.folder.glob("*.sold")]
        return {line.strip() for part in lines for line in part if line.endswith("\n")}

    def wait_for(self, more: int) -> None:
        """Until that many sales more are acknowledged."""
        want, limit = len(self.sold()) + more, time.monotonic() + 60
        while len(self.sold()) < want:
            assert time.monotonic() < limit, f"only {len(self.sold())} of {want} sales after a minute\n{self._logs()}"
            time.sleep(0.005)  # between two looks

    def check(self) -> int:
        """Open it again and audit it as a stranger; the number of sales."""
        ledger = open_market(self.settings, signs=True)
        ledger.publish()
        engine = own_engine(self.settings)
        with engine.connect() as connection:
            sales = {row.id for row in connection.execute(text("SELECT id FROM sales"))}
        engine.dispose()
        assert self.sold() <= sales
        grants = [entry.event_id.hex() for entry in ledger.index.of_type("grant.issue")]
        assert len(grants) == len(set(grants)) == len(sales)
        for order in sales - self._checked:
            assert ledger.find(f"order:{order}").id in grants
        self._checked |= sales
        place = self.read_from if "://" not in self.read_from else Bucket.open(self.read_from)
        log = open_log(place, self.policy)
        assert log.latest().size == ledger.index.size
        assert fsck(log) == ledger.index.size
        report = audit(log)
        assert report.record == "intact"
        assert report.counts.get("grant.issue", 0) == len(sales)
        assert ledger.waiting == 0
        close(ledger)
        return len(sales)

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))


def _kill(process: int) -> None:
    """SIGKILL, and wait until it is gone."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        assert select.select([handle], [], [], 60)[0]
    finally:
        os.close(handle)


def _killed(market: _Market, kills: int, *, servers: tuple[Callable[[], None], ...] = (), seed: str) -> None:
    """Start the market, kill what the seed says when it says, check; again and again. A server now and then as well."""
    pick = random.Random(seed)
    whole = max(2, kills // (5 if len(servers) < 2 else 10)) if servers else 0
    moments = pick.sample(range(kills), whole)
    before = market.check()
    with market.open() as start:
        for kill in range(kills):
            processes = [start(role, f"{name}{kill}") for name, role in ROLES.items()]
            market.wait_for(pick.randrange(1, 25))
            time.sleep(pick.random() * 0.05)  # anywhere within what they are doing
            if kill in moments:
                pick.choice(servers)()
            pick.shuffle(processes)
            for process in processes:
                _kill(process)
            sales = market.check()
            assert sales > before
            before = sales


def _kills(short: int) -> list[Any]:
    return [pytest.param(short, id="short"), pytest.param(200, id="long", marks=pytest.mark.soak)]


@pytest.fixture
def seed() -> str:
    """Printed when a test fails; `PROVENANCE_KILL_SEED` gives the same choices again, at other moments."""
    chosen = SEED or str(random.SystemRandom().randrange(10**9))
    print(f"PROVENANCE_KILL_SEED={chosen}")  # noqa: T201 - shown with a failure
    return chosen


@pytest.mark.parametrize("kills", _kills(20))
def test_on_sqlite(kills, root, tmp_path, seed):
    market = _Market(root, tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", publish=str(tmp_path / "public"))
    _killed(market, kills, seed=seed)


@pytest.mark.parametrize("kills", _kills(20))
def test_on_postgresql(kills, root, tmp_path, seed, postgres):
    market = _Market(root, tmp_path, database=postgres.database(), publish=str(tmp_path / "public"))

    def crash() -> None:
        postgres.stop(immediate=True)
        postgres.start()

    _killed(market, kills, servers=(crash,), seed=seed)


@pytest.mark.parametrize("kills", _kills(20))
def test_on_postgresql_and_s3(kills, root, tmp_path, seed, postgres, seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    market = _Market(root, tmp_path, database=postgres.database(), objects=seaweed.url())

    def crash() -> None:
        postgres.stop(immediate=True)
        postgres.start()

    def crash_s3() -> None:
        seaweed.stop()
        seaweed.start()

    _killed(market, kills, servers=(crash, crash_s3), seed=seed)
