"""Following a log: what it shows now against everything that it was ever seen to show, here or to others.

::

    monitor = Monitor(View("log", objects), policy, seen, others=[View("north", witness)])
    for alert in monitor.look(now=int(time.time())):
        …
    monitor.acknowledge()                       # what was told is not told again

A split view is a log that shows two people two histories. Neither of them can see it alone: it is found where what one
was shown is compared with what another was. A monitor does that with every checkpoint it gets, for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.client import Client
from ledger.errors import (
    Fork,
    LedgerError,
    MalformedError,
    QuorumNotMet,
    Rollback,
    StorageError,
    VerificationError,
)
from ledger.evidence import Evidence, cosigned, of_log_alone
from ledger.merkle import ReadNodes, tree_root
from ledger.policy import Policy
from ledger.storage import ReadsObjects
from ledger.tile import CHECKPOINT, WIDTH
from provenance.events import read_event
from provenance.events.log import LogTime
from provenance.history import History
from provenance.moments import format_time, parse_time
from provenance.seen import Seen, Sighting, Standing
from provenance.succession import LINKS, follow
from provenance.verdict import Record
from provenance.watch import News, Watch

__all__ = ["ABSENT", "Alert", "Kind", "Monitor", "View"]

ABSENT = 3
"""Looks after which a witness that did not cosign is told of."""

Kind = Literal[
    "fork", "rollback", "unproven", "signature", "ahead", "quorum", "absent", "stale", "unreachable", "unread", "news"
]
"""fork: two histories were signed · rollback: less is shown than before · unproven: a checkpoint whose tree is not
shown · signature: a checkpoint that does not verify · ahead: others were shown more, and not only for a moment ·
quorum: too few witnesses · absent: one witness stays away · stale: no sign of life · unreachable: nothing was got ·
unread: entries whose open events are not published · news: an entry about what is watched."""

_TIME_BUNDLES = 4  # from the end, in which a log time is sought
_AHEAD = 60  # seconds by which others' clocks may be before ours


class View(NamedTuple):
    """A place where a log is shown, or one checkpoint of it: the objects, and the path of the checkpoint in them."""

    name: str
    objects: ReadsObjects
    path: str = CHECKPOINT


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that somebody has to know, in one sentence. `record` is what it says about the log.

    `evidence` convicts the log, where it has forked. `news` is the entry that is about what is watched.
    """

    kind: Kind
    text: str
    record: Record
    evidence: Evidence | None = None
    news: News | None = None


