"""Policies: whose signatures a verifier accepts, and how many witnesses (c2sp.org/tlog-policy).

::

    log market.example/log+2f1e8d0c+AZ… https://market.example/log
    witness north north.example/w+5d3a…+BF… https://north.example/w
    witness harbour harbour.example+91b2…+BP…
    group friends 2 north harbour
    quorum friends

Everything that verifies takes a policy. Nothing that is verified brings its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.cosignature import ML_DSA_44, CosignerKey
from ledger.errors import MalformedError, QuorumNotMet, UnknownKey
from ledger.note import Note, VerifierKey, decode_base64, shown

if TYPE_CHECKING:
    from ledger.checkpoint import Checkpoint

__all__ = ["MAX_LINES", "MAX_POLICY", "Group", "LogLine", "Policy", "Witness", "parse_log_key"]

MAX_POLICY = 1_000_000
"""Characters of the longest policy that is read: keys of ML-DSA-44 are long."""

MAX_LINES = 1_000
"""Most logs, and most witnesses, and most groups."""

NONE = "none"
"""The quorum that asks for no witness."""

_THRESHOLD = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
_SPACE = re.compile(r"[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One accepted log: its verifier key (whose name is the origin) and, where given, where it is published.

    A key that was handed over counts from the tree size `first` to `last` (None: it has not been handed over), which
    no policy file can say: `provenance.succession` reads it from the log.
    """

    key: VerifierKey | CosignerKey
    url: str = ""
    first: int = 0
    last: int | None = None

    def covers(self, size: int) -> bool:
        """Whether a checkpoint of this size counts with this key."""
        return self.first <= size and (self.last is None or size <= self.last)

    def __str__(self) -> str:
        return f"log {self.key} {self.url}" if self.url else f"log {self.key}"


@dataclass(frozen=True, slots=True)
class Witness:
    """One witness: what this policy calls it, its key, and where it answers."""

    name: str
    key: CosignerKey
    url: str = ""

    def __str__(self) -> str:
        return f"witness {self.name} {self.key} {self.url}" if self.url else f"witness {self.name} {self.key}"


@dataclass(frozen=True, slots=True)
class Group:
    """So many (`all`, `any` or a number, as it was written) of these witnesses and groups."""

    name: str
    threshold: str
    members: tuple[str, ...]

    @property
    def needed(self) -> int:
        """How many of the members have to agree."""
        if self.threshold == "all":
            return len(self.members)
        return 1 if self.threshold == "any" else int(self.threshold)

    def __str__(self) -> str:
        return f"group {self.name} {self.threshold} {' '.join(self.members)}"


