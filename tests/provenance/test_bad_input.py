"""Whatever somebody managed to log, auditor and reader get an answer: no traceback, and no false "intact"."""

from __future__ import annotations

import orjson
import pytest

from adapters import open_log
from ledger import Log, MalformedError, NotFound, Row, SigningKey, UnknownKey
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.testing import MemoryStore
from ledger.tile import pack_open
from provenance import History, Statement, audit, sign_statement, verify_work
from provenance.canonical import address, dumps
from provenance.report import as_json, render_html, render_text
from tests.provenance.test_published import (
    FIRST,
    GENESIS,
    KEY,
    LOG_KEY,
    LOG_PARTY,
    ME,
    ORIGIN,
    PARTY,
    POLICY,
    SECOND,
    draft,
    judge,
    row,
    rules,
    work,
)

WORK = orjson.loads(work().data)


def raw(event: bytes, type_: str = "work.create") -> Row:
    return Row(sign_statement(KEY, issuer=ME, type=type_, origin=ORIGIN, event_id=address(event)), event)


def event_id(logged: Row) -> str:
    return Statement.parse(logged.entry).event_id.hex()


def published(*rows: Row) -> MemoryStore:
    store = MemoryStore()
    log = Log.create(store, LOG_KEY, rows[0])
    log.extend(list(rows[1:]))
    log.publish()
    return store


@pytest.mark.parametrize(
    "change",
    [
        {"body": {}},
        {"body": {"digests": 7, "media_type": 9, "source_type": []}},
        {"body": {"digests": {"sha-256": [1]}}},
        {"refs": [{"role": "creator", "id": {"a": 1}}]},
        {"refs": [{"role": "creator", "id": "ab" * 32, "as": 7}]},
        {"refs": [{"role": "parent", "id": "ab" * 32, "relation": {}}]},
        {"refs": [{"role": "parent", "id": ME}]},
        {"claimed_at": "\u202eyesterday<b>"},
        {"strength": "<script>alert(1)</script>"},
        {"commits": {"title": "no digest"}},
    ],
)
def test_a_work_with_anything_in_it_is_answered_and_not_intact(change: dict[str, object]) -> None:
    hostile = row(dumps({**WORK, **change}), ME)
    report = judge(FIRST, SECOND, hostile)
    answer = verify_work(event_id(hostile), report.history)
    assert "intact" not in {report.record, answer.record}
    page = render_html(answer)
    assert "<script>alert" not in page
    assert "\u202e" not in page + render_text(answer) + as_json(answer)


@pytest.mark.parametrize("data", [b"not json", b"[]", b"7", b'{"v":1}', b" " + dumps(WORK), b"\xff\xfe"])
def test_an_event_that_is_none_is_altered(data: bytes) -> None:
    report = judge(FIRST, SECOND, raw(data))
    assert (report.record, rules(report)) == ("altered", ["event.malformed"])
    assert verify_work(address(data).hex(), report.history).record == "altered"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "person"},
        {"kind": "person", "keys": 7},
        {"kind": "person", "keys": [7]},
        {"kind": "person", "keys": [{"kty": "AKP", "alg": "ML-DSA-65", "pub": "x"}]},
        {"kind": [], "keys": []},
    ],
)
def test_a_party_whose_keys_a_later_version_wrote_cannot_be_checked(body: dict[str, object]) -> None:
    data = dumps({**orjson.loads(PARTY.data), "body": body})
    party = address(data).hex()
    mine = work(b"later", party=party)
    report = judge(FIRST, SECOND, row(data, party), row(mine, party))
    assert report.record == "cannot check"
    assert rules(report) == ["event.unknown", "party.keys", "statement.signature", "statement.signature"]


@pytest.mark.parametrize("sealed", [7, [{}], "grant.issue", None])
def test_a_genesis_with_an_unreadable_policy_cannot_be_checked(sealed: object) -> None:
    body = orjson.loads(GENESIS.data)["body"]
    body = {**body, "sealed": sealed} if sealed is not None else {k: v for k, v in body.items() if k != "sealed"}
    data = dumps({**orjson.loads(GENESIS.data), "body": body})
    report = judge(row(data, address(data).hex(), LOG_PARTY), SECOND)
    assert (report.record, rules(report)) == ("cannot check", ["event.unknown"])


@pytest.mark.parametrize(
    "change,rule",
    [
        ({"body": {**WORK["body"], "tools": "listed"}}, "work.create.tools"),
        ({"refs": []}, "work.create.creator"),
    ],
)
def test_an_event_that_breaks_the_rules_of_its_type_is_found(change: dict[str, object], rule: str) -> None:
    report = judge(FIRST, SECOND, row(dumps({**WORK, **change}), ME))
    assert (report.record, rules(report)) == ("altered", [rule])


