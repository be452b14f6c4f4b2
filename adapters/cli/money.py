"""Prices as people type and read them: minor units (`1250EUR`), or with the currency's decimals (`12.50EUR`)."""

from __future__ import annotations

import re

from iso4217 import Currency

from ledger.errors import MalformedError
from provenance.drafts import Money

__all__ = ["format_money", "parse_money"]

_PRICE = re.compile(r"([0-9]+)(?:\.([0-9]+))? ?([A-Z]{3})", re.ASCII)


def parse_money(text: str) -> Money:
    """Read `1250EUR` (minor units) or `12.50EUR`; with a point all decimals of the currency have to be there.

    Raises `MalformedError`: what could be read in two ways is not a price.
    """
    match = _PRICE.fullmatch(text.strip())
    if match is None:
        msg = f"price {text[:40]!r}: want an amount and an ISO 4217 code: 12.50EUR, or in minor units 1250EUR"
        raise MalformedError(msg)
    whole, part, currency = match.groups()
    decimals = _decimals(currency)
    if decimals is None:
        msg = f"price {text[:40]!r}: {currency} is no currency with minor units in ISO 4217"
        raise MalformedError(msg)
    if part is not None and len(part) != decimals:
        want = f"{decimals} digits after the point" if decimals else "no point"
        msg = f"price {text[:40]!r}: {currency} has {want}; or give minor units without a point"
        raise MalformedError(msg)
    return Money(int(whole + (part or "")), currency)


def format_money(money: Money) -> str:
    """`12.50 EUR` for 1250 minor units of EUR; minor units as they are for a code that ISO 4217 does not know."""
    decimals = _decimals(money.currency) or 0
    digits = str(money.amount).rjust(decimals + 1, "0")
    amount = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    return f"{amount} {money.currency}"


def _decimals(currency: str) -> int | None:
    try:
        return Currency(currency).exponent
    except ValueError:
        return None
