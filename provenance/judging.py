"""What was logged against the rules between events: it stands in the log, and counts for nothing.

At staging such an event is refused. A log may hold one all the same: what its operator wrote past the rules, what came
too late, what two machines accepted at the same moment without a place to take.

A rule looks into earlier events. What was erased after an event, or is not disclosed, can be looked at no more: what
rests on it is unknown, neither broken nor kept, and nobody is to blame for it. What had been erased before the event
nobody could read then either: that is judged as it was then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from provenance.before import Before
from provenance.history import Finding, History
from provenance.index import facts_of
from provenance.once import CHAINS, ONCE
from provenance.rules import RULES, Act, check_refs, in_force, rules_of, targets

__all__ = ["Judgement", "judge_rules"]

Progress = Callable[[int, int], None]

_MOST_NAMED = 3  # events that are named in one finding


class Judgement(NamedTuple):
    """A rule that an event breaks; or, where it is `unknown`, one that cannot be looked at any more, or not here."""

    finding: Finding
    unknown: bool


def judge_rules(history: History, *, progress: Progress | None = None) -> Iterator[Judgement]:
    """Judge every event that can be read here by the rules of its type, each as of its own place in the log.

    `once.<place>` is a second event at a place that can be taken once, `rule.unread` an event of which some rule looks
    at what cannot be read, and none says that it is broken. Costs some queries for each event.
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
        yield from _judged(entry.idx, Act(facts, reading.event), before, history)
        if progress is not None and done % 100 == 0:
            progress(done, len(found))


def _judged(idx: int, act: Act, before: Before, history: History) -> Iterator[Judgement]:
    for rule, place in act.fact.places:
        holder = before.index.taken(rule, place)
        if holder is not None:
            text = f"event #{idx}: {rule} {place.hex()} was taken by {holder.hex()} before it"
            yield Judgement(Finding(idx, f"once.{rule}", text, altered=False), unknown=False)
    prev = act.ref("prev")
    behind = set() if prev is None or before.data(prev) is not None else {prev}  # its whole chain is not known
    said, unread = False, set(behind)
    for check in (*rules_of(act.type), *((in_force,) if act.type == "grant.issue" else ())):
        before.unread.clear()
        reasons = list(check(act, before))
        missing = _since(before.unread | behind, before) if before.unread | behind else set()
        unread |= missing
        for reason in reasons:
            said = True
            text = f"cannot be judged, since {_named(missing, history)}" if missing else reason.sentence
            yield Judgement(Finding(idx, reason.rule, f"event #{idx}: {text}", altered=False), unknown=bool(missing))
    if unread and not said:
        text = f"event #{idx}: cannot be judged by every rule, since {_named(unread, history)}"
        yield Judgement(Finding(idx, "rule.unread", text, altered=False), unknown=True)


def _since(unread: Collection[bytes], before: Before) -> set[bytes]:
    """Those of these events of the log that could be read at the place of `before`, for all that is known."""
    return before.index.known(unread).keys() - before.index.erased(unread).keys()


def _named(unread: Collection[bytes], history: History) -> str:
    """Which events cannot be read, and why."""
    entries = sorted(history.index.entries_of(unread).values())
    named = [f"the {entry.type} #{entry.idx} is {history.status_at(entry.idx)}" for entry in entries[:_MOST_NAMED]]
    return ", ".join([*named, *([f"and {len(entries) - _MOST_NAMED} more"] if len(entries) > _MOST_NAMED else [])])
