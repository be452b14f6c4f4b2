"""What a verification answers: values only, shared by terminal, page and JSON.

Two verdicts, always both. *Record*: are the bytes what was logged? *Claim*: who says it, and how strongly?
An intact record of a false claim is still a false claim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Check", "Credit", "Edge", "Node", "Record", "Status", "Terms", "Verdict"]

Record = Literal["intact", "altered", "cannot check"]
Status = Literal["ok", "note", "bad", "unknown"]
"""ok: holds · note: holds, with something to know · bad: is broken · unknown: could not be checked."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its own answer; nothing here is folded into one tick."""

    name: str  # "manifest", "ingredient NAME", "included", "signed", "statement", "event", "terms", "credits", …
    status: Status
    word: str  # the verdict in one or two words: "valid", "tampered", "not yet published", …
    detail: str  # one sentence: subject, expected, got, place, what to do


@dataclass(frozen=True, slots=True)
class Credit:
    """One party that a work credits. `name` is None when the name is sealed or erased."""

    party: str  # party id, 64 hex digits
    name: str | None
    role: str
    strength: str  # self, counter-signed, observed, attested, adjudicated


@dataclass(frozen=True, slots=True)
class Node:
    """One work in a lineage, in this log (`index` set) or outside of it (`index` None)."""

    id: str  # event id in hex, or "scheme:id" of an external work
    title: str | None
    index: int | None
    type: str  # work.create, work.derive, external
    media_type: str
    source_type: str  # IPTC digital source type term
    digest: str  # SHA-256 of the bytes in hex, "" when unknown
    creators: tuple[Credit, ...]
    strength: str
    license: str  # SPDX expression under which it is offered, "" when none is
    claimed_at: str  # RFC 3339, what the signer says
    logged_at: str  # RFC 3339, log time of the entry, "" when none
    status: Literal["disclosed", "sealed", "erased", "missing", "mismatch", "not yet published", "external"]


@dataclass(frozen=True, slots=True)
class Edge:
    """`child` was made from `parent` (ids of nodes)."""

    child: str
    parent: str
    relation: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms under which a work is offered."""

    work: str
    license: str
    offer: str  # event id
    price: str  # "" for free, else "12.50 EUR"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole answer for one file or one work."""

    subject: str  # file name or work id, as the user gave it: hostile text, escape before showing
    digest: str  # SHA-256 of the file, hex
    record: Record
    claim: str  # one sentence: who says it, how strongly
    checks: tuple[Check, ...]
    origin: str = ""
    size: int = 0  # tree size that this answer stands on
    work: str = ""  # id of the node that the file is, "" when none was found
    nodes: tuple[Node, ...] = field(default=())
    edges: tuple[Edge, ...] = field(default=())
    terms: tuple[Terms, ...] = field(default=())
    rivals: tuple[Node, ...] = field(default=())  # other works that registered the same bytes, earliest first
    next: str = ""  # the next command
    strength: str = ""  # of the claim, where it is about no work
