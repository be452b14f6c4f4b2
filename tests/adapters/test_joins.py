"""A market's row and the event beside it: together or not at all, whatever driver, session and way of ending it.

Where a driver cannot keep that promise the verb refuses, and its message holds the lines that mend the engine.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import sys
from contextlib import closing

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from adapters import create
from adapters.sql.doctor import BEGIN_LINES, SAVEPOINT_LINES
from adapters.sql.queue import SqlQueue
from adapters.sql.store import SqlStore
from ledger import Conflict, NotFound, StorageError, Unavailable
from provenance.queue import Name, Staged

_NEWER = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the driver's autocommit=False is of Python 3.12; here `begin lines` do the same"
)

SYNC = [
    "sqlite, legacy",
    "sqlite, savepoint lines",
    "sqlite, begin lines",
    pytest.param("sqlite, autocommit=False", marks=_NEWER),
    "psycopg",
]
ASYNC = [
    "aiosqlite, legacy",
    "aiosqlite, savepoint lines",
    "aiosqlite, begin lines",
    "psycopg_async",
    "asyncpg",
]
OUTCOMES = [
    "commit",
    "rollback",
    "savepoint rollback",
    "nested commit, outer commit",
    "nested commit, outer rollback",
    "refused, then commit",
]
# The numbers of the sales that are there in the end.
KEPT = {
    "commit": {1, 2},
    "rollback": set(),
    "savepoint rollback": {1},
    "nested commit, outer commit": {1, 2},
    "nested commit, outer rollback": set(),
    "refused, then commit": {1, 2},
}


class Shop:
    """A ledger, and the market's own table in the same database."""

    def __init__(self, url: str, folder) -> None:
        self.url = url
        keys = {name: f"file:{folder}/keys/{name}" for name in ("log", "market", "claim")}
        self.ledger = create(url, origin="market.example/log", keys=keys)
        self.admin = create_engine(url, poolclass=NullPool)
        with self.admin.begin() as connection:
            connection.execute(text("CREATE TABLE sales (number INTEGER PRIMARY KEY)"))
        self._tries = itertools.count()

    def begin_a_try(self) -> None:
        with self.admin.begin() as connection:
            connection.execute(text("DELETE FROM sales"))
        self.name = f"{next(self._tries)}"

    def ref(self, number: int) -> str:
        return f"{self.name}:{number}"

    def sales(self) -> set[int]:
        with self.admin.connect() as connection:
            return set(connection.execute(text("SELECT number FROM sales")).scalars())

    def events(self) -> set[int]:
        found = set()
        for number in (1, 2, 3):
            try:
                ticket = self.ledger.find(self.ref(number))
            except NotFound:
                continue
            assert self.ledger.event(ticket)
            found.add(number)
        return found


@pytest.fixture(scope="module")
def shops(postgres, tmp_path_factory):
    made = {}

    def shop(product: str) -> Shop:
        if product not in made:
            folder = tmp_path_factory.mktemp("market")
            url = postgres.database() if product == "postgresql" else f"sqlite:///{folder / 'market.db'}"
            made[product] = Shop(url, folder)
        made[product].begin_a_try()
        return made[product]

    return shop


def _engine(kind: str, shop: Shop):
    """The market's engine for a column of the matrix."""
    driver, _, mended = kind.partition(", ")
    url = make_url(shop.url)
    product = url.get_backend_name()
    url = url.set(drivername=product if driver == product else f"{product}+{driver}")
    arguments = {"autocommit": False} if mended.startswith("autocommit") else {}
    make = create_async_engine if driver in {"aiosqlite", "asyncpg", "psycopg_async"} else create_engine
    engine = make(url, poolclass=NullPool, connect_args=arguments)
    lines = {"savepoint lines": SAVEPOINT_LINES, "begin lines": BEGIN_LINES}.get(mended)
    if lines:
        exec(lines, {"engine": getattr(engine, "sync_engine", engine)})
    return engine


def _product(kind: str) -> str:
    return "sqlite" if "sqlite" in kind else "postgresql"


def _expected(kind: str, outcome: str) -> set[int] | None:
    """None where it is refused."""
    if "legacy" in kind and ("nested" in outcome or "savepoint" in outcome):
        return None
    return KEPT[outcome]


def _sell(session, shop: Shop, number: int):
    session.execute(text(f"INSERT INTO sales VALUES ({number})"))
    return shop.ledger.register_party("person", name="Bo", ref=shop.ref(number), session=session)


