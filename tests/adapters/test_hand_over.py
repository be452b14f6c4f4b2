"""A log goes on under other keys: whoever knows either side follows, and nobody signs with what was retired."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from adapters import connect, create, open_log
from adapters.backup import backup, restore
from adapters.files import Directory
from adapters.fsck import open_holdings
from adapters.hand_over import hand_over
from adapters.recover import recover
from adapters.sql.store import SqlStore
from ledger import (
    Conflict,
    InvalidSignature,
    MalformedError,
    NotFound,
    Policy,
    Proof,
    ProofMismatch,
    RemoteKey,
    SigningKey,
    UnknownKey,
    VerificationError,
    VerifierKey,
)
from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from ledger.cosignature import ML_DSA_44, Cosigner, CosignerKey
from ledger.edge import Edge
from ledger.keyring import Keyring
from ledger.log import Log
from ledger.merkle import prove_inclusion
from ledger.note import Note
from ledger.policy import LogLine
from ledger.reader import TileReader
from ledger.refill import refill
from ledger.storage import Row
from provenance import audit
from provenance.canonical import address
from provenance.events import new_event
from provenance.keys import RemotePartyKey
from provenance.ledger import ProvenanceLedger
from provenance.statement import sign_statement
from provenance.succession import Link, follow, read_links

ORIGIN = "market.example/log"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=61)
        return self.now


class Market(NamedTuple):
    folder: Path
    url: str
    public: Path
    clock: Clock

    def open(self, **more: object) -> ProvenanceLedger:
        return connect(self.url, publish=self.public, clock=self.clock, **more)

    @property
    def policy(self) -> Policy:
        return Policy.parse((self.public / "market.policy").read_text())

    def new_key(self, name: str = "next.key") -> SigningKey:
        key = SigningKey.generate(ORIGIN)
        self.secret(name, str(key))
        return key

    def secret(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    def hand_over(self, **to: str):
        uris = {name: f"file:{self.folder / file}" for name, file in to.items()}
        return hand_over(self.url, to=uris, publish=self.public, clock=self.clock)


@pytest.fixture
def market(tmp_path) -> Market:
    clock = Clock()
    made = Market(tmp_path, f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "public", clock)
    ledger = create(made.url, origin=ORIGIN, publish=made.public, clock=clock)
    ledger.register_party("person", name="Ada", ref="user:1")
    return made


def test_who_knows_either_key_follows_to_the_other(market):
    first = market.policy
    before = market.open()
    ticket = before.find("user:1")
    old = bytes(before.receipt(ticket).proof)
    entry = before.receipt(ticket).entry
    key = market.new_key()
    done = market.hand_over(log="next.key")
    size = done.checkpoint.size
    assert [(line.first, line.last) for line in done.after.lines] == [(0, size), (size, None)]
    ledger = market.open()
    ledger.register_party("person", name="Bo", ref="user:2")
    second = market.policy
    assert second.keys(ORIGIN) == (key.verifier,)
    # The newest checkpoint is by the new key alone, the last one of before by both.
    with pytest.raises(UnknownKey):
        open_checkpoint((market.public / "checkpoint").read_bytes(), first)
    link = read_links(open_log(market.public, second))[0]
    for policy in (first, second):
        checkpoint, said = link.verify(policy)
        assert (checkpoint.size, said.body.log_keys) == (done.checkpoint.size, (str(key.verifier),))
        log = open_log(market.public, policy)
        assert audit(log).findings == ()
        assert Proof.parse(old).verify(entry, log.policy).size < done.checkpoint.size
    # What was proven before needs nothing new.
    Proof.parse(old).verify(entry, first)


def test_a_retired_key_signs_nothing_newer_that_is_accepted(market):
    stolen = SigningKey.parse(_read(market, "log.key"))
    first = market.policy
    market.new_key()
    size = market.hand_over(log="next.key").checkpoint.size
    ledger = market.open()
    ledger.register_party("person", name="Bo", ref="user:2")
    log = open_log(market.public, first)
    at = log.checkpoint
    forged = sign_checkpoint(Checkpoint(ORIGIN, at.size, at.root), stolen)
    with pytest.raises(UnknownKey, match=f"which counts from size 0 to {size}"):
        open_checkpoint(forged.signed, log.policy)
    (market.public / "checkpoint").write_bytes(forged.signed)
    with pytest.raises(UnknownKey):
        open_log(market.public, first)
    # Who is shown no link believes the key, and finds in the log itself that it was retired.
    shutil.rmtree(market.public / "keys")
    found = audit(open_log(market.public, first)).findings
    assert "log.keys" in {finding.rule for finding in found}


def test_a_process_with_the_key_of_before_takes_the_new_one_or_stops(market):
    worker, web = market.open(), market.open(signs=False)
    held = market.open(keys={**_keys(market), "log": SigningKey.parse(_read(market, "log.key"))})
    market.new_key()
    market.hand_over(log="next.key")
    web_ticket = web.register_party("person", name="Bo", ref="user:2")  # sales go on
    worker.publish()
    assert web.receipt(web_ticket).index
    open_checkpoint((market.public / "checkpoint").read_bytes(), market.policy)
    with pytest.raises(UnknownKey, match="open it with the log key"):
        held.register_party("person", name="Cy", ref="user:3")
    assert held.waiting == 1  # accepted, and for another to sequence
    worker.publish()
    assert worker.waiting == 0


def test_what_was_interrupted_is_finished_by_the_same_call(market, monkeypatch):
    market.new_key()
    for broken in (
        "adapters.hand_over.show_key_files",
        "adapters.hand_over.sync_directory",
        "adapters.assemble.Parts.note_layout",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(broken, _killed)
            with pytest.raises(KeyboardInterrupt):
                market.hand_over(log="next.key")
        # Nobody can sign meanwhile, and nothing is lost.
        assert _keys_on(market).size > 0
    done = market.hand_over(log="next.key")
    market.open().register_party("person", name="Bo", ref="user:2")
    assert len(read_links(open_log(market.public, market.policy))) == 1
    assert audit(open_log(market.public, market.policy)).findings == ()
    assert done.after.verifiers == market.open().log.keys.verifiers


def _keys_on(market: Market) -> Checkpoint:
    return connect(market.url, publish=market.public, signs=False).log.signed


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _keys(market: Market) -> dict[str, str]:
    folder = market.folder / "market.keys"
    return {
        name: f"file:{folder / file}"
        for name, file in (("log", "log.key"), ("market", "market.key"), ("claim", "claim.pem"))
    }


def _read(market: Market, name: str) -> str:
    return (market.folder / "market.keys" / name).read_text().strip()


# ML-DSA-44


def test_a_log_that_begins_with_ml_dsa_never_signs_without(tmp_path):
    url, public = f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "public"
    create(url, origin=ORIGIN, publish=public, post_quantum=True).register_party("person", name="Ada")
    ed, pq = (Policy.parse((public / name).read_text()) for name in ("market.policy", "market-pq.policy"))
    assert [type(line.key) for line in (*ed.logs, *pq.logs)] == [VerifierKey, CosignerKey]
    for policy in (ed, pq):
        assert audit(open_log(public, policy)).findings == ()
        Proof.parse(bytes(connect(url, publish=public).log.prove(1))).verify(open_log(public, policy).entry(1), policy)
    # The log key alone opens nothing, neither here nor for a log that is put together by hand.
    (tmp_path / "market.keys" / "log-pq.key").rename(tmp_path / "away.key")
    with pytest.raises(NotFound, match=r"log-pq\.key"):
        connect(url, publish=public)
    alone = SigningKey.parse((tmp_path / "market.keys" / "log.key").read_text().strip())
    with pytest.raises(Conflict, match="signs no more"):
        Log.open(SqlStore(url), alone).append(b"an entry")
    assert [finding.rule for finding in audit(open_log(public, pq)).findings] == []


def test_ml_dsa_is_added_and_changed_by_hand_overs(market):
    first = market.policy
    market.secret("pq.key", str(one := Cosigner.generate(ORIGIN, ML_DSA_44)))
    market.hand_over(log_pq="pq.key")
    pinned = Policy.parse((market.public / "market-pq.policy").read_text())
    market.open().register_party("person", name="Bo")
    market.new_key()
    market.secret("pq2.key", str(two := Cosigner.generate(ORIGIN, ML_DSA_44)))
    done = market.hand_over(log="next.key", log_pq="pq2.key")
    market.open().register_party("person", name="Cy")
    assert done.after.verifiers[1] == two.verifier
    assert {line.key for line in done.after.lines if line.last == done.checkpoint.size} == {
        first.keys(ORIGIN)[0],
        one.verifier,
    }
    last = Policy.parse((market.public / "market-pq.policy").read_text())
    for policy in (first, pinned, market.policy, last):
        assert audit(open_log(market.public, policy)).findings == ()
    with pytest.raises(UnknownKey):
        open_checkpoint((market.public / "checkpoint").read_bytes(), pinned)


def test_a_machine_without_ml_dsa_says_so_in_one_line(market, monkeypatch):
    market.secret("pq.key", str(Cosigner.generate(ORIGIN, ML_DSA_44)))
    monkeypatch.setattr("ledger.cosignature.mldsa", None)
    with pytest.raises(UnknownKey, match="ML-DSA-44: the installed `cryptography` has no such keys"):
        market.hand_over(log_pq="pq.key")
    assert market.open().log.keys.also is None


# What is refused, and what lies elsewhere


def test_keys_that_the_log_has_or_had_are_no_next_keys(market):
    old = _read(market, "log.key")
    market.new_key()
    market.hand_over(log="next.key")
    size = market.open().log.size
    for text, why in ((old, "was retired before"), (_read(market, "log.key"), "has these keys already")):
        market.secret("again.key", text)
        with pytest.raises(UnknownKey, match=why):
            hand_over(market.url, to={"log": f"file:{market.folder / 'again.key'}"}, publish=market.public)
        (market.folder / "again.key").unlink()
    market.secret("other.key", str(SigningKey.generate("elsewhere.example/log")))
    with pytest.raises((MalformedError, UnknownKey)):
        market.hand_over(log="other.key")
    assert market.open().log.size == size


@pytest.mark.parametrize("name, at", [("log", 0), ("log_pq", 1)])
def test_a_next_key_that_is_not_there_is_named(market, name, at):
    market.secret("pq.key", str(Cosigner.generate(ORIGIN, ML_DSA_44)))
    market.hand_over(log_pq="pq.key")
    market.new_key()
    log = market.open().log
    held = log.keys.verifiers[at].key_id.hex()
    with pytest.raises(UnknownKey, match=rf"mistyped\.key: no key there, and {ORIGIN} signs with {held} now"):
        market.hand_over(**{"log": "next.key", name: "mistyped.key"})
    assert market.open().log.size == log.size
    market.hand_over(log="next.key")


def test_a_first_ml_dsa_key_that_is_not_there_is_named(market):
    with pytest.raises(NotFound, match=r"mistyped\.key: no such key file"):
        market.hand_over(log_pq="mistyped.key")


def test_a_key_in_a_service_takes_over(market):
    secret = SigningKey.generate(ORIGIN)
    service = RemoteKey(secret.verifier, secret.sign_bytes)
    done = hand_over(market.url, to={"log": service}, publish=market.public, clock=market.clock)
    assert done.moved == ()
    with pytest.raises(UnknownKey, match="this log is signed by"):
        market.open()
    market.open(keys={**_keys(market), "log": service}).register_party("person", name="Bo")
    assert audit(open_log(market.public, market.policy)).findings == ()


def test_links_that_are_not_the_logs_own(market):
    market.new_key()
    market.hand_over(log="next.key")
    place = market.public / "keys" / "000.tlog-proof"
    data = place.read_bytes()
    link = Link.parse(data)
    assert bytes(link) == data
    first = Policy.of(market.open().log.keys.lines[0].key)
    for wrong in (
        replace(link, event=link.event.replace(b'"retired"', b'"retyred"')),
        replace(link, entry=link.entry[:-1] + bytes([link.entry[-1] ^ 1])),
        replace(link, proof=replace(link.proof, index=link.proof.index - 1)),
    ):
        place.write_bytes(bytes(wrong))
        with pytest.raises((ProofMismatch, MalformedError)):
            open_log(market.public, first)
    for cut in (b"", data[:-1], data + b"x", data.replace(b"extra", b"extrb")):
        with pytest.raises((MalformedError, ProofMismatch, InvalidSignature)):
            Link.parse(cut).verify(first)
    place.write_bytes(data)
    # Another log's link is passed over: it leads from nowhere.
    stranger = Policy.of(SigningKey.generate(ORIGIN).verifier)
    assert follow(Directory(market.public), stranger) == stranger


def test_check_and_repair_know_what_was_handed_over(market):
    market.new_key()
    market.hand_over(log="next.key")
    market.open().register_party("person", name="Bo")
    holdings = open_holdings(market.url, published=[market.public], signatures=True)
    assert list(holdings.faults()) == []
    (market.public / "log.vkey").write_text("elsewhere\n")
    assert [fault.place for fault in holdings.faults()] == ["log.vkey"]
    holdings.repair()
    assert list(holdings.faults()) == []


# Whoever holds a key that was replaced, or the place where the log is shown


def forged(
    said: bytes,
    stolen: SigningKey,
    *,
    thief: SigningKey,
    size: int,
    retired: SigningKey,
    prev: str,
    by: SigningKey | None = None,
) -> bytes:
    """A link to the key of a thief, in a tree of its own that the stolen key signs, said by that or `by` another."""
    body = {"log_keys": [str(thief.verifier)], "retired": [str(retired.verifier)]}
    actor = orjson.loads(said)["actor"]
    refs = [{"role": "prev", "id": prev}]
    draft = new_event(
        "log.keys",
        ledger=ORIGIN,
        actor=actor,
        strength="self",
        claimed_at="2026-11-02T12:00:00Z",
        body=body,
        refs=refs,
    )
    party = RemotePartyKey.of(by or stolen)
    entry = sign_statement(party, issuer=actor, type=draft.type, origin=ORIGIN, event_id=draft.id)
    edge = Edge()
    edge.extend([Row(b"%d" % at, b"") for at in range(size - 1)] + [Row(entry, b"")])
    nodes = TileReader(size, edge.root(), dict(edge.partial()[0]).__getitem__)
    signed = sign_checkpoint(Checkpoint(ORIGIN, size, edge.root()), stolen, thief).signed
    return bytes(Link(Proof(size - 1, prove_inclusion(size - 1, size, nodes), signed), entry, draft.data))


def test_a_thief_of_a_key_that_was_replaced_leads_nobody_anywhere(market):
    """By links beside or in place of the log's own, for whoever knows a later key or sees the log's own as well."""
    stolen = SigningKey.parse(_read(market, "log.key"))
    first = market.policy
    second = market.new_key()
    market.hand_over(log="next.key")
    market.open().register_party("person", name="Bo")
    third, thief = market.new_key("third.key"), SigningKey.generate(ORIGIN)
    market.hand_over(log="third.key")
    market.open().register_party("person", name="Cy")
    folder = market.public / "keys"
    real = [Link.parse(path.read_bytes()) for path in sorted(folder.iterdir())]
    genesis, *ids = [orjson.loads(link.event)["refs"][0]["id"] for link in real]
    ids.append(address(real[-1].event).hex())
    sizes = [link.proof.index + 1 for link in real]
    known = [first, *(Policy.of(key.verifier) for key in (second, third))]
    forge = partial(forged, real[0].event, thief=thief)
    alone = forge(stolen, size=5, retired=stolen, prev=genesis)
    attacks = {
        "another successor, in its own tree": (2, alone),
        "in the name of the newest": (2, forge(stolen, size=5, retired=third, prev=ids[-1])),
        "as if it went on": (2, forge(stolen, size=99, retired=third, prev=ids[-1])),
        "between": (1, forge(stolen, size=99, retired=second, prev=ids[0])),
        "said by the new key": (2, forge(stolen, size=99, retired=third, prev=ids[-1], by=thief)),
        "the first again": (2, bytes(real[0])),
        "in another order": (0, bytes(real[1])),
    }
    for policy in known:
        assert follow(Directory(market.public), policy) != policy
    for name, (number, data) in attacks.items():
        place = folder / f"{number:03d}.tlog-proof"
        there = place.read_bytes() if place.exists() else None
        place.write_bytes(data)
        for policy in known:
            with suppress(VerificationError):
                assert follow(Directory(market.public), policy) == policy, name
        place.unlink() if there is None else place.write_bytes(there)
    # In place of the log's own it leads those alone who know nothing newer than the stolen key.
    (folder / "000.tlog-proof").write_bytes(alone)
    (folder / "001.tlog-proof").unlink()
    for policy in known[1:]:
        assert follow(Directory(market.public), policy) == policy
    earlier = first.succeeded([LogLine(stolen.verifier, last=sizes[0]), LogLine(second.verifier, first=sizes[0])])
    with pytest.raises(ProofMismatch, match="the log has two histories"):
        follow(Directory(market.public), earlier)


def test_who_pins_ml_dsa_alone_is_led_to_no_other_kind(market):
    market.new_key()
    market.hand_over(log="next.key")
    market.secret("pq.key", str(Cosigner.generate(ORIGIN, ML_DSA_44)))
    market.hand_over(log_pq="pq.key")
    pinned = Policy.parse((market.public / "market-pq.policy").read_text())
    market.new_key("third.key")
    market.hand_over(log="third.key")
    market.open().register_party("person", name="Bo")
    log = open_log(market.public, pinned)
    assert {type(key) for key in log.policy.log_keys(ORIGIN)} == {CosignerKey}
    assert audit(log).findings == ()
    assert {type(key) for key in open_log(market.public, market.policy).policy.log_keys(ORIGIN)} == {VerifierKey}


def test_who_holds_one_of_two_keys_that_stay_signs_no_more(tmp_path):
    """The ML-DSA-44 key stays when the other one is handed over: it does not make its holder the one who signs."""
    clock = Clock()
    market = Market(tmp_path, f"sqlite:///{tmp_path / 'market.db'}", tmp_path / "public", clock)
    create(market.url, origin=ORIGIN, publish=market.public, post_quantum=True, clock=clock)
    worker, first = market.open(), market.policy
    secrets = {"log": SigningKey.parse(_read(market, "log.key")), "log_pq": Cosigner.parse(_read(market, "log-pq.key"))}
    held = Log.open(SqlStore(market.url), Keyring(secrets["log"], secrets["log_pq"]))
    new = market.new_key()
    market.hand_over(log="next.key")
    market.open().register_party("person", name="Bo")
    with pytest.raises((Conflict, UnknownKey)):
        held.append(b"an entry")
    worker.register_party("person", name="Cy")
    signed = Note.parse((market.public / "checkpoint").read_bytes())
    assert {line.key_id for line in signed.signatures} == {new.verifier.key_id, secrets["log_pq"].verifier.key_id}
    assert audit(open_log(market.public, first)).findings == ()


# Places and copies


def test_every_place_shows_every_link(market):
    """One that was not there for a while, one that is new, a restored backup, a copy by anybody."""
    first = market.policy
    for number in range(3):
        market.new_key(f"{number}.key")
        uri = {"log": f"file:{market.folder / f'{number}.key'}"}
        place = market.folder / ("elsewhere" if number == 1 else "public")
        hand_over(market.url, to=uri, publish=place, clock=market.clock)
    market.open().register_party("person", name="Bo")
    new = market.folder / "new"
    ledger = connect(market.url, publish=new, clock=market.clock)
    ledger.publish()
    backup(market.url, market.folder / "backup")
    keys = _keys(market)
    again = f"sqlite:///{market.folder / 'again.db'}"
    restore(market.folder / "backup", again, publish=market.folder / "gone", keys=keys)
    restored = connect(again, publish=market.folder / "shown", keys=keys, clock=market.clock)
    restored.publish()
    assert restored.log.keys == ledger.log.keys
    for place in (market.public, new, market.folder / "backup", market.folder / "shown"):
        assert len(read_links(Directory(place))) == 3
        assert audit(open_log(place, first)).findings == ()
    shutil.rmtree(new / "keys")
    holdings = open_holdings(market.url, published=[new])
    assert next(fault.place for fault in holdings.faults()) == "keys/000.tlog-proof"
    holdings.repair()
    assert list(holdings.faults()) == []


def test_a_storage_that_is_filled_from_others_goes_on_by_the_right_key(market, tmp_path):
    """What others may have written around the log's own lines does not decide who signs next."""
    old = SigningKey.parse(_read(market, "log.key"))
    new = market.new_key()
    done = market.hand_over(log="next.key")
    place = market.public / "checkpoint"
    note = Note.parse(place.read_bytes())
    witness = Cosigner.generate("north.example/w").sign(done.checkpoint, time=1_800_000_000)
    place.write_bytes(bytes(Note(note.text, (witness, *reversed(note.signatures)))))
    store = SqlStore(f"sqlite:///{tmp_path / 'again.db'}", create=True)
    refill(store, done.after, Directory(market.public))
    with pytest.raises(Conflict, match="signs no more"):
        Log.open(store, replace(done.before, key=old)).append(b"an entry")
    assert Log.open(store, replace(done.after, key=new)).append(b"an entry") == done.checkpoint.size


def test_a_database_that_was_put_back_to_before_a_hand_over(market):
    first = market.policy
    database, before = market.folder / "market.db", market.folder / "before.db"
    with sqlite3.connect(database) as there, sqlite3.connect(before) as copy:
        there.backup(copy)
    market.new_key()
    size = market.hand_over(log="next.key").checkpoint.size
    market.open().register_party("person", name="Bo", ref="user:2")
    url = f"sqlite:///{before}"
    keys = _keys(market)
    old = SigningKey.parse(next(path for path in (market.folder / "market.keys").glob("log.*.key")).read_text().strip())
    for log in (keys["log"], old):
        with pytest.raises(UnknownKey, match=r"recover that|refill it from what is published"):
            connect(url, publish=market.public, keys={**keys, "log": log})
    assert recover(url, market.public).refilled.stop == market.open().log.size
    ledger = connect(url, publish=market.public, keys=keys, clock=market.clock)
    ledger.register_party("person", name="Cy", ref="user:3")
    assert [line.last for line in ledger.log.keys.lines] == [size, None]
    assert audit(open_log(market.public, first)).findings == ()
