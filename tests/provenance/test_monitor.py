"""A monitor: quiet while a log only grows, and it finds every split view that it is given a piece of."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import connect, open_log
from adapters.files import Directory
from adapters.seen import SeenFile
from ledger import Checkpoint, Evidence, Log, Policy, Row, SigningKey, Unavailable
from ledger.cosignature import ED25519, Cosigner
from ledger.note import Note, sign_note
from ledger.policy import Witness
from ledger.testing import MemoryStore
from ledger.tile import CHECKPOINT
from provenance.erasures import ERASURE
from provenance.monitor import Alert, Monitor, View
from provenance.seen import Sighting, Standing
from tests.provenance.conftest import Market

ORIGIN = "market.example/log"
KEY = SigningKey(ORIGIN, bytes(range(32)))
POLICY = Policy.of(KEY.verifier)
NORTH = Cosigner("north.example/w", ED25519, bytes([1] * 32))
HARBOUR = Cosigner("harbour.example", ED25519, bytes([2] * 32))
NOW = 1_790_000_000


class Operator:
    """Who has the log's key and two histories: the second leaves the first at entry `fork_at`."""

    def __init__(self, fork_at: int) -> None:
        self.fork_at = fork_at
        self.views = tuple(MemoryStore() for _ in range(2))
        self.logs = [Log.create(MemoryStore(), KEY, b"genesis", publish=[view]) for view in self.views]

    def grow(self, history: int, size: int) -> MemoryStore:
        log = self.logs[history]
        rows = [b"%d of %d" % (i, 0 if i < self.fork_at else history) for i in range(log.size, size)]
        log.extend([Row(entry, b"") for entry in rows])
        log.publish()
        return self.views[history]


class Shown:
    """A place that shows one of several others, whichever it is told to."""

    def __init__(self, *places: MemoryStore) -> None:
        self.places = places
        self.shows = 0

    def get(self, path: str) -> bytes:
        return self.places[self.shows].get(path)


def kept(place: MemoryStore) -> MemoryStore:
    """What a place shows now, whatever it shows later."""
    copy = MemoryStore()
    copy.objects = dict(place.objects)
    return copy


def only_checkpoint(place: MemoryStore) -> MemoryStore:
    copy = MemoryStore()
    copy.objects = {CHECKPOINT: place.objects[CHECKPOINT]}
    return copy


def monitor(log, seen=None, policy=POLICY, others=(), **more) -> Monitor:
    views = [View(f"other {at}", place) for at, place in enumerate(others)]
    return Monitor(View("log", log), policy, seen or SeenFile(":memory:"), others=views, **more)


def kinds(alerts: list[Alert]) -> list[str]:
    return [alert.kind for alert in alerts]


def convicts(alerts: list[Alert], policy: Policy = POLICY) -> bool:
    """Whether a third party, with the policy alone, is convinced."""
    found = [alert for alert in alerts if alert.kind == "fork"]
    for alert in found:
        assert alert.record == "altered"
        data = bytes(alert.evidence)
        proven = Evidence.parse(data).verify(policy)
        assert proven.root != proven.old.root
    return bool(found)


# A log that only grows


def test_growth_is_quiet(tmp_path):
    operator = Operator(10_000)
    for step, size in enumerate((3, 3, 256, 700, 701)):
        place = operator.grow(0, size)
        with_memory = monitor(place, SeenFile(tmp_path / "state"), others=[operator.grow(1, 1 + size // 2)])
        assert with_memory.look(now=NOW + step) == []
        assert with_memory.checkpoint.size == size


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 30), st.booleans()), max_size=8))
def test_an_honest_log_is_never_convicted_however_stale_its_places(steps):
    operator, seen = Operator(10_000), SeenFile(":memory:")
    stale = [operator.grow(0, 2)]
    for step, (history, more, restart) in enumerate(steps):
        operator.grow(history, 2 + step * 30 + more)
        stale.append(kept(operator.views[history]))
        one, two = stale[more % len(stale)], stale[(more * 7) % len(stale)]
        looks = monitor(one, seen if restart else None, others=[two, *operator.views]).look(now=NOW + step)
        assert not {"fork", "signature"} & set(kinds(looks))


# Split views


