"""What looks personal in an event is seen; the examples of all types are clean."""

from __future__ import annotations

import json
import textwrap
from hashlib import sha256
from itertools import takewhile
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import open_log
from provenance import EventRejected, sign_statement
from provenance.audit import audit
from provenance.events.union import MODELS
from provenance.item import Item
from provenance.keys import PartyKey
from provenance.linter import lint, lint_own
from tests.provenance.conftest import ORIGIN, Market


def event(**body: object) -> bytes:
    return orjson.dumps({"kind": "event", "type": "x.y", "body": body, "refs": []})


@pytest.mark.parametrize(
    "value, rule",
    [
        ("ada@example.com", "email"),
        ("mailto:ada@example.co.uk", "email"),
        ("seen from 192.168.0.1", "ip"),
        ("2001:db8::1", "ip"),
        ("ADA@EXAMPLE.COM", "email"),
        ("ada%40example.com", "email"),
        ("ada\uff20example.com", "email"),
        ("::ffff:192.168.0.1", "ip"),
        ("+43 660 1234567", "phone"),
        ("0660 123 4567", "phone"),
        ("(0660) 1234567", "phone"),
        ("tel:06601234567", "phone"),
        ("Ada Lovelace", "name"),
        ("Zoë Müller-Lüdenscheidt", "name"),
        ("a longer text that somebody wrote about it", "text"),
        ("she lives next door", "text"),
        ("\u5c0f\u9f99", "text"),
        ("ad\u202ea", "unicode"),
        ("a\u200bda", "unicode"),
        ("\u0430da", "unicode"),
        ("ada\x00", "unicode"),
        ("cafe\u0301", "unicode"),
        (sha256(b"4711").hexdigest(), "digest"),
        (sha256(b"ab").hexdigest(), "digest"),
        (sha256(b"4711").hexdigest().upper(), "digest"),
    ],
)
def test_it_sees(value: str, rule: str) -> None:
    for placed in (
        event(note=value),
        event(deep={"list": [value]}),
        event(name=value, kind=value),
        orjson.dumps({"body": {}, "more": value}),
        orjson.dumps({"refs": [{"role": "a", "id": {"scheme": "x", "id": value}}]}),
    ):
        found = lint(placed)
        assert f"G5.{rule}" in {reason.rule for reason in found}
        assert all(value not in reason.sentence for reason in found)


@pytest.mark.parametrize("name", ["ada@example.com", "Ada Lovelace", "192.168.0.1"])
def test_it_sees_names_of_fields(name: str) -> None:
    for placed in (event(**{name: 1}), orjson.dumps({"commits": {name: "0" * 64}}), orjson.dumps({name: {}})):
        found = lint(placed)
        assert found
        assert all(name not in reason.sentence for reason in found)


def test_a_digest_of_what_goes_with_it() -> None:
    item = bytes(Item.new("name", "Ada Lovelace"))
    for guess in ("Ada Lovelace", "ada lovelace", "ADA LOVELACE"):
        assert [reason.rule for reason in lint(event(of=sha256(guess.encode()).hexdigest()), [item])] == ["G5.digest"]
    assert lint(event(of=sha256(item).hexdigest()), [item]) == ()  # salted
    assert [reason.rule for reason in lint(event(of=sha256(b"pool-7").hexdigest(), said=["pool-7"]))] == ["G5.digest"]
    account = bytes(Item.new("account", {"id": " 4711471147 "}))
    assert [reason.rule for reason in lint(event(of=sha256(b"4711471147").hexdigest()), [account])] == ["G5.digest"]


@pytest.mark.parametrize(
    "value",
    [
        "CC-BY-4.0",
        "(MIT OR Zlib) AND CC0-1.0 OR GPL-2.0-only WITH Classpath-exception-2.0",
        "image/jpeg",
        "digitalCapture",
        "25.0.0.37",
        "2026-11-23T07:15:00Z",
        "https://example.com/@ada.lovelace",
        "pkg:npm/left-pad@1.2.34",
        "10.5281/zenodo.1234567",
        "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
        sha256(b"a work of some size").hexdigest(),
        "12:30",
        "",
    ],
)
def test_what_is_not_personal(value: str) -> None:
    assert lint(event(version=value)) == ()


def test_a_market_at_work_is_clean(market: Market) -> None:
    desk = market.ledger
    work = market.work(terms="CC-BY-4.0", title="Ada at the beach")
    desk.license(work, to=market.bo, offer=desk.offers_of(work)[0].id)
    desk.snapshot(license="MIT", title="Ada's pictures")
    for idx in range(desk.log.size):
        entry = desk.index.entry(idx)
        assert entry is not None
        assert lint(desk.event(entry.event_id.hex())) == ()


