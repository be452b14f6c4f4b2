"""Who may divide a work, and what is earned and paid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from provenance.assent import refs_of
from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.shares import owners_of, shares_of

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _by_an_owner(act: Act, before: Before) -> Iterator[Reason]:
    """`split.actor`: whoever owns a part of the work, or the market for its custodial owners, divides it."""
    work = act.ref("work")
    if work is not None and act.issuer != before.market and act.actor not in owners_of(work, before):
        text = f"{act.actor.hex()} owns no part of the work {work.hex()}"
        yield Reason("split.actor", text, (act.id, work.hex()))


def _has_it(act: Act, before: Before) -> Iterator[Reason]:
    """`split.transfer.units`: nobody gives more than they have."""
    work, giver = act.ref("work"), act.ref("from")
    if work is None or giver is None:
        return
    has, gives = shares_of(work, before).get(giver, 0), int(act.body["units"])
    if has < gives:
        text = f"{giver.hex()} has {has} units of the work {work.hex()}, and would give {gives}"
        yield Reason("split.transfer.units", text, (act.id, work.hex()))


def _by_the_market(act: Act, before: Before) -> Iterator[Reason]:
    """`money.actor`: what was earned and paid is said by the market that handled it."""
    if act.issuer != before.market:
        text = f"{act.issuer.hex()} is not the market, whose books these are"
        yield Reason("money.actor", text, (act.id,))


def _waiting(act: Act, before: Before) -> Iterator[Mapping[str, Any]]:
    """What the act comes behind in its chain (`provenance.once`) and is not in the log yet, the last first."""
    at = act.ref("prev")
    while at is not None and before.index.find(at) is None and (event := before.event(at, act.type)) is not None:
        yield event
        at = next(refs_of(event, "prev"), None)


def _logged(at: bytes, role: str, act: Act, before: Before) -> Iterator[Mapping[str, Any]]:
    for event_id in before.pointing(at, role, act.type):
        event = before.event(event_id)
        if event is not None:
            yield event


def _no_overlap(act: Act, before: Before) -> Iterator[Reason]:
    """`revenue.report.period`: periods of one source of one work do not overlap, or money would count twice."""
    work = act.ref("work")
    if work is None:
        return
    body = act.body
    for event in (*_logged(work, "work", act, before), *_waiting(act, before)):
        other = event["body"]
        if other["source_key"] == body["source_key"] and other["from"] < body["to"] and body["from"] < other["to"]:
            text = f"{body['from']} to {body['to']} overlaps {other['from']} to {other['to']} of the same source"
            yield Reason("revenue.report.period", text, (act.id, work.hex()))


def _same_money(act: Act, before: Before) -> Iterator[Reason]:
    """`settlement.compute.input`, `settlement.compute.currency`: it is what its reports say came in, in one money."""
    total = 0
    for report_id in act.refs("revenue"):
        report = before.event(report_id, "revenue.report")
        if report is None:
            yield Reason("settlement.compute.input", "a revenue report cannot be read here", (act.id, report_id.hex()))
            return
        body = report["body"]
        if body["currency"] != act.body["currency"]:
            text = f"report {report_id.hex()} is in {body['currency']}, the settlement in {act.body['currency']}"
            yield Reason("settlement.compute.currency", text, (act.id, report_id.hex()))
        total += int(body["gross"]) - sum(int(each["amount"]) for each in body.get("deductions", ()))
    if total != int(act.body["input"]):
        text = f"input is {act.body['input']}, its reports come to {total}"
        yield Reason("settlement.compute.input", text, (act.id,))


def _is_due(act: Act, before: Before) -> Iterator[Reason]:
    """`payout.confirm.due`, `payout.confirm.currency`: nobody is paid more than their line of the settlement."""
    settlement, payee = act.ref("settlement"), act.ref("payee")
    event = None if settlement is None else before.event(settlement, "settlement.compute")
    if settlement is None or payee is None or event is None:
        return
    if event["body"]["currency"] != act.body["currency"]:
        text = f"paid in {act.body['currency']}, due in {event['body']['currency']}"
        yield Reason("payout.confirm.currency", text, (act.id, settlement.hex()))
    due = sum(int(ref["amount"]) for ref in event["refs"] if ref["role"] == "payee" and ref["id"] == payee.hex())
    paid = 0
    for other in (*_logged(settlement, "settlement", act, before), *_waiting(act, before)):
        if next(refs_of(other, "payee"), None) == payee:
            paid += int(other["body"]["amount"])
    if paid + int(act.body["amount"]) > due:
        text = f"{payee.hex()} is due {due}, was paid {paid}, and would get {act.body['amount']} more"
        yield Reason("payout.confirm.due", text, (act.id, settlement.hex()))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "split.declare": (_by_an_owner,),
        "split.transfer": (_has_it,),
        "revenue.report": (_by_the_market, _no_overlap),
        "settlement.compute": (_by_the_market, _same_money),
        "payout.confirm": (_by_the_market, _is_due),
    }
)
