"""A reader that trusts nobody: what it returns is proven, and what it saw is never taken back."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.http import Website
from ledger import (
    Client,
    Fork,
    InvalidSignature,
    LedgerError,
    Log,
    MalformedError,
    NotFound,
    Policy,
    ProofMismatch,
    Rollback,
    Row,
    SigningKey,
    TileMismatch,
    Unavailable,
    UnknownKey,
    fsck,
    open_checkpoint,
)
from ledger.testing import MemoryStore

KEY = SigningKey("market.example/log", bytes(range(32)))
POLICY = Policy.of(KEY.verifier)
SIZE = 600


def _log(size: int, entry: bytes = b"entry %d") -> tuple[Log, MemoryStore]:
    place = MemoryStore()
    log = Log.create(MemoryStore(), KEY, b"entry 0", publish=[place])
    log.extend([Row(entry % i, b"") for i in range(1, size)])
    log.publish()
    return log, place


OBJECTS = _log(SIZE)[1].objects


def _place(changed: dict[str, bytes] | None = None) -> MemoryStore:
    place = MemoryStore()
    place.objects = {**OBJECTS, **(changed or {})}
    return place


def test_reads_and_proves():
    client = Client(_place(), POLICY)
    assert client.latest().size == SIZE
    assert client.entry(599) == b"entry 599"
    assert list(client.entries(250, 260)) == [b"entry %d" % i for i in range(250, 260)]
    assert client.prove(255).verify(b"entry 255", POLICY) == client.checkpoint
    for start, stop in ((-1, 3), (0, SIZE + 1), (5, 4)):
        with pytest.raises(NotFound):
            list(client.entries(start, stop))
    with pytest.raises(ProofMismatch):
        client.prove(SIZE)


def test_rollback():
    place = _place()
    client = Client(place, POLICY)
    newest = client.latest()
    place.objects = _log(300)[1].objects
    with pytest.raises(Rollback, match="of size 300, but one of size 600 was seen before"):
        client.latest()
    assert client.checkpoint == newest
    with pytest.raises(Rollback):
        Client(place, POLICY).latest(since=newest)


@pytest.mark.parametrize("size", [600, 601, 700, 1000])
def test_fork_with_its_evidence(size):
    place = _place()
    client = Client(place, POLICY)
    old = client.latest()
    list(client.entries(0, SIZE))  # every tile is cached now, and must not vouch for another tree
    place.objects = _log(size, b"other %d")[1].objects
    with pytest.raises(Fork) as caught:
        client.latest()
    evidence = caught.value
    assert (evidence.old, evidence.new.size) == (old, size)
    for checkpoint in (evidence.old, evidence.new):
        assert open_checkpoint(checkpoint.signed, POLICY) == checkpoint
    with pytest.raises(Fork):
        Client(place, POLICY).latest(since=old)


def test_growth_is_followed():
    log, place = _log(300)
    client = Client(place, POLICY)
    first = client.latest()
    for size in (301, 512, 1100):
        log.extend([Row(b"entry %d" % i, b"") for i in range(log.size, size)])
        log.publish()
        assert client.checkpoint.size < size  # reads stand on what was fetched last
        assert client.latest(since=first).size == size
        assert list(client.entries(0, size)) == [b"entry %d" % i for i in range(size)]


def test_a_checkpoint_remembered_from_another_log():
    other = Log.create(MemoryStore(), SigningKey.generate("other.example/log"), b"x")
    with pytest.raises(ProofMismatch, match=r"seen before was one of other\.example/log"):
        Client(_place(), POLICY).latest(since=other.checkpoint)


def test_unknown_origin_wrong_key_forged_signature():
    with pytest.raises(UnknownKey, match=r"no policy for origin market\.example/log"):
        Client(_place(), Policy.of(SigningKey.generate("elsewhere.example/log").verifier)).latest()
    with pytest.raises(UnknownKey):
        Client(_place(), Policy.of(SigningKey.generate(KEY.name).verifier)).latest()
    forged = OBJECTS["checkpoint"].replace(b"\n600\n", b"\n599\n")
    with pytest.raises(InvalidSignature):
        Client(_place({"checkpoint": forged}), POLICY).latest()


def test_right_root_under_wrong_origin():
    place = MemoryStore()
    log = Log.create(MemoryStore(), SigningKey("elsewhere.example/log", KEY.seed), b"entry 0", publish=[place])
    log.extend([Row(b"entry %d" % i, b"") for i in range(1, SIZE)])
    assert log.publish().root == Client(_place(), POLICY).latest().root
    with pytest.raises(UnknownKey):
        Client(_place({"checkpoint": place.objects["checkpoint"]}), POLICY).latest()


@given(st.data())
def test_a_hostile_store_yields_nothing_that_was_not_logged(data):
    """Objects are altered, swapped, cut, dropped: an entry is returned as it was logged, or not at all."""
    place = _place()
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(OBJECTS)))
        match data.draw(st.sampled_from(["flip", "swap", "cut", "drop", "garbage"])):
            case "flip":
                at = data.draw(st.integers(0, len(OBJECTS[path]) - 1))
                place.objects[path] = OBJECTS[path][:at] + bytes([OBJECTS[path][at] ^ 255]) + OBJECTS[path][at + 1 :]
            case "swap":
                place.objects[path] = OBJECTS[data.draw(st.sampled_from(sorted(OBJECTS)))]
            case "cut":
                place.objects[path] = OBJECTS[path][: data.draw(st.integers(0, len(OBJECTS[path])))]
            case "drop":
                place.objects.pop(path, None)
            case "garbage":
                place.objects[path] = data.draw(st.binary(max_size=9000))
    client = Client(place, POLICY)
    for index in (0, 255, 256, 511, 512, 599):
        try:
            assert client.entry(index) == b"entry %d" % index
            proof = client.prove(index)
            assert proof.verify(b"entry %d" % index, POLICY).size == SIZE
        except LedgerError:
            pass


def test_hashes_that_no_record_covers_are_not_handed_out():
    """The full tile of the right edge is longer than the checkpoint covers; the rest of it is nobody's word."""
    log, place = _log(10)
    checkpoint = place.objects["checkpoint"]
    log.extend([Row(b"entry %d" % i, b"") for i in range(10, 300)])
    log.publish()
    place.objects["checkpoint"] = checkpoint
    assert "tile/0/000.p/10" not in place.objects
    client = Client(place, POLICY)
    assert client.latest().size == 10
    assert len(client.reader.tile(0, 0)) == 10
    assert list(client.entries(0, 10)) == [b"entry %d" % i for i in range(10)]
    with pytest.raises(NotFound):
        client.entry(10)
    assert fsck(client) == 10


