"""What a dataset snapshot holds: a list of members, to whose Merkle root the snapshot commits.

One member is one line of canonical JSON, the list is sorted by digest, without repetition, each line with a newline::

    {"digest":"24426a50…64 hex digits","license":"CC-BY-4.0","verdict":"allow"}

The leaves are the lines without their newline, the tree is that of RFC 6962 §2.1 (RFC 9162 §2.1). So whoever has the
list can show that something is in the snapshot, and, because of the order, by two neighbors that it is not; and whoever
compares the list with reservations compares what the snapshot committed to, no more and no less.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from ledger.errors import MalformedError, NotFound, ProofMismatch
from ledger.merkle import Tree, leaf_hash, prove_inclusion, subtree_root, verify_inclusion
from provenance.canonical import dumps

__all__ = ["MAX_STORED", "Member", "Members", "verify_member"]

MAX_STORED = 4_000
"""Most members that are stored in the vault beside their snapshot; a longer list lies wherever its owner keeps it."""

_VERDICTS = ("allow", "disallow", "constrained", "unknown")
_KEYS = {"digest", "license", "verdict"}
_HEX = frozenset("0123456789abcdef")


class Member(NamedTuple):
    """The SHA-256 of a file (64 hex digits), the license it was taken under ("" when unknown), what was reserved.

    `verdict` is allow, disallow, constrained or unknown: what was found of reservations as the snapshot was made.
    """

    digest: str
    license: str = ""
    verdict: str = "unknown"

    def __bytes__(self) -> bytes:
        return dumps(self._asdict())


class Members:
    """The members of one snapshot, in order. Raises `MalformedError` for one that is none, or stands there twice."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._members = tuple(sorted(map(_checked, members)))
        for one, other in pairwise(self._members):
            if one.digest == other.digest:
                msg = f"members: {one.digest} stands there twice"
                raise MalformedError(msg)

    @classmethod
    def parse(cls, data: bytes) -> Members:
        """Read a list; `bytes(Members.parse(data)) == data`. Raises `MalformedError` at the first bad line, from 1."""
        found = []
        for number, line in enumerate(data.splitlines(), 1):
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                msg = f"members: line {number} is no JSON"
                raise MalformedError(msg) from error
            found.append(_member(value, f"line {number}"))
        members = cls(found)
        if bytes(members) != data:
            msg = "members: want canonical JSON, sorted by digest, each line with a newline"
            raise MalformedError(msg)
        return members

    @classmethod
    def of_item(cls, value: Any) -> Members:
        """Read the value of a vault item `members`. Raises `MalformedError`."""
        if not isinstance(value, list):
            msg = "members: want a list"
            raise MalformedError(msg)
        return cls(_member(each, f"member {number}") for number, each in enumerate(value))

    def __bytes__(self) -> bytes:
        return b"".join(bytes(member) + b"\n" for member in self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Members) and self._members == other._members

    def __hash__(self) -> int:
        return hash(self._members)

    @cached_property
    def digests(self) -> frozenset[str]:
        """SHA-256 of each member, in hex."""
        return frozenset(member.digest for member in self._members)

    @cached_property
    def root(self) -> bytes:
        """The Merkle root, 32 bytes."""
        tree = Tree()
        for leaf in self._leaves:
            tree.append(leaf)
        return tree.root()

    @cached_property
    def _leaves(self) -> list[bytes]:
        return [leaf_hash(bytes(member)) for member in self._members]

    def item(self) -> list[dict[str, str]]:
        """The value of the vault item that keeps them."""
        return [member._asdict() for member in self._members]

    def prove(self, digest: str) -> tuple[int, Member, tuple[bytes, ...]]:
        """Index (from 0), member and inclusion proof of what has this SHA-256. Raises `NotFound`."""
        index = bisect_left(self._members, digest, key=lambda member: member.digest)
        if index == len(self) or self._members[index].digest != digest:
            msg = f"{digest}: no member of this snapshot"
            raise NotFound(msg)

        def read(nodes: Sequence[tuple[int, int]]) -> list[bytes]:
            return [subtree_root(self._leaves[at << level : (at + 1) << level]) for level, at in nodes]

        return index, self._members[index], prove_inclusion(index, len(self), read)

    def check(self, *, size: int, root: bytes) -> None:
        """Raise `ProofMismatch` unless these are the members that a snapshot of this size and root commits to."""
        if len(self) != size or self.root != root:
            msg = f"members: {len(self)} with root {self.root.hex()}, want {size} with root {root.hex()}"
            raise ProofMismatch(msg)


def verify_member(member: Member, proof: Sequence[bytes], *, index: int, size: int, root: bytes) -> None:
    """Raise `ProofMismatch` unless `member` stands at `index` of a snapshot of this size and root."""
    verify_inclusion(proof, index=index, size=size, leaf=leaf_hash(bytes(member)), root=root)


def _member(value: Any, place: str) -> Member:
    if not isinstance(value, dict) or value.keys() != _KEYS or not all(type(each) is str for each in value.values()):
        msg = f"members: {place}: want an object of digest, license and verdict, all text"
        raise MalformedError(msg)
    return Member(**value)


def _checked(member: Member) -> Member:
    if len(member.digest) != 64 or not _HEX.issuperset(member.digest):
        msg = f"members: digest {member.digest[:80]!r}, want 64 hex digits"
        raise MalformedError(msg)
    if member.verdict not in _VERDICTS:
        msg = f"members: verdict {member.verdict[:80]!r}, want {', '.join(_VERDICTS)}"
        raise MalformedError(msg)
    return member
