"""Keys by log position against a simple model, what makes a change of keys count, and who may speak for whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import MalformedError
from provenance.before import Before
from provenance.canonical import address, dumps
from provenance.identity import (
    RECOVERY,
    KeyEvent,
    Mandate,
    Mandates,
    Parties,
    Party,
    Revoked,
    has_changed,
    key_events,
    may_speak,
    party_of,
    read_party,
    works_of,
)
from provenance.index import Index, facts_of
from provenance.keys import PartyKey, PublicKey
from provenance.moments import format_time
from provenance.statement import Statement, sign_statement

KEYS = [PartyKey.from_seed(bytes([number]) * 32).public for number in range(6)]
NAMES = {key.kid: number for number, key in enumerate(KEYS)}
PARTY, OTHER = b"p" * 32, b"o" * 32
BEGIN = datetime(2026, 11, 23, tzinfo=UTC)


def at(hours: float) -> str:
    return format_time(BEGIN + timedelta(hours=hours))


def keys_of(*numbers: int) -> dict[bytes, PublicKey]:
    return {KEYS[number].kid: KEYS[number] for number in numbers}


def party(keys: tuple[int, ...] = (0,), rotation: tuple[int, ...] = (), **details: object) -> Party:
    return Party(PARTY, 0, "person", keys_of(*keys), tuple(KEYS[number] for number in rotation), **details)  # type: ignore[arg-type]


def said(
    number: int,
    keys: tuple[int, ...] = (),
    rotation: tuple[int, ...] = (),
    *,
    prev: int = 0,
    reason: str = "rotate",
    announced: tuple[int, ...] = (),
    suspect: int | None = None,
    actor: bytes = PARTY,
) -> KeyEvent:
    return KeyEvent(
        bytes([number]) * 32,
        actor,
        bytes([prev]) * 32 if prev else PARTY,
        reason,
        keys_of(*keys),
        tuple(KEYS[key] for key in rotation),
        frozenset(KEYS[key].thumbprint for key in announced),
        suspect,
    )


def follow(
    before: Party, event: KeyEvent, index: int, signer: int, hours: float = 0, issuer: bytes = PARTY
) -> tuple[Party, list[str]]:
    after, reasons = before.follow(event, issuer=issuer, index=index, time=at(hours), signer=KEYS[signer].kid)
    assert (after is before) == bool(reasons)
    return after, [reason.rule for reason in reasons]


# Against a simple model


class Step(NamedTuple):
    reason: str
    keys: frozenset[int]
    rotation: tuple[int, ...]
    signer: int
    prev: int
    hours: int


steps = st.builds(
    Step,
    st.sampled_from(["rotate", "rotate", "recover", "deactivate"]),
    st.frozensets(st.integers(0, 5), max_size=3),
    st.lists(st.integers(0, 5), max_size=3, unique=True).map(tuple),
    st.integers(0, 5),
    st.integers(0, 4),  # back from the newest
    st.integers(0, 60),
)


@given(
    st.frozensets(st.integers(0, 5), max_size=2), st.lists(st.integers(0, 5), max_size=3, unique=True), st.lists(steps)
)
def test_random_histories_agree_with_a_list(first: frozenset[int], rotation: list[int], history: list[Step]) -> None:
    """The model: a list of what is in force, cut where a recovery goes back to; and the keys valid at each entry."""
    subject = party(tuple(first), tuple(rotation))
    force: list[dict] = [
        {"id": 0, "keys": first, "rotation": tuple(rotation), "signer": None, "hours": 0, "reason": "register"}
    ]
    valid: list[frozenset[int]] = [first]  # what may sign the entry behind each
    voided: list[tuple[int, int, frozenset[int]]] = []  # entries [from, to] whose keys are void, but for those kept
    hours = 0
    for index, step in enumerate(history, 1):
        hours += step.hours
        back = min(step.prev, len(force) - 1)
        base, cut = force[len(force) - 1 - back], force[len(force) - back :]
        keys = frozenset() if step.reason == "deactivate" else step.keys
        after = () if step.reason == "deactivate" else step.rotation
        allowed = base["rotation"] or tuple(base["keys"])
        counts = base["reason"] != "deactivate" and step.signer in allowed
        if cut:
            ranks = list(base["rotation"])
            counts = (
                counts
                and step.reason == "recover"
                and step.signer in ranks
                and cut[0]["signer"] in ranks
                and ranks.index(step.signer) < ranks.index(cut[0]["signer"])
                and hours - cut[0]["hours"] <= 72
            )
        event = said(index, tuple(step.keys), step.rotation, prev=base["id"], reason=step.reason)
        subject, rules = follow(subject, event, index, step.signer, hours)
        assert (rules == []) == counts
        if counts:
            if cut:
                voided.append((cut[0]["id"] + 1, index, base["keys"]))
            force = force[: len(force) - len(cut)]
            force.append(
                {
                    "id": index,
                    "keys": keys,
                    "rotation": after,
                    "signer": step.signer,
                    "hours": hours,
                    "reason": step.reason,
                }
            )
            valid.append(keys)
        else:
            valid.append(valid[-1])
    for index in range(1, len(valid)):
        for number, key in enumerate(KEYS):
            verdict = subject.judge(key.kid, index)
            want = "unknown"
            if number in valid[index - 1]:
                void = any(start <= index <= stop and number not in kept for start, stop, kept in voided)
                want = "suspect" if void else "valid"
            elif any(number in keys for keys in valid[: index - 1]):
                want = "retired"
            elif any(number in keys for keys in valid[index:]):
                want = "early"
            assert verdict.word == want
            if want == "retired":
                assert number not in valid[verdict.at]
                assert number in valid[verdict.at - 1]
    assert [NAMES[kid] for kid in sorted(subject.state.keys)] == [NAMES[k.kid] for k in sorted_keys(force[-1]["keys"])]
    for span in subject.spans():
        stop = len(valid) if span.last is None else span.last
        assert all(NAMES[span.key.kid] in keys for keys in valid[span.first : stop])


def sorted_keys(numbers: frozenset[int]) -> list[PublicKey]:
    return sorted((KEYS[number] for number in numbers), key=lambda key: key.kid)


SECRETS = [PartyKey.from_seed(bytes([number]) * 32) for number in range(6)]


@given(st.lists(st.integers(0, 5), max_size=3, unique=True), st.lists(steps, max_size=12), st.integers(0, 40))
def test_an_index_and_a_reader_of_the_whole_log_agree(rotation: list[int], history: list[Step], size: int) -> None:
    index, events, statements = Index.in_memory(), dict[bytes, bytes](), list[Statement]()

    def log(type_: str, issuer: bytes | None, signer: int, **event: Any) -> tuple[bytes, Statement]:
        data = dumps({"type": type_, "salt": f"{len(statements):064x}", "refs": [], **event})
        own = address(data)
        who = (issuer or own).hex()
        entry = sign_statement(SECRETS[signer], issuer=who, type=type_, origin="a.example/log", event_id=own)
        fact = facts_of(event_id=own, type=type_, issuer=who, sealed=False, event=data)
        index.write(len(statements), [fact])
        events[own] = data
        statements.append(Statement.parse(entry))
        return own, statements[-1]

    body = {"kind": "person", "keys": [KEYS[0].jwk()], "rotation_keys": [KEYS[key].jwk() for key in rotation]}
    own, _ = log("party.register", None, 0, actor="self", body=body)
    told = Parties(lambda _: None)
    told.add(party_of(own, 0, events[own]))
    chain, hours, time = [own], 0, ""
    for step in history:
        hours += step.hours
        if step.hours:
            time = at(hours)
            log("log.time", None, 0, actor="self", body={"time": time})
        prev = chain[max(0, len(chain) - 1 - step.prev)]
        body = {
            "reason": step.reason,
            "keys": [KEYS[key].jwk() for key in sorted(step.keys)],
            "rotation_keys": [KEYS[key].jwk() for key in step.rotation],
            "next_key_hashes": [],
        }
        refs = [{"role": "prev", "id": prev.hex()}]
        event_id, statement = log("party.keys", own, step.signer, actor=own.hex(), body=body, refs=refs)
        told.change(KeyEvent.read(event_id, events[event_id]), statement, len(statements) - 1, time)
        chain.append(event_id)
    found = read_party(own, index, events.get, statements.__getitem__)
    assert found == told.get(own)
    assert found is not None
    assert has_changed(found, index) == (len(found.changes) < len(history))
    size = min(size + 1, len(statements))
    assert read_party(own, index.at(size), events.get, statements.__getitem__) == found.until(size)
    assert Before(index, events.get, market=b"", parties=lambda _: found).at(size).party(own) == found.until(size)
    assert sorted(key_events(own, index)) == [(index.find(one).idx, one) for one in chain[1:]]  # type: ignore[union-attr]


# What makes a change count


def test_a_key_revoked_one_entry_earlier_signs_nothing_more() -> None:
    subject, rules = follow(party(), said(1, (1,)), 5, 0)
    assert rules == []
    words = [
        (index, subject.judge(KEYS[0].kid, index).word, subject.judge(KEYS[1].kid, index).word) for index in (5, 6)
    ]
    assert words == [(5, "valid", "early"), (6, "retired", "valid")]
    assert subject.judge(KEYS[0].kid, 6).text == "key retired at #5"
    assert subject.judge(KEYS[2].kid, 6).text == "unknown key"


def test_rotation_keys_alone_change_keys_where_there_are_any() -> None:
    subject = party((0,), (1, 2))
    assert follow(subject, said(1, (3,)), 1, 0)[1] == ["party.keys.signer"]
    assert follow(subject, said(1, (3,)), 1, 2)[1] == []
    assert subject.judge(KEYS[1].kid, 1).word == "unknown"  # they sign no other statement


def test_a_key_event_has_one_successor() -> None:
    subject, _ = follow(party(), said(1, (1,)), 1, 0)
    assert follow(subject, said(2, (2,)), 2, 0)[1] == ["party.keys.prev"]
    assert follow(subject, said(2, (2,), prev=9), 2, 1)[1] == ["party.keys.prev"]
    assert follow(subject, said(2, (2,), prev=1), 2, 1)[1] == []


@pytest.mark.parametrize(
    "signer, hours, rules",
    [
        (1, 72, []),
        (1, 72 + 1 / 3600, ["party.keys.window"]),
        (2, 1, ["party.keys.rank"]),
        (3, 1, ["party.keys.rank"]),
        (0, 1, ["party.keys.signer"]),
    ],
)
def test_recovery_is_for_stronger_keys_and_three_days(signer: int, hours: float, rules: list[str]) -> None:
    assert timedelta(hours=72) == RECOVERY
    subject, _ = follow(party((0,), (1, 2, 3)), said(1, (4,), (4,)), 10, 2)
    subject, _ = follow(subject, said(2, (5,), (5,), prev=1), 20, 4)
    after, broken = follow(subject, said(3, (0,), (1, 2), reason="recover"), 30, signer, hours)
    assert broken == rules
    if not rules:
        assert after.judge(KEYS[4].kid, 15) == ("suspect", KEYS[4], 30)
        assert after.judge(KEYS[5].kid, 30) == ("suspect", KEYS[5], 30)
        assert after.judge(KEYS[5].kid, 31).word == "retired"
        assert after.judge(KEYS[0].kid, 31).word == "valid"
        assert after.judge(KEYS[0].kid, 25).text == "key retired at #10"
        assert after.suspect_since == 10
        assert follow(after, said(4, (5,), prev=2), 40, 5, hours)[1] == ["party.keys.prev"]


def test_a_recovery_may_mark_keys_as_well() -> None:
    subject, _ = follow(party((0, 5), (1, 2)), said(1, (4,), (2,)), 10, 2)
    recovery = said(2, (5,), (1,), reason="recover", suspect=7)
    after, rules = follow(subject, recovery, 20, 1)
    assert rules == []
    assert [after.judge(KEYS[number].kid, 8).word for number in (0, 5)] == ["suspect", "valid"]
    assert after.judge(KEYS[0].kid, 6).word == "valid"
    late = said(2, (5,), (1,), reason="recover", suspect=99)
    assert follow(subject, late, 20, 1)[1] == ["party.keys.suspect"]


def test_keys_that_a_void_change_kept_are_not_suspect() -> None:
    subject, _ = follow(party((0,), (1, 2)), said(1, (0, 3), (1, 2)), 10, 2)
    subject, rules = follow(subject, said(2, (0,), (1, 2), reason="recover"), 20, 1)
    assert rules == []
    assert [subject.judge(KEYS[number].kid, 15).word for number in (0, 3)] == ["valid", "suspect"]


def test_announced_keys_alone_may_follow() -> None:
    announced = frozenset(KEYS[number].thumbprint for number in (1, 2))
    subject = party((0,), next_hashes=announced)
    assert follow(subject, said(1, (0,)), 1, 0)[1] == ["party.keys.pre-rotation"]  # a thief goes on with what he has
    assert follow(subject, said(1, (1, 3), (4,)), 1, 0)[1] == ["party.keys.pre-rotation"] * 2
    after, rules = follow(subject, said(1, (1,), (2,), announced=(3,)), 1, 0)
    assert rules == []
    assert follow(after, said(2, (1,), prev=1), 2, 2)[1] == ["party.keys.pre-rotation"]
    assert follow(after, said(2, (3,), prev=1), 2, 2)[1] == []


def test_deactivation_is_final_but_for_a_stronger_key_in_time() -> None:
    subject, rules = follow(party((0,), (1, 2)), said(1, reason="deactivate"), 5, 2)
    assert (rules, subject.deactivated(5), subject.deactivated(6)) == ([], None, 5)
    assert subject.judge(KEYS[0].kid, 6).text == "key retired at #5"
    assert "party.keys.deactivated" in follow(subject, said(2, (0,), prev=1), 6, 1)[1]
    assert follow(subject, said(2, (0,), reason="recover"), 6, 1, 73)[1] == ["party.keys.window"]
    back, rules = follow(subject, said(2, (0,), (1,), reason="recover"), 6, 1, 71)
    assert rules == []
    assert back.judge(KEYS[0].kid, 7).word == "valid"


def test_a_compromise_flags_and_deletes_nothing() -> None:
    subject, _ = follow(party((0, 1)), said(1, (1, 2)), 10, 0)  # key 0 went for another reason
    after, rules = follow(subject, said(2, (1,), prev=1, reason="compromise", suspect=6), 20, 1)
    assert rules == []
    assert [after.judge(KEYS[0].kid, index).word for index in (5, 6, 10, 11)] == [
        "valid",
        "suspect",
        "suspect",
        "retired",
    ]
    assert [after.judge(KEYS[2].kid, index).word for index in (11, 20, 21)] == ["suspect", "suspect", "retired"]
    assert [after.judge(KEYS[1].kid, index).word for index in (5, 15, 25)] == ["valid"] * 3
    assert subject.judge(KEYS[0].kid, 6).word == "valid"  # as of then


@pytest.mark.parametrize("suspect, keys", [(None, (1,)), (21, (1,)), (3, (0,))])
def test_a_compromise_says_from_where_and_takes_a_key_away(suspect: int | None, keys: tuple[int, ...]) -> None:
    event = said(1, keys, reason="compromise", suspect=suspect)
    assert follow(party(), event, 20, 0)[1] == ["party.keys.suspect"]


def test_a_custodial_party_is_claimed_once() -> None:
    custodial = party((), custodian=OTHER)
    assert (custodial.guardian(1), party().guardian(1)) == (OTHER, None)
    assert follow(custodial, said(1, (0,), reason="claim"), 1, 5, issuer=PARTY)[1] == ["party.keys.actor"]
    assert "party.keys.actor" in follow(custodial, said(1, (0,)), 1, 5, issuer=OTHER)[1]
    assert follow(custodial, said(1, reason="claim"), 1, 5, issuer=OTHER)[1] == ["party.keys.claim"]
    assert follow(custodial, said(1, (0,), reason="claim", actor=b"x" * 32), 1, 5, issuer=OTHER)[1] == [
        "party.keys.actor"
    ]
    claimed, rules = follow(custodial, said(1, (0,), reason="claim", actor=OTHER), 7, 5, issuer=OTHER)
    assert rules == []
    assert (claimed.guardian(7), claimed.guardian(8)) == (OTHER, None)
    again = said(2, (5,), prev=1, reason="claim")
    assert "party.keys.claim" in follow(claimed, again, 8, 5, issuer=OTHER)[1]
    assert follow(claimed, said(2, (3,), prev=1), 8, 0)[1] == []
    assert "party.keys.claim" in follow(party(), said(1, (5,), reason="claim"), 1, 0)[1]


def test_key_events_are_read_strictly() -> None:
    body = {"reason": "rotate", "keys": [KEYS[0].jwk()], "rotation_keys": [], "next_key_hashes": ["ab" * 32]}
    event = {"actor": PARTY.hex(), "body": body, "refs": [{"role": "prev", "id": PARTY.hex()}]}
    read = KeyEvent.read(OTHER, dumps(event))
    assert (list(read.keys), read.next_hashes, read.suspect_from) == ([KEYS[0].kid], {b"\xab" * 32}, None)
    for broken in (
        {**event, "refs": []},
        {**event, "body": {**body, "keys": [{"kty": "OKP"}]}},
        {**event, "body": {**body, "keys": 7}},
        {**event, "body": {**body, "next_key_hashes": ["no hex"]}},
        {**event, "actor": "self"},
    ):
        with pytest.raises(MalformedError):
            KeyEvent.read(OTHER, dumps(broken))
    with pytest.raises(MalformedError):
        KeyEvent.read(OTHER, b"")
    with pytest.raises(MalformedError):
        party_of(OTHER, 0, dumps({"actor": "self", "body": {"kind": "person", "keys": [], "rotation_keys": [1]}}))


# Mandates

WORKS = [bytes([number]) * 32 for number in (100, 101, 102)]


def mandate(*actions: str, works: tuple[bytes, ...] = (), **details: object) -> Mandate:
    return Mandate(b"m" * 32, 3, PARTY, OTHER, actions, frozenset(works), **details)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "actions, type_, allowed",
    [
        (("offer.attach",), "offer.attach", True),
        (("offer.attach",), "offer.detach", False),
        (("offer.*",), "offer.detach", True),
        (("offer.*",), "grant.issue", False),
        (("*",), "grant.issue", True),
        (("*",), "mandate.grant", False),
        (("mandate.grant",), "mandate.grant", True),
        (("*",), "party.link", False),
        (("party.*",), "party.link", True),
        (("party.*", "party.keys"), "party.keys", False),
        (("log.*", "*"), "log.keys", False),
    ],
)
def test_scope_of_actions(actions: tuple[str, ...], type_: str, allowed: bool) -> None:
    assert mandate(*actions).allows(type_) == allowed


@pytest.mark.parametrize(
    "details, works, hours, rule",
    [
        ({}, [], 0, None),
        ({"until": at(5)}, [], 5, None),
        ({"until": at(5)}, [], 5.1, "mandate.window"),
        ({"since": at(5)}, [], 4.9, "mandate.window"),
        ({"since": at(5)}, [], 5, None),
        ({"works": (WORKS[0], WORKS[1])}, [WORKS[0]], 0, None),
        ({"works": (WORKS[0], WORKS[1])}, [WORKS[0], WORKS[2]], 0, "mandate.scope"),
        ({"works": (WORKS[0],)}, [], 0, "mandate.scope"),
        ({"revoked": Revoked(b"r" * 32, 4)}, [], 0, "mandate.revoked"),
        ({"revoked": Revoked(b"r" * 32, None)}, [], 0, "mandate.revoked"),
    ],
)
def test_scope_of_works_and_windows(details: dict, works: list[bytes], hours: float, rule: str | None) -> None:
    reason = mandate("offer.*", **details).objection("offer.attach", works, at(hours))
    assert (reason and reason.rule) == rule
    if reason is not None:
        assert reason.events[0] == (b"m" * 32).hex()


class Known(NamedTuple):
    place: int
    time: str
    who: dict[bytes, Party]
    granted: Mandates

    def party(self, party_id: bytes) -> Party | None:
        return self.who.get(party_id)

    def mandates(self, principal: bytes, agent: bytes) -> list[Mandate]:
        return self.granted.between(principal, agent)


def test_who_may_speak_for_whom() -> None:
    granted = Mandates()
    custodial = Party(b"c" * 32, 0, "person", {}, custodian=OTHER)
    known = Known(10, at(0), {PARTY: party(), custodial.id: custodial}, granted)
    assert may_speak(PARTY, PARTY, "work.create", [], known) is None
    assert may_speak(OTHER, custodial.id, "work.create", [], known) is None
    missing = may_speak(OTHER, PARTY, "offer.attach", [], known)
    assert missing is not None
    assert missing.rule == "mandate.missing"
    granted.grant(mandate("terms.*"))
    scope = may_speak(OTHER, PARTY, "offer.attach", [], known)
    assert scope is not None
    assert scope.rule == "mandate.scope"
    granted.grant(Mandate(b"n" * 32, 4, PARTY, OTHER, ("*",), frozenset()))
    assert may_speak(OTHER, PARTY, "offer.attach", [], known) is None
    granted.revoke(b"n" * 32, Revoked(b"r" * 32, 5), b"stranger")
    assert may_speak(OTHER, PARTY, "offer.attach", [], known) is None
    granted.revoke(b"n" * 32, Revoked(b"r" * 32, 6), PARTY)
    revoked = may_speak(OTHER, PARTY, "offer.attach", [], known)
    assert revoked is not None
    assert (revoked.rule, revoked.events) == ("mandate.revoked", ((b"n" * 32).hex(), (b"r" * 32).hex()))
    assert may_speak(PARTY, OTHER, "offer.attach", [], known) is not None  # a mandate has one direction


def test_a_mandate_ends_with_its_principal() -> None:
    granted = Mandates()
    granted.grant(mandate("*"))
    gone, _ = follow(party(), said(1, reason="deactivate"), 8, 0)
    assert may_speak(OTHER, PARTY, "offer.attach", [], Known(8, at(0), {PARTY: gone}, granted)) is None
    reason = may_speak(OTHER, PARTY, "offer.attach", [], Known(9, at(0), {PARTY: gone}, granted))
    assert reason is not None
    assert reason.rule == "mandate.revoked"


def test_works_of_an_event_are_those_it_says_something_of() -> None:
    refs = [
        {"role": "work", "id": WORKS[0].hex()},
        {"role": "parent", "id": WORKS[1].hex()},
        {"role": "of", "id": WORKS[2].hex()},
        {"role": "work", "id": {"log": "x", "event": "y"}},
    ]
    assert list(works_of({"type": "offer.attach", "refs": refs})) == [WORKS[0]]
    assert list(works_of({"type": "work.version", "refs": refs})) == [WORKS[0], WORKS[2]]
