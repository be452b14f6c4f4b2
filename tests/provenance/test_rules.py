"""Every rule between events: one event that breaks it and one that does not; refused when staged, named by an audit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from adapters import create
from adapters.begin import SEALED
from provenance import EventRejected, Money, Ticket, sign_statement
from provenance.canonical import address, dumps
from provenance.desk.data import Input
from provenance.events import Draft
from provenance.events.union import MODELS
from provenance.queue import Staged
from provenance.rules import claims, grants, shares, works
from provenance.waiting import facts_of_staged
from tests.provenance.conftest import ORIGIN, Clock, Market
from tests.provenance.test_identity_ledger import Signer
from tests.provenance.test_index import audited
from tests.provenance.test_published import work as a_work

EUR = "EUR"
WORK = orjson.loads(a_work().data)["body"]
DIGESTS = (f"{number:064x}" for number in range(1, 1 << 20))


class Said(NamedTuple):
    """An event to be, by the market or by a party that signs it."""

    type: str
    body: dict[str, Any]
    refs: list[dict[str, Any]]
    by: Signer | None = None
    actor: str | None = None


class Stage:
    """A market, what cases are made of, and three ways to say something."""

    def __init__(self, root: Path) -> None:
        clock = Clock()
        url = f"sqlite:///{root / 'market.db'}"
        self.desk = create(url, origin=ORIGIN, publish=root / "public", clock=clock)
        self.ada, self.bo = (self.desk.register_party("person") for _ in range(2))
        self.root, self.public = root, root / "public"
        self.eve = Signer(self)  # type: ignore[arg-type]

    @property
    def ledger(self) -> Any:
        return self.desk

    def work(self, *parents: str, creator: str | None = None, digest: str | None = None) -> str:
        return str(self.put(self.a_work(*parents, creator=creator, digest=digest)))

    def a_work(self, *parents: str, creator: str | None = None, digest: str | None = None) -> Said:
        refs = [{"role": "parent", "id": parent, "relation": "edited"} for parent in parents]
        refs.append({"role": "creator", "id": creator or self.ada.id, "as": "author"})
        body = {**WORK, "digests": {"sha-256": digest or next(DIGESTS)}}
        return Said("work.derive" if parents else "work.create", body, refs)

    def offer(self, work: str, **options: Any) -> str:
        return self.desk.offer(work, terms=options.pop("terms", "LicenseRef-house"), **options).id

    def grant(self, work: str | None = None, **options: Any) -> str:
        work = work or self.work()
        offer = options.pop("offer", None) or self.offer(work)
        return self.desk.license(work, to=self.ada, offer=offer, **options).id

    def draft(self, said: Said) -> Draft:
        if said.by is not None:
            actor = said.actor or said.by.id
            return self.desk.propose(said.type, actor=actor, body=said.body, refs=said.refs)
        return self.desk.draft(said.type, body=said.body, refs=said.refs, actor=said.actor)

    def put(self, said: Said) -> Ticket:
        """As anybody says something: the rules are asked."""
        draft = self.draft(said)
        if said.by is None:
            return self.desk.record_many([draft])[0]
        items = [bytes(item) for item in draft.items]
        return self.desk.submit(draft.data, self._signed(said, draft.id), items=items)

    def force(self, said: Said, data: bytes | None = None) -> str:
        """As an operator writes it past the rules; `data` are other bytes than such an event has."""
        data = data or self.draft(said).data
        signed = None if said.by is None else self._signed(said, address(data))
        staged = Staged(0, address(data), said.type, data, (), signed, said.type in SEALED, 0)
        self.desk._sequencer.append([(staged, facts_of_staged(staged, market=self.desk.market))])
        return address(data).hex()

    def later(self, said: Said) -> str:
        """An event as a later version writes it, with a field that nobody knows here."""
        event = orjson.loads(self.draft(said).data)
        return self.force(said, dumps({**event, "body": {**event["body"], "later": 1}}))

    def _signed(self, said: Said, event_id: bytes) -> bytes:
        assert said.by is not None
        sealed = said.type in SEALED
        return sign_statement(
            said.by.key, issuer=said.by.id, type=said.type, origin=ORIGIN, event_id=event_id, sealed=sealed
        )


def ref(role: str, event_id: str | Ticket, **more: str) -> dict[str, str]:
    return {"role": role, "id": str(event_id), **more}


Case = Callable[[Stage], tuple[Said, Said]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    def add(make: Case) -> Case:
        CASES[name] = make
        return make

    return add


# Works


@case("work.owner")
def _(s: Stage) -> tuple[Said, Said]:
    said = Said("attribution.set", {"mode": "named"}, [ref("work", s.work())])
    return said._replace(by=s.eve), said


@case("G2.cycle")
def _(s: Stage) -> tuple[Said, Said]:
    parent = s.work()
    child = s.work(s.work(parent))

    def amend(whose: str, other: str) -> Said:
        refs = [ref("child", whose), ref("parent", other, relation="edited")]
        return Said("derive.amend", {"cause": "discovered"}, refs)

    return amend(parent, child), amend(child, s.work())


@case("G2.cycle, the same bytes")
def _(s: Stage) -> tuple[Said, Said]:
    digest = next(DIGESTS)
    parent = s.work(digest=digest)
    return s.a_work(parent, digest=digest), s.a_work(parent)


def _judged(s: Stage, target: str) -> str:
    dispute = s.desk.dispute(target, tag="improper-usage", evidence=next(DIGESTS))
    return s.desk.judge(dispute, "upheld").id


def _amended(s: Stage, child: str, judgment: str) -> Said:
    refs = [ref("child", child), ref("parent", s.work(), relation="edited"), ref("judgment", judgment)]
    return Said("derive.amend", {"cause": "judged"}, refs)


@case("derive.amend.cause")
def _(s: Stage) -> tuple[Said, Said]:
    child = s.work()
    return _amended(s, child, _judged(s, s.work())), _amended(s, child, _judged(s, child))


@case("derive.amend.actor")
def _(s: Stage) -> tuple[Said, Said]:
    child = s.work()
    claim = s.desk.claim_credit(s.work(), child=child, method="iscc", evidence="ab" * 32)
    said = _amended(s, child, _judged(s, claim.id))
    return said._replace(by=s.eve), said


@case("work.version.digest")
def _(s: Stage) -> tuple[Said, Said]:
    digest = next(DIGESTS)
    refs = [ref("of", s.work(digest=digest))]
    body = {"relation": "revision", "media_type": "image/png", "size": 1}
    bad, good = ({**body, "digests": {"sha-256": each}} for each in (digest, next(DIGESTS)))
    return Said("work.version", bad, refs), Said("work.version", good, refs)


def _status(state: str, work: str, *more: dict[str, str], by: Signer | None = None) -> Said:
    return Said("work.status", {"state": state, "reason": "complaint"}, [ref("work", work), *more], by)


@case("work.status.host")
def _(s: Stage) -> tuple[Said, Said]:
    return tuple(_status(state, s.work(creator=s.eve.id), by=s.eve) for state in ("suspended", "deactivated"))  # type: ignore[return-value]


@case("work.status.deleted")
def _(s: Stage) -> tuple[Said, Said]:
    return tuple(  # type: ignore[return-value]
        _status("active", work, ref("prev", s.put(_status(state, work))))
        for state, work in (("deleted", s.work()), ("deactivated", s.work()))
    )


@case("work.status.prev")
def _(s: Stage) -> tuple[Said, Said]:
    """Else the state of a suspended work would be that of another."""
    suspended, own = s.work(), s.work(creator=s.eve.id)
    last = s.desk.set_status(suspended, "suspended", reason="complaint")
    first = s.put(_status("deactivated", own, by=s.eve))
    return _status("active", own, ref("prev", last), by=s.eve), _status("active", own, ref("prev", first), by=s.eve)


def _reserved(work: str, *more: dict[str, str], by: Signer | None = None) -> Said:
    body = {
        "statements": {"train": "disallow"},
        "source": "cawg-1.1",
        "table": "cawg-ai-use-1",
        "selector": {"kind": "work"},
    }
    return Said("reservation.declare", body, [ref("work", work), *more], by)


@case("reservation.declare.prev")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    first = s.put(_reserved(work))
    return _reserved(s.work(), ref("prev", first)), _reserved(work, ref("prev", first))


@case("reservation.declare.actor")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    prev = ref("prev", s.put(_reserved(work)))
    return _reserved(work, prev, by=s.eve), _reserved(work, by=s.eve)


# Offers and grants


def _grants(s: Stage, offer: str, work: str, **body: Any) -> Said:
    refs = [ref("offer", offer), ref("work", work), ref("licensee", s.ada)]
    return Said("grant.issue", {"scope": ["use"], "quantity": 1, "transferable": False, **body}, refs)


@case("grant.work")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    offer = s.offer(work)
    return _grants(s, offer, s.work()), _grants(s, offer, work)


@case("grant.price")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    offer = s.offer(work, price=Money(100, EUR))
    bad, good = ({"amount": amount, "currency": EUR} for amount in ("199", "200"))
    return _grants(s, offer, work, price=bad, quantity=2), _grants(s, offer, work, price=good, quantity=2)


@case("grant.expires")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    offer = s.offer(work)
    return tuple(_grants(s, offer, work, expires=f"2026-11-23T08:00:0{second}Z") for second in (0, 1))  # type: ignore[return-value]


@case("grant.offer")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work(creator=s.eve.id)
    split = s.desk.split(work, {s.eve.id: 60_000_000, s.ada.id: 40_000_000})
    s.put(Said("assent.answer", {"answer": "yes"}, [ref("of", split)], s.eve))
    pending, agreed = s.offer(work), s.offer(work)
    s.put(Said("assent.answer", {"answer": "yes"}, [ref("of", agreed)], s.eve))
    return _grants(s, pending, work), _grants(s, agreed, work)


@case("grant.offer, not understood")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    terms = s.desk.publish_terms("CC0-1.0")
    body = {"audience": "public", "overrides": {}}
    later = s.later(Said("offer.attach", body, [ref("work", work), ref("terms", terms)]))
    return _grants(s, later, work), _grants(s, s.offer(work), work)


@case("grant.detached")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    gone, stands = s.offer(work), s.offer(work)
    s.desk.withdraw_offer(gone)
    return _grants(s, gone, work), _grants(s, stands, work)


@case("grant.disputed")
def _(s: Stage) -> tuple[Said, Said]:
    work, other = s.work(), s.work()
    offer, stands = s.offer(work), s.offer(other)
    s.desk.judge(s.desk.dispute(work, tag="improper-registration", evidence=next(DIGESTS)), "upheld")
    s.desk.judge(s.desk.dispute(other, tag="improper-registration", evidence=next(DIGESTS)), "dismissed")
    return _grants(s, offer, work), _grants(s, stands, other)


@case("grant.status")
def _(s: Stage) -> tuple[Said, Said]:
    work, other = s.work(), s.work()
    offer, stands = s.offer(work), s.offer(other)
    s.desk.set_status(work, "suspended", reason="complaint")
    return _grants(s, offer, work), _grants(s, stands, other)


@case("offer.detach.actor")
def _(s: Stage) -> tuple[Said, Said]:
    said = Said("offer.detach", {}, [ref("offer", s.offer(s.work()))])
    return said._replace(by=s.eve, refs=[ref("offer", s.offer(s.work()))]), said


@case("offer.detach.offer")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    refs = [ref("work", work), ref("terms", s.desk.publish_terms("CC0-1.0"))]
    later = s.later(Said("offer.attach", {"audience": "public", "overrides": {}}, refs))
    return tuple(Said("offer.detach", {}, [ref("offer", each)]) for each in (later, s.offer(work)))  # type: ignore[return-value]


def _use(s: Stage, grant: str, number: int = 1, **by: Any) -> Said:
    return Said("grant.consume", {"number": number}, [ref("grant", grant), ref("child", s.work())], **by)


@case("grant.holder")
def _(s: Stage) -> tuple[Said, Said]:
    return _use(s, s.grant(), by=s.eve), _use(s, s.grant(), actor=s.ada.id)


@case("grant.standing")
def _(s: Stage) -> tuple[Said, Said]:
    revoked = s.grant()
    s.desk.revoke_grant(revoked, reason="fraud")
    return _use(s, revoked), _use(s, s.grant())


@case("grant.consume.number")
def _(s: Stage) -> tuple[Said, Said]:
    return _use(s, s.grant(quantity=2), 3), _use(s, s.grant(quantity=2), 2)


def _pass_on(s: Stage, grant: str, to: str, *more: dict[str, str]) -> Said:
    return Said("grant.transfer", {}, [ref("grant", grant), ref("to", to), *more], actor=s.ada.id)


@case("grant.transferable")
def _(s: Stage) -> tuple[Said, Said]:
    return tuple(_pass_on(s, s.grant(transferable=it_is), s.bo.id) for it_is in (False, True))  # type: ignore[return-value]


@case("grant.transfer.pending")
def _(s: Stage) -> tuple[Said, Said]:
    found = []
    for grant in (s.grant(transferable=True), s.grant(transferable=True)):
        last = s.put(_pass_on(s, grant, s.eve.id))
        found.append((_pass_on(s, grant, s.bo.id, ref("prev", last)), last))
    (bad, _first), (good, refused) = found
    s.put(Said("assent.answer", {"answer": "no"}, [ref("of", refused)], s.eve))
    return bad, good


@case("grant.transfer.prev")
def _(s: Stage) -> tuple[Said, Said]:
    one, two = s.grant(transferable=True), s.grant(transferable=True)
    last = s.desk.transfer_grant(one, to=s.ada, actor=s.ada)
    return _pass_on(s, two, s.bo.id, ref("prev", last)), _pass_on(s, one, s.bo.id, ref("prev", last))


@case("grant.revoke.actor")
def _(s: Stage) -> tuple[Said, Said]:
    bad, good = (Said("grant.revoke", {"reason": "fraud"}, [ref("grant", s.grant())]) for _ in range(2))
    return bad._replace(by=s.eve), good


@case("grant.revoke.terms")
def _(s: Stage) -> tuple[Said, Said]:
    found = []
    for revocable in (False, True):
        work = s.work()
        terms = s.desk.publish_terms("LicenseRef-x", machine={"revocable": revocable})
        grant = s.grant(work, offer=s.offer(work, terms=terms))
        found.append(Said("grant.revoke", {"reason": "fraud"}, [ref("grant", grant)]))
    return found[0], found[1]


# Shares and money


@case("split.actor")
def _(s: Stage) -> tuple[Said, Said]:
    bad, good = (
        Said("split.declare", {}, [ref("work", s.work()), ref("holder", s.ada, units="100000000")]) for _ in range(2)
    )
    return bad._replace(by=s.eve), good


@case("split.transfer.units")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    last = s.desk.split(work, {s.ada.id: 60_000_000, s.bo.id: 40_000_000})
    refs = [ref("work", work), ref("from", s.ada), ref("to", s.bo), ref("prev", last)]
    return tuple(Said("split.transfer", {"units": units}, refs) for units in ("60000001", "60000000"))  # type: ignore[return-value]


def _earned(work: str, start: int = 1, end: int = 10, **more: Any) -> Said:
    body = {
        "from": f"2026-10-{start:02}T00:00:00Z",
        "to": f"2026-10-{end:02}T00:00:00Z",
        "gross": "1000",
        "currency": EUR,
        "deductions": [{"kind": "fee", "amount": "100"}],
        "source": "ab" * 32,
        "source_key": "shop",
        **more,
    }
    return Said("revenue.report", body, [ref("work", work)])


@case("money.actor")
def _(s: Stage) -> tuple[Said, Said]:
    return _earned(s.work())._replace(by=s.eve), _earned(s.work())


@case("revenue.report.period")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    prev = ref("prev", s.put(_earned(work, 1, 10)))
    bad, good = (_earned(work, start, 20) for start in (9, 10))
    return bad._replace(refs=[*bad.refs, prev]), good._replace(refs=[*good.refs, prev])


def _divided(s: Stage, **more: Any) -> Said:
    body = {
        "size": 1,
        "root": "ab" * 32,
        "algorithm": "a1",
        "currency": EUR,
        "input": "900",
        "undistributed": "0",
        **more,
    }
    report = s.put(_earned(s.work()))
    return Said("settlement.compute", body, [ref("revenue", report), ref("payee", s.ada, amount=body["input"])])


@case("settlement.compute.input")
def _(s: Stage) -> tuple[Said, Said]:
    return _divided(s, input="901"), _divided(s)


@case("settlement.compute.currency")
def _(s: Stage) -> tuple[Said, Said]:
    return _divided(s, currency="USD"), _divided(s)


def _paid(s: Stage, amount: str, currency: str = EUR) -> Said:
    refs = [ref("settlement", s.put(_divided(s))), ref("payee", s.ada)]
    return Said("payout.confirm", {"amount": amount, "currency": currency}, refs)


@case("payout.confirm.due")
def _(s: Stage) -> tuple[Said, Said]:
    return _paid(s, "901"), _paid(s, "900")


@case("payout.confirm.currency")
def _(s: Stage) -> tuple[Said, Said]:
    return _paid(s, "900", "USD"), _paid(s, "900")


# Claims


@case("assent.asked")
def _(s: Stage) -> tuple[Said, Said]:
    act = s.work(creator=s.eve.id)
    said = Said("assent.answer", {"answer": "yes"}, [ref("of", act)])
    return said._replace(actor=s.ada.id), said._replace(by=s.eve)


@case("assent.pending")
def _(s: Stage) -> tuple[Said, Said]:
    found = []
    for answer in ("no", "yes"):
        work = s.work()
        split = s.desk.split(work, {s.eve.id: 50_000_000, s.ada.id: 50_000_000})
        s.put(Said("assent.answer", {"answer": answer}, [ref("of", split)], s.eve))
        found.append(Said("assent.answer", {"answer": "yes"}, [ref("of", split)], actor=s.ada.id))
    return found[0], found[1]


def _disputed(s: Stage) -> str:
    return s.desk.dispute(s.work(), tag="improper-usage", evidence=next(DIGESTS)).id


@case("dispute.state")
def _(s: Stage) -> tuple[Said, Said]:
    over, stands = _disputed(s), _disputed(s)
    s.desk.cancel_dispute(over)
    return tuple(Said("dispute.judge", {"decision": "upheld"}, [ref("dispute", each)]) for each in (over, stands))  # type: ignore[return-value]


@case("dispute.arbiter")
def _(s: Stage) -> tuple[Said, Said]:
    bad, good = (Said("dispute.judge", {"decision": "upheld"}, [ref("dispute", _disputed(s))]) for _ in range(2))
    return bad._replace(by=s.eve), good


@case("dispute.opener")
def _(s: Stage) -> tuple[Said, Said]:
    bad, good = (Said("dispute.cancel", {}, [ref("dispute", _disputed(s))]) for _ in range(2))
    return bad._replace(by=s.eve), good


@case("attest.revoke.actor")
def _(s: Stage) -> tuple[Said, Said]:
    from datetime import UTC, datetime

    expires = datetime(2027, 1, 1, tzinfo=UTC)
    bad, good = (
        Said(
            "attest.revoke", {"reason": "error"}, [ref("attestation", s.desk.attest(s.ada, claim="x", expires=expires))]
        )
        for _ in range(2)
    )
    return bad._replace(by=s.eve), good


@case("attribution.answer.actor")
def _(s: Stage) -> tuple[Said, Said]:
    bad, good = (
        Said(
            "attribution.answer",
            {"answer": "accept"},
            [ref("claim", s.desk.claim_credit(s.work(), child=s.work(), method="iscc", evidence="ab" * 32))],
        )
        for _ in range(2)
    )
    return bad._replace(by=s.eve), good


def _run(s: Stage, state: str, *more: dict[str, str], model: str = "") -> Said:
    model = model or s.desk.register_model(version="1", creators=[s.ada]).id
    return Said("generation.run", {"state": state}, [ref("model", model), *more])


@case("generation.run.prev")
def _(s: Stage) -> tuple[Said, Said]:
    ended, started = (s.put(_run(s, state)) for state in ("aborted", "started"))
    return _run(s, "failed", ref("prev", ended)), _run(s, "failed", ref("prev", started))


@case("generation.run.actor")
def _(s: Stage) -> tuple[Said, Said]:
    bad, good = (_run(s, "failed", ref("prev", s.put(_run(s, "started")))) for _ in range(2))
    return bad._replace(by=s.eve), good


def _place(s: Stage, work: str, grant: str) -> Said:
    there = {"role": "market", "id": {"scheme": "dns", "id": "other.example"}}
    return Said("syndicate.place", {"territories": []}, [ref("work", work), there, ref("grant", grant)])


@case("syndicate.place.grant")
def _(s: Stage) -> tuple[Said, Said]:
    work = s.work()
    return _place(s, work, s.grant()), _place(s, work, s.grant(work))


@case("syndicate.withdraw.actor")
def _(s: Stage) -> tuple[Said, Said]:
    bad, good = (
        Said("syndicate.withdraw", {}, [ref("placement", s.desk.syndicate(s.work(), market=s.bo))]) for _ in range(2)
    )
    return bad._replace(by=s.eve), good


# Tests


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("rules"))


@pytest.mark.parametrize("name", CASES)
def test_one_that_breaks_it_and_one_that_does_not(stage: Stage, name: str) -> None:
    bad, good = CASES[name](stage)
    size = stage.desk.log.size
    with pytest.raises(EventRejected) as caught:
        stage.put(bad)
    assert {reason.rule for reason in caught.value.reasons} == {name.partition(",")[0]}
    assert all(len(event) == 64 for reason in caught.value.reasons for event in reason.events)
    assert all(reason.sentence[0].islower() or reason.sentence[0].isdigit() for reason in caught.value.reasons)
    assert stage.desk.log.size == size
    assert stage.put(good).type == good.type


def test_every_rule_of_these_families_is_here() -> None:
    written = set()
    for module in (works, grants, shares, claims):
        source = Path(str(module.__file__)).read_text("utf-8")
        written |= set(re.findall(r'"((?:G2|[a-z]+)\.[a-z.-]+)",\s*(?:f?"|text|str\()', source))
        written |= set(re.findall(r'_own\("[a-z]+", "([a-z.]+)"\)', source))
    assert written - {name.partition(",")[0] for name in CASES} - set(MODELS) == set()
    assert len(written) > 35


def test_an_audit_names_what_an_operator_wrote_past_the_rules(tmp_path: Path) -> None:
    """And the record stays intact: it is what was said."""
    stage = Stage(tmp_path)
    made = {name: make(stage) for name, make in CASES.items()}
    stage.desk.publish()
    assert audited(stage.desk, stage.public).against_rules == ()
    forced = {stage.force(bad): name.partition(",")[0] for name, (bad, _) in made.items()}
    stage.desk.publish()
    report = audited(stage.desk, stage.public)
    unknown = [finding.rule for finding in report.findings]
    assert set(unknown) <= {"event.unknown"}  # the two that a later version wrote
    found: dict[str, set[str]] = {}
    for finding in report.against_rules:
        assert not finding.altered
        row = report.history.reading(finding.index).statement
        assert row is not None
        found.setdefault(row.event_id.hex(), set()).add(finding.rule)
    assert found == {event_id: {rule} for event_id, rule in forced.items()}


def test_all_failing_rules_are_returned_together(stage: Stage) -> None:
    work = stage.work()
    offer = stage.offer(work, price=Money(100, EUR))
    said = _grants(stage, offer, stage.work(), expires="2026-01-01T00:00:00Z")._replace(by=stage.eve)
    with pytest.raises(EventRejected) as caught:
        stage.put(said)
    assert {reason.rule for reason in caught.value.reasons} == {
        *("work.owner", "grant.work", "grant.price", "grant.expires"),
    }
    nowhere = Said("attribution.set", {"mode": "named"}, [ref("work", "ab" * 32)])
    with pytest.raises(EventRejected) as caught:
        stage.put(nowhere)
    assert [reason.rule for reason in caught.value.reasons] == ["G1.unknown-ref"]


def test_a_second_event_at_a_place_is_named(tmp_path: Path) -> None:
    """What the log holds twice all the same: the first one counts."""
    stage = Stage(tmp_path)
    evidence = next(DIGESTS)
    first = stage.desk.dispute(stage.work(), tag="improper-usage", evidence=evidence)
    body = {"tag": "improper-usage", "evidence": evidence}
    again = Said("dispute.open", body, [ref("target", stage.work())])
    with pytest.raises(EventRejected, match=f"taken by event {first}"):
        stage.desk.dispute(again.refs[0]["id"], tag="improper-usage", evidence=evidence)
    draft = stage.draft(again)
    staged = Staged(0, draft.id, again.type, draft.data, (), None, False, 0)
    facts = facts_of_staged(staged, market=stage.desk.market)._replace(places=())  # as if it took none
    stage.desk._sequencer.append([(staged, facts)])
    stage.desk.publish()
    report = audited(stage.desk, stage.public)
    assert [finding.rule for finding in report.against_rules] == ["once.dispute.evidence"]
    assert report.record == "intact"


@pytest.mark.parametrize("type_", ["grant.revoke", "grant.consume", "grant.transfer", "offer.detach", "payout.confirm"])
def test_an_event_that_points_to_another_kind_of_thing_is_judged_without_a_crash(tmp_path: Path, type_: str) -> None:
    stage = Stage(tmp_path)
    work = stage.work()
    shapes: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
        "grant.revoke": ({"reason": "fraud"}, [ref("grant", work)]),
        "grant.consume": ({"number": 1}, [ref("grant", work), ref("child", work)]),
        "grant.transfer": ({}, [ref("grant", work), ref("to", work)]),
        "offer.detach": ({}, [ref("offer", work)]),
        "payout.confirm": ({"amount": "1", "currency": EUR}, [ref("settlement", work), ref("payee", work)]),
    }
    stage.force(Said(type_, *shapes[type_]))
    stage.desk.publish()
    report = audited(stage.desk, stage.public)
    assert "G1.ref-type" in {finding.rule for finding in report.findings}
    assert (report.record, report.against_rules) == ("altered", ())


def test_a_training_needs_nobodys_permission(stage: Stage) -> None:
    work = stage.work()
    stage.put(_reserved(work))
    stage.desk.set_status(work, "suspended", reason="complaint")
    model = stage.desk.register_model(version="1", creators=[stage.bo])
    trained = stage.desk.train(model, inputs=[Input(work, verdict="deny")], method="pretrain", rights="denied")
    assert trained.type == "model.train"


def test_a_market_is_what_the_tests_need(market: Market) -> None:
    assert market.ledger.market.hex() == market.history().market
