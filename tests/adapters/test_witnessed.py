"""A log with witnesses: readers see what a quorum has cosigned, sales never wait, two markets witness each other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters import connect, create, open_log
from adapters.backup import backup, restore
from adapters.hand_over import hand_over
from adapters.sql.store import SqlStore
from adapters.witness.seen import Seen
from adapters.witness.server import WitnessServer
from ledger import (
    Checkpoint,
    Conflict,
    LedgerError,
    MalformedError,
    Policy,
    ProofMismatch,
    QuorumNotMet,
    Rollback,
    SigningKey,
    UnknownKey,
)
from ledger.checkpoint import open_checkpoint
from ledger.cosignature import ED25519, Cosigner, CosignerKey
from ledger.cosigning import Witnessing
from ledger.keyring import Keyring
from ledger.log import Log
from ledger.note import Signature, VerifierKey
from ledger.storage import Objects, Row
from ledger.testing import MemoryStore
from ledger.witness import Request, Witness, read_answer
from provenance import ProvenanceLedger, audit

KEY = SigningKey("market.example/log", bytes(range(32)))
NAMES = ("north.example/w", "harbour.example/w", "civic.example/w")


class Friends:
    """Three witnesses in this process, each of which may stay away."""

    def __init__(self, *keys: SigningKey) -> None:
        self.cosigners = [Cosigner(name, ED25519, bytes([at]) * 32) for at, name in enumerate(NAMES, 1)]
        self.logs: dict[str, list[VerifierKey]] = {}
        for key in keys:
            self.logs.setdefault(key.name, []).append(key.verifier)
        self.seen = [MemoryStore() for _ in NAMES]
        self.away: set[int] = set()
        self.asked = 0

    def policy(self, *keys: object, need: str = "2") -> Policy:
        lines = [f"witness w{at} {cosigner.verifier}" for at, cosigner in enumerate(self.cosigners)]
        logs = [f"log {key}" for key in keys]
        return Policy.parse("\n".join([*logs, *lines, f"group all3 {need} w0 w1 w2", "quorum all3", ""]))

    def collect(self, checkpoint: Checkpoint, prove: Callable[[int], tuple[bytes, ...]]) -> tuple[Signature, ...]:
        self.asked += 1
        found: list[Signature] = []
        for at, cosigner in enumerate(self.cosigners):
            if at in self.away:
                continue
            witness = Witness(self.logs, [cosigner], self.seen[at])
            old = 0
            for _ in range(2):
                proof = prove(old) if 0 < old < checkpoint.size else ()
                answer = witness.add_checkpoint(bytes(Request(old, proof, checkpoint.signed)), time=1_800_000_000)
                said = read_answer(answer.status, answer.body)
                if not isinstance(said, int):
                    found += said
                    break
                old = said
        return tuple(found)


@pytest.fixture
def friends() -> Friends:
    return Friends(KEY)


def shown(place: MemoryStore, policy: Policy) -> int:
    return open_checkpoint(place.get("checkpoint"), policy).size


@pytest.fixture(params=["database", "objects"])
def store(request, tmp_path) -> Objects:
    """Where the log is; a storage without transactions is read by others itself."""
    return SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True) if request.param == "database" else MemoryStore()


@pytest.fixture
def place() -> MemoryStore:
    """Where others read it."""
    return MemoryStore()


def log_with(friends: Friends, store: Objects, place: MemoryStore, *, fails_open: bool = False) -> Log:
    with suppress(Conflict):
        Log.create(store, KEY, b"genesis", publish=[place])
    return Log.open(store, KEY, publish=[place], witnessing=Witnessing(friends.policy(), friends, fails_open))


# The log


def test_readers_see_what_a_quorum_has_cosigned_and_nothing_newer(friends, store, place):
    log, policy = log_with(friends, store, place), friends.policy(KEY.verifier)
    with pytest.raises(QuorumNotMet):
        shown(place, policy)  # the genesis was shown before anybody was asked
    first = log.append(b"one")
    log.publish()
    assert [shown(each, policy) for each in log.places] == [2] * len(log.places)
    assert log.prove(first).verify(b"one", policy).size == 2
    friends.away = {0, 1}
    second = log.append(b"two")
    with pytest.raises(QuorumNotMet, match="absent: w0, w1"):
        log.publish()
    # Sequenced and signed, and nobody is shown it; nor by another process, or after a crash.
    for each in (log, log_with(friends, store, place)):
        assert (each.size, each.signed.size, each.checkpoint.size) == (3, 3, 2)
        assert [shown(each, policy) for each in log.places] == [2] * len(log.places)
        with pytest.raises(ProofMismatch):
            each.prove(second)
    friends.away = {0}
    assert log.publish().size == shown(place, policy) == 3
    assert log.prove(second).verify(b"two", policy).size == 3
    assert len(log.prove_consistency(2)) == 1


def test_to_publish_without_a_quorum_is_a_choice_that_readers_see(friends, store, place, caplog):
    log = log_with(friends, store, place, fails_open=True)
    friends.away = {0, 1}
    log.append(b"one")
    with caplog.at_level(logging.WARNING, "ledger.cosigning"):
        assert log.publish().size == 2
    assert "published all the same" in caplog.text
    assert shown(place, Policy.of(KEY.verifier)) == 2
    with pytest.raises(QuorumNotMet):
        shown(place, friends.policy(KEY.verifier))
    # Later the quorum is there: the same checkpoint is shown again, with it.
    friends.away = set()
    log.publish()
    assert shown(place, friends.policy(KEY.verifier)) == 2


def test_what_has_a_quorum_is_not_asked_for_again(friends, store, place):
    log = log_with(friends, store, place)
    log.append(b"one")
    log.publish()
    asked = friends.asked
    log.publish()
    other = log_with(friends, store, place)
    other.publish()
    assert (friends.asked, other.checkpoint.size) == (asked, 2)


def test_another_process_reads_what_readers_are_shown(friends, store, place):
    log = log_with(friends, store, place)
    reading = Log.open(store, KEY.verifier, publish=[place], witnessing=Witnessing(friends.policy(), friends))
    index = log.append(b"one")
    log.publish()
    reading.refresh()
    assert reading.prove(index).verify(b"one", friends.policy(KEY.verifier)).size == 2


class Ahead:
    """Witnesses of which one holds a checkpoint of this log at `size`, the first time."""

    def __init__(self, size: int, then: Friends) -> None:
        self.size = size
        self.then = then
        self.meanwhile: Callable[[], object] = lambda: None

    def collect(self, checkpoint: Checkpoint, prove: Callable[[int], tuple[bytes, ...]]) -> tuple[Signature, ...]:
        self.meanwhile()
        if checkpoint.size < self.size:
            msg = f"{checkpoint.origin}: the storage is behind what a witness has seen"
            raise Rollback(msg, newest=Checkpoint(checkpoint.origin, self.size, bytes(32)))
        return self.then.collect(checkpoint, prove)


def test_a_witness_that_has_seen_more_than_the_storage_is_a_stop(friends, store, place):
    log_with(friends, store, place)
    log = Log.open(store, KEY, publish=[place], witnessing=Witnessing(friends.policy(), Ahead(900, friends)))
    log.append(b"one")
    with pytest.raises(Rollback, match="the storage is behind"):
        log.publish()
    assert shown(place, Policy.of(KEY.verifier)) == 1


def test_a_witness_that_another_process_was_at_is_none(friends, store, place):
    other = log_with(friends, store, place)
    ahead = Ahead(3, friends)
    ahead.meanwhile = lambda: other.size == 2 and other.append(b"two") and other.publish()
    log = Log.open(store, KEY, publish=[place], witnessing=Witnessing(friends.policy(), ahead))
    log.append(b"one")
    other.refresh()
    assert log.publish().size == 3


def test_witnesses_need_a_place_to_be_shown_at(friends, tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    Log.create(store, KEY, b"genesis")
    with pytest.raises(LedgerError, match="give a place to publish to"):
        Log.open(store, KEY, witnessing=Witnessing(friends.policy(), friends))


class Meanwhile:
    """Something happens while witnesses are asked, after which the log may be ahead; or then they are away."""

    def __init__(self, then: Friends, *, away: bool = False) -> None:
        self.then = then
        self.away = away
        self.happens: Callable[[], Checkpoint | None] = lambda: None

    def collect(self, checkpoint: Checkpoint, prove: Callable[[int], tuple[bytes, ...]]) -> tuple[Signature, ...]:
        happens, self.happens = self.happens, lambda: None
        if (newest := happens()) is not None and newest.size > checkpoint.size:
            msg = f"{checkpoint.origin}: the storage is behind what a witness has seen"
            raise Rollback(msg, newest=newest)
        return () if self.away else self.then.collect(checkpoint, prove)


def test_what_another_process_had_cosigned_is_published(friends, store, place):
    other, asked = log_with(friends, store, place), Meanwhile(friends, away=True)
    log = Log.open(store, KEY, publish=[place], witnessing=Witnessing(friends.policy(), asked))
    log.append(b"one")
    asked.happens = other.publish
    assert log.publish().size == shown(place, friends.policy(KEY.verifier)) == 2
    log.append(b"two")
    with pytest.raises(QuorumNotMet):
        log.publish()


def test_keys_change_while_witnesses_are_asked(friends, store, place):
    """The one who waited goes on by the new key, and so does who opens it with what it knew of before."""
    new = SigningKey(KEY.name, bytes([5] * 32))
    friends.logs[KEY.name].append(new.verifier)
    other, asked, now = log_with(friends, store, place), Meanwhile(friends), [Keyring(KEY)]
    witnessing = Witnessing(friends.policy(), asked)
    log = Log.open(store, KEY, publish=[place], witnessing=witnessing, renew=lambda: now[0])

    def change() -> Checkpoint:
        other.refresh()
        other.extend([Row(b"from here on another key", b"")], hand=(new, None))
        other.append(b"by that alone")
        now[0] = Keyring(KEY).next(new, None, size=other.size - 1)
        return other.publish()

    log.append(b"one")
    asked.happens = change
    assert log.publish() == other.checkpoint
    assert log.append(b"two") == 4
    late = Log.open(store, KEY, publish=[place], witnessing=witnessing, renew=lambda: now[0])
    assert late.publish().size == shown(place, friends.policy(new.verifier)) == 5
    with pytest.raises(UnknownKey):
        shown(place, friends.policy(KEY.verifier))


def test_nobody_is_its_own_witness(friends, store, place):
    log_with(friends, store, place)
    policy = Policy.parse(f"witness self {Cosigner.generate(KEY.name).verifier}\nquorum self\n")
    with pytest.raises(MalformedError, match="the log's own name"):
        Log.open(store, KEY, publish=[place], witnessing=Witnessing(policy, friends))


# Markets


class Market(NamedTuple):
    """A market that is a witness, too."""

    name: str
    folder: Path
    server: WitnessServer
    key: CosignerKey

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'market.db'}"

    @property
    def public(self) -> Path:
        return self.folder / "public"

    def open(self, **more: object) -> ProvenanceLedger:
        return connect(self.url, publish=self.public, **more)


@pytest.fixture
def markets(tmp_path):
    """Two markets, each with a witness on this machine that watches the log of the other one."""
    with ExitStack() as stack:
        names = ("ada.example", "bo.example")
        keys: dict[str, VerifierKey] = {}
        for name in names:
            (tmp_path / name).mkdir()
            made = create(
                f"sqlite:///{tmp_path / name / 'market.db'}", origin=f"{name}/log", publish=tmp_path / name / "public"
            )
            keys[name] = made.log.keys.verifiers[0]
        found = []
        for name, other in zip(names, reversed(names), strict=True):
            seen = stack.enter_context(closing(Seen(tmp_path / name / "seen.db", create=True)))
            cosigner = Cosigner.generate(f"{name}/witness")
            server = WitnessServer(Witness({f"{other}/log": [keys[other]]}, [cosigner], seen)).start()
            stack.callback(server.stop)
            found.append(Market(name, tmp_path / name, server, cosigner.verifier))
        yield found


def asking(*markets: Market) -> str:
    lines = [f"witness {market.name} {market.key} {market.server.url}" for market in markets]
    return "\n".join([*lines, f"group friends all {' '.join(market.name for market in markets)}", "quorum friends", ""])


def test_two_markets_witness_each_other_and_an_auditor_accepts_both(markets):
    ada, bo = markets
    ada.open(witnesses=asking(bo)).register_party("person", name="Ada")
    bo.open(witnesses=asking(ada)).register_party("person", name="Bo")
    for market, friend in ((ada, bo), (bo, ada)):
        published = Policy.parse((market.public / "market.policy").read_text())
        assert [witness.key for witness in published.witnesses] == [friend.key]
        # The auditor's own: both logs, both witnesses, each of which is asked for its log's friend.
        log = open_log(market.public, published)
        assert log.checkpoint.size == market.open(signs=False).log.size
        assert audit(log).findings == ()
    both = Policy.parse(
        f"log {(ada.public / 'log.vkey').read_text().strip()}\nlog {(bo.public / 'log.vkey').read_text().strip()}\n"
        f"witness ada {ada.key}\nwitness bo {bo.key}\ngroup either any ada bo\nquorum either\n"
    )
    assert {open_log(market.public, both).checkpoint.origin for market in markets} == both.origins


def test_an_auditor_with_a_policy_of_two_out_of_two(markets, tmp_path):
    """Both friends watch one log: a market may cosign its own as well, with another key, for whoever counts it."""
    ada, bo = markets
    ledger = ada.open()
    with closing(Seen(tmp_path / "own.db", create=True)) as seen:
        own = Cosigner.generate("ada.example/own-witness")
        server = WitnessServer(Witness({ledger.origin: [ledger.log.keys.verifiers[0]]}, [own], seen)).start()
        try:
            policy = asking(bo, ada._replace(key=own.verifier, server=server))
            ada.open(witnesses=policy).register_party("person", name="Ada")
            read = Policy.parse((ada.public / "market.policy").read_text())
            assert (read.groups[0].needed, len(read.witnesses)) == (2, 2)
            assert audit(open_log(ada.public, read)).findings == ()
            server.stop()
            with pytest.raises(QuorumNotMet):
                open_log(
                    ada.public, Policy.parse(str(read).replace(str(own.verifier), str(Cosigner.generate("x").verifier)))
                )
        finally:
            server.stop()


def test_sales_go_on_while_a_witness_is_away(markets):
    ada, bo = markets
    ada.open(witnesses=asking(bo))
    bo.server.stop()
    ledger = ada.open()  # it asks without being told again
    ticket = ledger.register_party("person", name="Ada", ref="user:1")
    assert ledger.waiting == 0
    with pytest.raises(QuorumNotMet):
        ledger.publish()
    assert ledger.find("user:1") == ticket
    checks = {check.name: check for check in ledger.health().checks}
    assert "not cosigned by a quorum" in checks["checkpoint"].sentence
    with ledger.worker(window=0.05) as worker:
        assert not worker.wait(0.3)  # asks again and again
        ada.open(without_quorum=True).publish()
    assert audit(open_log(ada.public, Policy.of(*ledger.log.keys.verifiers))).findings == ()
    with pytest.raises(QuorumNotMet):
        open_log(ada.public, (ada.public / "market.policy").read_text())


def test_keys_change_under_a_quorum_and_a_backup_knows_all_of_it(markets, tmp_path):
    ada, bo = markets
    ada.open(witnesses=asking(bo)).register_party("person", name="Ada")
    pinned = Policy.parse((ada.public / "market.policy").read_text())
    old = backup(ada.url, tmp_path / "old").manifest
    (tmp_path / "next.key").write_text(str(key := SigningKey.generate("ada.example/log")))
    (tmp_path / "next.key").chmod(0o600)
    done = hand_over(ada.url, to={"log": f"file:{tmp_path / 'next.key'}"}, publish=ada.public)
    assert open_log(ada.public, pinned).checkpoint == done.checkpoint  # cosigned by who knows the old key alone
    ledger = ada.open()
    ledger.register_party("person", name="Cy")
    with pytest.raises(QuorumNotMet):  # its friend was not given the new key
        ledger.publish()
    assert old.witnesses == str(Policy.parse(asking(bo)))
    kept = backup(ada.url, tmp_path / "new").manifest
    assert [span[2] for span in kept.spans or []] == [done.checkpoint.size, None]
    restored = f"sqlite:///{tmp_path / 'again.db'}"
    keys = {name: f"file:{ada.folder / 'market.keys' / file}" for name, file in _FILES.items()}
    restore(tmp_path / "new", restored, publish=ada.public, keys=keys)
    again = connect(restored, publish=ada.public, keys=keys)
    assert again.log.keys == ledger.log.keys
    assert again.log.keys.verifiers == (key.verifier,)
    with pytest.raises(QuorumNotMet):
        again.publish()


_FILES = {"log": "log.key", "market": "market.key", "claim": "claim.pem"}
