"""What a witness does about a log, in plain words: what it last cosigned, what it answers now, and what to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from adapters.exchange import Exchange
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.errors import LedgerError, ProofMismatch, Unavailable, UnknownKey
from ledger.evidence import Evidence, forked
from ledger.merkle import verify_consistency
from ledger.note import MAX_NOTE, Note, shown
from ledger.policy import Policy
from ledger.policy import Witness as Line
from ledger.witness import REFUSALS, Request, read_answer

__all__ = ["Explained", "State", "explain"]

State = Literal["cosigns", "refuses", "absent", "lies", "contradicts"]
"""What a witness does about the newest checkpoint.

`cosigns` it · `refuses` it, with a reason · `absent`, as there is no answer · `lies`, as what it says does not verify ·
`contradicts`: it holds a checkpoint that this log signed and that cannot be true beside the newest one.
"""

_DO = {
    400: "compare the versions of both programs",
    403: "send its operator the line `log {key}`, by a way that he trusts",
    404: "send its operator the line `log {key}`, by a way that he trusts",
    409: "ask again; if it stays so, ask its operator for the checkpoint that he has",
    422: "keep the newest checkpoint, ask its operator for what he has",
    429: "wait; the log asks again with its next checkpoint",
}
_AWAY = "ask its operator; publishing goes on as long as the others are a quorum"


@dataclass(frozen=True, slots=True)
class Explained:
    """One witness about one log. `size` and `at` are of what it last cosigned, None when that is not known.

    `at` is the time that it signed (seconds since 1970), `behind` the entries that it has not seen; `says` and `do` are
    sentences without a full stop. `held` is what it holds, with its signed bytes, where that contradicts the log, and
    `evidence` proves it where it is a fork: a checkpoint that is merely larger proves none.
    """

    names: tuple[str, ...]
    url: str
    state: State
    says: str
    do: str
    size: int | None = None
    at: int | None = None
    behind: int | None = None
    held: Checkpoint | None = None
    evidence: Evidence | None = None


def explain(lines: Sequence[Line], client: Client, *, deadline: float = 5.0) -> Explained:
    """Ask the witness of `lines` (one URL, its keys) about the log that `client` reads, as the log itself does.

    It is asked what it holds, and to cosign the newest published checkpoint, which anybody may ask. Takes no longer
    than `deadline` seconds beside what the log's files take. Raises what reading those raises; whatever a witness
    does is in the answer.
    """
    newest = client.latest()
    asking = _Asking(tuple(lines), client, newest, time.monotonic() + deadline)
    try:
        return asking.run()
    except Unavailable as error:
        return asking.answer("absent", str(error), _AWAY)
    except LedgerError as error:
        return asking.answer("lies", str(error), "do not count on it: ask its operator, or take it out of the policy")
    finally:
        asking.close()


class _Asking:
    """What is known so far."""

    def __init__(self, lines: tuple[Line, ...], client: Client, newest: Checkpoint, until: float) -> None:
        self._lines = lines
        self._client = client
        self._newest = newest
        self._until = until
        self._exchange = Exchange(lines[0].url)
        self._held: Checkpoint | None = None
        self._at: int | None = None

    def close(self) -> None:
        self._exchange.close()

    def run(self) -> Explained:
        newest = self._newest
        self._hold()
        held = self._held
        if held is not None:
            if held.size > newest.size:
                return self.answer(
                    "contradicts",
                    f"holds a checkpoint of size {held.size} that this log signed, and {newest.size} is published",
                    "sign nothing more: what is published, or the storage behind it, was put back to an older state",
                )
            try:
                self._check_begins(held)
            except ProofMismatch:
                says = f"holds a checkpoint of size {held.size} that this log signed, and the newest does not extend it"
                error = forked(says, held, newest, self._client.reader)
                do = "publish nothing, keep both notes, and find out which storage signed the other"
                return self.answer("contradicts", str(error), do, error.evidence)
        status, body = self._ask(0 if held is None else held.size)
        if status == 409 and isinstance(seen := read_answer(status, body), int) and seen <= newest.size:
            status, body = self._ask(seen)  # what it shows to monitors may be an hour old
        if status == 200:
            self._at = self._verify(newest, read_answer(status, body))
            self._held = newest
            return self.answer("cosigns", "cosigns the newest checkpoint", "nothing")
        key = self._client.policy.log_keys(newest.origin)[0]
        if status not in _DO:
            return self.answer("absent", f"answers with status {status}", _AWAY)
        reason = shown(body[:300].decode("utf-8", "replace").strip(), 200)
        says = f"{REFUSALS[status]} ({status}{': ' if reason else ''}{reason})"
        return self.answer("refuses", says, _DO[status].format(key=key))

    def _ask(self, old: int) -> tuple[int, bytes]:
        """What it answers when it is asked to cosign the newest checkpoint, proven from the size `old`."""
        newest = self._newest
        proof = tuple(self._client.prove_consistency(old)) if 0 < old < newest.size else ()
        request = bytes(Request.about(newest, old=old, proof=proof))
        return self._exchange.ask("add-checkpoint", request, until=self._until, most=MAX_NOTE)

    def _hold(self) -> None:
        """What it shows to monitors."""
        path = f"{sha256(self._newest.origin.encode()).hexdigest()}/checkpoint"
        status, body = self._exchange.ask(path, until=self._until, most=MAX_NOTE)
        if status == 404:
            return
        if status != 200:
            msg = f"answers with status {status} when it is asked what it holds"
            raise Unavailable(msg)
        note = Note.parse(body)
        held = Checkpoint.parse(note.text)
        if held.origin != self._newest.origin:
            msg = f"shows a checkpoint of {shown(held.origin, 200)} when it is asked for {self._newest.origin}"
            raise UnknownKey(msg)
        at = self._verify(held, note.signatures)
        try:
            held = open_checkpoint(body, Policy.of(*self._client.policy.log_keys(self._newest.origin)))
        except UnknownKey:
            return  # it watches a log of this name under another key: its answer will say so
        self._at, self._held = at, held

    def _verify(self, tree: Checkpoint, signatures: object) -> int:
        """The time at which it signed, if every key of it did."""
        found = {(s.name, s.key_id): s for s in signatures} if isinstance(signatures, tuple) else {}
        times = []
        for line in self._lines:
            signature = found.get((line.key.name, line.key.key_id))
            if signature is None:
                msg = f"its key {shown(line.key.name)} {line.key.key_id.hex()} did not sign what it says"
                raise UnknownKey(msg)
            times.append(line.key.verify(tree, signature))
        return min(times)

    def _check_begins(self, held: Checkpoint) -> None:
        if held.size:
            proof = self._client.prove_consistency(held.size) if held.size < self._newest.size else ()
            verify_consistency(
                tuple(proof), old=held.size, new=self._newest.size, old_root=held.root, new_root=self._newest.root
            )

    def answer(self, state: State, says: str, do: str, evidence: Evidence | None = None) -> Explained:
        held = self._held
        return Explained(
            tuple(line.name for line in self._lines),
            self._exchange.url,
            state,
            says,
            do,
            None if held is None else held.size,
            self._at,
            None if held is None else max(0, self._newest.size - held.size),
            held if state == "contradicts" else None,
            evidence,
        )