class Monitor:
    """Follows one log. One look at a time; what it saw is in `seen`, so that a process that died goes on from there."""

    def __init__(
        self,
        log: View,
        policy: Policy,
        seen: Seen,
        *,
        others: Sequence[View] = (),
        watch: Mapping[str, bytes] | None = None,
        stale: int | None = None,
        absent: int = ABSENT,
        open: Callable[[ReadsObjects, Policy], Client] = Client,  # noqa: A002 - what it is
    ) -> None:
        """`others` show what somebody else was shown of this log; `watch` names ids of events and SHA-256 of files.

        `stale` is after how many seconds without a sign of life the log is said to be stale, and `absent` after how
        many looks a witness is said to be away. `open` makes the reader of the log.
        """
        self._log = log
        self._policy = policy
        self._signed = of_log_alone(policy)
        self._seen = seen
        self._others = others
        self._watch = watch or {}
        self._stale = stale
        self._absent = absent
        self._open = open
        self._told: Standing | None = None
        self._origin = next(iter(policy.origins)) if len(policy.origins) == 1 else ""
        self.checkpoint: Checkpoint | None = None

    def look(self, *, now: int, progress: Callable[[int, int], None] | None = None) -> list[Alert]:
        """Compare what the log and the others show at `now` (seconds since 1970) with everything seen before.

        What is seen is remembered before it is judged. News is told again by every look until `acknowledge`; all else
        as long as it holds, and a fork for ever. `checkpoint` is the newest one that extends all before it. `progress`
        gets (entries read, entries in all). Raises `Unavailable` when `seen` cannot be used.
        """
        alerts: list[Alert] = []
        self._told = None
        self._follow(alerts)
        shown, *_ = [self._fetch(view, now, alerts) for view in (self._log, *self._others)]
        if not self._origin:
            return alerts
        standing = self._seen.load(self._origin)
        old = self.checkpoint = self._before(standing, alerts)
        client = self._extends(old, shown, alerts)
        self._compare(client or self._reader_of(old), now, alerts)
        if (evidence := self._seen.evidence(self._origin)) is not None:
            alerts.insert(0, self._fork(evidence))
        if client is None:
            return alerts
        self.checkpoint = client.checkpoint
        standing = self._moved(standing, old, client.checkpoint, now)
        self._seen.save(self._origin, standing)
        witnessed = self._witnessed(client.checkpoint, standing, alerts)
        if self._stale is not None:
            self._life(client, standing, now, alerts)
        if self._watch and witnessed:
            self._read(client, standing, alerts, progress)
        return alerts

    def acknowledge(self) -> None:
        """The news of the last look was told: the next one goes on behind it. Durable on return."""
        if self._told is not None:
            self._seen.save(self._origin, self._told)
            self._told = None

    def _follow(self, alerts: list[Alert]) -> None:
        """Learn the keys that the log has handed over to, from those that are known."""
        try:
            known = follow(self._log.objects, self._signed)
        except StorageError:
            return  # told with the checkpoint
        except LedgerError as error:
            alerts.append(Alert("signature", f"{self._log.name}: {LINKS}: {error}", "altered"))
            return
        self._signed, self._policy = known, self._policy.succeeded(known.logs)

    # What is shown

    def _fetch(self, view: View, now: int, alerts: list[Alert]) -> Checkpoint | None:
        """Remember what a view shows. Two roots for one size are a fork, with whatever tiles it comes."""
        try:
            checkpoint = open_checkpoint(view.objects.get(view.path), self._signed)
        except StorageError as error:
            alerts.append(Alert("unreachable", f"{view.name}: {error}", "cannot check"))
            return None
        except LedgerError as error:
            # What others show may be anybody's doing.
            alerts.append(
                Alert("signature", f"{view.name}: {error}", "altered" if view is self._log else "cannot check")
            )
            return None
        if view is self._log:
            self._origin = checkpoint.origin
        if checkpoint.origin != self._origin:
            text = f"{view.name}: a checkpoint of {checkpoint.origin}, want one of {self._origin or 'the log'}"
            alerts.append(Alert("signature", text, "cannot check"))
            return None
        self._seen.add(Sighting(checkpoint, view.name, now))
        for other in self._accepted(self._seen.of_size(checkpoint.origin, checkpoint.size)):
            if other.checkpoint.root != checkpoint.root:
                self._convict(other.checkpoint, checkpoint)
        return checkpoint

    def _before(self, standing: Standing, alerts: list[Alert]) -> Checkpoint | None:
        """What all others are compared with; nothing where the user's policy does not list its signer any more."""
        if not standing.signed:
            return None
        try:
            return open_checkpoint(standing.signed, self._signed)
        except VerificationError as error:
            text = (
                f"what was seen before does not count under this policy, so that nothing is compared with it: {error}"
            )
            alerts.append(Alert("signature", text, "cannot check"))
            return None

    def _extends(self, old: Checkpoint | None, shown: Checkpoint | None, alerts: list[Alert]) -> Client | None:
        """A reader of what the log shows, None unless its tiles are there and it extends what was seen before."""
        if shown is None:
            return None
        try:
            client = self._reader(self._log, shown, since=old)
        except Fork as error:
            self._forked(error, alerts)
        except Rollback as error:
            alerts.append(Alert("rollback", f"{self._log.name}: {error}", "altered"))
        except LedgerError as error:
            alerts.append(_unproven(self._log.name, shown, error))
        else:
            return client
        return None

    def _compare(self, client: Client | None, now: int, alerts: list[Alert]) -> None:
        """Hold against the log what was shown by others, and by itself when it could not be compared."""
        for sighting in self._accepted(self._seen.waiting(self._origin)):
            checkpoint = sighting.checkpoint
            if client is None:
                continue  # an alert says why
            if checkpoint.size > client.checkpoint.size:
                self._compare_larger(client.checkpoint, sighting, now, alerts)
                continue
            try:
                if tree_root(checkpoint.size, client.reader) != checkpoint.root:
                    self._convict(checkpoint, client.checkpoint, client.reader)
            except LedgerError as error:
                alerts.append(_unproven(sighting.source, checkpoint, error))
            else:
                self._seen.settle(checkpoint)

    def _compare_larger(self, mine: Checkpoint, sighting: Sighting, now: int, alerts: list[Alert]) -> None:
        """Somebody was shown more. That is usual for a moment; who has the tiles can show what it is."""
        theirs = sighting.checkpoint
        for view in (self._log, *self._others):
            try:
                self._reader(view, theirs, since=mine)
            except Fork as error:
                self._forked(error, alerts)
                return
            except LedgerError:
                continue  # no tiles of that tree here: it waits until the log has grown to its size
            break
        if sighting.first < now:
            text = (
                f"{sighting.source}: was shown size {theirs.size} of {self._origin} "
                f"at {_time(sighting.first)}, and the log still shows {mine.size}"
            )
            alerts.append(Alert("ahead", text, "cannot check"))

    def _reader(self, view: View, checkpoint: Checkpoint, *, since: Checkpoint | None = None) -> Client:
        """A reader that stands on this checkpoint, with the tiles of a view. Raises as `Client.latest`."""
        client = self._open(_Frozen(view.objects, checkpoint.signed), self._signed)
        client.latest(since=since)
        return client

    def _reader_of(self, old: Checkpoint | None) -> Client | None:
        """A reader of what was seen before, as far as its tiles are still there."""
        try:
            return None if old is None else self._reader(self._log, old)
        except LedgerError:
            return None  # that the log does not show this tree now is told already

    def _accepted(self, sightings: Sequence[Sighting]) -> Iterator[Sighting]:
        """Those signed by a key that the policy lists: one that it dropped convicts nobody."""
        for sighting in sightings:
            with suppress(VerificationError):
                open_checkpoint(sighting.checkpoint.signed, self._signed)
                yield sighting

    # Forks

    def _forked(self, error: Fork, alerts: list[Alert]) -> None:
        """A reader met a fork; where it could not read the proof, that may come with a later look."""
        if error.evidence is None:
            alerts.append(Alert("unproven", str(error), "altered"))
        else:
            self._seen.convict(error.evidence)
            self._seen.settle(error.new)

    def _convict(self, one: Checkpoint, other: Checkpoint, read: ReadNodes | None = None) -> None:
        self._seen.convict(Evidence.of(one, other, read))

    def _fork(self, evidence: Evidence) -> Alert:
        try:
            proven = evidence.verify(self._policy)
        except VerificationError as error:
            return Alert("signature", f"evidence that was kept: {error}", "cannot check")
        old, new = proven.old, proven.new
        text = (
            f"{old.origin}: signed two histories: size {old.size} with root {old.root.hex()[:16]}…{self._source(old)}, "
            f"and size {new.size}{self._source(new)} with root {proven.root.hex()[:16]}… for its first {old.size}"
        )
        return Alert("fork", text, "altered", evidence)

    def _source(self, checkpoint: Checkpoint) -> str:
        found = [s for s in self._seen.of_size(self._origin, checkpoint.size) if s.checkpoint.root == checkpoint.root]
        return f" (shown by {found[0].source} at {_time(found[0].first)})" if found else ""

    # Witnesses, time, news

    def _moved(self, standing: Standing, old: Checkpoint | None, new: Checkpoint, now: int) -> Standing:
        seen = cosigned(new, self._policy)
        away = {
            witness.name: 0 if witness.name in seen else standing.absent.get(witness.name, 0) + 1
            for witness in self._policy.witnesses
        }
        grown = standing.grown if old is not None and old.size == new.size else now
        return replace(standing, signed=new.signed, grown=grown, absent=away)

    def _witnessed(self, checkpoint: Checkpoint, standing: Standing, alerts: list[Alert]) -> bool:
        """Whether a quorum saw the checkpoint; who stays away is told as well."""
        away = [name for name, looks in standing.absent.items() if looks >= self._absent]
        alerts += [
            Alert("absent", f"{name}: has not cosigned what {self._absent} looks or more were shown", "intact")
            for name in away
        ]
        try:
            open_checkpoint(checkpoint.signed, self._policy)
        except QuorumNotMet as error:
            alerts.append(Alert("quorum", str(error), "cannot check"))
            return False
        except LedgerError as error:
            alerts.append(Alert("signature", f"{self._log.name}: {error}", "altered"))
            return False
        return True

    def _life(self, client: Client, standing: Standing, now: int, alerts: list[Alert]) -> None:
        """The newest sign of life: a cosignature, else the log's own time, else when it was seen to grow."""
        checkpoint = client.checkpoint
        times = [(time, f"cosigned by {name}") for name, time in cosigned(checkpoint, self._policy).items()]
        if not times and (logged := _log_time(client)):
            times = [(logged, "log time")]
        # Who dates themselves into the future is no sign of life.
        time, what = max((each for each in times if each[0] <= now + _AHEAD), default=(standing.grown, "grown"))
        if now - time > (self._stale or 0):
            text = (
                f"{self._origin}: no sign of life for more than {self._stale} s: "
                f"size {checkpoint.size}, {what} {_time(time)}"
            )
            alerts.append(Alert("stale", text, "cannot check"))

    def _read(
        self, client: Client, standing: Standing, alerts: list[Alert], progress: Callable[[int, int], None] | None
    ) -> None:
        """Tell what is new about what is watched; an event that is not published yet is waited for."""
        watch = Watch(self._watch, read=standing.read, works=standing.works)
        size = client.checkpoint.size
        try:
            for reading in History(client, {}).readings(watch.start, size):
                if reading.status == "not yet published":
                    alerts.append(Alert("unread", f"{self._log.name}: {reading.problem}", "cannot check"))
                    break
                alerts += [_told(news) for news in watch.news(reading)]
                if progress is not None and reading.index % WIDTH == 0:
                    progress(reading.index, size)
        except LedgerError as error:
            alerts.append(_unproven(self._log.name, client.checkpoint, error))
        self._told = replace(standing, read={**standing.read, **watch.read}, works={**standing.works, **watch.works})


