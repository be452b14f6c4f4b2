"""A log that is written to: entries in, signed checkpoints and proofs out.

The life of an entry here: *sequenced* (`append` has returned: the index is durable and never given again),
*integrated* (in the tree), *published* (under a signed checkpoint, in every place the log publishes to). A crash
loses nothing from *sequenced* on; what was not yet published is published by the next call.

::

    key = SigningKey.generate("market.example/log")
    log = Log.create(store, key, b"what this log is", publish=[Directory("public")])
    index = log.append(b"an entry")         # durable and sequenced
    checkpoint = log.publish()              # signed, and written to public/
    proof = log.prove(index)
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.cosigning import Witnessing
from ledger.edge import Edge, check_rows
from ledger.errors import (
    Conflict,
    Fork,
    LedgerError,
    MalformedError,
    NotFound,
    QuorumNotMet,
    Rollback,
    TileMismatch,
    Unavailable,
    UnknownKey,
)
from ledger.evidence import forked
from ledger.group import GroupCommit, NextKeys, Pending, Within
from ledger.keyring import Keyring
from ledger.merkle import EMPTY_ROOT, Node, prove_consistency, prove_inclusion, tree_root
from ledger.note import Signer, VerifierKey
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.publish import (
    Partials,
    check_behind,
    publish_to,
)
from ledger.reader import MiddleNodes, TileReader
from ledger.redact import newest_part, parts, redacted_bundle, show_redacted
from ledger.staged import StagedBatches
from ledger.storage import Checkpoints, Database, Head, Objects, Row, Transaction
from ledger.stored import Stored
from ledger.tile import CHECKPOINT, WIDTH, open_path, parse_open, tile_path, tile_widths

__all__ = ["Log", "Within"]

_MOST_RETRIES = 50
_LONGEST_PAUSE = 0.5  # seconds before the last retry

logger = logging.getLogger(__name__)


class Log:
    """One log and its key, for one or many threads; many processes may hold the same log open.

    Everything it signs extends everything it signed before: it refuses to sign (`Rollback`, `Fork`) when its storage
    is behind what it remembers or what is published.
    """

    def __init__(
        self,
        objects: Objects,
        checkpoints: Checkpoints,
        keys: Keyring,
        publish: Sequence[Objects],
        window: float,
        *,
        renew: Callable[[], Keyring] | None = None,
        witnessing: Witnessing | None = None,
    ) -> None:
        """Not for users: `Log.create` and `Log.open`."""
        self._objects = objects
        self._stored = Stored(objects)
        self._checkpoints = checkpoints
        self._database = objects if isinstance(objects, Database) and checkpoints is objects else None
        self._keys = keys
        self._renew = renew
        self._witnessing = witnessing
        self._staged = StagedBatches(keys.origin, objects, checkpoints, lambda: self.policy, shows=witnessing is None)
        self._targets = tuple((target, Partials(target)) for target in publish)
        self._window = window
        self._middles: MiddleNodes = {}
        self._group = GroupCommit(self._commit_group)
        self._publishing = threading.Lock()
        # Owned by the caller that leads a batch (or by the constructor):
        self._edge = Edge()
        self._stale = False
        self._closed_at = time.monotonic()
        # Replaced whole by the leader, read by anybody: the newest checkpoint and the edge it was signed over.
        self._signed: tuple[Checkpoint, Edge, TileReader]
        # With witnesses: the newest that readers were shown, which may be an earlier one.
        self._shown = Checkpoint(keys.origin, 0, EMPTY_ROOT)

    @classmethod
    def create(
        cls,
        objects: Objects,
        keys: Signer | Keyring,
        genesis: bytes | Row,
        *,
        checkpoints: Checkpoints | None = None,
        publish: Sequence[Objects] = (),
        window: float = 1.0,
        within: Within | None = None,
    ) -> Log:
        """Begin a log whose origin is the key's name, with `genesis` as entry 0, and publish it.

        It signs with every key of `keys` from then on, and never without.

        Raises `Conflict` when this storage or a place in `publish` already has a checkpoint of that origin.
        """
        ring = keys if isinstance(keys, Keyring) else Keyring(keys)
        log = cls(objects, _both_roles(objects, checkpoints), ring, publish, window)
        row = genesis if isinstance(genesis, Row) else Row(genesis, b"")
        check_rows([row])
        _ = ring.signer  # or it raises
        if any(log._published()):
            msg = f"{ring.origin}: a checkpoint is already published there; open or refill that log instead"
            raise Conflict(msg, path=CHECKPOINT)
        log._adopt(Checkpoint(ring.origin, 0, Edge().root()), Edge())
        log._commit([Pending([row], within, close=True)], create=True)
        log.publish()
        return log

    @classmethod
    def open(
        cls,
        objects: Objects,
        keys: Signer | VerifierKey | Keyring,
        *,
        checkpoints: Checkpoints | None = None,
        publish: Sequence[Objects] = (),
        window: float = 1.0,
        remembered: Checkpoint | None = None,
        renew: Callable[[], Keyring] | None = None,
        witnessing: Witnessing | None = None,
    ) -> Log:
        """Open an existing log; finish what a crash interrupted.

        With verifier keys only, the log can be read and never signed, as by a process that should hold no key. `renew`
        is asked for the keys again when another process has handed the log over to new ones. With `witnessing`, readers
        are shown what its quorum has cosigned, and nothing newer; that takes a place where they read.
        `window` is the least time in seconds between checkpoints that nobody asked for. `remembered` is a checkpoint
        that the caller knows this log signed. Raises `NotFound` when the log was never created, `Rollback` when the
        storage is behind `remembered` or behind what is published, `Fork` when it contradicts either, `TileMismatch`
        when stored tiles do not lead to the signed root.
        """
        ring = keys if isinstance(keys, Keyring) else Keyring(keys)
        log = cls(objects, _both_roles(objects, checkpoints), ring, publish, window, renew=renew, witnessing=witnessing)
        if witnessing is not None and not log.places:
            msg = f"{ring.origin}: witnesses, but nowhere to show what they cosign; give a place to publish to"
            raise LedgerError(msg)
        if witnessing is not None and any(line.key.name == ring.origin for line in witnessing.policy.witnesses):
            msg = f"{ring.origin}: a witness has the log's own name; want one that is somebody else"
            raise MalformedError(msg)
        # Published before loaded: whatever another process publishes in between is in the storage by then.
        published = log._published()
        log._load()
        log._shown = max((shown for shown in published if shown is not None), key=_size, default=log._shown)
        if remembered is not None:
            log._check_behind(remembered, "remembered by the caller")
        for checkpoint in published:
            if checkpoint is not None:
                log._check_behind(checkpoint, "published")
        return log

    @property
    def origin(self) -> str:
        """Name of the log, in every checkpoint."""
        return self._keys.origin

    @property
    def keys(self) -> Keyring:
        """The keys of this log, also those that it had before, without secrets."""
        return self._keys.public

    @property
    def signer(self) -> Signer:
        """The key that it signs with. Raises `UnknownKey` where it was opened with its verifier key only."""
        return self._keys.signer

    @property
    def policy(self) -> Policy:
        """The policy that accepts this log's keys, each for its own sizes, and no other."""
        return self._keys.policy

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint this handle signed or loaded; with witnesses, the newest that readers are shown."""
        return self._signed[0] if self._witnessing is None else self._shown

    @property
    def signed(self) -> Checkpoint:
        """The newest checkpoint this handle signed or loaded, cosigned or not."""
        return self._signed[0]

    @property
    def size(self) -> int:
        """Entries sequenced, as far as this handle knows; at least `checkpoint.size`."""
        return self._edge.size

    @property
    def places(self) -> tuple[Objects, ...]:
        """Where others read the log; without a database, the storage itself is one of them."""
        own = () if self._database else (self._objects,)
        return (*own, *(target for target, _ in self._targets))

    @property
    def has_transactions(self) -> bool:
        """Whether `extend` can write something else within the transaction that sequences."""
        return self._database is not None

    # Writing

    def append(self, entry: bytes) -> int:
        """Sequence one entry (0 to 65,535 bytes) and return its index. Durable when this returns.

        Concurrent callers share a commit. Raises `MalformedError` for a longer entry, `Unavailable` when the storage
        fails: then the entry may or may not be in the log.
        """
        return self.extend([Row(entry, b"")])

    def extend(
        self,
        rows: Sequence[Row],
        *,
        within: Within | None = None,
        at: int | None = None,
        redact: Collection[int] = (),
        hand: NextKeys | None = None,
    ) -> int:
        """Sequence entries in this order, all or none, and return the index of the first. Durable on return.

        `within` writes to the same transaction; only a `Database` has one. With `at` the first entry gets this index
        or nothing is written: `Conflict` when the log has grown meanwhile, by whomever. `redact` are earlier entries
        that these are the reason to forget something of: it is gone from the log's own storage with the same batch, so
        that no process that read it before writes it again. `redact()` must follow, which sees to all other places.
        `hand` are keys that the log signs with from then on: the checkpoint over these entries, of which the last says
        so, is signed by the present ones too, and by these alone whatever follows. All processes that hold the present
        ones stop signing. Raises as `append`, `NotFound` for entries to redact that the log does not have.
        """
        if within is not None and self._database is None:
            msg = "this storage has no transactions: nothing can be written within one"
            raise TypeError(msg)
        _ = self._keys.signer  # or it raises
        check_rows(rows)
        gone = newest_part(redact)  # older bundles are written by nobody else any more: `redact()` can do them
        self._check_indexes(redact)
        item = Pending(rows, within, at=at, redact=gone, hand=hand)
        return self._group.submit(item) if rows or within else self.size

    def redact(self, indexes: Collection[int]) -> None:
        """Forget what is open beside these entries, in the log's own storage and wherever it publishes to.

        The entries, all tiles and every proof stay as they are. Durable on return; may be repeated, and must be after
        a crash, which leaves each of these either as it was or without it. Raises `NotFound` for entries that the log
        does not have, `Unavailable` when something may still be there.

        Who wants it never to come back gives the same to the `extend` that says why: in a storage without transactions
        another process could otherwise write again what it remembers of the last bundle.
        """
        if not indexes:
            return
        self._check_indexes(indexes)
        for some in parts(indexes):
            self._group.submit(Pending((), None, redact=some))
        with self._publishing:
            for target, _ in self._targets:
                for number in sorted({index // WIDTH for index in indexes}):
                    show_redacted(target, number, self._opened)

    def refresh(self) -> int:
        """Take over what other processes have sequenced since, finish what a crash interrupted; return the size.

        Raises `Rollback` and `Fork` as `open`, `Unavailable`.
        """
        self._group.submit(Pending((), None, refresh=True))
        if self._witnessing is not None:
            shown = [checkpoint for checkpoint in self._published() if checkpoint is not None]
            self._shown = max((self._shown, *shown), key=_size)
        return self.size

    def publish(self) -> Checkpoint:
        """Sign a checkpoint over everything sequenced so far, write it to every place, and return it.

        Closes the current window: all who call meanwhile get the same checkpoint. When this returns, every entry that
        was sequenced before the call, in whichever process, is published. Raises `Rollback`, `Fork`, `Conflict`
        (another log writes there), and `QuorumNotMet` where witnesses are asked and too few cosigned in time: nothing
        is shown then, everything stays sequenced, and the next call asks again.
        """
        _ = self._keys.signer  # or it raises
        for _ in range(_MOST_RETRIES):
            self._group.submit(Pending((), None, close=True))
            with self._publishing:
                checkpoint, edge, reader = self._signed
                if self._witnessing is not None:
                    try:
                        checkpoint = self._cosigned(self._witnessing, checkpoint, reader)
                    except Rollback as error:
                        if error.newest is None or self.refresh() < error.newest.size:
                            raise
                        continue  # another process of this log went ahead, and its checkpoint was cosigned
                    except QuorumNotMet:
                        self.refresh()
                        if self._shown.size < checkpoint.size or not self._witnessing.satisfied(
                            self._shown, self._keys
                        ):
                            raise
                        continue  # and readers are shown that already
                for target, partials in self._targets:
                    self._publish_to(target, partials, checkpoint, edge)
            # Another process that signed later may have written its checkpoint before we wrote ours over it.
            if (self._database and not self._targets) or self._head().signed == self._signed[0].signed:
                return checkpoint
        msg = f"{self.origin}: other processes went ahead {_MOST_RETRIES} times; try again"
        raise Unavailable(msg)

    # Reading

    def prove(self, index: int) -> Proof:
        """Inclusion proof of the entry at `index` under `checkpoint`. Raises `ProofMismatch` beyond it."""
        checkpoint, _, reader = self._signed
        if self._witnessing is not None:
            checkpoint = self._shown
        return Proof(index, prove_inclusion(index, checkpoint.size, reader), checkpoint.signed)

    def prove_consistency(self, old: int) -> tuple[bytes, ...]:
        """Proof that the tree of `checkpoint` begins with that of size `old`."""
        checkpoint, _, reader = self._signed
        if self._witnessing is not None:
            checkpoint = self._shown
        return prove_consistency(old, checkpoint.size, reader)

    def row(self, index: int) -> Row:
        """The entry at `index`, sequenced or beyond, and what stands beside it. Raises `NotFound`."""
        return next(self.rows(index, index + 1))

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Entries `[start, stop)` from the log's own storage, not verified. Raises `NotFound` beyond the end."""
        edge = self._edge
        if not 0 <= start <= stop <= edge.size:
            msg = f"entries {start} to {stop}: the log has {edge.size}"
            raise NotFound(msg)
        for number in range(start // WIDTH, -(-stop // WIDTH)):
            at = number * WIDTH
            rows = edge.rows if at + WIDTH > edge.size else self._stored.bundle(number)
            yield from rows[max(start - at, 0) : stop - at]

    def edge(self) -> Edge:
        """A copy of the right edge over everything sequenced."""
        return self._edge.copy()

    def root_at(self, size: int) -> bytes:
        """Root of the first `size` entries, at most all that are sequenced."""
        checkpoint, _, reader = self._signed
        if size <= checkpoint.size:
            return tree_root(size, reader)
        rows = self._edge.rows if self._database else None
        return self._stored.edge(size, self._edge.size, rows).root()

    # Batches

    def _commit_group(self, group: list[Pending]) -> None:
        try:
            self._commit(group)
        except BaseException:
            self._stale = True  # what reached the storage is unknown: the next batch loads first
            raise

    def _commit(self, group: list[Pending], *, create: bool = False) -> None:
        rows = [row for item in group for row in item.rows]
        if not create:
            self._stale = self._stale or any(item.redact for item in group)  # what else is gone by now stays so
            self._refresh(asked=any(item.close or item.refresh or item.at is not None for item in group))
        if not rows and all(item.refresh for item in group):
            return
        conflict: Conflict | None = None
        for attempt in range(_MOST_RETRIES):
            try:
                with self._turn(attempt) as tx:
                    if conflict is not None:
                        stood = self._edge.size, self._signed[0], self._edge.rows
                        self._load()
                        # Nothing moved, so it was no race: a callback was refused, or the bytes there are not ours.
                        if stood == (self._edge.size, self._signed[0], self._edge.rows):
                            raise conflict
                    done = self._try(group, rows, tx, create=create)
                break
            except Conflict as error:
                if create or error is conflict or attempt == _MOST_RETRIES - 1:
                    raise
                conflict = error  # another process was faster: take its state and go again, on top of it
                extra = {"origin": self.origin, "size": self._edge.size, "batch": len(rows), "attempt": attempt + 1}
                logger.info("%s: overtaken, going again on top of what is there now", self.origin, extra=extra)
        if done is None:
            return
        edge, signed, self._keys = done
        self._edge = edge
        if signed is not self._signed[0]:
            self._adopt(signed, edge)
            self._closed_at = time.monotonic()
        elif gone := frozenset(index for item in group for index in item.redact):
            shown = self._signed[1].copy()
            if shown.redact(gone):
                self._signed = (signed, shown, self._signed[2])

    @contextmanager
    def _turn(self, attempt: int) -> Iterator[Transaction | None]:
        """From the second attempt on nobody else may come between: in a database by its lock, elsewhere by chance."""
        if attempt and self._database is not None:
            with self._database.transaction() as tx:
                yield tx
            return
        if attempt:
            time.sleep(random.uniform(0, _LONGEST_PAUSE * attempt / _MOST_RETRIES))  # noqa: S311 - no secret
        yield None

    def _try(
        self, group: list[Pending], rows: list[Row], tx: Transaction | None, *, create: bool
    ) -> tuple[Edge, Checkpoint, Keyring] | None:
        """Write one batch on top of what this handle knows. Raises `Conflict` when the storage has moved on."""
        checkpoint = self._signed[0]
        edge = self._edge.copy()
        first = edge.size
        for item in group:
            if item.at not in {None, first}:
                msg = f"{self.origin}: the log has {first} entries, want {item.at}: another writer was faster"
                raise Conflict(msg)
            item.first = first
            first += len(item.rows)
        gone = frozenset(index for item in group for index in item.redact)
        due = time.monotonic() - self._closed_at >= self._window or self._database is None
        due = due and (bool(rows) or not gone)  # who only redacts may have no key
        hand = next((item.hand for item in group if item.hand is not None), None)
        close = create or (edge.size + len(rows) > checkpoint.size and (due or any(i.close or i.hand for i in group)))
        if not rows and not close and not gone and not any(item.within for item in group):
            return None
        if (rows or close) and not create:
            self._keys.check_turn(checkpoint)
        anew = edge.redact(gone)
        puts, opens = edge.extend(rows)
        keys = self._keys if hand is None else self._keys.next(*hand, size=edge.size)
        signed = self._sign(edge, keys) if close else checkpoint
        if self._database is None:
            if signed is not checkpoint:
                opens += self._redacted(gone)
                self._staged.write(checkpoint, signed, edge, puts, opens, create=create)
            if gone:
                self._staged.redact(signed, edge, gone)
        else:
            with nullcontext(tx) if tx is not None else self._database.transaction() as own:
                opens += self._redacted(gone)  # read here, where nobody else writes
                self._write(own, group, checkpoint, signed, edge, puts, opens, create=create, anew=anew)
        return edge, signed, keys

    def _write(
        self,
        tx: Transaction,
        group: list[Pending],
        old: Checkpoint,
        new: Checkpoint,
        edge: Edge,
        puts: list[tuple[str, bytes]],
        opens: list[tuple[str, bytes]],
        *,
        create: bool,
        anew: bool,
    ) -> None:
        """A batch of a database: everything in one transaction. `anew` writes the rows that stay as well."""
        first, number = self._edge.size, edge.size - self._edge.size
        trim = anew or edge.size // WIDTH > first // WIDTH
        if trim and self._database is not None:
            stored = self._database.rows(self.origin)
            if any(mine.opened and not row.opened for mine, row in zip(self._edge.rows, stored, strict=False)):
                msg = f"{self.origin}: another process has redacted what this one remembers"
                raise Conflict(msg)
        kept = edge.rows if trim else edge.rows[len(edge.rows) - number :]
        if create:
            tx.create(self.origin, new.signed)
        if number or anew:
            tx.extend(self.origin, first, edge.size, kept, trim=trim)
        for path, data in puts:
            tx.put(path, data)
        for path, data in opens:
            tx.replace(path, data)
        if new is not old and not create:
            tx.swap(self.origin, old.signed, new.signed)
        for item in group:
            if item.within:
                item.within(tx, item.first)

    def _redacted(self, gone: Collection[int]) -> list[tuple[str, bytes]]:
        """Open bundles to replace, of those that are full in storage, so that nothing is beside these entries."""
        full = sorted({index // WIDTH for index in gone if index // WIDTH < self._edge.size // WIDTH})
        found = [redacted_bundle(self._objects, number, gone) for number in full]
        return [changed for changed in found if changed is not None]

    def _opened(self, number: int) -> list[bytes]:
        """What the log's own storage has open beside a bundle, now; [] where it cannot tell."""
        if self._database is not None:
            head, rows = self._head_and_rows()
            if number == head.size // WIDTH:
                return [row.opened for row in rows or ()]
        try:
            return parse_open(self._objects.get(open_path(number)))
        except NotFound:
            return [] if self._database is None else [b""] * WIDTH

    def _check_indexes(self, indexes: Collection[int]) -> None:
        if indexes and max(indexes) >= self.size:
            self.refresh()  # another process may have sequenced them
        wrong = next((index for index in indexes if not 0 <= index < self.size), None)
        if wrong is not None:
            msg = f"{self.origin}: entry #{wrong} to be redacted, the log has {self.size}"
            raise NotFound(msg)

    def _sign(self, edge: Edge, keys: Keyring) -> Checkpoint:
        after = None if keys is self._keys else self._keys
        return keys.sign(Checkpoint(self.origin, edge.size, edge.root()), time=int(time.time()), after=after)

    # State

    def _refresh(self, *, asked: bool) -> None:
        """Load again when an earlier outcome is unknown; when `asked`, also when another process went on."""
        if self._stale or (asked and self._head() != (self._edge.size, self._signed[0].signed)):
            self._load()
            self._stale = False

    def _load(self) -> None:
        """Take the state of the storage; never a smaller one than this handle has seen."""
        head, rows = self._head_and_rows()
        checkpoint = self._open_head(head.signed)
        stored = self._stored
        if self._database is None:
            newest = self._staged.finish_last(checkpoint, signs=self._keys.signs)
            if newest is None:
                self._load()
                return
            # What the newest batch wrote is read from its file, where nothing older can be seen.
            stored = Stored(self._objects, newest=newest)
        remembers = hasattr(self, "_signed")
        if remembers:
            self._check_head(head, checkpoint)
        roots: dict[Node, bytes] = {}
        edge = stored.edge(head.size, head.size, rows, roots)
        signed_edge = edge
        if head.size != checkpoint.size:
            signed_edge = stored.edge(checkpoint.size, head.size, rows, roots)
        if signed_edge.root() != checkpoint.root:
            paths = ", ".join(tile_path(*tile) for tile in tile_widths(checkpoint.size))
            msg = f"{paths}: lead to another root than the signed checkpoint of size {checkpoint.size}"
            raise TileMismatch(msg, path=paths)
        if remembers and stored.edge(self._edge.size, head.size, rows, roots).root() != self._edge.root():
            msg = f"{self.origin}: the first {self._edge.size} entries in storage are not those this process has seen"
            raise Fork(msg, self._signed[0], checkpoint)
        self._edge = edge
        self._adopt(checkpoint, signed_edge)

    def _head_and_rows(self) -> tuple[Head, Sequence[Row] | None]:
        """Both as of one moment: another process may sequence between two reads."""
        while True:
            head = self._head()
            rows = self._database.rows(self.origin) if self._database else None
            if rows is None or self._head() == head:
                return head, rows

    def _head(self) -> Head:
        if self._database is not None:
            return self._database.head(self.origin)
        signed = self._checkpoints.load(self.origin)
        return Head(self._open_head(signed).size, signed)

    def _open_head(self, signed: bytes) -> Checkpoint:
        """The checkpoint of the head, under keys that are looked up again where another process handed over."""
        if self._renew is not None and not self._keys.holds_turn(signed):
            self._keys = self._renew()
        return open_checkpoint(signed, self.policy)

    def _check_head(self, head: Head, checkpoint: Checkpoint) -> None:
        seen = self._signed[0]
        if checkpoint.size < seen.size or head.size < self._edge.size:
            msg = (
                f"{self.origin}: storage is at size {head.size}, signed {checkpoint.size}; this process has seen "
                f"{self._edge.size}, signed {seen.size}; restore the newer storage, or refill it from what is published"
            )
            raise Rollback(msg)

    def _adopt(self, checkpoint: Checkpoint, edge: Edge) -> None:
        reader = TileReader(checkpoint.size, checkpoint.root, self._fetch(edge), cache=self._middles)
        self._signed = (checkpoint, edge, reader)

    def _fetch(self, edge: Edge) -> Callable[[str], bytes]:
        """Read tiles: the partial ones of `edge` from memory, the full ones from storage."""
        partial = dict(edge.partial()[0])

        def fetch(path: str) -> bytes:
            data = partial.get(path)
            return self._objects.get(path) if data is None else data

        return fetch

    # Publishing

    def _publish_to(self, target: Objects, partials: Partials, checkpoint: Checkpoint, edge: Edge) -> None:
        published = self._published_in(target)
        if published is not None and published.size > checkpoint.size:
            # Another process may have published more than this handle knows; its storage must know it too.
            newest = self._open_head(self._head().signed)
            if newest.size < published.size:
                self._check_behind(published, "published")
            return
        if published is not None:
            self._check_behind(published, "published")
            if published == checkpoint and (
                self._witnessing is None or self._witnessing.satisfied(published, self._keys)
            ):
                return
        publish_to(target, published.size if published else 0, checkpoint, edge, self._objects, partials, self._opened)

    def _cosigned(self, witnessing: Witnessing, signed: Checkpoint, reader: TileReader) -> Checkpoint:
        """The checkpoint with the lines of witnesses, which is what readers are shown."""
        if self._shown != signed or not witnessing.satisfied(self._shown, self._keys):

            def prove(old: int) -> tuple[bytes, ...]:
                return tuple(prove_consistency(old, signed.size, reader)) if 0 < old < signed.size else ()

            try:
                self._shown = witnessing.cosign(signed, self._keys, prove)
            except Fork as error:
                raise forked(str(error), error.old, error.new, reader) from error
        if self._database is None:
            there = self._published_in(self._objects)
            if there is None or there.size <= self._shown.size:
                self._objects.replace(CHECKPOINT, self._shown.signed)
        return self._shown

    def _published(self) -> list[Checkpoint | None]:
        """What every place shows; without a database, the storage itself is one of them."""
        return [self._published_in(place) for place in self.places]

    def _published_in(self, target: Objects) -> Checkpoint | None:
        try:
            data = target.get(CHECKPOINT)
        except NotFound:
            return None
        try:
            return open_checkpoint(data, self.policy)
        except UnknownKey:
            if self._renew is not None:  # another process may have handed over and gone on meanwhile
                self._open_head(self._head().signed)
        try:
            return open_checkpoint(data, self.policy)
        except UnknownKey as error:
            msg = (
                f"{self.origin}: what is published is not signed by a key that the log has in this storage: {error}; "
                "where it was put back to before a hand-over, refill it from what is published"
            )
            raise UnknownKey(msg) from error

    def _check_behind(self, other: Checkpoint, what: str) -> None:
        """Raise unless the newest checkpoint extends `other`."""
        mine, _, reader = self._signed
        check_behind(other, what, mine, reader)


def _size(checkpoint: Checkpoint) -> int:
    return checkpoint.size


def _both_roles(objects: Objects, checkpoints: Checkpoints | None) -> Checkpoints:
    if checkpoints is not None:
        return checkpoints
    if isinstance(objects, Checkpoints):
        return objects
    msg = f"{type(objects).__name__} holds no checkpoints: give a storage for them as well"
    raise LedgerError(msg)
