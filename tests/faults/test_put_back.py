"""An old copy put back behind what was published: the first call refuses, signs nothing, and says what to do."""

from __future__ import annotations

import shutil

import pytest
from sqlalchemy import create_engine, text

from adapters import connect
from adapters.objects import _head_path
from ledger import Fork, Log, Rollback
from tests.faults.shop import Shop

ADVICE = "restore the newer storage, or refill it from what is published"
PUBLISHED = f"storage is at size [0-9]+, the checkpoint published at [0-9]+; refusing to sign: {ADVICE}"


def _sold_on(shop: Shop) -> None:
    for number in range(3):
        shop.sell(f"order:on:{number}")
    shop.ledger.publish()


def _refused(shop: Shop, match: str) -> None:
    """Opening it is one call, and signs nothing."""
    shown = shop.published.latest()
    for _ in range(2):
        with pytest.raises(Rollback, match=match):
            connect(**shop.where)
    assert shop.published.latest() == shown


@pytest.mark.parametrize("part", ["publish", "objects"])
def test_sqlite_put_back(part, tmp_path):
    """Also where only queue, head and index are in the database."""
    database, old, newer = (tmp_path / name for name in ("market.db", "old.db", "newer.db"))
    shop = Shop(tmp_path, database=f"sqlite:///{database}", **{part: tmp_path / "shown"})
    shop.sell("order:before")
    shop.ledger.publish()
    shop.close()
    shutil.copy(database, old)
    shop.reopen()
    _sold_on(shop)
    shop.close()
    shutil.move(database, newer)
    shutil.copy(old, database)
    _refused(shop, PUBLISHED)
    shutil.move(newer, database)  # as the message says
    shop.reopen()
    shop.sell("order:after")
    shop.check()
    shop.close()


def test_sqlite_put_back_under_a_process_that_runs(tmp_path):
    """It remembers what it signed itself, whatever is shown."""
    database, old = tmp_path / "market.db", tmp_path / "old.db"
    shop = Shop(tmp_path, database=f"sqlite:///{database}", publish=tmp_path / "shown")
    shop.close()
    shutil.copy(database, old)
    shop.reopen()
    _sold_on(shop)
    shop.close()  # of files alone: it makes its connections again, to another file of the same name
    shutil.copy(old, database)
    shutil.rmtree(tmp_path / "shown")
    with pytest.raises(Rollback, match=f"this process has seen [0-9]+, signed [0-9]+; {ADVICE}"):
        shop.ledger.publish_once()
    assert not (tmp_path / "shown").exists()
    shop.close()


def test_postgresql_put_back(tmp_path, postgres):
    """A restore from a dump, while a process still runs."""
    shop = Shop(tmp_path, database=postgres.database(), publish=tmp_path / "shown")
    tables = ("heads", "rows", "objects", "queue", "vault")
    engine = create_engine(shop.where["database"])
    with engine.begin() as connection:
        for table in tables:
            connection.execute(text(f"CREATE TABLE old_{table} AS TABLE provenance_{table}"))
    _sold_on(shop)
    size = shop.published.latest().size
    with engine.begin() as connection:
        for table in tables:
            connection.execute(text(f"TRUNCATE provenance_{table}"))
            connection.execute(text(f"INSERT INTO provenance_{table} OVERRIDING SYSTEM VALUE TABLE old_{table}"))
    engine.dispose()
    shop.sell("order:accepted")  # a sale is not what is refused
    for verb in (shop.ledger.publish, shop.ledger.publish_once, shop.ledger.sequence_once):
        with pytest.raises(Rollback, match=f"this process has seen .*{ADVICE}"):
            verb()
    shop.close()
    _refused(shop, PUBLISHED)
    assert shop.published.latest().size == size


def test_head_in_a_bucket_put_back(tmp_path, seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.bucket(probed=True)
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", objects=bucket, checkpoints=bucket)
    head = _head_path("sales.example/log")
    old, shown = bucket.get(head), bucket.get("checkpoint")
    _sold_on(shop)
    newer = bucket.get(head)
    remembered = shop.ledger.log.checkpoint
    bucket.replace(head, old)
    latest, key = shop.published.latest(), shop.ledger.log.signer
    with pytest.raises(Rollback, match=PUBLISHED):
        Log.open(bucket, key, checkpoints=bucket)
    assert shop.published.latest() == latest
    with pytest.raises(Rollback, match=f"this process has seen .*{ADVICE}"):
        shop.ledger.publish_once()
    # Where what is shown was put back as well, whoever remembers a checkpoint still knows.
    bucket.replace("checkpoint", shown)
    with pytest.raises(Rollback, match=f"the checkpoint remembered by the caller at {remembered.size}; refusing to"):
        Log.open(bucket, key, checkpoints=bucket, remembered=remembered)
    bucket.replace(head, newer)
    shop.reopen()
    shop.sell("order:after")
    shop.check()
    shop.close()


def test_two_copies_that_both_went_on(tmp_path):
    """What is published decides; the other one signs nothing more."""
    database, twin, shown = tmp_path / "market.db", tmp_path / "twin.db", tmp_path / "shown"
    shop = Shop(tmp_path, database=f"sqlite:///{database}", publish=shown)
    shop.close()
    shutil.copy(database, twin)
    shutil.copytree(shown, tmp_path / "elsewhere")
    shop.reopen()
    shop.ledger.publish_terms("CC0-1.0")
    other = connect(**{**shop.where, "database": f"sqlite:///{twin}", "publish": tmp_path / "elsewhere"})
    other.publish_terms("CC0-1.0")
    other._queue._store.close()
    latest = shop.published.latest()
    assert other.log.size == latest.size
    with pytest.raises(Fork, match=r"the checkpoint published of size [0-9]+ is not a beginning of this log"):
        connect(**{**shop.where, "database": f"sqlite:///{twin}"})
    assert shop.published.latest() == latest
    shop.check()
    shop.close()
