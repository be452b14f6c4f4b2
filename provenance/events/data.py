"""Datasets, models, training, and what a model was used for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from provenance.errors import Reason
from provenance.events.envelope import (
    MANY,
    MAX_PARENTS,
    ONE,
    OPTIONAL,
    SOME,
    AnyRef,
    Event,
    EventRef,
    Model,
    OnlyRef,
    RefId,
    Roles,
    Rules,
    Times,
    repeated,
)
from provenance.events.fields import Count, Hex, License, Term, Time, Version
from provenance.events.vocabulary import AiUse, RunState, TrainingBasis, TrainingMethod, TrainingRights, Verdict
from provenance.events.work import CreatorRef, Digests, ParentRef, ToolRef

__all__ = ["DatasetSnapshot", "GenerationRun", "InputRef", "ModelRegister", "ModelTrain"]

_Words = Annotated[tuple[Term, ...], Field(max_length=200)]


class _Snapshot(Model):
    members: Count | None = None
    root: Hex | None = None
    selection: Hex | None = None
    license: License | None = None
    description: Hex | None = None


class DatasetSnapshot(Event):
    """A dataset as it is now, which is a work; the id of this event is its id.

    `root` is the Merkle root (RFC 9162 §2.1) over its `members`, each a line of canonical JSON with `digest`, `license`
    and `verdict`, sorted by digest: each can be proven to be in it, and others not to be; without both it is only
    described. `selection` is the SHA-256 of the code that chose them, `description` that of a file that describes it.
    `prev` is the snapshot before. Personal: `title`, `members` (the list, as an array), `ref`. Maps to a Croissant
    Dataset, SPDX DatasetPackage. For example::

        {"body": {"license": "CC-BY-4.0",
                  "members": 120000,
                  "root": "4e9d90e6c509617481420bdaa2721f8e8030c0bacbecb524841c2101766b52ba",
                  "selection": "af80bff37cdc65acd7719cae07a7ef9aad9b829b201221c6066937d6726ca4ab"},
         "refs": [{"role": "creator", "as": "curator",
                   "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"},
                  {"role": "parent", "relation": "composed", "id": {"scheme": "huggingface", "id": "common-pile/v1"}}],
         "personal": {"title": "Dunes, the training set"}}
    """

    signed_by = "who compiled it, or the market"
    roles: ClassVar[Roles] = {"creator": MANY, "parent": Times(0, MAX_PARENTS), "prev": OPTIONAL}
    rules: ClassVar[Rules] = {"members": "`members` and `root` are both there or neither"}

    type: Literal["dataset.snapshot"]
    actor: Hex
    body: _Snapshot
    refs: tuple[Annotated[CreatorRef | ParentRef | EventRef[Literal["prev"]], Discriminator("role")], ...]
    commits: dict[Literal["title", "members", "ref"], Hex]

    def _breaks(self) -> Iterator[Reason]:
        if (self.body.members is None) != (self.body.root is None):
            which = ("members", "root") if self.body.root is None else ("root", "members")
            yield self._broken("members", f"body.{which[0]}: said without {which[1]}, want both or neither")


class _Register(Model):
    version: Version
    license: License | None = None
    card_digest: Hex | None = None
    capabilities: _Words
    limits: _Words
    use_restrictions: _Words
    digests: Digests | None = None


class ModelRegister(Event):
    """A model came about, which is a work; the id of this event is its id.

    `digests` are of its weights, `card_digest` is the SHA-256 of its card. What it can do is its provider's word until
    somebody attests it. Personal: `title`, `ref`. Maps to SPDX AIPackage, PROV Entity. For example::

        {"body": {"capabilities": ["text-to-image"],
                  "card_digest": "5ea3660f6a8b984cc3eab4104498eedcd874afc3d4a34f09fbc8d8cb8da82104",
                  "digests": {"sha-256": "3fe1c37b6efdbdc95c0ab370b71e6faad5071619eceea38a551a2d6e141d3da8"},
                  "license": "LicenseRef-scancode-bigscience-open-rail-m",
                  "limits": ["no-text-in-images"],
                  "use_restrictions": ["no-biometric-identification"],
                  "version": "2.1.0"},
         "refs": [{"role": "creator", "as": "model-provider",
                   "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}],
         "personal": {"title": "Dune"}}
    """

    signed_by = "its provider, or the market"
    roles: ClassVar[Roles] = {"creator": SOME, "parent": Times(0, MAX_PARENTS), "tool": MANY}
    rules: ClassVar[Rules] = {"repeated": "nothing stands twice in a list"}

    type: Literal["model.register"]
    actor: Hex
    body: _Register
    refs: tuple[Annotated[CreatorRef | ParentRef | ToolRef, Discriminator("role")], ...]
    commits: dict[Literal["title", "ref"], Hex]

    def _breaks(self) -> Iterator[Reason]:
        for name in ("capabilities", "limits", "use_restrictions"):
            if repeated(getattr(self.body, name)):
                yield self._broken("repeated", f"body.{name}: a value stands there twice")


class InputRef(Model):
    """What a model was trained on, for which `purpose`, on which `basis`, and what was found of it."""

    role: Literal["input"]
    id: RefId
    purpose: AiUse
    basis: TrainingBasis
    verdict: Verdict
    grant: Hex | None = None


class _Train(Model):
    method: TrainingMethod
    checked_at: Time
    rights: TrainingRights
    exception: Term | None = None
    shared: bool | None = None
    adaptation: bool | None = None


class ModelTrain(Event):
    """A model was trained. A fact needs nobody's permission: what was not allowed is recorded with `rights` denied.

    `checked_at` is when the inputs were checked, `exception` the statutory one that is claimed (`cdsm-4`); `shared` and
    `adaptation` say whether its output is shared and adapts its inputs, on which licenses of Creative Commons depend.
    Maps to SPDX trainedOn, and to the summary of article 53(1)(d) of the AI Act. For example::

        {"body": {"checked_at": "2026-11-20T08:00:00Z",
                  "exception": "cdsm-4",
                  "method": "finetune",
                  "rights": "exception-claimed"},
         "refs": [{"role": "model", "id": "cafb2ee54daa5aff67516c9e1fa6026f03ede9ed747717e9385a385d6afbe0f0"},
                  {"role": "base", "id": {"scheme": "huggingface", "id": "dunes/base-7b"}},
                  {"role": "input", "purpose": "train", "basis": "exception", "verdict": "claimed",
                   "id": "4e9d90e6c509617481420bdaa2721f8e8030c0bacbecb524841c2101766b52ba"}]}
    """

    signed_by = "who trained it, or the market"
    roles: ClassVar[Roles] = {"model": ONE, "base": MANY, "input": SOME}
    rules: ClassVar[Rules] = {
        "rights": "with an input that is denied the rights are not clear; clear needs a permit for each input",
        "exception": "an exception is named where one is claimed, and nowhere else",
    }

    type: Literal["model.train"]
    actor: Hex
    body: _Train
    refs: tuple[
        Annotated[AnyRef[Literal["model"]] | AnyRef[Literal["base"]] | InputRef, Discriminator("role")],
        ...,
    ]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        inputs = [ref for ref in self.refs if isinstance(ref, InputRef)]
        rights, exception = self.body.rights, self.body.exception
        verdicts = {ref.verdict for ref in inputs}
        if rights == "clear" and verdicts - {"permit"}:
            text = f"body.rights: clear, but the verdict of an input is {', '.join(sorted(verdicts - {'permit'}))}"
            yield self._broken("rights", text)
        elif "deny" in verdicts and rights not in {"denied", "exception-claimed"}:
            yield self._broken("rights", f"body.rights: {rights}, but the verdict of an input is deny")
        if (rights == "exception-claimed") and exception is None:
            yield self._broken(
                "exception", "body.exception: absent, but rights are exception-claimed; name the statute"
            )
        claimed = rights == "exception-claimed" or any(ref.basis == "exception" for ref in inputs)
        if exception is not None and not claimed:
            yield self._broken("exception", f"body.exception: {exception}, but nothing rests on it")


class _Run(Model):
    state: RunState


class GenerationRun(Event):
    """A model ran. A run that began is ended once, by an event with it as `prev`; one event can say all of it, too.

    Personal: `parameters`, `prompt`, `ref`. Maps to an OpenLineage run, PROV Activity. For example::

        {"body": {"state": "complete"},
         "refs": [{"role": "model", "id": "cafb2ee54daa5aff67516c9e1fa6026f03ede9ed747717e9385a385d6afbe0f0"},
                  {"role": "output", "id": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"}],
         "personal": {"prompt": "dunes at night, long exposure"}}
    """

    signed_by = "who ran it, or the market"
    roles: ClassVar[Roles] = {"model": SOME, "input": MANY, "output": MANY, "prev": OPTIONAL}
    rules: ClassVar[Rules] = {
        "output": "a complete run has an output; one that only started has none",
        "prev": "what only started follows on nothing",
    }

    type: Literal["generation.run"]
    actor: Hex
    body: _Run
    refs: tuple[
        Annotated[
            AnyRef[Literal["model"]] | AnyRef[Literal["input"]] | AnyRef[Literal["output"]] | EventRef[Literal["prev"]],
            Discriminator("role"),
        ],
        ...,
    ]
    commits: dict[Literal["parameters", "prompt", "ref"], Hex]

    def _breaks(self) -> Iterator[Reason]:
        state, found = self.body.state, {ref.role for ref in self.refs}
        if state == "complete" and "output" not in found:
            yield self._broken("output", "body.state: complete without an output in refs")
        if state == "started":
            if "output" in found:
                yield self._broken("output", "body.state: started with an output in refs; its end names that")
            if "prev" in found:
                yield self._broken("prev", "body.state: started with a prev in refs; a run starts once")
