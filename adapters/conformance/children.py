"""Other processes that use the same storage, and how they ended.

One process imports the factory and then forks for every program that is to run: starting Python anew for each would
take most of the time of a run. It has opened nothing itself when it forks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__ = ["PATIENCE", "Children", "Death", "Ended", "Program", "Wrong"]

PATIENCE = 60.0
"""Seconds after which whoever has not answered counts as hanging."""

PAUSE = 0.05
"""Seconds that others have while a program is paused."""

Program = tuple["Callable[[Child], None]", dict[str, Any]]
"""A function of a module of this package, and arguments for it that JSON can say."""


class Wrong(Exception):
    """The adapter broke its contract; the message says how: what was done, what came, what was wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """When programs die, or pause. Nothing of it: they live to their end."""

    after: float = 0.0
    """Seconds from when all were ready."""
    at: int = 0
    """This moment of their `dying` block, see `process.Child`."""
    pause_at: int = 0
    """They stop at this moment of it, and go on a little later."""
    beyond: int = 0
    """In that block, with the first byte that is written beyond this size of a file: as if the disk had filled up and
    the power gone."""


@dataclass(slots=True)
class Ended:
    """How a program ended: `status` is its exit status, or minus the signal that killed it."""

    name: str
    status: int = 0
    said: list[Any] = field(default_factory=list)
    """What it said while it lived, in order: what it was promised."""
    calls: int = 0
    """Calls in its `dying` block."""
    error: str = ""

    def finished(self) -> Ended:
        """Itself, if it ran to its end. Raises `Wrong`."""
        if self.status == -signal.SIGALRM:
            msg = f"{self.name}, in another process: no answer within a minute"
            raise Wrong(msg)
        if self.status or self.error:
            msg = f"{self.name}, in another process: {self.error or f'ended with status {self.status}'}"
            raise Wrong(msg)
        return self

    def gone(self) -> Ended:
        """Itself, if it was killed, or had ended before it could be. Raises `Wrong`."""
        return self if self.status in {-signal.SIGKILL, -signal.SIGXFSZ} else self.finished()


class Children:
    """Processes beside this one, all forked from one. Started when first needed."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._server: subprocess.Popen[str] | None = None

    def run(
        self,
        folder: Path,
        programs: Sequence[Program],
        death: Death | None = None,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> list[Ended]:
        """See `Place.run`."""
        server = self._started()
        death = death or Death()
        request = {
            "folder": str(folder),
            "programs": [(program.__module__, program.__name__, arguments) for program, arguments in programs],
            "death": asdict(death),
        }
        ended = [Ended(program.__name__) for program, _ in programs]
        assert server.stdin is not None  # noqa: S101 - it was asked for
        assert server.stdout is not None  # noqa: S101
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        other: threading.Thread | None = None
        for line in server.stdout:
            number, key, value = json.loads(line)
            if key == "said":
                ended[number].said.append(value)
            elif key == "paused":
                other = threading.Thread(target=meanwhile, daemon=True)
                other.start()
                other.join(PAUSE)  # it may have to wait for the one that is paused
                server.stdin.write("go on\n")
                server.stdin.flush()
            elif key != "all":
                setattr(ended[number], key, value)
            else:
                if other is not None:
                    other.join(PATIENCE)
                return ended
        msg = f"the process that forks for {self._store} ended with status {server.wait()}"
        raise RuntimeError(msg)

    def close(self) -> None:
        """End the process."""
        if self._server is not None:
            self._server.communicate(timeout=60)
            self._server = None

    def _started(self) -> subprocess.Popen[str]:
        if self._server is None or self._server.poll() is not None:
            self._server = subprocess.Popen(  # noqa: S603 - this interpreter and our own program
                [sys.executable, "-m", "adapters.conformance.process", self._store],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._server
