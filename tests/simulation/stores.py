"""Simulated storages: they lose writes and replies, answer late, and show what is old, within what is allowed to them.

`Bucket` is an object store, `Database` holds everything of one SQL database with transactions, and `Cell`, `Vault` and
`IndexTable` are what may lie elsewhere. Only what their `act` did counts; a process that dies meanwhile has no say in
whether that happened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ledger.checkpoint import Checkpoint
from ledger.errors import Conflict, NotFound, Unavailable
from ledger.policy import Policy
from ledger.storage import Head, Row
from ledger.tile import CHECKPOINT, bundle_path, tile_path, tile_widths
from provenance.erasures import can_be_erased
from provenance.index import Entry, Facts
from provenance.once import Place
from provenance.queue import Staged
from tests.simulation.world import Crashed, Process, Violation, World, open_once

Act = Callable[[], None]


@dataclass
class Weather:
    """Chances for each call, and how old what is read may be (seconds)."""

    lost: float = 0.0  # not done, and said so
    reply: float = 0.0  # done, and the reply is lost
    late: float = 0.0  # said to have failed, and done a while later
    refused: float = 0.0  # a read that fails
    stale: float = 0.0
    slow: float = 0.0  # seconds that a call takes at the most, each way
    leaky: float = 0.0  # a lock on leading that somebody else gets as well

    def clear(self) -> None:
        self.lost = self.reply = self.late = self.refused = self.stale = self.leaky = 0.0


class Network:
    """What lies between the processes and the storages, and watches what arrives."""

    def __init__(self, world: World, weather: Weather, policy: Policy) -> None:
        self.world = world
        self.weather = weather
        self.policy = policy
        self.process = Process("network", mortal=False)
        self.arriving = False  # a write whose caller was told that it failed
        self.signed: dict[int, bytes] = {}  # every root that was ever signed, by size

    def write(self, what: str, act: Act) -> None:
        """Do it, or not, or later; tell the truth about it, or nothing."""
        world, weather = self.world, self.weather
        fate = world.random.random()
        try:
            self.travel()
        except Crashed:
            if weather.late and world.random.random() < 0.3:
                self._later(what, act)
            raise
        if fate < weather.lost:
            self.fail(f"{what}: lost")
        fate -= weather.lost
        if fate < weather.late:
            self._later(what, act)
            self.fail(f"{what}: late")
        fate -= weather.late
        world.note(what)
        act()
        self.travel()
        if fate < weather.reply:
            self.fail(f"{what}: reply lost")

    def travel(self) -> None:
        self.world.sleep(self.world.random.random() * self.weather.slow)

    def read(self, what: str) -> None:
        self.travel()
        if self.world.random.random() < self.weather.refused:
            self.fail(f"{what}: refused")

    def fail(self, what: str) -> None:
        self.world.note(what)
        self.world.count("failures")
        raise Unavailable(what)

    def sign(self, signed: bytes) -> Checkpoint:
        """A head is being stored: two of one size must be the same."""
        checkpoint = open_once(signed, self.policy)
        if self.signed.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
            msg = f"two roots were signed for size {checkpoint.size}"
            raise Violation(msg)
        return checkpoint

    def _later(self, what: str, act: Act) -> None:
        def arrive() -> None:
            self.world.note(f"{what}: arrives")
            self.arriving = True
            # A lost race is what a late swap should meet; other bytes at a tile are checked where they are written.
            try:
                with contextlib.suppress(Conflict, NotFound):
                    act()
            finally:
                self.arriving = False

        self.world.count("late")
        self.world.spawn(self.process, arrive, after=self.world.random.expovariate(2.0))


class Bucket:
    """`Objects`. Keeps every version for as long as somebody may still be shown it."""

    def __init__(self, network: Network, objects: dict[str, bytes], *, parallel: int, name: str) -> None:
        self.network = network
        self.parallel = parallel
        self.name = name
        self._versions: dict[str, list[tuple[float, bytes | None]]] = {p: [(-1e9, d)] for p, d in objects.items()}

    def now(self, path: str) -> bytes | None:
        versions = self._versions.get(path)
        return versions[-1][1] if versions else None

    def get(self, path: str) -> bytes:
        self.network.read(f"get {path}")
        data = self._seen(path)
        if data is None:
            msg = f"{path}: not there"
            raise NotFound(msg, path=path)
        return data

    def put(self, path: str, data: bytes) -> None:
        def act() -> None:
            there = self.now(path)
            if there is None:
                self._add(path, data)
            elif there != data:
                msg = f"{path}: other bytes are there already"
                raise (Conflict if path.startswith("staging/") else Violation)(msg)

        self.network.write(f"put {self.name}/{path}", act)

    def replace(self, path: str, data: bytes) -> None:
        def act() -> None:
            if path == CHECKPOINT:
                self._check_complete(data)
            # As `adapters.objects.Bucket` does it: what arrives late is refused, and so is a writer that was overtaken.
            late = self.network.arriving and len(self._versions.get(path, ())) != before
            if not late and count_items(self.now(path) or b"") * path.startswith("events/") <= items:
                self._add(path, data)

        items = count_items(data) if path.startswith("events/") else 0
        before = len(self._versions.get(path, ()))
        self.network.write(f"replace {self.name}/{path}", act)

    def discard(self, *paths: str) -> None:
        def act() -> None:
            for path in paths:
                if self.now(path) is not None:
                    self._add(path, None)

        self.network.write(f"discard {self.name}/{' '.join(paths)}", act)

    def list(self, prefix: str) -> Iterable[str]:
        self.network.read(f"list {prefix}")
        return [path for path in self._versions if path.startswith(prefix) and self._seen(path) is not None]

    def paths(self) -> list[str]:
        return list(self._versions)

    def _seen(self, path: str) -> bytes | None:
        world, stale = self.network.world, self.network.weather.stale
        versions = self._versions.get(path)
        if not versions:
            return None
        if stale and world.random.random() < 0.3:
            seen = [data for at, data in versions if at <= world.now - world.random.random() * stale]
            if seen or not path.startswith("events/"):
                return seen[-1] if seen else None
        return versions[-1][1]

    def _add(self, path: str, data: bytes | None) -> None:
        self._versions.setdefault(path, []).append((self.network.world.now, data))

    def _check_complete(self, signed: bytes) -> None:
        """What a checkpoint covers must be there before it shows."""
        checkpoint = open_once(signed, self.network.policy)
        if self.network.signed.get(checkpoint.size) != checkpoint.root:
            msg = f"{self.name}: shows a checkpoint of size {checkpoint.size} that is not one of the log"
            raise Violation(msg)
        partial = {tile_path(*tile): tile_path(*tile[:2]) for tile in tile_widths(checkpoint.size)}
        bundle, width = divmod(checkpoint.size, 256)
        if width:
            partial[bundle_path(bundle, width)] = bundle_path(bundle)
        full = [path(n) for n in range(bundle) for path in (bundle_path, lambda n: tile_path(0, n))]
        missing = [path for path in full if self.now(path) is None]
        missing += [path for path, whole in partial.items() if self.now(path) is None and self.now(whole) is None]
        if missing:
            msg = f"{self.name}: shows size {checkpoint.size} without {missing[0]}"
            raise Violation(msg)


def count_items(data: bytes) -> int:
    count = at = 0
    while at < len(data):
        at += 4 + int.from_bytes(data[at : at + 4], "big")
        count += 1
    return count


class Cell:
    """`Checkpoints`, linearizable."""

    def __init__(self, network: Network, heads: dict[str, bytes]) -> None:
        self.network = network
        self.heads = heads

    def load(self, origin: str) -> bytes:
        self.network.read("load head")
        if origin not in self.heads:
            msg = f"{origin}: no such log"
            raise NotFound(msg)
        return self.heads[origin]

    def create(self, origin: str, signed: bytes) -> None:
        msg = "histories begin with a log"
        raise NotImplementedError(msg)

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        def act() -> None:
            if self.heads.get(origin) != old:
                msg = "head: somebody else was faster"
                raise Conflict(msg)
            self.network.sign(new)
            self.heads[origin] = new

        self.network.write("swap head", act)


@dataclass
class State:
    """What is committed in a database."""

    objects: dict[str, bytes] = field(default_factory=dict)
    head: Head | None = None
    rows: list[tuple[int, Row]] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    vault: dict[bytes, bytes] = field(default_factory=dict)
    queue: dict[int, Staged] = field(default_factory=dict)
    sales: frozenset[bytes] = frozenset()

    def copy(self) -> State:
        return replace(
            self,
            objects=dict(self.objects),
            rows=list(self.rows),
            facts=list(self.facts),
            vault=dict(self.vault),
            queue=dict(self.queue),
        )


class Transaction:
    """Ours: nobody else writes but the market, which adds rows to the queue."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.state = database.state.copy()
        self.removed: set[int] = set()

    def _step(self, what: str) -> None:
        self.database.network.read(what)

    def put(self, path: str, data: bytes) -> None:
        self._step(f"put {path}")
        if self.state.objects.setdefault(path, data) != data:
            msg = f"{path}: other bytes are there already"
            raise Violation(msg)

    def replace(self, path: str, data: bytes) -> None:
        self._step(f"replace {path}")
        self.state.objects[path] = data

    def create(self, origin: str, signed: bytes) -> None:
        msg = "histories begin with a log"
        raise NotImplementedError(msg)

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        self._step("swap head")
        assert self.state.head is not None
        if self.state.head.signed != old:
            msg = "head: somebody else was faster"
            raise Conflict(msg)
        size = open_once(new, self.database.network.policy).size
        self.state.head = Head(max(size, self.state.head.size), new)

    def extend(self, origin: str, old: int, new: int, rows: Sequence[Row], *, trim: bool) -> None:
        self._step("extend")
        assert self.state.head is not None
        if self.state.head.size != old:
            msg = "rows: somebody else was faster"
            raise Conflict(msg)
        self.state.head = Head(new, self.state.head.signed)
        first = new - len(rows)
        self.state.rows = [*([] if trim else self.state.rows), *enumerate(rows, first)]

    def drop(self, event_ids: Iterable[bytes]) -> int:
        self._step("drop from the queue")
        wanted = set(event_ids)
        gone = [id_ for id_, row in self.state.queue.items() if row.event_id in wanted]
        for id_ in gone:
            del self.state.queue[id_]
        self.removed.update(gone)
        return len(gone)


