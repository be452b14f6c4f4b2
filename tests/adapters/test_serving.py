"""What is published, as readers get it: right headers, compressed where that is allowed, whole at any moment."""

from __future__ import annotations

import contextlib
import gzip
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapters import create, open_log
from adapters.files import Directory
from adapters.headers import headers_of, may_be_packed
from adapters.http import Website
from adapters.key_files import BESIDE, KEY_SET
from ledger import Client, LedgerError, Log, NotFound, SigningKey, fsck
from ledger.copy import copy_log
from ledger.storage import Row
from ledger.testing import MemoryStore
from ledger.tile import bundle_path, open_path, parse_path, tile_path, tile_widths
from provenance import audit
from provenance.succession import link_path

KEY = SigningKey("market.example/log", bytes(32))
SAMPLES = [
    "checkpoint",
    *BESIDE,
    *(link_path(number) for number in (0, 12, 999)),
    *(
        tile_path(level, index, width)
        for level in (0, 1, 17)
        for index in (0, 999, 1000, 1_234_067)
        for width in (1, 256)
    ),
    *(bundle_path(index, width) for index in (0, 7, 1_234_067) for width in (255, 256)),
    *(open_path(index) for index in (0, 999, 1_234_067)),
]
PRIVATE = [
    "staging/300-" + "ab" * 32,
    "heads/market.example/log",
    "vault/ab/" + "cd" * 31,
    "fsck.json",
    "backup.json",
    "private/vault-0011223344556677.ndjson",
    "tile/0/.x1.tmp",
    "tile/entries/.000.tmp",
    "market.db",
    "keys/log.key",
    "keys/",
    "",
    "tile/",
    "events/",
]


# The rules in the documentation


@dataclass
class Location:
    """One `location` of the nginx example: how it matches, and its directives."""

    kind: str  # "=", "~" or "" for a beginning
    pattern: str
    lines: list[str]

    def value(self, directive: str) -> str | None:
        found = [line.removeprefix(directive).strip(" ;") for line in self.lines if line.startswith(f"{directive} ")]
        return found[0].strip('"') if found else None

    @property
    def headers(self) -> dict[str, str]:
        added = (line.split(" ", 2)[1:] for line in self.lines if line.startswith("add_header "))
        return {name: value.strip('";') for name, value in added} | {"Content-Type": self.value("default_type") or ""}


@pytest.fixture(scope="module")
def locations(root: Path) -> list[Location]:
    page = (root / "docs" / "how-to" / "serve-the-log.md").read_text("utf-8")
    config = next(block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if block.startswith("server"))
    found = re.findall(r"    location (?:(=|~) )?(\S+) \{\n(.*?)\n    \}", config, re.DOTALL)
    assert len(found) == config.count("location ")
    return [Location(kind, pattern, [line.strip() for line in body.split("\n")]) for kind, pattern, body in found]


def matching(locations: list[Location], uri: str) -> Location | None:
    """As nginx chooses: the exact one, else the first expression that matches, else the longest beginning."""
    for location in locations:
        if location.kind == "=" and location.pattern == uri:
            return location
    for location in locations:
        if location.kind == "~" and re.search(location.pattern, uri):
            return location
    beginnings = [one for one in locations if not one.kind and uri.startswith(one.pattern)]
    return max(beginnings, key=lambda one: len(one.pattern), default=None)


@pytest.mark.parametrize("path", SAMPLES)
def test_the_documented_rules_send_the_headers(locations, path):
    location = matching(locations, f"/log/{path}")
    assert location.headers == {**headers_of(path), "Access-Control-Allow-Origin": "*"}
    assert (location.value("gzip") == "on") == may_be_packed(path)
    assert location.value("gzip_types") == ("application/octet-stream" if may_be_packed(path) else None)


def test_the_documented_rules_serve_the_keys_where_scitt_looks(locations):
    """At the top of the host (RFC 8615), the same file as below the log."""
    top, below = matching(locations, f"/{KEY_SET}"), matching(locations, f"/log/{KEY_SET}")
    assert top.headers == below.headers
    assert top.value("alias") == f"/srv/www/log/{KEY_SET}"


@pytest.mark.parametrize("path", PRIVATE)
def test_the_documented_rules_hide_what_is_for_nobody(locations, path):
    location = matching(locations, f"/log/{path}")
    assert location.lines == ["return 404;"]
    assert headers_of(path)["Cache-Control"] == "no-store" or path.startswith(("tile/", "events/"))


def test_the_page_says_the_same_for_caddy(root):
    page = (root / "docs" / "how-to" / "serve-the-log.md").read_text("utf-8")
    config = next(block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "file_server" in block)
    matchers = {}
    for name, kind, rest in re.findall(r"@(\w+) (path|path_regexp) (.+)", config):
        pattern = "|".join(f"^{re.escape(path)}$" for path in rest.split()) if kind == "path" else rest
        matchers[name] = re.compile(pattern)
    set_headers = re.findall(r'header @(\w+) (\S+) "?([^"\n]+)"?', config)
    for path in SAMPLES:
        hit = {name for name, pattern in matchers.items() if pattern.search(f"/log/{path}")}
        assert "log" in hit
        assert {name: value for group, name, value in set_headers if group in hit} == headers_of(path)
        assert ("packed" in hit) == may_be_packed(path)
    for path in PRIVATE:
        assert not matchers["log"].search(f"/log/{path}")


# A server that does so


