"""Vault items under the keys of those they are about: a key that is destroyed ends what old backups hold."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from adapters import connect, create
from adapters.backup import backup, check_backup, restore
from adapters.backup.tables import parse_item
from adapters.fsck import open_holdings
from adapters.object_vault import ObjectVault
from adapters.objects import Bucket
from adapters.recover import rebuild_index
from adapters.sql.subjects import SqlSubjectKeys
from ledger import Conflict, NotFound, StorageError
from ledger.errors import MalformedError, Unavailable
from provenance import ProvenanceLedger
from provenance.branches import DEPTH, Branch, branches_to
from provenance.item import Item
from provenance.queue import Staged
from provenance.subjects import NOBODY, Owned, SubjectKey, WrappingVault, is_wrapped, keep, subject_of
from provenance.vault import ReadsMany
from tests.provenance.conftest import ORIGIN, Clock

NAME = "Zwetlana-Distinctive-Untertan"


class Shop:
    """A market whose vault is encrypted, in a folder of its own."""

    def __init__(self, folder: Path, **where: Any) -> None:
        self.folder = folder
        self.keys = f"sqlite:///{folder / 'keys' / 'subjects.db'}"
        (folder / "keys").mkdir(parents=True)
        self.url = f"sqlite:///{folder / 'market.db'}"
        self.where = {"publish": folder / "public", "subject_keys": self.keys, "clock": Clock(), **where}
        self.ledger = create(self.url, origin=ORIGIN, market_name="A Market", **self.where)
        self.ada = self.ledger.register_party("person", name=NAME, ref="user:1")
        self.bo = self.ledger.register_party("person", name="Bo", ref="user:2")

    def work(self, **details: Any) -> Any:
        file = self.folder / "work.bin"
        file.write_bytes(orjson.dumps(sorted(details)))
        return self.ledger.create(file, creators=[self.ada], **details)

    def reopen(self) -> ProvenanceLedger:
        self.ledger = connect(self.url, **self.where)
        return self.ledger

    def faults(self) -> list[str]:
        holdings = open_holdings(self.url, published=[self.folder / "public"], subject_keys=self.keys)
        return [fault.detail for fault in holdings.faults()]

    def field(self, event: Any, name: str) -> bytes:
        return bytes.fromhex(orjson.loads(self.ledger.event(event))["commits"][name])

    def stored(self, address: bytes) -> bytes:
        vault = self.ledger._vault
        assert isinstance(vault, WrappingVault)
        return vault.stored.get(address)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


def test_what_is_stored_says_nothing(shop: Shop) -> None:
    address = shop.field(shop.ada, "name")
    stored = shop.stored(address)
    assert is_wrapped(stored)
    assert NAME.encode() not in stored
    assert sha256(stored).digest() != address
    item = shop.ledger.item(address)
    assert item is not None
    assert item.value == NAME
    assert sha256(bytes(item)).digest() == address
    assert shop.faults() == []
    assert shop.reopen().item(address) == item
    title = shop.field(shop.work(title="Dunes"), "title")
    assert shop.stored(title)[1:33] == stored[1:33]  # the same key, for the same creator
    assert shop.stored(shop.field(shop.bo, "name"))[1:33] != stored[1:33]
    assert rebuild_index(shop.url, subject_keys=shop.keys) == shop.ledger.log.size


def test_a_backup_from_before_forgets_too(shop: Shop, tmp_path: Path) -> None:
    desk = shop.ledger
    name, title = shop.field(shop.ada, "name"), shop.field(shop.work(title="A Title"), "title")
    offer = desk.offer(shop.work(), terms="CC0-1.0")
    grant = desk.license(orjson.loads(desk.event(offer))["refs"][0]["id"], to=shop.ada, offer=offer, ref="order:1")
    done = backup(shop.url, tmp_path / "old", subject_keys=shop.keys)
    assert done.faults == ()
    lines = (tmp_path / "old" / done.manifest.parts.vault.file).read_bytes()  # type: ignore[union-attr]
    assert NAME.encode() not in lines
    assert name.hex().encode() in lines
    assert check_backup(tmp_path / "old").faults == ()
    erased = desk.erase(subject=shop.ada)
    assert erased.kept == ()
    key = bytes.fromhex(erased.erased[-1])
    assert shop.ledger.index.erased([key])
    assert SqlSubjectKeys(shop.keys).find([key]) == {}
    assert desk.event(grant)  # a contract is no personal field: it lies under another key
    assert shop.faults() == []
    # The old backup, read with the keys as they are now, as if nobody had told it of the erasure.
    wrapped = [line.split(b" ") for line in lines.splitlines()]
    then = _Fixed({bytes.fromhex(at.decode()): base64.b64decode(data) for at, data in wrapped})
    vault = WrappingVault(then, SqlSubjectKeys(shop.keys))
    for address in (name, title):
        with pytest.raises(NotFound, match="its key is not there"):
            vault.get(address)
    assert vault.get(bytes.fromhex(str(grant)))
    assert vault.get(shop.field(shop.bo, "name"))
    (tmp_path / "new").mkdir()
    shutil.copytree(shop.folder / "market.keys", tmp_path / "new" / "market.keys")
    put = restore(
        tmp_path / "old",
        f"sqlite:///{tmp_path / 'new' / 'market.db'}",
        publish=shop.folder / "public",
        subject_keys=shop.keys,
    )
    assert (put.locked, put.lost) == (0, ())
    again = connect(
        f"sqlite:///{tmp_path / 'new' / 'market.db'}", publish=shop.folder / "public", subject_keys=shop.keys
    )
    assert again.item(name) is None
    assert again.event(grant) == desk.event(grant)
    assert again.item(shop.field(shop.bo, "name")) is not None


def test_a_single_item_dies_in_an_old_backup_too(shop: Shop, tmp_path: Path) -> None:
    """Under its party's key lie others, which stay; also a sealed event, and where the keys come back as they were."""
    desk = shop.ledger
    name, title = shop.field(shop.ada, "name"), shop.field(shop.work(title="A Title"), "title")
    offer = desk.offer(shop.work(), terms="CC0-1.0")
    work = orjson.loads(desk.event(offer))["refs"][0]["id"]
    grants = [desk.license(work, to=shop.ada, offer=offer) for _ in range(2)]
    done = backup(shop.url, tmp_path / "old", subject_keys=shop.keys)
    with closing(sqlite3.connect(SqlSubjectKeys(shop.keys).name)) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "yesterday.db")])
    lines = (tmp_path / "old" / done.manifest.parts.vault.file).read_bytes()  # type: ignore[union-attr]
    wrapped = dict(parse_item(line) for line in lines.splitlines())
    assert set(desk.erase(name, grants[0]).erased) == {name.hex(), grants[0].id}
    gone, stay = [name, bytes.fromhex(grants[0].id)], [title, bytes.fromhex(grants[1].id)]

    def check() -> None:
        vault = WrappingVault(_Fixed(dict(wrapped)), SqlSubjectKeys(shop.keys))
        for address in gone:
            with pytest.raises(NotFound, match="its key is not there"):
                vault.get(address)
        assert vault.many([*gone, *stay]).keys() == set(stay)
        for address in stay:
            assert sha256(vault.get(address)).digest() == address

    check()
    assert desk.item(title) is not None
    assert shop.reopen().event(grants[1])
    assert shop.faults() == []
    desk = shop.ledger
    desk.erase(title)  # under what is left of the same key
    gone, stay = [*gone, title], stay[1:]
    check()
    later = shop.field(shop.work(title="Later"), "title")
    assert shop.stored(later)[1:33] != wrapped[title][1:33]
    shop.keys = f"sqlite:///{tmp_path / 'yesterday.db'}"
    assert len(SqlSubjectKeys(shop.keys).find([wrapped[name][1:33]])) == 1
    (tmp_path / "new").mkdir()
    shutil.copytree(shop.folder / "market.keys", tmp_path / "new" / "market.keys")
    again = f"sqlite:///{tmp_path / 'new' / 'market.db'}"
    put = restore(tmp_path / "old", again, publish=shop.folder / "public", subject_keys=shop.keys)
    assert put.locked == 0
    check()
    restored = connect(again, publish=shop.folder / "public", subject_keys=shop.keys)
    assert restored.event(grants[1])
    erased = restored.erase(subject=shop.ada).erased
    assert wrapped[name][1:33].hex() in erased
    assert len(erased) < 10  # whatever it was divided into
    with closing(sqlite3.connect(tmp_path / "yesterday.db")) as connection:
        left = connection.execute(
            "SELECT part FROM provenance_subject_keys WHERE subject = ?", [bytes.fromhex(shop.ada.id)]
        ).fetchall()
    assert {part for (part,) in left} == {"events", "branch"}  # of the sealed events


