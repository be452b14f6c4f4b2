"""A published log, read from its first entry to the last and judged, with nothing but public files and a policy.

What it finds is indexed in memory, so that the same queries answer an auditor and an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from ledger.client import Client
from ledger.errors import LedgerError, MalformedError, UnknownKey
from ledger.note import Note
from ledger.policy import parse_log_key
from ledger.tile import WIDTH
from provenance.assent import PATIENCE
from provenance.before import Before
from provenance.erasures import ERASURE, can_be_erased, tombstones_of
from provenance.events import Unknown, read_event
from provenance.events.log import LogKeys
from provenance.events.vocabulary import ALWAYS_OPEN
from provenance.identity import (
    ENDED,
    KeyEvent,
    Mandate,
    Mandates,
    Parties,
    Party,
    Revoked,
    may_speak,
    party_of,
    territories_of,
    works_of,
)
from provenance.index import Facts, Index, facts_of
from provenance.index.facts import facts_left
from provenance.item import Item
from provenance.moments import Moment, later, size_at
from provenance.questions import Asks
from provenance.readings import ItemStatus, Reading, Readings
from provenance.rules import check_refs, targets
from provenance.signatures import LogSigners
from provenance.statement import Statement
from provenance.vocabularies import BUILT_IN, SAYS_WORDS, vocabularies_at

__all__ = ["Finding", "History"]

Progress = Callable[[int, int], None]
_INDEX_EVERY = 16 * WIDTH
_ABOUT_MANDATES = frozenset({"mandate.grant", "mandate.revoke", "assent.answer"})
_LATE = frozenset({"party.keys.deactivated", "party.keys.prev", "party.keys.window"})  # may have held when accepted


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one entry. `altered` is False where it merely cannot be checked."""

    index: int
    rule: str
    detail: str
    altered: bool = True


