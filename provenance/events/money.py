"""What was earned, how it was divided, what was paid, at which rates. Integers of minor units throughout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from provenance.errors import Reason
from provenance.events.envelope import (
    MANY,
    ONE,
    OPTIONAL,
    SOME,
    Event,
    EventRef,
    Model,
    OnlyRef,
    Roles,
    Rules,
    repeated,
)
from provenance.events.fields import Amount, Count, Currency, Hex, Number, SignedAmount, Term, Time, Token

__all__ = ["FxQuote", "PayeeRef", "PayoutConfirm", "RevenueReport", "SettlementCompute"]


class _Deduction(Model):
    kind: Term
    amount: SignedAmount


class _Revenue(Model):
    from_: Annotated[Time, Field(alias="from")]
    to: Time
    gross: SignedAmount
    currency: Currency
    deductions: Annotated[tuple[_Deduction, ...], Field(max_length=100)]
    source: Hex
    source_key: Term


class RevenueReport(Event):
    """What a work earned in a period, as one source reported it. Sealed by default.

    From `from` on, up to and without `to`. `gross` and the `deductions` from it in minor units of `currency`; a refund
    is a negative gross. `source` is the SHA-256 of the report it is taken from; periods of a work with the same
    `source_key` never overlap. `prev` is the last report of that work and key, of whatever period. Maps to DDEX sales
    reports. For example::

        {"body": {"currency": "EUR",
                  "deductions": [{"amount": "1900", "kind": "vat"}],
                  "from": "2026-10-01T00:00:00Z",
                  "gross": "11900",
                  "source": "24426a5064f1004efa62f1e2c75783d23eafa9c2f7d0912b7ad29b7e20a121be",
                  "source_key": "shop-1",
                  "to": "2026-11-01T00:00:00Z"},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}]}
    """

    signed_by = "the market that was paid"
    roles: ClassVar[Roles] = {"work": ONE, "prev": OPTIONAL}
    rules: ClassVar[Rules] = {
        "period": "`from` is before `to`",
        "deductions": "no kind of deduction stands there twice",
    }

    type: Literal["revenue.report"]
    actor: Hex
    body: _Revenue
    refs: tuple[Annotated[EventRef[Literal["work"]] | EventRef[Literal["prev"]], Discriminator("role")], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        if self.body.from_ >= self.body.to:
            yield self._broken("period", f"body.to: {self.body.to}, want one after {self.body.from_}")
        if repeated(each.kind for each in self.body.deductions):
            yield self._broken("deductions", "body.deductions: a kind stands there twice")


class PayeeRef(Model):
    """A party that gets a part of a settlement: `amount` in minor units, negative where it owes."""

    role: Literal["payee"]
    id: Hex
    amount: SignedAmount


class _Settlement(Model):
    size: Count
    root: Hex
    algorithm: Term
    currency: Currency
    input: SignedAmount
    undistributed: SignedAmount


class SettlementCompute(Event):
    """How revenue was divided, so that anybody can compute it again. Sealed by default.

    `size` (entries) and `root` say from which log, `algorithm` how. `input` is what the reports bring after deductions,
    in minor units of `currency`; it is what the payees get, and `undistributed`. For example::

        {"body": {"algorithm": "lap-1",
                  "currency": "EUR",
                  "input": "10000",
                  "root": "2738a9e2bad1f43e6948f53df7b259a186c10e3c9a5e5bfe6f82bb0ed7e9788a",
                  "size": 90112,
                  "undistributed": "1"},
         "refs": [{"role": "revenue", "id": "ad828b18010474a93cee600525dbab3a8ba1f5aa60379a6ed1202cebcf35196e"},
                  {"role": "payee", "amount": "9499",
                   "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"},
                  {"role": "payee", "amount": "500",
                   "id": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6"}]}
    """

    signed_by = "the market; anybody computes it again"
    roles: ClassVar[Roles] = {"revenue": SOME, "payee": MANY}
    rules: ClassVar[Rules] = {"sum": "`input` is the sum of all amounts and `undistributed`"}

    type: Literal["settlement.compute"]
    actor: Hex
    body: _Settlement
    refs: tuple[Annotated[EventRef[Literal["revenue"]] | PayeeRef, Discriminator("role")], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        body = self.body
        lines = sum(int(ref.amount) for ref in self.refs if isinstance(ref, PayeeRef))
        if int(body.input) != lines + int(body.undistributed):
            text = f"body.input: {body.input}, but payees get {lines} and {body.undistributed} stay undistributed"
            yield self._broken("sum", text)


class _Payout(Model):
    amount: Amount
    currency: Currency


class PayoutConfirm(Event):
    """A payee of a settlement was paid, in minor units of `currency`. Sealed by default.

    What is due may be paid in parts; `prev` is the payment to this payee before. Personal: `payment` (the bank's own
    reference), `ref`. Maps to Open Payments, references of ISO 20022. For example::

        {"body": {"amount": "9499", "currency": "EUR"},
         "refs": [{"role": "settlement", "id": "daab3ed795d0ded273dca4764cec723d893a5883f1d491b0d18825952dfbd140"},
                  {"role": "payee", "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}],
         "personal": {"payment": "NTRF 2026-11-24 7731"}}
    """

    signed_by = "the market that paid"
    roles: ClassVar[Roles] = {"settlement": ONE, "payee": ONE, "prev": OPTIONAL}
    rules: ClassVar[Rules] = {"amount": "`amount` is more than nothing"}

    type: Literal["payout.confirm"]
    actor: Hex
    body: _Payout
    refs: tuple[
        Annotated[
            EventRef[Literal["settlement"]] | EventRef[Literal["payee"]] | EventRef[Literal["prev"]],
            Discriminator("role"),
        ],
        ...,
    ]
    commits: dict[Literal["payment", "ref"], Hex]

    def _breaks(self) -> Iterator[Reason]:
        if self.body.amount == "0":
            yield self._broken("amount", "body.amount: 0, want more")


class _Quote(Model):
    base: Currency
    quote: Currency
    num: Number
    den: Number
    at: Time
    source: Token


class FxQuote(Event):
    """An exchange rate, which is used by the id of this event: one unit of `base` is `num` / `den` units of `quote`.

    Whole units, not minor ones; both are decimal strings, so that no rate is rounded. `at` is when `source` said so.
    For example::

        {"body": {"at": "2026-11-23T15:00:00Z",
                  "base": "EUR",
                  "den": "10000",
                  "num": "10713",
                  "quote": "USD",
                  "source": "ECB reference rates"}}
    """

    signed_by = "the source, or the market"
    rules: ClassVar[Rules] = {"currency": "`base` and `quote` are two currencies"}

    type: Literal["fx.quote"]
    actor: Hex
    body: _Quote
    refs: tuple[()]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        if self.body.base == self.body.quote:
            yield self._broken("currency", f"body.quote: {self.body.quote}, which is the base")
