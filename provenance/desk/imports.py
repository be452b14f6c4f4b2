"""Verbs that take in what others wrote down: once, however often it is repeated, with a report of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from ledger.errors import Conflict, MalformedError, NotFound, Unavailable
from provenance.content import digest_file, media_type_of
from provenance.desk.base import Desk
from provenance.drafts import Money, draft_facts, offer_draft, terms_draft
from provenance.errors import EventRejected
from provenance.events import Draft
from provenance.imports import Item, Report, TableMap, read_collection, read_croissant, read_row
from provenance.imports.fields import license_of
from provenance.imports.report import Known, Reasons, Recorder
from provenance.imports.table import Row, Step
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["ImportVerbs"]

Progress = Callable[[int], None]

_VERBS = {
    "party": ("register_party",),
    "work": ("create", "derive"),
    "derive": ("derive", "create"),
    "offer": ("offer",),
    "license": ("license",),
}
"""The verbs of the ledger under whose names what a step gives is found; the first is the step's own."""

_WAITS = "0" * 64  # stands for what a dry run would have recorded


class ImportVerbs(Desk):
    """Datasets of others, and a market that existed before its ledger."""

    def import_collection(self, data: bytes, *, dry_run: bool = False, progress: Progress | None = None) -> Report:
        """Record the datasets of a file of the Data Provenance Collection (JSON lines), each as observed.

        The same line is recorded once, whenever and however often at a time it comes. With `dry_run` nothing is.
        `progress` is called with the datasets done.
        """
        return self._datasets(partial(read_collection, data), dry_run, progress)

    def import_croissant(
        self, files: Mapping[str, bytes], *, dry_run: bool = False, progress: Progress | None = None
    ) -> Report:
        """Record the datasets that Croissant files (by name) describe, each as observed, each file once."""
        return self._datasets(partial(read_croissant, files), dry_run, progress)

    def import_table(
        self,
        rows: Iterable[Row],
        table: TableMap,
        *,
        source: bytes = b"",
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Record what each row of a table gives, as the market observed it; old dates are only claimed.

        Each step has a ref, by which it is recorded once: a row that comes again is a duplicate, one with the same ref
        and other content is refused. A row that gives nothing is refused with its number, counted from 1, and the
        others go on. With `dry_run` nothing is recorded: rules that rest on events, and what was recorded before under
        the same ref, are not compared. `source` are the bytes that the rows were read from. `progress` is called with
        the rows done.
        """
        report = Report("table", sha256(source).hexdigest(), {})
        taking = _Taking(self, dry_run)
        report.fields |= {column: _used(table, column) for column in sorted(table.columns)}
        for number, row in enumerate(rows, 1):
            if isinstance(row, Mapping):
                report.see((str(name) for name in row if name is not None), table.columns, "not in the map, not taken")
            steps = read_row(row, table)
            if isinstance(steps, str):
                report.items.append(Item("row", f"row {number}", "rejected", (("whole", steps),)))
                continue
            report.items += [taking.item(number, step) for step in steps]
            if progress is not None and number % 100 == 0:
                progress(number)
        if not dry_run:
            self._accept(report)
        return report

    def _datasets(self, read: Callable[[Recorder, Known], Report], dry_run: bool, progress: Progress | None) -> Report:
        done = 0

        def record(
            digest: bytes, body: Mapping[str, Any], refs: list[dict[str, Any]], title: str | None
        ) -> tuple[str, bool]:
            nonlocal done
            ref = f"dataset:{digest.hex()}"
            draft = self.draft("dataset.snapshot", body=body, refs=refs, personal={"title": title, "ref": ref})
            event = draft.id.hex() if dry_run else self._take(Request("snapshot", [draft], ref)).id
            done += 1
            if progress is not None and done % 100 == 0:
                progress(done)
            return event, event == draft.id.hex()

        report = read(record, self._described)
        if not dry_run:
            self._accept(report)
        return report

    def _accept(self, report: Report) -> None:
        """Record that the import was made, with its counts; the same with the same counts once."""
        counts = report.counts()
        if not counts:
            self._publish_recorded()
            return
        body = {"bundle": report.source, "source": report.format, "counts": counts}
        ref = (
            f"import:{report.source[:16]}:{sha256(orjson.dumps(counts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]}"
        )
        draft = self.draft("import.accepted", body=body, personal={"ref": ref})
        self._record(Request("import", [draft], ref), None)

    def _described(self, digest: bytes) -> str | None:
        """The dataset that the market recorded from what has this digest."""
        index = self._index.on()
        for entry, kind in index.by_digest(digest):
            if kind == "description" and index.issuer_of(entry.idx) == self.market:
                return entry.event_id.hex()
        return None

    def _take(self, request: Request) -> Ticket:
        """Accept what a step gives; it is sequenced with everything else at the end."""
        with self._accepting(len(request.drafts)):
            return self._staging.record(request, None)


class _Taking:
    """Takes the steps of rows one by one. A dry run remembers what it would have recorded."""

    def __init__(self, desk: ImportVerbs, dry_run: bool) -> None:
        self._desk = desk
        self._dry_run = dry_run
        self._would: dict[tuple[str, str], Step] = {}

    def item(self, number: int, step: Step) -> Item:
        """What becomes of one step."""
        fields = step.fields
        name = f"row {number}: {fields['ref']}"
        reasons: Reasons = []
        try:
            before = self._found(step.verb, fields["ref"], own=True)
            drafts, about = self._drafts(step, reasons)
            if self._dry_run:
                event = self._would_be(step, before)
            else:
                terms = license_of(fields["terms"])[0] if step.verb == "offer" else None
                request = Request(_VERBS[step.verb][0], drafts, fields["ref"], about=about, terms=terms)
                event = self._desk._take(request).id  # noqa: SLF001 - a part of the verb
                if event != request.ticket.id:  # another import was quicker
                    before = event
        except (EventRejected, MalformedError, NotFound, Conflict) as error:
            return Item(step.verb, name, "rejected", (("whole", str(error)),))
        if before:
            return Item(step.verb, name, "duplicate", tuple(reasons), event)
        return Item(step.verb, name, "degraded" if reasons else "accepted", tuple(reasons), event)

    def _would_be(self, step: Step, before: str | None) -> str:
        other = self._would.setdefault((step.verb, step.fields["ref"]), step)
        if other != step:
            msg = f"ref {step.fields['ref'][:80]!r} of {step.verb}: stands in an earlier row with other content"
            raise Conflict(msg)
        return "" if before in {None, _WAITS} else str(before)

    def _found(self, verb: str, ref: str, *, own: bool = False) -> str | None:
        """The event that an earlier row, or the market itself, recorded under this ref; with `own` by this verb."""
        for each in _VERBS[verb][: 1 if own else None]:
            try:
                return self._desk.find(ref, verb=each).id
            except NotFound:
                continue
        names = [verb] if own else [name for name, verbs in _VERBS.items() if _VERBS[verb][0] in verbs]
        return _WAITS if any((name, ref) in self._would for name in names) else None

    def _resolve(self, ref: str, verb: str) -> str:
        found = self._found(verb, ref)
        if found is None:
            msg = f"{verb} {ref[:80]!r}: nothing was recorded under it, in an earlier row or before"
            raise NotFound(msg)
        return found

    def _drafts(self, step: Step, reasons: Reasons) -> tuple[list[Draft], int]:
        """What a step says, and which of it is meant."""
        fields, ref = step.fields, step.fields["ref"]
        draft = partial(self._desk.draft, claimed_at=fields.get("claimed_at"))
        if step.verb == "party":
            body: dict[str, Any] = {"kind": fields["kind"], "keys": [], "rotation_keys": [], "next_key_hashes": []}
            personal = {"name": fields.get("name"), "account": fields.get("account"), "ref": ref}
            return [draft("party.register", body=body, personal=personal)], 0
        if step.verb in {"work", "derive"}:
            return [self._work(step, draft)], 0
        work = self._resolve(fields["work"], "work")
        price = None
        if "amount" in fields:
            price = Money(_integer(fields["amount"], "amount"), fields.get("currency", ""))
        if step.verb == "offer":
            expression, why = license_of(fields["terms"])
            if why:
                reasons.append(("terms", f"{fields['terms'][:80]}: {why}"))
            return self._offered(work, expression, price, ref, draft), -1
        body = {
            "scope": ["use"],
            "quantity": _integer(fields.get("quantity", "1"), "quantity"),
            "transferable": False,
        }
        if price is not None:
            body["price"] = price.body()
        refs = [
            {"role": "offer", "id": self._resolve(fields["offer"], "offer")},
            {"role": "work", "id": work},
            {"role": "licensee", "id": self._resolve(fields["to"], "party")},
        ]
        return [draft("grant.issue", body=body, refs=refs, personal={"ref": ref})], 0

    def _work(self, step: Step, draft: Callable[..., Draft]) -> Draft:
        fields = step.fields
        derived = step.verb == "derive"
        if "file" in fields:
            path = Path(fields["file"])
            try:
                (digest, size), media_type = digest_file(path), media_type_of(path)
            except Unavailable as error:  # the file, not the database: the row is refused, and others go on
                raise MalformedError(str(error)) from error
        else:
            digest, size = fields["sha256"].lower(), _integer(fields["size"], "size")
            media_type = fields["media_type"]
        body = {
            "digests": {"sha-256": digest},
            "media_type": media_type,
            "size": size,
            "source_type": fields.get("source_type", "humanEdits" if derived else "digitalCreation"),
            "human_contribution": "undisclosed",
            "tools": "undisclosed",
        }
        refs: list[dict[str, str]] = []
        if derived:
            parents = [self._resolve(name, "work") for name in fields["parents"].split()]
            refs = [{"role": "parent", "id": each, "relation": fields.get("relation", "other")} for each in parents]
        creator = self._resolve(fields["creator"], "party")
        refs.append({"role": "creator", "id": creator, "as": fields.get("role", "author")})
        personal = {"title": fields.get("title"), "ref": fields["ref"]}
        return draft("work.derive" if derived else "work.create", body=body, refs=refs, personal=personal)

    def _offered(
        self, work: str, license_: str, price: Money | None, ref: str, draft: Callable[..., Draft]
    ) -> list[Draft]:
        """An offer; its terms are published with it unless the same were before."""
        terms = terms_draft(self._desk.draft, license_)
        market = self._desk.market
        content = next(digest for digest, kind in draft_facts(terms, market=market).digests if kind == "terms")
        known = self._desk.index.by_digest(content)
        if known:
            return [offer_draft(draft, work, known[0][0].event_id.hex(), price=price, ref=ref)]
        return [terms, offer_draft(draft, work, terms.id.hex(), price=price, ref=ref)]


def _used(table: TableMap, column: str) -> str:
    """Where a column goes."""
    return ", ".join(
        f"{step.verb}.{name}" for step in table.steps for name, text in step.fields.items() if f"{{{column}}}" in text
    )


def _integer(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        msg = f"{name}: {text[:40]!r}, want a whole number"
        raise MalformedError(msg)
    return int(text)
