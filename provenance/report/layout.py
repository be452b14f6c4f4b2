"""A small layered layout: generations as columns, time from left to right, few crossings, short detours.

The usual four steps of drawing layered graphs (Sugiyama, Tagawa, Toda 1981): columns, stand-ins for edges that pass
a column, order by the mean place of the neighbors, and places by least squares that keep the order. All integers
outside, no randomness: the same graph gives the same picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from provenance.report.graph import Graph
from provenance.verdict import Edge

__all__ = ["CARD_HEIGHT", "CARD_WIDTH", "GAP", "Box", "Picture", "Wire", "lay_out", "spread"]

CARD_WIDTH, CARD_HEIGHT, GAP = 184, 118, 108
_MARGIN = 16
_ROW_GAP = 30
_WIRE_HEIGHT = 8
_SWEEPS = 6
_TALL = 820  # pixels; a picture that is taller opens at the file's own work instead of around the middle
_LONGEST = 8  # columns; an edge that passes more is drawn straight instead of being led around the works


@dataclass(frozen=True, slots=True)
class Box:
    """One work (`id`), or a count of works that are not shown (`count`). Pixels; `x`, `y` is the upper left."""

    id: str
    count: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Wire:
    """One edge, as the points it passes from parent to child."""

    edge: Edge
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Where everything goes, in pixels."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


@dataclass(slots=True)
class _Item:
    """Something that takes a place in a column: a work, a count, or a stand-in where an edge passes."""

    column: int
    height: int
    id: str = ""
    count: int = 0
    middle: float = 0.0


def lay_out(graph: Graph) -> Picture:
    """Place every work and edge of the graph; the youngest generation is the rightmost column."""
    levels = [*graph.generation.values(), *graph.hidden]
    if not levels:
        return Picture(2 * _MARGIN, 2 * _MARGIN, (), ())
    oldest, youngest = max(levels), min(levels)
    items = {node.id: _Item(oldest - graph.generation[node.id], CARD_HEIGHT, node.id) for node in graph.nodes}
    routes = [(edge, _route(edge, items, straight=edge in graph.circular)) for edge in graph.edges]
    columns: list[list[_Item]] = [[] for _ in range(oldest - youngest + 1)]
    for item in items.values():
        columns[item.column].append(item)
    for _, route in routes:
        for item in route[1:-1]:
            columns[item.column].append(item)
    links = [(a, b) for _, route in routes for a, b in pairwise(route)]
    _place(columns, links)
    if any(column and column[-1].middle - column[0].middle > _TALL for column in columns):
        _stack(columns, links, items[graph.nodes[0].id])
    for level, count in graph.hidden.items():  # counts stand below the works of their generation
        column = columns[oldest - level]
        below = max((item.middle + item.height / 2 for item in column), default=0.0)
        column.append(_Item(oldest - level, CARD_HEIGHT // 2, "", count, below + _ROW_GAP + CARD_HEIGHT / 4))
    placed = [item for column in columns for item in column]
    top = min(item.middle - item.height / 2 for item in placed)
    bottom = max(item.middle + item.height / 2 for item in placed)

    def x(item: _Item) -> int:
        return _MARGIN + item.column * (CARD_WIDTH + GAP)

    def y(item: _Item) -> int:
        return _MARGIN + round(item.middle - top)

    return Picture(
        width=2 * _MARGIN + len(columns) * (CARD_WIDTH + GAP) - GAP,
        height=2 * _MARGIN + round(bottom - top),
        boxes=tuple(Box(i.id, i.count, x(i), y(i) - i.height // 2) for i in placed if i.id or i.count),
        wires=tuple(Wire(edge, _points([(x(item), y(item)) for item in route])) for edge, route in routes),
    )


def spread(wanted: Sequence[float], heights: Sequence[float], gap: float) -> list[float]:
    """Return middles as near as possible to those `wanted` (least squares), in this order and not overlapping.

    Pool adjacent violators: whatever would overlap moves as one group to the mean of what its members want.
    """
    offsets = [0.0]  # of each middle from the first, when all are as close as can be
    for above, below in pairwise(heights):
        offsets.append(offsets[-1] + (above + below) / 2 + gap)
    groups: list[tuple[float, int]] = []  # sum of wishes, members
    for want, offset in zip(wanted, offsets, strict=False):
        total, members = want - offset, 1
        while groups and groups[-1][0] * members >= total * groups[-1][1]:
            total, members = total + groups[-1][0], members + groups.pop()[1]
        groups.append((total, members))
    bases = [total / members for total, members in groups for _ in range(members)]
    return [base + offset for base, offset in zip(bases, offsets, strict=False)]


def _route(edge: Edge, items: dict[str, _Item], *, straight: bool) -> list[_Item]:
    parent, child = items[edge.parent], items[edge.child]
    passed = range(parent.column + 1, child.column)
    if straight or len(passed) > _LONGEST:
        return [parent, child]
    return [parent, *(_Item(column, _WIRE_HEIGHT) for column in passed), child]


def _place(columns: list[list[_Item]], links: Iterable[tuple[_Item, _Item]]) -> None:
    before: dict[int, list[_Item]] = {}
    after: dict[int, list[_Item]] = {}
    for a, b in links:
        before.setdefault(id(b), []).append(a)
        after.setdefault(id(a), []).append(b)
    for column in columns:
        _settle(column, [0.0] * len(column))
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 1  # begin at the file: its parents gather around it
        side = before if forward else after
        for column in columns if forward else reversed(columns):
            wishes = [_mean(side.get(id(item), ()), item.middle) for item in column]
            order = sorted(range(len(column)), key=wishes.__getitem__)  # stable: ties keep their order
            column[:] = [column[i] for i in order]
            _settle(column, [wishes[i] for i in order])
    for column in columns:  # last, let every work look both ways
        wishes = [_mean([*before.get(id(i), ()), *after.get(id(i), ())], i.middle) for i in column]
        _settle(column, wishes)


def _stack(columns: list[list[_Item]], links: Iterable[tuple[_Item, _Item]], own: _Item) -> None:
    """Begin every column at the top: there the file's own work stands, and beside it what it was made from."""
    after: dict[int, list[_Item]] = {}
    for a, b in links:
        after.setdefault(id(a), []).append(b)
    for column in reversed(columns):
        wishes = {id(item): _mean(after.get(id(item), ()), item.middle) for item in column}
        column.sort(key=lambda item: (item is not own, wishes[id(item)]))
        _settle(column, [0.0] * len(column))
        top = column[0].middle - column[0].height / 2 if column else 0.0
        for item in column:
            item.middle -= top


def _settle(column: list[_Item], wishes: Sequence[float]) -> None:
    for item, middle in zip(column, spread(wishes, [item.height for item in column], _ROW_GAP), strict=True):
        item.middle = middle


def _mean(items: Sequence[_Item], otherwise: float) -> float:
    return sum(item.middle for item in items) / len(items) if items else otherwise


def _points(corners: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return where an edge leaves and enters each column: right side of the parent, across, left of the child."""
    first, *passed, last = corners
    points = [(first[0] + CARD_WIDTH, first[1])]
    for x, y in passed:
        points += [(x, y), (x + CARD_WIDTH, y)]
    return (*points, last)
