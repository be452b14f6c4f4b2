"""Terms that programs weigh: Story's Programmable IP License, and use restrictions of the RAIL family.

Sources: LicenseRegistry, PILicenseTemplate and the table of combinations in Story's protocol-core-v1; the preambles of
the OpenRAIL licenses, by which derived models may be licensed otherwise but keep the restrictions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provenance.rights.findings import Finding, Verdict
from provenance.rights.licenses import facts_of

__all__ = [
    "MAX_ANCESTORS",
    "MAX_PARENTS",
    "Child",
    "Parent",
    "check_refusals",
    "check_restrictions",
    "check_terms",
    "combine_lists",
    "expiry",
    "has_expired",
]

MAX_PARENTS = 16
"""Most parents of one work under machine terms (Story)."""

MAX_ANCESTORS = 1_024
"""Most ancestors of one work under machine terms (Story)."""

Machine = Mapping[str, Any]
"""`body.machine` of `terms.publish`."""


@dataclass(frozen=True, slots=True)
class Parent:
    """A work that something was made from, as far as rights go. What is not known is None."""

    id: str
    license: str | None = None
    """License expression of the terms it is under."""
    terms: str | None = None
    """Id of these terms."""
    machine: Machine | None = None
    derived: bool | None = None
    """Whether it is made from others itself."""
    grant: str | None = None
    """State of the grant that is named for it: valid, expired, revoked, consumed, foreign (somebody else's) or unknown;
    None where none is named."""
    approved: bool | None = None
    disputed: bool = False
    """A dispute about it, or about a work it rests on, was upheld."""
    expires: int = 0
    """When its rights end, in seconds since 1970; 0 is never."""
    exception: str | None = None
    """The statutory exception that is claimed instead of any terms."""
    own: bool = False
    """It belongs to those who made the child, and to nobody else: nobody needs a license of their own."""


@dataclass(frozen=True, slots=True)
class Child:
    """What was made, and the terms that it is to be under."""

    license: str | None = None
    terms: str | None = None
    machine: Machine | None = None
    ancestors: int = 0
    """How many works it rests on, over all generations."""


def check_terms(child: Child, parents: Sequence[Parent], *, now: int) -> Iterator[Finding]:
    """Every rule L5 that fails for parents with machine terms. `now` is log time in seconds since 1970."""
    if not parents:
        return
    for parent in parents:
        yield from _alone(parent, now)
    if len(parents) > MAX_PARENTS:
        yield Finding("L5.parents", "forbidden", f"{len(parents)} parents, want at most {MAX_PARENTS}")
    if child.ancestors > MAX_ANCESTORS:
        yield Finding("L5.ancestors", "forbidden", f"{child.ancestors} ancestors, want at most {MAX_ANCESTORS}")
    yield from _together(child, parents)


def check_refusals(parent: Parent, *, now: int) -> Iterator[Finding]:
    """The rules L5 that hold beside any license: derived works are refused, want approval, or the rights are over."""

    def fails(rule: str, verdict: Verdict, text: str) -> Finding:
        return Finding(f"L5.{rule}", verdict, text, parent.id)

    if _get(parent.machine, "derivatives", "allowed") is False:
        yield fails("derivatives", "forbidden", "its terms allow no derived works")
    if _get(parent.machine, "derivatives", "approval") is True and parent.approved is not True:
        text = "its owners refused" if parent.approved is False else "its owners have not answered"
        yield fails("approval", "unknown" if parent.approved is None else "forbidden", text)
    if has_expired(parent.expires, now=now):
        yield fails("expired", "forbidden", "its rights have expired")


def check_restrictions(child: Child, parents: Sequence[Parent]) -> Iterator[Finding]:
    """Rule L6: what restricts the use of a parent restricts that of the child, under whatever license it is."""
    kept = set(_get(child.machine, "use_restrictions") or ())
    for parent in parents:
        asked = _get(parent.machine, "use_restrictions")
        if asked is None:
            if _restricts(parent.license) and child.license != parent.license:
                text = f"{parent.license} restricts the use, and which restrictions these are is not said"
                yield Finding("L6.restrictions", "unknown", text, parent.id)
            continue
        lost = sorted(set(asked) - kept)
        if lost:
            text = f"the child drops restrictions of its parent: {', '.join(lost[:20])}"
            yield Finding("L6.restrictions", "forbidden", text, parent.id)


def combine_lists(lists: Iterable[Iterable[str]]) -> tuple[str, ...] | None:
    """Territories or channels of several terms together: those of all who name any. None where these differ.

    An empty list restricts nothing.
    """
    named = {tuple(sorted(set(each))) for each in lists} - {()}
    if len(named) > 1:
        return None
    return named.pop() if named else ()


def expiry(parents: Iterable[int], *, now: int, expiration: int) -> int:
    """When the rights in a child end: with the first of its parents', or `expiration` seconds from now.

    In seconds since 1970; 0 is never, in and out.
    """
    ends = [end for end in (*parents, now + expiration if expiration else 0) if end]
    return min(ends, default=0)


def has_expired(end: int, *, now: int) -> bool:
    """Whether rights that last until `end` are over; 0 is never."""
    return 0 < end < now


def _get(machine: Machine | None, *steps: str) -> Any:
    value: Any = machine
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _restricts(license_: str | None) -> bool:
    term = None if license_ is None else facts_of(license_)
    return term is not None and term.facts.get("restrictions") is True


def _alone(parent: Parent, now: int) -> Iterator[Finding]:
    def fails(rule: str, verdict: Verdict, text: str) -> Finding:
        return Finding(f"L5.{rule}", verdict, text, parent.id)

    yield from check_refusals(parent, now=now)
    if _get(parent.machine, "derivatives", "allowed") is None:
        yield fails("derivatives", "unknown", "its terms do not speak of derived works")
    if parent.derived is not False and _get(parent.machine, "derivatives", "reciprocal") is not True:
        if parent.derived:
            yield fails("chain", "forbidden", "it is derived itself, and its terms are not reciprocal")
        else:
            yield fails("chain", "unknown", "not known whether it is derived itself, and its terms are not reciprocal")


def _together(child: Child, parents: Sequence[Parent]) -> Iterator[Finding]:
    first = parents[0]
    for rule, steps in (
        ("commercial", ("commercial",)),
        ("reciprocal", ("derivatives", "reciprocal")),
        ("royalty", ("royalty", "policy")),
    ):
        for parent in parents[1:]:
            one, other = _get(first.machine, *steps), _get(parent.machine, *steps)
            if one != other:
                text = f"{'.'.join(steps)} is {_said(other)}, but {_said(one)} for {first.id}"
                verdict: Verdict = "unknown" if None in {one, other} and rule != "royalty" else "forbidden"
                yield Finding(f"L5.{rule}", verdict, text, parent.id)
            elif one is None and rule != "royalty":
                yield Finding(f"L5.{rule}", "unknown", f"{'.'.join(steps)} is not said by either", parent.id)
    for parent in parents:
        if _get(parent.machine, "derivatives", "reciprocal") is True:
            yield from _same_terms(child, parent, parents)
    for name in ("territory", "channels"):
        if combine_lists(_get(parent.machine, name) or () for parent in parents) is None:
            yield Finding(f"L5.{name}", "forbidden", f"the parents name different {name}, which cannot all hold")


def _same_terms(child: Child, parent: Parent, parents: Sequence[Parent]) -> Iterator[Finding]:
    for other in (*(each.terms for each in parents if each is not parent), child.terms):
        if parent.terms is None or other is None:
            text = "its terms are reciprocal, and not all terms are known"
            yield Finding("L5.terms", "unknown", text, parent.id)
            return
        if other != parent.terms:
            text = f"its terms are reciprocal: want {parent.terms} for all, not {other}"
            yield Finding("L5.terms", "forbidden", text, parent.id)
            return


def _said(value: Any) -> str:
    return "not said" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
