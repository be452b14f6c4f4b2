"""Who owns a work, in which shares, as its splits say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from provenance.assent import Group, judge, refs_of
from provenance.before import Before

__all__ = ["WHOLE", "majorities", "owners_of", "shares_of", "speaks_for", "split_groups"]

WHOLE = 100_000_000
"""Units of a whole work: a share is so many of them."""


def owners_of(work: bytes, before: Before) -> tuple[bytes, ...]:
    """Parties that own a work: those of its split, else its creators, else whoever registered it; () when unread."""
    shares = shares_of(work, before)
    if shares:
        return tuple(shares)
    return _first_owners(before.event(work))


def shares_of(work: bytes, before: Before) -> dict[bytes, int]:
    """Units by party, in the order of the split, summing up to `WHOLE`; empty while no split is effective.

    A split counts from when everybody who gains or loses by it has agreed (`provenance.acts`). A transfer of more than
    its giver has changes nothing.
    """
    shares: dict[bytes, int] = {}
    owners = _first_owners(before.event(work))
    for event_id in before.pointing(work, "work", "split.declare", "split.transfer"):
        event = before.event(event_id)
        if event is None:
            continue
        if judge(event_id, event, split_groups(event, shares or owners), before).state == "effective":
            shares = _after(event, shares)
    return shares


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


def _after(event: Mapping[str, Any], shares: dict[bytes, int]) -> dict[bytes, int]:
    if event["type"] == "split.declare":
        return {bytes.fromhex(ref["id"]): int(ref["units"]) for ref in event["refs"] if ref["role"] == "holder"}
    giver, taker = next(refs_of(event, "from")), next(refs_of(event, "to"))
    units = int(event["body"]["units"])
    if shares.get(giver, 0) < units:
        return shares
    moved = {**shares, giver: shares[giver] - units}
    moved[taker] = moved.get(taker, 0) + units
    return {party: left for party, left in moved.items() if left}