class _Frozen:
    """A place as it was when it showed this checkpoint."""

    def __init__(self, objects: ReadsObjects, signed: bytes) -> None:
        self._objects = objects
        self._shown = signed

    def get(self, path: str) -> bytes:
        return self._shown if path == CHECKPOINT else self._objects.get(path)


def _unproven(name: str, checkpoint: Checkpoint, error: LedgerError) -> Alert:
    text = f"{name}: shows size {checkpoint.size} of {checkpoint.origin}, and not how it grew: {error}"
    return Alert("unproven", text, "cannot check" if isinstance(error, StorageError) else "altered")


def _told(news: News) -> Alert:
    text = f"{news.name}: #{news.index} {news.type} {news.how}"
    if news.status == "mismatch":
        return Alert("news", f"{text}; what is published of it is not what was logged", "altered", news=news)
    # Whether what is not here was erased, later entries say: that is for an audit.
    note = {"disclosed": "", "sealed": ", sealed"}.get(news.status, ", and its event is not here")
    return Alert("news", text + note, "intact", news=news)


def _log_time(client: Client) -> int | None:
    """The last log time near the end of the log, in seconds since 1970."""
    size = client.checkpoint.size
    history = History(client, {})
    last = None
    for reading in history.readings(max(0, size - _TIME_BUNDLES * WIDTH), size):
        if reading.statement is not None and reading.statement.type == "log.time" and reading.event is not None:
            with suppress(MalformedError):
                event = read_event(reading.event)
                if isinstance(event, LogTime):
                    last = int(parse_time(event.body.time).timestamp())
    return last


def _time(seconds: int) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))
