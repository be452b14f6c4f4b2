"""The Merkle tree of RFC 9162 §2.1 (the same as RFC 6962 §2.1) over SHA-256.

Pure functions over hashes. A *node* is `(level, index)`: level 0 holds leaf hashes, and node `(l, i)` covers the
leaves `[i << l, (i + 1) << l)`; only complete nodes have coordinates. Whoever builds a proof supplies a `ReadNodes`;
whoever verifies one supplies index, sizes, leaf hash and roots, and takes nothing but hashes from the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from ledger.errors import ProofMismatch

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MAX_PROOF",
    "Node",
    "ReadNodes",
    "Tree",
    "beginning_root",
    "consistency_nodes",
    "consistency_root",
    "fold",
    "frontier",
    "inclusion_nodes",
    "inclusion_root",
    "leaf_hash",
    "node_hash",
    "prove_consistency",
    "prove_inclusion",
    "range_nodes",
    "subtree_root",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE = 32
MAX_PROOF = 64
"""No proof in a tree of fewer than 2^64 leaves is longer."""

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162 §2.1.1)."""

_NODE = sha256(b"\x01")

Node = tuple[int, int]
ReadNodes = Callable[[Sequence[Node]], Sequence[bytes]]
"""Returns the hash of every node asked for, in the order asked, or raises. It must return authenticated hashes."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry), 32 bytes (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), 32 bytes (RFC 9162 §2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """Root over `hashes` where their number is a power of two, so that every pair is complete."""
    copy = _NODE.copy  # a hash that has seen the prefix is copied faster than a new one is made
    while len(hashes) > 1:
        pairs = iter(hashes)
        above: list[bytes] = []
        add = above.append
        for left, right in zip(pairs, pairs, strict=True):
            node = copy()
            node.update(left)
            node.update(right)
            add(node.digest())
        hashes = above
    return hashes[0]


def frontier(hashes: Sequence[bytes]) -> list[bytes]:
    """The complete subtrees over `hashes`, largest (leftmost) first."""
    nodes, at = [], 0
    for level in reversed(range(len(hashes).bit_length())):
        if len(hashes) >> level & 1:
            nodes.append(subtree_root(hashes[at : at + (1 << level)]))
            at += 1 << level
    return nodes


class Tree:
    """A growing tree that keeps only its frontier: at most one node for each level, 2 kB for any size.

    `append` takes leaf hashes, `root` is the root hash so far. Not safe to share between threads.
    """

    __slots__ = ("_nodes", "size")

    def __init__(self, size: int = 0, frontier: Sequence[bytes] = ()) -> None:
        if size.bit_count() != len(frontier):
            msg = f"frontier of size {size}: {len(frontier)} nodes, want {size.bit_count()}"
            raise ProofMismatch(msg)
        self.size = size
        self._nodes = list(frontier)  # the complete subtrees, largest (leftmost) first

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right."""
        nodes, size = self._nodes, self.size
        while size & 1:
            leaf = node_hash(nodes.pop(), leaf)
            size >>= 1
        nodes.append(leaf)
        self.size += 1

    def extend(self, node: bytes, level: int) -> None:
        """Add a complete subtree of 2^level leaves; `size` must be a multiple of 2^level."""
        if self.size & ((1 << level) - 1):
            msg = f"subtree of level {level} does not fit at size {self.size}"
            raise ProofMismatch(msg)
        nodes, rest = self._nodes, self.size >> level
        while rest & 1:
            node = node_hash(nodes.pop(), node)
            rest >>= 1
        nodes.append(node)
        self.size += 1 << level

    def root(self) -> bytes:
        """Root hash of the leaves so far; `EMPTY_ROOT` when there is none."""
        return fold(self._nodes) if self._nodes else EMPTY_ROOT


