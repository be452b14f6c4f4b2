"""What a log's storage in a database does, whichever database it is."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from adapters.sql.store import SqlStore
from ledger import Conflict, NotFound, Row, StorageError
from ledger.storage import Checkpoints, Database, Head, ListsObjects, Objects

from .test_postgres import SCHEMA


@pytest.fixture(params=["sqlite", "postgresql", "postgresql, schema"])
def store(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'log.db'}"
    else:
        url = request.getfixturevalue("postgres").database()
    schema = SCHEMA if request.param.endswith("schema") else None
    with closing(SqlStore(url, create=True, schema=schema, timeout=5)) as made:
        yield made


def again(store: SqlStore) -> closing[SqlStore]:
    """A second handle, as another process would have it."""
    return closing(SqlStore(store.url, schema=store.schema, timeout=5))


def test_it_plays_both_roles(store):
    for role in (Objects, Checkpoints, Database, ListsObjects):
        assert isinstance(store, role)


def test_objects(store):
    with pytest.raises(NotFound) as caught:
        store.get("tile/0/000")
    assert caught.value.path == "tile/0/000"
    store.put("tile/0/000", b"one" * 100_000)
    store.put("tile/0/000", b"one" * 100_000)
    with pytest.raises(Conflict):
        store.put("tile/0/000", b"two")
    store.replace("checkpoint", b"one")
    store.replace("checkpoint", b"")
    assert (store.get("tile/0/000"), store.get("checkpoint")) == (b"one" * 100_000, b"")
    assert sorted(store.list("")) == ["checkpoint", "tile/0/000"]
    with again(store) as other:
        assert other.get("checkpoint") == b""


def test_paths_are_taken_literally(store):
    paths = ["a", "a%/1", "a_", "a_/1", "a_/2", "ab/1", "A_/1", "a_0"]
    for path in paths:
        store.put(path, b"x")
    assert sorted(store.list("a_/")) == ["a_/1", "a_/2"]
    store.discard("a_/", "a%/1", "never there")
    assert sorted(store.list("")) == sorted(["a", "a_", "ab/1", "A_/1", "a_0"])


def test_checkpoints_are_compared_and_swapped(store):
    with pytest.raises(NotFound):
        store.load("origin")
    store.create("origin", b"one")
    for name in ("origin", "another"):
        with pytest.raises(Conflict, match="holds the log origin already"):
            store.create(name, b"one")
    with pytest.raises(Conflict):
        store.swap("origin", b"other", b"two")
    with pytest.raises(Conflict):
        store.swap("another", b"one", b"two")
    store.swap("origin", b"one", b"two")
    assert store.load("origin") == b"two"
    with again(store) as other:
        assert other.head("origin") == Head(0, b"two")
    assert store.origins() == ["origin"]


def test_rows_wait_for_their_bundle(store):
    store.create("origin", b"one")
    with store.transaction() as tx:
        tx.extend("origin", 0, 2, [Row(b"a", b"open"), Row(b"", b"")], trim=False)
    with store.transaction() as tx:
        tx.extend("origin", 2, 3, [Row(b"c", b"")], trim=False)
    assert store.rows("origin") == [Row(b"a", b"open"), Row(b"", b""), Row(b"c", b"")]
    with pytest.raises(Conflict, match="another writer sequenced entries first"), store.transaction() as tx:
        tx.extend("origin", 2, 3, [Row(b"d", b"")], trim=False)
    many = [Row(b"%d" % i, os.urandom(i)) for i in range(200)]
    with store.transaction() as tx:
        tx.extend("origin", 3, 456, many, trim=True)
    with again(store) as other:
        assert other.head("origin").size == 456
        assert other.rows("origin") == many


def test_a_transaction_is_one_or_nothing(store):
    store.create("origin", b"one")

    def fail():
        with store.transaction() as tx:
            tx.put("x", b"1")
            tx.swap("origin", b"one", b"two")
            tx.extend("origin", 0, 100, [Row(b"entry", b"")] * 100, trim=False)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with pytest.raises(NotFound):
        store.get("x")
    assert store.head("origin") == Head(0, b"one")
    assert store.rows("origin") == []


def test_a_write_inside_a_transaction_is_refused(store):
    """It would wait for itself for ever."""
    with pytest.raises(StorageError, match="inside a transaction already"), store.transaction():
        store.put("y", b"2")
    store.put("y", b"3")
    assert store.get("y") == b"3"
