"""Judging the signatures of a log in its order: each by the keys that were valid at its position."""

from __future__ import annotations

from collections.abc import Callable

from ledger.errors import MalformedError, UnknownKey
from ledger.policy import Policy
from provenance.events import Unknown, read_event
from provenance.identity import Parties, Party, party_of
from provenance.keys import PublicKey
from provenance.statement import Statement

__all__ = ["Signatures"]


class Signatures:
    """Give it every entry, from the first one on; parties become known as they are registered.

    With `find`, which returns a party by its id, it may begin anywhere.
    """

    def __init__(self, policy: Policy, origin: str, *, find: Callable[[bytes], Party | None] = lambda _: None) -> None:
        self._origin = origin
        keys = (PublicKey.from_ed25519(key.public) for key in policy.keys(origin))
        self._log_keys = {key.kid: key for key in keys}
        self._parties = Parties(find)

    def verify(self, index: int, statement: Statement, event: bytes | None) -> None:
        """Raise unless the statement was made for this log, by a key that its issuer had at this position.

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
        else:
            self._parties.verify(statement, index)

    def _register(self, index: int, statement: Statement, event: bytes) -> None:
        try:
            read = read_event(event)
            if not isinstance(read, Unknown) and read.type == "party.register":
                party = party_of(statement.event_id, index, event)
                if party.keys:  # a custodial one signs nothing, and there may be millions
                    self._parties.add(party)
        except MalformedError as error:
            msg = f"party at #{index}: {error}"
            raise UnknownKey(msg) from error
