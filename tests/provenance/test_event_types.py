"""Every type of event: each of its rules can be broken, anything its schema allows comes back, nothing else gets in."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from provenance.canonical import dumps, loads
from provenance.errors import EventRejected
from provenance.events import Event, Unknown, fields, new_event, read_event
from provenance.events.envelope import MAX_PARENTS, MAX_REFS
from provenance.events.union import MODELS
from provenance.vocabularies import BUILT_IN, Word
from tests.provenance.test_events import BASE, EXAMPLES, JWK, ORIGIN, VKEY, A, B, C

NOW, LATER = "2026-11-23T07:15:00Z", "2027-11-23T07:15:00Z"
OUTSIDE = {"scheme": "doi", "id": "10.1000/182"}
SAYS = {
    "holder": {"units": "1"},
    "input": {"purpose": "train", "basis": "none", "verdict": "unknown"},
    "parent": {"relation": "other"},
    "payee": {"amount": "1"},
}
"""What a ref of a role has to say besides."""
PLAIN = {("generation.run", "input"), ("payout.confirm", "payee")}
"""Where one of these roles says nothing."""


def ref(role: str, id_: Any = A, **says: str) -> dict[str, Any]:
    return {"role": role, "id": id_, **SAYS.get(role, {}), **says}


def write(type_: str, *, body: dict[str, Any] | None = None, **changes: Any) -> Any:
    """The example of a type, with another body: members that are None are left out."""
    said = {**EXAMPLES[type_], **changes}
    mixed = {**said["body"], **(body or {})}
    said["body"] = {name: value for name, value in mixed.items() if value is not None}
    return new_event(type_, **{**BASE, **said})


def rules(type_: str, **changes: Any) -> list[str]:
    with pytest.raises(EventRejected) as caught:
        write(type_, **changes)
    return [reason.rule for reason in caught.value.reasons]


def refs_without(type_: str, role: str) -> list[dict[str, Any]]:
    return [each for each in EXAMPLES[type_].get("refs", []) if each["role"] != role]


ROLES = [(type_, role) for type_, model in MODELS.items() for role in model.roles]


@pytest.mark.parametrize("type_, role", ROLES)
def test_each_role_has_its_number(type_, role):
    least, most, rule = MODELS[type_].roles[role]
    name, others = f"{type_}.{rule or role}", refs_without(type_, role)
    says = {} if (type_, role) in PLAIN else SAYS.get(role, {})
    if least:
        assert name in rules(type_, refs=others)
    if most == 1:
        assert name in rules(type_, refs=[*others, *({"role": role, "id": id_, **says} for id_ in (A, B))])
        return
    twice = "G2.duplicate-parent" if role == "parent" else name
    assert twice in rules(type_, refs=[*others, *({"role": role, "id": id_, **says} for id_ in (A, B, A))])
    many = [{"role": role, "id": f"{number:064x}", **says} for number in range(most + 1)]
    assert name in rules(type_, refs=[*others, *many])


def test_who_has_too_many_parents_is_told_what_to_do():
    many = [ref("parent", f"{number:064x}") for number in range(100_000)]
    for type_ in ("work.derive", "derive.amend"):
        with pytest.raises(EventRejected, match=r"100000 of role parent.* record a dataset\.snapshot"):
            write(type_, refs=[*refs_without(type_, "parent"), *many])
    assert write("work.derive", refs=[*refs_without("work.derive", "parent"), *many[:MAX_PARENTS]])


def test_as_many_inputs_as_are_allowed_fit_into_an_event():
    plain = [ref("input", f"{number:064x}") for number in range(MAX_REFS)]
    assert write("model.train", refs=[*refs_without("model.train", "input"), *plain])


def test_the_same_thing_may_stand_there_as_two():
    roles = [ref("creator", A, **{"as": role}) for role in ("author", "photographer")]
    assert write("work.create", refs=roles)
    uses = [ref("input", A, purpose=use) for use in ("train", "index")]
    assert write("model.train", refs=[*refs_without("model.train", "input"), *uses])
    proven = [ref("parent", {"log": ORIGIN, "event": A}), ref("parent", {"log": ORIGIN, "event": A, "proof": B})]
    assert rules("work.derive", refs=[*refs_without("work.derive", "parent"), *proven]) == ["G2.duplicate-parent"]


def with_inputs(*inputs: dict[str, Any]) -> list[dict[str, Any]]:
    return [*refs_without("model.train", "input"), *inputs]


HOLDERS = refs_without("split.declare", "holder")
PAYEES = refs_without("settlement.compute", "payee")
STONE = {"event": B, "type": "work.create", "actor": A, "refs": [ref("creator")]}
LIST = {"targets": [A, B], "method": "delete", "basis": "gdpr-17"}
FREE = {"commercial": False, "fee": {"amount": "0", "currency": "EUR"}}
COMMERCE = {"commercial": True, "royalty": {"policy": "none"}}

BROKEN = [
    ("log.genesis", "origin", {"ledger": "other.example"}),
    ("log.genesis", "keys", {"body": {"log_keys": [VKEY]}}),
    ("log.genesis", "keys", {"body": {"log_keys": EXAMPLES["log.genesis"]["body"]["log_keys"] * 2}}),
    ("log.genesis", "sealed", {"body": {"sealed": ["hold.set"]}}),
    ("log.genesis", "sealed", {"body": {"sealed": ["grant.issue", "grant.issue"]}}),
    ("log.genesis", "vocabularies", {"body": {"vocabulary_digests": {"relation": A}}}),
    ("log.keys", "keys", {"ledger": "other.example"}),
    ("log.keys", "keys", {"body": {"retired": EXAMPLES["log.keys"]["body"]["log_keys"]}}),
    ("party.register", "keys", {"body": {"keys": []}}),
    ("party.register", "keys", {"body": {"rotation_keys": [JWK, JWK]}}),
    ("party.register", "keys", {"body": {"keys": [{**JWK, "x": "A" * 43}]}}),
    ("party.register", "strength", {"strength": "observed"}),
    ("party.register", "strength", {"actor": A}),
    ("party.keys", "keys", {"body": {"keys": [JWK, JWK]}}),
    ("party.keys", "keys", {"body": {"rotation_keys": [{**JWK, "x": "A" * 43}]}}),
    ("party.keys", "reason", {"body": {"reason": "deactivate"}}),
    ("party.keys", "reason", {"body": {"keys": []}}),
    ("party.keys", "reason", {"body": {"reason": "claim", "keys": []}}),
    ("party.keys", "suspect", {"body": {"reason": "compromise"}}),
    ("party.keys", "suspect", {"body": {"suspect_from": 7}}),
    ("mandate.grant", "window", {"body": {"until": "2026-11-23T00:00:00Z"}}),
    ("mandate.grant", "repeated", {"body": {"actions": ["*", "*"]}}),
    ("mandate.grant", "repeated", {"body": {"territories": ["DE", "DE"]}}),
    ("work.create", "tools", {"body": {"tools": "listed"}}),
    ("work.create", "tools", {"body": {"source_type": "trainedAlgorithmicMedia"}}),
    ("work.derive", "tools", {"refs": [*EXAMPLES["work.derive"]["refs"], ref("tool")]}),
    ("derive.amend", "judgment", {"body": {"cause": "judged"}}),
    ("derive.amend", "judgment", {"refs": [*EXAMPLES["derive.amend"]["refs"], ref("judgment")]}),
    ("dataset.snapshot", "members", {"body": {"root": None}}),
    ("dataset.snapshot", "members", {"body": {"members": None}}),
    ("model.register", "repeated", {"body": {"capabilities": ["text", "text"]}}),
    ("model.register", "repeated", {"body": {"limits": ["text", "text"]}}),
    ("model.register", "repeated", {"body": {"use_restrictions": ["text", "text"]}}),
    ("model.train", "rights", {"body": {"rights": "clear", "exception": None}, "refs": with_inputs(ref("input"))}),
    (
        "model.train",
        "rights",
        {"body": {"rights": "clear", "exception": None}, "refs": with_inputs(ref("input", verdict="deny"))},
    ),
    (
        "model.train",
        "rights",
        {"body": {"rights": "unknown", "exception": None}, "refs": with_inputs(ref("input", verdict="deny"))},
    ),
    ("model.train", "exception", {"body": {"exception": None}}),
    ("model.train", "exception", {"body": {"rights": "unknown"}, "refs": with_inputs(ref("input"))}),
    ("generation.run", "output", {"refs": refs_without("generation.run", "output")}),
    ("generation.run", "output", {"body": {"state": "started"}}),
    ("generation.run", "prev", {"body": {"state": "started"}, "refs": [ref("model"), ref("prev")]}),
    ("terms.publish", "commercial", {"body": {"machine": {**FREE, "royalty": {"policy": "LAP"}}}}),
    ("terms.publish", "royalty", {"body": {"machine": {"commercial": True}}}),
    ("terms.publish", "fee", {"body": {"machine": {"fee": {"amount": "1", "currency": "EUR"}}}}),
    ("terms.publish", "currency", {"body": {"machine": {"rev_ceiling": "100"}}}),
    ("terms.publish", "derivatives", {"body": {"machine": {"derivatives": {"allowed": False, "approval": True}}}}),
    ("terms.publish", "repeated", {"body": {"machine": {**COMMERCE, "duties": ["credit", "credit"]}}}),
    ("attribution.set", "credit", {"body": {"mode": "anonymous"}}),
    ("attribution.set", "credit", {"body": {"mode": "remove-me"}, "personal": {"link": "https://ada.example"}}),
    ("attribution.claim", "claimed", {"refs": [ref("child"), ref("claimed")]}),
    ("attribution.claim", "claimed", {"refs": [ref("child", OUTSIDE), ref("claimed", OUTSIDE)]}),
    ("reservation.declare", "selector", {"refs": []}),
    ("reservation.declare", "selector", {"body": {"selector": {"kind": "work", "value": "x"}}}),
    ("reservation.declare", "selector", {"body": {"selector": {"kind": "url"}}}),
    ("reservation.declare", "selector", {"body": {"selector": {"kind": "digest", "value": "AB" * 32}}}),
    ("consent.record", "purposes", {"body": {"purposes": ["voice", "voice"]}}),
    ("consent.record", "expires", {"body": {"expires": NOW}}),
    ("consent.record", "controller", {"refs": [ref("subject"), ref("controller")]}),
    ("erasure.execute", "targets", {"body": {"targets": [A, B, A]}}),
    ("erasure.execute", "tombstones", {"body": {"tombstones": [STONE]}}),
    ("erasure.execute", "tombstones", {"body": {**LIST, "tombstones": [STONE, STONE]}}),
    ("hold.set", "targets", {"body": {"targets": [A, A]}}),
    ("hold.set", "until", {"body": {"until": NOW}}),
    ("split.declare", "sum", {"refs": [*HOLDERS, ref("holder", units="99999999")]}),
    ("split.declare", "sum", {"refs": [*HOLDERS, ref("holder", units="100000000"), ref("holder", B)]}),
    ("split.transfer", "to", {"refs": [ref("work"), ref("from"), ref("to"), ref("prev")]}),
    ("revenue.report", "period", {"body": {"to": "2026-10-01T00:00:00Z"}}),
    ("revenue.report", "deductions", {"body": {"deductions": [{"kind": "vat", "amount": "1"}] * 2}}),
    ("settlement.compute", "sum", {"body": {"undistributed": "0"}}),
    ("settlement.compute", "sum", {"refs": [*PAYEES, ref("payee", amount="10000")]}),
    ("payout.confirm", "amount", {"body": {"amount": "0"}}),
    ("fx.quote", "currency", {"body": {"quote": "EUR"}}),
    ("attest.issue", "expires", {"body": {"expires": NOW}}),
    ("conformance.result", "cases", {"body": {"passed": 0}}),
    ("syndicate.place", "window", {"body": {"until": "2026-12-01T00:00:00Z"}}),
    ("syndicate.place", "territories", {"body": {"territories": ["FR", "FR"]}}),
    ("vocab.adopt", "digest", {"body": {"table": {"terms": []}}}),
]


@pytest.mark.parametrize("type_, rule, changes", BROKEN)
def test_each_rule_can_be_broken(type_, rule, changes):
    assert set(rules(type_, **changes)) == {f"{type_}.{rule}"}


def test_no_rule_is_without_a_test():
    named = {(type_, rule) for type_, rule, _ in BROKEN}
    assert named == {(type_, rule) for type_, model in MODELS.items() for rule in model.rules}


@pytest.mark.parametrize(
    "type_, changes",
    [
        ("work.create", {"refs": [ref("creator", {"log": "b.example", "event": B, "proof": C})]}),
        ("party.keys", {"body": {"reason": "deactivate", "keys": []}}),
        ("party.keys", {"body": {"reason": "compromise", "suspect_from": 0, "keys": []}}),
        ("party.keys", {"body": {"reason": "recover", "suspect_from": 7}}),
        (
            "party.link",
            {"body": {"scheme": "account", "document_digest": None}, "refs": [], "personal": {"account": "@a"}},
        ),
        ("derive.amend", {"body": {"cause": "judged"}, "refs": [*EXAMPLES["derive.amend"]["refs"], ref("judgment")]}),
        ("dataset.snapshot", {"body": {"members": None, "root": None, "description": A}}),
        (
            "model.train",
            {"body": {"rights": "denied", "exception": None}, "refs": with_inputs(ref("input", verdict="deny"))},
        ),
        (
            "model.train",
            {
                "body": {"rights": "clear", "exception": None},
                "refs": with_inputs(ref("input", OUTSIDE, verdict="permit", basis="license", grant=A)),
            },
        ),
        ("generation.run", {"body": {"state": "failed"}, "refs": [ref("model"), ref("prev")]}),
        ("offer.attach", {"body": {"overrides": {"rate": "5000000", "fee": {"amount": "0", "currency": "EUR"}}}}),
        ("terms.publish", {"body": {"machine": {**COMMERCE, "revocable": False}}}),
        ("attribution.set", {"body": {"mode": "anonymous"}, "personal": {"ref": "credit:1"}}),
        ("reservation.declare", {"body": {"selector": {"kind": "url", "value": "https://a.example/*"}}, "refs": []}),
        ("reservation.declare", {"body": {"selector": {"kind": "digest", "value": A}}, "refs": []}),
        ("consent.record", {"body": {"state": "ConsentExpired", "expires": NOW}}),
        ("erasure.execute", {"body": {**LIST, "tombstones": [STONE]}, "refs": [ref("request")]}),
        ("revenue.report", {"body": {"gross": "-11900"}}),
        ("settlement.compute", {"refs": [*PAYEES, ref("payee", amount="10009"), ref("payee", B, amount="-10")]}),
        ("fx.quote", {"body": {"num": "1", "den": "3"}}),
        ("syndicate.place", {"body": {"from": None, "until": None, "territories": []}}),
        (
            "vocab.adopt",
            {"body": {"table": {"terms": ["a"]}, "digest": sha256(b'{"terms":["a"]}').hexdigest()}},
        ),
        ("log.genesis", {"body": {"vocabulary_digests": None}}),
    ],
)
def test_what_is_allowed(type_, changes):
    draft = write(type_, **changes)
    assert bytes(read_event(draft.data)) == draft.data


# Later versions


@pytest.mark.parametrize("type_", MODELS)
def test_what_a_later_version_adds_is_kept_byte_for_byte(type_):
    event = loads(write(type_).data)
    for changed, where in (
        ({"body": {**event["body"], "mood": "blue"}}, "body.mood"),
        ({"mood": "blue"}, "mood"),
        ({"commits": {**event["commits"], "mood": A}}, "commits"),
        ({"refs": [*event["refs"], {"role": "muse", "id": A}]}, "refs"),
    ):
        data = dumps({**event, **changed})
        read = read_event(data)
        assert isinstance(read, Unknown)
        assert (read.type, bytes(read), read.id) == (type_, data, sha256(data).digest())
        assert any(name.startswith(where) for name in read.unknown_fields)


# Anything that the schema allows


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type as JSON has them."""
    parts = get_args(hint)
    for name in fields.__all__:
        own = get_args(getattr(fields, name))
        if parts[: len(own)] == own:  # a mark of the field itself may follow
            return FIELDS[name]
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *metadata = get_args(hint)
        for mark in metadata:
            if isinstance(mark, Word):
                return st.sampled_from(WORDS[mark.vocabulary])
        parts = [part for each in metadata for part in (each, *getattr(each, "metadata", ()))]
        pattern = next((part.pattern for part in parts if getattr(part, "pattern", None) is not None), None)
        if pattern is not None:
            return st.from_regex(pattern.removesuffix("$"), fullmatch=True)
        least = next((part.min_length for part in parts if getattr(part, "min_length", None) is not None), 0)
        most = min(least + 2, next((p.max_length for p in parts if getattr(p, "max_length", None) is not None), 2))
        return sized(inner, least, most)
    if origin in {Union, UnionType}:
        return st.one_of(*(strategy(each) for each in get_args(hint) if each is not type(None)))
    if origin is Literal:
        return st.sampled_from(get_args(hint))
    if origin in {tuple, dict}:
        return sized(hint, 0, 2)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return members(hint)
    return {bool: st.booleans(), int: st.just(1), Any: st.text(max_size=3)}[hint]


