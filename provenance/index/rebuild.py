"""Making the index again while the market runs: beside the old one, in small portions, and then swapped for it.

A portion is a short transaction of its own, so nobody waits for long. Until the swap all answers come from the old
index; a rebuild that is interrupted leaves it in use, and the next one drops what was left and starts over. One that
only looked interrupted finds its mark gone from the tables, and ends.

The size an index answers for is its last entry's: every entry has a row, whatever is in it, and the rows of a batch are
written in one transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

from sqlalchemy import Column, Connection, MetaData, Table, delete, func, inspect, select, text
from sqlalchemy import Index as Key
from sqlalchemy.exc import NoSuchTableError

from ledger.errors import Conflict, MalformedError, NotFound, Unavailable
from ledger.storage import Row
from provenance.canonical import address
from provenance.erasures import can_be_erased, named_in
from provenance.index.bulk import among, insert_many
from provenance.index.facts import Facts, facts_left, facts_of, key_of
from provenance.index.place import schema_of
from provenance.index.queries import Index
from provenance.index.rows import forget_in, leave_in, rows_of
from provenance.index.tables import entries, metadata
from provenance.signatures import Signatures
from provenance.statement import Headers, Statement
from provenance.vault import Vault, read_many

__all__ = ["SPARE", "Writes", "read_rows", "rebuild"]

SPARE = ("_new", "_old")
"""Suffixes of the tables that a rebuild fills, and of those it took out of use and has not dropped yet."""

PORTION = 8192
"""Entries in one transaction."""

_KEYS_AT_ONCE = 2_000_000  # entries in SQLite: a key over more rows takes longer than a market's connection waits, 5 s
_MOST_TRIES = 20
_MARKS = 2**31  # from which a rebuild takes its own
_PATIENCE = "500ms"  # below PostgreSQL's deadlock_timeout: whoever waits in a circle with us, we give way
_NOTHING = Facts(b"", "", b"", False, "", "", (), (), "")

Writes = Callable[[], AbstractContextManager[Connection]]
"""Begins a write transaction of our own, which commits at the end of the `with` block."""

Progress = Callable[[int, int], None]


class ReadsLog(Protocol):
    """A log as far as it was read last; `ledger.Log` is one."""

    @property
    def size(self) -> int:
        """Entries sequenced."""

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Entries `[start, stop)`."""

    def redact(self, indexes: Collection[int]) -> None:
        """Forget what is open beside these entries."""


def read_rows(
    rows: Sequence[Row], vault: Vault, *, first: int = 0, signatures: Signatures | None = None
) -> list[Facts]:
    """Facts of log rows, with sealed events from the vault.

    Bytes that are no statement, or not what was signed, give no facts: `audit` reports them, the index does not repeat
    them. With `signatures` each is verified, as that of the entry `first` and so on; `MalformedError` for no statement.
    """
    # A statement's own signature is read only where it is looked at.
    read = _whole if signatures is not None else Headers().read
    statements = [_statement(row.entry, read) for row in rows]
    named = [event_id for row, (_, event_id) in zip(rows, statements, strict=True) if event_id and not row.opened]
    kept = read_many(vault, named)
    facts = []
    for idx, (row, (statement, event_id)) in enumerate(zip(rows, statements, strict=True), first):
        event: bytes | None = row.opened or kept.get(event_id)
        if event is not None and address(event) != event_id:
            event = None
        if signatures is not None:
            if statement is None:
                msg = f"entry #{idx}: not a statement"
                raise MalformedError(msg)
            signatures.verify(idx, statement, event)
        facts.append(_NOTHING if statement is None else _facts(statement, event_id, event))
    return facts


def _statement(entry: bytes, read: Callable[[bytes], tuple[Statement, bytes]]) -> tuple[Statement | None, bytes]:
    try:
        return read(entry)
    except MalformedError:
        return None, b""


def _whole(entry: bytes) -> tuple[Statement, bytes]:
    statement = Statement.parse(entry)
    return statement, statement.event_id


def _facts(statement: Statement, event_id: bytes, event: bytes | None) -> Facts:
    return facts_of(
        event_id=event_id, type=statement.type, issuer=statement.issuer, sealed=statement.sealed, event=event
    )


def rebuild(
    begin: Writes,
    *,
    beside: Writes,
    log: Callable[[], ReadsLog],
    vault: Vault,
    leading: Callable[[], AbstractContextManager[None]],
    signatures: Signatures | None = None,
    seen: Callable[[Sequence[Facts]], None] | None = None,
    progress: Progress | None = None,
) -> int:
    """Derive the whole index again, put it into use and return its size.

    `begin` begins transactions on the database that it is for, whether an index is there or not, that no other writer
    of ours shares; `beside` begins those that need not wait for them, on tables that nobody else uses. `log` gives the
    log as it is now, and is asked again and again, because it grows meanwhile; `leading` is the queue's. With
    `signatures` every statement is verified on the way, and the first bad one is raised, with the old index still in
    use; `seen` gets what was indexed, portion by portion.
    Raises `Conflict` when another rebuild begins meanwhile, `Unavailable` when somebody does not let go of the
    old index.
    """
    new = _Beside(begin, beside, vault, signatures, seen, progress)
    began = log()
    keys_first = new.dialect == "sqlite" and began.size > _KEYS_AT_ONCE
    if keys_first:
        new.add_keys()
    new.fill(began)
    if not keys_first:
        new.add_keys()
    while (grown := log()).size - new.size > PORTION:
        new.fill(grown)
    for attempt in range(_MOST_TRIES):
        try:
            with leading():
                new.fill(log())
                if new.swap():
                    break
        except Unavailable:
            if attempt == _MOST_TRIES - 1:
                raise
    else:
        msg = f"index: {_MOST_TRIES} times another sequencer was faster; stop the workers that do not lead, then go on"
        raise Unavailable(msg)
    _drop(begin, "_old")
    return new.size


