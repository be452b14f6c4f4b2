"""The same answers for operator and auditor, as of any moment, and each of them proven; kinship against brute force."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import create, open_log
from ledger import NotFound, Row
from provenance import EventRejected, History, Ticket
from provenance.canonical import address, dumps
from provenance.desk.data import Input
from provenance.judging import judge_rules
from provenance.moments import parse_time
from provenance.questions import Asks
from provenance.statement import Statement
from tests.provenance.conftest import ORIGIN, Clock, Market
from tests.provenance.test_index import audited
from tests.provenance.test_published import FIRST, ME, SECOND, draft, judge, row, work

LATER = datetime(2030, 1, 1, tzinfo=UTC)


class Told:
    """A market in which everything was said that there are questions about, in open events."""

    def __init__(self, market: Market) -> None:
        desk = self.desk = market.ledger
        self.market = market
        self.photo = market.work(b"photo", terms="CC0-1.0", title="T")
        self.other = market.work(b"other")
        self.child = desk.derive(market.file(b"child"), parents=[self.photo], creators=[market.bo], terms="CC0-1.0")
        doi = {"scheme": "doi", "id": "10.1000/182"}
        self.grandchild = desk.derive(market.file(b"g"), parents=[self.child, doi], creators=[market.ada])
        self.before_amend = desk.log.size
        desk.amend(self.grandchild, parents=[self.other], relation="sampled")
        market.clock.forward(100)
        self.model = desk.register_model(version="1", creators=[market.bo])
        self.data = desk.snapshot(members=1, root="ab" * 32, parents=[self.other])
        self.trained = desk.train(
            self.model,
            inputs=[Input(self.photo, basis="none", verdict="unknown"), Input(self.data, verdict="unknown")],
            method="pretrain",
            rights="unknown",
        )
        self.dispute = desk.dispute(self.photo, tag="improper-usage", evidence="cd" * 32)
        desk.judge(self.dispute, "upheld")
        self.offer = desk.offer(self.other, terms="LicenseRef-house")
        self.grant = desk.license(self.other, to=market.bo, offer=self.offer, expires=LATER, quantity=2)
        market.clock.forward(100)
        desk.set_status(self.other, "suspended", reason="complaint")
        market.work(b"last")

    def answers(self, asks: Asks, at: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = {
            "counts": asks.counts(at=at),
            "listed": asks.listed("work.create", "work.derive", "dispute.open", at=at),
            "pending": asks.pending(at=at),
            "disputes": asks.open_disputes(at=at),
            "conflicts": asks.training_conflicts(self.model, at=at),
        }
        for name in ("photo", "other", "child", "grandchild"):
            thing = getattr(self, name)
            found[name] = (
                asks.descendants(thing, at=at),
                asks.descendants(thing, depth=1, at=at),
                asks.ancestors(thing, at=at),
                asks.rates(thing, at=at),
                asks.trained_on(thing, at=at),
                asks.derivation(thing, license="CC0-1.0", at=at),
                asks.about(thing, at=at).rows if name != "other" else (),  # a sealed grant points to it
                asks.offers_of(thing, at=at),
                asks.shares_of(thing, at=at),
                asks.work_status(thing, at=at),
                asks.agreement(thing, at=at),
            )
        found["credited"] = [asks.credited(party, at=at) for party in (self.market.ada, self.market.bo)]
        found["dispute"] = asks.dispute_status(self.dispute, at=at)
        return found


@pytest.fixture
def told(market: Market) -> Told:
    return Told(market)


def test_operator_and_auditor_are_told_the_same(told: Told) -> None:
    public, all_of_it = told.market.history(), audited(told.desk, told.market.public)
    for at in (None, 5, told.before_amend, told.desk.log.size - 3):
        assert told.answers(told.desk, at) == told.answers(public, at)
    assert told.desk.expiring(LATER) == all_of_it.history.expiring(LATER)
    assert told.desk.grant_status(told.grant) == all_of_it.history.grant_status(told.grant)
    assert [row.id for row in told.desk.expiring(LATER).rows] == [told.grant.id]
    assert told.desk.expiring(LATER - timedelta(seconds=1)).rows == ()
    assert public.expiring(LATER).rows == ()  # it is sealed from them
    assert public.grant_status(told.grant).state == "unknown"
    assert (all_of_it.record, all_of_it.against_rules) == ("intact", ())


def test_every_answer_is_proven_by_the_events_it_names(told: Told) -> None:
    checked = 0
    for asked in (told.answers(told.desk), {"grants": told.desk.expiring(LATER)}):
        for answer in _flat(asked):
            for event_id in getattr(answer, "events", ()):
                receipt = told.desk.receipt(event_id)
                assert receipt.proof.verify(receipt.entry, told.desk.log.policy).size >= receipt.index
                assert Statement.parse(receipt.entry).event_id.hex() == event_id
                checked += 1
    assert checked > 50


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [each for inner in value.values() for each in _flat(inner)]
    return [each for inner in value for each in _flat(inner)] if type(value) in {list, tuple} else [value]


def test_a_moment_is_a_size_a_checkpoint_or_a_log_time(told: Told) -> None:
    desk, market = told.desk, told.market
    checkpoint = desk.log.checkpoint
    then = told.answers(desk)
    times = [(entry.idx, desk.index.time_of(entry.idx)) for entry in desk.index.of_type("log.time")]
    assert len(times) == 3
    for (_, time), (following, _) in pairwise(times):
        for moment in (parse_time(time), parse_time(time) + timedelta(milliseconds=999)):
            assert desk.counts(at=moment) == desk.counts(at=following)
            assert desk.listed("work.create", at=moment).size == following
    assert desk.listed(at=parse_time(times[0][1]) - timedelta(days=1)).size == times[0][0]
    market.clock.forward(1000)
    desk.set_status(told.photo, "suspended", reason="complaint")
    desk.resolve_dispute(told.dispute)
    assert told.answers(desk) != then
    assert told.answers(desk, checkpoint) == told.answers(desk, checkpoint.size) == then
    assert told.answers(desk, market.clock.now) == told.answers(desk, desk.log.size)
    with pytest.raises(NotFound, match="the index has"):
        desk.counts(at=desk.log.size + 1)
    for bad in (-1, datetime(2026, 11, 23)):  # noqa: DTZ001
        with pytest.raises(ValueError, match="want"):
            desk.counts(at=bad)


def test_counts_sum_to_the_size_and_anybody_counts_the_same(told: Told) -> None:
    log = open_log(told.market.public, told.desk.log.policy)
    types = Counter(Statement.parse(entry).type for entry in log.entries(0, log.checkpoint.size))
    for size in range(0, log.checkpoint.size + 1, 3):
        counts = told.desk.counts(at=size)
        assert sum(counts.values()) == size
    assert told.desk.counts() == dict(sorted(types.items()))


def test_credits_count_whatever_else_an_event_says_of_the_party(market: Market) -> None:
    refs = [{"role": "tool", "id": market.bo.id}, {"role": "creator", "id": market.bo.id, "as": "author"}]
    body = {**orjson.loads(work().data)["body"], "tools": "listed"}
    [made] = market.ledger.record_many([market.ledger.draft("work.create", body=body, refs=refs)])
    assert [row.id for row in market.ledger.credited(market.bo).rows] == [made.id]


# Kinship


def test_kinship_by_all_its_ways(told: Told) -> None:
    desk = told.desk
    up = {row.id: (row.depth, row.relation, row.idx is None) for row in desk.ancestors(told.grandchild).rows}
    assert up == {
        told.child.id: (1, "edited", False),
        told.photo.id: (2, "edited", False),
        told.other.id: (1, "sampled", False),
        "doi:10.1000/182": (1, "edited", True),
    }
    earlier = {row.id for row in desk.ancestors(told.grandchild, at=told.before_amend).rows}
    assert earlier == up.keys() - {told.other.id}
    assert [(row.id, row.depth) for row in desk.descendants(told.photo).rows] == [
        (told.child.id, 1),
        (told.grandchild.id, 2),
    ]
    assert [row.id for row in desk.descendants(told.photo, depth=1).rows] == [told.child.id]
    assert desk.descendants(told.photo, depth=0).rows == ()
    assert [row.id for row in desk.descendants(told.other).rows] == [told.grandchild.id, told.data.id]


def test_a_dispute_tags_what_derives_once_it_is_upheld(told: Told) -> None:
    desk = told.desk
    [found] = desk.open_disputes().rows
    assert (found.state, found.tagged) == ("upheld", (told.photo.id, told.child.id, told.grandchild.id))
    entry = desk.index.find(bytes.fromhex(told.dispute.id))
    assert entry is not None
    [then] = desk.open_disputes(at=entry.idx + 1).rows
    assert (then.state, then.tagged) == ("open", (told.photo.id,))
    desk.resolve_dispute(told.dispute)
    assert desk.open_disputes().rows == ()


Graph = list[list[tuple[int, int]]]

graphs = st.integers(1, 9).flatmap(
    lambda size: st.tuples(
        *(
            st.lists(
                st.tuples(st.integers(0, max(0, at - 1)), st.integers(0, 30_000_000)),
                unique_by=lambda edge: edge[0],
                max_size=at,
            )
            for at in range(size)
        )
    )
)


@pytest.fixture(scope="module")
def desk() -> Any:
    folder = Path(tempfile.mkdtemp(prefix="kin"))
    return create(f"sqlite:///{folder / 'market.db'}", origin=ORIGIN, clock=Clock())


@given(graphs)
@settings(max_examples=25)
def test_kinship_and_rates_against_brute_force(desk: Any, graph: Graph) -> None:
    """Node n derives from some of those before it, at rates; every way up is walked one by one."""
    ids: list[str] = []
    body = orjson.loads(work().data)["body"]
    drafts = []
    for at, edges in enumerate(graph):
        refs: list[dict[str, str]] = [
            {"role": "parent", "id": ids[parent], "relation": "edited", "rate": str(rate)} for parent, rate in edges
        ]
        refs.append({"role": "creator", "id": desk.market.hex()})
        digest = sha256(f"{len(desk.index.of_type('work.create'))}.{at}.{desk.log.size}".encode()).hexdigest()
        own = {**body, "digests": {"sha-256": digest}}
        drafts.append(desk.draft("work.derive" if edges else "work.create", body=own, refs=refs))
        ids.append(drafts[-1].id.hex())
    desk.record_many(drafts)
    depth: list[dict[int, int]] = []
    owed: list[dict[int, int]] = []
    for at in range(len(graph)):
        near: dict[int, int] = {}
        total: dict[int, int] = defaultdict(int)
        ways = [(at, 0)]
        while ways:
            node, far = ways.pop()
            for parent, rate in graph[node]:
                near[parent] = min(far + 1, near.get(parent, far + 1))
                total[parent] += rate
                ways.append((parent, far + 1))
        depth.append(near)
        owed.append({parent: units for parent, units in total.items() if units})
    for at, name in enumerate(ids):
        assert {row.id: row.depth for row in desk.ancestors(name).rows} == {ids[n]: d for n, d in depth[at].items()}
        assert {row.id: row.units for row in desk.rates(name).rows} == {ids[n]: units for n, units in owed[at].items()}
        below = {ids[n]: depth[n][at] for n in range(len(ids)) if at in depth[n]}
        assert {row.id: row.depth for row in desk.descendants(name).rows} == below
        most = {row.id for row in desk.ancestors(name, depth=2).rows}
        assert most == {ids[n] for n, d in depth[at].items() if d <= 2}


def _amend(child: str, *parents: Any) -> Row:
    refs: list[dict[str, Any]] = [{"role": "child", "id": child}]
    refs += [{"role": "parent", "id": parent, "relation": "edited", "rate": "1000"} for parent in parents]
    return row(draft("derive.amend", ME, {"cause": "discovered"}, refs), ME)


def test_a_cycle_in_a_forged_log_ends() -> None:
    a, b, c = work(b"a"), work(b"b"), work(b"c")
    ids = {name: each.id.hex() for name, each in zip("abc", (a, b, c), strict=True)}
    ring = [_amend(ids[child], ids[parent]) for child, parent in ("ab", "bc", "ca")]
    report = judge(FIRST, SECOND, row(a, ME), row(b, ME), row(c, ME), *ring)
    history = report.history
    for name in "abc":
        others = {ids[each] for each in "abc"} - {ids[name]}
        assert {each.id for each in history.ancestors(ids[name]).rows} == others
        assert {each.id for each in history.descendants(ids[name]).rows} == others
        assert {each.id for each in history.rates(ids[name]).rows} == others
        found = history.derivation(ids[name])
        assert found is None or found.verdict != "ok"
    assert [(judged.finding.rule, judged.unknown) for judged in judge_rules(history)] == [("G2.cycle", False)]


def test_a_cycle_through_two_logs_is_reported_as_outside(market: Market, tmp_path: Path) -> None:
    """A's work derives from B's, which derives from A's: each log says what it knows, and follows nothing."""
    there = create(f"sqlite:///{tmp_path / 'b.db'}", origin="b.example/log", publish=tmp_path / "b", clock=Clock())
    bea = there.register_party("person")
    desk = market.ledger
    ours = market.work(b"ours")
    theirs = there.derive(
        market.file(b"theirs"), parents=[{"log": ORIGIN, "event": ours.id}], creators=[bea], relation="edited"
    )
    desk.amend(ours, parents=[{"log": "b.example/log", "event": theirs.id}])
    assert [(row.id, row.idx) for row in desk.ancestors(ours).rows] == [(f"b.example/log#{theirs.id}", None)]
    assert [(row.id, row.idx) for row in there.ancestors(theirs).rows] == [(f"{ORIGIN}#{ours.id}", None)]
    said = there.index.links_from(there.receipt(theirs).index)
    assert [link.role for link in said if link.outside == f"{ORIGIN}#{ours.id}"] == ["parent"]
    assert desk.descendants(ours).rows == ()
    assert audited(desk, market.public).record == "intact"
    itself = desk.amend(ours, parents=[{"log": ORIGIN, "event": ours.id}])  # by its own outside name
    assert {row.idx for row in desk.ancestors(ours).rows} == {None}
    assert itself.type == "derive.amend"


