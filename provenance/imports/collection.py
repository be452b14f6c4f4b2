"""The Data Provenance Collection (dataprovenance.org) as datasets with their licenses, parents and models.

One JSON object a line: id, name, collection, file, licenses [{name, url}], licenses_elsewhere, derived_from,
text_sources, model_generated, human_annotation. Names of parents are free text, and most of them are no id in the
collection: what is not known here is outside, and no error.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from ledger.errors import Conflict, MalformedError
from provenance.errors import EventRejected
from provenance.imports.fields import external, licenses_of, title_of
from provenance.imports.reading import read_object
from provenance.imports.report import Item, Known, Reasons, Recorder, Report, taken

__all__ = ["FIELDS", "MAX_LINE", "read_collection"]

MAX_LINE = 1_000_000
"""Bytes of the longest line that is read."""

FIELDS: Mapping[str, str] = {
    "id": "the name of the item in this report",
    "name": "title, in the vault",
    "licenses": "license, joined by AND; names that no list has become LicenseRef-imported-…",
    "derived_from": "parents, inside where it is an id of the file, else outside",
    "model_generated": "parents outside, generated-from: these names say no model's provider",
    "collection": "not taken: under the digest in description, by which the line is found again",
    "file": "not taken: under the digest in description",
    "licenses.url": "not taken: under the digest in description",
    "licenses_elsewhere": "not taken: under the digest in description",
    "text_sources": "not taken: under the digest in description",
    "human_annotation": "not taken: under the digest in description",
}

_WANTED: tuple[tuple[str, type], ...] = (
    ("id", str),
    ("name", str),
    ("licenses", list),
    ("derived_from", list),
    ("model_generated", list),
)
_PARENTS = (("derived_from", "dataset", "other"), ("model_generated", "model", "generated-from"))


class _Line(NamedTuple):
    number: int  # from 1
    data: bytes
    value: dict[str, Any]


def read_collection(data: bytes, record: Recorder, known: Known) -> Report:
    """Record the datasets of a file, parents before what derives from them; say what becomes of every line.

    A line that is no dataset is refused, and the others go on; every line is one item of the report, an empty one is
    skipped.
    """
    report = Report("data-provenance-collection", sha256(data).hexdigest(), dict(FIELDS))
    items: dict[int, Item] = {}
    lines: dict[str, _Line] = {}  # the first with each id
    twice: list[_Line] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            items[number] = Item("dataset", f"line {number}", "skipped", (("whole", "an empty line"),))
            continue
        try:
            read = _Line(number, line, _parsed(line))
        except MalformedError as error:
            items[number] = Item("dataset", f"line {number}", "rejected", (("whole", str(error)),))
            continue
        report.see(read.value, FIELDS)
        if lines.setdefault(read.value["id"], read) is not read:
            twice.append(read)
    events: dict[str, str] = {}
    for name in _ordered(lines):
        first = lines[name]
        digest = sha256(first.data).digest()
        before = known(digest)
        if before is not None:
            events[name] = before
            items[first.number] = taken(name, before, [], new=False)
            continue
        reasons: Reasons = []
        body, refs = _mapped(first, lines, events, reasons)
        title = title_of(first.value["name"], reasons)
        try:
            events[name], new = record(digest, body, refs, title)
        except (EventRejected, Conflict) as error:
            items[first.number] = Item("dataset", name, "rejected", (("whole", str(error)),))
            continue
        items[first.number] = taken(name, events[name], reasons, new=new)
    for again in twice:
        items[again.number] = _again(again, lines[again.value["id"]], events)
    report.items += [items[number] for number in sorted(items)]
    return report


def _parsed(line: bytes) -> dict[str, Any]:
    value = read_object(line, MAX_LINE)
    for name, kind in _WANTED:
        if not isinstance(value.get(name), kind):
            msg = f"{name}: want a {kind.__name__}"
            raise MalformedError(msg)
    if not all(isinstance(each, str) for each in [*value["derived_from"], *value["model_generated"]]):
        msg = "derived_from, model_generated: want lists of names"
        raise MalformedError(msg)
    if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in value["licenses"]):
        msg = "licenses: want a list of objects with a name"
        raise MalformedError(msg)
    return value


def _ordered(lines: Mapping[str, _Line]) -> list[str]:
    """Ids, parents first as far as that goes: those in a circle come last, in the order of the file."""
    waiting: dict[str, int] = {}
    children: dict[str, list[str]] = defaultdict(list)
    for name, line in lines.items():
        parents = {each for each in line.value["derived_from"] if each in lines and each != name}
        waiting[name] = len(parents)
        for parent in parents:
            children[parent].append(name)
    ready = deque(name for name in lines if not waiting[name])
    ordered: dict[str, None] = {}
    while ready:
        name = ready.popleft()
        ordered[name] = None
        for child in children[name]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    return [*ordered, *(name for name in lines if name not in ordered)]


def _mapped(
    line: _Line, lines: Mapping[str, _Line], events: Mapping[str, str], reasons: Reasons
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Body and refs of the event; what is not as it was goes to `reasons`."""
    value = line.value
    body: dict[str, Any] = {"description": sha256(line.data).hexdigest()}
    license_ = licenses_of((each["name"] for each in value["licenses"]), reasons, "licenses")
    if license_ is None and not value["licenses"]:
        reasons.append(("licenses", "none is given"))
    if license_ is not None:
        body["license"] = license_
    refs: dict[bytes, dict[str, Any]] = {}
    for field, scheme, relation in _PARENTS:
        for name in value[field]:
            target: Any = events.get(name) if scheme == "dataset" and name != value["id"] else None
            if target is None:
                if scheme == "dataset" and name in lines:
                    reasons.append((field, f"{name[:80]}: not recorded before it, so it is named as outside"))
                target, why = external(scheme, name)
                if why:
                    reasons.append((field, f"{name[:80]}: {why}"))
            if target is not None:
                refs.setdefault(orjson.dumps(target), {"role": "parent", "id": target, "relation": relation})
    return body, list(refs.values())


def _again(line: _Line, first: _Line, events: Mapping[str, str]) -> Item:
    """A line whose id another line had before it."""
    name = line.value["id"]
    if name not in events:
        return Item("dataset", name, "rejected", (("id", f"stands in line {first.number} before, which is refused"),))
    names = sorted({*line.value, *first.value})
    other = [each for each in names if line.value.get(each) != first.value.get(each)]
    differs = f"; not taken of this one: {', '.join(each[:80] for each in other[:20])}" if other else ""
    why = f"stands in line {first.number} before{differs}"
    return Item("dataset", name, "duplicate", (("id", why),), events[name])
