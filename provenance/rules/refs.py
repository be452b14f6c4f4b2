"""Where the refs of an event may point to: rules G1 to G3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.index import Facts
from provenance.once import start_of

__all__ = ["PARTIES", "ROLES", "WORKS", "check_refs", "same_chain", "targets"]

PARTIES = ("party.register",)
"""Types whose event is a party."""

WORKS = ("work.create", "work.derive", "model.register", "dataset.snapshot")
"""Types whose event is a work: models and datasets are works too."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "agent": PARTIES,
    "actor": (*PARTIES, "log.genesis"),
    "attestation": ("attest.issue",),
    "base": ("model.register",),
    "child": WORKS,
    "claim": ("attribution.claim",),
    "claimed": WORKS,
    "controller": PARTIES,
    "creator": PARTIES,
    "dispute": ("dispute.open", "dispute.appeal"),
    "from": PARTIES,
    "grant": ("grant.issue",),
    "hold": ("hold.set",),
    "holder": PARTIES,
    "input": WORKS,
    "judgment": ("dispute.judge",),
    "licensee": PARTIES,
    "link": ("party.link",),
    "mandate": ("mandate.grant",),
    "market": PARTIES,
    "model": ("model.register",),
    "offer": ("offer.attach",),
    "other": PARTIES,
    "output": WORKS,
    "parent": WORKS,
    "payee": PARTIES,
    "placement": ("syndicate.place",),
    "revenue": ("revenue.report",),
    "settlement": ("settlement.compute",),
    "terms": ("terms.publish",),
    "to": PARTIES,
    "tool": (*PARTIES, *WORKS),
    "work": WORKS,
}
"""For each role of a ref: the types of event that it may point to. Roles that are not here may point to any."""

_BY_TYPE: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("work.alias", "of"): WORKS,
    ("work.version", "of"): WORKS,
    ("consent.record", "subject"): PARTIES,
    ("vocab.retire", "adoption"): ("vocab.adopt",),
    ("log.keys", "prev"): ("log.genesis", "log.keys"),
    ("party.keys", "prev"): ("party.register", "party.keys"),
    ("split.declare", "prev"): ("split.declare", "split.transfer"),
    ("split.transfer", "prev"): ("split.declare", "split.transfer"),
}
"""Where the type of the event decides, because the role alone does not; `prev` is otherwise of the event's own type."""


def _wanted(type_: str, role: str, there: str) -> tuple[str, ...]:
    by_type = _BY_TYPE.get((type_, role))
    if by_type is not None:
        return by_type
    return (type_,) if role == "prev" else ROLES.get(role, (there,))


def same_chain(act: Act, before: Before) -> Iterator[Reason]:
    """`<type>.prev`: what comes behind another is about the same thing, or the chain of that would end in this one."""
    prev = act.ref("prev")
    event = None if prev is None else before.event(prev)
    if prev is not None and event is not None and start_of(event["type"], event) != start_of(act.type, act.event):
        text = f"prev {prev.hex()} is about something else; name the last one about the same"
        yield Reason(f"{act.type}.prev", text, (act.id, prev.hex()))


def targets(facts: Sequence[Facts]) -> set[bytes]:
    """Ids of the events of this log that these events rest on, their signers included."""
    found = {link[1] for fact in facts for link in fact.links if link[1]}
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
        for role, event_id, outside, *_ in fact.links:
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
            elif there not in (wanted := _wanted(fact.type, role, there)):
                text = f"the {role} {event_id.hex()} is a {there}, want {' or '.join(wanted)}"
                reasons.append(Reason("G1.ref-type", text, (own, event_id.hex())))
        types[fact.event_id] = fact.type
    return reasons
