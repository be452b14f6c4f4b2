"""Who may act on a work, and works that would be their own ancestors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.shares import speaks_for

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES", "may_act"]


def may_act(act: Act, before: Before) -> Iterator[Reason]:
    """`work.owner`: what is said of a work comes from the market, its creators, or whoever registered it."""
    for role in ("work", "of", "child"):
        for work in act.refs(role):
            if not speaks_for(work, act.issuer, act.actor, before):
                text = f"{act.issuer.hex()} neither made nor registered the work {work.hex()}, and is not the market"
                yield Reason("work.owner", text, (act.id, work.hex()))


def _same_bytes_as_ancestor(act: Act, before: Before) -> Iterator[Reason]:
    """`G2.cycle` for bytes: a work that derives from its own bytes would be its own ancestor under another id."""
    index = before.index
    content = [digest for digest, kind in act.fact.digests if kind == "content"]
    twins = {entry.event_id for digest in content for entry, kind in index.by_digest(digest) if kind == "content"}
    if not twins:
        return
    for twin in sorted(twins & index.ancestors(act.refs("parent"))):
        text = f"the child has the same bytes as its ancestor {twin.hex()}: the derivation would be a cycle"
        yield Reason("G2.cycle", text, (act.id, twin.hex()))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "work.derive": (_same_bytes_as_ancestor,),
        "work.manifest": (may_act,),
    }
)