@pytest.mark.parametrize("product", ["sqlite", "postgresql"])
def test_two_who_forget_at_once(product: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Whoever comes second looks again: what the first forgot stays forgotten, and nothing else goes."""
    url = f"sqlite:///{tmp_path / 'k.db'}" if product == "sqlite" else request.getfixturevalue("postgres").database()
    keys = SqlSubjectKeys(url, create=True)
    stored = _Fixed({})
    pairs = [item(str(number)) for number in range(6)]
    event = Staged(0, bytes(32), "offer.attach", orjson.dumps({"actor": "ab" * 32, "refs": []}), (), None, sealed=False)
    keep(WrappingVault(stored, keys), [Owned(address, data, event) for address, data in pairs])
    before = dict(stored.kept)

    class Late(SqlSubjectKeys):
        def divide(self, parts: Any) -> bool:
            if not self.late:
                self.late = True
                WrappingVault(stored, keys).erase([pairs[0][0]])
            return super().divide(parts)

        late = False

    other = Late(keys.url)
    WrappingVault(stored, other).erase([pairs[1][0], pairs[2][0]])
    assert other.late
    assert dict(WrappingVault(_Fixed(before), keys).items()) == dict(pairs[3:])
    root = before[pairs[0][0]][1:33]
    assert not keys.divide({root: [SubjectKey.generate()]})  # it is divided
    assert not keys.divide({bytes(32): []})
    WrappingVault(stored, keys).erase(WrappingVault(stored, keys).retire(bytes.fromhex("ab" * 32)))
    assert dict(WrappingVault(_Fixed(before), keys).items()) == {}
    other.close()
    keys.close()


def test_what_was_stored_under_the_key_itself_stays_readable(keys: SqlSubjectKeys) -> None:
    stored = _Fixed({})
    vault = WrappingVault(stored, keys)
    (address, data), whose = item("before"), bytes.fromhex("ab" * 32)
    key = keys.current([(whose, "fields")])[whose, "fields"]
    stored.kept[address] = b"\x01" + key.id + bytes(12) + AESGCM(key.secret).encrypt(bytes(12), data, address)
    assert vault.get(address) == data
    assert dict(vault.items()) == {address: data}
    vault.forget(list(stored.kept.items()))
    assert vault.get(address) == data  # only its party's key ends it
    vault.erase(vault.retire(whose))
    assert dict(vault.items()) == {}


@given(
    forgotten=st.lists(st.lists(st.binary(min_size=32, max_size=32), max_size=4), max_size=4),
    others=st.lists(st.binary(min_size=32, max_size=32), max_size=4),
)
def test_branches_lead_to_all_but_what_is_forgotten(forgotten: list[list[bytes]], others: list[bytes]) -> None:
    root, secret = b"r" * 32, b"s" * 32
    kept = {Branch(root): secret}
    for some in forgotten:
        for branch, own in list(kept.items()):
            under = [address for address in some if branch.covers(address)]
            if under:
                del kept[branch]
                kept.update(branch.without(under, own))
    gone = {address[: DEPTH // 8] for some in forgotten for address in some}
    for address in {*others, *(each for some in forgotten for each in some)}:
        ways = [(branch, kept[branch]) for branch in branches_to(root, address) if branch in kept]
        if address[: DEPTH // 8] in gone:
            assert ways == []
        else:
            [(branch, own)] = ways
            assert branch.key_of(address, own) == Branch(root).key_of(address, secret)
    assert len({branch.id for branch in kept}) == len(kept) <= 1 + DEPTH * len(gone)


class _Fixed:
    """A vault as it was."""

    joins = False

    def __init__(self, kept: dict[bytes, bytes]) -> None:
        self.kept = kept

    def put(self, items: Any, *, connection: Any = None) -> None:
        self.kept.update(items)

    def get(self, address: bytes) -> bytes:
        if address not in self.kept:
            raise NotFound(address.hex())
        return self.kept[address]

    def items(self) -> Any:
        return iter(self.kept.items())

    def erase(self, addresses: Any, *, connection: Any = None) -> None:
        for address in addresses:
            self.kept.pop(address, None)


def test_what_comes_after_an_erasure_has_another_key(shop: Shop) -> None:
    desk = shop.ledger
    first = desk.erase(subject=shop.ada)
    title = shop.field(shop.work(title="Later"), "title")
    assert shop.stored(title)[1:33].hex() not in first.erased
    assert desk.item(title) is not None
    rebuild_index(shop.url, subject_keys=shop.keys)  # applies every erasure again
    assert desk.item(title) is not None
    second = desk.erase(subject=shop.ada)
    assert title.hex() in second.erased
    assert set(second.erased).isdisjoint(first.erased)
    assert desk.erase(subject=shop.ada).ticket is None
    assert shop.faults() == []


def test_what_is_held_keeps_its_key(shop: Shop) -> None:
    desk = shop.ledger
    name, ref = shop.field(shop.ada, "name"), shop.field(shop.ada, "ref")
    hold = desk.hold(name, ground="tax-records")
    done = desk.erase(subject=shop.ada)
    assert done.erased == (ref.hex(),)
    assert done.kept[0].address == name.hex()
    assert done.kept[1].reason == f"a key that may be over {name.hex()}, which is kept"
    assert desk.item(name) is not None
    desk.release_hold(hold)
    after = desk.erase(subject=shop.ada)
    assert set(after.erased) == {name.hex(), done.kept[1].address}


def test_the_key_of_the_market_is_not_one_persons(shop: Shop) -> None:
    desk = shop.ledger
    market = desk.market.hex()
    terms = desk.publish_terms("CC0-1.0", ref="terms:1")
    done = desk.erase(subject=market)
    assert len(done.erased) == 1  # its name
    assert desk.item(shop.field(terms, "ref")) is not None


def test_a_lost_item_does_not_keep_the_rest(shop: Shop) -> None:
    desk = shop.ledger
    name = shop.field(shop.ada, "name")
    desk._vault.erase([name])
    done = desk.erase(subject=shop.ada)
    assert name.hex() in done.erased  # should a backup still have it


@pytest.mark.parametrize("given", ["neither", "both"])
def test_opened_as_it_was_created(shop: Shop, tmp_path: Path, given: str) -> None:
    if given == "neither":
        with pytest.raises(StorageError, match="with subject_keys= as it was created"):
            connect(shop.url, publish=shop.folder / "public")
        with pytest.raises(StorageError, match="with subject_keys= as it was created"):
            backup(shop.url, tmp_path / "bk")
        return
    plain = f"sqlite:///{tmp_path / 'plain.db'}"
    create(plain, origin=ORIGIN)
    with pytest.raises(StorageError, match="not encrypted under keys of subjects; connect without"):
        connect(plain, subject_keys=shop.keys)


def test_keys_lie_apart(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="holds a ledger"):
        SqlSubjectKeys(shop.url)
    with pytest.raises(NotFound):
        SqlSubjectKeys(f"sqlite:///{tmp_path / 'nowhere.db'}")
    (tmp_path / "empty.db").touch()
    with pytest.raises(NotFound, match="holds no keys of subjects"):
        SqlSubjectKeys(f"sqlite:///{tmp_path / 'empty.db'}")


def test_a_backup_whose_keys_are_gone(shop: Shop, tmp_path: Path) -> None:
    backup(shop.url, tmp_path / "bk", subject_keys=shop.keys)
    for at in ("a", "b"):
        (tmp_path / at).mkdir()
        shutil.copytree(shop.folder / "market.keys", tmp_path / at / "market.keys")
    with pytest.raises(StorageError, match="give subject_keys="):
        restore(tmp_path / "bk", f"sqlite:///{tmp_path / 'a' / 'market.db'}", publish=None)
    put = restore(
        tmp_path / "bk",
        f"sqlite:///{tmp_path / 'b' / 'market.db'}",
        publish=None,
        subject_keys=f"sqlite:///{tmp_path / 'b' / 'other.db'}",
    )
    assert put.locked == 5  # three names and two refs


def test_plain_items_of_before_stay_readable(tmp_path: Path) -> None:
    """A plain backup, put back into a storage with keys."""
    url = f"sqlite:///{tmp_path / 'plain.db'}"
    desk = create(url, origin=ORIGIN, publish=tmp_path / "public")
    ada = desk.register_party("person", name=NAME)
    backup(url, tmp_path / "bk")
    (tmp_path / "new").mkdir()
    shutil.copytree(tmp_path / "plain.keys", tmp_path / "new" / "market.keys")
    where = {"publish": tmp_path / "public", "subject_keys": f"sqlite:///{tmp_path / 'subjects.db'}"}
    restore(tmp_path / "bk", f"sqlite:///{tmp_path / 'new' / 'market.db'}", **where)  # type: ignore[arg-type]
    again = connect(f"sqlite:///{tmp_path / 'new' / 'market.db'}", **where)  # type: ignore[arg-type]
    address = bytes.fromhex(orjson.loads(again.event(ada))["commits"]["name"])
    assert again.item(address) is not None
    bo = again.register_party("person", name="Bo")
    other = bytes.fromhex(orjson.loads(again.event(bo))["commits"]["name"])
    assert is_wrapped(again._vault.stored.get(other))  # type: ignore[attr-defined]
    assert set(again.erase(subject=bo).erased) > {other.hex()}
    assert again.erase(subject=ada).erased == (address.hex(),)


class _Stubborn(SqlSubjectKeys):
    """A store of keys that goes away when it is to destroy some, before it did or after."""

    away = ""

    def destroy(self, key_ids: Any) -> None:
        wanted = list(key_ids)
        if wanted and self.away == "before":
            msg = "keys: away"
            raise Unavailable(msg)
        super().destroy(wanted)
        if wanted and self.away == "after":
            msg = "keys: away, and nobody knows whether it was done"
            raise Unavailable(msg)


@pytest.mark.parametrize("away", ["before", "after"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_store_of_keys_that_was_away_is_told_later(tmp_path: Path, away: str, apart: bool) -> None:
    keys = _Stubborn(f"sqlite:///{tmp_path / 'subjects.db'}", create=True)
    vault = {"vault": ObjectVault(Bucket.open("memory://"))} if apart else {}
    shop = Shop(tmp_path / "shop", **{"subject_keys": keys, **vault})
    name = shop.field(shop.ada, "name")
    key = shop.stored(name)[1:33]
    keys.away = away
    with pytest.raises(Unavailable):
        shop.ledger.erase(subject=shop.ada)
    keys.away = ""
    desk = shop.reopen()
    desk.publish()
    assert keys.find([key]) == {}
    assert desk.item(name) is None
    with pytest.raises(NotFound):
        shop.stored(name)
    assert desk.index.erased([name, key]).keys() == {name, key}
    assert desk.erase(subject=shop.ada).ticket is None


def test_with_a_vault_in_a_bucket(tmp_path: Path) -> None:
    vault = ObjectVault(Bucket.open("memory://"))
    shop = Shop(tmp_path / "shop", vault=vault)
    address = shop.field(shop.ada, "name")
    assert is_wrapped(vault.get(address))
    assert shop.ledger.item(address) is not None
    done = shop.ledger.erase(subject=shop.ada)
    assert len(done.erased) == 3
    assert shop.ledger.item(address) is None


# The vault and its keys by themselves


@pytest.fixture
def keys(tmp_path: Path) -> SqlSubjectKeys:
    return SqlSubjectKeys(f"sqlite:///{tmp_path / 'subjects.db'}", create=True)


def item(text: str) -> tuple[bytes, bytes]:
    made = Item.new("note", text)
    return made.address, bytes(made)


def test_of_whom_an_item_is() -> None:
    someone, other, work = "aa" * 32, "bb" * 32, "cc" * 32

    def of(type_: str, refs: list[dict[str, Any]], actor: str = someone) -> str:
        event = orjson.dumps({"type": type_, "actor": actor, "refs": refs})
        return subject_of(type_, bytes.fromhex(work), event).hex()

    assert of("party.register", []) == work
    assert of("work.create", [{"role": "creator", "id": other}, {"role": "creator", "id": work}]) == other
    assert of("work.create", [{"role": "creator", "id": {"scheme": "orcid", "id": "1"}}]) == someone
    assert of("grant.issue", [{"role": "work", "id": work}, {"role": "licensee", "id": other}]) == other
    assert of("consent.record", [{"role": "controller", "id": work}, {"role": "subject", "id": other}]) == other
    assert of("offer.attach", [{"role": "work", "id": other}]) == someone
    assert of("anything", [], actor="self") == work
    for event in (b"", b"{}", b"[1]", b'{"actor":1,"refs":[]}', b'{"actor":"ff","refs":[]}'):
        assert subject_of("work.create", bytes(32), event) == NOBODY


def test_two_who_make_a_key_get_the_same(keys: SqlSubjectKeys) -> None:
    other = SqlSubjectKeys(keys.url)
    wanted = {(b"s" * 32, "fields"), (b"s" * 32, "events"), (b"t" * 32, "fields")}
    found = keys.current(wanted)  # type: ignore[arg-type]
    assert other.current(wanted) == found  # type: ignore[arg-type]
    assert len({key.id for key in found.values()}) == 3
    ids = [key.id for key in found.values()]
    assert other.find(ids) == {key.id: key.secret for key in found.values()}
    mine = found[b"s" * 32, "fields"]
    assert keys.retire(b"s" * 32, "fields") == [mine.id]
    new = other.current([(b"s" * 32, "fields")])[b"s" * 32, "fields"]
    assert new.id != mine.id
    assert keys.find([mine.id]) == {mine.id: mine.secret}
    assert set(keys.retire(b"s" * 32, "fields")) == {mine.id, new.id}
    keys.destroy([mine.id, new.id, bytes(32)])
    assert other.find([*ids, new.id]).keys() == set(ids) - {mine.id}
    assert keys.retire(b"s" * 32, "fields") == []
    assert mine.secret not in Path(keys.name).read_bytes()


@given(texts=st.lists(st.text(max_size=50), max_size=5, unique=True), at=st.integers(0, 4))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, texts: list[str], at: int) -> None:
    keys = SqlSubjectKeys(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'k.db'}", create=True)
    stored = _Fixed({})
    vault = WrappingVault(stored, keys)
    assert isinstance(vault, ReadsMany)
    pairs = [item(text) for text in texts]
    event = Staged(0, bytes(32), "offer.attach", orjson.dumps({"actor": "ab" * 32, "refs": []}), (), None, sealed=False)
    keep(vault, [Owned(address, data, event) for address, data in pairs])
    assert dict(vault.items()) == dict(pairs)
    assert vault.many([address for address, _ in pairs] + [b"?" * 32]) == dict(pairs)
    if pairs:
        address, data = pairs[at % len(pairs)]
        plain = stored.kept[address]
        stored.kept[address] = plain[:-1] + bytes([plain[-1] ^ 1])
        assert vault.get(address) == stored.kept[address] != data  # whoever hashes it sees that it was changed
        stored.kept[address] = plain
        others = [each for each, _ in pairs if each != address]
        if others:
            stored.kept[others[0]] = plain  # moved to another place
            assert sha256(vault.get(others[0])).digest() != others[0]
        vault.erase(vault.retire(bytes.fromhex("ab" * 32)))
        with pytest.raises(NotFound):
            vault.get(address)
        assert dict(vault.items()) == {}
    keys.close()


def test_a_line_of_a_backup_that_is_none() -> None:
    from adapters.backup.tables import item_line, parse_item

    wrapped = b"\x01" + bytes(80)
    assert parse_item(item_line(b"a" * 32, wrapped)) == (b"a" * 32, wrapped)
    assert parse_item(b'{"kind":"note"}') == (sha256(b'{"kind":"note"}').digest(), b'{"kind":"note"}')
    for bad in (b"ab" * 32 + b" ???", b"ab" * 32 + b" eyJ9"):
        with pytest.raises(MalformedError):
            parse_item(bad)
