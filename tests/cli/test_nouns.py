"""`provenance work`, `model`, `dataset`, `event`, `assent` and `dispute`."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adapters import connect
from adapters.cli.app import run
from provenance.desk.data import Input
from provenance.ledger import ProvenanceLedger
from tests.cli.conftest import asked, told

HALF = 50_000_000
EVIDENCE = sha256(b"evidence").hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop that each test has a copy of."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill()
    return folder


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill() -> None:
    assert run(["init", "cli.example/log"]) == 0
    for name in ("Ada", "Bo"):
        assert run(["register", "person", "--name", name, "--ref", name.lower()]) == 0
    for name, words in (("photo", ["create"]), ("remix", ["derive", "--parent", "photo"])):
        Path(f"{name}.bin").write_bytes(name.encode())
        command, *more = words
        told = [command, f"{name}.bin", "--creator", "ada", *more, "--title", f"Title of {name}", "--ref", name]
        assert run([*told, "--terms", "CC0-1.0"]) == 0


def ledger() -> ProvenanceLedger:
    return connect("market.db", publish="public")


def test_works_are_listed_and_shown(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = asked(capsys, "work", "list")
    assert [row["type"] for row in listed["rows"]] == ["work.create", "work.derive"]
    assert listed["number"] == 2
    photo, remix = (row["id"] for row in listed["rows"])
    assert len(asked(capsys, "work", "list", "--limit", "1")["rows"]) == 1
    assert [row["id"] for row in asked(capsys, "work", "list", "--type", "work.derive")["rows"]] == [remix]
    assert asked(capsys, "work", "list", "--at", "0") == {"size": 0, "time": "", "number": 0, "rows": []}
    shown = asked(capsys, "work", "show", "photo")
    assert shown["id"] == photo
    assert shown["status"]["state"] == "active"
    assert [offer["license"] for offer in shown["offers"]] == ["CC0-1.0"]
    assert [(row["id"], row["depth"]) for row in shown["descendants"]] == [(remix, 1)]
    assert {"work.derive", "offer.attach"} <= {row["type"] for row in shown["about"]}
    assert shown["event"]["type"] == "work.create"
    text = told(capsys, "work", "show", remix)
    assert f"from      {photo} edited, 1 away" in text
    assert "Title of remix" not in text
    assert text.splitlines()[-1].startswith(f"next: provenance proof {remix}")
    assert "Title of remix" in told(capsys, "work", "show", remix, "--disclose")
    earlier = asked(capsys, "work", "show", photo, "--at", str(shown["index"] + 1))
    assert (earlier["descendants"], earlier["offers"], earlier["about"]) == ([], [], [])


def test_models_datasets_and_what_they_learned(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = ledger()
    photo = desk.find("photo")
    model = desk.register_model(version="1", creators=[desk.find("ada")], ref="model:1")
    data = desk.snapshot(members=1, root="ab" * 32, parents=[photo], ref="data:1")
    desk.train(model, inputs=[Input(data)], method="pretrain", rights="unknown")
    assert [row["id"] for row in asked(capsys, "model", "list")["rows"]] == [model.id]
    assert [row["id"] for row in asked(capsys, "dataset", "list")["rows"]] == [data.id]
    [trained] = asked(capsys, "dataset", "show", "data:1")["trained"]
    assert (trained["model"], trained["basis"], trained["verdict"]) == (model.id, "none", "unknown")
    assert f"trained   {model.id}" in told(capsys, "work", "show", "photo")
    assert asked(capsys, "model", "show", "model:1")["type"] == "model.register"


def test_events_of_any_type(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = asked(capsys, "event", "list", "--limit", "1000")
    assert every["number"] == every["size"] == ledger().log.size
    [genesis] = asked(capsys, "event", "list", "--type", "log.genesis")["rows"]
    shown = asked(capsys, "event", "show", genesis["id"])
    assert (shown["index"], shown["logged_at"]) == (0, "")
    party = asked(capsys, "event", "show", "ada", "--disclose")
    assert party["personal"]["name"] == "Ada"
    assert "personal" not in asked(capsys, "event", "show", "ada")


@pytest.mark.parametrize(
    "words,code,message",
    [
        (["work", "show", "ab" * 32], 2, "not in the log"),
        (["work", "show", "photo", "--at", "2"], 2, "not in the log at 2"),
        (["work", "list", "--at", "100000"], 2, "the index has"),
        (["work", "list", "--at", "yesterday"], 3, "want a log size, or UTC with whole seconds"),
        (["work", "list", "--at", "-1"], 3, "want a log size"),
        (["work", "list", "--type", "grant.issue"], 3, "a work is a work.create or work.derive"),
        (["work", "list", "--limit", "0"], 3, "limit"),
        (["event", "show", "nobody"], 2, "nobody"),
        (["assent", "give", "photo", "perhaps"], 3, "perhaps"),
        (["dispute", "judge", "photo", "upheld"], 1, "is a work.create, want dispute.open or dispute.appeal"),
        (["dispute", "open", "photo", "--tag", "improper-usage", "--evidence", "no such file"], 2, "no such file"),
        (["attest", "photo", "--claim", "fine", "--expires", "soon"], 3, "--expires soon: want UTC with whole seconds"),
        (["attest", "photo", "--claim", "fine", "--expires", "2001-01-01T00:00:00Z"], 1, "expires"),
        (["dispute", "open", "photo", "--tag", "no such word", "--evidence", EVIDENCE], 1, "tag"),
    ],
)
def test_wrong_use_is_said_in_one_line(
    shop: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    capsys.readouterr()
    got = run(words)
    found = capsys.readouterr()
    assert got != 0
    assert "Traceback" not in found.err
    assert message in " ".join(found.err.split())
    assert (got, found.out) == (code, "")


def test_a_party_is_no_work(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    party = ledger().find("ada").id
    assert "provenance event show" in told(capsys, "work", "show", party, code=2)


def test_acts_wait_are_answered_and_shown(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = ledger()
    ada, bo, photo = desk.find("ada"), desk.find("bo"), desk.find("photo")
    assert asked(capsys, "assent", "list")["acts"] == []
    assert "nothing waits" in told(capsys, "assent", "list")
    refs = [{"role": "agent", "id": bo.id}]
    body = {"actions": ["offer.*"], "territories": []}
    desk.split(photo, {ada.id: HALF, bo.id: HALF}, ref="split:1")
    assert asked(capsys, "assent", "show", "split:1")["state"] == "effective"
    # The market is asked where somebody else's party is to agree with it.
    key, mandate = _keyed(desk), ""
    with_key = desk.record_many([desk.draft("mandate.grant", body=body, refs=[{"role": "agent", "id": key}])])
    mandate = with_key[0].id
    [waits] = asked(capsys, "assent", "list")["acts"]
    assert (waits["id"], waits["missing"]) == (mandate, [key])
    text = told(capsys, "assent", "list")
    assert f"lacks {key}" in text
    assert text.splitlines()[-1].startswith(f"next: provenance assent give {mandate} --as PARTY")
    assert f"lacks     {key}" in told(capsys, "assent", "show", mandate)
    told(capsys, "assent", "give", mandate, "--as", key, code=1)  # it signs for itself
    told(capsys, "assent", "give", mandate, "--as", "bo", code=1)  # nobody asked
    assert asked(capsys, "assent", "list")["acts"] == [waits]
    assert refs


def _keyed(desk: ProvenanceLedger) -> str:
    from provenance import PartyKey, sign_statement

    key = PartyKey.generate()
    body = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    draft = desk.propose("party.register", actor="self", body=body)
    own = draft.id.hex()
    statement = sign_statement(key, issuer=own, type=draft.type, origin=desk.log.origin, event_id=draft.id)
    return desk.submit(draft.data, statement, items=[bytes(item) for item in draft.items]).id


def test_a_word_is_given_for_a_party_that_the_market_keeps(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another party began it: then a party without keys is asked like any other."""
    from provenance import PartyKey, sign_statement

    desk = ledger()
    key = PartyKey.generate()
    body: dict[str, Any] = {"kind": "person", "keys": [key.public.jwk()], "rotation_keys": [], "next_key_hashes": []}
    party = desk.propose("party.register", actor="self", body=body)

    def submit(draft: Any) -> str:
        statement = sign_statement(
            key, issuer=party.id.hex(), type=draft.type, origin=desk.log.origin, event_id=draft.id
        )
        return desk.submit(draft.data, statement, items=[bytes(item) for item in draft.items]).id

    submit(party)
    body = {
        "digests": {"sha-256": "ab" * 32},
        "media_type": "image/png",
        "size": 1,
        "source_type": "digitalCreation",
        "human_contribution": "full",
        "tools": "none",
    }
    refs = [{"role": "creator", "id": each, "as": "author"} for each in (party.id.hex(), desk.find("ada").id)]
    work = submit(desk.propose("work.create", actor=party.id.hex(), body=body, refs=refs))
    assert asked(capsys, "assent", "show", work)["state"] == "pending"
    assert "the act is effective" in told(capsys, "assent", "give", work, "--as", "ada", "--ref", "yes:1")
    assert asked(capsys, "assent", "give", work, "--as", "ada", "--ref", "yes:1")["ref"] == "yes:1"  # a retry
    assert asked(capsys, "assent", "show", work)["yes"] == sorted([party.id.hex(), desk.find("ada").id])


