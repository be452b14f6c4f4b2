"""Which acts need whose word, and where each stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from provenance.assent import Agreement, Group, judge, refs_of
from provenance.before import Before
from provenance.offers import offers_of
from provenance.shares import division_of, majorities, owners_of, split_groups

__all__ = ["agreement", "groups_of", "needs_assent"]


def groups_of(event: Mapping[str, Any], before: Before) -> list[Group]:
    """Whose word an event needs besides its own signer's; empty for what one party can say alone.

    `before` is everything before the event: owners and terms are those of then.
    """
    asks = _NEEDS.get(event["type"])
    return [] if asks is None else [group for group in asks(event, before) if group.weights]


def agreement(event_id: bytes, before: Before) -> Agreement | None:
    """Where an act stands at the place of `before`; None for an event that is not in the log, or cannot be read."""
    entry = before.index.find(event_id)
    event = before.event(event_id)
    if entry is None or event is None:
        return None
    then = before.at(entry.idx)
    found = judge(event_id, event, groups_of(event, then), before)
    if found.state == "effective" and entry.type in {"split.declare", "split.transfer"}:
        for work in refs_of(event, "work"):
            reason = division_of(work, before).void.get(event_id)
            if reason is not None:
                return found._replace(state="void", reason=reason)
    return found


def needs_assent() -> tuple[str, ...]:
    """The types of event that may need the word of others."""
    return tuple(_NEEDS)


# Whose word each type needs

Needs = Callable[[Mapping[str, Any], Before], Iterator[Group]]


def _creators(event: Mapping[str, Any], _: Before) -> Iterator[Group]:
    yield Group.everybody("every creator named", refs_of(event, "creator"))


def _derived(event: Mapping[str, Any], before: Before) -> Iterator[Group]:
    """The owners of each parent whose terms ask for approval, and the creators named."""
    yield from _creators(event, before)
    for parent in refs_of(event, "parent"):
        offers = offers_of(parent, before)
        if any((offer.machine.get("derivatives") or {}).get("approval") for offer in offers):
            yield Group.everybody(f"the owners of parent {parent.hex()}", owners_of(parent, before))


def _split(event: Mapping[str, Any], before: Before) -> Iterator[Group]:
    for work in refs_of(event, "work"):
        yield from split_groups(event, owners_of(work, before))


def _received(event: Mapping[str, Any], _: Before) -> Iterator[Group]:
    yield Group.everybody("the one who gets it", refs_of(event, "to"))


def _linked(event: Mapping[str, Any], _: Before) -> Iterator[Group]:
    yield Group.everybody("the other side", refs_of(event, "other"))


def _mandated(event: Mapping[str, Any], _: Before) -> Iterator[Group]:
    yield Group.everybody("the agent", refs_of(event, "agent"))


def _placed(event: Mapping[str, Any], before: Before) -> Iterator[Group]:
    yield from majorities(event, before)
    yield Group.everybody("the market that is to show it", refs_of(event, "market"))


_NEEDS: Mapping[str, Needs] = MappingProxyType(
    {
        "grant.transfer": _received,
        "mandate.grant": _mandated,
        "offer.attach": majorities,
        "party.link": _linked,
        "split.declare": _split,
        "split.transfer": _split,
        "syndicate.place": _placed,
        "work.create": _creators,
        "work.derive": _derived,
        "model.register": _creators,
    }
)
