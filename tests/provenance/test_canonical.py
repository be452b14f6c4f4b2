"""Canonical JSON: against rfc8785, an implementation of JCS that shares no code with ours."""

from __future__ import annotations

import json
import unicodedata
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedError
from provenance.canonical import MAX_DEPTH, MAX_INTEGER, MAX_SIZE, address, dumps, loads

texts = st.text().map(lambda text: unicodedata.normalize("NFC", text))
keys = st.text(st.characters(max_codepoint=127))
scalars = texts | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=30)


@given(values)
def test_same_bytes_as_the_oracle(value):
    assert dumps(value) == rfc8785.dumps(value)


@given(values)
def test_reads_back_what_it_wrote(value):
    data = dumps(value)
    again = loads(data)
    assert again == value
    assert dumps(again) == data


@given(values, st.data())
def test_every_accepted_input_is_the_one_encoding(value, data):
    written = dumps(value)
    at = data.draw(st.integers(0, len(written)))
    insert = data.draw(st.binary(max_size=2))
    cut = data.draw(st.integers(0, 2))
    damaged = written[:at] + insert + written[at + cut :]
    try:
        read = loads(damaged)
    except MalformedError:
        return
    assert rfc8785.dumps(read) == damaged


@given(st.binary(max_size=40))
def test_arbitrary_bytes_raise_nothing_else(data):
    with suppress(MalformedError):
        assert dumps(loads(data)) == data


@given(values)
def test_pretty_json_is_refused(value):
    pretty = json.dumps(value, indent=1).encode()
    if pretty != dumps(value):
        with pytest.raises(MalformedError):
            loads(pretty)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b'{"a":null}',
        b"1.0",
        b"1e3",
        b"-0",
        b"01",
        b"+1",
        b"1_0",
        b"NaN",
        b"Infinity",
        b" 1",
        b"1\n",
        b"1 2",
        b'{"a":1,"a":1}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\x00',
        b'"\\u0061"',
        b'"\\/"',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'\xef\xbb\xbf"a"',
        '"e\u0301"'.encode(),
        '{"\u00e9":1}'.encode(),
        b"9007199254740992",
        b"-9007199254740992",
        b"123456789012345678901234567890",
        b"[" * 100_000,
        b"[" * 33 + b"]" * 33,
        b"'a'",
        b"[1,]",
        b"// x\n1",
        b'"\\u001F"',
    ],
    ids=lambda data: data[:20].decode("latin-1").encode("unicode_escape").decode(),
)
def test_what_is_not_canonical_is_refused(data):
    with pytest.raises(MalformedError):
        loads(data)


class Text(str):
    __slots__ = ()


class Number(int):
    __slots__ = ()


@pytest.mark.parametrize(
    "value, place",
    [
        (None, "$: NoneType"),
        ({"a": [1, {"b": None}]}, "$.a[1].b: NoneType"),
        ({"a": 0.5}, "$.a: float"),
        ({"a": {"b": [[2**53]]}}, "$.a.b[0][0]: integer"),
        ([-(2**53)], "$[0]: integer"),
        ({"a": ("x",)}, "$.a: tuple"),
        ({"a": b"x"}, "$.a: bytes"),
        ({1: "x"}, "$: key 1"),
        ({"\u00e9": "x"}, "$: key '\u00e9'"),
        ({"a": "e\u0301"}, "$.a: text"),
        (["\ud800"], "$[0]: lone surrogate"),
        ({"a": Text("x")}, "$.a: Text"),
        ([Number(1)], "$[0]: Number"),
        (OrderedDict(a=1), "$: OrderedDict"),
        ({Text("a"): 1}, "$: key 'a'"),
    ],
)
def test_refusals_name_the_place(value, place):
    with pytest.raises(MalformedError) as caught:
        dumps(value)
    assert str(caught.value).startswith(place)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_is_bounded():
    assert loads(dumps(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    with pytest.raises(MalformedError, match="deeper than 32"):
        dumps(nested(MAX_DEPTH + 1))
    deep = {"a": {}}
    for _ in range(2_000):
        deep = {"a": deep}
    with pytest.raises(MalformedError, match="deeper than 32"):
        dumps(deep)


def test_size_is_bounded():
    largest = "x" * (MAX_SIZE - 2)
    data = dumps(largest)
    assert len(data) == MAX_SIZE
    assert loads(data) == largest
    with pytest.raises(MalformedError, match="want at most 1048576"):
        dumps(largest + "x")
    with pytest.raises(MalformedError, match="want at most 1048576"):
        loads(b'"' + b"x" * (MAX_SIZE - 1) + b'"')


def test_refusal_names_the_first_byte():
    with pytest.raises(MalformedError, match="from byte 2"):
        loads(b'{"b":1,"a":2}')
    with pytest.raises(MalformedError, match="at byte 3"):
        loads(b"[1,")


def test_address_is_sha256():
    assert address(b"") == sha256(b"").digest()
