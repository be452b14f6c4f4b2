"""Who signed an entry that somebody kept a proof of, as far as the proofs of its signer that lie beside it tell."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from ledger.policy import Policy
from ledger.proof import Proof
from provenance.canonical import loads
from provenance.disclosed import ItemVerdict, verify_offline
from provenance.disclosure import Disclosure
from provenance.statement import Statement
from provenance.verdict import Check

__all__ = ["Kept", "check_signer", "strength_of"]


class Kept(NamedTuple):
    """What was kept of one entry: its proof (c2sp.org/tlog-proof), its bytes, and its event where it was readable."""

    proof: bytes
    entry: bytes
    event: bytes | None = None


def check_signer(kept: Kept, signers: Sequence[Kept], policy: Policy) -> list[Check]:
    """Whether the signer signed the statement of a proven entry: judged as a disclosure package of all these is.

    `signers` are the registration of whoever signed, and each change of its keys. Whether a change was left out only
    the log can tell. Raises `MalformedError` for bytes that are none of these, `QuorumNotMet` for a signer's proof.
    """
    proof = Proof.parse(kept.proof)
    together = {Proof.parse(each.proof).index: each for each in signers} | {proof.index: kept}
    package = Disclosure(
        checkpoint=proof.checkpoint,
        claimed_at="",
        claims=(),
        events={sha256(event).digest(): event for event in map(_own_event, together.values()) if event is not None},
        items={},
        entries={index: each.entry for index, each in together.items()},
        proofs={index: each.proof for index, each in together.items()},
    )
    found = {item.idx: item for item in verify_offline(package, policy).items if not item.field}
    judged = _judged(Statement.parse(kept.entry), found.pop(proof.index))
    wrong = [f"entry #{index}: {item.detail}" for index, item in found.items() if item.word == "mismatch"]
    return [judged, *(Check("signer", "bad", "mismatch", text) for text in wrong)]


def strength_of(kept: Kept) -> str:
    """How strongly the event says what it says, "" where it is not here."""
    event = _own_event(kept)
    found = None if event is None else loads(event)
    return str(found.get("strength", "")) if isinstance(found, dict) else ""


def _own_event(kept: Kept) -> bytes | None:
    """The event, where it is here and is the one that the entry is about. Raises `MalformedError` where it is none."""
    if kept.event is None or sha256(kept.event).digest() != Statement.parse(kept.entry).event_id:
        return None
    loads(kept.event)
    return kept.event


def _judged(statement: Statement, own: ItemVerdict) -> Check:
    name = f"{statement.type} {statement.event_id.hex()}"
    if own.word == "mismatch":
        return Check("statement", "bad", "mismatch", own.detail)
    if own.detail.startswith("signature not checked"):  # not by these proofs, which are here for that
        return Check("statement", "unknown", "not checked", f"{name}: {own.detail}")
    if own.detail:
        return Check("statement", "note", "signed", f"{name}: {own.detail}")
    text = f"signed by party {statement.issuer[:16]}… with a key valid at #{own.idx}, as far as what is here tells"
    return Check("statement", "note", "signed", f"{name}, {text}; key history not checked: the log has it")
