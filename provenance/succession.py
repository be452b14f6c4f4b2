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

    def verify(self, policy: Policy) -> tuple[Checkpoint, LogKeys]:
        """The checkpoint that keys were handed over under, and what it says; from a side that `policy` knows.

        Raises `MalformedError`, `UnknownKey`, `InvalidSignature`, `QuorumNotMet`, `ProofMismatch`.
        """
        checkpoint = self.proof.verify(self.entry, policy)
        statement = Statement.parse(self.entry)
        where = f"link of {checkpoint.origin} at #{self.proof.index}"
        if self.proof.index != checkpoint.size - 1:
            msg = f"{where}: in a tree of {checkpoint.size} entries, want the last one"
            raise ProofMismatch(msg)
        if (statement.type, statement.origin) != ("log.keys", checkpoint.origin):
            msg = f"{where}: is a {statement.type} of {statement.origin}, want a log.keys of this log"
            raise MalformedError(msg)
        if address(self.event) != statement.event_id:
            msg = f"{where}: its event is another than was logged"
            raise ProofMismatch(msg)
        said = read_event(self.event)
        if isinstance(said, Unknown) or not isinstance(said, LogKeys):
            msg = f"{where}: its event is not a log.keys that this version can read"
            raise MalformedError(msg)
        known = [*policy.log_keys(checkpoint.origin), *map(parse_log_key, (*said.body.retired, *said.body.log_keys))]
        signer = next((key for key in known if _kid(key) == statement.kid), None)
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


def follow(objects: ReadsObjects, policy: Policy) -> Policy:
    """The policy with every key that the log at `objects` had and has, each for the sizes that it counts for.

    What `policy` knows is where it begins: a log that it does not know stays unknown, and links that lead to it from
    nowhere are passed over. Witnesses and quorum stay as they are, and have to have seen every hand-over. Raises
    `MalformedError`, `InvalidSignature`, `QuorumNotMet`, `ProofMismatch` for a link of a known key that does not hold.
    """
    links = read_links(objects)
    for some in (links, links[::-1]):  # on from the keys that are known, then back from them
        for link in some:
            try:
                checkpoint, said = link.verify(policy)
            except UnknownKey:
                continue  # by keys of before those that are known, or of after them
            spans = policy.spans(checkpoint.origin)
            policy = policy.succeeded(_handed_over(spans, said, checkpoint.size))
    return policy


def _handed_over(lines: Sequence[LogLine], said: LogKeys, size: int) -> list[LogLine]:
    """The lines of a log that handed over at `size`."""
    new, old = map(parse_log_key, said.body.log_keys), [parse_log_key(text) for text in said.body.retired]
    known = {line.key: line for line in lines}
    for key in new:
        line = known.get(key, LogLine(key, lines[0].url))
        takes_over = any(type(key) is type(other) for other in old)
        known[key] = replace(line, first=max(line.first, size)) if takes_over else line
    for key in old:
        line = known.get(key, LogLine(key, lines[0].url))
        known[key] = replace(line, last=size if line.last is None else min(line.last, size))
    return list(known.values())


def _kid(key: VerifierKey | CosignerKey) -> bytes | None:
    """What a statement calls an Ed25519 key; no statement is signed by another."""
    return PublicKey.from_ed25519(key.public).kid if isinstance(key, VerifierKey) else None
