"""What a transparency log means for a market of works: who made what from what, under which terms.

The log remembers *that*, the vault remembers *what*: entries are small signed statements over event ids, events and
personal fields lie in an erasable store under their digests.

* A market records events with `ProvenanceLedger` (from `adapters.connect`).
* An auditor calls `audit` on a published log (from `adapters.open_log`).
* A creator calls `verify` on a file.
"""

from provenance.audit import Audit, audit
from provenance.drafts import Money
from provenance.errors import EventRejected, MissingExtra, Reason
from provenance.history import Finding, History
from provenance.keys import PartyKey, PartySigner, PublicKey, RemotePartyKey
from provenance.ledger import ProvenanceLedger
from provenance.statement import Statement, sign_statement
from provenance.ticket import Receipt, Ticket
from provenance.verdict import Verdict
from provenance.verify import verify, verify_work

__all__ = [
    "Audit",
    "EventRejected",
    "Finding",
    "History",
    "MissingExtra",
    "Money",
    "PartyKey",
    "PartySigner",
    "ProvenanceLedger",
    "PublicKey",
    "Reason",
    "Receipt",
    "RemotePartyKey",
    "Statement",
    "Ticket",
    "Verdict",
    "audit",
    "sign_statement",
    "verify",
    "verify_work",
]
