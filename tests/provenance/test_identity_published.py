"""What a dishonest operator may log about keys and mandates, and what an auditor says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from provenance import PartyKey
from provenance.canonical import dumps
from provenance.events import Draft
from tests.provenance.test_published import FIRST, KEY, ME, SECOND, TIME, draft, judge, log_time, row, rules, work

NEW, STRANGER, AGENT = (PartyKey.from_seed(bytes(31) + bytes([number])) for number in (7, 8, 9))


def keys(*jwks: PartyKey, reason: str = "rotate", prev: str = ME, actor: str = ME, **more: Any) -> Draft:
    body = {"reason": reason, "keys": [key.public.jwk() for key in jwks], "rotation_keys": [], "next_key_hashes": []}
    return draft("party.keys", actor, {**body, **more}, [{"role": "prev", "id": prev}])


def party(key: PartyKey, **more: Any) -> Draft:
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    return draft("party.register", "self", {**body, **more})


AGENCY = party(AGENT)
THIRD = row(AGENCY, AGENCY.id.hex(), AGENT)


def mandate(actions: Sequence[str] = ("work.create",), **body: Any) -> Draft:
    refs = [{"role": "agent", "id": AGENCY.id.hex()}]
    return draft("mandate.grant", ME, {"actions": list(actions), **body}, refs)


def agreed(*actions: str, answer: str = "yes", by: PartyKey = AGENT, **body: Any) -> Any:
    """The agent's answer to `mandate`."""
    of = mandate(actions or ("work.create",), **body)
    said = draft("assent.answer", AGENCY.id.hex(), {"answer": answer}, [{"role": "of", "id": of.id.hex()}])
    return row(said, AGENCY.id.hex(), by)


REVOKED = draft("mandate.revoke", ME, {}, [{"role": "mandate", "id": mandate().id.hex()}])


def by_agent(content: bytes = b"x") -> Any:
    return row(work(content), AGENCY.id.hex(), AGENT)


def test_keys_change_where_the_log_says_so() -> None:
    report = judge(FIRST, SECOND, row(work(b"1"), ME), row(keys(NEW), ME), row(work(b"2"), ME, NEW))
    assert rules(report) == []


def test_what_a_retired_key_signed_is_not_altered() -> None:
    report = judge(FIRST, SECOND, row(keys(NEW), ME), row(work(), ME, KEY))
    assert (report.record, rules(report)) == ("cannot check", ["statement.retired-key"])
    assert report.findings[0].detail == "statement #3: key retired at #2"


def test_a_key_signs_nothing_before_its_event() -> None:
    report = judge(FIRST, SECOND, row(work(), ME, NEW), row(keys(NEW), ME))
    assert (report.record, rules(report)) == ("altered", ["statement.signature"])


def test_a_change_that_a_stranger_signed_changes_nothing() -> None:
    report = judge(FIRST, SECOND, row(keys(STRANGER), ME, STRANGER), row(work(), ME, STRANGER), row(work(b"2"), ME))
    assert [(finding.index, finding.rule) for finding in report.findings] == [
        (2, "statement.signature"),
        (3, "statement.signature"),
    ]


@pytest.mark.parametrize(
    "bad,rule",
    [
        (lambda one: keys(STRANGER, prev="ab" * 32), "party.keys.prev"),
        (lambda one: keys(STRANGER, actor=AGENCY.id.hex()), "party.keys.actor"),
        (lambda one: keys(STRANGER, reason="claim"), "party.keys.claim"),
        (lambda one: keys(STRANGER, reason="compromise", suspect_from=99), "party.keys.suspect"),
    ],
    ids=["prev", "actor", "claim", "suspect"],
)
def test_a_change_against_the_rules_changes_nothing(bad: Any, rule: str) -> None:
    said = bad(ME)
    event = orjson.loads(said.data)
    key = AGENT if event["actor"] != ME else KEY
    report = judge(FIRST, SECOND, THIRD, row(said, event["actor"], key), row(work(), ME))
    assert rule in rules(report)
    assert {finding.index for finding in report.findings} == {3}


def test_announced_keys_alone_may_follow() -> None:
    announced = party(STRANGER, next_key_hashes=[NEW.public.thumbprint.hex()])
    who = announced.id.hex()
    start = [FIRST, SECOND, row(announced, who, STRANGER)]
    good = keys(NEW, prev=who, actor=who)
    bad = keys(AGENT, prev=who, actor=who)
    assert rules(judge(*start, row(good, who, STRANGER))) == []
    report = judge(*start, row(bad, who, STRANGER), row(work(party=who), who, AGENT))
    assert rules(report) == ["party.keys.pre-rotation", "statement.signature"]
    assert report.record == "altered"


