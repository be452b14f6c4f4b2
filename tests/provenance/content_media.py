"""Real media, credentials and a second C2PA verifier for the tests of `provenance.content`."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import iscc_samples

from provenance.content import Attachment, Credential, attach, digest_file, make_development_credential

LOG = "test.market.example/log"
EVENT = "ab" * 32
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def sample(name: str) -> Path:
    """A file of `iscc_samples` by its name."""
    return next(path for path in map(Path, iscc_samples.all()) if path.name == name)


@cache
def credential(name: str = "market") -> Credential:
    return make_development_credential(name)


def sign(source: Path, destination: Path, **changes: Any) -> Attachment:
    """Attach with everything that a test does not care about filled in."""
    arguments: dict[str, Any] = {
        "credential": credential(),
        "log": LOG,
        "event": EVENT,
        "digest": digest_file(source)[0],
        "source_type": "digitalCapture",
        "derived": False,
    }
    return attach(source, destination, **arguments | changes)


def second_opinion(path: Path, media_type: str, sidecar: Path | None = None, anchor: str = "") -> dict[str, Any]:
    """What encypher-c2pa, which shares no code with c2pa-python, says of a file."""
    import encypher_c2pa

    report = encypher_c2pa.verify(
        path.read_bytes(),
        media_type,
        manifest_store=None if sidecar is None else sidecar.read_bytes(),
        trust_pem=anchor or credential().anchor,
        no_default_trust=True,
        telemetry=False,
    )
    return json.loads(json.dumps(report))


def replaced_in_png(data: bytes, old: bytes, new: bytes) -> bytes:
    """The PNG with `old` replaced by `new` of the same length, and checksums that fit."""
    data, out, at = data.replace(old, new), bytearray(data[:8]), 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + zlib.crc32(body).to_bytes(4)
        at += 12 + size
    return bytes(out)