@dataclass(frozen=True, slots=True)
class Policy:
    """The logs a verifier accepts, and the witnesses it wants to have seen a checkpoint.

    Any one listed key of a log's origin is enough. `quorum` names a witness or a group, or is "none".
    """

    logs: tuple[LogLine, ...]
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a policy. Raises `MalformedError` with the line, also for lines it does not know or cannot honor.

        Members are defined before the group that names them, a name is a member of one group at most, and no public key
        stands there twice, under whatever names.
        """
        if len(text) > MAX_POLICY:
            msg = f"policy: {len(text)} characters, want at most {MAX_POLICY}"
            raise MalformedError(msg)
        if found := _CONTROL.search(text):
            number = text.count("\n", 0, found.start()) + 1
            msg = f"policy line {number}: control character {found[0]!r}, want none but tabs and newlines"
            raise MalformedError(msg)
        read = _Reading()
        for number, line in enumerate(text.split("\n"), 1):
            words = [word for word in _SPACE.split(line) if word]
            if not words or words[0].startswith("#"):
                continue
            try:
                read.line(words)
            except MalformedError as error:
                msg = f"policy line {number}: {error}"
                raise MalformedError(msg) from None
        return read.policy()

    @classmethod
    def of(cls, *keys: VerifierKey | CosignerKey) -> Policy:
        """The policy that accepts exactly these log keys, and asks for no witness."""
        return cls(tuple(LogLine(key) for key in keys))

    def succeeded(self, lines: Iterable[LogLine]) -> Policy:
        """The same policy with these lines for the logs that they name, in place of its own."""
        new = tuple(lines)
        names = {line.key.name for line in new}
        return replace(self, logs=(*(log for log in self.logs if log.key.name not in names), *new))

    def __str__(self) -> str:
        """The text of the policy. Keys that were handed over are left out: it cannot say until when they count."""
        lines = (*(log for log in self.logs if log.last is None), *self.witnesses, *self.groups)
        return "".join(f"{line}\n" for line in lines) + f"quorum {self.quorum}\n"

    @property
    def origins(self) -> frozenset[str]:
        """Origins of the logs that the policy accepts."""
        return frozenset(log.key.name for log in self.logs)

    def keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The Ed25519 note keys accepted for this origin: they sign the log's own statements, too."""
        return tuple(key for key in self.log_keys(origin) if isinstance(key, VerifierKey))

    def log_keys(self, origin: str) -> tuple[VerifierKey | CosignerKey, ...]:
        """All keys accepted for this origin."""
        return tuple(log.key for log in self.spans(origin))

    def spans(self, origin: str) -> tuple[LogLine, ...]:
        """The lines of this origin, each with the sizes that its key counts for."""
        return tuple(log for log in self.logs if log.key.name == origin)

    def witness(self, name: str) -> Witness | None:
        """The witness that this policy calls so."""
        return next((witness for witness in self.witnesses if witness.name == name), None)

    def satisfied(self, names: AbstractSet[str]) -> bool:
        """Whether the witnesses of these names are a quorum."""
        holds = set(names)
        for group in self.groups:  # members stand before their group: no need to go down into each
            if sum(member in holds for member in group.members) >= group.needed:
                holds.add(group.name)
        return self.quorum == NONE or self.quorum in holds

    def verify(self, note: Note, checkpoint: Checkpoint) -> tuple[str, ...]:
        """The witnesses, by the names they have here, that saw the checkpoint which `note` carries.

        One of the log's listed keys must have signed it, and of the witnesses a quorum. Lines of unknown keys are
        ignored, and so are repeated ones. Raises `UnknownKey` when the origin or no signer is listed here, or a line
        could mean two keys; `InvalidSignature` or `MalformedError` for the line of a listed key that does not hold,
        whoever else signed; `QuorumNotMet`.
        """
        origin = checkpoint.origin
        logs = self.spans(origin)
        if not logs:
            known = ", ".join(sorted(self.origins))
            msg = f"no policy for origin {shown(origin, 200)}: the policy knows {known or 'no log'}"
            raise UnknownKey(msg)
        keys: dict[tuple[str, bytes], list[tuple[str, VerifierKey | CosignerKey]]] = {}
        counting = (("", log.key) for log in logs if log.covers(checkpoint.size))
        for name, key in [*counting, *((witness.name, witness.key) for witness in self.witnesses)]:
            keys.setdefault((key.name, key.key_id), []).append((name, key))
        seen: dict[tuple[str, bytes], str] = {}
        for line in note.signatures:
            identity = (line.name, line.key_id)
            found = keys.get(identity, [])
            if identity in seen or not found:
                continue
            if len(found) > 1:
                msg = f"signature by {shown(line.name)} {line.key_id.hex()}: {len(found)} verifier keys match, want one"
                raise UnknownKey(msg)
            name, key = found[0]
            if isinstance(key, VerifierKey):
                key.verify(note.text, line)
            else:
                key.verify(checkpoint, line)
            seen[identity] = name
        names = {name for name in seen.values() if name}
        if "" not in seen.values():
            raise UnknownKey(_nobody(note, checkpoint, logs))
        if not self.satisfied(names):
            absent = [witness.name for witness in self.wanted() if witness.name not in names]
            msg = (
                f"checkpoint of {shown(origin, 200)} at size {checkpoint.size}: cosigned by "
                f"{', '.join(sorted(names)) or 'no witness'}, want the quorum {self.quorum}; "
                f"absent: {', '.join(absent)}"
            )
            raise QuorumNotMet(msg)
        return tuple(witness.name for witness in self.witnesses if witness.name in names)

    def wanted(self) -> tuple[Witness, ...]:
        """The witnesses that can count for the quorum, in the order of the policy."""
        reached = {self.quorum}
        for group in reversed(self.groups):  # members stand before their group
            if group.name in reached:
                reached.update(group.members)
        return tuple(witness for witness in self.witnesses if witness.name in reached)


