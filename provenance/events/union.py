"""All types of events that this version knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Discriminator, TypeAdapter, ValidationError

from provenance.events.erasure import ErasureExecute
from provenance.events.log import LogGenesis, LogTime
from provenance.events.party import PartyRegister
from provenance.events.rights import GrantIssue, OfferAttach, TermsPublish
from provenance.events.work import WorkCreate, WorkDerive, WorkManifest

__all__ = ["EVENT", "AnyEvent", "problems"]

AnyEvent = Annotated[
    LogGenesis
    | LogTime
    | PartyRegister
    | WorkCreate
    | WorkDerive
    | WorkManifest
    | TermsPublish
    | OfferAttach
    | GrantIssue
    | ErasureExecute,
    Discriminator("type"),
]

EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Reads the JSON of an event, strictly. Every type is told by its `type`."""


def problems(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each place in the event and what is wrong there, without the value: it might be personal."""
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        # The first step is the type, which the union adds.
        yield ".".join(map(str, one["loc"][1:])) or "type", one["msg"]
