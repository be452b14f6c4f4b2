"""What readers are shown of a log: the places where they find it, and who has to cosign first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.cosigning import Witnessing
from ledger.errors import Fork, NotFound, UnknownKey
from ledger.evidence import forked
from ledger.home import Home
from ledger.merkle import EMPTY_ROOT, prove_consistency
from ledger.publish import Partials, publish_to
from ledger.redact import show_redacted
from ledger.signed import Signed
from ledger.storage import Objects
from ledger.tile import CHECKPOINT, WIDTH

__all__ = ["Places"]


class Places:
    """Shows one log wherever others read it. One thread at a time shows and redacts; any may look."""

    def __init__(self, home: Home, targets: Sequence[Objects], witnessing: Witnessing | None) -> None:
        self._home = home
        self._targets = tuple((target, Partials(target)) for target in targets)
        self._witnessing = witnessing
        self.newest = Checkpoint(home.origin, 0, EMPTY_ROOT)
        """With witnesses, the newest that readers were shown, as far as is known here: one that was cosigned."""

    @property
    def all(self) -> tuple[Objects, ...]:
        """Where others read the log; without a database, its own storage is one of them."""
        own = () if self._home.database else (self._home.objects,)
        return (*own, *(target for target, _ in self._targets))

    def shown(self) -> list[Checkpoint]:
        """What each place shows, of those that show anything. Raises `UnknownKey` for what this log did not sign."""
        found = [self._shown_in(place) for place in self.all]
        return [checkpoint for checkpoint in found if checkpoint is not None]

    def take(self, shown: Sequence[Checkpoint]) -> None:
        """Keep the newest of these, which are `shown()`, where it is newer than `newest`."""
        self.newest = max((self.newest, *shown), key=lambda checkpoint: checkpoint.size)

    def cosigned(self, signed: Signed) -> Checkpoint:
        """The checkpoint that readers are to be shown: with the lines of witnesses, where these are asked.

        Without a database, the storage itself shows it then. Raises as `Witnessing.cosign`; a `Fork` with its proof.
        """
        if self._witnessing is None:
            return signed.checkpoint
        checkpoint, _, reader = signed
        if self.newest != checkpoint or not self._satisfied(self.newest):

            def prove(old: int) -> tuple[bytes, ...]:
                return tuple(prove_consistency(old, checkpoint.size, reader)) if 0 < old < checkpoint.size else ()

            try:
                self.newest = self._witnessing.cosign(checkpoint, self._home.keys, prove)
            except Fork as error:
                raise forked(str(error), error.old, error.new, reader) from error
        if self._home.database is None:
            there = self._shown_in(self._home.objects)
            if there is None or there.size <= self.newest.size:
                self._home.objects.replace(CHECKPOINT, self.newest.signed)
        return self.newest

    def reaches(self, checkpoint: Checkpoint) -> bool:
        """Whether readers are known to be shown at least this, with the quorum that is asked for."""
        return self.newest.size >= checkpoint.size and self._satisfied(self.newest)

    def show(self, checkpoint: Checkpoint, signed: Signed) -> None:
        """Publish `checkpoint`, which is that of `signed` with whatever lines, everywhere but in the own storage.

        Raises `Rollback` or `Fork` where more, or something else, is published already.
        """
        for target, partials in self._targets:
            shown = self._shown_in(target)
            if shown is not None and shown.size > checkpoint.size:
                # Another process may have published more than this handle knows; its storage must know it too.
                if self._home.newest().size < shown.size:
                    signed.check_extends(shown, "published")
                continue
            if shown is not None:
                signed.check_extends(shown, "published")
                if shown == checkpoint and self._satisfied(shown):
                    continue
            size = shown.size if shown else 0
            home = self._home
            publish_to(target, size, checkpoint, signed.edge, home.objects, partials, home.opened)

    def redact(self, indexes: Collection[int]) -> None:
        """Show nothing beside these entries any more, everywhere but in the own storage."""
        for target, _ in self._targets:
            for number in sorted({index // WIDTH for index in indexes}):
                show_redacted(target, number, self._home.opened)

    def _satisfied(self, checkpoint: Checkpoint) -> bool:
        return self._witnessing is None or self._witnessing.satisfied(checkpoint, self._home.keys)

    def _shown_in(self, place: Objects) -> Checkpoint | None:
        try:
            data = place.get(CHECKPOINT)
        except NotFound:
            return None
        try:
            return open_checkpoint(data, self._home.keys.policy)
        except UnknownKey:
            self._home.catch_up()  # another process may have handed over and gone on meanwhile
        try:
            return open_checkpoint(data, self._home.keys.policy)
        except UnknownKey as error:
            msg = (
                f"{self._home.origin}: what is published is not signed by a key that the log has in this storage: "
                f"{error}; where it was put back to before a hand-over, refill it from what is published"
            )
            raise UnknownKey(msg) from error
