"""Reading a published log over HTTP(S): the read-only half of an object store."""

from __future__ import annotations

import urllib.error
import urllib.request
from urllib.parse import quote

from ledger.errors import NotFound, Unavailable

__all__ = ["MAX_OBJECT", "Website"]

MAX_OBJECT = 280 << 20
"""Bytes of the largest object that is read: a full open bundle is 256 items of 1 MiB."""


class Website:
    """The objects of a log below a URL. Every `get` is one request; nothing is cached, nothing is trusted."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        """`timeout` in seconds, for connecting and for each read. Raises `Unavailable` for another scheme."""
        if not url.startswith(("http://", "https://")):
            msg = f"{url[:80]}: want a URL that begins with http:// or https://"
            raise Unavailable(msg)
        self.url = url.rstrip("/")
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Website({self.url!r})"

    def get(self, path: str) -> bytes:
        """Body of `URL/path`. Raises `NotFound` for 404 and 410, `Unavailable` for everything else but 200."""
        url = f"{self.url}/{quote(path)}"
        try:
            with urllib.request.urlopen(url, timeout=self._timeout) as reply:
                data = reply.read(MAX_OBJECT + 1)
        except urllib.error.HTTPError as error:
            if error.code in {404, 410}:
                msg = f"{url}: not found (HTTP {error.code})"
                raise NotFound(msg, path=path) from None
            msg = f"{url}: HTTP {error.code}"
            raise Unavailable(msg, path=path) from error
        except OSError as error:
            msg = f"{url}: {getattr(error, 'reason', error)}"
            raise Unavailable(msg, path=path) from error
        if len(data) > MAX_OBJECT:
            msg = f"{url}: more than {MAX_OBJECT} bytes"
            raise Unavailable(msg, path=path)
        return bytes(data)
