"""What must not be erased, at some place of the log."""

from __future__ import annotations

from provenance.before import Before

__all__ = ["held"]


def held(before: Before) -> dict[bytes, bytes]:
    """Every address (32 bytes) under a hold that is in force, with the event id of the first such hold.

    A hold is in force until it is released, and not beyond its `until` in log time.
    """
    found: dict[bytes, bytes] = {}
    for entry in before.index.of_type("hold.set"):
        event = before.event(entry.event_id)
        if event is None or before.holder("hold.release", entry.event_id) is not None:
            continue
        if before.time <= event["body"].get("until", "9999"):
            for target in event["body"]["targets"]:
                found.setdefault(bytes.fromhex(target), entry.event_id)
    return found
