"""One key for many items, of which single ones can be forgotten: a key is the root of a binary tree of keys.

An item's own key is the leaf that the first 48 bits of its address lead to: each step is BLAKE2b (RFC 7693) of one bit,
keyed with what was reached so far. Whoever has a node has every leaf below it and no other. So an item is forgotten by
keeping the siblings along its path in the place of the key: 48 of them for one item, and nothing that leads to it. What
has to be kept grows with what was forgotten, and not with what there is (the tree of Goldreich, Goldwasser and Micali,
"How to construct random functions", 1986).

Of two items under one key the addresses begin with the same 48 bits once in 10^14 times: they are forgotten together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import blake2b, sha256
from typing import NamedTuple

__all__ = ["DEPTH", "Branch", "branches_to"]

DEPTH = 48
"""Bits of an address that lead to a leaf."""

_STEPS = (b"\x00", b"\x01")


class Branch(NamedTuple):
    """A node below the key `root` (its id): the leaves whose first `depth` bits are `prefix`, a number."""

    root: bytes
    depth: int = 0
    prefix: int = 0

    @property
    def id(self) -> bytes:
        """What it is called where keys are kept (32 bytes): its first half is that of the key, the root of all."""
        if not self.depth:
            return self.root
        way = bytes([self.depth]) + self.prefix.to_bytes(DEPTH // 8, "big")
        return self.root[:16] + sha256(self.root + way).digest()[:16]

    def covers(self, address: bytes) -> bool:
        """Whether it leads to the leaf of this address."""
        return _leaf(address) >> (DEPTH - self.depth) == self.prefix

    def key_of(self, address: bytes, secret: bytes) -> bytes:
        """The key (32 bytes) of an item below it, whose secret this is."""
        leaf = _leaf(address)
        for below in range(DEPTH - self.depth - 1, -1, -1):
            secret = _step(secret, leaf >> below & 1)
        return secret

    def without(self, addresses: Collection[bytes], secret: bytes) -> Iterator[tuple[Branch, bytes]]:
        """The branches, with their secrets, that lead to all leaves below it but those of these addresses."""
        if not addresses:
            yield self, secret
        elif self.depth < DEPTH:
            for bit in (0, 1):
                child = Branch(self.root, self.depth + 1, self.prefix << 1 | bit)
                yield from child.without([each for each in addresses if child.covers(each)], _step(secret, bit))


def branches_to(root: bytes, address: bytes) -> list[Branch]:
    """Every branch that an item's key may be found by: the key itself first, at most one of them is kept."""
    leaf = _leaf(address)
    return [Branch(root, depth, leaf >> (DEPTH - depth)) for depth in range(DEPTH + 1)]


def _leaf(address: bytes) -> int:
    return int.from_bytes(address[: DEPTH // 8], "big")


def _step(secret: bytes, bit: int) -> bytes:
    return blake2b(_STEPS[bit], digest_size=32, key=secret, person=b"prov-branch").digest()
