"""What waits to be sequenced, as index and vault will have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from provenance.canonical import address
from provenance.index import Facts, facts_of
from provenance.queue import Staged
from provenance.statement import Headers
from provenance.subjects import Owned

__all__ = ["Pair", "contents_of", "facts_of_staged", "parents_first"]


Pair = tuple[Staged, Facts]
"""An accepted event, and what the index will keep of it."""


def facts_of_staged(event: Staged, *, market: bytes, by: Headers | None = None) -> Facts:
    """What the index will keep of an event that waits, once `market` (party id) has signed those of its own.

    `by` reads the statements of others, where there are many.
    """
    issuer = market.hex() if event.statement is None else (by or Headers()).read(event.statement)[0].issuer
    return facts_of(event_id=event.event_id, type=event.type, issuer=issuer, sealed=event.sealed, event=event.event)


def contents_of(events: Iterable[Staged]) -> Iterator[Owned]:
    """What of accepted events goes into the vault: their items, and the events themselves where they are sealed."""
    for event in events:
        for item in event.items:
            yield Owned(address(item), item, event)
        if event.sealed:
            yield Owned(event.event_id, event.event, event)


def parents_first(waiting: Sequence[Pair]) -> list[Pair]:
    """The same events, each behind those of the same batch that it refers to, otherwise in their order."""
    by_id = {pair[0].event_id: pair for pair in waiting}
    done: dict[bytes, Pair] = {}
    for pair in waiting:
        stack = [pair]
        while stack:
            event, fact = stack[-1]
            named = (fact.issuer, *(link[1] for link in fact.links))
            missing = [by_id[i] for i in named if i in by_id and i not in done and i != event.event_id]
            if missing:
                stack += missing
            else:
                done[event.event_id] = stack.pop()
    return list(done.values())
