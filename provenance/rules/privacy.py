"""Who may erase and hold, and what can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provenance.before import Act, Before
from provenance.bonds import bonds_of
from provenance.errors import Reason
from provenance.events.vocabulary import ALWAYS_OPEN
from provenance.holds import holds_on

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _by_the_market(act: Act, before: Before) -> Iterator[Reason]:
    """`erasure.actor`: the vault is the market's, which alone erases from it and holds what is in it."""
    if act.issuer != before.market:
        text = f"{act.issuer.hex()} is not the market, which alone erases from its vault and holds what is in it"
        yield Reason("erasure.actor", text, (act.id,))


def _not_held(act: Act, before: Before) -> Iterator[Reason]:
    """`hold.active`: what is under a hold is not erased."""
    for target, hold in holds_on(act.fact.erased, before).items():
        text = f"{target.hex()} is under the hold {hold.hex()}; release that first"
        yield Reason("hold.active", text, (act.id, hold.hex()))


def _not_erased(act: Act, before: Before) -> Iterator[Reason]:
    """`hold.erased`: nothing is left to hold of what is erased."""
    targets = [bytes.fromhex(target) for target in act.body["targets"]]
    gone = before.erased(targets)
    for target in (target for target in targets if target in gone):
        text = f"{target.hex()} is erased, and nothing of it is left to hold; set the hold without it"
        yield Reason("hold.erased", text, (act.id,))


def _not_for_ever(act: Act, before: Before) -> Iterator[Reason]:
    """`erasure.always-open`: what all others stand on is never erased."""
    for event_id, entry in before.entries_of(act.fact.erased).items():
        if entry.type.startswith(ALWAYS_OPEN):
            text = f"{event_id.hex()} is a {entry.type}, which is always open and never erased"
            yield Reason("erasure.always-open", text, (act.id, event_id.hex()))


def _tombstones(act: Act, before: Before) -> Iterator[Reason]:
    """`erasure.tombstone`: an open event leaves type, actor and refs, word for word; a sealed one leaves nothing."""
    stones = {stone["event"]: stone for stone in act.body.get("tombstones", ())}
    entries = before.entries_of(act.fact.erased)
    for event_id, entry in entries.items():
        stone, event = stones.pop(event_id.hex(), None), before.event(event_id)
        if entry.sealed:
            if stone is not None:
                text = f"the sealed {entry.type} {event_id.hex()} has a tombstone, which would publish its refs"
                yield Reason("erasure.tombstone", text, (act.id, event_id.hex()))
        elif event is not None and stone != {"event": event_id.hex()} | {
            k: event[k] for k in ("type", "actor", "refs")
        }:
            text = f"the {entry.type} {event_id.hex()} needs a tombstone with its type, actor and refs, word for word"
            yield Reason("erasure.tombstone", text, (act.id, event_id.hex()))
    for other in stones:
        if before.event(bytes.fromhex(other)) is None:  # else it waits, or is accepted with this
            yield Reason("erasure.tombstone", f"{other} is no event of this log", (act.id, other))


def _revives_nothing(act: Act, before: Before) -> Iterator[Reason]:
    """`erasure.revives`: what limits an earlier event is erased only together with that one, or after it."""
    own = set(act.fact.erased)
    for target, entry in before.entries_of(own).items():
        bonds = bonds_of(entry, before)
        for bond in set(bonds) - own - before.erased(bonds):
            text = f"the {entry.type} {target.hex()} limits {bond.hex()}, which would say more without it; erase both"
            yield Reason("erasure.revives", text, (act.id, target.hex(), bond.hex()))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "erasure.execute": (_by_the_market, _not_held, _not_for_ever, _revives_nothing, _tombstones),
        "hold.set": (_by_the_market, _not_erased),
        "hold.release": (_by_the_market,),
    }
)
