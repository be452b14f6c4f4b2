"""Whatever a source holds, all of it is accounted for, and nothing but a report comes of it."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provenance.imports import Report
from provenance.imports.collection import MAX_LINE
from provenance.imports.report import MAX_FIELDS, OUTCOMES
from provenance.item import MAX_TEXT
from tests.provenance.conftest import Market

hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
records = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=8) | hostile,
        "name": st.text(max_size=30) | hostile,
        "licenses": st.lists(st.fixed_dictionaries({"name": st.text(max_size=20)}), max_size=3) | hostile,
        "derived_from": st.lists(st.text(max_size=20), max_size=3) | hostile,
        "model_generated": st.lists(st.text(max_size=20), max_size=3) | hostile,
        "@type": st.sampled_from(["sc:Dataset", "Dataset", "Person"]),
        "license": hostile,
        "wasDerivedFrom": hostile,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(st.lists(records, max_size=6))
def test_everything_is_accounted_for(market: Market, values: list[dict[str, object]]) -> None:
    lines = b"\n".join(json.dumps(value).encode() for value in values)
    report = market.ledger.import_collection(lines, dry_run=True)
    assert len(report.items) == len(values)
    assert {item.outcome for item in report.items} <= set(OUTCOMES)
    files = {f"{number}.json": json.dumps(value).encode() for number, value in enumerate(values)}
    report = market.ledger.import_croissant(files, dry_run=True)
    assert len(report.items) == len(files)


def test_bytes_that_are_no_source(market: Market) -> None:
    report = market.ledger.import_collection(b"{\n\xff\n[]\n\n{}", dry_run=True)
    assert [item.outcome for item in report.items] == ["rejected", "rejected", "rejected", "skipped", "rejected"]
    report = market.ledger.import_croissant({"a": b"", "b": b"[]", "c": b'{"@type": "Person"}'}, dry_run=True)
    assert report.counts() == {"dataset": {"rejected": 3}}


def line(**changes: object) -> bytes:
    value = {"id": "a", "name": "A", "licenses": [{"name": "MIT"}], "derived_from": [], "model_generated": []}
    return orjson.dumps({**value, **changes})


def taken(market: Market, *lines: bytes) -> Report:
    report = market.ledger.import_collection(b"\n".join(lines))
    assert len(report.items) == len(lines)
    return report


@pytest.mark.parametrize(
    "data,word",
    [
        (b'{"id": "a", "id": "b", "name": "A"}', "'id' stands twice"),
        (line(licenses=[]).replace(b"[]", b'[{"name": "MIT", "name": "GPL-3.0"}]', 1), "'name' stands twice"),
        (line(name="x" * MAX_LINE), "want at most"),
        (b'{"id": NaN}', "no JSON"),
        (b'{"id": "\\ud800"}', "no JSON"),
        (b'{"id": "\xff"}', "no JSON"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "no JSON"),
        (b'{"a":' * 1_000 + b"1" + b"}" * 1_000, "no JSON"),
        (line(id=7), "id: want a str"),
        (line(derived_from=[1]), "want lists of names"),
        (line(licenses=["MIT"]), "objects with a name"),
        (line(derived_from=[f"parent {number}" for number in range(1_001)]), "dataset.snapshot.parent"),
    ],
)
def test_a_line_that_is_refused(market: Market, data: bytes, word: str) -> None:
    report = taken(market, data, line(id="other"))
    assert [item.outcome for item in report.items] == ["rejected", "accepted"]
    assert word in report.items[0].reasons[0][1]
    assert market.ledger.counts()["dataset.snapshot"] == 1


def test_text_that_looks_like_other_text(market: Market) -> None:
    """Letters that decompose, marks that turn the direction: in the vault as they are, never in the log."""
    nfd, rtl = "Cafe\u0301", "abc\u202egnp.exe"
    report = taken(
        market, line(id="1", name=nfd), line(id="2", name=rtl, derived_from=[rtl, "user@example.org", "@ home"])
    )
    assert report.items[0].outcome == "degraded"
    assert report.items[0].reasons == (("name", "brought into Unicode normalization form C"),)
    events = [orjson.loads(market.ledger.event(item.event)) for item in report.items]
    titles = [market.ledger.item(bytes.fromhex(event["commits"]["title"])) for event in events]
    assert [title.value for title in titles if title is not None] == ["Caf\u00e9", rtl]
    assert [ref["id"]["id"] for ref in events[1]["refs"]] == ["abc%E2%80%AEgnp.exe", "%40%20home"]
    assert ("derived_from", "user@example.org: not taken: looks like an e-mail address, which is personal") in (
        report.items[1].reasons
    )
    assert all(market.ledger.event(item.event).isascii() for item in report.items)


def test_what_the_log_does_not_take_is_named(market: Market) -> None:
    report = taken(
        market,
        line(id="1", name="x" * (MAX_TEXT + 1)),
        line(id="2", derived_from=["", "10.0.0.1", "x" * 501, "fine"]),
        line(id="3", licenses=[{"name": f"License of the house number {n}"} for n in range(40)]),
        line(id="4", licenses=[{"name": "10.0.0.1"}]),
        line(id="5", licenses=[]),
    )
    assert [item.outcome for item in report.items] == ["degraded"] * 5
    fields = [[name for name, why in item.reasons if "not taken" in why] for item in report.items]
    assert fields[:4] == [["name"], ["derived_from"] * 3, ["licenses"], ["licenses"]]
    assert report.items[4].reasons == (("licenses", "none is given"),)
    event = orjson.loads(market.ledger.event(report.items[1].event))
    assert [ref["id"]["id"] for ref in event["refs"]] == ["fine"]
    assert all("license" not in orjson.loads(market.ledger.event(item.event))["body"] for item in report.items[2:])


def test_fields_that_nobody_knows_are_named(market: Market) -> None:
    report = taken(market, line(mood="good", expected={}))
    assert report.fields["mood"] == report.fields["expected"] == "not known here, not taken"
    assert report.fields["human_annotation"].startswith("not taken")
    many = taken(market, line(id="b", **{f"x{number}": 1 for number in range(1_000)}))
    assert len(many.fields) == MAX_FIELDS + 1
    assert "more than" in many.fields["…"]


def test_parents_come_first_however_they_stand(market: Market) -> None:
    report = taken(
        market,
        line(id="child", derived_from=["middle", "first"]),
        line(id="middle", derived_from=["first"]),
        line(id="first"),
        line(id="alone", derived_from=["alone"]),
        line(id="egg", derived_from=["hen"]),
        line(id="hen", derived_from=["egg"]),
        line(id="orphan", derived_from=["bad"]),
        line(id="bad", derived_from=["x"] * 2 + [f"p{number}" for number in range(1_001)]),
    )
    items = {item.name: item for item in report.items}
    assert [item.name for item in report.items][:3] == ["child", "middle", "first"]

    def parents(name: str) -> list[object]:
        return [ref["id"] for ref in orjson.loads(market.ledger.event(items[name].event))["refs"]]

    assert parents("child") == [items["middle"].event, items["first"].event]
    assert parents("middle") == [items["first"].event]
    assert [items[name].outcome for name in ("child", "alone", "egg", "hen", "bad")] == [
        "accepted",
        "degraded",
        "degraded",
        "accepted",
        "rejected",
    ]
    assert parents("egg") == [{"scheme": "dataset", "id": "hen"}]
    assert parents("hen") == [items["egg"].event]
    assert "not recorded before it" in items["egg"].reasons[0][1]
    assert "not recorded before it" in items["orphan"].reasons[0][1]


def test_the_same_id_twice_says_what_differs(market: Market) -> None:
    report = taken(market, line(), line(), line(name="B", mood=1))
    assert [item.outcome for item in report.items] == ["accepted", "duplicate", "duplicate"]
    assert report.items[1].reasons == (("id", "stands in line 1 before"),)
    assert report.items[2].reasons == (("id", "stands in line 1 before; not taken of this one: mood, name"),)
    assert report.rates() == {"dataset": 1.0}
    refused = taken(market, line(id="z", derived_from=[f"p{number}" for number in range(1_001)]), line(id="z"))
    assert refused.items[1][2:] == ("rejected", (("id", "stands in line 1 before, which is refused"),), "")


def croissant(market: Market, **changes: object) -> Report:
    value = {"@type": "sc:Dataset", "name": "A", "license": "mit", "conformsTo": "http://mlcommons.org/croissant/1.1"}
    return market.ledger.import_croissant({"a.json": json.dumps({**value, **changes}).encode()})


@pytest.mark.parametrize(
    "changes,field,word",
    [
        ({"license": [[[["MIT"]]]]}, "license", "list, want text"),
        ({"license": {"nothing": 1}}, "license", "dict, want text"),
        ({"license": "https://choosealicense.com/licenses/undefined/"}, "license", "names none"),
        ({"license": ["None", "unknown"]}, "license", "names none"),
        ({"license": "http://[::1"}, "license", "no"),
        ({"prov:wasDerivedFrom": [1, {}]}, "wasDerivedFrom", "says no place"),
        ({"isBasedOn": "https://a.example/x y"}, "isBasedOn", "percent-encoded"),
        ({"name": ["A", "B"]}, "name", "list, want text"),
        ({"conformsTo": "http://mlcommons.org/croissant/9.9"}, "conformsTo", "9.9"),
        ({"conformsTo": 1}, "conformsTo", "absent"),
        ({"creator": {"name": "Ada"}}, "creator", "personal"),
        ({"rai:dataBiases": "many"}, "rai", "dataBiases"),
    ],
)
def test_a_croissant_file_that_loses_something(
    market: Market, changes: dict[str, object], field: str, word: str
) -> None:
    report = croissant(market, **changes)
    assert report.items[0].outcome == "degraded"
    assert any(name == field and word in why for name, why in report.items[0].reasons), report.items[0].reasons
    assert b"Ada" not in market.ledger.event(report.items[0].event)


def test_croissant_keys_with_and_without_prefix(market: Market) -> None:
    report = croissant(
        market,
        **{
            "license": {"@id": "https://spdx.org/licenses/MIT"},
            "prov:wasDerivedFrom": {"@id": "https://a.example/1", "prov:atLocation": "https://a.example/2%20x"},
            "sc:isBasedOn": ["https://a.example/3", {"url": "https://a.example/4"}, "https://a.example/3"],
            "keywords": ["x"],
        },
    )
    event = orjson.loads(market.ledger.event(report.items[0].event))
    assert [ref["id"]["id"] for ref in event["refs"]] == [
        "https://a.example/2%20x",
        "https://a.example/3",
        "https://a.example/4",
    ]
    assert report.fields["keywords"].startswith("not taken")
    assert event["body"]["license"].startswith("LicenseRef-imported-")


def test_somebody_elses_dataset_with_the_same_description_is_not_ours(market: Market) -> None:
    desk = market.ledger
    data = line()
    said = desk.snapshot(description="ab" * 32)
    assert desk.import_collection(data, dry_run=True).items[0].outcome == "accepted"
    first = desk.import_collection(data).items[0]
    assert first.outcome == "accepted"
    assert desk.import_collection(data).items[0][2:] == ("duplicate", (("whole", "was imported before"),), first.event)
    assert first.event != said.id
