"""One kept connection to a server, on which every exchange is over by a given moment, whatever the server does.

Clients in common use bound each read, so that a server which sends a byte now and then holds them for as long as it
likes. Here the moment bounds connecting, sending, and the whole of the answer.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from ledger.errors import Unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Exchange", "TimedReader", "check_url"]

_STALE = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError, http.client.RemoteDisconnected)


class Exchange:
    """Requests to the server at a URL, one after the other: for one thread at a time.

    Follows no redirect, uses no proxy, asks for no compression. The connection is made with the first request, kept,
    and made anew when the server has closed it meanwhile.
    """

    def __init__(self, url: str) -> None:
        """Raises `Unavailable` unless `url` begins with http:// or https:// and names a host."""
        parts = check_url(url)
        self.url = url.rstrip("/")
        self._below = parts.path.rstrip("/")
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = make(parts.netloc.rpartition("@")[2])
        weakref.finalize(self, self._connection.close)  # for those who forget, or have nothing to be told by

    def ask(self, path: str, body: bytes | None = None, *, until: float, most: int) -> tuple[int, bytes]:
        """Status and body of the answer: POST when there is a `body`, else GET, to `path` below the URL.

        `until` is a reading of `time.monotonic()`, `most` the bytes of the longest answer. Raises `Unavailable` when
        there is no whole answer by then, or a longer one. A request whose kept connection was found closed is sent
        once more: the server may have seen it twice.
        """
        kept = self._connection.sock is not None
        try:
            try:
                status, data = self._ask(path, body, until, most)
            except _STALE:
                if not kept:
                    raise
                self._connection.close()
                status, data = self._ask(path, body, until, most)
        except TimeoutError:
            self._connection.close()
            msg = f"{self.url}/{path}: no answer in time"
            raise Unavailable(msg, path=path) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: a port or a host that is none
            self._connection.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            msg = f"{self.url}/{path}: {reason}"
            raise Unavailable(msg, path=path) from error
        if len(data) > most:
            self._connection.close()
            msg = f"{self.url}/{path}: an answer of more than {most} bytes"
            raise Unavailable(msg, path=path)
        return status, data

    def close(self) -> None:
        """End the connection. The next request makes a new one."""
        self._connection.close()

    def _ask(self, path: str, body: bytes | None, until: float, most: int) -> tuple[int, bytes]:
        connection: Any = self._connection
        if connection.sock is None:
            connection.timeout = _left(until)
            connection.connect()
        connection.sock.settimeout(_left(until))
        connection.response_class = partial(_response, until=until)
        kind = {} if body is None else {"Content-Type": "text/plain; charset=utf-8"}
        connection.request("GET" if body is None else "POST", f"{self._below}/{path}", body, kind)
        with connection.getresponse() as answer:
            data = answer.read(most + 1)
            if answer.length and len(data) <= most:
                raise http.client.IncompleteRead(data, answer.length)
            return answer.status, data


class TimedReader(io.RawIOBase):
    """What comes from a socket until a moment, a reading of `time.monotonic()`, that may be put off: `until`.

    A read that is not over by then raises `TimeoutError`.
    """

    def __init__(self, sock: socket.socket, until: float) -> None:
        super().__init__()
        self.until = until
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until it is closed itself

    def readable(self) -> bool:
        """True: it is there to be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Read what has come, at least a byte, up to the length of `buffer`; 0 at the end."""
        self._sock.settimeout(_left(self.until))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


def check_url(url: str) -> SplitResult:
    """The parts of `url`. Raises `Unavailable` unless it begins with http:// or https:// and names a host."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a ValueError when it is none
    except ValueError as error:
        msg = f"{url[:80]}: {error}"
        raise Unavailable(msg) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{url[:80]}: want a URL that begins with http:// or https://"
        raise Unavailable(msg)
    return parts


def _response(sock: socket.socket, *, until: float, **options: Any) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(sock, **options)
    response.fp.close()
    response.fp = io.BufferedReader(TimedReader(sock, until))
    return response


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
