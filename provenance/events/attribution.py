"""How a work is credited, and who should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator

from provenance.errors import Reason
from provenance.events.envelope import ONE, OPTIONAL, AnyRef, Event, EventRef, Model, OnlyRef, Roles, Rules
from provenance.events.fields import Hex, Natural, Term
from provenance.events.vocabulary import AttributionMode, AttributionWord

__all__ = ["AttributionAnswer", "AttributionClaim", "AttributionSet"]


class _Set(Model):
    mode: AttributionMode


class AttributionSet(Event):
    """How a work is credited from here on: by name, under a pseudonym, not by name, or not at all.

    The text and the link are personal, and every grant that asks for credit asks for these. `prev` is the one before.
    Personal: `credit`, `link`, `ref`. Maps to CC BY 4.0 §3(a), attribution in RSL and PIL. For example::

        {"body": {"mode": "named"},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}],
         "personal": {"credit": "Photo: Ada Example", "link": "https://ada.example/dunes"}}
    """

    signed_by = "a creator or owner of the work, or the market"
    roles: ClassVar[Roles] = {"work": ONE, "prev": OPTIONAL}
    rules: ClassVar[Rules] = {"credit": "`anonymous` and `remove-me` carry no text and no link"}

    type: Literal["attribution.set"]
    actor: Hex
    body: _Set
    refs: tuple[Annotated[EventRef[Literal["work"]] | EventRef[Literal["prev"]], Discriminator("role")], ...]
    commits: dict[Literal["credit", "link", "ref"], Hex]

    def _breaks(self) -> Iterator[Reason]:
        if self.body.mode in {"anonymous", "remove-me"}:
            for name in sorted(self.commits.keys() - {"ref"}):
                yield self._broken("credit", f"commits.{name}: said, but body.mode is {self.body.mode}")


class _Claim(Model):
    method: Term
    evidence: Hex
    distance: Natural | None = None


class AttributionClaim(Event):
    """Somebody says that `child` was made from `claimed`. By itself it moves nothing: the side of the child answers.

    `method` is how it was found (`iscc`, `manifest`), `evidence` the SHA-256 of what shows it, `distance` between both
    in bits. Maps to similarity of ISCC (ISO 24138), claims of TDM·AI. For example::

        {"body": {"distance": 3,
                  "evidence": "9f64a747e1b97f131fabb6b447296c9b6f0201e79fb3c5356e6c77e89b6a806a",
                  "method": "iscc"},
         "refs": [{"role": "child", "id": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
                  {"role": "claimed", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}]}
    """

    roles: ClassVar[Roles] = {"child": ONE, "claimed": ONE}
    rules: ClassVar[Rules] = {"claimed": "a work is not claimed to be made from itself"}

    type: Literal["attribution.claim"]
    actor: Hex
    body: _Claim
    refs: tuple[Annotated[AnyRef[Literal["child"]] | AnyRef[Literal["claimed"]], Discriminator("role")], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        targets = [ref.id for ref in self.refs]
        if len(targets) == 2 and targets[0] == targets[1]:
            yield self._broken("claimed", "refs: child and claimed are the same")


class _Answer(Model):
    answer: AttributionWord


class AttributionAnswer(Event):
    """The answer to a claim, once. Who accepts goes on to `derive.amend`, who disputes to `dispute.open`.

    For example::

    {"body": {"answer": "accept"},
     "refs": [{"role": "claim", "id": "7410ae377be77e11e85835839e0661e9ae8fceca8d1927a91ff7763c01a5647e"}]}
    """

    signed_by = "the side of the child, or the market"
    roles: ClassVar[Roles] = {"claim": ONE}

    type: Literal["attribution.answer"]
    actor: Hex
    body: _Answer
    refs: tuple[EventRef[Literal["claim"]], ...]
    commits: OnlyRef
