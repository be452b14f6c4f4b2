"""Who may erase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provenance.before import Act, Before
from provenance.errors import Reason

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _by_the_market(act: Act, before: Before) -> Iterator[Reason]:
    """`erasure.actor`: the vault is the market's."""
    if act.issuer != before.market:
        text = f"{act.issuer.hex()} is not the market, which alone erases from its vault"
        yield Reason("erasure.actor", text, (act.id,))


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType({"erasure.execute": (_by_the_market,)})
