"""Croissant (mlcommons.org, versions 0.8, 1.0 and 1.1): the JSON-LD beside a dataset, as a dataset that is described.

Keys are read as these files write them, with or without a prefix; no context is resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from ledger.errors import Conflict, MalformedError
from provenance.errors import EventRejected
from provenance.imports.fields import external, licenses_of, title_of
from provenance.imports.reading import read_object
from provenance.imports.report import Item, Known, Reasons, Recorder, Report, taken

__all__ = ["FIELDS", "MAX_FILE", "read_croissant"]

MAX_FILE = 20_000_000
"""Bytes of the longest file that is read."""

FIELDS: Mapping[str, str] = {
    "@context, @type": "how the file is read",
    "name": "title, in the vault",
    "license": "license; a name that no list has becomes LicenseRef-imported-…",
    "prov:wasDerivedFrom": "parents outside, by where they are",
    "isBasedOn": "parents outside, by where they are",
    "conformsTo": "which version it is; absent in 0.8",
    "creator, author, publisher, contributor, maintainer": (
        "not taken: names of people are personal; register them as parties"
    ),
    "distribution": "not taken: digests of files under the digest in description, by which this file is found again",
}

_TAKEN = frozenset(
    {"@context", "@type", "name", "license", "wasDerivedFrom", "isBasedOn", "conformsTo", "distribution"}
)
_PERSONAL = ("creator", "author", "publisher", "contributor", "maintainer")
_TERMS = {"rai": "responsible AI", "prov": "PROV"}
_PLACES = ("atLocation", "locatedAt", "url", "@id")
_NO_LICENSE = frozenset({"", "none", "null", "unknown", "undefined", "unspecified"})
_VERSIONS = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/1.1")
_PREFIX = re.compile(r"^(?!@).*[:/#]", re.DOTALL)
_KEPT = "not taken: under the digest in description"


def read_croissant(files: Mapping[str, bytes], record: Recorder, known: Known) -> Report:
    """Record what these files (by name) describe; say what becomes of each. One that is no dataset is refused."""
    source = sha256(b"".join(sha256(data).digest() for _, data in sorted(files.items()))).hexdigest()
    report = Report("croissant", source, dict(FIELDS))
    seen: dict[bytes, str] = {}
    for name, data in sorted(files.items()):
        digest = sha256(data).digest()
        before = seen.get(digest) or known(digest)
        if before is not None:
            report.items.append(taken(name, before, [], new=False))
            continue
        try:
            value = _parsed(data)
            reasons: Reasons = []
            body = {"description": digest.hex(), **_license(value, reasons)}
            refs = _parents(value, reasons)
            seen[digest], new = record(digest, body, refs, title_of(_of(value, "name"), reasons))
        except (MalformedError, EventRejected, Conflict) as error:
            report.items.append(Item("dataset", name, "rejected", (("whole", str(error)),)))
            continue
        reasons += _not_taken(value)
        report.see((key for key in value if _plain(key) not in {*_TAKEN, *_PERSONAL}), FIELDS, _KEPT)
        report.items.append(taken(name, seen[digest], reasons, new=new))
    return report


def _parsed(data: bytes) -> dict[str, Any]:
    value = read_object(data, MAX_FILE)
    kind = value.get("@type", value.get("type"))
    if not isinstance(kind, str) or _plain(kind) != "Dataset":
        msg = f"@type {str(kind)[:80]}, want a schema.org Dataset"
        raise MalformedError(msg)
    return value


def _plain(key: str) -> str:
    """A name without its prefix or address."""
    return _PREFIX.sub("", key)


def _of(value: Mapping[str, Any], name: str) -> Any:
    """A member by its name, with whatever prefix; the plain one where there are several."""
    if name in value:
        return value[name]
    return next((found for key, found in value.items() if _plain(key) == name), None)


def _each(value: Any) -> list[Any]:
    """The values of a member, of which JSON-LD may have one or a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _license(value: Mapping[str, Any], reasons: Reasons) -> dict[str, str]:
    names = []
    for each in _each(_of(value, "license")):
        name = next(_texts(each, ("@id", "url", "name")), None)
        if name is None:
            reasons.append(("license", f"{type(each).__name__}, want text or an object with a url or name; not taken"))
        else:
            names.append(name)
    if not names:
        reasons.append(("license", "none is given"))
        return {}
    if all(name.strip().rstrip("/").rpartition("/")[2].lower() in _NO_LICENSE for name in names):
        reasons.append(("license", f"{names[0][:80]}: names none"))
        return {}
    found = licenses_of(names, reasons, "license")
    return {} if found is None else {"license": found}


def _parents(value: Mapping[str, Any], reasons: Reasons) -> list[dict[str, Any]]:
    refs: dict[str, dict[str, Any]] = {}
    for name in ("wasDerivedFrom", "isBasedOn"):
        for each in _each(_of(value, name)):
            place = next(_texts(each, _PLACES), None)
            if place is None:
                reasons.append((name, f"{type(each).__name__} that says no place; not taken"))
                continue
            target, why = external("url", place)
            if why:
                reasons.append((name, f"{place[:80]}: {why}"))
            if target is not None:
                refs.setdefault(target["id"], {"role": "parent", "id": target, "relation": "other"})
    return list(refs.values())


def _texts(value: Any, names: tuple[str, ...]) -> Iterator[str]:
    """Text as it is, or of an object those of its members that are text, the first of `names` first."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name in names:
            found = _of(value, name)
            if isinstance(found, str):
                yield found


def _not_taken(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _PERSONAL:
        if _of(value, name) is not None:
            yield name, "personal, not taken"
    for prefix, what in _TERMS.items():
        found = sorted(_plain(key) for key in value if key.startswith(f"{prefix}:") and _plain(key) not in _TAKEN)
        if found:
            yield prefix, f"{what}, only under the digest: {', '.join(each[:80] for each in found[:40])}"
    version = next(_texts(_of(value, "conformsTo"), ("@id",)), None)
    if version is None:
        yield "conformsTo", "absent, as in version 0.8"
    elif version not in _VERSIONS:
        yield "conformsTo", f"{version[:80]}: read as version 1.1"
