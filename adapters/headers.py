"""The HTTP headers of a log's objects, by path: the same in a bucket, behind a web router and on a CDN.

What never changes may be kept for ever; what grows, for seconds (c2sp.org/tlog-tiles, c2sp.org/tlog-checkpoint).
"""

from __future__ import annotations

from adapters.key_files import KEY_SET
from ledger.tile import CHECKPOINT

__all__ = ["headers_of", "may_be_packed"]

_FOREVER = "public, max-age=31536000, immutable"
_PARTIAL = "public, max-age=60"  # never changes either, but is dropped once the full form is there
_GROWING = "public, max-age=5"
_SETTLED = "public, max-age=300"  # policy and key files, and links between keys: once in years there are others
_PRIVATE = "no-store"

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_CBOR = "application/cbor"


def headers_of(path: str) -> dict[str, str]:
    """Content-Type and Cache-Control of the object at `path`, whatever it holds.

    `headers_of("tile/0/x001/x234/067")` has `Cache-Control: public, max-age=31536000, immutable`. Content-Encoding is
    not among them: only who compresses a body knows it.
    """
    folder, _, rest = path.partition("/")
    if path == CHECKPOINT:
        kind, keep = _TEXT, _GROWING
    elif folder == "tile":
        kind, keep = _BYTES, _PARTIAL if ".p/" in rest else _FOREVER
    elif folder == "events":
        kind, keep = _BYTES, _GROWING  # one object per bundle, replaced while it grows and when an event is erased
    elif (not rest and path.endswith((".policy", ".vkey"))) or (folder == "keys" and path.endswith(".tlog-proof")):
        kind, keep = _TEXT, _SETTLED
    elif path == KEY_SET:
        kind, keep = _CBOR, _SETTLED
    else:
        kind, keep = _BYTES, _PRIVATE  # batch files, heads, vault items: not for readers of the log
    return {"Content-Type": kind, "Cache-Control": keep}


def may_be_packed(path: str) -> bool:
    """Whether a reader must accept the object gzip-compressed without having asked for it.

    Entry bundles by c2sp.org/tlog-tiles, open bundles by our own format; hashes do not compress.
    """
    return path.startswith(("tile/entries/", "events/"))
