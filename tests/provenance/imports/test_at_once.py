"""Imports that run at once: what two of them take in is recorded once, and each says what was the other's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Barrier

import orjson
import pytest

from adapters import connect
from provenance import ProvenanceLedger
from provenance.imports import Report, TableMap
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited

NUMBER = 20

TABLE = TableMap.parse("""
[[rows]]
verb = "party"
ref = "seller:{seller}"
kind = "person"

[[rows]]
verb = "work"
ref = "work:{work}"
creator = "seller:{seller}"
sha256 = "{sha256}"
media_type = "image/jpeg"
size = "7"
""")


def collection(desk: ProvenanceLedger) -> Report:
    lines = [
        {
            "id": f"d{number}",
            "name": f"D {number}",
            "licenses": [{"name": "CC BY 4.0"}],
            "derived_from": [f"d{number - 1}"] if number else [],
            "model_generated": [],
        }
        for number in range(NUMBER)
    ]
    return desk.import_collection(b"\n".join(json.dumps(each).encode() for each in lines))


def croissant(desk: ProvenanceLedger) -> Report:
    files = [{"@type": "sc:Dataset", "name": f"A {number}", "license": "mit"} for number in range(NUMBER)]
    return desk.import_croissant({f"{number}.json": json.dumps(each).encode() for number, each in enumerate(files)})


def table(desk: ProvenanceLedger) -> Report:
    rows = [
        {"seller": str(number % 3), "work": str(number), "sha256": sha256(b"%d" % number).hexdigest()}
        for number in range(NUMBER)
    ]
    return desk.import_table(rows, TABLE)


def outcomes(report: Report) -> Counter[str]:
    return Counter(item.outcome for item in report.items)


SOURCES = pytest.mark.parametrize("source", [collection, croissant, table])


@SOURCES
def test_two_at_once_record_everything_once(market: Market, source: Callable[[ProvenanceLedger], Report]) -> None:
    start = Barrier(2)

    def run(desk: ProvenanceLedger) -> Report:
        start.wait()
        return source(desk)

    desks = [connect(market.url, publish=market.public, clock=market.clock) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(run, desks)
    assert [item[:2] for item in one.items] == [item[:2] for item in two.items]
    assert [item.event for item in one.items] == [item.event for item in two.items]
    events = {item.event for item in one.items}
    both = outcomes(one) + outcomes(two)
    assert both["accepted"] + both["degraded"] == len(events)
    assert both.total() == len(one.items) + len(two.items)
    assert not both["rejected"]
    desk = market.reopen()
    counts = desk.counts()
    if source is table:
        assert (counts["party.register"], counts["work.create"]) == (1 + 2 + 3, NUMBER)
    else:
        assert counts["dataset.snapshot"] == NUMBER
    assert source(desk).counts().keys() == one.counts().keys()
    assert set(outcomes(source(desk))) == {"duplicate"}
    assert audited(desk, market.public).record == "intact"


@pytest.mark.parametrize("source", [collection, croissant])
def test_an_import_that_saw_nothing_of_the_other(
    market: Market, monkeypatch: pytest.MonkeyPatch, source: Callable[[ProvenanceLedger], Report]
) -> None:
    """As if both had looked before either recorded: what was quicker counts, and what derives names it."""
    first = source(market.ledger)
    monkeypatch.setattr(type(market.ledger), "_described", lambda *_: None)
    again = source(market.ledger)
    assert set(outcomes(again)) == {"duplicate"}
    assert [item.event for item in again.items] == [item.event for item in first.items]
    if source is collection:
        last = orjson.loads(market.ledger.event(again.items[-1].event))
        assert [ref["id"] for ref in last["refs"]] == [first.items[-2].event]


def test_the_same_bytes_that_give_something_else_are_refused(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when an import of another release is still under way."""
    collection(market.ledger)
    monkeypatch.setattr(type(market.ledger), "_described", lambda *_: None)
    monkeypatch.setattr("provenance.imports.collection.title_of", lambda *_: "another title")
    report = collection(market.ledger)
    assert set(outcomes(report)) == {"rejected"}
    assert "given before for other content" in report.items[0].reasons[0][1]
