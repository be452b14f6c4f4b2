"""Where a log lives: the storage that is its own, read under the keys that it has by now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import LedgerError, NotFound
from ledger.keyring import Keyring
from ledger.storage import Checkpoints, Database, Head, Objects, Row
from ledger.stored import Stored
from ledger.tile import WIDTH, open_path, parse_open

__all__ = ["Home"]


class Home:
    """The own storage of one log, and the log's keys: `keys` is replaced whole when they are handed over."""

    def __init__(
        self,
        objects: Objects,
        checkpoints: Checkpoints | None,
        keys: Keyring,
        renew: Callable[[], Keyring] | None = None,
    ) -> None:
        """Without `checkpoints`, `objects` holds them too, or `LedgerError` is raised. `renew` as in `Log.open`."""
        if checkpoints is None:
            if not isinstance(objects, Checkpoints):
                msg = f"{type(objects).__name__} holds no checkpoints: give a storage for them as well"
                raise LedgerError(msg)
            checkpoints = objects
        self.objects = objects
        self.checkpoints = checkpoints
        self.database = objects if isinstance(objects, Database) and checkpoints is objects else None
        self.stored = Stored(objects)
        self.keys = keys
        self._renew = renew

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.keys.origin

    def head(self) -> Head:
        """How far the log is sequenced, and its newest checkpoint. Raises `NotFound` when it was never created."""
        if self.database is not None:
            return self.database.head(self.origin)
        signed = self.checkpoints.load(self.origin)
        return Head(self.open(signed).size, signed)

    def head_and_rows(self) -> tuple[Head, Sequence[Row] | None]:
        """Both as of one moment: another process may sequence between two reads. None where rows do not lie apart."""
        while True:
            head = self.head()
            rows = self.database.rows(self.origin) if self.database else None
            if rows is None or self.head() == head:
                return head, rows

    def open(self, signed: bytes) -> Checkpoint:
        """The checkpoint of the head, under keys that are looked up again where another process handed over."""
        if self._renew is not None and not self.keys.holds_turn(signed):
            self.keys = self._renew()
        return open_checkpoint(signed, self.keys.policy)

    def newest(self) -> Checkpoint:
        """The checkpoint of the head."""
        return self.open(self.head().signed)

    def catch_up(self) -> None:
        """Look the keys up again, should another process have handed over."""
        if self._renew is not None:
            self.newest()

    def opened(self, number: int) -> list[bytes]:
        """What the log's own storage has open beside a bundle, now; [] where it cannot tell."""
        if self.database is not None:
            head, rows = self.head_and_rows()
            if number == head.size // WIDTH:
                return [row.opened for row in rows or ()]
        try:
            return parse_open(self.objects.get(open_path(number)))
        except NotFound:
            return [] if self.database is None else [b""] * WIDTH
