"""Works: how they came about, what they were made from, which content credentials they carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field

from provenance.errors import Reason
from provenance.events.envelope import (
    MANY,
    MAX_PARENTS,
    ONE,
    SOME,
    Event,
    Model,
    OnlyRef,
    RefId,
    Roles,
    Rules,
    Times,
)
from provenance.events.fields import Digest, Hex, ManifestLabel, MediaType, Rate, Size, Term, Token, Version
from provenance.events.vocabulary import (
    CreatorRole,
    DigestName,
    HumanContribution,
    ManifestState,
    Relation,
    SourceType,
    Tools,
)
from provenance.vocabularies import Vocabularies

__all__ = [
    "CreatorRef",
    "Digests",
    "ParentRef",
    "ToolRef",
    "WorkCreate",
    "WorkDerive",
    "WorkManifest",
    "WorkRef",
]


def _whole_digests(digests: dict[DigestName, str]) -> dict[DigestName, str]:
    if "sha-256" not in digests:
        msg = "no sha-256, by which the work is found"
        raise ValueError(msg)
    for name, digest in digests.items():
        want = int(name[-3:]) // 4
        if len(digest) != want:
            msg = f"{name} of {len(digest)} hex digits, want {want}"
            raise ValueError(msg)
    return digests


Digests = Annotated[dict[DigestName, Digest], AfterValidator(_whole_digests)]
"""Digests of one file by the name of the algorithm, in hex; sha-256 is always there."""


class CreatorRef(Model):
    """A party that made the work, `as` what. Written `{"role": "creator", "id": …, "as": "author"}`."""

    role: Literal["creator"]
    id: RefId
    as_: Annotated[CreatorRole | None, Field(alias="as")] = None


class ToolRef(Model):
    """A model or program that the work was made with: a party, or a model that is a work itself."""

    role: Literal["tool"]
    id: RefId


class ParentRef(Model):
    """A work that this one was made from.

    `grant` is the event id of the grant it was used under, `exception` the statutory one that is claimed instead,
    `rate` the share that is owed to it, in units of 10^-8.
    """

    role: Literal["parent"]
    id: RefId
    relation: Relation
    grant: Hex | None = None
    exception: Term | None = None
    rate: Rate | None = None


class WorkRef(Model):
    """The work that the event is about."""

    role: Literal["work"]
    id: RefId


class _Work(Model):
    digests: Digests
    media_type: MediaType
    size: Size
    source_type: SourceType
    human_contribution: HumanContribution
    tools: Tools


_Party = Hex
_WorkCommits = dict[Literal["title", "ref"], Hex]
_WORK_RULES = {
    "tools": "`tools` is listed exactly when refs name some, and never none for what a program made",
}


class WorkCreate(Event):
    """A work came about; the id of this event is the work's id.

    `digests` are of the file's bytes, `size` in bytes, `source_type` an IPTC digital source type. `tools` is "listed"
    exactly when refs name some. Personal: `title`, `ref`. Maps to PROV Entity with wasGeneratedBy and wasAttributedTo,
    C2PA c2pa.created, IPTC DigitalSourceType. For example::

        {"body": {"digests": {"sha-256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                  "human_contribution": "full",
                  "media_type": "image/jpeg",
                  "size": 2471183,
                  "source_type": "digitalCapture",
                  "tools": "none"},
         "refs": [{"role": "creator", "as": "photographer",
                   "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}],
         "personal": {"title": "Dunes at dawn"}}
    """

    signed_by = "a creator, or who registers it for them (`observed`)"
    roles: ClassVar[Roles] = {"creator": SOME, "tool": MANY}
    rules: ClassVar[Rules] = _WORK_RULES

    type: Literal["work.create"]
    actor: _Party
    body: _Work
    refs: tuple[Annotated[CreatorRef | ToolRef, Discriminator("role")], ...]
    commits: _WorkCommits

    def _breaks(self) -> Iterator[Reason]:
        yield from _broken_work_rules(self)

    def _misspoken(self, vocabularies: Vocabularies) -> Iterator[Reason]:
        yield from super()._misspoken(vocabularies)
        yield from _hidden_tools(self, vocabularies)


class WorkDerive(Event):
    """A work was made from others, all of them named at once; the id of this event is the work's id.

    As `work.create`, with one ref for each parent. Naming a parent is stating a fact, not having its permission. Maps
    to PROV wasDerivedFrom and to C2PA ingredients. For example::

        {"body": {"digests": {"sha-256": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
                  "human_contribution": "some",
                  "media_type": "image/png",
                  "size": 913402,
                  "source_type": "compositeWithTrainedAlgorithmicMedia",
                  "tools": "undisclosed"},
         "refs": [{"role": "parent", "relation": "edited", "rate": "5000000",
                   "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"},
                  {"role": "parent", "relation": "sampled", "id": {"scheme": "doi", "id": "10.1000/182"}},
                  {"role": "creator", "as": "editor",
                   "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}],
         "personal": {"title": "Dunes, at night"}}
    """

    signed_by = "a creator, or who registers it for them (`observed`)"
    roles: ClassVar[Roles] = {"parent": Times(1, MAX_PARENTS, "parents"), "creator": SOME, "tool": MANY}
    rules: ClassVar[Rules] = _WORK_RULES

    type: Literal["work.derive"]
    actor: _Party
    body: _Work
    refs: tuple[Annotated[CreatorRef | ToolRef | ParentRef, Discriminator("role")], ...]
    commits: _WorkCommits

    def _breaks(self) -> Iterator[Reason]:
        yield from _broken_work_rules(self)

    def _misspoken(self, vocabularies: Vocabularies) -> Iterator[Reason]:
        yield from super()._misspoken(vocabularies)
        yield from _hidden_tools(self, vocabularies)


class _Tool(Model):
    name: Token
    version: Version


class _Manifest(Model):
    label: ManifestLabel
    store_digest: Hex
    file_digest: Hex
    file_size: Size
    signer: Hex
    state: ManifestState
    validation: Annotated[tuple[Term, ...], Field(max_length=500)]
    tool: _Tool
    binding: Literal["embedded", "sidecar"]


class WorkManifest(Event):
    """Content credentials were attached to a work, signed and read again.

    `label` names the manifest, `store_digest` and `file_digest` are SHA-256 of the manifest store and of the final file
    (`file_size` in bytes), `signer` is the SHA-256 of the certificate's DER; `state` and `validation` are what `tool`
    found when it read the file. Maps to the active manifest of C2PA. For example::

        {"body": {"binding": "embedded",
                  "file_digest": "084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5",
                  "file_size": 2493377,
                  "label": "urn:c2pa:3f0a6d0e-4d8f-4c35-8f0c-2f4b6a1f7f10",
                  "signer": "e52d9c508c502347344d8c07ad91cbd6068afc75ff6292f062a09ca381c89e71",
                  "state": "Valid",
                  "store_digest": "e77b9a9ae9e30b0dbdb6f510a264ef9de781501d7b6b92ae89eb059c5ab743db",
                  "tool": {"name": "c2pa-python", "version": "0.38.1"},
                  "validation": ["claimSignature.validated", "assertion.dataHash.match"]},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}]}
    """

    signed_by = "who attached them: the market, or a creator"
    roles: ClassVar[Roles] = {"work": ONE}

    type: Literal["work.manifest"]
    actor: _Party
    body: _Manifest
    refs: tuple[WorkRef, ...]
    commits: OnlyRef


def _broken_work_rules(event: WorkCreate | WorkDerive) -> Iterator[Reason]:
    tools = event.body.tools
    roles = [ref.role for ref in event.refs]
    if (tools == "listed") != ("tool" in roles):
        text = f"body.tools: {tools} with {roles.count('tool')} tools in refs; it is listed exactly when refs name some"
        yield Reason(f"{event.type}.tools", text)


def _hidden_tools(event: WorkCreate | WorkDerive, vocabularies: Vocabularies) -> Iterator[Reason]:
    source = event.body.source_type
    term = vocabularies.term("iptc-digital-source-type", source)
    if event.body.tools == "none" and term is not None and term.facts.get("generative") is True:
        yield Reason(f"{event.type}.tools", f"body.tools: none, but {source} has tools: name one, or say undisclosed")
