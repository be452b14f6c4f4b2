"""A published log read by somebody who trusts nobody: each thing that can be wrong has a finding of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import cbor2
import orjson
import pytest

from adapters import open_log
from ledger import Fork, Log, Policy, Rollback, Row, SigningKey, TileMismatch, UnknownKey
from ledger.testing import MemoryStore
from ledger.tile import bundle_spans
from provenance import Audit, History, PartyKey, Statement, audit, sign_statement, verify
from provenance.canonical import address, dumps
from provenance.events import LEAF_RULE, Draft, new_event
from tests.provenance.conftest import Market

ORIGIN = "made.example/log"
LOG_KEY = SigningKey(ORIGIN, bytes(range(32)))
KEY = PartyKey.from_seed(bytes(31) + b"\1")
TIME = "2026-11-23T08:00:00Z"
POLICY = Policy.of(LOG_KEY.verifier)


def draft(type_: str, actor: str, body: dict[str, object], refs: Sequence[dict[str, object]] = ()) -> Draft:
    strength = "self"
    return new_event(
        type_, ledger=ORIGIN, actor=actor, strength=strength, claimed_at=TIME, body=body, refs=refs, salt=bytes(32)
    )


def row(event: Draft | bytes, issuer: str, key: PartyKey = KEY, **changes: object) -> Row:
    data = event if isinstance(event, bytes) else event.data
    details = {"type": orjson.loads(data)["type"], "origin": ORIGIN, "event_id": address(data), **changes}
    statement = sign_statement(key, issuer=issuer, **details)  # type: ignore[arg-type]
    return Row(statement, b"" if details.get("sealed") else data)


GENESIS = draft(
    "log.genesis",
    "self",
    {
        "origin": ORIGIN,
        "log_keys": [str(LOG_KEY.verifier)],
        "leaf_rule": LEAF_RULE,
        "sealed": ["grant.issue"],
        "vocabularies": {},
    },
)
LOG_PARTY = PartyKey.from_seed(LOG_KEY.seed)
FIRST = row(GENESIS, GENESIS.id.hex(), LOG_PARTY)
PARTY = draft(
    "party.register", "self", {"kind": "market", "keys": [KEY.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
)
ME = PARTY.id.hex()
SECOND = row(PARTY, ME)


def work(content: bytes = b"x", party: str = ME, **refs: object) -> Draft:
    body = {
        "digests": {"sha-256": sha256(content).hexdigest()},
        "media_type": "image/png",
        "size": len(content),
        "source_type": "digitalCreation",
        "human_contribution": "full",
        "tools": "none",
    }
    return draft("work.create", party, body, [{"role": "creator", "id": party}])


def log_time(time: str) -> Row:
    return row(draft("log.time", GENESIS.id.hex(), {"time": time}), GENESIS.id.hex(), LOG_PARTY)


def judge(*rows: Row) -> Audit:
    store = MemoryStore()
    log = Log.create(store, LOG_KEY, rows[0])
    log.extend(list(rows[1:]))
    log.publish()
    return audit(open_log(store, POLICY))


def rules(report: Audit) -> list[str]:
    return [finding.rule for finding in report.findings]


def test_an_honest_log_is_intact() -> None:
    report = judge(FIRST, SECOND, row(work(), ME), log_time(TIME))
    assert (report.record, rules(report)) == ("intact", [])
    assert report.counts == {"log.genesis": 1, "log.time": 1, "party.register": 1, "work.create": 1}


def spelled_otherwise(entry: bytes) -> bytes:
    tag = cbor2.loads(entry)
    return cbor2.dumps(cbor2.CBORTag(18, [tag.value[0], {4: b"hint"}, *tag.value[2:]]))


@pytest.mark.parametrize(
    "damage", [lambda e: e + b"\0", spelled_otherwise, lambda e: b"\xd2\x98\x04" + e[2:], lambda _: b"no statement"]
)
def test_an_entry_in_another_encoding_is_no_statement(damage: object) -> None:
    entry, event = row(work(), ME)
    report = judge(FIRST, SECOND, Row(damage(entry), event))  # type: ignore[operator]
    assert (report.record, rules(report)) == ("altered", ["event.mismatch"])


OTHER = PartyKey.from_seed(bytes(31) + b"\2")


@pytest.mark.parametrize(
    "bad,rule",
    [
        (row(work(), ME, OTHER), "statement.signature"),
        (row(work(), "ab" * 32), "statement.actor"),
        (row(work(), ME, origin="other.example/log"), "statement.log"),
        (row(work(), ME, type="work.derive"), "statement.type"),
        (row(work(), ME, sealed=True), "statement.sealed"),
        (row(work(party="cd" * 32), "cd" * 32), "statement.signature"),
        (row(draft("log.time", GENESIS.id.hex(), {"time": TIME}), GENESIS.id.hex(), KEY), "statement.signature"),
        (FIRST, "log.genesis"),
        (Row(row(work(), ME).entry, b"other bytes"), "event.mismatch"),
        (row(b'{"kind":"event","type":"work.create"}', ME), "event.malformed"),
    ],
    ids=["key", "actor", "log", "type", "sealed", "unregistered", "log key", "genesis", "bytes", "malformed"],
)
def test_what_was_logged_against_the_rules_is_found(bad: Row, rule: str) -> None:
    report = judge(FIRST, SECOND, bad)
    assert rule in rules(report)
    assert report.record == "altered"


def test_a_key_counts_only_from_its_registration_on() -> None:
    report = judge(FIRST, row(work(), ME), SECOND)
    assert "statement.signature" in rules(report)
    assert {finding.index for finding in report.findings} == {1}


def test_the_same_event_twice_is_found() -> None:
    assert rules(judge(FIRST, SECOND, row(work(), ME), row(work(), ME))) == ["G6.twice"]


def test_log_time_that_goes_back_is_found() -> None:
    assert rules(judge(FIRST, SECOND, log_time(TIME), log_time("2026-11-23T07:59:59Z"))) == ["log.time"]


def test_an_unknown_parent_is_found() -> None:
    body = orjson.loads(work().data)["body"]
    refs = [{"role": "parent", "id": "ef" * 32, "relation": "edited"}, {"role": "creator", "id": ME}]
    assert rules(judge(FIRST, SECOND, row(draft("work.derive", ME, body, refs), ME))) == ["G1.unknown-ref"]


@pytest.mark.parametrize("change", [{"type": "work.sing"}, {"mood": "blue"}, {"v": 2}])
def test_what_a_later_version_may_say_cannot_be_checked_and_is_not_altered(change: dict[str, object]) -> None:
    data = dumps({**orjson.loads(work().data), **change})
    report = judge(FIRST, SECOND, row(data, ME))
    assert (report.record, rules(report)) == ("cannot check", ["event.unknown"])


@pytest.mark.parametrize(
    "refs", [[{"role": "star", "id": {"star": "v"}}], [{"role": "parent", "id": {"log": 1, "event": 2}}], []]
)
def test_hostile_events_never_stop_an_audit(refs: list[object]) -> None:
    hostile = {**orjson.loads(work().data), "refs": refs, "body": {"file_digest": "no hex", "digests": 7}}
    assert judge(FIRST, SECOND, row(dumps(hostile), ME)).record in {"altered", "cannot check"}


def test_missing_and_not_yet_published_events_cannot_be_checked() -> None:
    missing = judge(FIRST, SECOND, Row(row(work(), ME).entry, b""), row(work(b"y"), ME))
    assert (missing.record, rules(missing)) == ("cannot check", ["event.missing"])
    store = MemoryStore()
    log = Log.create(store, LOG_KEY, FIRST)
    log.extend([SECOND])
    behind = store.objects["events/000"]
    log.extend([row(work(), ME)])
    log.publish()
    store.replace("events/000", behind)
    late = audit(open_log(store, POLICY))
    assert (late.record, rules(late)) == ("cannot check", ["event.not-yet-published"])
    store.replace("events/000", behind[:-1])
    assert audit(open_log(store, POLICY)).record == "altered"


def test_a_changed_entry_is_named_to_the_byte(market: Market) -> None:
    market.work()
    size = market.ledger.log.checkpoint.size
    bundle = market.public / "tile" / "entries" / "000.p" / str(size)
    data = bytearray(bundle.read_bytes())
    begin, _ = bundle_spans(bytes(data))[2]
    data[begin + 9] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(TileMismatch) as found:
        audit(open_log(market.public, market.ledger.log.policy))
    assert (found.value.path, found.value.offset) == (f"tile/entries/000.p/{size}", begin)


def test_rollback_and_fork_against_an_earlier_audit(market: Market, tmp_path: Path) -> None:
    policy = market.ledger.log.policy
    shutil.copytree(market.public, tmp_path / "old")
    market.work()
    newest = audit(open_log(market.public, policy)).checkpoint
    with pytest.raises(Rollback):
        audit(open_log(tmp_path / "old", policy), since=newest)
    store = MemoryStore()
    fork = Log.create(store, SigningKey.parse((market.root / "market.keys" / "log.key").read_text().strip()), b"else")
    fork.extend([Row(b"other", b"")] * 50)
    fork.publish()
    with pytest.raises(Fork) as evidence:
        audit(open_log(store, policy), since=newest)
    assert evidence.value.old == newest
    with pytest.raises(UnknownKey):
        open_log(store, POLICY)


def test_verify_says_what_it_found_of_each_file(market: Market) -> None:
    work_ = market.work(b"the bytes", title="T", terms="CC-BY-4.0")
    rival = market.ledger.create(market.file(b"the bytes"), creators=[market.bo])
    history = market.history()
    known = verify(market.files[0], history)
    assert (known.record, known.work) == ("intact", work_.id)
    assert [node.id for node in known.rivals] == [rival.id]
    assert {check.name: check.word for check in known.checks}["terms"] == "CC-BY-4.0"
    unknown = verify(market.file(b"other bytes"), history)
    assert (unknown.record, unknown.work) == ("cannot check", "")
    assert Statement.parse(history.reading(5).entry).origin == known.origin


def test_disclosed_names_are_shown_and_sealed_ones_are_not(market: Market) -> None:
    market.work(b"the bytes", title="<b>T</b>")
    blind = verify(market.files[0], market.history())
    assert [credit.name for credit in blind.nodes[0].creators] == [None]
    seeing = History.read(open_log(market.public, market.ledger.log.policy), disclosed=market.ledger.disclosures())
    shown = verify(market.files[0], seeing).nodes[0]
    assert (shown.title, [credit.name for credit in shown.creators]) == ("<b>T</b>", ["Ada"])