# Training


def reserve(market: Market, thing: Ticket, category: str = "train", **options: Any) -> Ticket:
    statements = {category: "disallow"}
    body = {"statements": statements, "source": "cawg-1.1", "table": "cawg-ai-use-1", "selector": {"kind": "work"}}
    refs = [{"role": "work", "id": thing.id}]
    [found] = market.ledger.record_many([market.ledger.draft("reservation.declare", body=body, refs=refs, **options)])
    return found


def train(market: Market, model: Ticket, *inputs: Input) -> Ticket:
    return market.ledger.train(model, inputs=inputs, method="pretrain", rights="unknown")


def test_training_before_and_after_a_reservation(market: Market) -> None:
    desk = market.ledger
    photo, model = market.work(b"photo"), desk.register_model(version="1", creators=[market.bo])
    early = train(market, model, Input(photo))
    reservation = reserve(market, photo)
    late = train(market, model, Input(photo))
    found = desk.trained_on(photo)
    assert [(row.training, row.reserved, row.reserved_since) for row in found.rows] == [
        (early.id, "unknown", True),
        (late.id, "disallow", False),
    ]
    assert reservation.id in found.events
    conflicts = desk.training_conflicts(model)
    assert [(row.work, row.training, row.because) for row in conflicts.rows] == [(photo.id, late.id, "reserved")]
    assert {photo.id, late.id, reservation.id} <= set(conflicts.events)
    assert desk.training_conflicts(model, at=conflicts.size - 1).rows == ()


