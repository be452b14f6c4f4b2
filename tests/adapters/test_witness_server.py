"""A witness on the network: published steps, bounds on everything a client sends, and what it has seen."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from functools import partial
from hashlib import sha256
from urllib.parse import urlsplit

import pytest

from adapters.exchange import Exchange
from adapters.witness import server as server_module
from adapters.witness.folder import keep_fork, read_logs
from adapters.witness.seen import Seen
from adapters.witness.server import WitnessServer
from ledger import Checkpoint, Conflict, MalformedError, NotFound, Policy, StorageError, Unavailable, VerifierKey
from ledger.evidence import Evidence
from ledger.note import MAX_NOTE, Note
from ledger.testing import MemoryStore
from ledger.witness import MAX_REQUEST, SIZE_TYPE, Answer, Request, Witness, read_answer
from tests.ledger.test_witness import (
    KEY,
    LATER,
    NORTH,
    NOW,
    ORIGIN,
    forked,
    grown,
    part,
    published,
    signed,
    tree,
    wanted,
)

HEX = sha256(ORIGIN.encode()).hexdigest()


@contextmanager
def serving(witness: Witness, **options):
    server = WitnessServer(witness, clock=lambda: NOW, **options).start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def seen(tmp_path):
    with closing(Seen(tmp_path / "seen.db", create=True)) as found:
        yield found


@pytest.fixture
def server(seen):
    with serving(Witness({ORIGIN: [KEY.verifier]}, [NORTH, LATER], seen), prefix="/w") as found:
        yield found


def connection(server: WitnessServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)


def ask(server: WitnessServer, path: str, body: bytes | None = None) -> Answer:
    """One request on a connection of its own."""
    with closing(connection(server)) as client:
        client.request("GET" if body is None else "POST", f"{urlsplit(server.url).path}/{path}", body)
        answer = client.getresponse()
        return Answer(answer.status, answer.read(), answer.headers["Content-Type"])


def raw(server: WitnessServer, *parts: bytes) -> bytes:
    """All that comes back for these bytes until the server closes."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
        sock.sendall(b"".join(parts))
        found = b""
        with suppress(ConnectionResetError):  # it did not read all of it
            while data := sock.recv(65_536):
                found += data
        return found


# Published data


@pytest.mark.parametrize("name", ["litewitness", "sumdb"])
def test_published_steps(vectors, name, seen):
    data = json.loads((vectors / "witness" / f"{name}.json").read_text("utf-8"))
    with serving(published(data, seen)) as server:
        for step in data["steps"]:
            answer = ask(server, "add-checkpoint", step["request_body"].encode())
            wanted(answer, step["c2sp_status"], step["c2sp_body"], data["witness_name"])
            stored = Checkpoint.parse(Note.parse(seen.load(data["logs"][0]["origin"])).text)
            assert stored.size == step["stored_size_after"]


def test_published_updates(vectors, tmp_path):
    data = json.loads((vectors / "witness" / "transparency_dev.json").read_text("utf-8"))
    for number, case in enumerate(data["update_cases"]):
        with (
            closing(Seen(tmp_path / f"{number}.db", create=True)) as seen,
            serving(published(data, seen)) as server,
        ):
            if "setup_request_body" in case:
                answer = ask(server, "add-checkpoint", case["setup_request_body"].encode())
                assert answer.status == case["setup_c2sp_status"]
            answer = ask(server, "add-checkpoint", case["request_body"].encode())
            wanted(answer, case["c2sp_status"], case.get("c2sp_body"), data["witness_name"])


def test_published_reads(vectors, tmp_path):
    data = json.loads((vectors / "witness" / "transparency_dev.json").read_text("utf-8"))
    for number, case in enumerate(data["monitor_get"]["cases"]):
        with closing(Seen(tmp_path / f"{number}.db", create=True)) as seen, serving(published(data, seen)) as server:
            if case["stored"]:
                request = bytes(Request(0, (), case["checkpoint"].encode()))
                assert ask(server, "add-checkpoint", request).status == 200
            answer = ask(server, f"{case['origin_hash_hex']}/checkpoint")
            assert answer.status == case["want_status"]
            if answer.status == 200:
                names = [line.name for line in Note.parse(answer.body).signatures]
                assert names == [data["logs"][0]["origin"], data["witness_name"]]


def test_published_bodies(vectors, seen):
    data = json.loads((vectors / "witness" / "transparency_dev.json").read_text("utf-8"))
    with serving(published(data, seen)) as server:
        for case in data["parse_body"]:
            assert case["c2sp_expectation"] == "reject"
            assert ask(server, "add-checkpoint", case["body"].encode()).status == 400


