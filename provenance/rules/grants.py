"""Offers, and grants against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.rules.works import may_act

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _fits_offer(act: Act, before: Before) -> Iterator[Reason]:
    """`grant.offer`, `grant.work`, `grant.price`: a grant is for the work of its offer, at its price or more."""
    offer, work = act.ref("offer"), act.ref("work")
    data = None if offer is None else before.data(offer)
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


@lru_cache(maxsize=1024)
def _offered(offer: bytes) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The works that an offer is for, and its price (empty when it is free): the same offer is sold many times."""
    value = orjson.loads(offer)
    return tuple(ref["id"] for ref in value["refs"] if ref["role"] == "work"), value["body"].get("price", {})


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "offer.attach": (may_act,),
        "grant.issue": (may_act, _fits_offer),
    }
)
