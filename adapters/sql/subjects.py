"""The wrapping keys of subjects in an SQL database of their own, apart from the vault that they open."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import URL

from adapters.sql.connections import Connections
from adapters.sql.errors import storage_errors
from adapters.sql.store import open_backend
from adapters.sql.tables import heads
from ledger.errors import Conflict, NotFound
from provenance.index.bulk import among
from provenance.index.place import schema_of
from provenance.subjects import Part, SubjectKey

__all__ = ["SqlSubjectKeys", "metadata"]

metadata = MetaData()

_keys = Table(
    "provenance_subject_keys",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("subject", LargeBinary, nullable=False),
    Column("part", String, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("current", Boolean, nullable=False),
)
Index("provenance_subject_keys_subject", _keys.c.subject)
# At most one current key of each: of two who make one at once the second finds the first's.
Index(
    "provenance_subject_keys_current",
    _keys.c.subject,
    _keys.c.part,
    unique=True,
    sqlite_where=_keys.c.current.is_(True),
    postgresql_where=_keys.c.current.is_(True),
)

_BRANCH = "branch"
"""The part of what a key was divided into: it goes with that key."""

_SECONDS = 30.0  # that a write waits for others


class SqlSubjectKeys:
    """`provenance.subjects.SubjectKeys` in a table of an SQLite or PostgreSQL database that holds no ledger.

    Back it up apart from the ledger, and keep those copies for days, not for years: a key lives on in them.
    """

    def __init__(self, url: str | URL, *, create: bool = False) -> None:
        """Open the database at `url`; `create` makes what is missing.

        Raises `NotFound` where it is not there, `Conflict` for the database of a ledger: keys that are backed up with
        what they open protect nothing.
        """
        self._backend = open_backend(url, create=create, schema=None, timeout=_SECONDS)
        self._connections = Connections(self._backend)
        weakref.finalize(self, self._connections.close).atexit = False
        with storage_errors(self.name):
            self._refuse_ledger()
            if create:
                with self._backend.making() as connection:
                    metadata.create_all(connection)
            elif not inspect(self.reading).has_table(_keys.name, schema=self._schema):
                msg = f"{self.name}: holds no keys of subjects; name the database that the ledger was created with"
                raise NotFound(msg)

    def __repr__(self) -> str:
        return f"SqlSubjectKeys({self.name!r})"

    @property
    def name(self) -> str:
        """The database as messages call it: never with a password."""
        return self._backend.name

    @property
    def url(self) -> URL:
        """Where it is, for the driver that we use."""
        return self._backend.url

    @property
    def engine(self) -> Engine:
        """Makes connections of ours that commit durably."""
        return self._backend.engine

    @property
    def reading(self) -> Connection:
        """This thread's connection for reading."""
        return self._connections.reading()

    @property
    def schema(self) -> str | None:
        """The schema that the table is in; None in SQLite."""
        return self._backend.schema

    def current(self, subjects: Iterable[tuple[bytes, Part]]) -> dict[tuple[bytes, Part], SubjectKey]:
        """As `SubjectKeys.current`."""
        wanted = set(subjects)
        found = self._current(self.reading, wanted)
        missing = wanted - found.keys()
        if missing:
            made = [(whose, SubjectKey.generate()) for whose in sorted(missing)]
            rows = [
                {"id": key.id, "subject": subject, "part": part, "secret": key.secret, "current": True}
                for (subject, part), key in made
            ]
            with self._writing() as connection:
                connection.execute(self._backend.insert(_keys).on_conflict_do_nothing(), rows)
                found |= self._current(connection, missing)
        return found

    def find(self, key_ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """As `SubjectKeys.find`."""
        wanted = list(dict.fromkeys(key_ids))
        reading = self.reading
        with storage_errors(self.name):
            if len(wanted) == 1:
                secret = reading.execute(_FIND, {"which": wanted[0]}).scalar_one_or_none()
                return {wanted[0]: bytes(secret)} if secret else {}
            return {
                bytes(key_id): bytes(secret)
                for where in among(reading, _keys.c.id, wanted)
                for key_id, secret in reading.execute(select(_keys.c.id, _keys.c.secret).where(where))
                if secret  # else it was divided
            }

    def retire(self, subject: bytes, part: Part) -> list[bytes]:
        """As `SubjectKeys.retire`."""
        of = and_(_keys.c.subject == subject, _keys.c.part == part)
        with self._writing() as connection:
            connection.execute(update(_keys).where(of, _keys.c.current.is_(True)).values(current=False))
            return [bytes(key_id) for key_id in connection.execute(select(_keys.c.id).where(of)).scalars()]

    def destroy(self, key_ids: Iterable[bytes]) -> None:
        """As `SubjectKeys.destroy`: SQLite overwrites them at once; in PostgreSQL their rows are dead until `scrub`."""
        wanted = list(self._there(key_ids))
        if not wanted:
            return
        with self._writing() as connection:
            for key_id in wanted:
                connection.execute(_DESTROY, {"first": key_id[:16] + bytes(16), "last": key_id[:16] + b"\xff" * 16})
        self._overwrite()

    def divide(self, keys: Mapping[bytes, Sequence[SubjectKey]]) -> bool:
        """As `SubjectKeys.divide`."""
        with self._writing() as connection:
            # Who divides one waits for who does so at the same time, and finds it divided.
            if not all(connection.execute(_DIVIDE, {"which": key_id}).rowcount for key_id in sorted(keys)):
                connection.rollback()
                return False
            rows = [
                {"id": each.id, "subject": row.subject, "part": _BRANCH, "secret": each.secret, "current": False}
                for key_id, row in self._there(keys, connection).items()
                for each in keys[key_id]
            ]
            if rows:
                connection.execute(insert(_keys), rows)
        self._overwrite()
        return True

    def close(self) -> None:
        """Give every connection back."""
        self._connections.close()

    def _there(self, key_ids: Iterable[bytes], connection: Connection | None = None) -> dict[bytes, Any]:
        """The rows of those of these keys that are there, also of divided ones."""
        reading = connection or self.reading
        with storage_errors(self.name):
            return {
                bytes(row.id): row
                for where in among(reading, _keys.c.id, list(dict.fromkeys(key_ids)))
                for row in reading.execute(select(_keys.c.id, _keys.c.subject).where(where))
            }

    def _overwrite(self) -> None:
        """Empty the write-ahead log of SQLite, as far as no reader is in the way; else `scrub` does it."""
        if self._backend.url.get_backend_name() == "sqlite":
            with storage_errors(self.name):
                self.reading.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def _schema(self) -> str | None:
        return schema_of(self.reading)

    def _refuse_ledger(self) -> None:
        if inspect(self.reading).has_table(heads.name, schema=self._schema):
            msg = f"{self.name}: holds a ledger; keep the keys of subjects in a database of their own, backed up apart"
            raise Conflict(msg)

    def _current(
        self, connection: Connection, wanted: Iterable[tuple[bytes, Part]]
    ) -> dict[tuple[bytes, Part], SubjectKey]:
        asked = set(wanted)
        found: dict[tuple[bytes, Part], SubjectKey] = {}
        with storage_errors(self.name):
            for where in among(connection, _keys.c.subject, list({subject for subject, _ in asked})):
                for row in connection.execute(select(_keys).where(where, _keys.c.current.is_(True))):
                    if (whose := (bytes(row.subject), row.part)) in asked:
                        found[whose] = SubjectKey(bytes(row.id), bytes(row.secret))
        return found

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with storage_errors(self.name), self._backend.engine.connect() as connection:
            sqlite = self._backend.url.get_backend_name() == "sqlite"
            ours = connection.execution_options(schema_translate_map={None: None if sqlite else self._backend.schema})
            with ours.begin():
                if sqlite:
                    ours.exec_driver_sql("PRAGMA secure_delete=ON")
                yield ours


_FIND = select(_keys.c.secret).where(_keys.c.id == bindparam("which"))
_DIVIDE = update(_keys).where(_keys.c.id == bindparam("which"), _keys.c.secret != b"").values(secret=b"", current=False)
_DESTROY = delete(_keys).where(_keys.c.id >= bindparam("first"), _keys.c.id <= bindparam("last"))
