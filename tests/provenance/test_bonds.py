"""What limits an earlier event is erased only together with it: no erasure makes anything valid again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from provenance import EventRejected, Ticket
from provenance.bonds import _LIMITS
from provenance.events.union import MODELS
from provenance.identity import Revoked
from provenance.once import CHAINS, ONCE
from provenance.reservations import reservation_of
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited

NOTICE = sha256(b"what was shown").hexdigest()
EVIDENCE = "ab" * 32


def consent(market: Market, state: str = "ConsentGiven", *purposes: str) -> Ticket:
    said = {"controller": market.bo, "purposes": purposes or ["voice"], "notice": NOTICE}
    if state == "ConsentWithdrawn":
        return market.ledger.withdraw_consent(market.ada, **said)  # type: ignore[arg-type]
    return market.ledger.consent(market.ada, state=state, **said)  # type: ignore[arg-type]


def state(market: Market, purpose: str = "voice") -> tuple[str, bool]:
    found = market.ledger.consent_of(market.ada, controller=market.bo, purpose=purpose)
    return found.state, found.valid


def erasure(market: Market, *targets: Ticket) -> Any:
    """An erasure of these alone, past the verb: with its tombstones, as it has to be."""
    entries = market.ledger.index.entries_of(bytes.fromhex(each.id) for each in targets)
    stones = []
    for entry in entries.values():
        event = market.ledger.before().event(entry.event_id)
        if event is not None and not entry.sealed:
            stones.append({"event": entry.event_id.hex(), **{name: event[name] for name in ("type", "actor", "refs")}})
    body = {"targets": [each.id for each in targets], "method": "delete", "basis": "gdpr-17"}
    return market.ledger.draft("erasure.execute", body=body | ({"tombstones": stones} if stones else {}))


def test_an_erased_withdrawal_does_not_make_the_consent_valid_again(market: Market) -> None:
    given = consent(market)
    withdrawn = consent(market, "ConsentWithdrawn")
    with pytest.raises(EventRejected, match=r"erasure\.revives: the consent\.record"):
        market.ledger.record_many([erasure(market, withdrawn)])
    assert state(market) == ("ConsentWithdrawn", False)
    done = market.ledger.erase(withdrawn)
    assert set(done.erased) == {given.id, withdrawn.id}
    assert state(market) == ("", False)
    assert state(Market(**{**vars(market), "ledger": market.reopen()})) == ("", False)
    assert consent(market).id not in done.erased
    assert state(market) == ("ConsentGiven", True)
    report = audited(market.ledger, market.public)
    assert (report.record, report.against_rules) == ("intact", ())


def test_what_was_said_later_stays(market: Market) -> None:
    consent(market, "ConsentGiven", "voice", "face")
    consent(market, "ConsentWithdrawn", "voice")
    again = consent(market)
    first = market.ledger.erase(consent(market, "ConsentWithdrawn"))
    assert len(first.erased) == 4
    assert again.id in first.erased
    assert (state(market), state(market, "face")) == (("", False), ("", False))
    given, withdrawn = consent(market), consent(market, "ConsentWithdrawn")
    assert market.ledger.erase(given).erased == (given.id,)
    assert state(market) == ("ConsentWithdrawn", False)
    assert market.ledger.erase(withdrawn).erased == (withdrawn.id,)


def test_consent_to_somebody_else_stays(market: Market) -> None:
    lab = market.ledger.register_party("org")
    consent(market)
    market.ledger.consent(market.ada, controller=lab, purposes=["voice"], notice=NOTICE)
    market.ledger.erase(consent(market, "ConsentWithdrawn"))
    assert market.ledger.consent_of(market.ada, controller=lab, purpose="voice").valid


def test_an_earlier_consent_under_a_hold_keeps_the_withdrawal(market: Market) -> None:
    given = consent(market)
    withdrawn = consent(market, "ConsentWithdrawn")
    hold = market.ledger.hold(given, ground="dispute")
    done = market.ledger.erase(withdrawn)
    assert (done.ticket, {each.address: each.because for each in done.kept}) == (
        None,
        {given.id: hold.id, withdrawn.id: given.id},
    )
    assert state(market) == ("ConsentWithdrawn", False)


Pair = tuple[Sequence[Ticket], Ticket]
"""Earlier events that must go along, the last of which the later one limits; and the later one."""


def _mandate(market: Market) -> Pair:
    desk = market.ledger
    granted = desk.mandate(market.ada, agent=market.bo, actions=["work.create"])
    return [granted], desk.revoke_mandate(granted)


def _offer(market: Market) -> Pair:
    offer = market.ledger.offer(market.work(), terms="CC0-1.0")
    return [offer], market.ledger.withdraw_offer(offer)


def _grant(market: Market) -> Ticket:
    work = market.work()
    return market.ledger.license(work, to=market.bo, offer=market.ledger.offer(work, terms="CC0-1.0"))


def _revoked(market: Market) -> Pair:
    grant = _grant(market)
    return [grant], market.ledger.revoke_grant(grant, reason="breach")


def _consumed(market: Market) -> Pair:
    grant = _grant(market)
    child = market.work(b"child")
    return [grant], market.ledger.consume_grant(grant, child=child)


def _takedown(market: Market) -> Pair:
    work = market.work()
    return [work], market.ledger.takedown(work, reason="court-order").ticket


def _reserved(market: Market) -> Pair:
    work = market.work()
    market.ledger.reserve(work, {"train": "allow"})
    return [work], market.ledger.reserve(work, {"train": "disallow"})


def _disputed(market: Market) -> Pair:
    work = market.work()
    return [work], market.ledger.dispute(work, tag="improper-usage", evidence=EVIDENCE)


def _judged(market: Market) -> Pair:
    work = market.work()
    dispute = market.ledger.dispute(work, tag="improper-usage", evidence=EVIDENCE)
    return [work, dispute], market.ledger.judge(dispute, "upheld")


def _appealed(market: Market) -> Pair:
    (work, dispute), _ = _judged(market)
    return [work, dispute], market.ledger.appeal(dispute, evidence="cd" * 32)


def _attested(market: Market) -> Pair:
    desk = market.ledger
    expires = market.clock.now + timedelta(days=9)
    attested = desk.attest(market.ada, claim="age-verified", expires=expires)
    return [attested], desk.revoke_attestation(attested, reason="mistake")


def _unlinked(market: Market) -> Pair:
    link = market.ledger.link(market.ada, scheme="party", other=market.bo)
    return [link], market.ledger.unlink(link)


def _placed(market: Market) -> Pair:
    placed = market.ledger.syndicate(market.work(), market={"scheme": "dns", "id": "other.example"})
    return [placed], market.ledger.withdraw_placement(placed)


def _split(market: Market) -> Pair:
    work = market.work()
    return [work], market.ledger.split(work, {market.ada.id: 100_000_000})


def _credited(market: Market) -> Pair:
    work = market.work()
    return [work], market.ledger.credit(work, mode="anonymous")


def _transferred(market: Market) -> Pair:
    desk = market.ledger
    work = market.work()
    grant = desk.license(work, to=market.bo, offer=desk.offer(work, terms="CC0-1.0"), transferable=True)
    return [grant], desk.transfer_grant(grant, to=market.ada, actor=market.bo)


def _assented(market: Market) -> Pair:
    (grant,), transfer = _transferred(market)
    return [grant, transfer], market.ledger.assent(transfer, party=market.ada)


def _amended(market: Market) -> Pair:
    desk = market.ledger
    child, parent = market.work(b"child"), market.work(b"parent")
    return [child], desk.amend(child, parents=[parent], relation="sampled")


PAIRS: Sequence[Callable[[Market], Pair]] = (
    _mandate,
    _offer,
    _revoked,
    _consumed,
    _takedown,
    _reserved,
    _disputed,
    _judged,
    _appealed,
    _attested,
    _unlinked,
    _placed,
    _split,
    _credited,
    _transferred,
    _assented,
    _amended,
)


@pytest.mark.parametrize("pair", PAIRS)
def test_it_goes_only_with_what_it_limits(market: Market, pair: Callable[[Market], Pair]) -> None:
    desk = market.ledger
    earlier, later = pair(market)
    done = desk.erase(later)
    assert later.id not in done.erased
    assert [each.because for each in done.kept if each.address == later.id] == [earlier[-1].id]
    with pytest.raises(EventRejected, match=r"erasure\.revives"):
        desk.record_many([erasure(market, later)])
    done = desk.erase(later, *earlier)
    assert {later.id, *(each.id for each in earlier)} <= set(done.erased)
    report = audited(desk, market.public)
    assert (report.record, [each for each in report.against_rules if each.rule.startswith("erasure")]) == ("intact", [])


def test_a_revocation_that_was_erased_alone_goes_on_ending_it(market: Market) -> None:
    """As an earlier version let it: what the tombstones say is enough to know that something was taken back."""
    desk = market.ledger
    _, revoked = _mandate(market)
    (link,), unlinked = _unlinked(market)
    (work,), reserved = _reserved(market)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("provenance.rules.privacy.bonds_of", lambda *_: [])
        desk.record_many([erasure(market, revoked, unlinked, reserved)])
    assert [each.revoked for each in desk.mandates_of(market.ada)] == [
        Revoked(bytes.fromhex(revoked.id), desk.receipt(revoked).index)
    ]
    assert [(each.event_id.hex(), each.state) for each in desk.links_of(market.ada)] == [(link.id, "unlinked")]
    assert reservation_of(bytes.fromhex(work.id), "train", desk.before())[0] == "unknown"


def test_an_erased_work_is_not_offered_anew(market: Market) -> None:
    desk = market.ledger
    parent = market.work(terms="CC-BY-ND-4.0")
    child = desk.derive(market.file(b"child"), parents=[parent], creators=[market.bo])
    with pytest.raises(EventRejected, match="parent"):
        desk.offer(child, terms="CC0-1.0")
    desk.erase(child)
    with pytest.raises(EventRejected, match=r"offer\.work"):
        desk.offer(child, terms="CC0-1.0")
    assert audited(desk, market.public).against_rules == ()


def test_types_that_take_something_back_are_all_known() -> None:
    """A type that ends another event, or goes on from it, is one of them, or cannot be erased, or only narrows."""
    assert _LIMITS.keys() <= MODELS.keys()
    narrowing = {"attribution.answer", "dispute.cancel", "dispute.resolve", "generation.run", "revenue.report"}
    kept = {type_ for type_ in (*CHAINS, *ONCE) if type_.startswith(("log.", "party.keys", "vocab.", "hold."))}
    assert {*CHAINS, *ONCE} - kept - narrowing == {*_LIMITS, "consent.record"} - {"derive.amend"}
