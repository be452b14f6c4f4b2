from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256

import pytest

from ledger.errors import MalformedError, NotFound, Unavailable
from provenance.content import binding_for, digest_file, media_type_of, misnamed, sidecar_of
from provenance.content.embedded import split
from tests.provenance.content_media import credential, sample, sign

TYPES = {
    "demo.jpg": "image/jpeg",
    "demo.png": "image/png",
    "demo.gif": "image/gif",
    "demo.tif": "image/tiff",
    "demo.mp3": "audio/mpeg",
    "demo.ogg": "audio/ogg",
    "demo.wav": "audio/wav",
    "demo.avi": "video/x-msvideo",
    "demo.mp4": "video/mp4",
    "demo.mov": "video/quicktime",
    "demo.mkv": "video/x-matroska",
    "demo.webm": "video/webm",
    "demo.pdf": "application/pdf",
    "demo.docx": "application/zip",
    "demo.txt": "application/octet-stream",
}


@pytest.mark.parametrize("name, media_type", TYPES.items())
def test_media_type_is_that_of_the_bytes(name, media_type):
    assert media_type_of(sample(name)) == media_type
    assert misnamed(sample(name)) is None


def test_embeds_jpeg_and_png_only():
    assert {t for t in TYPES.values() if binding_for(t) == "embedded"} == {"image/jpeg", "image/png"}
    assert binding_for("application/octet-stream") == "sidecar"


def test_a_word_at_the_right_place_makes_no_riff(tmp_path):
    note = tmp_path / "note.txt"
    note.write_bytes(b"WARNING WAVE goodbye")
    assert media_type_of(note) == "application/octet-stream"


def test_a_wrong_extension_is_told(tmp_path):
    fake = tmp_path / "fake.jpg"
    fake.write_bytes(sample("demo.png").read_bytes())
    assert media_type_of(fake) == "image/png"
    assert misnamed(fake) == "image/jpeg"


def test_sidecar_keeps_the_whole_name(tmp_path):
    assert sidecar_of(tmp_path / "a.b.mp3").name == "a.b.mp3.c2pa"


def test_digest_is_that_of_the_bytes_and_progress_ends_at_the_size():
    path = sample("demo.wav")
    seen: list[tuple[int, int]] = []
    digest, size = digest_file(path, progress=lambda done, total: seen.append((done, total)))
    assert (digest, size) == (sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert len(seen) > 1
    assert seen[-1] == (size, size)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of this process alone is read from /proc")
def test_two_gigabytes_in_constant_memory(tmp_path):
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    program = (
        "import sys; from pathlib import Path; from provenance.content.formats import digest_file;"
        "done = digest_file(Path(sys.argv[1]));"
        # `ru_maxrss` would keep the peak of the process that started this one
        "peak = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0];"
        "print(*done, peak)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    digest, size, peak = done.stdout.split()
    assert digest == "a7c744c13cc101ed66c29f672f92455547889cc586ce6d44fe76ae824958ea51"
    assert int(size) == 2 << 30
    assert int(peak) < 200 * 1024  # kB


def test_an_empty_file_is_no_work(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(MalformedError, match="is empty"):
        digest_file(tmp_path / "empty")


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(NotFound, match="a folder, want a file"):
        digest_file(tmp_path)
    with pytest.raises(NotFound, match="no such file"):
        digest_file(tmp_path / "absent")
    with pytest.raises(Unavailable, match="cannot be read"):
        digest_file(tmp_path / ("x" * 300))
    with pytest.raises(Unavailable, match="cannot be read"):
        digest_file(tmp_path / "nul\0")


@pytest.mark.skipif(os.name != "posix", reason="pipes in folders are a POSIX thing")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotFound, match="a pipe or device"):
        digest_file(tmp_path / "pipe")


@pytest.mark.parametrize("name, media_type", [("demo.jpg", "image/jpeg"), ("demo.png", "image/png")])
def test_split_finds_the_store_that_was_signed(tmp_path, name, media_type):
    done = sign(sample(name), tmp_path / name)
    found = split(tmp_path / name, media_type)
    assert found.store is not None
    assert sha256(found.store).hexdigest() == done.store_digest
    assert found.rest == digest_file(sample(name))[0]
    assert split(sample(name), media_type).store is None


def test_split_joins_the_segments_of_a_large_store(tmp_path):
    done = sign(sample("demo.jpg"), tmp_path / "big.jpg", title="x" * 200_000)
    found = split(tmp_path / "big.jpg", "image/jpeg")
    assert found.store is not None
    assert len(found.store) > 200_000  # a segment has at most 65,533 bytes
    assert sha256(found.store).hexdigest() == done.store_digest
    assert found.rest == digest_file(sample("demo.jpg"))[0]


def test_split_survives_any_truncation(tmp_path):
    for name, media_type in (("demo.jpg", "image/jpeg"), ("demo.png", "image/png")):
        sign(sample(name), tmp_path / name, credential=credential())
        whole = (tmp_path / name).read_bytes()
        for length in (*range(1, 60), 4_000, len(whole) - 1):
            (tmp_path / "cut").write_bytes(whole[:length])
            assert len(split(tmp_path / "cut", media_type).rest) == 64
