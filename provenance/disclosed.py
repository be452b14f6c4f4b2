"""What a disclosure package is worth: held against the published log, or with nothing but a policy.

What an erasure names is *erased*, whatever a package still holds of it. Whether a package is as complete as it claims
only the log can tell: there the entries of each type are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from ledger.checkpoint import open_checkpoint
from ledger.errors import LedgerError, ProofMismatch, QuorumNotMet
from ledger.evidence import forked
from ledger.merkle import tree_root
from ledger.policy import Policy
from ledger.proof import Proof
from provenance.disclosure import Claim, Disclosure
from provenance.erasures import ERASURE, targets_of
from provenance.history import History
from provenance.identity import KeyEvent, Parties, party_of
from provenance.signatures import LogSigners
from provenance.statement import Statement
from provenance.verdict import Record

__all__ = ["Checked", "Counted", "ItemVerdict", "check_disclosure", "verify_offline"]

Word = Literal["disclosed", "sealed", "erased", "missing", "mismatch", "not yet published"]


class ItemVerdict(NamedTuple):
    """What became of one event, or of one personal field of it (`field`), as far as can be told.

    *disclosed*: here, and what was logged · *sealed*: kept back, as it may be · *erased*: by the entry `erased_by`,
    whatever is here of it · *missing*: neither here nor erased, though it is not sealed · *mismatch*: not what was
    logged, or nothing that was · *not yet published*: the log that it was held against ends before it.
    """

    idx: int | None  # of the entry; None where there is none
    type: str
    event: str
    field: str  # "" for the event itself
    word: Word
    erased_by: int | None = None  # index of the erasure
    detail: str = ""  # what is wrong, or could not be checked


class Counted(NamedTuple):
    """A claim against the log. `lacking` are the entries that are neither in the package nor erased.

    `entries` is how many such entries the log has; None when it could not be counted without the log, or when the
    claim goes beyond what is published.
    """

    claim: Claim
    entries: int | None
    disclosed: int
    erased: int
    lacking: tuple[int, ...]

    @property
    def complete(self) -> bool | None:
        """Whether nothing that was claimed was kept back; None when that cannot be told."""
        if self.lacking:
            return False
        return None if self.entries is None else True


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a package found: a verdict for each item, a count for each claim."""

    items: tuple[ItemVerdict, ...]
    claims: tuple[Counted, ...]

    @property
    def record(self) -> Record:
        """The worst of it: altered by any mismatch; cannot check what is missing, incomplete or not to be told."""
        words = {item.word for item in self.items}
        if "mismatch" in words:
            return "altered"
        unclear = words & {"missing", "not yet published"} or not all(each.complete for each in self.claims)
        return "cannot check" if unclear else "intact"


def check_disclosure(disclosure: Disclosure, history: History) -> Checked:
    """Hold a package against the published log, which was read with `disclosed=disclosure.contents`.

    Raises `ProofMismatch` for a package of another log, `Fork` when the checkpoint it was made under is of another
    history, and as `open_checkpoint`.
    """
    _check_same_log(disclosure, history)
    size = history.log.checkpoint.size
    items: list[ItemVerdict] = []
    own: dict[bytes, int] = {}
    for index, entry in sorted(disclosure.entries.items()):
        own[Statement.parse(entry).event_id] = index
        items += _against_log(index, entry, disclosure, history)
    for event_id in disclosure.events.keys() - own.keys():
        found = history.index.find(event_id)
        if found is not None:
            items += _against_log(found.idx, None, disclosure, history)
        else:
            early = disclosure.size > size
            text = "" if early else "no entry of the log is about this event"
            word: Word = "not yet published" if early else "mismatch"
            items.append(ItemVerdict(None, "", event_id.hex(), "", word, detail=text))
    items += _strays(disclosure)
    return Checked(tuple(items), tuple(_counted(claim, disclosure, history) for claim in disclosure.claims))


def verify_offline(disclosure: Disclosure, policy: Policy) -> Checked:
    """Verify a package with nothing but a policy: each entry by its proof, its signature by the keys in the package.

    What an erasure in the package names is erased; of later ones, of keys that were retired in between and of whether
    anything was kept back only the log can tell. Raises as `open_checkpoint` for the checkpoint that it was made under,
    and `QuorumNotMet`.
    """
    checkpoint = open_checkpoint(disclosure.checkpoint, policy)
    signers = _Signers(LogSigners(policy, checkpoint.origin))
    erased: dict[bytes, int] = {}
    wrong: dict[int, str] = {}
    notes: dict[int, str] = {}
    for index, entry in sorted(disclosure.entries.items()):
        statement = Statement.parse(entry)
        event = disclosure.events.get(statement.event_id)
        try:
            _prove(index, entry, statement, disclosure, policy)
            notes[index] = signers.judge(index, statement, event)
        except QuorumNotMet:
            raise
        except LedgerError as error:
            wrong[index] = str(error)
            continue
        if statement.type == ERASURE and event is not None:
            for target in targets_of(event):
                erased.setdefault(target, index)
    items: list[ItemVerdict] = []
    for index, entry in sorted(disclosure.entries.items()):
        statement = Statement.parse(entry)
        by = erased.get(statement.event_id)
        word: Word = "sealed" if statement.sealed else "missing"
        if index in wrong:
            word = "mismatch"
        elif by is not None:
            word = "erased"
        elif statement.event_id in disclosure.events:
            word = "disclosed"
        own = statement.event_id.hex()
        items.append(ItemVerdict(index, statement.type, own, "", word, by, wrong.get(index) or notes[index]))
        items += _fields(index, statement, disclosure, erased, by)
    known = {Statement.parse(entry).event_id for entry in disclosure.entries.values()}
    for event_id in disclosure.events.keys() - known:
        text = "the package has no entry of this event, and so no proof"
        items.append(ItemVerdict(None, "", event_id.hex(), "", "mismatch", detail=text))
    items += _strays(disclosure)
    return Checked(tuple(items), tuple(Counted(claim, None, 0, 0, ()) for claim in disclosure.claims))


