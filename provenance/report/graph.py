"""A lineage as a graph that can be drawn: bounded, acyclic, in generations.

What a verdict brings may be large, doubled, dangling or circular (another log may have been wrong, or lied). Every
walk here is iterative, visits each work and each edge a bounded number of times, and depends on the given order only.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provenance.verdict import Edge, Node, Verdict

__all__ = ["Graph", "Twig", "build_graph", "tree"]

_MOST_EDGES = 600


@dataclass(frozen=True, slots=True)
class Graph:
    """The part of a lineage that is shown, and counts of what is not."""

    nodes: tuple[Node, ...]  # nearest to the file's own work first
    edges: tuple[Edge, ...]  # both ends are among the nodes
    circular: frozenset[Edge]  # those of the edges that close a circle
    generation: Mapping[str, int]  # 0: nothing here was made from it; parents are always above their children
    hidden: Mapping[int, int]  # works left out, by generation
    hidden_edges: int  # edges left out, because an end of theirs is not shown or there are too many


@dataclass(frozen=True, slots=True)
class Twig:
    """One line of an indented tree: a work, and how the line above it was made from it."""

    rails: tuple[bool, ...]  # for each level down to this one: does another work follow on it?
    node: Node
    relation: str  # "" at a root
    again: bool  # its own ancestors are drawn elsewhere


def build_graph(verdict: Verdict, *, max_nodes: int = 200) -> Graph:
    """Choose what to show of a verdict's lineage: the `max_nodes` works nearest to the file's own work.

    Works left out are counted by generation; generations of which nothing is shown are drawn together into one.
    """
    nodes = {node.id: node for node in verdict.nodes}
    edges = [edge for edge in dict.fromkeys(verdict.edges) if edge.child in nodes and edge.parent in nodes]
    circular = _circular(_starts(verdict, nodes, edges), edges)
    generation = _generations(nodes, [edge for edge in edges if edge not in circular])
    order = _nearest(_starts(verdict, nodes, edges), edges)
    shown = set(order[:max_nodes])
    kept = [edge for edge in edges if edge.child in shown and edge.parent in shown and edge.child != edge.parent]
    level = _levels(generation.values(), {generation[id_] for id_ in shown})
    hidden = Counter(level[generation[id_]] for id_ in order[max_nodes:])
    return Graph(
        nodes=tuple(nodes[id_] for id_ in order[:max_nodes]),
        edges=tuple(kept[:_MOST_EDGES]),
        circular=frozenset(kept[:_MOST_EDGES]) & circular,
        generation={id_: level[generation[id_]] for id_ in order[:max_nodes]},
        hidden=dict(sorted(hidden.items())),
        hidden_edges=len(set(verdict.edges)) - len(kept[:_MOST_EDGES]),
    )


def tree(graph: Graph, root: str) -> list[Twig]:
    """Return the graph as lines of a tree, each work above those it was made from; a work met again is a leaf.

    The tree begins with `root`; works that it does not lead to (such as those made from it) follow as further roots.
    """
    nodes = {node.id: node for node in graph.nodes}
    parents = _parents(graph.edges)
    made_from = {edge.parent for edge in graph.edges}
    roots = [root] if root in nodes else []
    roots += [id_ for id_ in nodes if id_ not in made_from and id_ != root]
    roots += [id_ for id_ in nodes if id_ in made_from and id_ != root]  # reached from nowhere: circles only
    twigs: list[Twig] = []
    seen: set[str] = set()
    for start in roots:
        if start in seen:
            continue
        stack: list[tuple[tuple[bool, ...], str, str]] = [((), start, "")]
        while stack:
            rails, id_, relation = stack.pop()
            again = id_ in seen
            twigs.append(Twig(rails, nodes[id_], relation, again))
            if not again:
                seen.add(id_)
                above = parents.get(id_, [])
                stack += [((*rails, i > 0), edge.parent, edge.relation) for i, edge in enumerate(reversed(above))]
    return twigs


def _starts(verdict: Verdict, nodes: Mapping[str, Node], edges: Iterable[Edge]) -> list[str]:
    """Return all works: the file's own first, then those nothing was made from, then the rest."""
    parents = {edge.parent for edge in edges}
    return sorted(nodes, key=lambda id_: (id_ != verdict.work, id_ in parents))


def _circular(starts: list[str], edges: Iterable[Edge]) -> frozenset[Edge]:
    """Return the edges that lead a depth-first walk back to a work it has not left yet."""
    parents = _parents(edges)
    entered: set[str] = set()
    left: set[str] = set()
    back: set[Edge] = set()
    for start in starts:
        if start in entered:
            continue
        entered.add(start)
        stack = [(start, iter(parents.get(start, ())))]
        while stack:
            id_, rest = stack[-1]
            edge = next(rest, None)
            if edge is None:
                left.add(id_)
                stack.pop()
            elif edge.parent not in entered:
                entered.add(edge.parent)
                stack.append((edge.parent, iter(parents.get(edge.parent, ()))))
            elif edge.parent not in left:
                back.add(edge)
    return frozenset(back)


def _generations(nodes: Mapping[str, Node], edges: list[Edge]) -> dict[str, int]:
    """Return for each work the longest way down to a work that nothing was made from; `edges` have no circle."""
    parents = _parents(edges)
    waiting = Counter(edge.parent for edge in edges)
    generation = dict.fromkeys(nodes, 0)
    ready = deque(id_ for id_ in nodes if not waiting[id_])
    while ready:
        id_ = ready.popleft()
        for edge in parents.get(id_, ()):
            generation[edge.parent] = max(generation[edge.parent], generation[id_] + 1)
            waiting[edge.parent] -= 1
            if not waiting[edge.parent]:
                ready.append(edge.parent)
    return generation


def _levels(generations: Iterable[int], shown: set[int]) -> dict[int, int]:
    """Number the generations anew, with one number for each run of those of which nothing is shown."""
    level: dict[int, int] = {}
    number, open_run = -1, False
    for generation in sorted(set(generations)):
        hidden = generation not in shown
        number += not (hidden and open_run)
        level[generation], open_run = number, hidden
    return level


def _nearest(starts: list[str], edges: Iterable[Edge]) -> list[str]:
    """Return all works, breadth first from the first start, in both directions of time."""
    neighbors: dict[str, list[str]] = {}
    for edge in edges:
        neighbors.setdefault(edge.child, []).append(edge.parent)
        neighbors.setdefault(edge.parent, []).append(edge.child)
    order: dict[str, None] = {}
    for start in starts:
        if start in order:
            continue
        order[start] = None
        ready = deque([start])
        while ready:
            for id_ in neighbors.get(ready.popleft(), ()):
                if id_ not in order:
                    order[id_] = None
                    ready.append(id_)
    return list(order)


def _parents(edges: Iterable[Edge]) -> dict[str, list[Edge]]:
    parents: dict[str, list[Edge]] = {}
    for edge in edges:
        parents.setdefault(edge.child, []).append(edge)
    return parents
