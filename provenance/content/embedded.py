"""The manifest store inside a JPEG or PNG, and the bytes around it, found without the C2PA library.

Where it lies: C2PA 2.2, annex A.3. In PNG it is the chunk `caBX`; in JPEG it is the APP11 segments of one JUMBF box
(ISO/IEC 19566-5, annex D), each of which repeats the box's header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from provenance.content.formats import open_file

__all__ = ["MAX_STORE", "Split", "split"]

MAX_STORE = 64 << 20
"""Largest manifest store that is read, in bytes: 200 ingredients make about one MiB."""

_CHUNK = 1 << 20
_APP11 = 0xEB
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Split:
    """A file in two: its manifest store (None: there is none) and the SHA-256 in hex of all other bytes.

    `rest` of a file without a manifest is the file's own digest; that of a signed file is what its hard binding covers.
    """

    store: bytes | None
    rest: str


def split(path: Path, media_type: str) -> Split:
    """Find the manifest store in a JPEG or PNG; for other media types there is none. Raises `NotFound`, `Unavailable`.

    Damaged structure ends the search and is no error here: whoever reads the image will say so.
    """
    with open_file(path) as file:
        store, spans = b"", []  # type: bytes, list[tuple[int, int]]
        if media_type == "image/png":
            store, spans = _png(file)
        elif media_type == "image/jpeg":
            store, spans = _jpeg(file)
        digest = sha256()
        file.seek(0)
        for start, end in spans:
            _hash(file, digest.update, start - file.tell())
            file.seek(end)
        _hash(file, digest.update, None)
    return Split(store or None, digest.hexdigest())


def _hash(file: IO[bytes], update: Callable[[bytes], None], length: int | None) -> None:
    while (want := _CHUNK if length is None else min(length, _CHUNK)) and (chunk := file.read(want)):
        update(chunk)
        length = None if length is None else length - len(chunk)


def _png(file: IO[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    store, spans = b"", []
    file.seek(8)
    while len(head := file.read(8)) == 8:
        size, start = int.from_bytes(head[:4]), file.tell() - 8
        if head[4:] == b"caBX" and len(store) + size <= MAX_STORE:
            store += file.read(size)
            spans.append((start, start + 12 + size))
        elif head[4:] == b"IEND":
            break
        file.seek(start + 12 + size)
    return store, spans


def _jpeg(file: IO[bytes]) -> tuple[bytes, list[tuple[int, int]]]:
    store, spans, instance = b"", [], b""
    file.seek(2)
    while (marker := _marker(file)) not in {None, _START_OF_SCAN, _END_OF_IMAGE}:
        if marker in _WITHOUT_LENGTH:
            continue
        start, size = file.tell() - 2, int.from_bytes(file.read(2))
        if size < 2:
            break
        if marker == _APP11:
            segment = file.read(size - 2)
            number, box = segment[2:4], segment[8:]
            if segment[:2] == b"JP" and int.from_bytes(segment[4:8]) == 1 and box[12:20] == b"jumdc2pa":
                instance = number
                store, spans = box, [(start, start + 2 + size)]
            elif segment[:2] == b"JP" and number == instance and len(store) <= MAX_STORE:
                store += box[8:]
                spans.append((start, start + 2 + size))
        file.seek(start + 2 + size)
    return store, spans


def _marker(file: IO[bytes]) -> int | None:
    if file.read(1) != b"\xff":
        return None
    while (byte := file.read(1)) == b"\xff":
        pass  # fill bytes may stand before a marker
    return byte[0] if byte else None