def range_nodes(start: int, stop: int) -> Iterator[Node]:
    """The complete nodes that cover the leaves `[start, stop)`, left to right, as few as possible."""
    while start < stop:
        level = (stop - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


def tree_root(size: int, read: ReadNodes) -> bytes:
    """Root of the first `size` leaves, from the nodes of their frontier."""
    return fold(read(list(range_nodes(0, size)))) if size else EMPTY_ROOT


def inclusion_nodes(index: int, size: int) -> list[list[Node]]:
    """For each hash of the inclusion proof, leaf's sibling first: the nodes that fold into it (RFC 9162 §2.1.3.1)."""
    _check_order("size", size, 1, None)
    _check_order("index", index, 0, size - 1)
    start, stop, ranges = 0, size, []
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return [list(range_nodes(*r)) for r in reversed(ranges)]


def consistency_nodes(old: int, new: int) -> list[list[Node]]:
    """For each hash of the consistency proof: the nodes that fold into it (RFC 9162 §2.1.4.1)."""
    _check_order("new size", new, 1, None)
    _check_order("old size", old, 1, new)
    start, stop, ranges = 0, new, []
    while stop != old:
        middle = start + _split(stop - start)
        if old <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:
        ranges.append((start, stop))
    return [list(range_nodes(*r)) for r in reversed(ranges)]


def prove_inclusion(index: int, size: int, read: ReadNodes) -> tuple[bytes, ...]:
    """Build the inclusion proof of the entry at 0-based `index` in the tree of `size` leaves."""
    return _build(inclusion_nodes(index, size), read)


def prove_consistency(old: int, new: int, read: ReadNodes) -> tuple[bytes, ...]:
    """Build the proof that the tree of `new` leaves begins with the tree of `old` leaves; `1 ≤ old ≤ new`."""
    return _build(consistency_nodes(old, new), read)


def verify_inclusion(proof: Sequence[bytes], *, index: int, size: int, leaf: bytes, root: bytes) -> None:
    """Raise `ProofMismatch` unless `leaf` (a leaf hash) stands at `index` under `root` (RFC 9162 §2.1.3.2)."""
    _check_hashes((), root)
    node = inclusion_root(proof, index=index, size=size, leaf=leaf)
    if node != root:
        msg = f"inclusion proof of {index} in {size}: leads to root {node.hex()}, want {root.hex()}"
        raise ProofMismatch(msg)


def inclusion_root(proof: Sequence[bytes], *, index: int, size: int, leaf: bytes) -> bytes:
    """The root under which `leaf` (a leaf hash) stands at `index`, for whoever has a signature over it.

    Raises `ProofMismatch` for a proof of another length than such a tree's.
    """
    _check_order("size", size, 1, None)
    _check_order("index", index, 0, size - 1)
    _check_hashes(proof, leaf)
    fn, sn, node = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            msg = f"inclusion proof of {index} in {size}: {len(proof)} hashes, too many"
            raise ProofMismatch(msg)
        if fn & 1 or fn == sn:
            node = sha256(b"\x01" + sibling + node).digest()
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            node = sha256(b"\x01" + node + sibling).digest()
        fn >>= 1
        sn >>= 1
    if sn:
        msg = f"inclusion proof of {index} in {size}: {len(proof)} hashes, too few"
        raise ProofMismatch(msg)
    return node


def verify_consistency(proof: Sequence[bytes], *, old: int, new: int, old_root: bytes, new_root: bytes) -> None:
    """Raise `ProofMismatch` unless the tree under `new_root` begins with the one under `old_root`.

    RFC 9162 §2.1.4.2. `1 ≤ old ≤ new`: an empty old tree proves nothing and is refused here, as the RFC has it.
    """
    _check_hashes((), new_root)
    second = consistency_root(proof, old=old, new=new, old_root=old_root)
    if second != new_root:
        msg = f"consistency proof from {old} to {new}: leads to new root {second.hex()}, want {new_root.hex()}"
        raise ProofMismatch(msg)


def consistency_root(proof: Sequence[bytes], *, old: int, new: int, old_root: bytes) -> bytes:
    """The root of the tree of `new` leaves that begins with the one under `old_root`, as the proof has it.

    For whoever has a signature over it. Raises `ProofMismatch`.
    """
    first, second = _consistency_roots(proof, old, new, old_root)
    if first != old_root:
        msg = f"consistency proof from {old} to {new}: leads to old root {first.hex()}, want {old_root.hex()}"
        raise ProofMismatch(msg)
    return second


def beginning_root(proof: Sequence[bytes], *, old: int, new: int, new_root: bytes) -> bytes:
    """The root of the first `old` leaves of the tree under `new_root`, as the proof has it.

    Raises `ProofMismatch`, also for an `old` that is a power of two: a proof from there leaves that root out.
    """
    if not old & (old - 1):
        msg = f"consistency proof from {old} to {new}: does not hold the root of {old} leaves"
        raise ProofMismatch(msg)
    first, second = _consistency_roots(proof, old, new, bytes(HASH_SIZE))
    if second != new_root:
        msg = f"consistency proof from {old} to {new}: leads to new root {second.hex()}, want {new_root.hex()}"
        raise ProofMismatch(msg)
    return first


def _consistency_roots(proof: Sequence[bytes], old: int, new: int, old_root: bytes) -> tuple[bytes, bytes]:
    """The roots of both trees; `old_root` is where the proof begins for an `old` that is a power of two."""
    _check_order("new size", new, 1, None)
    _check_order("old size", old, 1, new)
    _check_hashes(proof, old_root)
    where = f"consistency proof from {old} to {new}"
    if old == new:
        if proof:
            msg = f"{where}: {len(proof)} hashes, want none for equal sizes"
            raise ProofMismatch(msg)
        return old_root, old_root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        msg = f"{where}: no hashes"
        raise ProofMismatch(msg)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if sn == 0:
            msg = f"{where}: {len(proof)} hashes, too many"
            raise ProofMismatch(msg)
        if fn & 1 or fn == sn:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            second = node_hash(second, sibling)
        fn >>= 1
        sn >>= 1
    if sn:
        msg = f"{where}: {len(proof)} hashes, too few"
        raise ProofMismatch(msg)
    return first, second


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (RFC 9162 §2.1.1); `size > 1`."""
    return 1 << ((size - 1).bit_length() - 1)


def fold(nodes: Sequence[bytes]) -> bytes:
    """Root over complete subtrees of falling size, left to right."""
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root


def _build(groups: list[list[Node]], read: ReadNodes) -> tuple[bytes, ...]:
    hashes = iter(read([node for group in groups for node in group]))
    return tuple(fold([next(hashes) for _ in group]) for group in groups)


def _check_order(name: str, value: int, low: int, high: int | None) -> None:
    if type(value) is not int or value < low or value >= 1 << 64 or (high is not None and value > high):
        upper = "2^64 - 1" if high is None else str(high)
        msg = f"{name} {value!r}: want a whole number from {low} to {upper}"
        raise ProofMismatch(msg)


def _check_hashes(proof: Sequence[bytes], *others: bytes) -> None:
    if len(proof) > MAX_PROOF:
        msg = f"proof: {len(proof)} hashes, want at most {MAX_PROOF}"
        raise ProofMismatch(msg)
    for hash_ in (*proof, *others):
        if len(hash_) != HASH_SIZE:
            msg = f"hash in proof: {len(hash_)} bytes, want {HASH_SIZE}"
            raise ProofMismatch(msg)
