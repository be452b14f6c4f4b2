"""The result as a grid: capability x fault."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from adapters.conformance.declared import FAULTS, ROLES, Capabilities
from adapters.conformance.place import CHECKS, Check

__all__ = ["LEGEND", "command", "declared_checks", "draw"]

LEGEND = "ok, or FAIL and how many of how many · - not declared · ? declared and not run · empty: nothing to try"


def declared_checks(capabilities: Capabilities) -> list[Check]:
    """The checks of all cells that are declared."""
    return [check for check in CHECKS if capabilities.can(check.role, check.fault)]


def draw(capabilities: Capabilities, outcomes: Mapping[str, bool]) -> list[str]:
    """Lines of the grid; `outcomes` says of each check that ran, by name, whether it passed."""
    head = ["", *FAULTS]
    rows = [[role, *(_cell(capabilities, outcomes, role, fault) for fault in FAULTS)] for role in (*ROLES, "log")]
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    lines = (zip(row, widths, strict=True) for row in [head, *rows])
    return ["  ".join(text.ljust(width) for text, width in line).rstrip() for line in lines]


def command(store: str, seed: int, check: str) -> str:
    """What replays one check."""
    words = ["python", "-m", "pytest", "-p", "adapters.conformance", "--pyargs", "adapters.conformance"]
    return shlex.join([*words, "--store", store, "--conformance-seed", str(seed), "-k", check])


def _cell(capabilities: Capabilities, outcomes: Mapping[str, bool], role: str, fault: str) -> str:
    checks: Sequence[str] = [check.name for check in CHECKS if (check.role, check.fault) == (role, fault)]
    if not checks:
        return ""
    if not capabilities.can(role, fault):
        return "-"
    failed = [name for name in checks if outcomes.get(name) is False]
    if failed:
        return f"FAIL {len(failed)}/{len(checks)}"
    return "ok" if all(name in outcomes for name in checks) else "?"
