"""The keys of a log as a market holds them: noted without secrets in its database, the secrets where it said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.keys import Keys, Passphrase, log_signer, pq_signer
from ledger.cosignature import CosignerKey
from ledger.errors import LedgerError, MalformedError
from ledger.keyring import Keyring
from ledger.note import VerifierKey
from ledger.policy import LogLine, parse_log_key

__all__ = ["HeldKeys", "keys_noted", "noted_keys", "ring_of", "with_secrets"]

logger = logging.getLogger(__name__)


def noted_keys(keys: Keyring) -> dict[str, Any]:
    """What is noted of the keys: `key`, and `spans` where the log ever had others: [vkey, first, last or null] each."""
    if keys.lines == (LogLine(keys.verifiers[0]),):
        return {"key": str(keys.verifiers[0])}
    spans = [(str(line.key), line.first, line.last) for line in keys.lines]
    return {"key": str(keys.verifiers[0]), "spans": spans}


def keys_noted(noted: Mapping[str, Any]) -> Keyring:
    """Read what `noted_keys` made. Raises `MalformedError`."""
    key = VerifierKey.parse(str(noted.get("key", "")))
    spans = noted.get("spans", [[str(key), 0, None]])
    if not isinstance(spans, list):
        msg = f"{key.name}: noted keys, want a list of [vkey, first, last]"
        raise MalformedError(msg)
    return ring_of(list(map(_line, spans)))


def ring_of(lines: Sequence[LogLine]) -> Keyring:
    """The keys that these lines of one log tell of. Raises `MalformedError` when none of them is in use."""
    now = [line.key for line in lines if line.last is None]
    key = next((each for each in now if isinstance(each, VerifierKey)), None)
    if key is None:
        msg = f"log keys {', '.join(str(line.key)[:40] for line in lines)}: want an Ed25519 key that is in use"
        raise MalformedError(msg)
    also = next((each for each in now if isinstance(each, CosignerKey)), None)
    ordered = sorted(lines, key=lambda line: (line.first, isinstance(line.key, CosignerKey)))
    return Keyring(key, also, tuple(ordered))


def with_secrets(keys: Keyring, where: Keys, passphrase: Passphrase | None = None) -> Keyring:
    """The same keys with their secrets. Raises as `load_secret`, and `UnknownKey` when those are of other keys."""
    also = None if keys.also is None else pq_signer(where, passphrase)
    return Keyring(log_signer(where, passphrase), also, keys.lines)


class HeldKeys:
    """A log's keys in one process, taken again when another process has handed over to new ones."""

    def __init__(self, read: Callable[[], Keyring], where: Keys | None, passphrase: Passphrase | None) -> None:
        """`read` gives the keys without secrets, `where` says where those are, None in a process that has none.

        Raises as `with_secrets`.
        """
        self._read = read
        self._where = where
        self._passphrase = passphrase
        self.keys = read() if where is None else with_secrets(read(), where, passphrase)

    def renew(self) -> Keyring:
        """The keys of by now, without secrets where these have not followed: then reading goes on, and signing ends."""
        keys = self._read()
        if keys.lines == self.keys.lines:
            return self.keys
        if self._where is not None:
            try:
                keys = with_secrets(keys, self._where, self._passphrase)
            except LedgerError as error:
                logger.critical("%s: signs no more: %s", keys.origin, error, extra={"origin": keys.origin})
        self.keys = keys
        return keys


def _line(span: Any) -> LogLine:
    if not isinstance(span, (list, tuple)) or len(span) != 3 or not isinstance(span[0], str):
        msg = "noted keys: want [vkey, first, last] each"
        raise MalformedError(msg)
    key, first, last = span
    if type(first) is not int or not (last is None or type(last) is int):
        msg = f"noted key {key[:80]}: sizes {first!r} to {last!r}, want whole numbers"
        raise MalformedError(msg)
    return LogLine(parse_log_key(key), first=first, last=last)
