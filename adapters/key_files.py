"""What a published log shows of its keys beside its tiles: for a reader to compare, never to be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ledger.cosignature import CosignerKey
from ledger.errors import MalformedError, NotFound
from ledger.keyring import Keyring
from ledger.note import VerifierKey
from ledger.policy import Policy
from ledger.receipt import key_set
from ledger.storage import Objects

if TYPE_CHECKING:
    from provenance.succession import Link

__all__ = ["BESIDE", "KEY", "KEY_FILES", "KEY_SET", "PQ_POLICY", "agrees", "key_files", "show_key_files"]

KEY = "log.vkey"
"""The log's Ed25519 key. Written last: a place that shows it shows all the others."""

KEY_SET = ".well-known/scitt-keys"
"""Where tools of SCITT look for the keys of receipts, below the log's place or at the top of its host (RFC 8615)."""

PQ_POLICY = "market-pq.policy"
"""A policy that accepts the log's ML-DSA-44 key alone: there where it signs with one."""

_POLICY = "market.policy"

KEY_FILES = (KEY, _POLICY, KEY_SET)
"""The paths of those that every log has."""

BESIDE = (*KEY_FILES, PQ_POLICY)
"""The paths of all of them; the links of `provenance.succession` lie in a folder of their own."""


def key_files(keys: Keyring, *, witnessed: Policy | None = None, links: Sequence[Link] = ()) -> dict[str, bytes]:
    """By path: the key itself, a policy that accepts it alone, and all that the log had as a COSE_KeySet.

    `links` lead to it from those of before. With `witnessed`, the policies ask for its witnesses and quorum. A policy
    accepts any one listed key of a log (c2sp.org/tlog-policy), so an ML-DSA-44 key stands in one of its own.
    """
    from provenance.succession import link_path  # whoever only reads a log loads nothing of events

    key, *also = keys.verifiers
    asking = witnessed or Policy(())

    def accepting(*keys: VerifierKey | CosignerKey) -> bytes:
        return str(replace(asking, logs=Policy.of(*keys).logs)).encode()

    had = [line.key for line in keys.lines if isinstance(line.key, VerifierKey)]
    files = {link_path(number): bytes(link) for number, link in enumerate(links)}
    files[_POLICY] = accepting(key)
    files[KEY_SET] = key_set(had)
    if also:
        files[PQ_POLICY] = accepting(*also)
    files[KEY] = f"{key}\n".encode()
    return files


def show_key_files(place: Objects, files: Mapping[str, bytes]) -> None:
    """Write those of `files` that the place does not show as they are."""
    for path, data in files.items():
        try:
            there = place.get(path)
        except NotFound:
            there = None
        if there != data:
            place.replace(path, data)


def agrees(path: str, data: bytes, wanted: Mapping[str, bytes]) -> bool:
    """Whether the file at `path` is what is `wanted`; a policy may ask for witnesses besides."""
    want = wanted.get(path)
    if want is None or data == want or not path.endswith(".policy"):
        return data == want
    try:
        policy = Policy.parse(data.decode())
    except (MalformedError, UnicodeDecodeError):
        return False
    listed, known = ([log.key for log in each.logs] for each in (policy, Policy.parse(want.decode())))
    return str(policy).encode() == data and listed == known
