"""Having a checkpoint cosigned before anybody is shown it.

A log asks its witnesses on every publication. Without their quorum it fails closed: the checkpoint stays inside,
entries go on being sequenced, and the next publication asks again. To show it all the same is a choice made beforehand,
and one that readers see: under a policy with a quorum they get `QuorumNotMet`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from ledger.checkpoint import Checkpoint
from ledger.errors import QuorumNotMet
from ledger.keyring import Keyring
from ledger.note import Note
from ledger.policy import Policy
from ledger.witness import Collects

__all__ = ["Witnessing"]

logger = logging.getLogger(__name__)

Prove = Callable[[int], tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Witnessing:
    """Whom a log asks, how many of them it needs (the quorum of `policy`), and whether it shows checkpoints without.

    Of `policy` the witnesses, groups and quorum count; the log's keys are its own business.
    """

    policy: Policy
    collects: Collects
    fails_open: bool = False

    def satisfied(self, checkpoint: Checkpoint, keys: Keyring) -> bool:
        """Whether the note that `checkpoint` carries has the quorum."""
        try:
            self._verify(checkpoint, keys)
        except QuorumNotMet:
            return False
        return True

    def cosign(self, checkpoint: Checkpoint, keys: Keyring, prove: Prove) -> Checkpoint:
        """The same checkpoint with the lines of witnesses, those of a quorum at the least.

        `prove` gives the consistency proof from an older size. Raises `QuorumNotMet`, unless it fails open: then that
        is logged. Raises `Rollback` or `Fork` when a witness has seen more of this log, or another, than the log.
        """
        note = Note.parse(checkpoint.signed)
        lines = {(line.name, line.key_id): line for line in note.signatures}
        for line in self.collects.collect(checkpoint, prove):
            lines.setdefault((line.name, line.key_id), line)
        cosigned = replace(checkpoint, signed=bytes(Note(note.text, tuple(lines.values()))))
        try:
            self._verify(cosigned, keys)
        except QuorumNotMet as error:
            if not self.fails_open:
                raise
            extra = {"origin": checkpoint.origin, "size": checkpoint.size}
            logger.warning("%s; published all the same, as it was asked for", error, extra=extra)
        return cosigned

    def _verify(self, checkpoint: Checkpoint, keys: Keyring) -> None:
        self.policy.succeeded(keys.lines).verify(Note.parse(checkpoint.signed), checkpoint)
