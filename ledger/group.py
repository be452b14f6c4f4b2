"""Group commit: callers that come while a batch is being written share the next one.

The first caller leads: it writes for everybody who waits, and hands the lead to the first who came meanwhile. No
thread of our own is needed, and a lone caller waits for nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ledger.cosignature import Signs
from ledger.errors import Unavailable
from ledger.note import Signer
from ledger.storage import Row, Transaction

__all__ = ["GroupCommit", "NextKeys", "Pending", "Within"]

Within = Callable[[Transaction, int], None]
"""Called inside the transaction that sequences a batch, with the index of its first entry; may be called again when
another writer was faster, then with another index. It must not write to the log itself."""

NextKeys = tuple[Signer, Signs | None]
"""Keys that a log hands over to: an Ed25519 key and, where it signs with one, an ML-DSA-44 key."""

_MOST_COMPANY = 0.05  # seconds that a leader waits for others at the most, however slow the last commit was


@dataclass(slots=True, eq=False)
class Pending:
    """One caller's entries, waiting to be sequenced together with those of others."""

    rows: Sequence[Row]
    within: Within | None = None
    close: bool = False  # sign a checkpoint in any case
    refresh: bool = False  # look at the storage in any case
    at: int | None = None  # index that the first row must get
    redact: frozenset[int] = frozenset()  # entries beside which nothing is open from then on
    hand: NextKeys | None = None  # sign with these as well, and from then on with these alone
    first: int = -1
    error: BaseException | None = None
    leads: bool = False
    gate: threading.Lock = field(default_factory=threading.Lock)


class GroupCommit:
    """Lets `commit`, which sets `first` of every item, run by one thread at a time with all that waits."""

    def __init__(self, commit: Callable[[list[Pending]], None]) -> None:
        self._commit = commit
        self._mutex = threading.Lock()  # guards the three below
        self._waiting: list[Pending] = []
        self._busy = False
        self._expected = 1
        self._enough = threading.Event()
        self._last_commit = 0.0  # seconds; the leader's

    def submit(self, item: Pending) -> int:
        """Return `item.first` once it is committed, or raise what its commit raised."""
        item.gate.acquire()
        with self._mutex:
            self._waiting.append(item)
            if len(self._waiting) >= self._expected:
                self._enough.set()
            item.leads = not self._busy
            self._busy = True
        try:
            if not item.leads:
                item.gate.acquire()  # until the leader has committed for us, or hands the lead over
            if item.leads:
                self._lead(item)
        finally:
            # Also when this thread is interrupted, waiting or leading: a lead that nobody takes stops everybody.
            self._leave(item)
        if item.error is not None:
            raise item.error
        return item.first

    def _lead(self, leader: Pending) -> None:
        """Commit everything that waits and wake its callers."""
        group: list[Pending] = []
        began = time.monotonic()
        try:
            # As many callers as last time are probably on their way back: waiting for them, no longer than a commit
            # takes, halves the number of commits. A lone caller never waits.
            if self._expected > 1 and not self._enough.is_set():
                self._enough.wait(min(self._last_commit, _MOST_COMPANY))
            with self._mutex:
                group, self._waiting = self._waiting, []
                if any(item.within or item.hand or item.at is not None for item in group):
                    # A callback or a place may be refused: it must not take others' entries with it.
                    group, self._waiting = group[:1], group[1:]
                self._expected = len(group)
                self._enough.clear()
            began = time.monotonic()
            self._commit(group)
        except Exception as error:  # noqa: BLE001 - raised again, in the thread of everyone it concerns
            for item in group:
                item.error = error
        except BaseException:
            # An interrupt is for the thread it hit; the others learn that the outcome is unknown.
            for item in group:
                item.error = Unavailable("the commit was interrupted: the entries may or may not be in the log")
            raise
        finally:
            self._last_commit = time.monotonic() - began
            for item in group:
                if item is not leader:
                    item.gate.release()

    def _leave(self, item: Pending) -> None:
        """Forget `item`, should it still wait; if it led, make the first who waits the leader."""
        with self._mutex:
            if item in self._waiting:
                self._waiting.remove(item)
            if item.leads:
                self._busy = bool(self._waiting)
                if self._busy:
                    self._waiting[0].leads = True
                    self._waiting[0].gate.release()
