"""Deriving from works under machine terms, restrictions of use, and all failing rules at once."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.rights import Child, Parent, check_derivation, combine_lists, expiry, has_expired

NOW = 1_790_000_000
TERMS = {
    "commercial": True,
    "derivatives": {"allowed": True, "attribution": True, "approval": False, "reciprocal": True},
    "royalty": {"policy": "LAP", "rate": "5000000"},
}
PARENT = Parent("p1", "LicenseRef-pil", "t1", TERMS, derived=False)
CHILD = Child("LicenseRef-pil", "t1", TERMS)
RAIL = "LicenseRef-scancode-bigscience-open-rail-m"


def terms(**changed):
    return {**TERMS, **changed}


def derivatives(**changed):
    return terms(derivatives={**TERMS["derivatives"], **changed})


def rules(parents, child=CHILD):
    return [(each.rule, each.verdict, each.parent) for each in check_derivation(child, parents, now=NOW)]


def test_nothing_is_to_be_said_where_all_rules_hold():
    assert rules([PARENT]) == []
    assert rules([PARENT, replace(PARENT, id="p2", derived=True)]) == []
    assert rules([]) == []


@pytest.mark.parametrize(
    "changed, rule, verdict",
    [
        ({"machine": derivatives(allowed=False)}, "L5.derivatives", "forbidden"),
        ({"machine": derivatives(allowed=None)}, "L5.derivatives", "unknown"),
        ({"machine": derivatives(approval=True)}, "L5.approval", "unknown"),
        ({"machine": derivatives(approval=True), "approved": False}, "L5.approval", "forbidden"),
        ({"machine": derivatives(reciprocal=False), "derived": True}, "L5.chain", "forbidden"),
        ({"machine": derivatives(reciprocal=False), "derived": None}, "L5.chain", "unknown"),
        ({"expires": NOW - 1}, "L5.expired", "forbidden"),
        ({"terms": "t2"}, "L5.terms", "forbidden"),
        ({"terms": None}, "L5.terms", "unknown"),
        ({"grant": "expired"}, "L0.grant", "forbidden"),
        ({"grant": "revoked"}, "L0.grant", "forbidden"),
        ({"grant": "consumed"}, "L0.grant", "forbidden"),
        ({"grant": "foreign"}, "L0.grant", "forbidden"),
        ({"grant": "unknown"}, "L0.grant", "unknown"),
        ({"disputed": True}, "L0.disputed", "forbidden"),
        ({"exception": "cdsm-4"}, "L0.exception", "unknown"),
        ({"license": None, "machine": None}, "L0.terms", "unknown"),
        ({"machine": terms(use_restrictions=["no-weapons"])}, "L6.restrictions", "forbidden"),
    ],
)
def test_each_rule_about_one_parent(changed, rule, verdict):
    assert rules([replace(PARENT, **changed)]) == [(rule, verdict, "p1")]


@pytest.mark.parametrize(
    "changed",
    [
        {"machine": derivatives(approval=True), "approved": True},
        {"expires": NOW},
        {"expires": 0},
        {"grant": "valid"},
        {"machine": terms(territory=["DE"])},
    ],
)
def test_what_a_parent_may_say(changed):
    assert rules([replace(PARENT, **changed)]) == []


@pytest.mark.parametrize(
    "machine, found",
    [
        (terms(commercial=False), [("L5.commercial", "forbidden", "p2")]),
        ({k: v for k, v in TERMS.items() if k != "commercial"}, [("L5.commercial", "unknown", "p2")]),
        (derivatives(reciprocal=False), [("L5.reciprocal", "forbidden", "p2")]),
        (terms(royalty={"policy": "LRP"}), [("L5.royalty", "forbidden", "p2")]),
        (terms(territory=["US"]), [("L5.territory", "forbidden", "")]),
        (terms(channels=["print"]), [("L5.channels", "forbidden", "")]),
    ],
)
def test_each_rule_between_parents(machine, found):
    first = replace(PARENT, machine=terms(territory=["DE"], channels=["web"]))
    machine = {"territory": ["DE"], "channels": ["web"], **machine}
    assert rules([first, replace(PARENT, id="p2", machine=machine)]) == found


def test_all_failing_rules_are_told_at_once():
    bad = replace(
        PARENT,
        id="p2",
        terms="t2",
        machine={**derivatives(allowed=False, approval=True), "commercial": False, "use_restrictions": ["no-weapons"]},
        approved=False,
        expires=1,
        grant="consumed",
        disputed=True,
    )
    assert {rule for rule, _, _ in rules([PARENT, bad])} == {
        "L0.grant",
        "L0.disputed",
        "L5.derivatives",
        "L5.approval",
        "L5.expired",
        "L5.commercial",
        "L5.terms",
        "L6.restrictions",
    }


def test_limits():
    many = [replace(PARENT, id=f"p{number}") for number in range(17)]
    assert rules(many[:16]) == []
    assert rules(many) == [("L5.parents", "forbidden", "")]
    assert rules([PARENT], replace(CHILD, ancestors=1024)) == []
    assert rules([PARENT], replace(CHILD, ancestors=1025)) == [("L5.ancestors", "forbidden", "")]


def test_licenses_and_machine_terms_are_judged_each_by_its_own_rules():
    """CC BY and CC BY-NC differ in `commercial`, which Creative Commons allows and PIL does not."""
    free = Parent("by", "CC-BY-4.0", machine={"commercial": True})
    held = Parent("nc", "CC-BY-NC-4.0", machine={"commercial": False})
    child = Child("CC-BY-NC-4.0")
    assert rules([free, held], child) == []
    assert rules([free, held], Child("CC-BY-4.0")) == [("L1.less", "ok_with_notice", "nc")]
    alike = Parent("sa", "CC-BY-SA-4.0")
    assert rules([held, alike], child) == [("L1.sharealike", "forbidden", "sa"), ("L2.remix", "forbidden", "")]
    assert rules([free], Child()) == [("L0.license", "unknown", "by")]
    assert rules([Parent("code", "MIT")], Child("CC-BY-4.0")) == [("L1.permissive", "ok_with_notice", "code")]


def test_a_license_does_not_outweigh_what_its_own_terms_refuse():
    refusing = Parent("by", "CC-BY-4.0", machine={"derivatives": {"allowed": False}}, expires=1)
    asking = Parent("ask", "CC-BY-4.0", machine={"derivatives": {"allowed": True, "approval": True}})
    assert rules([refusing, asking], Child("CC-BY-4.0")) == [
        ("L5.derivatives", "forbidden", "by"),
        ("L5.expired", "forbidden", "by"),
        ("L5.approval", "unknown", "ask"),
    ]


def test_restrictions_of_use_carry_over_whatever_the_license():
    one = Parent("one", RAIL, machine=terms(use_restrictions=["a", "b"]), terms="t1", derived=False)
    two = replace(one, id="two", machine=terms(use_restrictions=["b", "c"]))
    child = Child("CC-BY-4.0", "t1", terms(use_restrictions=["a", "b", "c"]))
    assert rules([one, two], child) == []
    short = replace(child, machine=terms(use_restrictions=["a", "b"]))
    assert rules([one, two], short) == [("L6.restrictions", "forbidden", "two")]
    silent = replace(one, machine=TERMS)
    assert rules([silent], replace(child, license=RAIL)) == []
    assert rules([silent], child) == [("L6.restrictions", "unknown", "one")]


def test_lists_combine():
    assert combine_lists([]) == combine_lists([[], []]) == ()
    assert combine_lists([["DE", "FR"], [], ["FR", "DE"]]) == ("DE", "FR")
    assert combine_lists([["DE"], ["FR"]]) is None
    assert combine_lists([["DE"], ["DE", "FR"]]) is None


@pytest.mark.parametrize(
    "parents, expiration, end",
    [([], 0, 0), ([0, 0], 0, 0), ([0, 500], 0, 500), ([500, 300], 0, 300), ([0], 60, 160), ([120], 60, 120)],
)
def test_rights_end_with_the_first(parents, expiration, end):
    assert expiry(parents, now=100, expiration=expiration) == end


def test_what_never_ends_has_not_expired():
    assert not has_expired(0, now=10**12)
    assert not has_expired(100, now=100)
    assert has_expired(99, now=100)


FLAG = st.sampled_from([None, True, False])
MACHINE = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "commercial": FLAG,
        "derivatives": st.fixed_dictionaries({}, optional={"allowed": FLAG, "approval": FLAG, "reciprocal": FLAG}),
        "royalty": st.fixed_dictionaries({"policy": st.sampled_from(["none", "LAP", "LRP"])}),
        "territory": st.lists(st.sampled_from(["DE", "US"])),
        "use_restrictions": st.lists(st.sampled_from(["a", "b"])),
    },
)
LICENSE = st.none() | st.sampled_from(["CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "nope", "(", RAIL, "CC0-1.0 OR MIT"])


@given(
    child=st.builds(Child, LICENSE, st.sampled_from([None, "t1"]), MACHINE, st.integers(0, 2000)),
    parents=st.lists(
        st.builds(Parent, st.just("p"), LICENSE, st.sampled_from([None, "t1", "t2"]), MACHINE, FLAG), max_size=4
    ),
)
def test_it_is_total_and_unknown_is_never_left_out(child, parents):
    found = check_derivation(child, parents, now=NOW)
    assert all(each.verdict != "ok" and each.rule and each.sentence for each in found)
    fails = [each for each in found if each.fails]
    if any(parent.license is None and parent.machine is None for parent in parents):
        assert fails, "a parent of which nothing is known"
    # No more is allowed with one more parent.
    for fewer in itertools.islice(itertools.combinations(parents, max(len(parents) - 1, 0)), 3):
        if any(each.fails for each in check_derivation(child, fewer, now=NOW)):
            assert fails
