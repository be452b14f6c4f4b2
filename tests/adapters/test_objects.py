"""A bucket as storage, on a real S3 server; a store that lies or loses replies stands between us and it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError
from obstore.store import MemoryStore, from_url

from adapters.headers import headers_of, may_be_packed
from adapters.object_vault import ObjectVault
from adapters.objects import Bucket
from adapters.probe import PASSED, probe, probe_once
from ledger import Log, SigningKey, fsck
from ledger.batch import staging_path
from ledger.client import Client
from ledger.errors import Conflict, MalformedError, NotFound, StorageError, Unavailable
from ledger.storage import Checkpoints, ListsObjects, Objects, Row
from ledger.tile import bundle_path, open_path, tile_path
from provenance.errors import MissingExtra

ORIGIN = "market.example/log"
WAYS = 6

# as obstore raises them
LOST = GenericError("Generic S3 error: HTTP error: operation timed out")
EXISTS = AlreadyExistsError("Object at location already exists")
CHANGED = PreconditionError("Request precondition failure")


@pytest.fixture
def bucket(seaweed) -> Bucket:
    return seaweed.bucket()


class Between:
    """A store whose next write is met by `fate`: "lost", "applied" (and the reply lost), "refused" (though applied)."""

    def __init__(self, store):
        self.store = store
        self.fate = ""
        self.requests: list[tuple[str, object]] = []

    def get(self, path):
        self.requests.append(("get", path))
        return self.store.get(path)

    def list(self, prefix, *, chunk_size):
        self.requests.append(("list", prefix))
        return self.store.list(prefix, chunk_size=chunk_size)

    def delete(self, paths):
        self.requests.append(("delete", paths))
        self.store.delete(paths)

    def put(self, path, data, *, mode, **options):
        self.requests.append(("put", path))
        fate, self.fate = self.fate, ""
        if fate == "lost":
            raise LOST
        done = self.store.put(path, data, mode=mode, **options)
        if fate == "applied":
            raise LOST
        if fate == "refused":
            raise EXISTS if mode == "create" else CHANGED
        return done


class Gullible(Between):
    """A store that forgets the condition of every second conditional write."""

    def __init__(self, store):
        super().__init__(store)
        self.lock = threading.Lock()
        self.conditional = 0

    def put(self, path, data, *, mode, **options):
        with self.lock:
            self.conditional += mode != "overwrite"
            if mode != "overwrite" and self.conditional % 2 == 0:
                mode = "overwrite"
            return self.store.put(path, data, mode=mode, **options)


class Swapping(Between):
    """A store that keeps other bytes than it was given by the one it lets win."""

    def put(self, path, data, *, mode, **options):
        return self.store.put(path, data.upper() if mode != "overwrite" else data, mode=mode, **options)


def race(act, bodies):
    """What each of the threads that start together got: None or its error."""
    start = threading.Barrier(len(bodies))

    def one(body):
        start.wait()
        try:
            act(body)
        except Conflict as error:
            return error
        return None

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(one, bodies))


# Objects


def test_plays_both_roles_and_lists(bucket):
    assert isinstance(bucket, Objects)
    assert isinstance(bucket, Checkpoints)
    assert isinstance(bucket, ListsObjects)
    assert bucket.parallel == 8


def test_an_object_is_written_once(bucket):
    path = tile_path(0, 7)
    bucket.put(path, b"hashes")
    bucket.put(path, b"hashes")
    with pytest.raises(Conflict, match=r"^tile/0/007: other bytes are in s3://provenance/\d+ already"):
        bucket.put(path, b"others")
    assert bucket.get(path) == b"hashes"


def test_what_is_replaced_is_replaced_whole(bucket):
    bucket.replace("checkpoint", b"a longer first version\n")
    bucket.replace("checkpoint", b"second\n")
    assert bucket.get("checkpoint") == b"second\n"


def test_of_writers_of_different_bytes_one_wins_and_its_bytes_stay(bucket):
    bodies = [b"tile %d" % number for number in range(WAYS)]
    outcomes = race(lambda body: bucket.put("tile/0/000", body), bodies)
    winners = [body for body, error in zip(bodies, outcomes, strict=True) if error is None]
    assert winners == [bucket.get("tile/0/000")]


def test_missing_objects_and_buckets_are_told_apart(bucket, seaweed):
    with pytest.raises(NotFound, match=r"^tile/0/000: not in s3://provenance/\d+$"):
        bucket.get("tile/0/000")
    nowhere = Bucket.open("s3://nowhere-at-all/log", **seaweed.options)
    with pytest.raises(Unavailable, match="there is no such bucket; make it"):
        nowhere.get("checkpoint")
    with pytest.raises(Unavailable, match="404 Not Found, NoSuchBucket"):
        list(nowhere.list("tile/"))


def test_several_are_discarded_at_once_and_folders_whole(seaweed):
    url = seaweed.url()
    store = Between(from_url(url, config=seaweed.options, client_options={"allow_http": True}))
    bucket = Bucket(store)
    for path in ("tile/0/000.p/1", "tile/0/000.p/2", "tile/0/000", "staging/1", "checkpoint"):
        bucket.put(path, b"x")
    store.requests.clear()
    bucket.discard("staging/1", "tile/0/000.p/", "never/there")
    assert store.requests == [
        ("list", "tile/0/000.p/"),
        ("delete", ["staging/1", "never/there", "tile/0/000.p/1", "tile/0/000.p/2"]),
    ]
    assert set(bucket.list("")) == {"tile/0/000", "checkpoint"}
    assert set(bucket.list("tile/")) == {"tile/0/000"}
    bucket.discard()
    bucket.discard("tile/", "checkpoint")
    assert list(bucket.list("")) == []


def test_more_than_a_thousand_are_deleted_in_requests_of_a_thousand():
    store = Between(MemoryStore())
    bucket = Bucket(store)
    for number in range(1001):
        bucket.replace(f"staging/{number}", b"")
    store.requests.clear()
    bucket.discard("staging/")
    assert [len(names) for verb, names in store.requests if verb == "delete"] == [1000, 1]
    assert list(bucket.list("")) == []


def test_a_store_that_stops_at_a_missing_object_still_deletes_the_rest():
    class Strict(Between):
        def delete(self, paths):
            for path in paths:
                self.store.get(path)
                self.store.delete([path])

    bucket = Bucket(Strict(MemoryStore()))
    bucket.put("b", b"x")
    bucket.remove("a", "b", "c")
    assert list(bucket.list("")) == []


@pytest.mark.parametrize("path", ["../secret", "a//b"])
def test_paths_stay_below_the_prefix(bucket, path):
    with pytest.raises(StorageError, match="want a relative path"):
        bucket.put(path, b"x")
    with pytest.raises(StorageError, match="want a relative path"):
        bucket.get(path)


# What readers get


@pytest.mark.parametrize(
    "path, kind, cache",
    [
        ("checkpoint", "text/plain; charset=utf-8", "public, max-age=5"),
        ("tile/0/x001/067", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("tile/0/x001/067.p/9", "application/octet-stream", "public, max-age=60"),
        ("tile/entries/000", "application/octet-stream", "public, max-age=31536000, immutable"),
        ("tile/entries/000.p/255", "application/octet-stream", "public, max-age=60"),
        ("events/000", "application/octet-stream", "public, max-age=5"),
        ("market.policy", "text/plain; charset=utf-8", "public, max-age=300"),
        ("log.vkey", "text/plain; charset=utf-8", "public, max-age=300"),
        (".well-known/scitt-keys", "application/cbor", "public, max-age=300"),
        ("staging/7-00ff", "application/octet-stream", "no-store"),
        ("heads/00ff", "application/octet-stream", "no-store"),
        ("vault/00/ff.policy", "application/octet-stream", "no-store"),
    ],
)
def test_headers_by_path(path, kind, cache):
    assert headers_of(path) == {"Content-Type": kind, "Cache-Control": cache}


def served(seaweed, url, path):
    """(headers, body) as any HTTP client sees them."""
    store = from_url(url, config=seaweed.options, client_options={"allow_http": True})
    with urllib.request.urlopen(obstore.sign(store, "GET", path, timedelta(minutes=1)), timeout=10) as reply:
        return reply.headers, reply.read()


def test_a_bucket_is_served_with_the_right_headers(seaweed):
    url = seaweed.url()
    bucket = Bucket.open(url, **seaweed.options)
    entries, hashes = b"an entry that repeats itself, " * 100, b"\x07" * 8192
    bucket.put(bundle_path(0), entries)
    bucket.replace(open_path(0), entries)
    bucket.put(tile_path(0, 0), hashes)
    bucket.replace("checkpoint", b"text\n")
    for path, body in {bundle_path(0): entries, open_path(0): entries}.items():
        headers, sent = served(seaweed, url, path)
        assert headers["Content-Encoding"] == "gzip"
        assert headers["Content-Type"] == headers_of(path)["Content-Type"]
        assert headers["Cache-Control"] == headers_of(path)["Cache-Control"] + ", no-transform"
        assert len(sent) < len(body) / 10
        assert zlib.decompress(sent, 31) == body
        assert bucket.get(path) == body
    for path, body in {tile_path(0, 0): hashes, "checkpoint": b"text\n"}.items():
        headers, sent = served(seaweed, url, path)
        assert headers["Content-Encoding"] is None
        assert {name: headers[name] for name in headers_of(path)} == headers_of(path)
        assert sent == body


def test_a_packed_bundle_is_compared_unpacked(bucket):
    body = b"the same again and " * 50
    bucket.put(bundle_path(0), body)
    bucket.put(bundle_path(0), body)
    with pytest.raises(Conflict):
        bucket.put(bundle_path(0), body[1:])


def test_what_does_not_shrink_is_not_packed():
    store = MemoryStore()
    Bucket(store).put(bundle_path(0), b"short")
    assert "Content-Encoding" not in store.get(bundle_path(0)).attributes


def test_only_bundles_are_packed():
    assert [
        path
        for path in ("checkpoint", "tile/0/000", bundle_path(3), open_path(3), "vault/00/ff")
        if may_be_packed(path)
    ] == [
        bundle_path(3),
        open_path(3),
    ]


def packed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def test_bombs_large_objects_and_broken_gzip_are_refused():
    store = MemoryStore()
    bucket = Bucket(store)
    store.put(bundle_path(0), packed(bytes(20 << 20)), attributes={"Content-Encoding": "gzip"})
    store.put("checkpoint", bytes((1 << 20) + 1))
    store.put(bundle_path(1), packed(b"entries")[:-3], attributes={"Content-Encoding": "gzip"})
    store.put(bundle_path(2), packed(b"entries") + b"more", attributes={"Content-Encoding": "gzip"})
    store.put(bundle_path(3), b"no gzip", attributes={"Content-Encoding": "gzip"})
    with pytest.raises(Unavailable, match=r"^tile/entries/000: more than 16777472 bytes"):
        bucket.get(bundle_path(0))
    with pytest.raises(Unavailable, match=r"^checkpoint: more than 1048576 bytes"):
        bucket.get("checkpoint")
    for number in (1, 2, 3):
        with pytest.raises(Unavailable, match="gzip"):
            bucket.get(bundle_path(number))


# Checkpoints


def test_a_head_is_created_once_and_swapped_exactly(bucket):
    with pytest.raises(NotFound, match=r"^market.example/log: no such log"):
        bucket.load(ORIGIN)
    with pytest.raises(Conflict, match="no such log"):
        bucket.swap(ORIGIN, b"one\n", b"two\n")
    bucket.create(ORIGIN, b"one\n")
    for signed in (b"one\n", b"other\n"):
        with pytest.raises(Conflict, match="this log exists already"):
            bucket.create(ORIGIN, signed)
    bucket.swap(ORIGIN, b"one\n", b"two\n")
    with pytest.raises(Conflict, match="another writer swapped"):
        bucket.swap(ORIGIN, b"one\n", b"three\n")
    assert bucket.load(ORIGIN) == b"two\n"
    with pytest.raises(NotFound):
        bucket.load("another.example/log")


def test_of_many_swaps_one_wins_though_all_write_the_same(seaweed):
    url = seaweed.url()
    Bucket.open(url, **seaweed.options).create(ORIGIN, b"one\n")
    handles = [Bucket.open(url, **seaweed.options) for _ in range(WAYS)]
    outcomes = race(lambda handle: handle.swap(ORIGIN, b"one\n", b"two\n"), handles)
    assert outcomes.count(None) == 1
    assert handles[0].load(ORIGIN) == b"two\n"


def test_a_swap_costs_one_request_and_sees_what_others_wrote():
    store = Between(MemoryStore())
    mine, other = Bucket(store), Bucket(store)
    mine.create(ORIGIN, b"1\n")
    mine.swap(ORIGIN, b"1\n", b"2\n")
    mine.swap(ORIGIN, b"2\n", b"3\n")
    assert [verb for verb, _ in store.requests] == ["put", "put", "put"]
    other.swap(ORIGIN, b"3\n", b"4\n")
    with pytest.raises(Conflict):
        mine.swap(ORIGIN, b"3\n", b"5\n")
    mine.swap(ORIGIN, b"4\n", b"5\n")
    assert other.load(ORIGIN) == b"5\n"


@pytest.mark.parametrize("fate", ["lost", "applied"])
def test_without_a_reply_the_outcome_is_unknown_and_a_reload_tells(fate):
    store = Between(MemoryStore())
    bucket = Bucket(store)
    bucket.create(ORIGIN, b"one\n")
    store.fate = fate
    with pytest.raises(Unavailable, match="outcome unknown, reload before anything else"):
        bucket.swap(ORIGIN, b"one\n", b"two\n")
    now = bucket.load(ORIGIN)
    assert now == {"lost": b"one\n", "applied": b"two\n"}[fate]
    bucket.swap(ORIGIN, now, b"three\n")
    assert bucket.load(ORIGIN) == b"three\n"


def test_a_write_sent_twice_on_the_way_is_recognized_as_our_own():
    store = Between(MemoryStore())
    bucket = Bucket(store)
    store.fate = "refused"
    bucket.create(ORIGIN, b"one\n")
    store.fate = "refused"
    bucket.swap(ORIGIN, b"one\n", b"two\n")
    assert bucket.load(ORIGIN) == b"two\n"
    store.fate = "refused"
    bucket.put("tile/0/000", b"hashes")
    assert bucket.get("tile/0/000") == b"hashes"


def test_a_store_that_refuses_every_swap_is_unavailable():
    class Stubborn(Between):
        def put(self, path, data, *, mode, **options):
            if isinstance(mode, dict):
                raise CHANGED
            return super().put(path, data, mode=mode, **options)

    bucket = Bucket(Stubborn(MemoryStore()))
    bucket.create(ORIGIN, b"one\n")
    with pytest.raises(Unavailable, match="refuses the swap though"):
        bucket.swap(ORIGIN, b"one\n", b"two\n")


# The probe


def test_a_sound_bucket_passes_the_probe_and_is_asked_once(bucket):
    probe_once(bucket, ways=3)
    assert list(bucket.list("")) == [PASSED]
    asked = Between(None)
    asked.get = bucket._store.get
    probe_once(Bucket(asked))
    assert asked.requests == []


@pytest.mark.soak
def test_a_sound_bucket_passes_64_ways(bucket):
    probe(bucket)
    assert list(bucket.list("")) == []


def test_a_store_where_two_win_fails_the_probe():
    store = Gullible(MemoryStore())
    with pytest.raises(StorageError, match=r"^conditional create in .*, 8 writers at once: [2-8] won, want exactly 1"):
        probe_once(Bucket(store), ways=8)
    assert list(Bucket(store).list("")) == []


def test_a_store_that_mixes_up_the_winner_fails_the_probe():
    with pytest.raises(StorageError, match="not the winner's"):
        probe(Bucket(Swapping(MemoryStore())), ways=4)


def test_a_probe_without_answers_is_no_verdict():
    class Silent(Between):
        def put(self, path, data, **options):
            raise LOST

    with pytest.raises(Unavailable, match=r"4 of them got no answer; .*operation timed out"):
        probe(Bucket(Silent(MemoryStore())), ways=4)


def test_a_probe_ends_at_its_limit():
    answer = threading.Event()

    class Slow(Between):
        def put(self, path, data, **options):
            answer.wait()
            return self.store.put(path, data, **options)

    try:
        with pytest.raises(Unavailable, match="not all were answered in time"):
            probe(Bucket(Slow(MemoryStore())), ways=4, limit=0.05)
    finally:
        answer.set()


# When it does not work


def test_a_dead_endpoint_is_unavailable_soon(seaweed):
    with socket.socket() as taken:  # bound, so that nobody else listens there
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        bucket = Bucket.open("s3://provenance/dead", **{**seaweed.options, "endpoint": endpoint})
        for act in (
            lambda: bucket.get("checkpoint"),
            lambda: bucket.put("tile/0/000", b"x"),
            lambda: bucket.load(ORIGIN),
        ):
            with pytest.raises(Unavailable, match=r"s3://provenance/dead: .*check endpoint and network"):
                act()
        with pytest.raises(Unavailable, match="outcome unknown"):
            bucket.create(ORIGIN, b"one\n")


def test_an_endpoint_that_never_answers_is_given_up(seaweed):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        bucket = Bucket.open(
            "s3://provenance/deaf", client_options={"timeout": "100ms"}, **{**seaweed.options, "endpoint": endpoint}
        )
        with pytest.raises(Unavailable, match=r"checkpoint in s3://provenance/deaf: .* \(timeout\); check endpoint"):
            bucket.replace("checkpoint", b"x")


def test_a_reader_that_may_not_write_is_told(seaweed, caplog):
    url = seaweed.url()
    Bucket.open(url, **seaweed.options).put("tile/0/000", b"hashes")
    reader = Bucket.open(
        url,
        **{**seaweed.options, "access_key_id": seaweed.READ_KEY, "secret_access_key": seaweed.READ_SECRET},
    )
    assert reader.get("tile/0/000") == b"hashes"
    for act in (
        lambda: reader.put("tile/0/001", b"x"),
        lambda: reader.replace("checkpoint", b"x"),
        lambda: reader.create(ORIGIN, b"x"),
        lambda: reader.remove("tile/0/000"),
    ):
        with pytest.raises(Unavailable, match=r"permission denied .*check the credentials") as caught:
            act()
        assert seaweed.READ_SECRET not in str(caught.value)
    reader.discard("tile/0/000")
    assert "not discarded: tile/0/000" in caplog.text
    assert reader.get("tile/0/000") == b"hashes"


def test_urls_and_options_that_are_none_are_named():
    for url in ("ftp://x/y", "bucket/prefix"):
        with pytest.raises(StorageError, match="want a URL that begins with s3://"):
            Bucket.open(url)
    with pytest.raises(StorageError, match="not flushed to disk"):
        Bucket.open("file:///tmp/log")
    with pytest.raises(StorageError, match="timeout: want it in client_options"):
        Bucket.open("s3://bucket/log", timeout="1s")
    with pytest.raises(StorageError, match="check the URL, the options"):
        Bucket.open("s3://bucket/log", no_such_option="1")


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingExtra, match=r"^opening s3://… needs .*pip install 'provenance-ledger\[objects\]'"):
        Bucket.open("s3://bucket/log")


def test_credentials_and_endpoint_come_from_the_environment(seaweed, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket.open(seaweed.url())
    bucket.put("tile/0/000", b"hashes")
    assert bucket.get("tile/0/000") == b"hashes"


FORKED = """
import os, sys
from adapters.objects import Bucket
from ledger.errors import StorageError
bucket = Bucket.open("memory://")
if sys.argv[1] == "used":
    bucket.put("a", b"x")
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    bucket.put("a", b"x")
    print("written")
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("before, says", [("unused", "written"), ("used", "spawn it, or fork first")])
def test_a_forked_process_works_or_says_why_not(root, before, says):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, before], cwd=root, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip().endswith(says)


