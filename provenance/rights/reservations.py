"""What holders keep from programs, as it is written in AIPREF, CAWG and TDMRep, in the words of `ai-use`.

Sources: draft-ietf-aipref-vocab (versions 01 to 08), CAWG training and data mining assertion 1.1, the W3C TDM
Reservation Protocol. The mappings are tables of `provenance.vocabularies`; keep the raw bytes, for they lose something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import http_sf

from provenance.vocabularies import BUILT_IN, Table, Vocabularies

__all__ = [
    "MAX_FIELD",
    "Said",
    "combine",
    "matches",
    "parse_aipref",
    "parse_cawg",
    "parse_tdmrep",
    "to_uses",
    "with_grant",
]

Said = Literal["allow", "disallow", "constrained", "unknown"]
"""What is said of one use. Unknown is not allowed."""

MAX_FIELD = 8_192
"""Most bytes of a `Content-Usage` field that are read; longer ones say nothing."""


def combine(statements: Iterable[str]) -> Said:
    """Several statements about one use, rule L8: any disallow, else any `constrained`, else any allow, else unknown."""
    said = set(statements)
    for word in _STRICTEST:
        if word in said:
            return word
    return "unknown"


def with_grant(said: Said, *, granted: bool) -> Said:
    """What holds for who has a grant that covers the use, or has none: a grant overrides a reservation.

    Without one, `constrained` is `disallow`.
    """
    if granted:
        return "allow"
    return "disallow" if said == "constrained" else said


def parse_aipref(field: str, *, version: str = "08", vocabularies: Vocabularies = BUILT_IN) -> dict[str, Said]:
    """Read a `Content-Usage` field (a dictionary of RFC 9651) by a version of the vocabulary: every label of it.

    A label that is not `y` or `n` is unknown; where the field does not parse, all are. In versions that say so, a label
    without a statement takes that of the label it lies inside. Raises `KeyError` for a version that no table has.
    """
    table = _table(vocabularies, "aipref", version)
    own = {
        label: _AIPREF[word] for label, word in _dictionary(field).items() if label in table.terms and word in _AIPREF
    }
    return {label: _inherited(table, label, own) for label in table.terms}


def parse_cawg(assertion: Any, *, version: str = "1.1", vocabularies: Vocabularies = BUILT_IN) -> dict[str, Said]:
    """Read a CAWG training and data mining assertion, decoded: every entry of it, and those it leaves out as unknown.

    Names that begin with `cawg.` and stand in no table are ignored, as reserved; a `use` that is none of the three
    choices is unknown, and so is everything of an assertion without `entries`. Raises `KeyError` as `parse_aipref`.
    """
    table = _table(vocabularies, "cawg", version)
    found: dict[str, Said] = dict.fromkeys(table.terms, "unknown")
    entries = assertion.get("entries") if isinstance(assertion, Mapping) else None
    for name, entry in entries.items() if isinstance(entries, Mapping) else ():
        if isinstance(name, str) and (name in table.terms or not name.startswith("cawg.")):
            use = entry.get("use") if isinstance(entry, Mapping) else None
            found[name] = _CAWG.get(use, "unknown") if isinstance(use, str) else "unknown"
    return found


def parse_tdmrep(value: Any, *, version: str = "1", vocabularies: Vocabularies = BUILT_IN) -> dict[str, Said]:
    """Read a value of `tdm-reservation`, from a file (integer) or a header (text): what it says of each use it maps to.

    1 is reserved, 0 is not; any other value is unset, and says nothing. Raises `KeyError` as `parse_aipref`.
    """
    table = _table(vocabularies, "tdmrep", version)
    term = table.terms.get(str(value)) if type(value) in {int, str} else None
    says = None if term is None else term.facts.get("says")
    if term is None or says not in {"allow", "disallow"}:
        return {}
    said: Said = "allow" if says == "allow" else "disallow"
    return dict.fromkeys(term.maps, said)


def to_uses(table: Table, statements: Mapping[str, str]) -> dict[str, Said]:
    """Statements in the labels of a table, in the words of `ai-use`: every use that a label of the table maps to.

    Where several labels map to one use, it is allowed when all are; otherwise the strictest that is said decides.
    """
    labels: dict[str, list[str]] = {}
    for term in table.terms.values():
        for use in term.maps:
            labels.setdefault(use, []).append(statements.get(term.word, "unknown"))
    return {use: _joint(said) for use, said in labels.items()}


def matches(location: str, path: str) -> bool:
    """Whether a location of TDMRep, RSL or robots.txt is about a path (RFC 9309 §2.2.3): `*` is anything, `$` the end.

    The case counts; whether printable ASCII is percent-encoded does not. Takes time in proportion to both lengths.
    """
    ends = location.endswith("$")
    first, *parts = map(_spelled, (location[:-1] if ends else location).split("*"))
    path = _spelled(path)
    if not path.startswith(first):
        return False
    if not parts:
        return not ends or path == first
    at = len(first)
    # The first place where each part stands leaves the most room for those after it.
    for part in parts[:-1] if ends else parts:
        at = path.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return not ends or (path.endswith(parts[-1]) and len(path) - len(parts[-1]) >= at)


_STRICTEST: tuple[Said, ...] = ("disallow", "constrained", "allow")
_AIPREF: Mapping[str, Said] = {"y": "allow", "n": "disallow"}
_CAWG: Mapping[str, Said] = {"allowed": "allow", "notAllowed": "disallow", "constrained": "constrained"}


def _spelled(path: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = int(found[1], 16)
        return chr(code) if 0x21 <= code <= 0x7E else found[0].upper()

    return re.sub(r"%([0-9A-Fa-f]{2})", plain, path)


def _table(vocabularies: Vocabularies, vocabulary: str, version: str) -> Table:
    table = vocabularies.table(vocabulary, version)
    if table is None:
        msg = f"{vocabulary} {version}"
        raise KeyError(msg)
    return table


def _dictionary(field: str) -> dict[str, str]:
    """Members of the dictionary whose value is a token; empty when it does not parse."""
    data = field.encode("utf-8", "replace")
    if len(data) > MAX_FIELD or not data.strip():
        return {}
    try:
        read: Any = http_sf.parse(data, tltype="dictionary")
    except ValueError:
        return {}
    members = {label: member[0] for label, member in read.items() if isinstance(member, tuple)}
    return {label: str(value) for label, value in members.items() if isinstance(value, http_sf.Token)}


def _inherited(table: Table, label: str, own: Mapping[str, Said]) -> Said:
    seen: set[str] = set()
    while label in table.terms and label not in seen:
        if label in own:
            return own[label]
        seen.add(label)
        label = str(table.terms[label].facts.get("inside", ""))
    return "unknown"


def _joint(said: Sequence[str]) -> Said:
    return "allow" if set(said) == {"allow"} else combine(word for word in said if word != "allow")
