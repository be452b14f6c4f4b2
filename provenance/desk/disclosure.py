"""The verb that discloses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

import orjson

from ledger.errors import NotFound
from provenance.desk.base import Desk
from provenance.disclosure import Claim, Disclosure, packed
from provenance.drafts import Named
from provenance.staging import Request

__all__ = ["DisclosureVerbs"]


class DisclosureVerbs(Desk):
    """Handing sealed contents to somebody entitled."""

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

        `fields` are the personal fields that go along, by name; none by default. What is erased never does. That it was
        made is recorded (`export.made`, by its digest and counts, not for whom), so that an erasure can say that copies
        are out there. Write `bytes(package)` to a file. Raises `NotFound` for an event that is not published.
        """
        self.publish()
        checkpoint = self.log.checkpoint
        end = checkpoint.size if stop is None else min(stop, checkpoint.size)
        index = self.index
        claims = [Claim(tuple(types), start, end)] if types else []
        chosen = [entry for entry in index.of_type(*types, start=start) if entry.idx < end] if types else []
        for named in events:
            entry = index.find(bytes.fromhex(str(named)))
            if entry is None:
                msg = f"event {named}: not in the log"
                raise NotFound(msg)
            chosen.append(entry)
        gone = index.erased(entry.event_id for entry in chosen)
        here = {entry.idx: entry for entry in chosen if entry.event_id not in gone}
        read: list[tuple[int, bytes, bytes, bytes]] = []
        items: list[bytes] = []
        for idx, entry in sorted(here.items()):
            receipt = self.receipt(entry.event_id.hex())
            if receipt.event is None:
                continue  # lost, or erased a moment ago: the package is then incomplete, and says so when it is checked
            read.append((idx, receipt.event, receipt.entry, bytes(receipt.proof)))
            items += self._items(receipt.event, fields)
        package = packed(self.origin, checkpoint.size, claims, read, items)
        counts: dict[str, int] = {}
        for entry in here.values():
            counts[entry.type] = counts.get(entry.type, 0) + 1
        body = {"bundle": sha256(bytes(package)).hexdigest(), "counts": counts or {"none": 0}}
        draft = self.draft("export.made", body=body, personal={"ref": ref})
        self._record(Request("disclose", [draft], ref), None)
        return package

    def _items(self, event: bytes, fields: Sequence[str]) -> Iterator[bytes]:
        for name, address in orjson.loads(event)["commits"].items():
            item = self.item(bytes.fromhex(address)) if name in fields else None
            if item is not None:
                yield bytes(item)
