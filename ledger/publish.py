"""Writing a log to one place where others read it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from hashlib import sha256

from ledger.batch import Written, write_all
from ledger.checkpoint import Checkpoint
from ledger.edge import Edge
from ledger.errors import Conflict, NotFound, Unavailable
from ledger.redact import Opened, agree
from ledger.storage import ListsObjects, Objects, ReadsObjects
from ledger.tile import (
    CHECKPOINT,
    HEIGHT,
    WIDTH,
    bundle_path,
    open_path,
    parse_open,
    parse_path,
    tile_path,
    tile_widths,
)

__all__ = ["Partials", "check_free", "publish_to"]

_IN_MEMORY = 64  # objects of a batch that are held at once


class Partials:
    """The partial tiles and bundles that one storage shows, remembered so that they can be dropped by name.

    Allowed once the full form is there (c2sp.org/tlog-tiles): readers fall back to it. A storage that cannot list
    keeps those that an earlier process wrote.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._shown: set[str] = set()
        self._size = 0  # of the tree beside whose edge all is known

    def find(self, size: int) -> None:
        """Learn what lies there beside the right edge of a tree of `size`."""
        self._shown = set()
        self._size = size
        if not isinstance(self._objects, ListsObjects):
            return
        for level, index, _ in tile_widths(size):
            folders = [tile_path(level, index), *([bundle_path(index)] if level == 0 else [])]
            for folder in folders:
                self._shown.update(self._objects.list(f"{folder}.p/"))

    def follow(self, size: int) -> None:
        """Learn what another process has left there, where the place shows a `size` that this one did not write."""
        if size != self._size:
            shown = self._shown
            self.find(size)
            self._shown |= shown

    def missing(self, puts: Written) -> list[tuple[str, bytes]]:
        """Those of `puts` that are not known to be there: a partial form has one content for ever."""
        return [(path, data) for path, data in puts if path not in self._shown]

    def add(self, paths: Iterable[str]) -> None:
        """Remember those of `paths` that are partial."""
        self._shown.update(path for path in paths if ".p/" in path)

    def take_stale(self, size: int) -> list[str]:
        """Forget and return those whose full form exists in a tree of `size`."""
        stale = []
        for path in self._shown:
            level, index, _ = parse_path(path)
            if size >> (HEIGHT * ((level or 0) + 1)) > index:
                stale.append(path)
        self._shown.difference_update(stale)
        self._size = size
        return sorted(stale)


def check_free(place: ReadsObjects) -> None:
    """Raise `Conflict` where a log is published already, whoever signed it: a new one would be written over it."""
    try:
        place.get(CHECKPOINT)
    except NotFound:
        return
    msg = f"{place!r}: a checkpoint is already published there; open or refill that log, or give another place"
    raise Conflict(msg, path=CHECKPOINT)


def publish_to(
    target: Objects,
    published: int,
    checkpoint: Checkpoint,
    edge: Edge,
    source: ReadsObjects,
    partials: Partials,
    opened: Opened,
) -> None:
    """Write everything between size `published` and `checkpoint` to `target`, the checkpoint itself last.

    Full tiles and bundles come from `source`, partial ones from `edge`. May be repeated after a crash at any point:
    only the last step makes anything visible, and every earlier one writes the same bytes again. `opened` tells what
    is open by now: others may have redacted something meanwhile.
    """
    size = checkpoint.size
    written: dict[int, bytes] = {}
    partials.follow(published)
    full = [bundle_path(number) for number in range(published // WIDTH, size // WIDTH)]
    level = 0
    while size >> (HEIGHT * (level + 1)):
        shift = HEIGHT * (level + 1)
        full += [tile_path(level, number) for number in range(published >> shift, size >> shift)]
        level += 1
    for at in range(0, len(full), _IN_MEMORY):
        write_all(target, [(path, source.get(path)) for path in full[at : at + _IN_MEMORY]], [])
    for number in range(published // WIDTH, size // WIDTH):
        path = open_path(number)
        with contextlib.suppress(NotFound):  # nothing in this bundle is open
            data = source.get(path)
            if (items := len(found := parse_open(data))) < WIDTH and any(found):
                msg = f"{path}: {items} items beside {WIDTH} entries, an older one; try again"
                raise Unavailable(msg, path=path)
            target.replace(path, data)
            written[number] = sha256(data).digest()
    puts, opens = edge.partial()
    write_all(target, partials.missing(puts), opens)
    written.update((size // WIDTH, sha256(data).digest()) for _, data in opens)
    agree(target, written, opened, edge.rows if opens else ())
    target.replace(CHECKPOINT, checkpoint.signed)
    partials.add(path for path, _ in puts)
    target.discard(*partials.take_stale(size))