def sized(hint: Any, least: int, most: int) -> st.SearchStrategy[Any]:
    origin = get_origin(hint)
    if origin is tuple:
        inner = get_args(hint)
        return st.just([]) if not inner else st.lists(strategy(inner[0]), min_size=least, max_size=most)
    if origin is dict:
        key, value = get_args(hint)
        if "digest-name" in repr(key):
            return st.fixed_dictionaries({"sha-256": FIELDS["Hex"]})
        keys = st.from_regex("[a-z]{1,9}", fullmatch=True) if key is str else strategy(key)
        return st.dictionaries(keys, strategy(value), min_size=least, max_size=most)
    return strategy(hint)


@cache
def members(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(model, include_extras=True)
    needed, optional = {}, {}
    for name, field in model.model_fields.items():
        hint = field.annotation if "[" in model.__name__ and name == "role" else hints[name]
        (needed if field.is_required() else optional)[field.alias or name] = strategy(hint)
    return st.fixed_dictionaries(needed, optional=optional)


hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
numbers = st.integers(0, 2**53 - 1)
words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_+/()-]{0,20}", fullmatch=True)
FIELDS = {
    "Action": st.sampled_from(["*", "offer.*", "offer.attach"]),
    "Actor": hexes | st.just("self"),
    "Amount": st.integers(0, 10**30 - 1).map(str),
    "Count": st.integers(1, 2**53 - 1),
    "Currency": st.from_regex(r"[A-Z]{3}", fullmatch=True),
    "Digest": hexes,
    "EventType": st.sampled_from(["work.create", "work.dream"]),
    "ExternalId": st.from_regex(r"[!-/;-?A-~]{1,40}", fullmatch=True),
    "Hex": hexes,
    "Index": numbers,
    "License": st.sampled_from(["MIT", "(MIT OR X) AND LicenseRef-a"]),
    "ManifestLabel": st.from_regex(r"urn:c2pa:[a-z0-9/-]{1,40}", fullmatch=True),
    "MediaType": st.just("image/png"),
    "Natural": numbers,
    "Number": st.integers(1, 10**30 - 1).map(str),
    "Origin": st.sampled_from([ORIGIN, "b.example", "märkte.example"]),
    "Rate": st.integers(0, 10**8).map(str),
    "Seconds": numbers,
    "Signature": st.just("A" * 86),
    "SignedAmount": st.integers(1 - 10**30, 10**30 - 1).map(str),
    "Size": numbers,
    "Term": words,
    "Territory": st.sampled_from(["DE", "US-CA", "150"]),
    "Time": st.datetimes().map(lambda time: f"{time:%Y-%m-%dT%H:%M:%SZ}".zfill(20)),
    "Token": words,
    "Units": st.integers(1, 10**8).map(str),
    "Version": st.sampled_from(["1", "25.0.0.37"]),
    "Vkey": st.just(VKEY),
}


