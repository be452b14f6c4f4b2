"""The two sources of datasets, every file and line of them: reported to the last; again is nothing new."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from provenance.imports.fields import external, license_of
from provenance.rights import aggregate, class_of
from provenance.rights.datasets import DatasetClass
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited

NO_LICENSE = {None, "None", "unknown", "https://choosealicense.com/licenses/undefined/"}
USE = {
    "All": "commercial",
    "Unspecified": "unspecified",
    "NC": "non-commercial",
    "Acad": "academic-only",
    "?": "academic-only",
}


@pytest.fixture
def folder(vectors: Path) -> Path:
    return vectors / "datasets"


def test_the_whole_collection(market: Market, folder: Path) -> None:
    data = (folder / "data_provenance" / "datasets.jsonl").read_bytes()
    stats = json.loads((folder / "data_provenance" / "stats.json").read_text("utf-8"))
    values = [json.loads(line) for line in data.splitlines()]
    desk = market.ledger
    report = desk.import_collection(data)
    assert report.counts() == {"dataset": {"accepted": 1127, "degraded": 1183, "duplicate": 1}}
    assert sum(report.counts()["dataset"].values()) == len(report.items) == stats["datasets"]
    assert [item.name for item in report.items] == [value["id"] for value in values]
    assert [item.name for item in report.items if item.outcome == "duplicate"] == stats["duplicate_ids"]
    assert report.rates()["dataset"] == (1127 + 1) / 2311
    assert desk.counts()["dataset.snapshot"] == stats["datasets"] - len(stats["duplicate_ids"])

    # Parents: each name that stood there stands in the event, inside where it is an id.
    edges, inside, generated, uses = 0, set(), 0, Counter[str]()
    for value, item in zip(values, report.items, strict=True):
        event = orjson.loads(desk.event(item.event))
        parents = [ref for ref in event["refs"] if ref["relation"] == "other"]
        models = [ref for ref in event["refs"] if ref["relation"] == "generated-from"]
        assert len(parents) == len(set(value["derived_from"]))
        assert len(models) == len(set(value["model_generated"]))
        edges += len(value["derived_from"])
        generated += bool(models)
        inside |= {ref["id"] for ref in parents if isinstance(ref["id"], str)}
        uses[value["expected"]["use"]] += 1
        assert event["strength"] == "observed"
    assert edges == stats["parent_edges"]
    assert generated == stats["model_generated_datasets"]
    assert len(inside) == stats["parent_names_equal_to_a_dataset_id"]
    assert inside == {
        item.event for item in report.items if item.name in {"alpaca", "dolly-openqa", "coig-exam-instruction"}
    }
    assert dict(uses) == stats["expected_use"]

    assert report.fields["expected"] == "not known here, not taken"
    seen = {name for value in values for name in value}
    assert seen <= set(report.fields)

    again = desk.import_collection(data)
    assert again.counts() == {"dataset": {"duplicate": stats["datasets"]}}
    assert desk.counts()["dataset.snapshot"] == stats["datasets"] - len(stats["duplicate_ids"])
    desk.import_collection(data)
    imports = [orjson.loads(desk.event(row.id))["body"] for row in desk.listed("import.accepted").rows]
    assert imports == [
        {"bundle": sha256(data).hexdigest(), "source": "data-provenance-collection", "counts": each.counts()}
        for each in (report, again)
    ]
    assert audited(desk, market.public).record == "intact"


def test_uses_of_the_collection_are_as_its_makers_say(folder: Path) -> None:
    """What a license is mapped to has the use that the Initiative gives it; so has every dataset, and their totals."""
    data = (folder / "data_provenance" / "datasets.jsonl").read_bytes()
    stats = json.loads((folder / "data_provenance" / "stats.json").read_text("utf-8"))
    classes = json.loads((folder / "data_provenance" / "license_classes.json").read_text("utf-8"))

    def found(license_: dict[str, Any]) -> DatasetClass:
        expression, why = license_of(license_["name"])
        if not why:
            return class_of(expression)
        assert expression.startswith("LicenseRef-imported-")
        custom = classes["custom_by_url"].get(license_["url"], ["?"]) if license_["name"] == "Custom" else None
        use = USE[(custom or classes["named"][license_["name"]])[0]]
        return DatasetClass(use, attribution=False, share_alike=False)

    uses = Counter[str]()
    for line in data.splitlines():
        value = json.loads(line)
        use = aggregate(found(each) for each in value["licenses"]).use
        assert use == value["expected"]["use"], value["id"]
        uses[use] += 1
    assert dict(uses) == stats["expected_use"]


def test_every_croissant_file(market: Market, folder: Path) -> None:
    index = [json.loads(line) for line in (folder / "croissant" / "index.jsonl").read_text("utf-8").splitlines()]
    files = {each["file"]: (folder / "croissant" / each["file"]).read_bytes() for each in index}
    assert set(files) == {
        path.relative_to(folder / "croissant").as_posix() for path in (folder / "croissant").rglob("*.json")
    }
    desk = market.ledger
    dry = desk.import_croissant(files, dry_run=True)
    assert "dataset.snapshot" not in desk.counts()
    report = desk.import_croissant(files)
    assert [item[:3] for item in report.items] == [item[:3] for item in dry.items]
    assert report.counts() == {"dataset": {"accepted": 23, "degraded": 37}}
    items = {item.name: item for item in report.items}
    assert set(items) == set(files)
    for each in index:
        item, value = items[each["file"]], json.loads(files[each["file"]])
        event = orjson.loads(desk.event(item.event))
        reasons = dict(item.reasons)
        assert event["body"]["description"] == sha256(files[each["file"]]).hexdigest()
        assert ("license" not in event["body"]) == (each["license"] in NO_LICENSE)
        assert ("conformsTo" in reasons) == (each["conforms_to"] is None)
        assert ("creator" in reasons) == ("creator" in value)
        assert [ref["id"]["id"] for ref in event["refs"]] == each["parents"]
        assert ("rai" in reasons) == bool(each["rai_keys"])
        assert ("prov" in reasons) == bool(set(each["prov_keys"]) - {"prov:wasDerivedFrom"})
        if each["name"] is not None:
            title = desk.item(bytes.fromhex(event["commits"]["title"]))
            assert title is not None
            assert title.value == each["name"]
    seen = {name for data in files.values() for name in json.loads(data)}
    named = {word for name in report.fields for word in name.split(", ")}
    assert {name for name in seen if not name.startswith(("rai:", "prov:"))} <= named
    assert {item.outcome for item in desk.import_croissant(files).items} == {"duplicate"}
    assert audited(desk, market.public).record == "intact"


def test_nothing_personal_of_a_croissant_file_is_in_the_log(market: Market, folder: Path) -> None:
    path = folder / "croissant" / "1.0" / "bigcode-the-stack.json"
    creators = json.loads(path.read_text("utf-8"))["creator"]
    report = market.ledger.import_croissant({path.name: path.read_bytes()})
    event = market.ledger.event(report.items[0].event).decode()
    for each in creators:
        assert each["name"] not in event
        assert each["email"] not in event


def test_names() -> None:
    assert external("dataset", "huggingface.co/datasets/x") == (
        {"scheme": "dataset", "id": "huggingface.co/datasets/x"},
        "",
    )
    assert external("dataset", "with space @ home")[0] == {"scheme": "dataset", "id": "with%20space%20%40%20home"}
    assert external("dataset", "")[0] is None
    for name in ("ada@example.org", "see ada%40example.org", "https://ada:pass@a.example/x", "mailto:ada@example.org"):
        assert external("url", name) == (None, "not taken: looks like an e-mail address, which is personal")
    assert external("dataset", "100% @ home")[0] == {"scheme": "dataset", "id": "100%25%20%40%20home"}
    assert external("url", "https://a.example/100%/%20")[0] == {"scheme": "url", "id": "https://a.example/100%25/%20"}
    assert external("dataset", "10.0.0.1")[0] is None
    for name, want in {
        "mit": "MIT",
        "CC BY-NC-SA 4.0": "CC-BY-NC-SA-4.0",
        "https://creativecommons.org/licenses/by/4.0/": "CC-BY-4.0",
        "https://choosealicense.com/licenses/cc0-1.0/": "CC0-1.0",
        "cc-by-sa-3.0": "CC-BY-SA-3.0",
    }.items():
        assert license_of(name) == (want, "")
    assert (
        license_of("ask ada@example.org")[0] == f"LicenseRef-imported-{sha256(b'ask ada@example.org').hexdigest()[:16]}"
    )
    text = "free for all who are friends of Ada Lovelace"
    assert license_of(text)[0] == f"LicenseRef-imported-{sha256(text.encode()).hexdigest()[:16]}"
    for name in ("other", "unknown", "Public", "https://commoncrawl.org/terms-of-use", "", "@@@"):
        expression, why = license_of(name)
        assert expression.startswith("LicenseRef-imported-")
        assert why
