"""Really Simple Licensing: documents after the specification, live files, and what does not conform."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedError
from provenance.rights import combine, parse_rsl, to_uses
from provenance.rights.rsl import MAX_FILE


def documents(vectors):
    return json.loads((vectors / "reservations" / "rsl.json").read_text("utf-8"))["documents"]


def test_every_document(vectors):
    found = documents(vectors)
    assert len(found) == 24
    for case in found:
        if not case["conformant"]:
            with pytest.raises(MalformedError, match=r"^RSL: "):
                parse_rsl(case["document"].encode())
            continue
        read = parse_rsl(case["document"].encode())
        for query in case["queries"]:
            got = read.judge(query["path"], query["usage"])
            assert got.verdict == query["verdict"], (case["name"], query)
            # "free" is said of what has no terms
            terms = query.get("terms", "")
            assert bool(got.conditions) == (terms not in {"", "free"}), (case["name"], query, got)
            if "warning" in case and query["usage"] != "search":
                assert got.contradicts


def rsl(inner):
    return f'<rsl xmlns="https://rslstandard.org/rsl">{inner}</rsl>'.encode()


def test_in_words_of_ai_use():
    read = parse_rsl(
        rsl(
            '<content url="/"><license><prohibits type="usage">ai-train</prohibits></license></content>'
            '<content url="/paid/"><license><payment type="crawl"/></license></content>'
        )
    )
    assert to_uses(read.table, read.said("/x")) == {
        "train": "disallow",
        "inference_input": "allow",
        "index": "allow",
        "search": "allow",
    }
    assert set(to_uses(read.table, read.said("/paid/x")).values()) == {"constrained"}
    assert set(parse_rsl(rsl("")).said("/x").values()) == {"unknown"}
    assert combine([read.said("/x")["ai-train"], "allow"]) == "disallow"


def test_what_the_table_does_not_have_is_in_doubt():
    read = parse_rsl(rsl('<content url="/"><license><permits type="usage">all</permits></license></content>'))
    assert read.judge("/x", "ai-dream").verdict == "not_licensed"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<rsl/>",
        b"\xff\xfe",
        b"<rsl",
        b'<!DOCTYPE r [<!ENTITY a "b">]><rsl xmlns="https://rslstandard.org/rsl"/>',
        rsl("<license/>"),
        rsl('<content><license><permits type="usage">all</permits></license></content>'),
        rsl('<content url="/"><license><permits>all</permits></license></content>'),
        rsl('<content url="/"><license><permits type="usage"></permits></license></content>'),
        rsl('<content url="/"><license><permits type="user">robots</permits></license></content>'),
        rsl("<content/>" * 10_001),
        b" " * (MAX_FILE + 1),
    ],
)
def test_what_does_not_conform_licenses_nothing(document):
    with pytest.raises(MalformedError, match=r"^RSL: "):
        parse_rsl(document)


@given(document=st.binary(max_size=100) | st.text(max_size=100).map(rsl))
def test_nothing_but_malformed_is_raised(document):
    try:
        read = parse_rsl(document)
    except MalformedError:
        return
    assert set(read.said("/x").values()) <= {"allow", "disallow", "constrained", "unknown"}
