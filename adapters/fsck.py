"""Checking everything that an operator stores, in one pass or in slices, and mending what is derivable."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine

from adapters.assemble import Parts
from adapters.heads import check_batches, check_head, mend_batches, mend_head
from adapters.key_files import BESIDE
from adapters.locations import Place, open_objects, parts_at
from adapters.log_keys import noted_keys
from adapters.published import OURS, Portions, check_beside, check_place, judges_of, mend_beside, raise_unless_damage
from adapters.rows import Rows
from adapters.sql.errors import storage_errors
from adapters.sql.notes import SqlNotes
from adapters.tables import check_tables, mend_keys
from ledger.batch import batches_in
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.copies import Copies, get_or_none
from ledger.errors import (
    LedgerError,
    MalformedError,
    NotFound,
    StorageError,
)
from ledger.fsck import Fault, fault_of, standing, strays
from ledger.keyring import Keyring
from ledger.merkle import tree_root
from ledger.owned import Owned, repair_owned
from ledger.repair import Repaired, checkpoint_in, repair
from ledger.rounds import Memory, Rounds, Step
from ledger.storage import Checkpoints, ListsObjects, Objects, ReadsObjects, Row
from ledger.stored import Stored
from ledger.tile import CHECKPOINT, WIDTH
from provenance.erasures import ERASURE, named_by
from provenance.holdings import Contents, check_entries, check_unpublished
from provenance.identity import KeyEvent, Party, party_of
from provenance.index.compare import find_exactly, of_type_exactly, sources_exactly, surplus
from provenance.notes import FsckMemory
from provenance.signatures import Signatures
from provenance.statement import Statement
from provenance.subjects import SubjectKeys
from provenance.succession import LINKS
from provenance.vault import Vault

__all__ = ["Holdings", "open_holdings"]

logger = logging.getLogger(__name__)

_BUNDLES = 64  # in memory, with the open events beside them

# The position behind the last portion of a step: whoever goes on there has nothing left to do.
_DONE = "done"


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    run: Callable[[Any], Portions]


class Holdings:
    """All that an operator stores of one ledger: `published` are the places that others read it from.

    `signatures` verifies every statement as well, at some 100 µs each.
    """

    def __init__(
        self, parts: Parts, keys: Keyring, *, published: Sequence[ReadsObjects] = (), signatures: bool = False
    ) -> None:
        self._parts = parts
        self._keys = keys
        self._policy = keys.policy
        self._published = published
        self._judges = signatures
        self._client: Client | None = None
        self._owned: Owned | None = None
        self._bundle = lru_cache(maxsize=_BUNDLES)(self._read_bundle)

    def steps(self) -> list[Step]:
        """The parts of one pass, in their order; made anew for each slice, so that each sees what is stored by then."""
        self._client = self._owned = None
        self._bundle.cache_clear()
        steps = [
            _Step("tables", partial(check_tables, self._parts)),  # first, because all others look by their keys
            _Step("head", _once(self._head)),
            _Step("entries", self._entries),
            _Step("objects", _once(self._objects)),
            _Step("index", _once(self._surplus)),
            _Step("queue", self._rows().queue),
            _Step("names", self._rows().names),
            _Step("places", self._rows().places),
            _Step("places taken", self._rows().taken),
            _Step("files", _once(self._rows().files)),
        ]
        for number, place in enumerate(self._published):
            steps.append(_Step(f"published {number}", lambda at, place=place: self._place(place, at)))  # type: ignore[misc]
        return [_Step(step.name, _in_spite_of_damage(step)) for step in steps]

    def memory(self) -> Memory:
        """Where slices remember how far they came: a row of the ledger's own database."""
        return FsckMemory(SqlNotes(self._parts.store))

    def rounds(self) -> Rounds:
        """Slices of passes over all of it."""
        return Rounds(self.steps(), self.memory())

    def faults(self, progress: Callable[[str, int, int], None] | None = None) -> Iterator[Fault]:
        """One whole pass, from the beginning. `progress` is called with (step, done, in all) while entries are read."""
        for step in self.steps():
            for position, faults in step.run(None):
                yield from faults
                if progress is not None and isinstance(position, int) and not isinstance(position, bool):
                    progress(step.name, position, max(position, self._size))

    def mend_keys(self) -> list[str]:
        """Make the keys again of each table that the database product finds damaged; which tables are sound now."""
        return mend_keys(self._parts)

    def mend_places(self) -> list[str]:
        """Make the places that can be taken once again (`provenance.once`), from log and queue; what was mended."""
        return self._rows().mend_places()

    def repair(self, *, progress: Callable[[str, int, int], None] | None = None) -> Repaired:
        """Mend the log here and where it is published, each from the other, as far as the signed checkpoint proves it.

        What a place shows is never put behind or beside what it showed: one that shows more than there is here, or
        another log, is left alone and told. The index is another matter: `adapters.recover.rebuild_index`. Sealed
        events and names come from a backup only.
        """
        bar = None if progress is None else lambda done, total: progress("mending", done, total)
        origin, parts = self._keys.origin, self._parts
        fits, gone = judges_of(self._erased())
        if self._in_database:
            numbers = self._rows().numbers()
            report, copies = repair_owned(
                parts.store, self._policy, origin, self._published, fits=fits, gone=gone, numbers=numbers, progress=bar
            )
            if copies is None:
                return report
            signed = open_checkpoint(parts.store.head(origin).signed, self._policy)
            sources: list[ReadsObjects] = [Owned(parts.store, self._policy, origin), *self._published]
        else:
            headed = mend_head(
                parts.heads, origin, self._policy, [parts.tiles, *self._published], batches_in(parts.tiles)
            )
            if headed.lost:
                return headed
            signed = open_checkpoint(parts.heads.load(origin), self._policy)
            shown = checkpoint_in(get_or_none(parts.tiles, CHECKPOINT), self._policy)
            behind = None if shown is None else self._behind(parts.tiles, shown)
            if behind is not None:
                return Repaired(lost=[behind])
            copies = Copies(signed, [parts.tiles, *self._published])
            report = repair(parts.tiles, copies, fits=fits, gone=gone, policy=self._policy, progress=bar)
            mend_beside(parts.tiles, self._keys, parts.links(), report, witnessed=parts.witnesses())
            report.mended += headed.mended
            report.mended += mend_batches(parts.tiles, signed, self._policy)
            sources = [parts.tiles, *self._published]
        self._client = self._owned = None
        for place in self._published:
            if isinstance(place, Objects) and not self._contradicted(place, report):
                copies = Copies(signed, sources)
                done = repair(place, copies, fits=fits, gone=gone, policy=self._policy, progress=bar)
                mend_beside(place, self._keys, parts.links(), done, witnessed=parts.witnesses())
                report.mended += [f"{place!r} {path}" for path in done.mended]
                report.lost += done.lost
        self._client = self._owned = None
        self._bundle.cache_clear()
        return report

    # Steps

    def _head(self) -> Iterator[Fault]:
        if self._parts.checkpoints is None:
            yield from self._rows().head()
        if not self._in_database:
            yield from check_head(self._parts.heads, self._keys.origin, self._policy)
        yield from self._rows().layout({**noted_keys(self._keys), **self._parts.layout})

    def _entries(self, at: Any) -> Portions:
        start = at or 0
        index = self._parts.index.on()
        try:
            client = self._open()
            indexed = index.size  # read after the log, so that it is not behind where both commit together
            contents = Contents(
                client.opened,
                vault=self._parts.sealed,
                erased=self._erased(),
                index=index,
                indexed=None if self._parts.index.joins else indexed,
                signatures=self._signatures() if self._judges else None,
            )
            yield from check_entries(client, contents, start=start)
        except LedgerError as error:
            raise_unless_damage(error)
            yield _DONE, [fault_of(error), *self._all_rows()]
            return
        owned = self._owned
        if owned is None:
            return
        faults: list[Fault] = []
        if owned.head.size > owned.checkpoint.size:
            strict = Contents(
                Client(owned, self._policy).opened,
                vault=self._parts.sealed,
                erased=self._erased(),
                index=index,
                signatures=self._signatures(),
            )
            faults += check_unpublished(owned, strict)
        if self._parts.index.joins and indexed < owned.head.size:
            text = f"index: of {indexed} entries, the log has {owned.head.size}; run `provenance index rebuild`"
            faults.append(Fault("index", text, altered=False))
        yield _DONE, faults

    def _objects(self) -> Iterator[Fault]:
        tiles = self._parts.tiles
        if self._in_database:
            paths = self._rows().paths()
        elif isinstance(tiles, ListsObjects):
            paths = sorted(tiles.list(""))
        else:
            return
        known = (*OURS, *(() if self._in_database else (*BESIDE, LINKS)))
        try:
            client = self._open()
        except LedgerError as error:
            raise_unless_damage(error)  # said by the step before
            return
        yield from strays(client, (path for path in paths if not path.startswith(known)))
        if not self._in_database:  # which shows nobody anything
            yield from check_beside(tiles, client, self._policy, self._keys, self._parts.links())
            behind = self._behind(tiles, client.checkpoint)
            if behind is not None:
                yield behind
            yield from check_batches(tiles)

    def _surplus(self) -> Iterator[Fault]:
        """Rows of the index that belong to no entry; the others are compared where the entries are read."""
        found = surplus(self._parts.index.on(), self._sequenced())
        size = self._sequenced()  # the market goes on meanwhile
        for table, idx in found:
            if not 0 <= idx < size:
                text = f"{table}: a row of entry #{idx}, the log has {size}; run `provenance index rebuild`"
                yield Fault(table, text, altered=False)

    def _sequenced(self) -> int:
        if self._in_database:
            return self._parts.store.head(self._keys.origin).size
        return open_checkpoint(self._parts.heads.load(self._keys.origin), self._policy).size

    def _place(self, place: ReadsObjects, at: Any) -> Portions:
        """A published place: it, and that what it shows is a beginning of this log."""
        links = self._parts.links()
        yield from check_place(place, self._policy, at=at, keys=self._keys, links=links, erased=self._erased())
        faults: list[Fault] = []
        try:
            fault = self._against(place, open_checkpoint(place.get(CHECKPOINT), self._policy))
            faults += [] if fault is None else [fault]
        except LedgerError as error:
            raise_unless_damage(error)  # said above, or by the step that reads what is stored here
        yield _DONE, faults

    def _behind(self, place: ReadsObjects, shown: Checkpoint) -> Fault | None:
        """What is wrong where a place shows more than there is here."""
        size = self._sequenced()  # asked for last: the market goes on meanwhile
        if shown.size <= size:
            return None
        text = f"{place!r}: shows size {shown.size}, this ledger has {size} and lost what came after"
        text = f"{text}; restore its newer storage, or fill it up with `provenance recover`"
        return Fault(repr(place), text, altered=False)

    def _against(self, place: ReadsObjects, shown: Checkpoint) -> Fault | None:
        """What is wrong where a place shows more than there is here, or another log."""
        behind = self._behind(place, shown)
        if behind is not None:
            return behind
        mine = self._open()
        if shown.size <= mine.checkpoint.size and tree_root(shown.size, mine.reader) != shown.root:
            return Fault(repr(place), f"{place!r}: shows another log than this one at size {shown.size}")
        return None

    def _contradicted(self, place: ReadsObjects, report: Repaired) -> bool:
        """Whether a place has to be left alone because of what it shows, which `report` is told."""
        shown = checkpoint_in(get_or_none(place, CHECKPOINT), self._policy)
        try:
            fault = None if shown is None else self._against(place, shown)
        except LedgerError as error:
            raise_unless_damage(error)
            fault = fault_of(error)
        report.lost += [] if fault is None else [fault]
        return fault is not None

    def _all_rows(self) -> Iterator[Fault]:
        """Which of the last rows is no longer what was signed, when hashes cannot tell."""
        owned = self._owned
        if owned is None or not owned.rows:
            return
        first = owned.head.size - len(owned.rows)
        opened = [row.opened for row in owned.rows]
        contents = Contents(lambda _: opened, erased=self._erased(), signatures=self._signatures())
        contents.look(first, [row.entry for row in owned.rows])
        yield from contents.take()

    # What they read

    @property
    def _in_database(self) -> bool:
        return self._parts.objects is None and self._parts.checkpoints is None

    @property
    def _size(self) -> int:
        return 0 if self._client is None else self._client.checkpoint.size

    def _open(self) -> Client:
        """The log as it is stored here, as of one moment."""
        if self._client is None:
            client = Client(self._source(), self._policy)
            standing(client)
            self._client = client
        return self._client

    def _source(self) -> ReadsObjects:
        if not self._in_database:
            return self._parts.tiles
        if self._owned is None:
            self._owned = Owned(self._parts.store, self._policy, self._keys.origin)
        return self._owned

    def _rows(self) -> Rows:
        return Rows(
            self._parts.store,
            origin=self._keys.origin,
            index=self._parts.index.on(),
            vault=self._parts.sealed,
            event_at=self._event_at,
            find=self._find,
        )

    def _erased(self) -> dict[bytes, bytes | None]:
        """What the erasures in the log name, each with its tombstone."""
        return named_by(self._event_at(idx) for idx in of_type_exactly(self._parts.index.on(), ERASURE))

    def _signatures(self) -> Signatures:
        return Signatures(self._policy, self._keys.origin, find=self._find)

    def _event_at(self, idx: int) -> bytes | None:
        """The event of an entry, None where it cannot be read or is not what the entry says.

        Nothing but its hash is checked: it must also be found while the tree does not lead to its root.
        """
        try:
            row = self._bundle(idx // WIDTH)[idx % WIDTH]
            event_id = Statement.parse(row.entry).event_id
            event = row.opened or self._parts.sealed.get(event_id)
        except IndexError:
            return None
        except LedgerError as error:
            raise_unless_damage(error)
            return None
        return event if sha256(event).digest() == event_id else None

    def _read_bundle(self, number: int) -> Sequence[Row]:
        source = self._source()
        owned = self._owned
        if owned is not None and number == owned.head.size // WIDTH:
            return owned.rows
        if owned is not None:
            return Stored(source).bundle(number)
        size = open_checkpoint(source.get(CHECKPOINT), self._policy).size
        return Stored(source).bundle(number, min(WIDTH, size - number * WIDTH))

    def _find(self, party_id: bytes) -> Party | None:
        index = self._parts.index.on()
        entry = find_exactly(index, party_id)
        event = None if entry is None else self._event_at(entry[0])
        if entry is None or event is None or sha256(event).digest() != party_id:
            return None
        try:
            party = party_of(party_id, entry[0], event)
            for idx, signed in sorted(self._key_changes(party_id).items()):
                said = KeyEvent.read(signed.event_id, self._event_at(idx) or b"")
                issuer, time = bytes.fromhex(signed.issuer), index.time_of(idx)
                party, _ = party.follow(said, issuer=issuer, index=idx, time=time, signer=signed.kid)
        except MalformedError:
            return None
        return party

    def _key_changes(self, party_id: bytes) -> dict[int, Statement]:
        """The statements, by entry, that go back to a registration and change its keys."""
        found: dict[int, Statement] = {}
        ahead = [party_id]
        while ahead:
            for idx in sources_exactly(self._parts.index.on(), ahead.pop(), "prev"):
                with suppress(IndexError, MalformedError, NotFound):
                    signed = Statement.parse(self._bundle(idx // WIDTH)[idx % WIDTH].entry)
                    if signed.type == "party.keys" and idx not in found:
                        found[idx] = signed
                        ahead.append(signed.event_id)
        return found


def open_holdings(
    database: str | Engine,
    *,
    published: Sequence[Place] = (),
    objects: Place | None = None,
    checkpoints: str | Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    signatures: bool = False,
) -> Holdings:
    """What an operator stores, to be checked or mended; also where `connect` refuses because of what is damaged.

    `published` are the places that others read the log from; the rest is where the ledger is, as in `connect`.
    """
    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys)
    try:
        keys = parts.read_layout()
    except MalformedError as error:
        msg = f"{parts.store.name}: what is noted about this ledger's layout cannot be read; restore provenance_state"
        raise StorageError(msg) from error
    return Holdings(parts, keys, published=[open_objects(place) for place in published], signatures=signatures)


def _in_spite_of_damage(step: _Step) -> Callable[[Any], Portions]:
    """Where damage keeps a step from going on, that is what it found: the other steps are still taken."""

    def run(at: Any) -> Portions:
        if at == _DONE:
            return
        try:
            with storage_errors(step.name):
                yield from step.run(at)
        except LedgerError as error:
            raise_unless_damage(error)
            yield _DONE, [fault_of(error)]
        except (AttributeError, MemoryError, TypeError, ValueError) as error:
            # A row holds what its column does not allow: nothing, or a number where bytes should be. The traceback
            # is for whom the storage turns out to be sound: then it is a fault of ours.
            logger.info("%s: what is stored cannot be read", step.name, exc_info=True)
            text = f"{step.name}: what is stored cannot be read: {type(error).__name__} {error}"
            yield _DONE, [Fault(step.name, text)]

    return run


def _once(check: Callable[[], Iterator[Fault]]) -> Callable[[Any], Portions]:
    """A step of one portion."""

    def run(at: Any) -> Portions:
        if at is None:
            yield True, list(check())

    return run
