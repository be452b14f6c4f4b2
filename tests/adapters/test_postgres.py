"""A log's storage, queue, vault and index in PostgreSQL, on a real server that is killed now and then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from adapters.sql.doctor import unsafe_settings
from adapters.sql.queue import SqlQueue
from adapters.sql.store import SqlStore
from adapters.sql.vault import SqlVault
from ledger import Conflict, Log, NotFound, Row, SigningKey, Unavailable
from provenance.errors import MissingExtra
from provenance.index import Facts, Index, metadata
from provenance.queue import Name, Staged
from tests.indexes import differences

SCHEMA = 'the "market\'s" own, 100%'


@pytest.fixture
def url(postgres):
    return postgres.database()


@pytest.fixture(params=[None, SCHEMA], ids=["public", "schema"])
def store(request, url):
    with closing(SqlStore(url, create=True, extra=[metadata], schema=request.param, timeout=5)) as made:
        yield made


@pytest.fixture
def queue(store):
    return SqlQueue(store)


def again(store: SqlStore, timeout: float = 5) -> SqlStore:
    """A second handle, as another host would have it."""
    return SqlStore(store.url, schema=store.schema, timeout=timeout)


def market_of(url) -> Engine:
    """An engine of somebody else, without a pool that would have to be closed."""
    return create_engine(url, poolclass=NullPool)


def staged(number: int = 0, **changes) -> Staged:
    event_id = sha256(b"%d" % number).digest()
    return Staged(0, event_id, "work.create", b'{"n":%d}' % number, (b'{"a":1}',), None, True)._replace(**changes)


def _setting(connection, name):
    return connection.exec_driver_sql(f"SHOW {name}").scalar_one()


def _python(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


# Opening


def test_a_schema_of_our_own_leaves_public_alone(url):
    with closing(SqlStore(url, create=True, extra=[metadata], schema=SCHEMA)) as store:
        Log.create(store, SigningKey.generate("market.example/log"), b"genesis").append(b"one")
        tables = "SELECT schemaname FROM pg_tables WHERE tablename LIKE 'provenance%%'"
        assert {row[0] for row in store.reading.exec_driver_sql(tables)} == {SCHEMA}
        assert store.reading.exec_driver_sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").scalar() == 0
        with (
            closing(SqlStore(url)) as other,
            pytest.raises(NotFound, match="no log was made in this database"),
        ):
            other.load("market.example/log")


def test_two_schemas_are_two_databases(url):
    stores = [SqlStore(url, create=True, schema=name, timeout=0.2) for name in ("one", "two")]
    with stores[0].transaction() as tx, stores[0].leading():
        tx.put("x", b"1")
        with stores[1].leading():
            stores[1].put("x", b"2")
    assert [store.get("x") for store in stores] == [b"1", b"2"]
    for store in stores:
        store.close()


def test_a_name_that_the_search_path_finds(url):
    with market_of(url).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA elsewhere")
        connection.exec_driver_sql(f'ALTER DATABASE "{make_url(url).database}" SET search_path = elsewhere')
    with closing(SqlStore(url, create=True)) as store:
        assert store.schema == "elsewhere"
        store.put("x", b"1")
        assert store.get("x") == b"1"


def test_opening_creates_nothing(url):
    with closing(SqlStore(url)) as store:
        for use in (lambda: store.get("x"), lambda: store.load("o"), store.origins, lambda: store.put("x", b"")):
            with pytest.raises(NotFound, match="no log was made in this database"):
                use()
        with pytest.raises(NotFound, match="no log was made in this database"), store.leading():
            pass


def test_made_by_many_at_once(url):
    """Two hosts whose first start is the same moment."""
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: SqlStore(url, create=True, extra=[metadata], schema="new"), range(4)))
    made[0].put("x", b"1")
    assert [store.get("x") for store in made] == [b"1"] * 4
    for store in made:
        store.close()


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_the_markets_own_driver_is_replaced_by_ours(url, driver):
    theirs = make_url(url).set(drivername=driver).update_query_dict({"prepared_statement_cache_size": "9"})
    if driver == "postgresql+asyncpg":
        theirs = theirs.update_query_dict({"ssl": "prefer"})
    with closing(SqlStore(theirs, create=True)) as store:
        assert store.url.drivername == "postgresql+psycopg"
        store.put("x", b"1")
        assert store.get("x") == b"1"


def test_every_commit_is_durable_also_where_the_default_is_not(url):
    name = make_url(url).database
    with market_of(url).begin() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    with closing(SqlStore(url, create=True)) as store:
        store.put("x", b"1")
        with store.transaction() as tx:
            assert _setting(tx.connection, "synchronous_commit") == "on"
    with market_of(url).connect() as market:
        assert unsafe_settings(market) == {"synchronous_commit": "off"}


def test_settings_of_a_durable_server(store):
    assert unsafe_settings(store.reading) == {}


def test_what_does_not_compress_is_stored_as_it_is(store):
    kinds = "SELECT attstorage FROM pg_attribute WHERE attname = 'data' AND attrelid = %(table)s::regclass"
    schema = store.engine.dialect.identifier_preparer.quote_schema(store.schema).replace("%%", "%")
    found = store.reading.exec_driver_sql(kinds, {"table": f"{schema}.provenance_objects"}).scalar()
    assert found in {"e", b"e"}  # EXTERNAL


def test_no_server_and_no_database(postgres):
    with pytest.raises(Unavailable, match="is the server running, and is this its address") as caught:
        SqlStore("postgresql://ada:secret@127.0.0.1:1/market")
    error: BaseException | None = caught.value
    while error is not None:
        assert "secret" not in str(error)
        error = error.__cause__
    with pytest.raises(NotFound, match='database "nowhere" does not exist; make it with createdb'):
        SqlStore(postgres.url("nowhere"))


def test_without_the_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match="provenance-ledger\\[postgres\\]"):
        SqlStore("postgresql://127.0.0.1/market")


def test_the_driver_loads_with_the_first_url(tmp_path):
    program = (
        "import sys; from adapters.sql.store import SqlStore; SqlStore(sys.argv[1], create=True).put('x', b'');"
        "print([name for name in sys.modules if name.split('.')[0] in {'psycopg', 'asyncpg'}])"
    )
    said, _ = _python(program, f"sqlite:///{tmp_path / 'log.db'}").communicate()
    assert said == "[]\n"


def test_a_role_without_rights(url):
    with closing(SqlStore(url, create=True)) as store:
        store.put("x", b"1")
    name = f"reader_{make_url(url).database}"
    with market_of(url).begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    with closing(SqlStore(make_url(url).set(username=name))) as store:
        assert store.get("x") == b"1"
        with pytest.raises(Unavailable, match="permission denied for table provenance_objects; grant this role"):
            store.put("y", b"2")
        assert store.get("x") == b"1"


# Objects and checkpoints


def test_two_who_put_at_once(store):
    stores = [again(store) for _ in range(4)]

    def put(i):
        try:
            stores[i % 4].put(f"{i // 4}", b"%d" % i)
        except Conflict:
            return 0
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(put, range(40))) == 10
    for other in stores:
        other.close()


def test_one_swap_wins_between_handles(store):
    store.create("origin", b"old")
    stores = [again(store) for _ in range(4)]

    def swap(i):
        try:
            stores[i % 4].swap("origin", b"old", b"%d" % i)
        except Conflict:
            return None
        return b"%d" % i

    with ThreadPoolExecutor(8) as pool:
        winners = [new for new in pool.map(swap, range(32)) if new]
    assert winners == [store.load("origin")]
    for other in stores:
        other.close()


_COUNTER = """
import sys
from adapters.sql.store import SqlStore
from ledger import Conflict
store = SqlStore(sys.argv[1], schema=sys.argv[2] or None)
won = 0
while won < 30:
    old = store.load("origin")
    try:
        store.swap("origin", old, b"%d" % (int(old) + 1))
    except Conflict:
        continue
    won += 1
