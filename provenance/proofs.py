"""A proof as files that a person can keep: `.tlog-proof`, the exact entry, the exact event."""

from __future__ import annotations

import os
from pathlib import Path

from provenance.history import History
from provenance.identity import key_events
from provenance.index import Entry
from provenance.kept import Kept
from provenance.statement import Statement

__all__ = ["read_signers", "write_proof"]

_SUFFIX = ".tlog-proof"


def write_proof(folder: str | os.PathLike[str], name: str, history: History, entry: Entry) -> list[Path]:
    """Write `NAME.tlog-proof`, `NAME.entry` and, where the event is readable, `NAME.event.json`; return the paths.

    The same three with `NAME.signer` prove the registration of whoever signed, and with `NAME.signer.keys1`,
    `NAME.signer.keys2`, … each change of its keys before the entry, in their order. SHA-256 of the event file is the
    event id inside the entry.
    """
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    written = _write(where, name, history, entry)
    statement = Statement.parse(written[1].read_bytes())
    signer = history.index.find(bytes.fromhex(statement.issuer))
    if signer is not None and signer.idx != entry.idx:
        written += _write(where, f"{name}.signer", history, signer)
        changes = sorted(idx for idx, _ in key_events(signer.event_id, history.index) if idx < entry.idx)
        for number, idx in enumerate(changes, 1):
            change = history.index.entry(idx)
            if change is not None:
                written += _write(where, f"{name}.signer.keys{number}", history, change)
    return written


def read_signers(proof: str | os.PathLike[str]) -> list[Kept]:
    """What `write_proof` wrote of the signer beside `NAME.tlog-proof`: the registration, then each change of keys."""
    name = Path(proof).name.removesuffix(_SUFFIX)
    found: list[Kept] = []
    while True:
        place = Path(proof).with_name(f"{name}.signer.keys{len(found)}" if found else f"{name}.signer")
        files = [place.with_name(place.name + suffix) for suffix in (_SUFFIX, ".entry", ".event.json")]
        if not all(file.is_file() for file in files):
            return found
        found.append(Kept(*(file.read_bytes() for file in files)))


def _write(where: Path, name: str, history: History, entry: Entry) -> list[Path]:
    reading = history.reading(entry.idx)
    parts = {"tlog-proof": bytes(history.log.prove(entry.idx)), "entry": reading.entry}
    if reading.event is not None:
        parts["event.json"] = reading.event
    written = []
    for suffix, data in parts.items():
        path = where / f"{name}.{suffix}"
        path.write_bytes(data)
        written.append(path)
    return written
