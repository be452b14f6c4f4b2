"""Verbs about what a work earned, how that was divided, and what was paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from provenance.before import Before
from provenance.desk.base import Desk, follows
from provenance.drafts import Money, Named
from provenance.moments import format_time
from provenance.once import payout_start, revenue_start
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["MoneyVerbs"]


class MoneyVerbs(Desk):
    """The books, in integers of minor units."""

    @joins_async
    def report_revenue(
        self,
        work: Named,
        gross: Money,
        *,
        start: datetime,
        end: datetime,
        source: str,
        source_key: str,
        deductions: Mapping[str, int] | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record what a work earned in a period, from `source_key`; periods of one source never overlap.

        `source` is the SHA-256 of the report that it is taken from, `deductions` are minor units by kind. A refund is a
        negative gross.
        """
        body = {
            "from": format_time(start),
            "to": format_time(end),
            "gross": str(gross.amount),
            "currency": gross.currency,
            "deductions": [{"kind": kind, "amount": str(amount)} for kind, amount in (deductions or {}).items()],
            "source": source,
            "source_key": source_key,
        }

        def make(before: Before) -> Request:
            refs = [{"role": "work", "id": str(work)}, *_after_reports(before, str(work), source_key)]
            draft = self.draft("revenue.report", body=body, refs=refs, personal={"ref": ref})
            return Request("report_revenue", [draft], ref)

        return self._record(make, session)

    @joins_async
    def settle(
        self,
        *,
        revenue: Sequence[Named],
        lines: Mapping[str, int],
        input: Money,  # noqa: A002 - the field's word
        undistributed: int,
        size: int,
        root: str,
        algorithm: str,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record how revenue was divided: minor units by party, which with `undistributed` come to `input`.

        `size` and `root` say which log it was computed from, `algorithm` how, so that others can compute it again.
        """
        body = {
            "size": size,
            "root": root,
            "algorithm": algorithm,
            "currency": input.currency,
            "input": str(input.amount),
            "undistributed": str(undistributed),
        }
        refs: list[Mapping[str, Any]] = [{"role": "revenue", "id": str(each)} for each in revenue]
        refs += [{"role": "payee", "id": str(party), "amount": str(amount)} for party, amount in lines.items()]
        draft = self.draft("settlement.compute", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("settle", [draft], ref), session)

    @joins_async
    def confirm_payout(
        self,
        settlement: Named,
        *,
        to: Named,
        paid: Money,
        payment: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record a payment to one payee of a settlement; `payment`, the bank's own reference, is personal.

        What is due may be paid in parts, and never more of it: who pays the same payee at the same moment waits.
        """

        def make(before: Before) -> Request:
            refs = [{"role": "settlement", "id": str(settlement)}, {"role": "payee", "id": str(to)}]
            refs += follows(before, "payout", payout_start(str(settlement), str(to)))
            draft = self.draft("payout.confirm", body=paid.body(), refs=refs, personal={"payment": payment, "ref": ref})
            return Request("confirm_payout", [draft], ref)

        return self._record(make, session)

    @joins_async
    def quote(
        self,
        base: str,
        quote: str,
        *,
        num: int,
        den: int,
        at: datetime,
        source: str,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record an exchange rate as a fraction: one unit of `base` is num/den units of `quote`."""
        body = {
            "base": base,
            "quote": quote,
            "num": str(num),
            "den": str(den),
            "at": format_time(at),
            "source": source,
        }
        draft = self.draft("fx.quote", body=body, personal={"ref": ref})
        return self._record(Request("quote", [draft], ref), session)


def _after_reports(before: Before, work: str, source_key: str) -> list[dict[str, str]]:
    """The ref `prev` of the next report of a source: what is logged is not walked through, years of it may be there."""
    last = revenue_start(work, source_key)
    for event_id in reversed(list(before.pointing(bytes.fromhex(work), "work", "revenue.report"))):
        event = before.event(event_id)
        if event is not None and event["body"]["source_key"] == source_key:
            last = event_id
            break
    found = follows(before, "revenue", last)
    return found or ([] if last == revenue_start(work, source_key) else [{"role": "prev", "id": last.hex()}])
