"""Addresses of a web site; what servers answer is tested with the client, in tests/ledger/test_client.py."""

from __future__ import annotations

import pytest

from adapters.http import Website
from ledger import Unavailable
from ledger.storage import Objects


@pytest.mark.parametrize(
    "url",
    [
        "",
        "market.example/log",
        "ftp://market.example/log",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "https:///x",
    ],
)
def test_addresses_that_are_none(url):
    with pytest.raises(Unavailable):
        Website(url)


def test_addresses_that_look_like_one():
    for url in ("http://127.0.0.1:99999/", "http://a b/", "http://" + "a" * 70 + ".example/"):
        with pytest.raises(Unavailable):
            Website(url, timeout=1).get("checkpoint")


def test_it_only_reads():
    site = Website("https://market.example/log//")
    assert site.url == "https://market.example/log"
    assert repr(site) == "Website('https://market.example/log')"
    assert not isinstance(site, Objects)
