"""Where secrets come from: `file:PATH` (mode 0600) or `env:NAME`. Both hold one key as text, which may be encrypted."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.files import sync_directory
from ledger.cosignature import Cosigner, Signs
from ledger.encrypted_key import EncryptedKey, is_encrypted
from ledger.errors import Conflict, NotFound, StorageError
from ledger.note import Signer, SigningKey

if TYPE_CHECKING:
    from provenance.keys import PartySigner

__all__ = [
    "VARIABLE",
    "Keys",
    "Passphrase",
    "ask_once",
    "claim_uri",
    "environment_passphrase",
    "load_secret",
    "log_signer",
    "market_signer",
    "pq_signer",
    "read_secret",
    "save_secret",
]

Keys = Mapping[str, "str | Signer | Signs | PartySigner"]
"""The keys, "log", "market" and "claim", and "log_pq" where the log signs with ML-DSA-44 too: each the URI of a secret
(`file:PATH`, `env:NAME`), all but "claim" also an object that reaches a key elsewhere."""

Passphrase = str | Callable[[], str]
"""What opens encrypted keys, or who is asked for it once such a key is found."""

VARIABLE = "PROVENANCE_PASSPHRASE"
"""The variable with the passphrase; with `_FILE` behind it, the one that names the file it is in."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def log_signer(keys: Keys, passphrase: Passphrase | None = None) -> Signer:
    """The log's key. Raises as `load_secret`, and `MalformedError` where the secret is no such key."""
    key = _at(keys["log"], SigningKey.parse, passphrase)
    if not isinstance(key, Signer):
        msg = f"keys: log is {type(key).__name__}, want the URI of a secret or a ledger.Signer"
        raise TypeError(msg)
    return key


def pq_signer(keys: Keys, passphrase: Passphrase | None = None) -> Signs:
    """The log's ML-DSA-44 key. Raises as `log_signer`, and `UnknownKey` where this machine has no such keys."""
    key = _at(keys.get("log_pq"), Cosigner.parse, passphrase)
    if not isinstance(key, Signs):
        got = type(key).__name__
        msg = f"keys: log_pq is {got}, want the URI of a secret or a ledger.Signs: the log signs with it too"
        raise TypeError(msg)
    return key


def market_signer(keys: Keys, passphrase: Passphrase | None = None) -> PartySigner:
    """The market's key as a party. Raises as `log_signer`."""
    from provenance.keys import PartyKey, PartySigner

    key = _at(keys["market"], PartyKey.parse, passphrase)
    if not isinstance(key, PartySigner):
        msg = f"keys: market is {type(key).__name__}, want the URI of a secret or a provenance.PartySigner"
        raise TypeError(msg)
    return key


def claim_uri(keys: Keys) -> str | None:
    """Where the certificate and key that sign manifests are, None when nobody said."""
    uri = keys.get("claim")
    if uri is None or isinstance(uri, str):
        return uri
    msg = f"keys: claim is {type(uri).__name__}, want the URI of a certificate with its key"
    raise TypeError(msg)


def load_secret(uri: str, *, passphrase: Passphrase | None = None) -> str:
    """Return the secret that `uri` names, without surrounding white space, decrypted where it is encrypted.

    Without `passphrase` the environment has it: see `environment_passphrase`. Raises `NotFound` when nothing is there,
    `StorageError` when others may read the file, the scheme is unknown or there is no passphrase, `UnknownKey` when it
    is another one.
    """
    text = read_secret(uri)
    if not is_encrypted(text):
        return text
    known = passphrase() if callable(passphrase) else passphrase or environment_passphrase()
    if known is None:
        msg = f"{uri}: is encrypted; set {VARIABLE} to its passphrase, or {VARIABLE}_FILE to a file that holds it"
        raise StorageError(msg)
    return _decrypted(text, known)


def ask_once(passphrase: Passphrase | None) -> Passphrase | None:
    """The same, but whoever has to be asked is asked once for all keys."""
    return cache(passphrase) if callable(passphrase) else passphrase


def environment_passphrase() -> str | None:
    """What `PROVENANCE_PASSPHRASE` says, else the file that `PROVENANCE_PASSPHRASE_FILE` names, without its newline.

    None where neither is set. Raises `NotFound`, `StorageError` for a file that cannot be read.
    """
    typed = os.environ.get(VARIABLE)
    path = os.environ.get(f"{VARIABLE}_FILE")
    if typed or not path:
        return typed or None
    try:
        # Its mode is its own business: container platforms hand such files over readable inside the container.
        return Path(path).read_text(encoding="utf-8").removesuffix("\n")
    except FileNotFoundError:
        msg = f"{path}: no such file, and {VARIABLE}_FILE names it"
        raise NotFound(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}"
        raise StorageError(msg) from error


def read_secret(uri: str) -> str:
    """Return the text that `uri` names as it is stored, without surrounding white space.

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


def _at(key: object, parse: Callable[[str], object], passphrase: Passphrase | None) -> object:
    """The key whose secret is at this URI; what is no URI reaches a key in its own way, or is none."""
    return parse(load_secret(key, passphrase=passphrase)) if isinstance(key, str) else key


@lru_cache(maxsize=16)
def _decrypted(text: str, passphrase: str) -> str:
    """The same few keys are asked for again and again, and each time would cost some tenths of a second."""
    return EncryptedKey.parse(text).decrypt(passphrase)
