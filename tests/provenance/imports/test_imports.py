"""What others wrote down: all of it, reported to the last line; again is nothing new."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import MalformedError
from provenance.imports import TableMap
from provenance.imports.fields import external, license_of
from provenance.imports.report import OUTCOMES
from provenance.rights import aggregate, class_of
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited


def test_the_whole_collection(market: Market, vectors: Path) -> None:
    data = (vectors / "datasets" / "data_provenance" / "datasets.jsonl").read_bytes()
    stats = json.loads((vectors / "datasets" / "data_provenance" / "stats.json").read_text("utf-8"))
    desk = market.ledger
    report = desk.import_collection(data)
    counts = report.counts()["dataset"]
    assert sum(counts.values()) == stats["datasets"]
    assert counts["duplicate"] == len(stats["duplicate_ids"])
    assert counts.get("rejected", 0) == 0
    assert {item.name for item in report.items if item.outcome == "duplicate"} == set(stats["duplicate_ids"])
    assert desk.counts()["dataset.snapshot"] == stats["datasets"] - len(stats["duplicate_ids"])
    values = [json.loads(line) for line in data.splitlines()]
    edges = sum(len(set(value["derived_from"])) for value in values)
    assert edges <= stats["parent_edges"]
    entries = desk.index.of_type("dataset.snapshot")
    links = [link for entry in entries for link in desk.index.links_from(entry.idx) if link.role == "parent"]
    inside = [link for link in links if link.event_id]
    assert len({link.event_id for link in inside}) == stats["parent_names_equal_to_a_dataset_id"]
    assert (
        len([link for link in links if link.detail == "other"])
        >= edges - stats["parent_edges"] + stats["parent_edges"] - 5
    )
    why = report.why()
    assert any(reason.startswith("licenses: Unspecified") for reason in why)
    again = desk.import_collection(data)
    assert again.counts()["dataset"] == {"duplicate": stats["datasets"]}
    assert desk.counts()["dataset.snapshot"] == stats["datasets"] - len(stats["duplicate_ids"])
    assert desk.counts()["import.accepted"] == 2
    assert audited(desk, market.public).record == "intact"


def test_uses_of_the_collection_are_as_its_makers_say(vectors: Path) -> None:
    """Where each license of a dataset is on a list, its use is the strictest of theirs."""
    data = (vectors / "datasets" / "data_provenance" / "datasets.jsonl").read_bytes()
    compared = Counter[bool]()
    for line in data.splitlines():
        value = json.loads(line)
        read = [license_of(each["name"]) for each in value["licenses"]]
        if read and not any(why for _, why in read):
            found = aggregate([class_of(expression) for expression, _ in read])
            compared[found.use == value["expected"]["use"]] += 1
    assert compared[True] > 1_000
    assert compared[True] / sum(compared.values()) > 0.95, compared


def test_every_croissant_file(market: Market, vectors: Path) -> None:
    folder = vectors / "datasets" / "croissant"
    index = [json.loads(line) for line in (folder / "index.jsonl").read_text("utf-8").splitlines()]
    files = {each["file"]: (folder / each["file"]).read_bytes() for each in index}
    assert len(files) == 60
    desk = market.ledger
    dry = desk.import_croissant(files, dry_run=True)
    assert "dataset.snapshot" not in desk.counts()
    report = desk.import_croissant(files)
    assert [item[:3] for item in report.items] == [item[:3] for item in dry.items]
    counts = report.counts()["dataset"]
    assert sum(counts.values()) == 60
    assert counts.get("rejected", 0) == 0
    items = {item.name: item for item in report.items}
    for each in index:
        item = items[each["file"]]
        event = orjson.loads(desk.event(item.event))
        assert event["body"]["description"] == sha256(files[each["file"]]).hexdigest() or item.outcome == "duplicate"
        if each["license"] is None and item.outcome != "duplicate":
            assert ("license", "none is given") in item.reasons
            assert "license" not in event["body"]
        parents = [ref for ref in event["refs"] if ref["role"] == "parent"]
        if each["parents"] and item.outcome != "duplicate":
            assert parents
    assert {item.outcome for item in desk.import_croissant(files).items} == {"duplicate"}


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


def test_names() -> None:
    assert external("dataset", "huggingface.co/datasets/x") == (
        {"scheme": "dataset", "id": "huggingface.co/datasets/x"},
        "",
    )
    assert external("dataset", "with space @ home")[0] == {"scheme": "dataset", "id": "with%20space%20%40%20home"}
    assert external("dataset", "")[0] is None
    assert external("dataset", "10.0.0.1")[0] is None
    for name, want in {
        "mit": "MIT",
        "CC BY-NC-SA 4.0": "CC-BY-NC-SA-4.0",
        "https://creativecommons.org/licenses/by/4.0/": "CC-BY-4.0",
        "https://choosealicense.com/licenses/cc0-1.0/": "CC0-1.0",
        "cc-by-sa-3.0": "CC-BY-SA-3.0",
    }.items():
        assert license_of(name) == (want, "")
    for name in ("other", "unknown", "Public", "https://commoncrawl.org/terms-of-use", "", "@@@"):
        expression, why = license_of(name)
        assert expression.startswith("LicenseRef-imported-")
        assert why


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
    assert [item.outcome for item in report.items] == ["rejected"] * 4
    report = market.ledger.import_croissant({"a": b"", "b": b"[]", "c": b'{"@type": "Person"}'}, dry_run=True)
    assert report.counts() == {"dataset": {"rejected": 3}}
