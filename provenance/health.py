"""How a ledger is: figures, and checks that turn before anybody outside notices.

What a sale needs is apart from what only makes proofs late: a ledger that is `ready` accepts events, however bad the
rest. Limits are multiples of the window, the time from one checkpoint to the next.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ledger.checkpoint import open_checkpoint
from ledger.errors import LedgerError, NotFound
from ledger.log import Log
from ledger.rounds import Report, Rounds
from ledger.tile import CHECKPOINT
from provenance.following import BATCH
from provenance.index import IndexStore
from provenance.moments import format_time, milliseconds, parse_time
from provenance.notes import FsckMemory, Notes
from provenance.publishing import PUBLISHED, WORKER, read_note
from provenance.queue import Queue
from provenance.worker import BEAT

__all__ = ["Check", "Checkup", "Health", "Standing", "Status"]

Status = Literal["ok", "degraded", "bad"]

_WINDOW = 1.0  # seconds, where no worker has said otherwise
_LATE, _TOO_LATE = 5, 30  # windows that something may wait: seen in figures, seen by people
_SHORTEST = 1.0  # second: windows below it do not make the limits shorter
_SLOW, _TOO_SLOW = 0.5, 5.0  # seconds that a database may take to answer
_DEEP, _TOO_DEEP = 2 * BATCH, 16 * BATCH  # events: one batch is taken at once
_SKEW = 5.0  # seconds that the clocks of two hosts may differ
_MISSED_BEATS = 3
_PASS_DAYS = 8.0  # days: a pass a week, and one day to notice
_LOW, _TOO_LOW = 2**30, 2**28  # bytes


class Standing(NamedTuple):
    """Where a ledger stands. Ages are in seconds; None where nothing is waiting or nothing was noted."""

    size: int  # entries sequenced
    signed: int  # of them under a checkpoint
    waiting: int  # events accepted and not yet sequenced
    oldest: float | None  # since the first of these was staged
    published: float | None  # since everything was published, as far as that was noted
    index_behind: int  # entries


@dataclass(frozen=True, slots=True)
class Check:
    """One look. `value` and `limit` are in `unit`; the limit is the next one, or the one that was passed."""

    name: str
    status: Status
    sentence: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """Every check, as of `at` (RFC 3339, the ledger's clock).

    `live`: a restart would not help. `ready`: events are accepted. Both may be true while the rest is bad.
    """

    at: str
    checks: tuple[Check, ...]
    live: bool
    ready: bool

    @property
    def status(self) -> Status:
        """The worst of all checks."""
        found = {check.status for check in self.checks}
        return "bad" if "bad" in found else "degraded" if "degraded" in found else "ok"

    @property
    def needs(self) -> tuple[Check, ...]:
        """What is not ok, the worst first."""
        return tuple(check for status in ("bad", "degraded") for check in self.checks if check.status == status)


class Checkup:
    """Looks at one ledger, from any thread of any process that has it open; a few reads, no write."""

    def __init__(
        self,
        *,
        log: Log,
        queue: Queue,
        index: IndexStore,
        notes: Notes,
        clock: Callable[[], datetime],
        folders: Mapping[str, Path],
        own_error: Callable[[], Exception | None],
    ) -> None:
        """`folders` are those whose volumes must not fill up; `own_error` is what ended the worker of this process."""
        self._log = log
        self._queue = queue
        self._index = index
        self._notes = notes
        self._clock = clock
        self._folders = dict(folders)
        self._own_error = own_error

    def standing(self) -> Standing:
        """Where the ledger stands. Raises `Unavailable`, and `Rollback` and `Fork` as `Log.refresh`."""
        self._log.refresh()
        now = milliseconds(self._clock())
        first = self._queue.peek(1)
        waiting = len(self._queue)
        size, signed = self._log.size, self._log.checkpoint.size
        note = read_note(self._notes, PUBLISHED)
        oldest = (now - first[0].staged_at) / 1000 if first and first[0].staged_at else None
        published = None if note is None else max(0.0, (now - note["at"]) / 1000)
        behind = max(0, size - self._index.on().size)
        return Standing(size, signed, waiting, oldest, published, behind)

    def health(self, *, window: float | None = None) -> Health:
        """Every check. `window` (seconds) is by default that of the worker that spoke last."""
        at = format_time(self._clock())
        try:
            began = time.monotonic()
            note = read_note(self._notes, WORKER)
            database = _database(time.monotonic() - began)
        except LedgerError as error:
            lost = Check("database", "bad", str(error), fix="provenance doctor")
            return Health(at, (lost,), live=self._own_error() is None, ready=False)
        scale = max(_SHORTEST, window or (note or {}).get("window") or _WINDOW)
        checks = [database]
        try:
            self._log.refresh()
        except LedgerError as error:
            checks.append(Check("log", "bad", str(error), fix="provenance doctor"))
        else:
            try:
                stands = self.standing()
                checks += self._flow(stands, scale)
                checks += self._worker(note, stands)
            except LedgerError as error:
                checks.append(Check("figures", "bad", str(error), fix="provenance doctor"))
        checks += self._fsck()
        disks = list(self._disks())
        ready = not any(check.status == "bad" and check.name == "disk of the database" for check in disks)
        return Health(at, (*checks, *disks), live=self._own_error() is None, ready=ready)

    def fsck(self) -> Report | None:
        """How far the last slice of checking came, in whichever process; None when there was none."""
        return Rounds([], FsckMemory(self._notes)).report()

    # Checks

    def _flow(self, stands: Standing, window: float) -> Iterator[Check]:
        late, too_late = _LATE * window, _TOO_LATE * window
        yield self._standing(stands)
        yield _judge(
            "queue", stands.waiting, _DEEP, _TOO_DEEP, "events", f"{stands.waiting} events wait", "provenance worker"
        )
        oldest = stands.oldest or 0.0
        text = f"the oldest waits for {_age(oldest)}" if stands.waiting else "nothing waits"
        yield _judge("oldest event", oldest, late, too_late, "s", text, "provenance worker")
        yield from self._places(stands, late, too_late)
        yield self._clocks(stands)
        yield self._indexed(stands)

    def _standing(self, stands: Standing) -> Check:
        text = f"size {stands.size}, {stands.signed} of it signed"
        if self._log.keys.holds_turn(self._log.signed.signed):
            return Check("log", "ok", text, stands.size, unit="entries")
        text += "; a hand-over to other keys was interrupted, and nobody signs before its end"
        return Check("log", "bad", text, stands.size, unit="entries", fix="provenance key rotate, as before")

    def _places(self, stands: Standing, late: float, too_late: float) -> Iterator[Check]:
        """The checkpoint's age while something is not under it, and what others see of it."""
        looks: list[Check] = []
        shown: dict[str, int] = {}
        for number, place in enumerate(self._log.places):
            name = "published" + (f" {number + 1}" if number else "")
            try:
                shown[name] = open_checkpoint(place.get(CHECKPOINT), self._log.policy).size
            except NotFound:
                looks.append(Check(name, "bad", f"no checkpoint in {place!r}", fix="provenance publish"))
            except LedgerError as error:
                looks.append(Check(name, "bad", f"{place!r}: {error}", fix="provenance doctor"))
        behind = stands.size - min([stands.signed, *shown.values()])
        age = stands.published or 0.0
        text = "everything is published" if behind <= 0 else f"{behind} entries are not published"
        if self._log.signed.size > self._log.checkpoint.size:
            text += f", {self._log.signed.size - self._log.checkpoint.size} of them signed and not cosigned by a quorum"
        if stands.published is not None:
            text += f"; last checkpoint {_age(age)} old"
        elif behind > 0:
            text += "; since when was never noted"
        status: Status = "ok" if behind <= 0 else _status(age, late, too_late)
        fix = "" if status == "ok" else "provenance publish"
        limit = too_late if status == "bad" else late
        yield Check("checkpoint", status, text, stands.published, limit, "s", fix)
        for name, size in shown.items():
            if size >= stands.size:
                yield Check(name, "ok", f"shows size {size}", size, unit="entries")
            else:
                text = f"shows size {size}, {stands.size - size} entries behind"
                yield Check(name, status, text, size, unit="entries", fix=fix)
        yield from looks

    def _clocks(self, stands: Standing) -> Check:
        last = self._index.on().last_time()
        now = self._clock()
        behind = (parse_time(last) - now).total_seconds() if last else 0.0
        if behind >= 1:
            text = f"the clock is {behind:.0f} s behind the log time {last}: nothing is sequenced until it has passed"
            return Check("clock", "bad", text, behind, 1.0, "s", "set the clock right (NTP)")
        ahead = -min(0.0, stands.oldest or 0.0)
        if ahead > _SKEW:
            text = f"an event was staged {ahead:.0f} s in the future: the clocks of two hosts differ"
            return Check("clock", "degraded", text, ahead, _SKEW, "s", "set the clocks of all hosts right (NTP)")
        return Check("clock", "ok", f"not behind the log time {last or '(none yet)'}", max(behind, ahead), _SKEW, "s")

    def _indexed(self, stands: Standing) -> Check:
        behind = stands.index_behind
        text = f"{behind} entries behind the log" if behind else "as far as the log"
        if self._index.joins:  # written in the transaction of the log: it is never behind by itself
            return _judge("index", behind, 0, BATCH, "entries", text, "provenance index rebuild")
        return _judge("index", behind, BATCH, 8 * BATCH, "entries", text, "provenance publish")

    def _worker(self, note: dict[str, Any] | None, stands: Standing) -> Iterator[Check]:
        error = self._own_error()
        if error is not None:
            yield Check("worker", "bad", f"stopped here: {error}", fix="mend that, then restart this process")
            return
        if note is None or note["state"] == "stopped":
            yield Check("worker", "ok", "none runs: events are published by whoever calls publish()")
            return
        silent = max(0.0, (milliseconds(self._clock()) - note["at"]) / 1000)
        if note["state"] == "failed":
            text = f"stopped {_age(silent)} ago: {note['error']}"
            yield Check("worker", "bad", text, silent, unit="s", fix="mend that, then: provenance worker")
            return
        limit = _MISSED_BEATS * max(BEAT, note["window"])
        status: Status = "ok" if silent <= limit else "bad" if stands.waiting else "degraded"
        text = f"was last heard of {_age(silent)} ago"
        yield Check("worker", status, text, silent, limit, "s", "" if status == "ok" else "provenance worker")

    def _fsck(self) -> Iterator[Check]:
        report = self.fsck()
        if report is None or (report.last is None and not report.now.found):
            yield Check("fsck", "ok", "no whole pass yet", limit=_PASS_DAYS, unit="d")
            return
        found = report.now.found or (report.last.found if report.last else 0)
        if found:
            yield Check("fsck", "bad", f"{found} faults found", found, 0, "faults", "provenance fsck")
            return
        if report.last is None:
            yield Check("fsck", "ok", "no whole pass yet", limit=_PASS_DAYS, unit="d")
            return
        days = (self._clock() - parse_time(report.last.ended)).total_seconds() / 86_400
        status: Status = "ok" if days <= _PASS_DAYS else "degraded"
        text = f"last whole pass {days:.0f} d ago, nothing found"
        yield Check("fsck", status, text, days, _PASS_DAYS, "d", "" if status == "ok" else "provenance fsck")

    def _disks(self) -> Iterator[Check]:
        for name, folder in self._folders.items():
            try:
                free = shutil.disk_usage(folder).free
            except OSError as error:
                yield Check(f"disk of the {name}", "degraded", f"{folder}: {error.strerror}", fix=f"look at {folder}")
                continue
            status: Status = "bad" if free < _TOO_LOW else "degraded" if free < _LOW else "ok"
            limit = _TOO_LOW if status == "bad" else _LOW
            fix = "" if status == "ok" else f"make room on the volume of {folder}"
            yield Check(f"disk of the {name}", status, f"{free / 2**30:.1f} GiB free", free, limit, "By", fix)


def _database(seconds: float) -> Check:
    return _judge(
        "database", seconds, _SLOW, _TOO_SLOW, "s", f"answers in {seconds * 1000:.0f} ms", "look at the database's load"
    )


def _judge(name: str, value: float, limit: float, worst: float, unit: str, text: str, fix: str) -> Check:
    status = _status(value, limit, worst)
    return Check(name, status, text, value, worst if status == "bad" else limit, unit, "" if status == "ok" else fix)


def _status(value: float, limit: float, worst: float) -> Status:
    return "bad" if value > worst else "degraded" if value > limit else "ok"


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.1f} s" if seconds < 10 else f"{seconds:.0f} s"
