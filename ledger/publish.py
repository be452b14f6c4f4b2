"""Writing a log where others read it, and the batch file that lets a crash be finished."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ledger.checkpoint import Checkpoint
from ledger.edge import Edge
from ledger.errors import MalformedError, NotFound
from ledger.storage import Objects, ReadsObjects
from ledger.tile import CHECKPOINT, HEIGHT, WIDTH, bundle_path, open_path, tile_path, tile_widths

__all__ = ["discard_stale", "pack_batch", "parse_batch", "publish_to", "staging_path"]

Written = Sequence[tuple[str, bytes]]


def staging_path(checkpoint: Checkpoint) -> str:
    """Where the batch file that leads to `checkpoint` lies: no two batches share it."""
    return f"staging/{checkpoint.size}-{checkpoint.root.hex()}"


def pack_batch(puts: Written, opens: Written) -> bytes:
    """A batch file: for each object one byte (0 put, 1 replace), uint16 path length ‖ path, uint32 length ‖ bytes."""
    parts = []
    for kind, written in ((b"\0", puts), (b"\1", opens)):
        for path, data in written:
            name = path.encode()
            parts += [kind, len(name).to_bytes(2, "big"), name, len(data).to_bytes(4, "big"), data]
    return b"".join(parts)


def parse_batch(data: bytes) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """(objects to put, objects to replace) of a batch file. Raises `MalformedError` for a cut or foreign file."""
    written: tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]] = ([], [])
    at = 0
    while at < len(data):
        kind, start = data[at], at + 3
        stop = start + int.from_bytes(data[at + 1 : start], "big")
        begin = stop + 4
        end = begin + int.from_bytes(data[stop:begin], "big")
        name = data[start:stop]
        if kind > 1 or end > len(data) or not name.isascii():
            msg = f"batch file: broken at byte {at}"
            raise MalformedError(msg)
        written[kind].append((name.decode("ascii"), data[begin:end]))
        at = end
    return written


def publish_to(target: Objects, published: int, checkpoint: Checkpoint, edge: Edge, source: ReadsObjects) -> None:
    """Write everything between size `published` and `checkpoint` to `target`, the checkpoint itself last.

    Full tiles and bundles come from `source`, partial ones from `edge`. May be repeated after a crash at any point:
    only the last step makes anything visible, and every earlier one writes the same bytes again.
    """
    size = checkpoint.size
    for number in range(published // WIDTH, size // WIDTH):
        path = bundle_path(number)
        target.put(path, source.get(path))
        path = open_path(number)
        with contextlib.suppress(NotFound):  # nothing in this bundle is open
            target.replace(path, source.get(path))
    level = 0
    while size >> (HEIGHT * (level + 1)):
        for number in range(published >> (HEIGHT * (level + 1)), size >> (HEIGHT * (level + 1))):
            path = tile_path(level, number)
            target.put(path, source.get(path))
        level += 1
    puts, opens = edge.partial()
    for path, data in puts:
        target.put(path, data)
    for path, data in opens:
        target.replace(path, data)
    target.replace(CHECKPOINT, checkpoint.signed)
    discard_stale(target, published, size)


def discard_stale(target: Objects, old: int, new: int) -> None:
    """Drop the partial tiles and the partial bundle of size `old` whose full form exists at size `new`.

    Allowed by c2sp.org/tlog-tiles: readers fall back to the full one.
    """
    for level, index, _ in tile_widths(old):
        if new >> (HEIGHT * (level + 1)) > index:
            target.discard(f"{tile_path(level, index)}.p/")
            if level == 0:
                target.discard(f"{bundle_path(index)}.p/")