@settings(max_examples=40)
@given(st.integers(1, 9), st.lists(st.tuples(st.integers(0, 1), st.integers(1, 40), st.booleans()), max_size=8))
def test_a_fork_is_found_exactly_when_both_histories_were_shown(fork_at, steps):
    """Whatever is shown, in whichever order, with or without its tiles; what counts is the end."""
    operator, seen, shown = Operator(fork_at), SeenFile(":memory:"), set()
    for step, (history, more, bare) in enumerate(steps):
        size = max(more, *(log.size for log in operator.logs)) if bare else more
        view = operator.grow(history, size)
        shown.add((history, operator.logs[history].size))
        alerts = monitor(Shown(*operator.views), seen, others=[only_checkpoint(view) if bare else view]).look(now=step)
        shown.add((0, operator.logs[0].size))
        assert not convicts(alerts) or len(histories(shown, fork_at)) == 2
    whole = operator.grow(0, 1 + max(log.size for log in operator.logs))
    found = convicts(monitor(whole, seen, others=operator.views).look(now=NOW))
    assert found == (operator.logs[1].size > fork_at)


def histories(shown: set[tuple[int, int]], fork_at: int) -> set[int]:
    """Those of the histories of which more was shown than what both have."""
    return {history for history, size in shown if size > fork_at}


@pytest.mark.parametrize("shown,theirs", [(20, 20), (20, 30), (30, 20), (300, 700), (700, 300)])
def test_the_log_shows_another_history(shown, theirs, tmp_path):
    operator = Operator(5)
    place = Shown(operator.grow(0, shown), operator.grow(1, theirs))
    state = tmp_path / "state"
    assert monitor(place, SeenFile(state)).look(now=NOW) == []
    place.shows = 1
    alerts = monitor(place, SeenFile(state)).look(now=NOW + 60)
    if theirs < shown:  # only who still has the tiles of the larger tree can show it
        assert kinds(alerts) == ["rollback"]
        place.shows = 0
        alerts = monitor(place, SeenFile(state)).look(now=NOW + 90)
    assert convicts(alerts)
    assert f"size {min(shown, theirs)}" in alerts[0].text
    place.shows = 0
    later = monitor(place, SeenFile(state)).look(now=NOW + 120)
    assert kinds(later) == ["fork"]
    assert later[0].evidence == alerts[0].evidence


def test_full_tiles_that_are_still_there_convict_a_smaller_history_at_once():
    operator = Operator(5)
    first, second = operator.grow(0, 512), operator.grow(1, 300)
    seen = SeenFile(":memory:")
    assert monitor(first, seen).look(now=NOW) == []
    first.objects[CHECKPOINT] = second.objects[CHECKPOINT]  # the tiles stay
    alerts = monitor(first, seen).look(now=NOW + 1)
    assert convicts(alerts)
    assert kinds(alerts) == ["fork", "rollback"]


@pytest.mark.parametrize("shown,theirs", [(20, 20), (20, 30), (30, 20), (300, 700)])
def test_somebody_else_was_shown_another_history(shown, theirs):
    operator = Operator(5)
    alerts = monitor(operator.grow(0, shown), others=[operator.grow(1, theirs)]).look(now=NOW)
    assert convicts(alerts)
    assert "shown by log" in alerts[0].text
    assert "shown by other 0" in alerts[0].text


def test_a_larger_checkpoint_alone_waits_until_the_log_has_come_to_its_size():
    operator, seen = Operator(5), SeenFile(":memory:")
    theirs = only_checkpoint(operator.grow(1, 30))
    assert monitor(operator.grow(0, 20), seen, others=[theirs]).look(now=NOW) == []
    alerts = monitor(operator.views[0], seen, others=[theirs]).look(now=NOW + 60)
    assert kinds(alerts) == ["ahead"]
    assert alerts[0].record == "cannot check"
    assert "size 30" in alerts[0].text
    assert "still shows 20" in alerts[0].text
    alerts = monitor(operator.grow(0, 31), seen).look(now=NOW + 120)  # they need not be asked again
    assert convicts(alerts)


def test_a_larger_checkpoint_of_the_same_history_is_settled_when_the_log_shows_it():
    operator, seen = Operator(10_000), SeenFile(":memory:")
    theirs = only_checkpoint(operator.grow(1, 30))
    assert monitor(operator.grow(0, 20), seen, others=[theirs]).look(now=NOW) == []
    assert kinds(monitor(operator.views[0], seen, others=[theirs]).look(now=NOW + 1)) == ["ahead"]
    assert monitor(operator.grow(0, 40), seen, others=[theirs]).look(now=NOW + 2) == []
    assert seen.waiting(ORIGIN) == []


