"""What is to be forgotten, for good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from provenance.errors import Reason
from provenance.events.envelope import Event, Model
from provenance.events.fields import Hex, Term

__all__ = ["ErasureExecute"]


class _Erasure(Model):
    targets: Annotated[tuple[Hex, ...], Field(min_length=1, max_length=10_000)]
    method: Term
    basis: Term


class ErasureExecute(Event):
    """Vault items are erased: nothing that was stored under these addresses is served from here on.

    `targets` are addresses of vault items, 64 hex digits each. `method` says how they are erased (`delete`), `basis` on
    what ground (`gdpr-17`). Never sealed: whoever restores a copy has to know. Maps to erasure under articles 17 and 19
    of the GDPR. For example::

        {"body": {"basis": "gdpr-17",
                  "method": "delete",
                  "targets": ["77c1f8a2b0d94e5f6a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f"]},
         "actor": "4be0643f1d98573b97cdca98a65347dd3d7f1c1b0d2b3a4c5d6e7f8091a2b3c4", "strength": "observed"}
    """

    type: Literal["erasure.execute"]
    actor: Hex
    body: _Erasure
    refs: tuple[()]
    commits: dict[Literal["ref"], Hex] = Field(max_length=0)

    def broken_rules(self) -> Iterator[Reason]:
        """`erasure.execute.targets`."""
        if len(set(self.body.targets)) != len(self.body.targets):
            yield Reason("erasure.execute.targets", "body.targets: an address stands there twice")
