"""What is reserved of a work, by all that was declared about it."""

from __future__ import annotations

from provenance.before import Before

__all__ = ["reservation_of"]


def reservation_of(work: bytes, category: str, before: Before) -> tuple[str, tuple[bytes, ...]]:
    """What is said of one use of a work at a place of the log, and the events that say it.

    `disallow` where any standing declaration says so, else `constrained`, else `allow`, else `unknown`: preferences
    combine to the strictest (draft-ietf-aipref-vocab). A declaration that a later one names as its `prev` stands no
    more; what it says of a whole work holds from `valid_from` on, in log time.
    """
    said: dict[str, list[bytes]] = {}
    for event_id in before.pointing(work, "work", "reservation.declare"):
        if before.holder("reservation", event_id) is not None:
            continue
        event = before.event(event_id)
        if event is None:
            continue
        body = event["body"]
        if body.get("valid_from", "") > before.time:
            continue
        word = body["statements"].get(category)
        if word is not None:
            said.setdefault(word, []).append(event_id)
    for word in ("disallow", "constrained", "allow"):
        if word in said:
            return word, tuple(said[word])
    return "unknown", ()
