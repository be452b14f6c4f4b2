"""Verbs about what is disputed, attested and tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from provenance.before import Before
from provenance.desk.base import Desk, follows
from provenance.drafts import Named
from provenance.moments import format_time
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["ClaimVerbs"]


class ClaimVerbs(Desk):
    """Disputes from opening to end, attestations, test results."""

    @joins_async
    def dispute(
        self,
        target: Named,
        *,
        tag: str,
        evidence: str,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Open a dispute about any event. `evidence` is a SHA-256 that no other dispute rests on."""

        def make(before: Before) -> Request:
            refs = [{"role": "target", "id": str(target)}, *follows(before, "dispute", bytes.fromhex(str(target)))]
            body = {"tag": tag, "evidence": evidence}
            draft = self.draft("dispute.open", body=body, refs=refs, personal={"ref": ref}, actor=actor)
            return Request("dispute", [draft], ref)

        return self._record(make, session)

    @joins_async
    def judge(
        self, dispute: Named, decision: str, *, evidence: str | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """Judge a dispute, or its appeal, once: upheld or dismissed. What follows from it is for further events.

        Nothing is licensed of a work while a dispute about it stands as upheld.
        """
        body = {"decision": decision} if evidence is None else {"decision": decision, "evidence": evidence}
        return self._about(dispute, "dispute.judge", "judge", body, None, ref, session)

    @joins_async
    def resolve_dispute(
        self, dispute: Named, *, actor: Named | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """End a judged dispute, in the name of whoever opened it."""
        return self._about(dispute, "dispute.resolve", "resolve_dispute", {}, actor, ref, session)

    @joins_async
    def cancel_dispute(
        self, dispute: Named, *, actor: Named | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """Take a dispute back before it is judged, in the name of whoever opened it."""
        return self._about(dispute, "dispute.cancel", "cancel_dispute", {}, actor, ref, session)

    @joins_async
    def appeal(
        self,
        dispute: Named,
        *,
        evidence: str,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Open a judged dispute again with new evidence; the appeal is judged for itself."""
        return self._about(dispute, "dispute.appeal", "appeal", {"evidence": evidence}, actor, ref, session)

    @joins_async
    def attest(
        self,
        subject: Named,
        *,
        claim: str,
        expires: datetime,
        credential: str | None = None,
        evidence: Sequence[Named] = (),
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Attest something of a subject until `expires` (log time); `credential` is the SHA-256 of a credential."""
        body = {"claim": claim, "expires": format_time(expires)}
        if credential is not None:
            body["credential"] = credential
        refs: list[Mapping[str, Any]] = [{"role": "subject", "id": str(subject)}]
        refs += [{"role": "evidence", "id": str(each)} for each in evidence]
        draft = self.draft(
            "attest.issue", body=body, refs=refs, personal={"ref": ref}, actor=actor, strength="attested"
        )
        return self._record(Request("attest", [draft], ref), session)

    @joins_async
    def revoke_attestation(
        self,
        attestation: Named,
        *,
        reason: str,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Take an attestation back, in the name of whoever gave it."""
        refs = [{"role": "attestation", "id": str(attestation)}]
        draft = self.draft("attest.revoke", body={"reason": reason}, refs=refs, personal={"ref": ref}, actor=actor)
        return self._record(Request("revoke_attestation", [draft], ref), session)

    @joins_async
    def conform(
        self,
        *,
        suite: str,
        version: str,
        suite_digest: str,
        results_digest: str,
        passed: int,
        failed: int,
        subject: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record the result of a conformance suite: how many cases passed and failed, and the digests of both lists."""
        body = {
            "suite": suite,
            "version": version,
            "suite_digest": suite_digest,
            "results_digest": results_digest,
            "passed": passed,
            "failed": failed,
        }
        refs = [] if subject is None else [{"role": "subject", "id": str(subject)}]
        draft = self.draft("conformance.result", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("conform", [draft], ref), session)

    def _about(
        self,
        dispute: Named,
        type_: str,
        verb: str,
        body: Mapping[str, Any],
        actor: Named | None,
        ref: str | None,
        session: Any,
    ) -> Ticket:
        refs = [{"role": "dispute", "id": str(dispute)}]
        strength = "adjudicated" if type_ == "dispute.judge" else "observed"
        draft = self.draft(type_, body=body, refs=refs, personal={"ref": ref}, actor=actor, strength=strength)
        return self._record(Request(verb, [draft], ref), session)