def test_what_is_reserved_since_is_asked_for_the_same_purpose(market: Market) -> None:
    desk = market.ledger
    photo, model = market.work(b"photo"), desk.register_model(version="1", creators=[market.bo])
    train(market, model, Input(photo, purpose="train_generative"))
    reserve(market, photo, category="train_generative")
    [found] = desk.trained_on(photo).rows
    assert (found.reserved, found.reserved_since) == ("unknown", True)


def test_training_by_way_of_a_snapshot(market: Market) -> None:
    desk = market.ledger
    photo, other = market.work(b"photo"), market.work(b"other")
    model = desk.register_model(version="1", creators=[market.bo])
    listed, held = desk.snapshot(members=1, root="ab" * 32, parents=[photo]), desk.snapshot(members=1, root="cd" * 32)
    reserve(market, photo)
    reserve(market, other)
    trained = train(market, model, Input(listed), Input(held))
    members = {held.id: {sha256(b"other").hexdigest()}}
    assert [row.via for row in desk.trained_on(photo).rows] == [listed.id]
    assert desk.trained_on(other).rows == ()
    assert [(row.via, row.reserved) for row in desk.trained_on(other, members=members).rows] == [(held.id, "disallow")]
    assert {row.work for row in desk.training_conflicts(model).rows} == {photo.id}
    found = desk.training_conflicts(model, members={held.id: sorted(members[held.id])})
    assert {(row.work, row.training) for row in found.rows} == {(photo.id, trained.id), (other.id, trained.id)}