def test_a_bucket_in_memory():
    bucket = Bucket.open("memory://")
    bucket.put("tile/0/000", b"hashes")
    assert repr(bucket) == "Bucket(memory://)"
    assert list(bucket.list("tile/")) == ["tile/0/000"]


# The vault

ITEMS = [(bytes([number]) * 32, b'{"kind":"test","salt":"%d"}' % number) for number in range(20)]


def test_a_vault_keeps_and_forgets(bucket):
    vault = ObjectVault(bucket)
    assert vault.joins is False
    vault.put(ITEMS)
    vault.put(ITEMS[:1])
    vault.put([])
    assert bucket.get(f"vault/03/{'03' * 31}") == ITEMS[3][1]
    assert vault.get(ITEMS[19][0]) == ITEMS[19][1]
    assert sorted(vault.items()) == ITEMS
    vault.erase([address for address, _ in ITEMS[5:]] + [b"\xff" * 32])
    vault.erase([])
    assert sorted(vault.items()) == ITEMS[:5]
    with pytest.raises(NotFound):
        vault.get(ITEMS[5][0])
    assert sorted(bucket.list("")) == sorted(bucket.list("vault/"))


def test_a_vault_joins_no_transaction(bucket):
    for act in (
        lambda vault: vault.put(ITEMS, connection=object()),
        lambda vault: vault.erase([], connection=object()),
    ):
        with pytest.raises(TypeError, match="want None"):
            act(ObjectVault(bucket))


