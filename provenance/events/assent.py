"""The word of those whose signature an act needs besides its first."""

from __future__ import annotations

from typing import ClassVar, Literal

from provenance.events.envelope import ONE, Event, EventRef, Model, OnlyRef, Roles
from provenance.events.fields import Hex, Term
from provenance.events.vocabulary import AssentAnswer as Answer

__all__ = ["AssentAnswer"]


class _Answer(Model):
    answer: Answer
    reason: Term | None = None


class AssentAnswer(Event):
    """One of those whose word an act lacks says yes or no to it, once, and with a salt of its own.

    `of` is the act: a split, a transfer, a link, an offer of a work in shares, a derivation that needs approval. Maps
    to PIL derivativesApproval, and to the second signature of any contract. For example::

        {"body": {"answer": "yes"},
         "refs": [{"role": "of", "id": "daa52aac1bac84aa8af2d2348ffb717341fd2bbe66eb728c2e8ccc6c73110aa5"}],
         "actor": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6", "strength": "self"}
    """

    signed_by = "a party whose word the act lacks, or its custodian"
    roles: ClassVar[Roles] = {"of": ONE}

    type: Literal["assent.answer"]
    actor: Hex
    body: _Answer
    refs: tuple[EventRef[Literal["of"]], ...]
    commits: OnlyRef
