"""What state a work, a grant or a dispute is in at some place of the log, each with the events that say so."""

from __future__ import annotations

from typing import Literal, NamedTuple

from provenance.assent import Group, judge, refs_of
from provenance.before import Before

__all__ = ["DisputeStatus", "GrantStatus", "WorkStatus", "chain", "dispute_status", "grant_status", "status_of"]


class WorkStatus(NamedTuple):
    """`state` is active, deactivated, suspended, takendown or deleted; `events` (ids in hex) say so."""

    state: str
    reason: str
    events: tuple[str, ...]


class GrantStatus(NamedTuple):
    """`state` is standing, expired, revoked or consumed; `holder` has it (party id in hex), `left` of its quantity."""

    state: Literal["standing", "expired", "revoked", "consumed", "unknown"]
    holder: str
    left: int
    events: tuple[str, ...]


class DisputeStatus(NamedTuple):
    """`state` is open, upheld, dismissed, resolved or cancelled."""

    state: str
    tag: str
    target: str
    events: tuple[str, ...]


def chain(family: str, start: bytes, before: Before) -> list[bytes]:
    """Events of a chain (`provenance.once`) in their order, from the one behind `start` on."""
    found: list[bytes] = []
    at = start
    while (after := before.holder(family, at)) is not None:
        found.append(after)
        at = after
    return found


def status_of(work: bytes, before: Before) -> WorkStatus:
    """The state of a work: active until something else is said of it."""
    newest = before.newest("work.status", work)
    if newest is None:
        return WorkStatus("active", "", (work.hex(),))
    event = before.event(newest, "work.status")
    if event is None:
        return WorkStatus("unknown", "", (newest.hex(),))
    return WorkStatus(event["body"]["state"], event["body"]["reason"], (newest.hex(),))


def grant_status(grant: bytes, before: Before) -> GrantStatus:
    """Whether a grant can be used, by whom, and how often; unknown when its event cannot be read here.

    A transfer counts once its taker has agreed. Expiry is in log time.
    """
    event = before.event(grant, "grant.issue")
    if event is None:
        return GrantStatus("unknown", "", 0, (grant.hex(),))
    holder, events = next(refs_of(event, "licensee")), [grant]
    for transfer_id in chain("grant.holder", grant, before):
        transfer = before.event(transfer_id, "grant.transfer")
        if transfer is None:
            return GrantStatus("unknown", "", 0, (grant.hex(), transfer_id.hex()))
        taker = Group.everybody("the one who gets it", refs_of(transfer, "to"))
        if transfer["actor"] not in {holder.hex(), before.market.hex()}:
            continue  # by then it was no longer theirs to give
        if judge(transfer_id, transfer, [taker], before).state == "effective":
            holder = next(refs_of(transfer, "to"))
            events.append(transfer_id)
    used = list(before.pointing(grant, "grant", "grant.consume"))
    left = int(event["body"]["quantity"]) - len(used)
    revoked = before.holder("grant.revoke", grant)
    expires = event["body"].get("expires", "")
    state: Literal["standing", "expired", "revoked", "consumed"] = "standing"
    if revoked is not None:
        state = "revoked"
        events.append(revoked)
    elif expires and before.time > expires:
        state = "expired"
    elif left <= 0:
        state = "consumed"
        events += used
    return GrantStatus(state, holder.hex(), left, tuple(each.hex() for each in events))


def dispute_status(dispute: bytes, before: Before) -> DisputeStatus:
    """Where a dispute stands: an appeal opens it again, and is judged for itself."""
    event = before.event(dispute, "dispute.open", "dispute.appeal")
    if event is None:
        return DisputeStatus("unknown", "", "", (dispute.hex(),))
    target = next(refs_of(event, "target"), b"").hex()
    tag = str(event["body"].get("tag", ""))
    state, events = "open", [dispute]
    at: bytes | None = dispute
    while at is not None:
        judged, ended = before.holder("dispute.judge", at), before.holder("dispute.end", at)
        if judged is not None:
            said = before.event(judged, "dispute.judge")
            state = "unknown" if said is None else str(said["body"]["decision"])
            events.append(judged)
        if ended is not None:
            said = before.event(ended)
            state = "cancelled" if said is not None and said["type"] == "dispute.cancel" else "resolved"
            events.append(ended)
        at = None if ended is not None else before.holder("dispute.appeal", at)
        if at is not None:
            state = "open"
            events.append(at)
    return DisputeStatus(state, tag, target, tuple(each.hex() for each in events))
