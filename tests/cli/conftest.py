"""Commands as they are typed, and what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.cli.app import run


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """The answer of a command as JSON."""
    capsys.readouterr()
    assert run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command says in words: of one that does not succeed, on standard error."""
    capsys.readouterr()
    assert run([*words]) == code
    found = capsys.readouterr()
    return found.out if code == 0 else found.err
