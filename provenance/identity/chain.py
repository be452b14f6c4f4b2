"""A party and its keys: a registration, and the `party.keys` events behind it, in the order of the log.

Which keys a party had at a position follows from the log alone. A change counts when it names the event before it as
`prev`, is signed as that event allows, and brings no key that was not announced where keys are announced. One that does
not count stays in the log, and changes nothing.

*Rotation keys* replace keys, strongest first; a party without any lets its own keys do so. *Pre-rotation*: where an
event has `next_key_hashes`, every key that the next one lists has one of these thumbprints, also one that it keeps: who
stole the keys of today cannot go on with them (did:webvh v1.0). *Recovery*: for 72 hours of log time a rotation key may
make void what a weaker one did: its event has the reason `recover` and names as `prev` the last event that shall stay.
What was signed with the keys that are void is flagged, and stays (did:plc v0.1). *Deactivation* takes all keys away; it
is final but for such a recovery. *Compromise* names the entry from which on the keys that it takes away, and those
taken away since, are suspect; a recovery may name one too.

A *custodial* party has no keys: whoever registered it, its custodian, acts for it. One event with the reason `claim`,
said by the custodian, hands it keys; from then on the custodian has no say.

Party ids are pairwise by default: a registration has a salt of its own, so that the ids which one person has in two
markets have nothing in common until she links them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import orjson

from ledger.errors import MalformedError
from provenance.errors import Reason
from provenance.keys import PublicKey

__all__ = ["RECOVERY", "KeyEvent", "KeySpan", "KeyState", "KeyVerdict", "Party", "party_of"]

RECOVERY = timedelta(hours=72)
"""Log time within which a stronger rotation key may void what a weaker one did (did:plc v0.1)."""

Word = Literal["valid", "retired", "early", "unknown", "suspect"]


class KeyVerdict(NamedTuple):
    """What a key was to a party at one position.

    valid · retired at the entry `at` · early: valid only behind the entry `at` · suspect because of the entry `at` ·
    unknown: never a key of it. `key` is None for unknown.
    """

    word: Word
    key: PublicKey | None = None
    at: int = 0

    @property
    def text(self) -> str:
        """In words: "key retired at #12"."""
        return {
            "valid": "key valid",
            "retired": f"key retired at #{self.at}",
            "early": f"key not yet valid: it is so only behind #{self.at}",
            "suspect": f"key suspect since #{self.at}",
            "unknown": "unknown key",
        }[self.word]


@dataclass(frozen=True, slots=True)
class KeyState:
    """The keys that a party has behind one event of its chain. A registration counts as one, with reason `register`."""

    event_id: bytes
    index: int
    reason: str
    keys: Mapping[bytes, PublicKey]
    """By key id: these sign statements."""
    rotation: tuple[PublicKey, ...] = ()
    """These sign `party.keys`, strongest first. Where there are none, `keys` do."""
    next_hashes: frozenset[bytes] = frozenset()
    """Thumbprints that the next keys must have, when there are any."""
    time: str = ""
    """Log time of the entry, RFC 3339; "" before the first, or for a registration."""
    signer: bytes = b""
    """Id of the key that signed the event, b"" when that is not known."""
    prev: bytes = b""
    voids: frozenset[bytes] = frozenset()
    """Events of the chain that this one made void."""
    suspect_from: int | None = None

    def rank(self, kid: bytes) -> int:
        """Place of a key among the rotation keys, 0 for the strongest; their number for any other key."""
        return next((rank for rank, key in enumerate(self.rotation) if key.kid == kid), len(self.rotation))

    @property
    def signers(self) -> dict[bytes, PublicKey]:
        """The keys, by key id, that may sign the next `party.keys`."""
        return {key.kid: key for key in self.rotation} or dict(self.keys)


class KeySpan(NamedTuple):
    """That a key was valid for statements behind the entry `first`, up to and with `last` (None: it still is)."""

    key: PublicKey
    first: int
    last: int | None


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """What a `party.keys` event says."""

    event_id: bytes
    actor: bytes
    prev: bytes
    reason: str
    keys: Mapping[bytes, PublicKey]
    rotation: tuple[PublicKey, ...]
    next_hashes: frozenset[bytes]
    suspect_from: int | None

    @classmethod
    def read(cls, event_id: bytes, data: bytes) -> KeyEvent:
        """Read its bytes. Raises `MalformedError` where keys or pointers are not what they should be."""
        try:
            event = orjson.loads(data)
            body = event["body"]
            prev = next(ref["id"] for ref in event["refs"] if ref["role"] == "prev")
            suspect = body.get("suspect_from")
            return cls(
                event_id,
                bytes.fromhex(event["actor"]),
                bytes.fromhex(prev),
                str(body["reason"]),
                _by_kid(body["keys"]),
                tuple(PublicKey.from_jwk(jwk) for jwk in body["rotation_keys"]),
                _hashes(body),
                suspect if isinstance(suspect, int) else None,
            )
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError) as error:
            msg = f"party.keys {event_id.hex()}: cannot be read: {error!s:.200}"
            raise MalformedError(msg) from error


@dataclass(frozen=True, slots=True)
class Party:
    """A registered party: its id, where it was registered, and the keys (by key id) it was registered with.

    `changes` are the states behind those `party.keys` events that count, in the order of the log, also those that a
    recovery made void later. `custodian` is who registered a party that has no keys.
    """

    id: bytes
    index: int
    kind: str
    keys: dict[bytes, PublicKey]
    rotation: tuple[PublicKey, ...] = ()
    next_hashes: frozenset[bytes] = frozenset()
    custodian: bytes | None = None
    changes: tuple[KeyState, ...] = ()

    # What keys it has

    @property
    def registered(self) -> KeyState:
        """The state it was registered with."""
        return KeyState(self.id, self.index, "register", self.keys, self.rotation, self.next_hashes)

    def at(self, index: int) -> KeyState:
        """The state that an entry at `index` finds; the registration's where that is later."""
        for state in reversed(self.changes):
            if state.index < index:
                return state
        return self.registered

    @property
    def state(self) -> KeyState:
        """The newest state."""
        return self.changes[-1] if self.changes else self.registered

    def until(self, size: int) -> Party:
        """The party as of this size of the log: later changes are not known."""
        if not self.changes or self.changes[-1].index < size:
            return self
        return replace(self, changes=tuple(state for state in self.changes if state.index < size))

    def guardian(self, index: int) -> bytes | None:
        """Who acts for it at `index` because it has no keys and never had: its custodian, until it is claimed."""
        return None if any(state.index < index for state in self.changes) else self.custodian

    def deactivated(self, index: int) -> int | None:
        """The entry by which it is deactivated at `index`, None when it is not."""
        state = self.at(index)
        return state.index if state.reason == "deactivate" else None

    def judge(self, kid: bytes, index: int) -> KeyVerdict:
        """What the key `kid` was to this party for a statement at `index`, as far as the chain is known.

        Later changes never make a key valid that was not; they may make it suspect.
        """
        state = self.at(index)
        key = state.keys.get(kid)
        if key is not None:
            because = self._suspect(state, kid, index)
            return KeyVerdict("valid", key) if because is None else KeyVerdict("suspect", key, because)
        known = None
        for state in reversed(self._states()):
            if state.index >= index and state.event_id != self.id:
                if kid in state.keys:
                    known = KeyVerdict("early", state.keys[kid], state.index)
                continue
            if kid in state.keys:
                after = next(s for s in self._states() if s.index > state.index and kid not in s.keys)
                return KeyVerdict("retired", state.keys[kid], after.index)
        return known or KeyVerdict("unknown")

    def spans(self) -> list[KeySpan]:
        """For which entries each key was valid, in the order in which they became so."""
        found: list[KeySpan] = []
        open_: dict[bytes, tuple[PublicKey, int]] = {}
        for state in self._states():
            gone = [kid for kid in open_ if kid not in state.keys]
            found += [KeySpan(*open_.pop(kid), state.index) for kid in gone]
            for kid, key in state.keys.items():
                open_.setdefault(kid, (key, state.index))
        found += [KeySpan(key, first, None) for key, first in open_.values()]
        return sorted(found, key=lambda span: span.first)

    @property
    def voided(self) -> dict[bytes, int]:
        """Events of the chain that are void, each with the entry of the recovery that made it so."""
        return {event_id: state.index for state in self.changes for event_id in state.voids}

    @property
    def suspect_since(self) -> int | None:
        """The first entry that may be signed with a key which turned out to be compromised or void, None for none."""
        void = self.voided
        return min(
            [state.suspect_from for state in self.changes if state.suspect_from is not None]
            + [state.index for state in self.changes if state.event_id in void],
            default=None,
        )

    # How they change

    def live(self) -> list[KeyState]:
        """The states that are not void, in order: what the next event may name as its `prev` is the last one."""
        void = self.voided
        return [state for state in self._states() if state.event_id not in void]

    def signers(self, said: KeyEvent) -> dict[bytes, PublicKey]:
        """Keys of this party that may sign this change: those of the event that it names as `prev`."""
        states = {state.event_id: state for state in self._states()}
        return states.get(said.prev, self.state).signers

    def objections(
        self, said: KeyEvent, *, issuer: bytes, index: int, time: str, signer: bytes | None = None
    ) -> Iterator[Reason]:
        """Why a change at `index` (log time `time`) that `issuer` says does not count: rules `party.keys.*`.

        `signer` is the id of the key that signed it; without one the rules about that are left to whoever knows it.
        """
        live = self.live()
        at = next((number for number, state in enumerate(live) if state.event_id == said.prev), None)
        events = (said.event_id.hex(), self.id.hex())
        if at is None:
            text = f"prev {said.prev.hex()} is no event in force of the party's keys, want {live[-1].event_id.hex()}"
            yield Reason("party.keys.prev", text, events)
            return
        before, after = live[at], live[at + 1 :]
        claims = said.reason == "claim"
        if after and said.reason != "recover":
            text = f"prev {said.prev.hex()} was followed already, want {live[-1].event_id.hex()}"
            yield Reason("party.keys.prev", text, (*events, after[0].event_id.hex()))
        elif after:
            yield from _too_late(after[0], time, events)
        if before.reason == "deactivate":
            text = f"the party was deactivated at #{before.index}, which is final"
            yield Reason("party.keys.deactivated", text, (*events, before.event_id.hex()))
        if claims and self.guardian(index) is None:
            text = "the party has keys of its own" if self.custodian is None else "the party has been claimed before"
            yield Reason("party.keys.claim", f"{text}, and nobody hands it any", events)
        elif claims and not said.keys:
            yield Reason("party.keys.claim", "no key is handed over", events)
        if issuer != (self.custodian if claims and self.custodian else self.id):
            text = f"{issuer.hex()} says it, want " + ("the party's custodian" if claims else "the party itself")
            yield Reason("party.keys.actor", text, events)
        elif said.actor not in {self.id, issuer}:
            yield Reason("party.keys.actor", f"the actor is {said.actor.hex()}, want the party itself", events)
        yield from _unannounced(before, said, events)
        yield from self._marker(said, index, events)
        if signer is not None and not claims:
            yield from _wrong_signer(before, after, said, signer, events)

    def follow(
        self, said: KeyEvent, *, issuer: bytes, index: int, time: str, signer: bytes | None = None
    ) -> tuple[Party, tuple[Reason, ...]]:
        """The party behind this change, and why it is the same as before where the change does not count."""
        reasons = tuple(self.objections(said, issuer=issuer, index=index, time=time, signer=signer))
        if reasons:
            return self, reasons
        live = self.live()
        at = next(number for number, state in enumerate(live) if state.event_id == said.prev)
        state = KeyState(
            said.event_id,
            index,
            said.reason,
            {} if said.reason == "deactivate" else said.keys,
            () if said.reason == "deactivate" else said.rotation,
            said.next_hashes,
            time,
            signer or b"",
            said.prev,
            frozenset(state.event_id for state in live[at + 1 :]),
            said.suspect_from if said.reason in _MARKING else None,
        )
        return replace(self, changes=(*self.changes, state)), ()

    def _states(self) -> list[KeyState]:
        return [self.registered, *self.changes]

    def _suspect(self, state: KeyState, kid: bytes, index: int) -> int | None:
        """The entry because of which a statement at `index`, signed under `state`, is suspect."""
        for later in self.changes:
            if later.index < index:
                continue
            if later.suspect_from is not None and later.suspect_from <= index and kid not in later.keys:
                return later.index
            if state.event_id in later.voids:
                kept = next(s for s in self._states() if s.event_id == later.prev)
                if kid not in kept.keys:
                    return later.index
        return None

    def _marker(self, said: KeyEvent, index: int, events: tuple[str, ...]) -> Iterator[Reason]:
        since = said.suspect_from
        if said.reason not in _MARKING or (said.reason == "recover" and since is None):
            return
        if since is None or not self.index <= since <= index:
            text = f"suspect_from is {since}, want an entry from #{self.index}, the registration, to #{index}"
            yield Reason("party.keys.suspect", text, events)
        elif not any(
            span.key.kid not in said.keys and (span.last is None or span.last >= since) for span in self.spans()
        ):
            text = f"every key that the party had since #{since} is kept, so that none becomes suspect"
            yield Reason("party.keys.suspect", text, events)