def test_swapped_events_are_each_a_mismatch() -> None:
    one, two = row(work(b"1"), ME), row(work(b"2"), ME)
    store = published(FIRST, SECOND, one, two)
    store.replace("events/000", pack_open([FIRST.opened, SECOND.opened, two.opened, one.opened]))
    report = audit(open_log(store, POLICY))
    assert [(f.index, f.rule, f.altered) for f in report.findings] == [
        (2, "event.mismatch", True),
        (3, "event.mismatch", True),
    ]


def test_a_published_event_of_a_sealed_type_is_found_to_be_open() -> None:
    grant = draft(
        "grant.issue",
        ME,
        {"scope": ["use"], "quantity": 1, "transferable": False},
        [{"role": role, "id": i} for role, i in (("offer", "ab" * 32), ("work", work().id.hex()), ("licensee", ME))],
    )
    report = judge(FIRST, SECOND, row(work(), ME), row(grant, ME))
    assert "statement.sealed" in rules(report)


SECRET = draft("grant.issue", ME, {"scope": ["use"], "quantity": 1, "transferable": False}, [
    {"role": "offer", "id": "ab" * 32}, {"role": "work", "id": "cd" * 32}, {"role": "licensee", "id": ME}
])  # fmt: skip


@pytest.mark.parametrize(
    "given,status,record",
    [(None, "sealed", "intact"), (SECRET.data, "disclosed", "altered"), (b"other bytes", "mismatch", "altered")],
    ids=["kept back", "disclosed", "swapped"],
)
def test_a_sealed_event_is_judged_by_what_was_disclosed(given: bytes | None, status: str, record: str) -> None:
    store = published(FIRST, SECOND, row(SECRET, ME, sealed=True))
    report = audit(open_log(store, POLICY), disclosed={} if given is None else {SECRET.id: given})
    assert report.history.status_at(2) == status
    assert report.record == record  # disclosed it is altered, because it names an offer that is not there


def test_an_item_that_is_none_and_a_swapped_item_show_no_text() -> None:
    junk, fine = b"no item", dumps({"kind": "title", "salt": "00" * 32, "value": "T"})
    given = {address(junk): junk, address(fine): b"swapped"}
    rows = [row(dumps({**WORK, "commits": {"title": item.hex()}, "salt": item.hex()}), ME) for item in given]
    history = History.read(open_log(published(FIRST, SECOND, *rows), POLICY), disclosed=given)
    assert [verify_work(event_id(r), history).nodes[0].title for r in rows] == [None, None]


@pytest.mark.parametrize("junk", [b"", b"\xff", b"\xff" * 40, b"\0" * 4096])
def test_an_open_bundle_that_is_none_never_passes(junk: bytes) -> None:
    store = published(FIRST, SECOND, row(work(), ME))
    store.replace("events/000", junk)
    report = audit(open_log(store, POLICY))
    assert report.record != "intact"
    assert {finding.index for finding in report.findings} == {0, 1, 2}


def test_the_right_root_under_another_name_is_not_this_log() -> None:
    store = published(FIRST, SECOND)
    checkpoint = audit(open_log(store, POLICY)).checkpoint
    other = SigningKey("other.example/log", bytes(range(32)))
    store.replace("checkpoint", sign_checkpoint(Checkpoint(other.name, checkpoint.size, checkpoint.root), other).signed)
    with pytest.raises(UnknownKey):
        open_log(store, POLICY)


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda d: d[:30], lambda d: d + b"x" * 2_000_000, lambda _: b""])
def test_a_damaged_checkpoint_is_a_typed_error(damage: object) -> None:
    store = published(FIRST, SECOND)
    store.replace("checkpoint", damage(store.objects["checkpoint"]))  # type: ignore[operator]
    with pytest.raises((MalformedError, UnknownKey)):
        open_log(store, POLICY)


@pytest.mark.parametrize("path", ["tile/0/000.p/2", "tile/entries/000.p/2"])
def test_a_missing_tile_is_named(path: str) -> None:
    store = published(FIRST, SECOND)
    del store.objects[path]
    with pytest.raises(NotFound) as found:
        audit(open_log(store, POLICY))
    assert path.split(".p", maxsplit=1)[0] in str(found.value)


@pytest.mark.parametrize("between", range(12))
def test_what_was_indexed_and_what_waits_to_be_are_one_log(between: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provenance.history._INDEX_EVERY", 5)
    first, others = row(work(b"0"), ME), [row(work(b"%d" % n), ME) for n in range(1, between + 1)]
    parents: list[dict[str, object]] = [{"role": "parent", "id": event_id(first), "relation": "edited"}]
    child = row(draft("work.derive", ME, {**WORK["body"]}, [*parents, {"role": "creator", "id": ME}]), ME)
    report = judge(FIRST, SECOND, first, *others, child, first)
    assert [(f.index, f.rule) for f in report.findings] == [(4 + between, "G6.twice")]