def test_others_convict_each_other_while_the_log_is_away():
    operator = Operator(5)
    others = [only_checkpoint(operator.grow(0, 20)), only_checkpoint(operator.grow(1, 20))]
    alerts = monitor(MemoryStore(), others=others).look(now=NOW)
    assert convicts(alerts)
    assert kinds(alerts) == ["fork", "unreachable"]


def test_a_quorum_is_not_needed_to_find_a_fork():
    operator = Operator(5)
    policy = Policy(POLICY.logs, (Witness("north", NORTH.verifier),), quorum="north")
    alerts = monitor(operator.grow(0, 20), policy=policy, others=[operator.grow(1, 20)]).look(now=NOW)
    assert convicts(alerts, policy)


def test_a_key_that_the_policy_dropped_convicts_nobody():
    operator, seen = Operator(5), SeenFile(":memory:")
    assert convicts(monitor(operator.grow(0, 20), seen, others=[operator.grow(1, 20)]).look(now=NOW))
    new = SigningKey(ORIGIN, bytes(32))
    place = MemoryStore()
    Log.create(MemoryStore(), new, b"genesis", publish=[place])
    alerts = monitor(place, seen, policy=Policy.of(new.verifier)).look(now=NOW + 1)
    assert not convicts(alerts)
    assert all(alert.record != "intact" for alert in alerts)


# What cannot be checked


def test_rollback():
    operator, seen = Operator(10_000), SeenFile(":memory:")
    old = kept(operator.grow(0, 20))
    assert monitor(operator.grow(0, 300), seen).look(now=NOW) == []
    alerts = monitor(old, seen).look(now=NOW + 1)
    assert kinds(alerts) == ["rollback"]
    assert alerts[0].record == "altered"
    assert "of size 20, but one of size 300 was seen before" in alerts[0].text
    assert monitor(operator.views[0], seen).look(now=NOW + 2) == []


def test_a_checkpoint_without_its_tree():
    operator, seen = Operator(10_000), SeenFile(":memory:")
    assert monitor(operator.grow(0, 20), seen).look(now=NOW) == []
    bare = only_checkpoint(operator.grow(0, 30))
    alerts = monitor(bare, seen).look(now=NOW + 1)
    assert (kinds(alerts), alerts[0].record) == (["unproven"], "cannot check")
    lying = kept(operator.views[0])
    lying.objects["tile/0/000.p/30"] = bytes(30 * 32)
    alerts = monitor(lying, seen).look(now=NOW + 2)
    assert kinds(alerts) == ["unproven", "ahead"]
    assert alerts[0].record == "altered"


def test_nothing_there_and_nothing_that_was_signed():
    place = Operator(5).grow(0, 20)
    assert kinds(monitor(MemoryStore()).look(now=NOW)) == ["unreachable"]
    for data, word in (
        (b"no note", "note"),
        (place.objects[CHECKPOINT].replace(b"\n20\n", b"\n21\n"), "does not verify"),
        (sign_note(f"{ORIGIN}\n", SigningKey(ORIGIN, bytes(32))), "checkpoint"),
    ):
        bad = MemoryStore()
        bad.objects = {CHECKPOINT: data}
        for alerts, record in (
            (monitor(bad).look(now=NOW), "altered"),
            (monitor(place, others=[bad]).look(now=NOW), "cannot check"),
        ):
            assert [(alert.kind, alert.record) for alert in alerts] == [("signature", record)]
            assert word in alerts[0].text


def test_a_checkpoint_of_another_log():
    other = SigningKey("other.example/log", bytes(32))
    place = MemoryStore()
    Log.create(MemoryStore(), other, b"genesis", publish=[place])
    policy = Policy.of(KEY.verifier, other.verifier)
    alerts = monitor(Operator(5).grow(0, 20), policy=policy, others=[place]).look(now=NOW)
    assert [alert.text for alert in alerts] == [f"other 0: a checkpoint of other.example/log, want one of {ORIGIN}"]


# Witnesses and signs of life


def cosign(place: MemoryStore, *cosigners: Cosigner, time: int) -> None:
    note = Note.parse(place.objects[CHECKPOINT])
    tree = Checkpoint.parse(note.text)
    lines = [cosigner.sign(tree, time=time) for cosigner in cosigners]
    place.objects[CHECKPOINT] = bytes(Note(note.text, (*note.signatures, *lines)))


def witnessed(quorum: str = "north") -> Policy:
    return Policy(POLICY.logs, (Witness("north", NORTH.verifier), Witness("harbour", HARBOUR.verifier)), quorum=quorum)


