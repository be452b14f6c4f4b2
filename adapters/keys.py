"""Where secrets come from: `file:PATH` (mode 0600) or `env:NAME`. Both hold one key as text."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.files import sync_directory
from ledger.errors import Conflict, NotFound, StorageError
from ledger.note import Signer, SigningKey

if TYPE_CHECKING:
    from provenance.keys import PartySigner

__all__ = ["Keys", "claim_uri", "load_secret", "log_signer", "market_signer", "save_secret"]

Keys = Mapping[str, "str | Signer | PartySigner"]
"""The three keys, "log", "market" and "claim": each the URI of a secret (`file:PATH`, `env:NAME`), the first two also
an object that reaches a key elsewhere."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def log_signer(keys: Keys) -> Signer:
    """The log's key. Raises as `load_secret`, and `MalformedError` where the secret is no such key."""
    key = keys["log"]
    if isinstance(key, str):
        return SigningKey.parse(load_secret(key))
    if isinstance(key, Signer):
        return key
    msg = f"keys: log is {type(key).__name__}, want the URI of a secret or a ledger.Signer"
    raise TypeError(msg)


def market_signer(keys: Keys) -> PartySigner:
    """The market's key as a party. Raises as `log_signer`."""
    from provenance.keys import PartyKey, PartySigner

    key = keys["market"]
    if isinstance(key, str):
        return PartyKey.parse(load_secret(key))
    if isinstance(key, PartySigner):
        return key
    msg = f"keys: market is {type(key).__name__}, want the URI of a secret or a provenance.PartySigner"
    raise TypeError(msg)


def claim_uri(keys: Keys) -> str | None:
    """Where the certificate and key that sign manifests are, None when nobody said."""
    uri = keys.get("claim")
    if uri is None or isinstance(uri, str):
        return uri
    msg = f"keys: claim is {type(uri).__name__}, want the URI of a certificate with its key"
    raise TypeError(msg)


def load_secret(uri: str) -> str:
    """Return the text that `uri` names, without surrounding white space.

    Raises `NotFound` when it is not there, `StorageError` when others may read the file or the scheme is unknown.
    """
    scheme, _, name = uri.partition(":")
    if scheme == "env":
        value = os.environ.get(name, "").strip()
        if not value:
            msg = f"{uri}: this environment variable is not set"
            raise NotFound(msg)
        return value
    if scheme != "file":
        msg = f"{uri[:40]}: want file:PATH or env:NAME"
        raise StorageError(msg)
    path = Path(name)
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        msg = f"{name}: no such key file; `provenance init` makes one"
        raise NotFound(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{name}: {error}"
        raise StorageError(msg) from error
    if mode & _OTHERS:
        msg = f"{name}: mode {stat.S_IMODE(mode):04o} lets others read a secret key, want 0600: chmod 600 {name}"
        raise StorageError(msg)
    return text


def save_secret(path: str | os.PathLike[str], text: str) -> None:
    """Write a new key file with mode 0600, durably.

    Raises `Conflict` when there is one, because keys are never overwritten, and `StorageError` when it cannot be
    written; then nothing is left behind.
    """
    place = Path(path)
    try:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        msg = f"{place}: a key is there already; it is never overwritten"
        raise Conflict(msg) from None
    except OSError as error:
        msg = f"{place}: {error.strerror}"
        raise StorageError(msg) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(place.parent)
    except OSError as error:
        place.unlink(missing_ok=True)  # half a key would be refused for ever, and block a whole one
        msg = f"{place}: {error.strerror}"
        raise StorageError(msg) from error
