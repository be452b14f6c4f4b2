"""Files as bytes: their digest, what they are, and how a manifest is bound to them."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal

from ledger.errors import MalformedError, NotFound, Unavailable

__all__ = ["OCTETS", "Binding", "binding_for", "digest_file", "media_type_of", "open_file", "sidecar_of"]

OCTETS = "application/octet-stream"

Binding = Literal["embedded", "sidecar"]

_EMBEDDED = frozenset({"image/jpeg", "image/png"})
_CHUNK = 1 << 20
_HEAD = 64

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"PK\x03\x04", "application/zip"),
)


def media_type_of(path: Path) -> str:
    """Media type by the file's first bytes, whatever its name says; `application/octet-stream` when unknown.

    Raises `NotFound`, `Unavailable`.
    """
    with open_file(path) as file:
        head = file.read(_HEAD)
    for offset, magic, media_type in _MAGIC:
        if head.startswith(magic, offset):
            return media_type
    return OCTETS


def binding_for(media_type: str) -> Binding:
    """Whether a manifest goes into a file of this type or beside it.

    Into JPEG and PNG: there the manifest's hard binding stays the digest of the unsigned bytes, and later updates work.
    """
    return "embedded" if media_type in _EMBEDDED else "sidecar"


def sidecar_of(path: Path) -> Path:
    """Where the manifest beside a file lies: `song.mp3.c2pa` for `song.mp3`."""
    return path.with_name(path.name + ".c2pa")


def digest_file(path: Path, *, progress: Callable[[int, int], None] | None = None) -> tuple[str, int]:
    """SHA-256 in hex and size in bytes, in constant memory; `progress` gets (bytes read, bytes in all).

    Raises `NotFound`, `Unavailable`, and `MalformedError` for an empty file: it is no work, and every empty file
    would be the same one.
    """
    digest = sha256()
    done = 0
    with open_file(path) as file:
        total = path.stat().st_size
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    if not done:
        msg = f"{path}: the file is empty, want at least one byte"
        raise MalformedError(msg)
    return digest.hexdigest(), done


def open_file(path: Path) -> IO[bytes]:
    """Open for reading. Raises `NotFound` or `Unavailable` with the path."""
    try:
        if path.is_dir():
            msg = f"{path}: a folder, want a file"
            raise NotFound(msg, path=str(path))
        return path.open("rb")
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise NotFound(msg, path=str(path)) from None
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read ({getattr(error, 'strerror', error)})"
        raise Unavailable(msg, path=str(path)) from error
