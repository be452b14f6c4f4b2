"""A hold and an erasure at the same moment: the hold keeps, or it is refused because the erasure was first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from adapters.keys import load_secret
from ledger import Unavailable
from provenance import EventRejected, PartyKey, ProvenanceLedger, Ticket, sign_statement
from provenance.canonical import dumps
from provenance.events import Draft
from provenance.holds import holds_on
from provenance.index import Index
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited
from tests.provenance.test_once import Shop, _in_another, _two_at_once, rules, shops
from tests.provenance.test_rules import Said, Stage

__all__ = ["shops"]  # a fixture

PROGRAM = Path(__file__).resolve().parents[1] / "faults" / "holder.py"
BOTH = pytest.mark.parametrize("ends", ["commit", "rollback"])


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(shops: dict[str, Shop], request: pytest.FixtureRequest) -> Iterator[Shop]:
    found = shops[request.param]
    yield found
    found.ledger.publish()
    assert audited(found.ledger, found.folder / "public").against_rules == ()


def name(shop: Shop) -> bytes:
    """The address of a name that nobody speaks of elsewhere."""
    party = shop.ledger.register_party("person", name="Cy")
    return bytes.fromhex(orjson.loads(shop.ledger.event(party))["commits"]["name"])


def draft_of(desk: ProvenanceLedger, *targets: bytes) -> Draft:
    body = {"targets": [target.hex() for target in targets], "method": "delete", "basis": "gdpr-17"}
    return desk.draft("erasure.execute", body=body)


def erase(shop: Shop, target: bytes, connection: Connection | None = None) -> Ticket:
    """As whoever has the market's key may do it in the market's own transaction."""
    desk, draft = shop.ledger, draft_of(shop.ledger, target)
    key = PartyKey.parse(load_secret(shop.keys["market"]))
    signed = {"issuer": desk.market.hex(), "type": draft.type, "origin": desk.origin, "event_id": draft.id}
    return desk.submit(draft.data, sign_statement(key, **signed), session=connection)  # type: ignore[arg-type]


def hold(shop: Shop, target: bytes, connection: Connection | None = None) -> Ticket:
    return shop.ledger.hold(target, ground="dispute", session=connection)


def _while_held(shop: Shop, target: bytes, act: Callable[[], object], ends: str = "commit") -> tuple[Ticket, Any]:
    """A hold in a transaction that ends while `act` waits for it, and what came of `act`."""
    result: list[object] = []

    def run() -> None:
        try:
            result.append(act())
        except EventRejected as error:
            result.append(error)

    with shop.engine.connect() as one:
        began = one.begin()
        held = hold(shop, target, one)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        (began.commit if ends == "commit" else began.rollback)()
    thread.join(30)
    [got] = result
    return held, got


Act = Callable[[Shop, bytes, Connection], Ticket]
_PAIRS = pytest.mark.parametrize(
    "first, second, rule",
    [(hold, erase, "hold.active"), (erase, hold, "hold.erased")],
    ids=["the hold first", "the erasure first"],
)


@BOTH
@_PAIRS
def test_who_comes_second_waits_and_sees_the_first(shop: Shop, first: Act, second: Act, rule: str, ends: str) -> None:
    target = name(shop)
    got = _two_at_once(shop, lambda one: first(shop, target, one), lambda two: second(shop, target, two), ends=ends)
    if ends == "rollback":
        assert isinstance(got, Ticket)
    else:
        assert isinstance(got, EventRejected)
        assert {reason.rule for reason in got.reasons} == {rule}
    shop.ledger.publish()
    erased = (first if ends == "commit" else second) is erase
    assert (shop.ledger.item(target) is None, target.hex() in shop.ledger.held()) == (erased, not erased)


@BOTH
def test_the_verb_keeps_what_is_held_meanwhile(shop: Shop, ends: str) -> None:
    """It had looked before the hold was there, waits for it, and looks once more."""
    target, other = name(shop), name(shop)
    held, done = _while_held(shop, target, lambda: shop.ledger.erase(target, other), ends)
    gone = {other.hex()} if ends == "commit" else {target.hex(), other.hex()}
    assert set(done.erased) == gone
    assert [kept.because for kept in done.kept] == [held.id] * (ends == "commit")


def test_a_takedown_keeps_and_says_what_is_held_meanwhile(shop: Shop) -> None:
    path = shop.folder / "held.bin"
    path.write_bytes(path.name.encode())
    work = shop.ledger.create(path, creators=[shop.ada], title="a title")
    title = bytes.fromhex(orjson.loads(shop.ledger.event(work))["commits"]["title"])
    held, down = _while_held(shop, title, lambda: shop.ledger.takedown(work, reason="court-order"))
    assert (down.erased, [kept.because for kept in down.kept]) == ((), [held.id])
    assert shop.ledger.item(title) is not None
    assert shop.ledger.work_status(work).state == "takendown"


@_PAIRS
def test_in_one_transaction(shop: Shop, first: Act, second: Act, rule: str) -> None:
    target = name(shop)
    with shop.engine.begin() as connection:
        first(shop, target, connection)
        with pytest.raises(EventRejected) as caught:
            second(shop, target, connection)
    assert rules(caught) == {rule}


@pytest.mark.parametrize("held_first", [True, False])
def test_accepted_together_they_are_refused_together(shop: Shop, held_first: bool) -> None:
    target = name(shop)
    held = shop.ledger.draft("hold.set", body={"targets": [target.hex()], "ground": "dispute"})
    drafts = [held, draft_of(shop.ledger, target)]
    with pytest.raises(EventRejected) as caught:
        shop.ledger.record_many(drafts if held_first else drafts[::-1])
    assert rules(caught) == {"hold.active", "hold.erased"}
    assert shop.ledger.waiting == 0


def test_what_is_recorded_in_bulk_waits_as_well(shop: Shop) -> None:
    target, other = name(shop), name(shop)
    drafts = [draft_of(shop.ledger, other), draft_of(shop.ledger, target)]
    _, refused = _while_held(shop, target, lambda: shop.ledger.record_many(drafts))
    assert isinstance(refused, EventRejected)
    assert {reason.rule for reason in refused.reasons} == {"hold.active"}
    assert shop.ledger.item(other) is not None  # all or none
    [ticket] = shop.ledger.record_many(drafts[:1])
    size = shop.ledger.log.size
    assert shop.ledger.record_many([*drafts[:1], *drafts[:1]]) == [ticket, ticket]  # again is a no-op
    assert shop.ledger.log.size == size
    assert shop.ledger.item(other) is None


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@_PAIRS
def test_a_transaction_that_cannot_see_the_first_runs_again(
    shops: dict[str, Shop],
    first: Act,
    second: Act,
    rule: str,
    level: str,
) -> None:
    """It looks at what was there when it began, whether the first ended before it asks or while it waits."""
    shop = shops["postgresql"]

    def old(connection: Connection) -> Connection:
        connection.execution_options(isolation_level=level)
        connection.begin()
        connection.execute(text("SELECT count(*) FROM provenance_queue"))
        return connection

    target = name(shop)
    with shop.engine.connect() as two:
        old(two)
        with shop.engine.begin() as one:
            first(shop, target, one)
        with pytest.raises(Unavailable, match="run yours again from its beginning"):
            second(shop, target, two)
    with shop.engine.connect() as two:
        old(two)
        with pytest.raises(EventRejected) as caught:
            second(shop, target, two)
    assert rules(caught) == {rule}

    target = name(shop)
    with shop.engine.connect() as one:
        began = one.begin()
        first(shop, target, one)
        thread, result = _in_another(shop, lambda two: second(shop, target, two), level)
        began.commit()
    thread.join(30)
    assert isinstance(result[0], Unavailable)
    shop.ledger.publish()
    assert audited(shop.ledger, shop.folder / "public").against_rules == ()


@_PAIRS
def test_a_transaction_of_sqlite_that_cannot_see_the_first(
    shops: dict[str, Shop],
    first: Act,
    second: Act,
    rule: str,
) -> None:
    """One that began by reading, as a host that leaves nothing to the driver begins it."""
    shop = shops["sqlite"]
    target = name(shop)
    with shop.engine.connect() as two:
        two.exec_driver_sql("BEGIN")
        two.execute(text("SELECT count(*) FROM provenance_queue"))
        with shop.engine.begin() as one:
            first(shop, target, one)
        with pytest.raises(Unavailable, match="locked"):
            second(shop, target, two)
    with shop.engine.connect() as two, pytest.raises(EventRejected) as caught:
        second(shop, target, two)
    assert rules(caught) == {rule}
    shop.ledger.publish()


async def test_in_an_asynchronous_transaction(shop: Shop) -> None:
    """The hold waits on the market's own session, and the loop goes on."""
    target = name(shop)
    url = shop.url.replace("sqlite://", "sqlite+aiosqlite://").replace("+psycopg", "+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    one = shop.engine.connect()
    began = one.begin()
    erase(shop, target, one)

    async def set_hold() -> Ticket:
        async with AsyncSession(engine) as session, session.begin():
            return await shop.ledger.hold(target, ground="dispute", session=session)  # type: ignore[misc]

    call = asyncio.ensure_future(set_hold())
    done, _ = await asyncio.wait([call], timeout=0.3)
    assert not done
    began.commit()
    one.close()
    with pytest.raises(EventRejected) as caught:
        await call
    assert rules(caught) == {"hold.erased"}
    await engine.dispose()


def test_a_hold_on_its_way_into_the_log_is_seen(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequenced by another process between two looks: out of the queue, into the index."""
    desk = market.ledger
    target = bytes.fromhex(orjson.loads(desk.event(market.ada))["commits"]["name"])
    with market.engine.begin() as connection:
        desk.hold(target, ground="dispute", session=connection)
    asked = Index.holds_on

    def sequenced_then(index: Index, addresses: Any) -> Any:
        found = asked(index, addresses)
        desk.publish()
        return found

    monkeypatch.setattr(Index, "holds_on", sequenced_then)
    assert holds_on([target], desk._staging.before()).keys() == {target}


def test_nothing_that_is_erased_is_held(market: Market) -> None:
    desk = market.ledger
    ada, bo = (bytes.fromhex(orjson.loads(desk.event(party))["commits"]["name"]) for party in (market.ada, market.bo))
    first = desk.hold(bo, ground="dispute", ref="hold:1")
    desk.erase(ada)
    with pytest.raises(EventRejected, match=f"{ada.hex()} is erased") as caught:
        desk.hold(bo, ada, ground="dispute")
    assert rules(caught) == {"hold.erased"}
    assert desk.held() == {bo.hex(): first.id}
    desk.release_hold(first)
    desk.erase(bo)
    assert desk.hold(bo, ground="dispute", ref="hold:1") == first  # a retry answers as the first call did


def test_what_cannot_be_read_of_a_hold_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A field of a later version, or an event that was lost; one that breaks its own rules counts for nothing."""
    stage = Stage(tmp_path)
    desk, said = stage.desk, [Said("hold.set", {"targets": [stage.work()], "ground": "dispute"}, []) for _ in range(3)]
    later, wrong, lost = (bytes.fromhex(each.body["targets"][0]) for each in said)
    hold = stage.later(said[0])
    done = desk.erase(later)
    assert (done.erased, done.kept[0].because, desk.held()) == ((), hold, {later.hex(): hold})
    body = {**said[1].body, "until": "2020-01-01T00:00:00Z"}
    stage.force(said[1], dumps({**orjson.loads(stage.draft(said[1]).data), "body": body}))
    assert desk.erase(wrong).erased == (wrong.hex(),)
    gone = bytes.fromhex(desk.hold(lost, ground="dispute").id)
    read = desk._recall.read
    monkeypatch.setattr(
        desk._recall, "read", lambda event_id, *more: None if event_id == gone else read(event_id, *more)
    )
    assert holds_on([lost], desk.before()) == {lost: gone}
    assert desk.erase(lost).kept[0].because == gone.hex()
    assert desk.held() == {later.hex(): hold}  # of what that one keeps nothing here tells


# Processes


@pytest.mark.parametrize("killed", [False, True], ids=["to their ends", "one is killed"])
def test_several_processes(shop: Shop, killed: bool) -> None:
    """Whatever one of them was told is so at the end, also where another died in the middle."""
    targets = [name(shop) for _ in range(5)]
    shop.ledger.publish()

    def begin(act: str, order: list[bytes]) -> subprocess.Popen[str]:
        given = [shop.url, str(shop.folder), act, ",".join(target.hex() for target in order)]
        return subprocess.Popen([sys.executable, PROGRAM, *given], stdout=subprocess.PIPE, text=True)

    running = [begin("hold", targets), begin("erase", targets), begin("erase", targets[::-1])]
    said = []
    if killed:
        first = running[0].stdout
        assert first is not None
        said.append(first.readline().split())
        running[0].kill()
    for number, process in enumerate(running):
        said += [line.split() for line in process.communicate(timeout=120)[0].splitlines()]
        assert process.returncode == 0 or (killed and number == 0)
    shop.ledger.publish()
    asked = {target.hex() for target in targets}
    held = asked & shop.ledger.held().keys()
    gone = {target.hex() for target in targets if shop.ledger.item(target) is None}
    assert held == asked - gone or killed
    assert not gone & held
    assert {target for word, target in said if word == "held"} <= held
    assert {target for word, target in said if word in {"erased", "late"}} <= gone
