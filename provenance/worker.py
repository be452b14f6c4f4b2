"""What moves accepted events into the log and publishes them, by itself, for a market without a scheduler.

Any number of workers may run, on any number of hosts: one at a time sequences, and when it dies the next one goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from ledger.checkpoint import Checkpoint
from ledger.errors import Conflict, LedgerError, QuorumNotMet, Unavailable

__all__ = ["Worker", "Works"]

BEAT = 10.0
"""Seconds between two notes that a worker runs."""

_LONGEST_PAUSE = 30.0  # seconds between tries while a storage does not answer

Beat = Callable[[str, float, str], None]
"""Called with (running, stopped or failed; the window in seconds; the error as text)."""

logger = logging.getLogger(__name__)


class Works(Protocol):
    """What a worker needs of a `ProvenanceLedger`."""

    @property
    def origin(self) -> str:
        """Name of the log."""

    def sequence_once(self) -> int:
        """Move some accepted events into the log; return how many."""

    def publish_once(self) -> Checkpoint:
        """Publish what is sequenced."""


class Worker:
    """Sequences and publishes once per window until it is stopped.

    `run` in the calling thread, or `start` and `stop`, or a `with` block around what the market does::

        with ledger.worker():
            serve()

    While a storage does not answer it tries again, ever more slowly, and logs a warning each time. An error that only a
    person can mend (`Rollback`, `Fork`, a missing key) ends it: `run` raises it, and `error` holds it.
    """

    def __init__(self, ledger: Works, *, window: float = 1.0, beat: Beat | None = None) -> None:
        """`window`: seconds between checkpoints, and so the longest that an event waits below saturation.

        `beat` is told now and then that the worker runs, and how it ended: `health` looks at that in every process.
        """
        self._ledger = ledger
        self._window = window
        self._beat = beat or _tell_nobody
        self._beat_at = -BEAT  # monotonic
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Work until `stop` is called from another thread; then everything accepted before is published."""
        pause = 0.0
        stopping = False
        while not stopping:
            stopping = self._stop.wait(pause)
            began = time.monotonic()
            try:
                self._tick(began)
                if began - self._beat_at >= BEAT:
                    self._beat("running", self._window, "")
                    self._beat_at = began
                pause = max(0.0, self._window - (time.monotonic() - began))
            except (Unavailable, Conflict, QuorumNotMet) as error:
                pause = min(_LONGEST_PAUSE, max(self._window, 2 * pause))
                extra = {"origin": self._ledger.origin, "seconds": pause}
                logger.warning("%s: %s; next try in %.1f s", self._ledger.origin, error, pause, extra=extra)
            except Exception as error:
                self.error = error
                # What a library raises may repeat what it was given.
                text = str(error) if isinstance(error, LedgerError) else type(error).__name__
                logger.critical("%s: stopped: %s", self._ledger.origin, text, extra={"origin": self._ledger.origin})
                self._say_last("failed", text)
                raise
        self._say_last("stopped")

    def _tick(self, began: float) -> None:
        """Everything that waits, with a checkpoint at least once per window however much keeps coming."""
        while self._ledger.sequence_once():
            if time.monotonic() - began >= self._window:
                break
        self._ledger.publish_once()

    def _say_last(self, state: str, error: str = "") -> None:
        """Note how it ended; where even that fails, the log says so and the silence will be noticed."""
        try:
            self._beat(state, self._window, error)
        except LedgerError as unsaid:
            logger.warning("%s: %s not noted: %s", self._ledger.origin, state, unsaid)

    def wait(self, seconds: float) -> bool:
        """Whether a started worker has ended by itself within `seconds`; then `stop` raises what ended it."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def start(self) -> Self:
        """Run in a thread of its own; return this worker."""
        if self._thread is not None and self._thread.is_alive():
            msg = f"{self._ledger.origin}: this worker runs already"
            raise RuntimeError(msg)
        self._stop.clear()
        self.error = None
        self._beat_at = -BEAT
        self._thread = threading.Thread(target=self._run_quietly, name="provenance-worker", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Publish what was accepted so far, end, and wait for that. Raises what ended the worker earlier."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.error is not None:
            raise self.error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def _run_quietly(self) -> None:
        try:
            self.run()
        except LedgerError:
            return  # logged, and kept for `stop`


def _tell_nobody(state: str, window: float, error: str) -> None:
    """No beat was asked for."""
