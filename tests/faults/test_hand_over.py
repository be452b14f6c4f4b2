"""Every write of a hand-over fails: lost, or done and the reply lost, or with the process killed.

Then the same call is made again. The log goes on under the new key, with one entry that says so; whoever pinned the
first key reads it whole, and nothing beyond the hand-over is signed by that.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import exc

from adapters import open_log
from adapters.hand_over import hand_over
from adapters.objects import Bucket
from ledger import SigningKey, UnknownKey
from ledger.errors import LedgerError
from ledger.note import Note
from ledger.tile import CHECKPOINT
from provenance import audit
from provenance.succession import read_links
from tests.faults.program import close, market_engine, meeting, open_ledger, place_of, run, sell
from tests.faults.test_market import ROLES, _kill, _Market
from tests.faults.test_table import _Case, _nursery, _rows, folder

__all__ = ["folder"]

ENTRIES = 20
ORIGIN = "sales.example/log"


@contextlib.contextmanager
def _copy(case: _Case) -> Iterator[dict[str, Any]]:
    """A copy of the ledger with keys of its own, of which one is to come; a sale waits to be sequenced."""
    with case.copy() as settings:
        place = case.folder / f"keys{case.number}"
        place.mkdir()
        for name in ("log", "market", "claim"):
            shutil.copy(case.folder / name, place / name)
        (place / "next").write_text(str(SigningKey.generate(ORIGIN)))
        (place / "next").chmod(0o600)
        settings["connect"]["keys"] = {name: f"file:{place / name}" for name in ("log", "market", "claim")}
        settings["to"] = {"log": f"file:{place / 'next'}"}
        ledger = open_ledger(settings)
        with market_engine(settings) as engine:
            sell(ledger, engine, settings, "order:before")
        close(ledger)
        yield settings


def _check(case: _Case, settings: dict[str, Any]) -> None:
    """Whether the call has come to its end or not, it is made again."""
    key = SigningKey.parse(_new_key(settings))
    with contextlib.suppress(UnknownKey):  # had come to its end: the log has these keys already
        hand_over(**place_of(settings), to=settings["to"])
    ledger = open_ledger(settings)
    try:
        with market_engine(settings) as engine:
            sell(ledger, engine, settings, "order:after")
        ledger.publish()
        (change,) = ledger.index.of_type("log.keys")
        assert ledger.find("order:before", verb="license")
        size = ledger.log.size
    finally:
        close(ledger)
    log = case.published(settings)  # under a policy with the first key alone
    assert log.checkpoint.size == size > change.idx + 1
    assert audit(log).findings == ()
    assert log.policy.spans(ORIGIN)[0].last == change.idx + 1
    assert [line.key_id for line in Note.parse(log.get(CHECKPOINT)).signatures] == [key.verifier.key_id]
    (link,) = read_links(log)
    assert link.proof.index == change.idx


def _new_key(settings: dict[str, Any]) -> str:
    """From where it was, or where it was put."""
    new = Path(settings["to"]["log"].removeprefix("file:"))
    return (new if new.exists() else Path(settings["connect"]["keys"]["log"].removeprefix("file:"))).read_text()


def _table(case: _Case, root: Path, rows: Literal["killed", "some", "every"]) -> None:
    """A row for each write that can be lost, or for those of them after which the process is killed, or for all."""
    with _copy(case) as settings, meeting(None) as met:
        run(settings, [])
    assert len(met.writes) > 10
    with _nursery(root) as in_process:
        for fault in _rows(met.writes, every=rows == "every"):
            if rows == "killed" and fault.outcome != "killed after":
                continue
            with _copy(case) as settings:
                if fault.outcome.startswith("killed"):
                    assert in_process(settings, fault) == -signal.SIGKILL, fault
                else:
                    with meeting(fault) as met, contextlib.suppress(LedgerError, exc.DBAPIError):
                        run(settings, [])
                    assert met.met, fault
                try:
                    _check(case, settings)
                except Exception as error:
                    error.add_note(f"{fault}\n{settings['connect']}")
                    raise
    case.end()


LENGTHS = [pytest.param("killed", id="short"), pytest.param("every", id="long", marks=pytest.mark.soak)]


@pytest.mark.parametrize("rows", LENGTHS)
def test_sqlite(rows, root, folder):
    _table(_Case(folder, entries=ENTRIES, publish="folder"), root, rows)


@pytest.mark.parametrize("rows", LENGTHS)
def test_files(rows, root, folder):
    _table(_Case(folder, entries=ENTRIES, objects="folder"), root, rows)


@pytest.mark.soak
def test_postgresql_and_s3(root, folder, postgres, seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    _table(_Case(folder, entries=ENTRIES, postgres=postgres, seaweed=seaweed, objects="bucket"), root, "some")


@pytest.mark.soak
def test_head_in_s3(root, folder, seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    _table(_Case(folder, entries=ENTRIES, seaweed=seaweed, objects="bucket", checkpoints="bucket"), root, "some")


# While everybody sells


def _sell_on(market: _Market, changes: int) -> None:
    """Change the keys that often while eight writers and a worker of three processes sell, sequence and publish."""
    where = market.settings["connect"]
    sizes = []
    with market.open() as start:
        processes = [start(role, name) for name, role in ROLES.items()]
        for number in range(changes):
            market.wait_for(8)
            new = market.folder / f"{number}.key"
            new.write_text(str(SigningKey.generate(ORIGIN)))
            new.chmod(0o600)
            sizes.append(hand_over(**where, to={"log": f"file:{new}"}).checkpoint.size)
        market.wait_for(8)
        for process in processes:
            _kill(process)
    market.check()
    place = market.read_from if "://" not in market.read_from else Bucket.open(market.read_from)
    log = open_log(place, market.policy)
    assert [span.last for span in log.policy.spans(ORIGIN)] == [*sizes, None]


def test_while_everybody_sells(root, tmp_path):
    database = f"sqlite:///{tmp_path / 'market.db'}"
    _sell_on(_Market(root, tmp_path, database=database, publish=str(tmp_path / "public")), 2)


@pytest.mark.soak
def test_while_everybody_sells_on_postgresql_and_s3(root, tmp_path, postgres, seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    _sell_on(_Market(root, tmp_path, database=postgres.database(), objects=seaweed.url()), 5)
