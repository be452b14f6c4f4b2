"""Reading a log without trusting who serves it: every byte returned is proven against a checkpoint.

::

    client = Client(Directory("public"), Policy.parse(text))
    checkpoint = client.latest()
    for entry in client.entries(0, checkpoint.size):
        …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import MalformedError, NotFound, ProofMismatch, Rollback, TileMismatch
from ledger.evidence import forked
from ledger.merkle import leaf_hash, prove_consistency, prove_inclusion, tree_root
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.reader import MiddleNodes, TileReader
from ledger.storage import ReadsObjects
from ledger.tile import CHECKPOINT, WIDTH, bundle_path, bundle_ranges, bundle_spans, open_path, parse_open

__all__ = ["Client"]


class Client:
    """A verifying reader of one published log. It remembers the newest checkpoint it saw and never goes behind it."""

    def __init__(self, objects: ReadsObjects, policy: Policy) -> None:
        self._objects = objects
        self._policy = policy
        self._middles: MiddleNodes = {}
        self._seen: Checkpoint | None = None
        self._reader: TileReader | None = None

    @property
    def policy(self) -> Policy:
        """The policy under which this reader accepts checkpoints."""
        return self._policy

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that all reads stand on: that of the last `latest`, which is called when there was none."""
        return self._seen or self.latest()

    def latest(self, *, since: Checkpoint | None = None) -> Checkpoint:
        """Fetch the newest checkpoint, check that it extends what was seen before, and return it.

        `since` is a checkpoint from an earlier audit. Raises `Fork`, whose `evidence` convicts the log, when one is not
        a beginning of the other, `Rollback` when the log shows less than before, `UnknownKey`,
        `InvalidSignature`, `MalformedError`, `TileMismatch`, `NotFound`.
        """
        return self._stand(since)[0]

    def _stand(self, since: Checkpoint | None = None) -> tuple[Checkpoint, TileReader]:
        checkpoint = open_checkpoint(self._objects.get(CHECKPOINT), self._policy)
        if self._seen is not None and self._reader is not None and checkpoint == self._seen and since is None:
            return self._seen, self._reader
        earlier = [old for old in (self._seen, since) if old is not None]
        for old in earlier:
            _check_sizes(old, checkpoint)
        middles = dict(self._middles)
        reader = TileReader(checkpoint.size, checkpoint.root, self._objects.get, cache=middles)
        for old in earlier:
            if tree_root(old.size, reader) != old.root:
                raise forked(_other_history(old, checkpoint), old, checkpoint, reader)
        self._seen, self._reader, self._middles = checkpoint, reader, middles
        return checkpoint, reader

    def entry(self, index: int) -> bytes:
        """The entry at `index`, proven to be in the log. Raises `NotFound` beyond the checkpoint, `TileMismatch`."""
        return next(self.entries(index, index + 1))

    def entries(self, start: int, stop: int) -> Iterator[bytes]:
        """Entries `[start, stop)`, each proven to be in the log before it is yielded. Raises as `entry`."""
        checkpoint = self.checkpoint
        reader = self.reader
        if not 0 <= start <= stop <= checkpoint.size:
            msg = f"entries {start} to {stop}: the checkpoint covers {checkpoint.size}"
            raise NotFound(msg)
        for number, width, first, count in bundle_ranges(start, stop, checkpoint.size):
            path, data = self.bundle(number, width)
            hashes = reader.tile(0, number)
            for offset, (begin, end) in enumerate(_spans(path, data, width)):
                if leaf_hash(data[begin:end]) != hashes[offset]:
                    msg = f"{path}: entry {number * WIDTH + offset} at byte {begin} is not the one that was logged"
                    raise TileMismatch(msg, path=path, offset=begin)
                if first <= offset < first + count:
                    yield data[begin:end]

    def opened(self, number: int) -> list[bytes]:
        """What is published in the open beside bundle `number`, not verified; may be shorter than the bundle."""
        try:
            data = self._objects.get(open_path(number))
        except NotFound:
            return []
        return parse_open(data)

    def prove(self, index: int) -> Proof:
        """Inclusion proof of the entry at `index` under `checkpoint`. Raises `ProofMismatch` beyond it."""
        checkpoint = self.checkpoint
        return Proof(index, prove_inclusion(index, checkpoint.size, self.reader), checkpoint.signed)

    def prove_consistency(self, old: int) -> Sequence[bytes]:
        """Proof that the tree of `checkpoint` begins with that of size `old`."""
        return prove_consistency(old, self.checkpoint.size, self.reader)

    @property
    def reader(self) -> TileReader:
        """Authenticated nodes under `checkpoint`."""
        if self._reader is None:
            return self._stand()[1]
        return self._reader

    def get(self, path: str) -> bytes:
        """The raw bytes at `path`, not verified. Raises `NotFound`, `Unavailable`."""
        return self._objects.get(path)

    def bundle(self, number: int, width: int) -> tuple[str, bytes]:
        """Path and bytes of an entry bundle, not verified; the full one serves where the partial one was dropped."""
        path = bundle_path(number, width)
        try:
            return path, self._objects.get(path)
        except NotFound:
            if width == WIDTH:
                raise
        path = bundle_path(number)
        data = self._objects.get(path)
        return path, data[: _spans(path, data, WIDTH)[width - 1][1]]


def _spans(path: str, data: bytes, width: int) -> list[tuple[int, int]]:
    try:
        return bundle_spans(data, width=width)
    except MalformedError as error:
        msg = f"{path}: {error}"
        raise MalformedError(msg) from error


def _check_sizes(old: Checkpoint, new: Checkpoint) -> None:
    """What two checkpoints say without a tile: one that contradicts the other may come without the tiles it needs."""
    if old.origin != new.origin:
        msg = f"checkpoint of {new.origin}: seen before was one of {old.origin}"
        raise ProofMismatch(msg)
    if new.size < old.size:
        msg = f"{new.origin}: checkpoint of size {new.size}, but one of size {old.size} was seen before"
        raise Rollback(msg)
    if new.size == old.size and new.root != old.root:
        raise forked(_other_history(old, new), old, new)


def _other_history(old: Checkpoint, new: Checkpoint) -> str:
    return f"{new.origin}: the checkpoint of size {new.size} does not extend the one of size {old.size}"
