"""A work, what it was made from and what was made from it, as nodes and edges of a picture."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import orjson

from provenance.index import Entry, Index
from provenance.verdict import Credit, Edge, Node, Terms

__all__ = ["Lineage", "Source", "lineage"]

_MOST_NODES = 2_000
_WORKS = ("work.create", "work.derive")
_ADDRESS = re.compile(r"[0-9a-f]{64}", re.ASCII)
Step = Callable[[Entry], Iterator[Entry]]


class Source(Protocol):
    """Where events are read from: a market's own ledger, or the history of a published log."""

    @property
    def index(self) -> Index:
        """Queries over the entries."""

    @property
    def market(self) -> str:
        """Id of the party that keeps the market, which may speak for every work in it; "" when there is none."""

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
        self._edges: dict[Edge, None] = {}  # in their order
        self.terms: list[Terms] = []

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The works, the one asked for first."""
        return tuple(self._nodes.values())

    @property
    def edges(self) -> tuple[Edge, ...]:
        """All that lie between two of `nodes`."""
        return tuple(self._edges)

    def node(self, entry: Entry) -> Node:
        """The work that this entry made."""
        value = self._event(entry)
        body = _object(value.get("body"))
        digest = self._source.index.digest_of(entry.idx)
        offers = self.offers(entry)
        return Node(
            id=entry.event_id.hex(),
            title=self._personal(value, "title"),
            index=entry.idx,
            type=entry.type,
            media_type=_text(body.get("media_type")),
            source_type=_text(body.get("source_type")),
            digest=digest.hex() if digest else "",
            creators=self._credits(entry),
            strength=entry.strength,
            license=offers[0].license if offers else "",
            claimed_at=entry.claimed_at,
            logged_at=self._source.index.time_of(entry.idx),
            status=self._source.status_at(entry.idx),
        )

    def said_of(self, work: Entry, type_: str) -> Iterator[tuple[Entry, bool]]:
        """Events of this type about a work in the order of the log, each with whether its actor may speak for it.

        Those may who registered the work, its creators, and the market. Anybody can log an event about any work: what
        a stranger says of it is no more than that.
        """
        index = self._source.index
        own = {_text(self._event(work).get("actor")), self._source.market} - {""}
        own |= {link.event_id.hex() for link in index.links_from(work.idx) if link.role == "creator"}
        for link in index.links_to(work.event_id, "work"):
            said = index.entry(link.source)
            if said is not None and said.type == type_:
                yield said, _text(self._event(said).get("actor")) in own

    def offers(self, work: Entry) -> list[Terms]:
        """The offers of a work by those who may make them, in the order of the log."""
        index = self._source.index
        found = []
        for offer, own in self.said_of(work, "offer.attach"):
            for ref in index.links_from(offer.idx) if own else ():
                terms = index.find(ref.event_id) if ref.role == "terms" else None
                if terms is not None:
                    license_ = _text(_object(self._event(terms).get("body")).get("license"))
                    price = _money(_object(_object(self._event(offer).get("body")).get("price")))
                    found.append(Terms(work.event_id.hex(), license_, offer.event_id.hex(), price))
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

    def _walk(self, entry: Entry, step: Step) -> None:
        todo, seen = [entry], {entry.idx}
        for current in todo:
            for other in step(current):
                if len(self._nodes) >= _MOST_NODES:
                    return
                self._add(other)
                if other.idx not in seen:
                    seen.add(other.idx)
                    todo.append(other)

    def _connect(self, node: Node) -> None:
        """Draw the edges to those parents that are in the picture, for whatever reason."""
        if node.index is None:
            return
        for link in self._source.index.links_from(node.index):
            parent = link.outside or link.event_id.hex()
            if link.role == "parent" and parent in self._nodes:
                self._edges.setdefault(Edge(node.id, parent, link.detail))

    def _parents(self, entry: Entry) -> Iterator[Entry]:
        for link in self._source.index.links_from(entry.idx):
            if link.role != "parent":
                continue
            parent = self._source.index.find(link.event_id) if link.event_id else None
            if parent is not None and parent.type in _WORKS:
                yield parent
            elif link.outside:
                self._nodes.setdefault(link.outside, _outside(link.outside))

    def _children(self, entry: Entry) -> Iterator[Entry]:
        for link in self._source.index.links_to(entry.event_id, "parent"):
            child = self._source.index.entry(link.source)
            if child is not None and child.type in _WORKS:
                yield child

    def _add(self, entry: Entry) -> None:
        work = entry.event_id.hex()
        if work not in self._nodes:
            self._nodes[work] = self.node(entry)
            self.terms += self.offers(entry)

    def _credits(self, entry: Entry) -> tuple[Credit, ...]:
        found = []
        for link in self._source.index.links_from(entry.idx):
            if link.role != "creator" or not link.event_id:
                continue
            party = self._source.index.find(link.event_id)
            registered = self._event(party) if party else {}
            strength = party.strength if party else ""
            name = self._personal(registered, "name")
            found.append(Credit(link.event_id.hex(), name, link.detail or "creator", strength))
        return tuple(found)

    def _personal(self, value: dict[str, Any], field: str) -> str | None:
        address = _text(_object(value.get("commits")).get(field))
        return self._source.value_of(bytes.fromhex(address)) if _ADDRESS.fullmatch(address) else None

    def _event(self, entry: Entry) -> dict[str, Any]:
        """The event as an object, empty when it is not readable or none. Whoever signed may have written anything."""
        data = self._source.event_at(entry.idx)
        try:
            return _object(orjson.loads(data)) if data else {}
        except orjson.JSONDecodeError:
            return {}


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


def _money(price: dict[str, Any]) -> str:
    return f"{price.get('amount')} {price.get('currency')} (minor units)" if price else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
