"""Places that can be taken once: in the market's own transaction, on both databases, made again when they are lost."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from adapters import connect, create
from adapters.backup import backup, restore
from adapters.recover import rebuild_index
from adapters.sql.store import SqlStore
from adapters.sql.upgrade import upgrade
from ledger import Unavailable
from provenance import EventRejected, Money, PartyKey, ProvenanceLedger, Ticket, sign_statement
from provenance.events import Draft
from provenance.index import Facts
from provenance.once import CHAINS, ONCE, places_of
from provenance.queue import Staged
from provenance.waiting import facts_of_staged
from tests.adapters.first_release import build
from tests.provenance.conftest import Clock, Market
from tests.provenance.test_index import audited

EUR = Money(100, "EUR")


class Shop:
    """A ledger that keeps what it stages waiting, and connections of the market's own to the same database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.keys = {name: f"file:{folder}/keys/{name}" for name in ("log", "market", "claim")}
        self.clock = Clock()
        public = folder / "public"
        self.ledger = create(url, origin="once.example/log", keys=self.keys, clock=self.clock, publish=public)
        self.engine: Engine = create_engine(url, poolclass=NullPool)
        self.ada = self.ledger.register_party("person", name="Ada")
        self.bo = self.ledger.register_party("person", name="Bo")
        self.made = 0

    def work(self) -> Ticket:
        self.made += 1
        path = self.folder / f"work{self.made}.bin"
        path.write_bytes(b"%d" % self.made)
        return self.ledger.create(path, creators=[self.ada])

    def grant(self, work: Ticket, **options: Any) -> Ticket:
        offer = self.ledger.offer(work, terms="LicenseRef-house", price=EUR)
        paid = Money(100 * options.get("quantity", 1), "EUR")
        return self.ledger.license(work, to=self.bo, offer=offer, price=paid, **options)

    def written(self, connection: Connection | None = None) -> dict[str, list[tuple[Any, ...]]]:
        """What is in the three tables, as this transaction sees it, but for the locks on what is free."""
        if connection is None:
            with self.engine.connect() as own:
                return self.written(own)
        found = {}
        for table in ("queue", "refs", "once WHERE event_id <> key"):
            rows = connection.execute(text(f"SELECT * FROM provenance_{table}"))
            found[table] = sorted(
                (tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows), key=repr
            )
        return found


