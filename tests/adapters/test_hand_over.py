"""A log goes on under other keys: whoever knows either side follows, and nobody signs with what was retired."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters import connect, create, open_log
from adapters.hand_over import hand_over
from ledger import (
    Conflict,
    Policy,
    Proof,
    SigningKey,
    UnknownKey,
)
from ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from provenance import audit
from provenance.ledger import ProvenanceLedger
from provenance.succession import read_links

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
    assert done.checkpoint.size == done.after.since
    assert [line.last for line in done.after.lines] == [done.checkpoint.size, None]
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
    with pytest.raises((UnknownKey, Conflict)):
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
