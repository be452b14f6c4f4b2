"""Verbs that take in what others wrote down: once, however often it is repeated, with a report of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

import orjson

from ledger.errors import Conflict, MalformedError, NotFound
from provenance.desk.base import Desk
from provenance.drafts import Money, draft_facts, offer_draft, terms_draft
from provenance.errors import EventRejected
from provenance.imports import Item, Report, TableMap, read_collection, read_croissant, read_table
from provenance.imports.fields import license_of
from provenance.imports.table import Step
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["ImportVerbs"]

Progress = Callable[[int], None]

_VERBS = {"party": "register_party", "work": "create", "offer": "offer", "license": "license"}


class ImportVerbs(Desk):
    """Datasets of others, and a market that existed before its ledger."""

    def import_collection(self, data: bytes, *, dry_run: bool = False, progress: Progress | None = None) -> Report:
        """Record the datasets of a file of the Data Provenance Collection (JSON lines), each as observed.

        The same line is recorded once, whenever it comes. With `dry_run` nothing is.
        """
        return self._recorded(*read_collection(data, self.draft, self._described), dry_run, progress)

    def import_croissant(
        self, files: Mapping[str, bytes], *, dry_run: bool = False, progress: Progress | None = None
    ) -> Report:
        """Record the datasets that Croissant files (by name) describe, each as observed, each file once."""
        return self._recorded(*read_croissant(files, self.draft, self._described), dry_run, progress)

    def import_table(
        self,
        rows: Iterable[Mapping[str, Any]],
        table: TableMap,
        *,
        source: bytes = b"",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Record what each row of a table gives, as the market observed it; old dates are only claimed.

        Each step has a ref, by which it is recorded once: a row that comes again is a duplicate, one with the same ref
        and other content is refused. A row that gives nothing is refused with its number, and the others go on. With
        `dry_run` nothing is recorded; what rests on rows before it is then only looked at as text.
        """
        fields = {step.verb: ", ".join(sorted(step.fields)) for step in table.steps}
        report = Report(sha256(source).hexdigest(), fields)
        for number, steps in read_table(rows, table):
            if isinstance(steps, str):
                report.items.append(Item("row", f"row {number}", "rejected", (("whole", steps),)))
                continue
            for step in steps:
                report.items.append(self._take(number, step, dry_run))
            if progress is not None and number % 100 == 0:
                progress(number)
        if not dry_run:
            self._accept(report)
        return report

    def _recorded(self, drafts: list[Any], report: Report, dry_run: bool, progress: Progress | None) -> Report:
        if not dry_run:
            self.record_many(drafts, progress=progress)
            self._accept(report)
        return report

    def _accept(self, report: Report) -> None:
        """Record that the import was made, with its counts; the same with the same counts once."""
        counts = report.counts()
        if not counts:
            self.publish()
            return
        body = {"bundle": report.source, "counts": counts}
        ref = (
            f"import:{report.source[:16]}:{sha256(orjson.dumps(counts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]}"
        )
        draft = self.draft("import.accepted", body=body, personal={"ref": ref})
        self._record(Request("import", [draft], ref), None)

    def _described(self, digest: bytes) -> str | None:
        """The dataset that was recorded from what has this digest."""
        for entry, kind in self._index.on().by_digest(digest):
            if kind == "description":
                return entry.event_id.hex()
        return None

    def _take(self, number: int, step: Step, dry_run: bool) -> Item:
        fields = step.fields
        name = f"row {number}: {fields['ref']}"
        try:
            before = self._named(step.verb, fields["ref"])
            drafts, about = self._drafts(step, dry_run)
            if dry_run:
                return Item(step.verb, name, "duplicate" if before else "accepted")
            terms = fields.get("terms") if step.verb == "offer" else None
            request = Request(_VERBS[step.verb], drafts, fields["ref"], about=about, terms=terms)
            with self._accepting(len(drafts)):
                ticket = self._staging.record(request, None)
        except (EventRejected, MalformedError, NotFound, Conflict) as error:
            return Item(step.verb, name, "rejected", (("whole", str(error)),))
        return Item(step.verb, name, "duplicate" if before else "accepted", (), ticket.id)

    def _named(self, verb: str, ref: str) -> Ticket | None:
        try:
            return self.find(ref, verb=_VERBS[verb])
        except NotFound:
            return None

    def _resolve(self, ref: str, verb: str, dry_run: bool) -> str:
        """The event that an earlier row, or the market itself, recorded under this ref."""
        found = self._named(verb, ref)
        if found is not None:
            return found.id
        if dry_run:
            return "0" * 64
        msg = f"{verb} {ref[:80]!r}: nothing was recorded under it, in an earlier row or before"
        raise NotFound(msg)

    def _drafts(self, step: Step, dry_run: bool) -> tuple[list[Any], int]:
        fields = step.fields
        options: dict[str, Any] = {"claimed_at": fields.get("claimed_at")}
        ref = fields["ref"]
        if step.verb == "party":
            body: dict[str, Any] = {"kind": fields["kind"], "keys": [], "rotation_keys": [], "next_key_hashes": []}
            personal = {"name": fields.get("name"), "account": fields.get("account"), "ref": ref}
            return [self.draft("party.register", body=body, personal=personal, **options)], 0
        if step.verb == "work":
            body = {
                "digests": {"sha-256": fields["sha256"].lower()},
                "media_type": fields["media_type"],
                "size": _integer(fields["size"], "size"),
                "source_type": fields.get("source_type", "digitalCreation"),
                "human_contribution": "undisclosed",
                "tools": "undisclosed",
            }
            creator = self._resolve(fields["creator"], "party", dry_run)
            refs = [{"role": "creator", "id": creator, "as": fields.get("role", "author")}]
            personal = {"title": fields.get("title"), "ref": ref}
            return [self.draft("work.create", body=body, refs=refs, personal=personal, **options)], 0
        work = self._resolve(fields["work"], "work", dry_run)
        price = None
        if "amount" in fields:
            price = Money(_integer(fields["amount"], "amount"), fields.get("currency", ""))
        if step.verb == "offer":
            expression, _ = license_of(fields["terms"])
            drafts = self._offered(work, expression, price, ref)
            return drafts, -1
        body = {
            "scope": ["use"],
            "quantity": _integer(fields.get("quantity", "1"), "quantity"),
            "transferable": False,
        }
        if price is not None:
            body["price"] = price.body()
        refs = [
            {"role": "offer", "id": self._resolve(fields["offer"], "offer", dry_run)},
            {"role": "work", "id": work},
            {"role": "licensee", "id": self._resolve(fields["to"], "party", dry_run)},
        ]
        return [self.draft("grant.issue", body=body, refs=refs, personal={"ref": ref}, **options)], 0

    def _offered(self, work: str, license_: str, price: Money | None, ref: str) -> list[Any]:
        """An offer; its terms are published with it unless the same were before."""
        terms = terms_draft(self.draft, license_)
        content = next(digest for digest, kind in draft_facts(terms, market=self.market).digests if kind == "terms")
        known = self._index.on().by_digest(content)
        if known:
            return [offer_draft(self.draft, work, known[0][0].event_id.hex(), price=price, ref=ref)]
        return [terms, offer_draft(self.draft, work, terms.id.hex(), price=price, ref=ref)]


def _integer(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        msg = f"{name}: {text[:40]!r}, want a whole number"
        raise MalformedError(msg)
    return int(text)
