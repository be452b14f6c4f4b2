"""An audit from nothing but public files: what it counts, what it tells on the way, what it stands on."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from adapters import open_log
from ledger import Proof, ProofMismatch
from provenance import Money, Statement, audit
from provenance.proofs import write_proof
from tests.provenance.conftest import Market


@pytest.fixture
def sold(market: Market) -> Market:
    work = market.work(b"w", title="T")
    offer = market.ledger.offer(work, terms="CC-BY-4.0", price=Money(5, "EUR"))
    market.ledger.license(work, to=market.bo, offer=offer, price=Money(5, "EUR"))
    return market


def test_an_audit_needs_the_folder_and_the_policy_alone(sold: Market, tmp_path: Path) -> None:
    policy = (sold.public / "market.policy").read_text()
    elsewhere = sold.public.rename(tmp_path / "copied")
    (sold.root / "market.db").unlink()
    report = audit(open_log(elsewhere, policy))
    assert (report.record, report.findings) == ("intact", ())
    assert sum(report.counts.values()) == sum(report.statuses.values()) == report.checkpoint.size
    assert report.statuses == {"disclosed": report.checkpoint.size - 1, "sealed": 1}


def test_a_sealed_event_that_is_disclosed_counts_as_such(sold: Market) -> None:
    report = audit(open_log(sold.public, sold.ledger.log.policy), disclosed=sold.ledger.disclosures())
    assert (report.record, report.statuses) == ("intact", {"disclosed": report.checkpoint.size})


def test_an_audit_goes_on_from_an_earlier_one(sold: Market) -> None:
    first = audit(open_log(sold.public, sold.ledger.log.policy)).checkpoint
    sold.work(b"more")
    second = audit(open_log(sold.public, sold.ledger.log.policy), since=first)
    assert (second.record, second.checkpoint.size) == ("intact", first.size + 1)


def test_an_audit_tells_how_far_it_is(sold: Market) -> None:
    steps: list[tuple[str, int, int]] = []
    size = audit(
        open_log(sold.public, sold.ledger.log.policy), progress=lambda *step: steps.append(step)
    ).checkpoint.size
    assert {step[0] for step in steps} == {"tiles", "events"}
    assert [done for what, done, _ in steps if what == "events"][-1] == size
    assert all(0 <= done <= total for _, done, total in steps)


def test_a_kept_proof_stands_alone(sold: Market, tmp_path: Path) -> None:
    history, folder = sold.history(), tmp_path / "proofs"
    (work,) = history.index.of_type("work.create")
    paths = write_proof(folder, "w", history, work)
    assert {path.name for path in paths} == {
        *("w.tlog-proof", "w.entry", "w.event.json"),
        *("w.signer.tlog-proof", "w.signer.entry", "w.signer.event.json"),
    }
    proof, entry = Proof.parse((folder / "w.tlog-proof").read_bytes()), (folder / "w.entry").read_bytes()
    assert proof.verify(entry, sold.ledger.log.policy).size == history.log.checkpoint.size
    assert sha256((folder / "w.event.json").read_bytes()).digest() == Statement.parse(entry).event_id
    with pytest.raises(ProofMismatch):
        proof.verify(entry[:-1] + bytes([entry[-1] ^ 1]), sold.ledger.log.policy)


def test_a_kept_proof_of_a_sealed_event_holds_no_event(sold: Market, tmp_path: Path) -> None:
    history = sold.history()
    (grant,) = history.index.of_type("grant.issue")
    paths = write_proof(tmp_path / "proofs", "g", history, grant)
    assert "g.event.json" not in {path.name for path in paths}
