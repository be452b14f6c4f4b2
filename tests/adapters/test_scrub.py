"""What was erased leaves the files: searched for in every one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters import create
from adapters.assemble import Parts
from adapters.doctor import examine
from adapters.scrub import scrub, scrub_due
from adapters.sql.store import SqlStore
from ledger import NotFound
from provenance import ProvenanceLedger
from tests.provenance.conftest import ORIGIN

NAME = "Zwetlana-Distinctive-Untertan"
TITLE = "Quaggas-at-Dawn-In-A-Title"


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
    desk.erase(work, subject=party)
    with pytest.raises(NotFound):
        desk.event(work)
    assert found(folder, NAME, TITLE)  # erased, and not scrubbed: in free pages, or in the write-ahead log
    parts = Parts(SqlStore(url))
    assert scrub_due(parts) == 1
    assert {f.name: f.status for f in examine(url, publish=folder / "public")}["scrub"] == "note"
    parts.store.close()
    desk._queue._store.close()  # type: ignore[attr-defined]
    done = scrub(url)
    assert done.erasure == desk.index.newest_erasure()
    assert "free blocks of a disk" in done.beyond
    assert found(folder, NAME, TITLE, salt) == set()
    parts = Parts(SqlStore(url))
    assert scrub_due(parts) == 0
    assert {f.name: f.status for f in examine(url, publish=folder / "public")}["scrub"] == "ok"
    assert scrub(url).erasure == done.erasure  # again is no error


def test_postgresql(tmp_path: Path, postgres: Any) -> None:
    folder = tmp_path / "market"
    folder.mkdir()
    url = postgres.database()
    desk = create(url, origin=ORIGIN, publish=folder / "public", keys=_keys(folder))
    party, work = sell(desk, folder)
    desk.erase(work, subject=party)
    done = scrub(url)
    pages = next(postgres.folder.rglob("base"))
    assert pages.is_dir()
    assert found(pages, NAME, TITLE) == set()  # the tables; its write-ahead log is named as beyond reach
    assert any("write-ahead log" in what for what in done.beyond)
    assert found(folder, NAME, TITLE) == set()
    assert scrub_due(Parts(SqlStore(url))) == 0
    with pytest.raises(NotFound):
        desk.event(work)


def _keys(folder: Path) -> dict[str, str]:
    return {name: f"file:{folder / name}" for name in ("log", "market", "claim")}