def test_one_who_took_consent_back_is_not_hidden_by_another(market: Market) -> None:
    desk = market.ledger
    photo, model = market.work(b"photo"), desk.register_model(version="1", creators=[market.bo])

    def consent(party: Ticket, state: str) -> Ticket:
        refs = [{"role": "subject", "id": party.id}, {"role": "controller", "id": desk.market.hex()}]
        refs.append({"role": "work", "id": photo.id})
        start = desk.before().newest("consent", _start(party.id, desk.market.hex()))
        refs += [{"role": "prev", "id": start.hex()}] if start else []
        body = {"state": state, "purposes": ["train"], "basis": "Consent", "notice": "ab" * 32}
        return desk.record_many([desk.draft("consent.record", body=body, refs=refs, actor=party)])[0]

    consent(market.ada, "ConsentGiven")
    early = train(market, model, Input(photo))
    taken = consent(market.ada, "ConsentWithdrawn")
    consent(market.bo, "ConsentGiven")
    found = desk.trained_on(photo)
    assert [(row.training, row.consent, row.withdrawn_since) for row in found.rows] == [
        (early.id, "ConsentGiven", True)
    ]
    assert taken.id in found.events
    late = train(market, model, Input(photo))
    assert [(row.training, row.because) for row in desk.training_conflicts(model).rows] == [(late.id, "consent")]


