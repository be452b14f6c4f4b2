"""Building an event: its bytes, its id and its vault items, checked before anybody signs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ledger.errors import MalformedError
from provenance.canonical import address, dumps
from provenance.errors import EventRejected, Reason
from provenance.events.envelope import MAX_PARENTS, Event, too_many
from provenance.events.union import EVENT, MODELS, problems
from provenance.item import SALT_SIZE, Item
from provenance.vocabularies import BUILT_IN, Vocabularies

__all__ = ["Draft", "new_event"]


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that holds in itself and that nobody has signed yet. Its refs are checked where it is staged."""

    type: str
    data: bytes
    """Canonical JSON, at most 1 MiB."""
    id: bytes
    """SHA-256 of `data`, 32 bytes."""
    items: tuple[Item, ...]
    """Vault items that the event commits to, one for each personal field."""
    model: Event


def new_event(
    type: str,  # noqa: A002 - the field's name in the event
    *,
    ledger: str,
    actor: str,
    strength: str,
    claimed_at: str,
    body: Mapping[str, Any],
    refs: Sequence[Mapping[str, Any]] = (),
    personal: Mapping[str, Any] | None = None,
    salt: bytes | None = None,
    vocabularies: Vocabularies = BUILT_IN,
) -> Draft:
    """Build an event for the log with origin `ledger`.

    `actor` is a party id in 64 hex digits or "self"; `claimed_at` is RFC 3339 in UTC with whole seconds. Values of
    `personal` become vault items with salts of their own, and the event carries their addresses. `salt` are 32 random
    bytes; give it only to build the same event again. `vocabularies` are the tables in use in that log.

    Raises `EventRejected` with every rule that the event breaks: `schema` for each field that is not what its type
    says, the rules of the type, such as `work.create.tools`, and `vocab.retired` and `vocab.adopted` for each word that
    no table in use has. What rests on other events is not checked here.
    """
    salt = os.urandom(SALT_SIZE) if salt is None else salt
    if len(salt) != SALT_SIZE:
        raise EventRejected(Reason("schema", f"salt: {len(salt)} bytes, want {SALT_SIZE}"))
    if len(refs) > MAX_PARENTS and type in MODELS:
        # Said before the size of it all is: that names no way out.
        crowded = tuple(too_many(type, MODELS[type].roles, Counter(str(ref.get("role")) for ref in refs)))
        if crowded:
            raise EventRejected(*crowded)
    try:
        items = tuple(Item.new(name, value) for name, value in personal.items()) if personal else ()
        data = dumps(
            {
                "v": 1,
                "kind": "event",
                "type": type,
                "ledger": ledger,
                "actor": actor,
                "strength": strength,
                "claimed_at": claimed_at,
                "salt": salt.hex(),
                "body": dict(body),
                "refs": [dict(ref) for ref in refs],
                "commits": {item.kind: item.address.hex() for item in items},
            }
        )
    except MalformedError as error:
        raise EventRejected(Reason("schema", str(error))) from None
    try:
        event = EVENT.validate_json(data, context=vocabularies)
    except ValidationError as error:
        raise EventRejected(*(Reason("schema", f"{where}: {what}") for where, what in problems(error))) from None
    broken = tuple(event.broken_rules(vocabularies))
    if broken:
        raise EventRejected(*broken)
    return Draft(type, data, address(data), items, event)
