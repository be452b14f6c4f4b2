"""From every earlier schema, with data in it, to the tables of this release; and living beside the market's Alembic."""

from __future__ import annotations

import io
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, event, inspect, text
from sqlalchemy.engine import Engine
from typer.testing import CliRunner

from adapters import connect, create, open_log
from adapters.alembic import LINES, include_name, look_at_autogenerate
from adapters.cli.app import app
from adapters.recover import rebuild_index
from adapters.sql import tables
from adapters.sql import upgrade as module
from adapters.sql.store import SqlStore
from adapters.sql.upgrade import downgrade, plan, upgrade
from adapters.sql.version import FIRST, HEAD, VERSION_TABLE, check_version, read_version, stamp
from ledger import NotFound, StorageError, Unavailable
from provenance import ProvenanceLedger, audit
from provenance.index import metadata as index
from tests.adapters.first_release import COLUMNS, TABLES, build, contents
from tests.indexes import differences
from tests.provenance.conftest import ORIGIN, Market, market  # noqa: F401 - a fixture

SCRIPTS = Path(module.__file__).parent / "migrations"
OURS = {*tables.metadata.tables, *index.tables}


@pytest.fixture
def sold(market: Market) -> Market:  # noqa: F811
    """Works, offers, a sealed license, refs, a vault, more than one bundle, and one event that still waits."""
    desk = market.ledger
    for number in range(3):
        work = market.work(b"%d" % number, terms="CC0-1.0", title="a title", ref=f"work:{number}")
    desk.license(work, to=market.bo, offer=desk.offer(work, terms="CC-BY-4.0"), ref="order:1")
    desk.record_many(
        [desk.draft("terms.publish", body={"license": f"LicenseRef-{n}", "machine": {}}) for n in range(260)]
    )
    with market.engine.begin() as connection:
        desk.register_party("org", name="Waits", ref="user:3", session=connection)
    return market


@pytest.fixture
def old(sold: Market) -> str:
    """The URL of the same ledger in a database that release 0.1.0 made."""
    build(sold.root / "market.db", sold.root / "old.db")
    return f"sqlite:///{sold.root / 'old.db'}"


@contextmanager
def opened(url: str, schema: str | None = None) -> Iterator[SqlStore]:
    store = SqlStore(url, schema=schema)
    yield store
    store.close()


def holds(ledger: ProvenanceLedger, sold: Market) -> None:
    """Everything is there, proves and goes on."""
    assert ledger.waiting == 1
    assert ledger.find("order:1").type == "grant.issue"
    before = ledger.log.checkpoint
    ledger.publish()
    ledger.create(sold.file(b"after the upgrade"), creators=[sold.ada])
    report = audit(open_log(sold.public, ledger.log.policy), disclosed=ledger.disclosures(), since=before)
    assert (report.record, report.findings) == ("intact", ())
    assert differences(report.history.index, ledger.index) == []
    receipt = ledger.receipt(ledger.find("work:1"))
    receipt.proof.verify(receipt.entry, ledger.log.policy)


# SQLite, from release 0.1.0


def test_a_database_of_the_first_release_keeps_everything(old: str, sold: Market) -> None:
    with opened(old) as store:
        before = contents(store.engine)
        assert all(before.values())
        assert read_version(store.reading) == FIRST
        with pytest.raises(StorageError, match=f"revision {FIRST}, this release wants {HEAD}; run `provenance db upgr"):
            check_version(store.reading)
    with pytest.raises(StorageError, match="provenance db upgrade"):
        connect(old, publish=sold.public)
    with opened(old) as store:
        assert upgrade(store) == [number for number in revisions() if number > FIRST]
        assert contents(store.engine) == before
        check_version(store.reading)
        assert upgrade(store) == []
        assert contents(store.engine) == before
    holds(connect(old, publish=sold.public, clock=sold.clock), sold)


def test_an_upgrade_that_is_interrupted_anywhere_goes_on(old: str, sold: Market) -> None:
    """At every statement in turn; what was begun is undone whole."""
    with opened(old) as store:
        before = contents(store.engine)
        stops = 0
        while True:
            count = 0

            def interrupt(*_: object, at: int = stops) -> None:
                nonlocal count
                count += 1
                if count > at:
                    raise KeyboardInterrupt

            event.listen(store.engine, "before_cursor_execute", interrupt)
            try:
                upgrade(store)
                break
            except KeyboardInterrupt:
                stops += 1
            finally:
                event.remove(store.engine, "before_cursor_execute", interrupt)
            assert contents(store.engine) == before
            assert (read_version(store.reading) >= "0002") == ("provenance_state" in names(store))
            assert (read_version(store.reading) >= "0003") == ("provenance_once" in names(store))
        assert stops > 5
        check_version(store.reading)
    holds(connect(old, publish=sold.public, clock=sold.clock), sold)