def _start(subject: str, controller: str) -> bytes:
    from provenance.once import consent_start

    return consent_start(subject, controller)


# What this version does not know


@pytest.mark.parametrize("change", [{"extra": 1}, {"type": "work.sculpt"}], ids=["a field", "a type"])
def test_what_a_later_version_wrote_is_kept_and_decides_nothing(change: dict[str, Any]) -> None:
    base = orjson.loads(work(b"later").data)
    later = dumps({**base, **change} if "type" in change else {**base, "body": {**base["body"], **change}})
    stranger = address(later).hex()
    sale = draft("offer.attach", ME, {"audience": "public", "overrides": {}}, [
        {"role": "work", "id": stranger}, {"role": "terms", "id": _TERMS.id.hex()}
    ])  # fmt: skip
    child = draft("work.derive", ME, orjson.loads(work(b"child").data)["body"], [
        {"role": "parent", "id": stranger, "relation": "edited"}, {"role": "creator", "id": ME}
    ])  # fmt: skip
    report = judge(FIRST, SECOND, row(_TERMS, ME), row(later, ME), row(child, ME), row(sale, ME))
    history = report.history
    assert history.event_at(3) == later  # byte for byte
    assert "event.unknown" in {finding.rule for finding in report.findings}
    [named] = [finding for finding in report.findings if finding.rule == "event.unknown"]
    assert named.index == 3
    assert ("body.extra" in named.detail) == ("extra" in change)
    found = history.derivation(child.id.hex(), license="CC0-1.0")
    assert found is not None
    assert found.verdict == "unknown"
    assert "L0.work" in {finding.rule for finding in found.findings}
    assert stranger in found.events
    assert history.agreement(stranger) is None
    assert history.grant_status(stranger).state == "unknown"
    assert history.dispute_status(stranger).state == "unknown"


