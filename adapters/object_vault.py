"""The vault in a bucket: each sealed event and personal field an object of its own, gone when it is erased."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from adapters.objects import Bucket
from ledger.errors import MalformedError, NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["ObjectVault"]

_AT_ONCE = 256  # items in memory while many are written or read


class ObjectVault:
    """A `provenance.vault.Vault` below a prefix of a bucket, as `vault/<2 hex>/<62 hex>`.

    Never in a bucket that the public can read, and never in one that cannot forget: with versions, object lock or
    retention an erased item lives on. `can_erase()` asks the bucket; what it cannot see (copies elsewhere, backups,
    deleted objects kept back for a while) is the operator's to know.
    """

    joins = False

    def __init__(self, bucket: Bucket, *, prefix: str = "vault/") -> None:
        """`prefix` ends in `/`; nothing else may be kept below it."""
        self._bucket = bucket
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"ObjectVault({self._bucket!r}, prefix={self._prefix!r})"

    def put(self, items: Iterable[tuple[bytes, bytes]], *, connection: Connection | None = None) -> None:
        """As `Vault.put`; written side by side, durable on return."""
        _alone(connection)
        # Overwritten, not written once: the address says what the bytes are, and an erased item may come again.
        self._each(self._bucket.replace, ((self._path(address), data) for address, data in items))

    def get(self, address: bytes) -> bytes:
        """As `Vault.get`."""
        return self._bucket.get(self._path(address))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """As `Vault.items`; what is erased meanwhile may be missing."""
        paths = iter(self._bucket.list(self._prefix))
        with ThreadPoolExecutor(self._bucket.parallel, thread_name_prefix="ledger-vault") as pool:
            while chunk := list(islice(paths, _AT_ONCE)):
                for path, data in zip(chunk, pool.map(self._find, chunk), strict=True):
                    if data is not None:
                        yield self._address(path), data

    def erase(self, addresses: Iterable[bytes], *, connection: Connection | None = None) -> None:
        """As `Vault.erase`; one request for each 1,000. Raises `Unavailable` when something may still be there."""
        _alone(connection)
        self._bucket.remove(*(self._path(address) for address in addresses))

    def can_erase(self) -> bool:
        """Whether an item that is written and erased here is gone. Raises `Unavailable` when the bucket says neither.

        False also where the bucket keeps versions, for then only the newest one goes.
        """
        address = secrets.token_bytes(32)
        path = self._path(address)
        self._bucket.replace(path, b"{}")
        kept = self._bucket.keeps_versions(path)
        self._bucket.remove(path)
        try:
            self.get(address)
        except NotFound:
            return not kept
        return False

    def _path(self, address: bytes) -> str:
        name = address.hex()
        return f"{self._prefix}{name[:2]}/{name[2:]}"

    def _address(self, path: str) -> bytes:
        name = path.removeprefix(self._prefix).replace("/", "")
        try:
            address = bytes.fromhex(name)
        except ValueError:
            address = b""
        if len(address) != 32 or self._path(address) != path:
            msg = f"{path}: no vault item has such a path; keep nothing else below {self._prefix}"
            raise MalformedError(msg)
        return address

    def _find(self, path: str) -> bytes | None:
        try:
            return self._bucket.get(path)
        except NotFound:
            return None  # erased since it was listed

    def _each(self, act: Callable[[str, bytes], None], work: Iterable[tuple[str, bytes]]) -> None:
        """All of it, side by side; the first error ends it, and what had begun is finished first."""
        ready = iter(work)
        chunk = list(islice(ready, _AT_ONCE))
        if len(chunk) == 1:
            act(*chunk[0])
            return
        with ThreadPoolExecutor(self._bucket.parallel, thread_name_prefix="ledger-vault") as pool:
            while chunk:
                for done in [pool.submit(act, *item) for item in chunk]:
                    done.result()
                chunk = list(islice(ready, _AT_ONCE))


def _alone(connection: Connection | None) -> None:
    if connection is not None:
        msg = "connection: a bucket takes no part in a database transaction; want None, as `joins` says"
        raise TypeError(msg)
