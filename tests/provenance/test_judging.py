"""What an audit says of events whose inputs cannot be read any more: unknown, never broken, never passed over."""

from __future__ import annotations

import random
from pathlib import Path

import orjson

from adapters import open_log
from provenance import audit
from provenance.audit import Audit
from provenance.events.vocabulary import ALWAYS_OPEN
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited
from tests.provenance.test_rules import CASES, Said, Stage, ref


def erase_some(stage: Stage, pick: random.Random, share: float) -> None:
    """Erase as much of all that may be erased, as far as the rules let it go."""
    desk = stage.desk
    events = [entry for entry in desk.index.of_type(*desk.counts()) if not entry.type.startswith(ALWAYS_OPEN)]
    left = [entry.event_id for entry in events if desk.erased_by(entry.event_id) is None]
    desk.erase(*pick.sample(left, int(len(left) * share)))


def unknown_at(report: Audit) -> set[int]:
    return {finding.index for finding in report.unknown}


def test_nothing_honest_is_accused_after_erasures(tmp_path: Path) -> None:
    """One good event for every rule, and more and more of the log erased."""
    stage, pick = Stage(tmp_path), random.Random(1)
    for make in CASES.values():
        stage.put(make(stage)[1])
    stage.desk.publish()
    assert audited(stage.desk, stage.public).against_rules == ()
    for _ in range(3):
        erase_some(stage, pick, 0.25)
        report = audited(stage.desk, stage.public)
        assert report.against_rules == ()
        assert report.unknown
        assert not {finding.index for finding in report.findings if finding.altered}
        for finding in report.unknown:
            assert "is erased" in finding.detail
            assert report.statuses["erased"] > 0
            assert report.history.status_at(finding.index) == "disclosed"


def test_who_broke_a_rule_is_accused_or_unknown_and_nobody_else(tmp_path: Path) -> None:
    stage, pick = Stage(tmp_path), random.Random(3)
    made = {name: make(stage) for name, make in CASES.items()}
    forced = {stage.force(bad): name.partition(",")[0] for name, (bad, _) in made.items()}
    stage.desk.publish()
    entries = stage.desk.index.entries_of(map(bytes.fromhex, forced))
    rules = {entries[bytes.fromhex(event_id)].idx: rule for event_id, rule in forced.items()}
    assert {f.index: f.rule for f in audited(stage.desk, stage.public).against_rules} == rules
    for _ in range(2):
        erase_some(stage, pick, 0.2)
        report = audited(stage.desk, stage.public)
        accused = {finding.index: finding.rule for finding in report.against_rules}
        assert accused.items() <= rules.items()
        for idx in rules.keys() - accused.keys() - unknown_at(report):
            assert report.history.status_at(idx) == "erased"


def test_what_was_erased_before_is_judged_as_it_was_then(tmp_path: Path) -> None:
    """Nobody could read it then either: to offer an erased work anew is against the rules, and stays so."""
    stage = Stage(tmp_path)
    work, terms = stage.work(), stage.desk.publish_terms("LicenseRef-house")
    stage.desk.erase(work)
    body = {"audience": "public", "overrides": {}}
    forced = stage.force(Said("offer.attach", body, [ref("work", work), ref("terms", terms)]))
    stage.desk.publish()
    report = audited(stage.desk, stage.public)
    entry = stage.desk.index.find(bytes.fromhex(forced))
    assert entry is not None
    assert [(finding.index, finding.rule) for finding in report.against_rules] == [(entry.idx, "offer.work")]
    assert entry.idx not in unknown_at(report)


def test_what_is_not_disclosed_is_unknown(market: Market) -> None:
    """An auditor who was given the use of a grant, and not the grant."""
    desk, work = market.ledger, market.work()
    grant = desk.license(work, to=market.bo, offer=desk.offer(work, terms="CC0-1.0"))
    used = desk.consume_grant(grant, child=work)
    given = {bytes.fromhex(used.id): desk.event(used)}
    report = audit(open_log(market.public, desk.log.policy), disclosed=given, rules=True)
    at = {
        event: desk.index.entries_of([bytes.fromhex(event.id)])[bytes.fromhex(event.id)].idx for event in (grant, used)
    }
    assert report.against_rules == ()
    assert unknown_at(report) == {at[used]}
    assert f"the grant.issue #{at[grant]} is sealed" in report.unknown[0].detail
    assert orjson.loads(desk.event(used))["type"] == "grant.consume"