def test_a_vault_names_what_does_not_belong_there(bucket):
    bucket.put("vault/readme", b"x")
    with pytest.raises(MalformedError, match=r"^vault/readme: no vault item"):
        list(ObjectVault(bucket).items())


def test_an_item_erased_while_all_are_read_is_left_out():
    store = Between(MemoryStore())
    vault = ObjectVault(Bucket(store))
    vault.put(ITEMS)
    listed = store.list

    def erase_one_then(prefix, *, chunk_size):
        found = [list(chunk) for chunk in listed(prefix, chunk_size=chunk_size)]
        vault.erase([ITEMS[0][0]])
        return found

    store.list = erase_one_then
    assert sorted(vault.items()) == ITEMS[1:]


def test_a_vault_knows_whether_it_can_erase(bucket):
    vault = ObjectVault(bucket)
    assert vault.can_erase() is True
    assert list(bucket.list("")) == []

    class Hoarder(Between):
        def delete(self, paths):
            pass

    assert ObjectVault(Bucket(Hoarder(MemoryStore()))).can_erase() is False

    class Versioned(Between):
        def get(self, path):
            found = self.store.get(path)
            return SimpleNamespace(meta={**found.meta, "version": "1"}, attributes=found.attributes, bytes=found.bytes)

    assert ObjectVault(Bucket(Versioned(MemoryStore()))).can_erase() is False


