"""What third parties attest, and what tests of markets and adapters showed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator

from provenance.errors import Reason
from provenance.events.envelope import (
    MANY,
    ONE,
    OPTIONAL,
    AnyRef,
    Event,
    EventRef,
    Model,
    OnlyRef,
    Reasoned,
    Roles,
    Rules,
)
from provenance.events.fields import Hex, Natural, Term, Time, Version

__all__ = ["AttestIssue", "AttestRevoke", "ConformanceResult"]


class _Issue(Model):
    claim: Term
    credential: Hex | None = None
    expires: Time


class AttestIssue(Event):
    """Somebody attests something of a subject: a party, a work, any event. It ends at `expires`, in log time.

    `claim` is what, in one word, `credential` the SHA-256 of a credential that says it in full, `evidence` what it
    rests on. Maps to Verifiable Credentials 2.0, Open Badges 3.0. For example::

        {"body": {"claim": "fairly-trained",
                  "credential": "daa52aac1bac84aa8af2d2348ffb717341fd2bbe66eb728c2e8ccc6c73110aa5",
                  "expires": "2027-11-23T00:00:00Z"},
         "refs": [{"role": "subject", "id": "cafb2ee54daa5aff67516c9e1fa6026f03ede9ed747717e9385a385d6afbe0f0"},
                  {"role": "evidence", "id": "4e9d90e6c509617481420bdaa2721f8e8030c0bacbecb524841c2101766b52ba"}],
         "strength": "attested"}
    """

    roles: ClassVar[Roles] = {"subject": ONE, "evidence": MANY}
    rules: ClassVar[Rules] = {"expires": "`expires` is after `claimed_at`"}

    type: Literal["attest.issue"]
    actor: Hex
    body: _Issue
    refs: tuple[Annotated[AnyRef[Literal["subject"]] | AnyRef[Literal["evidence"]], Discriminator("role")], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        if self.body.expires <= self.claimed_at:
            yield self._broken("expires", f"body.expires: {self.body.expires}, want one after {self.claimed_at}")


class AttestRevoke(Event):
    """An attestation is taken back. Maps to revocation by a Bitstring Status List.

    For example::

    {"body": {"reason": "evidence-withdrawn"},
     "refs": [{"role": "attestation", "id": "2738a9e2bad1f43e6948f53df7b259a186c10e3c9a5e5bfe6f82bb0ed7e9788a"}]}
    """

    signed_by = "who gave it"
    roles: ClassVar[Roles] = {"attestation": ONE}

    type: Literal["attest.revoke"]
    actor: Hex
    body: Reasoned
    refs: tuple[EventRef[Literal["attestation"]], ...]
    commits: OnlyRef


class _Result(Model):
    suite: Term
    version: Version
    suite_digest: Hex
    results_digest: Hex
    passed: Natural
    failed: Natural


class ConformanceResult(Event):
    """A market, an adapter or a program was tested: how many cases of a suite it passed and failed.

    `suite_digest` is the SHA-256 of the suite's vectors, `results_digest` that of the list of results, one a case. The
    subject is the market itself where none is named. For example::

        {"body": {"failed": 0,
                  "passed": 214,
                  "results_digest": "072c2f7ec5d63ef3efcc04ba68a070c85be2e09535840a171ba0da86647651e8",
                  "suite": "storage",
                  "suite_digest": "289d92b74eca780ce01bd3a293fe6d4da35a316b5fa2484f1917e05ed16317c5",
                  "version": "1.4.0"}}
    """

    signed_by = "who tested"
    roles: ClassVar[Roles] = {"subject": OPTIONAL}
    rules: ClassVar[Rules] = {"cases": "at least one case ran"}

    type: Literal["conformance.result"]
    actor: Hex
    body: _Result
    refs: tuple[AnyRef[Literal["subject"]], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        if not self.body.passed + self.body.failed:
            yield self._broken("cases", "body: no case passed and none failed, want at least one")
