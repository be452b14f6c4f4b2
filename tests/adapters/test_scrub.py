"""What was erased leaves the files: searched for in every one of them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from adapters import create
from adapters.assemble import Parts
from adapters.doctor import examine
from adapters.fsck import open_holdings
from adapters.scrub import scrub, scrub_due
from adapters.sql.store import SqlStore
from ledger import NotFound, Unavailable
from provenance import ProvenanceLedger
from tests.provenance.conftest import ORIGIN

NAME = "Zwetlana-Distinctive-Untertan"
TITLE = "Quaggas-at-Dawn-In-A-Title"
REF = "order:Ptolemaios-of-Whitby"


def found(folder: Path, *words: str) -> set[str]:
    """Which of these words stand in which files."""
    hits = set()
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            hits |= {word for word in words if word.encode() in data}
    return hits


def sell(desk: ProvenanceLedger, folder: Path) -> tuple[Any, Any]:
    party = desk.register_party("person", name=NAME)
    file = folder.parent / "work.bin"
    file.write_bytes(b"a work")
    work = desk.create(file, creators=[party], title=TITLE)
    desk.record_many(
        [desk.draft("terms.publish", body={"license": f"LicenseRef-{n}", "machine": {}}) for n in range(50)]
    )
    return party, work


def test_sqlite(tmp_path: Path) -> None:
    folder = tmp_path / "market"
    folder.mkdir()
    url = f"sqlite:///{folder / 'market.db'}"
    desk = create(url, origin=ORIGIN, publish=folder / "public")
    party, work = sell(desk, folder)
    event = desk.event(work)
    salt = orjson.loads(event)["salt"]
    assert found(folder, NAME, TITLE, salt) == {NAME, TITLE, salt}
    done = desk.erase(work, subject=party)
    with pytest.raises(NotFound):
        desk.event(work)
    assert found(folder, NAME, TITLE)  # erased, and not scrubbed: in free pages, or in the write-ahead log
    parts = Parts(SqlStore(url))
    assert scrub_due(parts) == desk.scrub_due() == 1
    assert desk.forgotten(done.erased[0]) == (desk.index.newest_erasure(), False)
    assert {f.name: f.status for f in examine(url, publish=folder / "public")}["scrub"] == "note"
    scrubbed = desk.scrub()  # with connections open, here and there
    assert scrubbed.erasure == desk.index.newest_erasure()
    assert "free blocks of a disk" in scrubbed.beyond
    assert found(folder, NAME, TITLE, salt) == set()
    assert scrub_due(parts) == desk.scrub_due() == 0
    assert desk.forgotten(done.erased[0]) == (desk.index.newest_erasure(), True)
    assert desk.forgotten("ab" * 32) is None
    assert {f.name: f.status for f in examine(url, publish=folder / "public")}["scrub"] == "ok"
    assert scrub(url).erasure == scrubbed.erasure  # again is no error
    desk.erase(desk.register_party("person", name=NAME).id, subject=party)
    desk.publish()
    assert list(open_holdings(url, published=[folder / "public"]).faults()) == []


def test_somebody_who_does_not_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.sql.scrub._PATIENCE", 0.1)
    url = f"sqlite:///{tmp_path / 'market.db'}"
    desk = create(url, origin=ORIGIN)
    party = desk.register_party("person", name=NAME)
    with closing(sqlite3.connect(tmp_path / "market.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM provenance_vault").fetchall()
        desk.erase(subject=party)
        with pytest.raises(Unavailable, match="an old state of it"):
            desk.scrub()
        assert desk.scrub_due() == 1
    desk.scrub()
    assert desk.scrub_due() == 0
    assert found(tmp_path, NAME) == set()


def test_the_keys_of_subjects_and_an_index_apart(tmp_path: Path) -> None:
    folder = tmp_path / "market"
    folder.mkdir()
    url, keys, index = (f"sqlite:///{folder / name}.db" for name in ("market", "subjects", "index"))
    where: dict[str, Any] = {"publish": folder / "public", "subject_keys": keys, "index": index}
    desk = create(url, origin=ORIGIN, **where)
    party, _ = sell(desk, folder)
    with closing(sqlite3.connect(folder / "subjects.db")) as connection:
        rows = connection.execute("SELECT id, secret FROM provenance_subject_keys").fetchall()
    done = desk.erase(subject=party)
    secrets = [secret for key, secret in rows if key.hex() in done.erased]
    assert len(secrets) == 1
    left = folder / "public" / "events" / ".left.tmp"
    left.write_bytes(NAME.encode())
    os.utime(left, (0, 0))
    busy = folder / "public" / "events" / ".busy.tmp"
    busy.write_bytes(b"somebody writes here")
    scrubbed = scrub(url, **where)
    assert {str(folder / f"{name}.db") for name in ("market", "subjects", "index")} <= set(scrubbed.rewritten)
    assert "copies of the keys of subjects" in scrubbed.beyond
    assert found(folder, NAME, TITLE) == set()
    assert not any(secrets[0] in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert (left.exists(), busy.exists()) == (False, True)


@pytest.mark.parametrize("schema", [None, 'the "market\'s" own, 100%'])
def test_postgresql(tmp_path: Path, postgres: Any, schema: str | None) -> None:
    """Every file of the server: tables, indexes, the planner's samples, its write-ahead log."""
    folder = tmp_path / "market"
    folder.mkdir()
    url = postgres.database()
    where: dict[str, Any] = {"publish": folder / "public", "schema": schema, "subject_keys": postgres.database()}
    desk = create(url, origin=ORIGIN, keys=_keys(folder), **where)
    party, work = sell(desk, folder)
    waiting = desk.draft("terms.publish", body={"license": "CC0-1.0", "machine": {}}, personal={"ref": REF})
    [terms] = desk.record_many([waiting])
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("ANALYZE"))
    event = orjson.loads(desk.event(work))
    words = (NAME, TITLE, REF, event["salt"])
    done = desk.erase(work, terms, subject=party)
    data = postgres.folder / "data"
    assert found(data, *words)  # in its write-ahead log, if nowhere else
    with engine.connect() as connection:
        connection.execute(text("ANALYZE"))
    scrubbed = scrub(url, **where)
    assert found(data, *words) == set()
    assert not any("write-ahead" in what for what in scrubbed.beyond)
    assert found(folder, *words) == set()
    assert desk.scrub_due() == 0
    with engine.connect() as connection:
        connection.execute(text("ANALYZE"))
    assert desk.forgotten(done.erased[0]) is not None
    with pytest.raises(NotFound):
        desk.event(work)
    desk.register_party("person", name="Bo")