_KILLED = """
import os, signal, sys
from sqlalchemy import event
from adapters.sql.store import SqlStore
from adapters.sql.upgrade import upgrade

store = SqlStore(sys.argv[1])

@event.listens_for(store.engine, "after_cursor_execute")
def die(connection, cursor, statement, *_):
    if "provenance_state" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

upgrade(store)
"""


def test_an_upgrade_that_is_killed_leaves_what_was_there(old: str, sold: Market) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, old], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with opened(old) as store:
        assert read_version(store.reading) == FIRST
        assert "provenance_state" not in names(store)
        assert upgrade(store)
    holds(connect(old, publish=sold.public, clock=sold.clock), sold)


def test_two_who_upgrade_at_once(old: str, monkeypatch) -> None:
    """The second finds it done, under the lock."""
    looked = module._ahead

    def slow(*args: object) -> object:
        found = looked(*args)  # type: ignore[arg-type]
        monkeypatch.setattr(module, "_ahead", looked)
        with opened(old) as other, other.transaction() as tx:
            command.upgrade(module._config(tx.connection), "head")
        return found

    with opened(old) as store:
        monkeypatch.setattr(module, "_ahead", slow)
        assert upgrade(store) == []
        check_version(store.reading)


def test_back_to_an_older_release_and_forth(old: str, sold: Market) -> None:
    with opened(old) as store:
        before = contents(store.engine)
        upgrade(store)
        assert downgrade(store, FIRST) == [number for number in reversed(revisions()) if number > FIRST]
        assert read_version(store.reading) == FIRST
        assert contents(store.engine) == before
        assert names(store) - {VERSION_TABLE} == {*TABLES}
        assert downgrade(store, FIRST) == []
        with pytest.raises(StorageError, match="revision 0000: unknown, want one of 0001"):
            downgrade(store, "0000")
        upgrade(store)
    holds(connect(old, publish=sold.public, clock=sold.clock), sold)


def test_what_cannot_be_undone_says_so(old: str, monkeypatch) -> None:
    with opened(old) as store:
        upgrade(store)
        monkeypatch.setattr(module, "_reversible", lambda _: False)
        with pytest.raises(StorageError, match=f"revision {HEAD}: cannot be undone; restore the backup"):
            downgrade(store, FIRST)
        check_version(store.reading)


def test_a_database_of_a_newer_release_is_refused(sold: Market) -> None:
    with opened(sold.url) as store:
        with store.transaction() as tx:
            stamp(tx.connection, "9999")
        for use in (upgrade, plan, lambda store: downgrade(store, FIRST), lambda store: check_version(store.reading)):
            with pytest.raises(StorageError, match=f"9999 was made by a newer release, this one knows {HEAD}"):
                use(store)
    with pytest.raises(StorageError, match="newer release"):
        connect(sold.url)
    with pytest.raises(StorageError, match="newer release"):
        SqlStore(sold.url, create=True)


def test_an_index_in_a_database_of_its_own_is_looked_at_too(sold: Market) -> None:
    other = f"sqlite:///{sold.root / 'index.db'}"
    rebuild_index(sold.url, into=other)
    with opened(other) as store:
        downgrade(store, FIRST)
        with pytest.raises(StorageError, match="provenance db upgrade"):
            connect(sold.url, index=other)
        upgrade(store)
    ledger = connect(sold.url, index=other)
    assert ledger.index.size == ledger.log.size


