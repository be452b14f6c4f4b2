"""What this layer adds to the error tree of `ledger.errors`."""

from __future__ import annotations

from typing import NamedTuple

from ledger.errors import LedgerError

__all__ = ["EventRejected", "MissingExtra", "Reason"]


class Reason(NamedTuple):
    """One rule that an event breaks: the rule's id, a sentence, and the event ids (hex) involved."""

    rule: str
    sentence: str
    events: tuple[str, ...] = ()


class EventRejected(LedgerError):
    """An event breaks at least one rule. ``reasons`` lists all of them, never just the first."""

    def __init__(self, *reasons: Reason) -> None:
        if not reasons:
            msg = "an EventRejected needs at least one reason"
            raise TypeError(msg)
        super().__init__("; ".join(f"{r.rule}: {r.sentence}" for r in reasons))
        self.reasons = reasons


class MissingExtra(LedgerError, ImportError):
    """A verb needs an optional dependency. The message names the extra to install."""

    def __init__(self, verb: str, extra: str) -> None:
        super().__init__(f"{verb} needs the optional part `{extra}`: pip install 'provenance-ledger[{extra}]'")
        self.extra = extra
