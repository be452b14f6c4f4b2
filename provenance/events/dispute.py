"""Disputes, from opening to end."""

from __future__ import annotations

from typing import ClassVar, Literal

from provenance.events.envelope import ONE, OPTIONAL, AnyRef, Ending, Event, EventRef, Model, OnlyRef, Roles
from provenance.events.fields import Hex
from provenance.events.vocabulary import Decision, DisputeTag

__all__ = ["DisputeAppeal", "DisputeCancel", "DisputeJudge", "DisputeOpen", "DisputeResolve"]


class _Open(Model):
    tag: DisputeTag
    evidence: Hex


class DisputeOpen(Event):
    """Something is disputed: any event, or a thing outside. What it says of it is a `tag` of a table.

    `prev` is the dispute about the same event before it, where there was one. `evidence` is the SHA-256 of what shows
    it, on which no other dispute rests. Maps to disputes of Story. For example::

        {"body": {"evidence": "e160e86ecb571cb0703b47969f37d9942648529a68113ec29c5332c83b3b76e6",
                  "tag": "improper-registration"},
         "refs": [{"role": "target", "id": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"}]}
    """

    roles: ClassVar[Roles] = {"target": ONE, "prev": OPTIONAL}

    type: Literal["dispute.open"]
    actor: Hex
    body: _Open
    refs: tuple[AnyRef[Literal["target"]] | EventRef[Literal["prev"]], ...]
    commits: OnlyRef


class _Judge(Model):
    decision: Decision
    evidence: Hex | None = None


class DisputeJudge(Event):
    """A dispute is judged, once: `upheld` or `dismissed`. What follows from that is for further events.

    `evidence` is the SHA-256 of the judgment's text. For example::

        {"body": {"decision": "upheld",
                  "evidence": "556221e2997d645f1014158691812837a86109140cfcaf1558e8e34150f9d197"},
         "refs": [{"role": "dispute", "id": "1253299ab79057f6900d6444b05109a863f77b0db7190c2d0fa7c366e9da85d9"}],
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
     "refs": [{"role": "dispute", "id": "1253299ab79057f6900d6444b05109a863f77b0db7190c2d0fa7c366e9da85d9"}]}
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
     "refs": [{"role": "dispute", "id": "1253299ab79057f6900d6444b05109a863f77b0db7190c2d0fa7c366e9da85d9"}]}
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

    {"body": {"evidence": "480e76a4515e269d7e861b90815b546b0fa4f66b077fc8302209ef567c141b0c"},
     "refs": [{"role": "dispute", "id": "1253299ab79057f6900d6444b05109a863f77b0db7190c2d0fa7c366e9da85d9"}]}
    """

    signed_by = "either side"
    roles: ClassVar[Roles] = {"dispute": ONE}

    type: Literal["dispute.appeal"]
    actor: Hex
    body: _Appeal
    refs: tuple[EventRef[Literal["dispute"]], ...]
    commits: OnlyRef