def test_what_somebody_else_signs_is_looked_at(market: Market) -> None:
    key = PartyKey.generate()
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    draft = market.ledger.propose("party.register", actor="self", body=body, personal={"name": "Eve Adams"})
    statement = sign_statement(
        key, issuer=draft.id.hex(), type=draft.type, origin=ORIGIN, event_id=draft.id, sealed=False
    )
    party = market.ledger.submit(draft.data, statement, items=[bytes(item) for item in draft.items])
    evidence = sha256(b"4711").hexdigest()
    refs = [{"role": "target", "id": str(party)}]
    opened = market.ledger.propose(
        "dispute.open", actor=party, body={"tag": "improper-usage", "evidence": evidence}, refs=refs
    )
    statement = sign_statement(key, issuer=party.id, type=opened.type, origin=ORIGIN, event_id=opened.id, sealed=False)
    with pytest.raises(EventRejected, match=r"G5\.digest"):
        market.ledger.submit(opened.data, statement)


def test_what_is_no_person() -> None:
    """Names of programs where they belong, and what a standard says of its terms."""
    assert lint(orjson.dumps({"type": "work.manifest", "body": {"tool": {"name": "Adobe Photoshop"}}})) == ()
    assert lint(orjson.dumps({"type": "x.y", "body": {"tool": {"name": "Ada Lovelace"}}})) != ()
    table = {"terms": [{"word": "train", "text": "to train a model that learns from it"}]}
    assert lint(orjson.dumps({"type": "vocab.adopt", "body": {"table": table}})) == ()
    assert lint(orjson.dumps({"type": "vocab.adopt", "body": {"table": {"by": "ada@example.com"}}})) != ()


@pytest.mark.parametrize("type_", MODELS)
def test_examples_of_every_type_are_clean(type_: str) -> None:
    for text in (MODELS[type_].__doc__ or "").split("For example::")[1:]:
        lines = takewhile(lambda line: not line.strip() or line.startswith("    "), text.splitlines()[1:])
        said = json.loads(textwrap.dedent("\n".join(lines)))
        said.pop("personal", None)  # what goes to the vault
        assert lint(orjson.dumps({**said, "type": type_})) == ()
        assert lint_own(type_, said.get("body", {}), said.get("refs", [])) == ()


def test_an_audit_names_what_was_logged_before(market: Market) -> None:
    """What was logged is a fact: it looks personal, and the record is intact."""
    desk = market.ledger
    refs: list[dict[str, object]] = [{"role": "subject", "id": market.ada.id}]
    refs += [{"role": "evidence", "id": {"scheme": "file", "id": "Ada"}}]
    body = {"claim": "reviewed", "expires": "2030-01-01T00:00:00Z", "credential": sha256(b"4711").hexdigest()}
    said = desk.record_many([desk.draft("attest.issue", body=body, refs=refs)])[0]
    log = open_log(market.public, desk.log.policy)
    report = audit(log, rules=True)
    assert [(f.index, f.rule, f.altered) for f in report.personal] == [(desk.receipt(said).index, "G5.digest", False)]
    assert report.record == "intact"
    assert audit(log).personal == ()


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_it_never_fails(data: bytes) -> None:
    lint(data)


values = st.recursive(
    st.text(max_size=30) | st.integers(-(2**53), 2**53),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_it_says_where_and_never_what(value: object) -> None:
    for reason in lint(orjson.dumps({"type": "x.y", "body": {"value": value}})):
        assert reason.rule.startswith("G5.")
        assert reason.sentence.isprintable()


@pytest.mark.parametrize(
    "verb, given, place",
    [
        ("dispute", {"tag": "improper-usage", "evidence": sha256(b"Ada").hexdigest(), "ref": "Ada"}, "body.evidence"),
        ("set_status", {"state": "suspended", "reason": "tel:06601234567"}, "body.reason"),
        ("syndicate", {"market": {"scheme": "url", "id": "https://x.example/?m=ada%40x.example"}}, "refs.id.id"),
    ],
)
def test_the_market_itself_says_nothing_personal(market: Market, verb: str, given: dict[str, Any], place: str) -> None:
    """A field that everybody sees is no place for a person, whoever writes there; the message says which it was."""
    work = market.work(title="Ada")
    at = market.ledger.log.size
    with pytest.raises(EventRejected, match=rf"G5\.\w+: {place}: ") as caught:
        getattr(market.ledger, verb)(work, **given)
    for value in ("Ada", "0660", "%40"):
        assert value not in str(caught.value)
    assert market.ledger.log.size == at


def test_what_the_market_says_of_things_is_no_person(market: Market) -> None:
    desk = market.ledger
    machine = {"commercial": False, "governing_law": "New York"}
    terms = desk.publish_terms("LicenseRef-house", machine=machine)
    work = market.work(b"T", title="T", ref=sha256(b"T").hexdigest())  # its bytes are its title
    desk.offer(work, terms=terms)
    desk.quote("EUR", "USD", num=107, den=100, source="European Central Bank", at=market.clock.now)
    desk.derive(
        market.file(b"remix"), parents=[{"scheme": "doi", "id": "10.1000/182"}], creators=[market.ada], title="Ada"
    )
