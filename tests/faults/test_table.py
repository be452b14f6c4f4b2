"""Every write between a sale and its publication fails: lost, or done and the reply lost, or with the process killed.

Then the ledger is opened again. No acknowledged sale is missing, none is there twice, a sale is there if and only if
its events are in the log, and whoever reads what is published finds it whole. `pytest -s` prints the table.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc, text

from adapters import create, open_log
from adapters.files import Directory
from adapters.objects import Bucket
from adapters.probe import PASSED
from ledger import Client, fsck
from ledger.errors import LedgerError
from provenance.statement import Statement
from tests.faults.program import OUTCOMES, PRICE, Fault, Write, close, market_engine, meeting, open_ledger, run, sell

PROGRAM = Path(__file__).with_name("program.py")
ENTRIES = 252  # in the log before: the sales fill its first bundle
DECIDE = ("COMMIT", "put staging", "swap", "replace checkpoint")
ORDERS = ["order:1", "order:2", "order:3", "order:4"]


class _Case:
    """A ledger of `ENTRIES` entries, and copies of it."""

    def __init__(
        self, folder: Path, *, entries: int = ENTRIES, postgres: Any = None, seaweed: Any = None, **where: str
    ) -> None:
        self.folder = folder
        self.entries = entries
        self.postgres = postgres
        self.seaweed = seaweed
        self.where = where  # part → "folder" or "bucket"
        self.number = 0
        self._aside = ThreadPoolExecutor(1)  # takes what nobody waits for
        self.settings = self._place()
        keys = {name: f"file:{folder / name}" for name in ("log", "market", "claim")}
        self.settings["connect"]["keys"] = keys
        self._begin()

    def _place(self) -> dict[str, Any]:
        """Empty storages."""
        self.number += 1
        here = self.folder / str(self.number)
        here.mkdir()
        bucket = self.seaweed.url() if self.seaweed else ""
        connect: dict[str, Any] = {"database": f"sqlite:///{here / 'market.db'}"}
        if self.postgres:
            connect["database"] = self.postgres.url(f"{self.folder.name}_{self.number}")
        connect |= {part: bucket if what == "bucket" else str(here / part) for part, what in self.where.items()}
        return {"connect": connect, "said": str(here / "said")}

    def _begin(self) -> None:
        if self.postgres:
            self._sql(f"CREATE DATABASE {self._name(self.settings)}")
        where = dict(self.settings["connect"])
        if "checkpoints" in where:
            where["checkpoints"] = Bucket.open(where["checkpoints"])
            where["checkpoints"].replace(PASSED, b"by tests/adapters/test_objects.py\n")
        ledger = create(**where, origin="sales.example/log", market_name="M")
        (self.folder / "work.bin").write_bytes(b"a work")
        buyer = ledger.register_party("person")
        work = ledger.create(self.folder / "work.bin", creators=[buyer])
        offer = ledger.offer(work, terms="LicenseRef-one", price=PRICE)
        ledger.publish_terms("CC0-1.0")
        body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
        missing = self.entries - ledger.log.size
        ledger.record_many(ledger.draft("party.register", body=body) for _ in range(missing))
        assert ledger.log.size == self.entries
        self.policy = ledger.log.policy
        close(ledger)
        self.settings["sale"] = [work.id, offer.id, buyer.id]
        with market_engine(self.settings) as engine, engine.begin() as connection:
            connection.execute(text("CREATE TABLE sales (id VARCHAR(40) PRIMARY KEY)"))

    @contextlib.contextmanager
    def copy(self) -> Iterator[dict[str, Any]]:
        made = self._place()
        made["sale"] = self.settings["sale"]
        made["connect"]["keys"] = self.settings["connect"]["keys"]
        for part, here in self.settings["connect"].items():
            there = made["connect"][part]
            if part == "database" and self.postgres:
                self._sql(f"CREATE DATABASE {self._name(made)} TEMPLATE {self._name(self.settings)}")
            elif part == "database":
                shutil.copy(here.removeprefix("sqlite:///"), there.removeprefix("sqlite:///"))
            elif part != "keys" and "://" in here:
                source, target = Bucket.open(here), Bucket.open(there)
                for path in source.list(""):
                    target.replace(path, source.get(path))
            elif part != "keys":
                shutil.copytree(here, there)
        try:
            yield made
        finally:
            if self.postgres:
                self._aside.submit(self._sql, f"DROP DATABASE {self._name(made)} WITH (FORCE)")

    def end(self) -> None:
        self._aside.shutdown()

    def published(self, settings: dict[str, Any]) -> Client:
        where = settings["connect"].get("publish") or settings["connect"]["objects"]
        return open_log(Bucket.open(where) if "://" in where else Directory(where), self.policy)

    def _name(self, settings: dict[str, Any]) -> str:
        return settings["connect"]["database"].rpartition("/")[2]

    def _sql(self, statement: str) -> None:
        with self.postgres._connect() as connection:
            connection.execute(statement)


def _check(case: _Case, settings: dict[str, Any]) -> tuple[int, int]:
    """Open it again; the number of sales, and of events in the log."""
    ledger = open_ledger(settings)
    try:
        ledger.publish()
        with market_engine(settings) as engine, engine.connect() as connection:
            sales = {row.id for row in connection.execute(text("SELECT id FROM sales"))}
        said = Path(settings["said"]).read_text().split() if Path(settings["said"]).exists() else []
        assert set(said) <= sales
        log = case.published(settings)
        size = fsck(log)
        assert size == log.latest().size == ledger.log.size == ledger.index.size
        ids = [Statement.parse(entry).event_id.hex() for entry in log.entries(ENTRIES, size)]
        assert max(Counter(ids).values(), default=1) == 1
        sold = [ledger.find(order, verb=verb).id for order in sales for verb in ("license", "offer")]
        times = [entry.event_id.hex() for entry in ledger.index.of_type("log.time")]
        assert sorted(i for i in ids if i not in times) == sorted(sold)
        for event_id in sold:  # the sealed ones from the vault, the open ones from their bundle
            assert ledger.event(event_id)
        assert ledger.waiting == 0
        with market_engine(settings) as engine:
            sell(ledger, engine, settings, "order:afterwards")  # and it goes on
        assert ledger.publish().size == case.published(settings).latest().size > size + 1
    finally:
        close(ledger)
    return len(sales), size


@contextlib.contextmanager
def _nursery(root: Path) -> Iterator[Any]:
    """Runs the program with a fault in a process of its own: called with its arguments, it returns the exit code."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    arguments = [sys.executable, str(PROGRAM)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def call(settings: dict[str, Any], fault: Fault) -> int:
            print(json.dumps([settings, ORDERS, fault]), file=process.stdin, flush=True)
            return int(process.stdout.readline())

        yield call
        process.stdin.close()


