"""Verbs about datasets, models, training and what a model was used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from provenance.desk.base import Desk
from provenance.drafts import External, Named, parent_refs
from provenance.members import MAX_STORED, Member, Members
from provenance.moments import format_time
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["DataVerbs", "Input"]


class Input(NamedTuple):
    """What a model was trained on: a work or snapshot, for what `purpose`, on which `basis`, and what was found of it.

    `basis` is license, consent, exception, public-domain, contract or none; `verdict` permit, deny, claimed or unknown.
    """

    of: Named | External
    purpose: str = "train"
    basis: str = "none"
    verdict: str = "unknown"
    grant: Named | None = None


class DataVerbs(Desk):
    """From dataset to output."""

    @joins_async
    def snapshot(
        self,
        *,
        members: int | None = None,
        root: str | None = None,
        holds: Sequence[Member] | None = None,
        license: str | None = None,  # noqa: A002 - the field's word
        description: str | None = None,
        selection: str | None = None,
        creators: Sequence[Named] = (),
        parents: Sequence[Named | External] = (),
        relation: str = "other",
        title: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record a dataset as it is now: how many members, and the Merkle root over them (`provenance.members`).

        Both follow from what it `holds`, which is kept in the vault up to `members.MAX_STORED`; a longer list is kept
        by whoever made it. Without either it is only described: `description` is the SHA-256 of what describes it.
        `selection` is that of the code that chose the members. Raises `MalformedError` for members that are none.
        """
        listed = None if holds is None else Members(holds)
        if listed is not None:
            members, root = len(listed), listed.root.hex()
        kept = None if listed is None or len(listed) > MAX_STORED else listed.item()
        said = {
            "members": members,
            "root": root,
            "license": license,
            "description": description,
            "selection": selection,
        }
        refs: list[Mapping[str, Any]] = [{"role": "creator", "id": str(each)} for each in creators]
        refs += parent_refs(parents, relation)
        body = {name: value for name, value in said.items() if value is not None}
        draft = self.draft(
            "dataset.snapshot", body=body, refs=refs, personal={"title": title, "members": kept, "ref": ref}
        )
        return self._record(Request("snapshot", [draft], ref), session)

    @joins_async
    def register_model(
        self,
        *,
        version: str,
        creators: Sequence[Named],
        license: str | None = None,  # noqa: A002 - the field's word
        card: str | None = None,
        capabilities: Sequence[str] = (),
        limits: Sequence[str] = (),
        use_restrictions: Sequence[str] = (),
        digest: str | None = None,
        parents: Sequence[Named | External] = (),
        relation: str = "adapted",
        title: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record a model, which is a work. What it can do is its provider's word until somebody attests it.

        `card` and `digest` are SHA-256 of its card and of its weights.
        """
        body: dict[str, Any] = {
            "version": version,
            "capabilities": list(capabilities),
            "limits": list(limits),
            "use_restrictions": list(use_restrictions),
        }
        said = {"license": license, "card_digest": card}
        body |= {name: value for name, value in said.items() if value is not None}
        if digest is not None:
            body["digests"] = {"sha-256": digest}
        refs: list[Mapping[str, Any]] = [{"role": "creator", "id": str(each)} for each in creators]
        refs += parent_refs(parents, relation)
        draft = self.draft("model.register", body=body, refs=refs, personal={"title": title, "ref": ref})
        return self._record(Request("register_model", [draft], ref), session)

    @joins_async
    def train(
        self,
        model: Named,
        *,
        inputs: Sequence[Input],
        method: str,
        rights: str,
        checked_at: datetime | None = None,
        base: Sequence[Named] = (),
        exception: str | None = None,
        shared: bool | None = None,
        adaptation: bool | None = None,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record that a model was trained. A fact needs nobody's permission: what was not allowed is `rights` denied.

        `method` is pretrain, finetune, adapter, distil or merge; `rights` clear, denied, exception-claimed (then
        `exception` names it) or unknown. `checked_at` is when the inputs were checked, by default now.
        """
        body: dict[str, Any] = {
            "method": method,
            "rights": rights,
            "checked_at": format_time(checked_at or self._clock()),
        }
        said = {"exception": exception, "shared": shared, "adaptation": adaptation}
        body |= {name: value for name, value in said.items() if value is not None}
        refs: list[Mapping[str, Any]] = [{"role": "model", "id": str(model)}]
        refs += [{"role": "base", "id": str(each)} for each in base]
        refs += [_input(each) for each in inputs]
        draft = self.draft("model.train", body=body, refs=refs, personal={"ref": ref}, actor=actor)
        return self._record(Request("train", [draft], ref), session)

    @joins_async
    def run(
        self,
        *,
        models: Sequence[Named],
        state: str,
        inputs: Sequence[Named] = (),
        outputs: Sequence[Named] = (),
        began: Named | None = None,
        prompt: str | None = None,
        parameters: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record a run of models: `state` started, complete, failed or aborted. Prompt and parameters are personal.

        `began` is the run's own `started` event, which ends once.
        """
        refs = [{"role": "model", "id": str(each)} for each in models]
        refs += [{"role": "input", "id": str(each)} for each in inputs]
        refs += [{"role": "output", "id": str(each)} for each in outputs]
        refs += [] if began is None else [{"role": "prev", "id": str(began)}]
        personal = {"prompt": prompt, "parameters": parameters, "ref": ref}
        draft = self.draft("generation.run", body={"state": state}, refs=refs, personal=personal)
        return self._record(Request("run", [draft], ref), session)


def _input(given: Input) -> dict[str, Any]:
    found: dict[str, Any] = {
        "role": "input",
        "id": dict(given.of) if isinstance(given.of, Mapping) else str(given.of),
        "purpose": given.purpose,
        "basis": given.basis,
        "verdict": given.verdict,
    }
    if given.grant is not None:
        found["grant"] = str(given.grant)
    return found
