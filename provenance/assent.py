"""Acts that need more than one signer: one event by the first, and an `assent.answer` by each of the others.

The parties whose word is needed form groups, each with weights and a threshold: *everybody* where all have the same
weight and the threshold is their sum, *more than half of the units* where a work is owned in shares. Whoever signed the
act itself has given its word. An act that lacks a word is pending, everybody can see for which, and it expires in log
time. A custodial party, which has no key, speaks through the one who registered it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from provenance.moments import later

if TYPE_CHECKING:
    from provenance.before import Before

__all__ = ["PATIENCE", "Agreement", "Group", "is_custodial_of", "judge", "refs_of"]

PATIENCE = timedelta(days=30)
"""How long, in log time, an act waits for the words that it lacks."""

State = Literal["effective", "pending", "refused", "expired", "void"]
"""All words are there · some are lacking · so many said no that it can never be · they did not come in time · all words
are there, but by then there was nothing left that could be done."""


class Group(NamedTuple):
    """Parties of which enough have to agree: those whose `weights` (by party id, 32 bytes) come to `threshold`."""

    why: str
    weights: Mapping[bytes, int]
    threshold: int

    @classmethod
    def everybody(cls, why: str, parties: Iterable[bytes]) -> Group:
        """All of them."""
        weights = dict.fromkeys(parties, 1)
        return cls(why, weights, len(weights))


class Agreement(NamedTuple):
    """Where an act stands. Parties and events are ids in 64 hex digits; `until` is log time, "" when it lacks nothing.

    `events` are the act and every answer to it that counted, in log order: what the answer rests on. `reason` says why
    it is void, and is "" for every other state.
    """

    state: State
    yes: tuple[str, ...]
    no: tuple[str, ...]
    missing: tuple[str, ...]
    until: str
    events: tuple[str, ...]
    reason: str = ""


def judge(event_id: bytes, event: Mapping[str, Any], groups: Sequence[Group], before: Before) -> Agreement:
    """Where a logged event stands at the place of `before`, given the `groups` whose word it needs."""
    own = event_id.hex()
    entry = before.index.find(event_id)
    if not groups or entry is None:
        return Agreement("effective", (), (), (), "", (own,))
    then = before.at(entry.idx)
    signer = before.issuer_of(entry.idx)
    actor = own if event["actor"] == "self" else event["actor"]
    said = {bytes.fromhex(actor), signer}
    said |= {party for group in groups for party in group.weights if is_custodial_of(party, signer, then)}
    until = later(before.index.time_of(entry.idx), PATIENCE)
    yes, no, events = dict.fromkeys(said), dict[bytes, None](), [own]
    enough = all(_enough(group, yes) for group in groups)
    for answer_id in before.pointing(event_id, "of", "assent.answer"):
        answer, place = before.event(answer_id), before.index.find(answer_id)
        if answer is None or place is None or enough:
            continue
        if until and before.index.time_of(place.idx) > until:
            break
        party = bytes.fromhex(answer["actor"])
        if not any(party in group.weights for group in groups) or party in yes or party in no:
            continue
        (yes if answer["body"]["answer"] == "yes" else no)[party] = None
        events.append(answer_id.hex())
        enough = all(_enough(group, yes) for group in groups)
    lacking = {party for group in groups if not _enough(group, yes) for party in group.weights} - yes.keys() - no.keys()
    state: State = "effective" if enough else "pending"
    if not enough and any(not _can_be(group, no) for group in groups):
        state = "refused"
    elif not enough and until and before.time > until:
        state = "expired"
    asked = {party for group in groups for party in group.weights}
    return Agreement(
        state,
        tuple(sorted(party.hex() for party in yes.keys() & asked)),
        tuple(sorted(party.hex() for party in no)),
        tuple(sorted(party.hex() for party in lacking)),
        "" if enough else until,
        tuple(events),
    )


def is_custodial_of(party: bytes, custodian: bytes, before: Before) -> bool:
    """Whether `party` has no key of its own and was registered by `custodian`, who therefore speaks for it."""
    event = before.event(party)
    if event is None or event["type"] != "party.register" or event["body"].get("keys"):
        return False
    if event["actor"] != custodian.hex():
        return False
    return next(before.pointing(party, "prev", "party.keys"), None) is None


def refs_of(event: Mapping[str, Any], role: str) -> Iterator[bytes]:
    """Ids of the events of this log that an event points to in this role, in order."""
    for ref in event["refs"]:
        if ref["role"] == role and isinstance(ref["id"], str):
            yield bytes.fromhex(ref["id"])


def _enough(group: Group, yes: Mapping[bytes, None]) -> bool:
    return sum(weight for party, weight in group.weights.items() if party in yes) >= group.threshold


def _can_be(group: Group, no: Mapping[bytes, None]) -> bool:
    return sum(weight for party, weight in group.weights.items() if party not in no) >= group.threshold