def _in_transaction(write: Write) -> bool:
    return write.name.split()[0] in {"INSERT", "UPDATE", "DELETE", "COPY"}


def _rows(writes: list[Write], *, every: bool) -> list[Fault]:
    """One for each write and outcome.

    What is written in a transaction that is not committed is lost in any case: within one, a lost reply is what a lost
    write is. Of writes of one name the short table has the first and the last, within a transaction the first; of the
    two moments to be killed at it has the one that leaves more behind. What decides whether there is a sale, a batch, a
    checkpoint, has each outcome there; of what only follows each write has another one, in turns. The long table has
    everything.
    """
    counts = Counter(write.name for write in writes)
    found = []
    inside, follows = cycle(["lost", "killed before"]), cycle(["lost", "reply lost", "killed after"])
    for write in writes:
        ends = {0} if _in_transaction(write) else {0, counts[write.name] - 1}
        if every or write.nth in ends:
            short = ["lost", "reply lost", "killed after"] if write.name.startswith(DECIDE) else [next(follows)]
            outcomes = OUTCOMES if every else [next(inside)] if _in_transaction(write) else short
            found += [Fault(write, outcome) for outcome in outcomes]
    return found


def _table(case: _Case, root: Path, *, every: bool) -> None:
    with case.copy() as settings, meeting(None) as met:
        run(settings, ORDERS)
    names = {write.name for write in met.writes}
    many = "COPY" if case.postgres else "INSERT INTO"
    tables = {f"{many} provenance_{table}" for table in ("index_entries", "vault")}
    assert {"INSERT INTO sales", "COMMIT after INSERT INTO sales", "DELETE FROM provenance_queue", *tables} <= names
    if "objects" in case.where:
        assert {"put staging/261", "put tile/entries/000", "put tile/entries/001.p/5", "replace events/000"} <= names
    lines = []
    with _nursery(root) as in_process:
        for fault in _rows(met.writes, every=every):
            with case.copy() as settings:
                if fault.outcome.startswith("killed"):
                    assert in_process(settings, fault) == -signal.SIGKILL, fault
                else:
                    with meeting(fault) as met, contextlib.suppress(LedgerError, exc.DBAPIError):
                        run(settings, ORDERS)
                    assert met.met, fault
                try:
                    sales, size = _check(case, settings)
                except Exception as error:
                    error.add_note(f"{fault}\n{settings['connect']}")
                    raise
            lines.append(f"{fault.write.name} #{fault.write.nth} | {fault.outcome} | {sales} sales, {size} entries")
    case.end()
    print(f"\n{case.where}: {len(lines)} rows", *lines, sep="\n")  # noqa: T201 - the table, for whoever asks with -s


LENGTHS = [pytest.param(False, id="short"), pytest.param(True, id="long", marks=pytest.mark.soak)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a place: a killed process leaves what it has written there as on any disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="table_", dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@pytest.mark.parametrize("every", LENGTHS)
def test_sqlite(every, root, folder):
    _table(_Case(folder, publish="folder"), root, every=every)


@pytest.mark.parametrize("every", LENGTHS)
def test_files(every, root, folder):
    _table(_Case(folder, objects="folder"), root, every=every)


@pytest.mark.parametrize("every", LENGTHS)
def test_postgresql(every, root, folder, postgres):
    _table(_Case(folder, postgres=postgres, publish="folder"), root, every=every)


@pytest.mark.parametrize("every", LENGTHS)
def test_postgresql_and_s3(every, root, folder, postgres, seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    _table(_Case(folder, postgres=postgres, seaweed=seaweed, objects="bucket"), root, every=every)


@pytest.mark.parametrize("every", LENGTHS)
def test_head_in_s3(every, root, folder, seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    _table(_Case(folder, seaweed=seaweed, objects="bucket", checkpoints="bucket"), root, every=every)
