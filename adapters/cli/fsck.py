"""The command that checks every byte that is stored, and mends what is derivable."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.output import INTACT, ShowProgress, command, progress, show, status_of
from adapters.cli.trust import find_place
from adapters.cli.where import AsJson, Where, at_ledger
from adapters.fsck import Holdings, open_holdings
from adapters.locations import open_objects
from adapters.log_keys import ring_of
from adapters.published import check_place, raise_unless_damage, repair_place
from adapters.recover import rebuild_index
from ledger.checkpoint import open_checkpoint
from ledger.errors import LedgerError
from ledger.fsck import Fault, fault_of
from ledger.policy import Policy
from ledger.repair import Repaired
from ledger.rounds import Report
from ledger.storage import Objects
from ledger.tile import CHECKPOINT
from provenance.moments import format_time
from provenance.report import safe_text
from provenance.succession import follow
from provenance.verdict import Record

__all__ = ["add_to"]

_SHOWN = 20
_PUBLIC = "public"


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("fsck")(at_ledger(fsck))


def fsck(
    location: Annotated[str | None, typer.Argument(help="where the log is published", metavar="FOLDER|URL")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="whose signatures you accept")] = None,
    signatures: Annotated[bool, typer.Option("--signatures", help="verify every statement's signature too")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="mend what can be derived or copied, and say what")] = False,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, help="check for this long, and go on there next time")
    ] = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Check every byte that is stored. With FOLDER|URL those of a published log.

    Tiles, bundles, rows, vault, index, queue and names, and the log where it is published. --repair writes again what
    is wrong and can be derived; it signs nothing, and what is good it leaves alone.
    """
    if seconds is not None and (repair or location):
        msg = "--seconds: is for the operator's own check alone; leave --repair and FOLDER|URL away"
        raise typer.BadParameter(msg)
    if location is not None:
        return _published(location, policy, signatures=signatures, repairs=repair, as_json=as_json)
    return _own(where, signatures=signatures, repairs=repair, seconds=seconds, as_json=as_json)


def _published(location: str, policy: Path | None, *, signatures: bool, repairs: bool, as_json: bool) -> int:
    found, text = find_place(location, policy)
    place = open_objects(found)
    accepted = follow(place, Policy.parse(text))
    done = None
    with progress() as bars:
        if repairs:
            if not isinstance(place, Objects):
                msg = f"--repair: {found} is only read from here; mend it where it is stored"
                raise typer.BadParameter(msg)
            done = repair_place(place, accepted, progress=lambda at, total: bars("mending", at, total))
        shown_there = open_checkpoint(place.get(CHECKPOINT), accepted)
        had = follow(place, accepted, all_kinds=True).spans(shown_there.origin)
        keys = ring_of(had) if any(line.last is not None for line in had) else None  # else any one of the policy's
        faults: list[Fault] = []
        for position, more in check_place(place, accepted, signatures=signatures, keys=keys):
            faults += more
            if isinstance(position, int):
                bars("entries", position, shown_there.size)
    again = ["fsck", location, *(["--policy", str(policy)] if policy else [])]
    good = ["audit", *again[1:]]
    return _answer(faults, done, good=good, again=[*again, "--repair"], as_json=as_json)


def _own(where: Where, *, signatures: bool, repairs: bool, seconds: float | None, as_json: bool) -> int:
    # The folder that is published to by default may not be there yet.
    places = [where.shown] if where.shown and (where.publish or Path(where.shown).is_dir()) else []
    holdings = open_holdings(where.db, published=places, signatures=signatures, **where.parts)
    rounds = holdings.rounds()
    good = ["status", *where.options]
    again = ["fsck", *where.options]
    if seconds is not None:
        report = rounds.slice(seconds, now=_now())
        return _slice(report, [*again, "--seconds", f"{seconds:g}"], as_json=as_json)
    done = None
    began = _now()
    with progress() as bars:
        faults = list(dict.fromkeys(holdings.faults(progress=bars)))  # one place may be both ours and what others read
        if repairs and faults:
            done = _mend(holdings, faults, where, bars)
            faults = list(dict.fromkeys(holdings.faults()))
        rounds.record(faults, began=began, ended=_now())
    return _answer(faults, done, good=good, again=[*again, "--repair"], as_json=as_json)


def _mend(holdings: Holdings, faults: list[Fault], where: Where, bars: ShowProgress) -> Repaired:
    """Mend what can be derived, each part whatever became of the one before."""
    done = Repaired()

    def keys() -> None:
        done.mended += holdings.mend_keys()

    def log() -> None:
        found = holdings.repair(progress=bars)
        done.mended += found.mended
        done.lost += found.lost

    def index() -> None:
        if any(fault.place.startswith(("index", "table provenance_index")) for fault in faults):
            size = rebuild_index(where.db, progress=lambda at, total: bars("index", at, total), **where.parts)
            done.mended.append(f"index of {size} entries")

    def places() -> None:
        if any(fault.place.startswith(("place ", "queue row")) for fault in faults):
            done.mended += holdings.mend_places()

    for mend in (keys, log, index, places):
        try:
            mend()
        except LedgerError as error:
            raise_unless_damage(error)
            done.lost.append(fault_of(error))
    return done


def _now() -> str:
    return format_time(datetime.now(UTC))


def _slice(report: Report, again: list[str], *, as_json: bool) -> int:
    """What a slice found so far, and what the last whole pass had found."""
    value = {**dataclasses.asdict(report), "record": _record([*report.now.faults])}
    where = "whole pass done" if report.now.ended else f"at {report.step} {report.position}"
    lines = [f"this pass  {where}, began {report.now.began}, {report.now.found} found"]
    if report.last is not None:
        lines.append(f"last pass  began {report.last.began}, ended {report.last.ended}, {report.last.found} found")
    faults = list(report.now.faults or (report.last.faults if report.last is not None else ()))
    lines += [*_lines(faults), f"Record: {_record(faults)}", f"next: {command(*again)}"]
    show(value, as_json=as_json, text="\n".join(lines))
    return status_of(_record(faults))


def _answer(faults: list[Fault], done: Repaired | None, *, good: list[str], again: list[str], as_json: bool) -> int:
    record = _record(faults)
    value: dict[str, Any] = {"record": record, "faults": [dataclasses.asdict(fault) for fault in faults]}
    lines: list[str] = []
    if done is not None:
        value |= {"mended": done.mended, "lost": [dataclasses.asdict(fault) for fault in done.lost]}
        lines += [f"mended {place}" for place in done.mended] or ["nothing could be mended"]
        lines += [f"not mended {safe_text(fault.detail, limit=400)}" for fault in done.lost if fault not in faults]
    lines += [*_lines(faults), f"Record: {record}", f"next: {command(*(again if faults and done is None else good))}"]
    show(value, as_json=as_json, text="\n".join(lines))
    return status_of(record) if faults else INTACT


def _lines(faults: list[Fault]) -> list[str]:
    shown = [f"{'✕' if fault.altered else '?'} {safe_text(fault.detail, limit=400)}" for fault in faults[:_SHOWN]]
    return shown if len(faults) <= _SHOWN else [*shown, f"… and {len(faults) - _SHOWN} more: --json lists all"]


def _record(faults: list[Fault]) -> Record:
    if any(fault.altered for fault in faults):
        return "altered"
    return "cannot check" if faults else "intact"
