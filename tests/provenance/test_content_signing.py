from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest

from ledger.errors import Conflict, LedgerError, MalformedError, NotFound, Unavailable, VerificationError
from provenance.content import IngredientFile, digest_file, media_type_of, read_manifest, sidecar_of
from provenance.content.library import LABEL, context
from tests.provenance.content_media import EVENT, LOG, SOURCE_TYPES, credential, sample, second_opinion, sign

EMBEDDED = ["demo.jpg", "demo.png"]
BESIDE = ["demo.mp3", "demo.pdf", "demo.mp4", "demo.wav", "demo.gif", "demo.tif", "demo.docx", "demo.epub"]


def agreed(path, sidecar=None):
    """The second verifier finds nothing wrong either."""
    report = second_opinion(path, media_type_of(path), sidecar)
    assert report["validation_results"]["failure"] == []
    return (report["integrity"], report["signature"], report["hard_binding"], report["trust"]["status"]) == (
        "valid",
        "valid",
        "match",
        "valid_for_supplied_material",
    )


@pytest.mark.parametrize("name", EMBEDDED)
def test_embeds_and_both_verifiers_agree(tmp_path, name):
    done = sign(sample(name), tmp_path / name, title="Dunes")
    read = read_manifest(tmp_path / name, anchors=credential().anchor)
    assert read is not None
    assert (done.binding, done.sidecar, done.state, done.codes) == ("embedded", None, "Trusted", ())
    assert (read.label, read.state, read.codes, read.title) == (done.label, "Trusted", (), "Dunes")
    assert read.reference == (LOG, EVENT)
    assert read.store_digest == done.store_digest
    assert read.content_hash == digest_file(sample(name))[0]
    assert (done.file_digest, done.file_size) == digest_file(tmp_path / name)
    assert read.source_types == (SOURCE_TYPES + "digitalCapture",)
    assert done.signer == credential().fingerprint
    assert agreed(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", BESIDE)
def test_signs_beside_and_leaves_every_byte(tmp_path, name):
    done = sign(sample(name), tmp_path / name)
    assert (done.binding, done.sidecar) == ("sidecar", sidecar_of(tmp_path / name))
    assert (tmp_path / name).read_bytes() == sample(name).read_bytes()
    assert sha256(done.sidecar.read_bytes()).hexdigest() == done.store_digest
    read = read_manifest(tmp_path / name, anchors=credential().anchor)
    assert read is not None
    assert (read.label, read.state, read.binding, read.reference) == (done.label, "Trusted", "sidecar", (LOG, EVENT))
    assert agreed(tmp_path / name, done.sidecar)


def test_any_bytes_can_be_signed_beside(tmp_path):
    (tmp_path / "model.bin").write_bytes(os.urandom(1000))
    done = sign(tmp_path / "model.bin", tmp_path / "out.bin")
    read = read_manifest(tmp_path / "out.bin", anchors=credential().anchor)
    assert read is not None
    assert read.state == done.state == "Trusted"


def test_derived_work_carries_its_parents_manifests(tmp_path):
    parent = sign(sample("demo.jpg"), tmp_path / "parent.jpg", event="11" * 32)
    sound = sign(sample("demo.mp3"), tmp_path / "sound.mp3", event="22" * 32)
    sign(
        sample("demo.png"),
        tmp_path / "child.png",
        derived=True,
        source_type="compositeWithTrainedAlgorithmicMedia",
        ingredients=[
            IngredientFile(tmp_path / "parent.jpg", "parentOf", "Parent"),
            IngredientFile(tmp_path / "sound.mp3", "componentOf"),
            IngredientFile(sample("demo.gif"), "componentOf"),
        ],
    )
    read = read_manifest(tmp_path / "child.png", anchors=credential().anchor)
    assert read is not None
    assert read.state == "Trusted"
    assert read.actions == ("c2pa.opened", "c2pa.edited", "c2pa.placed")
    assert read.source_types == (SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia",)
    image, audio, unsigned = read.ingredients
    assert (image.title, image.relationship, image.label) == ("Parent", "parentOf", parent.label)
    assert (image.state, image.codes, image.reference) == ("Trusted", (), (LOG, "11" * 32))
    assert image.content_hash == digest_file(sample("demo.jpg"))[0]
    assert (audio.relationship, audio.label, audio.state) == ("componentOf", sound.label, "Trusted")
    assert audio.reference == (LOG, "22" * 32)
    assert audio.content_hash == digest_file(sample("demo.mp3"))[0]
    assert (unsigned.state, unsigned.label, unsigned.reference) == (None, "", None)
    assert agreed(tmp_path / "child.png")


def test_a_derived_sidecar_carries_its_parents_too(tmp_path):
    sign(sample("demo.mp3"), tmp_path / "a.mp3", event="11" * 32)
    done = sign(
        sample("demo.mp4"),
        tmp_path / "b.mp4",
        derived=True,
        ingredients=[IngredientFile(tmp_path / "a.mp3", "parentOf")],
    )
    read = read_manifest(tmp_path / "b.mp4", anchors=credential().anchor)
    assert read is not None
    assert [(part.state, part.reference) for part in read.ingredients] == [("Trusted", (LOG, "11" * 32))]
    assert agreed(tmp_path / "b.mp4", done.sidecar)


def test_ingredients_without_a_parent_make_a_creation(tmp_path):
    parts = [IngredientFile(sample("demo.jpg"), "componentOf")]
    sign(sample("demo.png"), tmp_path / "out.png", derived=True, ingredients=parts)
    read = read_manifest(tmp_path / "out.png")
    assert read is not None
    assert read.actions == ("c2pa.created", "c2pa.placed")
    assert agreed(tmp_path / "out.png")


@pytest.mark.parametrize("name", [*EMBEDDED, "demo.mp3"])
def test_a_source_with_a_manifest_brings_it_along(tmp_path, name):
    """A file from a camera or a generator comes signed; signing it again must not drop who signed before."""
    maker = credential("camera")
    first = sign(sample(name), tmp_path / name, credential=maker, event="11" * 32)
    sign(tmp_path / name, tmp_path / f"again-{name}", event="22" * 32, anchors=maker.anchor)
    read = read_manifest(tmp_path / f"again-{name}", anchors=credential().anchor + maker.anchor)
    assert read is not None
    assert (read.state, read.reference, read.actions) == ("Trusted", (LOG, "22" * 32), ("c2pa.opened",))
    assert [(p.relationship, p.label, p.state) for p in read.ingredients] == [("parentOf", first.label, "Trusted")]
    assert read.content_hash == digest_file(sample(name))[0]


def test_a_source_with_a_manifest_and_a_parent_keeps_both(tmp_path):
    first = sign(sample("demo.png"), tmp_path / "first.png", event="11" * 32)
    sign(sample("demo.jpg"), tmp_path / "parent.jpg")
    parts = [IngredientFile(tmp_path / "parent.jpg", "parentOf")]
    sign(tmp_path / "first.png", tmp_path / "out.png", derived=True, ingredients=parts)
    read = read_manifest(tmp_path / "out.png", anchors=credential().anchor)
    assert read is not None
    assert [p.relationship for p in read.ingredients] == ["parentOf", "componentOf"]
    assert read.ingredients[1].label == first.label
    assert agreed(tmp_path / "out.png")


TITLES = {
    "markup": "<script>alert(1)</script>&amp;",
    "quotes": "'; DROP TABLE works; --\"\\",
    "bidi": "\u202egpj.exe\u2066",
    "control": "a\x00b\x1b[31m\r\n\u2028",
    "long": "x" * 10_000,
    "wide": "夕焼け 🏜️ é",
    "json": '"},{"label":"c2pa.actions.v2","data":{}',
}


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_hostile_titles_are_text(tmp_path, title):
    parts = [IngredientFile(sample("demo.png"), "parentOf", title)]
    sign(sample("demo.jpg"), tmp_path / "out.jpg", title=title, derived=True, ingredients=parts)
    read = read_manifest(tmp_path / "out.jpg", anchors=credential().anchor)
    assert read is not None
    assert (read.title, read.ingredients[0].title, read.state) == (title, title, "Trusted")
    assert agreed(tmp_path / "out.jpg")


def test_half_a_surrogate_pair_is_no_title(tmp_path):
    with pytest.raises(MalformedError, match="title"):
        sign(sample("demo.jpg"), tmp_path / "out.jpg", title="\ud800")


def test_nothing_personal_is_written_unless_passed(tmp_path):
    folder = tmp_path / "ada-lovelace"
    folder.mkdir()
    for name in ("secret-parent.jpg", "secret-source.jpg"):
        (folder / name).write_bytes(sample("demo.jpg").read_bytes())
    parts = [IngredientFile(folder / "secret-parent.jpg", "parentOf")]
    sign(folder / "secret-source.jpg", folder / "secret-out.jpg", derived=True, ingredients=parts)
    added = (folder / "secret-out.jpg").read_bytes()
    assert b"secret" not in added
    assert b"ada-lovelace" not in added


def test_wrong_extension_is_no_matter(tmp_path):
    (tmp_path / "really-png.jpg").write_bytes(sample("demo.png").read_bytes())
    done = sign(tmp_path / "really-png.jpg", tmp_path / "out.jpg")
    assert done.binding == "embedded"
    assert media_type_of(tmp_path / "out.jpg") == "image/png"
    assert agreed(tmp_path / "out.jpg")


def test_a_broken_image_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "fake.jpg").write_bytes(b"\xff\xd8\xff but no image")
    with pytest.raises(MalformedError, match="signing image/jpeg"):
        sign(tmp_path / "fake.jpg", tmp_path / "out.jpg")
    assert [p.name for p in tmp_path.iterdir()] == ["fake.jpg"]


def test_empty_and_absent_sources_are_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(MalformedError, match="is empty"):
        sign(tmp_path / "empty.jpg", tmp_path / "out.jpg", digest="0" * 64)
    with pytest.raises(NotFound, match="no such file"):
        sign(tmp_path / "absent.jpg", tmp_path / "out.jpg", digest="0" * 64)
    assert not (tmp_path / "out.jpg").exists()


def test_source_and_destination_must_differ(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(sample("demo.jpg").read_bytes())
    (tmp_path / "link.jpg").hardlink_to(path)
    (tmp_path / "soft.jpg").symlink_to(path)
    for other in (path, tmp_path / "link.jpg", tmp_path / "soft.jpg", tmp_path / "." / "a.jpg"):
        with pytest.raises(Conflict, match="same file"):
            sign(path, other)
    assert path.read_bytes() == sample("demo.jpg").read_bytes()


def test_a_folder_is_no_destination(tmp_path):
    with pytest.raises(Conflict, match="a folder"):
        sign(sample("demo.mp3"), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be written"):
        sign(sample("demo.mp3"), tmp_path / "file" / "out.mp3")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_another_file_than_the_recorded_is_refused(tmp_path):
    with pytest.raises(VerificationError, match="attach the file that was recorded"):
        sign(sample("demo.jpg"), tmp_path / "out.jpg", digest="0" * 64)


@pytest.mark.parametrize("event", ["", "zz" * 32, "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_an_event_id_has_one_form(tmp_path, event):
    with pytest.raises(MalformedError, match="64 hex digits"):
        sign(sample("demo.jpg"), tmp_path / "out.jpg", event=event)


def test_relationships_are_checked(tmp_path):
    with pytest.raises(MalformedError, match="relationship 'fatherOf'"):
        sign(sample("demo.jpg"), tmp_path / "o.jpg", ingredients=[IngredientFile(sample("demo.png"), "fatherOf")])
    two = [IngredientFile(sample("demo.png"), "parentOf"), IngredientFile(sample("demo.gif"), "parentOf")]
    with pytest.raises(MalformedError, match="want at most one"):
        sign(sample("demo.jpg"), tmp_path / "o.jpg", derived=True, ingredients=two)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_destination_survives_a_failure_and_is_replaced_by_success(tmp_path):
    out = tmp_path / "out.mp3"
    sign(sample("demo.mp3"), out, event="11" * 32)
    before = (out.read_bytes(), sidecar_of(out).read_bytes())
    expired = replace(credential(), key=credential("other").key)
    with pytest.raises(LedgerError):
        sign(sample("demo.mp3"), out, credential=expired)
    assert (out.read_bytes(), sidecar_of(out).read_bytes()) == before
    sign(sample("demo.mp3"), out, event="22" * 32)
    read = read_manifest(out)
    assert read is not None
    assert read.reference == (LOG, "22" * 32)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp3", "out.mp3.c2pa"]


def test_many_threads_share_the_library(tmp_path):
    def one(number):
        sign(sample("demo.jpg"), tmp_path / f"{number}.jpg", event=f"{number:064x}")
        return read_manifest(tmp_path / f"{number}.jpg", anchors=credential().anchor)

    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(one, range(24)))
    assert [(m.state, m.reference) for m in read] == [("Trusted", (LOG, f"{n:064x}")) for n in range(24)]
    assert len({m.label for m in read}) == 24


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_worker_signs_and_reads(tmp_path):
    program = """
import os, sys
from pathlib import Path
from provenance.content import read_manifest
from tests.provenance.content_media import credential, sample, sign
out = Path(sys.argv[1])
sign(sample("demo.jpg"), out / "parent.jpg")
child = os.fork()
if child == 0:
    sign(sample("demo.jpg"), out / "child.jpg")
    os._exit(0 if read_manifest(out / "parent.jpg", anchors=credential().anchor).state == "Trusted" else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert read_manifest(out / "child.jpg", anchors=credential().anchor).state == "Trusted"
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_the_verbs_name_it(tmp_path):
    program = """
import sys
sys.modules["c2pa"] = None
from pathlib import Path
from provenance.content import digest_file, media_type_of, read_manifest
from provenance.errors import MissingExtra
from tests.provenance.content_media import sample, sign
assert media_type_of(sample("demo.jpg")) == "image/jpeg" and digest_file(sample("demo.jpg"))[1] > 0
for verb in (lambda: read_manifest(sample("demo.jpg")), lambda: sign(sample("demo.jpg"), Path(sys.argv[1]) / "o.jpg")):
    try:
        verb()
    except MissingExtra as error:
        assert error.extra == "content" and "provenance-ledger[content]" in str(error)
    else:
        raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Canaries: what we rely on and no documentation promises. When one fails, read the library's release notes first.


def native(builder_json, asset, media_type, embed=True, **ingredient):
    import c2pa

    info = c2pa.C2paSignerInfo("es256", credential().chain.encode(), credential().key.encode(), None)
    builder = c2pa.Builder(json.dumps(builder_json), context=context(credential().anchor))
    if not embed:
        builder.set_no_embed()
    out = io.BytesIO()
    store = builder.sign(c2pa.Signer.from_info(info), media_type, io.BytesIO(asset), out)
    return store, out.getvalue()


CREATED = {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE_TYPES + "digitalCapture"}]}
CLAIM = {
    "claim_generator_info": [{"name": "canary"}],
    "assertions": [{"label": "c2pa.actions.v2", "created": True, "data": CREATED}],
}


def test_canary_a_hash_alone_signs_any_file():
    import c2pa

    content = os.urandom(5000)
    binding = {"name": "x", "alg": "sha256", "hash": list(sha256(content).digest()), "pad": [0] * 10}
    claim = {**CLAIM, "assertions": [*CLAIM["assertions"], {"label": "c2pa.hash.data", "data": binding}]}
    store, _ = native(claim, b"", "application/octet-stream", embed=False)
    for data, state in ((content, "Trusted"), (content + b"x", "Invalid"), (b"", "Invalid")):
        with c2pa.Reader(
            "application/octet-stream", io.BytesIO(data), store, context=context(credential().anchor)
        ) as reader:
            assert reader.get_validation_state() == state


def test_canary_our_label_is_kept_and_an_old_urn_is_not():
    import c2pa

    label = "urn:c2pa:3f0a6d0e-4d8f-4c35-8f0c-2f4b6a1f7f10"
    _, signed = native({**CLAIM, "label": label}, sample("demo.jpg").read_bytes(), "image/jpeg")
    with c2pa.Reader("image/jpeg", io.BytesIO(signed), context=context()) as reader:
        assert reader.get_active_manifest()["label"] == label
    with pytest.raises(c2pa.C2paError):
        native({**CLAIM, "label": label.replace("c2pa", "uuid")}, sample("demo.jpg").read_bytes(), "image/jpeg")


def test_canary_settings_do_what_they_say():
    """Unknown settings are ignored in silence, so each is watched by its effect."""
    store, signed = native(CLAIM, sample("demo.jpg").read_bytes(), "image/jpeg")
    assert len(store) < 6_000  # thumbnails are off: with one it is 280 kB
    import c2pa

    for anchors, state in ((credential().anchor, "Trusted"), (credential("other").anchor, "Valid"), (None, "Valid")):
        with c2pa.Reader("image/jpeg", io.BytesIO(signed), context=context(anchors)) as reader:
            assert reader.get_validation_state() == state


def test_canary_two_parents_sign_here_and_fail_elsewhere(tmp_path):
    """Why `attach` counts parents itself."""
    import c2pa

    info = c2pa.C2paSignerInfo("es256", credential().chain.encode(), credential().key.encode(), None)
    actions = {"actions": [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["a", "b"]}}]}
    claim = {**CLAIM, "assertions": [{"label": "c2pa.actions.v2", "created": True, "data": actions}]}
    builder = c2pa.Builder(json.dumps(claim), context=context(credential().anchor))
    for name in "ab":
        with sample("demo.png").open("rb") as file:
            builder.add_ingredient(json.dumps({"relationship": "parentOf", "label": name}), "image/png", file)
    with sample("demo.jpg").open("rb") as file, (tmp_path / "two.jpg").open("w+b") as out:
        builder.sign(c2pa.Signer.from_info(info), "image/jpeg", file, out)
    assert read_manifest(tmp_path / "two.jpg", anchors=credential().anchor).state == "Trusted"
    report = second_opinion(tmp_path / "two.jpg", "image/jpeg")
    assert "manifest.multipleParents" in [failure["code"] for failure in report["validation_results"]["failure"]]


def test_canary_what_the_manifest_says_of_itself(tmp_path):
    import c2pa

    done = sign(sample("demo.jpg"), tmp_path / "out.jpg")
    with c2pa.Reader(tmp_path / "out.jpg", context=context()) as reader:
        manifest = reader.get_active_manifest()
    assert manifest["claim_generator_info"][0]["specVersion"] == "2.4"
    assertions = {a["label"]: a for a in manifest["assertions"]}
    assert assertions["c2pa.actions.v2"]["created"] is True
    assert assertions["c2pa.actions.v2"]["data"]["allActionsIncluded"] is True
    assert assertions[LABEL]["created"] is True
    assert assertions[LABEL]["data"] == {"log": LOG, "event": EVENT}
    assert set(assertions) <= {"c2pa.actions.v2", LABEL, "c2pa.hash.data"}
    assert "thumbnail" not in manifest
    assert done.tool == "c2pa-python"
