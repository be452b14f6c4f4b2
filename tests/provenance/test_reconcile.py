"""Rows without events and events without rows are found, all of them, in memory that does not grow."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from sqlalchemy import text

from adapters.sql.store import SqlStore
from adapters.sql.tables import refs
from ledger.errors import MalformedError
from provenance.index.bulk import insert_many
from provenance.reconcile import Counts, Named, reconcile
from tests.provenance.conftest import Market


@pytest.fixture
def shop(market: Market) -> Market:
    """Sixty users whose rows and events agree: fifty in the log, ten that wait. Two parties of the fixture besides."""
    with market.engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (id INTEGER PRIMARY KEY)"))
        for number in range(1, 53):
            connection.execute(text("INSERT INTO users VALUES (:id)"), {"id": number})
            if number > 2:
                market.ledger.register_party("person", ref=f"user:{number}", session=connection)
    market.ledger.publish()
    with market.engine.begin() as connection:
        for number in range(53, 63):
            connection.execute(text("INSERT INTO users VALUES (:id)"), {"id": number})
            market.ledger.register_party("person", ref=f"user:{number}", session=connection)
    return market


def rows(market: Market):
    with market.engine.connect() as connection:
        for (ref,) in connection.execute(text("SELECT 'user:' || id FROM users")):
            yield ref


def test_both_sides_agree_and_what_waits_counts(shop):
    with reconcile(shop.ledger, rows(shop)) as found:
        assert found.counts == Counts(62, 62, 62, 10, 0, 0)
        assert found.counts.equal
        assert (list(found.rows_without_event()), list(found.events_without_row())) == ([], [])


def test_every_row_and_every_event_that_is_alone_is_named(shop):
    with shop.engine.begin() as connection:  # past the market's own code
        connection.execute(text("INSERT INTO users SELECT id + 1000 FROM users"))
        connection.execute(text("DELETE FROM users WHERE id IN (1, 7, 60)"))
    with reconcile(shop.ledger, rows(shop)) as found:
        assert list(found.rows_without_event()) == sorted(f"user:{number + 1000}" for number in range(1, 63))
        names = list(found.events_without_row())
        assert [(name.verb, name.ref, name.waits) for name in names] == [
            ("register_party", "user:1", False),
            ("register_party", "user:60", True),
            ("register_party", "user:7", False),
        ]
        assert names[0] == Named("register_party", "user:1", shop.ada.id, waits=False)
        assert (found.counts.rows_without_event, found.counts.events_without_row, found.counts.equal) == (62, 3, False)


def test_a_verb_looks_at_its_own_events_alone(shop):
    shop.work(ref="work:1", terms="CC0-1.0")
    with reconcile(shop.ledger, rows(shop), verb="register_party") as found:
        assert found.counts.equal
    with reconcile(shop.ledger, ["work:1"], verb="create") as found:
        assert found.counts == Counts(1, 1, 1, 0, 0, 0)
    with reconcile(shop.ledger, rows(shop)) as found:
        assert [name.ref for name in found.events_without_row()] == ["work:1"]


def test_a_ref_that_two_verbs_use_and_two_rows_name(shop):
    shop.work(ref="user:1")
    with reconcile(shop.ledger, [*rows(shop), "user:1"]) as found:
        assert found.counts == Counts(63, 62, 63, 0, 0, 0)


def test_a_name_whose_event_is_nowhere_is_no_event(shop):
    """As a damaged or half restored database leaves it."""
    with shop.engine.begin() as connection:
        connection.execute(text("DELETE FROM provenance_queue WHERE id = (SELECT max(id) FROM provenance_queue)"))
    with reconcile(shop.ledger, rows(shop)) as found:
        assert list(found.rows_without_event()) == ["user:62"]


def test_refs_are_text(shop):
    before = set(Path("/tmp").glob("provenance-reconcile-*"))
    with pytest.raises(MalformedError, match="row 1: the ref is of type int, want text such as"):
        reconcile(shop.ledger, ["user:1", 2])
    with pytest.raises(MalformedError, match="NoneType"):
        reconcile(shop.ledger, [None])
    assert set(Path("/tmp").glob("provenance-reconcile-*")) <= before


def test_nothing_is_written_to_the_ledger(shop):
    before = dict(shop.ledger.index.counts()), shop.ledger.waiting, (shop.public / "checkpoint").read_bytes()
    with reconcile(shop.ledger, rows(shop)):
        pass
    assert before == (shop.ledger.index.counts(), shop.ledger.waiting, (shop.public / "checkpoint").read_bytes())


def test_memory_does_not_grow_with_the_rows(shop):
    """Ten thousand names, all of the same event: what they are is not the question."""
    store = SqlStore(shop.url)
    event = bytes.fromhex(shop.ada.id)
    with store.transaction() as tx:
        insert_many(tx.connection, refs, [("import", f"row:{n:06}", event, b"") for n in range(10_000)])

    def peak(count: int) -> int:
        tracemalloc.start()
        with reconcile(shop.ledger, (f"row:{n:06}" for n in range(count)), verb="import") as found:
            assert found.counts.rows == count
            assert found.counts.events_without_row == 10_000 - count
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    # As text and keys in a set, 9,900 more would be more than a megabyte.
    assert abs(peak(10_000) - peak(100)) < 300_000
    store.close()


def test_the_same_on_postgresql(postgres, tmp_path):
    from adapters import create

    keys = {name: f"file:{tmp_path / name}" for name in ("log", "market", "claim")}
    ledger = create(postgres.database(), origin="pg.example/log", keys=keys, schema="ours")
    tickets = [ledger.register_party("person", ref=f"user:{name}") for name in ("ä", "B", "a", "_")]
    with reconcile(ledger, ["user:ä", "user:a", "user:x"]) as found:
        assert list(found.rows_without_event()) == ["user:x"]
        assert {name.event for name in found.events_without_row()} == {tickets[1].id, tickets[3].id}
    ledger._queue._store.close()


def test_the_environment_decides_where_the_temporary_file_lies(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with reconcile(shop.ledger, rows(shop)):
        (folder,) = tmp_path.glob("provenance-reconcile-*")
        assert [path.name for path in folder.iterdir()] == ["both.db"]
    assert not folder.exists()


def test_an_erased_name_is_told_from_one_that_never_was_by_the_event_that_the_row_keeps(shop):
    desk = shop.ledger
    kept = {ref: desk.find(ref).id for ref in rows(shop)}
    title = shop.work(ref="work:1", title="a title")
    desk.erase(subject=kept["user:3"])  # its ref, of a registration that stays
    desk.erase(title)  # a whole event
    refs = [*kept, "work:1"]
    with reconcile(desk, refs) as found:
        assert list(found.rows_without_event()) == ["user:3", "work:1"]  # nothing tells
        assert list(found.rows_erased()) == []
    pairs = [
        *kept.items(),
        ("work:1", title.id),
        ("user:99", None),
        ("user:98", "ab" * 32),
        ("user:97", kept["user:4"]),
    ]
    with reconcile(desk, pairs) as found:
        assert list(found.rows_without_event()) == ["user:97", "user:98", "user:99"]
        assert list(found.rows_erased()) == ["user:3", "work:1"]
        assert (found.counts.rows_without_event, found.counts.rows_erased, found.counts.equal) == (3, 2, False)
    with reconcile(desk, pairs[:-3]) as found:
        assert found.counts.equal
    with pytest.raises(MalformedError, match="row 0: the event id beside the ref is 'user:3', want 64 hex digits"):
        reconcile(desk, [("user:3", "user:3")])
