"""Verbs about consent, and about what is reserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from ledger.errors import NotFound
from provenance.before import Before
from provenance.consent import Consent, consent_of, receipt_of
from provenance.desk.base import Desk, follows
from provenance.drafts import Named
from provenance.moments import Moment, format_time
from provenance.once import consent_start
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["ConsentVerbs"]


class ConsentVerbs(Desk):
    """From asking to withdrawing; and reservations."""

    @joins_async
    def consent(
        self,
        subject: Named,
        *,
        controller: Named,
        purposes: Sequence[str],
        notice: str,
        state: str = "ConsentGiven",
        basis: str = "Consent",
        expires: datetime | None = None,
        work: Named | None = None,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record the state of a consent, sealed: for which purposes, after which notice (SHA-256 of the text shown).

        `state` is a status of W3C DPV, `basis` one of its legal bases. `actor` is who says so: by default the market,
        which saw it; the subject itself, where the market keeps it. Refused where the step is none (`consent.step`).
        """
        return self._record(
            self._consent("consent", subject, controller, purposes, notice, state, basis, expires, work, actor, ref),
            session,
        )

    @joins_async
    def withdraw_consent(
        self,
        subject: Named,
        *,
        controller: Named,
        purposes: Sequence[str],
        notice: str,
        basis: str = "Consent",
        work: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record that the person, whom the market keeps, withdraws a consent. What was done before stays as it was."""
        state = "ConsentWithdrawn"
        make = self._consent(
            "withdraw_consent", subject, controller, purposes, notice, state, basis, None, work, subject, ref
        )
        return self._record(make, session)

    def consent_of(self, subject: Named, *, controller: Named, purpose: str, at: Moment = None) -> Consent:
        """The state of a consent for one purpose at a moment, and the records that say so."""
        return consent_of(str(subject), str(controller), purpose, self.before(at))

    def consent_receipt(self, ticket: Named) -> dict[str, Any]:
        """A recorded consent as a receipt of ISO/IEC TS 27560, with its place in the log.

        Raises `NotFound` while it is not published, or cannot be read here any more.
        """
        receipt = self.receipt(ticket)
        if receipt.event is None:
            msg = f"consent {ticket}: cannot be read here any more"
            raise NotFound(msg)
        event = orjson.loads(receipt.event)
        logged_at = self.index.time_of(receipt.index)
        return receipt_of(event, event_id=str(ticket), log=self.origin, index=receipt.index, logged_at=logged_at)

    @joins_async
    def reserve(
        self,
        work: Named,
        statements: Mapping[str, str],
        *,
        source: str = "own",
        table: str = "ai-use-1",
        raw: bytes | None = None,
        valid_from: datetime | None = None,
        replaces: Named | None = None,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record what is reserved of a work: allow, disallow or constrained by category of use (train, mining …).

        `source` and `table` say in which vocabulary it was found, and by which table it was brought into these
        categories; of `raw`, its bytes as they were found, the SHA-256 is kept. Not retroactive. `replaces` is the
        declaration that it takes the place of.
        """
        body: dict[str, Any] = {
            "statements": dict(statements),
            "source": source,
            "table": table,
            "selector": {"kind": "work"},
        }
        if raw is not None:
            body["raw"] = sha256(raw).hexdigest()
        if valid_from is not None:
            body["valid_from"] = format_time(valid_from)
        refs = [{"role": "work", "id": str(work)}]
        refs += [] if replaces is None else [{"role": "prev", "id": str(replaces)}]
        draft = self.draft("reservation.declare", body=body, refs=refs, personal={"ref": ref}, actor=actor)
        return self._record(Request("reserve", [draft], ref), session)

    def _consent(
        self,
        verb: str,
        subject: Named,
        controller: Named,
        purposes: Sequence[str],
        notice: str,
        state: str,
        basis: str,
        expires: datetime | None,
        work: Named | None,
        actor: Named | None,
        ref: str | None,
    ) -> Any:
        body: dict[str, Any] = {"state": state, "purposes": list(purposes), "basis": basis, "notice": notice}
        if expires is not None:
            body["expires"] = format_time(expires)

        def make(before: Before) -> Request:
            refs = [{"role": "subject", "id": str(subject)}, {"role": "controller", "id": str(controller)}]
            refs += [] if work is None else [{"role": "work", "id": str(work)}]
            refs += follows(before, "consent", consent_start(str(subject), str(controller)))
            return Request(
                verb, [self.draft("consent.record", body=body, refs=refs, personal={"ref": ref}, actor=actor)], ref
            )

        return make