class _Beside:
    """The index that is being made, in tables that a mark says are ours: a row of an entry that no log has."""

    def __init__(
        self,
        begin: Writes,
        beside: Writes,
        vault: Vault,
        signatures: Signatures | None,
        seen: Callable[[Sequence[Facts]], None] | None,
        progress: Progress | None,
    ) -> None:
        self._begin = begin
        self._beside = beside
        self._vault = vault
        self._signatures = signatures
        self._seen = seen
        self._progress = progress
        self._log: ReadsLog
        self._erased: dict[bytes, bytes | None] = {}  # named and not done yet, each with its tombstone
        self._done: set[bytes] = set()
        self._has_keys = False
        self.size = 0
        spare = MetaData()
        self._tables = {table: table.to_metadata(spare, name=f"{table.name}_new") for table in metadata.sorted_tables}
        self._entries = self._tables[entries]
        with begin() as connection:  # whoever fills them still ends, before anything is missing from them
            if inspect(connection).has_table(self._entries.name, schema=schema_of(connection)):
                connection.execute(delete(self._entries).where(self._entries.c.idx < 0))
        for suffix in SPARE:
            _drop(begin, suffix)
        for table in self._tables.values():
            table.indexes.clear()
        self._mark = -secrets.randbelow(_MARKS) - 1
        with begin() as connection:
            self.dialect = connection.dialect.name
            there = inspect(connection).get_table_names(schema=schema_of(connection))
            if not spare.tables.keys().isdisjoint(there):
                raise _overtaken()
            spare.create_all(connection, checkfirst=False)
            _, rows = rows_of(self._mark, [_NOTHING])[0]
            insert_many(connection, self._entries, rows)

    def fill(self, log: ReadsLog) -> None:
        """Index everything in `log` that is not yet."""
        self._log = log
        while self.size < log.size:
            stop = min(self.size + PORTION, log.size)
            # Before the transaction, which so lasts as long as the inserts alone.
            logged = list(log.rows(self.size, stop))
            facts = read_rows(logged, self._vault, first=self.size, signatures=self._signatures)
            rows = rows_of(self.size, facts)
            for target, tombstone in named_in(logged).items():
                self._erased.setdefault(target, tombstone)
            with self._ours() as connection:
                for table, values in rows:
                    insert_many(connection, self._tables[table], values)
            if self._seen is not None:
                self._seen(facts)
            self.size = stop
            if self._has_keys:
                self._forget()
            if self._progress is not None:
                self._progress(stop, log.size)

    @contextmanager
    def _ours(self, begin: Writes | None = None) -> Iterator[Connection]:
        """A transaction on these tables. Raises `Conflict` where another rebuild takes them away."""
        mark = select(self._entries.c.idx).where(self._entries.c.idx == self._mark)
        try:
            with (begin or self._beside)() as connection:
                if connection.execute(mark).first() is None:
                    raise _overtaken()
                yield connection
        except NotFound as error:  # the tables
            raise _overtaken() from error

    def _forget(self) -> None:
        """Erase what the log says is erased, here, in the vault and in the log's own storage.

        An event may have been read before its erasure was; and whoever follows the log from this index's size on
        counts on it that all before is done.
        """
        if not self._erased:
            return
        with self._ours() as connection:
            gone = self._gone(connection)
        self._log.redact(gone)
        self._vault.erase(self._erased)
        left = {}
        for idx, event_id in gone.items():
            if event_id not in self._done:
                said = Statement.parse(next(self._log.rows(idx, idx + 1)).entry)
                stone = self._erased[event_id]
                left[idx] = facts_left(event_id=event_id, type=said.type, issuer=said.issuer, tombstone=stone)
        with self._ours() as connection:
            forget_in(connection, self._erased, self._tables)
            leave_in(connection, left, self._tables)
        self._done |= self._erased.keys()
        self._erased = {}

    def _gone(self, connection: Connection) -> dict[int, bytes]:
        """Entries whose open events are among what is erased, each with its event id."""
        found = {}
        table = self._entries
        for where in among(connection, table.c.key, [key_of(event_id) for event_id in self._erased]):
            query = select(table.c.idx, table.c.event_id, table.c.type, table.c.sealed).where(where)
            for idx, event_id, kind, sealed in connection.execute(query):
                if bytes(event_id) in self._erased and can_be_erased(kind, sealed=sealed):
                    found[int(idx)] = bytes(event_id)
        return found

    def add_keys(self) -> None:
        """Make the keys, after the rows, each in a transaction of its own."""
        for table, copy in self._tables.items():
            for key in sorted(table.indexes, key=lambda key: str(key.name)):
                with self._ours() as connection:
                    columns = [copy.c[column.name] for column in key.columns]
                    Key(_free_name(connection, str(key.name)), *columns).create(connection)
            if self.dialect == "postgresql":
                with self._ours() as connection:
                    connection.execute(text(f"ANALYZE {_place(connection, copy.name)}"))
        self._has_keys = True
        self._forget()

    def swap(self) -> bool:
        """Put this index into use, whole, unless the one in use already answers for more."""
        with self._ours(self._begin) as connection:
            names = inspect(connection)
            schema = schema_of(connection)
            old = [table for table in self._tables if names.has_table(table.name, schema=schema)]
            if self.dialect == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
                if old:
                    places = ", ".join(_place(connection, table.name) for table in old)
                    connection.execute(text(f"LOCK TABLE {places} IN ACCESS EXCLUSIVE MODE"))
            # Asked under the lock: whoever was writing has committed, whoever comes writes to what we leave there.
            if old and Index(connection).size > self.size:
                return False
            connection.execute(delete(self._entries).where(self._entries.c.idx == self._mark))
            for table in old:
                if self.dialect == "postgresql":
                    _hand_over(connection, table.name, self._tables[table].name)
                _rename(connection, table.name, f"{table.name}_old")
            for table, copy in self._tables.items():
                _rename(connection, copy.name, table.name)
        return True


