"""What left the log as a bundle, and what came into it from elsewhere."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from provenance.events.envelope import OPTIONAL, AnyRef, Event, EventRef, Model, OnlyRef, Roles
from provenance.events.fields import Hex, Natural, Term
from provenance.events.vocabulary import ImportOutcome

__all__ = ["ExportMade", "ImportAccepted"]


class _Export(Model):
    bundle: Hex
    counts: Annotated[dict[Term, Natural], Field(max_length=1_000)]


class ExportMade(Event):
    """A bundle was handed out, of everything or of one `subject`: how much of each class is in it.

    `bundle` is its SHA-256, `to` the party that got it, where that is said. Maps to data portability under article 20
    of the GDPR. For example::

        {"body": {"bundle": "aabaf5d9de91e613b43ef952b6ba8261167350fdd0d26bcb274f07b2be767e19",
                  "counts": {"events": 812, "items": 1630, "works": 97}},
         "refs": [{"role": "subject", "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}]}
    """

    signed_by = "the market"
    roles: ClassVar[Roles] = {"subject": OPTIONAL, "to": OPTIONAL}

    type: Literal["export.made"]
    actor: Hex
    body: _Export
    refs: tuple[Annotated[AnyRef[Literal["subject"]] | EventRef[Literal["to"]], Discriminator("role")], ...]
    commits: OnlyRef


class _Import(Model):
    bundle: Hex
    source: Term | None = None
    counts: Annotated[
        dict[Term, Annotated[dict[ImportOutcome, Natural], Field(min_length=1)]],
        Field(max_length=1_000),
    ]


class ImportAccepted(Event):
    """A bundle or a file of another system came in: what became of each class of things in it. Nothing is left out.

    `bundle` is its SHA-256, `source` what it is, in one word. Maps to import reports of the Data Transfer Project. For
    example::

        {"body": {"bundle": "aabaf5d9de91e613b43ef952b6ba8261167350fdd0d26bcb274f07b2be767e19",
                  "counts": {"datasets": {"accepted": 1790, "degraded": 12, "duplicate": 3, "rejected": 1}},
                  "source": "data-provenance"}}
    """

    signed_by = "the market"

    type: Literal["import.accepted"]
    actor: Hex
    body: _Import
    refs: tuple[()]
    commits: OnlyRef