def test_no_quorum_and_a_witness_that_stays_away():
    place, seen = Operator(5).grow(0, 20), SeenFile(":memory:")
    plain = place.objects[CHECKPOINT]
    assert kinds(monitor(place, seen, witnessed()).look(now=NOW)) == ["quorum"]
    cosign(place, NORTH, time=NOW)
    assert monitor(place, seen, witnessed()).look(now=NOW + 1) == []
    alerts = monitor(place, seen, witnessed()).look(now=NOW + 2)
    assert [(alert.kind, alert.record) for alert in alerts] == [("absent", "intact")]
    assert alerts[0].text == "harbour: has not cosigned what 3 looks or more were shown"
    cosign(place, HARBOUR, time=NOW + 2)
    assert monitor(place, seen, witnessed()).look(now=NOW + 3) == []
    place.objects[CHECKPOINT] = plain
    assert kinds(monitor(place, seen, witnessed()).look(now=NOW + 4)) == ["quorum"]


def test_a_cosignature_that_does_not_hold():
    place = Operator(5).grow(0, 20)
    other = kept(Operator(5).grow(0, 21))
    cosign(other, NORTH, time=NOW)
    place.objects[CHECKPOINT] += other.objects[CHECKPOINT].splitlines(keepends=True)[-1]
    alerts = monitor(place, policy=witnessed("none")).look(now=NOW)
    assert [(alert.kind, alert.record) for alert in alerts] == [("signature", "altered")]


def test_signs_of_life():
    operator, seen = Operator(5), SeenFile(":memory:")
    place = operator.grow(0, 20)

    def look(now):
        return [alert.text for alert in monitor(place, seen, witnessed("none"), stale=100, absent=9).look(now=now)]

    assert look(NOW) == []
    assert look(NOW + 100) == []
    assert look(NOW + 101) == [f"{ORIGIN}: no sign of life for more than 100 s: size 20, grown 2026-09-21T14:13:20Z"]
    operator.grow(0, 21)
    assert look(NOW + 101) == []
    cosign(place, NORTH, time=NOW + 50)
    assert look(NOW + 150) == []
    assert look(NOW + 151)[0].endswith("size 21, cosigned by north 2026-09-21T14:14:10Z")
    cosign(place, HARBOUR, time=NOW + 10_000)  # a clock that is wrong keeps nothing alive
    assert len(look(NOW + 300)) == 1


def test_log_time_is_a_sign_of_life(market: Market):
    market.work()
    at = int(market.clock.now.timestamp())
    looks = Monitor(
        View("log", Directory(market.public)), market.ledger.log.policy, SeenFile(":memory:"), stale=60, open=open_log
    )
    assert looks.look(now=at + 60) == []
    (alert,) = looks.look(now=at + 61)
    assert (alert.kind, alert.record) == ("stale", "cannot check")
    assert alert.text.endswith("log time 2026-11-23T08:00:00Z")


# News


def watching(market: Market, seen: SeenFile, **watch: bytes) -> Monitor:
    return Monitor(View("log", Directory(market.public)), market.ledger.log.policy, seen, watch=watch, open=open_log)


def news(alerts: list[Alert]) -> list[tuple[str, str]]:
    assert {alert.kind for alert in alerts} <= {"news"}
    return [(alert.news.type, alert.news.how) for alert in alerts]


def test_news_about_a_party_its_works_and_a_file(market: Market):
    seen = SeenFile(":memory:")
    ada, bo = bytes.fromhex(str(market.ada)), bytes.fromhex(str(market.bo))
    photo = market.work(b"photo")
    looks = watching(market, seen, ada=ada)
    first = looks.look(now=NOW)
    assert news(first) == [
        ("party.register", "is its own entry"),
        ("work.create", "names it as creator"),
    ]
    assert first[0].text == f"ada: #{first[0].news.index} party.register is its own entry"
    assert news(looks.look(now=NOW + 1)) == news(first), "told again until it is acknowledged"
    looks.acknowledge()
    assert watching(market, seen, ada=ada).look(now=NOW + 2) == []

    remix = market.ledger.derive(market.file(b"remix"), parents=[photo], creators=[market.bo], source_type="humanEdits")
    terms = market.ledger.offer(photo, terms="CC-BY-4.0")
    market.ledger.license(photo, to=market.bo, offer=terms)
    looks = watching(market, seen, ada=ada, file=sha256(b"remix").digest())
    later = looks.look(now=NOW + 3)
    short = str(photo)[:16]
    assert news(later) == [
        ("work.derive", f"names its work {short}… as parent"),
        ("work.derive", "has its digest, as content"),
        ("offer.attach", f"names its work {short}… as work"),
    ]
    looks.acknowledge()
    # What was never watched before begins at the first entry.
    looks = watching(market, seen, ada=ada, bo=bo)
    assert {alert.news.name for alert in looks.look(now=NOW + 4)} == {"bo"}
    looks.acknowledge()
    market.ledger.erase(remix)
    assert [t for t, _ in news(watching(market, seen, ada=ada, bo=bo).look(now=NOW + 5))] == [ERASURE]