def test_a_database_without_a_log(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    with opened(str(engine.url)) as store:
        for use in (upgrade, plan, lambda store: check_version(store.reading)):
            with pytest.raises(NotFound, match="provenance init"):
                use(store)
        assert names(store) == {"orders"}


def test_making_tables_never_mixes_releases(old: str) -> None:
    with pytest.raises(StorageError, match="provenance db upgrade"):
        SqlStore(old, create=True)
    with opened(old) as store:
        assert names(store) == {*TABLES}


def names(store: SqlStore) -> set[str]:
    with store.engine.connect() as connection:
        return set(inspect(connection).get_table_names(schema=store.schema))


def revisions() -> list[str]:
    return sorted(script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions())


def test_holds_of_an_earlier_revision_are_found(sold: Market) -> None:
    """The index did not have what they name; one without any hold stays as it is."""
    desk = sold.ledger
    with opened(sold.url) as store:
        downgrade(store, "0003")
        upgrade(store)
        with store.engine.connect() as connection:
            indexed = connection.execute(text("SELECT count(*) FROM provenance_index_entries")).scalar_one()
        assert indexed == desk.log.size
    address = bytes.fromhex(json.loads(desk.event(sold.ada))["commits"]["name"])
    hold = desk.hold(address, ground="dispute")
    with opened(sold.url) as store:
        downgrade(store, "0003")
        with store.engine.connect() as connection:
            held = "SELECT count(*) FROM provenance_index_digests WHERE kind = 'held'"
            assert connection.execute(text(held)).scalar_one() == 0
        upgrade(store)
    ledger = connect(sold.url, publish=sold.public, clock=sold.clock)
    [kept] = ledger.erase(address).kept
    assert (kept.address, kept.because) == (address.hex(), hold.id)


# What a ledger is created with is what the scripts make


def test_this_release_is_the_newest_script() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_heads() == [HEAD]
    assert revisions()[0] == FIRST


POSTGRES = ["postgresql", "postgresql in a schema"]


@pytest.fixture(params=["sqlite", *POSTGRES])
def place(request, tmp_path: Path) -> tuple[str, str | None]:
    """URL of an empty database, and the schema for our tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'made.db'}", None
    url = request.getfixturevalue("postgres").database()
    return url, "ours" if "schema" in request.param else None


def migrate(url: str, schema: str | None, to: str = "head") -> Engine:
    """An empty database, brought to a revision by the scripts alone."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if schema is not None:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        ours = connection.execution_options(schema_translate_map={None: schema}) if schema else connection
        command.upgrade(module._config(ours), to)
    return engine


def test_scripts_and_create_make_the_same_tables(place: tuple[str, str | None]) -> None:
    url, schema = place
    engine = migrate(url, schema)
    wanted = MetaData()
    for metadata in (tables.metadata, index):
        for table in metadata.sorted_tables:
            table.to_metadata(wanted, schema=schema)
    with engine.connect() as connection:
        options = {
            "version_table": VERSION_TABLE,
            "version_table_schema": schema,
            "include_schemas": schema is not None,
            "include_name": lambda name, kind, _: kind != "schema" or name == schema,
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), wanted) == []
    # What autogenerate does not compare
    migrated = details(engine, schema)
    with engine.begin() as connection:
        for name in [*OURS, VERSION_TABLE]:
            connection.execute(text(f"DROP TABLE {schema + '.' if schema else ''}{name}"))
    engine.dispose()
    store = SqlStore(url, create=True, extra=[index], schema=schema)
    check_version(store.reading)
    assert details(store.engine, schema) == migrated
    store.close()


