"""The folder of a witness: its keys, what it has seen, and the logs that it watches.

::

    ed25519.key  ml-dsa-44.key      secrets, mode 0600; another `key` may be named instead, as `env:NAME`
    seen.db                         what it signed: never put an older one back
    logs.policy                     one line for each log: log VKEY [URL]
    witness.policy                  lines for the policies of others; nothing here reads it
    fork-HEX.evidence               the first proof that a log has signed two histories; HEX is of its origin's SHA-256
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from adapters.files import Directory
from adapters.keys import environment_passphrase, load_secret, save_secret
from adapters.known_key import at_rest
from adapters.witness.seen import Seen
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner, CosignerKey, has_ml_dsa
from ledger.errors import Conflict, MalformedError, NotFound, StorageError
from ledger.evidence import Evidence
from ledger.note import VerifierKey
from ledger.policy import Policy
from ledger.witness import Witness

__all__ = ["begin_witness", "keep_fork", "open_witness", "read_logs"]

KEYS = {ED25519: "ed25519.key", ML_DSA_44: "ml-dsa-44.key"}
SEEN = "seen.db"
LOGS = "logs.policy"

_HEAD = "# The logs that this witness watches, a line each: log VKEY [URL]\n"


def begin_witness(folder: str | os.PathLike[str], name: str) -> tuple[CosignerKey, ...]:
    """Make a witness called `name` (a URL without its scheme, say) in a new or empty folder, and return its keys.

    An Ed25519 key, and an ML-DSA-44 key where the installed `cryptography` has them; both encrypted where the
    environment has a passphrase. Raises `Conflict` when anything is in the folder, `MalformedError` for a name that
    cannot be one, `StorageError`.
    """
    place = Path(folder)
    types = (ED25519, ML_DSA_44) if has_ml_dsa() else (ED25519,)
    keys = [Cosigner.generate(name, each) for each in types]
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(place.iterdir()):
            msg = f"{place}: not empty, want a folder of its own for a new witness"
            raise Conflict(msg)
    except OSError as error:
        msg = f"{place}: {error.strerror}"
        raise StorageError(msg) from error
    passphrase = environment_passphrase()
    for each in keys:
        save_secret(place / KEYS[each.verifier.type], at_rest(str(each), passphrase))
    Seen(place / SEEN, create=True).close()
    (place / LOGS).write_text(_HEAD, encoding="utf-8")
    return tuple(each.verifier for each in keys)


def open_witness(
    folder: str | os.PathLike[str], *, logs: str = "", keys: Sequence[str] = ()
) -> tuple[Witness, Seen, tuple[CosignerKey, ...]]:
    """The witness in `folder`, what it has seen (to be closed), and the keys that it signs with.

    `logs` is the text of a policy, or of its `log` lines, for those of the folder; `keys` are the URIs of secrets
    (`file:PATH`, `env:NAME`) for those of the folder. Raises `NotFound` when something is missing, `MalformedError`,
    `StorageError`.
    """
    place = Path(folder)
    if not place.is_dir():
        msg = f"{place}: no such folder; `provenance witness init NAME {place}` makes one"
        raise NotFound(msg)
    found = [f"file:{place / name}" for name in KEYS.values() if (place / name).exists()]
    cosigners = [Cosigner.parse(load_secret(uri)) for uri in keys or found]
    if not cosigners:
        msg = f"{place}: no key in it; give --key URI"
        raise NotFound(msg)
    if len({each.verifier.name for each in cosigners}) != 1:
        msg = f"{place}: its keys have several names, want one: {', '.join(e.verifier.name for e in cosigners)}"
        raise MalformedError(msg)
    watched = read_logs(logs or _watched(place / LOGS))
    if not watched:
        msg = f"{place / LOGS}: names no log; add a line `log VKEY`, the VKEY from the log's folder, `log.vkey`"
        raise NotFound(msg)
    seen = Seen(place / SEEN)
    return Witness(watched, cosigners, seen), seen, tuple(each.verifier for each in cosigners)


def keep_fork(folder: str | os.PathLike[str], evidence: Evidence) -> Path:
    """Write evidence to the folder, the first of each log only; durable on return. Raises `Unavailable`.

    More of it proves no more, and would let a log fill the disk.
    """
    name = f"fork-{sha256(evidence.origin.encode()).hexdigest()[:16]}.evidence"
    with suppress(Conflict):
        Directory(folder).put(name, bytes(evidence))
    return Path(folder) / name


def _watched(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}; want the logs to watch, a line `log VKEY` each"
        raise NotFound(msg) from error


def read_logs(text: str) -> dict[str, tuple[VerifierKey | CosignerKey, ...]]:
    """The keys of each log, by origin, of a policy or of `log` lines alone. Raises `MalformedError`."""
    lines = (line.split() for line in text.split("\n"))
    whole = any(words[:1] == ["quorum"] for words in lines)
    policy = Policy.parse(text if whole else f"{text.rstrip()}\nquorum none\n")
    return {origin: policy.log_keys(origin) for origin in policy.origins}
