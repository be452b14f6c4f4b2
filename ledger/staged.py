"""How a batch reaches a storage without transactions: a batch file first, then the swap, then everything in it.

Recovery is the normal path: whoever opens the log finishes what the newest batch file says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress

from ledger.batch import batches_in, lost_batches, pack_batch, parse_batch, staging_path, write_all
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.copies import get_or_none
from ledger.edge import Edge
from ledger.errors import Conflict, MalformedError, Unavailable
from ledger.home import Home
from ledger.publish import Partials
from ledger.redact import redacted_bundle, without
from ledger.tile import CHECKPOINT, WIDTH, open_path, pack_open, parse_open, parse_path

__all__ = ["StagedBatches"]


class StagedBatches:
    """Writes the batches of one log. Owned by the caller that leads a batch."""

    def __init__(self, home: Home, *, shows: bool = True) -> None:
        """Without `shows` another writes the checkpoint that readers see."""
        self._home = home
        self._origin = home.origin
        self._objects = home.objects
        self._checkpoints = home.checkpoints
        self._shows = shows
        self._partials = Partials(home.objects)
        self._last = ""  # path of the newest batch file

    def write(
        self,
        old: Checkpoint,
        new: Checkpoint,
        edge: Edge,
        puts: list[tuple[str, bytes]],
        opens: list[tuple[str, bytes]],
        *,
        create: bool,
    ) -> None:
        """Make `edge`, which `new` is signed over, the log; `puts` and `opens` are what became full since `old`.

        Swap before upload: a crash between the two leaves a batch file that the next open finishes. Uploading first
        could leave tiles that a different batch would contradict.
        """
        partial_puts, partial_opens = edge.partial()
        batch = pack_batch([*puts, *partial_puts], [*opens, *partial_opens])
        try:
            self._objects.put(staging_path(new), batch)
        except Conflict:
            # A batch that began earlier, leads to the same tree and lost its swap may have left its file: it serves.
            left = parse_batch(self._objects.get(staging_path(new)))
            if not all({*mine} <= {*theirs} for mine, theirs in zip(parse_batch(batch), left, strict=True)):
                raise
        if create:
            self._checkpoints.create(self._origin, new.signed)
        else:
            self._checkpoints.swap(self._origin, old.signed, new.signed)
        self._finish(new, batch)

    def finish_last(self, checkpoint: Checkpoint, *, signs: bool) -> dict[str, bytes] | None:
        """Finish the newest batch where that was interrupted, or is not what shows; return what of it is not full.

        None when another process has gone on meanwhile: then our older checkpoint may lie over theirs.
        """
        self._partials.find(checkpoint.size)
        self._last = staging_path(checkpoint)
        shown = get_or_none(self._objects, CHECKPOINT)
        batch = _sound(get_or_none(self._objects, self._last))
        if batch is None:
            # Dropped by release 0.1.0, as the last thing of a batch; changed by a disk; or not to be seen yet.
            if shown is None or open_checkpoint(shown, self._home.keys.policy).size >= checkpoint.size:
                return {}
            msg = (
                f"{self._last}: not there as it was written, and the batch that it describes may not be finished; "
                "try again, or refill from what is published when it is lost"
            )
            raise Unavailable(msg, path=self._last)
        if signs:
            lost = lost_batches(self._objects, checkpoint.size)
            self._objects.discard(*lost)
            self._follow_redactions({*batches_in(self._objects)} - {*lost, self._last}, dict(parse_batch(batch)[1]))
        puts, opens = parse_batch(batch)
        done = (
            self._shows
            and shown == checkpoint.signed
            and all(get_or_none(self._objects, path) == data for path, data in opens)
        )
        if not done and signs:
            self._finish(checkpoint, batch)
            if self._checkpoints.load(self._origin) != checkpoint.signed:
                return None
        return dict([*(written for written in puts if ".p/" in written[0]), *opens])

    def redact(self, checkpoint: Checkpoint, edge: Edge, indexes: Collection[int]) -> None:
        """Forget what is open beside these entries, wherever it lies; `edge` is that of `checkpoint`, without it.

        The batch files first: whoever finishes what a crash interrupted takes the bytes from there.
        """
        for path in {*batches_in(self._objects), staging_path(checkpoint)}:
            batch = get_or_none(self._objects, path)
            with suppress(MalformedError):  # whatever it is, nobody can finish it
                puts, opens = parse_batch(batch or b"")
                good = pack_batch(puts, [(name, without(data, indexes, _number(name))) for name, data in opens])
                if batch is not None and good != batch:
                    self._objects.replace(path, good)
        last = edge.size // WIDTH
        for number in sorted({index // WIDTH for index in indexes}):
            if number < last:
                changed = redacted_bundle(self._objects, number, indexes)
            else:
                there = get_or_none(self._objects, open_path(number))
                data = without(there or b"", indexes, number)
                if len(parse_open(data)) < len(edge.rows):  # an older one
                    data = pack_open([row.opened for row in edge.rows])
                changed = None if there in {None, data} else (open_path(number), data)
            if changed is not None:
                self._objects.replace(*changed)

    def _follow_redactions(self, paths: Collection[str], newest: Mapping[str, bytes]) -> None:
        """Redact batch files of writers who lost their swap, of which one may have begun before something else was."""
        for path in paths:
            batch = get_or_none(self._objects, path)
            with suppress(MalformedError):
                puts, opens = parse_batch(batch or b"")
                good = []
                for name, data in opens:
                    number = _number(name)
                    shown = parse_open(newest.get(name) or get_or_none(self._objects, name) or b"")
                    gone = {number * WIDTH + at for at, item in enumerate(shown) if not item}
                    good.append((name, without(data, gone, number)))
                if good != opens:
                    self._objects.replace(path, pack_batch(puts, good))

    def _finish(self, checkpoint: Checkpoint, batch: bytes) -> None:
        """Everything after the swap, in the normal path and in recovery alike.

        The batch file stays until the next batch is done: the open bundle in it is the newest for certain, where an
        older one may come late and lie over it.
        """
        puts, opens = parse_batch(batch)
        write_all(self._objects, self._partials.missing(puts), opens)
        if self._shows:
            self._objects.replace(CHECKPOINT, checkpoint.signed)
        self._partials.add(path for path, _ in puts)
        earlier, self._last = self._last, staging_path(checkpoint)
        dropped = [path for path in (earlier,) if path not in {"", self._last}]
        self._objects.discard(*dropped, *self._partials.take_stale(checkpoint.size))


def _sound(batch: bytes | None) -> bytes | None:
    """The batch file, None where it cannot be read."""
    try:
        parse_batch(batch or b"")
    except MalformedError:
        return None
    return batch


def _number(path: str) -> int:
    """The bundle that an open one lies beside."""
    return parse_path(path.replace("events/", "tile/entries/", 1))[1]
