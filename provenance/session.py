"""Verbs inside the caller's transaction, also when that is asynchronous."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncSession

from ledger.storage import Transaction

__all__ = ["connection_of", "joins_async"]

P = ParamSpec("P")
R = TypeVar("R")


def joins_async(verb: Callable[P, R]) -> Callable[P, R]:
    """Let a verb with `session=` take an AsyncSession: the call then returns an awaitable of the verb's result."""

    @functools.wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        session = kwargs.get("session")
        if not isinstance(session, AsyncSession):
            return verb(*args, **kwargs)
        synchronous: Callable[..., Any] = verb
        awaitable = session.run_sync(lambda inner: synchronous(*args, **{**kwargs, "session": inner}))
        return cast("R", awaitable)

    return call


def connection_of(tx: Transaction) -> Connection:
    """The SQL connection under a log's transaction, for vault, queue and index to write in the same one.

    Raises TypeError for a log whose storage is no SQL database.
    """
    connection = getattr(tx, "connection", None)
    if not isinstance(connection, Connection):
        msg = f"{type(tx).__name__}: a transaction without an SQL connection"
        raise TypeError(msg)
    return connection
