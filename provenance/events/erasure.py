"""What is to be forgotten, for good, and what must not be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from provenance.errors import Reason
from provenance.events.envelope import (
    ONE,
    OPTIONAL,
    Actor,
    AnyRef,
    Ending,
    Event,
    EventRef,
    Model,
    OnlyRef,
    RefId,
    Roles,
    Rules,
    repeated,
)
from provenance.events.fields import EventType, Hex, Natural, SignedAmount, Term, Time

__all__ = ["ErasureExecute", "HoldRelease", "HoldSet", "Tombstone"]

_Targets = Annotated[tuple[Hex, ...], Field(min_length=1, max_length=10_000)]


class _Kept(Model):
    """A ref of an event that is gone, word for word."""

    role: Term
    id: RefId
    as_: Annotated[Term | None, Field(alias="as")] = None
    relation: Term | None = None
    grant: Hex | None = None
    exception: Term | None = None
    purpose: Term | None = None
    basis: Term | None = None
    verdict: Term | None = None
    rate: SignedAmount | None = None
    units: SignedAmount | None = None
    amount: SignedAmount | None = None


class Tombstone(Model):
    """What stays of an event whose bytes are erased: what it was, whose, and where it pointed to. No link breaks."""

    event: Hex
    type: EventType
    actor: Actor
    refs: Annotated[tuple[_Kept, ...], Field(max_length=5_000)]


class _Notice(Model):
    to: Term
    count: Natural


class _Erasure(Model):
    targets: _Targets
    method: Term
    basis: Term
    tombstones: Annotated[tuple[Tombstone, ...], Field(max_length=10_000)] | None = None
    notices: Annotated[tuple[_Notice, ...], Field(max_length=1_000)] | None = None


class ErasureExecute(Event):
    """Vault items or whole events are erased: nothing that was stored under these addresses is served from here on.

    `targets` are addresses of vault items or ids of events, 64 hex digits each; each event that is among them has a
    tombstone. `method` says how they are erased (`delete`), `basis` on what ground (`gdpr-17`), `notices` to how many
    recipients of what kind it was passed on. `request` is what asked for it. Never sealed: whoever restores a copy has
    to know. Maps to erasure under articles 17 and 19 of the GDPR. For example::

        {"body": {"basis": "gdpr-17",
                  "method": "delete",
                  "targets": ["77c1f8a2b0d94e5f6a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f"]},
         "actor": "4be0643f1d98573b97cdca98a65347dd3d7f1c1b0d2b3a4c5d6e7f8091a2b3c4", "strength": "observed"}
    """

    signed_by = "the market, whose vault it is"
    roles: ClassVar[Roles] = {"request": OPTIONAL}
    rules: ClassVar[Rules] = {
        "targets": "no address stands there twice",
        "tombstones": "each tombstone is of a target, and of another one",
    }

    type: Literal["erasure.execute"]
    actor: Hex
    body: _Erasure
    refs: tuple[AnyRef[Literal["request"]], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        body = self.body
        if repeated(body.targets):
            yield self._broken("targets", "body.targets: an address stands there twice")
        named = [stone.event for stone in body.tombstones or ()]
        if repeated(named):
            yield self._broken("tombstones", "body.tombstones: an event stands there twice")
        for event in sorted(set(named).difference(body.targets)):
            yield self._broken("tombstones", f"body.tombstones: {event} is none of the targets", event)


class _Hold(Model):
    targets: _Targets
    ground: Term
    until: Time | None = None


class HoldSet(Event):
    """What must not be erased: vault items or events, by address, on a legal `ground`.

    `until` in log time; absent, until it is released. Never sealed. Maps to article 17(3) of the GDPR. For example::

        {"body": {"ground": "tax-records",
                  "targets": ["77c1f8a2b0d94e5f6a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f"],
                  "until": "2036-12-31T23:59:59Z"}}
    """

    signed_by = "the market, whose vault it is"
    rules: ClassVar[Rules] = {
        "targets": "no address stands there twice",
        "until": "`until` is after `claimed_at`",
    }

    type: Literal["hold.set"]
    actor: Hex
    body: _Hold
    refs: tuple[()]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        if repeated(self.body.targets):
            yield self._broken("targets", "body.targets: an address stands there twice")
        if self.body.until is not None and self.body.until <= self.claimed_at:
            yield self._broken("until", f"body.until: {self.body.until}, want one after {self.claimed_at}")


class HoldRelease(Event):
    """A hold ends before its time: what it kept may be erased.

    For example::

    {"body": {"reason": "case-closed"},
     "refs": [{"role": "hold", "id": "af80bff37cdc65acd7719cae07a7ef9aad9b829b201221c6066937d6726ca4ab"}]}
    """

    signed_by = "the market, whose vault it is"
    roles: ClassVar[Roles] = {"hold": ONE}

    type: Literal["hold.release"]
    actor: Hex
    body: Ending
    refs: tuple[EventRef[Literal["hold"]], ...]
    commits: OnlyRef
