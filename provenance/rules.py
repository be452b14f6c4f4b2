"""What must hold between an event and the earlier ones before it is accepted.

What holds inside one event is checked where it is built (`provenance.events`). Every failing rule is returned, each
with its id: none hides another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from provenance.errors import Reason
from provenance.index import Facts, Index

__all__ = ["ROLES", "check_acts", "check_refs", "targets"]

ROLES: Mapping[str, tuple[str, ...]] = {
    "creator": ("party.register",),
    "tool": ("party.register", "work.create", "work.derive"),
    "parent": ("work.create", "work.derive"),
    "work": ("work.create", "work.derive"),
    "terms": ("terms.publish",),
    "offer": ("offer.attach",),
    "licensee": ("party.register",),
}
"""For each role of a ref: the types of event that it may point to."""

_ACTS_ON_WORK = frozenset({"offer.attach", "grant.issue", "work.manifest"})

ReadEvent = Callable[[bytes], bytes | None]
"""Bytes of an earlier or waiting event, None when nobody here can read it."""


def targets(facts: Sequence[Facts]) -> set[bytes]:
    """Ids of the events of this log that these events rest on, their signers included."""
    found = {event_id for fact in facts for _, event_id, _, _ in fact.links if event_id}
    found |= {fact.issuer for fact in facts if fact.issuer != fact.event_id}
    return found - {fact.event_id for fact in facts}


def check_refs(facts: Sequence[Facts], known: Mapping[bytes, str]) -> list[Reason]:
    """Rules G1 and G2: every ref resolves to an earlier event of the right type, and nothing derives from itself.

    `known` gives the type of every earlier event among `targets(facts)`; `facts` may rest on those before them.
    """
    reasons: list[Reason] = []
    types = dict(known)
    for fact in facts:
        own = fact.event_id.hex()
        if fact.issuer != fact.event_id and types.get(fact.issuer) not in {"party.register", "log.genesis"}:
            reasons.append(Reason("G3.actor", f"the actor {fact.issuer.hex()} is no party of this log", (own,)))
        parents: set[tuple[bytes, str]] = set()
        for role, event_id, outside, _ in fact.links:
            if role == "parent":
                if (event_id, outside) in parents:
                    name = event_id.hex() or outside
                    reasons.append(Reason("G2.duplicate-parent", f"the parent {name} stands there twice", (own,)))
                parents.add((event_id, outside))
            if outside:
                continue
            there = types.get(event_id)
            if there is None:
                text = f"the {role} {event_id.hex()} is not in this log; record it first, or name it as external"
                reasons.append(Reason("G1.unknown-ref", text, (own, event_id.hex())))
            elif there not in ROLES.get(role, (there,)):
                text = f"the {role} {event_id.hex()} is a {there}, want {' or '.join(ROLES[role])}"
                reasons.append(Reason("G1.ref-type", text, (own, event_id.hex())))
        types[fact.event_id] = fact.type
    return reasons


def check_acts(
    facts: Sequence[Facts], events: Sequence[bytes], index: Index, read: ReadEvent, *, market: bytes
) -> Iterator[Reason]:
    """Rules that look into earlier events: who may act on a work, cycles by content, grants against their offer."""
    own = {fact.event_id: event for fact, event in zip(facts, events, strict=True)}
    for fact, event in zip(facts, events, strict=True):
        if fact.type in _ACTS_ON_WORK and fact.issuer != market:
            yield from _may_act(fact, lambda event_id: own.get(event_id) or read(event_id))
        if fact.type == "erasure.execute" and fact.issuer != market:
            text = f"{fact.issuer.hex()} is not the market, which alone erases from its vault"
            yield Reason("erasure.actor", text, (fact.event_id.hex(),))
        if fact.type == "work.derive":
            yield from _same_bytes_as_ancestor(fact, index)
        elif fact.type == "grant.issue":
            yield from _grant_fits_offer(fact, event, read)


def _may_act(fact: Facts, read: ReadEvent) -> Iterator[Reason]:
    """Offers, grants and manifests of a work come from the market, its creators, or whoever registered it."""
    for role, work, _, _ in fact.links:
        if role != "work" or not work:
            continue
        data = read(work)
        event: dict[str, Any] = {"actor": "", "refs": []} if data is None else orjson.loads(data)
        creators = {ref["id"] for ref in event["refs"] if ref["role"] == "creator" and isinstance(ref["id"], str)}
        if fact.issuer.hex() not in creators | {event["actor"]}:
            text = f"{fact.issuer.hex()} neither made nor registered the work {work.hex()}, and is not the market"
            yield Reason("work.owner", text, (fact.event_id.hex(), work.hex()))


def _same_bytes_as_ancestor(fact: Facts, index: Index) -> Iterator[Reason]:
    """G2 for bytes: a work that derives from its own bytes would be its own ancestor under another id."""
    content = [digest for digest, kind in fact.digests if kind == "content"]
    twins = {entry.event_id for digest in content for entry, kind in index.by_digest(digest) if kind == "content"}
    if not twins:
        return
    parents = [event_id for role, event_id, _, _ in fact.links if role == "parent" and event_id]
    for twin in sorted(twins & index.ancestors(parents)):
        text = f"the child has the same bytes as its ancestor {twin.hex()}: the derivation would be a cycle"
        yield Reason("G2.cycle", text, (fact.event_id.hex(), twin.hex()))


def _grant_fits_offer(fact: Facts, event: bytes, read: ReadEvent) -> Iterator[Reason]:
    ids = {role: event_id for role, event_id, _, _ in fact.links}
    data = read(ids["offer"]) if "offer" in ids else None
    if data is None:
        text = "the offer cannot be read here, so that its work and price are unknown"
        yield Reason("grant.offer", text, (fact.event_id.hex(),))
        return
    offered, asked = _offered(data)
    if offered != (ids["work"].hex(),):
        text = f"the grant is for work {ids['work'].hex()}, the offer for {', '.join(map(str, offered))}"
        yield Reason("grant.work", text, (fact.event_id.hex(), ids["offer"].hex()))
    body = orjson.loads(event)["body"]
    paid: dict[str, Any] = body.get("price", {})
    quantity = body["quantity"]
    if asked and (
        paid.get("currency") != asked["currency"] or int(paid.get("amount", "0")) < int(asked["amount"]) * quantity
    ):
        got = f"{paid.get('amount', '0')} {paid.get('currency', '')}".strip()
        want = f"at least {int(asked['amount']) * quantity} {asked['currency']}"
        yield Reason(
            "grant.price", f"the price is {got}, want {want} (minor units)", (fact.event_id.hex(), ids["offer"].hex())
        )


@lru_cache(maxsize=1024)
def _offered(offer: bytes) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The works that an offer is for, and its price (empty when it is free): the same offer is sold many times."""
    value = orjson.loads(offer)
    return tuple(ref["id"] for ref in value["refs"] if ref["role"] == "work"), value["body"].get("price", {})
