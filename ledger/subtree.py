"""Parts of a tree: what is signed, or proven, about some neighboring leaves alone.

A part `[start, end)` is one that a tree is made of when `start` is a multiple of the smallest power of two that is not
below `end - start` (c2sp.org/tlog-cosignature, draft-ietf-plants-merkle-tree-certs). Its root is that of a tree of its
leaves alone. Pure functions over hashes, as in `ledger.merkle`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.errors import ProofMismatch
from ledger.merkle import (
    HASH_SIZE,
    MAX_PROOF,
    Node,
    ReadNodes,
    fold,
    node_hash,
    range_nodes,
    verify_inclusion,
)

__all__ = [
    "check_part",
    "part_nodes",
    "part_root",
    "prove_part",
    "verify_in_part",
    "verify_part",
]


def check_part(start: int, end: int, size: int | None = None) -> None:
    """Raise `ProofMismatch` unless `[start, end)` is a part that a tree, of `size` leaves where given, is made of."""
    for name, value in (("start", start), ("end", end), ("size", end if size is None else size)):
        if type(value) is not int or not 0 <= value < 1 << 64:
            msg = f"part [{start}, {end}): {name} {value!r}, want a whole number from 0 to 2^64 - 1"
            raise ProofMismatch(msg)
    if not start < end:
        msg = f"part [{start}, {end}): is empty"
        raise ProofMismatch(msg)
    if size is not None and end > size:
        msg = f"part [{start}, {end}): ends behind a tree of {size} leaves"
        raise ProofMismatch(msg)
    if start % (1 << (end - start - 1).bit_length()):
        msg = f"part [{start}, {end}): no tree is made of it, want a start that is a multiple of its rounded length"
        raise ProofMismatch(msg)


def part_root(start: int, end: int, read: ReadNodes) -> bytes:
    """Root of the part `[start, end)`, from the complete nodes that cover it."""
    check_part(start, end)
    return fold(read(list(range_nodes(start, end))))


def part_nodes(start: int, end: int, size: int) -> list[list[Node]]:
    """For each hash of the proof that a tree of `size` leaves holds a part: the nodes that fold into it."""
    check_part(start, end, size)
    low, high, ranges = 0, size, []
    whole = True  # the root of what is left is the verifier's own
    while (low, high) != (start, end):
        middle = low + (1 << ((high - low - 1).bit_length() - 1))
        if end <= middle:
            ranges.append((middle, high))
            high = middle
        elif middle <= start:
            ranges.append((low, middle))
            low = middle
        else:
            ranges.append((low, middle))
            start = low = middle
            whole = False
    if not whole:
        ranges.append((low, high))
    return [list(range_nodes(*each)) for each in reversed(ranges)]


def prove_part(start: int, end: int, size: int, read: ReadNodes) -> tuple[bytes, ...]:
    """Build the proof that the tree of `size` leaves holds the part `[start, end)`."""
    groups = part_nodes(start, end, size)
    hashes = iter(read([node for group in groups for node in group]))
    return tuple(fold([next(hashes) for _ in group]) for group in groups)


def verify_in_part(proof: Sequence[bytes], *, index: int, start: int, end: int, leaf: bytes, root: bytes) -> None:
    """Raise `ProofMismatch` unless `leaf` (a leaf hash) stands at `index` of the log, in the part under `root`."""
    check_part(start, end)
    if type(index) is not int or not start <= index < end:
        msg = f"index {index!r}: outside of the part [{start}, {end})"
        raise ProofMismatch(msg)
    verify_inclusion(proof, index=index - start, size=end - start, leaf=leaf, root=root)


def verify_part(proof: Sequence[bytes], *, start: int, end: int, size: int, part_root: bytes, root: bytes) -> None:
    """Raise `ProofMismatch` unless the tree of `size` leaves under `root` holds the part `[start, end)` as `part_root`.

    With `start` 0 it is the consistency proof of RFC 9162 §2.1.4.
    """
    check_part(start, end, size)
    where = f"proof of part [{start}, {end}) in {size}"
    if len(proof) > MAX_PROOF or any(len(each) != HASH_SIZE for each in (*proof, part_root, root)):
        msg = f"{where}: {len(proof)} hashes, want at most {MAX_PROOF} of {HASH_SIZE} bytes"
        raise ProofMismatch(msg)
    fn, sn, tn = start, end - 1, size - 1
    while fn != sn and (sn == tn or sn & 1):
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    path = list(proof)
    if fn == sn:
        first = second = part_root
    elif path:
        first = second = path.pop(0)
    else:
        msg = f"{where}: no hashes"
        raise ProofMismatch(msg)
    for sibling in path:
        if tn == 0:
            msg = f"{where}: {len(proof)} hashes, too many"
            raise ProofMismatch(msg)
        if sn & 1 or sn == tn:
            if fn < sn:
                first = node_hash(sibling, first)
            second = node_hash(sibling, second)
            while not sn & 1 and sn:
                fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
        else:
            second = node_hash(second, sibling)
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    if tn:
        msg = f"{where}: {len(proof)} hashes, too few"
        raise ProofMismatch(msg)
    if first != part_root:
        msg = f"{where}: leads to part {first.hex()}, want {part_root.hex()}"
        raise ProofMismatch(msg)
    if second != root:
        msg = f"{where}: leads to root {second.hex()}, want {root.hex()}"
        raise ProofMismatch(msg)
