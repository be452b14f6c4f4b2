"""What a backup consists of: `backup.json`, written last, and the parts beside the log that it names.

::

    backup/
      backup.json                    this; replaced when everything that it names is on disk
      checkpoint tile/… events/…     the log as it is published: any reader of logs can check it
      log.vkey market.policy         the key that signed it
      private/rows-….ndjson          sequenced and under no checkpoint yet
      private/queue-….ndjson         accepted and not yet sequenced
      private/names-….ndjson         the market's own names for what it recorded
      private/files-….ndjson         where files of works were last seen
      private/vault-….ndjson         vault items and sealed events, one a line: its SHA-256 is its address;
                                     encrypted ones as address and base64 of what is stored

A part is one JSON value on each line, in a file of mode 0600 named after its content.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.files import Directory, sync_directory
from adapters.log_keys import keys_noted
from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import MalformedError, NotFound, Unavailable
from ledger.keyring import Keyring
from ledger.policy import Policy

__all__ = ["FORMAT", "MANIFEST", "Manifest", "Part", "read_lines", "read_manifest", "write_part"]

FORMAT: Literal["provenance-backup/1"] = "provenance-backup/1"
MANIFEST = "backup.json"

PRIVATE = "private"

_HEX = r"^[0-9a-f]{64}$"
_MOST_LINE = 8 << 20  # bytes: an event of 1 MiB as a JSON string, every character of it escaped


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Part(_Model):
    """One file of lines below the folder of the backup: their number, its bytes, its SHA-256."""

    file: Annotated[str, Field(pattern=r"^private/[a-z]+-[0-9a-f]{16}\.ndjson$")]
    items: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=_HEX)]


class Parts(_Model):
    """The parts beside the log; `vault` is None where it was left out."""

    rows: Part
    queue: Part
    names: Part
    files: Part
    vault: Part | None


class Manifest(_Model):
    """What a backup holds. `taken` is RFC 3339; `sequenced` counts the entries, the first under `checkpoint`."""

    format: Literal["provenance-backup/1"]
    origin: str
    key: str
    spans: list[tuple[str, int, int | None]] | None = None
    witnesses: str | None = None
    taken: str
    checkpoint: str
    sequenced: Annotated[int, Field(ge=0)]
    parts: Parts

    @property
    def keys(self) -> Keyring:
        """The log's keys, as the backup names them."""
        return keys_noted(self.model_dump(mode="json", include={"key", "spans"}, exclude_none=True))

    def opened(self, policy: Policy) -> Checkpoint:
        """The checkpoint of the log in the backup, whose signature is verified."""
        return open_checkpoint(self.checkpoint.encode(), policy)

    def __bytes__(self) -> bytes:
        return self.model_dump_json(indent=2, exclude_unset=True).encode() + b"\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the backup in `folder`. Raises `NotFound` where there is none, `MalformedError`."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        msg = f"{folder}: no backup in it: {MANIFEST} is not there; it is written last, when all the rest is"
        raise NotFound(msg, path=MANIFEST) from None
    except OSError as error:
        raise _unavailable(folder / MANIFEST, error) from error
    try:
        manifest = Manifest.model_validate_json(data)
        _ = manifest.keys
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"{folder / MANIFEST}: {where}: {first['msg']}; want a backup of format {FORMAT}"
        raise MalformedError(msg) from None
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put `manifest` in place, durably, and drop the parts that it does not name."""
    Directory(folder).replace(MANIFEST, bytes(manifest))
    named = {part.file for part in (getattr(manifest.parts, name) for name in Parts.model_fields) if part is not None}
    for file in (folder / PRIVATE).iterdir():
        if f"{PRIVATE}/{file.name}" not in named:
            file.unlink(missing_ok=True)


def write_part(folder: Path, name: str, lines: Iterable[bytes]) -> Part:
    """Write `lines` as the part `name`, durable on return; readable by its owner alone."""
    place = folder / PRIVATE
    digest, items, size = sha256(), 0, 0
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=place)
        try:
            with os.fdopen(handle, "wb") as file:
                for line in lines:
                    file.write(line + b"\n")
                    digest.update(line + b"\n")
                    items += 1
                    size += len(line) + 1
                file.flush()
                os.fsync(file.fileno())
            final = f"{name}-{digest.hexdigest()[:16]}.ndjson"
            Path(temporary).replace(place / final)
        finally:
            Path(temporary).unlink(missing_ok=True)
        sync_directory(place)
    except OSError as error:
        raise _unavailable(place, error) from error
    return Part(file=f"{PRIVATE}/{final}", items=items, size=size, sha256=digest.hexdigest())


def read_lines(folder: Path, part: Part) -> Iterator[bytes]:
    """The lines of a part, without their ends. Raises `MalformedError` at its end when it is not what was written."""
    digest, items, size = sha256(), 0, 0
    try:
        with (folder / part.file).open("rb") as file:
            while line := file.readline(_MOST_LINE):
                digest.update(line)
                items += 1
                size += len(line)
                if not line.endswith(b"\n"):
                    break
                yield line[:-1]
    except FileNotFoundError:
        msg = f"{folder / part.file}: not there; take another backup"
        raise NotFound(msg, path=part.file) from None
    except OSError as error:
        raise _unavailable(folder / part.file, error) from error
    if (items, size, digest.hexdigest()) != (part.items, part.size, part.sha256):
        msg = (
            f"{folder / part.file}: {items} lines, {size} bytes, SHA-256 {digest.hexdigest()}; "
            f"want {part.items}, {part.size}, {part.sha256}; take another backup"
        )
        raise MalformedError(msg)


def _unavailable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"{path}: {error.strerror or error}", path=str(path))
