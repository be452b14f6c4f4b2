"""The front desk of a market: verbs that record what happened, in the market's own transaction.

Every verb takes `ref=`, the market's own name for the thing (`order:7731`): unique for this ledger and verb. The same
ref with the same content returns the first ticket, with other content it raises `Conflict`, so that a retry after a
lost reply is safe. Every verb takes `session=` (an SQLAlchemy Session, AsyncSession or Connection): then it only
executes and flushes there, and the event vanishes with the caller's rollback; with an AsyncSession the verb returns an
awaitable. Without a session the event is sequenced and published before the verb returns.

A verb that needs several events records all or none. Raises everywhere: `EventRejected` with every failing rule,
`Conflict`, `Unavailable` when the database is locked, full or read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from provenance.attach import attach_manifest
from provenance.desk.claims import ClaimVerbs
from provenance.desk.consent import ConsentVerbs
from provenance.desk.data import DataVerbs
from provenance.desk.disclosure import DisclosureVerbs
from provenance.desk.imports import ImportVerbs
from provenance.desk.money import MoneyVerbs
from provenance.desk.parties import PartyVerbs
from provenance.desk.privacy import PrivacyVerbs
from provenance.desk.proofs import ProofVerbs
from provenance.desk.rights import RightsVerbs
from provenance.desk.works import WorkVerbs
from provenance.drafts import (
    External,
    Money,
    Named,
    draft_facts,
    is_event_id,
    offer_draft,
    parent_refs,
    terms_draft,
    work_draft,
)
from provenance.events import Draft
from provenance.moments import format_time
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["Money", "ProvenanceLedger"]


class ProvenanceLedger(
    WorkVerbs,
    RightsVerbs,
    DataVerbs,
    ClaimVerbs,
    MoneyVerbs,
    PartyVerbs,
    PrivacyVerbs,
    ConsentVerbs,
    ImportVerbs,
    DisclosureVerbs,
    ProofVerbs,
):
    """One market's ledger. Safe to share between threads; make it with `adapters.connect`."""

    # Verbs

    @joins_async
    def register_party(
        self,
        kind: str,
        *,
        name: str | None = None,
        account: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Register a party that the market vouches for (custodial: it has no key of its own and may claim it later).

        `kind` is person, org, market, software, model-provider or collective. Name and account go to the vault, not
        into the log. A party with keys of its own signs its registration itself: see `submit`.
        """
        draft = self.draft(
            "party.register",
            body={"kind": kind, "keys": [], "rotation_keys": [], "next_key_hashes": []},
            personal={"name": name, "account": account, "ref": ref},
        )
        return self._record(Request("register_party", [draft], ref), session)

    @joins_async
    def create(
        self,
        file: str | Path,
        *,
        creators: Sequence[Named],
        terms: Named | None = None,
        title: str | None = None,
        role: str = "author",
        tool: Named | None = None,
        source_type: str | None = None,
        human_contribution: str = "undisclosed",
        media_type: str | None = None,
        ref: str | None = None,
        session: Any = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Ticket:
        """Record a work from its file, which is read but neither kept nor changed.

        `terms` offers it to the public at once: an SPDX expression ("CC-BY-4.0") or a ticket of `publish_terms`.
        `source_type` is a term of IPTC's digital source types; by default digitalCreation, or
        trainedAlgorithmicMedia when `tool` names the generative model that made it. `progress` gets (bytes read,
        bytes in all).
        """
        drafts = [
            work_draft(
                self.draft,
                "work.create",
                file,
                creators=creators,
                role=role,
                tool=tool,
                source_type=source_type or ("trainedAlgorithmicMedia" if tool else "digitalCreation"),
                human_contribution=human_contribution,
                media_type=media_type,
                personal={"title": title, "ref": ref},
                progress=progress,
            )
        ]
        if terms is not None:
            drafts += self._offer(drafts[0].id.hex(), terms)
        return self._record(Request("create", drafts, ref, file=file, terms=terms), session)

    @joins_async
    def derive(
        self,
        file: str | Path,
        *,
        parents: Sequence[Named | External],
        creators: Sequence[Named],
        relation: str = "edited",
        terms: Named | None = None,
        title: str | None = None,
        role: str = "author",
        tool: Named | None = None,
        source_type: str | None = None,
        human_contribution: str = "undisclosed",
        media_type: str | None = None,
        ref: str | None = None,
        session: Any = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Ticket:
        """Record a work that was made from others, all of them named at once.

        A parent is a ticket, or a mapping for a work outside of this log. `relation` is edited, composed, translated,
        adapted, sampled, generated-from or other. `source_type` is by default humanEdits, or
        compositeWithTrainedAlgorithmicMedia when `tool` names a generative model. The rest as in `create`.
        """
        drafts = [
            work_draft(
                self.draft,
                "work.derive",
                file,
                creators=creators,
                role=role,
                tool=tool,
                source_type=source_type or ("compositeWithTrainedAlgorithmicMedia" if tool else "humanEdits"),
                human_contribution=human_contribution,
                media_type=media_type,
                personal={"title": title, "ref": ref},
                progress=progress,
                parents=parent_refs(parents, relation),
            )
        ]
        if terms is not None:
            drafts += self._offer(drafts[0].id.hex(), terms)
        return self._record(Request("derive", drafts, ref, file=file, terms=terms), session)

    @joins_async
    def publish_terms(
        self,
        license: str,  # noqa: A002 - the field's word
        *,
        machine: Mapping[str, Any] | None = None,
        text_digest: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record terms: an SPDX expression or LicenseRef-…, with the digest of a text of its own and machine terms."""
        drafts = [terms_draft(self.draft, license, machine, text_digest, ref=ref)]
        return self._record(Request("publish_terms", drafts, ref), session)

    @joins_async
    def offer(
        self,
        work: Named,
        *,
        terms: Named,
        price: Money | None = None,
        audience: str = "public",
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Offer a work under terms: a ticket of `publish_terms`, or an SPDX expression. No price means free."""
        drafts = self._offer(str(work), terms, price=price, audience=audience, ref=ref)
        return self._record(Request("offer", drafts, ref, about=-1, terms=terms), session)

    @joins_async
    def license(
        self,
        work: Named,
        *,
        to: Named,
        offer: Named,
        price: Money | None = None,
        scope: Sequence[str] = ("use",),
        quantity: int = 1,
        expires: datetime | None = None,
        transferable: bool = False,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Grant a license under an offer. It is sealed: the log shows that there is one, not to whom or for what.

        `price` is what was paid in all, at least the offer's price for this quantity.
        """
        body: dict[str, Any] = {"scope": list(scope), "quantity": quantity, "transferable": transferable}
        if price is not None:
            body["price"] = price.body()
        if expires is not None:
            body["expires"] = format_time(expires)
        draft = self.draft(
            "grant.issue",
            body=body,
            refs=[
                {"role": "offer", "id": str(offer)},
                {"role": "work", "id": str(work)},
                {"role": "licensee", "id": str(to)},
            ],
            personal={"ref": ref},
        )
        return self._record(Request("license", [draft], ref), session)

    @joins_async
    def attach(
        self,
        work: Named,
        source: str | Path,
        destination: str | Path,
        *,
        ingredients: Mapping[str, str | Path] | None = None,
        title: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Write a copy of the work's file with a C2PA manifest that names its log entry, and record the manifest.

        JPEG and PNG carry it inside; every other file is copied as it is, with the manifest in `NAME.EXT.c2pa` beside
        it. `ingredients` gives the file of each parent by event id; by default where `create`, `derive` or `attach`
        last saw it. The title goes into the file only when it is given here. What was written is read again and
        refused on any mismatch (`VerificationError`); `source` must hold the bytes that were recorded, and
        `destination` must be another file. Raises `MissingExtra` without the optional part `content`.
        """
        given = {str(name): Path(path) for name, path in (ingredients or {}).items()}
        body = attach_manifest(
            self, str(work), Path(source), Path(destination), claim=self._claim, ingredients=given, title=title
        )
        refs = [{"role": "work", "id": str(work)}]
        draft = self.draft("work.manifest", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("attach", [draft], ref, file=destination, file_of=str(work)), session)

    # Looking up

    def digests_of(self, work: Named) -> set[str]:
        """Every SHA-256 (hex) that finds a work: as it was registered, and as each manifest signed it."""
        event_id = bytes.fromhex(str(work))
        index = self._index.on()
        manifests = [link.source for link in index.links_to(event_id, "work")]
        found = {orjson.loads(self.event(work))["body"]["digests"]["sha-256"]}
        for idx in manifests:
            digest = index.digest_of(idx, "file")
            if digest is not None:
                found.add(digest.hex())
        return found

    def _offer(self, work: str, terms: Named, **details: Any) -> list[Draft]:
        """Drafts of an offer; terms that were published before are not published again."""
        draft = terms_draft(self.draft, str(terms)) if not is_event_id(str(terms)) else None
        if draft is None:
            return [offer_draft(self.draft, work, str(terms), **details)]
        content = next(digest for digest, kind in draft_facts(draft, market=self.market).digests if kind == "terms")
        known = self._index.on().by_digest(content)
        if known:
            return [offer_draft(self.draft, work, known[0][0].event_id.hex(), **details)]
        return [draft, offer_draft(self.draft, work, draft.id.hex(), **details)]
