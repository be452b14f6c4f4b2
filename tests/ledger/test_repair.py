"""What is derivable is made again and proven; what is not is said; nothing good is touched."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest

from ledger import Checkpoint, Client, Log, Row, SigningKey, fsck, open_checkpoint
from ledger.copies import Copies
from ledger.fsck import strays
from ledger.repair import Repaired, repair
from ledger.testing import MemoryStore
from ledger.tile import WIDTH

KEY = SigningKey("market.example/log", bytes(range(32)))
SIZE = 600


class Watched(MemoryStore):
    """Notes what is written to it."""

    def __init__(self, objects):
        super().__init__()
        self.objects = dict(objects)
        self.written = set()

    def put(self, path, data):
        self.written.add(path)
        super().put(path, data)

    def replace(self, path, data):
        self.written.add(path)
        super().replace(path, data)

    def discard(self, *paths):
        self.written.update(paths)
        super().discard(*paths)


def _entry(index: int) -> bytes:
    return sha256(_opened(index)).digest()


def _opened(index: int) -> bytes:
    return b"what entry %d says" % index


def fits(entry: bytes, item: bytes) -> bool:
    return sha256(item).digest() == entry


def published(size: int) -> dict[str, bytes]:
    place = MemoryStore()
    log = Log.create(MemoryStore(), KEY, Row(_entry(0), _opened(0)), publish=[place])
    log.extend([Row(_entry(i), _opened(i) if i % 3 else b"") for i in range(1, size)])
    log.publish()
    return place.objects


OBJECTS = published(SIZE)
POLICY = Log.create(MemoryStore(), KEY, b"").policy


def mend(place: MemoryStore, *others: MemoryStore, signed: Checkpoint | None = None) -> Repaired:
    checkpoint = signed or open_checkpoint(OBJECTS["checkpoint"], POLICY)
    return repair(place, Copies(checkpoint, [place, *others]), fits=fits)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def test_a_good_place_is_not_touched():
    place = Watched(OBJECTS)
    report = mend(place, MemoryStore())
    assert (report.mended, report.lost, place.written) == ([], [], set())


@pytest.mark.parametrize("path", sorted(OBJECTS))
def test_every_object_comes_back_from_another_copy(path):
    good = MemoryStore()
    good.objects = OBJECTS
    for damaged in (None, flipped(OBJECTS[path], 1), OBJECTS[path][:-1], b""):
        place = Watched(OBJECTS)
        if damaged is None:
            del place.objects[path]
        else:
            place.objects[path] = damaged
        report = mend(place, good)
        assert (report.mended, report.lost) == ([path], [])
        assert place.objects == OBJECTS
        assert place.written == {path}


@pytest.mark.parametrize("path", [p for p in OBJECTS if p.startswith(("tile/0", "tile/1"))])
def test_tiles_follow_from_the_entries_of_the_same_place(path):
    place = Watched({**OBJECTS, path: flipped(OBJECTS[path], 7)})
    assert mend(place).mended == [path]
    assert place.objects == OBJECTS


def test_all_tiles_at_once_follow_from_the_entries():
    place = Watched({path: data for path, data in OBJECTS.items() if not path.startswith(("tile/0", "tile/1"))})
    assert mend(place).lost == []
    assert place.objects == OBJECTS


def test_an_entry_that_no_copy_has_is_lost_and_stays_as_it_is():
    path = "tile/entries/001"
    damaged = flipped(OBJECTS[path], 40)
    place = Watched({**OBJECTS, path: damaged})
    report = mend(place)
    assert report.mended == []
    assert [fault.place for fault in report.lost] == [path]
    assert place.objects[path] == damaged


def test_copies_with_different_damage_complete_each_other():
    paths = ("tile/entries/001", "tile/entries/000", "events/001", "tile/0/000", "tile/1/000.p/2", "tile/0/002.p/88")
    one, other = Watched(OBJECTS), Watched(OBJECTS)
    for number, path in enumerate(paths):
        one.objects[path] = flipped(OBJECTS[path], 40 + number)
        other.objects[path] = flipped(OBJECTS[path], len(OBJECTS[path]) - 20 - number)
    assert mend(one, other).lost == []
    assert one.objects == OBJECTS
    assert mend(other, one).lost == []
    assert other.objects == OBJECTS


def test_an_open_item_that_no_copy_has_is_lost_and_its_neighbors_stay():
    path = "events/000"
    place = Watched({**OBJECTS, path: flipped(OBJECTS[path], 10)})
    report = mend(place)
    assert report.mended == [path]
    assert [fault.detail for fault in report.lost] == ["events/000: no copy has the open item of entry #0 unchanged"]
    items = Client(place, POLICY).opened(0)
    assert items[0] == b""
    assert items[1] == _opened(1)


def test_a_bad_partial_tile_of_an_earlier_size_is_dropped_or_written_again():
    place = MemoryStore()
    log = Log.create(MemoryStore(), KEY, b"0", publish=[place])
    log.extend([Row(b"%d" % i, b"") for i in range(1, 300)])
    log.publish()
    log.append(b"300")
    checkpoint = log.publish()
    good = dict(place.objects)
    assert list(strays(Client(place, log.policy), place.list(""))) == []
    place = Watched({**good, "tile/0/001.p/44": flipped(good["tile/0/001.p/44"], 3), "tile/0/000.p/9": bytes(288)})
    place.objects["tile/entries/001.p/44"] = flipped(good["tile/entries/001.p/44"], 3)
    places = {fault.place for fault in strays(Client(place, log.policy), place.list(""))}
    assert places == {"tile/0/001.p/44", "tile/0/000.p/9", "tile/entries/001.p/44"}
    report = repair(place, Copies(checkpoint, [place]))
    assert set(report.mended) == places
    assert place.objects == good


def test_what_no_log_writes_is_reported_and_left():
    place = Watched({**OBJECTS, "index.html": b"", "tile/0/00": b"", "events/000.p/3": b"", "tile/entries/009": b""})
    found = {fault.place for fault in strays(Client(place, POLICY), place.list(""))}
    assert found == {"index.html", "tile/0/00", "events/000.p/3"}  # a bundle beyond the checkpoint may be on its way
    assert mend(place).mended == []
    assert "index.html" in place.objects


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512])
def test_sizes_around_a_full_tile(size):
    good = published(size)
    checkpoint = open_checkpoint(good["checkpoint"], POLICY)
    place = Watched({path: data for path, data in good.items() if "entries" in path})
    assert mend(place, signed=checkpoint).lost == []
    for path in () if size == 1 else ("tile/0/000.p/1", "tile/entries/000.p/1"):  # those of the first checkpoint
        good.pop(path, None)
        place.objects.pop(path, None)
    assert {path: data for path, data in good.items() if not path.startswith("events/")} == place.objects


def test_the_second_level_follows_from_the_entries():
    size = WIDTH**2 + 3
    place = MemoryStore()
    log = Log.create(MemoryStore(), KEY, b"0", publish=[place])
    log.extend([Row(b"%d" % i, b"") for i in range(1, size)])
    checkpoint = log.publish()
    good = dict(place.objects)
    for path in ("tile/1/000", "tile/2/000.p/1", "tile/0/100", "tile/0/256.p/3"):
        del place.objects[path]
    report = repair(place, Copies(checkpoint, [place]))
    assert sorted(report.mended) == ["tile/0/100", "tile/0/256.p/3", "tile/1/000", "tile/2/000.p/1"]
    assert place.objects == good
    assert fsck(Client(place, POLICY)) == size


def test_a_checkpoint_that_was_signed_stays():
    """The log may go on while it is mended, or a witness have signed beside it; what nobody signed is no checkpoint."""
    place = MemoryStore()
    place.objects = dict(OBJECTS)
    older = open_checkpoint(published(SIZE - 5)["checkpoint"], POLICY)
    report = repair(place, Copies(older, [place]), policy=POLICY)
    assert (report.mended, place.objects) == ([], OBJECTS)
    cosigned = older.signed + "— witness.example/w ".encode() + base64.b64encode(bytes(76)) + b"\n"
    place.objects["checkpoint"] = cosigned
    report = repair(place, Copies(older, [place]), policy=POLICY)
    assert (report.mended, place.objects["checkpoint"]) == ([], cosigned)
    place.objects["checkpoint"] = flipped(OBJECTS["checkpoint"], 40)
    report = repair(place, Copies(older, [place]), policy=POLICY)
    assert (report.mended, place.objects["checkpoint"]) == (["checkpoint"], older.signed)
