r"""From the keys of a log that a verifier knows to those that it has now, and back to those that it had before.

Whenever a log hands over to other keys, it publishes one link beside its checkpoint: `keys/000.tlog-proof`, `keys/001…`
and so on. A link is the inclusion proof (c2sp.org/tlog-proof) of the `log.keys` event that says so, with entry and
event in its `extra` line. The checkpoint in it ends with that entry, and both sides have signed it: so whoever knows
either side is led to the other, and learns the size from which on the one counts and up to which the other did.

::

    policy = follow(objects, policy)        # the same policy, with every key of its log and the sizes it counts for
    checkpoint = open_checkpoint(objects.get("checkpoint"), policy)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ledger.checkpoint import Checkpoint
from ledger.cosignature import CosignerKey
from ledger.errors import MalformedError, NotFound, ProofMismatch, UnknownKey
from ledger.note import VerifierKey
from ledger.policy import LogLine, Policy, parse_log_key
from ledger.proof import Proof
from ledger.storage import ReadsObjects
from provenance.canonical import address
from provenance.events import Unknown, read_event
from provenance.events.log import LogKeys
from provenance.keys import PublicKey
from provenance.statement import Statement

__all__ = ["LINKS", "MOST_LINKS", "Link", "follow", "link_path", "read_links"]

MOST_LINKS = 1000
"""Most links that are read: keys change once in years."""

LINKS = "keys/"
"""The folder of the links."""

_LENGTH = 4


def link_path(number: int) -> str:
    """Where the link of the hand-over with this number lies, from 0."""
    return f"{LINKS}{number:03d}.tlog-proof"


@dataclass(frozen=True, slots=True)
class Link:
    """One hand-over: the `log.keys` event, its entry, and the proof under the checkpoint that both sides signed."""

    proof: Proof
    entry: bytes
    event: bytes

    @classmethod
    def parse(cls, data: bytes) -> Link:
        """Read a link; `bytes(Link.parse(data)) == data`. Raises `MalformedError`. Verifies nothing."""
        proof = Proof.parse(data)
        extra = proof.extra or b""
        size = int.from_bytes(extra[:_LENGTH], "big")
        if len(extra) <= _LENGTH + size or not size:
            msg = f"link: extra of {len(extra)} bytes, want the length of an entry (uint32), the entry, and its event"
            raise MalformedError(msg)
        entry, event = extra[_LENGTH : _LENGTH + size], extra[_LENGTH + size :]
        return cls(replace(proof, extra=None), entry, event)

    def __bytes__(self) -> bytes:
        extra = len(self.entry).to_bytes(_LENGTH, "big") + self.entry + self.event
        return bytes(replace(self.proof, extra=extra))

    @property
    def said(self) -> LogKeys:
        """The event, not verified. Raises `MalformedError` when it is no `log.keys` that this version can read."""
        said = read_event(self.event)
        if isinstance(said, Unknown) or not isinstance(said, LogKeys):
            msg = f"link at #{self.proof.index}: its event is not a log.keys that this version can read"
            raise MalformedError(msg)
        return said

    def verify(self, policy: Policy) -> tuple[Checkpoint, LogKeys]:
        """The checkpoint that keys were handed over under, and what it says; from a side that `policy` knows.

        A key of the policy counts when the link names it: who was replaced long ago says nothing about others. Raises
        `MalformedError`, `UnknownKey`, `InvalidSignature`, `QuorumNotMet`, `ProofMismatch`.
        """
        said = self.said
        new, retired = _keys(said.body.log_keys), _keys(said.body.retired)
        named = [line for line in policy.spans(said.ledger) if line.key in (*new, *retired)]
        checkpoint = self.proof.verify(self.entry, replace(policy, logs=tuple(named)))
        statement = Statement.parse(self.entry)
        where = f"link of {checkpoint.origin} at #{self.proof.index}"
        if self.proof.index != checkpoint.size - 1:
            msg = f"{where}: in a tree of {checkpoint.size} entries, want the last one"
            raise ProofMismatch(msg)
        if (statement.type, statement.origin, said.ledger) != ("log.keys", checkpoint.origin, checkpoint.origin):
            msg = f"{where}: is a {statement.type} of {statement.origin}, want a log.keys of this log"
            raise MalformedError(msg)
        if address(self.event) != statement.event_id:
            msg = f"{where}: its event is another than was logged"
            raise ProofMismatch(msg)
        until = [key for key in retired if isinstance(key, VerifierKey)] or new
        signer = next((key for key in until if _kid(key) == statement.kid), None)
        if signer is None:
            msg = f"{where}: said by key {statement.kid.hex()}, want one that the log had until then"
            raise UnknownKey(msg)
        statement.verify(PublicKey.from_ed25519(signer.public))
        return checkpoint, said


def read_links(objects: ReadsObjects) -> list[Link]:
    """Every link that is published there, none of them verified. Raises `MalformedError`, `Unavailable`."""
    links: list[Link] = []
    while len(links) < MOST_LINKS:
        try:
            data = objects.get(link_path(len(links)))
        except NotFound:
            return links
        links.append(Link.parse(data))
    msg = f"{link_path(MOST_LINKS)}: want fewer than {MOST_LINKS} links"
    raise MalformedError(msg)


def follow(objects: ReadsObjects, policy: Policy, *, all_kinds: bool = False) -> Policy:
    """The policy with every key that the log at `objects` had and has, each for the sizes that it counts for.

    What `policy` knows is where it begins: a log that it does not know stays unknown. Only keys of a kind that it lists
    are added, so that one which asks for ML-DSA-44 is not led to Ed25519; `all_kinds` is for who runs the log.
    Witnesses and quorum stay as they are, and have to have seen every hand-over from there on; those before may be
    older than they are. Raises `MalformedError`, `ProofMismatch`, `UnknownKey`, `InvalidSignature`, `QuorumNotMet` for
    links that do not hold.
    """
    links = read_links(objects)
    said = [link.said for link in links]
    _check_chain(links, said)
    known = set(policy.log_keys(said[0].ledger)) if said else set()
    # The last hand-over to a key that is known; -1 when the first one is from such a key.
    at = next((n for n in reversed(range(len(said))) if known & {*_keys(said[n].body.log_keys)}), -1)
    if at < 0 and not (said and known & {*_keys(said[0].body.retired)}):
        return policy
    kinds = {VerifierKey, CosignerKey} if all_kinds else set(map(type, known))
    for number in (*range(at, -1, -1), *range(at + 1, len(links))):
        body = said[number].body
        if known.isdisjoint(_keys((*body.log_keys, *body.retired))):
            continue  # from before there was a key of these kinds
        checkpoint, event = links[number].verify(policy if number > at else Policy(policy.logs))
        lines = _handed_over(policy.spans(checkpoint.origin), event, checkpoint.size)
        policy = policy.succeeded(line for line in lines if type(line.key) in kinds)
        known = set(policy.log_keys(checkpoint.origin))
    return policy


def _check_chain(links: Sequence[Link], said: Sequence[LogKeys]) -> None:
    """Raise `ProofMismatch` unless each link goes on from the one before: event, size, and the keys of the log."""
    for number in range(1, len(links)):
        before, after = said[number - 1], said[number]
        had, has, retired = (_keys(keys) for keys in (before.body.log_keys, after.body.log_keys, after.body.retired))
        named = [ref.id for ref in after.refs]
        grows = links[number].proof.index > links[number - 1].proof.index
        if (
            named != [address(links[number - 1].event).hex()]
            or not grows
            or before.ledger != after.ledger
            or not {*retired} <= {*had} <= {*has, *retired}
        ):
            msg = f"{link_path(number)}: does not go on from the keys that {link_path(number - 1)} hands over to"
            raise ProofMismatch(msg)


def _handed_over(lines: Sequence[LogLine], said: LogKeys, size: int) -> list[LogLine]:
    """The lines of a log that handed over at `size`. Raises `ProofMismatch` where one knows of another size."""
    new, old = _keys(said.body.log_keys), _keys(said.body.retired)
    known = {line.key: line for line in lines}
    for key in new:
        line = known.get(key, LogLine(key, lines[0].url))
        takes_over = any(type(key) is type(other) for other in old)
        known[key] = _at(line, first=size) if takes_over else line
    for key in old:
        known[key] = _at(known.get(key, LogLine(key, lines[0].url)), last=size)
    return list(known.values())


def _at(line: LogLine, *, first: int = 0, last: int | None = None) -> LogLine:
    first, last = first or line.first, line.last if last is None else last
    if line.first not in {0, first} or line.last not in {None, last}:
        msg = (
            f"{line.key.name}: key {line.key.key_id.hex()} is known to count from size {line.first} to "
            f"{line.last or 'now'}, a link says from {first} to {last or 'now'}: the log has two histories"
        )
        raise ProofMismatch(msg)
    return replace(line, first=first, last=last)


def _keys(texts: Sequence[str]) -> list[VerifierKey | CosignerKey]:
    return list(map(parse_log_key, texts))


def _kid(key: VerifierKey | CosignerKey) -> bytes | None:
    """What a statement calls an Ed25519 key; no statement is signed by another."""
    return PublicKey.from_ed25519(key.public).kid if isinstance(key, VerifierKey) else None