def test_published_race(vectors, tmp_path):
    """The slow request passed its checks before the fast one was stored: it signs nothing, over HTTP as well."""
    data = json.loads((vectors / "witness" / "race.json").read_text("utf-8"))
    origin = data["logs"][0]["origin"]
    want = data["want"]

    class Slow:
        """Stores `request_a` only after `request_b` was answered."""

        def __init__(self, seen):
            self.load, self.create, self._swap = seen.load, seen.create, seen.swap
            self.begun = False

        def swap(self, origin, old, new):
            if not self.begun:
                self.begun = True
                self.fast = ask(server, "add-checkpoint", data["request_b"].encode())
            self._swap(origin, old, new)

    with closing(Seen(tmp_path / "seen.db", create=True)) as seen:
        slow = Slow(seen)
        with serving(published(data, slow)) as server:
            for step in data["setup"]:
                if step["c2sp_status"] == 200:
                    published(data, seen).add_checkpoint(step["request_body"].encode(), time=NOW)
            answer = ask(server, "add-checkpoint", data["request_a"].encode())
            assert (slow.fast.status, answer.status) == (want["b_status"], want["a_status"])
            assert (answer.body.decode(), answer.type) == (want["a_body"], SIZE_TYPE)
        stored = Checkpoint.parse(Note.parse(seen.load(origin)).text)
        assert (stored.size, stored.root.hex()) == (want["stored_size"], want["stored_root_hex"])


# Answers


def test_it_follows_a_log_on_one_connection(server):
    with closing(connection(server)) as client:
        sockets = set()
        for old, new in ((0, 3), (3, 3), (3, 8), (8, 20)):
            client.request("POST", "/w/add-checkpoint", grown(old, new))
            answer = client.getresponse()
            lines = read_answer(answer.status, answer.read())
            assert NORTH.verifier.verify(tree(new), lines[0]) == LATER.verifier.verify(tree(new), lines[1]) == NOW
            sockets.add(client.sock)
        assert len(sockets) == 1
    shown = ask(server, f"{HEX}/checkpoint")
    assert (shown.status, shown.type) == (200, "text/plain; charset=utf-8")
    assert len(Note.parse(shown.body).signatures) == 3


def test_it_signs_parts(server):
    request = part(8, 13, 20, NORTH)
    (line,) = read_answer(200, ask(server, "sign-subtree", bytes(request)).body)
    LATER.verifier.verify_subtree(ORIGIN, start=8, end=13, hash=request.hash, signature=line.value)


def test_other_paths_are_not_there(server):
    for path in ("", "add-checkpoint/", "../add-checkpoint", "add-checkpoint?x", f"x/{HEX}/checkpoint"):
        assert ask(server, path, grown(0, 3)).status == 404
    for path in (
        "",
        "add-checkpoint",
        HEX,
        f"{HEX}/",
        f"{HEX}/checkpoint/",
        f"{HEX.upper()}/checkpoint",
        "../checkpoint",
    ):
        assert ask(server, path).status == 404
    assert raw(server, b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 0\r\n\r\n").startswith(b"HTTP/1.1 404 ")
    assert raw(server, b"PUT /w/add-checkpoint HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize(
    "head, status",
    [
        (b"", 411),
        (b"Content-Length: -1\r\n", 411),
        (b"Content-Length: +5\r\n", 411),
        (b"Content-Length: 1_0\r\n", 411),
        (b"Content-Length: \xd9\xa3\r\n", 411),
        (b"Transfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: 3\r\nContent-Length: 5\r\n", 411),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: %d\r\n" % (MAX_REQUEST + 1), 413),
        (b"Content-Length: %s\r\n" % (b"9" * 5_000), 413),
    ],
)
def test_lengths_that_are_none(server, head, status):
    answer = raw(server, b"POST /w/add-checkpoint HTTP/1.1\r\n", head, b"\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    "data", [b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"x" * 70_000 + b"\r\n"]
)
def test_what_is_no_request(server, data):
    assert raw(server, data).startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))


def test_the_longest_request_is_read(server):
    filled = grown(0, 3) + b"x" * MAX_REQUEST
    assert ask(server, "add-checkpoint", filled[:MAX_REQUEST]).status in {400, 403}
    assert MAX_REQUEST > MAX_NOTE


# Bounds


