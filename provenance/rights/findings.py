"""What a rule about rights comes to. Unknown never becomes yes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

__all__ = ["Finding", "Verdict", "best", "worst"]

Verdict = Literal["ok", "ok_with_notice", "forbidden", "unknown"]
"""Allowed · allowed, and something has to be said or done with it · not allowed · nothing here says that it is."""

_ORDER: tuple[Verdict, ...] = ("ok", "ok_with_notice", "unknown", "forbidden")


class Finding(NamedTuple):
    """One rule, what it comes to, and why in a sentence. `parent` is the id of the parent that it is about, or ""."""

    rule: str
    verdict: Verdict
    sentence: str
    parent: str = ""

    @property
    def fails(self) -> bool:
        """Whether it keeps from acting: `forbidden` and `unknown` do."""
        return self.verdict in {"forbidden", "unknown"}


def worst(findings: Iterable[Finding]) -> Finding:
    """The finding that decides where all have to hold: forbidden, then unknown, then a notice; the first of equals."""
    return max(findings, key=lambda finding: _ORDER.index(finding.verdict))


def best(findings: Iterable[Finding]) -> Finding:
    """The finding that decides where any is enough; the first of equals."""
    return min(findings, key=lambda finding: _ORDER.index(finding.verdict))
