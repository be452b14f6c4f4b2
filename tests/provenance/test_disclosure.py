"""Disclosure packages: what they hold, what they claim, and that nothing kept back stays unseen."""

from __future__ import annotations

import dataclasses
import io
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import connect, create, open_log
from adapters.files import Directory
from adapters.fsck import open_holdings
from ledger import Conflict, Fork, LedgerError, MalformedError, Policy, Proof, ProofMismatch
from ledger.copy import copy_log
from provenance import History, PartyKey, sign_statement
from provenance.audit import audit
from provenance.disclosed import Checked, check_disclosure, verify_offline
from provenance.disclosure import Disclosure
from provenance.item import Item
from tests.provenance.conftest import ORIGIN, Market


@pytest.fixture
def sold(market: Market) -> Market:
    desk = market.ledger
    work = market.work(title="a title", ref="work:1")
    offer = desk.offer(work, terms="CC0-1.0", ref="offer:1")
    for number in range(4):
        desk.license(work, to=market.bo, offer=offer, ref=f"order:{number}")
    return market


def history(market: Market, package: Disclosure) -> History:
    return History.read(open_log(market.public, market.ledger.log.policy), disclosed=package.contents)


def check(market: Market, package: Disclosure) -> Checked:
    return check_disclosure(package, history(market, package))


def words(checked: Checked, type_: str = "grant.issue") -> list[tuple[str, str]]:
    return [(item.field, item.word) for item in checked.items if item.type == type_]


def without(package: Disclosure, index: int, *, event: bytes | None = None) -> Disclosure:
    """The package less one entry, or less the event of one alone."""
    less = {at: data for at, data in package.events.items() if at != event}
    if event is not None:
        return dataclasses.replace(package, events=less)
    entries = {at: data for at, data in package.entries.items() if at != index}
    proofs = {at: data for at, data in package.proofs.items() if at != index}
    return dataclasses.replace(package, events=less, entries=entries, proofs=proofs)


def test_complete(sold: Market) -> None:
    desk = sold.ledger
    data = bytes(desk.disclose(types=["grant.issue"]))
    package = Disclosure.parse(data)
    assert bytes(package) == data
    assert package.counts == {"grant.issue": 4, "party.register": 1}
    checked = check(sold, package)
    assert [(c.entries, c.disclosed, c.erased, c.lacking) for c in checked.claims] == [(4, 4, 0, ())]
    assert checked.claims[0].complete
    assert words(checked) == [("", "disclosed"), ("ref", "sealed")] * 4  # the market's refs stay here
    assert checked.record == "intact"


def test_with_a_policy_alone(sold: Market) -> None:
    package = sold.ledger.disclose(types=["grant.issue"])
    checked = verify_offline(package, sold.ledger.log.policy)
    assert words(checked) == [("", "disclosed"), ("ref", "sealed")] * 4
    assert {item.detail for item in checked.items} == {""}  # the signer's registration is in it
    assert checked.claims[0].complete is None
    assert checked.record == "cannot check"
    signer = next(item.idx or 0 for item in checked.items if item.type == "party.register")
    less = without(package, signer, event=sold.ledger.market)
    less = dataclasses.replace(
        less,
        entries={at: data for at, data in package.entries.items() if at != signer},
        proofs={at: data for at, data in package.proofs.items() if at != signer},
    )
    found = verify_offline(less, sold.ledger.log.policy)
    assert all("not checked" in item.detail for item in found.items if item.type == "grant.issue" and not item.field)


def test_an_entry_with_another_proof(sold: Market) -> None:
    package = sold.ledger.disclose(events=[sold.ledger.find("order:0"), sold.ledger.find("order:1")])
    first, second = (i for i, entry in package.entries.items() if b"grant.issue" in entry)
    swapped = dataclasses.replace(
        package, entries={**package.entries, first: package.entries[second], second: package.entries[first]}
    )
    for checked in (verify_offline(swapped, sold.ledger.log.policy), check(sold, swapped)):
        assert [word for field, word in words(checked) if not field] == ["mismatch", "mismatch"]
        assert checked.record == "altered"


def test_a_line_that_is_kept_back_shows(sold: Market) -> None:
    whole = sold.ledger.disclose(types=["grant.issue"])
    index = next(i for i, entry in whole.entries.items() if b"grant.issue" in entry)
    event = bytes.fromhex(sold.ledger.find("order:0").id)
    less = without(whole, index)
    less = dataclasses.replace(less, events={at: data for at, data in whole.events.items() if at != event})
    checked = check(sold, Disclosure.parse(bytes(less)))
    assert checked.claims[0].lacking == (index,)
    assert checked.claims[0].complete is False
    assert checked.record == "cannot check"
    # an entry without its event says that there is one, and not what
    kept = check(sold, Disclosure.parse(bytes(without(whole, index, event=event))))
    assert words(kept)[0] == ("", "sealed")
    assert kept.claims[0].lacking == (index,)


