"""Who may speak for whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from provenance.errors import Reason
from provenance.events.envelope import (
    ONE,
    Ending,
    Event,
    EventRef,
    Model,
    OnlyRef,
    Roles,
    Rules,
    Times,
    repeated,
)
from provenance.events.fields import Action, Hex, Territory, Time

__all__ = ["MandateGrant", "MandateRevoke"]


class _Mandate(Model):
    actions: Annotated[tuple[Action, ...], Field(min_length=1, max_length=100)]
    territories: Annotated[tuple[Territory, ...], Field(max_length=400)] | None = None
    from_: Annotated[Time | None, Field(alias="from")] = None
    until: Time | None = None


class MandateGrant(Event):
    """The actor, the principal, lets an agent speak for it: collecting societies, galleries, other markets.

    `actions` are types of events (`offer.attach`), families (`offer.*`) or `*`; `work` refs narrow it to acts on these,
    `territories` to placements, and to terms that name a territory, inside of these. It counts once the agent has
    assented, from `from` to `until` in log time, without a limit where one is absent.
    Maps to PROV actedOnBehalfOf. For example::

        {"body": {"actions": ["offer.*", "grant.issue"],
                  "from": "2026-11-23T00:00:00Z",
                  "territories": ["DE", "AT"],
                  "until": "2027-11-23T00:00:00Z"},
         "refs": [{"role": "agent", "id": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6"}],
         "actor": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", "strength": "self"}
    """

    signed_by = "the principal, or its custodian; the agent by assent"
    roles: ClassVar[Roles] = {"agent": ONE, "work": Times(0, 1_000)}
    rules: ClassVar[Rules] = {
        "window": "`from` is before `until`",
        "repeated": "nothing stands twice in a list",
    }

    type: Literal["mandate.grant"]
    actor: Hex
    body: _Mandate
    refs: tuple[Annotated[EventRef[Literal["agent"]] | EventRef[Literal["work"]], Discriminator("role")], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        body = self.body
        if body.from_ is not None and body.until is not None and body.from_ >= body.until:
            yield self._broken("window", f"body.until: {body.until}, want one after {body.from_}")
        for name in ("actions", "territories"):
            if repeated(getattr(body, name) or ()):
                yield self._broken("repeated", f"body.{name}: a value stands there twice")


class MandateRevoke(Event):
    """A mandate ends: what the agent said before stays.

    For example::

    {"body": {"reason": "contract-ended"},
     "refs": [{"role": "mandate", "id": "2d6241f6e9dfb71785ff419e2611bf78ce44da9d758bc80abfa39160d38ea94f"}],
     "actor": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", "strength": "self"}
    """

    signed_by = "the principal, its custodian, or the agent"
    roles: ClassVar[Roles] = {"mandate": ONE}

    type: Literal["mandate.revoke"]
    actor: Hex
    body: Ending
    refs: tuple[EventRef[Literal["mandate"]], ...]
    commits: OnlyRef
