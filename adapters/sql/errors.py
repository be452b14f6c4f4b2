"""What a database driver raises, as this library's errors. No driver is loaded for it: they all say it in two ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import exc

from ledger.errors import Conflict, NotFound, StorageError, Unavailable

__all__ = ["storage_errors"]


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn what the database driver raises into this library's errors, and nothing else.

    `Unavailable`: nothing is known to be lost, and the message says what to do before trying again; where the
    connection was lost during a commit, its outcome is unknown.
    """
    try:
        yield
    except exc.IntegrityError as error:
        msg = f"{what}: {_said(error.orig)}"
        raise Conflict(msg) from error
    except UnicodeDecodeError as error:  # of the driver: SQLite quotes what it read from a damaged file
        msg = f"{what}: the database says what is no text; {_DAMAGED}"
        raise StorageError(msg) from error
    except exc.DBAPIError as error:
        said = _said(error.orig)
        kind, advice = _judge(error, said)
        msg = f"{what}: {said}{advice and '; '}{advice}"
        raise kind(msg) from error


def _said(error: Any) -> str:
    """What happened, without the rows that PostgreSQL adds to it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if getattr(error, "sqlstate", None) is None:
        return "; ".join(lines)
    return lines[0] if lines else type(error).__name__


def _judge(error: exc.DBAPIError, said: str) -> tuple[type[StorageError], str]:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        for start in (state, state[:2]):
            if start in _STATES:
                return _STATES[start]
        return (Unavailable, _LOST) if error.connection_invalidated else (StorageError, "")
    if error.connection_invalidated:
        return Unavailable, _LOST
    for sign, judgement in _TEXTS.items():
        if sign in said:
            return judgement
    return (Unavailable if isinstance(error, exc.OperationalError) else StorageError), ""


_MAKE = "no log was made in this database; `provenance init` makes one, `provenance db upgrade` mends an older one"
_UPGRADE = "its tables are those of another release: `provenance db upgrade`"
_LOST = "the connection was lost: try again, the next call makes a new one"
_HELD = "another program holds it: try again, and keep its transactions short"
_DAMAGED = "its files are damaged: `provenance fsck` says where, and `provenance restore` makes it anew from a backup"
_ROOM = "make room, then try again: what was promised before is safe"
_AGAIN = "two transactions were in each other's way: run yours again from its beginning"

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_STATES: dict[str, tuple[type[StorageError], str]] = {
    "08": (Unavailable, _LOST),
    "40": (Unavailable, _AGAIN),
    "55P03": (Unavailable, _HELD),
    "57014": (Unavailable, "a time limit of the server ended it: try again"),
    "57": (Unavailable, _LOST),
    "53100": (Unavailable, _ROOM),
    "53300": (Unavailable, "raise max_connections: every thread that reads has a connection of its own"),
    "53": (Unavailable, "the server lacks memory or room: give it more, then try again"),
    "58": (Unavailable, "the server's system failed it: look at its disk before anything else"),
    "25006": (Unavailable, "a standby and a read-only transaction take no writes: give the URL of the primary"),
    "25P02": (StorageError, "an earlier statement of this transaction failed: roll it back, then run it again"),
    "XX001": (StorageError, _DAMAGED),
    "XX002": (StorageError, _DAMAGED),
    "42501": (Unavailable, "grant this role what it lacks, then try again"),
    "28": (Unavailable, "let this role in (pg_hba.conf, its password), then try again"),
    "3D000": (NotFound, "make it with createdb"),
    "3F000": (NotFound, _MAKE),
    "42P01": (NotFound, _MAKE),
    "42703": (StorageError, _UPGRADE),
}
# What SQLite says, and what is said of a PostgreSQL that could not be reached: neither comes with a code.
_TEXTS: dict[str, tuple[type[StorageError], str]] = {
    "Could not decode to UTF-8": (StorageError, _DAMAGED),
    "malformed": (StorageError, _DAMAGED),
    "not a database": (StorageError, _DAMAGED),
    "no such table": (NotFound, _MAKE),
    "no such column": (StorageError, _UPGRADE),
    "has no column named": (StorageError, _UPGRADE),
    "locked": (Unavailable, _HELD),
    "full": (Unavailable, _ROOM),
    "readonly": (Unavailable, "the file or its folder may not be written to: mend that, then try again"),
    "disk I/O error": (Unavailable, "look at the disk before anything else"),
    "unable to open": (Unavailable, "is its folder there, and may it be written to?"),
    "does not exist": (NotFound, "make it with createdb and createuser"),
    "authentication failed": (Unavailable, "look at role and password in the URL"),
    "too many": (Unavailable, "raise max_connections: every thread that reads has a connection of its own"),
    "starting up": (Unavailable, "try again in a moment"),
    "connection": (Unavailable, "is the server running, and is this its address?"),
}
