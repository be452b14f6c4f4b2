"""Reading a published log over HTTP(S): the read-only half of an object store."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
import zlib
from urllib.parse import quote

from adapters.exchange import check_url
from ledger.errors import NotFound, Unavailable
from ledger.tile import largest

__all__ = ["MAX_OBJECT", "Website"]

MAX_OBJECT = 280 << 20
"""Bytes of the largest object that is read: a full open bundle is 256 items of 1 MiB."""

_GZIP = 16 + zlib.MAX_WBITS


class Website:
    """The objects of a log below a URL. Every `get` is one request; nothing is cached, nothing is trusted.

    Redirects are followed, but to nothing other than HTTP(S). A body that came compressed, which
    c2sp.org/tlog-tiles allows without asking, is unpacked; of neither form more is read than the object may have.
    """

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        """`timeout` in seconds, for connecting and for each read. Raises `Unavailable` for another scheme."""
        check_url(url)
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler,
            urllib.request.UnknownHandler,
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPRedirectHandler,
            urllib.request.HTTPErrorProcessor,
        ):
            self._opener.add_handler(handler())

    def __repr__(self) -> str:
        return f"Website({self.url!r})"

    def get(self, path: str) -> bytes:
        """Body of `URL/path`. Raises `NotFound` for 404 and 410, `Unavailable` for everything else but 200."""
        url = f"{self.url}/{quote(path)}"
        most = largest(path) or MAX_OBJECT
        try:
            with self._opener.open(url, timeout=self._timeout) as reply:
                status, coding = reply.status, reply.headers.get("Content-Encoding", "identity")
                data: bytes = reply.read(most + 1)
            if coding == "gzip":
                data = zlib.decompressobj(_GZIP).decompress(data, most + 1)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in {404, 410}:
                msg = f"{url}: not found (HTTP {error.code})"
                raise NotFound(msg, path=path) from None
            msg = f"{url}: HTTP {error.code}"
            raise Unavailable(msg, path=path) from error
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            # ValueError: a redirect to an address that is none.
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            msg = f"{url}: {reason}"
            raise Unavailable(msg, path=path) from error
        if status != 200:
            msg = f"{url}: HTTP {status}"
            raise Unavailable(msg, path=path)
        if len(data) > most:
            msg = f"{url}: more than {most} bytes"
            raise Unavailable(msg, path=path)
        return data