def _overtaken() -> Conflict:
    msg = "index: another rebuild has begun; let it finish, or start this one again"
    return Conflict(msg)


def _place(connection: Connection, name: str) -> str:
    """The table as SQL names it, in its schema."""
    schema = schema_of(connection)
    quote = connection.dialect.identifier_preparer.quote
    return quote(name) if schema is None else f"{quote(schema)}.{quote(name)}"


def _rename(connection: Connection, old: str, new: str) -> None:
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(text(f"ALTER TABLE {_place(connection, old)} RENAME TO {quote(new)}"))


def _hand_over(connection: Connection, old: str, new: str) -> None:
    """Give the new table the owner of the old one, and to everybody the rights they had on that."""
    quote = connection.dialect.identifier_preparer.quote
    (place, was) = (_place(connection, name) for name in (new, old))
    owners = connection.execute(_OWNERS, {"old": was, "new": place}).scalars().all()
    if len(owners) == 2:
        connection.execute(text(f"ALTER TABLE {place} OWNER TO {quote(owners[0])}"))
    for role, right, may_grant in connection.execute(_RIGHTS, {"old": was}).all():
        whom = "PUBLIC" if role is None else quote(role)
        connection.execute(text(f"GRANT {right} ON {place} TO {whom}{' WITH GRANT OPTION' if may_grant else ''}"))


def _free_name(connection: Connection, name: str) -> str:
    """`name`, or the other one that keys of this table take turns with: SQLite cannot rename a key."""
    schema = schema_of(connection)
    names = inspect(connection)
    taken = {
        key["name"]
        for table in metadata.tables
        if names.has_table(table, schema=schema)
        for key in names.get_indexes(table, schema=schema)
    }
    return f"{name}_b" if name in taken else name


def _drop(begin: Writes, suffix: str) -> None:
    """Drop the tables with this suffix; on SQLite emptied in portions, because dropping a full one takes as long."""
    for table in metadata.sorted_tables:
        spare = Table(f"{table.name}{suffix}", MetaData(), *(Column(c.name, c.type) for c in table.c))
        with begin() as connection:
            there = inspect(connection).has_table(spare.name, schema=schema_of(connection))
            dialect = connection.dialect.name
        if there and dialect == "sqlite":
            with suppress(NotFound, NoSuchTableError):  # another rebuild drops it
                _empty(begin, spare)
        if there:
            with begin() as connection:
                spare.drop(connection, checkfirst=True)


def _empty(begin: Writes, spare: Table) -> None:
    """Take keys and rows out of a table, a portion at a time."""
    with begin() as connection:
        for key in inspect(connection).get_indexes(spare.name):
            connection.execute(text(f"DROP INDEX {connection.dialect.identifier_preparer.quote(str(key['name']))}"))
    number = next(iter(spare.c))  # the row number
    with begin() as connection:
        last = connection.execute(select(func.max(number))).scalar_one()
    for bound in range(PORTION, (last or 0) + PORTION + 1, PORTION):
        with begin() as connection:
            connection.execute(delete(spare).where(number < bound))


_OWNERS = text("""\
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid IN (CAST(:old AS regclass), CAST(:new AS regclass))
GROUP BY relowner ORDER BY bool_or(oid = CAST(:old AS regclass)) DESC
""")
_RIGHTS = text("""\
SELECT CASE right_.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(right_.grantee) END, privilege_type, is_grantable
FROM pg_class, aclexplode(relacl) AS right_ WHERE oid = CAST(:old AS regclass)
""")
