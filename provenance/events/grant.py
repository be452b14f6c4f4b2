"""What becomes of a grant."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator

from provenance.events.envelope import ONE, OPTIONAL, Event, EventRef, Model, Nothing, OnlyRef, Reasoned, Roles
from provenance.events.fields import Count, Hex

__all__ = ["GrantConsume", "GrantRevoke", "GrantTransfer"]


class GrantTransfer(Event):
    """A transferable grant passes to another party, once that party has assented. Sealed by default.

    `prev` is the transfer before. Maps to the transfer of a Story license token. For example::

        {"body": {},
         "refs": [{"role": "grant", "id": "960a0ad62ce6a1a1eef05a11407dcb67c751a93f78850f4f9a0046850710b44a"},
                  {"role": "to", "id": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6"}]}
    """

    signed_by = "the holder, or the market for a custodial one; the taker by assent"
    roles: ClassVar[Roles] = {"grant": ONE, "to": ONE, "prev": OPTIONAL}

    type: Literal["grant.transfer"]
    actor: Hex
    body: Nothing
    refs: tuple[
        Annotated[
            EventRef[Literal["grant"]] | EventRef[Literal["to"]] | EventRef[Literal["prev"]],
            Discriminator("role"),
        ],
        ...,
    ]
    commits: OnlyRef


class _Consume(Model):
    number: Count


class GrantConsume(Event):
    """One of a grant's quantity is used up for a work: `number` 1, 2, … up to it, each once.

    Maps to burning a Story license token. For example::

        {"body": {"number": 1},
         "refs": [{"role": "grant", "id": "960a0ad62ce6a1a1eef05a11407dcb67c751a93f78850f4f9a0046850710b44a"},
                  {"role": "child", "id": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"}]}
    """

    signed_by = "the holder, or the market"
    roles: ClassVar[Roles] = {"grant": ONE, "child": ONE}

    type: Literal["grant.consume"]
    actor: Hex
    body: _Consume
    refs: tuple[Annotated[EventRef[Literal["grant"]] | EventRef[Literal["child"]], Discriminator("role")], ...]
    commits: OnlyRef


class GrantRevoke(Event):
    """A grant ends before its time; refused where its terms say that it stays. Maps to an ODRL Agreement that is void.

    For example::

        {"body": {"reason": "payment-failed"},
         "refs": [{"role": "grant", "id": "960a0ad62ce6a1a1eef05a11407dcb67c751a93f78850f4f9a0046850710b44a"}]}
    """

    signed_by = "who issued it, an owner of the work, or the market"
    roles: ClassVar[Roles] = {"grant": ONE}

    type: Literal["grant.revoke"]
    actor: Hex
    body: Reasoned
    refs: tuple[EventRef[Literal["grant"]], ...]
    commits: OnlyRef
