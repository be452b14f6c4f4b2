"""Lineage: every edge among the works shown, nothing that is no work, and never more than the picture can hold."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest

from ledger import Row
from provenance import Statement, verify, verify_work
from provenance.events import Draft
from provenance.lineage import lineage
from provenance.report import render_html, render_text
from tests.provenance.conftest import Market
from tests.provenance.test_published import FIRST, ME, SECOND, draft, judge, row, rules, work

Pair = tuple[str, str]


def edges(market: Market, name: str) -> set[Pair]:
    return {(edge.child, edge.parent) for edge in verify_work(name, market.history()).edges}


@pytest.fixture
def family(market: Market) -> dict[str, str]:
    """a and b; c is edited from a; d is composed of b and c; e is edited from d and a; f stands alone."""
    ids = {"a": market.work(b"a").id, "b": market.work(b"b").id}
    for name, parents in (("c", "a"), ("d", "bc"), ("e", "da")):
        relation = "composed" if len(parents) > 1 else "edited"
        ids[name] = market.ledger.derive(
            market.file(name.encode()), parents=[ids[p] for p in parents], creators=[market.bo], relation=relation
        ).id
    return {**ids, "f": market.work(b"f").id}


ALL = {("c", "a"), ("d", "b"), ("d", "c"), ("e", "d"), ("e", "a")}


@pytest.mark.parametrize("start", "abcde")
def test_every_edge_among_the_works_shown(market: Market, family: dict[str, str], start: str) -> None:
    names = {event_id: name for name, event_id in family.items()}
    answer = verify_work(family[start], market.history())
    shown = {names[node.id] for node in answer.nodes}
    assert names[answer.nodes[0].id] == start
    assert {(names[e.child], names[e.parent]) for e in answer.edges} == {p for p in ALL if set(p) <= shown}
    assert shown == {"a": set("acde"), "b": set("bde"), "c": set("acde"), "d": set("abcde"), "e": set("abcde")}[start]


def test_a_composed_work_is_under_both_its_parents(market: Market, family: dict[str, str]) -> None:
    below_d = edges(market, family["d"])
    assert {(family["d"], family["b"]), (family["d"], family["c"])} <= below_d
    relations = {edge.relation for edge in verify_work(family["d"], market.history()).edges}
    assert relations == {"composed", "edited"}


def test_a_work_alone_has_no_edges(market: Market, family: dict[str, str]) -> None:
    answer = verify_work(family["f"], market.history())
    assert ([node.id for node in answer.nodes], answer.edges) == ([family["f"]], ())


def test_a_parent_outside_of_the_log_is_shown_as_such(market: Market) -> None:
    doi = {"scheme": "doi", "id": "10.1000/182"}
    child = market.ledger.derive(market.file(b"child"), parents=[doi], creators=[market.bo])
    answer = verify_work(child.id, market.history())
    assert [(node.id, node.status, node.index) for node in answer.nodes[1:]] == [("doi:10.1000/182", "external", None)]
    assert [(e.child, e.parent, e.relation) for e in answer.edges] == [(child.id, "doi:10.1000/182", "edited")]
    assert answer.record == "intact"


def derived(parents: Sequence[str], content: bytes = b"child") -> Draft:
    refs: list[dict[str, object]] = [{"role": "parent", "id": parent, "relation": "edited"} for parent in parents]
    body = orjson.loads(work(content).data)["body"]
    return draft("work.derive", ME, body, [*refs, {"role": "creator", "id": ME}])


@pytest.mark.parametrize("parent,rule", [("ef" * 32, "G1.unknown-ref"), (ME, "G1.ref-type")])
def test_a_parent_that_is_no_work_is_found_and_not_drawn(parent: str, rule: str) -> None:
    child = derived([parent])
    report = judge(FIRST, SECOND, row(child, ME))
    assert rules(report) == [rule]
    answer = verify_work(child.id.hex(), report.history)
    assert ([node.id for node in answer.nodes], answer.edges, answer.record) == ([child.id.hex()], (), "altered")
    assert render_html(answer).count(parent) + render_text(answer).count(parent) > 0


def test_a_parent_logged_after_its_child_is_found() -> None:
    parent = work(b"parent")
    child = derived([parent.id.hex()])
    report = judge(FIRST, SECOND, row(child, ME), row(parent, ME))
    assert [(f.index, f.rule) for f in report.findings] == [(2, "G1.unknown-ref")]
    assert verify_work(child.id.hex(), report.history).record == "altered"
    assert verify_work(parent.id.hex(), report.history).record == "altered"


def test_the_picture_has_a_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provenance.lineage._MOST_NODES", 10)
    parent = work(b"parent")
    children = [row(derived([parent.id.hex()], b"%d" % n), ME) for n in range(30)]
    report = judge(FIRST, SECOND, row(parent, ME), *children)
    answer = verify_work(parent.id.hex(), report.history)
    assert (len(answer.nodes), len(answer.edges)) == (10, 9)


def test_only_works_have_a_lineage(market: Market) -> None:
    history = market.history()
    party = history.index.find(bytes.fromhex(market.ada.id))
    assert party is not None
    with pytest.raises(ValueError, match=r"is a party\.register, want a work"):
        lineage(history, party)
    assert verify_work(market.ada.id, history).record == "cannot check"


def test_a_flaw_in_an_ancestor_shows_in_the_verdict_of_its_descendants() -> None:
    parent = work(b"parent")
    child = derived([parent.id.hex()])
    grown = row(child, ME)
    report = judge(FIRST, SECOND, Row(row(parent, ME).entry, b"other bytes"), grown)
    answer = verify_work(Statement.parse(grown.entry).event_id.hex(), report.history)
    assert answer.record == "altered"
    assert [c.name for c in answer.checks if c.status == "bad"] == ["work #2 event"]


def test_terms_of_every_work_shown_are_listed(market: Market) -> None:
    first = market.work(b"a", terms="CC-BY-4.0")
    second = market.ledger.derive(market.file(b"b"), parents=[first], creators=[market.bo], terms="CC0-1.0")
    answer = verify(market.files[-1], market.history())
    assert {(terms.work, terms.license) for terms in answer.terms} == {(first.id, "CC-BY-4.0"), (second.id, "CC0-1.0")}
