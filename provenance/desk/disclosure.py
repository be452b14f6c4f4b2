"""Verbs about what leaves the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from ledger.errors import Conflict, NotFound
from provenance.desk.base import Desk
from provenance.disclosure import Claim, Disclosed, Disclosure, pack
from provenance.drafts import Named
from provenance.identity import key_events
from provenance.index import Entry, Index
from provenance.moments import format_time
from provenance.session import joins_async
from provenance.staging import Request
from provenance.ticket import Ticket

__all__ = ["DisclosureVerbs"]


class DisclosureVerbs(Desk):
    """Handing sealed contents to somebody entitled, and recording what was handed out."""

    def disclose(
        self,
        *,
        types: Sequence[str] = (),
        start: int = 0,
        stop: int | None = None,
        events: Sequence[Named] = (),
        fields: Sequence[str] = (),
        ref: str | None = None,
    ) -> Disclosure:
        """A package of every event of these types at `[start, stop)`, which it claims to be complete for, and others.

        `fields` are the personal fields that go along, by name; none by default. What is erased never does. `stop` is
        by default the size of the log. The registration and keys of whoever signed go along. That it was made is
        recorded (`export.made`, by its digest and how much is in it, not for whom), so that an erasure can say that
        copies are out there. Write `bytes(package)` to a file.

        The same `ref` for the same question records nothing again: the package is as of when it was recorded, but for
        what was erased since, and proven under the newest checkpoint. For another question it raises `Conflict`.

        Raises `NotFound` for one of `events` that is not published, erased or not readable here. An event of `types`
        that cannot be read here is left out, and lacking when somebody checks.
        """
        asked = _asked(types, start, stop, events, fields)
        self.publish()
        checkpoint = self.log.checkpoint
        index = self.index
        first = None if ref is None else self._recorded(ref, asked, index)
        if first is not None and stop is None:
            stop = first.idx
        end = checkpoint.size if stop is None else min(stop, checkpoint.size)
        claims = [Claim(tuple(types), min(start, end), end)] if types else []
        chosen = {entry.idx: entry for claim in claims for entry in index.of_type(*types, start=start)}
        chosen = {idx: entry for idx, entry in chosen.items() if idx < end}
        gone = index.erased(entry.event_id for entry in chosen.values())
        chosen = {idx: entry for idx, entry in chosen.items() if entry.event_id not in gone}
        chosen |= self._named(events, index)
        chosen |= _signers(chosen, index)
        made: list[Disclosed] = []
        items: list[bytes] = []
        for idx, entry in sorted(chosen.items()):
            receipt = self.receipt(entry.event_id.hex())
            if receipt.event is not None:
                made.append(Disclosed(idx, receipt.event, receipt.entry, bytes(receipt.proof)))
                items += self._items(receipt.event, fields)
        package = pack(checkpoint.signed, format_time(self._clock()), claims, made, items)
        if first is not None:
            return package
        counts = {"disclosure": 1, "events": len(made), **({"items": len(items)} if items else {})}
        body = {"bundle": sha256(bytes(package)).hexdigest(), "counts": counts}
        draft = self.draft("export.made", body=body, personal={"ref": ref})
        self._record(Request("disclose", [draft], ref, asked=asked), None)
        return package

    @joins_async
    def record_export(
        self,
        digest: str,
        counts: Mapping[str, int],
        *,
        to: Named | None = None,
        subject: Named | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Record that a bundle left: its SHA-256 (hex), how much of what is in it, and to which party, if that is said.

        `subject` is what all of it is about. From then on an erasure says that copies are out there.
        """
        refs = [
            {"role": role, "id": str(whom)} for role, whom in (("subject", subject), ("to", to)) if whom is not None
        ]
        body = {"bundle": digest, "counts": dict(counts)}
        draft = self.draft("export.made", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("record_export", [draft], ref), session)

    def _recorded(self, ref: str, asked: bytes, index: Index) -> Entry | None:
        """The entry that this question was recorded with under this name. Raises `Conflict` for another question."""
        name = self._queue.named(self._queue.reading, "disclose", ref)
        if name is not None and name.fingerprint != asked:
            other = f"given before for another question (event {name.event_id.hex()})"
            msg = f"ref {ref[:80]!r} of disclose: {other}; use another ref"
            raise Conflict(msg)
        return None if name is None else index.find(name.event_id)

    def _named(self, events: Sequence[Named], index: Index) -> dict[int, Entry]:
        found: dict[int, Entry] = {}
        for named in events:
            event_id = bytes.fromhex(str(named))
            self.event(named)
            entry = index.find(event_id)
            if entry is None or event_id in index.erased([event_id]):
                msg = f"event {named}: {'not in the log' if entry is None else 'erased'}"
                raise NotFound(msg)
            found[entry.idx] = entry
        return found

    def _items(self, event: bytes, fields: Sequence[str]) -> Iterator[bytes]:
        for name, address in orjson.loads(event)["commits"].items():
            item = self.item(bytes.fromhex(address)) if name in fields else None
            if item is not None:
                yield bytes(item)


def _asked(types: Sequence[str], start: int, stop: int | None, events: Sequence[Named], fields: Sequence[str]) -> bytes:
    """Digest of a question: the order of what is asked for is no part of it."""
    question = [sorted(set(types)), start, stop, sorted({str(named) for named in events}), sorted(set(fields))]
    return sha256(orjson.dumps(question)).digest()


def _signers(chosen: Mapping[int, Entry], index: Index) -> dict[int, Entry]:
    """The registrations of whoever signed these entries, with each change of their keys before the last of them."""
    last = max(chosen, default=-1)
    found: dict[int, Entry] = {}
    seen: set[bytes] = set()
    ahead = list(chosen)
    while ahead:
        party = index.issuer_of(ahead.pop())
        if party is None or party in seen:
            continue
        seen.add(party)
        registered = index.find(party)
        more = [*([] if registered is None else [registered.idx]), *(idx for idx, _ in key_events(party, index))]
        for entry in filter(None, map(index.entry, more)):
            if entry.idx <= last and entry.idx not in found:
                found[entry.idx] = entry
                ahead.append(entry.idx)
    return found
