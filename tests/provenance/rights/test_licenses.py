"""License expressions: SPDX and ScanCode keys, alternatives and conjunctions, what is not known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedError
from provenance.rights import parse_license
from provenance.rights.licenses import MAX_BRANCHES
from provenance.vocabularies import BUILT_IN


@pytest.mark.parametrize(
    "expression, branches",
    [
        ("CC-BY-4.0", [{"CC-BY-4.0"}]),
        ("cc-by-4.0", [{"CC-BY-4.0"}]),
        ("MIT OR Apache-2.0", [{"MIT"}, {"Apache-2.0"}]),
        ("CC0-1.0 AND (MIT OR BSD-3-Clause)", [{"CC0-1.0", "MIT"}, {"CC0-1.0", "BSD-3-Clause"}]),
        ("(MIT OR ISC) AND (0BSD OR Zlib)", [{"MIT", "0BSD"}, {"MIT", "Zlib"}, {"ISC", "0BSD"}, {"ISC", "Zlib"}]),
        ("Apache-2.0 WITH LLVM-exception", [{"Apache-2.0 WITH LLVM-exception"}]),
        ("GPL-3.0+", [{"GPL-3.0-or-later"}]),
        ("MIT OR MIT", [{"MIT"}]),
        ("LicenseRef-scancode-bigscience-open-rail-m", [{"LicenseRef-scancode-bigscience-open-rail-m"}]),
    ],
)
def test_known_expressions(expression, branches):
    read = parse_license(expression)
    assert [set(branch) for branch in read.branches] == branches
    assert read.unknown == frozenset()


@pytest.mark.parametrize(
    "expression, unknown",
    [
        ("OpenRAIL-M", {"OpenRAIL-M"}),
        ("NONE", {"NONE"}),
        ("NOASSERTION", {"NOASSERTION"}),
        ("LicenseRef-house-terms", {"LicenseRef-house-terms"}),
        ("MIT OR nope", {"nope"}),
        ("LLVM-exception", {"LLVM-exception"}),
        ("MIT WITH MIT", {"MIT WITH MIT"}),
    ],
)
def test_what_no_list_has_is_unknown_and_no_error(expression, unknown):
    assert parse_license(expression).unknown == unknown


@pytest.mark.parametrize("expression", ["", " ", "(MIT", "MIT AND", "OR", "MIT WITH", "x" * 501, "MIT & ISC)"])
def test_what_is_no_expression_is_malformed(expression):
    with pytest.raises(MalformedError):
        parse_license(expression)


def test_alternatives_are_bounded():
    many = " AND ".join(["(MIT OR ISC)"] * 3 + ["(Zlib OR 0BSD)"] * 4)
    with pytest.raises(MalformedError, match=f"want at most {MAX_BRANCHES}"):
        parse_license(many)


@given(text=st.text(alphabet="MIT ORANDWTH()+-.0CBY&", max_size=60) | st.text(max_size=60))
def test_nothing_but_malformed_is_raised(text):
    try:
        read = parse_license(text)
    except MalformedError:
        return
    assert read.branches
    assert read.unknown <= frozenset().union(*read.branches)


def test_every_license_with_facts_is_known():
    for key in BUILT_IN.active("license").terms:
        read = parse_license(key)
        assert read.branches == ({key},)
        assert not read.unknown
