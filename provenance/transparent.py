"""One answer for a COSE receipt or a transparent statement (RFC 9942, RFC 9943), with nothing but a policy."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from ledger.checkpoint import Checkpoint
from ledger.errors import InvalidSignature, MalformedError, ProofMismatch, QuorumNotMet, UnknownKey
from ledger.policy import Policy
from ledger.receipt import Receipt, key_id_of, parse_receipts
from provenance.statement import Statement
from provenance.verdict import Check, Record, Verdict

__all__ = ["Known", "verify_receipt"]

Known = Callable[[int], Checkpoint | None]
"""A checkpoint of so many entries that the verifier opened under the policy, None where there is none."""


def verify_receipt(
    data: bytes, policy: Policy, *, entry: bytes | None = None, known: Known = lambda _: None, subject: str = ""
) -> Verdict:
    """Verify a COSE receipt, or every receipt of a transparent statement, under a policy; needs no log.

    `entry` is what a bare receipt is about; a transparent statement brings its own. `known` gives the older tree of a
    receipt for consistency, and shows that the witnesses saw a tree, where the policy wants that. Whether the
    statement's signer held its key then is in the log, not here. Raises `MalformedError` for bytes that are neither.
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
        checks.append(_statement_check(about))
    origin, size = max(roots, key=lambda tree: tree[1], default=(receipts[0].issuer, 0))
    return Verdict(
        subject=subject,
        digest=sha256(data).hexdigest(),
        record=_record(checks),
        claim=_claim(about),
        checks=tuple(checks),
        origin=origin,
        size=size,
        next="" if about is None else f"sha256sum EVENT.json   # the event is {about.event_id.hex()}",
    )


_NO_POLICY = "no policy"


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
        text = (
            f"signed by key {receipt.kid.hex()}, none that is listed for {receipt.issuer}: where its keys changed, the "
            "log leads from those that you know to the others"
        )
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
    except QuorumNotMet as error:
        return Check(name, "unknown", "no quorum", str(error))
    except ProofMismatch as error:
        return Check(name, "bad", "mismatch", str(error))
    except InvalidSignature as error:
        return Check(name, "bad", "bad signature", str(error))
    except UnknownKey as error:  # one that does not count for this size
        return Check(name, "bad", "retired key", str(error))
    roots[receipt.issuer, size] = root
    return found


def _statement(data: bytes) -> Statement | None:
    try:
        return Statement.parse(data)
    except MalformedError:
        return None  # tools of SCITT log other forms as well


def _statement_check(statement: Statement | None) -> Check:
    if statement is None:
        return Check("statement", "note", "another form", "is no statement of this kind of log: nothing is said of it")
    text = (
        f"{statement.type} {statement.event_id.hex()} by party {statement.issuer[:16]}… for {statement.origin}; "
        "key history not checked: the log has it"
    )
    return Check("statement", "note", "not checked", text)


def _claim(statement: Statement | None) -> str:
    if statement is None:
        return ""
    return f"Party {statement.issuer[:12]}… says so. The log proves that it was said, not that it is true."


def _record(checks: list[Check]) -> Record:
    statuses = {check.status for check in checks}
    if "bad" in statuses:
        return "altered"
    return "cannot check" if "unknown" in statuses else "intact"
