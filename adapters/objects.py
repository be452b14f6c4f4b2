"""A bucket as storage: S3, Google Cloud Storage, Azure Blob Storage, and what speaks their protocols.

`Bucket` plays both roles of `ledger.storage`, by conditional writes. Tiles, entry bundles and batch files are written
once (`If-None-Match: *`); the head of each log is swapped (`If-Match`), so one bucket alone can hold a log, with one
writer at a time and a second one stopped by the swap. What is written carries the headers that readers and caches
need, so the bucket can be served as it is. Needs the extra `objects`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from adapters.headers import headers_of, may_be_packed
from adapters.http import MAX_OBJECT
from ledger.errors import Conflict, MalformedError, NotFound, StorageError, Unavailable
from ledger.tile import largest, parse_open
from provenance.errors import MissingExtra

if TYPE_CHECKING:
    from obstore import Attributes, PutMode, PutResult
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

__all__ = ["Bucket"]

_SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "memory")

# A request is over after 20 s, and none begins once 10 s have passed: a dead endpoint is reported within 30 s.
_CLIENT: ClientConfig = {"allow_http": True, "connect_timeout": "5s", "timeout": "20s"}
_RETRIES: RetryConfig = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}
# A conditional write that is tried again can be refused because the first try was applied: for the head, each reply
# must mean what it says.
_ONCE: RetryConfig = {**_RETRIES, "max_retries": 0}

_OF_CLIENT = re.compile(
    "(aws_|azure_|google_)?(allow_http|allow_invalid|connect_timeout|default_content|default_headers|http|pool_|proxy_|"
    "randomize|read_timeout|root_certificate|timeout|user_agent)",
    re.IGNORECASE,
)

_MARK = "writer"  # metadata of a head: who wrote it, so that a refused writer can recognize its own write
_TRIES = 3
_REMEMBERED = 64  # paths
_BULK = 1000  # keys in one request that deletes (S3 allows no more)
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 4

_LOGGER = logging.getLogger(__name__)


class _Head(NamedTuple):
    signed: bytes
    mode: PutMode
    mark: str | None


class Bucket:
    """`Objects` and `Checkpoints` below a prefix of a bucket, for any number of threads, processes and hosts.

    Durable when a write returns, as far as the bucket's own answer is. A forked process uses buckets only when its
    parent had not (obstore's threads stay behind). Every failure is a `NotFound`, `Conflict`,
    `Unavailable` (unreachable, refused, or its outcome unknown) or another `StorageError`, with what to do about it.
    """

    parallel = 8

    _process: ClassVar[int] = 0  # the process whose requests run: obstore's threads do not survive a fork

    def __init__(self, store: ObjectStore, *, heads: ObjectStore | None = None) -> None:
        """On a store made with `obstore`, or anything with its methods `get, put, delete, list`.

        `heads` is the same place without retries, for the swap. A `store` that retries is no danger to tiles; to a
        head it is when a reply is lost and another writer swaps before the next try: then the first writer takes its
        applied write for a lost race. `Bucket.open` makes both.
        """
        self._store = store
        self._swaps = heads if heads is not None else store
        self._name = repr(store)
        self._heads: dict[str, _Head] = {}
        self._replaced: dict[str, PutMode] = {}  # what the next condition names, for paths written last

    @classmethod
    def open(cls, url: str, *, client_options: Mapping[str, Any] | None = None, **options: str) -> Bucket:
        """Open `s3://bucket/prefix`, `gs://…`, `az://…` or `memory://`; nothing is asked of the bucket yet.

        `options` are obstore's of that store (`endpoint`, `region`, `access_key_id`, `secret_access_key` …); what is
        not given comes from the environment, as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`. An endpoint `http://` is
        taken at its word. `client_options` are those of its HTTP client, as `root_certificate` and `timeout`: `20s`
        for a whole request unless given, more where large batches go over a slow line. S3 is what the tests run on;
        the others are reached through obstore, untested here.

        Raises `StorageError` for another scheme or option, `MissingExtra` without the extra.
        """
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            verb = f"opening {url.partition('://')[0]}://…"
            raise MissingExtra(verb, "objects") from error
        scheme = url.partition("://")[0]
        if scheme == "file":
            msg = f"{url}: this way a file is not flushed to disk, and no head can be swapped; give the path instead"
            raise StorageError(msg)
        if scheme not in _SCHEMES:
            msg = f"{url[:80]}: want a URL that begins with s3://, gs://, az:// or memory://"
            raise StorageError(msg)
        http: dict[str, Any] = {**_CLIENT, **(client_options or {})}
        # obstore panics when it meets one of these among the options of the store
        if foreign := [name for name in options if _OF_CLIENT.match(name)]:
            msg = f"{url}: {', '.join(foreign)}: want it in client_options"
            raise StorageError(msg)

        def store(retries: RetryConfig) -> ObjectStore:
            made: Any = from_url  # its overloads are per scheme
            if scheme == "memory":
                return made(url)  # type: ignore[no-any-return]
            return made(url, config=options, client_options=http, retry_config=retries)  # type: ignore[no-any-return]

        try:
            first = store(_RETRIES)
            bucket = cls(first, heads=first if scheme == "memory" else store(_ONCE))
        except (BaseError, ValueError) as error:
            msg = f"{url}: {_reason(error)}; check the URL, the options and the credentials in the environment"
            raise StorageError(msg) from error
        bucket._name = url
        return bucket

    def __repr__(self) -> str:
        return f"Bucket({self._name})"

    # Objects

    def get(self, path: str) -> bytes:
        """Bytes of the object, unpacked. Raises `NotFound`, `Unavailable`."""
        return self._read(path)[0]

    def put(self, path: str, data: bytes) -> None:
        """Write once; durable on return. Raises `Conflict` when other bytes are there, `Unavailable`."""
        if self._write(path, data, "create") is not None:
            return
        try:
            there = self.get(path)
        except NotFound as error:
            msg = f"{path}: was in {self._name}, and gone when it was compared; try again"
            raise Unavailable(msg, path=path) from error
        if there != data:
            msg = f"{path}: other bytes are in {self._name} already; another log may be writing there"
            raise Conflict(msg, path=path)

    def replace(self, path: str, data: bytes) -> None:
        """Write or overwrite; readers see the old object or the new one; durable on return. Raises `Unavailable`.

        On condition that nobody has written since this looked: a request that got lost on its way, and arrives when
        its sender has given up, must not come over what is newer. One request while nobody else writes there.
        """
        for _ in range(_TRIES):
            mode = self._replaced.pop(path, "create")
            done = self._write(path, data, mode)
            if done is None:
                with contextlib.suppress(NotFound):
                    there, mode, _ = self._read(path)
                    if path.startswith("events/") and _has_more(there, data):
                        return  # a writer that was overtaken: an open bundle only grows
                done = self._write(path, data, mode)
            if done is not None:
                if len(self._replaced) >= _REMEMBERED:
                    for old in list(self._replaced)[: _REMEMBERED // 2]:  # a copy: other threads may be adding to it
                        self._replaced.pop(old, None)
                self._replaced[path] = _version(done)
                return
        # Others replace it all the time: the last one wins.
        self._write(path, data, "overwrite")

    def discard(self, *paths: str) -> None:
        """Delete objects, or with a final `/` all below: one request for each 1,000. What cannot be deleted stays."""
        try:
            self.remove(*paths)
        except StorageError as error:
            # Write-once buckets refuse this for good, and nothing rests on it.
            _LOGGER.warning("%s: not discarded: %s", self._name, error)

    def remove(self, *paths: str) -> None:
        """As `discard`, for certain: raises `Unavailable` when something may still be there. Missing is no error."""
        names = dict.fromkeys(path for path in paths if not path.endswith("/"))
        for path in paths:
            if path.endswith("/"):
                names.update(dict.fromkeys(self.list(path)))
        every = list(names)
        for at in range(0, len(every), _BULK):
            chunk = every[at : at + _BULK]
            with self._errors(chunk[0]):
                try:
                    self._store.delete(chunk)
                except FileNotFoundError:  # not from S3: elsewhere it ends the request, and others may be left
                    for name in chunk:
                        with contextlib.suppress(FileNotFoundError):
                            self._store.delete([name])
                except TypeError as error:  # so its delete calls a path for which its other verbs raise ValueError
                    raise ValueError(str(error)) from error

    def keeps_versions(self, path: str) -> bool:
        """Whether the bucket gave this object a version: then deleting it leaves its bytes behind.

        Google's stores number every write, kept or not: of them this says nothing. Raises `NotFound`, `Unavailable`.
        """
        from obstore.store import GCSStore

        return "version" in self._read(path)[1] and not isinstance(self._store, GCSStore)

    def list(self, prefix: str) -> Iterator[str]:
        """Paths below `prefix` ("" or ending in `/`). Raises `Unavailable`."""
        with self._errors(prefix):
            for chunk in self._store.list(prefix or None, chunk_size=_BULK):
                for found in chunk:
                    yield found["path"]

    # Checkpoints

    def load(self, origin: str) -> bytes:
        """As `Checkpoints.load`."""
        try:
            return self._look(origin).signed
        except NotFound:
            msg = f"{origin}: no such log in {self._name}"
            raise NotFound(msg) from None

    def create(self, origin: str, signed: bytes) -> None:
        """As `Checkpoints.create`."""
        mark = secrets.token_hex(16)
        if not self._exchange(origin, signed, "create", mark) and self._look(origin).mark != mark:
            msg = f"{origin}: this log exists already in {self._name}"
            raise Conflict(msg)

    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        """As `Checkpoints.swap`: one request while nobody else writes.

        A refusal is looked into: where the write that refused ours was our own, sent twice by something between here
        and the bucket, this has succeeded.
        """
        mark = secrets.token_hex(16)
        for _ in range(_TRIES):
            head = self._heads.get(origin)
            if head is None or head.signed != old:
                try:
                    head = self._look(origin)
                except NotFound:
                    msg = f"{origin}: no such log in {self._name}"
                    raise Conflict(msg) from None
            if head.mark == mark:
                return
            if head.signed != old:
                msg = f"{origin}: another writer swapped the checkpoint in {self._name} first"
                raise Conflict(msg)
            if self._exchange(origin, new, head.mode, mark):
                return
            self._heads.pop(origin, None)
        msg = (
            f"{origin}: {self._name} refuses the swap though the checkpoint is the expected one; load it and try again"
        )
        raise Unavailable(msg)

    def forget(self, origin: str) -> None:
        """Remove the head of `origin` for good: for what was never a log, as a probe. Raises `Unavailable`."""
        self._heads.pop(origin, None)
        self.remove(_head_path(origin))

    def _look(self, origin: str) -> _Head:
        """The head as it is now, remembered so that the next swap need not ask."""
        data, version, attributes = self._read(_head_path(origin))
        head = self._heads[origin] = _Head(data, version, attributes.get(_MARK))
        return head

    def _exchange(self, origin: str, signed: bytes, mode: PutMode, mark: str) -> bool:
        """Write the head on one condition; False when the bucket refused. Otherwise an error: outcome unknown."""
        done = self._write(_head_path(origin), signed, mode, mark)
        if done is None:
            return False
        self._heads[origin] = _Head(signed, _version(done), mark)
        return True

    # Requests

    def _read(self, path: str) -> tuple[bytes, PutMode, Attributes]:
        """Bytes, what a conditional write has to name, and attributes of an object."""
        most = largest(path)
        with self._errors(path):
            found = self._store.get(path)
            if most is not None and found.meta["size"] > most:
                raise _too_large(path, most)
            data = bytes(found.bytes())
            if found.attributes.get("Content-Encoding") == "gzip":
                limit = most or MAX_OBJECT
                data = _unpack(data, limit)
                if len(data) > limit:
                    raise _too_large(path, limit)
            return data, _version(found.meta), found.attributes

    def _write(self, path: str, data: bytes, mode: PutMode, mark: str | None = None) -> PutResult | None:
        """Write whole, with its headers; None when the condition in `mode` did not hold."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        attributes: Attributes = {**headers_of(path)}
        if mark is not None:
            attributes[_MARK] = mark
        if may_be_packed(path) and len(packed := _pack(data)) < len(data):
            data, attributes["Content-Encoding"] = packed, "gzip"
            attributes["Cache-Control"] += ", no-transform"  # or Google's stores unpack it on the way
        store = self._store if mark is None else self._swaps
        with self._errors(path, unknown=mark is not None):
            try:
                return store.put(path, data, mode=mode, attributes=attributes, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return None

    @contextlib.contextmanager
    def _errors(self, path: str, *, unknown: bool = False) -> Iterator[None]:
        """What obstore raises, as ours."""
        from obstore import exceptions

        where = f"{path or 'listing'} in {self._name}"
        if Bucket._process not in {0, os.getpid()}:
            msg = f"{where}: used before this process was forked, so it would wait for ever; spawn it, or fork first"
            raise StorageError(msg, path=path)
        Bucket._process = os.getpid()
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                msg = f"{path}: not in {self._name}"
                raise NotFound(msg, path=path) from None
            msg = f"{where}: there is no such bucket; make it, or correct the URL"
            raise Unavailable(msg, path=path) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise _denied(where, path, error) from error
        except (exceptions.NotSupportedError, NotImplementedError) as error:
            msg = f"{where}: this kind of store cannot do that: {_reason(error)}; use S3 or what speaks its protocol"
            raise StorageError(msg, path=path) from error
        except exceptions.BaseError as error:
            if re.search("AccessDenied|403 Forbidden", str(error)):  # as a bulk delete and a credential server say it
                raise _denied(where, path, error) from error
            then = (
                "outcome unknown, reload before anything else" if unknown else "check endpoint and network, try again"
            )
            msg = f"{where}: {_reason(error)}; {then}"
            raise Unavailable(msg, path=path) from error
        except zlib.error as error:
            msg = f"{where}: {error}; want gzip, as its Content-Encoding says"
            raise Unavailable(msg, path=path) from error
        except ValueError as error:
            msg = f"path {path[:80]!r}: want a relative path without '..' and empty parts"
            raise StorageError(msg, path=path) from error


def _head_path(origin: str) -> str:
    return f"heads/{hashlib.sha256(origin.encode()).hexdigest()}"


def _version(found: Any) -> PutMode:
    """What a conditional write names: Google's stores go by version, the others by ETag."""
    named = {name: found[name] for name in ("e_tag", "version") if found[name] is not None}
    return cast("PutMode", named)


def _has_more(there: bytes, data: bytes) -> bool:
    """Whether an open bundle has more items than another."""
    try:
        return len(parse_open(there)) > len(parse_open(data))
    except MalformedError:
        return False


def _pack(data: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()


def _unpack(data: bytes, most: int) -> bytes:
    """At most one byte more than `most`: enough to see a bomb. Raises `zlib.error`."""
    unpacker = zlib.decompressobj(_GZIP)
    unpacked = unpacker.decompress(data, most + 1)
    if len(unpacked) <= most and (not unpacker.eof or unpacker.unused_data):
        msg = "gzip data cut short, or more behind it"
        raise zlib.error(msg)
    return unpacked


def _too_large(path: str, most: int) -> Unavailable:
    return Unavailable(f"{path}: more than {most} bytes", path=path)


def _denied(where: str, path: str, error: Exception) -> Unavailable:
    msg = (
        f"{where}: permission denied ({_reason(error)}); check the credentials, and that they allow to read, write, "
        "list and delete there"
    )
    return Unavailable(msg, path=path)


def _reason(error: Exception) -> str:
    """The part of an obstore message that people need: no stack, no XML, no request."""
    text = str(error)
    code = re.search(r"status code: ([0-9]{3} [A-Za-z ]+)", text)
    name = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text)
    if code:
        return code[1] + (f", {name[1]}" if name else "")
    first = text.partition("\n\nDebug source")[0].rpartition(" - ")[2]
    kind = re.search(r"HttpError \{\s+kind: ([A-Za-z]+)", text)  # Timeout, Connect …: the first line leaves it out
    return (" ".join(first.split())[:200] or type(error).__name__) + (f" ({kind[1].lower()})" if kind else "")
