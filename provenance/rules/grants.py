"""Offers, grants against them, and what becomes of a grant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from provenance.acts import agreement
from provenance.assent import is_custodial_of, refs_of
from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.rules.works import may_act
from provenance.shares import majorities, speaks_for
from provenance.states import dispute_status, grant_status, status_of

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES", "barriers", "in_force"]


def _fits_offer(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.offer`, `grant.work`, `grant.price`: a grant is for the work of its offer, at its price or more."""
    offer, work = act.ref("offer"), act.ref("work")
    # The event only for whether it can be relied on: what is asked of it is remembered by its bytes.
    data = None if offer is None or before.event(offer, "offer.attach") is None else before.data(offer)
    if offer is None or work is None or data is None:
        yield Reason("grant.offer", "the offer cannot be read here, so that its work and price are unknown", (act.id,))
        return
    offered, asked = _offered(data)
    if offered != (work.hex(),):
        text = f"the grant is for work {work.hex()}, the offer for {', '.join(map(str, offered))}"
        yield Reason("grant.work", text, (act.id, offer.hex()))
    paid: dict[str, Any] = act.body.get("price", {})
    quantity = act.body["quantity"]
    if asked and (
        paid.get("currency") != asked["currency"] or int(paid.get("amount", "0")) < int(asked["amount"]) * quantity
    ):
        got = f"{paid.get('amount', '0')} {paid.get('currency', '')}".strip()
        want = f"at least {int(asked['amount']) * quantity} {asked['currency']}"
        yield Reason("grant.price", f"the price is {got}, want {want} (minor units)", (act.id, offer.hex()))
    expires = act.body.get("expires", "")
    if expires and expires <= before.time:
        yield Reason("grant.expires", f"the grant expires at {expires}, which is past at {before.time}", (act.id,))