def test_what_is_not_watched_for_a_while_is_not_told_twice(market: Market):
    seen = SeenFile(":memory:")
    ada, bo = bytes.fromhex(str(market.ada)), bytes.fromhex(str(market.bo))
    photo = market.work(b"photo")
    for watch in ({"ada": ada}, {"bo": bo}):
        looks = watching(market, seen, **watch)
        assert looks.look(now=NOW) != []
        looks.acknowledge()
    market.ledger.offer(photo, terms="CC-BY-4.0")
    assert news(watching(market, seen, ada=ada).look(now=NOW + 1)) == [
        ("offer.attach", f"names its work {str(photo)[:16]}… as work")
    ]


def test_without_a_quorum_there_is_no_news_and_what_was_not_told_is_not_used_up(market: Market):
    seen, now_and_then = SeenFile(":memory:"), market.ledger.log.policy
    strict = replace(now_and_then, witnesses=(Witness("north", NORTH.verifier),), quorum="north")
    looks = watching(market, seen, ada=bytes.fromhex(str(market.ada)))
    assert news(looks.look(now=NOW)) == [("party.register", "is its own entry")]
    market.work(b"photo")
    looks._policy = strict
    assert kinds(looks.look(now=NOW + 1)) == ["quorum"]
    looks.acknowledge()
    assert seen.load(market.ledger.origin).read == {}
    assert Note.parse(seen.load(market.ledger.origin).signed).text == str(market.ledger.log.checkpoint)
    looks._policy = now_and_then
    assert [told for told, _ in news(looks.look(now=NOW + 2))] == ["party.register", "work.create"]


def test_of_a_sealed_entry_type_and_signer_are_news(market: Market):
    photo = market.work(b"photo")
    market.ledger.license(photo, to=market.bo, offer=market.ledger.offer(photo, terms="CC-BY-4.0"))
    alerts = watching(market, SeenFile(":memory:"), shop=market.ledger.market).look(now=NOW)
    (grant,) = [alert for alert in alerts if alert.news.type == "grant.issue"]
    assert grant.text.endswith("grant.issue is signed by it, sealed")
    market.ledger.erase(photo)
    alerts = watching(market, SeenFile(":memory:"), shop=market.ledger.market).look(now=NOW)
    (create,) = [alert for alert in alerts if alert.news.type == "work.create"]
    assert create.text.endswith("work.create is signed by it, and its event is not here")


def test_an_event_that_is_not_published_yet_is_waited_for(market: Market):
    seen = SeenFile(":memory:")
    photo = market.work(b"photo")
    events = market.public / "events" / "000"
    whole = events.read_bytes()
    last = int.from_bytes(whole[:4], "big")
    events.write_bytes(whole[: 4 + last])
    looks = watching(market, seen, photo=bytes.fromhex(str(photo)))
    alerts = looks.look(now=NOW)
    assert [(alert.kind, alert.record) for alert in alerts] == [("unread", "cannot check")]
    looks.acknowledge()
    events.write_bytes(whole)
    assert news(watching(market, seen, photo=bytes.fromhex(str(photo))).look(now=NOW + 1)) == [
        ("work.create", "is its own entry")
    ]


def test_a_swapped_event_is_told(market: Market):
    photo = market.work(b"photo")
    market.ledger.offer(photo, terms="CC-BY-4.0")
    events = market.public / "events" / "000"
    data = bytearray(events.read_bytes())
    data[-1] ^= 1
    events.write_bytes(data)
    alerts = watching(market, SeenFile(":memory:"), shop=market.ledger.market).look(now=NOW)
    assert (alerts[-1].kind, alerts[-1].record) == ("news", "altered")
    assert "not what was logged" in alerts[-1].text


