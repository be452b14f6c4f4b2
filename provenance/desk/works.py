"""Verbs about works: other files of one, its state, what it was made from after all, and how it is credited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provenance.before import Before
from provenance.content import digest_file, media_type_of
from provenance.desk.base import Desk, follows
from provenance.drafts import External, Named, parent_refs
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["WorkVerbs"]


class WorkVerbs(Desk):
    """What is said of a work after it was recorded."""

    @joins_async
    def alias(
        self,
        work: Named,
        file: str | Path,
        *,
        relation: str = "re-encode",
        media_type: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record another file of the same work: `relation` is same-bits or re-encode. It has the work's rights."""
        body = _file_body(file, media_type, relation=relation)
        draft = self.draft("work.alias", body=body, refs=[{"role": "of", "id": str(work)}], personal={"ref": ref})
        return self._record(Request("alias", [draft], ref, file=file), session)

    @joins_async
    def version(
        self,
        work: Named,
        file: str | Path,
        *,
        relation: str = "revision",
        creators: Sequence[Named] = (),
        media_type: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record a version of a work with bytes of its own: `relation` is crop or revision."""
        body = _file_body(file, media_type, relation=relation)
        refs = [{"role": "of", "id": str(work)}, *({"role": "creator", "id": str(each)} for each in creators)]
        draft = self.draft("work.version", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("version", [draft], ref, file=file), session)

    @joins_async
    def set_status(
        self, work: Named, state: str, *, reason: str, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """Record the state of a work: active, deactivated, suspended, takendown or deleted, with a reason in one word.

        Nothing is licensed of a work that is not active. `takedown` erases as well.
        """

        def make(before: Before) -> Request:
            refs = [{"role": "work", "id": str(work)}, *follows(before, "work.status", bytes.fromhex(str(work)))]
            body = {"state": state, "reason": reason}
            return Request("set_status", [self.draft("work.status", body=body, refs=refs, personal={"ref": ref})], ref)

        return self._record(make, session)

    @joins_async
    def amend(
        self,
        work: Named,
        *,
        parents: Sequence[Named | External],
        relation: str = "other",
        judgment: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record parents of a work that were found out late, or that a `judgment` (of an upheld dispute) names.

        It counts from its own place in the log on: what was settled before stays.
        """
        refs: list[Mapping[str, Any]] = [{"role": "child", "id": str(work)}, *parent_refs(parents, relation)]
        if judgment is not None:
            refs.append({"role": "judgment", "id": str(judgment)})
        body = {"cause": "discovered" if judgment is None else "judged"}
        draft = self.draft("derive.amend", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("amend", [draft], ref), session)

    @joins_async
    def credit(
        self,
        work: Named,
        *,
        mode: str = "named",
        text: str | None = None,
        link: str | None = None,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record how a work is to be credited: named, pseudonym, anonymous or remove-me. Text and link are personal."""

        def make(before: Before) -> Request:
            refs = [{"role": "work", "id": str(work)}, *follows(before, "attribution", bytes.fromhex(str(work)))]
            personal = {"credit": text, "link": link, "ref": ref}
            draft = self.draft("attribution.set", body={"mode": mode}, refs=refs, personal=personal, actor=actor)
            return Request("credit", [draft], ref)

        return self._record(make, session)

    @joins_async
    def claim_credit(
        self,
        work: Named,
        *,
        child: Named,
        method: str,
        evidence: str,
        distance: int | None = None,
        actor: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record the claim that `child` was made from `work`. By itself it moves nothing: the child's side answers.

        `method` is how it was found (iscc, manifest …), `evidence` the SHA-256 of what shows it, `distance` in bits.
        """
        body: dict[str, Any] = {"method": method, "evidence": evidence}
        if distance is not None:
            body["distance"] = distance
        refs = [{"role": "child", "id": str(child)}, {"role": "claimed", "id": str(work)}]
        draft = self.draft("attribution.claim", body=body, refs=refs, personal={"ref": ref}, actor=actor)
        return self._record(Request("claim_credit", [draft], ref), session)

    @joins_async
    def answer_credit(
        self, claim: Named, answer: str, *, actor: Named | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """Record the answer to a claim of `claim_credit`: accept, reject or dispute. Who accepts goes on to `amend`."""
        refs = [{"role": "claim", "id": str(claim)}]
        draft = self.draft("attribution.answer", body={"answer": answer}, refs=refs, personal={"ref": ref}, actor=actor)
        return self._record(Request("answer_credit", [draft], ref), session)


def _file_body(file: str | Path, media_type: str | None, *, relation: str) -> dict[str, Any]:
    path = Path(file)
    digest, size = digest_file(path)
    return {
        "relation": relation,
        "digests": {"sha-256": digest},
        "media_type": media_type or media_type_of(path),
        "size": size,
    }