class _Reading:
    """The lines of one policy, one after the other."""

    def __init__(self) -> None:
        self._logs: list[LogLine] = []
        self._witnesses: list[Witness] = []
        self._groups: list[Group] = []
        self._quorum = ""
        self._names: set[str] = {NONE}
        self._used: set[str] = set()

    def line(self, words: Sequence[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self._logs.append(LogLine(parse_log_key(key), words[2] if len(words) == 3 else ""))
            case ["witness", name, key] | ["witness", name, key, _]:
                self._define(name)
                self._witnesses.append(Witness(name, CosignerKey.parse(key), words[3] if len(words) == 4 else ""))
            case ["group", name, threshold, *members] if members:
                self._add_group(name, threshold, members)
            case ["quorum", name] if not self._quorum:
                if name not in self._names:
                    msg = f"quorum {shown(name)}: no witness or group of this name stands before it"
                    raise MalformedError(msg)
                self._quorum = name
            case _:
                msg = f"{' '.join(words)[:80]!r}, want a line of log, witness, group or, once, quorum"
                raise MalformedError(msg)
        if max(len(self._logs), len(self._witnesses), len(self._groups)) > MAX_LINES:
            msg = f"more than {MAX_LINES} lines of a kind"
            raise MalformedError(msg)

    def _define(self, name: str) -> None:
        if name in self._names:
            msg = f"the name {shown(name)} is taken"
            raise MalformedError(msg)
        self._names.add(name)

    def _add_group(self, name: str, threshold: str, members: Sequence[str]) -> None:
        for member in members:
            if member == NONE or member not in self._names:
                msg = f"group {shown(name)}: no witness or group {shown(member)} stands before it"
                raise MalformedError(msg)
            if member in self._used:
                msg = f"group {shown(name)}: {shown(member)} is a member already, here or of another group"
                raise MalformedError(msg)
            self._used.add(member)
        self._define(name)
        if threshold not in {"all", "any"} and (not _THRESHOLD.fullmatch(threshold) or int(threshold) > len(members)):
            msg = f"group {shown(name)}: {shown(threshold)} of {len(members)}, want all, any, or 1 to {len(members)}"
            raise MalformedError(msg)
        self._groups.append(Group(name, threshold, tuple(members)))

    def policy(self) -> Policy:
        if not self._quorum:
            msg = "policy: no quorum line, want 'quorum NAME' or 'quorum none'"
            raise MalformedError(msg)
        publics = [log.key.public for log in self._logs] + [witness.key.public for witness in self._witnesses]
        if len(set(publics)) != len(publics):
            msg = "policy: one public key stands in it twice"
            raise MalformedError(msg)
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum)


def _nobody(note: Note, checkpoint: Checkpoint, logs: Sequence[LogLine]) -> str:
    """Why none of the lines counts: by strangers, or by keys that were handed over before or after this size."""
    lines = {(line.name, line.key_id) for line in note.signatures}
    for log in logs:
        if (log.key.name, log.key.key_id) in lines:
            until = f"to {log.last}" if log.last is not None else "on"
            return (
                f"checkpoint of {shown(checkpoint.origin, 200)} at size {checkpoint.size}: signed by key "
                f"{log.key.key_id.hex()}, which counts from size {log.first} {until}"
            )
    signers = ", ".join(sorted(f"{name} {key_id.hex()}" for name, key_id in lines))
    return f"note: signed by {shown(signers, 200)}, none of them a known key"


def parse_log_key(text: str) -> VerifierKey | CosignerKey:
    """Read the key of a log: a note key of Ed25519, or a cosigner key of ML-DSA-44. Raises `MalformedError`."""
    raw = decode_base64(text.split("+", 2)[-1], "log key")
    if raw[:1] == bytes((ML_DSA_44,)):
        return CosignerKey.parse(text)
    return VerifierKey.parse(text)
