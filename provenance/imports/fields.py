"""Bringing what others write into the syntax of events, or saying why not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from unicodedata import is_normalized
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from ledger.errors import MalformedError
from provenance.events.fields import ExternalId, License
from provenance.imports.report import Reasons
from provenance.item import MAX_TEXT
from provenance.rights import parse_license

__all__ = ["external", "license_of", "licenses_of", "title_of"]

_EXTERNAL: TypeAdapter[str] = TypeAdapter(ExternalId)
_LICENSE: TypeAdapter[str] = TypeAdapter(License)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})", re.ASCII)
_SAFE = "!\"#$&'()*+,-./:;<=>?[]^_`{|}~"
_WORDS = re.compile(r"[^A-Za-z0-9.]+")
_NAMED = {
    "mit license": "MIT",
    "apache license 2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "gnu general public license v3.0": "GPL-3.0-only",
    "gnu general public license v2.0": "GPL-2.0-only",
    "lgpl 2.1": "LGPL-2.1-only",
    "lgpl 3.0": "LGPL-3.0-only",
    "cc0 1.0": "CC0-1.0",
    "mpl 2.0": "MPL-2.0",
    "isc license": "ISC",
    "epl 1.0": "EPL-1.0",
    "artistic license 2.0": "Artistic-2.0",
    "academic free license v3.0": "AFL-3.0",
    "cdla permissive 1.0": "CDLA-Permissive-1.0",
    "cdla permissive 2.0": "CDLA-Permissive-2.0",
    "cdla sharing 1.0": "CDLA-Sharing-1.0",
    "odc by 1.0": "ODC-By-1.0",
    "ogl 3.0": "OGL-UK-3.0",
    "c-uda": "C-UDA-1.0",
    "odc-by": "ODC-By-1.0",
    "llama 2": "LicenseRef-scancode-llama-2-license-2023",
    "bigscience openrail-m": "LicenseRef-scancode-bigscience-open-rail-m",
}
_CC = re.compile(r"(?:cc[ -])?(by(?:-nc)?(?:-nd|-sa)?)[ -/](\d\.\d)", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@/:]@[^\s@]{1,190}\.[^\s@.]{2}")
_MOST_WORDS = 6
_SPDX_FIRST = re.compile(r"[A-Za-z0-9]")


def external(scheme: str, name: str) -> tuple[dict[str, str] | None, str]:
    """A name as the id of something outside, and a word on what was changed; None where it cannot be one.

    What its syntax does not allow is percent-encoded (RFC 3986), so that two names never become one; of a `url` the
    escapes that it has stay. What looks like an e-mail address is not taken, however it is written.
    """
    text = name.strip()
    if _EMAIL.search(unquote(text)):
        return None, "not taken: looks like an e-mail address, which is personal"
    encoded = quote(_ESCAPE.sub("%25", text), safe=_SAFE + "%") if scheme == "url" else quote(text, safe=_SAFE)
    try:
        _EXTERNAL.validate_python(encoded)
    except ValidationError as error:
        return (
            None,
            f"not taken: {error.errors(include_url=False, include_context=False, include_input=False)[0]['msg']}",
        )
    if encoded != text:
        return {"scheme": scheme, "id": encoded}, "percent-encoded"
    return {"scheme": scheme, "id": encoded}, "" if text == name else "spaces around it are left out"


def title_of(value: object, reasons: Reasons) -> str | None:
    """A title for the vault, None where there is none that it takes."""
    if not isinstance(value, str):
        if value is not None:
            reasons.append(("name", f"{type(value).__name__}, want text; not taken"))
        return None
    if len(value) > MAX_TEXT:
        reasons.append(("name", f"{len(value)} characters, want at most {MAX_TEXT}; not taken"))
        return None
    if not is_normalized("NFC", value):
        reasons.append(("name", "brought into Unicode normalization form C"))
    return value


def licenses_of(names: Iterable[str], reasons: Reasons, field: str) -> str | None:
    """Licenses that hold all at once as one SPDX expression, None where none can be said."""
    found: dict[str, None] = {}
    for name in names:
        expression, why = license_of(name)
        found[expression] = None
        if why:
            reasons.append((field, f"{name[:80]}: {why}"))
    if not found:
        return None
    each = list(found)
    joined = each[0] if len(each) == 1 else " AND ".join(f"({name})" if " " in name else name for name in each)
    try:
        return _LICENSE.validate_python(joined)
    except ValidationError as error:
        what = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        reasons.append((field, f"{len(each)} of them together, not taken: {what}"))
        return None


def license_of(name: str) -> tuple[str, str]:
    """A license by whatever name, as an SPDX expression, and "" or why it is only a name of its own (LicenseRef-…)."""
    text = name.strip()
    parts = _split(text)
    if parts is not None:
        path = parts.path.strip("/")
        if parts.hostname == "creativecommons.org":
            if path.startswith("publicdomain/zero/1.0"):
                return "CC0-1.0", ""
            path = path.removeprefix("licenses/").replace("/", "-")
        elif parts.hostname == "choosealicense.com":
            path = path.removeprefix("licenses/")
        else:
            return _own(text), "no list of licenses has it"
        text = path
    lowered = text.lower()
    if lowered in _NAMED:
        return _NAMED[lowered], ""
    found = _CC.fullmatch(lowered)
    if found:
        return f"CC-{found[1].upper()}-{found[2]}", ""
    try:
        read = parse_license(text)
    except MalformedError:
        return _own(name), "no license expression"
    if read.unknown or not _SPDX_FIRST.match(text):
        return _own(name), "no list of licenses has it"
    return read.expression, ""


def _split(text: str) -> SplitResult | None:
    """The parts of a web address, None for what is none."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and parts.hostname else None


def _own(name: str) -> str:
    """A name of its own for a license; what may be free text, or somebody's address, is only told by its digest."""
    words = _WORDS.sub("-", name).strip("-.")
    if not words or len(words) > 80 or len(re.split("[-.]", words)) > _MOST_WORDS or _EMAIL.search(unquote(name)):
        words = sha256(name.encode()).hexdigest()[:16]
    return f"LicenseRef-imported-{words}"