def _play(session, shop: Shop, outcome: str) -> None:
    _sell(session, shop, 1)
    match outcome:
        case "commit" | "rollback":
            _sell(session, shop, 2)
        case "savepoint rollback":
            savepoint = session.begin_nested()
            _sell(session, shop, 2)
            savepoint.rollback()
        case "nested commit, outer commit" | "nested commit, outer rollback":
            with session.begin_nested():
                _sell(session, shop, 2)
        case "refused, then commit":
            with pytest.raises(Conflict, match="given before for other content"):
                shop.ledger.register_party("org", ref=shop.ref(1), session=session)
            _sell(session, shop, 2)
    (session.rollback if outcome.endswith("rollback") and outcome != "savepoint rollback" else session.commit)()


async def _sell_async(session, shop: Shop, number: int):
    await session.execute(text(f"INSERT INTO sales VALUES ({number})"))
    return await shop.ledger.register_party("person", name="Bo", ref=shop.ref(number), session=session)


async def _play_async(session, shop: Shop, outcome: str) -> None:
    await _sell_async(session, shop, 1)
    match outcome:
        case "commit" | "rollback":
            await _sell_async(session, shop, 2)
        case "savepoint rollback":
            savepoint = await session.begin_nested()
            await _sell_async(session, shop, 2)
            await savepoint.rollback()
        case "nested commit, outer commit" | "nested commit, outer rollback":
            async with session.begin_nested():
                await _sell_async(session, shop, 2)
        case "refused, then commit":
            with pytest.raises(Conflict, match="given before for other content"):
                await shop.ledger.register_party("org", ref=shop.ref(1), session=session)
            await _sell_async(session, shop, 2)
    if outcome.endswith("rollback") and outcome != "savepoint rollback":
        await session.rollback()
    else:
        await session.commit()


def _check(shop: Shop, kind: str, outcome: str, refused: StorageError | None) -> None:
    expected = _expected(kind, outcome)
    if expected is None:
        assert refused is not None
        assert "staging inside a savepoint" in str(refused)
        assert SAVEPOINT_LINES in str(refused)
    else:
        assert refused is None
    assert shop.sales() == shop.events() == (expected or set())
    shop.ledger.publish()
    assert shop.ledger.waiting == 0
    assert shop.sales() == shop.events()


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("kind", SYNC)
@pytest.mark.parametrize("joined", ["Session", "Connection"])
def test_together_or_not_at_all(shops, joined, kind, outcome):
    shop = shops(_product(kind))
    engine = _engine(kind, shop)
    refused = None
    with Session(engine) if joined == "Session" else engine.connect() as session:
        try:
            _play(session, shop, outcome)
        except StorageError as error:
            refused = error
            session.rollback()
    engine.dispose()
    _check(shop, kind, outcome, refused)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("kind", ASYNC)
@pytest.mark.parametrize("joined", ["AsyncSession", "AsyncConnection"])
async def test_together_or_not_at_all_in_an_event_loop(shops, joined, kind, outcome):
    shop = shops(_product(kind))
    engine = _engine(kind, shop)
    refused = None
    async with AsyncSession(engine) if joined == "AsyncSession" else engine.connect() as session:
        try:
            await _play_async(session, shop, outcome)
        except StorageError as error:
            refused = error
            await session.rollback()
    await engine.dispose()
    _check(shop, kind, outcome, refused)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("kind", ["sqlite, begin lines", "psycopg"])
def test_a_session_of_the_thread(shops, kind, outcome):
    """As web frameworks hand it out: the registry stands for the session that this thread has."""
    shop = shops(_product(kind))
    session = scoped_session(sessionmaker(_engine(kind, shop)))
    _play(session, shop, outcome)
    session.remove()
    _check(shop, kind, outcome, None)


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_session_of_the_task(shops, outcome):
    shop = shops("postgresql")
    session = async_scoped_session(async_sessionmaker(_engine("asyncpg", shop)), asyncio.current_task)
    await _play_async(session, shop, outcome)
    await session.remove()
    _check(shop, "asyncpg", outcome, None)


# What is refused, and what is left alone


@pytest.mark.parametrize("kind", ["sqlite, legacy", "psycopg"])
def test_what_the_markets_own_rows_raise_is_not_ours(shops, kind):
    """A `Conflict` of ours would say that the name was given before, and the market would take that for the answer."""

    class Base(DeclarativeBase):
        pass

    class Sale(Base):
        __tablename__ = "sales"
        number: Mapped[int] = mapped_column(primary_key=True)

    shop = shops(_product(kind))
    with Session(_engine(kind, shop)) as session:
        _sell(session, shop, 1)
        session.commit()
        session.add(Sale(number=1))
        with pytest.raises(IntegrityError, match="sales"):
            shop.ledger.register_party("person", name="Bo", ref=shop.ref(2), session=session)
        with pytest.raises(PendingRollbackError):
            shop.ledger.register_party("person", name="Bo", ref=shop.ref(2), session=session)
        session.rollback()
        _sell(session, shop, 2)
        session.commit()
    assert shop.sales() == shop.events() == {1, 2}


