"""Who owns which share of a work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator

from provenance.errors import Reason
from provenance.events.envelope import (
    ONE,
    OPTIONAL,
    SOME,
    Event,
    EventRef,
    Model,
    Nothing,
    OnlyRef,
    Roles,
    Rules,
    repeated,
)
from provenance.events.fields import Hex, Units

__all__ = ["WHOLE", "HolderRef", "SplitDeclare", "SplitTransfer"]

WHOLE = 100_000_000
"""Units of a whole work."""


class HolderRef(Model):
    """A party that has `units` of a work, of 100,000,000."""

    role: Literal["holder"]
    id: Hex
    units: Units


class SplitDeclare(Event):
    """Who has which share of a work; the order is signed. It counts once all who gain or lose have assented.

    It is void when by then a later one counts, or somebody who was not asked has a share. Sealed by default. The units
    of all holders are 100,000,000; `prev` is the split or transfer before. Maps to royalty tokens of Story, shares of
    CWR. For example::

        {"body": {},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"},
                  {"role": "holder", "units": "75000000",
                   "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"},
                  {"role": "holder", "units": "25000000",
                   "id": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6"}]}
    """

    signed_by = "an owner of the work, or the market; everybody else who gains or loses by assent"
    roles: ClassVar[Roles] = {"work": ONE, "holder": SOME, "prev": OPTIONAL}
    rules: ClassVar[Rules] = {"sum": "the units of all holders are 100,000,000"}

    type: Literal["split.declare"]
    actor: Hex
    body: Nothing
    refs: tuple[
        Annotated[EventRef[Literal["work"]] | HolderRef | EventRef[Literal["prev"]], Discriminator("role")],
        ...,
    ]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        total = sum(int(ref.units) for ref in self.refs if isinstance(ref, HolderRef))
        if total != WHOLE:
            yield self._broken("sum", f"refs: units of {total} in all, want {WHOLE}")


class _Transfer(Model):
    units: Units


class SplitTransfer(Event):
    """Units of a work pass from one party to another, of 100,000,000. Sealed by default.

    It counts once both have assented, and is void when the giver has not enough by then. Money that came in before
    stays with who had them. `prev` is the split or transfer before. For example::

        {"body": {"units": "5000000"},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"},
                  {"role": "from", "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"},
                  {"role": "to", "id": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6"},
                  {"role": "prev", "id": "870e528f41f6b4ef687fafb620844fe9e17ac6e1d804693f9de23216c4b93ddb"}]}
    """

    signed_by = "the giver, or the market; giver and taker by assent where they did not sign"
    roles: ClassVar[Roles] = {"work": ONE, "from": ONE, "to": ONE, "prev": ONE}
    rules: ClassVar[Rules] = {"to": "giver and taker are two parties"}

    type: Literal["split.transfer"]
    actor: Hex
    body: _Transfer
    refs: tuple[
        Annotated[
            EventRef[Literal["work"]] | EventRef[Literal["from"]] | EventRef[Literal["to"]] | EventRef[Literal["prev"]],
            Discriminator("role"),
        ],
        ...,
    ]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        if repeated(ref.id for ref in self.refs if ref.role in {"from", "to"}):
            yield self._broken("to", "refs: from and to are the same party")
