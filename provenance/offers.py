"""Under which terms a work is on offer at some place of the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from provenance.assent import judge, refs_of
from provenance.before import Before
from provenance.shares import majorities, speaks_for

__all__ = ["Offer", "offers_of"]


class Offer(NamedTuple):
    """A standing offer: ids of its events (64 hex digits), and what its terms say."""

    id: str
    terms: str
    license: str
    machine: Mapping[str, Any]
    price: Mapping[str, str] | None
    audience: str


def offers_of(work: bytes, before: Before) -> list[Offer]:
    """The offers of a work that stand: made by somebody who may, agreed to where it is owned in shares, not detached.

    Earliest first; at staging also those that wait, which are not in the log yet. An offer whose terms cannot be read
    is left out: nobody can act on it.
    """
    found: list[Offer] = []
    for offer_id in before.pointing(work, "work", "offer.attach"):
        event, entry = before.event(offer_id, "offer.attach"), before.index.find(offer_id)
        if event is None or entry is None or next(before.pointing(offer_id, "offer", "offer.detach"), None) is not None:
            continue
        then = before.at(entry.idx)
        if not speaks_for(work, before.issuer_of(entry.idx), bytes.fromhex(event["actor"]), then):
            continue
        if judge(offer_id, event, list(majorities(event, then)), before).state == "effective":
            found += _said(offer_id, event, before)
    together = [act.fact.event_id for act in before.accepted(work, "work", "offer.attach")]
    for offer_id in dict.fromkeys((*together, *before.waiting("offer.attach"))):
        event = before.event(offer_id, "offer.attach")
        if event is None or work not in refs_of(event, "work") or before.index.find(offer_id) is not None:
            continue
        # It was let in by the rules; what lacks the word of owners is not agreed to yet.
        if before.holder("offer.detach", offer_id) is None and next(majorities(event, before), None) is None:
            found += _said(offer_id, event, before)
    return found


def _said(offer_id: bytes, event: Mapping[str, Any], before: Before) -> Iterator[Offer]:
    terms_id = next(refs_of(event, "terms"), b"")
    terms = before.event(terms_id, "terms.publish")
    if terms is None:
        return
    body, said = event["body"], terms["body"]
    yield Offer(
        id=offer_id.hex(),
        terms=terms_id.hex(),
        license=str(said["license"]),
        machine=said.get("machine", {}),
        price=body.get("price"),
        audience=str(body.get("audience", "public")),
    )
