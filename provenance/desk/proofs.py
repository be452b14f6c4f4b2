"""Verbs that hand out what the log proves in the form that tools of SCITT read (RFC 9942, RFC 9943)."""

from __future__ import annotations

from ledger.receipt import Receipt as CoseReceipt
from ledger.receipt import join_receipts, sign_proof, sign_receipt
from provenance.desk.base import Desk
from provenance.drafts import Named
from provenance.statement import Statement

__all__ = ["ProofVerbs"]


class ProofVerbs(Desk):
    """COSE receipts: made when they are asked for, over roots that the log has signed in a checkpoint already.

    They need the log's key and carry no cosignatures. All raise `UnknownKey` in a process without that key,
    `Unavailable` while it cannot be reached.
    """

    def cose_receipt(self, ticket: Named) -> CoseReceipt:
        """That a published event stands in the log, as `receipt`; `bytes()` of it is what one keeps or sends.

        Its subject is that of the statement, the event type. Raises as `receipt`.
        """
        found = self.receipt(ticket)
        return sign_proof(self.log.signer, found.proof, found.entry, subject=Statement.parse(found.entry).type)

    def transparent_statement(self, ticket: Named) -> bytes:
        """The log entry of a published event with its COSE receipt inside: one file that proves itself under a policy.

        Raises as `receipt`.
        """
        return join_receipts(self.receipt(ticket).entry, [self.cose_receipt(ticket)])

    def cose_consistency(self, since: int) -> CoseReceipt:
        """That the newest checkpoint's tree begins with that of the first `since` entries.

        Raises `ProofMismatch` beyond the checkpoint, `MalformedError` where it has not grown since.
        """
        while True:
            checkpoint = self.log.checkpoint
            hashes = self.log.prove_consistency(since)
            if self.log.checkpoint == checkpoint:  # else somebody published in between: the proof may lead to that one
                break
        return sign_receipt(self.log.signer, "consistency", (since, checkpoint.size), hashes, checkpoint.root)
