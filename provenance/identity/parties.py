"""Looking parties up, and judging signatures by the keys that were valid at their place in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ledger.errors import UnknownKey
from provenance.errors import Reason
from provenance.identity.chain import KeyEvent, KeyVerdict, Party, party_of
from provenance.statement import Statement

if TYPE_CHECKING:
    from provenance.index import Index

__all__ = ["Parties", "has_changed", "key_events", "read_party", "registration_of", "verify_by"]

_LONGEST = 100_000  # events of one party's chain


class Parties:
    """Looks parties up and judges signatures by the keys valid at a log position.

    `find` returns the party with this id, or None, with all its keys so far; it may read the log. What it returns is
    kept. For a log that grows meanwhile, `changes` is how much of it was looked at for changes of keys: where that has
    become more, `newer` says whether any of them is this party's.

    Who reads a log from its first entry on has nothing to find: he tells what is registered (`add`) and how keys change
    (`change`) as it comes.
    """

    def __init__(
        self,
        find: Callable[[bytes], Party | None],
        *,
        changes: Callable[[], int] | None = None,
        newer: Callable[[Party], bool] = lambda _: False,
    ) -> None:
        self._find = find
        self._changes = changes
        self._newer = newer
        self._fresh: dict[bytes, int] = {}  # `changes` when a party was looked at last
        self._known: dict[bytes, Party] = {}
        self._chains: dict[bytes, bytes] = {}  # party by the id of each of its key events

    def add(self, party: Party) -> None:
        """Make a party known that was just registered."""
        self._known.setdefault(party.id, party)

    def get(self, party_id: bytes) -> Party | None:
        """The party with this id, or None."""
        party = self._known.get(party_id)
        if self._changes is None:
            return self._found(party_id) if party is None else party
        changes = self._changes()
        if party is None or (self._fresh.get(party_id) != changes and self._newer(party)):
            party = self._found(party_id)
        if party is not None:
            self._fresh[party_id] = changes
        return party

    def changed(self) -> list[Party]:
        """The known parties whose keys ever changed."""
        return [party for party in map(self._known.get, set(self._chains.values())) if party is not None]

    def change(self, said: KeyEvent, statement: Statement, index: int, time: str) -> tuple[Reason, ...]:
        """Let a `party.keys` event at `index` (log time `time`) take effect; why it does not where it does not count.

        Nothing is verified here: `judge` the statement first.
        """
        party = self._of_chain(said)
        if party is None:
            text = f"prev {said.prev.hex()} is no event of a party's keys"
            return (Reason("party.keys.prev", text, (said.event_id.hex(),)),)
        if any(state.event_id == said.event_id for state in party.changes):
            return ()  # it was found whole
        changed, reasons = party.follow(
            said, issuer=bytes.fromhex(statement.issuer), index=index, time=time, signer=statement.kid
        )
        self._known[party.id] = changed
        self._chains[said.event_id] = party.id
        return reasons

    def judge(self, statement: Statement, index: int, said: KeyEvent | None = None) -> KeyVerdict:
        """Verify the statement at `index`; what its key was to its issuer there: valid, retired or suspect.

        `said` is what it says where it is a `party.keys`: that is signed by another key than a party's other events.
        Raises `UnknownKey` when the issuer is not registered before `index`, never had such a key or has it only since,
        and `InvalidSignature`.
        """
        issuer = bytes.fromhex(statement.issuer)
        party = self.get(issuer)
        if party is None or party.index > index:
            msg = f"statement at #{index}: its issuer {statement.issuer} is not registered before it"
            raise UnknownKey(msg)
        if said is not None and said.reason != "claim":
            signers = party.signers(said)
            key = signers.get(statement.kid)
            if key is None:
                raise UnknownKey(_not_of(statement, signers))
            statement.verify(key)
            return KeyVerdict("valid", key)
        if not party.changes:
            key = party.keys.get(statement.kid)
            if key is not None:
                statement.verify(key)
                return KeyVerdict("valid", key)
        verdict = party.judge(statement.kid, index)
        if verdict.key is None or verdict.word == "early":
            again = self._find(issuer)  # the log may have grown since it was found
            if again is not None and again.changes != party.changes:
                self._known[issuer] = party = again
                verdict = party.judge(statement.kid, index)
        if verdict.key is None:
            raise UnknownKey(_not_of(statement, party.at(index).keys))
        statement.verify(verdict.key)
        if verdict.word == "early":
            msg = f"statement at #{index} of {statement.issuer}: {verdict.text}"
            raise UnknownKey(msg)
        return verdict

    def verify(self, statement: Statement, index: int, said: KeyEvent | None = None) -> None:
        """Raise unless the statement's issuer had its key when the entry at `index` was logged, and it signed.

        As `judge`, and `UnknownKey` when the key was retired before; the message says by which entry.
        """
        verdict = self.judge(statement, index, said)
        if verdict.word == "retired":
            msg = f"statement of {statement.issuer}: {verdict.text}; sign it with the key that is valid now"
            raise UnknownKey(msg)

    def _found(self, party_id: bytes) -> Party | None:
        party = self._find(party_id)
        if party is not None:
            self._known[party_id] = party
        return party

    def _of_chain(self, said: KeyEvent) -> Party | None:
        for party_id in (self._chains.get(said.prev), said.prev, said.actor):
            party = None if party_id is None else self.get(party_id)
            if party is not None and any(state.event_id == said.prev for state in (party.registered, *party.changes)):
                return party
        return self.get(said.actor)


def verify_by(party: Party, statement: Statement) -> None:
    """Raise `UnknownKey` or `InvalidSignature` unless a key that the party was registered with signed the statement."""
    key = party.keys.get(statement.kid)
    if key is None:
        raise UnknownKey(_not_of(statement, party.keys))
    statement.verify(key)


def registration_of(event_id: bytes, prev: Callable[[bytes], bytes | None]) -> bytes | None:
    """The registration at the beginning of a chain of keys; `prev` is what an event names as such, None if nothing.

    None for a chain longer than any party's.
    """
    for _ in range(_LONGEST):
        before = prev(event_id)
        if before is None:
            return event_id
        event_id = before
    return None


def read_party(
    party_id: bytes,
    index: Index,
    data: Callable[[bytes], bytes | None],
    statement: Callable[[int], Statement | None] = lambda _: None,
) -> Party | None:
    """A party with all its keys as far as `index` goes, None when there is none with this id that can be read.

    `data` gives the bytes of an event by its id; `statement` the one of an entry, None where it cannot be had: then a
    change counts as signed by the right key of its issuer. Raises `MalformedError` for keys that are none.
    """
    entry = index.find(party_id)
    event = None if entry is None or entry.type != "party.register" else data(party_id)
    if entry is None or event is None:
        return None
    party = party_of(party_id, entry.idx, event)
    for idx, event_id in sorted(key_events(party_id, index)):
        event = data(event_id)
        if event is None:
            continue
        said = KeyEvent.read(event_id, event)
        signed = statement(idx)
        issuer = (index.issuer_of(idx) or said.actor) if signed is None else bytes.fromhex(signed.issuer)
        signer = None if signed is None else signed.kid
        party, _ = party.follow(said, issuer=issuer, index=idx, time=index.time_of(idx), signer=signer)
    return party


def key_events(party_id: bytes, index: Index) -> Iterator[tuple[int, bytes]]:
    """Entry and id of every `party.keys` that goes back to this registration, whether it counts or not."""
    seen, ahead = {party_id}, [party_id]
    while ahead:
        for link in index.links_to(ahead.pop(), "prev"):
            entry = index.entry(link.source)
            if entry is not None and entry.type == "party.keys" and entry.event_id not in seen:
                seen.add(entry.event_id)
                ahead.append(entry.event_id)
                yield entry.idx, entry.event_id


def has_changed(party: Party, index: Index) -> bool:
    """Whether `index` knows of a key event behind those that count for this party; also of one that does not count."""
    known = {state.index for state in party.changes}
    return any(
        link.source not in known
        for state in (party.registered, *party.changes)
        for link in index.links_to(state.event_id, "prev")
    )


def _not_of(statement: Statement, keys: Iterable[bytes]) -> str:
    had = ", ".join(sorted(kid.hex() for kid in keys)) or "no key: it is custodial, or deactivated"
    return f"statement of {statement.issuer}: signed by key {statement.kid.hex()}, its issuer has {had}"
