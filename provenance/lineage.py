"""A work, what it was made from and what was made from it, as nodes and edges of a picture."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from provenance.index import Entry, Index
from provenance.verdict import Credit, Edge, Node, Terms

__all__ = ["Lineage", "Source", "lineage"]

_MOST_NODES = 2_000
_WORKS = ("work.create", "work.derive")


class Source(Protocol):
    """Where events are read from: a market's own ledger, or the history of a published log."""

    @property
    def index(self) -> Index:
        """Queries over the entries."""

    def event_at(self, idx: int) -> bytes | None:
        """The event of an entry, None when it cannot be read."""

    def status_at(self, idx: int) -> Any:
        """What became of an entry's event, in the words of `verdict.Node.status`."""

    def value_of(self, address: bytes) -> str | None:
        """Text of a vault item, None when it is not readable here."""


class Lineage:
    """The picture of one work: `nodes` with the work itself first, `edges`, and the `terms` it is offered under."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.terms: list[Terms] = []

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The works, the one asked for first."""
        return tuple(self._nodes.values())

    def node(self, entry: Entry) -> Node:
        """The work that this entry made."""
        value = self._event(entry)
        body = value.get("body", {})
        work = entry.event_id.hex()
        offers = self.offers(entry.event_id)
        return Node(
            id=work,
            title=self._personal(value, "title"),
            index=entry.idx,
            type=entry.type,
            media_type=body.get("media_type", ""),
            source_type=body.get("source_type", ""),
            digest=body.get("digests", {}).get("sha-256", ""),
            creators=self._credits(value),
            strength=entry.strength,
            license=offers[0].license if offers else "",
            claimed_at=entry.claimed_at,
            logged_at=self._source.index.time_of(entry.idx),
            status=self._source.status_at(entry.idx),
        )

    def offers(self, work: bytes) -> list[Terms]:
        """The offers of a work in the order of the log."""
        index = self._source.index
        found = []
        for link in index.links_to(work, "work"):
            offer = index.entry(link.source)
            if offer is None or offer.type != "offer.attach":
                continue
            price = self._event(offer).get("body", {}).get("price")
            for ref in index.links_from(offer.idx):
                terms = index.find(ref.event_id) if ref.role == "terms" else None
                if terms is not None:
                    license_ = self._event(terms).get("body", {}).get("license", "")
                    found.append(Terms(work.hex(), license_, offer.event_id.hex(), _money(price)))
        return found

    def add(self, entry: Entry, *, upward: bool = True, downward: bool = True) -> None:
        """Add a work with all its ancestors and descendants, as far as the picture can hold."""
        self._add(entry)
        if upward:
            self._walk(entry, self._parents)
        if downward:
            self._walk(entry, self._children)
        for node in self.nodes:
            self._connect(node)

    def _walk(self, entry: Entry, step: Any) -> None:
        todo, seen = [entry], {entry.idx}
        while todo and len(self._nodes) < _MOST_NODES:
            for other in step(todo.pop(0)):
                self._add(other)
                if other.idx not in seen:
                    seen.add(other.idx)
                    todo.append(other)

    def _connect(self, node: Node) -> None:
        """Draw the edges to parents that are in the picture for another reason."""
        if node.index is None:
            return
        for link in self._source.index.links_from(node.index):
            if link.role == "parent" and link.event_id.hex() in self._nodes:
                self._edge(node.id, link.event_id.hex(), link.detail)

    def _parents(self, entry: Entry) -> list[Entry]:
        found = []
        for link in self._source.index.links_from(entry.idx):
            if link.role != "parent":
                continue
            parent = self._source.index.find(link.event_id) if link.event_id else None
            if parent is not None:
                found.append(parent)
            elif link.outside:
                self._nodes.setdefault(link.outside, _outside(link.outside))
            self._edge(entry.event_id.hex(), link.outside or link.event_id.hex(), link.detail)
        return found

    def _children(self, entry: Entry) -> list[Entry]:
        found = []
        for link in self._source.index.links_to(entry.event_id, "parent"):
            child = self._source.index.entry(link.source)
            if child is not None:
                found.append(child)
                self._edge(child.event_id.hex(), entry.event_id.hex(), link.detail)
        return found

    def _add(self, entry: Entry) -> None:
        work = entry.event_id.hex()
        if work not in self._nodes:
            self._nodes[work] = self.node(entry)
            self.terms += self.offers(entry.event_id)

    def _edge(self, child: str, parent: str, relation: str) -> None:
        edge = Edge(child, parent, relation)
        if edge not in self.edges:
            self.edges.append(edge)

    def _credits(self, value: dict[str, Any]) -> tuple[Credit, ...]:
        found = []
        for ref in value.get("refs", ()):
            if ref["role"] != "creator" or not isinstance(ref["id"], str):
                continue
            party = self._source.index.find(bytes.fromhex(ref["id"]))
            registered = self._event(party) if party else {}
            strength = party.strength if party else ""
            found.append(Credit(ref["id"], self._personal(registered, "name"), ref.get("as", "creator"), strength))
        return tuple(found)

    def _personal(self, value: dict[str, Any], field: str) -> str | None:
        address = value.get("commits", {}).get(field)
        return self._source.value_of(bytes.fromhex(address)) if address else None

    def _event(self, entry: Entry) -> dict[str, Any]:
        data = self._source.event_at(entry.idx)
        value: dict[str, Any] = orjson.loads(data) if data else {}
        return value


def lineage(source: Source, entry: Entry) -> Lineage:
    """The work at `entry` with all its ancestors and descendants. Raises ValueError for an entry that is no work."""
    if entry.type not in _WORKS:
        msg = f"entry #{entry.idx} is a {entry.type}, want a work"
        raise ValueError(msg)
    picture = Lineage(source)
    picture.add(entry)
    return picture


def _outside(name: str) -> Node:
    return Node(name, None, None, "external", "", "", "", (), "", "", "", "", "external")


def _money(price: dict[str, str] | None) -> str:
    return f"{price['amount']} {price['currency']} (minor units)" if price else ""
