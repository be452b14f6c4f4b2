"""Who may act on a work, works that would be their own ancestors, and the states that a work may be in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provenance.assent import refs_of
from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.shares import speaks_for
from provenance.states import dispute_status, status_of

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES", "may_act"]

_OF_THE_HOST = frozenset({"suspended", "takendown"})
"""States that whoever hosts a work puts it into, and alone takes it out of."""


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


def _no_cycle(act: Act, before: Before) -> Iterator[Reason]:
    """`G2.cycle`: a parent that is found out late must not derive from its own child."""
    child = act.ref("child")
    if child is not None and child in before.index.ancestors(act.refs("parent")):
        text = f"the child {child.hex()} is among the ancestors of its parents: the derivation would be a cycle"
        yield Reason("G2.cycle", text, (act.id, child.hex()))


def _amended_by(act: Act, before: Before) -> Iterator[Reason]:
    """`derive.amend.cause`, `derive.amend.actor`: either the child's side found it out, or a judgment about it says so.

    Then the judgment is named, and the market that judged says it, or whom it gave a mandate to.
    """
    if act.body["cause"] != "judged":
        yield from may_act(act, before)
        return
    judgment, child = act.ref("judgment"), act.ref("child")
    if judgment is None or child is None or child not in _upheld_about(judgment, before):
        text = "cause is judged, but no judgment is named that upheld a dispute about the child, or a claim on it"
        yield Reason("derive.amend.cause", text, (act.id, *(() if judgment is None else (judgment.hex(),))))
    if before.market not in {act.actor, act.issuer}:
        text = f"{act.issuer.hex()} is neither the market nor its arbiter"
        yield Reason("derive.amend.actor", text, (act.id,))


def _upheld_about(judgment: bytes, before: Before) -> Iterator[bytes]:
    """What the dispute of a judgment is about, while it stands as upheld."""
    event = before.event(judgment, "dispute.judge")
    while event is not None and event["type"] != "dispute.open":
        dispute = next(refs_of(event, "dispute"), b"")
        event = before.event(dispute, "dispute.open", "dispute.appeal")
    if event is None or dispute_status(dispute, before).state not in {"upheld", "resolved"}:
        return
    for target in refs_of(event, "target"):
        yield target
        yield from refs_of(before.event(target, "attribution.claim") or {"refs": ()}, "child")


def _replaces(act: Act, before: Before) -> Iterator[Reason]:
    """`reservation.declare.prev`: one about the same is replaced. `reservation.declare.actor`: by its own side."""
    prev, work = act.ref("prev"), act.ref("work")
    event = None if prev is None else before.event(prev, "reservation.declare")
    if prev is None or event is None:
        return
    if next(refs_of(event, "work"), None) != work or event["body"].get("selector") != act.body.get("selector"):
        yield Reason("reservation.declare.prev", f"prev {prev.hex()} is about something else", (act.id, prev.hex()))
    owner = act.issuer == before.market or (work is not None and speaks_for(work, act.issuer, act.actor, before))
    if event["actor"] != act.actor.hex() and not owner:
        text = f"the declaration {prev.hex()} is another's; yours stands beside it"
        yield Reason("reservation.declare.actor", text, (act.id, prev.hex()))


def _other_bytes(act: Act, before: Before) -> Iterator[Reason]:
    """`work.version.digest`: a version has bytes of its own."""
    of = act.ref("of")
    own = {digest for digest, kind in act.fact.digests if kind == "content"}
    entry = None if of is None else before.index.find(of)
    if entry is not None and before.index.digest_of(entry.idx) in own:
        text = f"the version has the bytes of the work {entry.event_id.hex()} itself; an alias says that"
        yield Reason("work.version.digest", text, (act.id, entry.event_id.hex()))


def _status(act: Act, before: Before) -> Iterator[Reason]:
    """`work.status.host`: only the host suspends, takes down, and undoes that. `work.status.deleted`: that is final."""
    work = act.ref("work")
    if work is None:
        return
    now, to = status_of(work, before), act.body["state"]
    if act.issuer != before.market and ({now.state, to} & _OF_THE_HOST):
        text = f"from {now.state} to {to}: only the market that hosts the work says so"
        yield Reason("work.status.host", text, (act.id, *now.events))
    if now.state == "deleted" and to != "deleted":
        yield Reason("work.status.deleted", f"the work is deleted, which {to} cannot undo", (act.id, *now.events))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "work.alias": (may_act,),
        "work.version": (may_act, _other_bytes),
        "work.derive": (_same_bytes_as_ancestor,),
        "work.manifest": (may_act,),
        "work.status": (may_act, _status),
        "derive.amend": (_amended_by, _no_cycle),
        "attribution.set": (may_act,),
        "reservation.declare": (_replaces,),
    }
)
