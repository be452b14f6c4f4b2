"""Which models learned from a work, on what basis, and what had been reserved or withdrawn by then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from provenance.assent import refs_of
from provenance.before import Before
from provenance.item import Item
from provenance.members import Members
from provenance.questions.answer import Answer, answer
from provenance.reservations import reservation_of

__all__ = ["Conflict", "Training", "stored_members", "trained_on", "training_conflicts"]


class Training(NamedTuple):
    """One training that used a work: directly, or `via` a snapshot that lists it.

    `reserved` is what had been reserved for the purpose at that place of the log (allow, disallow, constrained or
    unknown), `consent` the state of the newest consent about the work by then, "" when there was none; `reserved_since`
    and `withdrawn_since` say whether it is different today.
    """

    model: str
    training: str
    idx: int
    time: str
    via: str
    purpose: str
    basis: str
    verdict: str
    reserved: str
    reserved_since: bool
    consent: str
    withdrawn_since: bool


class Conflict(NamedTuple):
    """A work that a model was trained on although it was reserved, or its consent withdrawn, and no grant is named."""

    work: str
    training: str
    purpose: str
    basis: str
    verdict: str
    because: str  # reserved, consent, denied


_REVOKED = frozenset({"ConsentWithdrawn", "ConsentRevoked", "withdrawn", "revoked"})


def trained_on(
    work: bytes, before: Before, *, members: Mapping[str, Collection[str]] | None = None
) -> Answer[Training]:
    """Every training that used a work.

    `members` are SHA-256 (hex) of what snapshots hold, by snapshot, as far as they are known; a snapshot that the work
    is a parent of counts without them.
    """
    digests = _digests(work, before)
    rows, events = [], []
    sources: list[tuple[bytes, bytes]] = [(work, b"")]
    sources += [(each, each) for each in before.pointing(work, "parent", "dataset.snapshot")]
    for snapshot, held in (members or {}).items():
        if not digests.isdisjoint(held) and not any(via.hex() == snapshot for _, via in sources):
            sources.append((bytes.fromhex(snapshot), bytes.fromhex(snapshot)))
    ended, ending = _consent(work, before)
    for source, via in sources:
        for training_id in before.pointing(source, "input", "model.train"):
            event, entry = before.event(training_id), before.index.find(training_id)
            if event is None or entry is None:
                continue
            then = before.at(entry.idx)
            for ref in _inputs(event, source):
                newest, since = reservation_of(work, ref["purpose"], before)
                reserved, reserving = reservation_of(work, ref["purpose"], then)
                consent, consenting = _consent(work, then)
                rows.append(
                    Training(
                        model=next(refs_of(event, "model")).hex(),
                        training=training_id.hex(),
                        idx=entry.idx,
                        time=before.index.time_of(entry.idx),
                        via=via.hex(),
                        purpose=ref["purpose"],
                        basis=ref["basis"],
                        verdict=ref["verdict"],
                        reserved=reserved,
                        reserved_since=newest == "disallow" != reserved,
                        consent=consent,
                        withdrawn_since=ended in _REVOKED and consent not in _REVOKED,
                    )
                )
                events += [training_id, *([via] if via else []), *reserving, *consenting, *since, *ending]
    return answer(sorted(rows, key=lambda row: row.idx), events, before)


def training_conflicts(
    model: bytes, before: Before, *, members: Mapping[str, Collection[str]] | None = None
) -> Answer[Conflict]:
    """Works that a model should not have been trained on, as the log stood at each training.

    The set of what was used less what was allowed: inputs whose own verdict is deny; works, named or found in
    `members` (SHA-256 in hex by snapshot) by their digest, that were reserved or whose consent was withdrawn.
    """
    rows, events = [], []
    for training_id in before.pointing(model, "model", "model.train"):
        event, entry = before.event(training_id), before.index.find(training_id)
        if event is None or entry is None:
            continue
        then = before.at(entry.idx)
        for ref in event["refs"]:
            if ref["role"] != "input" or not isinstance(ref["id"], str):
                continue
            for work in _works(ref["id"], then, members or {}):
                because, said = _against(work, ref, then)
                if because:
                    rows.append(
                        Conflict(work.hex(), training_id.hex(), ref["purpose"], ref["basis"], ref["verdict"], because)
                    )
                    events += [training_id, work, *said]
    return answer(rows, events, before)


def _against(work: bytes, ref: Mapping[str, Any], then: Before) -> tuple[str, Sequence[bytes]]:
    if ref.get("grant") is None:
        reserved, reserving = reservation_of(work, ref["purpose"], then)
        if reserved in {"disallow", "constrained"}:
            return "reserved", reserving
    consent, consenting = _consent(work, then)
    if consent in _REVOKED:
        return "consent", consenting
    return ("denied", ()) if ref["verdict"] == "deny" else ("", ())


def _works(event_id: str, then: Before, members: Mapping[str, Collection[str]]) -> Iterator[bytes]:
    own = bytes.fromhex(event_id)
    snapshot = then.event(own, "dataset.snapshot")
    seen = dict.fromkeys((own, *(() if snapshot is None else refs_of(snapshot, "parent"))))
    yield from seen
    for digest in members.get(event_id, ()):
        for entry, kind in then.index.by_digest(bytes.fromhex(digest)):
            if kind == "content" and entry.event_id not in seen:
                seen[entry.event_id] = None
                yield entry.event_id


def stored_members(snapshot: bytes, before: Before, item: Callable[[bytes], Item | None]) -> Members | None:
    """The members that are stored with a snapshot, None where they are not; raises as `Asks.members`."""
    event = before.event(snapshot, "dataset.snapshot")
    address = None if event is None or "root" not in event["body"] else event["commits"].get("members")
    held = None if address is None else item(bytes.fromhex(address))
    if event is None or held is None:
        return None
    members = Members.of_item(held.value)
    members.check(size=event["body"]["members"], root=bytes.fromhex(event["body"]["root"]))
    return members


def _inputs(event: Mapping[str, Any], source: bytes) -> Iterator[Mapping[str, Any]]:
    return (ref for ref in event["refs"] if ref["role"] == "input" and ref["id"] == source.hex())


def _digests(work: bytes, before: Before) -> AbstractSet[str]:
    event = before.event(work)
    named = {} if event is None else event["body"].get("digests", {})
    return {digest for name, digest in named.items() if name == "sha-256"}


def _consent(work: bytes, before: Before) -> tuple[str, Sequence[bytes]]:
    """State of the newest consent that names the work; of several persons, that of one who took it back."""
    newest: dict[tuple[bytes, ...], tuple[str, bytes]] = {}
    for said in before.pointing(work, "work", "consent.record"):
        event = before.event(said, "consent.record")
        if event is not None:
            sides = (*refs_of(event, "subject"), *refs_of(event, "controller"))
            newest.pop(sides, None)  # the order is that of the newest
            newest[sides] = (str(event["body"]["state"]), said)
    found = list(newest.values())
    state, said = next((each for each in found if each[0] in _REVOKED), found[-1] if found else ("", b""))
    return (state, (said,)) if state else ("", ())
