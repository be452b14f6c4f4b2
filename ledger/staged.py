"""How a batch reaches a storage without transactions: a batch file first, then the swap, then everything in it.

Recovery is the normal path: whoever opens the log finishes what the newest batch file says.
"""

from __future__ import annotations

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.copies import get_or_none
from ledger.edge import Edge
from ledger.errors import Conflict, Unavailable
from ledger.policy import Policy
from ledger.publish import Partials, lost_batches, pack_batch, parse_batch, staging_path, write_all
from ledger.storage import Checkpoints, Objects
from ledger.tile import CHECKPOINT

__all__ = ["StagedBatches"]


class StagedBatches:
    """Writes the batches of one log. Owned by the caller that leads a batch."""

    def __init__(self, origin: str, objects: Objects, checkpoints: Checkpoints, policy: Policy) -> None:
        self._origin = origin
        self._objects = objects
        self._checkpoints = checkpoints
        self._policy = policy
        self._partials = Partials(objects)
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
        batch = get_or_none(self._objects, self._last)
        if batch is None:
            # Dropped by release 0.1.0, as the last thing of a batch; or not to be seen yet.
            if shown is None or open_checkpoint(shown, self._policy).size >= checkpoint.size:
                return {}
            msg = (
                f"{self._last}: not there, and the batch that it describes is not known to be finished; "
                "try again, or refill from what is published when it is lost"
            )
            raise Unavailable(msg, path=self._last)
        if signs:
            self._objects.discard(*lost_batches(self._objects, checkpoint.size))
        puts, opens = parse_batch(batch)
        done = shown == checkpoint.signed and all(get_or_none(self._objects, path) == data for path, data in opens)
        if not done and signs:
            self._finish(checkpoint, batch)
            if self._checkpoints.load(self._origin) != checkpoint.signed:
                return None
        return dict([*(written for written in puts if ".p/" in written[0]), *opens])

    def _finish(self, checkpoint: Checkpoint, batch: bytes) -> None:
        """Everything after the swap, in the normal path and in recovery alike.

        The batch file stays until the next batch is done: the open bundle in it is the newest for certain, where an
        older one may come late and lie over it.
        """
        puts, opens = parse_batch(batch)
        write_all(self._objects, self._partials.missing(puts), opens)
        self._objects.replace(CHECKPOINT, checkpoint.signed)
        self._partials.add(path for path, _ in puts)
        earlier, self._last = self._last, staging_path(checkpoint)
        dropped = [path for path in (earlier,) if path not in {"", self._last}]
        self._objects.discard(*dropped, *self._partials.take_stale(checkpoint.size))
