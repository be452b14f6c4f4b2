"""Building the market's own events from what its verbs are given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from provenance.canonical import address
from provenance.content import digest_file, media_type_of
from provenance.events import Draft
from provenance.index import Facts, facts_of
from provenance.ticket import Ticket

__all__ = [
    "External",
    "Money",
    "Named",
    "draft_facts",
    "fingerprint",
    "fingerprint_of",
    "is_event_id",
    "offer_draft",
    "parent_refs",
    "submitted",
    "terms_draft",
    "work_draft",
]

Named = Ticket | str
"""A ticket, or an event id in 64 hex digits."""

External = Mapping[str, str]
"""A work outside of this log: {"scheme": "doi", "id": "10.1000/182"} or {"log": origin, "event": id}."""

_EVENT_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of an ISO 4217 currency: Money(1250, "EUR") is 12.50 EUR."""

    amount: int
    currency: str

    def body(self) -> dict[str, str]:
        """As events carry it."""
        return {"amount": str(self.amount), "currency": self.currency}


class MakeDraft(Protocol):
    """`ProvenanceLedger.draft`."""

    def __call__(
        self,
        type: str,  # noqa: A002 - the field's name in the event
        *,
        body: Mapping[str, Any],
        refs: Sequence[Mapping[str, Any]] = (),
        personal: Mapping[str, str | None] | None = None,
        strength: str = "observed",
    ) -> Draft:
        """Build and check an event of the market's own."""


def parent_refs(parents: Sequence[Named | External], relation: str) -> list[dict[str, Any]]:
    """Refs to what a work was made from."""
    return [
        {"role": "parent", "id": dict(p) if isinstance(p, Mapping) else str(p), "relation": relation} for p in parents
    ]


def work_draft(
    draft: MakeDraft,
    type_: str,
    file: str | Path,
    *,
    creators: Sequence[Named],
    role: str,
    tool: Named | None,
    source_type: str,
    human_contribution: str,
    media_type: str | None,
    personal: Mapping[str, str | None],
    parents: Sequence[Mapping[str, Any]] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Draft:
    """A work.create or work.derive for the bytes of `file`."""
    path = Path(file)
    digest, size = digest_file(path, progress=progress)
    refs: list[Mapping[str, Any]] = [*parents]
    refs += [{"role": "creator", "id": str(creator), "as": role} for creator in creators]
    if tool is not None:
        refs.append({"role": "tool", "id": str(tool)})
    body = {
        "digests": {"sha-256": digest},
        "media_type": media_type or media_type_of(path),
        "size": size,
        "source_type": source_type,
        "human_contribution": human_contribution,
        "tools": "listed" if tool is not None else "undisclosed",
    }
    return draft(type_, body=body, refs=refs, personal=personal)


def terms_draft(
    draft: MakeDraft,
    license: str,  # noqa: A002 - the field's word
    machine: Mapping[str, Any] | None = None,
    text_digest: str | None = None,
    *,
    ref: str | None = None,
) -> Draft:
    """A terms.publish."""
    body: dict[str, Any] = {"license": license, "machine": dict(machine or {})}
    if text_digest is not None:
        body["text_digest"] = text_digest
    return draft("terms.publish", body=body, personal={"ref": ref})


def submitted(event: bytes, ref: str) -> bytes:
    """The fingerprint of a name for an event that somebody else signed, which does not carry it."""
    return address(event + ref.encode(errors="surrogateescape"))  # a damaged name is no text any more


def offer_draft(
    draft: MakeDraft,
    work: str,
    terms: str,
    *,
    price: Money | None = None,
    audience: str = "public",
    ref: str | None = None,
) -> Draft:
    """An offer.attach: a work (event id) under terms (event id)."""
    body: dict[str, Any] = {"audience": audience, "overrides": {}}
    if price is not None:
        body["price"] = price.body()
    refs = [{"role": "work", "id": work}, {"role": "terms", "id": terms}]
    return draft("offer.attach", body=body, refs=refs, personal={"ref": ref})


def is_event_id(text: str) -> bool:
    """Whether this is an event id rather than a license expression."""
    return _EVENT_ID.fullmatch(text) is not None


def draft_facts(draft: Draft, *, market: bytes, sealed: bool = False) -> Facts:
    """What the index will keep of it, once `market` (party id) has signed it."""
    issuer = draft.id.hex() if draft.model.actor == "self" else market.hex()
    return facts_of(event_id=draft.id, type=draft.type, issuer=issuer, sealed=sealed, event=draft.data)


def fingerprint(draft: Draft, terms: Named | None = None) -> bytes:
    """Digest of what was asked for: the event without salts, times, `prev` and which use of a grant it is, and `terms`.

    Terms count as they were given. A retry has the same one, also when the terms exist by now.
    """
    return fingerprint_of(draft.data, {item.kind: item.value for item in draft.items}, terms)


def fingerprint_of(data: bytes, personal: Mapping[str, Any], terms: Named | None = None) -> bytes:
    """The `fingerprint` of a recorded event, from its bytes and the values of the vault items that it commits to."""
    event = orjson.loads(data)
    left_out = ("prev",) if terms is None else ("prev", "terms")  # what a retry finds has changed by the first call
    if event["type"] == "grant.consume":
        event["body"].pop("number", None)
    asked = {
        "type": event["type"],
        "actor": event["actor"],
        "strength": event["strength"],
        "body": event["body"],
        "refs": [ref for ref in event["refs"] if ref["role"] not in left_out],
        "personal": dict(personal),
    }
    if terms is not None:
        asked["terms"] = str(terms)
    # Every value was checked when the event was built, so that this is its canonical form (`canonical.dumps`).
    return address(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))
