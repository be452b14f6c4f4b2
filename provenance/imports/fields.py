"""Bringing what others write into the syntax of events, or saying why not."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter, ValidationError

from ledger.errors import MalformedError
from provenance.events.fields import ExternalId
from provenance.rights import parse_license

__all__ = ["external", "license_of"]

_EXTERNAL: TypeAdapter[str] = TypeAdapter(ExternalId)
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
    "cdla sharing 1.0": "CDLA-Sharing-1.0",
    "odc by 1.0": "ODC-By-1.0",
    "ogl 3.0": "OGL-UK-3.0",
    "c-uda": "C-UDA-1.0",
    "odc-by": "ODC-By-1.0",
}
_CC = re.compile(r"(?:cc[ -])?(by(?:-nc)?(?:-nd|-sa)?)[ -/](\d\.\d)", re.IGNORECASE)
_SPDX_FIRST = re.compile(r"[A-Za-z0-9]")


def external(scheme: str, name: str) -> tuple[dict[str, str] | None, str]:
    """A name as the id of something outside, and a word on what was changed; None where it cannot be one.

    What its syntax does not allow is percent-encoded (RFC 3986).
    """
    encoded = quote(name.strip(), safe=_SAFE + "%" if "%" in name else _SAFE)
    try:
        _EXTERNAL.validate_python(encoded)
    except ValidationError as error:
        return None, error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
    return {"scheme": scheme, "id": encoded}, "" if encoded == name else "percent-encoded"


def license_of(name: str) -> tuple[str, str]:
    """A license by whatever name, as an SPDX expression, and "" or why it is only a name of its own (LicenseRef-…)."""
    text = name.strip()
    lowered = text.lower()
    if lowered in _NAMED:
        return _NAMED[lowered], ""
    parts = urlsplit(text)
    if parts.scheme in {"http", "https"}:
        path = parts.path.strip("/")
        if parts.hostname == "creativecommons.org":
            if path.startswith("publicdomain/zero/1.0"):
                return "CC0-1.0", ""
            path = path.removeprefix("licenses/").replace("/", "-")
        elif parts.hostname == "choosealicense.com":
            path = path.removeprefix("licenses/")
        else:
            return _own(text), "no list of licenses has it"
        text, lowered = path, path.lower()
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


def _own(name: str) -> str:
    words = _WORDS.sub("-", name).strip("-.")[:80]
    return f"LicenseRef-imported-{words or 'unnamed'}"
