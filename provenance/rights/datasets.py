"""What a collection of data under many licenses may be used for, after the Data Provenance Initiative.

Its classes of license are the data of the vocabulary `license`, for the licenses that this release knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.errors import MalformedError
from provenance.rights.licenses import facts_of, parse_license

__all__ = ["ACADEMIC", "USES", "DatasetClass", "aggregate", "class_of"]

USES = ("commercial", "unspecified", "non-commercial", "academic-only")
"""From the widest use to the strictest."""


class DatasetClass(NamedTuple):
    """What data may be used for (one of `USES`), whether it has to be credited, whether it has to be shared alike."""

    use: str
    attribution: bool
    share_alike: bool


ACADEMIC = DatasetClass("academic-only", attribution=True, share_alike=True)
"""What counts where nothing is known: the strictest."""


def class_of(license: str) -> DatasetClass:  # noqa: A002 - the field's name in events
    """The class of a license expression: the widest of its alternatives; `ACADEMIC` for what is not known. Total."""
    try:
        read = parse_license(license)
    except MalformedError:
        return ACADEMIC
    return min((aggregate(map(_class, branch)) for branch in read.branches), key=_strictness)


def aggregate(classes: Iterable[DatasetClass]) -> DatasetClass:
    """The class of all of them together, rule L7: the strictest use; credit and share-alike where any asks for it.

    Uses that are none of `USES` count as academic-only. Of nothing, it is unspecified.
    """
    found = list(classes)
    if not found:
        return DatasetClass("unspecified", attribution=False, share_alike=False)
    return DatasetClass(
        max((each.use if each.use in USES else "academic-only" for each in found), key=USES.index),
        any(each.attribution for each in found),
        any(each.share_alike for each in found),
    )


def _strictness(each: DatasetClass) -> tuple[int, bool, bool]:
    return USES.index(each.use), each.share_alike, each.attribution


def _class(key: str) -> DatasetClass:
    term = facts_of(key)
    if term is None:
        return ACADEMIC
    facts = term.facts
    return DatasetClass(str(facts["use"]), facts["attribution"] is True, facts["share_alike"] is True)
