"""Who owns a work, in which shares, as its splits say.

A split or transfer counts from when everybody whose word it needs has agreed, in the order in which that was so: what
was settled by then is not changed by what was declared earlier and agreed to later. Each is looked at again at that
place: a transfer whose giver has not enough any more, or a split that others have overtaken, is *void*, and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Any, NamedTuple

from provenance.assent import Group, judge, refs_of
from provenance.before import Before

__all__ = ["WHOLE", "Division", "division_of", "majorities", "owners_of", "shares_of", "speaks_for", "split_groups"]

WHOLE = 100_000_000
"""Units of a whole work: a share is so many of them."""


def owners_of(work: bytes, before: Before) -> tuple[bytes, ...]:
    """Parties that own a work: those of its split, else its creators, else whoever registered it; () when unread."""
    shares = shares_of(work, before)
    if shares:
        return tuple(shares)
    return _first_owners(before.event(work))


class Division(NamedTuple):
    """Units by party, in the order of the split; and why what everybody agreed to is `void`, by event id."""

    shares: dict[bytes, int]
    void: dict[bytes, str]


class _Agreed(NamedTuple):
    """A split or transfer and the entries by which it was agreed to and declared; who was asked."""

    at: int
    declared: int
    event_id: bytes
    event: Mapping[str, Any]
    asked: frozenset[bytes]


def shares_of(work: bytes, before: Before) -> dict[bytes, int]:
    """Units by party, in the order of the split, summing up to `WHOLE`; empty while no split is effective."""
    return division_of(work, before).shares


def division_of(work: bytes, before: Before) -> Division:
    """How a work is owned, and what of its splits and transfers is void although everybody agreed to it."""
    found = Division({}, {})
    newest = -1  # where the last that counts was declared
    owners = _first_owners(before.event(work))
    agreed: list[_Agreed] = []

    def settle(until: int | None) -> None:
        nonlocal newest
        while agreed and (until is None or agreed[0].at < until):
            each = heappop(agreed)
            why = _objection(each, found.shares or dict.fromkeys(owners, 0), newest)
            if why:
                found.void[each.event_id] = why
                continue
            shares = _after(each.event, found.shares)
            found.shares.clear()
            found.shares.update(shares)
            newest = max(newest, each.declared)

    for event_id in before.pointing(work, "work", "split.declare", "split.transfer"):
        event, entry = before.event(event_id), before.index.find(event_id)
        if event is None or entry is None:
            continue
        settle(entry.idx)
        groups = split_groups(event, found.shares or owners)
        said = judge(event_id, event, groups, before)
        last = before.index.find(bytes.fromhex(said.events[-1]))
        if said.state == "effective" and last is not None:
            asked = frozenset(party for group in groups for party in group.weights)
            heappush(agreed, _Agreed(last.idx, entry.idx, event_id, event, asked))
    settle(None)
    return found


def _objection(each: _Agreed, shares: Mapping[bytes, int], newest: int) -> str:
    """Why what everybody agreed to changes nothing by then; "" when it counts."""
    if each.event["type"] == "split.transfer":
        giver, units = next(refs_of(each.event, "from")), int(each.event["body"]["units"])
        left = shares.get(giver, 0)
        return f"{giver.hex()} had {left} units left, and would give {units}" if left < units else ""
    if newest > each.declared:
        return f"what was declared later, at #{newest}, was agreed to before it"
    unasked = [party.hex() for party in shares if party not in each.asked]
    return f"{', '.join(unasked)} came to own a part meanwhile, and was not asked" if unasked else ""


def speaks_for(work: bytes, issuer: bytes, actor: bytes, before: Before) -> bool:
    """Whether what `issuer` says in the name of `actor` counts for a work.

    That of the market does, of its creators, of whoever registered it, and of whoever has a share in it.
    """
    if issuer == before.market:
        return True
    event: Mapping[str, Any] = before.event(work) or {"actor": "", "refs": []}
    creators = set(refs_of(event, "creator"))
    return not creators.isdisjoint({issuer, actor}) or event["actor"] == actor.hex() or actor in shares_of(work, before)


def majorities(event: Mapping[str, Any], before: Before) -> Iterator[Group]:
    """More than half of the units of each work of an event that is owned in shares."""
    for work in refs_of(event, "work"):
        shares = shares_of(work, before)
        if len(shares) > 1:
            yield Group(f"more than half of the shares of {work.hex()}", shares, sum(shares.values()) // 2 + 1)


def split_groups(event: Mapping[str, Any], owners: Iterable[bytes]) -> list[Group]:
    """Everybody who gains or loses by a `split.declare` or `split.transfer` of a work that is owned by `owners`."""
    if event["type"] == "split.transfer":
        return [Group.everybody("giver and taker", (*refs_of(event, "from"), *refs_of(event, "to")))]
    return [Group.everybody("everybody who gains or loses", (*owners, *refs_of(event, "holder")))]


def _first_owners(event: Mapping[str, Any] | None) -> tuple[bytes, ...]:
    if event is None:
        return ()
    return tuple(dict.fromkeys(refs_of(event, "creator"))) or (bytes.fromhex(event["actor"]),)


def _after(event: Mapping[str, Any], shares: Mapping[bytes, int]) -> dict[bytes, int]:
    if event["type"] == "split.declare":
        return {bytes.fromhex(ref["id"]): int(ref["units"]) for ref in event["refs"] if ref["role"] == "holder"}
    giver, taker = next(refs_of(event, "from")), next(refs_of(event, "to"))
    units = int(event["body"]["units"])
    moved = {**shares, giver: shares[giver] - units}
    moved[taker] = moved.get(taker, 0) + units
    return {party: left for party, left in moved.items() if left}