print(won)
"""


def test_no_swap_is_lost_between_processes(store):
    store.create("origin", b"0")
    children = [
        _python(_COUNTER, store.url.render_as_string(hide_password=False), store.schema or "") for _ in range(3)
    ]
    assert [child.communicate()[0] for child in children] == ["30\n"] * 3
    assert store.load("origin") == b"90"


def test_no_other_writer_shares_a_transaction(store):
    other = again(store, timeout=0.1)
    with store.transaction() as tx:
        tx.put("x", b"1")
        with pytest.raises(NotFound):
            other.get("x")  # reads do not wait, and see nothing of it
        with pytest.raises(Unavailable, match="lock timeout; another program holds it"):
            other.put("y", b"2")
    other.put("y", b"2")
    assert other.get("x") == b"1"
    other.close()


def test_a_stricter_default_isolation_does_not_fail_writers(url):
    name = make_url(url).database
    with market_of(url).begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with closing(SqlStore(url, timeout=5)) as probe, pytest.raises(NotFound):
        probe.load("origin")


def test_threads_beyond_any_pool(store):
    store.put("x", b"1")
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: store.get("x"), range(100))) == {b"1"}
    store.close()
    assert store.get("x") == b"1"


# A server that dies


def test_connections_that_the_server_ended_are_replaced(store):
    store.put("x", b"1")
    with store.leading():
        pass
    with market_of(store.url).connect() as admin:
        admin.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert store.get("x") == b"1"
    store.put("y", b"2")
    with store.leading():
        assert store.get("y") == b"2"


@pytest.mark.parametrize("store", [None], indirect=True)
def test_the_server_crashes_between_transactions(store, postgres):
    log = Log.create(store, SigningKey.generate("market.example/log"), b"genesis")
    for number in range(2):
        assert log.append(b"%d" % number) == number + 1
        postgres.stop(immediate=True)
        with pytest.raises(Unavailable):
            store.get("checkpoint")
        with pytest.raises(Unavailable), store.leading():
            pass
        postgres.start()
        with store.leading():
            assert [row.entry for row in store.rows(log.origin)] == [
                b"genesis",
                *(b"%d" % i for i in range(number + 1)),
            ]


@pytest.mark.parametrize("store", [None], indirect=True)
@pytest.mark.parametrize("copied", [1, 500])
def test_the_server_crashes_within_a_transaction(store, postgres, copied):
    store.create("origin", b"one")
    rows = [Row(b"entry", b"")] * copied

    def interrupted():
        with store.transaction() as tx:
            tx.put("x", b"1")
            postgres.stop(immediate=True)
            postgres.start()
            tx.extend("origin", 0, copied, rows, trim=False)

    with pytest.raises(Unavailable, match="the connection was lost"):
        interrupted()
    with pytest.raises(NotFound):
        store.get("x")
    with store.transaction() as tx:
        tx.put("x", b"1")
        tx.extend("origin", 0, copied, rows, trim=False)
    assert store.head("origin").size == copied
    assert len(store.rows("origin")) == copied


def test_the_connection_is_lost_during_a_copy(store):
    store.create("origin", b"one")

    def interrupted():
        with store.transaction() as tx:
            tx.extend("origin", 0, 1, [Row(b"", b"")], trim=False)
            pid = tx.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            store.reading.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
            SqlVault(store).put([(os.urandom(32), b"x")] * 1000, connection=tx.connection)

    with pytest.raises(Unavailable):
        interrupted()
    assert store.head("origin").size == 0
    SqlVault(store).put([(bytes(32), b"x")])
    assert SqlVault(store).get(bytes(32)) == b"x"


_FORKED = """
import os, sys
from adapters.sql.store import SqlStore
store = SqlStore(sys.argv[1], schema=sys.argv[2] or None)
store.put("before", b"1")
with store.leading():
    pid = os.fork()
    if pid == 0:
        assert store.get("before") == b"1"
        store.put("child", b"2")
        store.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    here = store.reading
    assert store.get("child") == b"2"
    store.put("after", b"3")
    assert store.reading is here
