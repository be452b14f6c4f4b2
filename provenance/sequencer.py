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
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from ledger.errors import Conflict, Rollback
from ledger.group import NextKeys
from ledger.log import Log, Within
from ledger.storage import Row, Transaction
from provenance.erasures import ERASURE, can_be_erased, targets_of
from provenance.errors import EventRejected, Reason
from provenance.events import Draft, new_event
from provenance.following import BATCH, Following
from provenance.index import Facts, IndexStore, facts_of
from provenance.keys import PartySigner
from provenance.moments import format_time, parse_time
from provenance.observe import UNOBSERVED, Observer
from provenance.once import Place
from provenance.queue import Queue, Staged, places_taken
from provenance.session import connection_of
from provenance.statement import Headers, sign_statement
from provenance.subjects import keep
from provenance.vault import Vault
from provenance.waiting import Pair, contents_of, facts_of_staged, parents_first

__all__ = [
    "TIME_INTERVAL",
    "Sequencer",
    "Signers",
]

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
        following: Following,
        signers: Callable[[], Signers],
        genesis: bytes,
        market: bytes,
        clock: Callable[[], datetime],
        may_sign: Callable[[bytes], None] = lambda _: None,
        late: Callable[[Sequence[bytes]], list[tuple[bytes, str]]] = lambda _: [],
    ) -> None:
        """`market` is the party id of whoever signs what comes without a signature.

        `may_sign` raises `UnknownKey` unless the market's key with this id is valid for the next entry. `late` finds,
        of statements that others made and that were just logged, the events whose key was retired at their place, and
        since when.
        """
        self._log = log
        self._queue = queue
        self._vault = vault
        self._index = index
        self._following = following
        self._signers = signers
        self._genesis = genesis
        self._market = market
        self._clock = clock
        self._may_sign = may_sign
        self._late = late
        self._reserved: set[bytes] = set()  # events whose places were taken before the log had them
        self._stamps: list[int] = []  # when events were staged that are sequenced now; only while somebody watches
        self.observer: Observer = UNOBSERVED

    def sequence_once(self, limit: int = BATCH) -> int:
        """Sequence at most `limit` waiting events and return how many; durable when this returns.

        When it returns 0, everything that was accepted before the call is sequenced, by whomever. Raises `Rollback`
        when the clock is behind the last log time, `UnknownKey` without the keys, and what `Log.extend` raises.
        """
        done = 0

        def act() -> None:
            nonlocal done
            headers = Headers()
            waiting = self._queue.peek(limit)
            pairs = [(event, facts_of_staged(event, market=self._market, by=headers)) for event in waiting]
            pairs = self._until_keys(parents_first(pairs))
            done = len(pairs)
            if pairs:
                self._batch(pairs, waited=True)

        # What waits stays visible until a batch has committed, so that nothing visible means nothing under way.
        if self._queue.peek(1) or self._following.is_behind():
            self._retrying(act)
        return done

    def drain(self) -> None:
        """Sequence everything that was accepted before the call; what is accepted meanwhile does not prolong it."""
        until = self._queue.newest()
        while (waiting := self._queue.peek(1)) and waiting[0].id <= until:
            self.sequence_once()
        self._following.follow()

    def append(self, pairs: list[Pair]) -> None:
        """Sequence events that were never in the queue, in this order, all or none; those in the log are left out."""
        if len(self._until_keys(pairs)) < len(pairs):
            text = "the market changes its keys in the middle of what is recorded at once; record that apart"
            raise EventRejected(Reason("party.keys.apart", text))
        self._retrying(lambda: self._batch(pairs))

    def hand_over(self, keys: NextKeys, *, to: Draft) -> None:
        """Sequence the `log.keys` event `to`, the last thing that the present keys sign and the first for `keys`.

        Raises as `Log.extend`.
        """
        statement = sign_statement(
            self._signers().log, issuer=self._genesis.hex(), type=to.type, origin=self._log.origin, event_id=to.id
        )
        staged = Staged(0, to.id, to.type, to.data, (), statement, sealed=False)
        facts = facts_of_staged(staged, market=self._market)
        self._retrying(lambda: self._batch([(staged, facts)], hand=keys))

    def take_stamps(self) -> list[int]:
        """When (milliseconds since 1970) the events were staged that were sequenced here since the last call."""
        stamps, self._stamps = self._stamps, []
        return stamps

    def put_stamps_back(self, stamps: list[int]) -> None:
        """For `take_stamps` to return again."""
        self._stamps = [*stamps, *self._stamps]

    def _retrying(self, act: Callable[[], None]) -> None:
        """Run `act` again, from its beginning, while another sequencer is faster."""
        with self._following.leading():
            for _ in range(_MOST_RETRIES):
                self._following.catch_up()
                self._release()
                try:
                    return act()
                except Conflict as error:
                    conflict = error
                    self.observer.conflicted()
                    extra = {"origin": self._log.origin, "size": self._log.size}
                    logger.warning("%s: another process was faster; again", self._log.origin, extra=extra)
            raise conflict

    def _until_keys(self, pairs: list[Pair]) -> list[Pair]:
        """The events up to and with the first that changes the market's keys: what is behind it needs others."""
        for number, (event, _) in enumerate(pairs, 1):
            if event.type == "party.keys" and orjson.loads(event.event)["actor"] == self._market.hex():
                return pairs[:number]
        return pairs

    # One batch

    def _batch(self, pairs: Sequence[Pair], *, waited: bool = False, hand: NextKeys | None = None) -> None:
        began = time.monotonic()
        with self.observer.step("sequence") as seen:
            self._append(pairs, waited, hand)
            seen.events(len(pairs))
        if self.observer is not UNOBSERVED and len(self._stamps) < _MOST_STAMPS:
            self._stamps += [event.staged_at for event, _ in pairs if event.staged_at]
        seconds = round(time.monotonic() - began, 6)
        extra = {"origin": self._log.origin, "size": self._log.size, "batch": len(pairs), "seconds": seconds}
        logger.info("%s: %d events sequenced", self._log.origin, len(pairs), extra=extra)
        for event_id, text in self._find_late(pairs):
            extra = {"origin": self._log.origin, "event": event_id.hex()}
            logger.warning("%s: %s is logged late: %s", self._log.origin, event_id.hex(), text, extra=extra)

    def _find_late(self, pairs: Sequence[Pair]) -> list[tuple[bytes, str]]:
        """Events that others signed with keys which were valid then and are not now: logged, and told."""
        foreign = [
            event.statement
            for event, _ in pairs
            if event.statement is not None and event.type not in {"party.register", "party.keys"}
        ]
        return self._late(foreign) if foreign else []

    def _append(self, pairs: Sequence[Pair], waited: bool, hand: NextKeys | None) -> None:
        began = self._index.on().size  # before it is asked what it knows
        policy = self._log.policy
        ids = [event.event_id for event, _ in pairs] if waited else []
        known = self._index.on().known(event.event_id for event, _ in pairs)
        # The pairs that there are, and none anew: what a batch keeps alive costs the most where memory is cleaned up.
        fresh = {pair[0].event_id: pair for pair in pairs if pair[0].event_id not in known}
        time = self._log_time() if fresh else None
        found = [fact for _, fact in fresh.values()]
        rows = self._rows(fresh.values())
        if time is not None:
            rows.insert(0, time[0])
            found.insert(0, time[1])
        events = [event for event, _ in fresh.values()]
        erased = [target for event in events if event.type == ERASURE for target in targets_of(event.event)]
        # What leaves the queue must be in the index: staging would find it in neither. And an erasure elsewhere must
        # not be forgotten by a crash: the index, which follows the log, is behind until then.
        gone = [entry.idx for entry in self._index.on().redacted(erased)] if erased else []
        whole = rows
        if erased:
            rows = [_unless_erased(row, fact, erased) for row, fact in zip(rows, found, strict=True)]
        joins = self._log.has_transactions and self._index.joins
        if not joins or gone or rows != whole or (erased and not self._vault.joins):
            self._apart(began, rows, found, events, gone, hand, places=[] if waited else places_taken(found))
            if known:
                with self._queue.joining(None) as connection:  # in the log before, and staged again
                    self._queue.forget(connection, known)
            return
        if not self._vault.joins:
            keep(self._vault, contents_of(events))
        places = places_taken(found)

        def within(tx: Transaction, first: int) -> None:
            connection = connection_of(tx)
            index = self._index.on(connection)
            # What waited has its places since it was staged: they are taken one by one, and none is given back.
            portions = [[place] for place in places] if waited else [places] if places else []
            taken = next(filter(None, [self._queue.take(connection, portion) for portion in portions]), None)
            if taken is not None and not waited:
                raise EventRejected(_taken(taken))
            if self._log.policy != policy:
                msg = "log keys: another process handed over to others"
                raise Conflict(msg)
            if time is not None and index.last_time() > time[1].time:
                msg = "log time: another sequencer wrote a later one"
                raise Conflict(msg)
            if waited:
                self._queue.remove(connection, ids)
            # Another process was faster: with events that come from elsewhere, or that are staged again by now.
            if first != began and index.known(fresh):
                msg = "events: another process recorded some of them"
                raise Conflict(msg)
            self._following.forget_names(connection, erased, contents_of(events))
            if self._vault.joins:
                keep(self._vault, contents_of(events), connection=connection)
                self._vault.erase(erased, connection=connection)
            index.write(first, found)
            index.forget(erased)

        if rows or waited:
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
        events: Sequence[Staged],
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
            keep(self._vault, contents_of(events))
            first = self._extend(rows, at=at, redact=redact, hand=hand)
            self._following.catch_up((first, found))

    def _rows(self, fresh: Collection[Pair]) -> list[Row]:
        """The log entries, signed now where they are the market's own."""
        market = self._signers().market
        if any(event.statement is None for event, _ in fresh):
            self._may_sign(market.kid)
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


def _unless_erased(row: Row, fact: Facts, erased: Collection[bytes]) -> Row:
    """The row without its event where the same batch erases it."""
    gone = fact.event_id in erased and can_be_erased(fact.type, sealed=fact.sealed)
    return row._replace(opened=b"") if gone else row


def _taken(place: Place) -> Reason:
    text = f"{place.rule} {place.key.hex()}: taken by another event, and it can be taken once"
    return Reason(f"once.{place.rule}", text, (place.event_id.hex(),))
