"""Disclosure packages: what they hold, what they claim, and that nothing kept back stays unseen."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import open_log
from ledger import LedgerError, MalformedError
from provenance import History
from provenance.disclosure import Disclosure, check_disclosure, verify_offline
from tests.provenance.conftest import Market


@pytest.fixture
def sold(market: Market) -> Market:
    desk = market.ledger
    work = market.work(title="a title")
    offer = desk.offer(work, terms="CC0-1.0")
    for number in range(4):
        desk.license(work, to=market.bo, offer=offer, ref=f"order:{number}")
    return market


def check(market: Market, package: Disclosure):
    log = open_log(market.public, market.ledger.log.policy)
    return check_disclosure(package, History.read(log, disclosed=package.contents))


def test_complete(sold: Market) -> None:
    desk = sold.ledger
    package = Disclosure.parse(bytes(desk.disclose(types=["grant.issue"])))
    assert len(verify_offline(package, desk.log.policy)) == 4
    verdicts, counted = check(sold, package)
    assert [(c.entries, c.disclosed, c.erased, c.lacking) for c in counted] == [(4, 4, 0, ())]
    assert counted[0].complete
    assert {v.word for v in verdicts if not v.field} == {"disclosed"}
    assert {v.word for v in verdicts if v.field} == {"sealed"}  # the market's refs stay here


def test_a_line_that_is_kept_back_shows(sold: Market) -> None:
    desk = sold.ledger
    whole = desk.disclose(types=["grant.issue"])
    index = min(whole.entries)
    event = bytes.fromhex(desk.find("order:0").id)
    less = Disclosure(
        whole.origin,
        whole.size,
        whole.claims,
        {address: data for address, data in whole.contents.items() if address != event},
        {at: data for at, data in whole.entries.items() if at != index},
        {at: data for at, data in whole.proofs.items() if at != index},
    )
    _, counted = check(sold, Disclosure.parse(bytes(less)))
    assert counted[0].lacking == (index,)
    assert not counted[0].complete


def test_personal_fields_go_only_where_they_are_named(sold: Market) -> None:
    desk = sold.ledger
    grant = desk.find("order:2")
    package = desk.disclose(events=[grant], fields=["ref"])
    verdicts, counted = check(sold, package)
    assert counted == []
    assert [(v.field, v.word) for v in verdicts] == [("", "disclosed"), ("ref", "disclosed")]


def test_what_is_erased(sold: Market) -> None:
    desk = sold.ledger
    before = desk.disclose(types=["grant.issue"], fields=["ref"])
    done = desk.erase(desk.find("order:1"))
    assert ("export", 1) in done.notices
    verdicts, counted = check(sold, before)
    gone = [v for v in verdicts if v.word == "erased"]
    assert [v.erased_by for v in gone] == [desk.erased_by(done.erased[0])]
    assert (counted[0].disclosed, counted[0].erased, counted[0].lacking) == (3, 1, ())
    after = desk.disclose(types=["grant.issue"])
    assert len(after.entries) == 3
    assert check(sold, after)[1][0].complete


def test_it_is_recorded_without_saying_for_whom(sold: Market) -> None:
    package = sold.ledger.disclose(types=["grant.issue"], ref="auditor:1")
    from hashlib import sha256

    event = sold.ledger.event(sold.ledger.find("auditor:1"))
    assert sha256(bytes(package)).hexdigest().encode() in event
    assert b"auditor" not in event


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tar",
        tar(),
        tar(("manifest.json", b"{}")),
        tar(("../escape", b"x")),
        tar(("/etc/passwd", b"x")),
        tar(("events/short.json", b"x")),
        tar(("manifest.json", b"{}"), ("manifest.json", b"{}")),
        tar(("manifest.json", b""), kind=tarfile.SYMTYPE),
        tar(
            ("manifest.json", b'{"claims":[],"format":"other","kind":"disclosure","members":{},"origin":"x","size":0}')
        ),
    ],
)
def test_files_that_are_no_package(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Disclosure.parse(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_altered_packages(sold: Market, data: st.DataObject) -> None:
    good = bytes(sold.ledger.disclose(types=["grant.issue"]))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    with pytest.raises(LedgerError):
        verify_offline(Disclosure.parse(bad), sold.ledger.log.policy)
