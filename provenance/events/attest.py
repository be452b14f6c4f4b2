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
                  "credential": "ef2d127de37b942baad06145e54b0c619a1f22327b2ebbcfbec78f5564afe39d",
                  "expires": "2027-11-23T00:00:00Z"},
         "refs": [{"role": "subject", "id": "4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a"},
                  {"role": "evidence", "id": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"}],
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
     "refs": [{"role": "attestation", "id": "7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451"}]}
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
                  "results_digest": "2c624232cdd221771294dfbb310aca000a0df6ac8b66b696d90ef06fdefb64a3",
                  "suite": "storage",
                  "suite_digest": "19581e27de7ced00ff1ce50b2047e7a567c76b1cbaebabe5ef03f7c3017bb5b7",
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
