"""Reservations: AIPREF, CAWG and TDMRep as they stand on the wire, and how statements combine."""

from __future__ import annotations

import itertools
import json

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.rights import combine, parse_aipref, parse_cawg, parse_tdmrep, to_uses, with_grant
from provenance.rights.reservations import MAX_FIELD, matches
from provenance.vocabularies import BUILT_IN

SAID = {"allow", "disallow", "constrained", "unknown"}


def load(vectors, name):
    return json.loads((vectors / "reservations" / name).read_text("utf-8"))


def test_every_aipref_string(vectors):
    rows = load(vectors, "aipref.json")["wire"]
    assert len(rows) == 32
    for row in rows:
        version = row["draft"].removeprefix("vocab-")
        assert parse_aipref(row["wire"], version=version) == row["expect"], row


def test_every_pair_combines(vectors):
    rows = load(vectors, "aipref.json")["combine"]
    assert len(rows) == 9
    for row in rows:
        assert combine(row["statements"]) == row["result"]


def test_labels_of_every_draft_are_a_table(vectors):
    for draft in load(vectors, "aipref.json")["drafts"]:
        table = BUILT_IN.table("aipref", draft["draft"].removeprefix("vocab-"))
        assert table.terms.keys() == set(draft["labels"])
        assert {w: t.facts["inside"] for w, t in table.terms.items() if "inside" in t.facts} == draft["inside"]


def test_draft_08_knows_use_by_ai():
    assert parse_aipref("train-ai=y, ai-use=n") == {"train-ai": "allow", "ai-use": "disallow", "search": "unknown"}
    with pytest.raises(KeyError):
        parse_aipref("train-ai=y", version="99")


@given(field=st.text(max_size=80) | st.text(alphabet='train-ai=yn, ;?01()"', max_size=40))
def test_any_field_is_read(field):
    found = parse_aipref(field)
    assert found.keys() == {"train-ai", "ai-use", "search"}
    assert set(found.values()) <= {"allow", "disallow", "unknown"}


def test_a_field_that_is_too_long_says_nothing():
    assert parse_aipref("train-ai=y" + " " * MAX_FIELD)["train-ai"] == "unknown"


def test_every_cawg_assertion(vectors):
    words = {"allowed": "allow", "not_allowed": "disallow", "unknown": "unknown", "invalid": "unknown"}
    cases = load(vectors, "cawg.json")["cases"]
    assert len(cases) == 8
    for case in cases:
        decoded = cbor2.loads(bytes.fromhex(case["cbor_hex"]))
        assert decoded == case["assertion"]
        said = parse_cawg(decoded)
        for label, want in case["expect"].items():
            if want.startswith("ignored"):
                assert label not in said
            elif want.startswith("malformed"):
                assert said[label] == "unknown"
            elif "no grant known" in want:
                assert said[label] == "constrained"
                assert with_grant(said[label], granted=False) == "disallow"
            elif want.startswith("ask"):
                assert with_grant(said[label], granted=True) == "allow"
            else:
                assert said[label] == words[want], case["name"]


@pytest.mark.parametrize(
    "assertion", [None, [], {"entries": []}, {"entries": {1: 2}}, {"entries": {"cawg.ai_training": 1}}]
)
def test_an_assertion_of_another_shape_says_nothing(assertion):
    assert set(parse_cawg(assertion).values()) == {"unknown"}


def test_every_tdmrep_file(vectors):
    files = load(vectors, "tdmrep.json")["well_known"]
    assert len(files) == 10
    for file in files:
        for query in file["queries"]:
            path = query["url"].removeprefix("https://provider.com")
            # The first that matches is the most specific.
            rule = next((rule for rule in file["tdmrep_json"] if matches(rule["location"], path)), {})
            said = parse_tdmrep(rule.get("tdm-reservation"))
            want = {1: {"mining": "disallow", "train": "disallow"}, 0: {"mining": "allow"}, None: {}}
            assert said == want[query["reservation"]], (file["name"], query)


def test_every_tdmrep_header(vectors):
    for row in load(vectors, "tdmrep.json")["http_headers"]:
        value = dict(map(tuple, row["headers"]))["tdm-reservation"]
        assert parse_tdmrep(value).get("mining") == {1: "disallow", 0: "allow", None: None}[row["reservation"]]


@pytest.mark.parametrize("value", [True, False, 2, -1, "", "01", "yes", None, 1.0, [1]])
def test_other_values_are_unset(value):
    assert parse_tdmrep(value) == {}


@pytest.mark.parametrize(
    "location, path, found",
    [
        ("/", "/any", True),
        ("/a*$", "/abc", True),
        ("/*a$", "/aba", True),
        ("/*ab*b$", "/ab", False),
        ("/a**b", "/axb", True),
        ("/a$", "/a$", False),
        ("/%41", "/A", True),
        ("/%e2%82%ac", "/%E2%82%AC", True),
        ("/a", "/A", False),
        ("", "/x", True),
    ],
)
def test_locations(location, path, found):
    assert matches(location, path) is found


def test_locations_take_no_time_that_explodes():
    assert not matches("/" + "a*" * 5_000 + "b$", "/" + "a" * 5_000)


def test_cawg_in_words_of_ai_use():
    table = BUILT_IN.active("cawg")
    for generative, other in itertools.product(["allow", "disallow", "constrained", "unknown"], repeat=2):
        uses = to_uses(table, {"cawg.ai_generative_training": generative, "cawg.ai_training": other})
        assert uses["train_generative"] == generative
        # Training of any kind is allowed only where both kinds are.
        both = {generative, other}
        assert uses["train"] == next(
            (word for word in ("disallow", "constrained") if word in both), "allow" if both == {"allow"} else "unknown"
        )
        assert uses["mining"] == "unknown"


@given(said=st.lists(st.sampled_from(sorted(SAID)), max_size=6))
def test_combining_is_in_no_order_and_never_turns_unknown_into_yes(said):
    assert combine(said) == combine(reversed(said))
    if combine(said) == "allow":
        assert "allow" in said
        assert not {"disallow", "constrained"} & set(said)
    assert with_grant(combine(said), granted=True) == "allow"