def test_postgresql_with_less_rights(tmp_path: Path, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres.database()
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    role = f"role_{make_url(url).database}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT ALL ON SCHEMA public TO {role}"))
    own = make_url(url).set(username=role).render_as_string()
    desk = create(own, origin=ORIGIN, keys=_keys(tmp_path))
    party = desk.register_party("person", name=NAME)
    with engine.connect() as connection:
        connection.execute(text("ANALYZE provenance_vault"))
    desk.erase(subject=party)
    done = desk.scrub()
    assert any("only a superuser" in what for what in done.beyond)
    assert any("pg_statistic" in what for what in done.beyond)
    monkeypatch.setattr("adapters.sql.scrub._PATIENCE", 0.5)
    with engine.connect() as connection:
        connection.execute(text("BEGIN ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(text("SELECT count(*) FROM provenance_heads"))
        with pytest.raises(Unavailable):
            desk.scrub()
        connection.execute(text("ROLLBACK"))
        connection.execute(text("ALTER TABLE provenance_vault OWNER TO postgres"))
        connection.execute(text(f"GRANT ALL ON provenance_vault TO {role}"))
    with pytest.raises(Unavailable, match="provenance_vault belong to another role"):
        desk.scrub()


def _keys(folder: Path) -> dict[str, str]:
    return {name: f"file:{folder / name}" for name in ("log", "market", "claim")}
