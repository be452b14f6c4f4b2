"""Words about what others said: answers, disputes, attestations, placements, claims to be credited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provenance.acts import agreement, groups_of
from provenance.assent import refs_of
from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.rules.works import may_act
from provenance.shares import speaks_for
from provenance.states import dispute_status

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _is_asked(act: Act, before: Before) -> Iterator[Reason]:
    """`assent.asked`: only whose word an act lacks can give it. `assent.pending`: and only while it is waited for."""
    of = act.ref("of")
    event = None if of is None else before.event(of)
    if of is None or event is None:
        yield Reason("assent.asked", "what is answered cannot be read here", (act.id,))
        return
    entry = before.index.find(of)
    then = before if entry is None else before.at(entry.idx)
    if not any(act.actor in group.weights for group in groups_of(event, then)):
        text = f"the {event['type']} {of.hex()} does not need the word of {act.actor.hex()}"
        yield Reason("assent.asked", text, (act.id, of.hex()))
        return
    found = agreement(of, before)
    if found is not None and found.state in {"expired", "refused", "void"}:
        text = f"the {event['type']} {of.hex()} is {found.state}: an answer comes too late"
        yield Reason("assent.pending", text, (act.id, *found.events))


def _open(act: Act, before: Before) -> Iterator[Reason]:
    """`dispute.state`: a dispute is judged while it is open, appealed once judged, cancelled before that."""
    dispute = act.ref("dispute")
    if dispute is None:
        return
    found = dispute_status(_first(dispute, before), before)
    wanted = {
        "dispute.judge": {"open"},
        "dispute.cancel": {"open"},
        "dispute.resolve": {"upheld", "dismissed"},
        "dispute.appeal": {"upheld", "dismissed"},
    }[act.type]
    if found.state not in wanted:
        text = f"the dispute is {found.state}, want {' or '.join(sorted(wanted))}"
        yield Reason("dispute.state", text, (act.id, *found.events))


def _first(dispute: bytes, before: Before) -> bytes:
    """The dispute that an appeal belongs to."""
    at = dispute
    while (event := before.event(at)) is not None and event["type"] == "dispute.appeal":
        at = next(refs_of(event, "dispute"))
    return at


def _arbiter(act: Act, before: Before) -> Iterator[Reason]:
    """`dispute.arbiter`: the market judges, or whom it gave a mandate to."""
    if before.market not in {act.actor, act.issuer}:
        text = f"{act.issuer.hex()} is neither the market nor its arbiter"
        yield Reason("dispute.arbiter", text, (act.id,))


def _opener(act: Act, before: Before) -> Iterator[Reason]:
    """`dispute.opener`: who opened a dispute ends it, or the market for a custodial party."""
    dispute = act.ref("dispute")
    event = None if dispute is None else before.event(_first(dispute, before))
    if event is not None and act.issuer != before.market and event["actor"] != act.actor.hex():
        yield Reason("dispute.opener", f"{act.issuer.hex()} did not open this dispute", (act.id,))


def _own(role: str, rule: str) -> Rule:
    """`<rule>`: who said something takes it back."""

    def check(act: Act, before: Before) -> Iterator[Reason]:
        said = act.ref(role)
        event = None if said is None else before.event(said)
        if said is not None and event is not None and event["actor"] != act.actor.hex():
            text = f"the {event['type']} {said.hex()} was said by {event['actor']}, not by {act.actor.hex()}"
            yield Reason(rule, text, (act.id, said.hex()))

    return check


def _answers_for_child(act: Act, before: Before) -> Iterator[Reason]:
    """`attribution.answer.actor`: a claim to be credited is answered by the side of the work it is made on."""
    claim = act.ref("claim")
    event = None if claim is None else before.event(claim, "attribution.claim")
    child = None if event is None else next(refs_of(event, "child"), None)
    if claim is not None and child is not None and not speaks_for(child, act.issuer, act.actor, before):
        text = f"{act.issuer.hex()} does not speak for the work {child.hex()}"
        yield Reason("attribution.answer.actor", text, (act.id, claim.hex()))


def _same_runner(act: Act, before: Before) -> Iterator[Reason]:
    """`generation.run.prev`: a run ends once, as its own runner says."""
    began = act.ref("prev")
    event = None if began is None else before.event(began, "generation.run")
    if began is None or event is None:
        return
    if event["body"]["state"] != "started":
        text = f"the run {began.hex()} is {event['body']['state']}, which is its end"
        yield Reason("generation.run.prev", text, (act.id, began.hex()))
    if event["actor"] != act.actor.hex():
        yield Reason("generation.run.actor", f"the run {began.hex()} is another's", (act.id, began.hex()))


def _grant_covers(act: Act, before: Before) -> Iterator[Reason]:
    """`syndicate.place.grant`: a grant that is named is for this work."""
    grant, work = act.ref("grant"), act.ref("work")
    event = None if grant is None else before.event(grant, "grant.issue")
    if grant is not None and event is not None and work not in set(refs_of(event, "work")):
        yield Reason("syndicate.place.grant", f"the grant {grant.hex()} is for another work", (act.id, grant.hex()))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "assent.answer": (_is_asked,),
        "attest.revoke": (_own("attestation", "attest.revoke.actor"),),
        "attribution.answer": (_answers_for_child,),
        "dispute.appeal": (_open,),
        "dispute.cancel": (_open, _opener),
        "dispute.judge": (_open, _arbiter),
        "dispute.resolve": (_open, _opener),
        "generation.run": (_same_runner,),
        "syndicate.place": (may_act, _grant_covers),
        "syndicate.withdraw": (_own("placement", "syndicate.withdraw.actor"),),
    }
)
