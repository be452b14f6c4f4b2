"""One look at everything that could go wrong with a ledger, each finding with its fix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from adapters.alembic import look_at_autogenerate
from adapters.connect import connect, keys_of
from adapters.files import Directory
from adapters.key_files import KEY
from adapters.keys import VARIABLE, Keys, Passphrase, ask_once, load_secret, read_secret
from adapters.locations import Place, database_url, open_storage
from adapters.sql.doctor import BEGIN_LINES, SAVEPOINT_LINES, begins_immediate, savepoints_hold, unsafe_settings
from adapters.sql.errors import storage_errors
from adapters.sql.store import SqlStore
from adapters.sql.version import HEAD, check_version
from ledger.encrypted_key import is_encrypted
from ledger.errors import LedgerError, NotFound
from ledger.storage import Objects
from provenance.content import Credential, is_development, lint
from provenance.health import Check, Status
from provenance.ledger import ProvenanceLedger

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["Finding", "examine"]

_WHERE = "add where `engine` is made (of an AsyncEngine: engine = its .sync_engine):"
_SKEW = 5.0  # seconds between our clock and the server's
_SHADES: dict[Status, Literal["ok", "note", "bad"]] = {"ok": "ok", "degraded": "note", "bad": "bad"}


class Finding(NamedTuple):
    """One check: ok, note (to know) or bad (to mend), what was found, the fix, and lines of Python to paste for it."""

    name: str
    status: Literal["ok", "note", "bad"]
    detail: str
    fix: str = ""
    lines: str = ""


def examine(
    database: str,
    *,
    publish: Place | None = None,
    objects: Place | None = None,
    schema: str | None = None,
    index: str | None = None,
    checkpoints: str | None = None,
    subject_keys: str | None = None,
    keys: Keys | None = None,
    passphrase: Passphrase | None = None,
    engine: Engine | None = None,
    env: Path | None = None,
    production: bool = False,
) -> list[Finding]:
    """Examine database, tables, keys, certificate, the places that others read and, where given, the market's `engine`.

    `env` is the market's Alembic: `env.py`, its folder, or `alembic.ini`. What it writes is what is there already: the
    key file of each published place; and once the mark that a bucket has passed its probe.
    """
    opens = ask_once(passphrase)
    try:
        store = SqlStore(database_url(database), schema=schema)
    except LedgerError as error:
        return [Finding("database", "bad", str(error), "or name the database with --db")]
    with closing(store):
        findings = [*_database(store), *_tables(store, env)]
        findings += _keys(keys_of(store, keys), opens, production=production)
        if not any(finding.name == "tables" and finding.status == "bad" for finding in findings):
            usable = all(finding.status == "ok" for finding in findings if finding.name in {"log key", "market key"})
            where: dict[str, Any] = {"objects": objects, "checkpoints": checkpoints, "schema": schema, "index": index}
            where |= {"subject_keys": subject_keys, "keys": keys, "passphrase": opens}
            findings += _ledger(database, publish, where, keys=usable)
    if engine is not None:
        findings += _engine(engine)
    return findings


# The database


def _database(store: SqlStore) -> Iterator[Finding]:
    try:
        with storage_errors(store.name):
            if store.url.get_backend_name() == "sqlite":
                yield from _sqlite(store)
            else:
                yield from _server(store.reading, store.name)
    except LedgerError as error:
        yield Finding("database", "bad", str(error))


def _sqlite(store: SqlStore) -> Iterator[Finding]:
    mode = str(store.reading.execute(text("PRAGMA journal_mode")).scalar_one())
    detail = f"{store.name} opens, every commit durable (synchronous=FULL), journal {mode}"
    if mode == "wal":
        yield Finding("database", "ok", detail)
    else:
        yield Finding("database", "note", f"{detail}: readers and the writer wait for each other", _TO_WAL)


def _server(connection: Connection, name: str) -> Iterator[Finding]:
    row = connection.execute(text(_SERVER)).one()
    yield Finding("database", "ok", f"{name} answers, PostgreSQL {row.version}")
    if row.standby:
        fix = "give the URL of the primary (target_session_attrs=read-write finds it among several hosts)"
        yield Finding("writer", "bad", "a standby, where nothing can be written", fix)
    else:
        yield Finding("writer", "ok", "the primary, which takes writes")
    yield _durability("durability", connection)
    if row.autovacuum == "off":
        detail = "autovacuum is off: the queue, whose rows come and go, only grows and slows down"
        yield Finding("autovacuum", "bad", detail, "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()")
    else:
        yield Finding("autovacuum", "ok", "on")
    skew = (datetime.now(UTC) - row.now).total_seconds()
    status: Literal["ok", "note"] = "ok" if abs(skew) <= _SKEW else "note"
    fix = "" if status == "ok" else "set both clocks right (NTP)"
    yield Finding("clock of the server", status, f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} ours", fix)


def _durability(name: str, connection: Connection) -> Finding:
    unsafe = unsafe_settings(connection)
    if not unsafe:
        return Finding(name, "ok", "fsync, full_page_writes and synchronous_commit are on")
    settings = ", ".join(f"{setting}={value}" for setting, value in unsafe.items())
    detail = f"{settings}: a crash of the server can lose or damage what was committed"
    return Finding(name, "bad", detail, f"set to on: {', '.join(unsafe)}")


def _tables(store: SqlStore, env: Path | None) -> Iterator[Finding]:
    try:
        with storage_errors("tables"):
            check_version(store.reading)
    except NotFound as error:
        yield Finding("tables", "bad", str(error), "provenance init ORIGIN")
        return
    except LedgerError as error:
        yield Finding("tables", "bad", str(error), "provenance db upgrade")
        return
    yield Finding("tables", "ok", f"at revision {HEAD}, as this release wants them")
    try:
        with storage_errors("tables"):
            yield Finding("migrations", *look_at_autogenerate(store.reading, env=env))
    except LedgerError as error:
        yield Finding("migrations", "bad", str(error), "name the market's env.py or alembic.ini with --alembic")


# Keys


def _keys(keys: Keys, passphrase: Passphrase | None, *, production: bool) -> Iterator[Finding]:
    for name, uri in keys.items():
        if not isinstance(uri, str):
            yield Finding(f"{name} key", "ok", f"lies elsewhere: {type(uri).__name__} reaches it")
            continue
        try:
            encrypted = is_encrypted(read_secret(uri))
        except LedgerError as error:
            if name == "log_pq" and isinstance(error, NotFound):
                continue  # most logs have none; one that has does not open without it (`_fitting`)
            yield Finding(f"{name} key", "bad", str(error), f"restore {uri.partition(':')[2]} from its backup")
            continue
        try:
            secret = load_secret(uri, passphrase=passphrase)
        except LedgerError as error:
            yield Finding(f"{name} key", "bad", str(error), f"say in {VARIABLE} what opens it")
            continue
        yield Finding(f"{name} key", "ok", f"{uri} is there and private{', encrypted' if encrypted else ''}")
        if name == "claim":
            yield from _certificate(Credential.parse(secret), production=production)


def _certificate(credential: Credential, *, production: bool) -> list[Finding]:
    problems = lint(credential, at=datetime.now(UTC))
    findings = [Finding("certificate", "bad", problem, "get a new certificate") for problem in problems]
    if is_development(credential):
        fix = "put a certificate from a C2PA certification authority into claim.pem before real users see manifests"
        status: Literal["bad", "note"] = "bad" if production else "note"
        findings.append(Finding("certificate", status, "is for development only: nobody else trusts it", fix))
    elif not problems:
        findings.append(Finding("certificate", "ok", "fit to sign manifests"))
    return findings


# The ledger, and where it is published


def _ledger(database: str, publish: Place | None, where: dict[str, Any], *, keys: bool) -> Iterator[Finding]:
    try:
        places = [open_storage(place) for place in (where["objects"], publish) if place is not None]
        heads = where["checkpoints"]
        for place in [*places, *([open_storage(heads)] if heads else [])]:
            yield from _bucket(place)
        ledger = connect(database, publish=publish, signs=False, **where)
    except LedgerError as error:
        shown = publish if isinstance(publish, (str, os.PathLike)) else None
        fix = "provenance recover" + (f" --publish {os.fspath(shown)}" if shown else "")
        yield Finding("ledger", "bad", str(error), f"if the database is an older copy: {fix}")
        return
    if keys:
        yield _fitting(database, where)
    for place in places:
        yield _writable(place, ledger)
    yield _scrubbed(ledger)
    yield _subject_keys(where["subject_keys"])
    for check in ledger.health().checks:
        if check.name != "database":
            yield _of(check)


def _scrubbed(ledger: ProvenanceLedger) -> Finding:
    """Whether something erased may still lie in the files."""
    due = ledger.scrub_due()
    if due:
        detail = f"{due} erasures since the last one: their bytes may lie in free pages and in the write-ahead log"
        return Finding("scrub", "note", detail, "provenance scrub, when the market is quiet")
    return Finding("scrub", "ok", "nothing that was erased is left to be scrubbed")


def _subject_keys(place: str | None) -> Finding:
    """What erasing a party means for copies of the vault that are older than that."""
    if place is None:
        detail = "none: what is erased stays readable in backups that were taken before, until these are deleted"
    else:
        detail = "apart: who erases a party ends what backups hold of it, once older copies of the keys are deleted too"
    return Finding("subject keys", "ok", detail)


def _fitting(database: str, where: dict[str, Any]) -> Finding:
    """That the two keys are this ledger's, now that it is known to open without them."""
    try:
        connect(database, **where)
    except LedgerError as error:
        return Finding("keys", "bad", str(error), "restore the keys of this ledger from their backup")
    return Finding("keys", "ok", "are those of this log and of its market")