def details(engine: Engine, schema: str | None) -> object:
    """Names of constraints and keys, identities, storage: all that a later script might name."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            query = "SELECT name, tbl_name, type FROM sqlite_master ORDER BY name"
            return [tuple(row) for row in connection.execute(text(query))]
        query = """
            SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                   a.attstorage, a.attcollation::regcollation::text, coalesce(c.relacl::text, '')
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
            WHERE c.relnamespace = CAST(:schema AS regnamespace) AND a.attnum > 0 ORDER BY 1, a.attnum
        """
        rows = connection.execute(text(query), {"schema": schema or "public"})
        return [tuple(row) for row in rows]


# PostgreSQL: DDL is transactional there too


@pytest.fixture
def moved(place: tuple[str, str | None], sold: Market) -> tuple[str, str | None]:
    """The rows of release 0.1.0 in the tables of its revision, on each database."""
    url, schema = place
    engine = migrate(url, schema, FIRST)
    with engine.begin() as connection:
        for name in TABLES:
            table = next(m.tables[name] for m in (tables.metadata, index) if name in m.tables)
            with sold.engine.connect() as source:
                rows = [{c: row._mapping[c] for c in COLUMNS[name]} for row in source.execute(table.select())]
            target = table.to_metadata(MetaData(), schema=schema)
            connection.execute(target.insert().values() if not rows else target.insert(), rows)
    engine.dispose()
    return place


def test_upgraded_everywhere_with_nothing_lost(moved: tuple[str, str | None]) -> None:
    url, schema = moved
    with opened(url, schema) as store:
        before = contents(store.engine, schema)
        assert all(before.values())
        assert upgrade(store) == [number for number in revisions() if number > FIRST]
        check_version(store.reading)
        assert contents(store.engine, schema) == before
        assert upgrade(store) == []
        assert downgrade(store, FIRST)
        assert contents(store.engine, schema) == before


def test_a_failing_step_is_undone_whole(moved: tuple[str, str | None]) -> None:
    url, schema = moved
    with opened(url, schema) as store:

        @event.listens_for(store.engine, "before_cursor_execute")
        def fail(_: object, __: object, statement: str, *___: object) -> None:
            if statement.startswith("UPDATE") and VERSION_TABLE in statement:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            upgrade(store)
        event.remove(store.engine, "before_cursor_execute", fail)
        assert read_version(store.reading) == FIRST
        assert "provenance_state" not in names(store)
        assert upgrade(store)


@pytest.mark.parametrize("place", POSTGRES, indirect=True)
def test_the_plan_names_the_locks_that_are_taken(moved: tuple[str, str | None]) -> None:
    """What PostgreSQL says was locked while a step ran is what its plan said, and nothing of the market's."""
    url, schema = moved
    with opened(url, schema) as store:
        with store.engine.begin() as connection:
            connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
        planned = {step.revision: {(lock.table, lock.mode) for lock in step.locks} for step in plan(store).steps}
        there = names(store)
        taken: dict[str, set[tuple[str, str]]] = {}

        @event.listens_for(store.engine, "commit")
        def look(connection: Connection) -> None:
            query = text(
                "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                "WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND l.mode NOT IN ('AccessShareLock')"
            )
            locks = {(name, mode) for name, mode in connection.execute(query) if name in there | {"orders"}}
            taken[str(read_version(connection))] = locks

        upgrade(store)
    words = {"AccessExclusiveLock": "ACCESS EXCLUSIVE", "ShareLock": "SHARE", "RowExclusiveLock": "ROW EXCLUSIVE"}
    assert taken.pop(FIRST) == set()  # the look before the first step
    assert set(taken) == {*planned}
    for revision, locks in planned.items():
        strongest: dict[str, str] = {}  # TRUNCATE takes a weaker one as well
        for name, mode in sorted(taken[revision], key=lambda lock: list(reversed(words)).index(lock[1])):
            strongest[name] = words[mode]
        assert set(strongest.items()) == locks


# The plan, and the command line


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout


def test_the_plan_writes_nothing_and_the_command_does(old: str) -> None:
    with opened(old) as store:
        before = contents(store.engine)
        status, said = run("db", "upgrade", "--plan", "--db", old)
        assert status == 0
        assert names(store) == {*TABLES}
    lines = said.splitlines()
    assert lines[0] == f"tables: revision {FIRST}, this release wants {HEAD}; the market's own are not touched"
    assert "■ 0002 A small table of positions, and when an event was staged" in lines
    assert any(line.startswith('    CREATE TABLE provenance_state ("key" VARCHAR NOT NULL') for line in lines)
    assert "    locks the whole file (RESERVED: writes wait; 0 rows in it)" in lines
    assert "    can be undone" in lines
    assert lines[-1] == f"next: provenance db upgrade --db {old}"
    status, said = run("db", "upgrade", "--plan", "--json", "--db", old)
    value = json.loads(said)
    assert [step["revision"] for step in value["steps"]] == revisions()
    assert value["steps"][-1]["reversible"] is True
    assert run("db", "version", "--db", old) == (
        1,
        f"tables: revision {FIRST}, this release wants {HEAD}\nnext: provenance db upgrade --plan --db {old}\n",
    )
    status, said = run("db", "upgrade", "--db", old)
    assert (status, said.splitlines()[0]) == (0, f"upgraded from {FIRST} to {HEAD}")
    assert run("db", "upgrade", "--db", old)[1].startswith(f"at revision {HEAD} already\n")
    assert run("db", "upgrade", "--plan", "--db", old)[1].startswith(f"tables: at revision {HEAD} already\n")
    assert run("db", "version", "--db", old)[0] == 0
    assert run("db", "downgrade", FIRST, "--db", old)[1].startswith(f"undone: {HEAD}, ")
    with opened(old) as store:
        assert contents(store.engine) == before


