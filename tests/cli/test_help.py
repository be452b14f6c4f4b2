"""What `--help` says, at 80 columns: every command of the command line, as a new user meets it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest

from adapters.cli import main
from adapters.cli.app import program, run
from adapters.cli.output import width

WITHOUT_JSON = {"consent receipt", "witness serve", "worker"}
"""The first is JSON by itself, the others run until they are ended."""


def commands(group: Any, *before: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every group and command, with the words it is typed with."""
    yield before, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *before, name)


ALL = list(commands(program()))
LEAVES = [(words, command) for words, command in ALL if not hasattr(command, "commands")]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.parametrize("words,command", ALL, ids=[" ".join(words) or "provenance" for words, _ in ALL])
def test_help_is_there_whole_and_fits(words: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--help"]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    lines = found.out.splitlines()
    assert lines[0].startswith(f"Usage: {' '.join(('provenance', *words))} ")
    assert max(map(len, lines)) <= 80
    cut = [line for line in lines[1:] if line.endswith("...")]
    assert not cut, "the first sentence of a command's docstring is too long for the list of commands"
    assert "<str>" not in "".join(line for line in lines if line.lstrip().startswith("--"))
    for option in command.params:
        assert option.help or option.name == "help", f"{option.name} says nothing of itself"


@pytest.mark.parametrize("words,command", LEAVES, ids=[" ".join(words) for words, _ in LEAVES])
def test_every_command_answers_in_json_too(words: tuple[str, ...], command: Any) -> None:
    names = {name for option in command.params for name in option.opts}
    assert ("--json" in names) == (" ".join(words) not in WITHOUT_JSON)


def test_a_group_alone_shows_what_can_be_typed_as_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    for words, command in ALL:
        if hasattr(command, "commands"):
            assert run([*words]) == 3
            found = capsys.readouterr()
            assert found.out == ""
            assert "Commands:" in found.err


def test_a_report_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert width() == 80
    monkeypatch.setenv("COLUMNS", "300")
    assert width() == 100


def test_who_interrupts_a_command_is_told_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adapters.cli.disclose.read_package", interrupted)
    assert run(["disclosed", "x.tar"]) == 130
    assert "nothing half done is left" in capsys.readouterr().err
    monkeypatch.setattr("adapters.cli.app.run", interrupted)
    with pytest.raises(SystemExit, match="130"):
        main()
    assert capsys.readouterr().err == "provenance: interrupted; nothing was done\n"


def test_it_says_which_release_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    found = capsys.readouterr()
    assert (found.out, found.err) == (f"provenance {metadata.version('provenance-ledger')}\n", "")
