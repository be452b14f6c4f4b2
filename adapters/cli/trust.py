"""Policies that the user once accepted: one file for each origin, in the user's own configuration folder."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path

import typer

from adapters.cli.output import NoPolicy
from adapters.connect import open_log
from adapters.locations import open_objects
from ledger.checkpoint import Checkpoint
from ledger.client import Client
from ledger.errors import Conflict, MalformedError, NotFound
from ledger.note import Note, VerifierKey
from ledger.policy import LogLine, Policy

__all__ = ["accept", "accepted_key", "find_log", "find_place", "find_policy", "folder", "may_ask", "offered"]


def folder() -> Path:
    """`$PROVENANCE_HOME/trusted`, by default below the user's configuration folder."""
    home = os.environ.get("PROVENANCE_HOME")
    base = Path(home) if home else Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "provenance"
    return base / "trusted"


def offered(location: str) -> VerifierKey:
    """The key that a published log offers for itself, in `log.vkey`: to be compared elsewhere before it is accepted."""
    return VerifierKey.parse(open_objects(location).get("log.vkey").decode("utf-8", "replace").split("\n")[0])


def accepted_key(key: VerifierKey) -> None:
    """Raise `Conflict` when the user trusts another key for this origin: that is never replaced in passing."""
    path = _place(key.name)
    if not path.is_file():
        return
    known = [line.key for line in Policy.parse(path.read_text(encoding="utf-8")).logs]
    if key not in known:
        msg = (
            f"{key.name}: offers key {key}, but you accepted {known[0]} before; ask the market why by another way, "
            f"and only if it really changed: rm {path}"
        )
        raise Conflict(msg)


def may_ask(instead: str) -> None:
    """Raise `BadParameter` where nobody can answer a question; `instead` is the command that asks none."""
    if not sys.stdin.isatty():
        msg = f"nobody can answer here, as input is no terminal: compare the key, then run `{instead}`"
        raise typer.BadParameter(msg)


def accept(key: VerifierKey, location: str) -> Path:
    """Remember that the user trusts this key for its origin, and where its log is published."""
    place = location if "://" in location else str(Path(location).resolve())
    path = _place(key.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A path may hold spaces, which a policy line cannot: such a place stands in a comment beside it.
    text = f"# location {place}\n{Policy((LogLine(key),))}"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path


def find_log(location: str | None, policy: Path | None, origin: str | None = None) -> Client:
    """Open a log under `--policy`, or under the policy that was accepted for its origin. Raises as `find_place`."""
    return open_log(*find_place(location, policy, origin))


def find_place(location: str | None, policy: Path | None, origin: str | None = None) -> tuple[str, str]:
    """Where a log is published, and the text of the policy to read it under: `--policy`, or what was accepted for it.

    Raises `NoPolicy` when neither is there: what is verified never brings its own.
    """
    if policy is not None:
        text = _read_policy(policy)
        if location is None:
            urls = [line.url for line in Policy.parse(text).logs if line.url]
            if not urls:
                msg = f"{policy}: names no place of a log; give --log FOLDER|URL"
                raise NotFound(msg)
            location = urls[0]
        return location, text
    if location is not None and origin is None:
        origin = _origin(location)
    accepted = _accepted()
    if origin is None and len(accepted) == 1:
        origin = next(iter(accepted))
    if origin is None and accepted:
        msg = f"several logs are trusted ({', '.join(accepted)}): give --log FOLDER|URL, or the place itself to audit"
        raise NoPolicy(msg)
    if origin not in accepted:
        where = location or "FOLDER|URL"
        named = origin or "(none named)"
        msg = f"no policy for origin {named}: give --policy FILE, or accept it with `provenance trust {where}`"
        raise NoPolicy(msg)
    text, place = accepted[origin]
    return location or place, text


def find_policy(policy: Path | None, origin: str) -> Policy:
    """The policy to verify under what needs no log: `--policy`, or what was accepted for its origin.

    Raises as `find_place`.
    """
    if policy is not None:
        return Policy.parse(_read_policy(policy))
    accepted = _accepted()
    if origin not in accepted:
        msg = f"no policy for origin {origin}: give --policy FILE, or accept it with `provenance trust FOLDER|URL`"
        raise NoPolicy(msg)
    return Policy.parse(accepted[origin][0])


def _read_policy(path: Path) -> str:
    """The text of a policy file. A file that is none is wrong use, no finding about the log."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        Policy.parse(text)
    except OSError as error:
        msg = f"{path}: no such policy file" if not path.exists() else f"{path}: {error.strerror}, want a policy file"
        raise NotFound(msg) from error
    except MalformedError as error:
        msg = f"--policy {path}: {error}"
        raise typer.BadParameter(msg) from error
    return text


def _place(origin: str) -> Path:
    return folder() / f"{sha256(origin.encode()).hexdigest()}.policy"


def _origin(location: str) -> str:
    """What a published checkpoint calls itself: only to look the policy up, which then has to agree."""
    note = Note.parse(open_objects(location).get("checkpoint"))
    return Checkpoint.parse(note.text).origin


def _accepted() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(folder().glob("*.policy")):
        text = path.read_text(encoding="utf-8")
        place = text.partition("\n")[0].removeprefix("# location ")
        for origin in Policy.parse(text).origins:
            found[origin] = text, place
    return found