class History(Asks):
    """Everything that a log says up to one checkpoint; made by `History.read`.

    `findings` are what is wrong with what was logged, in its order; `statuses` counts what became of the events.
    `market` is the id of the party that keeps this log's market: the first one registered as such, "" when none is.
    """

    def __init__(self, log: Client, disclosed: Mapping[bytes, bytes]) -> None:
        self.log = log
        self.disclosed = disclosed
        self.findings: list[Finding] = []
        self.statuses: dict[ItemStatus, int] = {}
        self.market = ""
        self._sealed: frozenset[str] = frozenset()
        self._last_time = ""
        self._vocabularies = BUILT_IN  # in use at the entry that is judged
        self._pending: dict[bytes, str] = {}  # types of the events that were judged and are not indexed yet
        self._named: dict[bytes, bytes | None] = {}  # what erasures name, each with its tombstone
        self._unread: set[str] = set()  # parties whose keys only a later version can read
        self._unclear: set[str] = set()  # parties of which some change of keys or mandate cannot be read
        self._unheard: set[str] = set()  # parties of which some answer cannot be read
        self._index = Index.in_memory()
        self._parties = Parties(lambda _: None)
        self._mandates = Mandates()
        self._log_keys = LogSigners(log.policy, log.checkpoint.origin)
        self._handed_over = {line.last for line in log.policy.spans(log.checkpoint.origin)}  # as links say
        self._readings = Readings(log, self.disclosed)

    @classmethod
    def read(
        cls, log: Client, *, disclosed: Mapping[bytes, bytes] | None = None, progress: Progress | None = None
    ) -> History:
        """Read and judge every entry under `log.checkpoint`. Every entry is proven to be in the log first.

        `disclosed` are events and vault items (bytes by SHA-256) that somebody entitled was given; they count as if
        they were published. Raises what `Client` raises for bytes that are not the log's; what is wrong with what was
        logged is collected in `findings`. `progress` is called with (entries read, entries in all).
        """
        history = cls(log, disclosed or {})
        size = log.checkpoint.size
        facts: list[Facts] = []
        first = 0
        for reading in history.readings(0, size):
            facts.append(history._judge(reading))
            history._pending.setdefault(facts[-1].event_id, facts[-1].type)
            if len(facts) == _INDEX_EVERY:
                history._index.write(first, facts)
                history._pending.clear()
                first, facts = reading.index + 1, []
                if progress is not None:
                    progress(first, size)
        history._index.write(first, facts)
        history._settle_erased()
        history._flag_suspects()
        if progress is not None:
            progress(size, size)
        return history

    def before(self, at: Moment = None) -> Before:
        """Everything that was logged by a moment, as far as it was disclosed; None is the checkpoint."""
        index = self._index.at(size_at(self._index, at))
        time = index.time_of(index.size - 1) if index.size else ""
        return Before(index, self._event_of, market=bytes.fromhex(self.market), time=time)

    def _event_of(self, event_id: bytes) -> bytes | None:
        entry = self._index.find(event_id)
        return None if entry is None else self.event_at(entry.idx)

    # A source for `provenance.lineage`

    @property
    def index(self) -> Index:
        """Queries over what was read."""
        return self._index

    def readings(self, start: int, stop: int) -> Iterator[Reading]:
        """Entries `[start, stop)` as published, in order, each proven to be in the log."""
        return self._readings.between(start, stop)

    def reading(self, idx: int) -> Reading:
        """One entry again."""
        return next(self.readings(idx, idx + 1))

    def event_at(self, idx: int) -> bytes | None:
        """The event of an entry, None when it cannot be read."""
        return self.reading(idx).event

    def status_at(self, idx: int) -> ItemStatus:
        """What became of an entry's event."""
        return self.reading(idx).status

    def item(self, address: bytes) -> Item | None:
        """A vault item that was disclosed, None otherwise, and for one that is erased."""
        data = None if address in self._named else self.disclosed.get(address)
        if data is None or sha256(data).digest() != address:
            return None
        try:
            return Item.parse(data)
        except MalformedError:
            return None  # an event committed to bytes that are no item: there is nothing in them

    def value_of(self, address: bytes) -> str | None:
        """Text of a vault item that was disclosed, None otherwise, and for one that is erased."""
        item = self.item(address)
        return item.value if item is not None and isinstance(item.value, str) else None

    def findings_at(self, idx: int) -> list[Finding]:
        """What is wrong with one entry."""
        return [finding for finding in self.findings if finding.index == idx]

    # Judging

    def _judge(self, reading: Reading) -> Facts:
        idx, statement = reading.index, reading.statement
        self.statuses[reading.status] = self.statuses.get(reading.status, 0) + 1
        if reading.problem:
            self._find(idx, f"event.{reading.status.replace(' ', '-')}", reading.problem, reading.status == "mismatch")
        if statement is None:
            return Facts(b"", "", b"", False, "", "", (), (), "")
        if statement.origin != self.log.checkpoint.origin:
            self._find(idx, "statement.log", f"statement #{idx} was made for log {statement.origin}")
        facts = facts_of(
            event_id=statement.event_id,
            type=statement.type,
            issuer=statement.issuer,
            sealed=statement.sealed,
            event=reading.event,
        )
        if reading.event is None and statement.type in {"mandate.grant", "mandate.revoke"}:
            self._unclear.add(statement.issuer)  # missing or erased: no agent is to blame for it
        if reading.event is None and statement.type == "assent.answer":
            self._unheard.add(statement.issuer)
        if reading.event is not None:
            self._judge_event(idx, statement, reading.event, facts)
            if statement.type == ERASURE:
                for target, tombstone in tombstones_of(reading.event).items():
                    self._named.setdefault(target, tombstone)
        self._judge_signature(idx, statement, reading.event)
        if idx and statement.sealed != (statement.type in self._sealed):
            word = "sealed" if statement.sealed else "not sealed"
            self._find(idx, "statement.sealed", f"statement #{idx} is {word}, against the policy in the genesis event")
        return facts

    def _judge_event(self, idx: int, statement: Statement, data: bytes, facts: Facts) -> None:
        try:
            event = read_event(data, vocabularies=self._vocabularies)
        except MalformedError as error:
            self._find(idx, "event.malformed", f"event #{idx}: {error}")
            return
        if isinstance(event, Unknown):
            text = (
                f"event #{idx}: {event.type} with {', '.join(event.unknown_fields) or 'a type'} unknown to this version"
            )
            self._find(idx, "event.unknown", text, altered=False)
        else:
            for reason in event.broken_rules(self._vocabularies):
                self._find(idx, reason.rule, f"event #{idx}: {reason.sentence}")
        for what, got, want in (
            ("type", statement.type, event.type),
            ("log", event.ledger, self.log.checkpoint.origin),
        ):
            if got != want:
                self._find(idx, f"statement.{what}", f"statement #{idx}: {what} is {got}, the event has {want}")
        if event.type in SAYS_WORDS:
            self._vocabularies = vocabularies_at([data], self._vocabularies)
        speaks = self._judge_speaker(idx, statement, data, event.actor)
        wanted = targets([facts])
        known = self._index.known(wanted) | {i: self._pending[i] for i in wanted & self._pending.keys()}
        for reason in check_refs([facts], known):
            self._find(idx, reason.rule, f"event #{idx}: {reason.sentence}")
        if facts.event_id in self._pending or self._index.find(facts.event_id):
            self._find(idx, "G6.twice", f"event #{idx}: {facts.event_id.hex()} is in the log already")
        if idx == 0:
            sealed = orjson.loads(data)["body"].get("sealed")
            self._sealed = frozenset(map(str, sealed)) if isinstance(sealed, list) else frozenset()
        if event.type == "log.time":
            if facts.time < self._last_time:
                self._find(idx, "log.time", f"log time #{idx} is {facts.time}, after {self._last_time}")
            self._last_time = facts.time
        if event.type in _ABOUT_MANDATES and speaks and event.actor != "self":
            self._add_mandate(idx, statement, data, known=not isinstance(event, Unknown))
        if event.type == "party.register":
            self._add_party(idx, statement.event_id, data, known=not isinstance(event, Unknown))

    def _add_party(self, idx: int, event_id: bytes, data: bytes, *, known: bool) -> None:
        """Add the party. One that a later version wrote may have keys that nobody here can read: no fault of it."""
        try:
            if not known:
                _check_party(orjson.loads(data)["body"])
            party = party_of(event_id, idx, data)
        except MalformedError as error:
            self._find(idx, "party.keys", f"event #{idx}: {error}", altered=known)
            if not known:
                self._unread.add(event_id.hex())
            return
        self._parties.add(party)
        if party.kind == "market" and not self.market:
            self.market = event_id.hex()

    def _judge_speaker(self, idx: int, statement: Statement, data: bytes, actor: str) -> bool:
        """Whether the signer is the event's actor, or may speak for it."""
        if statement.issuer == (statement.event_id.hex() if actor == "self" else actor):
            return True
        if actor == "self" or idx == 0 or statement.type.startswith("log."):
            self._find(idx, "statement.actor", f"statement #{idx}: issuer is {statement.issuer}, the event has {actor}")
            return False
        known = _Known(idx, self._last_time, self._parties, self._mandates)
        event = orjson.loads(data)
        by, whose, works = bytes.fromhex(statement.issuer), bytes.fromhex(actor), list(works_of(event))
        reason = may_speak(by, whose, statement.type, works, known, territories=territories_of(event))
        if reason is not None:
            text = f"statement #{idx}: {reason.sentence} ({reason.rule})"
            unclear = actor in self._unclear  # what it granted cannot be read here
            unclear |= reason.rule == "mandate.pending" and statement.issuer in self._unheard
            self._find(idx, "statement.actor", text, altered=not unclear and reason.rule not in ENDED)
        return reason is None

    def _add_mandate(self, idx: int, statement: Statement, data: bytes, *, known: bool) -> None:
        """A mandate, an answer to one, or the end of one, that was said by whoever may.

        What a later version wrote may be narrower than it looks: it grants nothing here, and its agent is not blamed.
        """
        event, event_id = orjson.loads(data), statement.event_id
        if event["type"] == "assent.answer":
            yes, party = known and event["body"]["answer"] == "yes", bytes.fromhex(event["actor"])
            for ref in event["refs"]:
                if ref["role"] == "of" and isinstance(ref["id"], str):
                    self._mandates.answer(bytes.fromhex(ref["id"]), party, yes=yes, time=self._last_time)
            return
        if event["type"] == "mandate.grant":
            if not known:
                self._unclear.add(event["actor"])
                return
            with suppress(MalformedError):
                mandate = Mandate.read(event_id, idx, data)
                agent, signer = self._parties.get(mandate.agent), bytes.fromhex(statement.issuer)
                if mandate.agent != signer and (agent is None or agent.guardian(idx) != signer):
                    until = later(self._last_time, PATIENCE)
                    mandate = replace(mandate, state="pending", answer_by=until)
                self._mandates.grant(mandate)
            return
        for ref in event["refs"]:
            if ref["role"] == "mandate" and isinstance(ref["id"], str):
                self._mandates.revoke(bytes.fromhex(ref["id"]), Revoked(event_id, idx), bytes.fromhex(event["actor"]))

    def _change_keys(self, idx: int, statement: Statement, said: KeyEvent) -> None:
        for reason in self._parties.change(said, statement, idx, self._last_time):
            self._find(idx, reason.rule, f"event #{idx}: {reason.sentence}", altered=reason.rule not in _LATE)

    def _key_event(self, idx: int, statement: Statement, event: bytes | None) -> KeyEvent | None:
        """What a party.keys says. One that a later version wrote may have keys that nobody here can read."""
        if statement.type != "party.keys":
            return None
        if event is None:
            self._unclear.add(statement.issuer)  # that it is not here was found before
            return None
        try:
            return KeyEvent.read(statement.event_id, event)
        except MalformedError as error:
            known = not isinstance(read_event(event), Unknown)
            self._find(idx, "party.keys", f"event #{idx}: {error}", altered=known)
            self._unread.add(statement.issuer)
            return None

    def _settle_erased(self) -> None:
        """Tell what is erased from what is missing: the erasure comes later in the log than what it names."""
        left: dict[int, Facts] = {}
        for event_id, tombstone in self._named.items():
            entry = self._index.find(event_id)
            reading = None if entry is None else self.reading(entry.idx)
            said = None if reading is None else reading.statement
            if reading is None or said is None or reading.status == "mismatch":
                continue
            if can_be_erased(said.type, sealed=said.sealed):
                left[reading.index] = facts_left(
                    event_id=event_id, type=said.type, issuer=said.issuer, tombstone=tombstone
                )
                if reading.event is not None:
                    text = f"event #{reading.index} ({said.type}) is erased in the log and still published"
                    self._find(reading.index, "event.not-erased", text, altered=False)
            elif said.sealed and not said.type.startswith(ALWAYS_OPEN):
                if reading.event is not None:  # somebody was given it before: nothing of it counts any more
                    left[reading.index] = facts_left(
                        event_id=event_id, type=said.type, issuer=said.issuer, tombstone=None
                    )
            else:
                continue
            self._readings.gone.add(event_id)
            self.statuses[reading.status] -= 1
            self.statuses["erased"] = self.statuses.get("erased", 0) + 1
            if not self.statuses[reading.status]:
                del self.statuses[reading.status]
        self._index.leave(left)
        absent = {"event.missing", "event.not-yet-published"}
        self.findings = [f for f in self.findings if f.index not in left or f.rule not in absent]
        self.findings.sort(key=lambda finding: finding.index)

    def _flag_suspects(self) -> None:
        """Flag what was signed with keys that turned out, later in the log, to be compromised or void."""
        parties = {party.id.hex(): party for party in self._parties.changed()}
        since = [first for party in parties.values() if (first := party.suspect_since) is not None]
        if not since:
            return
        for reading in self.readings(min(since), self.log.checkpoint.size):
            said = reading.statement
            party = None if said is None else parties.get(said.issuer)
            if said is None or party is None or said.type == "party.keys":
                continue
            verdict = party.judge(said.kid, reading.index)
            if verdict.word == "suspect":
                text = f"statement #{reading.index}: {verdict.text}"
                self._find(reading.index, "statement.suspect-key", text, altered=False)
        self.findings.sort(key=lambda finding: finding.index)

    def _judge_signature(self, idx: int, statement: Statement, event: bytes | None) -> None:
        said = self._key_event(idx, statement, event)
        if idx + 1 in self._handed_over and statement.type != "log.keys":
            text = f"entry #{idx} is a {statement.type}; a link from another history says that keys changed here"
            self._find(idx, "log.keys", text)
        try:
            if idx == 0 or statement.type.startswith("log."):
                if statement.type == "log.genesis" and idx:
                    self._find(idx, "log.genesis", f"entry #{idx} is a second genesis")
                if idx == 0 and statement.type != "log.genesis":
                    self._find(idx, "log.genesis", f"entry #0 is a {statement.type}, want log.genesis")
                self._log_keys.verify(idx, statement, event)
                if statement.type == "log.keys" and event is not None:
                    self._check_signer(idx, event)
            elif statement.issuer in self._unread:
                text = f"statement #{idx}: this version cannot read the keys of its issuer {statement.issuer}"
                self._find(idx, "statement.signature", text, altered=False)
            else:
                verdict = self._parties.judge(statement, idx, said)
                if verdict.word == "retired":
                    text = f"statement #{idx}: {verdict.text}"
                    self._find(idx, "statement.retired-key", text, altered=False)
                if said is not None:
                    self._change_keys(idx, statement, said)
        except LedgerError as error:
            unclear = isinstance(error, UnknownKey) and statement.issuer in self._unclear
            self._find(idx, "statement.signature", str(error), altered=not unclear)

    def _check_signer(self, idx: int, event: bytes) -> None:
        """Whether the checkpoint that all this is read under is signed by the keys that the log handed over to here."""
        said = read_event(event)
        if not isinstance(said, LogKeys) or self.log.checkpoint.size <= idx + 1:
            return
        signers = {(line.name, line.key_id) for line in Note.parse(self.log.checkpoint.signed).signatures}
        retired = {(key.name, key.key_id) for key in map(parse_log_key, said.body.retired)}
        if by := sorted(key_id.hex() for _, key_id in signers & retired):
            size = self.log.checkpoint.size
            self._find(idx, "log.keys", f"entry #{idx} retired key {by[0]}, which signed the checkpoint of size {size}")

    def _find(self, idx: int, rule: str, detail: str, altered: bool = True) -> None:
        self.findings.append(Finding(idx, rule, detail, altered))


class _Known(NamedTuple):
    """Parties and mandates just before an entry: what `may_speak` asks."""

    place: int
    time: str
    parties: Parties
    granted: Mandates

    def party(self, party_id: bytes) -> Party | None:
        return self.parties.get(party_id)

    def mandates(self, principal: bytes, agent: bytes) -> list[Mandate]:
        return self.granted.between(principal, agent)


def _check_party(body: dict[str, Any]) -> None:
    """Raise `MalformedError` unless kind and keys have the JSON types that `party_of` takes for granted."""
    keys = body.get("keys")
    if not isinstance(body.get("kind"), str) or not isinstance(keys, list) or not all(type(k) is dict for k in keys):
        msg = "body: want a kind, and a list of keys that are objects"
        raise MalformedError(msg)
