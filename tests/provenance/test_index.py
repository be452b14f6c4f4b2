"""The index is a cache: live, rebuilt from log and vault, and read from public files by an auditor it is the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from adapters import connect, create, open_log
from adapters.recover import rebuild_index
from ledger import Conflict
from provenance import Audit, EventRejected, Money, ProvenanceLedger, Ticket, audit
from provenance.index import metadata
from provenance.index.queries import Index
from tests.indexes import differences
from tests.provenance.conftest import ORIGIN, Clock, Market
from tests.provenance.content_media import sample

Dump = dict[str, list[tuple[Any, ...]]]


def dump(index: Index) -> Dump:
    """Every row of every table, without the row numbers that a database gives."""
    found = {}
    for table in metadata.sorted_tables:
        columns = [column for column in table.c if column.name != "id"]
        found[table.name] = sorted(tuple(row) for row in index._connection.execute(select(*columns)))
    return found


def audited(ledger: ProvenanceLedger, public: Path) -> Audit:
    return audit(open_log(public, ledger.log.policy), disclosed=ledger.disclosures(), rules=True)


PRIVATE = ("Zwetlana Untertan", "user:7731", "Dunes at dawn", "order:4711", "work:4711", "media:4711", "offer:4711")


@pytest.fixture
def mixed(market: Market) -> Market:
    """Something of every kind, told with names, titles and refs that nobody is to find in what is published."""
    name, account, title, order, work_ref, media_ref, offer_ref = PRIVATE
    desk = market.ledger
    party = desk.register_party("person", name=name, account=account, ref=account)
    model = desk.register_party("software", name="a model")
    photo = desk.create(sample("demo.jpg"), creators=[party], title=title, terms="CC-BY-4.0", ref=work_ref)
    other = desk.create(market.file(b"other"), creators=[market.ada, market.bo], tool=model)
    external = {"scheme": "doi", "id": "10.1000/182"}
    desk.derive(
        sample("demo.png"), parents=[photo, other, external], creators=[party], relation="composed", title=title
    )
    offer = desk.offer(photo, terms="CC0-1.0", price=Money(500, "EUR"), ref=offer_ref)
    desk.license(photo, to=market.bo, offer=offer, price=Money(500, "EUR"), ref=order)
    desk.attach(photo, sample("demo.jpg"), market.root / "a.jpg", ref=media_ref)
    market.clock.forward(61)
    desk.create(market.file(b"other"), creators=[party])
    with Session(market.engine) as session:
        desk.license(photo, to=party, offer=offer, price=Money(900, "EUR"), session=session)
        session.rollback()
    return market


def test_live_rebuilt_and_audited_index_are_the_same(mixed: Market) -> None:
    live = dump(mixed.ledger.index)
    assert all(rows for table, rows in live.items() if not table.endswith(("_erased", "_places")))
    assert rebuild_index(mixed.url) == mixed.ledger.log.size
    assert dump(mixed.reopen().index) == live
    report = audited(mixed.ledger, mixed.public)
    assert report.record == "intact"
    assert dump(report.history.index) == live
    assert differences(report.history.index, mixed.ledger.index) == []


def test_what_is_sealed_is_missing_from_the_index_of_the_public_alone(mixed: Market) -> None:
    public = mixed.history().index
    assert public.counts() == mixed.ledger.index.counts()
    (grant,) = public.of_type("grant.issue")
    assert (grant.sealed, public.links_from(grant.idx), len(mixed.ledger.index.links_from(grant.idx))) == (True, [], 3)


def test_a_lost_index_follows_the_log_and_serves_again(mixed: Market) -> None:
    before = dump(mixed.ledger.index)
    with mixed.engine.begin() as connection:
        Index(connection).clear()
    assert mixed.ledger.index.size == 0
    ledger = mixed.reopen()
    assert dump(ledger.index) == before
    mixed.work(b"after")
    assert audited(ledger, mixed.public).record == "intact"


def test_a_rebuild_is_idempotent_and_tells_its_progress(mixed: Market) -> None:
    steps: list[tuple[int, int]] = []
    rebuild_index(mixed.url, progress=lambda done, total: steps.append((done, total)))
    first = dump(mixed.reopen().index)
    rebuild_index(mixed.url)
    assert dump(mixed.reopen().index) == first
    assert steps[-1] == (mixed.ledger.log.size,) * 2


def test_every_digest_finds_the_work(mixed: Market) -> None:
    index = mixed.history().index
    for data, kinds in (
        (sample("demo.jpg").read_bytes(), ["content"]),
        ((mixed.root / "a.jpg").read_bytes(), ["file"]),
        (b"other", ["content", "content"]),
        (b"never seen", []),
    ):
        assert [kind for _, kind in index.by_digest(sha256(data).digest())] == kinds


def test_no_personal_value_is_in_any_public_file(mixed: Market) -> None:
    files = [path for path in mixed.public.rglob("*") if path.is_file()]
    assert {"checkpoint", "log.vkey", "market.policy"} <= {path.name for path in files}
    published = b"".join(path.read_bytes() for path in files)
    held = b"".join(mixed.ledger.disclosures().values())
    for value in (*PRIVATE, "Test Market", "Ada", "a model"):
        assert value.encode() in held  # it is there to be found, in the vault
        for spelled in (value.encode(), value.encode().hex().encode(), sha256(value.encode()).hexdigest().encode()):
            assert spelled not in published, value
    assert sha256(PRIVATE[0].encode()).digest() not in published


# A market against a dictionary

CONTENTS = [b"%d" % n for n in range(6)]
LICENSES = ["CC-BY-4.0", "CC0-1.0"]
refs = st.none() | st.sampled_from(["ref:1", "ref:2", "ref:3"])


class MarketMachine(RuleBasedStateMachine):
    """`self.model` is what was recorded, by event id: its type and the ids that it points to."""

    parties, works, offers = Bundle("parties"), Bundle("works"), Bundle("offers")

    @initialize(target=parties)
    def begin(self) -> Any:
        self.folder = Path(tempfile.mkdtemp(prefix="market"))
        self.url, self.clock = f"sqlite:///{self.folder / 'market.db'}", Clock()
        self.public = self.folder / "public"
        self.ledger = create(self.url, origin=ORIGIN, publish=self.public, clock=self.clock)
        self.engine = create_engine(self.url)
        self.model: dict[str, tuple[str, frozenset[str]]] = {}
        self.content: dict[str, bytes] = {}
        self.refs: dict[tuple[str, str], str] = {}
        return multiple(*(self.note(self.ledger.register_party("person", name=name)) for name in ("Ada", "Bo")))

    def note(self, ticket: Ticket, *points: str) -> str:
        self.model[ticket.id] = (ticket.type, frozenset(points))
        return ticket.id

    def file(self, content: bytes) -> Path:
        path = self.folder / sha256(content).hexdigest()
        path.write_bytes(content)
        return path

    def act(self, verb: str, ref: str | None, act: Callable[[], Ticket], *points: str) -> Any:
        """Do it; under a ref that is taken the answer is its first ticket, or a conflict, and nothing is recorded."""
        taken = self.refs.get((verb, ref)) if ref else None
        try:
            ticket = act()
        except Conflict:
            assert taken is not None
            return multiple()
        except EventRejected as error:
            known = ("L0.", "L1.") if verb == "offer" else ("G2.cycle", "G2.duplicate-parent")
            assert all(reason.rule.startswith(known) for reason in error.reasons)  # noqa: PT017
            return multiple()
        if taken is not None:
            assert ticket.id == taken
            return multiple()
        if ref:
            self.refs[verb, ref] = ticket.id
        return self.note(ticket, *points)

    @rule(target=works, creator=parties, content=st.sampled_from(CONTENTS), ref=refs)
    def create_work(self, creator: str, content: bytes, ref: str | None) -> Any:
        return self.act(
            "create", ref, lambda: self.ledger.create(self.file(content), creators=[creator], ref=ref), creator
        )

    @rule(target=works, creator=parties, parents=st.lists(works, min_size=1, max_size=3), content=st.binary(max_size=3))
    def derive_work(self, creator: str, parents: list[str], content: bytes) -> Any:
        file = self.file(b"derived" + content)
        points = (creator, *parents)
        return self.act("derive", None, lambda: self.ledger.derive(file, parents=parents, creators=[creator]), *points)

    @rule(target=offers, work=works, license_=st.sampled_from(LICENSES), ref=refs)
    def offer(self, work: str, license_: str, ref: str | None) -> Any:
        made = self.act("offer", ref, lambda: self.ledger.offer(work, terms=license_, ref=ref), work)
        return made if isinstance(made, str) else multiple()

    @rule(offer=offers, party=parties, commits=st.booleans())
    def sell(self, offer: str, party: str, commits: bool) -> None:
        (work,) = self.model[offer][1]
        with Session(self.engine) as session:
            ticket = self.ledger.license(work, to=party, offer=offer, session=session)
            if not commits:
                session.rollback()
                return
            session.commit()
        self.note(ticket, work, party, offer)

    @rule(seconds=st.integers(0, 90))
    def time_passes(self, seconds: int) -> None:
        self.clock.forward(seconds)

    @rule()
    def publish(self) -> None:
        self.ledger.publish()
        assert self.ledger.waiting == 0

    @rule()
    def reopen(self) -> None:
        self.ledger = connect(self.url, publish=self.public, clock=self.clock)

    @rule()
    def rebuild(self) -> None:
        self.ledger.publish()
        live = dump(self.ledger.index)
        rebuild_index(self.url)
        self.reopen()
        assert dump(self.ledger.index) == live

    @precondition(lambda self: hasattr(self, "ledger"))
    @rule()
    def audit(self) -> None:
        self.ledger.publish()
        report = audited(self.ledger, self.public)
        assert (report.record, report.findings) == ("intact", ())
        assert dump(report.history.index) == dump(self.ledger.index)
        for event_id, (type_, points) in self.model.items():
            entry = report.history.index.find(bytes.fromhex(event_id))
            assert entry is not None
            assert entry.type == type_
            linked = {
                link.event_id.hex() for link in report.history.index.links_from(entry.idx) if link.role != "terms"
            }
            assert linked == points
        for (verb, ref), event_id in self.refs.items():
            assert self.ledger.find(ref, verb=verb).id == event_id
        # The model knows of everything but the market's own: genesis, itself, log times and terms.
        mine = [type_ for type_, _ in self.model.values()]
        others = {"log.genesis", "log.time", "terms.publish"}
        counts = {kind: number for kind, number in report.counts.items() if kind not in others}
        counts["party.register"] -= 1
        assert counts == {kind: mine.count(kind) for kind in {"party.register", *mine}}

    @invariant()
    @precondition(lambda self: hasattr(self, "ledger"))
    def every_entry_is_indexed(self) -> None:
        assert self.ledger.index.size == self.ledger.log.size

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.engine.dispose()
            shutil.rmtree(self.folder)


MarketMachine.TestCase.settings = settings(
    max_examples=max(12, settings.default.max_examples // 8),
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow],
)
TestMarket = MarketMachine.TestCase
