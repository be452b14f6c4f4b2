"""A directory as object store."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.files import Directory
from ledger import Conflict, NotFound, StorageError, Unavailable
from ledger.storage import Checkpoints, Objects


@pytest.fixture
def place(tmp_path):
    return Directory(tmp_path / "public")


def _files(place):
    return sorted(file.relative_to(place.root).as_posix() for file in place.root.rglob("*") if file.is_file())


def test_it_plays_one_role(place):
    assert isinstance(place, Objects)
    assert not isinstance(place, Checkpoints)


def test_nothing_is_made_before_something_is_written(place):
    with pytest.raises(NotFound):
        place.get("checkpoint")
    place.discard("checkpoint")
    place.discard("tile/")
    assert not place.root.exists()


def test_put_writes_once(place):
    place.put("tile/0/000", b"one")
    place.put("tile/0/000", b"one")
    with pytest.raises(Conflict, match="tile/0/000: other bytes") as caught:
        place.put("tile/0/000", b"two")
    assert caught.value.path == "tile/0/000"
    assert place.get("tile/0/000") == b"one"
    assert _files(place) == ["tile/0/000"]


def test_replace_overwrites(place):
    place.replace("checkpoint", b"one")
    place.replace("checkpoint", b"two")
    assert place.get("checkpoint") == b"two"
    assert _files(place) == ["checkpoint"]


def test_discard(place):
    for path in ("tile/0/000.p/1", "tile/0/000.p/2", "tile/0/000", "other"):
        place.put(path, b"x")
    place.discard("tile/0/000.p/")
    place.discard("other")
    place.discard("other")
    assert _files(place) == ["tile/0/000"]
    place.put("tile/0/000.p/3", b"a folder that was dropped is made again")


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_any_web_server_may_read_the_files(place):
    previous = os.umask(0o077)
    try:
        place.put("tile/0/000", b"x")
    finally:
        os.umask(previous)
    assert (place.root / "tile/0/000").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a/..", "a\0b", "//x"])
def test_paths_stay_inside(place, path):
    for use in (place.get, place.discard, lambda p: place.put(p, b"x"), lambda p: place.replace(p, b"x")):
        with pytest.raises(StorageError, match="want a relative path"):
            use(path)


def test_a_folder_is_no_object(place):
    place.put("tile/0/000", b"x")
    with pytest.raises(Unavailable):
        place.get("tile/0")
    with pytest.raises(NotFound):
        place.get("tile/0/000/more")
    with pytest.raises(Unavailable):
        place.put("tile/0/000/more", b"x")


def test_files_that_are_too_large_to_be_what_they_say(place):
    """A sparse file costs the disk nothing and a reader everything."""
    for path, most in (("checkpoint", 1 << 20), ("tile/0/000", 1 << 20), ("tile/entries/000", 256 * 65_537)):
        file = place.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as handle:
            handle.truncate(2 << 30)
        with pytest.raises(Unavailable, match=f"{path}: more than {most} bytes"):
            place.get(path)


def test_many_writers_of_one_object(place):
    def put(i):
        try:
            place.put("tile/0/000", b"%d" % (i % 4))
        except Conflict:
            return None
        return i % 4

    with ThreadPoolExecutor(8) as pool:
        winners = set(pool.map(put, range(64))) - {None}
    assert len(winners) == 1
    assert place.get("tile/0/000") == b"%d" % winners.pop()
    assert _files(place) == ["tile/0/000"]


def test_readers_see_the_old_or_the_new(place):
    place.replace("checkpoint", b"0" * 5000)

    def write(i):
        place.replace("checkpoint", b"%d" % i * 5000)

    def read(_):
        data = place.get("checkpoint")
        return len(data) == 5000 and len(set(data)) == 1

    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(write, i % 10) for i in range(40)]
        assert all(pool.map(read, range(200)))
        for future in writes:
            future.result()
