"""Whether a work may be derived from others, by the terms of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provenance.rights.creative_commons import adapt, is_creative_commons, remix
from provenance.rights.findings import Finding, Verdict
from provenance.rights.machine_terms import Child, Parent, check_refusals, check_restrictions, check_terms

__all__ = ["check_derivation"]


def check_derivation(child: Child, parents: Sequence[Parent], *, now: int) -> list[Finding]:
    """Every rule about terms that does not come to plain ok, for all parents; empty where nothing is to be said.

    `forbidden` and `unknown` fail (`Finding.fails`); `ok_with_notice` is what the child has to say or do. Rules L1 and
    L2 judge licenses, L5 machine terms where the license is none of Creative Commons, L6 restrictions of use. `now` is
    log time in seconds since 1970. Total: raises nothing, and a parent of which nothing is known is unknown.
    """
    return [finding for finding in _findings(child, parents, now) if finding.verdict != "ok"]


def _findings(child: Child, parents: Sequence[Parent], now: int) -> Iterator[Finding]:
    licensed: list[Parent] = []
    weighed: list[Parent] = []
    for parent in parents:
        yield from _standing(parent)
        if parent.own:
            continue
        if parent.exception is not None:
            text = f"the exception {parent.exception} is claimed, which is no permission"
            yield Finding("L0.exception", "unknown", text, parent.id)
        elif parent.license is not None and (parent.machine is None or is_creative_commons(parent.license)):
            licensed.append(parent)
            yield from check_refusals(parent, now=now)
        elif parent.machine is not None:
            weighed.append(parent)
        else:
            yield Finding("L0.terms", "unknown", "no terms of it are known", parent.id)
    for parent in licensed:
        if child.license is None:
            yield Finding("L0.license", "unknown", "the child has no license to be judged", parent.id)
        else:
            yield adapt(parent.license or "", child.license)._replace(parent=parent.id)
    if len(licensed) > 1 and all(is_creative_commons(parent.license or "") for parent in licensed):
        yield remix([parent.license or "" for parent in licensed])
    if weighed:
        yield from check_terms(child, weighed, now=now)
    yield from check_restrictions(child, [parent for parent in parents if parent.exception is None and not parent.own])


def _standing(parent: Parent) -> Iterator[Finding]:
    if parent.grant not in {None, "valid"}:
        verdict: Verdict = "forbidden" if parent.grant in {"expired", "revoked", "consumed", "foreign"} else "unknown"
        text = f"the grant that is named for it is {parent.grant}"
        yield Finding("L0.grant", verdict, text, parent.id)
    if parent.disputed:
        yield Finding("L0.disputed", "forbidden", "a dispute about it was upheld", parent.id)
