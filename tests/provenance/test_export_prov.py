"""PROV-JSON: what the log says is in it, what is personal or sealed is not, and the library reads back the same."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from typing import Any

import pytest
from prov.model import ProvDocument

from ledger import NotFound, VerificationError
from provenance import MissingExtra
from provenance.desk.data import Input
from provenance.export import ProvExport, export_prov
from tests.provenance.conftest import Market
from tests.provenance.test_identity_ledger import Signer

URL = {"scheme": "url", "id": "https://example.org/a#b"}


def read(found: ProvExport) -> dict[str, Any]:
    """The document as JSON, after `prov` has read it."""
    document = ProvDocument.deserialize(content=found.data.decode(), format="json")
    value: dict[str, Any] = json.loads(found.data)
    assert dict(found.records) == {kind: len(records) for kind, records in value.items() if kind != "prefix"}
    assert len(document.get_records()) == sum(found.records.values())
    return value


def pairs(value: dict[str, Any], relation: str, first: str, second: str) -> set[tuple[str, str]]:
    return {(each[f"prov:{first}"], each[f"prov:{second}"]) for each in value.get(relation, {}).values()}


def derived(value: dict[str, Any]) -> set[tuple[str, str]]:
    return pairs(value, "wasDerivedFrom", "generatedEntity", "usedEntity")


def name(thing: object) -> str:
    return f"event:{thing}"


@pytest.fixture
def story(market: Market) -> dict[str, Any]:
    """Everything that PROV has a word for, and some that it has none for."""
    desk = market.ledger
    photo = market.work(b"photo", title="Secret title", terms="CC-BY-4.0", ref="work:1")
    collage = desk.derive(
        market.file(b"collage"),
        parents=[photo, URL, {"log": "other.example/log", "event": "ab" * 32}],
        creators=[market.ada, market.bo],
        relation="composed",
    )
    alone = market.work(b"alone")
    digest = sha256(b"again").hexdigest()
    alias = desk.alias(photo, market.file(b"again"))
    version = desk.version(photo, market.file(b"crop"), relation="crop", creators=[market.bo])
    late = desk.amend(collage, parents=[alone], relation="sampled")
    data = desk.snapshot(description=digest, license="CC-BY-4.0", creators=[market.ada], parents=[photo, URL])
    base = desk.register_model(version="1", creators=[market.bo])
    model = desk.register_model(version="2", creators=[market.bo], digest=digest, title="Secret model")
    training = desk.train(
        model, inputs=[Input(data, basis="license", verdict="permit")], method="finetune", rights="clear", base=[base]
    )
    began = desk.run(models=[model], state="started", prompt="secret prompt")
    ended = desk.run(models=[model], state="complete", outputs=[alone], began=began)
    mandate = desk.mandate(market.ada, agent=market.bo, actions=["offer.*"])
    return locals()


def test_everything(market: Market, story: dict[str, Any]) -> None:
    desk = market.ledger
    found = export_prov(desk.before())
    value = read(found)
    assert found.size == desk.index.size
    assert {name(story[each]) for each in ("photo", "collage", "alias", "version", "data", "model")} <= set(
        value["entity"]
    )
    assert value["agent"][name(market.ada)]["prov:type"]["$"] == "prov:Person"
    making = f"making:{story['collage']}"
    assert (name(story["collage"]), making) in pairs(value, "wasGeneratedBy", "entity", "activity")
    assert (name(story["model"]), name(story["training"])) in pairs(value, "wasGeneratedBy", "entity", "activity")
    assert (name(story["alone"]), name(story["began"])) in pairs(value, "wasGeneratedBy", "entity", "activity")
    assert name(story["ended"]) not in value["activity"]
    assert value["activity"][name(story["began"])]["ledger:ended"] == "complete"
    outside = "outside:url%3Ahttps%3A%2F%2Fexample.org%2Fa%23b"
    assert {
        (name(story["collage"]), name(story["photo"])),
        (name(story["collage"]), outside),
        (name(story["collage"]), name("ab" * 32)),
        (name(story["collage"]), name(story["alone"])),
        (name(story["data"]), name(story["photo"])),
        (name(story["data"]), outside),
        (name(story["model"]), name(story["base"])),
    } == derived(value)
    assert value["entity"][name("ab" * 32)] == {"ledger:log": "other.example/log"}
    amended = [each for each in value["wasDerivedFrom"].values() if each["ledger:said_by"]["$"] == name(story["late"])]
    assert [(each["ledger:relation"], each["prov:usedEntity"]) for each in amended] == [
        ("sampled", name(story["alone"]))
    ]
    credited = pairs(value, "wasAttributedTo", "entity", "agent")
    assert {(name(story["collage"]), name(market.ada)), (name(story["collage"]), name(market.bo))} <= credited
    used = pairs(value, "used", "activity", "entity")
    assert {(name(story["training"]), name(story["data"])), (name(story["began"]), name(story["model"]))} <= used
    assert pairs(value, "alternateOf", "alternate1", "alternate2") == {(name(story["alias"]), name(story["photo"]))}
    assert pairs(value, "specializationOf", "specificEntity", "generalEntity") == {
        (name(story["version"]), name(story["photo"]))
    }
    assert (name(market.bo), name(market.ada)) in pairs(value, "actedOnBehalfOf", "delegate", "responsible")
    photo = value["entity"][name(story["photo"])]
    assert photo["ledger:sha-256"] == sha256(b"photo").hexdigest()
    assert photo["ledger:claimed_at"]["$"].startswith("2026-11-23T08:00:00")
    assert found.left == {"log.genesis": 1, "log.time": 1, "terms.publish": 1, "offer.attach": 1}


def test_nothing_personal_and_nothing_sealed(market: Market, story: dict[str, Any]) -> None:
    desk = market.ledger
    offer = desk.offer(story["alone"], terms="CC-BY-4.0")
    grant = desk.license(story["alone"], to=market.bo, offer=offer, ref="order:77")
    found = export_prov(desk.before())
    assert found.left["sealed"] == 1
    text = found.data.decode()
    for secret in ("Secret", "secret prompt", "Ada", "work:1", "user:1", "Test Market", "order:77", str(grant)):
        assert secret not in text
    for idx in range(desk.index.size):
        entry = desk.index.entry(idx)
        assert entry is not None
        for address in json.loads(desk.event(entry.event_id.hex())).get("commits", {}).values():
            assert address not in text


def test_the_lineage_of_a_work(market: Market, story: dict[str, Any]) -> None:
    desk = market.ledger
    stranger = market.work(b"a stranger")
    value = read(export_prov(desk.before(), work=str(story["collage"])))
    assert {name(story[each]) for each in ("photo", "collage", "alone", "alias", "version")} <= set(value["entity"])
    assert name(stranger) not in value["entity"]
    assert (name(story["alone"]), name(story["began"])) in pairs(value, "wasGeneratedBy", "entity", "activity")
    up = read(export_prov(desk.before(), work=str(story["photo"])))
    assert (name(story["collage"]), name(story["photo"])) in derived(up)
    lone = read(export_prov(desk.before(), work=str(stranger)))
    assert set(lone["agent"]) == {name(market.ada)}
    assert "wasDerivedFrom" not in lone


def test_everything_of_a_party(market: Market, story: dict[str, Any]) -> None:
    value = read(export_prov(market.ledger.before(), party=str(market.bo)))
    assert (name(story["collage"]), name(market.bo)) in pairs(value, "wasAttributedTo", "entity", "agent")
    assert (name(market.bo), name(market.ada)) in pairs(value, "actedOnBehalfOf", "delegate", "responsible")
    assert name(story["alias"]) not in value["entity"]


def test_an_earlier_size_and_an_auditor_have_the_same(market: Market, story: dict[str, Any]) -> None:
    desk = market.ledger
    size = desk.index.size
    then = export_prov(desk.before())
    market.work(b"later")
    assert export_prov(desk.before(size)).data == then.data
    assert read(export_prov(market.history().before(size))) == read(then)
    assert export_prov(desk.before()).data != then.data
    assert export_prov(desk.before(0)).records == {}


def test_what_is_erased_leaves_its_place(market: Market, story: dict[str, Any]) -> None:
    desk = market.ledger
    desk.erase(str(story["collage"]), basis="gdpr-17")
    found = export_prov(desk.before())
    value = read(found)
    assert found.left["unreadable"] == 1
    assert (name(story["collage"]), name(story["photo"])) in derived(value)
    assert set(value["entity"][name(story["collage"])]) == {"ledger:type", "ledger:index", "ledger:logged_at"}


def test_a_mandate_that_ended_and_a_newer_snapshot(market: Market, story: dict[str, Any]) -> None:
    desk = market.ledger
    ended = desk.revoke_mandate(story["mandate"])
    refs = [{"role": "prev", "id": str(story["data"])}]
    newer = desk.draft("dataset.snapshot", body={"description": "cd" * 32}, refs=refs)
    desk.record_many([newer])
    value = read(export_prov(desk.before()))
    said = [each for each in value["actedOnBehalfOf"].values() if "ledger:ended_by" in each]
    assert [each["ledger:ended_by"]["$"] for each in said] == [name(ended)]
    assert (name(newer.id.hex()), name(story["data"])) in derived(value)


def test_who_signed_for_another(market: Market) -> None:
    desk, agency = market.ledger, Signer(market)
    granted = desk.mandate(market.ada, agent=agency.id, actions=["work.create"], until=market.clock.now.replace(hour=9))
    agency.agree(granted)
    work = agency.submit(agency.work(actor=market.ada.id))
    value = read(export_prov(desk.before(), work=work.id))
    (acted,) = value["actedOnBehalfOf"].values()
    assert (acted["prov:delegate"], acted["prov:responsible"]) == (name(agency.id), name(market.ada))
    assert acted["ledger:said_by"]["$"] == name(work)
    whole = read(export_prov(desk.before()))
    said = [each for each in whole["actedOnBehalfOf"].values() if each["ledger:said_by"]["$"] == name(granted)]
    assert [each["ledger:until"]["$"][:16] for each in said if "ledger:action" in each] == ["2026-11-23T09:00"]


def test_a_document_that_reads_back_as_another_is_not_given_out(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProvDocument, "deserialize", lambda *_, **__: ProvDocument())
    with pytest.raises(VerificationError, match="another document"):
        export_prov(market.ledger.before())


def test_training_on_what_is_outside(market: Market) -> None:
    desk = market.ledger
    model = desk.register_model(version="1", creators=[market.bo])
    training = desk.train(model, inputs=[Input(URL, basis="none")], method="pretrain", rights="unknown")
    value = read(export_prov(desk.before(), work=model.id))
    (used,) = value["used"].values()
    assert used["prov:activity"] == name(training)
    assert value["entity"][used["prov:entity"]] == {"ledger:outside": "url:https://example.org/a#b"}
    assert used["ledger:basis"] == "none"
    associated = pairs(value, "wasAssociatedWith", "activity", "agent")
    assert associated == {(name(training), name(desk.market.hex()))}


def test_what_is_not_there(market: Market) -> None:
    before = market.ledger.before()
    with pytest.raises(NotFound, match="not in the log"):
        export_prov(before, work="ab" * 32)
    with pytest.raises(ValueError, match="want one of them"):
        export_prov(before, work=str(market.ada), party=str(market.ada))
    with pytest.raises(NotFound):
        export_prov(market.ledger.before(1), party=str(market.ada))


def test_without_the_library(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prov.model", None)
    with pytest.raises(MissingExtra, match=r"provenance-ledger\[prov\]"):
        export_prov(market.ledger.before())


def test_progress_ends_at_the_end(market: Market, story: dict[str, Any]) -> None:
    seen: list[tuple[int, int]] = []
    export_prov(market.ledger.before(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(market.ledger.index.size, market.ledger.index.size)]


def test_whatever_an_outside_id_holds_it_keeps_a_name_of_its_own(market: Market) -> None:
    """Each is one entity, the same after reading back: `prov` gives some of these characters a meaning."""
    ids = [f"{chr(code)}a{chr(code)}" for code in range(0x21, 0x7F) if chr(code) != "@"] + [
        "%41a",
        "Aa",
        "a#" + "ab" * 32,
    ]
    market.ledger.snapshot(description="ab" * 32, parents=[{"scheme": "url", "id": each} for each in ids])
    value = read(export_prov(market.ledger.before()))
    outside = {each["ledger:outside"] for each in value["entity"].values() if "ledger:outside" in each}
    assert outside == {f"url:{each}" for each in ids}
    assert len(value["wasDerivedFrom"]) == len(ids)
