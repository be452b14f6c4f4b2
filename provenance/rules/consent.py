"""Which consent may follow which, and who says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provenance.before import Act, Before
from provenance.consent import illegal_steps
from provenance.errors import Reason

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _step(act: Act, before: Before) -> Iterator[Reason]:
    """`consent.step`: for each purpose the new state may follow the one before it."""
    for purpose, state, events in illegal_steps(act.event, before):
        text = f"{purpose}: {act.body['state']} cannot follow {state or 'nothing'}"
        yield Reason("consent.step", text, (act.id, *events))


def _sides(act: Act, before: Before) -> Iterator[Reason]:
    """`consent.actor`: the subject, the controller or the market says it; only the person withdraws, others revoke."""
    subject, controller = act.ref("subject"), act.ref("controller")
    if act.actor not in {subject, controller, before.market}:
        text = f"{act.actor.hex()} is neither the subject nor the controller, nor the market that saw it"
        yield Reason("consent.actor", text, (act.id,))
    state = act.body["state"]
    if state == "ConsentWithdrawn" and act.actor != subject:
        yield Reason("consent.actor", "only the person withdraws; what another party ends is revoked", (act.id,))
    if state == "ConsentRevoked" and act.actor == subject:
        yield Reason("consent.actor", "the person does not revoke its own consent, but withdraws it", (act.id,))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType({"consent.record": (_sides, _step)})
