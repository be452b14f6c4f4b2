"""A market against a plain dictionary: what it accepts, refuses, and answers as of now and of any earlier moment.

`make test` plays some histories, `make soak` thousands. After each one the index that grew with it is the one that is
made again from log and vault.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import create_engine

from adapters import connect, create
from adapters.recover import rebuild_index
from ledger.errors import LedgerError
from provenance import EventRejected, ProvenanceLedger
from provenance.drafts import Money
from provenance.item import Item
from provenance.keys import PartyKey
from provenance.moments import format_time, parse_time
from provenance.staging import Request
from provenance.statement import sign_statement
from tests.provenance.conftest import ORIGIN, Clock
from tests.provenance.test_index import dump

WHOLE = 100_000_000
STATES = ("active", "deactivated", "suspended", "takendown", "deleted")


@dataclass
class Split:
    """A division of a work, or with `giver` units that go to the one in `shares`, and where it stands."""

    number: int
    work: str
    shares: dict[str, int]
    asked: set[str]
    lacking: set[str]
    until: str = ""
    giver: str = ""
    state: str = "pending"


@dataclass
class Model:
    """Everything that is said, as a dictionary would hold it."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    names: dict[str, str | None] = field(default_factory=dict)  # of parties; None when erased
    held: dict[str, list[str]] = field(default_factory=dict)  # holds on the name of a party, the first first
    keys: dict[str, list[bytes]] = field(default_factory=dict)  # seeds of those with keys, the newest last
    creators: dict[str, list[str]] = field(default_factory=dict)
    parents: dict[str, list[str]] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    offers: dict[str, list[str]] = field(default_factory=dict)  # by work, those that stand
    offered: dict[str, str] = field(default_factory=dict)  # work of an offer
    unagreed: set[str] = field(default_factory=set)  # offers that lack the word of an owner
    shares: dict[str, dict[str, int]] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)  # by work: the newest number among the splits that count
    grants: dict[str, dict[str, Any]] = field(default_factory=dict)
    disputes: dict[str, list[str]] = field(default_factory=dict)  # states in their order
    disputed: dict[str, str] = field(default_factory=dict)  # what each is about
    judged: dict[str, bool] = field(default_factory=dict)  # by dispute or appeal
    reserved: dict[str, str] = field(default_factory=dict)
    mandates: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # principal, agent, until
    trained: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # work: (training, reserved then)

    def ancestors(self, work: str) -> set[str]:
        """Works that it derives from."""
        found: set[str] = set()
        todo = [work]
        while todo:
            for parent in self.parents.get(todo.pop(), ()):
                if parent not in found:
                    found.add(parent)
                    todo.append(parent)
        return found


@cache
def template() -> Path:
    """A ledger that was just begun, to be copied: making keys and a certificate takes longer than a whole history."""
    folder = Path(tempfile.mkdtemp(prefix="market-template"))
    create(f"sqlite:///{folder / 'market.db'}", origin=ORIGIN, clock=Clock())
    return folder


