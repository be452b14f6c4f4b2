"""What users can name is documented, and what the documentation names is there."""

from __future__ import annotations

import importlib
import re
import runpy
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from adapters.cli.app import app
from provenance import ProvenanceLedger
from provenance.events.union import MODELS

_SPAN = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def spans(text: str) -> list[str]:
    """Everything in single backticks, outside of fenced blocks."""
    return _SPAN.findall(re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def verbs(group: Any, before: str = "") -> Iterator[str]:
    """Every command of the command line, as a user types it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{before}{name} ")
        else:
            yield before + name


@pytest.mark.parametrize("verb", list(verbs(typer.main.get_command(app))))
def test_every_command_is_documented(root, verb):
    page = (root / "docs" / "reference" / "cli.md").read_text("utf-8")
    assert any(span == verb or span.startswith(f"{verb} ") for span in spans(page))


@pytest.mark.parametrize("package", ["ledger", "provenance", "adapters"])
def test_every_public_name_is_documented(root, package):
    words = set(re.findall(r"\w+", " ".join(spans((root / "docs" / "reference" / "api.md").read_text("utf-8")))))
    assert set(importlib.import_module(package).__all__) <= words


def test_every_verb_of_the_front_desk_is_documented(root):
    words = set(spans((root / "docs" / "reference" / "api.md").read_text("utf-8")))
    assert {name for name in dir(ProvenanceLedger) if not name.startswith("_")} <= words


def test_the_reference_of_events_is_what_the_models_say(root):
    made = runpy.run_path(str(root / "docs" / "events.py"))["page"]()
    text = (root / "docs" / "reference" / "events.md").read_text("utf-8")
    assert text == made, "the models have changed: run `make docs`"
    assert {f"### `{type_}`" for type_ in MODELS} <= set(text.splitlines())


def test_every_rule_inside_an_event_is_documented(root):
    names = set(spans((root / "docs" / "reference" / "events.md").read_text("utf-8")))
    assert {f"{type_}.{name}" for type_, model in MODELS.items() for name in model.rules} <= names


def test_every_test_that_is_named_is_there(root):
    named = _TEST.findall((root / "docs" / "explanation" / "threat-model.md").read_text("utf-8"))
    assert named
    for path, name in named:
        source = (root / path).read_text("utf-8")
        assert re.search(rf"^(async def|def|class) {name}\b", source, re.MULTILINE), f"{path}::{name}"


def test_every_row_of_the_threat_model_names_a_test(root):
    text = (root / "docs" / "explanation" / "threat-model.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    # Nothing can show that a program finds out about its own replacement.
    assert [row for row in rows if not _TEST.search(row)] == [
        row for row in rows if row.startswith("| the reader's own policy and program |")
    ]


def test_every_page_is_reached_from_the_index(root):
    docs = root / "docs"
    linked = set(re.findall(r"\]\(([^)#]+\.md)", (docs / "index.md").read_text("utf-8")))
    assert linked == {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} - {"index.md"}
