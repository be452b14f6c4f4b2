"""The derivation guard: all rules that fail, what is owed, and that a fact needs no permission."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import text

from provenance import EventRejected, Money
from provenance.events import Draft
from provenance.questions.guard import CLEARED
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited


def remix(market: Market, *parents: object, **options: object):
    content = b"remix %d" % len(market.files)
    return market.ledger.derive(market.file(content), parents=list(parents), creators=[market.bo], **options)


def rules(caught: pytest.ExceptionInfo[EventRejected]) -> set[str]:
    return {reason.rule for reason in caught.value.reasons}


def test_terms_that_allow_it(market: Market) -> None:
    photo = market.work(terms="CC-BY-4.0")
    work = remix(market, photo, terms="CC-BY-4.0")
    found = market.ledger.derivation(work)
    assert found is not None
    assert found.verdict in {"ok", "ok_with_notice"}
    assert found.obligations.credits == (market.ada.id,)
    assert photo.id in found.events


def test_a_fact_needs_no_permission(market: Market) -> None:
    photo = market.work(terms="CC-BY-ND-4.0")
    work = remix(market, photo)  # it happened
    found = market.ledger.derivation(work, license="CC-BY-4.0")
    assert found is not None
    assert found.verdict == "forbidden"
    with pytest.raises(EventRejected) as caught:
        market.ledger.offer(work, terms="CC-BY-4.0")
    assert {rule.partition(".")[0] for rule in rules(caught)} == {"L1"}
    assert audited(market.ledger, market.public).record == "intact"


def test_all_rules_that_fail(market: Market) -> None:
    desk = market.ledger
    alike = market.work(b"one", terms="CC-BY-SA-4.0")
    closed = market.work(b"two", terms="CC-BY-NC-ND-4.0")
    gone = market.work(b"three", terms="CC0-1.0")
    desk.takedown(gone, reason="court-order")
    work = remix(market, alike, closed, gone)
    with pytest.raises(EventRejected) as caught:
        desk.offer(work, terms="CC-BY-4.0")
    assert len(caught.value.reasons) >= 3
    assert "L0.status" in rules(caught)
    assert {event for reason in caught.value.reasons for event in reason.events} >= {alike.id, closed.id, gone.id}


def test_unknown_never_becomes_yes(market: Market) -> None:
    work = remix(market, market.work(), {"scheme": "doi", "id": "10.1000/182"})
    found = market.ledger.derivation(work, license="CC0-1.0")
    assert found is not None
    assert found.verdict == "unknown"
    assert {finding.rule for finding in found.findings} == {"L0.terms"}
    assert market.ledger.derivation(market.work(b"an original")) is None


def test_what_is_unknown_is_not_offered_but_on_somebodys_word(market: Market) -> None:
    """The word is in the log, with who gave it; what is asked of the derivation stays unknown."""
    desk = market.ledger
    photo = market.work()
    work = remix(market, photo, {"scheme": "doi", "id": "10.1000/182"})
    with pytest.raises(EventRejected, match="unknown, which is no yes") as caught:
        desk.offer(work, terms="CC0-1.0")
    assert [reason.rule for reason in caught.value.reasons] == ["L0.terms", "L0.terms"]
    assert {event for reason in caught.value.reasons for event in reason.events} >= {photo.id}
    expires = market.clock.now + timedelta(days=1)
    desk.attest(work, claim="fairly-made", expires=expires)
    with pytest.raises(EventRejected):
        desk.offer(work, terms="CC0-1.0")
    word = desk.attest(work, claim=CLEARED, expires=expires)
    offer = desk.offer(work, terms="CC0-1.0")
    found = desk.derivation(work, license="CC0-1.0")
    assert found is not None
    assert found.verdict == "unknown"
    desk.revoke_attestation(word, reason="error")
    with pytest.raises(EventRejected):
        desk.offer(work, terms="CC0-1.0")
    desk.attest(work, claim=CLEARED, expires=expires)
    market.clock.forward(2 * 86_400)
    market.work(b"time passes")
    with pytest.raises(EventRejected):
        desk.offer(work, terms="CC0-1.0")
    assert [each.id for each in desk.offers_of(work)] == [offer.id]
    assert audited(desk, market.public).against_rules == ()


def test_a_word_does_not_lift_what_is_forbidden(market: Market) -> None:
    desk = market.ledger
    work = remix(market, market.work(terms="CC-BY-ND-4.0"), market.work(b"of no terms"))
    desk.attest(work, claim=CLEARED, expires=market.clock.now + timedelta(days=1))
    with pytest.raises(EventRejected) as caught:
        desk.offer(work, terms="CC-BY-4.0")
    assert {rule.partition(".")[0] for rule in rules(caught)} == {"L0", "L1"}  # all of them are told


def test_nobody_needs_a_license_of_their_own(market: Market) -> None:
    desk = market.ledger
    photo = market.work()
    own = desk.derive(market.file(b"own"), parents=[photo], creators=[market.ada], terms="CC-BY-4.0")
    found = desk.derivation(own)
    assert found is not None
    assert found.verdict == "ok"
    desk.split(photo, {market.ada.id: 50_000_000, market.bo.id: 50_000_000})
    with pytest.raises(EventRejected) as caught:  # it is not hers alone any more
        desk.offer(own, terms="CC-BY-4.0")
    assert rules(caught) == {"L0.terms"}
    both = desk.derive(market.file(b"both"), parents=[photo], creators=[market.ada, market.bo], terms="CC-BY-4.0")
    assert desk.offers_of(both) != []


def test_terms_that_are_recorded_together_are_known(market: Market) -> None:
    """As when a whole market is brought in at once."""
    desk = market.ledger
    terms = desk.publish_terms("CC-BY-4.0")
    body = {
        "media_type": "image/png",
        "size": 5,
        "source_type": "humanEdits",
        "human_contribution": "full",
        "tools": "none",
    }

    def work(name: str, creator: str, *more: dict[str, str]):
        refs = [{"role": "creator", "id": creator, "as": "author"}, *more]
        said = {**body, "digests": {"sha-256": sha256(name.encode()).hexdigest()}}
        return desk.draft("work.derive" if more else "work.create", body=said, refs=refs)

    def offer(of: Draft):
        refs = [{"role": "work", "id": of.id.hex()}, {"role": "terms", "id": terms.id}]
        return desk.draft("offer.attach", body={"audience": "public", "overrides": {}}, refs=refs)

    photo = work("photo", market.ada.id)
    parent = {"role": "parent", "id": photo.id.hex(), "relation": "edited"}
    child = work("child", market.bo.id, parent)
    with pytest.raises(EventRejected) as caught:
        desk.record_many([photo, child, offer(child)])
    assert rules(caught) == {"L0.terms"}
    desk.record_many([photo, offer(photo), child, offer(child)])
    assert audited(desk, market.public).against_rules == ()


def test_a_parent_that_was_found_late_counts(market: Market) -> None:
    desk = market.ledger
    work = desk.create(market.file(b"as if it were new"), creators=[market.bo], terms="CC-BY-4.0")
    assert desk.derivation(work) is None
    desk.amend(work, parents=[market.work(terms="CC-BY-ND-4.0")])
    found = desk.derivation(work)
    assert found is not None
    assert found.verdict == "forbidden"
    with pytest.raises(EventRejected) as caught:
        desk.offer(work, terms="CC-BY-4.0")
    assert rules(caught) == {"L1.no-derivatives"}
    assert audited(desk, market.public).against_rules == ()  # the first offer was made before


def test_terms_that_wait_are_known(market: Market) -> None:
    """What was accepted a moment ago counts, until it is withdrawn."""
    desk = market.ledger
    files = [market.file(b"%d" % number) for number in range(3)]
    with market.engine.begin() as connection:
        photo = desk.create(files[0], creators=[market.ada], terms="CC-BY-4.0", session=connection)
        desk.derive(files[1], parents=[photo], creators=[market.bo], terms="CC-BY-4.0", session=connection)
        offers = connection.execute(text("SELECT event_id FROM provenance_queue WHERE type = 'offer.attach'"))
        first = bytes(next(iter(offers))[0]).hex()
        desk.withdraw_offer(first, session=connection)
        with pytest.raises(EventRejected) as caught:
            desk.derive(files[2], parents=[photo], creators=[market.bo], terms="CC-BY-4.0", session=connection)
    assert rules(caught) == {"L0.terms"}
    desk.publish()
    assert audited(desk, market.public).against_rules == ()


def test_several_licenses_are_a_choice(market: Market) -> None:
    photo = market.work(terms="CC-BY-ND-4.0")
    market.ledger.offer(photo, terms="CC0-1.0")
    work = remix(market, photo)
    found = market.ledger.derivation(work, license="CC-BY-4.0")
    assert found is not None
    assert found.verdict in {"ok", "ok_with_notice"}


def test_an_upheld_dispute_goes_down_the_tree(market: Market) -> None:
    desk = market.ledger
    photo = market.work(terms="CC0-1.0")
    child = remix(market, photo, terms="CC0-1.0")
    dispute = desk.dispute(photo, tag="improper-usage", evidence=sha256(b"evidence").hexdigest())
    desk.judge(dispute, "upheld")
    grandchild = remix(market, child)
    found = desk.derivation(grandchild, license="CC0-1.0")
    assert found is not None
    assert "L0.disputed" in {finding.rule for finding in found.findings}
    assert dispute.id in found.events
    desk.resolve_dispute(dispute)
    again = desk.derivation(grandchild, license="CC0-1.0")
    assert again is not None
    assert "L0.disputed" not in {finding.rule for finding in again.findings}
    then = desk.derivation(grandchild, license="CC0-1.0", at=desk.log.size - 1)
    assert then is not None
    assert then.verdict == "forbidden"


def test_a_grant_that_is_named(market: Market) -> None:
    desk = market.ledger
    photo, other = market.work(), market.work(b"another")
    offer = desk.offer(photo, terms="LicenseRef-house", price=Money(100, "EUR"))
    held = desk.license(photo, to=market.bo, offer=offer, price=Money(100, "EUR"))
    foreign = desk.license(photo, to=market.ada, offer=offer, price=Money(100, "EUR"))

    def derived(grant: object, parent: object):
        refs = [
            {"role": "parent", "id": str(parent), "relation": "edited", "grant": str(grant)},
            {"role": "creator", "id": str(market.bo), "as": "editor"},
        ]
        body = {
            "digests": {"sha-256": sha256(str(grant).encode()).hexdigest()},
            "media_type": "image/png",
            "size": 5,
            "source_type": "humanEdits",
            "human_contribution": "full",
            "tools": "none",
        }
        return desk.draft("work.derive", body=body, refs=refs)

    desk.record_many([derived(held, photo)])
    for grant, parent in ((foreign, photo), (held, other)):
        with pytest.raises(EventRejected) as caught:
            desk.record_many([derived(grant, parent)])
        assert rules(caught) == {"derive.grant"}
    desk.revoke_grant(held, reason="fraud")
    with pytest.raises(EventRejected, match="revoked"):
        desk.record_many([derived(held, photo)])


def test_royalties_are_owed_over_all_ways(market: Market) -> None:
    desk = market.ledger

    def derived(content: bytes, *parents: tuple[str, int]):
        refs = [{"role": "parent", "id": p, "relation": "edited", "rate": str(rate)} for p, rate in parents]
        refs.append({"role": "creator", "id": market.bo.id, "as": "editor"})
        body = {
            "digests": {"sha-256": sha256(content).hexdigest()},
            "media_type": "image/png",
            "size": 5,
            "source_type": "humanEdits",
            "human_contribution": "full",
            "tools": "none",
        }
        [ticket] = desk.record_many([desk.draft("work.derive", body=body, refs=refs)])
        return ticket.id

    a = market.work().id
    x = derived(b"x", (a, 10_000_000))
    b, c = derived(b"b", (x, 0)), derived(b"c", (x, 0))
    d = derived(b"d", (b, 0), (c, 0))
    found = desk.derivation(d, license="CC0-1.0")
    assert found is not None
    assert found.obligations.royalties == ((a, 20_000_000),)  # reached twice, owed twice
