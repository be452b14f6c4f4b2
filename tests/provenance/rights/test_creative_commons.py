"""Creative Commons: every cell of the published tables, versions, and what AI uses trigger."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from provenance.rights import adapt, collect, remix, use_for_ai
from provenance.rights.creative_commons import is_creative_commons

NAMES = {"PD": "CC0-1.0", "CC0": "CC0-1.0", "PDM": "CC-PDM-1.0"}
ADAPTER = {"allowed": "ok", "allowed_not_recommended": "ok_with_notice", "forbidden": "forbidden"}


def name(short):
    return NAMES.get(short, f"CC-{short}-4.0")


def cells(vectors, file):
    return json.loads((vectors / "cc" / file).read_text("utf-8"))["cells"]


def test_every_cell_of_the_adapter_table(vectors):
    found = cells(vectors, "adapter_table.json")
    assert len(found) == 49
    for cell in found:
        got = adapt(name(cell["original"]), name(cell["adapter"]))
        assert got.verdict == ADAPTER[cell["verdict"]], (cell, got)


def test_every_cell_of_the_remix_chart(vectors):
    found = cells(vectors, "remix_chart.json")
    assert len(found) == 64
    for cell in found:
        got = remix([name(cell["a"]), name(cell["b"])])
        assert (got.verdict == "ok") == (cell["verdict"] == "can_be_remixed"), (cell, got)
        assert got.verdict in {"ok", "forbidden"}


def test_every_cell_of_the_collection_table(vectors):
    found = cells(vectors, "collection_table.json")
    assert len(found) == 14
    for cell in found:
        got = collect(name(cell["original"]), commercial=cell["collection"] == "commercial")
        assert (got.verdict == "ok") == (cell["verdict"] == "allowed"), (cell, got)


def test_every_end_of_the_flowchart(vectors):
    ends = json.loads((vectors / "cc" / "ai_flowchart.json").read_text("utf-8"))["ends"]
    seen = Counter()
    for end in ends:
        given = {
            "exception": not end["permission_required"],
            # What cannot be protected, or is not shared, is processing only.
            "shared": end.get("output_shared", False) if end.get("output_protectable") else False,
            "adaptation": end.get("output_is_adaptation"),
        }
        conditions = {condition[:2] for condition in end["conditions"]}
        for short in ("BY", "BY-SA", "BY-ND", "BY-NC", "BY-NC-SA", "BY-NC-ND"):
            elements = set(short.split("-"))
            want = "ok_with_notice" if conditions & elements & {"BY", "SA"} else "ok"
            want = "forbidden" if "ND" in conditions & elements else want
            assert use_for_ai(name(short), **given, commercial=False).verdict == want, (short, end)
            if "NC" in conditions & elements:
                assert use_for_ai(name(short), **given, commercial=True).verdict == "forbidden"
                assert use_for_ai(name(short), **given).verdict == "unknown"
            seen[want] += 1
    assert seen["ok"]
    assert seen["ok_with_notice"]
    assert seen["forbidden"]


def test_what_the_flowchart_needs_and_nobody_said_is_unknown():
    assert use_for_ai("CC-BY-4.0").rule == "L4.exception"
    assert use_for_ai("CC-BY-4.0", exception=False).rule == "L4.shared"
    assert use_for_ai("CC-BY-4.0", exception=False, shared=True).rule == "L4.adaptation"
    assert use_for_ai("CC0-1.0", exception=False).verdict == "ok"
    assert use_for_ai("MIT", exception=False, shared=False).verdict == "unknown"
    assert use_for_ai("(", exception=True).verdict == "unknown"


@pytest.mark.parametrize(
    "original, adapter, verdict",
    [
        ("CC-BY-SA-3.0", "CC-BY-SA-4.0", "ok"),
        ("CC-BY-SA-3.0-DE", "CC-BY-SA-4.0", "ok"),
        ("CC-BY-SA-2.0", "CC-BY-SA-2.1-JP", "ok"),
        ("CC-BY-SA-4.0", "CC-BY-SA-3.0", "forbidden"),
        ("CC-BY-SA-1.0", "CC-BY-SA-1.0", "ok"),
        ("CC-BY-SA-1.0", "CC-BY-SA-2.0", "forbidden"),
        ("CC-BY-SA-3.0", "CC-BY-SA-3.0-DE", "unknown"),
        ("CC-BY-SA-3.0", "CC-BY-NC-SA-4.0", "forbidden"),
        ("CC-BY-SA-4.0", "GPL-3.0-only", "ok"),
        ("GPL-3.0-only", "CC-BY-SA-4.0", "unknown"),
        ("CC-BY-SA-3.0", "GPL-3.0-only", "forbidden"),
        ("CC-BY-SA-4.0", "LAL-1.3", "ok"),
        ("CC-BY-ND-4.0", "CC-BY-ND-4.0", "forbidden"),
        ("CC-BY-4.0", "MIT", "unknown"),
        ("CC0-1.0", "LicenseRef-house-terms", "ok"),
        ("MIT", "CC-BY-4.0", "ok_with_notice"),
        ("MIT", "LicenseRef-house-terms", "unknown"),
        ("Apache-2.0", "Apache-2.0", "ok_with_notice"),
        ("Apache-2.0", "GPL-2.0-only", "unknown"),
        ("NONE", "NONE", "unknown"),
        ("LicenseRef-house-terms", "LicenseRef-house-terms", "unknown"),
        ("(", "CC-BY-4.0", "unknown"),
        ("CC-BY-4.0", "(", "unknown"),
        # any branch of the original is enough, all licenses of a branch hold
        ("CC-BY-ND-4.0 OR CC-BY-4.0", "CC-BY-4.0", "ok"),
        ("CC-BY-ND-4.0 AND CC-BY-4.0", "CC-BY-4.0", "forbidden"),
        ("nope OR CC-BY-4.0", "CC-BY-4.0", "ok"),
        ("nope AND CC-BY-4.0", "CC-BY-4.0", "unknown"),
        # whoever offers a choice has to be allowed each
        ("CC-BY-SA-4.0", "CC-BY-SA-4.0 OR CC-BY-4.0", "forbidden"),
        ("CC-BY-4.0", "CC-BY-SA-4.0 OR CC-BY-NC-4.0", "ok"),
    ],
)
def test_versions_and_expressions(original, adapter, verdict):
    assert adapt(original, adapter).verdict == verdict


def test_remix_of_many():
    assert remix([]).verdict == "ok"
    assert remix(["CC-BY-4.0", "CC-BY-NC-4.0", "CC0-1.0"]).verdict == "ok"
    assert remix(["CC-BY-NC-4.0", "CC-BY-SA-4.0", "CC-BY-4.0"]).verdict == "forbidden"
    assert remix(["CC-BY-4.0", "MIT"]).verdict == "unknown"
    assert remix(["CC-BY-4.0", "nope"]).verdict == "unknown"


def test_what_is_of_creative_commons():
    assert is_creative_commons("CC-BY-4.0 OR CC0-1.0")
    assert not is_creative_commons("CC-BY-4.0 OR MIT")
    assert not is_creative_commons("(")
