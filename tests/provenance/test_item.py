"""Vault items: small, salted, canonical, and silent about what they hold."""

from __future__ import annotations

import unicodedata
from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedError
from provenance.item import MAX_TEXT, Item

texts = st.text().map(lambda text: unicodedata.normalize("NFC", text))


@given(texts | st.dictionaries(st.sampled_from(["a", "b"]), texts), st.binary(min_size=32, max_size=32))
def test_round_trip(value, salt):
    item = Item("title", value, salt)
    data = bytes(item)
    assert data == rfc8785.dumps({"kind": "title", "salt": salt.hex(), "value": value})
    assert item.address == sha256(data).digest()
    assert Item.parse(data) == item
    assert bytes(Item.parse(data)) == data


def test_salts_are_fresh_so_that_equal_values_have_different_addresses():
    items = [Item.new("name", "Ada") for _ in range(50)]
    assert len({item.address for item in items}) == 50
    assert all(len(item.salt) == 32 for item in items)


def test_new_brings_text_into_one_form():
    assert Item.new("name", "Zoe\u0308").value == "Zo\u00eb"


def test_neither_repr_nor_error_shows_what_is_inside():
    item = Item.new("name", "Ada Lovelace")
    assert "Ada" not in repr(item)
    assert item.salt.hex() not in repr(item)
    with pytest.raises(MalformedError) as caught:
        Item("name", "Ada Lovelace" * MAX_TEXT, bytes(32))
    assert "Ada" not in str(caught.value)


def test_text_is_bounded_in_characters():
    longest = "\u00e9" * MAX_TEXT
    assert Item.parse(bytes(Item.new("text", longest))).value == longest
    with pytest.raises(MalformedError, match="16385 characters, want at most 16384"):
        Item.new("text", longest + "x")


@pytest.mark.parametrize("kind", ["", "Title", "a b", "t\u00eftle", "1st", "title\n", "x" * 65, None])
def test_bad_kinds_are_refused(kind):
    with pytest.raises(MalformedError, match="kind"):
        Item.new(kind, "x")


@pytest.mark.parametrize("value", [None, 0.5, ("x",), {"a": None}, "\ud800", ["e\u0301"]])
def test_values_without_a_canonical_form_are_refused(value):
    with pytest.raises(MalformedError, match="vault item title"):
        Item.new("title", value)


SALT = "5f" * 32


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'"x"',
        b"[]",
        b'{"kind":"title","salt":"%b"}' % SALT.encode(),
        b'{"kind":"title","salt":"%b","value":"x","x":1}' % SALT.encode(),
        b'{"kind":"title","salt":"%b","value":null}' % SALT.encode(),
        b'{"kind":1,"salt":"%b","value":"x"}' % SALT.encode(),
        b'{"kind":"title","salt":"%b","value":"x"}' % SALT.upper().encode(),
        b'{"kind":"title","salt":"%b","value":"x"}' % SALT[:-1].encode(),
        b'{"kind":"title","salt":"%b ","value":"x"}' % SALT.encode(),
        b'{"kind":"title","salt":7,"value":"x"}',
        b'{"salt":"%b","kind":"title","value":"x"}' % SALT.encode(),
        b'{"kind":"title","salt":"%b","value":"x"}\n' % SALT.encode(),
    ],
)
def test_what_is_no_item_is_refused(data):
    with pytest.raises(MalformedError):
        Item.parse(data)


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(33)])
def test_salts_have_32_bytes(salt):
    with pytest.raises(MalformedError, match="want 32"):
        Item("title", "x", salt)
