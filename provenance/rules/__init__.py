"""What must hold between an event and the earlier ones before it is accepted.

What holds inside one event is checked where it is built (`provenance.events`). Every failing rule is returned, each
with its id: none hides another. A fact is recorded without anybody's permission; a permission is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from provenance.before import Act, Before
from provenance.errors import Reason
from provenance.rules import claims, consent, derivation, grants, parties, privacy, shares, vocabularies, works
from provenance.rules.grants import barriers, in_force
from provenance.rules.refs import PARTIES, ROLES, WORKS, check_refs, same_chain, targets

__all__ = [
    "PARTIES",
    "ROLES",
    "RULES",
    "WORKS",
    "Act",
    "Before",
    "barriers",
    "check_acts",
    "check_refs",
    "in_force",
    "rules_of",
    "targets",
]

Rule = Callable[[Act, Before], Iterator[Reason]]
"""Yields what is wrong with an act, given everything before it."""


def _merged(*families: Mapping[str, Sequence[Rule]]) -> Mapping[str, tuple[Rule, ...]]:
    found: dict[str, tuple[Rule, ...]] = {}
    for family in families:
        for type_, rules in family.items():
            found[type_] = (*found.get(type_, ()), *rules)
    return MappingProxyType(found)


RULES: Mapping[str, tuple[Rule, ...]] = _merged(
    works.RULES,
    grants.RULES,
    derivation.RULES,
    parties.RULES,
    privacy.RULES,
    shares.RULES,
    claims.RULES,
    consent.RULES,
    vocabularies.RULES,
)
"""The rules of each type of event that looks into earlier ones."""


def check_acts(acts: Sequence[Act], before: Before) -> Iterator[Reason]:
    """Apply the rules of each act's type. Those that precede it in `acts` count as earlier; `before` knows them."""
    for act in acts:
        for rule in rules_of(act.type):
            yield from rule(act, before)


def rules_of(type_: str) -> tuple[Rule, ...]:
    """Every rule that looks into earlier events for one of this type, those that all types have first."""
    return (parties.speaks, same_chain, *RULES.get(type_, ()))