class Database:
    """One SQL database: `Database` of the log, head, queue, vault, index and the market's sales."""

    def __init__(self, network: Network, state: State) -> None:
        self.network = network
        self.state = state
        self.index_elsewhere: IndexTable | None = None
        self._writer: object | None = None
        self._leader: object | None = None
        self._ids = 0

    def get(self, path: str) -> bytes:
        self.network.read(f"get {path}")
        if path not in self.state.objects:
            msg = f"{path}: not there"
            raise NotFound(msg, path=path)
        return self.state.objects[path]

    def put(self, path: str, data: bytes) -> None:
        with self.transaction() as tx:
            tx.put(path, data)

    def replace(self, path: str, data: bytes) -> None:
        with self.transaction() as tx:
            tx.replace(path, data)

    def discard(self, *paths: str) -> None:
        with self.transaction() as tx:
            for path in paths:
                tx.state.objects.pop(path, None)

    def load(self, origin: str) -> bytes:
        return self.head(origin).signed

    def create(self, origin: str, signed: bytes) -> None:
        msg = "histories begin with a log"
        raise NotImplementedError(msg)

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        with self.transaction() as tx:
            tx.swap(origin, old, new)

    def head(self, origin: str) -> Head:
        self.network.read("head")
        assert self.state.head is not None
        return self.state.head

    def rows(self, origin: str) -> Sequence[Row]:
        self.network.read("rows")
        return [row for _, row in self.state.rows]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        world, me = self.network.world, object()
        self.network.read("begin")
        if not world.wait(lambda: self._writer is None, 5.0):
            self.network.fail("begin: locked")
        self._writer = me
        try:
            tx = Transaction(self)
            yield tx
            self._commit("commit", lambda: self._merge(tx))
        finally:
            if self._writer is me:
                self._writer = None

    def sell(self, staged: Staged, *, back_out: bool) -> None:
        """The market's own transaction: a sale and its event. It waits for nobody and keeps nobody waiting."""
        world = self.network.world
        self._ids += 1
        id_ = self._ids  # taken now; when it shows is another matter
        self.network.read("insert sale")
        self.network.read("stage event")
        if back_out:
            return

        def act() -> None:
            if any(row.event_id == staged.event_id for row in self.state.queue.values()):
                msg = "queue: staged already"
                raise Conflict(msg)
            self.state.queue[id_] = staged._replace(id=id_)
            self.state.sales |= {staged.event_id}
            world.count("sales")

        self._commit("commit of the market", act)

    @contextlib.contextmanager
    def leading(self) -> Iterator[None]:
        world, me = self.network.world, object()
        self.network.read("lead")
        if world.random.random() < self.network.weather.leaky:
            world.count("second leaders")
            yield
            return
        if not world.wait(lambda: self._leader is None, 30.0):
            self.network.fail("lead: somebody leads")
        self._leader = me
        try:
            yield
        finally:
            if self._leader is me:
                self._leader = None

    def _merge(self, tx: Transaction) -> None:
        state = tx.state
        state.queue = {id_: row for id_, row in self.state.queue.items() if id_ not in tx.removed}
        state.sales = self.state.sales
        indexed = self.index_elsewhere.facts if self.index_elsewhere else state.facts
        known = {fact.event_id for fact in indexed}
        lost = [self.state.queue[id_] for id_ in tx.removed if self.state.queue[id_].event_id not in known]
        if lost:
            msg = f"{len(lost)} events left the queue and are not in the index"
            raise Violation(msg)
        if state.head is not None and state.head != self.state.head:
            self.network.sign(state.head.signed)
        self.state = state

    def _commit(self, what: str, act: Act) -> None:
        """Done at once or never: a server does not commit behind the back of a connection that it has ended."""
        network, world = self.network, self.network.world
        fate = world.random.random()
        try:
            network.travel()
        except Crashed:
            if world.random.random() < 0.5:
                with contextlib.suppress(Conflict):
                    act()
            raise
        if fate < network.weather.lost:
            network.fail(f"{what}: lost")
        world.note(what)
        act()
        network.travel()
        if fate - network.weather.lost < network.weather.reply:
            network.fail(f"{what}: reply lost")


