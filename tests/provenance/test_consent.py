"""Consent against a dictionary: which steps are taken, which are refused, and what held at every moment."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provenance import EventRejected
from provenance.consent import NEXT, VALID
from provenance.vocabularies import BUILT_IN
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited

NOTICE = sha256(b"what was shown").hexdigest()


def record(market: Market, state: str = "ConsentGiven", purposes: tuple[str, ...] = ("voice",), **options: object):
    return market.ledger.consent(
        market.ada, controller=market.bo, purposes=purposes, notice=NOTICE, state=state, **options
    )


def state(market: Market, purpose: str = "voice", at: int | None = None) -> tuple[str, bool]:
    found = market.ledger.consent_of(market.ada, controller=market.bo, purpose=purpose, at=at)
    return found.state, found.valid


def test_the_states_are_those_of_the_vocabulary() -> None:
    table = BUILT_IN.active("consent-status")
    assert table is not None
    assert set(table.terms) == set(NEXT) - {""}
    assert {word for word, term in table.terms.items() if term.facts.get("valid")} == set(VALID)


def test_given_and_withdrawn(market: Market) -> None:
    desk = market.ledger
    assert state(market) == ("", False)
    given = record(market, expires=market.clock.now + timedelta(days=30))
    at = desk.log.size
    assert state(market) == ("ConsentGiven", True)
    ended = desk.withdraw_consent(market.ada, controller=market.bo, purposes=["voice"], notice=NOTICE)
    found = desk.consent_of(market.ada, controller=market.bo, purpose="voice")
    assert (found.state, found.events) == ("ConsentWithdrawn", (given.id, ended.id))
    assert state(market, at=at) == ("ConsentGiven", True)
    with pytest.raises(EventRejected, match=r"consent\.step"):
        record(market, "RenewedConsentGiven")
    record(market)
    assert state(market) == ("ConsentGiven", True)
    assert audited(desk, market.public).against_rules == ()


def test_it_ends_by_itself(market: Market) -> None:
    record(market, expires=market.clock.now + timedelta(days=30))
    at = market.ledger.log.size
    market.clock.forward(31 * 86_400)
    market.ledger.register_party("org")
    assert state(market) == ("ConsentExpired", False)
    assert state(market, at=at) == ("ConsentGiven", True)
    record(market, "RenewedConsentGiven", expires=market.clock.now + timedelta(days=30))
    assert state(market) == ("RenewedConsentGiven", True)


def test_who_says_it(market: Market) -> None:
    record(market)
    with pytest.raises(EventRejected, match="only the person withdraws"):
        record(market, "ConsentWithdrawn")
    with pytest.raises(EventRejected, match="does not revoke its own"):
        record(market, "ConsentRevoked", actor=market.ada)
    stranger = market.ledger.register_party("org")
    with pytest.raises(EventRejected, match="neither the subject nor the controller"):
        record(market, "ConsentInvalidated", actor=stranger)
    record(market, "ConsentRevoked", actor=market.bo)
    assert state(market) == ("ConsentRevoked", False)


def test_what_is_erased_was_never_said(market: Market) -> None:
    first = record(market, purposes=("voice", "face"))
    market.ledger.erase(first)
    assert state(market) == ("", False)
    record(market)
    record(market, "ConsentRevoked", actor=market.bo)
    assert state(market) == ("ConsentRevoked", False)
    assert state(market, "face") == ("", False)


def test_a_retry_returns_the_first(market: Market) -> None:
    first = record(market, ref="consent:1")
    market.ledger.withdraw_consent(market.ada, controller=market.bo, purposes=["voice"], notice=NOTICE)
    assert record(market, ref="consent:1") == first


def test_a_receipt(market: Market) -> None:
    given = record(market)
    found = market.ledger.consent_receipt(given)
    assert found["record_id"] == given.id
    assert found["pii_principal_id"] == market.ada.id
    assert found["consent_events"][0]["event_state"] == "ConsentGiven"
    receipt = market.ledger.receipt(given)
    assert found["proof"]["index"] == receipt.index
    receipt.proof.verify(receipt.entry, market.ledger.log.policy)


def test_training_before_and_after(market: Market) -> None:
    desk = market.ledger
    from provenance.desk.data import Input

    work = market.work()
    record(market, work=work)
    model = desk.register_model(version="1", creators=[market.bo])
    desk.train(model, inputs=[Input(work)], method="finetune", rights="unknown")
    desk.withdraw_consent(market.ada, controller=market.bo, purposes=["voice"], notice=NOTICE, work=work)
    desk.reserve(work, {"train": "disallow"})
    desk.train(model, inputs=[Input(work)], method="finetune", rights="denied")
    first, second = desk.trained_on(work).rows
    assert (first.consent, first.withdrawn_since, first.reserved, first.reserved_since) == (
        "ConsentGiven",
        True,
        "unknown",
        True,
    )
    assert (second.consent, second.withdrawn_since, second.reserved) == ("ConsentWithdrawn", False, "disallow")
    assert [row.because for row in desk.training_conflicts(model).rows] == ["reserved"]


steps = st.lists(
    st.tuples(st.sampled_from(sorted(set(NEXT) - {""})), st.sampled_from([("a",), ("b",), ("a", "b")])), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
@given(steps)
def test_against_a_dictionary(market: Market, said: list[tuple[str, tuple[str, ...]]]) -> None:
    subject, controller = (market.ledger.register_party("person") for _ in range(2))
    model: dict[str, str] = {}
    past: list[tuple[int, dict[str, str]]] = []
    for word, purposes in said:
        legal = all(word in NEXT[model.get(purpose, "")] for purpose in purposes)
        actor = subject if word == "ConsentWithdrawn" else None
        options = {"controller": controller, "purposes": purposes, "notice": NOTICE, "state": word, "actor": actor}
        if legal:
            market.ledger.consent(subject, **options)  # type: ignore[arg-type]
            model.update(dict.fromkeys(purposes, word))
        else:
            with pytest.raises(EventRejected):
                market.ledger.consent(subject, **options)  # type: ignore[arg-type]
        past.append((market.ledger.log.size, dict(model)))
    for size, then in past:
        for purpose in "ab":
            found = market.ledger.consent_of(subject, controller=controller, purpose=purpose, at=size)
            assert (found.state, found.valid) == (then.get(purpose, ""), then.get(purpose, "") in VALID)
