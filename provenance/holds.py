"""What must not be erased, at some place of the log.

A hold that cannot be read here, or only by a later version, keeps what it names: to erase is final, and unknown is no
yes. One that breaks the rules of its own type counts for nothing, as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection

from ledger.errors import MalformedError
from provenance.before import Before
from provenance.erasures import targets_of
from provenance.events import Unknown, read_event

__all__ = ["held", "holds_on"]

_HOLD = "hold.set"


def held(before: Before) -> dict[bytes, bytes]:
    """Every address (32 bytes) under a hold that is in force, with the event id of the first such hold.

    A hold is in force until it is released, and not beyond its `until` in log time. Reads every hold that there was;
    what one keeps that cannot be read is not known here.
    """
    found: dict[bytes, bytes] = {}
    for entry in before.index.of_type(_HOLD):
        if _in_force(entry.event_id, before):
            for target in targets_of(before.data(entry.event_id) or b""):
                found.setdefault(target, entry.event_id)
    return found


def holds_on(addresses: Collection[bytes], before: Before) -> dict[bytes, bytes]:
    """Those of these addresses that are under a hold, as `held`.

    Holds that wait for their place count as well, and those that are accepted along.
    """
    found: dict[bytes, bytes] = {}
    # First those that wait: a sequencer moves them into the index meanwhile, and never back.
    waiting = [*before.along(_HOLD), *before.waiting(_HOLD)]
    for target, entry in before.index.holds_on(addresses):
        if target not in found and _in_force(entry.event_id, before):
            found[target] = entry.event_id
    for hold in waiting:
        named = set(targets_of(before.data(hold) or b"")).intersection(addresses)
        if named and _in_force(hold, before):
            found = dict.fromkeys(named, hold) | found
    return found


def _in_force(hold: bytes, before: Before) -> bool:
    """Whether a hold keeps what it names, at the place of `before`."""
    if before.holder("hold.release", hold) is not None:
        return False
    data = before.data(hold)
    if data is None:
        return True
    event = before.understood(data)
    if event is not None:
        return event["type"] == _HOLD and before.time <= str(event["body"].get("until", "9999"))
    try:
        return isinstance(read_event(data), Unknown)
    except MalformedError:
        return False
