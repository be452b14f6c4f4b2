"""The keys of one log: what it signs checkpoints with, and what it signed with before.

A log signs with an Ed25519 key and, where that was decided, with an ML-DSA-44 key as well. When keys are handed over,
one checkpoint carries the lines of both sides, those that go on behind those that do not. So the last lines in the
log's own name say who signs next: whoever does not hold those keys has been replaced, and signs no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ledger.checkpoint import Checkpoint
from ledger.cosignature import ML_DSA_44, CosignerKey, Signs
from ledger.errors import Conflict, MalformedError, UnknownKey
from ledger.note import Note, Signature, Signer, VerifierKey
from ledger.policy import LogLine, Policy

__all__ = ["Keyring", "own_note"]


def own_note(checkpoint: Checkpoint, policy: Policy) -> bytes:
    """The note that `checkpoint` carries with the lines in the log's own name alone, those of retired keys in front.

    For a head that comes from where others could write: who added or moved lines there does not decide who signs next.
    A key that the policy does not know stays behind all others: then nobody signs, rather than who was replaced.
    """
    note = Note.parse(checkpoint.signed)
    spans = {(span.key.name, span.key.key_id): span for span in policy.spans(checkpoint.origin)}

    def order(line: Signature) -> int:
        span = spans.get((line.name, line.key_id))
        return 2 if span is None else int(span.last is None or span.last > checkpoint.size)

    own = [line for line in note.signatures if line.name == checkpoint.origin]
    return bytes(Note(note.text, tuple(sorted(own, key=order))))


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of a log, and for each key that it ever had the sizes of trees that it counts for.

    With verifier keys only, it tells who signed and signs nothing. `also` is an ML-DSA-44 key of the same name. `lines`
    are those of a policy, by default those of a log that still has the keys it began with. Raises `MalformedError` for
    keys of different names, an `also` of another kind, or lines that do not list these keys as the last ones.
    """

    key: Signer | VerifierKey
    also: Signs | CosignerKey | None = None
    lines: tuple[LogLine, ...] = ()

    def __post_init__(self) -> None:
        for other in self.verifiers[1:]:
            if other.name != self.origin or not isinstance(other, CosignerKey) or other.type != ML_DSA_44:
                msg = f"{self.origin}: second key {other.name} {other.key_id.hex()}, want an ML-DSA-44 key of that name"
                raise MalformedError(msg)
        if not self.lines:
            object.__setattr__(self, "lines", tuple(map(LogLine, self.verifiers)))
        last = {line.key for line in self.lines if line.last is None}
        if last != set(self.verifiers) or any(line.key.name != self.origin for line in self.lines):
            want = ", ".join(sorted(key.key_id.hex() for key in last)) or "none"
            have = ", ".join(key.key_id.hex() for key in self.verifiers)
            msg = (
                f"{self.origin}: this log is signed by key {want} now; the key at hand is {have}; "
                "if a hand-over to it was interrupted, run that again; if the storage is older than it, recover that"
            )
            raise UnknownKey(msg)

    @property
    def origin(self) -> str:
        """Name of the log, and of every key."""
        return self.key.name

    @property
    def verifiers(self) -> tuple[VerifierKey | CosignerKey, ...]:
        """The keys that verify what this one signs: the Ed25519 key first."""
        key = self.key if isinstance(self.key, VerifierKey) else self.key.verifier
        also = self.also if self.also is None or isinstance(self.also, CosignerKey) else self.also.verifier
        return (key,) if also is None else (key, also)

    @property
    def signs(self) -> bool:
        """Whether every key here can sign."""
        return not isinstance(self.key, VerifierKey) and not isinstance(self.also, CosignerKey)

    @property
    def signer(self) -> Signer:
        """The Ed25519 key that signs. Raises `UnknownKey` where a secret is missing."""
        if isinstance(self.key, VerifierKey) or isinstance(self.also, CosignerKey):
            msg = f"{self.origin}: opened with its verifier key only: nothing can be signed; open it with the log key"
            raise UnknownKey(msg)
        return self.key

    @property
    def policy(self) -> Policy:
        """The policy that accepts these keys and the earlier ones, each for its own sizes, and asks for no witness."""
        return Policy(self.lines)

    @property
    def public(self) -> Keyring:
        """The same without the secrets."""
        key = self.key if isinstance(self.key, VerifierKey) else self.key.verifier
        also = self.also if self.also is None or isinstance(self.also, CosignerKey) else self.also.verifier
        return replace(self, key=key, also=also)

    def next(self, key: Signer | VerifierKey, also: Signs | CosignerKey | None, *, size: int) -> Keyring:
        """The ring after these keys were handed over to those, under a checkpoint of `size`.

        Raises `UnknownKey` where that changes nothing, `MalformedError` where an ML-DSA-44 key would have no successor:
        a log that began to sign so does not stop.
        """
        if also is None and self.also is not None:
            msg = f"{self.origin}: signs with an ML-DSA-44 key, want one to hand over to; it never signs without again"
            raise MalformedError(msg)
        new = Keyring(key, also).verifiers
        if any(line.key in new for line in self.lines if line.last is not None):
            msg = f"{self.origin}: one of the keys to hand over to was retired before, want keys that were never used"
            raise UnknownKey(msg)
        if set(new) == set(self.verifiers):
            msg = f"{self.origin}: the log has these keys already: {', '.join(key.key_id.hex() for key in new)}"
            raise UnknownKey(msg)
        lines = [replace(line, last=size) if line.last is None and line.key not in new else line for line in self.lines]
        lines += [LogLine(each, first=size) for each in new if each not in self.verifiers]
        return Keyring(key, also, tuple(lines))

    def sign(self, checkpoint: Checkpoint, *, time: int, after: Keyring | None = None) -> Checkpoint:
        """Sign with every key; the result carries the note in `signed`. `time` is in seconds since 1970.

        `after` hands over: its keys sign too, in front of these. Raises `UnknownKey` without the secrets, or when the
        origin is another: nobody would accept that signature.
        """
        if checkpoint.origin != self.origin:
            msg = f"checkpoint of {checkpoint.origin}: the key is named {self.origin}"
            raise UnknownKey(msg)
        own = self.signatures(checkpoint, time=time)
        before = [] if after is None else after.signatures(checkpoint, time=time)
        stay = {line.key_id for line in own}
        lines = (*(line for line in before if line.key_id not in stay), *own)
        return replace(checkpoint, signed=bytes(Note(str(checkpoint), lines)))

    def signatures(self, checkpoint: Checkpoint, *, time: int) -> list[Signature]:
        """The lines of every key. Raises `UnknownKey` without the secrets."""
        lines = [self.signer.sign(str(checkpoint))]
        if self.also is not None and not isinstance(self.also, CosignerKey):
            lines.append(self.also.sign(checkpoint, time=time))
        return lines

    def holds_turn(self, signed: bytes) -> bool:
        """Whether these keys, all of them, signed this checkpoint last for the log, and so sign the next."""
        return self._last_signers(signed) == {key.key_id for key in self.verifiers}

    def check_turn(self, checkpoint: Checkpoint) -> None:
        """Raise `Conflict` where `holds_turn` is not so: another process went on with other keys."""
        if not self.holds_turn(checkpoint.signed):
            by = ", ".join(sorted(key_id.hex() for key_id in self._last_signers(checkpoint.signed))) or "nobody"
            held = ", ".join(key.key_id.hex() for key in self.verifiers)
            msg = (
                f"{self.origin}: handed over to key {by} by size {checkpoint.size}; this process holds {held} "
                "and signs no more: start it again with the new key, or finish the hand-over if it was interrupted"
            )
            raise Conflict(msg)

    def _last_signers(self, signed: bytes) -> set[bytes]:
        """As many as there are keys here: a key that stays signs behind those that it is handed over from."""
        own = [line.key_id for line in Note.parse(signed).signatures if line.name == self.origin]
        return set(own[-len(self.verifiers) :])