# A log


def test_a_bucket_alone_holds_a_log(seaweed):
    url = seaweed.url()
    key = SigningKey.generate(ORIGIN)
    log = Log.create(Bucket.open(url, **seaweed.options), key, b"genesis")
    entries = [b"entry %d" % number for number in range(600)]
    log.extend([Row(entry, b"") for entry in entries])
    log.append(b"last")
    checkpoint = log.publish()
    assert checkpoint.size == 602

    again = Log.open(Bucket.open(url, **seaweed.options), key)
    assert [row.entry for row in again.rows(0, 602)] == [b"genesis", *entries, b"last"]
    again.prove(300).verify(entries[299], again.policy)
    assert fsck(Client(Bucket.open(url, **seaweed.options), again.policy), checkpoint) == 602
    shown = set(Bucket.open(url, **seaweed.options).list(""))
    assert [path for path in shown if path.startswith("staging/")] == [staging_path(log.checkpoint)]  # the newest stays
    assert {path for path in shown if ".p/" in path} >= {"tile/entries/002.p/90", "tile/0/002.p/90", "tile/1/000.p/2"}


def test_a_second_writer_is_stopped_by_the_swap_and_goes_on_on_top(seaweed):
    url = seaweed.url()
    key = SigningKey.generate(ORIGIN)
    one = Log.create(Bucket.open(url, **seaweed.options), key, b"genesis")
    two = Log.open(Bucket.open(url, **seaweed.options), key)
    assert one.append(b"first") == 1
    with pytest.raises(Conflict):
        two.extend([Row(b"too late", b"")], at=1)
    assert two.append(b"second") == 2
    assert one.append(b"third") == 3
    checkpoint = one.publish()
    assert [row.entry for row in one.rows(0, 4)] == [b"genesis", b"first", b"second", b"third"]
    assert fsck(Client(Bucket.open(url, **seaweed.options), one.policy), checkpoint) == 4


def test_a_log_survives_the_end_of_its_server(seaweed):
    key = SigningKey.generate(ORIGIN)
    bucket = seaweed.bucket()
    log = Log.create(bucket, key, b"genesis")
    seaweed.stop()
    try:
        with pytest.raises(Unavailable):
            log.append(b"in the dark")
    finally:
        seaweed.start()
    assert log.append(b"after") == 1
    assert fsck(Client(bucket, log.policy), log.publish()) == 2
