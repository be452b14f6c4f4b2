"""Parts of a tree: published proofs, and every part of every small tree against the definition."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import ProofMismatch
from ledger.merkle import Tree, leaf_hash, node_hash, range_nodes, subtree_root, tree_root
from ledger.subtree import check_part, part_root, prove_part, verify_in_part, verify_part

# Accepted there because they compare nothing but two equal strings of another length than 32 bytes.
SHORT_ROOTS = {"subtreeconsistency/additional/sizes-are-equal-one-and-proof-is-empty"}

# Accepted there without a look at the tree. A part is not empty (0 <= start < end <= n), or its root says nothing.
EMPTY_PARTS = {
    f"subtreeconsistency/additional/subtree-is-empty-{name}-proof-is-empty"
    for name in (
        "sizes-are-equal-one-subtree-root-valid",
        "sizes-are-equal-one-subtree-root-valid-tree-root-random",
        "sizes-are-equal-zero-subtree-root-valid",
        "sizes-are-equal-zero-subtree-root-valid-tree-root-random",
        "subtree-root-valid",
        "subtree-root-valid-tree-root-random",
    )
}
LEAVES = [leaf_hash(b"%d" % number) for number in range(40)]


def rows(vectors, name):
    return map(json.loads, (vectors / "merkle" / name).read_text("utf-8").splitlines())


def raw(text):
    return base64.b64decode(text)


def read(nodes):
    return [subtree_root(LEAVES[index << level : (index + 1) << level]) for level, index in nodes]


def mth(leaves):
    """RFC 9162 §2.1.1, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def test_published_inclusion(vectors):
    accepted = 0
    for row in rows(vectors, "subtree_inclusion.jsonl"):
        arguments = {
            "index": row["leafIdx"],
            "start": row["start"],
            "end": row["end"],
            "leaf": raw(row["leafHash"]),
            "root": raw(row["root"]),
        }
        proof = [raw(each) for each in row["proof"]]
        if row["wantErr"]:
            with pytest.raises(ProofMismatch):
                verify_in_part(proof, **arguments)
        else:
            verify_in_part(proof, **arguments)
            accepted += 1
    assert accepted == 12


def test_published_consistency(vectors):
    accepted = 0
    refused = SHORT_ROOTS | EMPTY_PARTS
    for row in rows(vectors, "subtree_consistency.jsonl"):
        arguments = {
            "start": row["start"],
            "end": row["end"],
            "size": row["size"],
            "part_root": raw(row["root1"]),
            "root": raw(row["root2"]),
        }
        proof = [raw(each) for each in row["proof"]]
        if row["wantErr"] or row["name"] in refused:
            with pytest.raises(ProofMismatch):
                verify_part(proof, **arguments)
        else:
            verify_part(proof, **arguments)
            accepted += 1
    assert (accepted, len(refused)) == (5, 7)


def parts(size):
    for start in range(size):
        for end in range(start + 1, size + 1):
            if start % (1 << (end - start - 1).bit_length()) == 0:
                yield start, end


def test_every_part_of_every_small_tree():
    for size in range(1, len(LEAVES) + 1):
        root = tree_root(size, read)
        assert root == mth(LEAVES[:size])
        for start, end in parts(size):
            part = part_root(start, end, read)
            assert part == mth(LEAVES[start:end])
            proof = prove_part(start, end, size, read)
            verify_part(proof, start=start, end=end, size=size, part_root=part, root=root)
            for wrong in (proof[:-1], (*proof, bytes(32)), (*proof[1:], *proof[:1]) if len(set(proof)) > 1 else ()):
                if tuple(wrong) != proof:
                    with pytest.raises(ProofMismatch):
                        verify_part(wrong, start=start, end=end, size=size, part_root=part, root=root)
            if (start, end) != (0, size):
                with pytest.raises(ProofMismatch):
                    verify_part(proof, start=start, end=end, size=size, part_root=bytes(32), root=root)


@given(st.integers(0, 70), st.integers(0, 70))
def test_what_is_no_part(start, end):
    good = start < end and start % (1 << max((end - start - 1).bit_length(), 0)) == 0
    if good:
        check_part(start, end)
        nodes = list(range_nodes(start, end))
        assert nodes[0][1] << nodes[0][0] == start
    else:
        with pytest.raises(ProofMismatch):
            check_part(start, end)


def test_a_leaf_of_a_part():
    tree = Tree()
    for leaf in LEAVES[8:13]:
        tree.append(leaf)
    from ledger.merkle import prove_inclusion

    def there(nodes):
        return [subtree_root(LEAVES[8 + (index << level) : 8 + ((index + 1) << level)]) for level, index in nodes]

    proof = prove_inclusion(2, 5, there)
    verify_in_part(proof, index=10, start=8, end=13, leaf=LEAVES[10], root=tree.root())
    for index in (7, 13, 11):
        with pytest.raises(ProofMismatch):
            verify_in_part(proof, index=index, start=8, end=13, leaf=LEAVES[10], root=tree.root())
