"""Beginning a ledger: whole or not at all, also when it is interrupted, and when two begin the same one at once."""

from __future__ import annotations

import threading
from itertools import count

import pytest

import adapters.begin
from adapters import connect, create
from adapters.assemble import Parts
from adapters.files import Directory
from adapters.keys import save_secret
from adapters.sql.notes import SqlNotes
from adapters.sql.store import SqlStore
from ledger import Conflict, NotFound, SigningKey
from ledger.writer import Writer

ORIGIN = "market.example/log"


class Killed(BaseException):
    """Stands for a process that ended."""


def keys_in(folder):
    return {name: f"file:{folder / name}.key" for name in ("log", "market", "claim")}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_begins_the_same_ledger_at_the_same_moment_finds_it(tmp_path, monkeypatch, kind, request):
    """As two hosts with folders of their own: the second must not note its keys for the first one's log."""
    server = request.getfixturevalue("postgres") if kind == "postgresql" else None
    url = server.database() if server else f"sqlite:///{tmp_path / 'market.db'}"
    found = []
    went_on = threading.Event()

    def other():
        try:
            create(url, origin=ORIGIN, keys=keys_in(tmp_path / "second"))
        except Conflict as error:
            found.append(str(error))
        finally:
            went_on.set()

    second = threading.Thread(target=other)
    leading, note = SqlStore.leading, Parts.note_layout

    def asks_to_lead(store):
        if threading.current_thread() is second:
            went_on.set()  # its turn comes when the first is done
        return leading(store)

    def late(parts, keys):
        if threading.current_thread() is not second:
            second.start()
            assert went_on.wait(60)
        note(parts, keys)

    monkeypatch.setattr(SqlStore, "leading", asks_to_lead)
    monkeypatch.setattr(Parts, "note_layout", late)
    create(url, origin=ORIGIN, keys=keys_in(tmp_path / "first"))
    second.join()
    assert len(found) == 1
    assert f"there is a ledger named {ORIGIN} in it; connect to it instead" in found[0]
    assert not (tmp_path / "second").exists(), "no key was made that signs nothing"
    ada = connect(url, keys=keys_in(tmp_path / "first")).register_party("person", name="Ada")
    assert ada.id


@pytest.mark.parametrize("apart", [False, True], ids=["in the database", "objects apart"])
def test_interrupted_at_any_write_and_begun_again(tmp_path, monkeypatch, apart):
    left = None  # writes until the process ends

    def counted(owner, name):
        write = getattr(owner, name)

        def wrapped(*args, **named):
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Killed
            return write(*args, **named)

        monkeypatch.setattr(owner, name, wrapped)

    counted(adapters.begin, "save_secret")
    counted(adapters.begin, "keep")
    counted(SqlNotes, "save")
    counted(Writer, "_commit")
    counted(Directory, "put")
    counted(Directory, "replace")
    outcomes = []
    for at in count():
        place = tmp_path / str(at)
        place.mkdir()
        url = f"sqlite:///{place / 'market.db'}"
        where = {"objects" if apart else "publish": place / "public"}
        left = at
        try:
            create(url, origin=ORIGIN, market_name="Market", **where)
        except Killed:
            left = None
        else:
            break
        made = {path.name: path.read_bytes() for path in (place / "market.keys").glob("*")}
        try:
            create(url, origin=ORIGIN, market_name="Market", **where)
            outcomes.append("begun again")
        except Conflict as error:
            outcomes.append("was there" if "connect to it instead" in str(error) else str(error))
        ledger = connect(url, **where)
        ledger.register_party("person", name="Ada", ref="user:1")
        assert ledger.publish().size == ledger.log.size
        kept = {path.name: path.read_bytes() for path in (place / "market.keys").glob("*")}
        assert made.items() <= kept.items(), "a key that was saved is the ledger's key"
        assert (place / "public" / "log.vkey").read_text().strip() == str(ledger.log.keys.verifiers[0])
        assert (place / "public" / "market.policy").exists()
    begun = outcomes.index("was there")  # from its log on
    assert begun > 0
    assert outcomes == ["begun again"] * begun + ["was there"] * (len(outcomes) - begun)


def test_keys_of_something_else_are_neither_taken_nor_overwritten(tmp_path):
    """Of another ledger, perhaps in a database that will be restored: two logs under one key would be a fork."""
    url = f"sqlite:///{tmp_path / 'market.db'}"
    folder = tmp_path / "market.keys"
    folder.mkdir()
    other = str(SigningKey.generate(ORIGIN))
    save_secret(folder / "log.key", other)
    with pytest.raises(Conflict, match=r"log\.key: a key is there already, and not one of this ledger; .* move it"):
        create(url, origin=ORIGIN)
    assert (folder / "log.key").read_text().strip() == other
    assert [path.name for path in folder.iterdir()] == ["log.key"]
    (folder / "log.key").rename(tmp_path / "away.key")
    (folder / "market.key").touch(mode=0o600)  # as a disk may leave one whose writer had no time to fill it
    with pytest.raises(Conflict, match=r"market\.key: a key is there already, and not one of this ledger"):
        create(url, origin=ORIGIN)
    (folder / "market.key").unlink()
    assert create(url, origin=ORIGIN).log.size > 0


def test_a_place_where_another_log_is_published(tmp_path):
    public = tmp_path / "public"
    create(f"sqlite:///{tmp_path / 'one.db'}", origin="one.example/log", publish=public)
    shown = (public / "checkpoint").read_bytes()
    url = f"sqlite:///{tmp_path / 'two.db'}"
    for origin in ("two.example/log", "one.example/log"):
        with pytest.raises(Conflict, match=r"public'\): a checkpoint is already published there; .* another place"):
            create(url, origin=origin, publish=public)
    assert (public / "checkpoint").read_bytes() == shown
    assert not (tmp_path / "two.keys").exists(), "nothing in the way of beginning it elsewhere"
    assert create(url, origin="two.example/log", publish=tmp_path / "elsewhere").log.size > 0


def test_where_a_restore_was_interrupted(tmp_path):
    url = f"sqlite:///{tmp_path / 'market.db'}"
    with pytest.raises(NotFound):
        connect(url)
    store = SqlStore(url, create=True)
    Parts(store).note_restoring("backup")
    store.close()
    with pytest.raises(Conflict, match="a restore into it was interrupted; run that again"):
        create(url, origin=ORIGIN)