class SalesQueue:
    """`provenance.queue.Queue` in a database, as far as a sequencer uses it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def joining(self, session: None) -> contextlib.AbstractContextManager[Transaction]:
        return self._database.transaction()

    @property
    def reading(self) -> None:
        return None

    def waiting(self, connection: None, event_ids: Iterable[bytes]) -> dict[bytes, Staged]:
        self._database.network.read("waiting")
        wanted = set(event_ids)
        return {row.event_id: row for row in self._database.state.queue.values() if row.event_id in wanted}

    def peek(self, limit: int) -> list[Staged]:
        self._database.network.read("peek")
        rows = self._database.state.queue
        return [rows[id_] for id_ in sorted(rows)[:limit]]

    def newest(self) -> int:
        self._database.network.read("newest")
        return max(self._database.state.queue, default=0)

    def remove(self, connection: Transaction, event_ids: Sequence[bytes]) -> None:
        if connection.drop(event_ids) != len(event_ids):
            msg = "queue: somebody else took them"
            raise Conflict(msg)

    def forget(self, connection: Transaction, event_ids: Iterable[bytes]) -> None:
        connection.drop(event_ids)

    def names(self, connection: Transaction, ref: str) -> list[tuple[str, bytes]]:
        """Nobody names anything in a history."""
        return []

    def every_name(self, verb: str) -> list[list[tuple[str, str, bytes]]]:
        return []

    def forget_names(self, connection: Transaction, names: Sequence[tuple[str, str]]) -> None:
        assert not names

    def forget_files(self, connection: Transaction, event_ids: Iterable[bytes]) -> None:
        """Nor has it files."""

    def take(self, connection: Transaction, places: Sequence[Place]) -> Place | None:
        """Nobody sells what can be sold once here: places are tested where they are rows."""
        return None

    def leading(self) -> contextlib.AbstractContextManager[None]:
        return self._database.leading()

    def __len__(self) -> int:
        return len(self._database.state.queue)


class Vault:
    """`provenance.vault.Vault`: in the database, or on its own."""

    def __init__(self, database: Database, *, joins: bool) -> None:
        self.joins = joins
        self._database = database
        self._apart: dict[bytes, bytes] = {}

    def put(self, items: Iterable[tuple[bytes, bytes]], *, connection: Transaction | None = None) -> None:
        if connection is not None:
            connection.state.vault.update(items)
        elif self.joins:
            with self._database.transaction() as tx:
                tx.state.vault.update(items)
        else:
            for address, data in items:
                self._database.network.write("put vault item", lambda a=address, d=data: self._apart.update({a: d}))

    def erase(self, addresses: Iterable[bytes], *, connection: Transaction | None = None) -> None:
        """Open events alone are erased in a history, which no vault holds."""

    def get(self, address: bytes) -> bytes:
        self._database.network.read("get vault item")
        found = (self._database.state.vault if self.joins else self._apart).get(address)
        if found is None:
            msg = f"vault item {address.hex()}: not there"
            raise NotFound(msg)
        return found


class IndexTable:
    """`provenance.index.IndexStore`, and where it is apart its database."""

    def __init__(self, database: Database, facts: list[Facts], *, joins: bool) -> None:
        self.joins = joins
        self.facts = facts  # when apart
        self._database = database
        if not joins:
            database.index_elsewhere = self

    def on(self, connection: Transaction | None = None) -> Rows:
        if not self.joins:
            return Rows(self._database.network, lambda: self.facts)
        if connection is not None:
            return Rows(self._database.network, lambda: connection.state.facts, joined=True)
        return Rows(self._database.network, lambda: self._database.state.facts)

    @contextlib.contextmanager
    def writing(self, connection: Transaction) -> Iterator[Rows]:
        if self.joins:
            yield self.on(connection)
            return
        before, facts = list(self.facts), list(self.facts)
        yield Rows(self._database.network, lambda: facts)

        def act() -> None:
            if self.facts != before:
                msg = "index: somebody else was faster"
                raise Conflict(msg)
            self.facts = facts

        self._database._commit("commit of the index", act)


class Rows:
    """`provenance.index.Index`, as far as a sequencer uses it."""

    def __init__(self, network: Network, facts: Callable[[], list[Facts]], *, joined: bool = False) -> None:
        self.joined = joined  # in a transaction
        self._network = network
        self._facts = facts

    @property
    def size(self) -> int:
        self._network.read("size of the index")
        return len(self._facts())

    def known(self, event_ids: Iterable[bytes]) -> dict[bytes, str]:
        self._network.read("known in the index")
        wanted = set(event_ids)
        return {fact.event_id: fact.type for fact in self._facts() if fact.event_id in wanted}

    def last_time(self) -> str:
        self._network.read("last log time")
        return next((fact.time for fact in reversed(self._facts()) if fact.time), "")

    def erased(self, addresses: Iterable[bytes]) -> dict[bytes, int]:
        self._network.read("erased in the index")
        wanted = set(addresses)
        named = [(address, idx) for idx, fact in enumerate(self._facts()) for address in fact.erased]
        return {address: idx for address, idx in reversed(named) if address in wanted}

    def redacted(self, event_ids: Iterable[bytes]) -> list[Entry]:
        self._network.read("open events in the index")
        found = self._entries(event_ids)
        return [entry for entry in found if can_be_erased(entry.type, sealed=entry.sealed)]

    def entries_of(self, event_ids: Iterable[bytes]) -> dict[bytes, Entry]:
        self._network.read("entries in the index")
        return {entry.event_id: entry for entry in reversed(self._entries(event_ids))}

    def issuer_of(self, idx: int) -> bytes | None:
        self._network.read("issuer in the index")
        return self._facts()[idx].issuer

    def _entries(self, event_ids: Iterable[bytes]) -> list[Entry]:
        wanted = set(event_ids)
        return [
            Entry(idx, fact.event_id, fact.type, fact.sealed, fact.strength, fact.claimed_at)
            for idx, fact in enumerate(self._facts())
            if fact.event_id in wanted
        ]

    def forget(self, event_ids: Iterable[bytes]) -> None:
        """No sealed event is erased in a history."""

    def leave(self, left: Mapping[int, Facts]) -> None:
        rows = self._facts()
        for idx, fact in left.items():
            rows[idx] = fact

    def write(self, first: int, facts: Sequence[Facts]) -> None:
        self._network.read("write the index")
        rows = self._facts()
        if first != len(rows):
            msg = f"index: written from {first}, has {len(rows)}"
            raise Conflict(msg)
        rows.extend(facts)
