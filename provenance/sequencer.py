"""From the queue into the log: the market's statements are signed here, and log time is written.

Where log, queue, vault and index share one database, a batch is one transaction: entries, vault items, index rows and
the removal of the queue rows commit together. Everywhere else the log goes first, at a place of the log that nobody
else can take, and the rest follows it: what the log has and the index has not is indexed and leaves the queue before
anything new is taken. A crash in between is finished by the next call, which does the same.

What an erasure names is erased with the batch that sequences it: in the same transaction, or else by what follows the
log. Open events among it leave the log's own storage with the very batch that says so, and the places where it is
published before the index knows of the erasure.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import orjson

from ledger.errors import Conflict, MalformedError, Rollback
from ledger.group import NextKeys
from ledger.log import Log, Within
from ledger.storage import Row, Transaction
from provenance.canonical import address
from provenance.erasures import ERASURE, can_be_erased, erased_addresses, named_in, targets_of
from provenance.errors import EventRejected, Reason
from provenance.events import Draft, new_event
from provenance.index import Facts, Index, IndexStore, facts_of
from provenance.index.facts import facts_left
from provenance.index.rebuild import read_rows
from provenance.keys import PartySigner
from provenance.moments import format_time, parse_time
from provenance.names import forget_names
from provenance.observe import UNOBSERVED, Observer
from provenance.once import Place
from provenance.queue import Queue, Staged
from provenance.session import connection_of
from provenance.statement import Headers, Statement, sign_statement
from provenance.subjects import Owned, keep
from provenance.vault import Vault, holds, read_many

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "BATCH",
    "TIME_INTERVAL",
    "Sequencer",
    "Signers",
    "contents_of",
    "facts_of_staged",
]

BATCH = 4096
"""Most events in one transaction."""

TIME_INTERVAL = timedelta(seconds=60)
"""A log time is appended when the last one is at least this old."""

_MOST_RETRIES = 10
_MOST_STAMPS = 1_000_000  # events of which it is remembered when they were staged, should nobody publish

logger = logging.getLogger(__name__)


class Signers(NamedTuple):
    """The two keys that a sequencer signs statements with: the log's for `log.*`, the market's for its own events."""

    log: PartySigner
    market: PartySigner


class Sequencer:
    """Takes accepted events in order, parents before children, and appends them. One at a time over all hosts."""

    def __init__(
        self,
        *,
        log: Log,
        queue: Queue,
        vault: Vault,
        index: IndexStore,
        signers: Callable[[], Signers],
        genesis: bytes,
        clock: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._queue = queue
        self._vault = vault
        self._index = index
        self._signers = signers
        self._genesis = genesis
        self._clock = clock
        self._lock = threading.Lock()
        self._reserved: set[bytes] = set()  # events whose places were taken before the log had them
        self._stamps: list[int] = []  # when events were staged that are sequenced now; only while somebody watches
        self.observer: Observer = UNOBSERVED
        self.market = b""
        """Party id of whoever signs what comes without a signature; known once the log was read."""
        self.may_sign: Callable[[bytes], None] = lambda _: None
        """Raises `UnknownKey` unless the market's key with this id is valid for the next entry."""
        self.late: Callable[[Sequence[bytes]], list[tuple[bytes, str]]] = lambda _: []
        """Of others' statements that were just logged: the events whose key was retired at their place, since when."""
        self.forget: Callable[[Collection[bytes]], None] = lambda _: None
        """Told the addresses that are erased, for whoever remembers what lay there."""
        self.read: Callable[[bytes], bytes | None] = lambda _: None
        """Bytes of an earlier event, None when it cannot be read here."""

    def sequence_once(self, limit: int = BATCH) -> int:
        """Sequence at most `limit` waiting events and return how many; durable when this returns.

        When it returns 0, everything that was accepted before the call is sequenced, by whomever. Raises `Rollback`
        when the clock is behind the last log time, `UnknownKey` without the keys, and what `Log.extend` raises.
        """
        done = 0

        def act() -> None:
            nonlocal done
            headers = Headers()
            peeked = self._queue.peek(limit)
            pairs = parents_first([(event, facts_of_staged(event, market=self.market, by=headers)) for event in peeked])
            staged = self._until_keys([event for event, _ in pairs])
            done = len(staged)
            if staged:
                self._batch(staged, [fact for _, fact in pairs[:done]], [event.event_id for event in staged])

        # What waits stays visible until a batch has committed, so that nothing visible means nothing under way.
        if self._queue.peek(1) or self._behind():
            self._retrying(act)
        return done

    def drain(self) -> None:
        """Sequence everything that was accepted before the call; what is accepted meanwhile does not prolong it."""
        until = self._queue.newest()
        while (waiting := self._queue.peek(1)) and waiting[0].id <= until:
            self.sequence_once()
        self.follow()

    def append(self, staged: Sequence[Staged], facts: Sequence[Facts]) -> None:
        """Sequence events that were never in the queue, in this order, all or none; those in the log are left out."""
        if len(self._until_keys(staged)) < len(staged):
            text = "the market changes its keys in the middle of what is recorded at once; record that apart"
            raise EventRejected(Reason("party.keys.apart", text))
        self._retrying(lambda: self._batch(staged, facts, []))

    def hand_over(self, keys: NextKeys, *, to: Draft) -> None:
        """Sequence the `log.keys` event `to`, the last thing that the present keys sign and the first for `keys`.

        Raises as `Log.extend`.
        """
        statement = sign_statement(
            self._signers().log, issuer=self._genesis.hex(), type=to.type, origin=self._log.origin, event_id=to.id
        )
        staged = Staged(0, to.id, to.type, to.data, (), statement, sealed=False)
        facts = facts_of_staged(staged, market=self.market)
        self._retrying(lambda: self._batch([staged], [facts], [], hand=keys))

    def follow(self) -> None:
        """Let index and queue catch up with the log; nothing is sequenced. Needs no key."""
        if self._behind():
            with self._lock, self._queue.leading():
                self._follow()

    def take_stamps(self) -> list[int]:
        """When (milliseconds since 1970) the events were staged that were sequenced here since the last call."""
        stamps, self._stamps = self._stamps, []
        return stamps

    def put_stamps_back(self, stamps: list[int]) -> None:
        """For `take_stamps` to return again."""
        self._stamps = [*stamps, *self._stamps]

    def _retrying(self, act: Callable[[], None]) -> None:
        """Run `act` again, from its beginning, while another sequencer is faster."""
        with self._lock, self._queue.leading():
            for _ in range(_MOST_RETRIES):
                self._follow()
                self._release()
                try:
                    return act()
                except Conflict as error:
                    conflict = error
                    self.observer.conflicted()
                    extra = {"origin": self._log.origin, "size": self._log.size}
                    logger.warning("%s: another process was faster; again", self._log.origin, extra=extra)
            raise conflict

    def _until_keys(self, staged: Sequence[Staged]) -> Sequence[Staged]:
        """The events up to and with the first that changes the market's keys: what is behind it needs others."""
        for number, event in enumerate(staged, 1):
            if event.type == "party.keys" and orjson.loads(event.event)["actor"] == self.market.hex():
                return staged[:number]
        return staged

    # One batch

    def _batch(
        self, staged: Sequence[Staged], facts: Sequence[Facts], ids: Sequence[bytes], *, hand: NextKeys | None = None
    ) -> None:
        began = time.monotonic()
        with self.observer.step("sequence") as seen:
            self._append(staged, facts, ids, hand)
            seen.events(len(staged))
        if self.observer is not UNOBSERVED and len(self._stamps) < _MOST_STAMPS:
            self._stamps += [event.staged_at for event in staged if event.staged_at]
        seconds = round(time.monotonic() - began, 6)
        extra = {"origin": self._log.origin, "size": self._log.size, "batch": len(staged), "seconds": seconds}
        logger.info("%s: %d events sequenced", self._log.origin, len(staged), extra=extra)
        for event_id, text in self._late(staged):
            extra = {"origin": self._log.origin, "event": event_id.hex()}
            logger.warning("%s: %s is logged late: %s", self._log.origin, event_id.hex(), text, extra=extra)

    def _late(self, staged: Sequence[Staged]) -> list[tuple[bytes, str]]:
        """Events that others signed with keys which were valid then and are not now: logged, and told."""
        foreign = [
            event.statement
            for event in staged
            if event.statement is not None and event.type not in {"party.register", "party.keys"}
        ]
        return self.late(foreign) if foreign else []

    def _append(
        self, staged: Sequence[Staged], facts: Sequence[Facts], ids: Sequence[bytes], hand: NextKeys | None
    ) -> None:
        began = self._index.on().size  # before it is asked what it knows
        keys = self._log.keys
        known = self._index.on().known(event.event_id for event in staged)
        fresh = {
            event.event_id: (event, fact)
            for event, fact in zip(staged, facts, strict=True)
            if event.event_id not in known
        }
        time = self._log_time() if fresh else None
        found = [fact for _, fact in fresh.values()]
        rows = self._rows(list(fresh.values()))
        if time is not None:
            rows.insert(0, time[0])
            found.insert(0, time[1])
        items = [Owned(*pair, event) for event, _ in fresh.values() for pair in contents_of(event)]
        erased = [target for event, _ in fresh.values() if event.type == ERASURE for target in targets_of(event.event)]
        # What leaves the queue must be in the index: staging would find it in neither. And an erasure elsewhere must
        # not be forgotten by a crash: the index, which follows the log, is behind until then.
        gone = [entry.idx for entry in self._index.on().redacted(erased)] if erased else []
        whole = rows
        if erased:
            rows = [_unless_erased(row, fact, erased) for row, fact in zip(rows, found, strict=True)]
        joins = self._log.has_transactions and self._index.joins
        if not joins or gone or rows != whole or (erased and not self._vault.joins):
            self._apart(began, rows, found, items, gone, hand, places=[] if ids else _places(found))
            if known:
                with self._queue.joining(None) as connection:  # in the log before, and staged again
                    self._queue.forget(connection, known)
            return
        if not self._vault.joins:
            keep(self._vault, items)
        places = _places(found)

        def within(tx: Transaction, first: int) -> None:
            connection = connection_of(tx)
            index = self._index.on(connection)
            # What waited has its places since it was staged: they are taken one by one, and none is given back.
            portions = [[place] for place in places] if ids else [places] if places else []
            taken = next(filter(None, [self._queue.take(connection, portion) for portion in portions]), None)
            if taken is not None and not ids:
                raise EventRejected(_taken(taken))
            if self._log.keys != keys:
                msg = "log keys: another process handed over to others"
                raise Conflict(msg)
            if time is not None and index.last_time() > time[1].time:
                msg = "log time: another sequencer wrote a later one"
                raise Conflict(msg)
            if ids:
                self._queue.remove(connection, ids)
            # Another process was faster: with events that come from elsewhere, or that are staged again by now.
            if first != began and index.known(fresh):
                msg = "events: another process recorded some of them"
                raise Conflict(msg)
            self._forget_names(connection, erased, items)
            if self._vault.joins:
                keep(self._vault, items, connection=connection)
                self._vault.erase(erased, connection=connection)
            index.write(first, found)
            index.forget(erased)

        if rows or ids:
            self._extend(rows, within=within, hand=hand)

    def _reserve(self, places: Sequence[Place]) -> None:
        """Take places before the log has what takes them: whoever else stages waits or is refused from here on.

        What a process that died had reserved is taken over: nobody else leads, what is in the log is indexed, and what
        waits is in the queue. Raises `EventRejected` where another event has one.
        """
        for place in places:
            if (self._index.on().taken(place.rule, place.key) or place.event_id) != place.event_id:
                raise EventRejected(_taken(place))
        self._reserved.update(place.event_id for place in places)
        with self._queue.joining(None) as connection:
            while (taken := self._queue.take(connection, places)) is not None:
                holder = self._queue.holder(connection, taken.rule, taken.key)
                own = {place.event_id for place in places}
                if holder is None or holder in own or self._queue.waiting(connection, [holder]):
                    raise EventRejected(_taken(taken))
                if self._index.on().known([holder]):
                    raise EventRejected(_taken(taken))
                self._queue.give_back(connection, [holder])

    def _release(self) -> None:
        """Give places back that were reserved for what did not come into the log."""
        if self._reserved:
            left = self._reserved - self._index.on().known(self._reserved).keys()
            with self._queue.joining(None) as connection:
                self._queue.give_back(connection, sorted(left))
            self._reserved.clear()

    def _extend(
        self,
        rows: list[Row],
        *,
        within: Within | None = None,
        at: int | None = None,
        redact: Collection[int] = (),
        hand: NextKeys | None = None,
    ) -> int:
        with self.observer.step("integrate") as seen:
            first = self._log.extend(rows, within=within, at=at, redact=redact, hand=hand)
            seen.events(len(rows))
        return first

    def _apart(
        self,
        at: int,
        rows: list[Row],
        found: list[Facts],
        items: list[Owned],
        redact: Collection[int],
        hand: NextKeys | None,
        *,
        places: Sequence[Place],
    ) -> None:
        """A batch without a common transaction: vault first, then the log, then index and queue.

        `places` are those that it has not yet: they are reserved before the log is written.

        `at` is the size of the index when it was asked: the log may have grown since, also for this very handle, which
        another thread of the process publishes with. What was decided then holds at that place alone.
        """
        if rows:
            if places:
                self._reserve(places)
            keep(self._vault, items)
            first = self._extend(rows, at=at, redact=redact, hand=hand)
            self._follow((first, found))

    def _behind(self) -> bool:
        """Whether the log has what the index has not."""
        if not (self._log.has_transactions and self._index.joins):
            self._log.refresh()
        return self._index.on().size < self._log.size

    def _follow(self, known: tuple[int, Sequence[Facts]] | None = None) -> None:
        """Erase and index what the log says and the index has not seen, and take it out of the queue.

        `known` are the facts of entries from an index on, for whoever has them at hand.
        """
        while self._behind():
            first = self._index.on().size
            stop = min(first + BATCH, self._log.size)
            if known is not None and known[0] == first:
                facts = known[1]
                rows = [self._log.row(at) for at, fact in enumerate(facts, first) if fact.type == ERASURE]
            else:
                rows = list(self._log.rows(first, stop))
                self._keep_waiting(rows)
                facts = read_rows(rows, self._vault)
            erased = list(erased_addresses(rows))
            named = named_in(rows)
            gone = self._gone(named, first, facts)
            if erased:
                with self._queue.joining(None) as connection:
                    self._forget_names(connection, erased)
            self._log.redact(gone)
            self.forget(erased)
            if not self._vault.joins:
                self._vault.erase(erased)
            with self._queue.joining(None) as connection:
                if self._vault.joins:
                    self._vault.erase(erased, connection=connection)
                with self._index.writing(connection) as index:
                    if index.size == first:
                        index.write(first, facts)
                    index.forget(erased)
                    index.leave(self._left(index, gone, named, first))
                for place in _places(facts):
                    self._queue.take(connection, [place])  # of what waited it is; of a refilled log it is made again
                # The index first, should they not commit together: staging asks the queue, then the index.
                self._queue.forget(connection, [fact.event_id for fact in facts])

    def _forget_names(self, connection: Connection, erased: Sequence[bytes], items: Sequence[Owned] = ()) -> None:
        """Drop what the market calls what is about to be erased, from the vault or from these items of the batch."""
        if not erased:
            return
        index = self._index.on()
        whole = index.entries_of(erased)
        events = {event_id: index.issuer_of(entry.idx) != self.market for event_id, entry in whole.items()}
        fresh = {item.address: item.data for item in items if item.address in erased}
        held = dict.fromkeys(erased) | read_many(self._vault, erased) | fresh
        forget_names(self._queue, connection, held, events, self.read)

    def _gone(self, named: Mapping[bytes, bytes | None], first: int, facts: Sequence[Facts]) -> dict[int, bytes]:
        """Entries, with their event ids, whose open events are among these: before `first`, and in these `facts`."""
        if not named:
            return {}
        gone = {entry.idx: entry.event_id for entry in self._index.on().redacted(named) if entry.idx < first}
        for idx, fact in enumerate(facts, first):
            if fact.event_id in named and can_be_erased(fact.type, sealed=fact.sealed):
                gone[idx] = fact.event_id
        return gone

    def _left(
        self, index: Index, gone: Mapping[int, bytes], named: Mapping[bytes, bytes | None], first: int
    ) -> dict[int, Facts]:
        """What stays of them; where an erasure before the entry `first` named one, that has decided it."""
        before = index.erased(gone.values()) if gone else {}
        left = {}
        for idx, event_id in gone.items():
            if before.get(event_id, first) >= first:
                said = Statement.parse(self._log.row(idx).entry)
                left[idx] = facts_left(event_id=event_id, type=said.type, issuer=said.issuer, tombstone=named[event_id])
        return left

    def _keep_waiting(self, rows: Sequence[Row]) -> None:
        """Put what still waits, and is among these rows of the log, into the vault.

        After a crash it is there. Of a log that was refilled from its public files it may be in the queue alone.
        """
        if not self._queue.peek(1):
            return
        headers, event_ids = Headers(), []
        for row in rows:
            with suppress(MalformedError):
                event_ids.append(headers.read(row.entry)[1])
        waiting = self._queue.waiting(self._queue.reading, event_ids).values()
        items = [Owned(*pair, event) for event in waiting for pair in contents_of(event)]
        keep(self._vault, [item for item in items if not holds(self._vault, item.address)])

    def _rows(self, fresh: Sequence[tuple[Staged, Facts]]) -> list[Row]:
        """The log entries, signed now where they are the market's own."""
        market = self._signers().market
        if any(event.statement is None for event, _ in fresh):
            self.may_sign(market.kid)
        return [
            Row(
                event.statement
                or sign_statement(
                    market,
                    issuer=fact.issuer.hex(),
                    type=event.type,
                    origin=self._log.origin,
                    event_id=event.event_id,
                    sealed=event.sealed,
                ),
                b"" if event.sealed else event.event,
            )
            for event, fact in fresh
        ]

    def _log_time(self) -> tuple[Row, Facts] | None:
        """A log.time entry when one is due."""
        last = self._index.on().last_time()
        now = self._clock()
        if last:
            if format_time(now) < last:
                msg = f"clock says {format_time(now)}, the last log time is {last}: set the clock right, then go on"
                raise Rollback(msg)
            if now - parse_time(last) < TIME_INTERVAL:
                return None
        draft = new_event(
            "log.time",
            ledger=self._log.origin,
            actor=self._genesis.hex(),
            strength="self",
            claimed_at=format_time(now),
            body={"time": format_time(now)},
        )
        statement = sign_statement(
            self._signers().log, issuer=self._genesis.hex(), type="log.time", origin=self._log.origin, event_id=draft.id
        )
        facts = facts_of(event_id=draft.id, type="log.time", issuer=self._genesis.hex(), sealed=False, event=draft.data)
        return Row(statement, draft.data), facts


