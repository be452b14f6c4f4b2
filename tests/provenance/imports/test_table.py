"""A market that existed before its ledger: row by row, once, and never more than the market observed."""

from __future__ import annotations

from hashlib import sha256

import orjson
import pytest

from ledger import MalformedError
from provenance.imports import TableMap
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited

MAP = """
[[rows]]
verb = "party"
ref = "seller:{seller}"
kind = "person"
name = "{seller_name}"

[[rows]]
verb = "party"
ref = "user:{buyer}"
kind = "person"

[[rows]]
verb = "work"
ref = "work:{work}"
creator = "seller:{seller}"
sha256 = "{sha256}"
media_type = "image/jpeg"
size = "{size}"
claimed_at = "{created}"

[[rows]]
verb = "offer"
ref = "offer:{work}"
work = "work:{work}"
terms = "{license}"
amount = "{cents}"
currency = "EUR"

[[rows]]
verb = "license"
ref = "order:{order}"
work = "work:{work}"
to = "user:{buyer}"
offer = "offer:{work}"
amount = "{cents}"
currency = "EUR"
claimed_at = "{created}"
"""


def row(number: int, **changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "order": number,
        "seller": number % 3,
        "seller_name": f"Seller {number % 3}",
        "buyer": 100 + number,
        "work": number,
        "sha256": sha256(b"%d" % number).hexdigest(),
        "size": 1000 + number,
        "created": "2019-03-01 12:30:00",
        "license": "CC BY 4.0",
        "cents": 1250,
    }
    return {**values, **changes}


def test_a_market_that_existed(market: Market) -> None:
    desk = market.ledger
    chosen = TableMap.parse(MAP)
    rows = [
        *(row(number) for number in range(5)),
        row(5, sha256="none"),
        row(6, created="yesterday"),
        row(7, cents=""),
        row(8, size="many"),
    ]
    dry = desk.import_table(rows, chosen, dry_run=True)
    assert desk.counts().get("grant.issue", 0) == 0
    report = desk.import_table(rows, chosen, source=b"file")
    counts = report.counts()
    assert counts["license"]["accepted"] == 6  # of the five, and the one without a price
    assert counts["work"] == {"accepted": 6, "rejected": 2}
    assert counts["row"] == {"rejected": 1}
    assert dry.counts()["row"] == counts["row"]
    reasons = [(item.name, why) for item in report.items if item.outcome == "rejected" for _, why in item.reasons]
    assert any(name == "row 7" and "yesterday" in why for name, why in reasons)
    event = orjson.loads(desk.event(desk.find("order:0")))
    assert (event["strength"], event["claimed_at"]) == ("observed", "2019-03-01T12:30:00Z")
    assert desk.index.time_of(desk.index.find(bytes.fromhex(desk.find("order:0").id)).idx) > "2026"  # type: ignore[union-attr]
    again = desk.import_table(rows[:5], chosen, source=b"file")
    assert [item for item in again.items if item.outcome != "duplicate"] == []
    changed = desk.import_table([row(0, cents=99)], chosen)
    assert [item.outcome for item in changed.items if item.kind == "offer"] == ["rejected"]
    assert (
        sum(counts[kind].get("accepted", 0) for kind in counts)
        == sum(desk.counts()[type_] for type_ in ("party.register", "work.create", "offer.attach", "grant.issue")) - 3
    )  # the market itself, and two parties it had
    assert audited(desk, market.public).record == "intact"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rows = 1",
        "[[rows]]\nverb = 'steal'",
        "[[rows]]\nverb = 'party'\nref = 'user'",
        "[[rows]]\nverb = 'party'\nref = 'user'\nkind = 'person'\nmood = 'x'",
        "[[rows]]\nverb = 'party'\nref = '{a.b}'\nkind = 'person'",
        "[[rows]]\nverb = 'party'\nref = '{a!r}'\nkind = 'person'",
        "[[rows]]\nverb = 'party'\nref = '{'\nkind = 'person'",
        "[[rows]]\nverb = 'party'\nref = 1\nkind = 'person'",
        "more = 1\n[[rows]]\nverb = 'party'\nref = 'user'\nkind = 'person'",
        "not toml",
    ],
)
def test_maps_that_mean_nothing(text: str) -> None:
    with pytest.raises(MalformedError):
        TableMap.parse(text)


def steps(*texts: str) -> TableMap:
    return TableMap.parse("\n".join(f"[[rows]]\n{text}" for text in texts))


PARTY = 'verb = "party"\nref = "user:{user}"\nkind = "{kind}"'
WORK = 'verb = "work"\nref = "work:{id}"\ncreator = "user:{user}"\nfile = "{path}"'
DERIVE = (
    'verb = "derive"\nref = "work:{id}"\ncreator = "user:{user}"\nparents = "{parents}"\nrelation = "edited"\n'
    'sha256 = "{sha}"\nmedia_type = "image/png"\nsize = "9"'
)


