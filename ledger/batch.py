"""What a batch writes to a storage, and the batch file that says so, from which a crash is finished."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from ledger.checkpoint import Checkpoint
from ledger.errors import MalformedError
from ledger.storage import ListsObjects, Objects

__all__ = [
    "Written",
    "batches_in",
    "lost_batches",
    "pack_batch",
    "parse_batch",
    "size_after",
    "staging_path",
    "write_all",
]

Written = Sequence[tuple[str, bytes]]
"""Objects by path."""

_STAGING = "staging/"
_STAGED = re.compile(f"{_STAGING}([0-9]{{1,19}})-[0-9a-f]{{64}}", re.ASCII)
_DIGEST = 32  # bytes
_WORTH_A_THREAD = 3  # writes; fewer are done sooner than a thread is started


def staging_path(checkpoint: Checkpoint) -> str:
    """Where the batch file that leads to `checkpoint` lies: no two batches share it."""
    return f"{_STAGING}{checkpoint.size}-{checkpoint.root.hex()}"


def size_after(path: str) -> int | None:
    """Size of the log once the batch in the file at `path` is done; None where that is no batch file's path."""
    found = _STAGED.fullmatch(path)
    return None if found is None else int(found[1])


def batches_in(objects: Objects) -> list[str]:
    """Paths of the batch files in a storage that can list, none in another."""
    return sorted(objects.list(_STAGING)) if isinstance(objects, ListsObjects) else []


def lost_batches(objects: Objects, size: int) -> list[str]:
    """Batch files of writers whose swap another was faster than, of no use at `size`.

    A batch that did swap was finished before the next one could, by its writer or by whoever came next.
    """
    return [path for path in batches_in(objects) if (after := size_after(path)) is not None and after < size]


def pack_batch(puts: Written, opens: Written) -> bytes:
    """A digest, then for each object one byte (0 put, 1 replace), uint16 path length ‖ path, uint32 length ‖ bytes.

    The digest is SHA-256 of all that follows: a file that a disk changed would else be finished over what is good.
    """
    parts = []
    for kind, written in ((b"\0", puts), (b"\1", opens)):
        for path, data in written:
            name = path.encode()
            parts += [kind, len(name).to_bytes(2, "big"), name, len(data).to_bytes(4, "big"), data]
    data = b"".join(parts)
    return sha256(data).digest() + data


def parse_batch(data: bytes) -> tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]]:
    """(objects to put, objects to replace) of a batch file; `pack_batch(*parse_batch(data)) == data`.

    Raises `MalformedError` for a cut, changed or foreign file.
    """
    if sha256(memoryview(data)[_DIGEST:]).digest() != data[:_DIGEST]:
        msg = f"batch file: {len(data)} bytes do not begin with their own SHA-256"
        raise MalformedError(msg)
    written: tuple[list[tuple[str, bytes]], list[tuple[str, bytes]]] = ([], [])
    at = _DIGEST
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
