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

import threading
from collections.abc import Callable, Collection, Iterator, Sequence

from ledger.checkpoint import Checkpoint
from ledger.cosigning import Witnessing
from ledger.edge import Edge, check_rows
from ledger.errors import LedgerError, MalformedError, NotFound, QuorumNotMet, Rollback, Unavailable
from ledger.group import NextKeys, Pending, Within
from ledger.home import Home
from ledger.keyring import Keyring
from ledger.merkle import prove_consistency, prove_inclusion, tree_root
from ledger.note import Signer, VerifierKey
from ledger.places import Places
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.publish import check_free
from ledger.redact import newest_part, parts
from ledger.storage import Checkpoints, Objects, Row
from ledger.tile import WIDTH
from ledger.writer import Writer

__all__ = ["Log", "Within"]

_MOST_RETRIES = 50


class Log:
    """One log and its key, for one or many threads; many processes may hold the same log open.

    Everything it signs extends everything it signed before: it refuses to sign (`Rollback`, `Fork`) when its storage
    is behind what it remembers or what is published.
    """

    def __init__(
        self, home: Home, publish: Sequence[Objects], window: float, *, witnessing: Witnessing | None = None
    ) -> None:
        """Not for users: `Log.create` and `Log.open`."""
        self._home = home
        self._writer = Writer(home, window, shows=witnessing is None)
        self._places = Places(home, publish, witnessing)
        self._witnessed = witnessing is not None
        self._publishing = threading.Lock()  # whoever shows or redacts something in the places

    @classmethod
    def create(
        cls,
        objects: Objects,
        keys: Signer | Keyring,
        genesis: bytes | Row,
        *,
        following: Sequence[Row] = (),
        checkpoints: Checkpoints | None = None,
        publish: Sequence[Objects] = (),
        window: float = 1.0,
        within: Within | None = None,
    ) -> Log:
        """Begin a log whose origin is the key's name, with `genesis` as entry 0, and publish it.

        It signs with every key of `keys` from then on, and never without. `following` are entries without which it
        shall never be there.

        Raises `Conflict` when this storage has a log of that origin, or a place in `publish` any checkpoint already.
        """
        ring = keys if isinstance(keys, Keyring) else Keyring(keys)
        log = cls(Home(objects, checkpoints, ring), publish, window)
        rows = [genesis if isinstance(genesis, Row) else Row(genesis, b""), *following]
        check_rows(rows)
        _ = ring.signer  # or it raises
        for place in log.places:
            check_free(place)
        log._writer.create(Pending(rows, within, close=True))
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
        log = cls(Home(objects, checkpoints, ring, renew), publish, window, witnessing=witnessing)
        if witnessing is not None and not log.places:
            msg = f"{ring.origin}: witnesses, but nowhere to show what they cosign; give a place to publish to"
            raise LedgerError(msg)
        if witnessing is not None and any(line.key.name == ring.origin for line in witnessing.policy.witnesses):
            msg = f"{ring.origin}: a witness has the log's own name; want one that is somebody else"
            raise MalformedError(msg)
        # Published before loaded: whatever another process publishes in between is in the storage by then.
        published = log._places.shown()
        log._writer.load()
        log._places.take(published)
        if remembered is not None:
            log._writer.signed.check_extends(remembered, "remembered by the caller")
        for checkpoint in published:
            log._writer.signed.check_extends(checkpoint, "published")
        return log

    @property
    def origin(self) -> str:
        """Name of the log, in every checkpoint."""
        return self._home.origin

    @property
    def keys(self) -> Keyring:
        """The keys of this log, also those that it had before, without secrets."""
        return self._home.keys.public

    @property
    def signer(self) -> Signer:
        """The key that it signs with. Raises `UnknownKey` where it was opened with its verifier key only."""
        return self._home.keys.signer

    @property
    def policy(self) -> Policy:
        """The policy that accepts this log's keys, each for its own sizes, and no other."""
        return self._home.keys.policy

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint this handle signed or loaded; with witnesses, the newest that readers are shown."""
        return self._places.newest if self._witnessed else self._writer.signed.checkpoint

    @property
    def signed(self) -> Checkpoint:
        """The newest checkpoint this handle signed or loaded, cosigned or not."""
        return self._writer.signed.checkpoint

    @property
    def size(self) -> int:
        """Entries sequenced, as far as this handle knows; at least `checkpoint.size`."""
        return self._writer.edge.size

    @property
    def places(self) -> tuple[Objects, ...]:
        """Where others read the log; without a database, the storage itself is one of them."""
        return self._places.all

    @property
    def has_transactions(self) -> bool:
        """Whether `extend` can write something else within the transaction that sequences."""
        return self._home.database is not None

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
        if within is not None and not self.has_transactions:
            msg = "this storage has no transactions: nothing can be written within one"
            raise TypeError(msg)
        _ = self.signer  # or it raises
        check_rows(rows)
        gone = newest_part(redact)  # older bundles are written by nobody else any more: `redact()` can do them
        self._check_indexes(redact)
        item = Pending(rows, within, at=at, redact=gone, hand=hand)
        return self._writer.submit(item) if rows or within else self.size

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
            self._writer.submit(Pending((), None, redact=some))
        with self._publishing:
            self._places.redact(indexes)

    def refresh(self) -> int:
        """Take over what other processes have sequenced since, finish what a crash interrupted; return the size.

        Raises `Rollback` and `Fork` as `open`, `Unavailable`.
        """
        self._writer.submit(Pending((), None, refresh=True))
        if self._witnessed:
            self._places.take(self._places.shown())
        return self.size

    def publish(self) -> Checkpoint:
        """Sign a checkpoint over everything sequenced so far, write it to every place, and return it.

        Closes the current window: all who call meanwhile get the same checkpoint. When this returns, every entry that
        was sequenced before the call, in whichever process, is published. Raises `Rollback`, `Fork`, `Conflict`
        (another log writes there), and `QuorumNotMet` where witnesses are asked and too few cosigned in time: nothing
        is shown then, everything stays sequenced, and the next call asks again.
        """
        _ = self.signer  # or it raises
        for _ in range(_MOST_RETRIES):
            self._writer.submit(Pending((), None, close=True))
            with self._publishing:
                signed = self._writer.signed
                try:
                    checkpoint = self._places.cosigned(signed)
                except Rollback as error:
                    if error.newest is None or self.refresh() < error.newest.size:
                        raise
                    continue  # another process of this log went ahead, and its checkpoint was cosigned
                except QuorumNotMet:
                    self.refresh()
                    if not self._places.reaches(signed.checkpoint):
                        raise
                    continue  # and readers are shown that already
                self._places.show(checkpoint, signed)
            # Another process that signed later may have written its checkpoint before we wrote ours over it.
            if not self.places or self._home.head().signed == self.signed.signed:
                return checkpoint
        msg = f"{self.origin}: other processes went ahead {_MOST_RETRIES} times; try again"
        raise Unavailable(msg)

    # Reading

    def prove(self, index: int) -> Proof:
        """Inclusion proof of the entry at `index` under `checkpoint`. Raises `ProofMismatch` beyond it."""
        checkpoint = self.checkpoint
        reader = self._writer.signed.reader  # asked behind it: one that is newer knows its nodes too
        return Proof(index, prove_inclusion(index, checkpoint.size, reader), checkpoint.signed)

    def prove_consistency(self, old: int) -> tuple[bytes, ...]:
        """Proof that the tree of `checkpoint` begins with that of size `old`."""
        size = self.checkpoint.size
        return prove_consistency(old, size, self._writer.signed.reader)

    def row(self, index: int) -> Row:
        """The entry at `index`, sequenced or beyond, and what stands beside it. Raises `NotFound`."""
        return next(self.rows(index, index + 1))

    def rows(self, start: int, stop: int) -> Iterator[Row]:
        """Entries `[start, stop)` from the log's own storage, not verified. Raises `NotFound` beyond the end."""
        edge = self._writer.edge
        if not 0 <= start <= stop <= edge.size:
            msg = f"entries {start} to {stop}: the log has {edge.size}"
            raise NotFound(msg)
        for number in range(start // WIDTH, -(-stop // WIDTH)):
            at = number * WIDTH
            rows = edge.rows if at + WIDTH > edge.size else self._home.stored.bundle(number)
            yield from rows[max(start - at, 0) : stop - at]

    def edge(self) -> Edge:
        """A copy of the right edge over everything sequenced."""
        return self._writer.edge.copy()

    def root_at(self, size: int) -> bytes:
        """Root of the first `size` entries, at most all that are sequenced."""
        signed = self._writer.signed
        if size <= signed.checkpoint.size:
            return tree_root(size, signed.reader)
        edge = self._writer.edge
        return self._home.stored.edge(size, edge.size, edge.rows if self.has_transactions else None).root()

    def _check_indexes(self, indexes: Collection[int]) -> None:
        if indexes and max(indexes) >= self.size:
            self.refresh()  # another process may have sequenced them
        wrong = next((index for index in indexes if not 0 <= index < self.size), None)
        if wrong is not None:
            msg = f"{self.origin}: entry #{wrong} to be redacted, the log has {self.size}"
            raise NotFound(msg)
