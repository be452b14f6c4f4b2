"""What became of everything in a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

__all__ = ["MAX_FIELDS", "OUTCOMES", "Item", "Known", "Outcome", "Reasons", "Recorder", "Report", "taken"]

Outcome = Literal["accepted", "degraded", "duplicate", "rejected", "skipped"]
"""Taken whole · taken, and some fields not or not as they were · was here before · refused · left out by policy."""

OUTCOMES: tuple[Outcome, ...] = ("accepted", "degraded", "duplicate", "rejected", "skipped")

Reasons = list[tuple[str, str]]
"""(field, why), and (whole, why) for all of a thing."""

Known = Callable[[bytes], str | None]
"""Event id of what was imported from bytes with this SHA-256 before, None when nothing was."""

Recorder = Callable[[bytes, Mapping[str, Any], list[dict[str, Any]], str | None], tuple[str, bool]]
"""Records a dataset: SHA-256 of what it was read from, body, refs, title; its event id, and whether it is a new one."""

MAX_FIELDS = 200
"""Fields of a source that a report names one by one; a source that has more is told so."""

_UNKNOWN = "not known here, not taken"


class Item(NamedTuple):
    """One thing of a source: `name` in it, `kind` (dataset, party …), what became of it, and why, field by field."""

    kind: str
    name: str
    outcome: Outcome
    reasons: tuple[tuple[str, str], ...] = ()  # (field, why); (whole, why) for all of it
    event: str = ""  # event id, where there is one


def taken(name: str, event: str, reasons: Reasons, *, new: bool) -> Item:
    """A dataset that is recorded, by this import or by an earlier one."""
    if not new:
        return Item("dataset", name, "duplicate", (("whole", "was imported before"),), event)
    return Item("dataset", name, "degraded" if reasons else "accepted", tuple(reasons), event)


@dataclass
class Report:
    """The whole of an import. `fields` says of each field of the source where it went; nothing is dropped silently.

    `format` is what the source is, in one word, `source` the SHA-256 of its bytes in hex.
    """

    format: str
    source: str
    fields: dict[str, str]
    items: list[Item] = field(default_factory=list)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many of each kind had which outcome; each kind's sum is what the source holds of it."""
        found: dict[str, Counter[str]] = {}
        for item in self.items:
            found.setdefault(item.kind, Counter())[item.outcome] += 1
        return {kind: {name: number[name] for name in OUTCOMES if number[name]} for kind, number in found.items()}

    def rates(self) -> dict[str, float]:
        """The share of each kind that was taken whole or was here before; what was degraded counts apart."""
        return {
            kind: (number.get("accepted", 0) + number.get("duplicate", 0)) / sum(number.values())
            for kind, number in self.counts().items()
        }

    def why(self) -> dict[str, int]:
        """How often each reason was given, the most frequent first."""
        found = Counter(f"{name}: {why}" for item in self.items for name, why in item.reasons)
        return dict(found.most_common())

    def see(self, names: Iterable[str], known: Iterable[str], why: str = _UNKNOWN) -> None:
        """Note fields of the source that nobody asked for, each once."""
        for name in set(names).difference(known):
            if len(self.fields) < MAX_FIELDS:
                self.fields.setdefault(name[:80], why)
            else:
                self.fields["…"] = f"more than {MAX_FIELDS} fields: the others are {why}"

    def value(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": self.format,
            "source": self.source,
            "counts": self.counts(),
            "rates": self.rates(),
            "fields": dict(self.fields),
            "why": self.why(),
            "items": [item._asdict() for item in self.items],
        }
