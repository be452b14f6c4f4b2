"""Lists and counts: what there is of a kind, what is said of a thing, what waits for somebody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from provenance.acts import agreement, needs_assent
from provenance.assent import PATIENCE, refs_of
from provenance.before import Before
from provenance.index import Entry
from provenance.moments import earlier
from provenance.questions.answer import Answer, answer
from provenance.states import dispute_status, grant_status

__all__ = ["Acting", "Due", "Listed", "Open", "about", "counts", "expiring", "listed", "open_disputes", "pending"]


class Listed(NamedTuple):
    """One entry. `role` is what it has to do with the thing asked about: a role of its refs, or `said` by a party."""

    id: str
    type: str
    idx: int
    role: str
    strength: str
    sealed: bool
    claimed_at: str


class Acting(NamedTuple):
    """An act that waits: for whose word (party ids), and until which log time."""

    id: str
    type: str
    idx: int
    missing: tuple[str, ...]
    until: str


class Open(NamedTuple):
    """A dispute that is not over, and all works that are tagged by it: its target and what derives from that."""

    id: str
    state: str
    tag: str
    target: str
    tagged: tuple[str, ...]


class Due(NamedTuple):
    """A grant that ends soon."""

    id: str
    work: str
    holder: str
    expires: str


def listed(types: Iterable[str], before: Before) -> Answer[Listed]:
    """Every entry of these types, in log order."""
    found = before.index.of_type(*types)
    return answer([_listed(entry, "") for entry in found], [entry.event_id for entry in found], before)


def about(event_id: bytes, before: Before, *roles: str) -> Answer[Listed]:
    """Everything that points to an event, and for a party everything that it signed, in log order.

    With `roles` only what points to it in one of them.
    """
    found: dict[int, Listed] = {}
    for link in before.index.links_to(event_id, *roles):
        entry = before.index.entry(link.source)
        if entry is not None:
            found.setdefault(entry.idx, _listed(entry, link.role))
    for entry in () if roles else before.index.issued_by(event_id):
        found.setdefault(entry.idx, _listed(entry, "said"))
    own = before.index.find(event_id)
    events = [event_id] if own is not None else []
    rows = [found[idx] for idx in sorted(found)]
    return answer(rows, [*events, *(bytes.fromhex(row.id) for row in rows)], before)


def counts(before: Before) -> dict[str, int]:
    """Number of entries of each type; their sum is the size. Anybody can count the same in the public entries."""
    return before.index.counts()


def pending(before: Before) -> Answer[Acting]:
    """Acts that lack somebody's word and can still get it."""
    since = before.index.first_since(earlier(before.time, PATIENCE)) if before.time else 0
    rows, events = [], []
    for entry in before.index.of_type(*needs_assent(), start=since):
        found = agreement(entry.event_id, before)
        if found is not None and found.state == "pending":
            rows.append(Acting(entry.event_id.hex(), entry.type, entry.idx, found.missing, found.until))
            events += [bytes.fromhex(each) for each in found.events]
    return answer(rows, events, before)


def open_disputes(before: Before) -> Answer[Open]:
    """Disputes that are open or upheld and not resolved, each with the works that it tags."""
    rows, events = [], []
    for entry in before.index.of_type("dispute.open"):
        found = dispute_status(entry.event_id, before)
        if found.state not in {"open", "upheld"}:
            continue
        tagged = [found.target] if found.target else []
        if found.state == "upheld" and found.target:
            below = before.index.derivations([bytes.fromhex(found.target)], down=True)
            tagged += dict.fromkeys(each.child.hex() for each in below)
        rows.append(Open(entry.event_id.hex(), found.state, found.tag, found.target, tuple(dict.fromkeys(tagged))))
        events += [bytes.fromhex(each) for each in found.events]
    return answer(rows, events, before)


def expiring(by: str, before: Before) -> Answer[Due]:
    """Grants that stand now and expire at `by` (RFC 3339) or earlier. Sealed ones count where they can be read."""
    rows, events = [], []
    for entry in before.index.of_type("grant.issue"):
        event = before.event(entry.event_id)
        expires = "" if event is None else event["body"].get("expires", "")
        if event is None or not expires or expires > by:
            continue
        found = grant_status(entry.event_id, before)
        if found.state == "standing":
            work = next(refs_of(event, "work"), b"").hex()
            rows.append(Due(entry.event_id.hex(), work, found.holder, expires))
            events += [bytes.fromhex(each) for each in found.events]
    return answer(rows, events, before)


def _listed(entry: Entry, role: str) -> Listed:
    return Listed(
        id=entry.event_id.hex(),
        type=entry.type,
        idx=entry.idx,
        role=role,
        strength=entry.strength,
        sealed=entry.sealed,
        claimed_at=entry.claimed_at,
    )