WORDS: dict[str, list[str]] = {}
for table in BUILT_IN:
    WORDS.setdefault(table.vocabulary, []).extend(table.terms)


def test_every_type_of_field_has_a_strategy():
    assert set(FIELDS) == set(fields.__all__)


@pytest.mark.parametrize("type_", MODELS)
@settings(max_examples=40)  # of each of them
@given(st.data())
def test_anything_that_the_schema_allows_round_trips(type_, data):
    value = data.draw(members(MODELS[type_]))
    encoded = dumps(value)
    event = read_event(encoded)
    assert isinstance(event, MODELS[type_])
    assert isinstance(event, Event)
    assert bytes(event) == encoded
    assert event.id == sha256(encoded).digest()
    assert all(reason.rule.startswith((type_, "G2.", "vocab.")) for reason in event.broken_rules())


# Look-alikes, and what does not show

TEXT = {
    "Action": "offer.attach",
    "Currency": "EUR",
    "EventType": "work.create",
    "ExternalId": "10.1000/182",
    "Hex": A,
    "License": "CC-BY-4.0",
    "ManifestLabel": "urn:c2pa:3f0a6d0e",
    "MediaType": "image/jpeg",
    "Term": "gdpr-17",
    "Territory": "DE",
    "Time": NOW,
    "Token": "Adobe Photoshop",
    "Version": "1.2.3",
    "Amount": "1250",
    "Digest": A,
    "Number": "107",
    "Rate": "50",
    "Signature": "A" * 86,
    "SignedAmount": "-1250",
    "Units": "25000000",
}
HIDDEN = {
    "right-to-left override": "\u202e",
    "left-to-right isolate": "\u2066",
    "zero-width joiner": "\u200d",
    "zero-width space": "\u200b",
    "soft hyphen": "\u00ad",
    "byte order mark": "\ufeff",
    "variation selector": "\ufe0f",
    "tag": "\U000e0041",
    "combining acute": "\u0301",
    "newline": "\n",
    "zero": "\x00",
}
LIKE = {
    "Cyrillic a": "\u0430",
    "fullwidth A": "\uff21",
    "Greek omicron": "\u03bf",
    "Arabic one": "\u0661",
    "e": "e\u0301",
}


