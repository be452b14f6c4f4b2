"""Encrypted keys: one form, nothing of the secret outside, and no text that costs more than it may."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given
from hypothesis import strategies as st

from ledger import MalformedError, SigningKey, UnknownKey
from ledger import encrypted_key as module
from ledger.encrypted_key import MAX_PASSPHRASE, MIN_WORK, WORK, EncryptedKey, encrypt_key, is_encrypted

KEY = SigningKey("market.example/log", bytes(range(32)))
PUBLIC = str(KEY.verifier)
PASSPHRASE = "crème brûlée for everybody"


@pytest.fixture(scope="module")
def encrypted():
    return encrypt_key(str(KEY), PASSPHRASE, public=PUBLIC, work=MIN_WORK)


@pytest.fixture
def cheap(monkeypatch):
    """Key derivation that takes no time, for tests of what is around it."""
    monkeypatch.setattr(module, "_derive", lambda passphrase, salt, work: (passphrase.encode() + salt + bytes(32))[:32])


def test_there_and_back(encrypted):
    assert encrypted.decrypt(PASSPHRASE) == str(KEY)
    assert EncryptedKey.parse(str(encrypted)) == encrypted
    assert str(encrypted).startswith(f"provenance-encrypted-key:scrypt-14:{PUBLIC}:")
    assert is_encrypted(str(encrypted))
    assert not is_encrypted(str(KEY))


def test_the_form_is_what_it_says(encrypted):
    """Read with nothing of ours."""
    head, _, encoded = str(encrypted).rpartition(":")
    raw = base64.b64decode(encoded)
    key = Scrypt(salt=raw[:16], length=32, n=2**14, r=8, p=1).derive(PASSPHRASE.encode())
    assert AESGCM(key).decrypt(raw[16:28], raw[28:], f"{head}:".encode()) == str(KEY).encode()


def test_a_passphrase_typed_on_another_keyboard(encrypted):
    assert encrypted.decrypt("cre\u0300me bru\u0302le\u0301e for everybody") == str(KEY)


def test_what_is_written_costs_a_guesser_128_mib(monkeypatch):
    seen = {}

    class Counts:
        def __init__(self, **parameters):
            seen.update(parameters)

        def derive(self, _):
            return bytes(32)

    monkeypatch.setattr(module, "Scrypt", Counts)
    assert encrypt_key("secret", "passphrase", public="p").work == WORK
    assert 128 * seen["n"] * seen["r"] == 2**27
    assert (seen["p"], len(seen["salt"])) == (1, 16)


def test_nothing_is_used_twice(cheap):
    made = [encrypt_key(str(KEY), PASSPHRASE, public=PUBLIC) for _ in range(10)]
    assert len({key.salt for key in made}) == len({key.nonce for key in made}) == 10


def test_another_passphrase(encrypted):
    for wrong in (PASSPHRASE + " ", PASSPHRASE.upper(), "another one"):
        with pytest.raises(UnknownKey, match="this passphrase does not open it") as caught:
            encrypted.decrypt(wrong)
        assert caught.value.__cause__ is None
        assert str(caught.value).startswith(f"encrypted key {PUBLIC[:80]}: ")
        for secret in (wrong, str(KEY)[-20:]):
            assert secret not in str(caught.value)


def test_a_secret_that_is_no_text(encrypted):
    head, salt, nonce = f"provenance-encrypted-key:scrypt-14:{PUBLIC}:", bytes(16), bytes(12)
    key = Scrypt(salt=salt, length=32, n=2**14, r=8, p=1).derive(PASSPHRASE.encode())
    box = AESGCM(key).encrypt(nonce, b"\xff", head.encode())
    with pytest.raises(MalformedError, match="not UTF-8"):
        EncryptedKey.parse(head + base64.b64encode(salt + nonce + box).decode()).decrypt(PASSPHRASE)


def test_the_secret_is_not_shown(encrypted):
    assert str(KEY)[-20:] not in str(encrypted)
    assert repr(encrypted.box) not in repr(encrypted)


@pytest.mark.parametrize("passphrase", ["", "x" * (MAX_PASSPHRASE + 1), "\udcff"])
def test_what_is_no_passphrase(encrypted, passphrase):
    for attempt in (encrypted.decrypt, lambda p: encrypt_key(str(KEY), p, public=PUBLIC, work=MIN_WORK)):
        with pytest.raises(MalformedError, match="passphrase:"):
            attempt(passphrase)


@given(st.text(min_size=1, max_size=200).filter(lambda text: text.isascii()), st.data())
def test_any_change_is_refused(secret, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_derive", lambda passphrase, salt, work: (salt + salt + bytes((work,)))[-32:])
        key = encrypt_key(secret, PASSPHRASE, public=PUBLIC)
        assert EncryptedKey.parse(str(key)).decrypt(PASSPHRASE) == secret
        text = str(key)
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != text[at]))
        with pytest.raises((MalformedError, UnknownKey)):
            EncryptedKey.parse(text[:at] + other + text[at + 1 :]).decrypt(PASSPHRASE)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for attempt in (text, f"provenance-encrypted-key:{text}", f"provenance-encrypted-key:scrypt-17:{text}"):
        try:
            assert str(EncryptedKey.parse(attempt)) == attempt
        except MalformedError:
            continue


BOX = base64.b64encode(bytes(28 + 17)).decode()


@pytest.mark.parametrize("work", ["scrypt-13", "scrypt-19", "scrypt-31", "scrypt-017", "scrypt-1٧", "scrypt-", "17"])
def test_a_cost_that_is_not_accepted(work, monkeypatch):
    monkeypatch.setattr(module, "Scrypt", None)  # nothing is computed
    with pytest.raises(MalformedError, match="encrypted key"):
        EncryptedKey.parse(f"provenance-encrypted-key:{work}:public:{BOX}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "provenance-encrypted-key:",
        f"provenance-encrypted-key:scrypt-17:{BOX}",
        f"provenance-encrypted-key:scrypt-17::{BOX}",
        f"provenance-encrypted-key:scrypt-17:two words:{BOX}",
        f"provenance-encrypted-key:scrypt-17:pub\x1blic:{BOX}",
        f"provenance-encrypted-key:scrypt-17:public:{BOX}\n",
        f" provenance-encrypted-key:scrypt-17:public:{BOX}",
        f"provenance-encrypted-key:scrypt-17:public:{base64.b64encode(bytes(28 + 16)).decode()}",
        f"provenance-encrypted-key:scrypt-17:public:{BOX.rstrip('=')[:-1]}",
        f"provenance-encrypted-key:scrypt-17:public:{base64.b64encode(bytes(65_536)).decode()}",
        f"Provenance-encrypted-key:scrypt-17:public:{BOX}",
    ],
)
def test_other_forms_are_refused(text):
    assert str(EncryptedKey.parse(f"provenance-encrypted-key:scrypt-17:public:{BOX}")).endswith(BOX)
    with pytest.raises(MalformedError):
        EncryptedKey.parse(text)


def test_what_cannot_be_encrypted(cheap):
    for secret, public in (("", PUBLIC), ("\udcff", PUBLIC), ("secret", ""), ("secret", "a b"), ("x" * 65_536, PUBLIC)):
        with pytest.raises(MalformedError):
            encrypt_key(secret, PASSPHRASE, public=public)
    with pytest.raises(MalformedError):
        encrypt_key("secret", PASSPHRASE, public="\udcff")
