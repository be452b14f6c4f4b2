"""What a derived work may be offered under, and grants that a derivation names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.questions.guard import CLEARED, guard_event, parents_of, words_for
from provenance.states import grant_status

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _offers_what_it_may(act: Act, before: Before) -> Iterator[Reason]:
    """`L…`: what derives from others is offered only under terms that theirs allow; every rule that says otherwise.

    Unknown is no yes, unless somebody attests about the work that its rights are cleared: then it is on their word.
    """
    work, terms_id = act.ref("work"), act.ref("terms")
    event = None if work is None else before.event(work)
    terms = None if terms_id is None else before.event(terms_id, "terms.publish")
    if work is None or event is None or terms is None or not parents_of(work, event, before):
        return
    body = terms["body"]
    found = guard_event(work, event, before, license=body["license"], machine=body.get("machine"))
    vouched = found.verdict == "unknown" and bool(words_for(work, before))
    for finding in () if vouched else found.findings:
        if finding.fails:
            text = f"{finding.sentence} (parent {finding.parent or 'all of them'})"
            if finding.verdict == "unknown":
                text += (
                    f": unknown, which is no yes; offer it once that is known, or have {CLEARED} attested of the work"
                )
            yield Reason(finding.rule, text, (act.id, *(each for each in (finding.parent,) if len(each) == 64)))


def _not_erased(act: Act, before: Before) -> Iterator[Reason]:
    """`offer.work`: a work that is erased is not offered anew: what it derives from would no longer count."""
    work = act.ref("work")
    if work is not None and before.event(work) is None and before.erased([work]):
        text = f"the work {work.hex()} is erased: nothing tells what it may be offered under"
        yield Reason("offer.work", text, (act.id, work.hex()))


def _names_its_own_grants(act: Act, before: Before) -> Iterator[Reason]:
    """`derive.grant`: who names a grant for a parent has it, and it stands; without one it is recorded as it is."""
    holders = {act.actor.hex(), *(party.hex() for party in act.refs("creator"))}
    for ref in act.event["refs"]:
        if ref["role"] != "parent" or ref.get("grant") is None:
            continue
        found = grant_status(bytes.fromhex(ref["grant"]), before)
        grant = before.event(bytes.fromhex(ref["grant"]), "grant.issue")
        works = set() if grant is None else {each["id"] for each in grant["refs"] if each["role"] == "work"}
        if found.state not in {"standing", "consumed"}:
            yield Reason("derive.grant", f"the grant {ref['grant']} is {found.state}", (act.id, *found.events))
        elif found.holder not in holders:
            text = f"the grant {ref['grant']} is held by {found.holder}, not by who made the work"
            yield Reason("derive.grant", text, (act.id, *found.events))
        elif ref["id"] not in works:
            text = f"the grant {ref['grant']} is for another work than the parent {ref['id']}"
            yield Reason("derive.grant", text, (act.id, *found.events))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "offer.attach": (
            _not_erased,
            _offers_what_it_may,
        ),
        "work.derive": (_names_its_own_grants,),
    }
)
