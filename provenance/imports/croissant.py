"""Croissant (mlcommons.org, versions 0.8, 1.0 and 1.1): the JSON-LD beside a dataset, as a dataset that is described.

Keys are read as these files write them, with or without a prefix; no context is resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import orjson

from provenance.errors import EventRejected
from provenance.events import Draft
from provenance.imports.fields import external, license_of
from provenance.imports.report import Item, Report

__all__ = ["FIELDS", "read_croissant"]

MAX_FILE = 20_000_000
"""Bytes of the longest file that is read."""

FIELDS: Mapping[str, str] = {
    "name": "title, in the vault",
    "license": "license; a name that no list has becomes LicenseRef-imported-…",
    "wasDerivedFrom": "parents outside, by their address",
    "isBasedOn": "parents outside, by their address",
    "creator, author, publisher, contributor": "not taken: names of people are personal; register them as parties",
    "distribution, recordSet, rai:*, prov:*, everything else": (
        "not taken: under the digest in description, by which the file is found again"
    ),
}

_PERSONAL = ("creator", "author", "publisher", "contributor", "maintainer")

MakeDraft = Callable[..., Draft]
Known = Callable[[bytes], str | None]


def read_croissant(files: Mapping[str, bytes], draft: MakeDraft, known: Known) -> tuple[list[Draft], Report]:
    """The drafts that these files (by name) give, and what becomes of each. One that is none is refused."""
    source = sha256(b"".join(sha256(data).digest() for _, data in sorted(files.items()))).hexdigest()
    report = Report(source, FIELDS)
    drafts: list[Draft] = []
    seen: dict[bytes, str] = {}
    for name, data in sorted(files.items()):
        digest = sha256(data).digest()
        before = seen.get(digest) or known(digest)
        if before is not None:
            report.items.append(
                Item("dataset", name, "duplicate", (("whole", "the same bytes were imported"),), before)
            )
            continue
        value = _parsed(data)
        if isinstance(value, str):
            report.items.append(Item("dataset", name, "rejected", (("whole", value),)))
            continue
        reasons: list[tuple[str, str]] = []
        body = {"description": digest.hex(), **_license(value, reasons)}
        try:
            made = draft("dataset.snapshot", body=body, refs=_parents(value, reasons), personal=_title(value))
        except EventRejected as error:
            report.items.append(Item("dataset", name, "rejected", (("whole", str(error)),)))
            continue
        reasons += [(each, "personal, not taken") for each in _PERSONAL if _of(value, each) is not None]
        rai = sorted({key.partition(":")[2] for key in value if key.startswith(("rai:", "prov:"))})
        if rai:
            reasons.append(("rai, prov", f"only under the digest: {', '.join(rai)}"))
        if _of(value, "conformsTo") is None:
            reasons.append(("conformsTo", "absent, as in version 0.8"))
        seen[digest] = made.id.hex()
        drafts.append(made)
        outcome = "degraded" if reasons else "accepted"
        report.items.append(Item("dataset", name, outcome, tuple(reasons), seen[digest]))  # type: ignore[arg-type]
    return drafts, report


def _parsed(data: bytes) -> dict[str, Any] | str:
    if len(data) > MAX_FILE:
        return f"{len(data)} bytes, want at most {MAX_FILE}"
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}"
    if not isinstance(value, dict):
        return "no JSON object"
    kind = value.get("@type", value.get("type"))
    if str(kind).rpartition(":")[2].rpartition("/")[2] != "Dataset":
        return f"@type {str(kind)[:80]}, want a schema.org Dataset"
    return value


def _of(value: Mapping[str, Any], name: str) -> Any:
    """A member by its name, with whatever prefix."""
    for key, found in value.items():
        if key == name or key.endswith((f":{name}", f"/{name}", f"#{name}")):
            return found
    return None


def _title(value: Mapping[str, Any]) -> dict[str, str | None]:
    name = _of(value, "name")
    return {"title": name[:1_000] if isinstance(name, str) else None}


def _texts(value: Any) -> Iterator[str]:
    """The addresses or names in a member: text, an object with @id, url or name, or a list of these."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value[:1_000]:
            yield from _texts(each)
    elif isinstance(value, dict):
        for key in ("@id", "url", "sc:url", "name", "sc:name"):
            if isinstance(value.get(key), str):
                yield value[key]
                return


def _license(value: Mapping[str, Any], reasons: list[tuple[str, str]]) -> dict[str, str]:
    found = []
    for name in _texts(_of(value, "license")):
        expression, why = license_of(name)
        found.append(expression)
        if why:
            reasons.append(("license", f"{name[:80]}: {why}"))
    if not found:
        reasons.append(("license", "none is given"))
        return {}
    names = list(dict.fromkeys(found))
    return {"license": names[0] if len(names) == 1 else " AND ".join(f"({name})" for name in names)}


def _parents(value: Mapping[str, Any], reasons: list[tuple[str, str]]) -> list[dict[str, Any]]:
    refs: dict[str, dict[str, Any]] = {}
    for name in ("wasDerivedFrom", "isBasedOn"):
        for text in _texts(_of(value, name)):
            target, why = external("url", text)
            if target is None or why:
                reasons.append((name, f"{text[:80]}: {why}"))
            if target is not None:
                refs.setdefault(target["id"], {"role": "parent", "id": target, "relation": "other"})
    return list(refs.values())