def _of(check: Check) -> Finding:
    return Finding(check.name, _SHADES[check.status], check.sentence, check.fix)


def _bucket(place: Objects) -> Iterator[Finding]:
    """That conditional writes of a bucket are what they seem; asked once, and remembered there."""
    if isinstance(place, Directory):
        return
    from adapters.objects import Bucket
    from adapters.probe import PASSED, probe_once

    if not isinstance(place, Bucket):
        return
    try:
        before = place.get(PASSED).decode("utf-8", "replace").strip()
        yield Finding("bucket", "ok", f"{place!r} passed the race of its writers before ({before})")
    except NotFound:
        try:
            probe_once(place)
        except LedgerError as error:
            yield Finding("bucket", "bad", str(error), "check endpoint, credentials and product of the bucket")
        else:
            yield Finding("bucket", "ok", f"{place!r} passed the race of its writers now")
    except LedgerError as error:
        yield Finding("bucket", "bad", str(error), "check endpoint, credentials and product of the bucket")


def _writable(place: Objects, ledger: ProvenanceLedger) -> Finding:
    """That a place can be written, tried with the key file, which is the same whenever it is written."""
    want = f"{ledger.log.policy.logs[0].key}\n".encode()
    try:
        try:
            there = place.get(KEY)
        except NotFound:
            place.replace(KEY, want)
            place.discard(KEY)  # alone it says that all other files of keys are there
            text = f"{KEY} is not in {place!r}: readers find no key there"
            return Finding("key file", "bad", text, "provenance publish, where the log's key is: it writes what lacks")
        if there != want:
            return Finding("key file", "bad", f"{KEY} in {place!r} is another log's", "publish this log elsewhere")
        place.replace(KEY, want)
    except LedgerError as error:
        return Finding("key file", "bad", f"{place!r}: {error}", "let this user write there")
    return Finding("key file", "ok", f"{place!r} can be written, and names this log's key")


# The market's engine


def _engine(engine: Engine) -> list[Finding]:
    findings = []
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            findings.append(_durability("durability of the engine", connection))
    if savepoints_hold(engine):
        findings.append(Finding("savepoints", "ok", "rows written inside a savepoint vanish with the outer rollback"))
    else:
        detail = "rows written inside a savepoint survive a rollback of the outer transaction"
        findings.append(Finding("savepoints", "bad", detail, _WHERE, SAVEPOINT_LINES))
    if begins_immediate(engine):
        findings.append(Finding("transactions", "ok", "take the write lock when they begin"))
    else:
        detail = "begin deferred: one that reads and then writes fails at once when another writer was faster"
        findings.append(Finding("transactions", "note", detail, _WHERE, BEGIN_LINES))
    return findings


_TO_WAL = "PRAGMA journal_mode=WAL, once, while the market stands still"
_SERVER = """\
SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby,
       current_setting('autovacuum') AS autovacuum, clock_timestamp() AS now
"""
