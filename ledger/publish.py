"""Writing a log where others read it, and the batch file that lets a crash be finished."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from ledger.checkpoint import Checkpoint
from ledger.edge import Edge
from ledger.errors import MalformedError, NotFound, ProofMismatch, Rollback, Unavailable
from ledger.evidence import forked
from ledger.merkle import ReadNodes, tree_root
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

__all__ = [
    "Partials",
    "check_behind",
    "lost_batches",
    "pack_batch",
    "parse_batch",
    "publish_to",
    "staging_path",
    "write_all",
]

Written = Sequence[tuple[str, bytes]]

_STAGED = re.compile("staging/([0-9]{1,19})-[0-9a-f]{64}", re.ASCII)
_IN_MEMORY = 64  # objects of a batch that are held at once
_WORTH_A_THREAD = 3  # writes; fewer are done sooner than a thread is started


def staging_path(checkpoint: Checkpoint) -> str:
    """Where the batch file that leads to `checkpoint` lies: no two batches share it."""
    return f"staging/{checkpoint.size}-{checkpoint.root.hex()}"


def lost_batches(objects: Objects, size: int) -> list[str]:
    """Batch files in a storage that lists, of writers whose swap another was faster than: of no use at `size`.

    A batch that did swap was finished before the next one could, by its writer or by whoever came next.
    """
    if not isinstance(objects, ListsObjects):
        return []
    return [path for path in objects.list("staging/") if (at := _STAGED.fullmatch(path)) and int(at[1]) < size]


def pack_batch(puts: Written, opens: Written) -> bytes:
    """A batch file: for each object one byte (0 put, 1 replace), uint16 path length ‖ path, uint32 length ‖ bytes."""
    parts = []
    for kind, written in ((b"\0", puts), (b"\1", opens)):
        for path, data in written:
            name = path.encode()
            parts += [kind, len(name).to_bytes(2, "big"), name, len(data).to_bytes(4, "big"), data]
    return b"".join(parts)


def parse_batch(data: bytes) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """(objects to put, objects to replace) of a batch file; `pack_batch(*parse_batch(data)) == data`.

    Raises `MalformedError` for a cut or foreign file.
    """
    written: tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]] = ([], [])
    at = 0
    while at < len(data):
        kind, start = data[at], at + 3
        stop = start + int.from_bytes(data[at + 1 : start], "big")
        begin = stop + 4
        end = begin + int.from_bytes(data[stop:begin], "big")
        name = data[start:stop]
        if kind > 1 or (written[1] and not kind) or end > len(data) or not name.isascii():
            msg = f"batch file: broken at byte {at}"
            raise MalformedError(msg)
        written[kind].append((name.decode("ascii"), data[begin:end]))
        at = end
    return written


def write_all(objects: Objects, puts: Written, opens: Written) -> None:
    """Put and replace all of these, side by side where the storage can; durable when this returns."""
    work = [(objects.put, *written) for written in puts] + [(objects.replace, *written) for written in opens]
    ways = min(getattr(objects, "parallel", 1), len(work) // _WORTH_A_THREAD)
    if ways <= 1:
        for act, path, data in work:
            act(path, data)
        return
    with ThreadPoolExecutor(ways, thread_name_prefix="ledger-write") as pool:
        for done in [pool.submit(act, path, data) for act, path, data in work]:
            done.result()


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


def check_behind(other: Checkpoint, what: str, mine: Checkpoint, reader: ReadNodes) -> None:
    """Raise unless a log that stands on `mine`, whose nodes `reader` gives, extends `other`, which `what` shows.

    `Rollback` when the log is behind, `Fork` when it is another history, `ProofMismatch` for another log.
    """
    if other.origin != mine.origin:
        msg = f"{mine.origin}: the checkpoint {what} is one of {other.origin}"
        raise ProofMismatch(msg)
    if other.size > mine.size:
        msg = (
            f"{mine.origin}: storage is at size {mine.size}, the checkpoint {what} at {other.size}; "
            "refusing to sign: restore the newer storage, or refill it from what is published"
        )
        raise Rollback(msg)
    if tree_root(other.size, reader) != other.root:
        msg = f"{mine.origin}: the checkpoint {what} of size {other.size} is not a beginning of this log"
        raise forked(msg, other, mine, reader)
