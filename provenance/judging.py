"""What was logged against the rules between events: it stands in the log, and counts for nothing.

At staging such an event is refused. A log may hold one all the same: what its operator wrote past the rules, what came
too late, what two machines accepted at the same moment without a place to take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provenance.history import Finding, History
from provenance.index import facts_of
from provenance.once import CHAINS, ONCE
from provenance.rules import RULES, Act, check_acts, check_refs, in_force, targets

__all__ = ["against_rules"]

Progress = Callable[[int, int], None]


def against_rules(history: History, *, progress: Progress | None = None) -> Iterator[Finding]:
    """Judge every event that can be read here by the rules of its type, each as of its own place in the log.

    `once.<place>` is a second event at a place that can be taken once. Costs some queries for each event.
    """
    found = history.index.of_type(*RULES, *CHAINS, *ONCE)
    for done, entry in enumerate(found, 1):
        reading = history.reading(entry.idx)
        if reading.statement is None or reading.event is None:
            continue
        before = history.before(entry.idx)
        if before.understood(reading.event) is None:
            continue  # what this version does not know it does not judge
        statement = reading.statement
        facts = facts_of(
            event_id=statement.event_id,
            type=statement.type,
            issuer=statement.issuer,
            sealed=statement.sealed,
            event=reading.event,
        )
        if check_refs([facts], before.index.known(targets([facts]))):
            continue  # what it points to is not there, or something else: the history has found that
        act = Act(facts, reading.event)
        for rule, place in act.fact.places:
            holder = before.index.taken(rule, place)
            if holder is not None:
                text = f"event #{entry.idx}: {rule} {place.hex()} was taken by {holder.hex()} before it"
                yield Finding(entry.idx, f"once.{rule}", text, altered=False)
        reasons = [*check_acts([act], before), *(in_force(act, before) if act.type == "grant.issue" else ())]
        for reason in reasons:
            yield Finding(entry.idx, reason.rule, f"event #{entry.idx}: {reason.sentence}", altered=False)
        if progress is not None and done % 100 == 0:
            progress(done, len(found))
