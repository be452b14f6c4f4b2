"""The whole check of a published log: every tile from its entries, every entry's statement, signer, event and refs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint
from ledger.client import Client
from ledger.fsck import fsck
from provenance.history import Finding, History
from provenance.judging import judge_rules
from provenance.linter import lint
from provenance.readings import ItemStatus
from provenance.verdict import Record

__all__ = ["Audit", "audit"]

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, in all)."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found. `record` is the worst of it; `findings` are in the order of the log."""

    checkpoint: Checkpoint
    counts: Mapping[str, int]  # entries by type: complete, because types of sealed events are public
    statuses: Mapping[ItemStatus, int]
    findings: tuple[Finding, ...]
    against_rules: tuple[Finding, ...]  # logged, intact, and of no effect: see `provenance.judging`
    history: History
    unknown: tuple[Finding, ...] = ()  # rules that rest on what is erased since or not disclosed: no fault of anybody
    personal: tuple[Finding, ...] = ()  # intact, and looks as if it should be in the vault: see `provenance.linter`

    @property
    def record(self) -> Record:
        """intact, or altered where anything contradicts, or cannot check where something is missing."""
        if any(finding.altered for finding in self.findings):
            return "altered"
        return "cannot check" if self.findings else "intact"


def audit(
    log: Client,
    *,
    since: Checkpoint | None = None,
    disclosed: Mapping[bytes, bytes] | None = None,
    rules: bool = False,
    progress: Progress | None = None,
) -> Audit:
    """Audit everything under the newest checkpoint, which must extend `since` where that is given.

    Trusts the log's policy and nothing else. `disclosed` are sealed events and vault items by SHA-256 that the auditor
    was given. Raises `TileMismatch`, `MalformedError`, `NotFound` at the first byte that is not the log's own, `Fork`
    or `Rollback` against what was seen before; what was logged against the rules of one event is listed in the result,
    with `rules` also what breaks those between events, each judged as of its place, apart from that what they cannot
    tell of, and what looks personal: some queries for each event.
    """
    checkpoint = log.latest(since=since)
    fsck(log, checkpoint, progress=_named(progress, "tiles"))
    history = History.read(log, disclosed=disclosed, progress=_named(progress, "events"))
    judged = list(judge_rules(history, progress=_named(progress, "rules"))) if rules else []
    broken, unknown = (tuple(each.finding for each in judged if each.unknown is lacks) for lacks in (False, True))
    personal = tuple(_personal(history)) if rules else ()
    counts, statuses = history.index.counts(), history.statuses
    return Audit(checkpoint, counts, statuses, tuple(history.findings), broken, history, unknown, personal)


def _personal(history: History) -> Iterator[Finding]:
    """What looks personal in the events that can be read; what was logged is a fact, so none of it is altered."""
    for reading in history.readings(0, history.log.checkpoint.size):
        for reason in lint(reading.event or b""):
            yield Finding(reading.index, reason.rule, f"event #{reading.index}: {reason.sentence}", altered=False)


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(what, done, total)
