"""Which licenses of Creative Commons go together, and what they ask of those who use works for AI.

Sources: the adapter's table, the remix chart, the collection table in the FAQ of Creative Commons, its flowchart "AI
and CC licenses" version 5, and creativecommons.org/compatiblelicenses. The rules reproduce every cell of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger.errors import MalformedError
from provenance.rights.findings import Finding, Verdict, best, worst
from provenance.rights.licenses import License, facts_of, parse_license

__all__ = ["adapt", "collect", "is_creative_commons", "remix", "use_for_ai"]

_ADAPTERS = (
    "CC0-1.0",
    "CC-BY-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-NC-ND-4.0",
)


def is_creative_commons(license: str) -> bool:  # noqa: A002 - the field's name in events
    """Whether the rules here can judge a license: each branch is made of licenses and dedications of CC alone."""
    read = _read(license)
    return read is not None and all(_elements(key) is not None for branch in read.branches for key in branch)


def adapt(original: str, adapter: str) -> Finding:
    """Whether who adapts a work under `original` may license the own contribution under `adapter`: rule L1.

    Any branch of `original` is enough, since whoever uses it chooses; every branch that `adapter` offers has to hold.
    """
    there, here = _read(original), _read(adapter)
    if there is None or here is None:
        return _unknown("L1.unknown", original if there is None else adapter)
    return best(
        worst(worst(_adapt(o, a) for a in offer for o in branch) for offer in here.branches)
        for branch in there.branches
    )


def remix(originals: Iterable[str]) -> Finding:
    """Whether works under all these licenses may be remixed into one: rule L2.

    They may where some license of Creative Commons is allowed without reserve for each of them.
    """
    there = list(originals)
    for original in there:
        if not is_creative_commons(original):
            return _unknown("L2.unknown", original)
    for adapter in _ADAPTERS:
        if all(adapt(original, adapter).verdict == "ok" for original in there):
            return Finding("L2.remix", "ok", f"a remix of all of them may be licensed under {adapter}")
    return Finding("L2.remix", "forbidden", f"no license is allowed for a remix of {', '.join(there)}")


def collect(original: str, *, commercial: bool) -> Finding:
    """Whether a work may be part of a collection that is sold or otherwise commercial: rule L3."""

    def judge(key: str, elements: frozenset[str]) -> Finding:
        if "NC" in elements and commercial:
            return Finding("L3.noncommercial", "forbidden", f"{key} stays out of commercial collections")
        return Finding("L3.collection", "ok", f"{key} may be part of a collection")

    return _each("L3.unknown", original, judge)


def use_for_ai(
    original: str,
    *,
    exception: bool | None = None,
    shared: bool | None = None,
    adaptation: bool | None = None,
    commercial: bool | None = None,
) -> Finding:
    """What a license asks where a work is used for AI: rule L4.

    `exception` says that no permission is needed (so that the license is not triggered), `shared` that the output is
    shared with others, `adaptation` that it adapts the work, `commercial` that the purpose is. None is not known; where
    the answer rests on it, that is unknown.
    """

    def judge(key: str, elements: frozenset[str]) -> Finding:
        def said(rule: str, verdict: Verdict, text: str) -> Finding:
            return Finding(f"L4.{rule}", verdict, f"{key}: {text}")

        if exception is None:
            return said("exception", "unknown", "not said whether an exception applies")
        if exception:
            return said("exception", "ok", "no permission is needed, and the license is not triggered")
        if not elements:
            return said("public-domain", "ok", "nothing is reserved")
        if "NC" in elements and commercial is not False:
            if commercial:
                return said("noncommercial", "forbidden", "for non-commercial purposes only")
            return said("noncommercial", "unknown", "not said whether the purpose is commercial")
        if shared is None:
            return said("shared", "unknown", "not said whether the output is shared")
        if not shared:
            return said("processing", "ok", "what is not shared triggers neither attribution nor ShareAlike")
        if adaptation is None:
            return said("adaptation", "unknown", "not said whether the output adapts the work")
        if adaptation and "ND" in elements:
            return said("no-derivatives", "forbidden", "adaptations may not be shared")
        alike = " and to be shared alike" if adaptation and "SA" in elements else ""
        return said("attribution", "ok_with_notice", f"the work has to be credited{alike}")

    return _each("L4.unknown", original, judge)


def _read(expression: str) -> License | None:
    try:
        return parse_license(expression)
    except MalformedError:
        return None


def _unknown(rule: str, license_: str) -> Finding:
    return Finding(rule, "unknown", f"{license_[:80]} is no license that this rule knows")


def _each(rule: str, expression: str, judge: Callable[[str, frozenset[str]], Finding]) -> Finding:
    """Judge an original: any branch is enough, all licenses of a branch hold at once."""
    read = _read(expression)
    if read is None:
        return _unknown(rule, expression)

    def one(key: str) -> Finding:
        elements = _elements(key)
        return _unknown(rule, key) if elements is None else judge(key, elements)

    return best(worst(one(key) for key in sorted(branch)) for branch in read.branches)


def _elements(key: str) -> frozenset[str] | None:
    term = facts_of(key)
    elements = None if term is None else term.facts.get("elements")
    return frozenset(elements) if isinstance(elements, tuple) else None


def _fact(key: str, name: str) -> str:
    term = facts_of(key)
    return "" if term is None else str(term.facts.get(name, ""))


def _adapt(original: str, adapter: str) -> Finding:
    there, here = _elements(original), _elements(adapter)
    if there is None:
        return _other(original, adapter)
    if "ND" in there:
        return Finding("L1.no-derivatives", "forbidden", f"{original} allows no adaptation to be shared")
    if "SA" in there:
        return _alike(original, adapter, same=here == there)
    if not there:
        return Finding("L1.public-domain", "ok", f"{original} reserves nothing")
    if here is None:
        return _unknown("L1.unknown", adapter)
    if there <= here:
        return Finding("L1.adapter", "ok", f"{adapter} keeps what {original} asks for")
    text = f"{adapter} asks for less than {original}: say which part is under which license"
    return Finding("L1.less", "ok_with_notice", text)


def _alike(original: str, adapter: str, *, same: bool) -> Finding:
    """ShareAlike: the same license or a later version of it; of 1.0 only itself."""
    term = facts_of(original)
    if adapter == original:
        return Finding("L1.sharealike", "ok", f"{adapter} is the same license")
    alike = None if term is None else term.facts.get("alike")
    if isinstance(alike, tuple) and adapter in alike:
        return Finding("L1.sharealike", "ok", f"{adapter} is listed as compatible with {original}")
    if not same:
        return Finding("L1.sharealike", "forbidden", f"{original} has to be shared alike, which {adapter} is not")
    was, now = _release(original), _release(adapter)
    if was == (1, 0) or now < was:
        text = f"{original} has to be shared alike, and {adapter} is no later version of it"
        return Finding("L1.sharealike", "forbidden", text)
    if now == was:
        return Finding("L1.sharealike", "unknown", f"{adapter} is another jurisdiction's version of {original}")
    return Finding("L1.sharealike", "ok", f"{adapter} is a later version of {original}")


def _release(key: str) -> tuple[int, ...]:
    return tuple(map(int, _fact(key, "release").split(".")))


def _other(original: str, adapter: str) -> Finding:
    """Licenses that are not of CC: only the same one, or a permissive one with its notices, is known to go on."""
    term = facts_of(original)
    if term is None:
        return _unknown("L1.unknown", original)
    if adapter == original:
        return Finding("L1.same", "ok_with_notice", f"{original} goes on, with its notices")
    if term.facts.get("permissive") is True and facts_of(adapter) is not None:
        return Finding("L1.permissive", "ok_with_notice", f"the notices of {original} are kept")
    return Finding("L1.unknown", "unknown", f"nothing here says that what is under {original} may be under {adapter}")
