"""Secrets in files and in the environment."""

from __future__ import annotations

import errno
import os

import pytest

from adapters.keys import load_secret, save_secret
from ledger import Conflict, NotFound, SigningKey, StorageError

SECRET = str(SigningKey("market.example/log", bytes(range(32))))


def test_a_file_for_its_owner_alone(tmp_path):
    path = tmp_path / "log.key"
    previous = os.umask(0)
    try:
        save_secret(path, SECRET)
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == SECRET + "\n"
    assert load_secret(f"file:{path}") == SECRET


def test_keys_are_never_overwritten(tmp_path):
    path = tmp_path / "log.key"
    save_secret(path, SECRET)
    with pytest.raises(Conflict, match="never overwritten"):
        save_secret(path, "another")
    assert load_secret(f"file:{path}") == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_files_that_others_may_use(tmp_path, mode):
    path = tmp_path / "log.key"
    save_secret(path, SECRET)
    path.chmod(mode)
    with pytest.raises(
        StorageError, match=f"mode {mode:04o} lets others read a secret key, want 0600: chmod 600"
    ) as caught:
        load_secret(f"file:{path}")
    assert SECRET not in str(caught.value)


def test_the_environment(monkeypatch):
    monkeypatch.setenv("PROVENANCE_TEST_KEY", f" {SECRET}\n")
    assert load_secret("env:PROVENANCE_TEST_KEY") == SECRET
    for value in ("", "  "):
        monkeypatch.setenv("PROVENANCE_TEST_KEY", value)
        with pytest.raises(NotFound, match="not set"):
            load_secret("env:PROVENANCE_TEST_KEY")


def test_what_is_not_there(tmp_path):
    with pytest.raises(NotFound, match="no such key file"):
        load_secret(f"file:{tmp_path / 'log.key'}")
    with pytest.raises(NotFound):
        load_secret("env:")
    with pytest.raises(StorageError, match=r"want file:PATH or env:NAME"):
        load_secret("vault:log")
    with pytest.raises(StorageError, match="want file:PATH or env:NAME") as caught:
        load_secret(SECRET)  # somebody gave the key in place of its name
    assert SECRET[-20:] not in str(caught.value)
    for path in (tmp_path, tmp_path / "no" / "folder"):
        with pytest.raises(StorageError):
            load_secret(f"file:{path}")
    with pytest.raises(StorageError):
        save_secret(tmp_path / "no" / "folder", SECRET)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "log.key"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(StorageError):
        load_secret(f"file:{path}")


def test_half_a_key_is_not_left_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "log.key"
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        save_secret(path, SECRET)
    assert not path.exists()
    monkeypatch.undo()
    save_secret(path, SECRET)
    assert load_secret(f"file:{path}") == SECRET
