"""One history: a market that sells while two sequencers and their storages fail, and what must hold at its end."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random

import orjson

from ledger import Client, Log, Row, SigningKey, fsck
from ledger.checkpoint import Checkpoint
from ledger.errors import Conflict, LedgerError, MalformedError, NotFound, Rollback, Unavailable
from ledger.merkle import Tree, leaf_hash
from ledger.policy import Policy
from ledger.storage import Head
from ledger.testing import MemoryStore
from provenance.canonical import address
from provenance.erasures import named_in
from provenance.following import Following
from provenance.index import Facts, facts_of
from provenance.index.facts import facts_left
from provenance.keys import PartyKey
from provenance.queue import Staged
from provenance.sequencer import Sequencer, Signers
from provenance.statement import Statement
from provenance.worker import Worker
from tests.simulation.stores import Bucket, Cell, Database, IndexTable, Network, SalesQueue, State, Vault, Weather
from tests.simulation.world import Process, Violation, World, installed

ORIGIN = "simulated.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
POLICY = Policy.of(KEY.verifier)
SIGNERS = Signers(PartyKey.from_seed(KEY.seed), PartyKey.from_seed(bytes(range(1, 33))))
GENESIS = sha256(b"genesis").digest()
_MARKET = sha256(b"market").digest()
START = datetime(2026, 1, 1, tzinfo=UTC)

SIZES = (2, 2, 250, 253, 255, 256, 509)  # a log is in the middle of a bundle, or about to fill one
SETUPS = ("database", "database", "objects", "objects", "head", "apart")


def run(seed: int) -> World:
    """Play the history of this seed. Raises `Violation`, or whatever the code under test should not have raised."""
    world = World(seed)
    with installed(world):
        history = _History(world)
        try:
            history.play()
            history.check()
        except BaseException as error:
            error.add_note(f"seed {seed}, {history.setup}, {history.weather}\n" + "\n".join(world.trace))
            raise
    return world


class _Fatal(Violation):
    """An error that only a person could mend, where nothing was broken."""


@dataclass
class _Ledger:
    """What one process holds in memory."""

    log: Log
    sequencer: Sequencer
    origin: str = ORIGIN

    def sequence_once(self) -> int:
        return self.sequencer.sequence_once(self.limit)

    def publish_once(self) -> Checkpoint:
        return self.log.publish()

    limit: int = 4096


@dataclass
class _History:
    world: World
    weather: Weather = field(default_factory=Weather)
    setup: str = ""
    recorded: list[bytes] = field(default_factory=list)  # events that `append` has returned for
    tried: list[bytes] = field(default_factory=list)  # events that `append` was called with
    sold: set[bytes] = field(default_factory=set)  # sales whose commit was acknowledged
    busy: int = 0  # that append or publish
    publishing: int = 0  # that publish
    published: int = 0  # entries that `publish` has returned for since then
    sequencers: int = 0
    erases: bool = False  # open events, now and then
    rested: bool = False  # faults are over
    resting: set[str] = field(default_factory=set)  # sequencers that have seen it

    def __post_init__(self) -> None:
        pick = self.world.random
        self.setup = pick.choice(SETUPS)
        size = pick.choice(SIZES)
        apart = self.setup == "apart"
        state, objects, signed = _began(self.setup, size)
        self.network = Network(self.world, self.weather, POLICY)
        self.network.signed = dict(signed)
        self.database = Database(self.network, state.copy())
        self.queue = SalesQueue(self.database)
        index_apart = apart or (self.setup != "database" and pick.random() < 0.3) or pick.random() < 0.1
        self.index = IndexTable(self.database, list(state.facts), joins=not index_apart)
        self.vault = Vault(self.database, joins=not apart)
        self.bucket = None
        self.heads: Database | Cell = self.database
        if self.setup != "database":
            self.bucket = Bucket(self.network, objects, parallel=pick.choice((1, 8)), name="bucket")
            assert state.head is not None
            if self.setup != "objects":
                self.heads = Cell(self.network, {ORIGIN: state.head.signed})
        self.place = None
        if self.setup == "database" or pick.random() < 0.3:
            self.place = Bucket(self.network, {}, parallel=1, name="public")
        self.events = iter(_events()[pick.randrange(40) :])
        self.until = 2.0 + pick.random() * 6

    # The market and its processes

    def play(self) -> None:
        pick, world, weather = self.world.random, self.world, self.weather
        for name, most in (("lost", 0.04), ("reply", 0.04), ("late", 0.03), ("refused", 0.01), ("leaky", 0.5)):
            if pick.random() < 0.6:
                setattr(weather, name, pick.random() * most)
        if pick.random() < 0.4:
            weather.stale = pick.random() * 2
        # Who is shown what was there before may write it again: no storage that is so for long can promise to forget.
        self.erases = not weather.stale and pick.random() < 0.5
        weather.slow = pick.choice((0.0, 0.01, 0.1))
        world.crash_chance = pick.choice((0, 0, 0.002, 0.01, 0.02))
        world.restart = self._restart
        self.sequencers = pick.choice((1, 2, 2, 3))
        for number in range(self.sequencers):
            self._begin(Process(f"sequencer{number}"), self._sequence)
        for number in range(pick.choice((1, 2))):
            self._begin(Process(f"web{number}"), self._sell)
        self._begin(Process("weather", mortal=False), self._clear_up)
        world.run()

    def _begin(self, process: Process, act: Callable[[Process], None], *, after: float = 0.0) -> None:
        self.world.spawn(process, functools.partial(act, process), after=after)

    def _restart(self, process: Process) -> None:
        act = self._sequence if process.name.startswith("sequencer") else self._sell
        self._begin(Process(process.name), act, after=self.world.random.random() * 2)

    def _clear_up(self, _: Process) -> None:
        """From here on nothing fails any more, and everybody comes to an end."""
        world = self.world
        world.sleep(self.until - world.now)
        world.crash_chance = 0.0
        self.weather.clear()
        world.note("faults are over")
        self.rested = True

    def _sell(self, process: Process) -> None:
        world, pick = self.world, self.world.random
        for _ in range(pick.randrange(2, 8)):
            if self.rested:
                return
            world.sleep(pick.expovariate(2.0))
            staged = next(self.events)
            for _ in range(pick.choice((1, 1, 1, 2, 4))):  # a retry, or the same event from somebody else
                back_out = pick.random() < 0.1
                with contextlib.suppress(Unavailable, Conflict):
                    self.database.sell(staged, back_out=back_out)
                    if not back_out:
                        self.sold.add(staged.event_id)
                world.sleep(pick.choice((0.0, 0.1, 1.0)))

    def _sequence(self, process: Process) -> None:
        """Open, work, and do so again after every error that may happen; in the end publish everything."""
        world, pick = self.world, self.world.random
        process.clock_error = pick.choice((0.0, 0.0, 0.0, 0.2, -40.0, 400.0, -90.0))
        while True:
            rested = self.rested and not world.running("web") and not world.running("network")
            try:
                ledger = self._open(process)
                if not rested:
                    self._work(ledger, process)
                else:
                    self.resting.add(process.name)
                    world.wait(lambda: len(self.resting) == self.sequencers)
                    self._rest(ledger)
                    return
            except Rollback as error:
                if "clock" not in str(error):
                    raise _Fatal(str(error)) from error
                world.count("clocks behind")
                process.clock_error = max(process.clock_error, 0.0) + 300.0  # set right, and beyond
            except (Unavailable, Conflict, NotFound) as error:
                self._allowed(error)
                world.note(f"{type(error).__name__}: {error}")
            world.sleep(pick.random())

    def _rest(self, ledger: _Ledger) -> None:
        """Nothing fails any more, but others may still be at work: what `publish` returns for is shown for good."""
        self.busy += 1  # it finishes, maybe, what another process has begun
        ledger.sequencer.drain()
        self.busy -= 1
        for _ in range(3):
            event = next(self.events)
            self.tried.append(event.event_id)
            self.busy += 1
            ledger.sequencer.append([(event, _facts(event))])
            self.recorded.append(event.event_id)
            size = self._head_size()
            self.publishing += 1
            ledger.log.publish()  # should it fail, nothing more is known of what shows: there are no further looks
            self.publishing -= 1
            self.busy -= 1
            self.published = max(self.published, size)
            self._check_published()

    def _open(self, process: Process) -> _Ledger:
        log = Log.open(
            self.bucket or self.database,
            KEY,
            checkpoints=self.heads,
            publish=[self.place] if self.place is not None else [],
            window=self.world.random.choice((0.0, 0.5)),
        )

        def clock() -> datetime:
            return START + timedelta(seconds=3600 + self.world.now * 20 + process.clock_error)

        following = Following(log=log, queue=self.queue, vault=self.vault, index=self.index)
        following.market = _MARKET
        following.follow()
        sequencer = Sequencer(
            log=log,
            queue=self.queue,
            vault=self.vault,
            index=self.index,
            following=following,
            signers=lambda: SIGNERS,
            genesis=GENESIS,
            market=_MARKET,
            clock=clock,
        )
        return _Ledger(log, sequencer, limit=self.world.random.choice((1, 3, 4096)))

    def _work(self, ledger: _Ledger, process: Process) -> None:
        acts = [self._by_worker, self._by_calls, self._by_calls, self._bulk]
        if self.erases:
            acts += [self._erase, self._erase]
        self.world.random.choice(acts)(ledger, process)

    def _by_worker(self, ledger: _Ledger, process: Process) -> None:
        """A worker, and a verb without a session beside it."""
        world, pick = self.world, self.world.random
        worker = Worker(ledger, window=0.5)
        ends: list[LedgerError] = []

        def verb() -> None:
            world.sleep(pick.random())
            try:
                ledger.sequencer.drain()
                ledger.log.publish()
            except LedgerError as error:
                ends.append(error)

        def stop() -> None:
            world.sleep(1 + pick.random() * 3)
            worker._stop.set()

        world.spawn(process, verb)
        world.spawn(process, stop)
        worker.run()
        for error in ends:
            raise error

    def _by_calls(self, ledger: _Ledger, _: Process) -> None:
        """A scheduler of the host's calls them, in any order."""
        pick = self.world.random
        for _ in range(pick.randrange(1, 6)):
            pick.choice((ledger.sequence_once, ledger.publish_once, ledger.log.refresh, ledger.sequencer.drain))()
            self.world.sleep(pick.random() * 0.3)
            if ledger.log.checkpoint.size < 2:
                msg = "a checkpoint of less than the log began with"
                raise Violation(msg)

    def _bulk(self, ledger: _Ledger, _: Process) -> None:
        """Events that were never in the queue: `record_many`, repeated until it is known to have happened."""
        staged = [next(self.events) for _ in range(self.world.random.choice((1, 4, 9)))]
        ids = [event.event_id for event in staged]
        self.tried += ids
        for _ in range(5):
            try:
                ledger.sequencer.append([(event, _facts(event)) for event in staged])
            except (Unavailable, Conflict, NotFound) as error:
                self._allowed(error)
                self.world.sleep(self.world.random.random())
                continue
            self.recorded += ids
            return

    def _erase(self, ledger: _Ledger, _: Process) -> None:
        """An open event of the log is erased, and that repeated until it is known to have happened."""
        pick = self.world.random
        facts = self.index.facts if not self.index.joins else self.database.state.facts
        names = [fact for fact in facts if fact.type == "work.create" and not fact.sealed]
        if not names:
            return
        gone = pick.choice(names)
        erasure = _erasure(gone.event_id, pick)
        self.tried.append(erasure.event_id)
        for _ in range(5):
            try:
                ledger.sequencer.append([(erasure, _facts(erasure))])
            except (Unavailable, Conflict, NotFound) as error:
                self._allowed(error)
                self.world.sleep(pick.random())
                continue
            self.recorded.append(erasure.event_id)
            self.world.count("erasures")
            return

    def _allowed(self, error: Exception) -> None:
        """Nothing is missing where everything is shown at once, and nobody else writes here."""
        if isinstance(error, NotFound) and not self.weather.stale and not self.rested:
            raise _Fatal(str(error)) from error

    # What holds

    def _head_size(self) -> int:
        head = self.database.state.head
        assert head is not None
        signed = self.heads.heads[ORIGIN] if isinstance(self.heads, Cell) else head.signed
        size = _size(signed)
        return max(size, head.size) if self.setup == "database" else size

    def _shown(self) -> list[Bucket]:
        return [bucket for bucket in (self.bucket, self.place) if bucket is not None]

    def _check_published(self) -> None:
        """While nobody writes there, everything is shown that `publish` has returned for."""
        for bucket, writing in ((self.bucket, self.busy), (self.place, self.publishing)):
            if bucket is None or writing:
                continue
            self.world.count("quiet publications")
            shown = bucket.now("checkpoint")
            if shown is None or _size(shown) < self.published:
                msg = f"{bucket.name}: publish() has returned for {self.published} entries, and they are not shown"
                raise Violation(msg)

    def check(self) -> None:
        """After every process has come to its end."""
        if self.queue.__len__():
            msg = f"{len(self.queue)} events wait for ever"
            raise Violation(msg)
        # From here on one process alone, in good weather.
        self.world.spawn(Process("auditor"), self._audit)
        self.world.run()

    def _audit(self) -> None:
        ledger = self._open(Process("auditor"))
        checkpoint = ledger.log.publish()
        size = ledger.log.size
        rows = list(ledger.log.rows(0, size))
        self._check_signed(rows)
        for bucket in self._shown():
            if bucket.now("checkpoint") != checkpoint.signed:
                msg = f"{bucket.name}: does not show the newest checkpoint"
                raise Violation(msg)
            client = Client(_Still(bucket), POLICY)
            if fsck(client) != size or list(client.entries(0, size)) != [row.entry for row in rows]:
                msg = f"{bucket.name}: holds another log"
                raise Violation(msg)
            for number in range(-(-size // 256)):
                opened = [row.opened for row in rows[number * 256 : number * 256 + 256]]
                shown = client.opened(number)
                if self.erases:  # where all was erased, an open bundle with nothing in it is left
                    shown += [b""] * (len(opened) - len(shown))
                if shown != (opened if any(opened) or self.erases else []):
                    msg = f"{bucket.name}: other open events in bundle {number}"
                    raise Violation(msg)
        named = named_in(rows)
        self._check_events(rows, named)
        self._check_forgotten(rows, named)
        facts = self.index.facts if not self.index.joins else self.database.state.facts
        if facts != [_facts_at(row, self.vault, named) for row in rows]:
            msg = "the index is not what a rebuild would give"
            raise Violation(msg)
        times = [fact.time for fact in facts if fact.time]
        if times != sorted(times):
            msg = f"log time decreases: {times}"
            raise Violation(msg)

    def _check_signed(self, rows: Sequence[Row]) -> None:
        """Everything that was ever signed is a beginning of what is here now."""
        tree = Tree()
        for size in range(len(rows) + 1):
            if size:
                tree.append(leaf_hash(rows[size - 1].entry))
            if size in self.network.signed and self.network.signed[size] != tree.root():
                msg = f"the checkpoint of size {size} is not a beginning of the log"
                raise Violation(msg)
        if max(self.network.signed) > len(rows):
            msg = f"a checkpoint of size {max(self.network.signed)} was signed, the log has {len(rows)} entries"
            raise Violation(msg)

    def _check_forgotten(self, rows: Sequence[Row], named: Mapping[bytes, bytes | None]) -> None:
        """Of what is erased nothing is left, wherever the log lies."""
        pool = {event.event_id: event.event for event in _events()}
        gone = [pool[event_id] for event_id in named if event_id in pool]
        held = [("the database", list(self.database.state.objects.items()))]
        held += [(bucket.name, [(path, bucket.now(path)) for path in bucket.paths()]) for bucket in self._shown()]
        for where, objects in held:
            for path, data in objects:
                if any(event in (data or b"") for event in gone):
                    msg = f"{where}: {path} holds an event that is erased"
                    raise Violation(msg)
        if any(row.opened in gone for row in [*rows, *(row for _, row in self.database.state.rows)]):
            msg = "a row holds an event that is erased"
            raise Violation(msg)

    def _check_events(self, rows: Sequence[Row], named: Mapping[bytes, bytes | None]) -> None:
        pool = {event.event_id: event for event in _events()}
        counts: Counter[bytes] = Counter()
        for row in rows[2:]:
            with contextlib.suppress(LedgerError):
                statement = Statement.parse(row.entry)
                counts[statement.event_id] += 1
                event = pool.get(statement.event_id)
                here = event is not None and not event.sealed and event.event_id not in named
                if event is not None and here and row.opened != event.event:
                    msg = f"entry {rows.index(row)}: its open event is gone"
                    raise Violation(msg)
        twice = [event_id.hex()[:8] for event_id, count in counts.items() if count > 1]
        if twice:
            msg = f"events in the log more than once: {twice}"
            raise Violation(msg)
        sales = self.database.state.sales
        for what, ids in (
            ("acknowledged sales without a row", self.sold - sales),
            ("sales without their event", sales - counts.keys()),
            ("recorded events not in the log", set(self.recorded) - counts.keys()),
            ("events without a sale", counts.keys() & pool.keys() - sales - set(self.tried)),
        ):
            if ids:
                msg = f"{what}: {[event_id.hex()[:8] for event_id in ids]}"
                raise Violation(msg)


class _Still:
    """A bucket as it is now, without weather."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def get(self, path: str) -> bytes:
        data = self._bucket.now(path)
        if data is None:
            msg = f"{path}: not there"
            raise NotFound(msg, path=path)
        return data


def _facts_at(row: Row, vault: Vault | _Nothing, named: Mapping[bytes, bytes | None]) -> Facts:
    """What a rebuild would note of this entry."""
    try:
        statement = Statement.parse(row.entry)
    except MalformedError:
        return Facts(b"", "", b"", False, "", "", (), (), "")
    if statement.event_id in named:
        stone = named[statement.event_id]
        return facts_left(event_id=statement.event_id, type=statement.type, issuer=statement.issuer, tombstone=stone)
    return facts_of(
        event_id=statement.event_id,
        type=statement.type,
        issuer=statement.issuer,
        sealed=statement.sealed,
        event=row.opened or vault.get(statement.event_id),
    )


def _size(signed: bytes) -> int:
    return int(signed.split(b"\n", 2)[1])


def _facts(event: Staged):
    from provenance.waiting import facts_of_staged

    return facts_of_staged(event, market=_MARKET)


def _erasure(event_id: bytes, pick: Random) -> Staged:
    """An erasure of one event, with its tombstone."""
    event = orjson.loads(next(event.event for event in _events() if event.event_id == event_id))
    stone = {"event": event_id.hex(), "type": "work.create", "actor": event["actor"], "refs": event["refs"]}
    data = orjson.dumps(
        {
            "actor": _MARKET.hex(),
            "body": {"targets": [event_id.hex()], "tombstones": [stone]},
            "claimed_at": "2026-01-01T00:00:00Z",
            "refs": [],
            "salt": pick.randbytes(32).hex(),
            "strength": "observed",
        }
    )
    return Staged(0, address(data), "erasure.execute", data, (), None, sealed=False)


@functools.cache
def _events() -> tuple[Staged, ...]:
    """More events than a history takes: open and sealed, some with refs to others and with items."""
    pick = Random(7)
    made: list[Staged] = []
    actor = _MARKET.hex()
    for number in range(700):
        item = orjson.dumps({"kind": "title", "salt": pick.randbytes(32).hex(), "value": f"{number}"})
        refs = [{"role": "work", "id": pick.choice(made[-12:]).event_id.hex()}] if number % 3 == 2 else []
        event = orjson.dumps(
            {
                "actor": actor,
                "body": {"digests": {"sha-256": pick.randbytes(32).hex()}},
                "claimed_at": "2026-01-01T00:00:00Z",
                "refs": refs,
                "salt": pick.randbytes(32).hex(),
                "strength": "observed",
            }
        )
        sealed = number % 4 == 1
        made.append(Staged(0, address(event), "work.create", event, (item,), None, sealed))
    return tuple(made)


@functools.cache
def _began(setup: str, size: int) -> tuple[State, dict[str, bytes], dict[int, bytes]]:
    """A log of `size` entries: as a database, or as objects; and what it has signed."""
    store = MemoryStore()
    log = Log.create(store, KEY, Row(b"genesis", b"{}"))
    log.extend([Row(b"%d" % number, b"open" if number % 2 else b"") for number in range(1, size)])
    log.publish()
    checkpoint = log.checkpoint
    rows = list(log.rows(0, size))
    vault = _Nothing()
    facts = [_facts_at(row, vault, {}) for row in rows]
    head = Head(size, checkpoint.signed)
    signed = {checkpoint.size: checkpoint.root}
    state = State(head=head, facts=facts)
    if setup != "database":
        return state, dict(store.objects), signed
    state.objects = {p: d for p, d in store.objects.items() if ".p/" not in p and p != "checkpoint"}
    if size % 256:
        state.objects = {p: d for p, d in state.objects.items() if p != f"events/{size // 256:03}"}
    state.rows = list(enumerate(rows))[size // 256 * 256 :]
    return state, {}, signed


def prepare() -> None:
    """Make what all histories begin with; the code under test makes it, while nobody has changed that."""
    _events()
    for setup in set(SETUPS):
        for size in SIZES:
            _began(setup, size)


class _Nothing:
    def get(self, wanted: bytes) -> bytes:
        msg = "empty"
        raise NotFound(msg)


def failures(seeds: Sequence[int]) -> Iterator[tuple[int, BaseException]]:
    """Seeds whose history breaks a promise, with what was said."""
    for seed in seeds:
        try:
            run(seed)
        except Exception as error:  # noqa: BLE001 - whatever a broken variant raises
            yield seed, error
