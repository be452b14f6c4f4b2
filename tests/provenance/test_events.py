"""Events: strict when written, patient when read, and nothing personal in what cannot be erased."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ledger.errors import MalformedError
from ledger.note import SigningKey
from provenance.canonical import dumps, loads
from provenance.errors import EventRejected
from provenance.events import LEAF_RULE, VOCABULARIES, Event, Unknown, new_event, read_event
from provenance.events.rights import MachineTerms, TermsPublish
from provenance.events.union import MODELS
from provenance.events.vocabulary import GENERATIVE
from provenance.keys import PartyKey

ORIGIN = "market.example/log"
A, B, C = ("a1" * 32, "b2" * 32, "c3" * 32)
KEY = PartyKey.from_seed(bytes(range(32)))
JWK = KEY.public.jwk()
VKEY = str(SigningKey(ORIGIN, bytes(32)).verifier)
OUTSIDE = {"scheme": "doi", "id": "10.1000/182"}

BASE = {"ledger": ORIGIN, "actor": A, "strength": "observed", "claimed_at": "2026-11-23T07:15:00Z"}
WORK = {
    "digests": {"sha-256": C},
    "media_type": "image/jpeg",
    "size": 2_471_183,
    "source_type": "digitalCapture",
    "human_contribution": "full",
    "tools": "none",
}
CREATOR = {"role": "creator", "id": A, "as": "photographer"}
TOOL = {"role": "tool", "id": B}
PARENT = {"role": "parent", "id": B, "relation": "edited"}
MANIFEST = {
    "label": "urn:c2pa:3f0a6d0e-4d8f-4c35-8f0c-2f4b6a1f7f10",
    "store_digest": A,
    "file_digest": B,
    "file_size": 1,
    "signer": C,
    "state": "Valid",
    "validation": ["claimSignature.validated"],
    "tool": {"name": "c2pa-python", "version": "0.38.1"},
    "binding": "embedded",
}
GENESIS = {"origin": ORIGIN, "log_keys": [VKEY], "leaf_rule": LEAF_RULE, "sealed": ["grant.issue"], "vocabularies": {}}
REGISTER = {"kind": "person", "keys": [], "rotation_keys": [], "next_key_hashes": []}
GRANT = {"scope": ["use"], "quantity": 1, "transferable": False}
GRANT_REFS = [{"role": "offer", "id": A}, {"role": "work", "id": B}, {"role": "licensee", "id": C}]
OFFER = {"audience": "public", "overrides": {}}
OFFER_REFS = [{"role": "work", "id": B}, {"role": "terms", "id": C}]

EXAMPLES = {type_: json.loads(model.__doc__.partition("::\n")[2]) for type_, model in MODELS.items()}
GOOD = {
    **EXAMPLES,
    "log.genesis": {"body": GENESIS, "actor": "self", "strength": "self"},
    "log.time": {"body": {"time": "2026-11-23T07:15:00Z"}, "strength": "self"},
    "party.register": {"body": REGISTER, "personal": {"name": "Ada"}},
    "work.create": {"body": WORK, "refs": [CREATOR], "personal": {"title": "Dunes", "ref": "upload:1"}},
    "work.derive": {"body": WORK, "refs": [PARENT, CREATOR], "personal": {"title": "Dunes"}},
    "work.manifest": {"body": MANIFEST, "refs": [{"role": "work", "id": A}]},
    "terms.publish": {"body": {"license": "CC-BY-4.0", "machine": {}}},
    "offer.attach": {"body": OFFER, "refs": OFFER_REFS},
    "grant.issue": {"body": GRANT, "refs": GRANT_REFS, "personal": {"ref": "order:7731"}},
    "erasure.execute": {"body": {"targets": [B], "method": "delete", "basis": "gdpr-17"}},
}


def write(type_: str, **changes):
    return new_event(type_, **{**BASE, **GOOD[type_], **changes})


def reasons(type_: str, **changes) -> list[tuple[str, str]]:
    with pytest.raises(EventRejected) as caught:
        write(type_, **changes)
    return [(reason.rule, reason.sentence) for reason in caught.value.reasons]


def rules(type_: str, **changes) -> list[str]:
    return [rule for rule, _ in reasons(type_, **changes)]


def body(type_: str, **changes) -> dict:
    return {"body": {**GOOD[type_]["body"], **changes}}


# Writing and reading back


@pytest.mark.parametrize("type_", MODELS)
def test_round_trip(type_):
    draft = write(type_)
    assert isinstance(draft.model, MODELS[type_])
    assert draft.type == draft.model.type == type_
    assert draft.id == sha256(draft.data).digest() == draft.model.id
    assert bytes(draft.model) == draft.data == rfc8785.dumps(json.loads(draft.data))
    event = read_event(draft.data)
    assert event == draft.model
    assert bytes(event) == draft.data
    assert list(event.broken_rules()) == []
    assert event.claimed_at == BASE["claimed_at"]


@pytest.mark.parametrize("type_", MODELS)
def test_all_keys_of_the_envelope_are_always_there(type_):
    value = json.loads(write(type_, personal={}).data)
    assert sorted(value) == [
        "actor", "body", "claimed_at", "commits", "kind", "ledger", "refs", "salt", "strength", "type", "v",
    ]  # fmt: skip
    assert (value["v"], value["kind"], value["commits"]) == (1, "event", {})
    assert type(value["v"]) is int


@pytest.mark.parametrize("type_", MODELS)
def test_the_example_in_each_docstring_is_an_event(type_):
    draft = new_event(type_, **{**BASE, **EXAMPLES[type_]})
    assert bytes(read_event(draft.data)) == draft.data


def test_salts_make_equal_events_differ_and_a_given_salt_does_not():
    assert write("log.time").id != write("log.time").id
    assert write("log.time", salt=bytes(32)).data == write("log.time", salt=bytes(32)).data
    assert reasons("log.time", salt=bytes(31)) == [("schema", "salt: 31 bytes, want 32")]


def test_personal_fields_become_items_and_leave_only_their_address():
    draft = write("work.create", personal={"title": "Dünen am Morgen", "ref": "order:7731"})
    assert "Dünen".encode() not in draft.data
    assert [(item.kind, item.value) for item in draft.items] == [("title", "Dünen am Morgen"), ("ref", "order:7731")]
    assert draft.model.commits == {item.kind: item.address.hex() for item in draft.items}
    assert all(item.salt.hex() not in draft.data.decode() for item in draft.items)


def test_models_are_frozen():
    event = write("work.create").model
    with pytest.raises(ValidationError, match="frozen"):
        event.actor = B
    with pytest.raises(ValidationError, match="frozen"):
        event.body.size = 1


tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True)
hexes = st.binary(min_size=32, max_size=32).map(bytes.hex)
ref_ids = (
    hexes
    | st.fixed_dictionaries({"log": st.just(ORIGIN), "event": hexes})
    | st.fixed_dictionaries({"scheme": tokens, "id": tokens}, optional={"digest": hexes})
)
parents = st.fixed_dictionaries(
    {
        "role": st.just("parent"),
        "id": ref_ids,
        "relation": st.sampled_from(
            ["edited", "composed", "translated", "adapted", "sampled", "generated-from", "other"]
        ),
    },
    optional={"grant": hexes, "exception": tokens, "rate": st.integers(0, 10**8).map(str)},
)
creators = st.fixed_dictionaries(
    {"role": st.just("creator"), "id": ref_ids}, optional={"as": st.sampled_from(["author", "model-provider"])}
)


def thing(ref) -> str:
    """What a ref points to; what is said besides does not make it another."""
    said = ref["id"]
    if isinstance(said, str):
        return said
    return str({name: said[name] for name in sorted(said) if name not in {"digest", "proof"}})


drafts = st.builds(
    lambda parents, creators, size, personal, salt: write(
        "work.derive",
        body={**WORK, "size": size},
        refs=[*parents, *creators],
        personal=personal,
        salt=salt,
    ),
    st.lists(parents, min_size=1, max_size=5, unique_by=thing),
    st.lists(creators, min_size=1, max_size=3, unique_by=thing),
    st.integers(0, 2**53 - 1),
    st.dictionaries(st.sampled_from(["title", "ref"]), st.text()),
    st.binary(min_size=32, max_size=32),
)


@given(drafts)
def test_any_derivation_round_trips(draft):
    event = read_event(draft.data)
    assert isinstance(event, MODELS["work.derive"])
    assert bytes(event) == draft.data
    assert event.id == draft.id


machine_terms = st.fixed_dictionaries(
    {},
    optional={
        "reproduce": st.booleans(),
        "distribute": st.booleans(),
        "derivatives": st.fixed_dictionaries({"allowed": st.just(True)}, optional={"approval": st.booleans()}),
        "ai": st.fixed_dictionaries({}, optional={"train": st.booleans(), "search": st.booleans()}),
        "attribution": st.fixed_dictionaries({}, optional={"text": st.booleans(), "link": st.booleans()}),
        "share_alike": st.booleans(),
        "use_restrictions": st.lists(tokens, unique=True, max_size=5),
        "territory": st.lists(st.sampled_from(["DE", "US-CA", "150"]), unique=True),
        "channels": st.lists(tokens, unique=True, max_size=3),
        "audience": tokens,
        "term": st.fixed_dictionaries({"expiration": st.integers(0, 2**53 - 1)}),
        "transferable": st.booleans(),
        "sublicensable": st.booleans(),
        "duties": st.lists(tokens, unique=True, max_size=3),
        "governing_law": st.just("England and Wales"),
    },
)


@given(machine_terms)
def test_any_machine_terms_round_trip(machine):
    draft = write("terms.publish", body={"license": "LicenseRef-house", "machine": machine})
    assert json.loads(bytes(read_event(draft.data)))["body"]["machine"] == machine


@given(drafts, st.data())
def test_damaged_events_are_malformed_or_other_events(draft, data):
    at = data.draw(st.integers(0, len(draft.data) - 1))
    damaged = draft.data[:at] + data.draw(st.binary(max_size=2)) + draft.data[at + data.draw(st.integers(0, 2)) :]
    try:
        event = read_event(damaged)
    except MalformedError:
        return
    assert bytes(event) == damaged
    assert (event.id == draft.id) == (damaged == draft.data)


def test_an_absent_audience_stays_absent():
    draft = write("offer.attach", body={"overrides": {}})
    assert draft.model.body.audience == "public"
    assert bytes(draft.model) == draft.data
    assert b"audience" not in draft.data


# Every type: what is not its schema


@pytest.mark.parametrize("type_", MODELS)
def test_unknown_and_missing_members_are_refused(type_):
    assert ("schema", "body.mood: Extra inputs are not permitted") in reasons(type_, **body(type_, mood="blue"))
    fields = MODELS[type_].model_fields["body"].annotation.model_fields
    for name, field in fields.items():
        if field.is_required():
            name = field.alias or name  # noqa: PLW2901
            less = {key: value for key, value in GOOD[type_]["body"].items() if key != name}
            assert ("schema", f"body.{name}: Field required") in reasons(type_, body=less)


@pytest.mark.parametrize("type_", MODELS)
def test_null_floats_and_wrong_types_are_refused(type_):
    for name, value in GOOD[type_]["body"].items():
        assert reasons(type_, **body(type_, **{name: None})) == [
            ("schema", f"$.body.{name}: NoneType, want an object, array, string, integer or boolean")
        ]
        assert rules(type_, **body(type_, **{name: 0.5})) == ["schema"]
        wrong = 7 if not isinstance(value, int) or isinstance(value, bool) else "7"
        assert "schema" in rules(type_, **body(type_, **{name: wrong}))


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "me"},
        {"actor": "self"},
        {"actor": A.upper()},
        {"actor": A + "\n"},
        {"strength": "certain"},
        {"ledger": ""},
        {"ledger": "two words"},
        {"claimed_at": "2026-11-23"},
        {"claimed_at": "2026-11-23T07:15:00+00:00"},
        {"claimed_at": "2026-11-23T07:15:00.5Z"},
        {"claimed_at": "2026-11-23t07:15:00z"},
        {"claimed_at": "2026-02-30T07:15:00Z"},
        {"claimed_at": "2026-11-23T24:00:00Z"},
        {"claimed_at": "2026-11-23T07:15:60Z"},
        {"claimed_at": "٢٠٢٦-11-23T07:15:00Z"},
        {"claimed_at": "2026-11-23T07:15:00Z\n"},
        {"personal": {"titel": "x"}},
        {"personal": {"title": None}},
        {"personal": {"title": "x" * 16_385}},
        {"personal": {"title": "\ud800"}},
        {"refs": [{"role": "owner", "id": A}]},
        {"refs": [{"id": A}]},
        {"refs": [CREATOR, {"role": "tool"}]},
        {"refs": [{**CREATOR, "id": A[:-1]}]},
        {"refs": [{**CREATOR, "id": 7}]},
        {"refs": [{**CREATOR, "id": {"log": ORIGIN}}]},
        {"refs": [{**CREATOR, "id": {"log": ORIGIN, "event": A, "index": 7}}]},
        {"refs": [{**CREATOR, "id": {"scheme": "doi"}}]},
        {"refs": [{**CREATOR, "id": {**OUTSIDE, "digest": "7"}}]},
        {"refs": [{**CREATOR, "as": "king"}]},
        {"refs": [{**CREATOR, "relation": "edited"}]},
        {"refs": [CREATOR, PARENT]},
    ],
)
def test_what_is_no_envelope_is_refused(change):
    assert set(rules("work.create", **change)) == {"schema"}


def test_unknown_types_are_not_written():
    with pytest.raises(EventRejected, match=r"schema: type: .*work\.dream") as caught:
        new_event("work.dream", **{**BASE, "body": {}})
    assert len(caught.value.reasons) == 1


def test_all_reasons_are_given_and_no_value_is_repeated():
    found = reasons("work.create", **body("work.create", media_type="ada@lovelace.example", size=-1), strength="x")
    assert {sentence.partition(":")[0] for _, sentence in found} == {"body.media_type", "body.size", "strength"}
    assert "lovelace" not in str(found)
    broken = rules("work.derive", refs=[], **body("work.derive", tools="listed"))
    assert broken == ["work.derive.parents", "work.derive.creator", "work.derive.tools"]


def test_numbers_are_bounded():
    write("work.create", **body("work.create", size=2**53 - 1))
    for size in (-1, 2**53, True, "7"):
        assert rules("work.create", **body("work.create", size=size)) == ["schema"]


def test_an_event_is_at_most_a_mebibyte():
    refs = [{**PARENT, "id": {"scheme": "x", "id": f"{number:0500}"}} for number in range(2_000)]
    creators = [{**CREATOR, "id": ref["id"]} for ref in refs]
    assert rules("work.derive", refs=[*refs[:1_000], *creators]) == ["schema"]
    assert reasons("work.derive", refs=[*refs[:1_000], *creators])[0][1].endswith("want at most 1048576")


# Nothing personal (G5)


PERSONAL = [
    "ada@lovelace.example",
    "mailto:ada@lovelace.example",
    "192.168.0.1",
    "from-10.0.0.7",
    "10.0.0.7:8080",
    "2001:db8::1",
    "fe80:0:0:0:0:0:0:1",
    "::1",
    "::ffff:10.0.0.7",
    "Ada, who lives in London",
    "caf\u00e9",
    "line\nbreak",
    "",
]


@pytest.mark.parametrize("text", PERSONAL)
def test_no_field_takes_what_may_be_personal(text):
    fields = [
        ("work.manifest", body("work.manifest", validation=[text])),
        ("work.manifest", body("work.manifest", tool={"name": text, "version": "1"})),
        ("work.manifest", body("work.manifest", label=f"urn:c2pa:{text}")),
        ("terms.publish", body("terms.publish", machine={"governing_law": text})),
        ("terms.publish", body("terms.publish", machine={"duties": [text]})),
        ("terms.publish", body("terms.publish", machine={"territory": [text]})),
        ("terms.publish", body("terms.publish", license=text)),
        ("offer.attach", body("offer.attach", audience=text)),
        ("grant.issue", body("grant.issue", scope=[text])),
        ("work.create", body("work.create", media_type=text)),
        ("work.create", {"refs": [{**CREATOR, "id": {"scheme": text, "id": "1"}}]}),
        ("log.genesis", body("log.genesis", vocabularies={text: "1"})),
    ]
    for type_, change in fields:
        assert "schema" in rules(type_, **change), type_


@pytest.mark.parametrize("id_", PERSONAL)
def test_external_ids_are_impersonal_too(id_):
    assert rules("work.create", refs=[{**CREATOR, "id": {"scheme": "web", "id": id_}}]) == ["schema"]


@pytest.mark.parametrize(
    "id_", ["10.1000/182", "https://example.com/a?b=c#d", "urn:isbn:9780262033848", "1.2.3", "a:b:c"]
)
def test_ordinary_ids_pass(id_):
    write("work.create", refs=[{**CREATOR, "id": {"scheme": "web", "id": id_}}])


def test_four_numbers_are_a_version():
    write("work.manifest", **body("work.manifest", tool={"name": "Adobe Photoshop", "version": "25.0.0.37"}))


# log.*


def test_genesis_names_its_own_log():
    assert rules("log.genesis", **body("log.genesis", origin="other.example")) == [
        "log.genesis.origin",
        "log.genesis.keys",
    ]
    other = str(SigningKey("other.example", bytes(32)).verifier)
    assert rules("log.genesis", **body("log.genesis", log_keys=[VKEY, other])) == ["log.genesis.keys"]
    assert rules("log.genesis", **body("log.genesis", log_keys=[VKEY, VKEY])) == ["log.genesis.keys"]
    for keys in ([], ["x"], [VKEY[:-1]], [VKEY.replace("+", "+0", 1)]):
        assert set(rules("log.genesis", **body("log.genesis", log_keys=keys))) == {"schema"}


def test_an_erasure_names_each_address_once_and_nothing_else():
    assert rules("erasure.execute", **body("erasure.execute", targets=[B, C, B])) == ["erasure.execute.targets"]
    for targets in ([], ["order:7731"], [B.upper()], [B] * 10_001):
        assert set(rules("erasure.execute", **body("erasure.execute", targets=targets))) == {"schema"}
    for word in ("Ada asked for it", "ada@example.com", ""):
        assert rules("erasure.execute", **body("erasure.execute", basis=word)) == ["schema"]
    assert set(rules("erasure.execute", refs=[CREATOR])) == {"schema"}
    assert rules("erasure.execute", personal={"title": "request:1"}) == ["schema"]


@pytest.mark.parametrize("type_", ["log.time", "log.keys", "party.register", "party.keys", "vocab.adopt", "hold.set"])
def test_what_everything_rests_on_cannot_be_sealed(type_):
    assert rules("log.genesis", **body("log.genesis", sealed=[type_])) == ["log.genesis.sealed"]


def test_genesis_details():
    write("log.genesis", **body("log.genesis", sealed=[], vocabularies=dict(VOCABULARIES)))
    assert rules("log.genesis", **body("log.genesis", sealed=["x.y", "x.y"])) == ["log.genesis.sealed"]
    assert rules("log.genesis", **body("log.genesis", leaf_rule="x")) == ["schema"]
    assert rules("log.genesis", actor=A) == ["schema"]
    assert rules("log.genesis", personal={"ref": "x"}) == ["schema"]
    assert rules("log.time", refs=[CREATOR]) == ["schema"]
    assert rules("log.time", strength="observed") == ["schema"]


# party.register


def test_who_signs_itself_has_a_key():
    own = {"actor": "self", "strength": "self"}
    write("party.register", **body("party.register", keys=[JWK]), **own)
    write("party.register", **body("party.register", keys=[JWK]))
    assert rules("party.register", **own) == ["party.register.keys"]
    assert rules("party.register", actor="self", **body("party.register", keys=[JWK])) == ["party.register.strength"]
    assert rules("party.register", strength="self") == ["party.register.strength"]
    assert rules("party.register", strength="attested") == ["party.register.strength"]


@pytest.mark.parametrize("name", ["keys", "rotation_keys"])
def test_keys_of_a_party_are_keys(name):
    small = {**JWK, "x": "A" * 43}
    spelling = {**JWK, "x": JWK["x"][:-1] + chr(ord(JWK["x"][-1]) + 1)}
    off_curve = {"kty": "EC", "crv": "P-256", "x": JWK["x"], "y": JWK["x"]}
    for keys in ([small], [spelling], [off_curve], [JWK, JWK]):
        assert rules("party.register", **body("party.register", **{name: keys})) == ["party.register.keys"]
    for key in ({**JWK, "d": JWK["x"]}, {**JWK, "crv": "X25519"}, {**JWK, "x": JWK["x"] + "="}, {"kty": "OKP"}, "x"):
        assert set(rules("party.register", **body("party.register", **{name: [key]}))) == {"schema"}
    assert reasons("party.register", **body("party.register", keys=[{**JWK, "d": "the-secret"}])) == [
        ("schema", "body.keys.0.OKP.d: Extra inputs are not permitted")
    ]


# work.*


@pytest.mark.parametrize("type_", ["work.create", "work.derive"])
@pytest.mark.parametrize("source", sorted(GENERATIVE))
def test_generated_works_name_their_tools_or_say_that_they_do_not(type_, source):
    refs = GOOD[type_]["refs"]
    rule = [f"{type_}.tools"]
    assert rules(type_, **body(type_, source_type=source)) == rule
    assert rules(type_, **body(type_, source_type=source, tools="listed")) == rule
    write(type_, **body(type_, source_type=source, tools="undisclosed"))
    write(type_, **body(type_, source_type=source, tools="listed"), refs=[*refs, TOOL])
    assert rules(type_, **body(type_, source_type=source, tools="undisclosed"), refs=[*refs, TOOL]) == rule


@pytest.mark.parametrize("type_", ["work.create", "work.derive"])
def test_rules_of_works(type_):
    refs = GOOD[type_]["refs"]
    assert rules(type_, refs=[ref for ref in refs if ref != CREATOR]) == [f"{type_}.creator"]
    assert rules(type_, refs=[*refs, TOOL]) == [f"{type_}.tools"]
    assert rules(type_, **body(type_, tools="listed")) == [f"{type_}.tools"]
    assert rules(type_, **body(type_, source_type="minorHumanEdits")) == ["vocab.retired"]
    write(type_, refs=[*refs, {"role": "creator", "id": {"log": "b.example", "event": C}}])


@pytest.mark.parametrize(
    "digests",
    [
        {},
        {"sha-512": "0" * 128},
        {"sha-256": "0" * 63},
        {"sha-256": "0" * 128},
        {"sha-256": C.upper()},
        {"sha-256": C, "sha-512": C},
        {"sha-256": C, "md5": "0" * 32},
        {"sha256": C},
    ],
)
def test_digests_are_whole_and_by_name(digests):
    assert rules("work.create", **body("work.create", digests=digests))[0] == "schema"


def test_several_digests():
    write("work.create", **body("work.create", digests={"sha-256": C, "sha-512": "0" * 128, "sha3-384": "0" * 96}))


@pytest.mark.parametrize("media_type", ["image", "image/", "Image/jpeg", "image/jpeg; q=1", "image/jpeg\n", "a/b/c"])
def test_media_types(media_type):
    assert rules("work.create", **body("work.create", media_type=media_type)) == ["schema"]


def test_parents():
    other = {**PARENT, "id": {"log": "b.example", "event": B}}
    write("work.derive", refs=[CREATOR, PARENT, other, {**PARENT, "id": OUTSIDE}])
    assert rules("work.derive", refs=[CREATOR]) == ["work.derive.parents"]
    assert rules("work.derive", refs=[CREATOR, PARENT, {**PARENT, "relation": "sampled"}]) == ["G2.duplicate-parent"]
    assert rules("work.derive", refs=[CREATOR, other, other]) == ["G2.duplicate-parent"]
    twice = [{**PARENT, "id": OUTSIDE}, {**PARENT, "id": {**OUTSIDE, "digest": C}}]
    assert rules("work.derive", refs=[CREATOR, *twice]) == ["G2.duplicate-parent"]


@pytest.mark.parametrize("rate", ["0", "1", "5000000", "99999999", "100000000"])
def test_rates(rate):
    write("work.derive", refs=[CREATOR, {**PARENT, "rate": rate, "grant": C, "exception": "cdsm-4"}])


@pytest.mark.parametrize(
    "rate", ["", "00", "01", "-1", "+1", "1_0", "1.0", "1e3", "100000001", "999999999", "٣", "1\n", 5]
)
def test_bad_rates(rate):
    assert rules("work.derive", refs=[CREATOR, {**PARENT, "rate": rate}]) == ["schema"]


def test_manifest_is_of_one_work():
    work = {"role": "work", "id": A}
    assert rules("work.manifest", refs=[]) == ["work.manifest.work"]
    assert rules("work.manifest", refs=[work, work]) == ["work.manifest.work"]
    for change in ({"label": "urn:uuid:1"}, {"state": "Invalid"}, {"binding": "none"}, {"signer": A[1:]}):
        assert rules("work.manifest", **body("work.manifest", **change)) == ["schema"]


# Rights


@pytest.mark.parametrize(
    "license_",
    [
        "CC-BY-4.0",
        "MIT",
        "GPL-2.0+",
        "GPL-2.0-only WITH Classpath-exception-2.0",
        "MIT OR Apache-2.0",
        "(MIT OR Apache-2.0) AND CC-BY-4.0",
        "((MIT))",
        "MIT AND (LicenseRef-a OR (GPL-2.0-only WITH Classpath-exception-2.0 AND BSD-2-Clause))",
        "LicenseRef-house-terms",
        "DocumentRef-spdx-tool-1.2:LicenseRef-MIT-Style-2",
        "ANDROID-SDK",
        "OR-tools",
    ],
)
def test_license_expressions(license_):
    write("terms.publish", body={"license": license_, "machine": {}})


@pytest.mark.parametrize(
    "license_",
    [
        "",
        " ",
        "MIT Apache-2.0",
        "MIT and Apache-2.0 or",
        "AND",
        "MIT AND",
        "OR MIT",
        "MIT WITH",
        "(MIT",
        "MIT)",
        "()",
        "MIT()",
        "(MIT) WITH x",
        "MIT WITH (x)",
        "MIT WITH x WITH y",
        "MIT  OR X",
        " MIT",
        "MIT\n",
        "M\u0130T",
        "a:b",
        "x" * 501,
        "LicenseRef-a OR " * 30 + "(x",
        "(" + "a-.-a WITH b+ OR " * 29 + "(x",
        "(" * 250 + "MIT",
    ],
)
def test_what_is_no_license_expression(license_):
    assert rules("terms.publish", body={"license": license_, "machine": {}}) == ["schema"]


EURO = {"amount": "0", "currency": "EUR"}


@pytest.mark.parametrize(
    "machine, rule",
    [
        ({"commercial": False, "royalty": {"policy": "LAP"}, "fee": EURO}, "commercial"),
        ({"commercial": False, "rev_ceiling": "100", "fee": EURO}, "commercial"),
        ({"commercial": True}, "royalty"),
        ({"commercial": True, "royalty": {"policy": "none", "rate": "5"}}, "royalty"),
        ({"fee": {"amount": "1", "currency": "EUR"}}, "fee"),
        ({"royalty": {"policy": "LRP", "rate": "5"}}, "currency"),
        ({"rev_ceiling": "100"}, "currency"),
        ({"derivatives": {"allowed": False, "attribution": True}}, "derivatives"),
        ({"derivatives": {"allowed": False, "approval": True}}, "derivatives"),
        ({"derivatives": {"allowed": False, "reciprocal": True}}, "derivatives"),
        ({"duties": ["a", "a"]}, "repeated"),
        ({"territory": ["DE", "DE"]}, "repeated"),
    ],
)
def test_ill_formed_terms(machine, rule):
    assert rules("terms.publish", body={"license": "LicenseRef-x", "machine": machine}) == [f"terms.publish.{rule}"]


@pytest.mark.parametrize(
    "machine",
    [
        {"commercial": True, "royalty": {"policy": "none"}},
        {"commercial": False, "attribution": {"text": True, "link": False}, "royalty": {"policy": "none", "rate": "0"}},
        {"commercial": True, "royalty": {"policy": "LAP", "rate": "5000000"}, "fee": EURO, "rev_ceiling": "100000"},
        {"derivatives": {"allowed": False, "attribution": False}},
        {"derivatives": {"attribution": True}},
        {"fee": {"amount": "1250", "currency": "EUR"}, "royalty": {"policy": "flat"}},
        {"term": {"expiration": 0}},
    ],
)
def test_well_formed_terms(machine):
    event = write("terms.publish", body={"license": "LicenseRef-x", "machine": machine}).model
    assert isinstance(event, TermsPublish)
    said = {name for name in MachineTerms.model_fields if getattr(event.body.machine, name) is not None}
    assert said == set(machine)


@pytest.mark.parametrize(
    "machine",
    [
        {"commercial": "yes"},
        {"commercial": 1},
        {"fee": {"amount": 1250, "currency": "EUR"}},
        {"fee": {"amount": "12.50", "currency": "EUR"}},
        {"fee": {"amount": "-1", "currency": "EUR"}},
        {"fee": {"amount": "1250", "currency": "eur"}},
        {"fee": {"amount": "1250"}},
        {"term": {"expiration": -1}},
        {"term": {"expiration": "0"}},
        {"royalty": {"rate": "5"}},
        {"royalty": {"policy": "LAP", "rate": 5}},
        {"territory": ["Germany"]},
        {"ai": {"dream": True}},
        {"mood": True},
        {"duties": "credit"},
    ],
)
def test_machine_terms_have_strict_types(machine):
    assert rules("terms.publish", body={"license": "LicenseRef-x", "machine": machine}) == ["schema"]


def test_offers():
    write("offer.attach", **body("offer.attach", price={"amount": "1250", "currency": "EUR"}), personal={"ref": "o:1"})
    assert rules("offer.attach", refs=[]) == ["offer.attach.work", "offer.attach.terms"]
    assert rules("offer.attach", refs=[*OFFER_REFS, OFFER_REFS[0]]) == ["offer.attach.work"]
    assert rules("offer.attach", **body("offer.attach", overrides={"commercial": True})) == ["schema"]
    assert rules("offer.attach", **body("offer.attach", price={"amount": "01", "currency": "EUR"})) == ["schema"]


def test_grants():
    price = {"amount": "1250", "currency": "EUR"}
    write("grant.issue", **body("grant.issue", price=price, expires="2027-11-23T00:00:00Z", quantity=7))
    for missing in range(3):
        refs = [ref for number, ref in enumerate(GRANT_REFS) if number != missing]
        assert rules("grant.issue", refs=refs) == [f"grant.issue.{GRANT_REFS[missing]['role']}"]
    for change in ({"quantity": 0}, {"quantity": True}, {"scope": []}, {"expires": "never"}, {"transferable": 0}):
        assert rules("grant.issue", **body("grant.issue", **change)) == ["schema"]


# Reading what others wrote


def altered(type_: str = "work.create", **changes) -> bytes:
    return dumps({**loads(write(type_).data), **changes})


def test_an_unknown_type_is_kept():
    data = altered(type="work.dream", body={"mood": ["blue"]}, refs=[{"role": "sleeper", "id": A}])
    event = read_event(data)
    assert isinstance(event, Unknown)
    assert bytes(event) == data
    assert event.id == sha256(data).digest()
    assert (event.type, event.unknown_fields) == ("work.dream", ())
    assert (event.ledger, event.actor, event.strength) == (ORIGIN, A, "observed")
    assert sorted(event.commits) == ["ref", "title"]


@pytest.mark.parametrize(
    "change, fields",
    [
        ({"mood": "blue"}, ("mood",)),
        ({"body": {**WORK, "mood": "blue", "tone": 1}}, ("body.mood", "body.tone")),
        ({"body": {**WORK, "source_type": "dreamed"}}, ("body.source_type",)),
        ({"body": {}}, tuple(f"body.{name}" for name in WORK)),
        ({"refs": [{**CREATOR, "mood": "blue"}]}, ("refs.0.creator.mood",)),
        ({"refs": [CREATOR, {"role": "muse", "id": A}]}, ("refs.1",)),
        ({"refs": [{**CREATOR, "id": {"star": "Vega"}}]}, ("refs.0.creator.id.external.scheme",)),
        ({"v": 2}, ("v",)),
        ({"strength": "sworn"}, ("strength",)),
        ({"commits": {"dream": A}}, ("commits.dream.[key]",)),
    ],
)
def test_unknown_fields_are_kept_and_named(change, fields):
    data = altered(**change)
    event = read_event(data)
    assert isinstance(event, Unknown)
    assert bytes(event) == data
    assert event.type == "work.create"
    assert event.unknown_fields[: len(fields)] == fields


def test_reading_applies_no_rules_but_tells_them():
    event = read_event(altered(body={**WORK, "source_type": "minorHumanEdits", "tools": "listed"}, refs=[]))
    assert isinstance(event, Event)
    assert [reason.rule for reason in event.broken_rules()] == [
        "work.create.creator",
        "work.create.tools",
        "vocab.retired",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"v": True},
        {"v": 0},
        {"v": "1"},
        {"kind": "item"},
        {"type": "work"},
        {"type": 7},
        {"ledger": 7},
        {"actor": "me"},
        {"strength": 1},
        {"claimed_at": 1},
        {"salt": "5f"},
        {"body": []},
        {"refs": {}},
        {"refs": ["x"]},
        {"refs": [{"role": "creator"}]},
        {"refs": [{"role": "creator", "id": "x"}]},
        {"refs": [{"role": 1, "id": A}]},
        {"commits": []},
        {"commits": {"title": "x"}},
    ],
)
@pytest.mark.parametrize("type_", ["work.create", "work.dream"])
def test_what_is_no_event_is_malformed(type_, change):
    with pytest.raises(MalformedError, match=r"^event: "):
        read_event(altered(**{"type": type_, **change}))


@pytest.mark.parametrize("name", sorted({*BASE, "v", "kind", "type", "salt", "body", "refs", "commits"}))
def test_every_key_of_the_envelope_is_needed(name):
    value = loads(write("work.create").data)
    del value[name]
    with pytest.raises(MalformedError, match=f"event: {name}"):
        read_event(dumps(value))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'"x"', b"1", b"null", b'{"kind":"event"}'])
def test_other_json_is_malformed(data):
    with pytest.raises(MalformedError):
        read_event(data)


def test_other_spellings_are_malformed():
    data = write("work.create").data
    for other in (data + b"\n", b" " + data, json.dumps(json.loads(data)).encode(), data.replace(b'"v":1', b'"v":1.0')):
        with pytest.raises(MalformedError):
            read_event(other)
    double = data.replace(b'"v":1', b'"v":1,"v":1')
    with pytest.raises(MalformedError):
        read_event(double)
