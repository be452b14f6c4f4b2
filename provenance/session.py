"""Verbs inside the caller's transaction, also when that is asynchronous.

A verb with an AsyncSession returns an awaitable. All that takes time without the database – reading a file, signing a
manifest – runs in a thread, so that the caller's event loop goes on; only the statements run where the session lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

from ledger.storage import Transaction

__all__ = ["connection_of", "in_caller", "joins_async"]

P = ParamSpec("P")
R = TypeVar("R")


class _Loop:
    """An asynchronous session, seen from a thread. Once `leave` was awaited, nothing touches the session any more."""

    def __init__(self, session: AsyncSession | AsyncConnection) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._steps: set[asyncio.Task[Any]] = set()
        self._left = False

    def run(self, act: Callable[[Any], R]) -> R:
        """`act` with the synchronous face of the session, in its loop. Called from a thread."""
        outcome: Future[R] = Future()
        self._loop.call_soon_threadsafe(self._begin, act, outcome)
        return outcome.result()

    def _begin(self, act: Callable[[Any], R], outcome: Future[R]) -> None:
        if self._left:
            outcome.cancel()
            return
        task = asyncio.ensure_future(self._session.run_sync(act))
        self._steps.add(task)
        task.add_done_callback(functools.partial(self._end, outcome))

    def _end(self, outcome: Future[R], task: asyncio.Task[R]) -> None:
        self._steps.discard(task)
        if task.cancelled():
            outcome.cancel()
        elif (error := task.exception()) is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())

    async def leave(self) -> None:
        """The caller was cancelled: stop what runs, and let nothing begin."""
        self._left = True
        for task in list(self._steps):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def joins_async(verb: Callable[P, R]) -> Callable[P, R]:
    """Let a verb with `session=` take an AsyncSession or AsyncConnection; it then returns an awaitable."""

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        session = kwargs.get("session")
        if isinstance(session, async_scoped_session):
            session = session()
        if not isinstance(session, (AsyncSession, AsyncConnection)):
            return verb(*args, **kwargs)
        synchronous: Callable[..., Any] = verb
        return cast("R", _in_thread(synchronous, args, kwargs, _Loop(session)))

    return call


async def _in_thread(verb: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], loop: _Loop) -> Any:
    try:
        return await asyncio.to_thread(verb, *args, **{**kwargs, "session": loop})
    except asyncio.CancelledError:
        await loop.leave()
        raise


def in_caller(session: Any, act: Callable[[Any], R]) -> R:
    """Run `act` with what `Queue.joining` takes, where the session lives."""
    return session.run(act) if isinstance(session, _Loop) else act(session)


def connection_of(tx: Transaction) -> Connection:
    """The SQL connection under a log's transaction, for vault, queue and index to write in the same one.

    Raises TypeError for a log whose storage is no SQL database.
    """
    connection = getattr(tx, "connection", None)
    if not isinstance(connection, Connection):
        msg = f"{type(tx).__name__}: a transaction without an SQL connection"
        raise TypeError(msg)
    return connection