def party_of(event_id: bytes, index: int, event: bytes) -> Party:
    """The party that a `party.register` event at this log position makes. Raises `MalformedError`."""
    value: dict[str, Any] = orjson.loads(event)
    body, actor = value["body"], value["actor"]
    keys = _by_kid(body["keys"])
    try:
        rotation = tuple(PublicKey.from_jwk(jwk) for jwk in body.get("rotation_keys", ()))
        hashes = _hashes(body)
    except (AttributeError, TypeError, ValueError) as error:
        msg = f"party {event_id.hex()}: its rotation keys cannot be read: {error!s:.200}"
        raise MalformedError(msg) from error
    custodian = None if keys or actor == "self" else bytes.fromhex(actor)
    return Party(event_id, index, body["kind"], keys, rotation, hashes, custodian)


_MARKING = ("compromise", "recover")  # reasons that may say from which entry on keys are suspect
_NO_KEYS: dict[bytes, PublicKey] = {}
_NO_HASHES: frozenset[bytes] = frozenset()


def _by_kid(jwks: Any) -> dict[bytes, PublicKey]:
    keys = [PublicKey.from_jwk(jwk) for jwk in jwks]
    return {key.kid: key for key in keys} or _NO_KEYS  # one for all: there may be millions of custodial parties


def _hashes(body: Mapping[str, Any]) -> frozenset[bytes]:
    return frozenset(map(bytes.fromhex, body.get("next_key_hashes", ()))) or _NO_HASHES


