"""The derivation guard: whether a work may be used as it was derived, and what it owes for that.

It gathers what the log says of every parent at one place – terms, grants, approvals, disputes, states – and has all
rules judge it (`provenance.rights`). It returns every rule that fails, never the first alone. Recording a derivation
needs no verdict of it: it happened. Offering the result to others does, and unknown is no yes: then somebody has to
stand for it, with an attestation `rights-cleared` about the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.acts import agreement
from provenance.assent import refs_of
from provenance.before import Before
from provenance.moments import parse_time
from provenance.offers import Offer, offers_of
from provenance.questions.kinship import rates
from provenance.rights import Child, Finding, Parent, check_derivation
from provenance.shares import owners_of
from provenance.states import dispute_status, grant_status, status_of

__all__ = ["CLEARED", "Guard", "Obligations", "guard", "guard_event", "parents_of", "words_for"]

CLEARED = "rights-cleared"
"""Claim of an attestation that the rights in a work are settled, by whoever attests it."""


@dataclass(frozen=True, slots=True)
class Obligations:
    """What a derived work owes, whoever uses it: union over its parents."""

    credits: tuple[str, ...]  # party ids of the parents' creators, who are to be named
    notices: tuple[str, ...]  # sentences of rules that hold with a notice
    restrictions: tuple[str, ...]  # use restrictions that go on
    alike: tuple[str, ...]  # licenses that ask for the same one
    royalties: tuple[tuple[str, int], ...]  # (ancestor, units of 10^-8), over all paths


@dataclass(frozen=True, slots=True)
class Guard:
    """`verdict` is ok, ok_with_notice, forbidden or unknown; `findings` are all rules that do not come to plain ok.

    `events` are the ids (64 hex digits) of what it rests on.
    """

    verdict: str
    findings: tuple[Finding, ...]
    obligations: Obligations
    events: tuple[str, ...]


def guard(work: bytes, before: Before, *, license: str | None = None) -> Guard | None:  # noqa: A002 - the field's word
    """Judge a logged derivation at the place of `before`; None for a work that derives from nothing, or is not there.

    `license` is the expression that the work is to be under, by default that of its own standing offer.
    """
    event = before.event(work)
    if event is None or not parents_of(work, event, before):
        return None
    own = offers_of(work, before)
    terms = own[0] if own else None
    machine = terms.machine if terms is not None and license is None else None
    return guard_event(work, event, before, license=license or (terms.license if terms else None), machine=machine)


def guard_event(
    work: bytes,
    event: Mapping[str, Any],
    before: Before,
    *,
    license: str | None,  # noqa: A002 - the field's word
    machine: Mapping[str, Any] | None,
) -> Guard:
    """As `guard`, for an event that may not be logged yet, under terms that are proposed for it."""
    refs = parents_of(work, event, before)
    inside = [bytes.fromhex(ref["id"]) for ref in refs if isinstance(ref["id"], str)]
    ancestors = before.index.ancestors(inside) if inside else set()
    said = agreement(work, before)
    approved = None if said is None else said.state == "effective"
    holders = {event["actor"], *(party.hex() for party in refs_of(event, "creator"))}
    events: list[str] = []
    parents = [_parent(ref, holders, approved, before, events) for ref in refs]
    child = Child(license, None, machine or None, len(ancestors))
    now = int(parse_time(before.time).timestamp()) if before.time else 0
    findings = [*check_derivation(child, parents, now=now), *_states(inside, before, events)]
    if work in ancestors:
        findings.append(Finding("G2.cycle", "forbidden", "the work is among its own ancestors"))
    worst = max((finding.verdict for finding in findings), key=_ORDER.index, default="ok")
    return Guard(
        worst, tuple(findings), _obligations(work, parents, inside, findings, before), tuple(dict.fromkeys(events))
    )


def parents_of(work: bytes, event: Mapping[str, Any], before: Before) -> list[Mapping[str, Any]]:
    """The refs to what a work was made from, also to what was found out late (`derive.amend`)."""
    found = [ref for ref in event["refs"] if ref["role"] == "parent"]
    for amended in before.pointing(work, "child", "derive.amend"):
        late = before.event(amended, "derive.amend")
        found += [] if late is None else [ref for ref in late["refs"] if ref["role"] == "parent"]
    return list({str(ref["id"]): ref for ref in reversed(found)}.values())[::-1]


def words_for(work: bytes, before: Before) -> list[bytes]:
    """Attestations that the rights in a work are cleared, which stand: not revoked, and not expired in log time."""
    found = []
    for attestation in before.pointing(work, "subject", "attest.issue"):
        event = before.event(attestation, "attest.issue")
        said = None if event is None else event["body"]
        if said is None or said["claim"] != CLEARED or (before.time and before.time > said["expires"]):
            continue
        if before.holder("attest.revoke", attestation) is None:
            found.append(attestation)
    return found


_ORDER = ("ok", "ok_with_notice", "unknown", "forbidden")


def _parent(
    ref: Mapping[str, Any], holders: set[str], approved: bool | None, before: Before, events: list[str]
) -> Parent:
    if not isinstance(ref["id"], str):
        name = "#".join(map(str, ref["id"].values()))
        return Parent(name, exception=ref.get("exception"))
    work = bytes.fromhex(ref["id"])
    event = before.event(work)
    offers = offers_of(work, before)
    events += [ref["id"], *(offer.id for offer in offers), *(offer.terms for offer in offers)]
    state = None
    if ref.get("grant") is not None:
        found = grant_status(bytes.fromhex(ref["grant"]), before)
        events += found.events
        known = {"standing": "valid", "consumed": "valid"}.get(found.state, found.state)
        state = known if found.holder in holders or known != "valid" else "foreign"
    plain = [offer for offer in offers if not offer.machine]
    weighed = next((offer for offer in offers if offer.machine), None)
    owners = {party.hex() for party in owners_of(work, before)}
    return Parent(
        ref["id"],
        license=_either(plain) if plain else (weighed.license if weighed else None),
        terms=weighed.terms if weighed else None,
        machine=weighed.machine if weighed and not plain else None,
        derived=None if event is None else event["type"] == "work.derive",
        grant=state,
        approved=approved,
        disputed=_is_tagged(work, before, events),
        exception=ref.get("exception"),
        own=bool(owners) and owners <= holders,
    )


def _either(offers: Sequence[Offer]) -> str:
    """A work that is offered under several licenses may be used under any of them."""
    names = list(dict.fromkeys(offer.license for offer in offers))
    return names[0] if len(names) == 1 else " OR ".join(f"({name})" for name in names)


def _is_tagged(work: bytes, before: Before, events: list[str]) -> bool:
    """Whether a dispute about the work, or about one that it rests on, was upheld and is not resolved."""
    for each in before.index.ancestors([work]):
        for dispute in before.pointing(each, "target", "dispute.open"):
            found = dispute_status(dispute, before)
            if found.state == "upheld":
                events += found.events
                return True
    return False


def _states(parents: Sequence[bytes], before: Before, events: list[str]) -> Iterator[Finding]:
    """Nothing new is made of a work that is suspended or gone; nothing is known of one that is not understood."""
    for parent in parents:
        if before.event(parent) is None:
            events.append(parent.hex())
            yield Finding("L0.work", "unknown", "the work cannot be read here, or not by this version", parent.hex())
        status = status_of(parent, before)
        if status.state not in {"active", "unknown"}:
            events += status.events
            yield Finding("L0.status", "forbidden", f"the work is {status.state}", parent.hex())


def _obligations(
    work: bytes, parents: Sequence[Parent], inside: Sequence[bytes], findings: Sequence[Finding], before: Before
) -> Obligations:
    made = [event for event in map(before.event, inside) if event is not None]
    credited = dict.fromkeys(party.hex() for event in made for party in refs_of(event, "creator"))
    restricted = {word for parent in parents for word in (parent.machine or {}).get("use_restrictions") or ()}
    alike = {parent.license for parent in parents if parent.license and "-SA" in parent.license}
    owed = [(rate.id, rate.units) for rate in rates(work, before).rows]
    notices = [finding.sentence for finding in findings if finding.verdict == "ok_with_notice"]
    return Obligations(tuple(credited), tuple(notices), tuple(sorted(restricted)), tuple(sorted(alike)), tuple(owed))
