"""Writing a log: what one process knows of it, and the batches that go on top of that."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext

from ledger.checkpoint import Checkpoint
from ledger.edge import Edge
from ledger.errors import Conflict, Fork, Rollback, TileMismatch
from ledger.group import GroupCommit, Pending
from ledger.home import Home
from ledger.keyring import Keyring
from ledger.merkle import EMPTY_ROOT, Node
from ledger.reader import MiddleNodes, TileReader
from ledger.redact import redacted_bundle
from ledger.signed import Signed
from ledger.staged import StagedBatches
from ledger.storage import Head, Row, Transaction
from ledger.stored import Stored
from ledger.tile import WIDTH, tile_path, tile_widths

__all__ = ["Writer"]

_MOST_RETRIES = 50
_LONGEST_PAUSE = 0.5  # seconds before the last retry

logger = logging.getLogger(__name__)


class Writer:
    """Writes the batches of one log, and takes over what other processes write: one thread at a time, for all.

    It signs nothing that does not extend everything it has seen: `Rollback` or `Fork` when the storage is behind that.
    """

    def __init__(self, home: Home, window: float, *, shows: bool) -> None:
        """`window` as in `Log.open`. Without `shows` another writes the checkpoint that readers see."""
        self._home = home
        self._origin = home.origin
        self._staged = StagedBatches(home, shows=shows)
        self._window = window
        self._middles: MiddleNodes = {}
        self._group = GroupCommit(self._commit_group)
        # Owned by the caller that leads a batch (or by whoever creates or loads):
        self._stale = False
        self._closed_at = time.monotonic()
        # Replaced whole by the leader, read by anybody:
        self.edge = Edge()
        """The right edge over everything sequenced."""
        self.signed = self._over(Checkpoint(home.origin, 0, EMPTY_ROOT), Edge())
        """The newest checkpoint."""

    def create(self, item: Pending) -> None:
        """Begin the log with the entry of `item`. Raises `Conflict` where there is one."""
        self._commit([item], create=True)

    def submit(self, item: Pending) -> int:
        """Commit `item`, together with those of other callers, and return the index of its first entry."""
        return self._group.submit(item)

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
                        stood = self.edge.size, self.signed.checkpoint, self.edge.rows
                        self.load()
                        # Nothing moved, so it was no race: a callback was refused, or the bytes there are not ours.
                        if stood == (self.edge.size, self.signed.checkpoint, self.edge.rows):
                            raise conflict
                    done = self._try(group, rows, tx, create=create)
                break
            except Conflict as error:
                if create or error is conflict or attempt == _MOST_RETRIES - 1:
                    raise
                conflict = error  # another process was faster: take its state and go again, on top of it
                extra = {"origin": self._origin, "size": self.edge.size, "batch": len(rows), "attempt": attempt + 1}
                logger.info("%s: overtaken, going again on top of what is there now", self._origin, extra=extra)
        if done is None:
            return
        edge, signed, self._home.keys = done
        self.edge = edge
        if signed is not self.signed.checkpoint:
            self.signed = self._over(signed, edge)
            self._closed_at = time.monotonic()
        elif gone := frozenset(index for item in group for index in item.redact):
            shown = self.signed.edge.copy()
            if shown.redact(gone):
                self.signed = self.signed._replace(edge=shown)

    @contextmanager
    def _turn(self, attempt: int) -> Iterator[Transaction | None]:
        """From the second attempt on nobody else may come between: in a database by its lock, elsewhere by chance."""
        if attempt and self._home.database is not None:
            with self._home.database.transaction() as tx:
                yield tx
            return
        if attempt:
            time.sleep(random.uniform(0, _LONGEST_PAUSE * attempt / _MOST_RETRIES))  # noqa: S311 - no secret
        yield None

    def _try(
        self, group: list[Pending], rows: list[Row], tx: Transaction | None, *, create: bool
    ) -> tuple[Edge, Checkpoint, Keyring] | None:
        """Write one batch on top of what this handle knows. Raises `Conflict` when the storage has moved on."""
        checkpoint = self.signed.checkpoint
        edge = self.edge.copy()
        first = edge.size
        for item in group:
            if item.at not in {None, first}:
                msg = f"{self._origin}: the log has {first} entries, want {item.at}: another writer was faster"
                raise Conflict(msg)
            item.first = first
            first += len(item.rows)
        gone = frozenset(index for item in group for index in item.redact)
        due = time.monotonic() - self._closed_at >= self._window or self._home.database is None
        due = due and (bool(rows) or not gone)  # who only redacts may have no key
        hand = next((item.hand for item in group if item.hand is not None), None)
        close = create or (edge.size + len(rows) > checkpoint.size and (due or any(i.close or i.hand for i in group)))
        if not rows and not close and not gone and not any(item.within for item in group):
            return None
        if (rows or close) and not create:
            self._home.keys.check_turn(checkpoint)
        anew = edge.redact(gone)
        puts, opens = edge.extend(rows)
        keys = self._home.keys if hand is None else self._home.keys.next(*hand, size=edge.size)
        signed = self._sign(edge, keys) if close else checkpoint
        if self._home.database is None:
            if signed is not checkpoint:
                opens += self._redacted(gone)
                self._staged.write(checkpoint, signed, edge, puts, opens, create=create)
            if gone:
                self._staged.redact(signed, edge, gone)
        else:
            with nullcontext(tx) if tx is not None else self._home.database.transaction() as own:
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
        first, number = self.edge.size, edge.size - self.edge.size
        trim = anew or edge.size // WIDTH > first // WIDTH
        if trim and self._home.database is not None:
            stored = self._home.database.rows(self._origin)
            if any(mine.opened and not row.opened for mine, row in zip(self.edge.rows, stored, strict=False)):
                msg = f"{self._origin}: another process has redacted what this one remembers"
                raise Conflict(msg)
        kept = edge.rows if trim else edge.rows[len(edge.rows) - number :]
        if create:
            tx.create(self._origin, new.signed)
        if number or anew:
            tx.extend(self._origin, first, edge.size, kept, trim=trim)
        for path, data in puts:
            tx.put(path, data)
        for path, data in opens:
            tx.replace(path, data)
        if new is not old and not create:
            tx.swap(self._origin, old.signed, new.signed)
        for item in group:
            if item.within:
                item.within(tx, item.first)

    def _redacted(self, gone: Collection[int]) -> list[tuple[str, bytes]]:
        """Open bundles to replace, of those that are full in storage, so that nothing is beside these entries."""
        full = sorted({index // WIDTH for index in gone if index // WIDTH < self.edge.size // WIDTH})
        found = [redacted_bundle(self._home.objects, number, gone) for number in full]
        return [changed for changed in found if changed is not None]

    def _sign(self, edge: Edge, keys: Keyring) -> Checkpoint:
        after = None if keys is self._home.keys else self._home.keys
        return keys.sign(Checkpoint(self._origin, edge.size, edge.root()), time=int(time.time()), after=after)

    # State

    def load(self) -> None:
        """Take the state of the storage; never a smaller one than this process has seen.

        Without a database, finishes what a crash interrupted.
        """
        head, rows = self._home.head_and_rows()
        checkpoint = self._home.open(head.signed)
        stored = self._home.stored
        if self._home.database is None:
            newest = self._staged.finish_last(checkpoint, signs=self._home.keys.signs)
            if newest is None:
                self.load()
                return
            # What the newest batch wrote is read from its file, where nothing older can be seen.
            stored = Stored(self._home.objects, newest=newest)
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
        if stored.edge(self.edge.size, head.size, rows, roots).root() != self.edge.root():
            msg = f"{self._origin}: the first {self.edge.size} entries in storage are not those this process has seen"
            raise Fork(msg, self.signed.checkpoint, checkpoint)
        self.edge = edge
        self.signed = self._over(checkpoint, signed_edge)

    def _refresh(self, *, asked: bool) -> None:
        """Load again when an earlier outcome is unknown; when `asked`, also when another process went on."""
        if self._stale or (asked and self._home.head() != (self.edge.size, self.signed.checkpoint.signed)):
            self.load()
            self._stale = False

    def _check_head(self, head: Head, checkpoint: Checkpoint) -> None:
        seen = self.signed.checkpoint
        if checkpoint.size < seen.size or head.size < self.edge.size:
            msg = (
                f"{self._origin}: storage is at size {head.size}, signed {checkpoint.size}; this process has seen "
                f"{self.edge.size}, signed {seen.size}; restore the newer storage, or refill it from what is published"
            )
            raise Rollback(msg)

    def _over(self, checkpoint: Checkpoint, edge: Edge) -> Signed:
        """`checkpoint` with its nodes: partial tiles are those of `edge`, in memory, the full ones are in storage."""
        partial = dict(edge.partial()[0])

        def fetch(path: str) -> bytes:
            data = partial.get(path)
            return self._home.objects.get(path) if data is None else data

        return Signed(checkpoint, edge, TileReader(checkpoint.size, checkpoint.root, fetch, cache=self._middles))