# Over HTTP


class _Server:
    """A web server of our own on this machine that answers as a test says: path -> (status, headers, body)."""

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                reply = answer(self.path)
                if reply is None:
                    self.wfile.write(b"this is no HTTP at all\r\n\r\n")
                    return
                status, headers, body = reply
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for part in [body] if isinstance(body, bytes) else body:
                        self.wfile.write(part)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the reader has had enough

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _static(path):
    data = OBJECTS.get(path.removeprefix("/log/"))
    return (404, {}, b"") if data is None else (200, {}, data)


def test_a_static_web_server_is_enough():
    with _Server(_static) as server:
        client = Client(Website(f"{server.url}/log/"), POLICY)
        assert fsck(client) == SIZE
        assert client.entry(300) == b"entry 300"
        with pytest.raises(NotFound, match=r"not found \(HTTP 404\)"):
            client.get("tile/0/999")


def test_compressed_without_being_asked():
    """Which c2sp.org/tlog-tiles allows; a body that grows without end is cut."""

    def answer(path):
        status, _, body = _static(path)
        return status, {"Content-Encoding": "gzip"}, gzip.compress(body)

    with _Server(answer) as server:
        assert fsck(Client(Website(f"{server.url}/log"), POLICY)) == SIZE
    bomb = gzip.compress(bytes(64 << 20))
    for body, message in ((bomb, "more than 1048576 bytes"), (b"not gzip", "incorrect header check")):

        def pack(path, body=body):
            return 200, {"Content-Encoding": "gzip"}, body

        with _Server(pack) as server:
            tracemalloc.start()
            with pytest.raises(Unavailable, match=message):
                Website(server.url).get("checkpoint")
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
            tracemalloc.stop()


@pytest.mark.parametrize("status", [201, 204, 206, 400, 403, 429, 500, 503])
def test_other_answers_are_no_answers(status):
    with _Server(lambda path: (status, {}, b"")) as server, pytest.raises(Unavailable, match=f"HTTP {status}"):
        Client(Website(server.url), POLICY).latest()


@pytest.mark.parametrize("status", [404, 410])
def test_not_there(status):
    with _Server(lambda path: (status, {}, b"x")) as server, pytest.raises(NotFound):
        Client(Website(server.url), POLICY).latest()


@pytest.mark.parametrize("body", [b"", b"\xff" * 100, b"<html>not a log</html>", b"\n\n\n", OBJECTS["tile/0/000"]])
def test_garbage(body):
    with _Server(lambda path: (200, {}, body)) as server, pytest.raises(MalformedError):
        Client(Website(server.url), POLICY).latest()


def test_a_body_without_end():
    def endless():
        while True:
            yield bytes(1 << 16)

    with _Server(lambda path: (200, {}, endless())) as server:
        site = Website(server.url)
        with pytest.raises(Unavailable, match="more than 1048576 bytes"):
            site.get("tile/0/000")
        with pytest.raises(Unavailable, match="more than 16777472 bytes"):
            site.get("tile/entries/000")


def test_a_body_shorter_than_it_says():
    def answer(path):
        status, _, body = _static(path)
        return status, {"Content-Length": str(len(body) + 1000)}, body[: len(body) // 2]

    with _Server(answer) as server, pytest.raises(LedgerError):
        Client(Website(f"{server.url}/log"), POLICY).latest()


def test_no_http():
    with _Server(lambda path: None) as server, pytest.raises(Unavailable):
        Website(server.url, timeout=5).get("checkpoint")


def test_redirects():
    """To another place of the web, yes; in circles, or out of the web, no."""

    def answer(path):
        if path.startswith("/log/"):
            return _static(path)
        if path.startswith("/old/"):
            return 302, {"Location": path.replace("/old/", "/log/")}, b""
        target = {"/circle/checkpoint": path, "/file/checkpoint": "file:///etc/hostname"}
        return 302, {"Location": target.get(path, "ftp://127.0.0.1/checkpoint")}, b""

    with _Server(answer) as server:
        assert Client(Website(f"{server.url}/old"), POLICY).latest().size == SIZE
        for start in ("circle", "file", "ftp"):
            with pytest.raises(Unavailable):
                Website(f"{server.url}/{start}").get("checkpoint")


def test_a_server_that_lies_about_tiles():
    def answer(path):
        status, headers, body = _static(path)
        return status, headers, bytes(len(body)) if "/tile/0/" in path else body

    with _Server(answer) as server, pytest.raises(TileMismatch):
        Client(Website(f"{server.url}/log"), POLICY).latest()


def test_nobody_listens():
    with _Server(_static) as server:
        url = server.url
    with pytest.raises(Unavailable):
        Website(url, timeout=5).get("checkpoint")
