"""Vocabularies: tables by their digest, words of fields, and what a log adopts and retires."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ledger.errors import MalformedError
from provenance.canonical import dumps
from provenance.errors import EventRejected
from provenance.events import VOCABULARIES, VOCABULARY_DIGESTS, Unknown, new_event, read_event
from provenance.events.union import MODELS
from provenance.events.words import vocabularies_of, words_of
from provenance.vocabularies import BUILT_IN, Table, Vocabularies, vocabularies_at, word

A = "ab" * 32
WORK = {
    "digests": {"sha-256": "cd" * 32},
    "media_type": "image/png",
    "size": 1,
    "source_type": "digitalCapture",
    "human_contribution": "full",
    "tools": "none",
}
CREATOR = {"role": "creator", "id": A, "as": "author"}


def draft(type_="work.create", body=WORK, refs=(CREATOR,), **more):
    return new_event(
        type_,
        ledger="market.example/log",
        actor=A,
        strength="self",
        claimed_at="2026-11-23T07:15:00Z",
        body=body,
        refs=refs,
        **more,
    )


def newer(vocabulary, version, **terms):
    """The table in use with more terms, as a new version."""
    table = json.loads(BUILT_IN.active(vocabulary).data)
    return dumps({**table, "version": version, "terms": {**table["terms"], **terms}})


def adopt(table, **more):
    value = json.loads(table)
    body = {"vocabulary": value["vocabulary"], "version": value["version"], "digest": sha256(table).hexdigest()}
    return draft("vocab.adopt", {**body, "table": value, **more}, refs=()).data


def rules(error):
    return [reason.rule for reason in error.value.reasons]


@pytest.mark.parametrize("table", [*BUILT_IN], ids=lambda table: "-".join(table.name))
def test_every_built_in_table_is_its_own_canonical_file(table, root):
    file = root / "provenance" / "vocabularies" / "tables" / f"{table.vocabulary}-{table.version}.json"
    assert file.read_bytes() == bytes(table) == bytes(Table.parse(bytes(table)))
    assert table.digest == sha256(file.read_bytes()).digest()
    assert table.source
    assert all(term.word == name for name, term in table.terms.items())


def test_new_logs_begin_with_the_newest_tables():
    assert VOCABULARIES["iptc-digital-source-type"] == "2024-Q3"
    assert VOCABULARIES["aipref"] == "08"
    assert VOCABULARIES.keys() == VOCABULARY_DIGESTS.keys()
    assert len(VOCABULARIES) <= 100, "as many as a genesis event holds"
    for vocabulary, version in VOCABULARIES.items():
        assert BUILT_IN.table(vocabulary, version).digest.hex() == VOCABULARY_DIGESTS[vocabulary]


def test_every_mapping_leads_to_a_use_that_there_is():
    uses = BUILT_IN.active("ai-use").terms.keys()
    assert uses == {"train", "train_generative", "inference_input", "index", "mining", "search"}
    for table in BUILT_IN:
        if table.vocabulary in {"aipref", "cawg", "tdmrep", "rsl", "pil"}:
            assert {use for term in table.terms.values() for use in term.maps} <= uses
            assert {t.facts["inside"] for t in table.terms.values() if "inside" in t.facts} <= table.terms.keys()
    assert BUILT_IN.term("cawg", "cawg.ai_generative_training").maps == ("train", "train_generative")
    assert BUILT_IN.term("tdmrep", "1").facts["says"] == "disallow"


def test_consent_is_valid_only_while_it_is_given():
    valid = {term.word for term in BUILT_IN.active("consent-status").terms.values() if term.facts["valid"]}
    assert valid == {"ConsentGiven", "RenewedConsentGiven"}


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"{}",
        b"[]",
        bytes(BUILT_IN.active("relation")) + b"\n",
        json.dumps(json.loads(bytes(BUILT_IN.active("relation")))).encode(),
        newer("relation", "2", **{"with space": {}}),
        newer("relation", "2", word={"mood": "blue"}),
        newer("relation", "2", word={"retired": False}),
        newer("relation", "2", word={"label": ""}),
        newer("relation", "2", word={"label": "x" * 201}),
        newer("relation", "2", word={"instead": "edited"}),
        newer("relation", "2", word={"retired": True, "instead": "nothing"}),
        newer("relation", "2", word={"maps": []}),
        newer("relation", "2", word={"facts": {"depth": 1}}),
        newer("relation", "x" * 101),
        newer("relation", "2", **{f"w{i}": {} for i in range(10_000)}),
        dumps({"vocabulary": "a", "version": "1", "source": "s", "terms": {}}),
        dumps({"vocabulary": "a", "version": "1", "source": "s", "terms": {"w": {}}, "closed": False}),
    ],
)
def test_bad_tables_are_refused(table):
    with pytest.raises(MalformedError):
        Table.parse(table)
    with pytest.raises(MalformedError):
        BUILT_IN.with_table(table)


@given(data=st.binary(max_size=200))
def test_nothing_but_malformed_is_raised(data):
    with pytest.raises(MalformedError):
        Table.parse(data)


def test_a_version_never_changes():
    with pytest.raises(MalformedError, match="as it is known"):
        BUILT_IN.with_table(newer("relation", "1", hummed={}))


def test_a_closed_vocabulary_gets_no_words_that_the_program_does_not_know():
    with pytest.raises(MalformedError, match="adds rumored"):
        BUILT_IN.with_table(newer("strength", "2", rumored={}))


def test_a_field_knows_all_tables_and_says_which_it_wanted():
    field = TypeAdapter(Annotated[str, word("relation")])
    more = BUILT_IN.with_table(newer("relation", "2", hummed={}))
    assert field.validate_json(b'"edited"') == "edited"
    assert field.validate_json(b'"hummed"', context=more) == "hummed"
    assert field.dump_json("hummed") == b'"hummed"'
    for bad in (b'"hummed"', b'"no word"', b"1", b'""', b"null"):
        with pytest.raises(ValidationError, match="no word of any table of relation"):
            field.validate_json(bad)
    with pytest.raises(LookupError, match="moods"):
        word("moods")


def test_retired_terms_are_read_and_not_written():
    old = {**WORK, "source_type": "digitalArt"}
    with pytest.raises(EventRejected, match="write digitalCreation") as error:
        draft(body=old)
    assert rules(error) == ["vocab.retired"]
    older = BUILT_IN.with_table(
        dumps(
            {"vocabulary": "iptc-digital-source-type", "version": "2022", "source": "old", "terms": {"digitalArt": {}}}
        )
    )
    # What was written when it was in use is read today.
    event = read_event(draft(body=old, vocabularies=older).data)
    assert not isinstance(event, Unknown)
    assert [reason.rule for reason in event.broken_rules()] == ["vocab.retired"]
    assert list(event.broken_rules(older)) == []


def test_a_table_from_the_log_brings_words_without_other_code():
    more = BUILT_IN.with_table(newer("relation", "2", hummed={}))
    refs = [CREATOR, {"role": "parent", "relation": "hummed", "id": A}]
    with pytest.raises(EventRejected) as error:
        draft("work.derive", refs=refs)
    assert rules(error) == ["schema"]
    data = draft("work.derive", refs=refs, vocabularies=more).data
    unknown = read_event(data)
    assert isinstance(unknown, Unknown)
    assert unknown.unknown_fields == ("refs.1.parent.relation",)
    assert bytes(read_event(data, vocabularies=more)) == data
    only_read = more.retiring("relation", "2")
    assert not isinstance(read_event(data, vocabularies=only_read), Unknown)
    with pytest.raises(EventRejected) as error:
        draft("work.derive", refs=refs, vocabularies=only_read)
    assert rules(error) == ["vocab.adopted"]


def test_facts_of_an_adopted_term_count():
    more = BUILT_IN.with_table(newer("iptc-digital-source-type", "2027", dreamed={"facts": {"generative": True}}))
    with pytest.raises(EventRejected) as error:
        draft(body={**WORK, "source_type": "dreamed"}, vocabularies=more)
    assert rules(error) == ["work.create.tools"]


def test_words_are_found_wherever_they_stand():
    found = {(vocabulary, ".".join(map(str, where))) for vocabulary, _, where in words_of(draft().model)}
    assert found == {
        ("strength", "strength"),
        ("digest-name", "body.digests.sha-256"),
        ("iptc-digital-source-type", "body.source_type"),
        ("human-contribution", "body.human_contribution"),
        ("tools", "body.tools"),
        ("creator-role", "refs.0.as"),
    }
    assert vocabularies_of(MODELS["grant.issue"]) == {"strength"}, "a sale looks at one word"
    assert vocabularies_of(MODELS["reservation.declare"]) == {"strength", "ai-use", "reservation", "selector-kind"}


def genesis(**body):
    value = {
        "origin": "example.com/foo",
        "log_keys": ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"],
        "leaf_rule": "c2sp.org/tlog-tiles entry = COSE_Sign1 bytes",
        "sealed": [],
        "vocabularies": {},
        **body,
    }
    return new_event(
        "log.genesis",
        ledger="example.com/foo",
        actor="self",
        strength="self",
        claimed_at="2026-11-23T07:15:00Z",
        body=value,
    ).data


def test_what_a_log_uses_follows_from_its_events():
    table = newer("relation", "2", hummed={})
    events = [
        genesis(vocabularies=dict(VOCABULARIES), vocabulary_digests=dict(VOCABULARY_DIGESTS)),
        draft().data,
        adopt(table),
        draft("vocab.retire", {"vocabulary": "relation", "version": "1"}, refs=()).data,
        draft("vocab.retire", {"vocabulary": "relation", "version": "2"}, refs=()).data,
    ]
    used = [vocabularies_at(events[:size]).active("relation") for size in range(1, 6)]
    assert [table and table.version for table in used] == ["1", "1", "2", "2", None]
    assert vocabularies_at(events).term("relation", "hummed") is not None, "it is still read"
    assert vocabularies_at(events[3:], vocabularies_at(events[:3])) == vocabularies_at(events)


def test_what_has_no_effect_is_passed_over():
    begun = vocabularies_at([genesis()])
    assert begun == BUILT_IN, "what the genesis event does not name is as it is built in"
    table = newer("relation", "2", hummed={})
    for data in (
        b"no event",
        b"{}",
        adopt(newer("strength", "2", rumored={})),
        adopt(newer("relation", "1", hummed={})),
        draft("vocab.adopt", {"vocabulary": "relation", "version": "2", "digest": "00" * 32}, refs=()).data,
        adopt(table, vocabulary="relations"),
    ):
        assert vocabularies_at([data], begun) == begun


def test_a_pin_on_an_older_or_unknown_table_is_kept():
    pinned = vocabularies_at([genesis(vocabularies={"aipref": "07", "relation": "9"})])
    assert pinned.active("aipref").version == "07"
    assert pinned.active("relation") is None
    assert pinned.refuses("relation", "edited")[0] == "vocab.adopted"
    other = vocabularies_at([genesis(vocabularies={"aipref": "07"}, vocabulary_digests={"aipref": "00" * 32})])
    assert other.active("aipref") is None


def test_adopting_what_is_known_needs_its_name_only():
    body = {"vocabulary": "aipref", "version": "07", "digest": BUILT_IN.table("aipref", "07").digest.hex()}
    used = vocabularies_at([draft("vocab.adopt", body, refs=()).data], BUILT_IN)
    assert used.active("aipref").version == "07"
    with pytest.raises(KeyError):
        Vocabularies([], []).adopting("aipref", "07")


@pytest.fixture
def ledger(market):
    return market.ledger


def submit(ledger, type_, body, refs=()):
    return ledger.record_many([ledger.draft(type_, body=body, refs=refs)])[0]


def test_a_market_adopts_and_retires_a_table(ledger, market):
    table = newer("creator-role", "2", choreographer={})
    value = json.loads(table)
    refs = [{"role": "creator", "id": str(market.ada), "as": "choreographer"}]
    with pytest.raises(EventRejected):
        ledger.draft("work.create", body=WORK, refs=refs)
    name = {"vocabulary": "creator-role", "version": "2"}
    submit(ledger, "vocab.adopt", {**name, "digest": sha256(table).hexdigest(), "table": value})
    work = submit(ledger, "work.create", WORK, refs)
    event = ledger.before().event(bytes.fromhex(str(work)))
    assert event["refs"][0]["as"] == "choreographer", "the word is known by what the log adopted"
    waiting = ledger.draft("work.create", body={**WORK, "size": 2}, refs=refs)
    submit(ledger, "vocab.retire", name)
    with pytest.raises(EventRejected) as error:
        ledger.record_many([waiting])
    assert rules(error) == ["vocab.adopted"]
    assert ledger.before().event(bytes.fromhex(str(work))) is not None, "and still is after that"
    ledger.publish()
    assert not [finding for finding in market.history().findings if finding.idx], "an auditor knows the word, too"


def test_what_a_market_may_not_adopt_or_retire(ledger):
    table = newer("strength", "2", rumored={})
    name = {"vocabulary": "strength", "version": "2"}
    with pytest.raises(EventRejected) as error:
        submit(ledger, "vocab.adopt", {**name, "digest": sha256(table).hexdigest(), "table": json.loads(table)})
    assert rules(error) == ["vocab.adopt.table"]
    with pytest.raises(EventRejected) as error:
        submit(ledger, "vocab.adopt", {"vocabulary": "relation", "version": "1", "digest": "00" * 32})
    assert rules(error) == ["vocab.adopt.table"]
    with pytest.raises(EventRejected) as error:
        submit(ledger, "vocab.retire", {"vocabulary": "strength", "version": "1"})
    assert rules(error) == ["vocab.retire.last"]
    with pytest.raises(EventRejected) as error:
        submit(ledger, "vocab.retire", name)
    assert rules(error) == ["vocab.retire.unused"]
