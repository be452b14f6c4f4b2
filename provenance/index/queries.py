"""Writing the index and asking it. Every answer names entries, so that it can be proven."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    LargeBinary,
    Select,
    bindparam,
    create_engine,
    delete,
    func,
    literal,
    select,
)
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable

from provenance.erasures import can_be_erased
from provenance.index.bulk import among, insert_many, schema_options
from provenance.index.facts import HELD, Facts, key_of
from provenance.index.rows import forget_in, leave_in, rows_of
from provenance.index.tables import BIG, digests, entries, erased, kin, links, metadata, places, times

__all__ = ["Entry", "Index", "Kin", "Link"]

_MOST_KIN = 1_000_000


class Entry(NamedTuple):
    """One indexed entry."""

    idx: int
    event_id: bytes
    type: str
    sealed: bool
    strength: str
    claimed_at: str


class Link(NamedTuple):
    """One ref: from the entry `source` to an event of this log (`event_id`) or to something `outside`."""

    source: int
    role: str
    event_id: bytes
    outside: str
    detail: str
    units: int | None  # rate, share or amount of the ref


class Kin(NamedTuple):
    """One derivation, said by the entry `idx`: `parent` is b"" where it is something `outside`."""

    idx: int
    child: bytes
    parent: bytes
    outside: str
    relation: str
    units: int | None


class Index:
    """Queries on a connection that the caller owns; writes join its transaction.

    `at(size)` answers the same questions as of then: an index only grows, so that what was known at an earlier size is
    what its first entries say. Only what an erasure took away since is gone from all of them.

    `schema` is where the tables are, by default where the connection's own options say. `errors` turns what the
    database's driver raises into this library's errors; a caller who does so himself leaves it out.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        schema: str | None = None,
        errors: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._connection = connection
        self._errors = errors
        self._schema = schema
        self._options = schema_options(schema)
        self._until: int | None = None

    def at(self, size: int) -> Index:
        """The same index as it was when the log had `size` entries; one that is not as far is as it is."""
        if size < 0:
            msg = f"index: at size {size}, want 0 or more"
            raise ValueError(msg)
        earlier = Index(self._connection, schema=self._schema, errors=self._errors)
        earlier._until = size if self._until is None else min(size, self._until)
        return earlier

    @classmethod
    def in_memory(cls) -> Index:
        """An empty index of its own, gone with the process."""
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        index = cls(engine.connect())
        index.create()
        return index

    # Writing

    def create(self) -> None:
        """Make the tables that are not there."""
        for table in metadata.sorted_tables:
            self._run(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                self._run(CreateIndex(index, if_not_exists=True))

    def clear(self) -> None:
        """Forget everything, for a rebuild."""
        for table in metadata.sorted_tables:
            self._run(delete(table))

    def write(self, first: int, facts: Sequence[Facts]) -> None:
        """Index entries `[first, first + len(facts))`."""
        for table, values in rows_of(first, facts):
            insert_many(self._connection, table, values, schema=self._schema)

    def forget(self, event_ids: Iterable[bytes]) -> None:
        """Drop what was read in sealed events that are erased now. What their statements say stays, and open events.

        So an index that saw them and one made afterwards are the same.
        """
        forget_in(self._connection, event_ids, options=self._options)

    def leave(self, left: Mapping[int, Facts]) -> None:
        """Replace what is kept of these open entries by what stays of their events, which are erased now."""
        leave_in(self._connection, left, schema=self._schema, options=self._options)

    # Asking

    @property
    def size(self) -> int:
        """Entries indexed: the tree size that answers stand on."""
        last = self._run(select(func.max(entries.c.idx))).scalar_one()
        size = 0 if last is None else int(last) + 1
        return size if self._until is None else min(size, self._until)

    def counts(self, start: int = 0) -> dict[str, int]:
        """Number of entries of each type, from the entry `start` on."""
        query = select(entries.c.type, func.count()).group_by(entries.c.type).order_by(entries.c.type)
        found = self._run(self._then(query.where(entries.c.idx >= start) if start else query, entries.c.idx))
        return {kind: int(number) for kind, number in found}

    def entry(self, idx: int) -> Entry | None:
        """The entry at this index."""
        if self._until is not None and idx >= self._until:
            return None
        return _first(self._run(_ENTRY_AT, {"idx": idx}))

    def find(self, event_id: bytes) -> Entry | None:
        """The earliest entry whose event has this id."""
        found = _first(self._run(_FIND, {"key": key_of(event_id), "event_id": event_id}))
        return None if found is None or (self._until is not None and found.idx >= self._until) else found

    def known(self, event_ids: Iterable[bytes]) -> dict[bytes, str]:
        """Type of those of `event_ids` that are in the log."""
        wanted = set(event_ids)
        keys = [key_of(event_id) for event_id in wanted]
        found: dict[bytes, str] = {}
        for where in among(self._connection, entries.c.key, keys):
            rows = self._run(self._then(select(entries.c.event_id, entries.c.type).where(where), entries.c.idx))
            found.update({bytes(event_id): kind for event_id, kind in rows if bytes(event_id) in wanted})
        return found

    def by_digest(self, digest: bytes) -> list[tuple[Entry, str]]:
        """Entries that name this SHA-256, earliest first, each with the kind of the digest (content, file, store)."""
        query = (
            select(*_COLUMNS, digests.c.kind)
            .join(digests, digests.c.idx == entries.c.idx)
            .where(digests.c.key == key_of(digest), digests.c.digest == digest)
            .order_by(entries.c.idx)
        )
        rows = self._run(self._then(query, entries.c.idx))
        return [(_entry(row), row.kind) for row in rows]

    def entries_of(self, event_ids: Iterable[bytes]) -> dict[bytes, Entry]:
        """The earliest entry of each of these events that is in the log."""
        wanted = set(event_ids)
        found: dict[bytes, Entry] = {}
        for where in among(self._connection, entries.c.key, [key_of(event_id) for event_id in wanted]):
            query = select(*_COLUMNS).where(where).order_by(entries.c.idx.desc())
            for row in self._run(self._then(query, entries.c.idx)):
                entry = _entry(row)
                if entry.event_id in wanted:
                    found[entry.event_id] = entry
        return found

    def event_ids(self, places: Iterable[int]) -> dict[int, bytes]:
        """Event id of each of these entries."""
        found: dict[int, bytes] = {}
        for where in among(self._connection, entries.c.idx, list(dict.fromkeys(places))):
            rows = self._run(self._then(select(entries.c.idx, entries.c.event_id).where(where), entries.c.idx))
            found.update({int(idx): bytes(event_id) for idx, event_id in rows})
        return found

    def issued_by(self, party: bytes) -> list[Entry]:
        """Entries that a party (32 bytes) signed, earliest first; its own registration is one where it signed it."""
        query = select(*_COLUMNS).where(entries.c.issuer == key_of(party)).order_by(entries.c.idx)
        return [_entry(row) for row in self._run(self._then(query, entries.c.idx))]

    def issuer_of(self, idx: int) -> bytes | None:
        """Party id (32 bytes) of whoever signed an entry: a registration, or the genesis event for the log itself."""
        if self._until is not None and idx >= self._until:
            return None
        row = self._run(_ISSUER_OF, {"idx": idx}).first()
        return bytes(row.event_id) if row else None

    def digest_of(self, idx: int, kind: str = "content") -> bytes | None:
        """The digest of this kind that the entry names."""
        row = self._run(select(digests.c.digest).where(digests.c.idx == idx, digests.c.kind == kind).limit(1)).first()
        return bytes(row.digest) if row else None

    def links_from(self, idx: int) -> list[Link]:
        """Refs of an entry, in their order."""
        if self._until is not None and idx >= self._until:
            return []
        return [_link(row) for row in self._run(_LINKS_FROM, {"source": idx})]

    def links_to(self, event_id: bytes, *roles: str) -> list[Link]:
        """Refs that point to an event in one of these roles (all of them when none is named), earliest first."""
        query = select(links).where(links.c.target == key_of(event_id), links.c.event_id == event_id)
        if roles:
            query = query.where(links.c.role.in_(roles))
        rows = self._run(self._then(query.order_by(links.c.source, links.c.id), links.c.source))
        return [_link(row) for row in rows]

    def of_type(self, *types: str, start: int = 0) -> list[Entry]:
        """Entries of these types from the entry `start` on, earliest first."""
        query = select(*_COLUMNS).where(entries.c.type.in_(types), entries.c.idx >= start).order_by(entries.c.idx)
        return [_entry(row) for row in self._run(self._then(query, entries.c.idx))]

    def erased(self, addresses: Iterable[bytes]) -> dict[bytes, int]:
        """Those of these addresses that an erasure names, each with the index of the first that does."""
        wanted = set(addresses)
        found: dict[bytes, int] = {}
        for where in among(self._connection, erased.c.key, [key_of(address) for address in wanted]):
            query = select(erased.c.address, erased.c.idx).where(where).order_by(erased.c.idx.desc())
            rows = self._run(self._then(query, erased.c.idx))
            found.update({bytes(address): int(idx) for address, idx in rows if bytes(address) in wanted})
        return found

    def holds_on(self, addresses: Iterable[bytes]) -> list[tuple[bytes, Entry]]:
        """Those of these addresses that a hold names, each with every hold that does, earliest first."""
        wanted = set(addresses)
        found: list[tuple[bytes, Entry]] = []
        for where in among(self._connection, digests.c.key, [key_of(address) for address in wanted]):
            query = select(*_COLUMNS, digests.c.digest).join(digests, digests.c.idx == entries.c.idx)
            rows = self._run(self._then(query.where(where, digests.c.kind == HELD), entries.c.idx))
            found += [(bytes(row.digest), _entry(row)) for row in rows if bytes(row.digest) in wanted]
        return sorted(found, key=lambda each: each[1].idx)

    def newest_erasure(self) -> int:
        """The last entry that erases something, -1 when there is none."""
        found = self._run(self._then(select(func.max(erased.c.idx)), erased.c.idx)).scalar_one()
        return -1 if found is None else int(found)

    def named_since(self, idx: int) -> list[bytes]:
        """The addresses that erasures name from this entry on."""
        query = select(erased.c.address).where(erased.c.idx >= idx).order_by(erased.c.id)
        return [bytes(address) for (address,) in self._run(self._then(query, erased.c.idx))]

    def redacted(self, event_ids: Iterable[bytes]) -> list[Entry]:
        """The entries of those of these events that an erasure takes out of the log: open ones that may be erased."""
        wanted = set(event_ids)
        found: list[Entry] = []
        for where in among(self._connection, entries.c.key, [key_of(event_id) for event_id in wanted]):
            query = select(*_COLUMNS).where(where, entries.c.sealed.is_(False))
            found += map(_entry, self._run(self._then(query, entries.c.idx)))
        return sorted(e for e in found if e.event_id in wanted and can_be_erased(e.type, sealed=e.sealed))

    def taken(self, rule: str, place: bytes) -> bytes | None:
        """Id of the earliest event that took a place (`provenance.once`), None while it is free."""
        query = (
            select(entries.c.event_id)
            .join(places, places.c.idx == entries.c.idx)
            .where(places.c.key == key_of(place), places.c.place == place, places.c.rule == rule)
            .order_by(entries.c.idx)
            .limit(1)
        )
        row = self._run(self._then(query, entries.c.idx)).first()
        return bytes(row.event_id) if row else None

    def _then(self, query: Select[Any], place: ColumnElement[int]) -> Select[Any]:
        """Narrowed to what was indexed by then."""
        return query if self._until is None else query.where(place < self._until)

    def ancestors(self, event_ids: Iterable[bytes]) -> set[bytes]:
        """These works and all they derive from inside this log."""
        start = set(event_ids)
        return start | {each.parent for each in self.derivations(start) if each.parent}

    def derivations(self, event_ids: Iterable[bytes], *, down: bool = False, most: int = _MOST_KIN) -> list[Kin]:
        """All derivations by which these works come from others, or (`down`) others from them, in log order.

        One recursive query that costs what it finds, not what the log holds. At most `most` of them.
        """
        here, there = (kin.c.parent, kin.c.child) if down else (kin.c.child, kin.c.parent)
        here_id, there_id = (kin.c.parent_id, kin.c.child_id) if down else (kin.c.child_id, kin.c.parent_id)
        found: dict[int, Kin] = {}
        for event_id in dict.fromkeys(event_ids):
            key = literal(key_of(event_id), BIG).label("key")
            begin = select(key, literal(event_id, LargeBinary).label("event_id"))
            walk = begin.cte("walk", recursive=True)
            step = select(there, there_id).join(walk, here == walk.c.key)
            step = self._then(step.where(here_id == walk.c.event_id, there_id != b""), kin.c.idx)
            walk = walk.union(step)
            query = select(kin).join(walk, here == walk.c.key).where(here_id == walk.c.event_id)
            for row in self._run(self._then(query, kin.c.idx).limit(most)):
                found[row.id] = _kin(row)
        return [found[number] for number in sorted(found, key=lambda number: (found[number].idx, number))]

    def time_of(self, idx: int) -> str:
        """Log time of an entry (RFC 3339), "" before the first one."""
        row = self._run(_TIME_OF, {"idx": idx}).first()
        return str(row.time) if row else ""

    def first_since(self, time: str) -> int:
        """The first entry whose log time is `time` (RFC 3339) or later; `size` when there is none."""
        query = self._then(select(func.min(times.c.idx)).where(times.c.time >= time), times.c.idx)
        found = self._run(query).scalar_one()
        return self.size if found is None else int(found)

    def last_time(self) -> str:
        """The newest log time, "" when there is none."""
        query = self._then(select(times.c.time).order_by(times.c.idx.desc()).limit(1), times.c.idx)
        row = self._run(query).first()
        return str(row.time) if row else ""

    def _run(self, statement: Executable, values: Mapping[str, Any] | None = None) -> CursorResult[*tuple[Any, ...]]:
        with self._errors():
            return self._connection.execute(statement, values, execution_options=self._options)


def _entry(row: Any) -> Entry:
    return Entry(row.idx, bytes(row.event_id), row.type, bool(row.sealed), row.strength, row.claimed_at)


def _first(rows: Any) -> Entry | None:
    row = rows.first()
    return _entry(row) if row else None


def _kin(row: Any) -> Kin:
    return Kin(row.idx, bytes(row.child_id), bytes(row.parent_id), row.outside, row.relation, row.units)


def _link(row: Any) -> Link:
    return Link(row.source, row.role, bytes(row.event_id), row.outside, row.detail, row.units)


_COLUMNS = (
    entries.c.idx,
    entries.c.event_id,
    entries.c.type,
    entries.c.sealed,
    entries.c.strength,
    entries.c.claimed_at,
)
_ENTRY_AT = select(*_COLUMNS).where(entries.c.idx == bindparam("idx"))
_FIND = (
    select(*_COLUMNS)
    .where(entries.c.key == bindparam("key"), entries.c.event_id == bindparam("event_id"))
    .order_by(entries.c.idx)
    .limit(1)
)
_SIGNED = entries.alias("signed")
_ISSUER_OF = (
    select(entries.c.event_id)
    .join(_SIGNED, _SIGNED.c.issuer == entries.c.key)
    .where(_SIGNED.c.idx == bindparam("idx"), entries.c.type.in_(("party.register", "log.genesis")))
    .order_by(entries.c.idx)
    .limit(1)
)
_LINKS_FROM = select(links).where(links.c.source == bindparam("source")).order_by(links.c.id)
_TIME_OF = select(times.c.time).where(times.c.idx <= bindparam("idx")).order_by(times.c.idx.desc()).limit(1)
