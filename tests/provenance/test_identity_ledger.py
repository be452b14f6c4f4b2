"""Keys, mandates and links in a market at work: what is accepted, and what an auditor finds afterwards."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters import connect, open_log
from adapters.fsck import open_holdings
from adapters.recover import rebuild_index
from ledger.errors import NotFound, UnknownKey
from provenance import EventRejected, PartyKey, Ticket, audit, sign_statement
from provenance.events import Draft
from provenance.identity import did_key, sign_link
from provenance.proofs import write_proof
from tests.provenance.conftest import ORIGIN, Clock, Market

HOUR = 3600


class Signer:
    """A party with keys of its own, outside of the market."""

    def __init__(
        self, market: Market, *, rotation: Sequence[PartyKey] = (), announced: Sequence[PartyKey] = ()
    ) -> None:
        self.market = market
        self.key = PartyKey.generate()
        body = {
            "kind": "person",
            "keys": [self.key.public.jwk()],
            "rotation_keys": [key.public.jwk() for key in rotation],
            "next_key_hashes": [key.public.thumbprint.hex() for key in announced],
        }
        draft = market.ledger.propose("party.register", actor="self", body=body)
        self.id = draft.id.hex()
        self.submit(draft)

    def sign(self, draft: Draft, *, by: PartyKey | None = None, issuer: str | None = None) -> bytes:
        return sign_statement(
            by or self.key, issuer=issuer or self.id, type=draft.type, origin=ORIGIN, event_id=draft.id
        )

    def submit(self, draft: Draft, *, by: PartyKey | None = None, session: Any = None) -> Ticket:
        items = [bytes(item) for item in draft.items]
        return self.market.ledger.submit(draft.data, self.sign(draft, by=by), items=items, session=session)

    def agree(self, act: Ticket, answer: str = "yes") -> Ticket:
        refs = [{"role": "of", "id": act.id}]
        said = self.market.ledger.propose("assent.answer", actor=self.id, body={"answer": answer}, refs=refs)
        return self.submit(said)

    def work(self, actor: str | None = None, content: str = "ab") -> Draft:
        body = {
            "digests": {"sha-256": content * 32},
            "media_type": "image/png",
            "size": 1,
            "source_type": "digitalCreation",
            "human_contribution": "full",
            "tools": "none",
        }
        who = actor or self.id
        refs = [{"role": "creator", "id": who, "as": "author"}]
        return self.market.ledger.propose("work.create", actor=who, body=body, refs=refs)


def rules(error: Any) -> list[str]:
    return [reason.rule for reason in error.value.reasons]


def findings(market: Market) -> list[tuple[str, bool]]:
    """What an auditor finds; the index made again, and a check of all that is stored, have to agree."""
    report = audit(open_log(market.public, market.ledger.log.policy))
    rebuild_index(market.url, verify=True)
    assert list(open_holdings(market.url, published=[market.public], signatures=True).faults()) == []
    return [(finding.rule, finding.altered) for finding in report.findings]


# Keys


def test_a_party_changes_its_key(market: Market) -> None:
    ada = Signer(market)
    ada.submit(ada.work())
    new = PartyKey.generate()
    ticket = market.ledger.rotate_keys(ada.id, keys=[new.public], by=ada.key, ref="key:2")
    index = market.ledger.receipt(ticket).index
    with pytest.raises(UnknownKey, match=f"key retired at #{index}"):
        ada.submit(ada.work(content="cd"))
    ada.key = new
    ada.submit(ada.work(content="cd"))
    found = market.ledger.party(ada.id)
    assert [(span.last, span.key == new.public) for span in found.spans()] == [(index, False), (None, True)]
    assert market.ledger.party(ada.id, at=index).changes == ()
    registered = found.index
    assert market.ledger.party(ada.id, at=registered + 1).index == registered
    with pytest.raises(NotFound):
        market.ledger.party(ada.id, at=registered)
    history = market.history()
    entry = history.index.entry(history.log.checkpoint.size - 1)
    assert entry is not None
    paths = {path.name for path in write_proof(market.root / "proofs", "w", history, entry)}
    assert {"w.signer.event.json", "w.signer.keys1.tlog-proof", "w.signer.keys1.event.json"} < paths
    assert "w.signer.keys2.entry" not in paths
    assert findings(market) == []


def test_rotation_keys_alone_change_keys(market: Market) -> None:
    strong, weak, new = PartyKey.generate(), PartyKey.generate(), PartyKey.generate()
    ada = Signer(market, rotation=[strong, weak])
    with pytest.raises(UnknownKey):
        market.ledger.rotate_keys(ada.id, keys=[new.public], by=ada.key)
    market.ledger.rotate_keys(ada.id, keys=[new.public], rotation_keys=[strong.public], by=weak)
    with pytest.raises(UnknownKey):
        ada.submit(ada.work(), by=strong)  # they sign nothing else
    ada.submit(ada.work(), by=new)
    assert findings(market) == []


def test_a_recovery_flags_what_the_thief_signed(market: Market) -> None:
    strong, weak, thief = PartyKey.generate(), PartyKey.generate(), PartyKey.generate()
    ada = Signer(market, rotation=[strong, weak])
    stolen = market.ledger.rotate_keys(ada.id, keys=[thief.public], rotation_keys=[thief.public], by=weak)
    forged = ada.submit(ada.work(), by=thief)
    market.clock.forward(71 * HOUR)
    market.ledger.rotate_keys(
        ada.id, keys=[ada.key.public], rotation_keys=[strong.public], recover_to=ada.id, by=strong
    )
    ada.submit(ada.work(content="cd"))
    with pytest.raises(UnknownKey, match="key retired"):
        ada.submit(ada.work(content="ef"), by=thief)
    again = market.ledger.propose_keys(ada.id, keys=[thief.public], recover_to=stolen)
    with pytest.raises((EventRejected, UnknownKey)):
        ada.submit(again, by=thief)
    assert findings(market) == [("statement.suspect-key", False)]
    history = market.history()
    assert [finding.index for finding in history.findings] == [market.ledger.receipt(forged).index]


def test_a_recovery_that_comes_too_late_is_refused(market: Market) -> None:
    strong, weak, thief = PartyKey.generate(), PartyKey.generate(), PartyKey.generate()
    ada = Signer(market, rotation=[strong, weak])
    market.ledger.rotate_keys(ada.id, keys=[thief.public], by=weak)
    market.clock.forward(72 * HOUR + 61)
    market.work()  # writes the log time
    with pytest.raises(EventRejected) as refused:
        market.ledger.rotate_keys(ada.id, keys=[ada.key.public], recover_to=ada.id, by=strong)
    assert rules(refused) == ["party.keys.window"]


def test_announced_keys_alone_may_follow(market: Market) -> None:
    following = PartyKey.generate()
    ada = Signer(market, announced=[following])
    with pytest.raises(EventRejected) as refused:
        market.ledger.rotate_keys(ada.id, keys=[PartyKey.generate().public], by=ada.key)
    assert rules(refused) == ["party.keys.pre-rotation"]
    market.ledger.rotate_keys(ada.id, keys=[following.public], by=ada.key)
    ada.submit(ada.work(), by=following)
    assert findings(market) == []


def test_a_compromise_is_flagged_from_where_it_began(market: Market) -> None:
    ada = Signer(market)
    ada.submit(ada.work())
    suspect = ada.submit(ada.work(content="cd"))
    since, new = market.ledger.receipt(suspect).index, PartyKey.generate()
    market.ledger.mark_compromised(ada.id, since=since, keys=[new.public], by=ada.key)
    assert findings(market) == [("statement.suspect-key", False)]
    assert [finding.index for finding in market.history().findings] == [since]


def test_a_deactivated_party_says_nothing_more(market: Market) -> None:
    ada = Signer(market)
    market.ledger.deactivate(ada.id, by=ada.key)
    with pytest.raises(UnknownKey, match="retired"):
        ada.submit(ada.work())
    with pytest.raises((EventRejected, UnknownKey)):
        market.ledger.rotate_keys(ada.id, keys=[ada.key.public], by=ada.key)
    assert findings(market) == []


def test_one_of_two_changes_at_once_is_refused(market: Market) -> None:
    ada = Signer(market)
    first, second = (market.ledger.propose_keys(ada.id, keys=[PartyKey.generate().public]) for _ in range(2))
    with market.engine.begin() as session:
        ada.submit(first, session=session)
    with market.engine.begin() as session, pytest.raises(EventRejected) as refused:
        ada.submit(second, session=session)
    assert rules(refused) == ["once.party.keys"]


def test_a_late_statement_is_logged_and_told(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    ada = Signer(market)
    work, new = ada.work(), PartyKey.generate()
    with market.engine.begin() as session:
        early = ada.submit(ada.work(content="cd"), session=session)
        market.ledger.rotate_keys(ada.id, keys=[new.public], by=ada.key, session=session)
        ticket = ada.submit(work, session=session)
    with caplog.at_level(logging.WARNING):
        market.ledger.publish()
    assert any(ticket.id in record.getMessage() and "key retired" in record.getMessage() for record in caplog.records)
    assert not any(early.id in record.getMessage() for record in caplog.records)
    assert market.ledger.receipt(ticket).index
    assert findings(market) == [("statement.retired-key", False)]


def test_the_market_changes_its_own_key(market: Market, tmp_path: Path) -> None:
    new = PartyKey.generate()
    ticket = market.ledger.rotate_keys(keys=[new.public], ref="key:2")
    index = market.ledger.receipt(ticket).index
    with pytest.raises(UnknownKey, match=f"retired at #{index}"):
        market.work()  # accepted, and not sequenced by who holds the old key
    assert market.ledger.waiting == 1
    with pytest.raises(UnknownKey, match=f"retired at #{index}"):
        market.reopen()
    folder = tmp_path / "market.keys"
    (folder / "market.key").unlink()
    (folder / "market.key").write_text(str(new))
    (folder / "market.key").chmod(0o600)
    ledger = market.reopen()
    assert ledger.market.hex() == market.history().market
    ledger.publish()
    assert ledger.waiting == 0
    market.work(b"others")
    assert connect(market.url, publish=market.public, clock=market.clock, signs=False).market == ledger.market
    assert findings(market) == []


def test_a_market_with_rotation_keys_needs_one_of_them(market: Market) -> None:
    held = PartyKey.parse((market.root / "market.keys" / "market.key").read_text().strip())
    strong = PartyKey.generate()
    market.ledger.rotate_keys(keys=[held.public], rotation_keys=[strong.public])
    market.work()
    with pytest.raises(UnknownKey, match="by="):
        market.ledger.rotate_keys(keys=[held.public])
    market.ledger.rotate_keys(keys=[held.public, PartyKey.generate().public], by=strong)
    market.work(b"more")
    assert findings(market) == []


def test_a_batch_ends_where_the_market_changes_its_keys(market: Market) -> None:
    new = PartyKey.generate()
    with market.engine.begin() as session:
        market.ledger.register_party("person", session=session)
        market.ledger.rotate_keys(keys=[new.public], session=session)
        market.ledger.register_party("person", session=session)
    with pytest.raises(UnknownKey, match="retired"):
        market.ledger.publish()
    assert market.ledger.waiting == 1
    drafts = [market.ledger.propose_keys(market.ledger.market.hex(), keys=[new.public]) for _ in range(2)]
    with pytest.raises((EventRejected, UnknownKey)):
        market.ledger.record_many(drafts)


def test_many_accounts_are_claimed_at_once(market: Market) -> None:
    people = [market.ledger.register_party("person") for _ in range(5)]
    size = market.ledger.log.size
    with market.engine.begin() as session:
        for person in people:
            market.ledger.claim(person, keys=[PartyKey.generate().public], session=session)
    assert market.ledger.sequence_once() == 5
    assert market.ledger.log.size == size + 5
    market.ledger.publish()
    assert findings(market) == []


# Custody


def test_a_custodial_party_claims_its_account(market: Market) -> None:
    ada = Signer(market)
    ada.id, ada.key = market.ada.id, PartyKey.generate()
    market.ledger.mandate(market.ada, agent=market.bo, actions=["offer.*"])
    ticket = market.ledger.claim(market.ada, keys=[ada.key.public], ref="claim:ada")
    assert market.ledger.claim(market.ada, keys=[ada.key.public], ref="claim:ada") == ticket
    with pytest.raises(EventRejected) as again:
        market.ledger.claim(market.ada, keys=[PartyKey.generate().public])
    assert "party.keys.claim" in rules(again)
    with pytest.raises(EventRejected) as refused:
        market.ledger.mandate(market.ada, agent=market.bo, actions=["*"])
    assert rules(refused) == ["mandate.missing"]
    ada.submit(ada.work())
    assert findings(market) == []


def test_nobody_else_claims_it(market: Market) -> None:
    eve = Signer(market)
    body = {"reason": "claim", "keys": [eve.key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    refs = [{"role": "prev", "id": market.ada.id}]
    for actor in (eve.id, market.ada.id):
        draft = market.ledger.propose("party.keys", actor=actor, body=body, refs=refs)
        with pytest.raises(EventRejected) as refused:
            eve.submit(draft)
        assert "party.keys.actor" in rules(refused)


# Mandates


def test_an_agent_acts_inside_its_mandate(market: Market) -> None:
    agency, ada = Signer(market), Signer(market)
    work = ada.submit(ada.work())
    other = ada.submit(ada.work(content="cd"))
    terms = market.ledger.publish_terms("CC0-1.0")

    def offer(of: Ticket) -> Draft:
        refs = [{"role": "work", "id": of.id}, {"role": "terms", "id": terms.id}]
        return market.ledger.propose(
            "offer.attach", actor=ada.id, body={"audience": "public", "overrides": {}}, refs=refs
        )

    with pytest.raises(EventRejected) as refused:
        agency.submit(offer(work))
    assert rules(refused) == ["mandate.missing"]
    refs = [{"role": "agent", "id": agency.id}, {"role": "work", "id": work.id}]
    granted = ada.submit(market.ledger.propose("mandate.grant", actor=ada.id, body={"actions": ["offer.*"]}, refs=refs))
    with pytest.raises(EventRejected) as refused:
        agency.submit(offer(work))
    assert rules(refused) == ["mandate.pending"]
    assert [mandate.state for mandate in market.ledger.mandates_of(ada.id)] == ["pending"]
    agency.agree(granted)
    assert [mandate.state for mandate in market.ledger.mandates_of(ada.id)] == ["effective"]
    agency.submit(offer(work))
    with pytest.raises(EventRejected) as refused:
        agency.submit(offer(other))
    assert rules(refused) == ["mandate.scope"]
    assert granted.id in refused.value.reasons[0].events
    with pytest.raises(EventRejected) as refused:
        agency.submit(ada.work(content="ef"))
    assert rules(refused) == ["mandate.scope"]
    early, late = offer(work), offer(work)
    revoke = market.ledger.propose(
        "mandate.revoke", actor=ada.id, body={}, refs=[{"role": "mandate", "id": granted.id}]
    )
    with market.engine.begin() as session:
        agency.submit(early, session=session)
        revoked = ada.submit(revoke, session=session)
        with pytest.raises(EventRejected) as refused:
            agency.submit(late, session=session)
    assert rules(refused) == ["mandate.revoked"]
    market.ledger.publish()
    with pytest.raises(EventRejected) as refused:
        agency.submit(offer(work))
    assert rules(refused) == ["mandate.revoked"]
    assert refused.value.reasons[0].events[1:] == (granted.id, revoked.id)
    assert [mandate.revoked is not None for mandate in market.ledger.mandates_of(ada.id)] == [True]
    assert [mandate.id.hex() for mandate in market.ledger.mandates_of(agent=agency.id)] == [granted.id]
    before = market.ledger.receipt(revoked).index
    assert [mandate.revoked for mandate in market.ledger.mandates_of(ada.id, at=before)] == [None]
    assert findings(market) == []


def test_a_mandate_that_was_refused_or_expired_lets_nobody_speak(market: Market) -> None:
    agency, other = Signer(market), Signer(market)
    agency.agree(market.ledger.mandate(market.ada, agent=agency.id, actions=["work.create"]), "no")
    asked = market.ledger.mandate(market.ada, agent=other.id, actions=["work.create"])
    market.clock.forward(31 * 24 * HOUR)
    market.work(b"later")
    with pytest.raises(EventRejected) as refused:
        other.agree(asked)
    assert rules(refused) == ["assent.pending"]
    for agent in (agency, other):
        with pytest.raises(EventRejected) as refused:
            agent.submit(agent.work(actor=market.ada.id))
        assert rules(refused) == ["mandate.pending"]
    assert [mandate.state for mandate in market.ledger.mandates_of(market.ada)] == ["refused", "expired"]
    assert findings(market) == []


def test_a_mandate_holds_where_it_says(market: Market) -> None:
    """For a placement, and for an offer by the territory of its terms; what names none is not narrowed."""
    agency = Signer(market)
    work = market.work()
    granted = market.ledger.mandate(market.ada, agent=agency.id, actions=["offer.*", "syndicate.*"], territories=["DE"])
    agency.agree(granted)

    def placed(*territories: str) -> Draft:
        refs = [{"role": "work", "id": work.id}, {"role": "market", "id": {"scheme": "dns", "id": "b.example"}}]
        body = {"territories": list(territories)}
        return market.ledger.propose("syndicate.place", actor=market.ada.id, body=body, refs=refs)

    def offered(territory: list[str] | None) -> Draft:
        machine = {} if territory is None else {"territory": territory}
        terms = market.ledger.publish_terms("LicenseRef-house", machine=machine)
        refs = [{"role": "work", "id": work.id}, {"role": "terms", "id": terms.id}]
        body = {"audience": "public", "overrides": {}}
        return market.ledger.propose("offer.attach", actor=market.ada.id, body=body, refs=refs)

    for fits in (placed("DE"), placed("DE-BE"), offered(["DE"]), offered(None)):
        agency.submit(fits)
    for wide, where in ((placed(), "everywhere"), (placed("DE", "FR"), "FR"), (offered(["150"]), "150")):
        with pytest.raises(EventRejected, match=f"is for DE, the act is for {where}") as refused:
            agency.submit(wide)
        assert rules(refused) == ["mandate.scope"]
        assert granted.id in refused.value.reasons[0].events
    assert findings(market) == []


def test_a_mandate_ends_in_log_time(market: Market) -> None:
    agency = Signer(market)
    until = market.clock.now.replace(hour=9)
    agency.agree(market.ledger.mandate(market.ada, agent=agency.id, actions=["work.create"], until=until))
    agency.submit(agency.work(actor=market.ada.id))
    market.clock.forward(2 * HOUR)
    waiting = agency.work(actor=market.ada.id, content="cd")
    with market.engine.begin() as session:
        agency.submit(waiting, session=session)  # log time has not passed yet
    market.ledger.publish()
    with pytest.raises(EventRejected) as refused:
        agency.submit(agency.work(actor=market.ada.id, content="ef"))
    assert rules(refused) == ["mandate.window"]
    assert findings(market) == [("statement.actor", False)]


def test_only_its_two_sides_end_a_mandate(market: Market) -> None:
    agency, eve = Signer(market), Signer(market)
    granted = market.ledger.mandate(market.ada, agent=agency.id, actions=["*"])
    refs = [{"role": "mandate", "id": granted.id}]
    with pytest.raises(EventRejected) as refused:
        eve.submit(market.ledger.propose("mandate.revoke", actor=eve.id, body={}, refs=refs))
    assert rules(refused) == ["mandate.revoke.actor"]
    agency.submit(market.ledger.propose("mandate.revoke", actor=agency.id, body={}, refs=refs))
    assert findings(market) == []


def test_the_market_revokes_what_it_granted_for_others(market: Market) -> None:
    granted = market.ledger.mandate(market.ada, agent=market.bo, actions=["offer.attach"], ref="mandate:1")
    assert market.ledger.mandate(market.ada, agent=market.bo, actions=["offer.attach"], ref="mandate:1") == granted
    market.ledger.revoke_mandate(granted)
    with pytest.raises(EventRejected) as refused:
        market.ledger.revoke_mandate(granted)
    assert "once.mandate.revoke" in rules(refused)
    assert findings(market) == []


# Links


def test_links_of_a_party(market: Market) -> None:
    ada, outside = Signer(market), PartyKey.generate()
    did = did_key(outside.public)
    proof = sign_link(outside, ledger=ORIGIN, party=market.ada.id, scheme="did:key", other=did)
    market.ledger.link(market.ada, "did:key", did, proof=proof, ref="link:1")
    both = market.ledger.link(market.ada, "party", ada.id)
    assert [found.state for found in market.ledger.links_of(market.ada)] == ["counts", "one-sided"]
    refs = [{"role": "of", "id": both.id}]
    ada.submit(market.ledger.propose("assent.answer", actor=ada.id, body={"answer": "yes"}, refs=refs))
    size = market.ledger.log.size
    assert [found.state for found in market.ledger.links_of(market.ada)] == ["counts", "counts"]
    ada.submit(market.ledger.propose("party.unlink", actor=ada.id, body={}, refs=[{"role": "link", "id": both.id}]))
    assert [found.state for found in market.ledger.links_of(market.ada)] == ["counts", "unlinked"]
    assert [found.state for found in market.ledger.links_of(market.ada, at=size)] == ["counts", "counts"]
    assert findings(market) == []


def test_a_proof_for_another_party_is_refused(market: Market) -> None:
    outside = PartyKey.generate()
    did = did_key(outside.public)
    proof = sign_link(outside, ledger=ORIGIN, party=market.bo.id, scheme="did:key", other=did)
    with pytest.raises(EventRejected) as refused:
        market.ledger.link(market.ada, "did:key", did, proof=proof)
    assert "party.link.proof" in rules(refused)


def test_ids_in_two_markets_have_nothing_in_common(market: Market, tmp_path: Path) -> None:
    """The same person, the same key, the same second: another salt."""
    key = PartyKey.generate()
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    first, second = (market.ledger.propose("party.register", actor="self", body=body) for _ in range(2))
    assert first.id != second.id
    assert isinstance(market.clock, Clock)
