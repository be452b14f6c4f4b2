"""What is said of a work after it came about: other files of it, its state, parents that were found out late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator

from provenance.errors import Reason
from provenance.events.envelope import (
    MANY,
    MAX_PARENTS,
    ONE,
    OPTIONAL,
    Event,
    EventRef,
    Model,
    OnlyRef,
    Roles,
    Rules,
    Times,
)
from provenance.events.fields import Hex, MediaType, Size, Term
from provenance.events.vocabulary import (
    AliasRelation,
    AmendCause,
    HumanContribution,
    SourceType,
    VersionRelation,
    WorkState,
)
from provenance.events.work import CreatorRef, Digests, ParentRef

__all__ = ["DeriveAmend", "WorkAlias", "WorkStatus", "WorkVersion"]

_OWNER = "a creator or owner of the work, or the market"


class _File(Model):
    digests: Digests
    media_type: MediaType
    size: Size


class _Alias(_File):
    relation: AliasRelation


class WorkAlias(Event):
    """Another file of the same work: it is found by these digests too, and has the work's rights.

    `relation` is `same-bits` or `re-encode`; `size` in bytes. Maps to PROV alternateOf. For example::

        {"body": {"digests": {"sha-256": "4cacd03d2c9f71632ac13b56e2ce41e413199d5a56732bfb8b0e9dfa6ba58631"},
                  "media_type": "image/webp",
                  "relation": "re-encode",
                  "size": 310772},
         "refs": [{"role": "of", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}]}
    """

    signed_by = _OWNER
    roles: ClassVar[Roles] = {"of": ONE}

    type: Literal["work.alias"]
    actor: Hex
    body: _Alias
    refs: tuple[EventRef[Literal["of"]], ...]
    commits: OnlyRef


class _Version(_File):
    relation: VersionRelation
    source_type: SourceType | None = None
    human_contribution: HumanContribution | None = None


class WorkVersion(Event):
    """A version of a work with bytes of its own: a `crop`, or a `revision`.

    `size` in bytes; `source_type` and `human_contribution` are those of the work where they are not said. Maps to PROV
    specializationOf. For example::

        {"body": {"digests": {"sha-256": "cafb2ee54daa5aff67516c9e1fa6026f03ede9ed747717e9385a385d6afbe0f0"},
                  "human_contribution": "full",
                  "media_type": "image/jpeg",
                  "relation": "crop",
                  "size": 804113,
                  "source_type": "humanEdits"},
         "refs": [{"role": "of", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"},
                  {"role": "creator", "as": "editor",
                   "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}]}
    """

    signed_by = _OWNER
    roles: ClassVar[Roles] = {"of": ONE, "creator": MANY}

    type: Literal["work.version"]
    actor: Hex
    body: _Version
    refs: tuple[Annotated[EventRef[Literal["of"]] | CreatorRef, Discriminator("role")], ...]
    commits: OnlyRef


class _Amend(Model):
    cause: AmendCause


class DeriveAmend(Event):
    """Parents of a work that were not named when it was recorded. They count from here on: what was settled stays.

    `cause` is `discovered`, or `judged` by the `judgment`. Maps to PROV wasDerivedFrom, said later. For example::

        {"body": {"cause": "discovered"},
         "refs": [{"role": "child", "id": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
                  {"role": "parent", "relation": "sampled", "id": {"scheme": "doi", "id": "10.1000/182"}}]}
    """

    signed_by = "the side of the child; with a `judgment` also the market"
    roles: ClassVar[Roles] = {"child": ONE, "parent": Times(1, MAX_PARENTS), "judgment": OPTIONAL}
    rules: ClassVar[Rules] = {"judgment": "a judgment is named exactly when the cause is `judged`"}

    type: Literal["derive.amend"]
    actor: Hex
    body: _Amend
    refs: tuple[
        Annotated[
            EventRef[Literal["child"]] | ParentRef | EventRef[Literal["judgment"]],
            Discriminator("role"),
        ],
        ...,
    ]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        named = any(ref.role == "judgment" for ref in self.refs)
        if named != (self.body.cause == "judged"):
            text = f"body.cause: {self.body.cause} with {'a' if named else 'no'} judgment in refs"
            yield self._broken("judgment", text)


class _Status(Model):
    state: WorkState
    reason: Term


class WorkStatus(Event):
    """The state of a work changes: nothing is licensed of one that is not active.

    Each names the state before it as `prev`. `suspended` and `takendown` are the host's own; `deleted` is final. Maps
    to account states of atproto. For example::

        {"body": {"reason": "rights-claim", "state": "takendown"},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}]}
    """

    signed_by = "a creator or owner of the work, or the market; `suspended` and `takendown` by the market"
    roles: ClassVar[Roles] = {"work": ONE, "prev": OPTIONAL}

    type: Literal["work.status"]
    actor: Hex
    body: _Status
    refs: tuple[Annotated[EventRef[Literal["work"]] | EventRef[Literal["prev"]], Discriminator("role")], ...]
    commits: OnlyRef