def test_an_agent_is_judged_by_its_mandate() -> None:
    start = [FIRST, SECOND, THIRD]
    granted = row(mandate(), ME)
    revoked = row(REVOKED, ME)
    assert rules(judge(*start, granted, agreed(), by_agent())) == []
    until = "2026-11-23T07:59:59Z"
    for rows, record in (
        ([by_agent(), granted, agreed()], "altered"),
        ([granted, by_agent(), agreed()], "altered"),  # pending
        ([granted, agreed(answer="no"), by_agent()], "altered"),
        ([row(mandate(["offer.*"]), ME), agreed("offer.*"), by_agent()], "altered"),
        ([row(mandate(), AGENCY.id.hex(), AGENT), agreed(), by_agent()], "altered"),
        ([granted, agreed(), revoked, by_agent()], "cannot check"),
        ([row(mandate(until=until), ME), agreed(until=until), log_time(TIME), by_agent()], "cannot check"),
    ):
        report = judge(*start, *rows)
        assert set(rules(report)) == {"statement.actor"}
        assert report.record == record


def test_a_stranger_revokes_nothing() -> None:
    refs = [{"role": "mandate", "id": mandate().id.hex()}]
    other = party(STRANGER)
    revoked = draft("mandate.revoke", other.id.hex(), {}, refs)
    rows = [FIRST, SECOND, THIRD, row(other, other.id.hex(), STRANGER), row(mandate(), ME), agreed()]
    report = judge(*rows, row(revoked, other.id.hex(), STRANGER), by_agent())
    assert "statement.actor" not in rules(report)


def test_an_answer_that_is_not_here_blames_nobody() -> None:
    """What the agent said to its mandate may have been a yes: whose word is lacking cannot be told."""
    of = [{"role": "of", "id": mandate().id.hex()}]
    said = draft("assent.answer", AGENCY.id.hex(), {"answer": "yes"}, of)
    hidden = row(said, AGENCY.id.hex(), AGENT)._replace(opened=b"")
    report = judge(FIRST, SECOND, THIRD, row(mandate(), ME), hidden, by_agent())
    assert [(finding.rule, finding.altered) for finding in report.findings] == [
        ("event.missing", False),
        ("statement.actor", False),
    ]


def test_a_mandate_holds_where_it_says() -> None:
    def placed(*territories: str) -> Any:
        refs = [{"role": "work", "id": work().id.hex()}, {"role": "market", "id": {"scheme": "dns", "id": "b.example"}}]
        return row(draft("syndicate.place", ME, {"territories": list(territories)}, refs), AGENCY.id.hex(), AGENT)

    only = {"territories": ["DE", "US-CA"]}
    start = [FIRST, SECOND, THIRD, row(work(), ME), row(mandate(["syndicate.place"], **only), ME)]
    start.append(agreed("syndicate.place", **only))
    for named in (["DE"], ["DE-BY", "US-CA"]):
        assert rules(judge(*start, placed(*named))) == []
    for named in ([], ["FR"], ["DE", "US"], ["DE", "150"]):
        report = judge(*start, placed(*named))
        assert (report.record, rules(report)) == ("altered", ["statement.actor"])
        assert "(mandate.scope)" in report.findings[0].detail


def later(event: Draft, **body: Any) -> bytes:
    """As a later version might write it."""
    value = orjson.loads(event.data)
    return dumps({**value, "body": {**value["body"], **body}})


def test_what_a_later_version_says_blames_nobody() -> None:
    report = judge(FIRST, SECOND, THIRD, row(later(mandate(), mood="only on Sundays"), ME), by_agent())
    assert [(finding.rule, finding.altered) for finding in report.findings] == [
        ("event.unknown", False),
        ("statement.actor", False),
    ]
    unread = later(keys(NEW), keys=[{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}])
    report = judge(FIRST, SECOND, row(unread, ME), row(work(), ME, NEW))
    assert report.record == "cannot check"


@pytest.mark.parametrize("event", [keys(NEW), mandate(), REVOKED])
@pytest.mark.parametrize(
    "change",
    [
        {"actor": "self"},
        {"refs": []},
        {
            "refs": [
                {"role": "prev", "id": {"log": "x"}},
                {"role": "agent", "id": {"a": 1}},
                {"role": "mandate", "id": {}},
            ]
        },
        {"body": {}},
        {"body": {"actions": 7, "keys": {}, "rotation_keys": "x", "next_key_hashes": [1], "reason": []}},
    ],
)
def test_hostile_events_never_stop_an_audit(event: Draft, change: dict[str, Any]) -> None:
    data = dumps({**orjson.loads(event.data), **change})
    report = judge(FIRST, SECOND, THIRD, row(data, ME), row(work(), ME))
    assert 3 in {finding.index for finding in report.findings}
    assert not any(finding.altered for finding in report.findings if finding.index == 4)


def test_missing_bytes_of_a_change_blame_nobody_behind_it() -> None:
    hidden = row(keys(NEW), ME)._replace(opened=b"")
    report = judge(FIRST, SECOND, hidden, row(work(), ME, NEW))
    assert [(finding.rule, finding.altered) for finding in report.findings] == [
        ("event.missing", False),
        ("statement.signature", False),
    ]
