"""What a verb returns, and what proves it later."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.proof import Proof

__all__ = ["Receipt", "Ticket"]


@dataclass(frozen=True, slots=True)
class Ticket:
    """An accepted event. Usable wherever a party, work, terms or offer is asked for; `str(ticket)` is the event id.

    A pure function of the event: a retry after a lost reply returns an equal one.
    """

    id: str  # event id, 64 hex digits
    type: str
    ref: str | None = None

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True)
class Receipt:
    """That an event stands in the log: for whoever holds the policy, together with the entry bytes."""

    ticket: Ticket
    index: int
    proof: Proof
    entry: bytes
    event: bytes | None  # None when it cannot be read here any more
