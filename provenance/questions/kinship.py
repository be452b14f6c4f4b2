"""Who derives from whom, how far, and what share is owed upward."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from provenance.before import Before
from provenance.index import Kin
from provenance.questions.answer import Answer, answer

__all__ = ["Kinship", "Rate", "ancestors", "descendants", "rates"]


class Kinship(NamedTuple):
    """One relative. `id` is an event id in hex, or "scheme:id" of a work outside of this log (`idx` None).

    `depth` counts the derivations between, along the shortest way; `relation` is that of the last of them, `strength`
    how strongly the relative's own event is said.
    """

    id: str
    depth: int
    relation: str
    idx: int | None
    strength: str
    said_by: str  # event id of the derivation


class Rate(NamedTuple):
    """Share that a work owes to an ancestor, in units of 10^-8 of what it earns: absolute, over all paths."""

    id: str
    units: int


def ancestors(work: bytes, before: Before, *, depth: int | None = None) -> Answer[Kinship]:
    """Everything that a work derives from, nearest first; at most `depth` derivations away."""
    return _relatives(work, before.index.derivations([work]), before, down=False, most=depth)


def descendants(work: bytes, before: Before, *, depth: int | None = None) -> Answer[Kinship]:
    """Everything that derives from a work, nearest first; at most `depth` derivations away."""
    return _relatives(work, before.index.derivations([work], down=True), before, down=True, most=depth)


def rates(work: bytes, before: Before) -> Answer[Rate]:
    """What a work owes to each ancestor when every derivation on the way owes its parent an absolute rate (LAP).

    The rate of an ancestor is the sum over all ways to it of the rate of their last step, so that one who is reached
    twice is owed twice. Ancestors without a rate are left out.
    """
    edges = [edge for edge in before.index.derivations([work]) if edge.parent != work]  # only a forged log has those
    up: dict[bytes, list[Kin]] = defaultdict(list)
    waiting: dict[bytes, int] = defaultdict(int)
    for edge in edges:
        up[edge.child].append(edge)
        waiting[edge.parent] += 1
    ways: dict[bytes, int] = defaultdict(int, {work: 1})
    owed: dict[str, int] = defaultdict(int)
    ready = deque([work])
    while ready:
        child = ready.popleft()
        for edge in up[child]:
            if edge.units:
                owed[edge.outside or edge.parent.hex()] += ways[child] * edge.units
            if edge.parent:
                ways[edge.parent] += ways[child]
                waiting[edge.parent] -= 1
                if not waiting[edge.parent]:
                    ready.append(edge.parent)
    return answer([Rate(name, units) for name, units in owed.items()], _said_by(edges, before).values(), before)


def _relatives(work: bytes, edges: list[Kin], before: Before, *, down: bool, most: int | None) -> Answer[Kinship]:
    by: dict[bytes, list[Kin]] = defaultdict(list)
    for edge in edges:
        by[edge.parent if down else edge.child].append(edge)
    said_by = _said_by(edges, before)
    found: dict[str, tuple[int, Kin]] = {}
    used: list[bytes] = []
    todo = deque([(work, 0)])
    seen = {work}
    while todo:
        at, depth = todo.popleft()
        if most is not None and depth >= most:
            continue
        for edge in by[at]:
            other = edge.child if down else edge.parent
            name = other.hex() if other else edge.outside
            if name not in found and other != work:
                found[name] = (depth + 1, edge)
            used.append(said_by[edge.idx])
            if other and other not in seen:
                seen.add(other)
                todo.append((other, depth + 1))
    places = before.index.entries_of(
        bytes.fromhex(name) for name, (_, edge) in found.items() if not _outside(edge, down)
    )
    rows = []
    for name, (depth, edge) in found.items():
        entry = None if _outside(edge, down) else places.get(bytes.fromhex(name))
        rows.append(
            Kinship(
                id=name,
                depth=depth,
                relation=edge.relation,
                idx=None if entry is None else entry.idx,
                strength="" if entry is None else entry.strength,
                said_by=said_by[edge.idx].hex(),
            )
        )
    return answer(rows, [*used, *(entry.event_id for entry in places.values())], before)


def _outside(edge: Kin, down: bool) -> bool:
    return not down and bool(edge.outside)


def _said_by(edges: Iterable[Kin], before: Before) -> dict[int, bytes]:
    """Event id of each entry that says one of these."""
    return before.index.event_ids(edge.idx for edge in edges)
