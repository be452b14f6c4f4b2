"""Consent of people to what is done with their data, their likeness, their voice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from provenance.errors import Reason
from provenance.events.envelope import ONE, OPTIONAL, Event, EventRef, Model, OnlyRef, Roles, Rules, repeated
from provenance.events.fields import Hex, Term, Time
from provenance.events.vocabulary import ConsentState, LegalBasis

__all__ = ["ConsentRecord"]


class _Consent(Model):
    state: ConsentState
    purposes: Annotated[tuple[Term, ...], Field(min_length=1, max_length=200)]
    basis: LegalBasis
    notice: Hex
    expires: Time | None = None


class ConsentRecord(Event):
    """The state of one party's consent to another: for which purposes, on what basis, after which notice.

    Sealed by default. `notice` is the SHA-256 of the text that was shown, `expires` in log time; absent, it does not.
    `prev` is the record before between both, whose state this one changes. Maps to consent records and receipts of
    ISO/IEC TS 27560, statuses of W3C DPV, articles 6 and 7 of the GDPR. For example::

        {"body": {"basis": "A6-1-a",
                  "expires": "2027-11-23T00:00:00Z",
                  "notice": "a591a6d40bf420404a011733cfb7b190d62c65bf0bcda32b57b277d9ad9f146e",
                  "purposes": ["voice-cloning"],
                  "state": "ConsentGiven"},
         "refs": [{"role": "subject", "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"},
                  {"role": "controller", "id": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6"}],
         "strength": "counter-signed"}
    """

    signed_by = "the subject, or the controller (`observed`)"
    roles: ClassVar[Roles] = {"subject": ONE, "controller": ONE, "work": OPTIONAL, "prev": OPTIONAL}
    rules: ClassVar[Rules] = {
        "purposes": "no purpose stands there twice",
        "expires": "consent that is given expires after `claimed_at`",
        "controller": "nobody consents to himself",
    }

    type: Literal["consent.record"]
    actor: Hex
    body: _Consent
    refs: tuple[
        Annotated[
            EventRef[Literal["subject"]]
            | EventRef[Literal["controller"]]
            | EventRef[Literal["work"]]
            | EventRef[Literal["prev"]],
            Discriminator("role"),
        ],
        ...,
    ]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        body = self.body
        if repeated(body.purposes):
            yield self._broken("purposes", "body.purposes: a purpose stands there twice")
        given = body.state in {"ConsentGiven", "RenewedConsentGiven"}
        if given and body.expires is not None and body.expires <= self.claimed_at:
            yield self._broken("expires", f"body.expires: {body.expires}, want one after {self.claimed_at}")
        sides = [ref.id for ref in self.refs if ref.role in {"subject", "controller"}]
        if repeated(sides):
            yield self._broken("controller", "refs: subject and controller are the same party")
