"""Putting the parts together: a market's ledger on a database, an auditor's log on a folder or URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.client import Client
from ledger.errors import NotFound
from ledger.policy import Policy
from ledger.storage import Objects, ReadsObjects

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.sql.store import SqlStore
    from provenance.ledger import ProvenanceLedger

__all__ = ["connect", "create", "database_url", "keys_beside", "open_log", "open_objects"]

Keys = Mapping[str, str]
"""Where the three keys are: {"log": URI, "market": URI, "claim": URI}, each `file:PATH` or `env:NAME`."""

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def create(
    database: str | Engine,
    *,
    origin: str,
    publish: str | os.PathLike[str] | Objects | None = None,
    market_name: str | None = None,
    clock: Clock = _now,
) -> ProvenanceLedger:
    """Begin a ledger: keys, database, genesis entry and the market's own registration, published.

    `origin` names the log for ever, usually a URL without its scheme (`market.example/log`). New keys are written to a
    folder beside the database (`market.keys` for `market.db`, files of mode 0600), with a development certificate that
    `doctor` refuses in production. Raises `Conflict` where any of this exists already.
    """
    from adapters.begin import begin

    return begin(database_url(database), origin=origin, publish=_target(publish), market_name=market_name, clock=clock)


def connect(
    database: str | Engine,
    *,
    publish: str | os.PathLike[str] | Objects | None = None,
    keys: Keys | None = None,
    clock: Clock = _now,
) -> ProvenanceLedger:
    """Open a market's ledger; nothing is made that is not there.

    `database` is a URL (`sqlite:///market.db`) or the market's own Engine, which is only asked for its URL: we open
    connections of our own beside it. `publish` is the folder (or any `Objects`) that others read the log from. `keys`
    is by default the folder beside the database. Raises `NotFound` without a ledger there, `Rollback` or `Fork` when
    the database is behind or beside what `publish` shows.
    """
    from adapters.assemble import assemble
    from adapters.sql.store import SqlStore

    store = SqlStore(database_url(database))
    return assemble(store, target=_target(publish), keys=keys or keys_beside(store), clock=clock)


def open_log(location: str | os.PathLike[str] | ReadsObjects, policy: Policy | str) -> Client:
    """Open a published log for reading: a folder, a URL, or any object store.

    No account, no database, no trust beyond `policy` (parsed, or its text). Reads the newest checkpoint at once:
    raises `NotFound`, `UnknownKey`, `InvalidSignature`, `TileMismatch`.
    """
    client = Client(open_objects(location), Policy.parse(policy) if isinstance(policy, str) else policy)
    client.latest()
    return client


def open_objects(location: str | os.PathLike[str] | ReadsObjects) -> ReadsObjects:
    """The objects at a folder or URL, unverified. Raises `NotFound` for a folder that is not there."""
    if isinstance(location, (str, os.PathLike)):
        text = os.fspath(location)
        if text.startswith(("http://", "https://")):
            from adapters.http import Website

            return Website(text)
        if not Path(text).is_dir():
            msg = f"{text}: no such folder; want the folder or URL where the log is published"
            raise NotFound(msg, path=text)
        from adapters.files import Directory

        return Directory(text)
    return location


def keys_beside(store: SqlStore) -> dict[str, str]:
    """The key files of a database: `market.keys/` beside `market.db`."""
    folder = Path(str(store.url.database)).with_suffix(".keys")
    return {
        "log": f"file:{folder / 'log.key'}",
        "market": f"file:{folder / 'market.key'}",
        "claim": f"file:{folder / 'claim.pem'}",
    }


def database_url(database: str | Engine) -> str:
    """URL of a database given as URL, file name or Engine."""
    if isinstance(database, str):
        return database if "://" in database else f"sqlite:///{database}"
    return database.url.render_as_string(hide_password=False)


def _target(publish: str | os.PathLike[str] | Objects | None) -> Objects | None:
    if isinstance(publish, (str, os.PathLike)):
        from adapters.files import Directory

        return Directory(publish)
    return publish
