"""Works that are shown by other markets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from provenance.errors import Reason
from provenance.events.envelope import (
    ONE,
    OPTIONAL,
    AnyRef,
    Ending,
    Event,
    EventRef,
    Model,
    OnlyRef,
    Roles,
    Rules,
    repeated,
)
from provenance.events.fields import Hex, Territory, Time

__all__ = ["SyndicatePlace", "SyndicateWithdraw"]


class _Place(Model):
    territories: Annotated[tuple[Territory, ...], Field(max_length=400)]
    from_: Annotated[Time | None, Field(alias="from")] = None
    until: Time | None = None


class SyndicatePlace(Event):
    """A work is placed with another market, from `from` to `until` in log time, without a limit where one is absent.

    `territories` are where it may be shown; none listed means everywhere. `terms` and `grant` are under what. For
    example::

        {"body": {"from": "2026-12-01T00:00:00Z", "territories": ["FR", "BE"], "until": "2027-06-01T00:00:00Z"},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"},
                  {"role": "market", "id": {"scheme": "dns", "id": "other.example"}},
                  {"role": "terms", "id": "084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5"}]}
    """

    signed_by = "a creator or owner of the work, or the market; a market of this log by assent"
    roles: ClassVar[Roles] = {"work": ONE, "market": ONE, "terms": OPTIONAL, "grant": OPTIONAL}
    rules: ClassVar[Rules] = {
        "window": "`from` is before `until`",
        "territories": "no territory stands there twice",
    }

    type: Literal["syndicate.place"]
    actor: Hex
    body: _Place
    refs: tuple[
        Annotated[
            EventRef[Literal["work"]]
            | AnyRef[Literal["market"]]
            | EventRef[Literal["terms"]]
            | EventRef[Literal["grant"]],
            Discriminator("role"),
        ],
        ...,
    ]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        body = self.body
        if body.from_ is not None and body.until is not None and body.from_ >= body.until:
            yield self._broken("window", f"body.until: {body.until}, want one after {body.from_}")
        if repeated(body.territories):
            yield self._broken("territories", "body.territories: a territory stands there twice")


class SyndicateWithdraw(Event):
    """A placement ends.

    For example::

    {"body": {"reason": "window-closed"},
     "refs": [{"role": "placement", "id": "83aab0796533925626d17ba3fef096165e92a852542b1ee50137fc6b99bc3909"}]}
    """

    signed_by = "who placed it"
    roles: ClassVar[Roles] = {"placement": ONE}

    type: Literal["syndicate.withdraw"]
    actor: Hex
    body: Ending
    refs: tuple[EventRef[Literal["placement"]], ...]
    commits: OnlyRef
