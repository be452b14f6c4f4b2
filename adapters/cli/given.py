"""What a user names and says, read in one way for every command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, overload

import typer

from ledger.errors import NotFound, Unavailable
from provenance.content import digest_file
from provenance.drafts import is_event_id
from provenance.events.union import MODELS
from provenance.ledger import ProvenanceLedger
from provenance.moments import parse_time
from provenance.ticket import Ticket

__all__ = [
    "PARTY",
    "WORK",
    "As",
    "At",
    "Ref",
    "Until",
    "digest_given",
    "file_given",
    "moment",
    "named",
    "party_named",
    "time_given",
    "types_given",
]

PARTY = ("register_party",)
WORK = ("create", "derive")
"""The verbs that name a party, and a work."""

As = Annotated[str | None, typer.Option("--as", help="id or ref of the party it is said for; by default the market")]
At = Annotated[
    str | None,
    typer.Option("--at", help="as of a log size, or of a log time such as 2026-11-23T07:15:00Z", metavar="SIZE|TIME"),
]
Ref = Annotated[str | None, typer.Option("--ref", help="your own name for it, such as order:7731")]
Until = Annotated[str | None, typer.Option("--until", help="log time at which it ends", metavar="2027-01-31T00:00:00Z")]


def named(ledger: ProvenanceLedger, name: str, verbs: Sequence[str] = ()) -> Ticket | str:
    """What a user calls by an event id, or by the ref it was given with one of these verbs."""
    if is_event_id(name):
        return name
    for verb in verbs:
        with suppress(NotFound):
            return ledger.find(name, verb=verb)
    return ledger.find(name)


def party_named(ledger: ProvenanceLedger, name: str | None) -> Ticket | str | None:
    """The party that a user calls by its id or ref, None where none was named."""
    return None if name is None else named(ledger, name, PARTY)


def types_given(ledger: ProvenanceLedger, types: Iterable[str]) -> tuple[str, ...]:
    """Types of events that `--type` says: those that are known, here or in the log."""
    known = {*MODELS, *ledger.counts()}
    for each in types:
        if each not in known:
            near = get_close_matches(each, known, 1)
            want = f"did you mean {near[0]}?" if near else "want one such as grant.issue"
            msg = f"--type {each}: no type of event, {want}"
            raise typer.BadParameter(msg)
    return tuple(types)


def digest_given(text: str) -> str:
    """A SHA-256 as it was given, or that of the file that was named."""
    return text if is_event_id(text) else digest_file(Path(text))[0]


def file_given(path: Path) -> bytes:
    """The bytes of a file that was named. Raises `NotFound`, `Unavailable`."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        msg = f"{path}: no such file"
        raise NotFound(msg) from error
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise Unavailable(msg) from error


@overload
def time_given(option: str, text: str) -> datetime: ...
@overload
def time_given(option: str, text: str | None) -> datetime | None: ...
def time_given(option: str, text: str | None) -> datetime | None:
    """The time that an option such as `--until` says, in UTC with whole seconds."""
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        msg = f"{option} {text}: want UTC with whole seconds, such as 2027-01-31T00:00:00Z"
        raise typer.BadParameter(msg) from error


def moment(text: str | None) -> int | datetime | None:
    """The log size or the log time that `--at` says."""
    try:
        return None if text is None else int(text) if text.isascii() and text.isdecimal() else parse_time(text)
    except ValueError as error:
        msg = f"--at {text}: want a log size, or UTC with whole seconds such as 2026-11-23T07:15:00Z"
        raise typer.BadParameter(msg) from error
