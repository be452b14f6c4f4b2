"""Judging the signatures of a log in its order: each by the keys that were valid at its position."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

import orjson

from ledger.errors import MalformedError, UnknownKey
from ledger.note import VerifierKey
from ledger.policy import LogLine, Policy, parse_log_key
from provenance.events import Unknown, read_event
from provenance.events.log import LogGenesis, LogKeys
from provenance.identity import KeyEvent, Parties, Party, party_of
from provenance.keys import PublicKey
from provenance.statement import Statement

__all__ = ["LogSigners", "Signatures"]


class LogSigners:
    """The keys that sign a log's own statements, each at the positions that a policy knows it for.

    A policy with the ML-DSA-44 key alone names none that signs statements: then genesis and `log.keys` do, which the
    tree holds that this key has signed. Give it the log's own entries in their order.
    """

    def __init__(self, policy: Policy, origin: str) -> None:
        self._lines: dict[VerifierKey, LogLine] = {
            line.key: line for line in policy.spans(origin) if isinstance(line.key, VerifierKey)
        }
        self._learns = not self._lines

    def verify(self, index: int, statement: Statement, event: bytes | None) -> None:
        """Raise `UnknownKey` unless a key of the log that signed at `index` made it, `InvalidSignature` if it did not.

        The first key signs up to the entry that hands over to the next. `event` is what the statement is about, where
        that can be read.
        """
        said = read_event(event) if self._learns and event is not None else None
        if isinstance(said, LogGenesis) and index == 0:
            self._learn(index, said.body.log_keys, ())
        known = [(key, line) for key, line in self._lines.items() if _public(key).kid == statement.kid]
        for key, line in known:
            if line.first <= index and (line.last is None or index < line.last):
                statement.verify(_public(key))
                if isinstance(said, LogKeys):
                    self._learn(index + 1, said.body.log_keys, said.body.retired)
                return
        why = "no log key at this position" if known else "no log key"
        msg = f"statement at #{index}: {statement.type} is signed by key {statement.kid.hex()}, {why}"
        raise UnknownKey(msg)

    def _learn(self, since: int, keys: Iterable[str], retired: Iterable[str]) -> None:
        for text in (*keys, *retired):
            key = parse_log_key(text)
            if isinstance(key, VerifierKey):
                self._lines.setdefault(key, LogLine(key, first=since))
        for text in retired:
            key = parse_log_key(text)
            if isinstance(key, VerifierKey):
                self._lines[key] = replace(self._lines[key], last=since)


@lru_cache(maxsize=64)
def _public(key: VerifierKey) -> PublicKey:
    return PublicKey.from_ed25519(key.public)


class Signatures:
    """Give it every entry, from the first one on; parties become known as they are registered.

    With `find`, which returns a party by its id with all its keys, it may begin anywhere. `late` are the statements
    that were accepted with a key which was retired when they were logged, or is suspect: (index, what it is).
    """

    def __init__(self, policy: Policy, origin: str, *, find: Callable[[bytes], Party | None] = lambda _: None) -> None:
        self._origin = origin
        self._log_keys = LogSigners(policy, origin)
        self._parties = Parties(find)
        self._market: bytes | None = None
        self._time = ""
        self.late: list[tuple[int, str]] = []

    def verify(self, index: int, statement: Statement, event: bytes | None) -> None:
        """Raise unless the statement was made for this log, by a key that its issuer had at this position or before.

        `event` is what it is about, None when that cannot be read. Raises `MalformedError` for another log's statement,
        `UnknownKey`, `InvalidSignature`.
        """
        if statement.origin != self._origin:
            msg = f"statement at #{index}: made for log {statement.origin}, want {self._origin}"
            raise MalformedError(msg)
        if statement.type == "party.register" and event is not None:
            self._register(index, statement, event)
        if index == 0 or statement.type.startswith("log."):
            self._log_keys.verify(index, statement, event)
            if statement.type == "log.time" and event is not None:
                self._time = _time(event)
            return
        said = KeyEvent.read(statement.event_id, event) if statement.type == "party.keys" and event else None
        verdict = self._parties.judge(statement, index, said)
        if verdict.word != "valid":
            self.late.append((index, verdict.text))
        if said is not None:
            self._change(index, statement, said)

    def _register(self, index: int, statement: Statement, event: bytes) -> None:
        try:
            read = read_event(event)
            if not isinstance(read, Unknown) and read.type == "party.register":
                party = party_of(statement.event_id, index, event)
                if party.kind == "market" and self._market is None:
                    self._market = party.id
                # What the market keeps for others signs nothing, and there may be millions of them.
                if party.keys or party.rotation or party.custodian != self._market:
                    self._parties.add(party)
        except MalformedError as error:
            msg = f"party at #{index}: {error}"
            raise UnknownKey(msg) from error

    def _change(self, index: int, statement: Statement, said: KeyEvent) -> None:
        """Let keys change, as far as that counts: what does not is no fault of the signature."""
        issuer = bytes.fromhex(statement.issuer)
        if said.reason == "claim" and issuer == self._market and self._parties.get(said.prev) is None:
            # One of the millions that the market kept for others.
            self._parties.add(Party(said.prev, 0, "", {}, custodian=issuer))
        self._parties.change(said, statement, index, self._time)


def _time(event: bytes) -> str:
    try:
        return str(orjson.loads(event)["body"]["time"])
    except (KeyError, TypeError, ValueError):
        return ""
