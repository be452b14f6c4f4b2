"""Verbs in an asynchronous market: the event loop goes on, and a cancelled call leaves the session usable."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

import provenance.drafts
from ledger.errors import NotFound


@pytest.fixture
async def engine(market):
    engine = create_async_engine(market.url.replace("sqlite://", "sqlite+aiosqlite://"))
    yield engine
    await engine.dispose()


@pytest.fixture
def slow_file(monkeypatch):
    """Hashing that waits until the test lets it go on."""
    begun, go = threading.Event(), threading.Event()
    honest = provenance.drafts.digest_file

    def digest(path, **options):
        begun.set()
        assert go.wait(20)
        return honest(path, **options)

    monkeypatch.setattr(provenance.drafts, "digest_file", digest)
    return begun, go


async def test_the_loop_goes_on_while_a_file_is_hashed(market, engine, slow_file):
    begun, go = slow_file
    file = market.file(b"large")
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(text("INSERT INTO sales VALUES (1)"))
        call = asyncio.ensure_future(market.ledger.create(file, creators=[market.ada], ref="w:1", session=session))
        await asyncio.to_thread(begun.wait, 20)  # it is at it, and we are not held up
        assert not call.done()
        go.set()
        ticket = await call
    market.ledger.publish()
    assert market.ledger.receipt(ticket)
    with market.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sales")).scalar_one() == 1


async def test_a_cancelled_call_writes_nothing_and_leaves_the_session_usable(market, engine, slow_file):
    begun, go = slow_file
    file = market.file(b"large")
    async with AsyncSession(engine) as session, session.begin():
        call = asyncio.ensure_future(market.ledger.create(file, creators=[market.ada], ref="w:1", session=session))
        await asyncio.to_thread(begun.wait, 20)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        go.set()  # the thread goes on to a session that it is not let into any more
        await session.execute(text("INSERT INTO sales VALUES (2)"))
    assert market.ledger.waiting == 0
    with market.engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM sales")).scalars().all() == [2]


async def test_an_error_of_the_call_is_the_callers(market, engine):
    async with AsyncSession(engine) as session, session.begin():
        with pytest.raises(NotFound):
            await market.ledger.create(market.root / "none.jpg", creators=[market.ada], session=session)
        await session.execute(text("INSERT INTO sales VALUES (3)"))
    with market.engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM sales")).scalars().all() == [3]


async def test_many_at_once_on_sessions_of_their_own(market, engine):
    async def sell(number):
        async with AsyncSession(engine) as session, session.begin():
            return await market.ledger.register_party("person", ref=f"user:a{number}", session=session)

    tickets = await asyncio.gather(*(sell(number) for number in range(12)))
    await asyncio.to_thread(market.ledger.publish)
    assert len({market.ledger.receipt(ticket).index for ticket in tickets}) == 12


async def test_an_asynchronous_connection(market, engine):
    async with engine.begin() as connection:
        ticket = await market.ledger.register_party("person", ref="user:c", session=connection)
    assert market.ledger.waiting == 1
    assert market.ledger.find("user:c") == ticket
