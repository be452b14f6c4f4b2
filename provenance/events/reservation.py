"""What a holder of rights keeps from programs that learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from provenance.errors import Reason
from provenance.events.envelope import OPTIONAL, Event, EventRef, Model, OnlyRef, Roles, Rules
from provenance.events.fields import ExternalId, Hex, Term, Time
from provenance.events.vocabulary import AiUse, Reservation, SelectorKind

__all__ = ["ReservationDeclare"]


class _Selector(Model):
    """What it is about: the work in refs, or what this digest, ISCC or URL pattern finds."""

    kind: SelectorKind
    value: ExternalId | None = None


class _Declare(Model):
    statements: Annotated[dict[AiUse, Reservation], Field(min_length=1)]
    source: Term
    table: Term
    raw: Hex | None = None
    valid_from: Time | None = None
    selector: _Selector


class ReservationDeclare(Event):
    """Uses by programs are reserved or allowed, as a holder said it somewhere or says it here. Not retroactive.

    `statements` say it in the categories here, by the mapping `table`, from what stood in the vocabulary `source`;
    `raw` is the SHA-256 of its bytes as they were found. It holds from `valid_from` on, else from here. `prev` is the
    declaration that this one replaces. Maps to AIPREF, CAWG training and data mining, TDMRep, RSL, and to article 4(3)
    of the CDSM directive. For example::

        {"body": {"raw": "06b49d06653e027fa96af064e0d1af8bbd0e61db61938eccdd7cb2a087a2de17",
                  "selector": {"kind": "work"},
                  "source": "cawg-1.1",
                  "statements": {"mining": "allow", "train": "disallow", "train_generative": "constrained"},
                  "table": "cawg-ai-use-1",
                  "valid_from": "2026-11-01T00:00:00Z"},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}]}
    """

    signed_by = "a holder, or whoever observed it (`observed`)"
    roles: ClassVar[Roles] = {"work": OPTIONAL, "prev": OPTIONAL}
    rules: ClassVar[Rules] = {
        "selector": "`kind` work has a work in refs and no `value`; any other has a `value`; a digest is a SHA-256",
    }

    type: Literal["reservation.declare"]
    actor: Hex
    body: _Declare
    refs: tuple[Annotated[EventRef[Literal["work"]] | EventRef[Literal["prev"]], Discriminator("role")], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        kind, value = self.body.selector.kind, self.body.selector.value
        if kind == "work":
            if not any(ref.role == "work" for ref in self.refs):
                yield self._broken("selector", "refs: none of role work, which body.selector asks for")
            if value is not None:
                yield self._broken("selector", "body.selector.value: said, but the kind is work")
        elif value is None:
            yield self._broken("selector", f"body.selector.value: absent, want the {kind}")
        elif kind == "digest" and (len(value) != 64 or not set(value) <= set("0123456789abcdef")):
            yield self._broken("selector", "body.selector.value: no SHA-256 in 64 lower-case hex digits")
