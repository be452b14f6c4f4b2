"""Judging the signatures of a log in its order: each by the keys that were valid at its position."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from ledger.errors import MalformedError, UnknownKey
from ledger.policy import Policy
from provenance.events import Unknown, read_event
from provenance.identity import KeyEvent, Parties, Party, party_of
from provenance.keys import PublicKey
from provenance.statement import Statement

__all__ = ["Signatures"]


class Signatures:
    """Give it every entry, from the first one on; parties become known as they are registered.

    With `find`, which returns a party by its id with all its keys, it may begin anywhere. `late` are the statements
    that were accepted with a key which was retired when they were logged, or is suspect: (index, what it is).
    """

    def __init__(self, policy: Policy, origin: str, *, find: Callable[[bytes], Party | None] = lambda _: None) -> None:
        self._origin = origin
        keys = (PublicKey.from_ed25519(key.public) for key in policy.keys(origin))
        self._log_keys = {key.kid: key for key in keys}
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
            key = self._log_keys.get(statement.kid)
            if key is None:
                msg = f"statement at #{index}: {statement.type} is signed by key {statement.kid.hex()}, no log key"
                raise UnknownKey(msg)
            statement.verify(key)
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
