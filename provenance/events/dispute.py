"""Disputes, from opening to end."""

from __future__ import annotations

from typing import ClassVar, Literal

from provenance.events.envelope import ONE, AnyRef, Ending, Event, EventRef, Model, OnlyRef, Roles
from provenance.events.fields import Hex
from provenance.events.vocabulary import Decision, DisputeTag

__all__ = ["DisputeAppeal", "DisputeCancel", "DisputeJudge", "DisputeOpen", "DisputeResolve"]


class _Open(Model):
    tag: DisputeTag
    evidence: Hex


class DisputeOpen(Event):
    """Something is disputed: any event, or a thing outside. What it says of it is a `tag` of a table.

    `evidence` is the SHA-256 of what shows it, on which no other dispute rests. Maps to disputes of Story. For
    example::

        {"body": {"evidence": "4fc82b26aecb47d2868c4efbe3581732a3e7cbcc6c2efb32062c08170a05eeb8",
                  "tag": "improper-registration"},
         "refs": [{"role": "target", "id": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"}]}
    """

    roles: ClassVar[Roles] = {"target": ONE}

    type: Literal["dispute.open"]
    actor: Hex
    body: _Open
    refs: tuple[AnyRef[Literal["target"]], ...]
    commits: OnlyRef


class _Judge(Model):
    decision: Decision
    evidence: Hex | None = None


class DisputeJudge(Event):
    """A dispute is judged, once: `upheld` or `dismissed`. What follows from that is for further events.

    `evidence` is the SHA-256 of the judgment's text. For example::

        {"body": {"decision": "upheld",
                  "evidence": "6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918"},
         "refs": [{"role": "dispute", "id": "3fdba35f04dc8c462986c992bcf875546257113072a909c162f7e470e581e278"}],
         "strength": "adjudicated"}
    """

    signed_by = "the market, or an arbiter with its mandate"
    roles: ClassVar[Roles] = {"dispute": ONE}

    type: Literal["dispute.judge"]
    actor: Hex
    body: _Judge
    refs: tuple[EventRef[Literal["dispute"]], ...]
    commits: OnlyRef


class DisputeResolve(Event):
    """A dispute that was judged ends: both sides are done with it.

    For example::

    {"body": {"reason": "settled"},
     "refs": [{"role": "dispute", "id": "3fdba35f04dc8c462986c992bcf875546257113072a909c162f7e470e581e278"}]}
    """

    signed_by = "who opened it, or the market for a custodial party"
    roles: ClassVar[Roles] = {"dispute": ONE}

    type: Literal["dispute.resolve"]
    actor: Hex
    body: Ending
    refs: tuple[EventRef[Literal["dispute"]], ...]
    commits: OnlyRef


class DisputeCancel(Event):
    """A dispute is taken back before it is judged.

    For example::

    {"body": {"reason": "mistaken"},
     "refs": [{"role": "dispute", "id": "3fdba35f04dc8c462986c992bcf875546257113072a909c162f7e470e581e278"}]}
    """

    signed_by = "who opened it, or the market for a custodial party"
    roles: ClassVar[Roles] = {"dispute": ONE}

    type: Literal["dispute.cancel"]
    actor: Hex
    body: Ending
    refs: tuple[EventRef[Literal["dispute"]], ...]
    commits: OnlyRef


class _Appeal(Model):
    evidence: Hex


class DisputeAppeal(Event):
    """A dispute that was judged is opened again on new evidence, and is judged for itself.

    For example::

    {"body": {"evidence": "e629fa6598d732768f7c726b4b621285f9c3b85303900aa912017db7617d8bdb"},
     "refs": [{"role": "dispute", "id": "3fdba35f04dc8c462986c992bcf875546257113072a909c162f7e470e581e278"}]}
    """

    signed_by = "either side"
    roles: ClassVar[Roles] = {"dispute": ONE}

    type: Literal["dispute.appeal"]
    actor: Hex
    body: _Appeal
    refs: tuple[EventRef[Literal["dispute"]], ...]
    commits: OnlyRef
