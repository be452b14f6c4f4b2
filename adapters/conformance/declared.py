"""What an adapter declares, once: which roles it plays, and which faults can be tried on it."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

__all__ = ["FAULTS", "ROLES", "Capabilities", "Factory", "load_factory"]

ROLES = ("objects", "lists", "checkpoints", "transactions", "vault", "queue")
"""Rows of the grid, each after the capability it needs; a last row is a whole log on the storage."""

FAULTS = {
    "none": (),
    "reopened": ("reopens",),
    "two handles": ("reopens",),
    "threads": (),
    "processes": ("processes",),
    "not written": (),
    "reply lost": (),
    "killed": ("processes",),
    "disk full": ("processes", "fills"),
}
"""Columns of the grid, each with the capabilities without which it cannot be tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an adapter says of itself. A role is played only where it is declared.

    What holds of every storage that a log can rest on is declared unless it is denied: deny it only where it is in
    the nature of the storage, and tell your users.
    """

    objects: bool = False
    """`ledger.storage.Objects`."""
    lists: bool = False
    """`ledger.storage.ListsObjects`, beside `objects`."""
    checkpoints: bool = False
    """`ledger.storage.Checkpoints`."""
    transactions: bool = False
    """`ledger.storage.Database`: `objects` and `checkpoints` in one transaction."""
    vault: bool = False
    """`provenance.vault.Vault`."""
    queue: bool = False
    """`provenance.queue.Queue`."""
    origins: bool = True
    """Holds the checkpoints of more than one log."""
    reopens: bool = True
    """The factory, called again, opens the same storage."""
    processes: bool = True
    """So it does in another process."""
    fills: bool = True
    """It writes files from the process that uses it, so that a limit on their size is its full disk."""
    slow: bool = False
    """Every write is a round trip: the same checks with smaller numbers."""

    def __post_init__(self) -> None:
        if not any(getattr(self, role) for role in ROLES):
            msg = f"capabilities: no role; want one of {', '.join(ROLES)}"
            raise ValueError(msg)
        if self.transactions and not (self.objects and self.checkpoints):
            msg = "capabilities: transactions without objects and checkpoints; a Database is both"
            raise ValueError(msg)
        if self.lists and not self.objects:
            msg = "capabilities: lists without objects; there is nothing to list"
            raise ValueError(msg)
        if self.processes and not self.reopens:
            msg = "capabilities: processes without reopens; another process opens the storage again"
            raise ValueError(msg)

    def __str__(self) -> str:
        have = [field.name for field in fields(self) if getattr(self, field.name)]
        lack = [field.name for field in fields(self) if not getattr(self, field.name)]
        return f"{', '.join(have)}; not {', '.join(lack)}"

    def can(self, role: str, fault: str) -> bool:
        """Whether a cell of the grid is declared."""
        plays = self.objects or self.checkpoints if role == "log" else getattr(self, role)
        return plays and all(getattr(self, need) for need in FAULTS[fault])


class Factory(Protocol):
    """Opens a storage: a class, or a function."""

    def __call__(self, folder: Path, /) -> Any:
        """A handle on the storage that belongs to `folder`, which exists; made when it is not there yet."""


def load_factory(name: str) -> tuple[Factory, Capabilities]:
    """The factory `pkg.mod:factory`, with the current folder on the path, and what it declares.

    Raises `ValueError` that says what is wrong with the name or the declaration.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        msg = f"--store {name}: want pkg.mod:factory"
        raise ValueError(msg)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        msg = f"--store {name}: no module {error.name} here or on the path"
        raise ValueError(msg) from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        msg = f"--store {name}: {module_name} has no function or class {attribute}"
        raise ValueError(msg)  # noqa: TRY004 - what is wrong is the text that the user gave
    declared = getattr(factory, "capabilities", None) or getattr(module, "CAPABILITIES", None)
    if not isinstance(declared, Capabilities):
        msg = (
            f"--store {name}: declares nothing; want {module_name}.CAPABILITIES, or {attribute}.capabilities, "
            "= Capabilities(objects=True, …)"
        )
        raise ValueError(msg)  # noqa: TRY004 - as above
    return factory, declared