def test_works_from_files_and_from_other_works(market: Market) -> None:
    desk = market.ledger
    path = market.file(b"\x89PNG\r\n\x1a\n and more", "a.png")
    rows = [
        {"user": 7, "kind": "person", "id": 1, "path": path},
        {"user": 7, "kind": "person", "id": 2, "path": "gone"},
    ]
    report = desk.import_table(rows, steps(PARTY, WORK))
    assert [item.outcome for item in report.items] == ["accepted", "accepted", "duplicate", "rejected"]
    assert "gone" in report.items[3].reasons[0][1]
    body = orjson.loads(desk.event(desk.find("work:1")))["body"]
    assert (body["media_type"], body["digests"]) == ("image/png", {"sha-256": sha256(path.read_bytes()).hexdigest()})
    derived = [
        {"user": 7, "id": 3, "parents": "work:1", "sha": "ab" * 32},
        {"user": 7, "id": 4, "parents": "work:1 work:3", "sha": "cd" * 32},
        {"user": 7, "id": 5, "parents": "work:2", "sha": "ef" * 32},
    ]
    report = desk.import_table(derived, steps(DERIVE))
    assert [item.outcome for item in report.items] == ["accepted", "accepted", "rejected"]
    assert "nothing was recorded under it" in report.items[2].reasons[0][1]
    parents = [ref["id"] for ref in orjson.loads(desk.event(desk.find("work:4")))["refs"] if ref["role"] == "parent"]
    assert parents == [desk.find("work:1").id, desk.find("work:3").id]
    assert {row.id for row in desk.descendants(desk.find("work:1")).rows} == {
        desk.find("work:3").id,
        desk.find("work:4").id,
    }


def test_a_dry_run_says_what_the_run_does(market: Market) -> None:
    desk = market.ledger
    chosen = TableMap.parse(MAP)
    rows = [*(row(number) for number in range(4)), row(1), row(4, work=2, sha256="ab" * 32), row(5, created="?")]
    before = desk.index.size
    dry = desk.import_table(rows, chosen, dry_run=True)
    assert desk.index.size == before
    assert desk.waiting == 0
    done = desk.import_table(rows, chosen)
    assert [item[:3] for item in dry.items] == [item[:3] for item in done.items]
    assert done.counts() == dry.counts()
    assert done.counts()["row"] == {"rejected": 1}
    assert done.counts()["work"] == {"accepted": 4, "duplicate": 1, "rejected": 1}
    again = desk.import_table(rows[:4], chosen, dry_run=True)
    assert {item.outcome for item in again.items} == {"duplicate"}
    assert [item.event for item in again.items] == [item.event for item in done.items[:20]]


def test_every_column_is_reported(market: Market) -> None:
    report = market.ledger.import_table(
        [{"user": 1, "kind": "person", "Shoe size": 43, None: []}], steps(PARTY), dry_run=True
    )
    assert report.fields == {"user": "party.ref", "kind": "party.kind", "Shoe size": "not in the map, not taken"}
    report = market.ledger.import_table(
        [
            {"user": 1, "kind": "person", None: ["more", "values"]},
            {"user": 1},
            MalformedError("CSV: line 4: broken"),
            {"user": None, "kind": "person"},
            {"user": 2, "kind": "robot"},
        ],
        steps(PARTY),
    )
    assert [item.outcome for item in report.items] == ["rejected"] * 5
    for item, word in zip(
        report.items, ("2 values more", "no column kind", "line 4", "user is empty", "kind"), strict=True
    ):
        assert word in item.reasons[0][1]
    assert market.ledger.counts()["party.register"] == 3


def test_licenses_that_no_list_has_are_degraded_and_old_dates_only_claimed(market: Market) -> None:
    desk = market.ledger
    report = desk.import_table([row(0, license="House rules", created="2019-03-01")], TableMap.parse(MAP))
    outcomes = {item.kind: item.outcome for item in report.items}
    assert outcomes["offer"] == "degraded"
    assert report.items[3].reasons == (("terms", "House rules: no list of licenses has it"),)
    events = [orjson.loads(desk.event(item.event)) for item in report.items]
    assert [event["claimed_at"][:4] for event in events] == ["2026", "2026", "2019", "2026", "2019"]
    assert {event["strength"] for event in events} == {"observed"}
    assert desk.index.time_of(desk.index.size - 1).startswith("2026")


def test_a_column_may_have_any_name_and_braces_in_it_are_text(market: Market) -> None:
    chosen = steps('verb = "party"\nref = "user:{User ID}"\nkind = "person"\nname = "{Full-Name}"')
    report = market.ledger.import_table([{"User ID": "{kind}", "Full-Name": "Ada {User ID}"}], chosen)
    assert report.items[0].name == "row 1: user:{kind}"
    event = orjson.loads(market.ledger.event(report.items[0].event))
    item = market.ledger.item(bytes.fromhex(event["commits"]["name"]))
    assert item is not None
    assert item.value == "Ada {User ID}"
    with pytest.raises(MalformedError):
        steps('verb = "party"\nref = "{0}"\nkind = "person"')


def test_progress_counts_rows(market: Market) -> None:
    seen: list[int] = []
    rows = [{"user": 10 + number % 3, "kind": "person"} for number in range(250)]
    report = market.ledger.import_table(rows, steps(PARTY), progress=seen.append)
    assert seen == [100, 200]
    assert report.counts() == {"party": {"accepted": 3, "duplicate": 247}}
