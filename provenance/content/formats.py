"""Files as bytes: their digest, what they are, and how a manifest is bound to them."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal

from ledger.errors import MalformedError, NotFound, Unavailable

__all__ = ["OCTETS", "Binding", "binding_for", "digest_file", "media_type_of", "misnamed", "open_file", "sidecar_of"]

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
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xfa", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypmsf1", "image/heif"),
    (4, b"ftyp", "video/mp4"),
    (0, b"PK\x03\x04", "application/zip"),
)

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_SYNONYMS = {"audio/x-wav": "audio/wav", "video/mpeg4": "video/mp4", "audio/x-flac": "audio/flac"}


def media_type_of(path: Path) -> str:
    """Media type by the file's first bytes, whatever its name says; `application/octet-stream` when unknown.

    Raises `NotFound`, `Unavailable`.
    """
    with open_file(path) as file:
        head = file.read(_HEAD)
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], OCTETS)
    if head.startswith(b"\x1aE\xdf\xa3"):  # EBML: the document type stands in its header
        return "video/webm" if b"webm" in head else "video/x-matroska"
    for offset, magic, media_type in _MAGIC:
        if head.startswith(magic, offset):
            return media_type
    return OCTETS


def misnamed(path: Path) -> str | None:
    """The media type that a file's name promises when its bytes are known to be another, else None.

    Unknown bytes contradict nothing, and a name of the ZIP family (DOCX, EPUB …) fits a ZIP. Raises as
    `media_type_of`.
    """
    promised, _ = mimetypes.guess_type(path.name)
    found = media_type_of(path)
    promised = _SYNONYMS.get(promised or "", promised)
    if promised in {None, found} or found == OCTETS:
        return None
    if found == "application/zip" and str(promised).startswith("application/"):
        return None
    if found == "video/mp4" and path.suffix.lower() in {".m4v", ".m4a", ".3gp", ".3g2", ".f4v", ".mov"}:
        return None  # one family; brands are used loosely
    return promised


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
        total = os.fstat(file.fileno()).st_size
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
    """Open a regular file for reading. Raises `NotFound` or `Unavailable` with the path."""
    try:
        # A pipe would hang and a device never end, so the kind is checked on what was opened, without waiting.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise NotFound(msg, path=str(path)) from None
    except (OSError, ValueError) as error:
        if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` raises for some names
            raise _no_file(path, "a folder") from error
        msg = f"{path}: cannot be read ({getattr(error, 'strerror', error)})"
        raise Unavailable(msg, path=str(path)) from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise _no_file(path, "a folder" if stat.S_ISDIR(mode) else "a pipe or device")
    return os.fdopen(handle, "rb")


def _no_file(path: Path, kind: str) -> NotFound:
    return NotFound(f"{path}: {kind}, want a file", path=str(path))
