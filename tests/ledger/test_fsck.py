"""Whatever byte of a published log is wrong, fsck finds it and says where."""

from __future__ import annotations

import pytest

from ledger import (
    Client,
    LedgerError,
    Log,
    MalformedError,
    NotFound,
    ProofMismatch,
    Row,
    SigningKey,
    TileMismatch,
    fsck,
)
from ledger.testing import MemoryStore
from ledger.tile import WIDTH, bundle_spans

KEY = SigningKey("market.example/log", bytes(range(32)))
SIZE = 600


def _published(size: int) -> dict[str, bytes]:
    place = MemoryStore()
    log = Log.create(MemoryStore(), KEY, b"entry 0", publish=[place])
    log.extend([Row(b"entry %d" % i, b"") for i in range(1, size)])
    log.publish()
    return place.objects


OBJECTS = _published(SIZE)
POSITIONS = [(path, at) for path, data in OBJECTS.items() for at in sorted({0, 1, 7, len(data) // 3, len(data) - 1})]


def _client(changed: dict[str, bytes] | None = None, without: str = "") -> Client:
    place = MemoryStore()
    place.objects = {**OBJECTS, **(changed or {})}
    place.objects.pop(without, None)
    return Client(place, Log.create(MemoryStore(), KEY, b"").policy)


def test_the_log_is_what_it_should_be():
    assert sorted(OBJECTS) == [
        "checkpoint",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/88",
    ]
    seen = []
    assert fsck(_client(), progress=lambda done, total: seen.append((done, total))) == SIZE
    assert seen == [(256, SIZE), (512, SIZE), (600, SIZE)]


@pytest.mark.parametrize("path, at", POSITIONS)
def test_one_flipped_byte(path, at):
    data = bytearray(OBJECTS[path])
    data[at] ^= 0x01
    with pytest.raises(LedgerError) as caught:
        fsck(_client({path: bytes(data)}))
    error = caught.value
    if path == "checkpoint":
        return  # its own signature says so; which byte, nobody can
    assert path in str(error)
    if path.startswith("tile/entries/"):
        # An entry is known by its hash alone: the offset is where the entry begins.
        spans = bundle_spans(OBJECTS[path])
        begin, end = next((b, e) for b, e in spans if at < e)
        if isinstance(error, TileMismatch):
            assert (error.path, error.offset) == (path, begin)
            assert begin <= at < end
        else:  # in the length before it, so that the rest cannot be read
            assert isinstance(error, MalformedError)
            assert at in {begin - 2, begin - 1}
            assert f"broken from byte {begin - 2} on" in str(error)
    else:
        assert isinstance(error, TileMismatch)
        assert (error.path, error.offset) == (path, at)
        assert f"from byte {at} on" in str(error)


@pytest.mark.parametrize("path", [path for path in OBJECTS if path.startswith("tile/")])
def test_truncated_longer_missing(path):
    for data in (OBJECTS[path][:-1], OBJECTS[path] + b"\0", b""):
        with pytest.raises(MalformedError) as malformed:
            fsck(_client({path: data}))
        assert path in str(malformed.value)
    with pytest.raises(NotFound) as missing:
        fsck(_client(without=path))
    assert missing.value.path == path.split(".p/")[0]  # the full one would do as well


@pytest.mark.parametrize("kind", ["0", "entries"])
def test_swapped(kind):
    first, second = f"tile/{kind}/000", f"tile/{kind}/001"
    with pytest.raises(TileMismatch) as caught:
        fsck(_client({first: OBJECTS[second], second: OBJECTS[first]}))
    assert caught.value.path == first


def test_entries_edited_while_the_hashes_keep_verifying():
    """Proofs still verify: only hashing the bytes again finds it."""
    data = OBJECTS["tile/entries/001"].replace(b"entry 300", b"entry 3OO")
    client = _client({"tile/entries/001": data})
    assert client.prove(300).verify(b"entry 300", client.policy).size == SIZE
    with pytest.raises(TileMismatch, match="entry 300 at byte"):
        fsck(client)
    with pytest.raises(TileMismatch, match="entry 300 at byte"):
        list(client.entries(300, 301))


def test_an_entry_and_its_leaf_hash_changed_together():
    """The tile then agrees with the entries, and neither with what was signed."""
    place = MemoryStore()
    other = Log.create(MemoryStore(), KEY, b"entry 0", publish=[place])
    other.extend([Row(b"entry %d" % i if i != 300 else b"other", b"") for i in range(1, SIZE)])
    other.publish()
    changed = {path: place.objects[path] for path in ("tile/0/001", "tile/entries/001")}
    with pytest.raises(TileMismatch) as caught:
        fsck(_client(changed))
    assert caught.value.path == "tile/0/001"
    with pytest.raises(TileMismatch):
        fsck(_client({**changed, "tile/1/000.p/2": place.objects["tile/1/000.p/2"]}))


def test_a_full_tile_of_a_higher_level():
    """65,536 small entries: the first log with a full tile above level 0."""
    size = WIDTH**2 + 1
    objects = _published(size)
    client = Client(MemoryStore(), _client().policy)
    client._objects.objects = objects
    assert fsck(client, start=size - 300) == size
    for at in (0, 4097, 8191):
        data = bytearray(objects["tile/1/000"])
        data[at] ^= 0x80
        damaged = MemoryStore()
        damaged.objects = {**objects, "tile/1/000": bytes(data)}
        with pytest.raises(TileMismatch) as caught:
            fsck(Client(damaged, client.policy), start=size - 300)
        assert (caught.value.path, caught.value.offset) == ("tile/1/000", at)


def test_goes_on_where_it_stopped():
    client = _client()
    checkpoint = client.latest()
    assert fsck(client, checkpoint, stop=0) == 0
    assert fsck(client, checkpoint, stop=1) == 256
    assert fsck(client, checkpoint, start=256, stop=300) == 512
    assert fsck(client, checkpoint, start=512) == SIZE
    assert fsck(client, checkpoint, start=SIZE) == SIZE
    at = OBJECTS["tile/entries/000"].index(b"entry 9")
    damaged = _client(
        {"tile/entries/000": OBJECTS["tile/entries/000"][:at] + b"X" + OBJECTS["tile/entries/000"][at + 1 :]}
    )
    assert fsck(damaged, start=256) == SIZE
    with pytest.raises(TileMismatch):
        fsck(damaged, stop=256)


def test_another_checkpoint_than_the_one_it_stands_on():
    client = _client()
    with pytest.raises(ProofMismatch, match="the log stands on 600"):
        fsck(client, Log.create(MemoryStore(), KEY, b"").checkpoint)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513])
def test_sizes_around_a_full_tile(size):
    place = MemoryStore()
    place.objects = _published(size)
    assert fsck(Client(place, _client().policy)) == size