def _check_same_log(disclosure: Disclosure, history: History) -> None:
    log = history.log
    made, now = open_checkpoint(disclosure.checkpoint, log.policy), log.checkpoint
    if made.origin != now.origin:
        msg = f"disclosure of log {made.origin}: held against {now.origin}"
        raise ProofMismatch(msg)
    if made.size <= now.size and tree_root(made.size, log.reader) != made.root:
        msg = f"{now.origin}: the checkpoint of size {now.size} does not extend the package's one of size {made.size}"
        raise forked(msg, made, now, log.reader)


def _against_log(index: int, entry: bytes | None, disclosure: Disclosure, history: History) -> Iterator[ItemVerdict]:
    statement = None if entry is None else Statement.parse(entry)
    if index >= history.log.checkpoint.size:
        if statement is not None:
            yield ItemVerdict(index, statement.type, statement.event_id.hex(), "", "not yet published")
        return
    reading = history.reading(index)
    if entry is not None and statement is not None and reading.entry != entry:
        text = f"the log has another entry at #{index}"
        yield ItemVerdict(index, statement.type, statement.event_id.hex(), "", "mismatch", detail=text)
        return
    statement = reading.statement
    if statement is None:
        return
    own = statement.event_id
    by = history.index.erased([own]).get(own)
    wrong = next((finding.detail for finding in history.findings_at(index) if finding.altered), "")
    word: Word = "mismatch" if wrong else "erased" if by is not None else reading.status
    yield ItemVerdict(index, statement.type, own.hex(), "", word, by, wrong or reading.problem)
    addresses = list(_commits(disclosure.events.get(own)).values())
    yield from _fields(index, statement, disclosure, history.index.erased(addresses), by)


def _fields(
    index: int, statement: Statement, disclosure: Disclosure, erased: Mapping[bytes, int], whole: int | None
) -> Iterator[ItemVerdict]:
    """The personal fields of an event that is in the package; `whole` erased the event, and all of them with it."""
    for field, address in _commits(disclosure.events.get(statement.event_id)).items():
        by = erased.get(address, whole)
        word: Word = "erased" if by is not None else "disclosed" if address in disclosure.items else "sealed"
        yield ItemVerdict(index, statement.type, statement.event_id.hex(), field, word, by)


def _strays(disclosure: Disclosure) -> Iterator[ItemVerdict]:
    """Vault items that no event in the package commits to: they prove nothing."""
    known = {address for event in disclosure.events.values() for address in _commits(event).values()}
    for address in sorted(disclosure.items.keys() - known):
        text = f"no event in the package commits to the item {address.hex()}"
        yield ItemVerdict(None, "", "", "?", "mismatch", detail=text)


def _counted(claim: Claim, disclosure: Disclosure, history: History) -> Counted:
    size = history.log.checkpoint.size
    found = [entry for entry in history.index.of_type(*claim.types, start=claim.start) if entry.idx < claim.stop]
    gone = history.index.erased(entry.event_id for entry in found)
    here = {entry.idx for entry in found if entry.event_id in disclosure.events and entry.event_id not in gone}
    lacking = tuple(entry.idx for entry in found if entry.idx not in here and entry.event_id not in gone)
    return Counted(claim, len(found) if claim.stop <= size else None, len(here), len(gone), lacking)


def _prove(index: int, entry: bytes, statement: Statement, disclosure: Disclosure, policy: Policy) -> None:
    """Raise unless the entry stands at `index` of the package's log, and is a statement for that log."""
    proof = Proof.parse(disclosure.proofs[index])
    checkpoint = proof.verify(entry, policy)
    if proof.index != index or checkpoint.origin != disclosure.origin or statement.origin != disclosure.origin:
        msg = f"entry #{index}: proven as #{proof.index} of {checkpoint.origin}, made for {statement.origin}"
        raise ProofMismatch(msg)


class _Signers:
    """Keys by position, as far as the entries of a package tell, read in their order."""

    def __init__(self, log_keys: LogSigners) -> None:
        self._log_keys = log_keys
        self._parties = Parties(lambda _: None)

    def judge(self, index: int, statement: Statement, event: bytes | None) -> str:
        """Verify a signature; what is to be known of its key, "" when nothing is. Raises as `Parties.judge`."""
        if index == 0 or statement.type.startswith("log."):
            self._log_keys.verify(index, statement, event)
            return ""
        said = None
        if event is not None and statement.type == "party.register":
            self._parties.add(party_of(statement.event_id, index, event))
        elif event is not None and statement.type == "party.keys":
            said = KeyEvent.read(statement.event_id, event)
        if self._parties.get(bytes.fromhex(statement.issuer)) is None:
            return f"signature not checked: the registration of {statement.issuer} is not in the package"
        verdict = self._parties.judge(statement, index, said)
        if said is not None:
            self._parties.change(said, statement, index, "")
        return "" if verdict.word == "valid" else verdict.text


def _commits(event: bytes | None) -> dict[str, bytes]:
    """The personal fields of an event, each with the address of its item; what is none is left out."""
    value: Any = {} if event is None else orjson.loads(event)
    found: dict[str, bytes] = {}
    for field, address in value.get("commits", {}).items():
        with suppress(TypeError, ValueError):
            found[field] = bytes.fromhex(address)
    return found
