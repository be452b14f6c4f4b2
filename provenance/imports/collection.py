"""The Data Provenance Collection (dataprovenance.org) as datasets with their licenses, parents and models.

One JSON object a line: id, name, collection, file, licenses [{name, url}], licenses_elsewhere, derived_from,
text_sources, model_generated, human_annotation. Names of parents are free text, and most of them are no id in the
collection: what is not known here is outside, and no error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson

from ledger.errors import MalformedError
from provenance.errors import EventRejected
from provenance.events import Draft
from provenance.imports.fields import external, license_of
from provenance.imports.report import Item, Report

__all__ = ["FIELDS", "read_collection"]

MAX_LINE = 1_000_000
"""Bytes of the longest line that is read."""

FIELDS: Mapping[str, str] = {
    "id": "the name of the item in this report",
    "name": "title, in the vault",
    "licenses": "license, joined by AND; names that no list has become LicenseRef-imported-…",
    "derived_from": "parents, inside where it is an id of the collection, else outside",
    "model_generated": "parents outside, generated-from",
    "collection, file, licenses.url, licenses_elsewhere, text_sources, human_annotation": (
        "not taken: under the digest in description, by which the line is found again"
    ),
}

_WANTED: tuple[tuple[str, type], ...] = (
    ("id", str),
    ("name", str),
    ("licenses", list),
    ("derived_from", list),
    ("model_generated", list),
)
_PARENTS = (("derived_from", "dataset", "other"), ("model_generated", "model", "generated-from"))

MakeDraft = Callable[..., Draft]
Known = Callable[[bytes], str | None]
"""Event id of what was imported from a line with this SHA-256 before, None when it was not."""


def read_collection(data: bytes, draft: MakeDraft, known: Known) -> tuple[list[Draft], Report]:
    """The drafts that a file gives, in an order in which parents come first, and what becomes of every line.

    `draft` is `ProvenanceLedger.draft`. A line that is none is refused, and the others go on.
    """
    report = Report(sha256(data).hexdigest(), FIELDS)
    lines = list(_lines(data, report))
    ids = {str(value["id"]) for _, value in lines}
    parents = {name for _, value in lines for name in value["derived_from"] if name in ids}
    events: dict[str, str] = {}
    drafts: list[Draft] = []
    for line, value in sorted(lines, key=lambda each: str(each[1]["id"]) not in parents):
        name = str(value["id"])
        if name in events:
            report.items.append(
                Item("dataset", name, "duplicate", (("id", "stands in this file before"),), events[name])
            )
            continue
        before = known(sha256(line).digest())
        if before is not None:
            events[name] = before
            report.items.append(Item("dataset", name, "duplicate", (("whole", "was imported before"),), before))
            continue
        body, refs, reasons = _mapped(line, value, events)
        try:
            made = draft("dataset.snapshot", body=body, refs=refs, personal={"title": str(value["name"])[:1_000]})
        except EventRejected as error:
            report.items.append(Item("dataset", name, "rejected", (("whole", str(error)),)))
            continue
        events[name] = made.id.hex()
        drafts.append(made)
        outcome = "degraded" if reasons else "accepted"
        report.items.append(Item("dataset", name, outcome, tuple(reasons), events[name]))  # type: ignore[arg-type]
    return drafts, report


def _lines(data: bytes, report: Report) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield line, _parsed(line)
        except MalformedError as error:
            report.items.append(Item("dataset", f"line {number}", "rejected", (("whole", str(error)),)))


def _parsed(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        msg = f"{len(line)} bytes, want at most {MAX_LINE}"
        raise MalformedError(msg)
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        msg = f"no JSON: {error}"
        raise MalformedError(msg) from None
    if not isinstance(value, dict):
        msg = "no JSON object"
        raise MalformedError(msg)
    for name, kind in (
        ("id", str),
        ("name", str),
        ("licenses", list),
        ("derived_from", list),
        ("model_generated", list),
    ):
        if not isinstance(value.get(name), kind):
            msg = f"{name}: want a {kind.__name__}"
            raise MalformedError(msg)
    names = [*value["derived_from"], *value["model_generated"]]
    if not all(isinstance(each, str) for each in names):
        msg = "derived_from, model_generated: want lists of names"
        raise MalformedError(msg)
    if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in value["licenses"]):
        msg = "licenses: want a list of objects with a name"
        raise MalformedError(msg)
    return value


def _mapped(
    line: bytes, value: Mapping[str, Any], events: Mapping[str, str]
) -> tuple[dict[str, Any], list[dict[str, Any]], list[tuple[str, str]]]:
    """Body and refs of the event, and what is not as it was."""
    reasons: list[tuple[str, str]] = []
    body: dict[str, Any] = {"description": sha256(line).hexdigest()}
    names = []
    for each in value["licenses"]:
        expression, why = license_of(each["name"])
        names.append(expression)
        if why:
            reasons.append(("licenses", f"{each['name']}: {why}"))
    if names:
        joined = list(dict.fromkeys(names))
        body["license"] = joined[0] if len(joined) == 1 else " AND ".join(_grouped(name) for name in joined)
    refs: dict[bytes, dict[str, Any]] = {}
    for field, scheme, relation in (
        ("derived_from", "dataset", "other"),
        ("model_generated", "model", "generated-from"),
    ):
        for name in value[field]:
            target: Any = events.get(name) if scheme == "dataset" and name != value["id"] else None
            if target is None:
                target, why = external(scheme, name)
                if target is None or why:
                    reasons.append((field, f"{name[:80]}: {why}"))
            if target is not None:
                refs.setdefault(orjson.dumps(target), {"role": "parent", "id": target, "relation": relation})
    return body, list(refs.values()), reasons


def _grouped(expression: str) -> str:
    return f"({expression})" if " " in expression else expression