def test_entries_that_are_not_there(market: Market):
    photo = market.work(b"photo")
    looks = watching(market, SeenFile(":memory:"), photo=bytes.fromhex(str(photo)))
    shutil.rmtree(market.public / "tile" / "entries")
    assert [(alert.kind, alert.record) for alert in looks.look(now=NOW)] == [("unproven", "cannot check")]


# A market that forks


def test_two_markets_under_one_key(market: Market, tmp_path: Path):
    """Somebody goes on from a copy of everything, and shows it to somebody else."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(market.root, elsewhere, ignore=shutil.ignore_patterns("elsewhere"))
    other = connect(f"sqlite:///{elsewhere / 'market.db'}", publish=elsewhere / "public", clock=market.clock)
    market.work(b"for some")
    other.register_party("org")
    other.register_party("org")
    policy = market.ledger.log.policy
    looks = Monitor(
        View("log", Directory(market.public)),
        policy,
        SeenFile(":memory:"),
        others=[View("a friend", Directory(elsewhere / "public"))],
        open=open_log,
    )
    assert convicts(looks.look(now=NOW), policy)


# What it remembers


def test_every_checkpoint_is_kept_and_a_file_of_others_is_refused(tmp_path):
    operator = Operator(10_000)
    for size in (3, 9, 9, 27):
        monitor(operator.grow(0, size), SeenFile(tmp_path / "state")).look(now=NOW + size)
    seen = SeenFile(tmp_path / "state")
    assert [(s.checkpoint.size, s.first, s.source) for n in (3, 9, 27) for s in seen.of_size(ORIGIN, n)] == [
        (3, NOW + 3, "log"),
        (9, NOW + 9, "log"),
        (27, NOW + 27, "log"),
    ]
    assert seen.load("other.example/log") == Standing()
    seen.close()
    (tmp_path / "text").write_text("not a state file, however long it is " * 100)
    with pytest.raises(Unavailable, match="want the state file of a monitor"):
        SeenFile(tmp_path / "text")
    with pytest.raises(Unavailable):
        SeenFile(tmp_path / "absent" / "state")


class Dies(BaseException):
    """The process ends here."""


class Mortal:
    """A memory whose process dies at one of its writes, before or after it."""

    def __init__(self, seen: SeenFile, at: int, *, after: bool) -> None:
        self._seen, self._left, self._after = seen, at, after

    def __getattr__(self, name: str):
        act = getattr(self._seen, name)
        return self._writes(act) if name in {"add", "settle", "convict", "save"} else act

    def _writes(self, act):
        def write(*values):
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Dies
            act(*values)
            if self._left == 0:
                raise Dies

        return write


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("theirs", [20, 30, 40])
def test_a_monitor_that_dies_at_any_write_misses_nothing(theirs, after):
    operator = Operator(5)
    first, grown, other = kept(operator.grow(0, 20)), operator.grow(0, 30), operator.grow(1, theirs)
    for at in range(1, 20):
        seen = SeenFile(":memory:")
        monitor(first, seen).look(now=NOW)
        try:
            alerts = monitor(grown, Mortal(seen, at, after=after), others=[other]).look(now=NOW + 1)
        except Dies:
            alerts = monitor(grown, seen, others=[other]).look(now=NOW + 2)
        else:
            break  # it has fewer writes
        assert convicts(alerts)
        assert Note.parse(seen.load(ORIGIN).signed).text.startswith(f"{ORIGIN}\n30\n")
    assert convicts(alerts)
    assert 3 < at < 19


KILLED = """
import os, signal, sys
from adapters.seen import SeenFile
from ledger import Log, SigningKey
from ledger.testing import MemoryStore
from provenance.seen import Sighting, Standing
seen = SeenFile(sys.argv[1])
log = Log.create(MemoryStore(), SigningKey("market.example/log", bytes(range(32))), b"genesis")
seen.add(Sighting(log.checkpoint, "log", 1))
seen.save("market.example/log", Standing(log.checkpoint.signed, 1, {"north": 2}, {"ab": 3}, {"ab": ["cd"]}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_seen_outlives_a_process_that_is_killed(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "state"], check=False)
    assert done.returncode == -9
    seen = SeenFile(tmp_path / "state")
    (sighting,) = seen.waiting(ORIGIN)
    assert sighting == Sighting(sighting.checkpoint, "log", 1)
    standing = seen.load(ORIGIN)
    assert standing == Standing(sighting.checkpoint.signed, 1, {"north": 2}, {"ab": 3}, {"ab": ["cd"]})
    assert replace(standing, grown=2) != standing
