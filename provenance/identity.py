"""Who may sign what at which position: keys are events of the same log, so that order decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from ledger.errors import UnknownKey
from provenance.keys import PublicKey
from provenance.statement import Statement

__all__ = ["Parties", "Party", "party_of", "verify_by"]


@dataclass(frozen=True, slots=True)
class Party:
    """A registered party: its id, where it was registered, and its keys by key id. A custodial party has none."""

    id: bytes
    index: int
    kind: str
    keys: dict[bytes, PublicKey]


def party_of(event_id: bytes, index: int, event: bytes) -> Party:
    """The party that a `party.register` event at this log position makes."""
    body: dict[str, Any] = orjson.loads(event)["body"]
    keys = [PublicKey.from_jwk(jwk) for jwk in body["keys"]]
    return Party(event_id, index, body["kind"], {key.thumbprint[:8]: key for key in keys})


class Parties:
    """Looks parties up and judges signatures by the keys valid at a log position.

    `find` returns the party with this id, or None; it may read the log. What it returns is kept.
    """

    def __init__(self, find: Callable[[bytes], Party | None]) -> None:
        self._find = find
        self._known: dict[bytes, Party] = {}

    def add(self, party: Party) -> None:
        """Make a party known that was just registered."""
        self._known.setdefault(party.id, party)

    def get(self, party_id: bytes) -> Party | None:
        """The party with this id, or None."""
        party = self._known.get(party_id)
        if party is None:
            party = self._find(party_id)
            if party is not None:
                self._known[party_id] = party
        return party

    def verify(self, statement: Statement, index: int) -> None:
        """Raise unless the statement's issuer had its key when the entry at `index` was logged, and it signed.

        `UnknownKey` when the issuer is not registered before `index` or never had such a key, `InvalidSignature`.
        """
        issuer = bytes.fromhex(statement.issuer)
        party = self.get(issuer)
        if party is None or party.index > index:
            msg = f"statement at #{index}: its issuer {statement.issuer} is not registered before it"
            raise UnknownKey(msg)
        verify_by(party, statement)


def verify_by(party: Party, statement: Statement) -> None:
    """Raise `UnknownKey` or `InvalidSignature` unless one of the party's keys signed the statement."""
    key = party.keys.get(statement.kid)
    if key is None:
        had = ", ".join(sorted(kid.hex() for kid in party.keys)) or "no key: it is custodial"
        msg = f"statement of {statement.issuer}: signed by key {statement.kid.hex()}, its issuer has {had}"
        raise UnknownKey(msg)
    statement.verify(key)
