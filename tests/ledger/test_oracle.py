"""The definition of RFC 9162 §2.1, written down literally, and two foreign libraries against the fast code."""

from __future__ import annotations

import random
from functools import cache
from hashlib import sha256

import pymerkle
import pytest

from ledger.edge import Edge
from ledger.merkle import (
    EMPTY_ROOT,
    Tree,
    frontier,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    range_nodes,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from ledger.reader import TileReader
from ledger.storage import Row

MOST = 300
ENTRIES = [b"entry %d" % i for i in range(MOST)]
LEAVES = [sha256(b"\0" + entry).digest() for entry in ENTRIES]


def _k(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


@cache
def mth(start: int, stop: int) -> bytes:
    """MTH(D[start:stop])."""
    n = stop - start
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return LEAVES[start]
    k = _k(n)
    return sha256(b"\1" + mth(start, start + k) + mth(start + k, stop)).digest()


def path(m: int, start: int, stop: int) -> tuple[bytes, ...]:
    """PATH(m, D[start:stop])."""
    n = stop - start
    if n == 1:
        return ()
    k = _k(n)
    if m < k:
        return (*path(m, start, start + k), mth(start + k, stop))
    return (*path(m - k, start + k, stop), mth(start, start + k))


def proof(m: int, start: int, stop: int) -> tuple[bytes, ...]:
    """PROOF(m, D[start:stop])."""
    return subproof(m, start, stop, complete=True)


def subproof(m: int, start: int, stop: int, *, complete: bool) -> tuple[bytes, ...]:
    """SUBPROOF(m, D[start:stop], b)."""
    n = stop - start
    if m == n:
        return () if complete else (mth(start, stop),)
    k = _k(n)
    if m <= k:
        return (*subproof(m, start, start + k, complete=complete), mth(start + k, stop))
    return (*subproof(m - k, start + k, stop, complete=False), mth(start, start + k))


def read(nodes):
    return [mth(index << level, (index + 1) << level) for level, index in nodes]


def check_inclusion(index: int, size: int) -> None:
    want = path(index, 0, size)
    assert prove_inclusion(index, size, read) == want
    verify_inclusion(want, index=index, size=size, leaf=LEAVES[index], root=mth(0, size))


def check_consistency(old: int, new: int) -> None:
    want = proof(old, 0, new)
    assert prove_consistency(old, new, read) == want
    verify_consistency(want, old=old, new=new, old_root=mth(0, old), new_root=mth(0, new))


def test_roots_of_all_sizes():
    tree, edge = Tree(), Edge()
    assert tree.root() == edge.root() == mth(0, 0) == EMPTY_ROOT
    for size, entry in enumerate(ENTRIES, 1):
        tree.append(leaf_hash(entry))
        edge.extend([Row(entry, b"")])
        assert tree.root() == edge.root() == tree_root(size, read) == mth(0, size)
        assert frontier(LEAVES[:size]) == read(list(range_nodes(0, size)))


def test_all_proofs_to_64():
    for size in range(1, 65):
        for index in range(size):
            check_inclusion(index, size)
        for old in range(1, size + 1):
            check_consistency(old, size)


def test_proofs_of_all_sizes():
    pick = random.Random(9162)
    for size in range(65, MOST + 1):
        for index in {0, size - 1, _k(size) - 1, _k(size), *pick.sample(range(size), 6)} & set(range(size)):
            check_inclusion(index, size)
        for old in {1, size, size - 1, _k(size), *pick.sample(range(1, size), 6)}:
            check_consistency(old, size)


def test_tiles_against_the_definition():
    """What a reader takes from tiles is what the definition says, for every complete node."""
    for size in (1, 255, 256, 257, MOST):
        edge = Edge()
        puts, _ = edge.extend([Row(entry, b"") for entry in ENTRIES[:size]])
        tiles = dict([*puts, *edge.partial()[0]])
        reader = TileReader(size, mth(0, size), tiles.__getitem__)
        nodes = [(level, i) for level in range(9) for i in range(size >> level)]
        assert reader(nodes) == read(nodes)


def test_batches_cut_anywhere_make_the_same_tiles():
    whole = Edge()
    want = dict(whole.extend([Row(entry, b"") for entry in ENTRIES])[0])
    pick = random.Random(6962)
    for _ in range(20):
        edge, got, at = Edge(), {}, 0
        while at < MOST:
            step = pick.choice((1, 2, 55, 255, 256, 257))
            got.update(edge.extend([Row(entry, b"") for entry in ENTRIES[at : at + step]])[0])
            at += step
        assert got == want
        assert edge.partial() == whole.partial()


def test_merkletools_yields_the_same_roots():
    """Given prefixed hashing: its own tree does not tell leaves from nodes."""
    merkletools = pytest.importorskip("merkletools", reason="the Makefile installs merkletools by a line of its own")

    class Prefixed(merkletools.MerkleTools):
        def __init__(self):
            super().__init__("sha256")
            self.hash_function = lambda data=b"": sha256(b"\1" + data)

    for size in range(1, 70):
        tree = Prefixed()
        for leaf in LEAVES[:size]:
            tree.add_leaf(leaf.hex())
        tree.make_tree()
        assert tree.get_merkle_root() == mth(0, size).hex()


def test_pymerkle_yields_the_same_roots_and_proofs():
    tree = pymerkle.InmemoryTree()
    for entry in ENTRIES[:100]:
        tree.append_entry(entry)
    for size in range(1, 101):
        assert tree.get_root(size) == mth(0, size)
    for size in (1, 2, 3, 31, 32, 33, 100):
        for index in range(size):
            # Their index counts from one, and their path holds the leaf as well, all from left to right.
            theirs = tree.prove_inclusion(index + 1, size)
            assert sorted(theirs.path) == sorted([LEAVES[index], *prove_inclusion(index, size, read)])