@pytest.mark.parametrize("name", TEXT)
def test_no_field_takes_what_does_not_show_or_looks_like_something_else(name):
    adapter = TypeAdapter(getattr(fields, name))
    good = TEXT[name]
    assert adapter.validate_python(good) == good
    for odd in (*HIDDEN.values(), *LIKE.values()):
        for at in (0, 1, len(good)):
            for text in (good[:at] + odd + good[at:], good[:at] + odd + good[at + 1 :]):
                with pytest.raises(ValidationError):
                    adapter.validate_python(text)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_log_is_named_by_what_does_not_show(hidden):
    name = f"b{HIDDEN[hidden]}.example"
    event = loads(write("work.derive").data)
    for changed in (
        {"ledger": name},
        {"refs": [*event["refs"], ref("parent", {"log": name, "event": A})]},
    ):
        if hidden in {"variation selector", "combining acute"}:
            continue  # letters of names in some scripts
        read = read_event(dumps({**event, **changed}))
        assert isinstance(read, Unknown)


def test_text_that_is_not_nfc_is_no_event():
    with pytest.raises(EventRejected, match="normalization form C"):
        write("work.derive", ledger="ma\u0308rkte.example")
    (item,) = write("attribution.set", personal={"credit": "Zoe\u0308"}).items
    assert item.value == "Zo\u00eb"  # what people type is put into that form


def test_no_field_takes_free_text():
    for type_, example in EXAMPLES.items():
        for name, value in example["body"].items():
            if isinstance(value, str):
                assert rules(type_, body={name: "Ada asked us by mail, ada@example.com"}), (type_, name)