@pytest.mark.parametrize("place", POSTGRES, indirect=True)
def test_the_command_on_postgresql(moved: tuple[str, str | None]) -> None:
    url, schema = moved
    where = ["--db", url, *(["--schema", schema] if schema else [])]
    status, said = run("db", "upgrade", "--plan", *where)
    assert status == 0
    assert "    locks provenance_queue (ACCESS EXCLUSIVE: reads and writes wait; 1 rows in it)" in said.splitlines()
    assert said.splitlines()[-1] == f"next: provenance db upgrade {shlex.join(where)}"
    assert run("db", "upgrade", *where)[1].startswith(f"upgraded from {FIRST} to {HEAD}\n")
    assert run("db", "version", *where)[0] == 0


def test_the_plan_reads_the_locks_off_the_statements(sold: Market) -> None:
    with opened(sold.url) as store:
        connection = store.reading
        with pytest.raises(StorageError, match="cannot say what this locks: VACUUM"):
            module._locks(connection, ["VACUUM"])
        (lock,) = module._locks(connection, ["ALTER TABLE provenance_refs ADD x INTEGER", "CREATE TABLE x (y INTEGER)"])
    assert (lock.table, lock.mode, lock.rows) == ("the whole file", "RESERVED", 7)


@pytest.mark.parametrize("place", POSTGRES, indirect=True)
def test_the_strongest_lock_on_a_table_counts(place: tuple[str, str | None]) -> None:
    url, schema = place
    store = SqlStore(url, create=True, schema=schema)
    where = f"{schema}." if schema else ""
    locks = module._locks(
        store.reading,
        [
            f"UPDATE {where}provenance_refs SET verb = ''",
            f"ALTER TABLE {where}provenance_refs ADD x INTEGER",
            f"CREATE INDEX y ON {where}provenance_rows (idx)",
            f"DELETE FROM {where}provenance_files",
        ],
    )
    assert set(locks) == {
        ("provenance_refs", "ACCESS EXCLUSIVE", "reads and writes wait", 0),
        ("provenance_rows", "SHARE", "writes wait", 0),
        ("provenance_files", "ROW EXCLUSIVE", "nobody waits", 0),
    }
    store.close()


_WITHOUT_ALEMBIC = """
import sys
sys.modules["alembic"] = None
from adapters import connect, create
from adapters.sql.store import SqlStore
from adapters.sql.upgrade import upgrade
from provenance.errors import MissingExtra

create(sys.argv[1], origin="o.example/log").register_party("person")
print(connect(sys.argv[1]).log.size)
try:
    upgrade(SqlStore(sys.argv[1]))
except MissingExtra as error:
    print(error)
"""


def test_only_an_upgrade_needs_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'market.db'}"
    done = subprocess.run([sys.executable, "-c", _WITHOUT_ALEMBIC, url], capture_output=True, text=True, check=False)
    said = "4\nupgrading the tables needs the optional part `cli`: pip install 'provenance-ledger[cli]'\n"
    assert (done.stdout, done.stderr) == (said, "")


def test_an_upgrade_waits_for_whoever_leads(old: str, monkeypatch) -> None:
    with opened(old) as store, opened(old) as other, other.leading():
        monkeypatch.setattr(store._backend, "_patience", 0.05)
        with pytest.raises(Unavailable, match="waiting to lead"):
            upgrade(store)
        assert read_version(store.reading) == FIRST


# Beside the market's own Alembic

_ENV = """\
from alembic import context
from sqlalchemy import Column, Integer, MetaData, Table, create_engine
{import_}
target_metadata = MetaData()
Table("orders", target_metadata, Column("id", Integer, primary_key=True), Column("cents", Integer))
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=target_metadata{options})
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""
_MAKO = """\
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
import sqlalchemy as sa
from alembic import op

def upgrade():
    ${upgrades if upgrades else "pass"}