class MarketMachine(RuleBasedStateMachine):
    """`self.model` is the dictionary; `self.past` what it was at earlier sizes."""

    parties = Bundle("parties")
    keyed = Bundle("keyed")
    works = Bundle("works")
    offers = Bundle("offers")
    grants = Bundle("grants")
    divisions = Bundle("divisions")
    disputes = Bundle("disputes")
    models = Bundle("models")

    @initialize(target=parties)
    def begin(self) -> str:
        self.folder = Path(tempfile.mkdtemp(prefix="market"))
        shutil.copytree(template(), self.folder, dirs_exist_ok=True)
        self.url = f"sqlite:///{self.folder / 'market.db'}"
        self.clock = Clock()
        self.ledger: ProvenanceLedger = connect(self.url, clock=self.clock)
        self.engine = create_engine(self.url)
        self.model = Model()
        self.model.counts["party.register"] = 1  # the market itself
        self.number = 0
        self.past: list[tuple[int, Model]] = []
        return self.register()

    # What is done: in the market's own transaction, as a market does it

    @contextmanager
    def selling(self) -> Iterator[Any]:
        with self.engine.begin() as connection:
            yield connection

    def say(self, verb: Callable[..., Any], *arguments: Any, **options: Any) -> str:
        with self.selling() as connection:
            ticket = verb(*arguments, session=connection, **options)
        self.model.counts[ticket.type] += 1
        return str(ticket)

    def refused(self, verb: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[str, ...]:
        with self.selling() as connection, pytest.raises(EventRejected) as caught:
            verb(*arguments, session=connection, **options)
        assert caught.value.reasons
        return tuple(reason.rule for reason in caught.value.reasons)

    def now(self) -> str:
        """Log time, once everything waiting is in the log."""
        self.sync()
        return self.ledger.index.last_time()

    def register(self) -> str:
        self.number += 1
        party = self.say(self.ledger.register_party, "person", name=f"Name {self.number}")
        self.model.names[party] = f"Name {self.number}"
        return party

    @rule(target=parties)
    def registers(self) -> str:
        return self.register()

    @rule(target=keyed)
    def comes_with_a_key(self) -> str:
        self.number += 1
        key = PartyKey.from_seed(sha256(b"%d" % self.number).digest())
        later = PartyKey.from_seed(sha256(b"rotation %d" % self.number).digest())
        body = {
            "kind": "person",
            "keys": [key.public.jwk()],
            "rotation_keys": [later.public.jwk()],
            "next_key_hashes": [],
        }
        draft = self.ledger.propose("party.register", actor="self", body=body)
        self.submit(draft, draft.id.hex(), key)
        party: str = draft.id.hex()
        self.model.keys[party] = [key._seed]
        self.sync()
        return party

    def submit(self, draft: Any, issuer: str, key: PartyKey) -> str:
        statement = sign_statement(
            key,
            issuer=issuer,
            type=draft.type,
            origin=ORIGIN,
            event_id=draft.id,
            sealed=draft.type in self.ledger._sealed,
        )
        with self.selling() as connection:
            self.ledger.submit(draft.data, statement, items=[bytes(i) for i in draft.items], session=connection)
        self.model.counts[draft.type] += 1
        return str(draft.id.hex())

    @rule(target=works, party=parties)
    def creates(self, party: str) -> str:
        self.number += 1
        file = self.folder / f"{self.number}.bin"
        file.write_bytes(b"work %d" % self.number)
        work = self.say(self.ledger.create, file, creators=[party])
        self.model.creators[work], self.model.parents[work], self.model.status[work] = [party], [], "active"
        self.model.offers[work] = []
        return work

    @rule(target=works, parents=st.lists(works, min_size=1, max_size=3, unique=True), party=parties)
    def derives(self, parents: list[str], party: str) -> str:
        self.number += 1
        file = self.folder / f"{self.number}.bin"
        file.write_bytes(b"work %d" % self.number)
        work = self.say(self.ledger.derive, file, parents=parents, creators=[party])
        self.model.creators[work], self.model.parents[work], self.model.status[work] = [party], parents, "active"
        self.model.offers[work] = []
        return work

    @rule(child=works, parent=works)
    def finds_a_late_parent(self, child: str, parent: str) -> None:
        self.sync()
        if child == parent or child in self.model.ancestors(parent):
            assert "G2.cycle" in self.refused(self.ledger.amend, child, parents=[parent])
            return
        self.say(self.ledger.amend, child, parents=[parent])
        if parent not in self.model.parents[child]:
            self.model.parents[child] = [*self.model.parents[child], parent]

    def may_be_offered(self, work: str) -> bool:
        """Whether every parent is its maker's own, or on offer itself, and nothing speaks against one."""
        model = self.model
        upheld = {model.disputed[each] for each, states in model.disputes.items() if states[-1] == "upheld"}
        for parent in model.parents[work]:
            owners = set(model.shares.get(parent) or model.creators[parent])
            if model.status[parent] != "active" or upheld & {parent, *model.ancestors(parent)}:
                return False
            if not owners <= set(model.creators[work]) and not self.standing(parent):
                return False
        return True

    def standing(self, work: str, model: Model | None = None) -> list[str]:
        model = model or self.model
        return [offer for offer in model.offers[work] if offer not in model.unagreed]

    @rule(target=offers, work=works)
    def offers_it(self, work: str) -> str:
        """It counts at once where those that the market speaks for own more than half."""
        self.sync()
        terms = "CC0-1.0"
        if not self.may_be_offered(work):
            assert {rule.partition(".")[0] for rule in self.refused(self.ledger.offer, work, terms=terms)} == {"L0"}
            return ""
        before = self.ledger.waiting + self.ledger.log.size
        offer = self.say(self.ledger.offer, work, terms=terms, price=Money(100, "EUR"))
        published = self.ledger.waiting + self.ledger.log.size - before - 1
        self.model.counts["terms.publish"] += published
        self.model.offers[work] = [*self.model.offers[work], offer]
        self.model.offered[offer] = work
        shares = self.model.shares.get(work, {})
        kept = sum(units for party, units in shares.items() if party not in self.model.keys)
        if len(shares) > 1 and kept <= WHOLE // 2:
            self.model.unagreed.add(offer)
        return offer

    @rule(offer=offers.filter(bool))
    def withdraws(self, offer: str) -> None:
        work = self.model.offered[offer]
        if offer in self.model.offers[work]:
            self.say(self.ledger.withdraw_offer, offer)
            self.model.offers[work] = [other for other in self.model.offers[work] if other != offer]
        else:
            assert self.refused(self.ledger.withdraw_offer, offer) == ("once.offer.detach",)

    @rule(
        target=grants,
        offer=offers.filter(bool),
        party=parties,
        quantity=st.integers(1, 2),
        days=st.none() | st.integers(1, 40),
    )
    def sells(self, offer: str, party: str, quantity: int, days: int | None) -> str:
        work = self.model.offered[offer]
        price = Money(100 * quantity, "EUR")
        expires = None if days is None else self.clock.now + timedelta(days=days)
        options = {"to": party, "offer": offer, "price": price, "quantity": quantity, "transferable": True}
        wrong = [
            *(["grant.detached"] if offer not in self.model.offers[work] else []),
            *(["grant.status"] if self.model.status[work] != "active" else []),
            *(
                "grant.disputed"
                for dispute, states in self.model.disputes.items()
                if states[-1] == "upheld" and self.model.disputed[dispute] == work
            ),
        ]
        if offer in self.model.unagreed:
            assert self.refused(self.ledger.license, work, expires=expires, **options) == ("grant.offer",)
            return ""
        if wrong:
            assert list(self.refused(self.ledger.license, work, expires=expires, **options)) == wrong
            return ""
        grant = self.say(self.ledger.license, work, expires=expires, **options)
        self.model.grants[grant] = {
            "holder": party,
            "left": quantity,
            "used": 0,
            "quantity": quantity,
            "expires": "" if expires is None else format_time(expires),
            "revoked": False,
        }
        return grant

    def state(self, grant: str, time: str, model: Model | None = None) -> str:
        known = (model or self.model).grants[grant]
        if known["revoked"]:
            return "revoked"
        if known["expires"] and time > known["expires"]:
            return "expired"
        return "standing" if known["left"] else "consumed"

    @precondition(lambda self: any(self.model.grants))
    @rule(grant=grants.filter(bool), child=works)
    def consumes(self, grant: str, child: str) -> None:
        if self.state(grant, self.now()) != "standing":
            assert "grant.standing" in self.refused(self.ledger.consume_grant, grant, child=child)
            return
        self.say(self.ledger.consume_grant, grant, child=child)
        self.model.grants[grant] = {**self.model.grants[grant], "left": self.model.grants[grant]["left"] - 1}

    @precondition(lambda self: any(self.model.grants))
    @rule(grant=grants.filter(bool), party=parties)
    def passes_on(self, grant: str, party: str) -> None:
        if self.state(grant, self.now()) != "standing":
            assert "grant.standing" in self.refused(self.ledger.transfer_grant, grant, to=party)
            return
        holder = self.model.grants[grant]["holder"]
        self.say(self.ledger.transfer_grant, grant, to=party, actor=holder)
        self.model.grants[grant] = {**self.model.grants[grant], "holder": party}

    @precondition(lambda self: any(self.model.grants))
    @rule(grant=grants.filter(bool))
    def revokes(self, grant: str) -> None:
        if self.model.grants[grant]["revoked"]:
            assert self.refused(self.ledger.revoke_grant, grant, reason="fraud") == ("once.grant.revoke",)
            return
        self.say(self.ledger.revoke_grant, grant, reason="fraud")
        self.model.grants[grant] = {**self.model.grants[grant], "revoked": True}

    @rule(work=works, state=st.sampled_from(STATES))
    def sets_status(self, work: str, state: str) -> None:
        if self.model.status[work] == "deleted" and state != "deleted":
            assert "work.status.deleted" in self.refused(self.ledger.set_status, work, state, reason="because")
            return
        self.say(self.ledger.set_status, work, state, reason="because")
        self.model.status[work] = state

    @rule(target=divisions, work=works, party=parties, other=keyed, units=st.integers(1, WHOLE - 1))
    def splits_with_one_who_signs(self, work: str, party: str, other: str, units: int) -> str:
        return self.splits(work, {party: units, other: WHOLE - units})

    @rule(target=divisions, work=works, party=parties)
    def splits_at_once(self, work: str, party: str) -> str:
        return self.splits(work, {party: WHOLE})

    def splits(self, work: str, shares: dict[str, int]) -> str:
        self.sync()
        owners = self.model.shares.get(work) or self.model.creators[work]
        split = self.say(self.ledger.split, work, shares)
        self.waits_for(split, Split(self.number, work, shares, {*owners, *shares}, set()))
        return split

    @precondition(lambda self: any(self.model.shares.values()))
    @rule(target=divisions, data=st.data(), other=keyed, units=st.integers(1, WHOLE))
    def gives(self, data: st.DataObject, other: str, units: int) -> str:
        """One without a key, for whom the market speaks, gives to one who has to sign."""
        self.sync()
        owned = [(w, p) for w, shares in self.model.shares.items() for p in shares if p not in self.model.keys]
        if not owned:
            return ""
        work, giver = data.draw(st.sampled_from(owned))
        if self.model.shares[work][giver] < units:
            refused = self.refused(self.ledger.transfer_share, work, units, giver=giver, to=other)
            assert refused == ("split.transfer.units",)
            return ""
        gift = self.say(self.ledger.transfer_share, work, units, giver=giver, to=other)
        self.waits_for(gift, Split(self.number, work, {other: units}, {giver, other}, set(), giver=giver))
        return gift

    def waits_for(self, act: str, split: Split) -> None:
        """Whoever gains or loses by it has to agree, and the market speaks for those it keeps."""
        self.number += 1
        self.sync()
        entry = self.ledger.index.find(bytes.fromhex(act))
        assert entry is not None
        split.number = self.number
        split.lacking = {party for party in split.asked if party in self.model.keys}
        split.until = format_time(parse_time(self.ledger.index.time_of(entry.idx)) + timedelta(days=30))
        self.model.splits[act] = split
        if not split.lacking:
            self.counts(split)
        self.sync()

    def counts(self, split: Split) -> None:
        """Everybody agreed to it: it counts, unless nothing is left of what it was about."""
        shares = dict(self.model.shares.get(split.work, {}))
        if split.giver:
            ((taker, units),) = split.shares.items()
            if shares.get(split.giver, 0) < units:
                split.state = "void"
                return
            shares[split.giver] -= units
            shares[taker] = shares.get(taker, 0) + units
            shares = {party: left for party, left in shares.items() if left}
        else:
            owners = shares or dict.fromkeys(self.model.creators[split.work], 0)
            if self.model.counted.get(split.work, 0) > split.number or owners.keys() - split.asked:
                split.state = "void"
                return
            shares = split.shares
        split.state = "effective"
        self.model.shares[split.work] = shares
        self.model.counted[split.work] = max(split.number, self.model.counted.get(split.work, 0))

    @rule(act=divisions.filter(bool), data=st.data(), yes=st.booleans())
    def answers(self, act: str, data: st.DataObject, yes: bool) -> None:
        split = self.model.splits[act]
        if split.state != "pending" or self.now() > split.until:
            return
        party = data.draw(st.sampled_from(sorted(split.lacking)))
        draft = self.ledger.propose(
            "assent.answer",
            actor=party,
            body={"answer": "yes" if yes else "no"},
            refs=[{"role": "of", "id": act}],
        )
        self.submit(draft, party, PartyKey.from_seed(self.model.keys[party][-1]))
        split.lacking.discard(party)
        if not yes:
            split.state = "refused"
        elif not split.lacking:
            self.counts(split)
        self.sync()

    @rule(target=disputes, work=works)
    def opens_a_dispute(self, work: str) -> str:
        self.number += 1
        dispute = self.say(
            self.ledger.dispute, work, tag="improper-usage", evidence=sha256(b"evidence %d" % self.number).hexdigest()
        )
        self.model.disputes[dispute], self.model.disputed[dispute] = ["open"], work
        return dispute

    @rule(dispute=disputes, upheld=st.booleans())
    def judges(self, dispute: str, upheld: bool) -> None:
        self.sync()
        word = "upheld" if upheld else "dismissed"
        if self.model.disputes[dispute][-1] != "open":
            assert self.refused(self.ledger.judge, dispute, word)
            return
        self.say(self.ledger.judge, dispute, word)
        self.model.disputes[dispute] = [*self.model.disputes[dispute], word]

    @rule(dispute=disputes, resolve=st.booleans())
    def ends(self, dispute: str, resolve: bool) -> None:
        self.sync()
        verb, wanted, word = (
            (self.ledger.resolve_dispute, {"upheld", "dismissed"}, "resolved")
            if resolve
            else (self.ledger.cancel_dispute, {"open"}, "cancelled")
        )
        if self.model.disputes[dispute][-1] not in wanted:
            assert "dispute.state" in self.refused(verb, dispute)
            return
        self.say(verb, dispute)
        self.model.disputes[dispute] = [*self.model.disputes[dispute], word]

    @rule(target=models, party=parties)
    def registers_a_model(self, party: str) -> str:
        return self.say(self.ledger.register_model, version="1", creators=[party])

    @rule(work=works, word=st.sampled_from(["allow", "disallow", "constrained"]))
    def reserves(self, work: str, word: str) -> None:
        body = {"statements": {"train": word}, "source": "own", "table": "own", "selector": {"kind": "work"}}
        draft = self.ledger.draft("reservation.declare", body=body, refs=[{"role": "work", "id": work}])
        self.say(lambda session: self.ledger._record(Request("reserve", [draft]), session))
        order = ["allow", "constrained", "disallow"]
        self.model.reserved[work] = max(self.model.reserved.get(work, "allow"), word, key=order.index)

    @rule(model=models, work=works)
    def trains(self, model: str, work: str) -> None:
        from provenance.desk.data import Input

        self.sync()
        training = self.say(
            self.ledger.train, model, inputs=[Input(work)], method="finetune", rights="unknown", ref=None
        )
        reserved = self.model.reserved.get(work, "unknown")
        self.model.trained[work] = [*self.model.trained.get(work, []), (training, reserved)]

    @rule(party=keyed)
    def rotates(self, party: str) -> None:
        self.number += 1
        key = PartyKey.from_seed(sha256(b"new %d" % self.number).digest())
        seeds = self.model.keys[party]
        old = PartyKey.from_seed(seeds[-1])
        rotation = self.rotation_of(party)
        draft = self.ledger.propose_keys(party, keys=[key.public], rotation_keys=[rotation.public])
        self.submit(draft, party, rotation)
        self.model.keys[party] = [*seeds, key._seed]
        self.sync()
        with pytest.raises(LedgerError):  # the old key is retired
            self.attest(party, old)
        self.attest(party, key)

    def rotation_of(self, party: str) -> PartyKey:
        first = self.model.keys[party][0]
        number = next(n for n in range(self.number + 1) if sha256(b"%d" % n).digest() == first)
        return PartyKey.from_seed(sha256(b"rotation %d" % number).digest())

    def attest(self, party: str, key: PartyKey) -> None:
        expires = format_time(self.clock.now + timedelta(days=365))
        draft = self.ledger.propose(
            "attest.issue",
            actor=party,
            body={"claim": "reviewed", "expires": expires},
            refs=[{"role": "subject", "id": party}],
        )
        self.submit(draft, party, key)

    @precondition(lambda self: hasattr(self, "ledger") and hasattr(self.ledger, "erase"))
    @rule(party=parties)
    def erases_a_name(self, party: str) -> None:
        self.sync()
        done = self.ledger.erase(subject=party)
        if self.model.held.get(party):
            assert done.ticket is None
            assert {kept.because for kept in done.kept} == {self.model.held[party][0]}
            return
        if self.model.names[party] is None:
            assert done.ticket is None
        else:
            assert done.ticket is not None
            self.model.counts["erasure.execute"] += 1
        self.model.names[party] = None

    @rule(party=parties)
    def holds_a_name(self, party: str) -> None:
        name = self.address_of(party)
        if self.model.names[party] is None:
            assert self.refused(self.ledger.hold, name, ground="dispute") == ("hold.erased",)
        else:
            self.model.held.setdefault(party, []).append(self.say(self.ledger.hold, name, ground="dispute"))

    @rule(party=parties)
    def releases_a_name(self, party: str) -> None:
        if self.model.held.get(party):
            hold = self.model.held[party].pop(0)
            self.say(self.ledger.release_hold, hold)
            assert self.refused(self.ledger.release_hold, hold) == ("once.hold.release",)

    @rule(days=st.sampled_from([0.01, 1, 10, 40]))
    def waits(self, days: float) -> None:
        self.clock.forward(int(days * 86_400))

    # What is asked

    @rule()
    def sync(self) -> None:
        while self.ledger.sequence_once():
            pass
        size = self.ledger.log.size
        if self.past and self.past[-1][0] == size:
            self.past.pop()  # the model has learned what the log knew before it
        self.past.append((size, copy.deepcopy(self.model)))

    @rule()
    def asks(self) -> None:
        self.sync()
        self.compare(None, self.model)

    @rule(data=st.data())
    def travels(self, data: st.DataObject) -> None:
        self.sync()
        size, model = data.draw(st.sampled_from(self.past))
        self.compare(size, model)

    def compare(self, at: int | None, model: Model) -> None:
        ledger = self.ledger
        counts = ledger.counts(at=at)
        assert {kind: counts.get(kind, 0) for kind in model.counts} == dict(model.counts)
        time = ledger.before(at).time
        for party in model.names:
            assert self.name_of(party) == self.model.names[party]  # what is erased is gone from every answer
        held = {self.address_of(party).hex(): holds[0] for party, holds in model.held.items() if holds}
        assert ledger.held(at=at) == held
        for work, parents in model.parents.items():
            assert ledger.work_status(work, at=at).state == model.status[work]
            assert [offer.id for offer in ledger.offers_of(work, at=at)] == self.standing(work, model)
            assert ledger.shares_of(work, at=at) == model.shares.get(work, {})
            assert sum(model.shares.get(work, {}).values()) in {0, WHOLE}
            near = {row.id for row in ledger.ancestors(work, depth=1, at=at).rows}
            assert near == set(parents)
            assert {row.id for row in ledger.ancestors(work, at=at).rows} == model.ancestors(work)
            below = {other for other in model.parents if work in model.ancestors(other)}
            assert {row.id for row in ledger.descendants(work, at=at).rows} == below
            trained = ledger.trained_on(work, at=at)
            assert [(row.training, row.reserved) for row in trained.rows] == model.trained.get(work, [])
            assert set(trained.events) >= {row.training for row in trained.rows}
        for act, split in model.splits.items():
            state = "expired" if split.state == "pending" and time > split.until else split.state
            assert ledger.agreement(act, at=at).state == state
        for grant, known in model.grants.items():
            found = ledger.grant_status(grant, at=at)
            assert (found.state, found.holder, found.left) == (
                self.state(grant, time, model),
                known["holder"],
                known["left"],
            )
        for dispute, states in model.disputes.items():
            assert ledger.dispute_status(dispute, at=at).state == states[-1]
        for party, seeds in model.keys.items():
            keys = ledger.party(party, at=at).state.keys
            assert list(keys) == [PartyKey.from_seed(seeds[-1]).kid]

    def address_of(self, party: str) -> bytes:
        return bytes.fromhex(orjson.loads(self.ledger.event(party))["commits"]["name"])

    def name_of(self, party: str) -> str | None:
        item: Item | None = self.ledger.item(self.address_of(party))
        return None if item is None else str(item.value)

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            self.sync()
            live = dump(self.ledger.index)
            assert rebuild_index(self.url) == self.ledger.log.size
            assert dump(connect(self.url, clock=self.clock).index) == live
        finally:
            self.engine.dispose()
            shutil.rmtree(self.folder)


# A history takes about a second: `make test` plays fewer than of other properties, `make soak` as many.
HISTORIES = 40 if settings().max_examples == 100 else settings().max_examples
MarketMachine.TestCase.settings = settings(
    max_examples=HISTORIES, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow]
)
TestMarket = MarketMachine.TestCase
