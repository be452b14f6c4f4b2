"""Variants of the code, each with one mistake that a careful reader might let pass. The simulator must not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from unittest.mock import patch

import ledger.log
import ledger.places
from ledger.batch import pack_batch, parse_batch, staging_path, write_all
from ledger.copies import get_or_none
from ledger.log import Log
from ledger.places import Places
from ledger.publish import publish_to
from ledger.staged import StagedBatches
from ledger.stored import Stored
from ledger.tile import CHECKPOINT
from provenance.following import Following
from provenance.sequencer import Sequencer
from tests.simulation.stores import Rows, SalesQueue, count_items

__all__ = ["BROKEN"]


def _tiles_before_swap(self, old, new, edge, puts, opens, *, create):
    partial_puts, partial_opens = edge.partial()
    batch = pack_batch([*puts, *partial_puts], [*opens, *partial_opens])
    self._objects.put(staging_path(new), batch)
    write_all(self._objects, [*puts, *partial_puts], [])
    self._checkpoints.swap(self._origin, old.signed, new.signed)
    self._finish(new, batch)


def _no_batch_file(self, old, new, edge, puts, opens, *, create):
    partial_puts, partial_opens = edge.partial()
    self._checkpoints.swap(self._origin, old.signed, new.signed)
    self._finish(new, pack_batch([*puts, *partial_puts], [*opens, *partial_opens]))


def _checkpoint_before_tiles(self, checkpoint, batch):
    puts, opens = parse_batch(batch)
    self._objects.replace(CHECKPOINT, checkpoint.signed)
    write_all(self._objects, puts, opens)
    self._last = staging_path(checkpoint)


def _batch_file_dropped_early(self, checkpoint, batch):
    puts, opens = parse_batch(batch)
    self._objects.discard(staging_path(checkpoint))
    write_all(self._objects, puts, opens)
    self._objects.replace(CHECKPOINT, checkpoint.signed)


def _batch_file_dropped(self, checkpoint, batch):
    puts, opens = parse_batch(batch)
    write_all(self._objects, puts, opens)
    self._objects.replace(CHECKPOINT, checkpoint.signed)
    self._objects.discard(staging_path(checkpoint))


def _finish_what_is_left(self, checkpoint, *, signs):
    batch = get_or_none(self._objects, staging_path(checkpoint))
    if batch is not None:
        self._finish(checkpoint, batch)
    return {}


def _publish_over_anything(self):
    self._writer.submit(ledger.log.Pending((), None, close=True))
    with self._publishing:
        checkpoint, edge, _ = self._writer.signed
        for target, partials in self._places._targets:
            publish_to(target, 0, checkpoint, edge, self._home.objects, partials, self._home.opened)
    return checkpoint


def _shown_first(target, published, checkpoint, *rest):
    target.replace(CHECKPOINT, checkpoint.signed)
    publish_to(target, published, checkpoint, *rest)


def _any_place(self, rows, *, within=None, at=None, redact=(), extend=Log.extend):
    return extend(self, rows, within=within, redact=redact)


def _redacted_afterwards(self, rows, *, within=None, at=None, redact=(), extend=Log.extend):
    """Without a change of the head that goes with it: who read the log before writes what it remembers."""
    return extend(self, rows, within=within, at=at)


def _forget_first(self, known=None, follow=Following.catch_up):
    if known is not None:
        with self._queue.joining(None) as connection:
            self._queue.forget(connection, [fact.event_id for fact in known[1]])
    follow(self, known)


def _remove_unchecked(self, connection, event_ids):
    connection.drop(event_ids)


def _knows_nothing(self, event_ids):
    return {}


def _knows_before(self, event_ids, known=Rows.known):
    return {} if self.joined else known(self, event_ids)


def _any_clock(self, log_time=Sequencer._log_time):
    with patch.object(Rows, "last_time", lambda _: ""):
        return log_time(self)


def _opens_as_found(self, number, width=256, bundle=Stored.bundle):
    """As though a short open bundle were one of which the rest is not open."""
    objects, self._objects = self._objects, _Padded(self._objects)
    try:
        return bundle(self, number, width)
    finally:
        self._objects = objects


class _Padded:
    def __init__(self, objects) -> None:
        self._objects = objects

    def get(self, path):
        data = self._objects.get(path)
        return data + bytes(4 * (256 - count_items(data))) if path.startswith("events/") else data


Variant = Callable[[], contextlib.AbstractContextManager[object]]


def _with(*changes: tuple[object, str, object]) -> Variant:
    @contextlib.contextmanager
    def variant():
        with contextlib.ExitStack() as stack:
            for owner, name, stand_in in changes:
                stack.enter_context(patch.object(owner, name, stand_in))
            yield

    return variant


BROKEN: dict[str, Variant] = {
    "tiles before the swap": _with((StagedBatches, "write", _tiles_before_swap)),
    "no batch file": _with((StagedBatches, "write", _no_batch_file)),
    "a crash is not finished": _with((StagedBatches, "finish_last", lambda self, checkpoint, *, signs: {})),
    "checkpoint before tiles": _with((StagedBatches, "_finish", _checkpoint_before_tiles)),
    "batch file dropped before the tiles": _with(
        (StagedBatches, "_finish", _batch_file_dropped_early), (StagedBatches, "finish_last", _finish_what_is_left)
    ),
    "batch file dropped after the tiles, any open bundle believed": _with(
        (StagedBatches, "_finish", _batch_file_dropped),
        (StagedBatches, "finish_last", _finish_what_is_left),
        (Stored, "bundle", _opens_as_found),
    ),
    "published over anything": _with((Log, "publish", _publish_over_anything)),
    "published checkpoint before its tiles": _with((ledger.places, "publish_to", _shown_first)),
    "appended at any place": _with((Log, "extend", _any_place)),
    "redacted after the batch that says why": _with((Log, "extend", _redacted_afterwards)),
    "redacted in the storage alone": _with((Places, "redact", lambda self, indexes: None)),
    "forgotten before it is indexed": _with((Following, "catch_up", _forget_first)),
    "what is in the log is asked too early, taken from the queue unchecked": _with(
        (Rows, "known", _knows_before), (SalesQueue, "remove", _remove_unchecked)
    ),
    "what is in the log is not asked": _with((Rows, "known", _knows_nothing)),
    "any clock is right": _with((Sequencer, "_log_time", _any_clock)),
}
"""By what is wrong: begins the variant, which ends with the `with` block."""