def test_an_open_event_that_is_nowhere_is_missing(sold: Market) -> None:
    work = sold.work(b"to be lost")
    package = sold.ledger.disclose(events=[work])
    index = sold.ledger.receipt(work).index
    less = without(package, index, event=bytes.fromhex(work.id))
    assert ("", "missing") in words(verify_offline(less, sold.ledger.log.policy), "work.create")
    bundle = next((sold.public / "events").rglob("0*"), None) or next(iter((sold.public / "events").iterdir()))
    published = bundle.read_bytes()
    size = len(sold.ledger.event(work))
    at = published.index(size.to_bytes(4, "big") + sold.ledger.event(work))
    bundle.write_bytes(published[:at] + bytes(4) + published[at + 4 + size :])
    assert ("", "missing") in words(check(sold, less), "work.create")
    assert ("", "disclosed") in words(check(sold, package), "work.create")


def test_personal_fields_go_only_where_they_are_named(sold: Market) -> None:
    package = sold.ledger.disclose(events=[sold.ledger.find("order:2")], fields=["ref"])
    checked = check(sold, package)
    assert checked.claims == ()
    assert words(checked) == [("", "disclosed"), ("ref", "disclosed")]
    stray = Item.new("name", "Eve")
    more = dataclasses.replace(package, items={**package.items, stray.address: bytes(stray)})
    assert check(sold, more).record == verify_offline(more, sold.ledger.log.policy).record == "altered"


def test_what_is_erased(sold: Market) -> None:
    desk = sold.ledger
    before = desk.disclose(types=["grant.issue"], fields=["ref"])
    gone = desk.find("order:1")
    index = desk.receipt(gone).index
    address = bytes.fromhex(orjson.loads(desk.event(gone))["commits"]["ref"])
    done = desk.erase(gone)
    assert ("export", 1) in done.notices
    read = history(sold, before)
    checked = check_disclosure(before, read)
    erasure = desk.erased_by(done.erased[0])
    assert [(i.field, i.erased_by) for i in checked.items if i.word == "erased"] == [("", erasure), ("ref", erasure)]
    found = checked.claims[0]
    assert (found.disclosed, found.erased, found.lacking, found.complete) == (3, 1, (), True)
    assert checked.record == "intact"
    # nothing that reads the log gives out what the old package still holds
    assert (read.event_at(index), read.status_at(index), read.value_of(address)) == (None, "erased", None)
    assert read.index.links_from(index) == []
    after = desk.disclose(types=["grant.issue"], fields=["ref"])
    assert gone.id not in {each.hex() for each in after.events}
    assert address not in after.items
    assert check(sold, after).claims[0].complete
    with pytest.raises(LedgerError, match=gone.id):
        desk.disclose(events=[gone])


def test_an_erased_field_is_not_read(sold: Market) -> None:
    desk = sold.ledger
    grant = desk.find("order:3")
    package = desk.disclose(events=[grant], fields=["ref"])
    address = bytes.fromhex(orjson.loads(desk.event(grant))["commits"]["ref"])
    assert history(sold, package).value_of(address) == "order:3"
    desk.erase(address)
    read = history(sold, package)
    assert words(check_disclosure(package, read)) == [("", "disclosed"), ("ref", "erased")]
    assert read.value_of(address) is None
    later = desk.disclose(events=[grant, desk.listed("erasure.execute").rows[0].id], fields=["ref"])
    assert later.items == {}
    old_items = dataclasses.replace(later, items=package.items)
    assert ("ref", "erased") in words(verify_offline(old_items, desk.log.policy))


def test_an_audit_reads_it(sold: Market) -> None:
    package = sold.ledger.disclose(types=["grant.issue"])
    report = audit(open_log(sold.public, sold.ledger.log.policy), disclosed=package.contents)
    assert report.record == "intact"
    assert "sealed" not in report.statuses
    assert len(report.history.descendants(sold.ledger.find("order:0")).rows) == 0


def test_of_another_log_and_from_later(sold: Market, tmp_path: Path) -> None:
    package = sold.ledger.disclose(types=["grant.issue"])
    old = tmp_path / "old"
    desk = sold.ledger
    log = open_log(sold.public, desk.log.policy)
    copy_log(log, Directory(old))
    work = desk.listed("work.create").rows[0].id
    grant = desk.license(work, to=sold.bo, offer=desk.offers_of(work)[0].id)
    later = desk.disclose(types=["grant.issue"])
    behind = History.read(open_log(old, desk.log.policy), disclosed=later.contents)
    checked = check_disclosure(later, behind)
    assert [i.event for i in checked.items if i.word == "not yet published"] == [grant.id]
    assert (checked.claims[0].complete, checked.record) == (None, "cannot check")

    url = f"sqlite:///{tmp_path / 'other.db'}"
    other = create(url, origin="other.example/log", publish=tmp_path / "other", market_name="Other")
    both = Policy.parse(f"{desk.log.policy}{other.log.policy}".replace("quorum none\n", "") + "quorum none\n")
    elsewhere = History.read(open_log(tmp_path / "other", both))
    with pytest.raises(ProofMismatch, match="held against"):
        check_disclosure(package, elsewhere)


