"""Members of a dataset snapshot: proven to be in it or not, and compared with reservations from what it commits to."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import open_log
from ledger.errors import MalformedError, NotFound, ProofMismatch
from ledger.merkle import leaf_hash, node_hash
from provenance import History
from provenance.desk.data import Input
from provenance.members import MAX_STORED, Member, Members, verify_member
from tests.provenance.conftest import Market
from tests.provenance.test_index import audited


def digest(number: int) -> str:
    return sha256(b"%d" % number).hexdigest()


def several(count: int) -> list[Member]:
    return [Member(digest(number), "CC-BY-4.0" if number % 2 else "", "allow") for number in range(count)]


def literal_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as it stands there."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return node_hash(literal_root(leaves[:half]), literal_root(leaves[half:]))


@pytest.mark.parametrize("count", [*range(1, 18), 257])
def test_every_member_is_proven_and_nothing_else(count: int) -> None:
    members = Members(reversed(several(count)))
    lines = bytes(members).splitlines()
    assert lines == sorted(lines)
    assert members.root == literal_root([leaf_hash(line) for line in lines])
    for at, member in enumerate(members):
        index, found, proof = members.prove(member.digest)
        assert (index, found) == (at, member)
        verify_member(member, proof, index=index, size=count, root=members.root)
        for other in (member._replace(license="MIT"), member._replace(verdict="disallow"), Member(digest(-1))):
            with pytest.raises(ProofMismatch):
                verify_member(other, proof, index=index, size=count, root=members.root)
    with pytest.raises(NotFound, match="no member"):
        members.prove(digest(-1))


@given(st.lists(st.integers(0, 1000), unique=True, max_size=20))
def test_a_list_has_one_form(numbers: list[int]) -> None:
    members = Members(Member(digest(number)) for number in numbers)
    assert Members.parse(bytes(members)) == members
    assert bytes(Members.parse(bytes(members))) == bytes(members)
    assert Members.of_item(members.item()) == members
    members.check(size=len(numbers), root=members.root)
    with pytest.raises(ProofMismatch):
        members.check(size=len(numbers) + 1, root=members.root)


LINE = bytes(Member(digest(1)))


@pytest.mark.parametrize(
    "data",
    [
        LINE,
        LINE + b"\r\n",
        LINE + b"\n\n",
        LINE + b"\n" + LINE + b"\n",
        b" " + LINE + b"\n",
        b"\n",
        b"[]\n",
        b"{}\n",
        LINE.replace(b'"unknown"', b"7") + b"\n",
        LINE.replace(b"unknown", b"perhaps") + b"\n",
        LINE.replace(b"}", b',"more":""}') + b"\n",
        LINE.replace(digest(1).encode(), digest(1)[1:].encode()) + b"\n",
        LINE.replace(digest(1).encode(), digest(1).upper().encode()) + b"\n",
        b"".join(sorted((LINE + b"\n", bytes(Member(digest(2))) + b"\n"), reverse=True)),
        b"\xff\n",
    ],
)
def test_another_form_is_none(data: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^members: "):
        Members.parse(data)


@pytest.mark.parametrize("value", ["text", {}, [7], [{"digest": digest(1)}], [Member(digest(1))._asdict()] * 2])
def test_an_item_that_is_none(value: object) -> None:
    with pytest.raises(MalformedError, match=r"^members: "):
        Members.of_item(value)


def test_what_a_model_learned_against_a_reservation_follows_from_what_the_snapshot_holds(market: Market) -> None:
    """Without the list from anybody: it is stored with the snapshot, and is exactly what the root says."""
    desk = market.ledger
    free, reserved, outside = (market.work(content) for content in (b"free", b"reserved", b"outside"))
    desk.reserve(reserved, {"train": "disallow"}, source="cawg-1.1")
    desk.reserve(outside, {"train": "disallow"}, source="cawg-1.1")
    held = [Member(sha256(content).hexdigest(), "CC0-1.0", "unknown") for content in (b"free", b"reserved", b"no work")]
    snapshot = desk.snapshot(holds=held)
    model = desk.register_model(version="1", creators=[market.ada])
    desk.train(model, inputs=[Input(snapshot)], method="pretrain", rights="unknown")
    members = desk.members(snapshot)
    assert members is not None
    assert set(members) == set(held)
    index, member, proof = members.prove(sha256(b"reserved").hexdigest())
    verify_member(member, proof, index=index, size=3, root=members.root)
    with pytest.raises(NotFound, match="no member"):
        members.prove(sha256(b"outside").hexdigest())
    history = History.read(open_log(market.public, desk.log.policy), disclosed=desk.disclosures())
    blind = History.read(open_log(market.public, desk.log.policy))
    for asked in (desk, history):
        assert asked.members(snapshot) == members
        assert [(row.work, row.because) for row in asked.training_conflicts(model).rows] == [(reserved.id, "reserved")]
        assert [row.via for row in asked.trained_on(free).rows] == [snapshot.id]
        assert asked.trained_on(outside).rows == ()
    assert blind.members(snapshot) is None
    assert blind.training_conflicts(model).rows == ()
    assert blind.training_conflicts(model, members={snapshot.id: list(members.digests)}).rows != ()
    assert audited(desk, market.public).record == "intact"


def test_a_snapshot_without_a_stored_list(market: Market) -> None:
    desk = market.ledger
    many = Members(several(MAX_STORED + 1))
    snapshot = desk.snapshot(holds=list(many))
    assert desk.members(snapshot) is None
    event = desk.before().event(bytes.fromhex(snapshot.id))
    assert event is not None
    many.check(size=event["body"]["members"], root=bytes.fromhex(event["body"]["root"]))
    assert desk.members(desk.snapshot(description="ab" * 32)) is None
    with pytest.raises(NotFound, match="no dataset"):
        desk.members(market.work())
    stored = desk.snapshot(holds=several(MAX_STORED))
    assert desk.members(stored) is not None
    with pytest.raises(MalformedError, match="twice"):
        desk.snapshot(holds=several(2) * 2)


def test_a_stored_list_that_is_another_is_refused(market: Market) -> None:
    desk = market.ledger
    body = {"members": 2, "root": Members(several(2)).root.hex()}
    draft = desk.draft("dataset.snapshot", body=body, personal={"members": Members(several(3)).item()})
    [snapshot] = desk.record_many([draft])
    with pytest.raises(ProofMismatch, match="want 2 with root"):
        desk.members(snapshot)
