"""Who speaks for whom, and how keys, mandates and links change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ledger.errors import MalformedError
from provenance.assent import refs_of
from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.identity import KeyEvent, link_objections, may_speak, registration_of, territories_of, works_of

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES", "speaks"]

_ABOUT = ("offer", "grant", "placement", "mandate")


def speaks(act: Act, before: Before) -> Iterator[Reason]:
    """`mandate.missing`, `.scope`, `.pending`, `.window`, `.revoked`: nobody speaks for others unasked."""
    if not any(link[0] == "actor" for link in act.fact.links):
        return
    works = list(works_of(act.event))
    for target in () if works else (target for role in _ABOUT for target in act.refs(role)):
        works += works_of(before.event(target) or {})  # who detaches an offer acts on its work
    reason = may_speak(act.issuer, act.actor, act.type, works, before, territories=_where(act, before))
    if reason is not None:
        yield Reason(reason.rule, reason.sentence, (act.id, *reason.events))


def _where(act: Act, before: Before) -> tuple[str, ...] | None:
    """Where an act is to hold: as it says itself, or as the terms of what it offers or grants do."""
    said = territories_of(act.event)
    if said is not None or act.issuer == act.actor:
        return said
    offers = [before.event(offer, "offer.attach") for offer in act.refs("offer")]
    terms = [*act.refs("terms"), *(each for offer in offers if offer is not None for each in refs_of(offer, "terms"))]
    return next(filter(None, (territories_of(before.event(each) or {}) for each in terms)), None)


def _changes_keys(act: Act, before: Before) -> Iterator[Reason]:
    """`party.keys.*`, but for who signed it, which is judged with the signature."""
    try:
        said = KeyEvent.read(act.fact.event_id, act.data)
    except MalformedError as error:
        yield Reason("party.keys.keys", str(error), (act.id,))
        return
    party_id = registration_of(said.prev, lambda event_id: _prev(event_id, before))
    party = None if party_id is None else before.party(party_id)
    if party is None:
        text = f"prev {said.prev.hex()} belongs to no party whose keys can be read here"
        yield Reason("party.keys.prev", text, (act.id, said.prev.hex()))
        return
    yield from party.objections(said, issuer=act.issuer, index=before.place, time=before.time)


def _prev(event_id: bytes, before: Before) -> bytes | None:
    event = before.event(event_id)
    if event is None or event["type"] != "party.keys":
        return None
    return next((bytes.fromhex(ref["id"]) for ref in event["refs"] if ref["role"] == "prev"), None)


def _grants(act: Act, _: Before) -> Iterator[Reason]:
    """`mandate.grant.agent`: an agent is somebody else."""
    if act.ref("agent") == act.actor:
        yield Reason("mandate.grant.agent", "the agent is the principal itself, which needs no mandate", (act.id,))


def _revokes(act: Act, before: Before) -> Iterator[Reason]:
    """`mandate.revoke.actor`: a mandate is revoked by its principal, or given up by its agent."""
    mandate = act.ref("mandate")
    event = None if mandate is None else before.event(mandate)
    if mandate is None or event is None:
        return  # G1 says so
    agents = {ref["id"] for ref in event["refs"] if ref["role"] == "agent"}
    if act.actor.hex() not in {event["actor"], *agents}:
        text = f"{act.actor.hex()} is neither principal nor agent of mandate {mandate.hex()}"
        yield Reason("mandate.revoke.actor", text, (act.id, mandate.hex()))


def _links(act: Act, _: Before) -> Iterator[Reason]:
    """`party.link.other`, `party.link.proof`, `party.link.key`."""
    yield from link_objections(act.event, act.id)
    if act.ref("other") == act.actor:
        yield Reason("party.link.other", "the other side is the party itself", (act.id,))


def _unlinks(act: Act, before: Before) -> Iterator[Reason]:
    """`party.unlink.actor`: a link is taken back by one of its two sides."""
    link = act.ref("link")
    event = None if link is None else before.event(link)
    if link is None or event is None:
        return  # G1 says so
    others = {ref["id"] for ref in event["refs"] if ref["role"] == "other" and isinstance(ref["id"], str)}
    if act.actor.hex() not in {event["actor"], *others}:
        text = f"{act.actor.hex()} is neither side of link {link.hex()}"
        yield Reason("party.unlink.actor", text, (act.id, link.hex()))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "mandate.grant": (_grants,),
        "mandate.revoke": (_revokes,),
        "party.keys": (_changes_keys,),
        "party.link": (_links,),
        "party.unlink": (_unlinks,),
    }
)
