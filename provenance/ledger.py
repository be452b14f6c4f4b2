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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from ledger.errors import Conflict, NotFound
from provenance.attach import attach_manifest
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
from provenance.errors import EventRejected
from provenance.events import Draft, new_event
from provenance.foreign import open_foreign
from provenance.holdings import VaultItems
from provenance.index import Facts, Index
from provenance.item import Item
from provenance.queue import Staged
from provenance.running import RunningLedger
from provenance.sequencer import BATCH, format_time
from provenance.session import in_caller, joins_async
from provenance.staging import Request
from provenance.ticket import Receipt, Ticket

__all__ = ["Money", "ProvenanceLedger"]


class ProvenanceLedger(RunningLedger):
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

    @joins_async
    def submit(
        self,
        event: bytes,
        statement: bytes,
        *,
        items: Sequence[bytes] = (),
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Accept an event that somebody else signed; `items` are the vault items it commits to.

        Verified now: that the statement is over these bytes, for this log, by the event's actor with a key that is
        valid now, sealed as this log's policy says, and that every rule holds. The same statement again is a no-op.
        Raises `MalformedError`, `InvalidSignature`, `UnknownKey`, `EventRejected`, `Conflict`.
        """
        staged, facts = open_foreign(
            event,
            statement,
            items,
            origin=self.log.origin,
            sealed=self._sealed,
            parties=self._parties,
            index=self.log.size,
        )
        with self._accepting(1):
            ticket = in_caller(session, lambda inner: self._staging.submit(staged, facts, ref, inner))
        if session is None and self._signs:
            self.publish()
        return ticket

    def record_many(self, drafts: Iterable[Draft], *, progress: Callable[[int], None] | None = None) -> list[Ticket]:
        """Sequence many of the market's own events made by `draft`, then publish once.

        Each portion of up to 4,096 is accepted and sequenced in one transaction, all or none; what waits in the queue
        goes first. The same draft again is a no-op. `progress` is called with the number done.
        """
        self._sequencer.drain()
        tickets: list[Ticket] = []
        portion: list[tuple[Staged, Facts]] = []
        for draft in drafts:
            # The model ends here: thousands of them would keep the garbage collector busy.
            portion.append((self._staging.staged(draft), draft_facts(draft, sealed=draft.type in self._sealed)))
            if len(portion) == BATCH:
                tickets += self._record_portion(portion)
                portion = []
                if progress is not None:
                    progress(len(tickets))
        if portion:
            tickets += self._record_portion(portion)
            if progress is not None:
                progress(len(tickets))
        self.publish()
        return tickets

    def draft(
        self,
        type: str,  # noqa: A002 - the field's name in the event
        *,
        body: Mapping[str, Any],
        refs: Sequence[Mapping[str, Any]] = (),
        personal: Mapping[str, str | None] | None = None,
        strength: str = "observed",
    ) -> Draft:
        """Build and check an event of the market's own, without recording it: for `record_many`.

        What the market says of others it has `observed`. Values of `personal` that are None are left out.
        """
        return new_event(
            type,
            ledger=self.log.origin,
            actor=self.market.hex(),
            strength=strength,
            claimed_at=format_time(self._clock()),
            body=body,
            refs=refs,
            personal={name: value for name, value in (personal or {}).items() if value is not None},
        )

    # Looking up

    def find(self, ref: str, *, verb: str | None = None) -> Ticket:
        """The ticket that this `ref` was given for. Raises `NotFound`; `Conflict` when several verbs used it."""
        reading = self._queue.reading
        names = [(v, i) for v, i in self._queue.names(reading, ref) if verb in {None, v}]
        types = self._recall.types([event_id for _, event_id in names])
        if not names:
            msg = f"ref {ref[:80]!r}: nothing was recorded under it"
            raise NotFound(msg)
        if len(names) > 1:
            msg = f"ref {ref[:80]!r}: used by {', '.join(v for v, _ in names)}; say which with verb="
            raise Conflict(msg)
        return Ticket(names[0][1].hex(), types[names[0][1]], ref)

    def names(self, *, verb: str | None = None) -> Iterator[tuple[str, str, bytes, bool]]:
        """Everything recorded under a ref, or what one verb recorded: (verb, ref, event id, whether it still waits)."""
        return self._recall.names(verb)

    def receipt(self, ticket: Named) -> Receipt:
        """Index, proof and bytes of a published event. Raises `NotFound` while it is only accepted, or unknown."""
        event_id = bytes.fromhex(str(ticket))
        entry = self._index.on().find(event_id)
        if entry is not None and entry.idx >= self.log.checkpoint.size:
            self.log.refresh()  # another process may have published it
        if entry is None or entry.idx >= self.log.checkpoint.size:
            where = "sequenced but not yet published" if entry else "not in the log; is it still waiting?"
            msg = f"event {event_id.hex()}: {where}; call publish()"
            raise NotFound(msg)
        row = self.log.row(entry.idx)
        known = ticket if isinstance(ticket, Ticket) else Ticket(event_id.hex(), entry.type)
        return Receipt(
            known, entry.idx, self.log.prove(entry.idx), row.entry, row.opened or self._recall.sealed(event_id)
        )

    def event(self, ticket: Named) -> bytes:
        """The event's exact bytes. Raises `NotFound` when it is unknown or cannot be read here any more."""
        event_id = bytes.fromhex(str(ticket))
        data = self._recall.read(event_id)
        if data is None:
            msg = f"event {event_id.hex()}: not here"
            raise NotFound(msg)
        return data

    def item(self, address: bytes) -> Item | None:
        """The vault item at this address, or None when it is sealed from us, erased or missing."""
        try:
            return Item.parse(self._vault.get(address))
        except NotFound:
            return None

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

    def disclosures(self) -> Mapping[bytes, bytes]:
        """All vault items and sealed events by SHA-256, for a report that may show everything; read as asked for."""
        return VaultItems(self._vault)

    # A source for `provenance.lineage`

    @property
    def index(self) -> Index:
        """Queries over everything sequenced: `index.size` entries."""
        return self._index.on()

    def file_of(self, ticket: Named) -> Path | None:
        """Where the file of a work was last seen by `create`, `derive` or `attach` on this machine: a hint."""
        found = self._queue.file_of(self._queue.reading, bytes.fromhex(str(ticket)))
        return Path(found) if found else None

    # Accepting

    def _offer(self, work: str, terms: Named, **details: Any) -> list[Draft]:
        """Drafts of an offer; terms that were published before are not published again."""
        draft = terms_draft(self.draft, str(terms)) if not is_event_id(str(terms)) else None
        if draft is None:
            return [offer_draft(self.draft, work, str(terms), **details)]
        content = next(digest for digest, kind in draft_facts(draft).digests if kind == "terms")
        known = self._index.on().by_digest(content)
        if known:
            return [offer_draft(self.draft, work, known[0][0].event_id.hex(), **details)]
        return [draft, offer_draft(self.draft, work, draft.id.hex(), **details)]

    def _record(self, request: Request, session: Any) -> Ticket:
        """Accept what a verb asks for; without a session also sequence and publish it, where there are keys."""
        with self._accepting(len(request.drafts)):
            ticket = in_caller(session, lambda inner: self._staging.record(request, inner))
        if session is None and self._signs:
            self.publish()
        return ticket

    @contextmanager
    def _accepting(self, number: int) -> Iterator[None]:
        """Show a watcher how many events were accepted, or which rules refused them."""
        try:
            with self._observer.step("stage") as seen:
                yield
                seen.events(number)
        except EventRejected as error:
            self._observer.refused(reason.rule for reason in error.reasons)
            raise

    def _record_portion(self, portion: Sequence[tuple[Staged, Facts]]) -> list[Ticket]:
        staged = [event for event, _ in portion]
        facts = [fact for _, fact in portion]
        with self._accepting(len(staged)):
            self._staging.check(facts, [event.event for event in staged])
        self._sequencer.append(staged, facts)
        return [Ticket(event.event_id.hex(), event.type) for event in staged]

    # Reading