def _agreed(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.offer`: an offer of a work that is owned in shares stands once enough of them have agreed."""
    offer = act.ref("offer")
    if offer is None or before.is_settled(offer):
        return
    found = agreement(offer, before)
    if found is None:  # it waits: nobody can have answered it yet
        event = before.event(offer, "offer.attach") or {"refs": (), "actor": ""}
        for group in majorities(event, before):
            said = {p for p in group.weights if p.hex() == event["actor"] or is_custodial_of(p, before.market, before)}
            if sum(group.weights[party] for party in said) < group.threshold:
                text = f"the offer {offer.hex()} is not in the log yet, and lacks the word of {group.why}"
                yield Reason("grant.offer", text, (act.id, offer.hex()))
        return
    if found.state == "effective":
        before.settle(offer)
        return
    text = f"the offer is {found.state}: it lacks the word of {', '.join(found.missing) or 'enough owners'}"
    yield Reason("grant.offer", text, (act.id, *found.events))


def in_force(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.detached`, `grant.status`, `grant.disputed`: nothing was said of the offer or the work that ends selling.

    The offer was not withdrawn, the work is not suspended or gone, and no dispute about it stands as upheld.

    Asked only where one of `barriers` is taken: a sale under a standing offer pays for no look.
    """
    offer, work = act.ref("offer"), act.ref("work")
    detached = None if offer is None else before.holder("offer.detach", offer)
    if offer is not None and detached is not None:
        yield Reason("grant.detached", f"the offer {offer.hex()} was withdrawn", (act.id, detached.hex()))
    status = None if work is None else status_of(work, before)
    if work is not None and status is not None and status.state != "active":
        text = f"the work {work.hex()} is {status.state}: nothing is licensed of it"
        yield Reason("grant.status", text, (act.id, *status.events))
    if work is None:
        return
    for dispute in _disputes(work, before):
        found = dispute_status(dispute, before)
        # One that ended says nothing any more, also where it was erased since; of others unknown is no yes.
        if found.state in {"upheld", "unknown"} and any(_next_of(dispute, before)):
            text = f"a dispute about the work {work.hex()} is {found.state}: nothing is licensed of it"
            yield Reason("grant.disputed", text, (act.id, *found.events))


def barriers(act: Act, before: Before | None = None) -> Iterator[tuple[str, bytes]]:
    """Places (`provenance.once`) that stay free as long as nothing speaks against this grant.

    Without `before` as for a work of which nothing was ever said, else behind what was said of it last.
    """
    if act.type == "grant.issue":
        yield from (("offer.detach", offer) for offer in act.refs("offer"))
        for work in act.refs("work"):
            yield "work.status", (None if before is None else before.newest("work.status", work)) or work
            yield "dispute", (None if before is None else before.newest("dispute", work)) or work
            if before is not None:
                yield from (place for dispute in _disputes(work, before) for place in _next_of(dispute, before))


def _disputes(work: bytes, before: Before) -> Iterator[bytes]:
    """The disputes about a work, earliest first."""
    at = work
    while (after := before.holder("dispute", at)) is not None:
        yield after
        at = after


def _next_of(dispute: bytes, before: Before) -> Iterator[tuple[str, bytes]]:
    """Where the next word about a dispute will stand: its judgment, or an appeal against that. None once it ended."""
    last = before.newest("dispute.appeal", dispute) or dispute
    if all(before.holder("dispute.end", each) is None for each in (dispute, last)):
        yield ("dispute.judge" if before.holder("dispute.judge", last) is None else "dispute.appeal"), last


@lru_cache(maxsize=1024)
def _offered(offer: bytes) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The works that an offer is for, and its price (empty when it is free): the same offer is sold many times."""
    value = orjson.loads(offer)
    return tuple(ref["id"] for ref in value["refs"] if ref["role"] == "work"), value["body"].get("price", {})


def _withdraws_own(act: Act, before: Before) -> Iterator[Reason]:
    """`offer.detach.actor`: whoever may offer the work may withdraw the offer."""
    offer = act.ref("offer")
    event = None if offer is None else before.event(offer, "offer.attach")
    if offer is None or event is None:
        yield Reason("offer.detach.offer", "the offer cannot be read here", (act.id,))
        return
    if act.issuer != before.market and event["actor"] != act.actor.hex():
        text = f"{act.issuer.hex()} did not make the offer {offer.hex()}, and is not the market"
        yield Reason("offer.detach.actor", text, (act.id, offer.hex()))


def _usable(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.holder`, `grant.standing`: only who holds a grant uses it, and only while it stands."""
    grant = act.ref("grant")
    if grant is None:
        return
    found = grant_status(grant, before)
    if found.state != "standing":
        yield Reason("grant.standing", f"the grant {grant.hex()} is {found.state}", (act.id, *found.events))
    if act.actor != before.market and act.actor.hex() != found.holder:
        text = f"{act.actor.hex()} does not hold the grant {grant.hex()}, {found.holder or 'nobody known'} does"
        yield Reason("grant.holder", text, (act.id, *found.events))


def _transferable(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.transferable`: only a grant that says so is passed on. `grant.transfer.pending`: to one at a time."""
    grant = act.ref("grant")
    event = None if grant is None else before.event(grant, "grant.issue")
    if grant is not None and event is not None and not event["body"]["transferable"]:
        text = f"the grant {grant.hex()} is not transferable"
        yield Reason("grant.transferable", text, (act.id, grant.hex()))
    last = None if grant is None else before.newest("grant.holder", grant)
    found = None if last is None else agreement(last, before)
    if last is not None and found is not None and found.state == "pending":
        text = f"the transfer {last.hex()} waits for an answer: until then the grant is not passed on to another"
        yield Reason("grant.transfer.pending", text, (act.id, last.hex()))


def _numbered(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.consume.number`: a grant for three uses is consumed as number 1, 2 and 3."""
    grant = act.ref("grant")
    event = None if grant is None else before.event(grant, "grant.issue")
    if grant is not None and event is not None and act.body["number"] > event["body"]["quantity"]:
        text = f"number {act.body['number']} of a grant for {event['body']['quantity']}"
        yield Reason("grant.consume.number", text, (act.id, grant.hex()))


def _revocable(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.revoke.actor`: the licensor's side or the market revokes. `grant.revoke.terms`: unless terms forbid it."""
    grant = act.ref("grant")
    event = None if grant is None else before.event(grant, "grant.issue")
    if grant is None or event is None:
        return
    work = next(refs_of(event, "work"), b"")
    if event["actor"] != act.actor.hex() and not speaks_for(work, act.issuer, act.actor, before):
        text = f"{act.issuer.hex()} did not issue the grant {grant.hex()}, nor owns its work"
        yield Reason("grant.revoke.actor", text, (act.id, grant.hex()))
    offer = before.event(next(refs_of(event, "offer"), b""), "offer.attach")
    terms_id = b"" if offer is None else next(refs_of(offer, "terms"), b"")
    terms = before.event(terms_id, "terms.publish")
    if terms is not None and terms["body"].get("machine", {}).get("revocable") is False:
        text = f"the terms {terms_id.hex()} say that what was granted stays granted"
        yield Reason("grant.revoke.terms", text, (act.id, terms_id.hex()))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "offer.attach": (may_act,),
        "offer.detach": (_withdraws_own,),
        "grant.issue": (may_act, _fits_offer, _agreed),
        "grant.transfer": (_usable, _transferable),
        "grant.consume": (_usable, _numbered),
        "grant.revoke": (_revocable,),
    }
)
