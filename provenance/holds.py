"""What must not be erased, at some place of the log."""

from __future__ import annotations

from collections.abc import Collection

from provenance.before import Before

__all__ = ["held", "holds_on"]

_HOLD = "hold.set"


def held(before: Before) -> dict[bytes, bytes]:
    """Every address (32 bytes) under a hold that is in force, with the event id of the first such hold.

    A hold is in force until it is released, and not beyond its `until` in log time. Reads every hold that there was.
    """
    found: dict[bytes, bytes] = {}
    for entry in before.index.of_type(_HOLD):
        for target in _in_force(entry.event_id, before):
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
        if target not in found and target in _in_force(entry.event_id, before):
            found[target] = entry.event_id
    for hold in waiting:
        for target in _in_force(hold, before):
            if target in addresses:
                found.setdefault(target, hold)
    return found


def _in_force(hold: bytes, before: Before) -> Collection[bytes]:
    """What a hold keeps at the place of `before`."""
    event = before.event(hold, _HOLD)
    if event is None or before.holder("hold.release", hold) is not None:
        return ()
    body = event["body"]
    return [bytes.fromhex(target) for target in body["targets"]] if before.time <= body.get("until", "9999") else ()
