"""No room, no right to write, no server, a clock put back: said clearly, nothing accepted is lost, and it goes on."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, exc, text

from adapters.objects import Bucket
from ledger import Rollback, StorageError, Unavailable
from tests.faults.shop import PRICE, Shop


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system of its own, of 32 MB, reached through /tmp: PostgreSQL's user must get there."""
    place = Path("/tmp") / f"provenance-disk-{os.getpid()}"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m,mode=755", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip("no right to mount a file system here: a full and a read-only disk are not shown")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    place.rmdir()


@contextlib.contextmanager
def _filled(disk: Path, *, leave: int = 0) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    if leave:
        os.truncate(filler, filler.stat().st_size - leave)
    yield
    filler.unlink()


@contextlib.contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@contextlib.contextmanager
def _without_rights(folder: Path) -> Iterator[None]:
    """Whoever runs this may look at the folder and not write to it; root has to become somebody else for that."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    yield
    if os.getuid() == 0:
        os.seteuid(0)
    for path in folders:
        path.chmod(0o755)


def _until(error: tuple[type[Exception], ...], shop: Shop, most: int) -> str:
    for number in range(most):
        try:
            shop.sell(f"order:until:{number}")
            shop.ledger.publish()
        except error as refused:
            return str(refused)
    pytest.fail(f"{most} sales went through")


# SQLite and files


def test_sqlite_disk_full(disk, tmp_path):
    shop = Shop(tmp_path, database=f"sqlite:///{disk / 'market.db'}", publish=tmp_path / "public")
    shop.sell("order:before")
    with _filled(disk):
        assert "full" in _until((Unavailable, exc.OperationalError), shop, 2_000)
        with pytest.raises(Unavailable, match="full; make room, then try again"):
            shop.ledger.publish_terms("CC0-1.0")
        accepted = set(shop.sold)
    assert "order:before" in accepted
    shop.sell("order:after")
    shop.check()
    shop.reopen()
    shop.check()
    shop.close()


def test_sqlite_read_only(disk, tmp_path):
    shop = Shop(tmp_path, database=f"sqlite:///{disk / 'market.db'}", publish=tmp_path / "public")
    shop.sell("order:before")
    shop.close()
    with _read_only(disk):
        with pytest.raises((Unavailable, exc.OperationalError), match=r"readonly|unable to open|read-only"):
            shop.sell("order:refused")
        with pytest.raises(Unavailable, match=r"may not be written to|may it be written to"):
            shop.reopen().publish()
        shop.close()
    shop.reopen()
    shop.sell("order:after")
    shop.check()
    shop.close()


def test_files_disk_full(disk, tmp_path):
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", publish=disk / "public")
    shown = shop.published.latest()
    with _filled(disk):
        shop.sell("order:accepted")  # a sale never waits for what is published
        for _ in range(2):
            with pytest.raises(Unavailable, match="No space left on device"):
                shop.ledger.publish()
        assert shop.published.latest() == shown
    assert not list((disk / "public").rglob("*.tmp"))
    shop.check()
    shop.close()


def test_files_read_only(disk, tmp_path):
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", objects=disk / "shown")
    with _read_only(disk):
        shop.sell("order:accepted")
        with pytest.raises(Unavailable, match="Read-only file system"):
            shop.ledger.publish()
    shop.check()
    shop.close()


@pytest.mark.parametrize("part", ["publish", "objects"])
def test_files_without_rights(part, tmp_path):
    for path in (tmp_path, *list(tmp_path.parents)[:-1]):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", **{part: tmp_path / "shown"})
    shop.sell("order:accepted")
    with _without_rights(tmp_path / "shown"), pytest.raises(Unavailable, match=r"Permission denied"):
        shop.ledger.publish()
    shop.sell("order:after")
    shop.check()
    shop.close()


# PostgreSQL


def test_postgresql_disk_full(disk, tmp_path, postgres):
    with postgres._connect() as connection:
        if os.geteuid() == 0:
            shutil.chown(disk, "nobody")
        connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        connection.execute("CREATE DATABASE small TABLESPACE small")
    try:
        shop = Shop(tmp_path, database=postgres.url("small"), publish=tmp_path / "public")
        shop.sell("order:before")
        with _filled(disk):
            assert "make room, then try again" in _until((Unavailable,), shop, 2_000)
        shop.sell("order:after")
        shop.check()
        shop.reopen()
        shop.check()
        shop.close()
    finally:
        with postgres._connect() as connection:
            connection.execute("DROP DATABASE small WITH (FORCE)")
            connection.execute("DROP TABLESPACE small")


def test_postgresql_rights_revoked(tmp_path, postgres):
    url = postgres.database()
    _execute(url, "DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN; GRANT ALL ON SCHEMA public TO clerk")
    clerk = url.replace("postgres@", "clerk@")
    shop = Shop(tmp_path, database=clerk, publish=tmp_path / "public")
    shop.sell("order:accepted")
    _execute(url, "REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM clerk")
    with pytest.raises(Unavailable, match=r"permission denied.*; grant this role what it lacks, then try again"):
        shop.ledger.publish()
    _execute(url, "GRANT ALL ON sales TO clerk")
    with pytest.raises(Unavailable, match="grant this role what it lacks"):
        shop.sell("order:refused")
    _execute(url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk")
    shop.sell("order:after")
    shop.check()
    shop.close()
    _execute(url, "DROP OWNED BY clerk; DROP ROLE clerk")


def test_postgresql_read_only(tmp_path, postgres):
    """A market whose own transactions are read-only, as on a standby, is told where to go."""
    url = postgres.database()
    shop = Shop(tmp_path, database=url, publish=tmp_path / "public")
    name = url.rpartition("/")[2]
    work, offer, buyer = shop.sale
    _execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    shop.engine.dispose()
    with shop.engine.connect() as connection, pytest.raises(StorageError, match="give the URL of the primary"):
        shop.ledger.license(work, to=buyer, offer=offer, price=PRICE, session=connection)
    _execute(url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
    shop.engine.dispose()
    shop.sell("order:after")
    shop.check()
    shop.close()


def _execute(url: str, sql: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        for statement in sql.split(";"):
            connection.execute(text(statement))
    engine.dispose()


# Buckets


def test_s3_server_stopped(tmp_path, seaweed):
    url, options = seaweed.url(), seaweed.options
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", objects=Bucket.open(url, **options))
    shop.sell("order:accepted")
    seaweed.stop()
    try:
        with pytest.raises(Unavailable, match="check endpoint and network, try again"):
            shop.ledger.publish()
        shop.sell("order:meanwhile")  # a sale never waits for the bucket
    finally:
        seaweed.start()
    shop.check()
    shop.close()


@pytest.mark.parametrize("part", ["objects", "publish"])
def test_s3_rights_lost(part, tmp_path, seaweed):
    url = seaweed.url()
    writes = Bucket.open(url, **seaweed.options)
    only_reads = Bucket.open(
        url, **{**seaweed.options, "access_key_id": seaweed.READ_KEY, "secret_access_key": seaweed.READ_SECRET}
    )
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", **{part: writes})
    shop.sell("order:accepted")
    ledger = shop.reopen(**{part: only_reads})
    with pytest.raises(Unavailable, match=r"permission denied.*check the credentials"):
        ledger.publish()
    shop.sell("order:meanwhile")
    shop.reopen()
    shop.check()
    shop.close()


# Clocks


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(days=1), timedelta(days=3650)])
def test_clock_put_back(back, tmp_path):
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", publish=tmp_path / "public")
    right = datetime.now(UTC) + timedelta(hours=1)
    shop.now = lambda: right
    shop.sell("order:before")
    size = shop.ledger.publish().size
    shop.now = lambda: right - back
    shop.sell("order:accepted")  # a sale never waits
    for _ in range(2):
        with pytest.raises(Rollback, match=r"clock says .*, the last log time is .*: set the clock right, then go on"):
            shop.ledger.publish()
    assert shop.published.latest().size == size
    assert shop.ledger.waiting == 1
    shop.now = lambda: right + timedelta(seconds=61)
    shop.check()
    shop.close()


def test_clock_that_was_years_ahead(tmp_path):
    """Log time never decreases: it stands still until the clock has caught up, and says so."""
    shop = Shop(tmp_path, database=f"sqlite:///{tmp_path / 'market.db'}", publish=tmp_path / "public")
    right = datetime.now(UTC)
    shop.now = lambda: right + timedelta(days=3650)
    shop.sell("order:ahead")
    shop.ledger.publish()
    shop.now = lambda: right
    shop.sell("order:accepted")
    with pytest.raises(Rollback, match="clock says"):
        shop.ledger.publish()
    shop.now = lambda: right + timedelta(days=3651)
    shop.check()
    shop.close()