"""
HELPED = {"import_": "from adapters.alembic import include_name", "options": ", include_name=include_name"}
COMPOSED = {
    "import_": "from adapters.alembic import include_name\ntheirs = lambda name, kind, parents: name != 'kept'",
    "options": ", include_name=lambda *name: include_name(*name) and theirs(*name)",
}
PLAIN = {"import_": "", "options": ""}
EVERY_SCHEMA = {"import_": HELPED["import_"], "options": HELPED["options"] + ", include_schemas=True"}


class TheirAlembic:
    """A market that uses Alembic for a table of its own, in the default schema."""

    def __init__(self, folder: Path, url: str) -> None:
        self.ini, self.env = folder / "alembic.ini", folder / "theirs" / "env.py"
        (folder / "theirs" / "versions").mkdir(parents=True)
        (folder / "theirs" / "script.py.mako").write_text(_MAKO)
        escaped = url.replace("%", "%%")
        self.ini.write_text(f"[alembic]\nscript_location = %(here)s/theirs\nsqlalchemy.url = {escaped}\n")
        self.write(PLAIN)

    def write(self, how: dict[str, str]) -> None:
        self.env.write_text(_ENV.format(**how))

    def begin(self) -> None:
        """Their first migration, from before we came."""
        command.revision(self._config(), autogenerate=True, rev_id="first")
        command.upgrade(self._config(), "head")

    def proposes(self, how: dict[str, str]) -> set[str]:
        """Operations in the script that autogenerate writes now."""
        self.write(how)
        script = command.revision(self._config(), autogenerate=True, rev_id="next")
        path = Path(script.path)
        found = {line.strip().partition("(")[0] for line in path.read_text().splitlines() if "op." in line.strip()}
        path.unlink()
        return found

    def _config(self) -> Config:
        return Config(self.ini, stdout=io.StringIO())


@pytest.fixture
def beside(place: tuple[str, str | None], tmp_path: Path) -> tuple[TheirAlembic, SqlStore]:
    url, schema = place
    theirs = TheirAlembic(tmp_path, url)
    theirs.begin()
    with opened(url) as store, store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE orders DROP COLUMN cents"))  # something of theirs is to be found
    store = SqlStore(url, create=True, extra=[index], schema=schema)
    yield theirs, store
    store.close()


def test_autogenerate_proposes_nothing_of_ours(beside: tuple[TheirAlembic, SqlStore]) -> None:
    theirs, store = beside
    apart = store.schema not in {None, "public"}
    assert theirs.proposes(HELPED) == theirs.proposes(COMPOSED) == {"op.add_column"}
    if apart:
        assert theirs.proposes(PLAIN) == {"op.add_column"}
        assert theirs.proposes(EVERY_SCHEMA) == {"op.add_column"}
    else:
        assert "op.drop_table" in theirs.proposes(PLAIN)


def test_doctor_can_tell_and_has_the_line(beside: tuple[TheirAlembic, SqlStore]) -> None:
    theirs, store = beside
    apart = store.schema not in {None, "public"}
    seen = look_at_autogenerate(store.reading)
    assert seen.status == ("ok" if apart else "note")
    for env in (theirs.ini, theirs.env, theirs.env.parent):
        theirs.write(PLAIN)
        seen = look_at_autogenerate(store.reading, env=env)
        assert seen.status == ("ok" if apart else "bad")
        assert seen.lines == ("" if apart else LINES)
        theirs.write({"import_": "", "options": ", include_schemas=True"})
        assert look_at_autogenerate(store.reading, env=env).status == "bad"
        theirs.write(HELPED)
        assert look_at_autogenerate(store.reading, env=env).status == "ok"
    with pytest.raises(NotFound, match=r"want the market's env\.py"):
        look_at_autogenerate(store.reading, env=theirs.env.parent / "versions")


def test_a_market_without_alembic(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'market.db'}", create=True, extra=[index])
    seen = look_at_autogenerate(store.reading)
    assert seen == ("ok", "no Alembic of the market's own in this schema", "", "")
    store.close()


@pytest.mark.parametrize(
    "name, kind, is_theirs",
    [
        ("orders", "table", True),
        ("provenance_of_wine", "table", True),
        ("provenance_queue", "column", True),
        (None, "schema", True),
        *((name, "table", False) for name in sorted({*OURS, VERSION_TABLE, "provenance_index_links_new"})),
    ],
)
def test_include_name(name: str | None, kind: str, is_theirs: bool) -> None:
    assert include_name(name, kind, {}) is is_theirs


def test_a_ledger_is_created_at_the_revision_of_this_release(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'market.db'}"
    create(url, origin=ORIGIN)
    with opened(url) as store:
        assert read_version(store.reading) == HEAD
        assert plan(store) == (HEAD, HEAD, ())
