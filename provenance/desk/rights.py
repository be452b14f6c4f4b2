"""Verbs about what was offered and granted, about acts of several signers, and about who owns what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provenance.before import Before
from provenance.desk.base import Desk, follows
from provenance.drafts import Named
from provenance.once import consume_place
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["RightsVerbs"]


class RightsVerbs(Desk):
    """From the offer to its end, assent, and shares."""

    @joins_async
    def withdraw_offer(self, offer: Named, *, ref: str | None = None, session: Any = None) -> Ticket:
        """Withdraw an offer: nothing is granted under it from here on, what was granted stays."""
        draft = self.draft("offer.detach", body={}, refs=[{"role": "offer", "id": str(offer)}], personal={"ref": ref})
        return self._record(Request("withdraw_offer", [draft], ref), session)

    @joins_async
    def transfer_grant(
        self, grant: Named, *, to: Named, actor: Named | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """Pass a transferable grant on, in the name of its holder; it moves once the taker has agreed (`assent`)."""

        def make(before: Before) -> Request:
            refs = [{"role": "grant", "id": str(grant)}, {"role": "to", "id": str(to)}]
            refs += follows(before, "grant.holder", bytes.fromhex(str(grant)))
            draft = self.draft("grant.transfer", body={}, refs=refs, personal={"ref": ref}, actor=actor)
            return Request("transfer_grant", [draft], ref)

        return self._record(make, session)

    @joins_async
    def consume_grant(
        self, grant: Named, *, child: Named, actor: Named | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """Use one of a grant's quantity up for the work `child`. Two who use the last one at once: one is refused."""

        def make(before: Before) -> Request:
            number = 1
            while before.holder("grant.consume", consume_place(str(grant), number)) is not None:
                number += 1
            refs = [{"role": "grant", "id": str(grant)}, {"role": "child", "id": str(child)}]
            draft = self.draft("grant.consume", body={"number": number}, refs=refs, personal={"ref": ref}, actor=actor)
            return Request("consume_grant", [draft], ref)

        return self._record(make, session)

    @joins_async
    def revoke_grant(self, grant: Named, *, reason: str, ref: str | None = None, session: Any = None) -> Ticket:
        """End a grant before its time, with a reason in one word; refused where its terms say that it stays."""
        refs = [{"role": "grant", "id": str(grant)}]
        draft = self.draft("grant.revoke", body={"reason": reason}, refs=refs, personal={"ref": ref})
        return self._record(Request("revoke_grant", [draft], ref), session)

    @joins_async
    def assent(
        self,
        act: Named,
        *,
        party: Named | None = None,
        answer: str = "yes",
        reason: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Answer an act that lacks somebody's word, in the name of `party` (by default the market's own): yes or no.

        The market answers for custodial parties and for those that gave it a mandate; others sign their own `submit`.
        """
        body = {"answer": answer} if reason is None else {"answer": answer, "reason": reason}
        refs = [{"role": "of", "id": str(act)}]
        draft = self.draft("assent.answer", body=body, refs=refs, personal={"ref": ref}, actor=party)
        return self._record(Request("assent", [draft], ref), session)

    @joins_async
    def split(
        self,
        work: Named,
        shares: Mapping[str, int],
        *,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Declare who owns which share of a work: units by party, which come to 100,000,000; their order is kept.

        It counts once everybody who gains or loses has agreed.
        """

        def make(before: Before) -> Request:
            refs: list[Mapping[str, Any]] = [{"role": "work", "id": str(work)}]
            refs += [{"role": "holder", "id": str(party), "units": str(units)} for party, units in shares.items()]
            refs += follows(before, "split", bytes.fromhex(str(work)))
            draft = self.draft("split.declare", body={}, refs=refs, personal={"ref": ref}, actor=actor)
            return Request("split", [draft], ref)

        return self._record(make, session)

    @joins_async
    def transfer_share(
        self,
        work: Named,
        units: int,
        *,
        giver: Named,
        to: Named,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Move units of a work from one party to another; money that has come in stays with the one who had them."""

        def make(before: Before) -> Request:
            refs = [
                {"role": "work", "id": str(work)},
                {"role": "from", "id": str(giver)},
                {"role": "to", "id": str(to)},
                *follows(before, "split", bytes.fromhex(str(work))),
            ]
            body = {"units": str(units)}
            draft = self.draft("split.transfer", body=body, refs=refs, personal={"ref": ref}, actor=giver)
            return Request("transfer_share", [draft], ref)

        return self._record(make, session)

    @joins_async
    def syndicate(
        self,
        work: Named,
        *,
        market: Named | Mapping[str, str],
        territories: Sequence[str] = (),
        terms: Named | None = None,
        grant: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Place a work with another market: a party of this log, or a mapping as `{"scheme": "dns", "id": …}`."""
        there = dict(market) if isinstance(market, Mapping) else str(market)
        refs: list[Mapping[str, Any]] = [{"role": "work", "id": str(work)}, {"role": "market", "id": there}]
        refs += [{"role": role, "id": str(each)} for role, each in (("terms", terms), ("grant", grant)) if each]
        body = {"territories": list(territories)}
        draft = self.draft("syndicate.place", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("syndicate", [draft], ref), session)

    @joins_async
    def withdraw_placement(self, placement: Named, *, ref: str | None = None, session: Any = None) -> Ticket:
        """End a placement of `syndicate`."""
        refs = [{"role": "placement", "id": str(placement)}]
        draft = self.draft("syndicate.withdraw", body={}, refs=refs, personal={"ref": ref})
        return self._record(Request("withdraw_placement", [draft], ref), session)
