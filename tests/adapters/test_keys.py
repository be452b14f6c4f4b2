"""Secrets in files and in the environment."""

from __future__ import annotations

import errno
import os

import pytest

from adapters import connect, create, open_log
from adapters.backup import backup, restore
from adapters.connect import keys_of
from adapters.keys import load_secret, read_secret, save_secret
from adapters.sql.store import SqlStore
from ledger import Conflict, NotFound, SigningKey, StorageError, UnknownKey
from ledger.encrypted_key import MIN_WORK, encrypt_key, is_encrypted
from provenance import audit
from provenance.content import Credential

KEY = SigningKey("market.example/log", bytes(range(32)))
SECRET, PUBLIC = str(KEY), str(KEY.verifier)


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


# Encrypted

PASSPHRASE = "correct horse battery"


@pytest.fixture
def encrypted(tmp_path):
    path = tmp_path / "log.key"
    save_secret(path, str(encrypt_key(SECRET, PASSPHRASE, public=PUBLIC, work=MIN_WORK)))
    return f"file:{path}"


def test_an_encrypted_key_and_its_passphrase(encrypted, tmp_path, monkeypatch):
    assert load_secret(encrypted, passphrase=PASSPHRASE) == SECRET
    assert load_secret(encrypted, passphrase=lambda: PASSPHRASE) == SECRET
    monkeypatch.setenv("PROVENANCE_PASSPHRASE", PASSPHRASE)
    assert load_secret(encrypted) == SECRET
    with pytest.raises(UnknownKey, match="does not open it"):
        load_secret(encrypted, passphrase="another one")  # what is given counts
    monkeypatch.delenv("PROVENANCE_PASSPHRASE")
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    monkeypatch.setenv("PROVENANCE_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    assert load_secret(encrypted) == SECRET
    monkeypatch.setenv("OUR_KEY", read_secret(encrypted))
    assert load_secret("env:OUR_KEY") == SECRET


def test_an_encrypted_key_without_its_passphrase(encrypted, tmp_path, monkeypatch):
    monkeypatch.setenv("PROVENANCE_PASSPHRASE", "")
    with pytest.raises(
        StorageError, match=r"log\.key: is encrypted; set PROVENANCE_PASSPHRASE to its passphrase"
    ) as no:
        load_secret(encrypted)
    assert not isinstance(no.value, NotFound)  # a key that is there is never taken for one that is not
    monkeypatch.setenv("PROVENANCE_PASSPHRASE_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(NotFound, match="PROVENANCE_PASSPHRASE_FILE names it"):
        load_secret(encrypted)
    (tmp_path / "nowhere").write_bytes(b"\xff")
    with pytest.raises(StorageError, match="nowhere"):
        load_secret(encrypted)


def test_nobody_is_asked_about_a_key_that_is_open(tmp_path):
    save_secret(tmp_path / "log.key", SECRET)
    assert load_secret(f"file:{tmp_path / 'log.key'}", passphrase=pytest.fail) == SECRET


def test_a_market_opens_its_keys_with_one_question(tmp_path, monkeypatch):
    url, public = f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "public"
    monkeypatch.setitem(encrypt_key.__kwdefaults__, "work", MIN_WORK)
    create(url, origin="market.example/log", publish=public, passphrase=PASSPHRASE)
    for path in (tmp_path / "market.keys").iterdir():
        assert is_encrypted(path.read_text())
    asked = []

    def ask():
        asked.append(1)
        return PASSPHRASE

    ledger = connect(url, publish=public, passphrase=ask)
    ledger.register_party("person", name="Ada")
    ledger.publish()
    assert not audit(open_log(public, ledger.log.policy), rules=True).findings
    assert Credential.parse(ledger._claim()).chain
    assert len(asked) == 1
    for wrong, error in (("another one", UnknownKey), (None, StorageError)):
        with pytest.raises(error):
            connect(url, publish=public, passphrase=wrong)
    assert connect(url, publish=public, signs=False).log.size == ledger.log.size


def test_a_restore_opens_the_key_or_stops(tmp_path, monkeypatch):
    monkeypatch.setitem(encrypt_key.__kwdefaults__, "work", MIN_WORK)
    url, public = f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "public"
    size = create(url, origin="market.example/log", publish=public, passphrase=PASSPHRASE).log.size
    backup(url, tmp_path / "backup")
    keys = keys_of(SqlStore(url), None)
    new = f"sqlite:///{tmp_path / 'new.db'}"
    with pytest.raises(StorageError, match="is encrypted; set PROVENANCE_PASSPHRASE"):
        restore(tmp_path / "backup", new, publish=public, keys=keys)
    assert restore(tmp_path / "backup", new, publish=public, keys=keys, passphrase=PASSPHRASE).size == size
    ledger = connect(new, publish=public, keys=keys, passphrase=PASSPHRASE)
    ledger.register_party("person", name="Ada")
    ledger.publish()
    assert ledger.log.checkpoint.size > size
