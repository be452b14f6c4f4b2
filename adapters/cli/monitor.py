"""The command that follows a log: one line for each thing that somebody has to know, with what to do."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.evidence import keep_evidence
from adapters.cli.given import PARTY, WORK, digest_given, named
from adapters.cli.operate import signals
from adapters.cli.output import command, echo, fail, flush, progress, status_of
from adapters.cli.reader import PolicyFile
from adapters.cli.trust import find_place
from adapters.cli.where import AsJson, Where, at_own_ledger
from adapters.connect import open_log
from adapters.files import Directory
from adapters.http import Website
from adapters.locations import open_objects
from adapters.seen import SeenFile
from ledger.errors import NotFound
from ledger.policy import Policy
from ledger.tile import CHECKPOINT
from provenance.drafts import is_event_id
from provenance.ledger import ProvenanceLedger
from provenance.monitor import ABSENT, Alert, Kind, Monitor, View
from provenance.report import safe_text
from provenance.verdict import Record

__all__ = ["add_to"]

_MARKS: dict[Record, str] = {"intact": "·", "altered": "✕", "cannot check": "?"}
_WORST: tuple[Record, ...] = ("altered", "cannot check", "intact")
_DO: dict[Kind, str] = {
    "rollback": "ask the operator why, and compare with what others were shown: --checkpoint FILE|URL",
    "unproven": "look again; if it stays, ask the operator for the tiles, and others for their checkpoint",
    "signature": "do not rely on it; compare the log's key with what is said of it elsewhere",
    "ahead": "look again; if it stays, ask the operator, and them for the tiles",
    "quorum": "do not rely on it before the witnesses have seen it",
    "absent": "ask who runs the witness",
    "stale": "ask the operator whether the log still runs",
    "unreachable": "check the address, or wait for the next look",
    "unread": "look again; if it stays, ask the operator to publish it",
}
_STATE = Path("monitor.state")
_LOOK = 0.25  # seconds between looks at whether a signal came
_LINE = 2_000  # characters


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("monitor")(at_own_ledger(monitor))


def monitor(
    location: Annotated[str | None, typer.Argument(help="where the log is published", metavar="FOLDER|URL")] = None,
    policy: PolicyFile = None,
    state: Annotated[Path, typer.Option("--state", help="what was seen before; made when it is not there")] = _STATE,
    every: Annotated[float, typer.Option("--every", min=0.05, help="seconds between looks")] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="look once and end")] = False,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--checkpoint",
            help="what somebody else was shown: a checkpoint, another copy, or a witness that the policy names",
            metavar="FILE|FOLDER|URL|WITNESS",
        ),
    ] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            "--watch", help="tell of entries about it: party:ID, work:ID, a file, or with --db a ref", metavar="WHAT"
        ),
    ] = None,
    stale: Annotated[
        int | None, typer.Option("--stale", min=1, help="seconds without a sign of life that are told")
    ] = None,
    absent: Annotated[int, typer.Option("--absent", min=1, help="looks without a witness that are told")] = ABSENT,
    *,
    where: Where | None,
    as_json: AsJson = False,
) -> int:
    """Follow a log. Forks, rollbacks, absent witnesses, silence, and news about what you watch.

    Every checkpoint that was ever seen is kept and compared, with those that others were shown too: that is how a log
    that shows two people two histories is found. The evidence is written beside the state. The status is that of the
    last look: 1 forked, rolled back or not as signed, 2 something cannot be checked, 0 otherwise.
    """
    place, text = find_place(location, policy)
    accepted = Policy.parse(text)
    ledger = where.open(signs=False) if where else None
    follows = Monitor(
        View("log", open_objects(place)),
        accepted,
        SeenFile(state),
        others=[_view(other, accepted) for other in checkpoint or []],
        watch={each: _watched(each, ledger) for each in watch or []},
        stale=stale,
        absent=absent,
        open=open_log,
    )
    output = _Output(follows, state, place, policy, as_json=as_json)
    with signals() as came:
        if not once:
            fail(f"{place}: looking every {every:g} s; end with SIGTERM or Ctrl-C")
        while True:
            status = output.look(once=once)
            until = time.monotonic() + every
            while not (once or came) and time.monotonic() < until:
                time.sleep(min(_LOOK, every))
            if once or came:
                return status


@dataclass(slots=True)
class _Output:
    """What was told in this run: only what is new is told again, but by a command that looks once."""

    monitor: Monitor
    state: Path
    location: str
    policy: Path | None
    as_json: bool
    told: frozenset[str] = frozenset()

    def look(self, *, once: bool) -> int:
        with progress() as bars:
            alerts = self.monitor.look(now=int(time.time()), progress=lambda done, total: bars("entries", done, total))
        lines = {self._line(alert): alert for alert in alerts}
        new = {line: alert for line, alert in lines.items() if line not in self.told}
        worst: Record = min((alert.record for alert in alerts), key=_WORST.index, default="intact")
        if self.as_json and (new or once):
            echo(json.dumps(self._value(worst, list(new.values())), ensure_ascii=False))
        elif not self.as_json:
            for line in new:
                echo(line)
            if once:
                echo(self._summary(worst))
        flush()
        self.monitor.acknowledge()
        self.told = frozenset(lines)
        return status_of(worst)

    def _line(self, alert: Alert) -> str:
        do = _DO.get(alert.kind, "")
        if alert.evidence is not None:
            path = keep_evidence(alert.evidence, self.state.parent)
            do = f"evidence in {path}, check it and pass it on: {self._command('evidence', 'verify', str(path))}"
        if alert.news is not None:
            do = self._command("proof", alert.news.event, "--log", self.location)
        return f"{_MARKS[alert.record]} {alert.kind}: {safe_text(alert.text, limit=_LINE)}; {do}"

    def _summary(self, worst: Record) -> str:
        seen = self.monitor.checkpoint
        what = "nothing seen" if seen is None else f"{seen.origin}   size {seen.size}   root {seen.root.hex()}"
        words = ["audit", self.location]
        if worst == "intact":
            words = ["monitor", self.location, *(["--state", str(self.state)] if self.state != _STATE else [])]
        return f"{what}\nRecord: {worst}\nnext: {self._command(*words)}"

    def _command(self, *words: str) -> str:
        return command(*words, *(["--policy", str(self.policy)] if self.policy else []))

    def _value(self, worst: Record, alerts: Sequence[Alert]) -> dict[str, Any]:
        seen = self.monitor.checkpoint
        return {
            "record": worst,
            "origin": seen.origin if seen else None,
            "size": seen.size if seen else None,
            "root": seen.root.hex() if seen else None,
            "alerts": [self._alert(alert) for alert in alerts],
        }

    def _alert(self, alert: Alert) -> Mapping[str, Any]:
        news = alert.news
        kept = None if alert.evidence is None else str(keep_evidence(alert.evidence, self.state.parent))
        return {
            "kind": alert.kind,
            "record": alert.record,
            "text": alert.text,
            "evidence": kept,
            "index": news.index if news else None,
            "type": news.type if news else None,
            "event": news.event if news else None,
            "watched": news.name if news else None,
        }


def _view(text: str, policy: Policy) -> View:
    """Where a checkpoint that somebody else was shown lies; beside it may be the tiles of its tree."""
    witness = policy.witness(text)
    if witness is not None:
        if len(policy.origins) != 1 or not witness.url:
            msg = f"--checkpoint {text}: want a witness with an address, in a policy of one log"
            raise typer.BadParameter(msg)
        (origin,) = policy.origins
        return View(text, Website(f"{witness.url.rstrip('/')}/{sha256(origin.encode()).hexdigest()}"))
    if "://" in text:
        return View(text, open_objects(text.removesuffix(f"/{CHECKPOINT}")))
    path = Path(text)
    if not path.exists():
        msg = f"--checkpoint {text}: no such file or folder, and no witness of the policy"
        raise NotFound(msg, path=text)
    return View(text, Directory(path)) if path.is_dir() else View(text, Directory(path.parent), path.name)


def _watched(text: str, ledger: ProvenanceLedger | None) -> bytes:
    """The id, or the SHA-256, of what is to be watched."""
    id_ = text.removeprefix("party:").removeprefix("work:")
    if is_event_id(id_):
        return bytes.fromhex(id_)
    if Path(text).is_file():
        return bytes.fromhex(digest_given(text))
    if ledger is None:
        msg = f"--watch {text}: want party:ID, work:ID or a file; a ref is known to its market alone, with --db"
        raise typer.BadParameter(msg)
    return bytes.fromhex(str(named(ledger, text, (*PARTY, *WORK))))