_TERMS = draft("terms.publish", ME, {"license": "CC0-1.0", "machine": {}})


def test_a_question_about_something_else_is_unknown_and_no_error(market: Market) -> None:
    thing = market.work(b"w")
    for asks in (market.ledger, market.history()):
        assert asks.grant_status(thing).state == asks.dispute_status(thing).state == "unknown"
        assert len(asks.descendants("ab" * 32)) == len(asks.trained_on("ab" * 32)) == 0
        assert asks.derivation("ab" * 32) is None
        assert asks.offers_of(market.ada) == []
        assert asks.shares_of(market.ada) == {}


# Bad input


def test_a_hundred_thousand_parents_are_refused_with_the_way_to_do_it(market: Market) -> None:
    parents = [{"scheme": "doi", "id": f"10.1000/{n}"} for n in range(100_000)]
    with pytest.raises(EventRejected, match=r"record a dataset\.snapshot of them"):
        market.ledger.derive(market.file(b"all"), parents=parents, creators=[market.ada])


@pytest.mark.parametrize("text", ["Аda", "e\u0301toile", "\u202egpj.exe", "a\u200bb", "\ud7ff\uffff"])
def test_look_alikes_are_kept_apart_and_out_of_the_log(market: Market, text: str) -> None:
    desk = market.ledger
    plain = desk.register_party("org", name="Ada", ref="Ada")
    odd = desk.register_party("org", name=text, ref=text)
    assert odd.id != plain.id
    assert desk.find(text) == odd
    published = b"".join(path.read_bytes() for path in market.public.rglob("*") if path.is_file())
    assert text.encode() not in published
    with pytest.raises(EventRejected):
        desk.publish_terms(f"LicenseRef-{text}")


def test_a_time_far_ahead_is_a_claim_and_decides_nothing(market: Market) -> None:
    desk = market.ledger
    refs = [{"role": "creator", "id": market.ada.id, "as": "author"}]
    body = orjson.loads(work().data)["body"]
    [ahead] = desk.record_many([desk.draft("work.create", body=body, refs=refs, claimed_at="2999-01-01T00:00:00Z")])
    offer = desk.offer(ahead, terms="LicenseRef-house")
    grant = desk.license(ahead, to=market.bo, offer=offer, expires=market.clock.now + timedelta(days=1))
    assert desk.grant_status(grant).state == "standing"
    assert desk.listed("work.create").rows[-1].claimed_at == "2999-01-01T00:00:00Z"
    assert desk.counts(at=market.clock.now)["work.create"] == 1
    market.clock.forward(2 * 86_400)
    market.work(b"later")
    assert desk.grant_status(grant).state == "expired"
    assert audited(desk, market.public).record == "intact"


def test_history_is_a_source_of_answers() -> None:
    assert issubclass(History, Asks)
