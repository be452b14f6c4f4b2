"""Sales and their events, with the market killed at any moment: one if and only if the other, each exactly once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from adapters import connect, create, open_log
from provenance import audit

SELLER = Path(__file__).with_name("seller.py")


@pytest.mark.parametrize("cycles", [pytest.param(4, id="short"), pytest.param(100, id="long", marks=pytest.mark.soak)])
def test_a_market_killed_at_any_moment_has_an_event_for_each_sale(root: Path, tmp_path: Path, cycles: int) -> None:
    url, public = f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "public"
    ledger = create(url, origin="sales.example/log", publish=public)
    ada = ledger.register_party("person")
    (tmp_path / "work.bin").write_bytes(b"a work")
    work = ledger.create(tmp_path / "work.bin", creators=[ada])
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sales (id INTEGER PRIMARY KEY)"))
    pick, acknowledged, first = random.Random(), set(), 0
    for _ in range(cycles):
        arguments = [sys.executable, str(SELLER), url, str(public), str(first), work.id]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=root, env=environment) as process:
            assert process.stdout is not None
            for _ in range(pick.randrange(1, 30)):
                acknowledged.add(int(process.stdout.readline()))
            process.kill()
            acknowledged |= {int(line) for line in process.stdout.read().splitlines(keepends=True) if line[-1] == "\n"}
        first = max(acknowledged) + 10
    ledger = connect(url, publish=public)
    ledger.publish()
    with engine.connect() as connection:
        sold = {row.id for row in connection.execute(text("SELECT id FROM sales"))}
    assert acknowledged <= sold
    offers = ledger.index.of_type("offer.attach")
    assert len(offers) == len(sold)
    assert {ledger.find(f"order:{order}").id for order in sold} == {offer.event_id.hex() for offer in offers}
    assert audit(open_log(public, ledger.log.policy)).record == "intact"


MILLION = """
import sys
from adapters.sql.store import SqlStore
from ledger import Log, Row, SigningKey
log = Log.create(SqlStore("sqlite:///" + sys.argv[1], create=True), SigningKey.generate("m.example/log"), b"genesis")
def fill(size):
    while log.size < size:
        log.extend([Row(b"%300d" % (log.size + n), b"") for n in range(4096)])
    log.publish()
    return next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))  # kB
print(fill(200_000), fill(1_000_000))
"""


@pytest.mark.soak
def test_memory_stays_flat_once_the_page_cache_is_full(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MILLION, str(tmp_path / "m.db")], cwd=root, capture_output=True, text=True, check=True
    )
    early, late = (int(number) for number in done.stdout.split())
    assert late < early * 1.05
    assert late < 160_000  # kB, 64 MiB of it SQLite's page cache