def drip(server):
    """A byte now and then, which does not buy more time."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
        for _ in range(2_000):
            sock.sendall(b"P")
            time.sleep(0.01)


def test_slow_clients_are_let_go(seen):
    with serving(Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen), patience=0.2) as server:
        assert raw(server) == b""
        assert raw(server, b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc") == b""
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the moment
            drip(server)
        assert ask(server, "add-checkpoint", grown(0, 3)).status == 200


def test_more_connections_than_it_takes(seen, monkeypatch):
    monkeypatch.setattr(server_module, "CONNECTIONS", 2)
    with serving(Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen)) as server:
        held = []
        for _ in range(2):
            each = connection(server)
            each.request("POST", "/add-checkpoint", b"")
            assert each.getresponse().read()
            assert each.sock is not None
            held.append(each)
        assert raw(server) == b""
        held[0].close()
        exchange = Exchange(server.url)
        answered = []
        for _ in range(1_000):  # until its thread has seen the end
            try:
                answered.append(exchange.ask("add-checkpoint", grown(0, 3), until=time.monotonic() + 20, most=MAX_NOTE))
                break
            except Unavailable:
                time.sleep(0.01)
        assert answered[0][0] == 200
        exchange.close()
        held[1].close()


def test_a_stop_lets_answers_end(seen):
    """Who waits for an answer gets it, who waits with a question does not, and nobody is waited for longer."""
    begun, go = threading.Event(), threading.Event()

    class Held(Witness):
        def add_checkpoint(self, data, *, time):
            begun.set()
            go.wait(20)
            return super().add_checkpoint(data, time=time)

    server = WitnessServer(Held({ORIGIN: [KEY.verifier]}, [NORTH], seen), clock=lambda: NOW).start()
    idle = connection(server)
    idle.connect()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(server, "add-checkpoint", grown(0, 3))))
    asking.start()
    assert begun.wait(20)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    go.set()
    for each in (asking, stopping):
        each.join(20)
        assert not each.is_alive()
    assert answers[0].status == 200
    assert idle.sock.recv(1) == b""
    idle.close()
    server.stop()
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset
        ask(server, "add-checkpoint", grown(3, 8))


def test_an_access_line_for_what_is_refused(server, caplog):
    caplog.set_level(logging.INFO)
    ask(server, "add-checkpoint", grown(0, 3))
    assert not caplog.records
    ask(server, "add-checkpoint", grown(0, 3))
    ask(server, "nothing\x1b[31m/here".replace("\x1b", "%1b"))
    raw(server, b"GET /w/\x1b[31m HTTP/1.1\r\n\r\n")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "127.0.0.1 POST /w/add-checkpoint HTTP/1.1: 409 3"
    assert lines[1].endswith(": 404 no such path here")
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


def test_a_witness_that_cannot_remember_says_so(caplog):
    class Full(MemoryStore):
        def create(self, origin, signed):
            msg = "seen.db: database or disk is full; nothing was signed"
            raise Unavailable(msg)

    with serving(Witness({ORIGIN: [KEY.verifier]}, [NORTH], Full())) as server:
        answer = ask(server, "add-checkpoint", grown(0, 3))
        assert (answer.status, answer.body) == (503, b"cannot remember now, so nothing was signed; ask again later\n")
    assert any("disk is full" in record.getMessage() for record in caplog.records)


def test_what_convicts_a_log_is_kept(seen, tmp_path, caplog):
    """The first of each log: more proves no more, and a log could fill the disk."""
    with serving(Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen), keep=partial(keep_fork, tmp_path)) as found:
        assert ask(found, "add-checkpoint", grown(0, 5)).status == 200
        for new in (5, 9, 12):
            assert ask(found, "add-checkpoint", forked(5, new)).status == 422
    (path,) = tmp_path.glob("*.evidence")
    assert path.name == f"fork-{HEX[:16]}.evidence"
    assert Evidence.parse(path.read_bytes()).verify(Policy.of(KEY.verifier)).new.size == 5
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert said == [f"{ORIGIN}: has signed two histories; the evidence is in {path}: pass it on"] * 3


def test_evidence_that_cannot_be_kept_changes_no_answer(seen, caplog):
    def full(evidence: Evidence) -> None:
        msg = "fork.evidence: No space left on device"
        raise Unavailable(msg)

    for keep, says in ((full, "; the evidence could not be kept: fork.evidence: No space left"), (None, "")):
        caplog.clear()
        with serving(Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen), keep=keep) as found:
            ask(found, "add-checkpoint", grown(0, 5))
            assert ask(found, "add-checkpoint", forked(5, 9)).status == 422
        assert f"{ORIGIN}: has signed two histories{says}" in caplog.text


def test_a_fault_of_ours_ends_one_connection(seen, caplog):
    class Broken(Witness):
        def checkpoint(self, origin_hash):
            raise RuntimeError(origin_hash)

    with serving(Broken({ORIGIN: [KEY.verifier]}, [NORTH], seen)) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(server, f"{HEX}/checkpoint")
        assert ask(server, "add-checkpoint", grown(0, 3)).status == 200
    assert any("a request failed" in record.getMessage() for record in caplog.records)


def test_on_the_other_internet_protocol(seen):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with serving(Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen), host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert ask(server, "add-checkpoint", grown(0, 3)).status == 200


# What it has seen


def test_many_at_once_share_commits_and_one_wins(seen):
    commits = []
    commit = seen._commit
    seen._commit = lambda group: (commits.append(len(group)), commit(group))
    witness = Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen)
    with serving(witness) as server:
        answers = []
        gate = threading.Barrier(16)

        def one(new):
            gate.wait(20)
            answers.append(ask(server, "add-checkpoint", grown(0, new)))

        threads = [threading.Thread(target=one, args=(new,)) for new in range(1, 17)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answer.status for answer in answers) == [200] + [409] * 15
    size = Checkpoint.parse(Note.parse(seen.load(ORIGIN)).text).size
    assert {answer.body for answer in answers if answer.status == 409} == {f"{size}\n".encode()}
    assert sum(commits) >= 1


def test_writers_that_wait_are_written_together(seen):
    seen._writing.acquire()
    outcomes = {}

    def one(number, act):
        try:
            act()
            outcomes[number] = "won"
        except Conflict:
            outcomes[number] = "lost"

    acts = [lambda n=n: seen.create(f"log{n % 3}", b"%d" % n) for n in range(9)]
    threads = [threading.Thread(target=one, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    while len(seen._waiting) < 9:
        time.sleep(0.001)
    seen._writing.release()
    for thread in threads:
        thread.join()
    assert sorted(outcomes.values()) == ["lost"] * 6 + ["won"] * 3
    for n, outcome in outcomes.items():
        if outcome == "won":
            assert seen.load(f"log{n % 3}") == b"%d" % n


def test_it_is_there_after_a_restart(tmp_path):
    place = tmp_path / "seen.db"
    with closing(Seen(place, create=True)) as seen:
        seen.create(ORIGIN, b"one")
        seen.swap(ORIGIN, b"one", b"two")
        with pytest.raises(Conflict):
            seen.swap(ORIGIN, b"one", b"three")
        with pytest.raises(Conflict):
            seen.create(ORIGIN, b"four")
    with closing(Seen(place)) as seen, closing(Seen(place)) as other:
        assert seen.load(ORIGIN) == b"two"
        other.swap(ORIGIN, b"two", b"five")
        assert seen.load(ORIGIN) == b"five"
        with pytest.raises(NotFound):
            seen.load("other.example/log")


def test_it_never_begins_again(tmp_path):
    place = tmp_path / "seen.db"
    with pytest.raises(NotFound, match="provenance witness init"):
        Seen(place)
    Seen(place, create=True).close()
    with pytest.raises(Conflict, match="never begins again"):
        Seen(place, create=True)


def test_a_file_that_is_something_else(tmp_path):
    market = tmp_path / "market.db"
    with closing(sqlite3.connect(market)) as database:
        database.execute("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(StorageError, match="not the file of a witness"):
        Seen(market)
    (tmp_path / "text.db").write_text("no database, and longer than the header of one would be " * 10)
    with pytest.raises(Unavailable, match="not a database"):
        Seen(tmp_path / "text.db")


def test_a_disk_that_fails_signs_nothing(tmp_path):
    place = tmp_path / "seen.db"
    with closing(Seen(place, create=True)) as seen:
        witness = Witness({ORIGIN: [KEY.verifier]}, [NORTH], seen)
        assert witness.add_checkpoint(grown(0, 3), time=NOW).status == 200
        seen._writer.execute("PRAGMA query_only = ON")
        with serving(witness) as server:
            assert ask(server, "add-checkpoint", grown(3, 8)).status == 503
            seen._writer.execute("PRAGMA query_only = OFF")
            assert ask(server, "add-checkpoint", grown(3, 8)).status == 200


def test_a_writer_elsewhere_that_holds_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("adapters.witness.seen._BUSY_SECONDS", 0.05)
    place = tmp_path / "seen.db"
    with closing(Seen(place, create=True)) as seen, closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked; nothing was signed"):
            seen.create(ORIGIN, b"one")
        other.execute("ROLLBACK")
        seen.create(ORIGIN, b"one")


# Which logs


def test_logs_are_read_from_a_policy_or_from_lines():
    lines = f"# ours\nlog {KEY.verifier} https://market.example/log\n\nlog other.example+{VKEY}\n"
    found = read_logs(lines)
    assert found == {ORIGIN: (KEY.verifier,), "other.example": (VerifierKey.parse(f"other.example+{VKEY}"),)}
    assert read_logs(str(Policy.of(KEY.verifier))) == {ORIGIN: (KEY.verifier,)}
    assert read_logs("") == {}
    with pytest.raises(MalformedError, match="policy line 1"):
        read_logs("log nothing\n")


VKEY = str(VerifierKey("other.example", bytes(32))).partition("+")[2]


def test_a_log_that_signs_with_two_keys_may_use_either(seen):
    other = VerifierKey("market.example/log", bytes([9] * 32))
    witness = Witness(read_logs(f"log {other}\nlog {KEY.verifier}\n"), [NORTH], seen)
    assert witness.add_checkpoint(bytes(Request(0, (), signed(3))), time=NOW).status == 200