@pytest.fixture(scope="module")
def shops(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shop]:
    folders = {product: tmp_path_factory.mktemp(product) for product in ("sqlite", "postgresql")}
    return {
        "sqlite": Shop(f"sqlite:///{folders['sqlite'] / 'market.db'}", folders["sqlite"]),
        "postgresql": Shop(postgres.database(), folders["postgresql"]),
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(shops: dict[str, Shop], request: pytest.FixtureRequest) -> Iterator[Shop]:
    found = shops[request.param]
    yield found
    found.ledger.publish()


def rules(caught: pytest.ExceptionInfo[EventRejected]) -> set[str]:
    return {reason.rule for reason in caught.value.reasons}


def test_a_refused_verb_writes_nothing_and_leaves_the_transaction_usable(shop: Shop) -> None:
    grant = shop.grant(shop.work())
    shop.ledger.revoke_grant(grant, reason="fraud")
    with shop.engine.begin() as connection:
        shop.ledger.register_party("org", ref=f"before:{grant}", session=connection)
        before = shop.written(connection)
        with pytest.raises(EventRejected) as caught:
            shop.ledger.revoke_grant(grant, reason="again", ref=f"again:{grant}", session=connection)
        assert rules(caught) == {"once.grant.revoke"}
        assert shop.written(connection) == before
        shop.ledger.register_party("org", ref=f"after:{grant}", session=connection)
    found = {ref for _, ref, *_ in shop.written()["refs"]}
    assert {f"before:{grant}", f"after:{grant}"} <= found
    assert f"again:{grant}" not in found


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_who_comes_second_waits_for_the_first(shop: Shop, ends: str) -> None:
    """It is refused when the first commits, and goes on when the first is rolled back."""
    grant = shop.grant(shop.work())
    first = shop.engine.connect()
    began = first.begin()
    shop.ledger.revoke_grant(grant, reason="fraud", session=first)
    thread, result = _in_another(shop, lambda second: shop.ledger.revoke_grant(grant, reason="other", session=second))
    (began.commit if ends == "commit" else began.rollback)()
    first.close()
    thread.join(30)
    [got] = result
    if ends == "rollback":
        assert isinstance(got, Ticket)
    else:
        assert isinstance(got, EventRejected)
        assert [reason.rule for reason in got.reasons] == ["once.grant.revoke"]


def test_a_retry_returns_the_first_ticket_although_the_chain_went_on(shop: Shop) -> None:
    desk, work = shop.ledger, shop.work()
    first = desk.set_status(work, "suspended", reason="complaint", ref=f"status:{work}")
    desk.set_status(work, "active", reason="settled")
    assert desk.set_status(work, "suspended", reason="complaint", ref=f"status:{work}") == first
    assert desk.work_status(work).state == "active"
    credit = desk.credit(work, mode="named", text="Ada", ref=f"credit:{work}")
    desk.credit(work, mode="anonymous")
    assert desk.credit(work, mode="named", text="Ada", ref=f"credit:{work}") == credit
    split = desk.split(work, {shop.ada.id: 50_000_000, shop.bo.id: 50_000_000}, ref=f"split:{work}")
    desk.transfer_share(work, 50_000_000, giver=shop.ada, to=shop.bo)
    assert desk.split(work, {shop.ada.id: 50_000_000, shop.bo.id: 50_000_000}, ref=f"split:{work}") == split
    assert desk.shares_of(work) == {shop.bo.id: 100_000_000}


def test_a_retry_of_a_use_uses_nothing_more(shop: Shop) -> None:
    work = shop.work()
    grant = shop.grant(work, quantity=2)
    used = shop.ledger.consume_grant(grant, child=work, ref=f"use:{grant}")
    assert shop.ledger.consume_grant(grant, child=work, ref=f"use:{grant}") == used
    assert shop.ledger.grant_status(grant).left == 1
    shop.ledger.consume_grant(grant, child=work)
    assert shop.ledger.consume_grant(grant, child=work, ref=f"use:{grant}") == used
    with pytest.raises(EventRejected) as caught:
        shop.ledger.consume_grant(grant, child=work)
    assert rules(caught) == {"grant.standing", "grant.consume.number"}


def _in_another(
    shop: Shop, act: Callable[[Connection], object], level: str = ""
) -> tuple[threading.Thread, list[object]]:
    """`act` in a transaction of its own, in a thread that has begun it, and what came of it."""
    result: list[object] = []
    started = threading.Event()

    def run() -> None:
        with shop.engine.connect() as connection:
            if level:
                connection.execution_options(isolation_level=level)
            started.set()
            with connection.begin():
                try:
                    result.append(act(connection))
                except (EventRejected, Unavailable) as error:
                    result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(20)
    thread.join(0.3)
    assert thread.is_alive()  # it waits, whatever the outcome
    return thread, result


def _sell(shop: Shop, work: Ticket, offer: Ticket, connection: Connection | None = None, **options: Any) -> Ticket:
    return shop.ledger.license(work, to=shop.bo, offer=offer, session=connection, **options)


@pytest.mark.parametrize("named", [True, False], ids=["with a ref", "without"])
def test_nothing_is_sold_that_is_withdrawn_or_suspended(shop: Shop, named: bool) -> None:
    desk, work = shop.ledger, shop.work()
    offer, other = (desk.offer(work, terms="CC0-1.0"), desk.offer(work, terms="CC-BY-4.0"))

    def sale(number: int) -> dict[str, Any]:
        return {"ref": f"sale:{work}:{number}"} if named else {}

    desk.withdraw_offer(offer)
    with shop.engine.begin() as connection:
        before = shop.written(connection)
        with pytest.raises(EventRejected) as caught:
            _sell(shop, work, offer, connection, **sale(1))
        assert rules(caught) == {"grant.detached"}
        assert shop.written(connection) == before
        _sell(shop, work, other, connection, **sale(2))
    desk.set_status(work, "suspended", reason="complaint")
    with pytest.raises(EventRejected) as caught:
        _sell(shop, work, offer, **sale(3))
    assert rules(caught) == {"grant.detached", "grant.status"}
    desk.set_status(work, "active", reason="settled")
    assert _sell(shop, work, other, **sale(4)).type == "grant.issue"


def test_nothing_is_sold_while_a_dispute_stands_as_upheld(shop: Shop) -> None:
    desk, work = shop.ledger, shop.work()
    offer = desk.offer(work, terms="CC0-1.0")
    first, second = _open_dispute(shop, work), _open_dispute(shop, work)
    assert [ref["role"] for ref in json.loads(desk.event(second))["refs"]] == ["target", "prev"]
    desk.judge(first, "dismissed")
    _sell(shop, work, offer)  # what is only said ends nothing
    appeal = desk.appeal(first, evidence=sha256(os.urandom(8)).hexdigest())
    _sell(shop, work, offer)
    for dispute, ended in ((appeal, first), (second, second)):
        desk.judge(dispute, "upheld")
        with pytest.raises(EventRejected) as caught:
            _sell(shop, work, offer)
        assert rules(caught) == {"grant.disputed"}
        desk.resolve_dispute(dispute if dispute is appeal else ended)
        _sell(shop, work, offer)
    desk.publish()
    assert audited(desk, shop.folder / "public").against_rules == ()


def test_a_sale_is_one_statement_on_postgresql(shops: dict[str, Shop]) -> None:
    """The names and the barriers are looked at where the row is written."""
    from sqlalchemy import event

    shop = shops["postgresql"]
    work = shop.work()
    offer = shop.ledger.offer(work, terms="CC0-1.0")
    _sell(shop, work, offer, ref=f"first:{work}")  # what a sale rests on is remembered from now on
    seen: list[str] = []
    with shop.engine.begin() as connection:
        event.listen(shop.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
        _sell(shop, work, offer, connection, ref=f"second:{work}")
    writing = [statement for statement in seen if "INSERT" in statement]
    assert len(writing) == 1
    assert all(table in writing[0] for table in ("provenance_refs", "provenance_queue", "provenance_once"))


Stop = Callable[[Shop, Ticket, Ticket, Connection], object]


def _withdraw(shop: Shop, _: Ticket, offer: Ticket, connection: Connection) -> object:
    return shop.ledger.withdraw_offer(offer, session=connection)


def _suspend(shop: Shop, work: Ticket, _: Ticket, connection: Connection) -> object:
    return shop.ledger.set_status(work, "suspended", reason="complaint", session=connection)


def _open_dispute(shop: Shop, work: Ticket) -> Ticket:
    evidence = sha256(os.urandom(8)).hexdigest()
    return shop.ledger.dispute(work, tag="improper-registration", evidence=evidence)


def _uphold(shop: Shop, work: Ticket, _: Ticket, connection: Connection) -> object:
    return shop.ledger.judge(_open_dispute(shop, work), "upheld", session=connection)


_STOPS = pytest.mark.parametrize(
    "stop, rule",
    [(_withdraw, "grant.detached"), (_suspend, "grant.status"), (_uphold, "grant.disputed")],
    ids=["withdrawn", "suspended", "disputed"],
)


@pytest.mark.parametrize("named", [True, False], ids=["with a ref", "without"])
@pytest.mark.parametrize("ends", ["commit", "rollback"])
@_STOPS
def test_a_sale_waits_for_who_is_stopping_it(shop: Shop, stop: Stop, rule: str, ends: str, named: bool) -> None:
    """What was staged after the withdrawal is refused, also when neither was committed as the other began."""
    work = shop.work()
    offer = shop.ledger.offer(work, terms="CC0-1.0")
    ref = {"ref": f"waits:{work}"} if named else {}
    first = shop.engine.connect()
    began = first.begin()
    stop(shop, work, offer, first)
    thread, result = _in_another(shop, lambda second: _sell(shop, work, offer, second, **ref))
    (began.commit if ends == "commit" else began.rollback)()
    first.close()
    thread.join(30)
    [got] = result
    if ends == "rollback":
        assert isinstance(got, Ticket)
    else:
        assert isinstance(got, EventRejected)
        assert {reason.rule for reason in got.reasons} == {rule}
    shop.ledger.publish()
    assert audited(shop.ledger, shop.folder / "public").against_rules == ()


@pytest.mark.parametrize("before", ["never sold", "sold before", "suspended before"])
@_STOPS
def test_who_stops_a_sale_waits_for_those_under_way(shop: Shop, stop: Stop, rule: str, before: str) -> None:
    work = shop.work()
    offer = shop.ledger.offer(work, terms="CC0-1.0")
    if before == "sold before":
        _sell(shop, work, offer, ref=f"before:{work}")
    if before == "suspended before":
        shop.ledger.set_status(work, "suspended", reason="complaint")
        shop.ledger.set_status(work, "active", reason="settled")
    first = shop.engine.connect()
    began = first.begin()
    sold = _sell(shop, work, offer, first, ref=f"race:{work}")
    thread, result = _in_another(shop, lambda second: stop(shop, work, offer, second))
    began.commit()
    first.close()
    thread.join(30)
    assert isinstance(result[0], Ticket)
    with pytest.raises(EventRejected) as caught:
        _sell(shop, work, offer, ref=f"late:{work}")
    assert rules(caught) == {rule}
    shop.ledger.publish()
    assert shop.ledger.grant_status(sold).state == "standing"
    assert audited(shop.ledger, shop.folder / "public").against_rules == ()


def test_sales_of_one_offer_do_not_wait_for_each_other(shops: dict[str, Shop]) -> None:
    shop = shops["postgresql"]
    work = shop.work()
    offer = shop.ledger.offer(work, terms="CC0-1.0")
    _sell(shop, work, offer, ref=f"the first one:{work}")
    with shop.engine.connect() as one, shop.engine.connect() as two:
        first, second = one.begin(), two.begin()
        _sell(shop, work, offer, one, ref=f"one:{work}")
        _sell(shop, work, offer, two, ref=f"two:{work}")
        second.commit()
        first.commit()


# Money


def _earned(
    shop: Shop, work: Ticket, days: tuple[int, int], connection: Connection | None = None, **more: Any
) -> Ticket:
    start, end = (datetime(2026, 10, day, tzinfo=UTC) for day in days)
    return shop.ledger.report_revenue(
        work, EUR, start=start, end=end, source="ab" * 32, source_key="shop", session=connection, **more
    )


def _settled(shop: Shop) -> Ticket:
    """Ten of a hundred cents stay undistributed; Ada gets the rest."""
    revenue = [_earned(shop, shop.work(), (1, 2))]
    lines = {shop.ada.id: 90}
    return shop.ledger.settle(
        revenue=revenue, lines=lines, input=EUR, undistributed=10, size=1, root="ab" * 32, algorithm="a"
    )


def _pay(shop: Shop, settlement: Ticket, cents: int, connection: Connection | None = None, **more: Any) -> Ticket:
    return shop.ledger.confirm_payout(settlement, to=shop.ada, paid=Money(cents, "EUR"), session=connection, **more)


def _two_at_once(
    shop: Shop, first: Callable[[Connection], Ticket], second: Callable[[Connection], Ticket], *, ends: str
) -> object:
    """What comes of the second, which began while the first was under way."""
    one = shop.engine.connect()
    began = one.begin()
    first(one)
    thread, result = _in_another(shop, second)
    (began.commit if ends == "commit" else began.rollback)()
    one.close()
    thread.join(30)
    [got] = result
    return got


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_two_payouts_at_once_pay_no_more_than_is_due(shop: Shop, ends: str) -> None:
    settlement = _settled(shop)
    got = _two_at_once(
        shop, lambda c: _pay(shop, settlement, 60, c), lambda c: _pay(shop, settlement, 50, c), ends=ends
    )
    assert isinstance(got, Ticket if ends == "rollback" else EventRejected)
    shop.ledger.publish()
    assert audited(shop.ledger, shop.folder / "public").against_rules == ()


def test_what_is_due_is_paid_in_parts_also_before_any_is_in_the_log(shop: Shop) -> None:
    settlement = _settled(shop)
    with shop.engine.begin() as connection:
        first = _pay(shop, settlement, 60, connection, ref=f"part:{settlement}")
        with pytest.raises(EventRejected) as caught:
            _pay(shop, settlement, 31, connection)
        assert rules(caught) == {"payout.confirm.due"}
        _pay(shop, settlement, 20, connection)
    assert _pay(shop, settlement, 60, ref=f"part:{settlement}") == first
    _pay(shop, settlement, 10)
    with pytest.raises(EventRejected) as caught:
        _pay(shop, settlement, 1)
    assert rules(caught) == {"payout.confirm.due"}
    assert audited(shop.ledger, shop.folder / "public").against_rules == ()


@pytest.mark.parametrize("ends", ["commit", "rollback"])
@pytest.mark.parametrize("earlier", [True, False], ids=["after others", "the first ones"])
def test_two_reports_at_once_do_not_overlap(shop: Shop, ends: str, earlier: bool) -> None:
    work = shop.work()
    if earlier:
        _earned(shop, work, (1, 2))
        _earned(shop, work, (2, 3))
    got = _two_at_once(
        shop, lambda c: _earned(shop, work, (10, 20), c), lambda c: _earned(shop, work, (15, 25), c), ends=ends
    )
    assert isinstance(got, Ticket if ends == "rollback" else EventRejected)
    shop.ledger.publish()
    assert audited(shop.ledger, shop.folder / "public").against_rules == ()


def test_reports_come_in_any_order_and_what_waits_is_seen(shop: Shop) -> None:
    work = shop.work()
    _earned(shop, work, (20, 21))
    with shop.engine.begin() as connection:
        first = _earned(shop, work, (5, 10), connection, ref=f"report:{work}")
        _earned(shop, work, (1, 5), connection)
        for overlaps in ((9, 11), (4, 6), (1, 2)):
            with pytest.raises(EventRejected) as caught:
                _earned(shop, work, overlaps, connection)
            assert rules(caught) == {"revenue.report.period"}
    assert _earned(shop, work, (5, 10), ref=f"report:{work}") == first
    _earned(shop, work, (10, 20))
    assert audited(shop.ledger, shop.folder / "public").against_rules == ()


def _status(ledger: ProvenanceLedger, work: Ticket, state: str) -> Any:
    refs = [{"role": "work", "id": work.id}]
    return ledger.draft("work.status", body={"state": state, "reason": "complaint"}, refs=refs)


def test_bulk_recording_refuses_a_place_that_is_taken(shop: Shop) -> None:
    work, desk = shop.work(), shop.ledger
    size, before = desk.log.size, shop.written()
    with pytest.raises(EventRejected) as caught:
        desk.record_many([_status(desk, work, "suspended"), _status(desk, work, "deactivated")])
    assert rules(caught) == {"once.work.status"}
    assert (desk.log.size, shop.written()) == (size, before)
    desk.set_status(work, "suspended", reason="complaint")
    with pytest.raises(EventRejected) as caught:
        desk.record_many([_status(desk, work, "active")])
    assert rules(caught) == {"once.work.status"}


def test_bulk_recording_sells_nothing_that_was_withdrawn(shop: Shop) -> None:
    desk, work = shop.ledger, shop.work()
    offer = desk.offer(work, terms="CC0-1.0")
    refs = [{"role": "offer", "id": offer.id}, {"role": "work", "id": work.id}, {"role": "licensee", "id": shop.bo.id}]
    body = {"scope": ["use"], "quantity": 1, "transferable": False}
    desk.record_many([desk.draft("grant.issue", body=body, refs=refs)])
    desk.withdraw_offer(offer)
    with pytest.raises(EventRejected) as caught:
        desk.record_many([desk.draft("grant.issue", body=body, refs=refs)])
    assert rules(caught) == {"grant.detached"}


def test_bulk_recording_where_log_and_queue_lie_apart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'market.db'}"
    desk = create(url, origin="apart.example/log", objects=tmp_path / "objects", clock=Clock())
    ada = desk.register_party("person")
    (tmp_path / "w").write_bytes(b"w")
    work = desk.create(tmp_path / "w", creators=[ada])
    size = desk.log.size
    with pytest.raises(EventRejected) as caught:
        desk.record_many([_status(desk, work, "suspended"), _status(desk, work, "deactivated")])
    assert (rules(caught), desk.log.size) == ({"once.work.status"}, size)
    desk.record_many([_status(desk, work, "suspended")])
    with pytest.raises(EventRejected):
        desk.record_many([_status(desk, work, "active")])
    assert desk.work_status(work).state == "suspended"


class Apart(NamedTuple):
    """A ledger whose log lies elsewhere than its queue, and a connection to where that is."""

    desk: ProvenanceLedger
    work: Ticket
    engine: Engine

    def rows(self) -> list[tuple[str, bytes, bytes]]:
        return _once(str(self.engine.url))


@pytest.fixture(params=["objects", "index"])
def apart(tmp_path: Path, request: pytest.FixtureRequest) -> Apart:
    """The log in files, or log and queue in one database and the index in another."""
    url = f"sqlite:///{tmp_path / 'market.db'}"
    desk = create(url, origin="apart.example/log", objects=tmp_path / "objects", clock=Clock())
    if request.param == "index":
        desk = create(url := f"sqlite:///{tmp_path / 'other.db'}", origin="apart.example/log", clock=Clock())
        rebuild_index(url, into=f"sqlite:///{tmp_path / 'index.db'}")
        desk = connect(url, index=f"sqlite:///{tmp_path / 'index.db'}", clock=Clock())
    ada = desk.register_party("person")
    (tmp_path / "w").write_bytes(b"w")
    return Apart(desk, desk.create(tmp_path / "w", creators=[ada]), create_engine(url, poolclass=NullPool))


def test_what_is_recorded_apart_has_its_places_before_the_log_has_it(
    apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web worker that stages the same while the log is being written is refused."""
    desk = apart.desk
    dispute = desk.dispute(apart.work, tag="improper-usage", evidence=sha256(b"e").hexdigest())
    extend, got = desk.log.extend, []

    def meanwhile(*arguments: Any, **options: Any) -> int:
        with apart.engine.begin() as connection, pytest.raises(EventRejected) as caught:
            desk.judge(dispute, "dismissed", session=connection)
        got.append(rules(caught))
        return extend(*arguments, **options)

    monkeypatch.setattr(desk.log, "extend", meanwhile)
    refs = [{"role": "dispute", "id": dispute.id}]
    [ticket] = desk.record_many([desk.draft("dispute.judge", body={"decision": "upheld"}, refs=refs)])
    monkeypatch.undo()
    assert got == [{"dispute.state"}]  # taken, by whom nobody can tell yet
    desk.publish()
    assert desk.dispute_status(dispute).state == "upheld"
    assert ("dispute.judge", bytes.fromhex(dispute.id), bytes.fromhex(ticket.id)) in apart.rows()


def test_what_did_not_come_into_the_log_gives_its_places_back(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, work = apart.desk, apart.work

    def lost(*_: Any, **__: Any) -> int:
        msg = "the storage of the log is away"
        raise Unavailable(msg)

    monkeypatch.setattr(desk.log, "extend", lost)
    with pytest.raises(Unavailable):
        desk.record_many([_status(desk, work, "suspended")])
    monkeypatch.undo()
    desk.register_party("org")  # whatever is sequenced next
    assert apart.rows() == []
    desk.set_status(work, "deactivated", reason="complaint")
    assert desk.work_status(work).state == "deactivated"


def test_what_a_process_reserved_that_died_is_taken_over(apart: Apart) -> None:
    desk, work = apart.desk, apart.work
    with apart.engine.begin() as connection:
        values = {"key": bytes.fromhex(work.id), "by": b"d" * 32}
        connection.execute(text("INSERT INTO provenance_once VALUES ('work.status', :key, :by)"), values)
    with pytest.raises(EventRejected):  # it may be alive
        desk.set_status(work, "deactivated", reason="complaint")
    desk.record_many([_status(desk, work, "suspended")])
    assert desk.work_status(work).state == "suspended"
    with apart.engine.begin() as connection:
        waiting = desk.work_status(work).events[-1]
        desk.set_status(work, "active", reason="settled", session=connection)
    with pytest.raises(EventRejected) as caught:  # what waits is no leftover
        desk._sequencer.append([_unasked(desk, work, prev=waiting)])
    assert rules(caught) == {"once.work.status"}


def _unasked(desk: ProvenanceLedger, work: Ticket, *, prev: str) -> tuple[Staged, Facts]:
    """The next state of a work, as whoever does not ask the rules hands it to the sequencer."""
    refs = [{"role": "work", "id": work.id}, {"role": "prev", "id": prev}]
    draft = desk.draft("work.status", body={"state": "deactivated", "reason": "complaint"}, refs=refs)
    staged = Staged(0, draft.id, draft.type, draft.data, (), None, sealed=False)
    return staged, facts_of_staged(staged, market=desk.market)


# Made again


@pytest.fixture
def taken(market: Market) -> Market:
    """Places of what is logged, sealed and open, and of what waits."""
    desk = market.ledger
    work = market.work(b"one")
    offer = desk.offer(work, terms="LicenseRef-house", price=EUR)
    grant = desk.license(work, to=market.bo, offer=offer, price=Money(300, "EUR"), quantity=3)
    desk.consume_grant(grant, child=work)
    desk.split(work, {market.ada.id: 60_000_000, market.bo.id: 40_000_000})  # sealed
    desk.set_status(work, "suspended", reason="complaint")
    dispute = desk.dispute(work, tag="improper-usage", evidence=sha256(b"e").hexdigest())
    with market.engine.begin() as connection:
        desk.consume_grant(grant, child=work, session=connection)
        desk.judge(dispute, "upheld", session=connection)
    return market


def _once(url: str) -> list[tuple[str, bytes, bytes]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT rule, key, event_id FROM provenance_once WHERE event_id <> key"))
        return sorted((rule, bytes(key), bytes(event_id)) for rule, key, event_id in rows)


def test_places_are_made_again_by_a_rebuild(taken: Market) -> None:
    before = _once(taken.url)
    assert {rule for rule, *_ in before} == {
        *("grant.consume", "split", "work.status", "dispute", "dispute.evidence", "dispute.judge"),
    }
    with taken.engine.begin() as connection:
        connection.execute(text("DELETE FROM provenance_once"))
    rebuild_index(taken.url)
    assert _once(taken.url) == before
    desk = taken.reopen()
    [grant] = desk.listed("grant.issue").rows
    [work] = desk.listed("work.create").rows
    assert desk.consume_grant(grant.id, child=work.id).type == "grant.consume"  # the third, as two are taken
    with pytest.raises(EventRejected):
        desk.consume_grant(grant.id, child=work.id)


def test_a_backup_brings_them_back_with_what_waited(taken: Market, tmp_path: Path) -> None:
    before = _once(taken.url)
    backup(taken.url, tmp_path / "backup")
    url = f"sqlite:///{tmp_path / 'again.db'}"
    keys = {name: f"file:{taken.root / 'market.keys' / file}" for name, file in _KEYS.items()}
    restore(tmp_path / "backup", url, publish=taken.public, keys=keys)
    assert _once(url) == before
    desk = connect(url, publish=taken.public, clock=taken.clock, keys=keys)
    desk.publish()
    [dispute] = desk.listed("dispute.open").rows
    assert desk.dispute_status(dispute.id).state == "upheld"
    with pytest.raises(EventRejected):
        desk.judge(dispute.id, "dismissed")


_KEYS = {"log": "log.key", "market": "market.key", "claim": "claim.pem"}


def test_an_upgrade_makes_them(taken: Market) -> None:
    before = _once(taken.url)
    build(taken.root / "market.db", taken.root / "old.db")
    old = f"sqlite:///{taken.root / 'old.db'}"
    store = SqlStore(old)
    upgrade(store)
    store.close()
    desk = connect(old, publish=taken.public, clock=taken.clock)
    desk.publish()
    assert _once(old) == before


def test_what_it_takes_follows_from_the_bytes_alone() -> None:
    for type_ in {*CHAINS, *ONCE}:
        for event in ({}, {"refs": 7}, {"refs": [{}], "body": [], "actor": 3}, {"refs": [{"role": "prev", "id": {}}]}):
            assert places_of(type_, event) == ()
    assert places_of("a.later-type", {"refs": [{"role": "prev", "id": "ab" * 32}]}) == ()


def _signed_credit(shop: Shop) -> tuple[bytes, bytes, list[bytes]]:
    """A credit that a creator with a key of its own has signed: it takes a place."""
    key, desk = PartyKey.generate(), shop.ledger
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    party = desk.propose("party.register", actor="self", body=body)

    def sign(draft: Draft) -> tuple[bytes, bytes, list[bytes]]:
        origin, issuer = desk.log.origin, party.id.hex()
        signed = sign_statement(key, issuer=issuer, type=draft.type, origin=origin, event_id=draft.id)
        return draft.data, signed, [bytes(item) for item in draft.items]

    event, statement, _ = sign(party)
    desk.submit(event, statement)
    shop.made += 1
    path = shop.folder / f"work{shop.made}.bin"
    path.write_bytes(b"%d" % shop.made)
    work = desk.create(path, creators=[party.id.hex()])
    refs = [{"role": "work", "id": work.id}]
    return sign(desk.propose("attribution.set", actor=party.id.hex(), body={"mode": "anonymous"}, refs=refs))


@pytest.mark.parametrize("refs", [("same", "same"), (None, None), ("one", "other"), (None, "other"), ("one", None)])
@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_the_same_event_from_two_at_once_is_accepted_once(
    shop: Shop, refs: tuple[str | None, str | None], ends: str
) -> None:
    """Whoever comes second gets the ticket, and takes neither name nor place from the first."""
    event, statement, items = _signed_credit(shop)
    event_id = sha256(event).hexdigest()
    names = [None if ref is None else f"{ref}:{event_id}" for ref in refs]

    def submit(number: int, connection: Connection) -> Ticket:
        return shop.ledger.submit(event, statement, items=items, ref=names[number], session=connection)

    first = shop.engine.connect()
    began = first.begin()
    submit(0, first)
    thread, result = _in_another(shop, lambda second: submit(1, second))
    (began.commit if ends == "commit" else began.rollback)()
    first.close()
    thread.join(30)
    assert [getattr(each, "id", each) for each in result] == [event_id]
    kept = names[0 if ends == "commit" else 1]
    written = shop.written()
    assert [ref for _, ref, found, _ in written["refs"] if found.hex() == event_id] == ([kept] if kept else [])
    assert [found.hex() for _, _, found in written["once WHERE event_id <> key"] if found.hex() == event_id] == [
        event_id
    ]
    shop.ledger.publish()
    assert shop.ledger.receipt(event_id).event == event
    if kept is not None:
        assert shop.ledger.find(kept).id == event_id