with store.leading():
    print(sorted(store.list("")))
"""


def test_a_forked_process_makes_its_own_connections(store):
    """As a web server does that loads the program first and forks its workers then."""
    child = _python(_FORKED, store.url.render_as_string(hide_password=False), store.schema or "")
    assert child.communicate()[0] == "['after', 'before', 'child']\n"


# Leading

_LEADER = """
import sys
from adapters.sql.store import SqlStore
with SqlStore(sys.argv[1], schema=sys.argv[2] or None).leading():
    print("leading", flush=True)
    sys.stdin.read()
"""


def test_one_process_leads_and_is_replaced_when_killed(store):
    child = _python(_LEADER, store.url.render_as_string(hide_password=False), store.schema or "")
    assert child.stdout.readline() == "leading\n"
    impatient = again(store)
    impatient._backend._patience = 0.1
    with pytest.raises(Unavailable, match=r"waiting to lead: .*lock timeout"), impatient.leading():
        pass
    store.put("x", b"1")  # who writes without leading is not held up
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with store.leading():
        pass
    with impatient.leading():
        assert impatient.get("x") == b"1"
    impatient.close()


def test_one_thread_leads(store):
    inside = 0

    def lead(_):
        nonlocal inside
        with store.leading():
            inside += 1
            assert inside == 1
            store.put(f"{_}", b"")
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lead, range(12)))
    with pytest.raises(LookupError), store.leading():
        raise LookupError
    with store.leading():
        assert len(list(store.list(""))) == 12


# Queue


def test_staged_seen_and_removed(store, queue):
    with queue.joining(None) as connection:
        assert queue.stage(connection, [staged(1)])
        assert queue.stage(connection, [staged(2, statement=b"signed"), staged(3, sealed=False, items=())])
        assert queue.peek(9) == []  # nothing is committed yet
    found = queue.peek(9)
    assert [event._replace(id=0) for event in found] == [
        staged(1),
        staged(2, statement=b"signed"),
        staged(3, sealed=False, items=()),
    ]
    assert (len(queue), queue.newest(), len(queue.peek(2))) == (3, found[-1].id, 2)
    wanted = [staged(1).event_id, staged(9).event_id]
    assert list(queue.waiting(queue.reading, wanted)) == wanted[:1]
    with queue.joining(None) as connection:
        queue.remove(connection, [event.event_id for event in found[:2]])
    with pytest.raises(Conflict, match="1 of 2 rows were taken"), queue.joining(None) as connection:
        queue.remove(connection, [event.event_id for event in found[1:]])
    with queue.joining(None) as connection:
        queue.forget(connection, [staged(number).event_id for number in range(1000)])
    assert (len(queue), queue.newest()) == (0, 0)


def test_a_transaction_that_commits_late_is_not_passed_over(store, queue):
    """The order of row numbers is not that of commits: one who reads on from the last number loses rows."""
    with again(store).engine.connect() as slow:
        queue.stage(slow, [staged(1)])
        with queue.joining(None) as connection:
            queue.stage(connection, [staged(2)])
        first = queue.peek(9)
        assert [event.event_id for event in first] == [staged(2).event_id]
        with queue.joining(None) as connection:
            queue.remove(connection, [event.event_id for event in first])
        slow.commit()
    (late,) = queue.peek(9)
    assert late.event_id == staged(1).event_id
    assert late.id < first[0].id


def test_one_statement_whatever_is_staged(store, queue):
    seen: list[str] = []
    with store.engine.connect() as market:
        event.listen(market, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
        queue.stage(market, [staged(1)])
        queue.stage(market, [staged(2), staged(3), staged(4)])
        queue.stage(market, [staged(5), staged(6)], name=Name("offer", "offer:1", staged(6).event_id, b"f"))
        assert len(seen) == 3
        market.commit()
    assert len(queue) == 6


def test_a_name_is_taken_once_and_the_market_goes_on(store, queue):
    name = Name("license", "order:1", staged(1).event_id, b"f")
    with queue.joining(None) as connection:
        assert queue.stage(connection, [staged(1)], name=name)
    with store.engine.connect() as market:
        market.exec_driver_sql("CREATE TEMP TABLE orders (id INTEGER)")
        assert not queue.stage(market, [staged(2)], name=name._replace(event_id=staged(2).event_id))
        with pytest.raises(Conflict, match="1 of 1 events are staged already"):
            queue.stage(market, [staged(1)], name=name._replace(ref="order:2"))
        with pytest.raises(Conflict, match="1 of 1 events are staged already"):
            queue.stage(market, [staged(1)])
        market.exec_driver_sql("INSERT INTO orders VALUES (1)")  # the transaction is still good
        assert queue.named(market, "license", "order:1") == name
        assert queue.named(market, "license", "order:2") is None
        market.commit()
    assert [event.event_id for event in queue.peek(9)] == [staged(1).event_id]
    assert queue.names(queue.reading, "order:1") == [("license", staged(1).event_id)]


@pytest.mark.parametrize("commits", [True, False])
def test_whoever_takes_the_same_name_waits_for_the_first(store, queue, commits):
    name = Name("license", "order:1", staged(1).event_id, b"f")
    with store.engine.connect() as first, ThreadPoolExecutor(1) as pool:
        assert queue.stage(first, [staged(1)], name=name)

        def second() -> bool:
            with store.engine.begin() as connection:
                return queue.stage(connection, [staged(2)], name=name._replace(event_id=staged(2).event_id))

        waiting = pool.submit(second)
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while not store.reading.exec_driver_sql(blocked).scalar():
            assert not waiting.done()
        if commits:
            first.commit()
        else:
            first.rollback()
        assert waiting.result() is not commits
    assert [event.event_id for event in queue.peek(9)] == [staged(1 if commits else 2).event_id]


def test_files(store, queue):
    with queue.joining(None) as connection:
        queue.see_file(connection, bytes(32), "/a")
        queue.see_file(connection, bytes(32), "/ü")
    assert queue.file_of(queue.reading, bytes(32)) == "/ü"
    assert queue.file_of(queue.reading, bytes(31)) is None


# Vault and index


def test_vault(store):
    vault = SqlVault(store)
    items = {os.urandom(32): b"%d" % number for number in range(2500)}
    vault.put(items.items())
    vault.put([(address, items[address]) for address in list(items)[:3]])
    assert dict(vault.items()) == items
    erased = list(items)[:700]
    vault.erase([*erased, bytes(32)])
    with pytest.raises(NotFound):
        vault.get(erased[0])
    left = {address: items[address] for address in items if address not in erased}
    assert dict(SqlVault(again(store)).items()) == left


def test_index_answers_as_in_sqlite(store):
    works = [sha256(b"work %d" % number).digest() for number in range(1200)]
    facts = [
        Facts(
            works[number],
            "work.derive" if number else "work.create",
            works[0],
            bool(number % 2),
            "observed",
            "2026-01-01T00:00:00Z",
            (("parent", works[number - 1], "", "edited", None), ("parent", b"", f"isrc:{number}", "", None))
            if number % 40 or number > 600
            else (),
            ((sha256(b"content %d" % number).digest(), "content"),),
            "2026-01-01T00:00:00Z" if number == 7 else "",
        )
        for number in range(1200)
    ]
    reference = Index.in_memory()
    reference.write(0, facts)
    with store.transaction() as tx:
        Index(tx.connection).write(0, facts[:3])
        Index(tx.connection).write(3, facts[3:])
    # A connection that is not ours says nothing about the schema.
    with market_of(store.url).connect() as foreign:
        index = Index(foreign, schema=store.schema)
        assert differences(index, reference) == []
        assert index.size == reference.size == 1200
        assert index.counts() == reference.counts()
        assert index.known([*works, bytes(32)]) == reference.known(works)
        assert index.ancestors([works[900]]) == reference.ancestors([works[900]])
        assert len(index.ancestors(works[:600])) == 600
        assert index.find(works[5]) == reference.find(works[5])
        assert index.links_from(9) == reference.links_from(9)
        assert index.links_to(works[4], "parent", "x") == reference.links_to(works[4], "parent", "x")
        content = facts[8].digests[0][0]
        assert index.by_digest(content) == reference.by_digest(content)
        assert index.digest_of(8) == content
        assert (index.time_of(6), index.time_of(8), index.last_time()) == ("", facts[7].time, facts[7].time)
        assert [entry.idx for entry in index.of_type("work.create")] == [0]
    with store.transaction() as tx:
        Index(tx.connection).clear()
    assert Index(store.reading).size == 0
    assert Index(store.reading).last_time() == ""


def test_index_makes_its_own_tables(url):
    with market_of(url).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
        for _ in range(2):
            Index(connection, schema="other").create()
        assert Index(connection, schema="other").size == 0
