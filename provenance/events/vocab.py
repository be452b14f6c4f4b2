"""Tables of words that the log adopts, and those that it only reads from then on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from ledger.errors import MalformedError
from provenance.canonical import address, dumps
from provenance.errors import Reason
from provenance.events.envelope import OPTIONAL, Event, EventRef, Model, OnlyRef, Roles, Rules
from provenance.events.fields import Hex, Term

__all__ = ["VocabAdopt", "VocabRetire"]


class _Adopt(Model):
    vocabulary: Term
    version: Term
    digest: Hex
    table: dict[str, Any] | None = None


class VocabAdopt(Event):
    """A version of a table may be used from here on. A new draft of a standard is a new table, never other code.

    `digest` is the SHA-256 of the table in canonical JSON; `table` is the table itself where no program brings it.
    Never sealed. `prev` is the adoption of the version before. Maps to releases of IPTC NewsCodes and of the AIPREF
    vocabulary. For example::

        {"body": {"digest": "5d2d9b1c66c2b3bcb6b3d4e1ffd3f5f8d9f9bc6b2dd94df1ef8bc9e5a9be9d4d",
                  "version": "08",
                  "vocabulary": "aipref"}}
    """

    signed_by = "the market"
    roles: ClassVar[Roles] = {"prev": OPTIONAL}
    rules: ClassVar[Rules] = {"digest": "`digest` is that of `table`, where it is there"}

    type: Literal["vocab.adopt"]
    actor: Hex
    body: _Adopt
    refs: tuple[EventRef[Literal["prev"]], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        if self.body.table is None:
            return
        try:
            found = address(dumps(self.body.table)).hex()
        except MalformedError as error:
            yield self._broken("digest", f"body.table: {error}")
            return
        if found != self.body.digest:
            yield self._broken("digest", f"body.digest: {self.body.digest}, but the table hashes to {found}")


class _Retire(Model):
    vocabulary: Term
    version: Term


class VocabRetire(Event):
    """A version of a table is read and no longer written. Never sealed.

    For example::

    {"body": {"version": "07", "vocabulary": "aipref"},
     "refs": [{"role": "adoption", "id": "300a8e60c1b0824876d3a56f62da8b2815ace57e8b22b104d35376de47798fdf"}]}
    """

    signed_by = "the market"
    roles: ClassVar[Roles] = {"adoption": OPTIONAL}

    type: Literal["vocab.retire"]
    actor: Hex
    body: _Retire
    refs: tuple[EventRef[Literal["adoption"]], ...]
    commits: OnlyRef
