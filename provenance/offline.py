"""One answer for a proof that somebody kept or was handed, with nothing but a policy: no log, no network.

A proof is a `.tlog-proof` (c2sp.org/tlog-proof), a COSE receipt (RFC 9942) or a transparent statement (RFC 9943).
Whether the signer of what is proven held the key at that place is in the log, and answered here only as far as the
proofs of its registration and keys tell, where they were kept as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from hashlib import sha256

from ledger.checkpoint import Checkpoint
from ledger.errors import (
    InvalidSignature,
    LedgerError,
    MalformedError,
    ProofMismatch,
    QuorumNotMet,
    UnknownKey,
)
from ledger.note import Note
from ledger.policy import Policy
from ledger.proof import Proof
from ledger.receipt import Receipt, key_id_of, parse_receipts
from provenance.kept import Kept, check_signer, strength_of
from provenance.statement import Statement
from provenance.verdict import Check, Record, Verdict

__all__ = ["Known", "verify_proof", "verify_receipt"]

Known = Callable[[int], Checkpoint | None]
"""A checkpoint of so many entries that the verifier opened under the policy, None where there is none."""

_NO_POLICY = "no policy"
_UNCHECKED = "not checked"
_CHANGED = ": where its keys changed, the log leads from those that you know to the others"


def verify_proof(
    data: bytes,
    policy: Policy,
    *,
    entry: bytes | None,
    event: bytes | None = None,
    signers: Sequence[Kept] = (),
    subject: str = "",
) -> Verdict:
    """Verify a `.tlog-proof` of an entry, and that an event, where there is one, is what the entry is about.

    `signers` are the registration of whoever signed and each change of its keys, each with a proof of its own: then the
    statement's signature is verified as well. Raises `MalformedError` for bytes that are no such proof.
    """
    proof = Proof.parse(data)
    tree = Checkpoint.parse(Note.parse(proof.checkpoint).text)
    checks = [_proof_check(proof, tree, entry, policy)]
    proven = {tree.origin} if checks[0].status == "ok" else set()
    about = None if entry is None else _statement(entry)
    strength = ""
    if entry is not None:
        said = _statement_check(about, proven)
        kept = Kept(data, entry, event)
        checks += check_signer(kept, signers, policy) if proven and signers and said.word == _UNCHECKED else [said]
        strength = "" if about is None else strength_of(kept)
    if about is not None and event is not None:
        same = sha256(event).digest() == about.event_id
        text = f"SHA-256 {sha256(event).hexdigest()}, the statement is about {about.event_id.hex()}"
        checks.append(Check("event", "ok" if same else "bad", "disclosed" if same else "mismatch", text))
    verdict = _verdict(data, checks, about, (tree.origin, tree.size if proven else 0), subject)
    return replace(verdict, strength=strength)


def verify_receipt(
    data: bytes, policy: Policy, *, entry: bytes | None = None, known: Known = lambda _: None, subject: str = ""
) -> Verdict:
    """Verify a COSE receipt, or every receipt of a transparent statement, under a policy; needs no log.

    `entry` is what a bare receipt is about; a transparent statement brings its own. `known` gives the older tree of a
    receipt for consistency, and shows that the witnesses saw a tree, where the policy wants that. Raises
    `MalformedError` for bytes that are neither.
    """
    statement, receipts = parse_receipts(data)
    checks: list[Check] = []
    roots: dict[tuple[str, int], bytes] = {}
    # What is included first: its root may be what another receipt begins with.
    for receipt in sorted(receipts, key=lambda each: (each.kind != "inclusion", each.numbers)):
        name = f"receipt {receipts.index(receipt) + 1}" if len(receipts) > 1 else "receipt"
        checks.append(_check(name, receipt, policy, entry if statement is None else statement, known, roots))
    if any(check.status == "ok" for check in checks):  # one log that the verifier accepts is enough
        checks = [Check(c.name, "note", c.word, c.detail) if c.word == _NO_POLICY else c for c in checks]
    said = statement if statement is not None else entry
    about = None if said is None else _statement(said)
    if said is not None:
        checks.append(_statement_check(about, {origin for origin, _ in roots}))
    tree = max(roots, key=lambda tree: tree[1], default=(receipts[0].issuer, 0))
    return _verdict(data, checks, about, tree, subject)


def _proof_check(proof: Proof, tree: Checkpoint, entry: bytes | None, policy: Policy) -> Check:
    known = {(key.name, key.key_id) for key in policy.log_keys(tree.origin)}
    if not known:
        text = f"signed for {tree.origin}: the policy knows {', '.join(sorted(policy.origins)) or 'no log'}"
        return Check("proof", "unknown", _NO_POLICY, text)
    if known.isdisjoint((line.name, line.key_id) for line in Note.parse(proof.checkpoint).signatures):
        return Check("proof", "unknown", "unknown key", f"signed by no key that is listed for {tree.origin}{_CHANGED}")
    if entry is None:
        text = f"is about entry #{proof.index} of {tree.origin}, which is not in it: give the entry as well"
        return Check("proof", "unknown", "no entry", text)
    try:
        proof.verify(entry, policy)
    except (InvalidSignature, MalformedError, ProofMismatch, QuorumNotMet, UnknownKey) as error:
        return _failed("proof", error)
    root = f"{len(proof.hashes)} hashes lead to root {tree.root.hex()[:16]}… of size {tree.size}"
    return Check("proof", "ok", "included", f"entry #{proof.index} of {tree.origin}: {root}, under your policy")


def _check(
    name: str,
    receipt: Receipt,
    policy: Policy,
    entry: bytes | None,
    known: Known,
    roots: dict[tuple[str, int], bytes],
) -> Check:
    """The answer for one receipt; `roots` are those proven so far, by origin and size."""
    first, second = receipt.numbers
    size = first if receipt.kind == "inclusion" else second
    if not policy.keys(receipt.issuer):
        logs = ", ".join(sorted(policy.origins)) or "no log"
        text = f"issued by {receipt.issuer} and signed with Ed25519: no such key is listed; the policy knows {logs}"
        return Check(name, "unknown", _NO_POLICY, text)
    if all(key_id_of(key) != receipt.kid for key in policy.keys(receipt.issuer)):
        text = f"signed by key {receipt.kid.hex()}, none that is listed for {receipt.issuer}{_CHANGED}"
        return Check(name, "unknown", "unknown key", text)
    seen = known(size)
    unsure = "" if receipt.bound or seen is not None else "; the numbers are said, not signed: a checkpoint has them"
    try:
        if receipt.kind == "inclusion":
            if entry is None:
                text = f"is about entry #{second} of {receipt.issuer}, which is not in it: give the entry as well"
                return Check(name, "unknown", "no entry", text)
            root = receipt.verify_inclusion(entry, policy, checkpoint=seen)
            text = f"entry #{second} of {receipt.issuer}: {len(receipt.path)} hashes lead to root {root.hex()[:16]}…"
            found = Check(name, "ok", "included", f"{text} of size {size}, which its key signed{unsure}")
        else:
            older = known(first)
            old_root = roots.get((receipt.issuer, first)) or (older.root if older else None)
            if old_root is None:
                text = f"says that {receipt.issuer} grew from {first} to {second} entries: give a checkpoint of {first}"
                return Check(name, "unknown", "no older tree", text)
            root = receipt.verify_consistency(old_root, policy, checkpoint=seen)
            text = f"{receipt.issuer} at size {second}, root {root.hex()[:16]}…, begins with the older tree's {first}"
            found = Check(name, "ok", "grown", f"{text} entries{unsure}")
    except (InvalidSignature, ProofMismatch, QuorumNotMet, UnknownKey) as error:
        return _failed(name, error)
    roots[receipt.issuer, size] = root
    return found


def _failed(name: str, error: LedgerError) -> Check:
    """What was wrong: with too few witnesses nothing is said against it."""
    if isinstance(error, QuorumNotMet):
        return Check(name, "unknown", "no quorum", str(error))
    words: dict[type, str] = {ProofMismatch: "mismatch", InvalidSignature: "bad signature", UnknownKey: "retired key"}
    return Check(name, "bad", words.get(type(error), "malformed"), str(error))


def _verdict(data: bytes, checks: list[Check], about: Statement | None, tree: tuple[str, int], subject: str) -> Verdict:
    return Verdict(
        subject=subject,
        digest=sha256(data).hexdigest(),
        record=_record(checks),
        claim=_claim(about),
        checks=tuple(checks),
        origin=tree[0],
        size=tree[1],
        next="" if about is None else f"sha256sum EVENT.json   # the event is {about.event_id.hex()}",
    )


def _statement(data: bytes) -> Statement | None:
    try:
        return Statement.parse(data)
    except MalformedError:
        return None  # tools of SCITT log other forms as well


def _statement_check(statement: Statement | None, proven: Collection[str]) -> Check:
    """What the statement says of itself; `proven` are the logs that it was shown to stand in."""
    if statement is None:
        return Check("statement", "note", "another form", "is no statement of this kind of log: nothing is said of it")
    if proven and statement.origin not in proven:
        text = f"was made for {statement.origin}, and stands in {', '.join(sorted(proven))}: it says nothing there"
        return Check("statement", "bad", "for another log", text)
    text = (
        f"{statement.type} {statement.event_id.hex()} by party {statement.issuer[:16]}… for {statement.origin}; "
        "key history not checked: the log has it"
    )
    return Check("statement", "note", _UNCHECKED, text)


def _claim(statement: Statement | None) -> str:
    if statement is None:
        return ""
    return f"Party {statement.issuer[:12]}… says so. The log proves that it was said, not that it is true."


def _record(checks: list[Check]) -> Record:
    statuses = {check.status for check in checks}
    if "bad" in statuses:
        return "altered"
    return "cannot check" if "unknown" in statuses else "intact"