def facts_of_staged(event: Staged, *, market: bytes, by: Headers | None = None) -> Facts:
    """What the index will keep of an event that waits, once `market` (party id) has signed those of its own.

    `by` reads the statements of others, where there are many.
    """
    issuer = market.hex() if event.statement is None else (by or Headers()).read(event.statement)[0].issuer
    return facts_of(event_id=event.event_id, type=event.type, issuer=issuer, sealed=event.sealed, event=event.event)


def _unless_erased(row: Row, fact: Facts, erased: Collection[bytes]) -> Row:
    """The row without its event where the same batch erases it."""
    gone = fact.event_id in erased and can_be_erased(fact.type, sealed=fact.sealed)
    return row._replace(opened=b"") if gone else row


def _places(facts: Iterable[Facts]) -> list[Place]:
    return [Place(rule, key, fact.event_id) for fact in facts for rule, key in fact.places]


def _taken(place: Place) -> Reason:
    text = f"{place.rule} {place.key.hex()}: taken by another event, and it can be taken once"
    return Reason(f"once.{place.rule}", text, (place.event_id.hex(),))


def contents_of(event: Staged) -> list[tuple[bytes, bytes]]:
    """What of an accepted event goes into the vault: (address, bytes) of its items, and its own where it is sealed."""
    items = [(address(item), item) for item in event.items]
    return [*items, (event.event_id, event.event)] if event.sealed else items


def parents_first(waiting: Sequence[tuple[Staged, Facts]]) -> list[tuple[Staged, Facts]]:
    """The same events, each behind those of the same batch that it refers to, otherwise in their order."""
    by_id = {pair[0].event_id: pair for pair in waiting}
    done: dict[bytes, tuple[Staged, Facts]] = {}
    for pair in waiting:
        stack = [pair]
        while stack:
            event, fact = stack[-1]
            named = (fact.issuer, *(link[1] for link in fact.links))
            missing = [by_id[i] for i in named if i in by_id and i not in done and i != event.event_id]
            if missing:
                stack += missing
            else:
                done[event.event_id] = stack.pop()
    return list(done.values())
