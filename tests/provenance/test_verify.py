"""One answer for one file: what each kind of file, manifest and claim makes of it."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from adapters import create, open_log
from provenance import History, PartyKey, Ticket, Verdict, sign_statement, verify
from provenance.content import sidecar_of
from provenance.events import Draft, new_event
from provenance.queue import Staged
from provenance.report import as_json, render_html, render_text
from tests.provenance.conftest import ORIGIN, Market
from tests.provenance.content_media import credential, sample, sign

TIME = "2026-11-23T08:00:00Z"


def words(answer: Verdict) -> dict[str, str]:
    return {check.name: f"{check.status}: {check.word}" for check in answer.checks}


def signed(market: Market, name: str, **details: object) -> tuple[Ticket, Path]:
    """A work from a sample, and its file with a manifest."""
    work = market.ledger.create(sample(name), creators=[market.ada], **details)  # type: ignore[arg-type]
    out = market.root / "media" / name
    out.parent.mkdir(exist_ok=True)
    market.ledger.attach(work, sample(name), out)
    return work, out


# What the file is


@pytest.mark.parametrize("name", ["demo.jpg", "demo.png", "demo.mp3"])
def test_a_signed_file_is_intact_under_the_markets_anchor(market: Market, name: str) -> None:
    work, out = signed(market, name, terms="CC-BY-4.0")
    anchor = (market.root / "market.keys" / "claim.pem").read_text()
    blind, trusting = verify(out, market.history()), verify(out, market.history(), anchors=anchor)
    assert (blind.record, blind.work) == ("intact", work.id)
    assert (words(blind)["manifest"], words(trusting)["manifest"]) == ("note: valid", "ok: trusted")
    assert words(trusting)["bytes"] == "ok: as signed"
    assert words(trusting)["terms"] == "ok: CC-BY-4.0"


def test_the_registered_file_without_a_manifest_is_intact(market: Market) -> None:
    work, _ = signed(market, "demo.jpg")
    answer = verify(sample("demo.jpg"), market.history())
    assert (answer.record, answer.work) == ("intact", work.id)
    assert (words(answer)["manifest"], words(answer)["bytes"]) == ("note: none", "ok: as registered")


def test_a_file_whose_sidecar_was_lost_is_found_by_its_bytes(market: Market) -> None:
    work, out = signed(market, "demo.mp3")
    sidecar_of(out).unlink()
    answer = verify(out, market.history())
    assert (answer.record, answer.work, words(answer)["manifest"]) == ("intact", work.id, "note: none")


@pytest.mark.parametrize("name", ["demo.jpg", "demo.mp3"])
def test_changed_bytes_under_a_good_manifest_are_altered(market: Market, name: str) -> None:
    work, out = signed(market, name)
    data = bytearray(out.read_bytes())
    data[-200] ^= 1
    out.write_bytes(data)
    answer = verify(out, market.history())
    assert (answer.record, answer.work) == ("altered", work.id)
    assert (words(answer)["manifest"], words(answer)["bytes"]) == ("bad: tampered", "bad: changed")


def test_a_changed_manifest_over_the_right_bytes_is_altered(market: Market) -> None:
    _, out = signed(market, "demo.mp3")
    sidecar = sidecar_of(out)
    sidecar.write_bytes(sidecar.read_bytes().replace(b"DEVELOPMENT signer", b"DEVELOPMENT sinner", 1))
    answer = verify(out, market.history())
    assert (answer.record, words(answer)["manifest"], words(answer)["bytes"]) == (
        "altered",
        "bad: tampered",
        "ok: as signed",
    )


def test_an_unknown_file_is_nobodys(market: Market) -> None:
    answer = verify(market.file(b"never seen"), market.history())
    assert (answer.record, answer.work, answer.nodes) == ("cannot check", "", ())
    assert words(answer)["log"] == "unknown: not found"


# What the manifest names


def test_a_manifest_of_another_log_is_a_note_and_proves_nothing_here(market: Market) -> None:
    sign(sample("demo.jpg"), market.root / "a.jpg", log="other.example/log")
    answer = verify(market.root / "a.jpg", market.history())
    assert (answer.record, words(answer)["reference"]) == ("cannot check", "note: another log")


@pytest.mark.parametrize("event", ["ab" * 32, "a party"])
def test_a_manifest_that_names_no_work_is_bad(market: Market, event: str) -> None:
    named = market.ada.id if event == "a party" else event
    sign(sample("demo.jpg"), market.root / "a.jpg", log=ORIGIN, event=named)
    answer = verify(market.root / "a.jpg", market.history())
    assert (answer.record, answer.work) == ("altered", "")
    assert words(answer)["reference"] == ("bad: no work" if event == "a party" else "bad: not in the log")


def test_somebody_elses_manifest_that_names_a_work_does_not_make_its_bytes(market: Market) -> None:
    work = market.work(b"another thing")
    sign(sample("demo.jpg"), market.root / "a.jpg", log=ORIGIN, event=work.id, credential=credential("stranger"))
    answer = verify(market.root / "a.jpg", market.history())
    assert (answer.record, words(answer)["bytes"]) == ("altered", "bad: changed")


def test_a_manifest_that_names_another_work_than_its_bytes_contradicts(market: Market) -> None:
    market.ledger.create(sample("demo.mp3"), creators=[market.ada])
    other = market.work(b"another thing")
    out = market.root / "demo.mp3"
    sign(sample("demo.mp3"), out, log=ORIGIN, event=other.id)
    answer = verify(out, market.history())
    assert (answer.record, words(answer)["reference"]) == ("altered", "bad: contradicts")


def test_rivals_are_shown_earliest_first_whichever_the_manifest_names(market: Market) -> None:
    first = market.ledger.create(sample("demo.mp3"), creators=[market.ada])
    second = market.ledger.create(sample("demo.mp3"), creators=[market.bo])
    out = market.root / "demo.mp3"
    market.ledger.attach(second, sample("demo.mp3"), out)
    answer = verify(out, market.history())
    assert (answer.record, answer.work, [node.id for node in answer.rivals]) == ("intact", first.id, [second.id])
    assert words(answer)["reference"] == "note: rival"


# Ingredients


@pytest.mark.parametrize("name", ["demo.jpg", "demo.mp3"])
def test_a_tampered_parent_is_never_intact(market: Market, name: str) -> None:
    """The library calls the child trusted all the same."""
    parent, parent_file = signed(market, name)
    tampered = parent_file.read_bytes()[:-200] + bytes(200)
    (market.root / "t").mkdir()
    bad = market.root / "t" / name
    bad.write_bytes(tampered)
    if sidecar_of(parent_file).exists():
        shutil.copy(sidecar_of(parent_file), sidecar_of(bad))
    child = market.ledger.derive(sample("demo.png"), parents=[parent], creators=[market.bo])
    from provenance.content import IngredientFile

    out = market.root / "child.png"
    parts = [IngredientFile(bad, "parentOf")]
    done = sign(sample("demo.png"), out, log=ORIGIN, event=child.id, derived=True, ingredients=parts)
    answer = verify(out, market.history(), anchors=credential().anchor)
    assert done.state == "Trusted"
    assert words(answer)["manifest"] == "ok: trusted"
    assert [check.word for check in answer.checks if check.name.startswith("ingredient")] == ["tampered"]
    assert answer.record == "altered"


def test_each_ingredient_has_a_line_of_its_own(market: Market) -> None:
    photo, photo_file = signed(market, "demo.jpg")
    song, song_file = signed(market, "demo.mp3")
    child = market.ledger.derive(sample("demo.png"), parents=[photo, song], creators=[market.bo], relation="composed")
    out = market.root / "child.png"
    files = {photo.id: photo_file, song.id: song_file}
    market.ledger.attach(child, sample("demo.png"), out, ingredients=files)
    anchor = (market.root / "market.keys" / "claim.pem").read_text()
    answer = verify(out, market.history(), anchors=anchor)
    lines = [(check.status, check.word) for check in answer.checks if check.name.startswith("ingredient")]
    assert (answer.record, lines) == ("intact", [("ok", "trusted")] * 2)
    assert {node.id for node in answer.nodes} == {photo.id, song.id, child.id}


# Who may say what


class Stranger:
    """A party with a key of its own, who signs whatever it likes, in a market that stages what it is given.

    `submit` refuses what strangers say of a work; a reader of the log cannot count on every market to do so.
    """

    def __init__(self, market: Market) -> None:
        self.market, self.key = market, PartyKey.generate()
        keys = {"kind": "person", "keys": [self.key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
        draft = self.draft("party.register", keys, actor="self")
        self.id = draft.id.hex()
        self.say(draft)

    def draft(self, type_: str, body: object, refs: object = (), actor: str = "") -> Draft:
        return new_event(
            type_,
            ledger=ORIGIN,
            actor=actor or self.id,
            strength="self",
            claimed_at=TIME,
            body=body,  # type: ignore[arg-type]
            refs=refs,  # type: ignore[arg-type]
        )

    def say(self, draft: Draft) -> Ticket:
        statement = sign_statement(self.key, issuer=self.id, type=draft.type, origin=ORIGIN, event_id=draft.id)
        staged = Staged(0, draft.id, draft.type, draft.data, (), statement, sealed=False)
        queue = self.market.ledger._queue
        with queue.joining(None) as connection:
            queue.stage(connection, [staged])
        self.market.ledger.publish()
        return Ticket(draft.id.hex(), draft.type)

    def manifest(self, work: str, content: bytes) -> Ticket:
        body = {
            "label": "urn:c2pa:3f0a6d0e-4d8f-4c35-8f0c-2f4b6a1f7f10",
            "store_digest": "ab" * 32,
            "file_digest": sha256(content).hexdigest(),
            "file_size": len(content),
            "signer": "cd" * 32,
            "state": "Valid",
            "validation": [],
            "tool": {"name": "c2pa-python", "version": "0.38.1"},
            "binding": "embedded",
        }
        return self.say(self.draft("work.manifest", body, [{"role": "work", "id": work}]))

    def offer(self, work: str, license_: str) -> Ticket:
        terms = self.say(self.draft("terms.publish", {"license": license_, "machine": {}}))
        refs = [{"role": "work", "id": work}, {"role": "terms", "id": terms.id}]
        return self.say(self.draft("offer.attach", {"audience": "public", "overrides": {}}, refs))

    def work(self, content: bytes, creator: str) -> Ticket:
        body = {
            "digests": {"sha-256": sha256(content).hexdigest()},
            "media_type": "image/png",
            "size": len(content),
            "source_type": "digitalCreation",
            "human_contribution": "full",
            "tools": "none",
        }
        return self.say(self.draft("work.create", body, [{"role": "creator", "id": creator, "as": "author"}]))


@pytest.fixture
def mallory(market: Market) -> Stranger:
    return Stranger(market)


def test_a_strangers_manifest_does_not_make_other_bytes_pass_as_a_work(market: Market, mallory: Stranger) -> None:
    work = market.work(b"the real thing")
    mallory.manifest(work.id, b"a fake")
    answer = verify(market.file(b"a fake"), market.history())
    assert (answer.record, words(answer)["bytes"]) == ("cannot check", "unknown: said by a stranger")


def test_a_strangers_manifest_does_not_take_the_bytes_of_a_later_work(market: Market, mallory: Stranger) -> None:
    early = market.work(b"early")
    late = market.work(b"late")
    mallory.manifest(early.id, b"late")
    answer = verify(market.files[1], market.history())
    assert (answer.record, answer.work, answer.rivals) == ("intact", late.id, ())


def test_a_strangers_offer_is_no_license(market: Market, mallory: Stranger) -> None:
    work = market.work(b"w", terms="CC-BY-4.0")
    free = mallory.offer(work.id, "CC0-1.0")
    answer = verify(market.files[0], market.history())
    assert [terms.license for terms in answer.terms] == ["CC-BY-4.0"]
    assert free.id not in {terms.offer for terms in answer.terms}
    assert [check.word for check in answer.checks if check.name == "terms"] == ["CC-BY-4.0", "not theirs to give"]


def test_a_creator_may_offer_and_sign_what_the_market_registered_for_her(market: Market, mallory: Stranger) -> None:
    content = b"her own"
    work = market.ledger.create(market.file(content), creators=[mallory.id])
    mallory.offer(work.id, "CC0-1.0")
    mallory.manifest(work.id, b"her own, signed")
    answer = verify(market.file(b"her own, signed"), market.history())
    assert (answer.record, answer.work, words(answer)["terms"]) == ("intact", work.id, "ok: CC0-1.0")


def test_the_market_may_sign_what_a_creator_registered_herself(market: Market, mallory: Stranger) -> None:
    work = mallory.work(sample("demo.jpg").read_bytes(), mallory.id)
    out = market.root / "out.jpg"
    market.ledger.attach(work, sample("demo.jpg"), out)
    answer = verify(out, market.history())
    assert (answer.record, answer.work) == ("intact", work.id)
    assert answer.claim.startswith(f"Party {mallory.id[:12]}… says so, and nobody else.")


def test_the_claim_is_of_who_signed_not_of_whom_they_name(market: Market, mallory: Stranger) -> None:
    mallory.work(b"in her name", market.ada.id)
    answer = verify(market.file(b"in her name"), market.history())
    assert answer.claim.startswith(f"Party {mallory.id[:12]}… says so of party {market.ada.id[:12]}…")


def test_what_the_market_was_told_is_said_by_the_market(market: Market) -> None:
    market.work(b"w")
    answer = verify(market.files[0], market.history())
    assert answer.claim.startswith(f"The market says that it was told so by party {market.ada.id[:12]}…")


# What it looks like

HOSTILE = {
    "markup": "</title><script>alert(1)</script><img src=x onerror=alert(1)>",
    "bidi": "in\u202evoice\u2066gpj.exe",
    "terminal": "\x1b[31mintact\x1b[0m\x07\r\x00",
    "look-alike": "Аda ✔ intact",
    "long": "x" * 10_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_and_titles_are_shown_and_do_nothing(market: Market, text: str) -> None:
    party = market.ledger.register_party("person", name=text)
    market.ledger.create(market.file(b"w"), creators=[party], title=text)
    seeing = History.read(open_log(market.public, market.ledger.log.policy), disclosed=market.ledger.disclosures())
    answer = verify(market.files[0], seeing)
    assert (answer.record, answer.nodes[0].title, answer.nodes[0].creators[0].name) == ("intact", text, text)
    page, lines = render_html(answer), render_text(answer)
    assert len(page) < 300_000
    assert "x" * 500 not in lines
    for bad in ("<script>alert", "<img src=x", "Аda ✔"):
        assert bad not in page
    for bad in "\u202e\u2066\x1b\x07\x00":
        assert bad not in page + lines
    assert not set("\u202e\u2066\x1b\x07\x00") & set(as_json(answer))


@pytest.mark.parametrize("text", [HOSTILE["markup"], HOSTILE["bidi"]], ids=["markup", "bidi"])
def test_a_hostile_title_inside_an_ingredient_does_nothing(market: Market, text: str) -> None:
    parent = market.ledger.create(sample("demo.jpg"), creators=[market.ada])
    signed_parent = market.root / "parent.jpg"
    market.ledger.attach(parent, sample("demo.jpg"), signed_parent, title=text)
    child = market.ledger.derive(sample("demo.png"), parents=[parent], creators=[market.bo])
    out = market.root / "child.png"
    market.ledger.attach(child, sample("demo.png"), out, ingredients={parent.id: signed_parent}, title=text)
    answer = verify(out, market.history())
    assert answer.record == "intact"
    assert not any(bad in render_html(answer) for bad in ("<script>alert", "<img src=x", "\u202e", "\u2066"))
    assert not any(bad in render_text(answer) for bad in "\u202e\u2066")


def test_a_log_read_under_another_policy_is_refused_before_any_verdict(market: Market, tmp_path: Path) -> None:
    from ledger import UnknownKey

    other = create(f"sqlite:///{tmp_path / 'other.db'}", origin="other.example/log", publish=tmp_path / "other")
    with pytest.raises(UnknownKey):
        open_log(market.public, other.log.policy)