@pytest.mark.parametrize("kind", ["sqlite, legacy", "psycopg"])
def test_a_connection_that_commits_by_itself_is_refused(shops, kind):
    shop = shops(_product(kind))
    with _engine(kind, shop).connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(StorageError, match="commits every statement by itself; begin a transaction"):
            _sell(connection, shop, 1)
        connection.rollback()
    assert shop.events() == set()


async def test_an_asynchronous_connection_that_commits_by_itself_is_refused(shops):
    shop = shops("postgresql")
    engine = _engine("asyncpg", shop).execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        with pytest.raises(StorageError, match="commits every statement by itself; begin a transaction"):
            await _sell_async(connection, shop, 1)
    assert shop.events() == set()


def test_a_connection_to_another_product_is_refused(shops, tmp_path):
    shop = shops("postgresql")
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}", poolclass=NullPool)
    with (
        other.connect() as connection,
        pytest.raises(StorageError, match=r"session: a connection to sqlite, want one to postgresql\+psycopg://"),
    ):
        shop.ledger.register_party("person", session=connection)


def test_something_else_is_refused(shops):
    shop = shops("sqlite")
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(TypeError, match="Connection, want an SQL"):
        shop.ledger.register_party("person", session=connection)


@pytest.mark.parametrize("kind", ["sqlite, begin lines", "psycopg"])
def test_nothing_of_the_callers_is_changed_or_ended(shops, kind):
    shop = shops(_product(kind))
    engine = _engine(kind, shop)
    seen: list[str] = []
    for name in ("commit", "rollback", "savepoint", "rollback_savepoint", "release_savepoint"):
        event.listen(engine, name, lambda *_, name=name: seen.append(name))
    with engine.connect() as connection:
        options = connection.get_execution_options()
        _sell(connection, shop, 1)
        with pytest.raises(Conflict):
            shop.ledger.register_party("org", ref=shop.ref(1), session=connection)
        assert seen == []
        assert connection.get_execution_options() == options
        assert connection.in_transaction()
        connection.commit()
    assert shop.sales() == shop.events() == {1}


def test_a_market_of_many_schemas_finds_our_tables(postgres):
    """Its search path and its own translation of schemas are for its tables, not for ours."""
    with closing(SqlStore(postgres.database(), create=True, schema="provenance")) as store:
        queue = SqlQueue(store)
        market = create_engine(store.url, poolclass=NullPool).execution_options(
            schema_translate_map={None: "tenant", "provenance": "tenant"}
        )
        with market.connect() as connection:
            connection.exec_driver_sql("CREATE SCHEMA tenant; SET search_path = tenant")
            name = Name("license", "order:1", bytes(32), b"")
            staged = Staged(0, bytes(32), "work.create", b"{}", (), None, sealed=False)
            with queue.joining(connection) as joined:
                assert queue.stage(joined, [staged], name=name)
                assert queue.named(joined, "license", "order:1") == name
                assert list(queue.waiting(joined, [bytes(32)])) == [bytes(32)]
                queue.see_file(joined, bytes(32), "/a")
                assert queue.file_of(joined, bytes(32)) == "/a"
            connection.commit()
        assert len(queue) == 1


def test_a_transaction_that_may_only_read(shops):
    shop = shops("postgresql")
    with _engine("psycopg", shop).connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(Unavailable, match="read-only transaction; a standby and a read-only transaction"):
            shop.ledger.register_party("person", session=connection)
        connection.rollback()


def test_a_transaction_that_had_failed_before(shops):
    shop = shops("postgresql")
    with _engine("psycopg", shop).connect() as connection:
        with pytest.raises(Exception, match="division by zero"):
            connection.execute(text("SELECT 1/0"))
        with pytest.raises(StorageError, match="an earlier statement of this transaction failed: roll it back"):
            shop.ledger.register_party("person", session=connection)
        connection.rollback()


def test_the_markets_strict_isolation_says_when_to_try_again(shops):
    """Two sales that read what the other writes: PostgreSQL ends one of them, and we say what to do."""
    shop = shops("postgresql")
    engine = _engine("psycopg", shop).execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as first, engine.connect() as second:
        first.execute(text("SELECT 1"))
        second.execute(text("SELECT 1"))
        _sell(second, shop, 1)
        second.commit()
        with pytest.raises(Unavailable, match="run yours again from its beginning"):
            shop.ledger.register_party("person", name="Bo", ref=shop.ref(1), session=first)
        first.rollback()
    assert shop.events() == {1}
