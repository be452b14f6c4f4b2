"""How far what was erased has also left the files: the note that a scrubbing leaves for every process."""

from __future__ import annotations

import json
from typing import NamedTuple

from provenance.index import Index
from provenance.notes import Notes

__all__ = ["Forgotten", "Scrubbed", "note_scrubbed", "scrub_due", "scrubbed_through"]

_KEY = "scrubbed"
"""Note: {"erasure": index of the newest erasure whose bytes were scrubbed}."""


class Scrubbed(NamedTuple):
    """What a run did: up to which erasure (index, -1 for none), what it rewrote, and what it cannot reach."""

    erasure: int
    rewritten: tuple[str, ...]
    beyond: tuple[str, ...]


class Forgotten(NamedTuple):
    """That something was erased: by the entry at this index; `scrubbed` once its bytes have left our files as well."""

    by: int
    scrubbed: bool


def scrubbed_through(notes: Notes) -> int:
    """Index of the newest erasure whose bytes were scrubbed, -1 when there was none. Raises `Unavailable`."""
    found = notes.load(_KEY)
    return -1 if found is None else int(json.loads(found)["erasure"])


def note_scrubbed(notes: Notes, erasure: int) -> None:
    """Note that everything up to this erasure was scrubbed."""
    notes.save(_KEY, json.dumps({"erasure": erasure}).encode())


def scrub_due(index: Index, notes: Notes) -> int:
    """How many erasures came after the last scrubbing, whose bytes may lie on in files."""
    return len(index.of_type("erasure.execute", start=scrubbed_through(notes) + 1))