def _too_late(voided: KeyState, time: str, events: tuple[str, ...]) -> Iterator[Reason]:
    if not time or not voided.time:
        return
    try:
        passed = datetime.fromisoformat(time) - datetime.fromisoformat(voided.time)
    except ValueError:
        return  # no time at all: whoever said it broke another rule
    if passed > RECOVERY:
        hours = int(RECOVERY.total_seconds() // 3600)
        text = f"#{voided.index} stands since {voided.time}, now it is {time}: more than {hours} hours of log time"
        yield Reason("party.keys.window", text, (*events, voided.event_id.hex()))


def _unannounced(before: KeyState, said: KeyEvent, events: tuple[str, ...]) -> Iterator[Reason]:
    if not before.next_hashes or said.reason == "deactivate":
        return
    for key in {key.kid: key for key in (*said.keys.values(), *said.rotation)}.values():
        if key.thumbprint not in before.next_hashes:
            text = f"key {key.kid.hex()} is none of the {len(before.next_hashes)} announced at #{before.index}"
            yield Reason("party.keys.pre-rotation", text, (*events, before.event_id.hex()))


def _wrong_signer(
    before: KeyState, after: list[KeyState], said: KeyEvent, signer: bytes, events: tuple[str, ...]
) -> Iterator[Reason]:
    if signer not in before.signers:
        what = "a rotation key" if before.rotation else "a key"
        text = f"signed by key {signer.hex()}, want {what} of the party as of #{before.index}"
        yield Reason("party.keys.signer", text, events)
    elif after and said.reason == "recover" and not before.rank(signer) < before.rank(after[0].signer):
        text = f"key {signer.hex()} is no stronger than the one that signed #{after[0].index}, which it would make void"
        yield Reason("party.keys.rank", text, (*events, after[0].event_id.hex()))
