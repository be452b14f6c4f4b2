from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import MalformedError, NotFound
from provenance.content import IngredientFile, read_manifest, sidecar_of
from provenance.content.library import context
from tests.provenance.content_media import LOG, credential, replaced_in_png, sample, second_opinion, sign

MARKET, STRANGER = credential(), credential("stranger")


def child_of(parent, out, signer=MARKET, relationship="parentOf", **changes):
    parts = [IngredientFile(parent, relationship)]
    sign(sample("demo.png"), out, credential=signer, derived=True, ingredients=parts, **changes)
    return out


def states(reading):
    """State and codes of every ingredient, depth first."""
    return [pair for part in reading.ingredients for pair in [(part.state, part.codes), *states(part)]]


def test_unsigned_files_have_no_manifest():
    for name in ("demo.jpg", "demo.png", "demo.mp3", "demo.pdf", "demo.mp4", "demo.docx", "demo.txt"):
        assert read_manifest(sample(name)) is None


def test_without_anchors_nothing_is_trusted(tmp_path):
    sign(sample("demo.jpg"), tmp_path / "a.jpg")
    read = read_manifest(child_of(tmp_path / "a.jpg", tmp_path / "b.png"))
    assert (read.state, states(read)) == ("Valid", [("Valid", ())])


DAMAGE = {
    "pixel": lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
    "append": lambda data: data + b"zz",
    "truncate": lambda data: data[: len(data) * 3 // 4],
    "assertion": lambda data: data.replace(b"digitalCapture", b"digitalCapturf", 1),
    "event": lambda data: data.replace(b"ab" * 32, b"cd" * 32, 1),
    "certificate": lambda data: data.replace(b"DEVELOPMENT signer", b"DEVELOPMENT sinner", 1),
    "box": lambda data: data.replace(b"jumd", b"jumx", 1),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_by_both_verifiers(tmp_path, change):
    sign(sample("demo.jpg"), tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    assert change(data) != data
    (tmp_path / "a.jpg").write_bytes(change(data))
    read = read_manifest(tmp_path / "a.jpg", anchors=MARKET.anchor)
    assert read is not None
    assert read.state == "Invalid"
    assert read.codes
    assert second_opinion(tmp_path / "a.jpg", "image/jpeg")["integrity"] == "invalid"


def test_a_changed_file_beside_its_sidecar_is_found(tmp_path):
    done = sign(sample("demo.mp3"), tmp_path / "a.mp3")
    with (tmp_path / "a.mp3").open("ab") as file:
        file.write(b"x")
    read = read_manifest(tmp_path / "a.mp3", anchors=MARKET.anchor)
    assert (read.state, read.codes) == ("Invalid", ("assertion.dataHash.mismatch",))
    assert second_opinion(tmp_path / "a.mp3", "audio/mpeg", done.sidecar)["integrity"] == "invalid"


def test_a_stripped_file_has_no_manifest(tmp_path):
    from PIL import Image

    sign(sample("demo.jpg"), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "b.jpg")
    assert read_manifest(tmp_path / "b.jpg") is None


@pytest.mark.parametrize("junk", [b"", b"junk", b"\0" * 100], ids=["empty", "text", "zeros"])
def test_a_broken_sidecar_is_invalid_not_absent(tmp_path, junk):
    shutil.copy(sample("demo.mp3"), tmp_path / "a.mp3")
    sidecar_of(tmp_path / "a.mp3").write_bytes(junk)
    read = read_manifest(tmp_path / "a.mp3")
    assert read is not None
    assert (read.state, read.label, read.reference) == ("Invalid", "", None)
    assert read.codes


def test_a_cut_sidecar_is_invalid_at_every_length(tmp_path):
    done = sign(sample("demo.mp3"), tmp_path / "a.mp3")
    whole = done.sidecar.read_bytes()
    for length in range(0, len(whole), 97):
        done.sidecar.write_bytes(whole[:length])
        assert read_manifest(tmp_path / "a.mp3", anchors=MARKET.anchor).state == "Invalid"


def test_the_sidecar_of_another_file_is_invalid(tmp_path):
    done = sign(sample("demo.mp3"), tmp_path / "a.mp3")
    read = read_manifest(sample("demo.mp4"), anchors=MARKET.anchor, sidecar=done.sidecar)
    assert (read.state, read.codes) == ("Invalid", ("assertion.dataHash.mismatch",))
    with pytest.raises(NotFound):
        read_manifest(sample("demo.mp4"), sidecar=tmp_path / "absent.c2pa")


def test_junk_laid_beside_an_image_hides_nothing(tmp_path):
    done = sign(sample("demo.jpg"), tmp_path / "a.jpg")
    sidecar_of(tmp_path / "a.jpg").write_bytes(b"junk")
    read = read_manifest(tmp_path / "a.jpg", anchors=MARKET.anchor)
    assert (read.label, read.state, read.binding) == (done.label, "Trusted", "embedded")
    part = read_manifest(child_of(tmp_path / "a.jpg", tmp_path / "b.png"), anchors=MARKET.anchor).ingredients[0]
    assert (part.label, part.state) == (done.label, "Trusted")


def test_an_unsigned_image_may_have_a_sidecar(tmp_path):
    import c2pa

    from provenance.content.formats import OCTETS, digest_file

    shutil.copy(sample("demo.jpg"), tmp_path / "a.jpg")
    binding = {"name": "x", "alg": "sha256", "hash": list(bytes.fromhex(digest_file(tmp_path / "a.jpg")[0])), "pad": []}
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": kind}]}
    claim = {
        "claim_generator_info": [{"name": "another tool"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": actions},
            {"label": "c2pa.hash.data", "data": binding},
        ],
    }
    builder = c2pa.Builder(json.dumps(claim), context=context())
    builder.set_no_embed()
    info = c2pa.C2paSignerInfo("es256", MARKET.chain.encode(), MARKET.key.encode(), None)
    store = builder.sign(c2pa.Signer.from_info(info), OCTETS, io.BytesIO(), io.BytesIO())
    sidecar_of(tmp_path / "a.jpg").write_bytes(store)
    read = read_manifest(tmp_path / "a.jpg", anchors=MARKET.anchor)
    assert (read.state, read.binding, read.reference) == ("Trusted", "sidecar", None)


@pytest.mark.parametrize("anchors", ["junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_anchors_that_are_none_are_refused(tmp_path, anchors):
    sign(sample("demo.jpg"), tmp_path / "a.jpg")
    with pytest.raises(MalformedError, match="anchors"):
        read_manifest(tmp_path / "a.jpg", anchors=anchors)


# Ingredients: the library's one state for the whole is no verdict on them.


@pytest.mark.parametrize("name", ["demo.jpg", "demo.mp3"])
def test_a_parent_tampered_before_is_invalid_under_trusted(tmp_path, name):
    parent = tmp_path / name
    sign(sample(name), parent)
    with parent.open("ab") as file:
        file.write(b"x")
    read = read_manifest(child_of(parent, tmp_path / "c.png"), anchors=MARKET.anchor)
    assert read.state == "Trusted"
    assert states(read) == [("Invalid", ("assertion.dataHash.mismatch",))]


def test_a_parent_tampered_inside_is_invalid(tmp_path):
    sign(sample("demo.jpg"), tmp_path / "p.jpg", event="11" * 32)
    child = child_of(tmp_path / "p.jpg", tmp_path / "c.png")
    child.write_bytes(replaced_in_png(child.read_bytes(), b"11" * 32, b"22" * 32))
    read = read_manifest(child, anchors=MARKET.anchor)
    assert read.state == "Invalid"
    assert read.codes  # never an Invalid without a reason
    assert states(read)[0][0] == "Invalid"
    assert "assertion.hashedURI.mismatch" in states(read)[0][1]
    assert second_opinion(child, "image/png")["integrity"] == "invalid"


def test_a_grandparent_tampered_inside_is_invalid_alone(tmp_path):
    sign(sample("demo.jpg"), tmp_path / "g.jpg", event="11" * 32)
    child_of(tmp_path / "g.jpg", tmp_path / "p.png", event="22" * 32)
    child = child_of(tmp_path / "p.png", tmp_path / "c.png", event="33" * 32)
    child.write_bytes(replaced_in_png(child.read_bytes(), b"11" * 32, b"44" * 32))
    read = read_manifest(child, anchors=MARKET.anchor)
    assert read.state == "Invalid"
    assert [state for state, _ in states(read)] == ["Trusted", "Invalid"]
    assert read.ingredients[0].reference == (LOG, "22" * 32)


# (signers of parent and child, what the reader trusts) -> states of child and parent
TRUST = [
    (MARKET, MARKET, MARKET, "Trusted", "Trusted"),
    (MARKET, MARKET, STRANGER, "Valid", "Valid"),
    (STRANGER, MARKET, MARKET, "Trusted", "Valid"),
    (STRANGER, MARKET, STRANGER, "Valid", "Trusted"),
    (MARKET, STRANGER, MARKET, "Valid", "Trusted"),
    (STRANGER, STRANGER, MARKET, "Valid", "Valid"),
]


@pytest.mark.parametrize("parent, child, reader, state, inner", TRUST)
def test_an_ingredient_is_trusted_by_the_readers_anchors_alone(tmp_path, parent, child, reader, state, inner):
    """Each signer records the results under anchors of its own: that is its word, not the reader's trust."""
    sign(sample("demo.jpg"), tmp_path / "p.jpg", credential=parent)
    made = child_of(tmp_path / "p.jpg", tmp_path / "c.png", signer=child)
    read = read_manifest(made, anchors=reader.anchor)
    assert read.state == state
    assert read.ingredients[0].state == inner
    assert ("signingCredential.untrusted" in read.ingredients[0].codes) == (inner == "Valid")


def test_a_grandparent_is_not_trusted_because_its_child_said_so(tmp_path):
    sign(sample("demo.jpg"), tmp_path / "g.jpg", credential=STRANGER)
    child_of(tmp_path / "g.jpg", tmp_path / "p.png", signer=STRANGER)  # records: trusted
    made = child_of(tmp_path / "p.png", tmp_path / "c.png", signer=MARKET)
    read = read_manifest(made, anchors=MARKET.anchor)
    assert read.state == "Trusted"
    assert states(read) == [("Valid", ("signingCredential.untrusted",))] * 2


def forged(parent, results, out, signer=MARKET):
    """A child, well signed, that records whatever it likes about its parent."""
    import c2pa

    store = sidecar_of(parent).read_bytes()
    data = io.BytesIO(parent.read_bytes())
    with c2pa.Reader("application/octet-stream", data, store, context=context()) as reader:
        label = reader.get_active_manifest()["label"]
    actions = {"actions": [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["p"]}}]}
    claim = {
        "claim_generator_info": [{"name": "forger"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": actions}],
    }
    careless = c2pa.Context.from_dict({"verify": {"verify_after_sign": False, "remote_manifest_fetch": False}})
    builder = c2pa.Builder(json.dumps(claim), context=careless)
    builder.add_resource("p.c2pa", io.BytesIO(store))
    described = {
        "relationship": "parentOf",
        "label": "p",
        "active_manifest": label,
        "validation_results": json.loads(json.dumps(results).replace("LABEL", label)),
        "manifest_data": {"format": "application/c2pa", "identifier": "p.c2pa"},
    }
    with parent.open("rb") as file:
        builder.add_ingredient(json.dumps(described), "application/octet-stream", file)
    info = c2pa.C2paSignerInfo("es256", signer.chain.encode(), signer.key.encode(), None)
    with sample("demo.png").open("rb") as file, out.open("w+b") as target:
        builder.sign(c2pa.Signer.from_info(info), "image/png", file, target)
    return out


def status(code):
    return {"code": code, "url": "self#jumbf=/c2pa/LABEL/c2pa.signature"}


FORGERIES = {
    "claims trust": ([status("signingCredential.trusted")], []),
    "claims trust and admits it is none": (
        [status("signingCredential.trusted")],
        [status("signingCredential.untrusted")],
    ),
    "says nothing": ([], []),
}


@pytest.mark.parametrize("success, failure", FORGERIES.values(), ids=FORGERIES)
def test_forged_records_do_not_make_a_stranger_trusted(tmp_path, success, failure):
    sign(sample("demo.mp3"), tmp_path / "p.mp3", credential=STRANGER)
    results = {"activeManifest": {"success": success, "informational": [], "failure": failure}}
    read = read_manifest(forged(tmp_path / "p.mp3", results, tmp_path / "c.png"), anchors=MARKET.anchor)
    assert states(read) == [("Valid", ("signingCredential.untrusted",))]


URLS = {
    "absolute": "self#jumbf=/c2pa/LABEL/c2pa.assertions/org.provenance-ledger.reference",
    "relative": "self#jumbf=c2pa.assertions/org.provenance-ledger.reference",
    "without its label": "self#jumbf=/c2pa/other/c2pa.assertions/org.provenance-ledger.reference",
    "empty": "",
}


@pytest.mark.parametrize("where", ["activeManifest", "ingredientDeltas"])
@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_a_recorded_failure_hides_no_real_one(tmp_path, where, url):
    """The library reports no failure that is recorded already, so the record has to count."""
    sign(sample("demo.mp3"), tmp_path / "p.mp3", event="11" * 32)
    sidecar = sidecar_of(tmp_path / "p.mp3")
    sidecar.write_bytes(sidecar.read_bytes().replace(b"11" * 32, b"22" * 32))
    failure = [{"code": "assertion.hashedURI.mismatch", "url": url}]
    good = [status("claimSignature.validated"), status("signingCredential.trusted")]
    results = {"activeManifest": {"success": good, "informational": [], "failure": []}}
    if where == "activeManifest":
        results["activeManifest"]["failure"] = failure
    else:
        deltas = {"success": [], "informational": [], "failure": failure}
        uri = "self#jumbf=/c2pa/LABEL/c2pa.assertions/c2pa.ingredient.v3"
        results["ingredientDeltas"] = [{"ingredientAssertionURI": uri, "validationDeltas": deltas}]
    read = read_manifest(forged(tmp_path / "p.mp3", results, tmp_path / "c.png"), anchors=MARKET.anchor)
    assert read.ingredients[0].state == "Invalid"
    assert "assertion.hashedURI.mismatch" in read.ingredients[0].codes


def test_canary_the_library_believes_a_forged_record(tmp_path):
    """Why recorded failures count: here c2pa-rs calls a store with a tampered ingredient Trusted."""
    import c2pa

    sign(sample("demo.mp3"), tmp_path / "p.mp3", event="11" * 32)
    sidecar = sidecar_of(tmp_path / "p.mp3")
    sidecar.write_bytes(sidecar.read_bytes().replace(b"11" * 32, b"22" * 32))
    failure = [{"code": "assertion.hashedURI.mismatch", "url": URLS["absolute"]}]
    deltas = {"success": [], "informational": [], "failure": failure}
    results = {
        "activeManifest": {"success": [], "informational": [], "failure": []},
        "ingredientDeltas": [{"ingredientAssertionURI": "self#jumbf=x", "validationDeltas": deltas}],
    }
    made = forged(tmp_path / "p.mp3", results, tmp_path / "c.png")
    with c2pa.Reader(made, context=context(MARKET.anchor)) as reader:
        assert reader.get_validation_state() == "Trusted"
    assert read_manifest(made, anchors=MARKET.anchor).ingredients[0].state == "Invalid"


def test_paths_that_double_do_not_double_the_work(tmp_path):
    """Nine generations that name each parent twice: 512 ways to the first, and one listing of each."""
    last = tmp_path / "0.jpg"
    sign(sample("demo.jpg"), last)
    for number in range(1, 10):
        parts = [IngredientFile(last, "parentOf"), IngredientFile(last, "componentOf")]
        last = tmp_path / f"{number}.png"
        sign(sample("demo.png"), last, derived=True, ingredients=parts)
    read = read_manifest(last, anchors=MARKET.anchor)
    assert len(states(read)) == 18
    assert {state for state, _ in states(read)} == {"Trusted"}


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_never_changes_what_a_good_manifest_says(tmp_path, at, bit):
    """It is found, or hides the manifest, or lies in padding that nothing covers: then all that is read is the same."""
    path, damaged = tmp_path / "a.png", tmp_path / "b.png"
    if not path.exists():
        sign(sample("demo.jpg"), tmp_path / "p.jpg")
        child_of(tmp_path / "p.jpg", path)
    whole = bytearray(path.read_bytes())
    whole[int(at * len(whole))] ^= 1 << bit
    damaged.write_bytes(whole)
    read = read_manifest(damaged, anchors=MARKET.anchor)
    if read is not None and read.state != "Invalid":
        good = read_manifest(path, anchors=MARKET.anchor)
        assert replace(read, store_digest="") == replace(good, store_digest="")
