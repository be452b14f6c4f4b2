"""Collecting cosignatures over HTTP: all witnesses of a policy at once, each asked on one kept connection.

::

    witnesses = Witnesses(Policy.parse(text))
    lines = witnesses.collect(checkpoint, prove)        # verified, a quorum of them unless time ran out

What a witness answers is believed only as far as a signature goes: its own, for that it cosigned; this log's, for that
the log was ahead of this storage or signed another tree. A witness can stay away, and cannot stop anybody.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from queue import Empty, SimpleQueue

from adapters.exchange import Exchange
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.cosigning import Witnessing
from ledger.errors import Fork, LedgerError, MalformedError, ProofMismatch, Rollback, Unavailable, UnknownKey
from ledger.evidence import forked
from ledger.keyring import Keyring
from ledger.merkle import verify_consistency
from ledger.note import MAX_NOTE, Signature, shown
from ledger.policy import LogLine, Policy
from ledger.policy import Witness as Line
from ledger.witness import Request, read_answer

__all__ = ["DEADLINE", "Witnesses", "witnessing_by"]

DEADLINE = 5.0
"""Seconds after which nobody waits for a witness."""

logger = logging.getLogger(__name__)


class Witnesses:
    """The witnesses of a policy that have a URL. Made once and kept: it remembers sizes and holds connections.

    Safe to share between threads, and to be used in a process that was forked. Implements `ledger.witness.Collects`.
    """

    def __init__(
        self, policy: Policy, *, log: Callable[[], Iterable[LogLine]] | None = None, deadline: float = DEADLINE
    ) -> None:
        """`deadline` in seconds, for one call of `collect`. Raises `Unavailable` for a URL that is none.

        `log` gives the log's keys of by then, by default those of `policy`: they judge what witnesses show of it.
        """
        self._policy = policy
        self._log = log or (lambda: policy.logs)
        self._deadline = deadline
        self._peers = _peers(policy)
        self._process = os.getpid()

    def collect(self, checkpoint: Checkpoint, prove: Callable[[int], Sequence[bytes]]) -> tuple[Signature, ...]:
        """Ask every witness to cosign `checkpoint`, as `Collects` says; the lines stand in the order of the policy.

        One round trip where the size that a witness has seen is known, which it is after the first time. With the
        quorum `none`, witnesses are told and not waited for. A witness that does not answer, or answers what does not
        verify, is absent; that is logged when it begins and when it ends. Raises `UnknownKey` when the policy names no
        key of this log: nothing that a witness shows could be judged.
        """
        log = Policy(tuple(self._log())).spans(checkpoint.origin)
        if not log:
            msg = f"witnesses: the policy names no key of log {shown(checkpoint.origin, 200)}; add its `log` line"
            raise UnknownKey(msg)
        if self._process != os.getpid():
            # The connections are the parent's, and whoever held the locks has stayed there.
            for peer in self._peers:
                peer.leave_to_parent()
            self._peers, self._process = _peers(self._policy), os.getpid()
        until = time.monotonic() + self._deadline
        call = _Call(checkpoint, log, until, threading.Event(), SimpleQueue())
        proofs: dict[int, tuple[bytes, ...]] = {}

        def proof(old: int) -> tuple[bytes, ...]:
            return tuple(prove(old)) if 0 < old < checkpoint.size else ()

        def ask(peer: _Peer, old: int) -> None:
            if old not in proofs:
                proofs[old] = proof(old)
            peer.start(call, bytes(Request.about(checkpoint, old=old, proof=proofs[old])), old)

        def judge(peer: _Peer) -> None:
            if theirs := peer.take_shown(checkpoint.origin):
                peer.note(_judged(peer.name, theirs, checkpoint, proof))

        for peer in self._peers:
            judge(peer)  # what it showed after somebody had stopped waiting
        for peer in self._peers:
            ask(peer, min(peer.seen.get(checkpoint.origin, 0), checkpoint.size))
        found: dict[str, Signature] = {}
        waiting = len(self._peers)
        retried: set[_Peer] = set()
        try:
            while waiting and not self._policy.satisfied(found.keys()):
                answer = call.answers.get(timeout=max(0.0, until - time.monotonic()))
                found |= answer.lines
                judge(answer.peer)
                if answer.seen is not None and answer.peer not in retried:
                    retried.add(answer.peer)
                    ask(answer.peer, answer.seen)
                    continue
                waiting -= 1
                if answer.seen is not None:
                    answer.peer.note(f"has seen size {answer.seen} now, after it had said otherwise")
        except Empty:
            pass
        finally:
            call.over.set()
        with suppress(Empty):
            while True:  # came at the same time
                found |= call.answers.get_nowait().lines
        return tuple(found[line.name] for line in self._policy.witnesses if line.name in found)

    def close(self) -> None:
        """End the connections; one that is in use ends after its answer. Later calls keep none."""
        for peer in self._peers:
            peer.close()


def witnessing_by(policy: Policy, keys: Callable[[], Keyring], *, fails_open: bool = False) -> Witnessing | None:
    """How a log that has these `keys` by then asks the witnesses of a policy; None where there are none."""
    if not policy.witnesses:
        return None
    return Witnessing(policy, Witnesses(policy, log=lambda: keys().lines), fails_open)


def _peers(policy: Policy) -> tuple[_Peer, ...]:
    """The witnesses of a policy: one with several keys, which have one URL, is asked once for all of them."""
    at: dict[str, list[Line]] = {}
    for line in policy.witnesses:
        if line.url:
            at.setdefault(line.url.rstrip("/"), []).append(line)
    return tuple(_Peer(url, lines, policy) for url, lines in at.items())


@dataclass(frozen=True, slots=True)
class _Answer:
    """What became of one request: verified lines by the names of the policy, or a size to prove from, or nothing."""

    peer: _Peer
    lines: dict[str, Signature]
    seen: int | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of `collect`, shared with the threads that ask for it."""

    checkpoint: Checkpoint
    log: tuple[LogLine, ...]  # its keys
    until: float
    over: threading.Event
    answers: SimpleQueue[_Answer]