def test_made_by_a_log_that_forked(market: Market, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(market.root, elsewhere, ignore=shutil.ignore_patterns("elsewhere"))
    package = market.ledger.disclose(events=[market.work(b"one history")])
    url = f"sqlite:///{elsewhere / 'market.db'}"
    other = connect(url, publish=elsewhere / "public", clock=market.clock)
    for _ in range(4):
        other.register_party("org")
    with pytest.raises(Fork) as caught:
        check_disclosure(package, History.read(open_log(elsewhere / "public", other.log.policy)))
    assert caught.value.evidence is not None
    assert caught.value.evidence.verify(other.log.policy).new.size == other.log.checkpoint.size


def test_what_others_signed(market: Market) -> None:
    desk, key = market.ledger, PartyKey.generate()
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    draft = desk.propose("party.register", actor="self", body=body, personal={"name": "Eve"})
    said = sign_statement(key, issuer=draft.id.hex(), type=draft.type, origin=ORIGIN, event_id=draft.id, sealed=False)
    eve = desk.submit(draft.data, said, items=[bytes(item) for item in draft.items])
    answer = desk.propose(
        "dispute.open",
        actor=eve,
        body={"tag": "improper-usage", "evidence": sha256(bytes(32)).hexdigest()},
        refs=[{"role": "target", "id": market.ada.id}],
    )
    new = PartyKey.generate()
    desk.rotate_keys(eve.id, keys=[new.public], by=key)
    said = sign_statement(new, issuer=eve.id, type=answer.type, origin=ORIGIN, event_id=answer.id, sealed=False)
    package = desk.disclose(events=[desk.submit(answer.data, said)])
    assert package.counts == {"dispute.open": 1, "party.keys": 1, "party.register": 1}
    checked = verify_offline(package, desk.log.policy)
    assert {item.detail for item in checked.items} == {""}
    assert checked.record == "intact"


def test_it_is_recorded_without_saying_for_whom(sold: Market) -> None:
    package = sold.ledger.disclose(types=["grant.issue"], ref="auditor:1")
    event = sold.ledger.event(sold.ledger.find("auditor:1"))
    assert orjson.loads(event)["body"] == {
        "bundle": sha256(bytes(package)).hexdigest(),
        "counts": {"disclosure": 1, "events": len(package.events)},
    }
    assert b"auditor" not in event


# Hostile files


def test_the_same_question_again_is_recorded_once(sold: Market) -> None:
    desk = sold.ledger
    asked = {"types": ["grant.issue"], "fields": ["ref"]}
    first = desk.disclose(**asked, ref="audit:1")  # type: ignore[arg-type]
    recorded = desk.find("audit:1")
    desk.license(desk.find("work:1"), to=sold.bo, offer=desk.find("offer:1"), ref="order:later")
    again = desk.disclose(**asked, ref="audit:1")  # type: ignore[arg-type]
    assert (again.events, again.items, again.entries) == (first.events, first.items, first.entries)
    assert check(sold, again).claims[0].complete
    assert desk.find("audit:1") == recorded
    assert len(desk.index.of_type("export.made")) == 1
    for other in ({"fields": ["ref", "title"]}, {"types": ["offer.attach"]}, {"start": 1}, {"events": [recorded]}):
        with pytest.raises(Conflict, match="ref 'audit:1' of disclose: given before for another question"):
            desk.disclose(**(asked | other), ref="audit:1")  # type: ignore[arg-type]
    assert len(desk.index.of_type("export.made")) == 1
    assert len(desk.disclose(**asked, ref="audit:2").events) == len(first.events) + 1  # type: ignore[arg-type]
    assert list(open_holdings(sold.url, published=[sold.public]).faults()) == []


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, format_: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


EVENT = b'{"commits":{},"kind":"event","refs":[]}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tar",
        bytes(512),
        bytes(10240),
        tar(),
        tar(("manifest.json", b"")),
        tar(("manifest.json", b"{}")),
        tar(("manifest.json", b"[" * 100_000)),
        tar(("manifest.json", b'{"a":1,"a":1}')),
        tar(("../escape", b"x")),
        tar(("/etc/passwd", b"x")),
        tar(("events/short.json", b"x")),
        tar((f"events/{sha256(EVENT).hexdigest()}.json", EVENT)),
        tar(("manifest.json", b"{}"), ("manifest.json", b"{}")),
        tar(("manifest.json", b""), kind=tarfile.SYMTYPE),
        tar(("manifest.json", b""), kind=tarfile.LNKTYPE),
        tar(("manifest.json", b""), kind=tarfile.DIRTYPE),
        tar(("manifest.json", b""), kind=tarfile.GNUTYPE_SPARSE),
        tar(("entries/" + "1" * 200, b"x"), format_=tarfile.PAX_FORMAT),
        tar(("entries/" + "1" * 200, b"x"), format_=tarfile.GNU_FORMAT),
    ],
)
def test_files_that_are_no_package(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Disclosure.parse(data)


def altered(package: Disclosure, **manifest: object) -> bytes:
    """The package with other values in its manifest, everything else as it should be."""
    data = bytes(package)
    with tarfile.open(fileobj=io.BytesIO(data)) as read:
        members = [(info.name, read.extractfile(info).read()) for info in read]  # type: ignore[union-attr]
    said = orjson.loads(members[0][1]) | manifest
    return tar(("manifest.json", orjson.dumps(said, option=orjson.OPT_SORT_KEYS)), *members[1:])


def test_manifests_that_are_none(sold: Market) -> None:
    package = sold.ledger.disclose(types=["grant.issue"])
    assert Disclosure.parse(altered(package)) == package
    wrong: list[dict[str, object]] = [
        {"format": "provenance-disclosure@2"},
        {"kind": "other"},
        {"more": 1},
        {"members": {}},
        {"members": []},
        {"counts": {"grant.issue": 3}},
        {"counts": {"party.register": True, "grant.issue": 4}},
        {"checkpoint": ""},
        {"checkpoint": "x\n"},
        {"claimed_at": "yesterday"},
        {"claims": [{"start": 0, "stop": 1, "types": []}]},
        {"claims": [{"start": 2, "stop": 1, "types": ["a.b"]}]},
        {"claims": [{"start": True, "stop": 1, "types": ["a.b"]}]},
        {"claims": [{"start": 0, "stop": 1.5, "types": ["a.b"]}]},
        {"claims": [{"start": 0, "stop": 1, "types": ["A B"]}]},
        {"claims": ["all"]},
    ]
    for manifest in wrong:
        with pytest.raises(MalformedError):
            Disclosure.parse(altered(package, **manifest))


def test_members_that_do_not_belong_together(sold: Market) -> None:
    package = sold.ledger.disclose(types=["grant.issue"])
    index = max(package.entries)
    for wrong in (
        dataclasses.replace(package, proofs={}),
        dataclasses.replace(package, proofs={**package.proofs, index + 1: package.proofs[index]}),
        dataclasses.replace(package, items={sha256(EVENT).digest(): EVENT}),
        dataclasses.replace(package, events={bytes(32): EVENT}),
        dataclasses.replace(package, events={sha256(b"{}").digest(): b"{}"}),
    ):
        with pytest.raises(MalformedError):
            Disclosure.parse(bytes(wrong))


def test_cut_off_and_with_more_behind(sold: Market) -> None:
    data = bytes(sold.ledger.disclose(events=[sold.ledger.find("order:0")]))
    for wrong in (data[:-1], data[:-512], data[: len(data) // 2], data + b"\0", data + bytes(10240), data + b"x"):
        with pytest.raises(MalformedError):
            Disclosure.parse(wrong)


def test_thousands_of_events(sold: Market) -> None:
    """A manifest may be longer than any event."""
    package = sold.ledger.disclose(events=[sold.ledger.find("order:0")])
    index = max(package.entries)
    entry, proof = package.entries[index], Proof.parse(package.proofs[index])
    many = dataclasses.replace(
        package,
        entries=dict.fromkeys(range(8_000), entry),
        proofs={at: bytes(dataclasses.replace(proof, index=at)) for at in range(8_000)},
    )
    assert Disclosure.parse(bytes(many)) == many


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.data())
def test_altered_packages(sold: Market, data: st.DataObject) -> None:
    good = bytes(sold.ledger.disclose(events=[sold.ledger.find("order:0")], fields=["ref"]))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        package = Disclosure.parse(bad)
    except MalformedError:
        return
    assert bytes(package) == bad
    try:
        verify_offline(package, sold.ledger.log.policy)
    except LedgerError:
        return
    # What nobody signed may say another thing: when it was made, and what it claims to be complete for.
    good_package = Disclosure.parse(good)
    assert (package.contents, package.entries) == (good_package.contents, good_package.entries)


@given(st.binary(max_size=2_000))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Disclosure.parse(data)
