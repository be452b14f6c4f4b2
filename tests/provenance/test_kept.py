"""Proofs that somebody kept: verified with a policy alone, and worth nothing once a byte of them is another."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger import MalformedError, Policy, SigningKey
from ledger.policy import LogLine
from provenance import PartyKey, Ticket, Verdict
from provenance.kept import Kept
from provenance.offline import verify_proof
from provenance.proofs import read_signers, write_proof
from tests.provenance.conftest import ORIGIN, Market
from tests.provenance.test_identity_ledger import Signer

Files = tuple[Kept, list[Kept]]


def written(market: Market, ticket: Ticket) -> Path:
    history = market.history()
    entry = history.index.find(bytes.fromhex(ticket.id))
    assert entry is not None
    return write_proof(market.root / "proofs", "w", history, entry)[0]


@pytest.fixture
def proof(market: Market) -> Path:
    """Of a work that a party signed with its second key."""
    ada = Signer(market)
    new = PartyKey.generate()
    market.ledger.rotate_keys(ada.id, keys=[new.public], by=ada.key)
    ada.key = new
    return written(market, ada.submit(ada.work()))


def read_proof(path: Path) -> Files:
    entry, event = (path.with_name(f"w.{suffix}") for suffix in ("entry", "event.json"))
    kept = Kept(path.read_bytes(), entry.read_bytes(), event.read_bytes() if event.is_file() else None)
    return kept, read_signers(path)


def answer(market: Market, files: Files, policy: Policy | None = None) -> Verdict:
    (proof, entry, event), signers = files
    return verify_proof(proof, policy or market.ledger.log.policy, entry=entry, event=event, signers=signers)


def words(verdict: Verdict) -> dict[str, str]:
    return {check.name: check.word for check in verdict.checks}


def test_it_is_verified_with_a_policy_alone(market: Market, proof: Path) -> None:
    kept, signers = read_proof(proof)
    assert len(signers) == 2  # the registration, and the change of keys
    verdict = answer(market, (kept, signers))
    assert (verdict.record, verdict.strength, verdict.origin) == ("intact", "self", ORIGIN)
    assert words(verdict) == {"proof": "included", "statement": "signed", "event": "disclosed"}
    said = next(check for check in verdict.checks if check.name == "statement")
    assert said.status == "note"
    assert "key history not checked" in said.detail


def test_what_is_not_there_cannot_be_checked(market: Market, proof: Path) -> None:
    kept, signers = read_proof(proof)
    assert answer(market, (kept._replace(event=None), signers)).record == "intact"
    assert words(answer(market, (kept, [])))["statement"] == "not checked"
    without_change = answer(market, (kept, signers[:1]))
    assert without_change.record == "altered"  # signed with a key that, as far as these files tell, it never had
    stranger = Policy((LogLine(SigningKey.generate(ORIGIN).verifier),))
    assert words(answer(market, (kept, signers), stranger))["proof"] == "unknown key"
    proof.with_name("w.signer.entry").unlink()
    assert read_signers(proof) == []


def test_a_sealed_event_may_be_kept_back(market: Market) -> None:
    work = market.work(terms="CC0-1.0")
    sale = market.ledger.license(work, to=market.bo, offer=market.ledger.offers_of(work)[0].id)
    kept, signers = read_proof(written(market, sale))
    assert kept.event is None
    assert (answer(market, (kept, signers)).record, len(signers)) == ("intact", 1)


@pytest.mark.parametrize("part", ["proof", "entry", "event"])
@pytest.mark.parametrize("which", ["own", "registration", "change"])
def test_no_byte_of_it_can_be_another(market: Market, proof: Path, part: str, which: str) -> None:
    kept, signers = read_proof(proof)
    every = [kept, *signers]
    number = ("own", "registration", "change").index(which)
    data = getattr(every[number], part)
    good = answer(market, (kept, signers))
    for at in range(0, len(data), max(1, len(data) // 25)):
        other = bytes([*data[:at], data[at] ^ 1, *data[at + 1 :]])
        every[number] = [kept, *signers][number]._replace(**{part: other})
        try:
            found = answer(market, (every[0], every[1:]))
        except MalformedError:
            continue
        assert found.record != "intact" or found.checks == good.checks, at


def test_a_signer_that_takes_the_place_of_the_entry_is_not_asked(market: Market, proof: Path) -> None:
    kept, signers = read_proof(proof)
    assert answer(market, (kept, [*signers, kept._replace(entry=signers[0].entry)])).record == "intact"