class _Peer:
    """One witness, under one or several keys: its connection, what it has seen, and whether it answers."""

    def __init__(self, url: str, lines: Iterable[Line], policy: Policy) -> None:
        self.name = "/".join(line.name for line in lines)
        self.seen: dict[str, int] = {}
        self._lines = tuple(lines)
        self._policy = policy
        self._exchange = Exchange(url)
        self._free = threading.Lock()  # holds what is below, and the connection
        self._shown: dict[str, Checkpoint] = {}
        self._cosigned: dict[str, int] = {}
        self._trouble = ""
        self._ended = False

    def start(self, call: _Call, request: bytes, old: int) -> None:
        # A thread of its own for each request: none is left when nobody publishes, and none is waited for at exit.
        threading.Thread(target=self._run, args=(call, request, old), name=f"witness {self.name}", daemon=True).start()

    def take_shown(self, origin: str) -> Checkpoint | None:
        """The checkpoint that it showed, signed by the log, when it would not sign ours; once."""
        return self._shown.pop(origin, None)

    def note(self, trouble: str) -> None:
        """Log it when the witness begins to be absent, for another reason, or is back ("")."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        extra = {"witness": self.name, "url": self._exchange.url}
        if trouble:
            logger.warning("witness %s: absent: %s", self.name, trouble, extra=extra)
        else:
            logger.info("witness %s: cosigns again", self.name, extra=extra)

    def close(self) -> None:
        """End the connection: now, or, when a request is under way, after that."""
        self._ended = True
        if self._free.acquire(blocking=False):
            try:
                self._exchange.close()
            finally:
                self._free.release()

    def leave_to_parent(self) -> None:
        """In a process that was forked: let go of the connection here, without a word to the other side."""
        self._exchange.close()

    def _run(self, call: _Call, request: bytes, old: int) -> None:
        answer = _Answer(self, {})
        try:
            # An earlier call may still wait for this witness.
            if not self._free.acquire(timeout=max(0.0, call.until - time.monotonic())):
                return
            try:
                if not call.over.is_set():
                    answer = self._ask(call, request, old)
            finally:
                self._free.release()
        except LedgerError as error:
            self.note(str(error))
        finally:
            if self._ended:
                self.close()
            call.answers.put(answer)

    def _ask(self, call: _Call, request: bytes, old: int) -> _Answer:
        checkpoint = call.checkpoint
        status, body = self._exchange.ask("add-checkpoint", request, until=call.until, most=MAX_NOTE)
        if status == 422:
            self._look(call, f"says that size {checkpoint.size} does not extend what it saw")
            return _Answer(self, {})
        try:
            said = read_answer(status, body)
        except MalformedError as error:
            raise Unavailable(str(error)) from error
        if isinstance(said, int):
            if old != said <= checkpoint.size:
                self._remembers(checkpoint.origin, said)
                self.seen[checkpoint.origin] = said
                return _Answer(self, {}, said)
            # Ahead of us, or with another root of the same size: some witnesses answer 409 for that, too.
            what = "another tree of" if said <= checkpoint.size else "more of this log than there is here,"
            self._look(call, f"says that it has seen {what} size {said}")
            return _Answer(self, {})
        lines, trouble = self._verified(checkpoint, said)
        if lines:
            self.seen[checkpoint.origin] = self._cosigned[checkpoint.origin] = checkpoint.size
        self.note(trouble)
        return _Answer(self, lines)

    def _verified(self, checkpoint: Checkpoint, said: Iterable[Signature]) -> tuple[dict[str, Signature], str]:
        """Its lines that hold, by the names of the policy, and what is wrong with or instead of the others."""
        lines = {}
        wrong = []
        by = {(signature.name, signature.key_id): signature for signature in said}
        for line in self._lines:
            try:
                signature = by[line.key.name, line.key.key_id]
                line.key.verify(checkpoint, signature)
                lines[line.name] = signature
            except KeyError:
                wrong.append(f"answered without a signature by {shown(line.key.name)} {line.key.key_id.hex()}")
            except LedgerError as error:
                wrong.append(str(error))
        return lines, "; ".join(wrong)

    def _remembers(self, origin: str, said: int) -> None:
        """Report a witness that says it has seen less than it cosigned for this process."""
        if said < (signed := self._cosigned.get(origin, 0)):
            extra = {"witness": self.name, "url": self._exchange.url, "origin": origin}
            logger.error(
                "witness %s: says that it has seen size %d of %s, and cosigned size %d before: it has forgotten what "
                "it signed and may sign another history; ask its operator, and do not count on it until you know why",
                *(self.name, said, shown(origin, 200), signed),
                extra=extra,
            )

    def _look(self, call: _Call, why: str) -> None:
        """Ask which checkpoint it holds, as it would not sign. Only one that this log signed says anything."""
        origin = call.checkpoint.origin
        path = f"{sha256(origin.encode()).hexdigest()}/checkpoint"
        status, body = self._exchange.ask(path, until=call.until, most=MAX_NOTE)
        if status != 200:
            msg = (
                f"does not cosign at size {call.checkpoint.size}: {why}, and shows no checkpoint for it ({path}: "
                f"status {status}); if its operator has one that this log signed, sign nothing more: this storage is "
                "behind it, or another"
            )
            raise Unavailable(msg)
        theirs = open_checkpoint(body, Policy(call.log))
        self._shown[origin] = theirs
        self.seen[origin] = theirs.size


def _judged(name: str, theirs: Checkpoint, ours: Checkpoint, prove: Callable[[int], tuple[bytes, ...]]) -> str:
    """Raise when what a witness holds, signed by this log, cannot be true beside ours; else say what it withheld."""
    if theirs.size > ours.size:
        msg = (
            f"{ours.origin}: witness {name} holds a checkpoint of size {theirs.size} that this log signed, this "
            f"storage is at {ours.size}; unless another process went ahead meanwhile, sign nothing more: restore the "
            "newer storage, or refill it from what is published"
        )
        raise Rollback(msg, newest=theirs)
    proof = prove(theirs.size)
    try:
        if theirs.size:
            verify_consistency(proof, old=theirs.size, new=ours.size, old_root=theirs.root, new_root=ours.root)
    except ProofMismatch as error:
        msg = (
            f"{ours.origin}: witness {name} holds a checkpoint of size {theirs.size} that this log signed, and this "
            f"storage, at size {ours.size}, does not extend it; publish nothing, keep both notes, and find out which "
            "storage signed the other"
        )
        # Of two sizes, only the storage itself shows what the evidence needs: the root that it has at the smaller one.
        raise (forked(msg, theirs, ours) if theirs.size == ours.size else Fork(msg, theirs, ours)) from error
    return f"does not cosign at size {ours.size}, which extends what it holds, size {theirs.size}"
