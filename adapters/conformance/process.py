"""The process that forks: `python -m adapters.conformance.process pkg.mod:factory`, started by the kit.

It reads one request a line from standard input, forks for each of its programs, and writes what they say, and how they
ended, to standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from adapters.conformance.children import Death
from adapters.conformance.declared import Factory, load_factory

__all__ = ["Child"]

PATIENCE = 60
"""Seconds after which a program that has not ended counts as hanging."""


class Child:
    """What a program has: the storage, its arguments, and the ways to speak, to wait and to die."""

    def __init__(self, factory: Factory, request: dict[str, Any], number: int, pipes: _Pipes) -> None:
        self.folder = Path(request["folder"])
        self.arguments: dict[str, Any] = request["programs"][number][2]
        self._factory = factory
        self._death = Death(**request["death"])
        self._number = number
        self._pipes = pipes
        self._ready = False

    def open(self) -> Any:
        """A handle on the storage."""
        return self._factory(self.folder)

    def say(self, value: Any) -> None:
        """Tell the check, at once: it hears it even if this process is killed right after."""
        self._pipes.tell(self._number, "said", value)

    def wait(self) -> None:
        """Wait until all programs of this run have come to such a point, for the first time."""
        if not self._ready:
            self._ready = True
            self._pipes.wait()

    def die(self) -> None:
        """End here and now, as if killed from outside: nothing is flushed, closed or given back."""
        os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def full(self, size: int, *, deadly: bool = False) -> Iterator[None]:
        """No file may be written beyond `size` bytes in this block: for who stores in files, the disk is full.

        What fits is written. Where it is `deadly`, the rest of it kills this process.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextlib.contextmanager
    def dying(self) -> Iterator[None]:
        """Die, or pause, at the nth moment of this block: before or after a call of something that is not Python.

        What a process does to the world it does by such calls, so between two of them there is nothing to see. They
        are counted for who wants to choose one.
        """
        moments = 0

        def count(_: FrameType, event: str, __: Any) -> None:
            nonlocal moments
            if event in {"c_call", "c_return"}:
                moments += 1
                if moments == self._death.at:
                    self.die()
                if moments == self._death.pause_at:
                    os.kill(os.getpid(), signal.SIGSTOP)

        self.wait()
        threading.setprofile(count)
        sys.setprofile(count)
        try:
            if self._death.beyond:
                with self.full(self._death.beyond, deadly=True):
                    yield
            else:
                yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            self._pipes.tell(self._number, "calls", moments)


class _Pipes:
    """How the programs of one run and the process that forks them speak."""

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._ready = os.pipe()
        self._gate = os.pipe()

    def tell(self, number: int, key: str, value: Any) -> None:
        # Less than PIPE_BUF goes in one piece, whoever else writes.
        os.write(self._answers, (json.dumps([number, key, value]) + "\n").encode()[:4096])

    def child(self) -> None:
        """In a child, the ends that others read and write are closed, or nobody would see the last one go."""
        os.close(self._ready[0])
        os.close(self._gate[1])

    def wait(self) -> None:
        os.write(self._ready[1], b".")
        os.read(self._gate[0], 1)

    def open_gate(self, number: int) -> None:
        """Let the children go on once all have come, or ended."""
        os.close(self._ready[1])
        os.close(self._gate[0])
        while number and os.read(self._ready[0], 1):
            number -= 1
        os.close(self._ready[0])
        os.close(self._gate[1])


def serve(store: str) -> None:
    """Answer requests until standard input ends."""
    factory, _ = load_factory(store)
    importlib.import_module("adapters.conformance.checks")
    answers = os.dup(1)
    os.dup2(2, 1)  # what the adapter prints must not look like an answer
    for line in sys.stdin:
        request = json.loads(line)
        pipes = _Pipes(answers)
        children = []
        for number in range(len(request["programs"])):
            if (pid := os.fork()) == 0:
                _live(factory, request, number, pipes)
            children.append(pid)
        pipes.open_gate(len(children))
        if request["death"]["after"]:
            time.sleep(request["death"]["after"])
            for pid in children:
                os.kill(pid, signal.SIGKILL)  # also one that has ended is still ours until we wait for it
        for number, pid in enumerate(children):
            _, status = os.waitpid(pid, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                pipes.tell(number, "paused", None)
                sys.stdin.readline()
                os.kill(pid, signal.SIGCONT)
                _, status = os.waitpid(pid, 0)
            pipes.tell(number, "status", os.waitstatus_to_exitcode(status))
        pipes.tell(0, "all", None)


def _live(factory: Factory, request: dict[str, Any], number: int, pipes: _Pipes) -> None:
    """The whole life of a child; never returns."""
    signal.alarm(PATIENCE)
    status = 1
    try:
        pipes.child()
        module, name, _ = request["programs"][number]
        getattr(importlib.import_module(module), name)(Child(factory, request, number, pipes))
        status = 0
    except BaseException as error:  # noqa: BLE001 - told to the check, which raises it
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        pipes.tell(number, "error", f"{type(error).__name__}: {str(error)[:800]} ({where})")
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