def test_a_dispute_from_opening_to_end(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no dispute is open" in told(capsys, "dispute", "list")
    Path("letter.txt").write_bytes(b"evidence")
    opened = asked(
        capsys,
        *("dispute", "open", "photo", "--tag", "improper-usage", "--evidence", "letter.txt", "--as", "bo"),
        *("--ref", "case:1"),
    )
    assert opened["type"] == "dispute.open"
    event = asked(capsys, "event", "show", "case:1")["event"]
    assert event["body"]["evidence"] == EVIDENCE
    told(capsys, "dispute", "resolve", "case:1", "--as", "bo", code=1)  # not judged yet
    asked(capsys, "dispute", "judge", "case:1", "upheld")
    [row] = asked(capsys, "dispute", "list")["disputes"]
    desk = ledger()
    assert (row["state"], row["tagged"]) == ("upheld", [desk.find("photo").id, desk.find("remix").id])
    assert "and 1 that derive" in told(capsys, "dispute", "list")
    told(capsys, "dispute", "judge", "case:1", "dismissed", code=1)  # once
    again = asked(capsys, "dispute", "appeal", "case:1", "--evidence", "cd" * 32, "--ref", "case:1:appeal")
    told(capsys, "dispute", "appeal", "case:1", "--evidence", "ef" * 32, code=1)  # one at a time
    assert asked(capsys, "dispute", "list")["disputes"][0]["state"] == "open"
    asked(capsys, "dispute", "judge", again["event"], "upheld")
    told(capsys, "dispute", "appeal", "case:1", "--evidence", "ef" * 32, code=1)  # it was appealed: that is next
    last = asked(capsys, "dispute", "appeal", "case:1:appeal", "--evidence", "ef" * 32)
    asked(capsys, "dispute", "judge", last["event"], "dismissed")
    assert asked(capsys, "dispute", "list")["disputes"] == []
    size = str(asked(capsys, "event", "show", again["event"])["index"])
    assert [row["state"] for row in asked(capsys, "dispute", "list", "--at", size)["disputes"]] == ["upheld"]
    asked(capsys, "dispute", "resolve", "case:1", "--as", "bo")
    other = asked(capsys, "dispute", "open", "remix", "--tag", "improper-usage", "--evidence", "12" * 32)
    asked(capsys, "dispute", "cancel", other["event"])
    assert asked(capsys, "dispute", "list")["disputes"] == []


def test_a_type_that_there_is_not(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [["event", "list", "--type", "grant.isue"], ["disclose", "x.tar", "--type", "grant.isue"]]
    for each in words:
        assert "--type grant.isue: no type of event, did you mean grant.issue?" in told(capsys, *each, code=3)
    assert not Path("x.tar").exists()
    assert asked(capsys, "event", "list", "--type", "dispute.open")["number"] == 0  # there is, and none was logged


def test_what_is_empty_names_a_command_that_works(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["dispute", "list"], ["assent", "list"], ["hold", "list"]):
        assert told(capsys, *words).splitlines()[-1] == "next: provenance status"