class _Handler(BaseHTTPRequestHandler):
    """Files of one folder with their headers; compressed unasked where that is allowed."""

    objects: Directory
    sent: list[tuple[str, int, str]]

    def do_GET(self) -> None:
        path = self.path.removeprefix("/log/")
        headers = headers_of(path)
        data, status = b"", 404
        if headers["Cache-Control"] != "no-store":
            with contextlib.suppress(LedgerError):
                data, status = self.objects.get(path), 200
        if status == 404:
            headers = {}
        coding = "gzip" if may_be_packed(path) and status == 200 else ""
        if coding:
            data = gzip.compress(data)
            headers["Content-Encoding"] = coding
        self.sent.append((path, status, coding))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, list[tuple[str, int, str]]]]:
    """A web server on `public/`: its URL, and what it sent."""
    sent: list[tuple[str, int, str]] = []
    handler = type("Handler", (_Handler,), {"objects": Directory(tmp_path / "public"), "sent": sent})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/log", sent
        server.shutdown()
        thread.join()


def test_an_auditor_reads_it_over_the_web(site, tmp_path: Path) -> None:
    url, sent = site
    ledger = create(f"sqlite:///{tmp_path / 'market.db'}", origin="market.example/log", publish=tmp_path / "public")
    body = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
    ledger.record_many(ledger.draft("party.register", body=body) for _ in range(600))
    (tmp_path / "public" / "staging").mkdir()
    (tmp_path / "public" / "staging" / "1").write_bytes(b"for nobody")
    log = open_log(url, ledger.log.policy)
    assert fsck(log) == ledger.log.size
    assert audit(log).record == "intact"
    assert {coding for path, _, coding in sent if path.startswith(("tile/entries/", "events/"))} == {"gzip"}
    assert {coding for path, _, coding in sent if path.startswith("tile/0")} == {""}
    for path in ("staging/1", "tile", ""):
        with pytest.raises(NotFound):
            Website(url).get(path)


# Partial forms


def shown(place: Directory) -> set[str]:
    """Paths of all tiles and bundles that a place shows."""
    return set(place.list("tile/"))


def wanted(size: int) -> set[str]:
    """The partial forms that readers of this size need."""
    tiles = {tile_path(*tile) for tile in tile_widths(size)}
    return tiles | ({bundle_path(size // 256, size % 256)} if size % 256 else set())


@pytest.fixture(params=["Directory", "Bucket"])
def place(request, tmp_path: Path):
    return (
        Directory(tmp_path / "public") if request.param == "Directory" else request.getfixturevalue("seaweed").bucket()
    )


def test_partial_forms_go_once_the_full_one_is_there(place):
    """Many publications, some of them by a process that did not see the earlier ones."""
    store = MemoryStore()
    log = Log.create(store, KEY, b"genesis", publish=[place])
    readers: list[Client] = []
    for step, count in enumerate((100, 100, 54, 1, 300, 7, 200, 5)):
        if step % 3 == 2:
            log = Log.open(store, KEY, publish=[place])
        log.extend([Row(b"%d/%d" % (step, n), b"open") for n in range(count)])
        size = log.publish().size
        partial = {path for path in shown(place) if ".p/" in path}
        assert wanted(size) <= partial
        for path in partial:
            level, index, _ = parse_path(path)
            assert size >> (8 * ((level or 0) + 1)) <= index, f"{path}: the full form exists at size {size}"
        readers.append(Client(place, log.policy))
        readers[-1].latest()
    # Each reader still stands on the checkpoint it saw, whose partial forms have gone by now.
    for reader in readers[:-1]:
        size = reader.checkpoint.size
        assert [*reader.entries(0, size)] == [row.entry for row in log.rows(0, size)]
        assert fsck(reader) == size
        reader.prove(size - 1).verify(log.row(size - 1).entry, log.policy)
        assert reader.latest().size == log.size  # and goes on from there


def test_a_bucket_keeps_a_log_of_its_own_tidy(seaweed):
    """The same where the bucket is the log's own storage, and other processes write."""
    bucket = seaweed.bucket()
    log = Log.create(bucket, KEY, b"genesis")
    reader = Client(bucket, log.policy)
    reader.latest()
    for step in range(5):
        log = Log.open(bucket, KEY)
        log.extend([Row(b"%d/%d" % (step, n), b"") for n in range(130)])
    size = log.size
    partial = {path for path in bucket.list("tile/") if ".p/" in path}
    assert wanted(size) <= partial
    assert not [path for path in partial if parse_path(path)[1] < size >> (8 * ((parse_path(path)[0] or 0) + 1))]
    assert [*reader.entries(0, 1)] == [b"genesis"]
    assert fsck(Client(bucket, log.policy)) == size


def test_a_copy_in_a_bucket_follows_a_folder(seaweed, tmp_path: Path) -> None:
    folder, bucket = Directory(tmp_path / "public"), seaweed.bucket()
    log = Log.create(MemoryStore(), KEY, b"genesis", publish=[folder])
    for count in (300, 10, 700):
        log.extend([Row(b"%d" % n, b"open %d" % n) for n in range(count)])
        log.publish()
        copy_log(Client(folder, log.policy), bucket)
    copy = Client(bucket, log.policy)
    assert fsck(copy) == log.size
    assert set(bucket.list("")) == set(folder.list(""))
    assert all(bucket.get(path) == folder.get(path) for path in folder.list(""))
