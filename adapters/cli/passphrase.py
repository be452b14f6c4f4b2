"""Where the command line has a passphrase from: the environment, else whoever sits at the terminal."""

from __future__ import annotations

import sys

import typer

from adapters.keys import VARIABLE, environment_passphrase
from ledger.errors import StorageError

__all__ = ["new_passphrase", "passphrase"]


def passphrase() -> str:
    """The passphrase that opens a key. What is typed is not shown.

    Raises `StorageError` when the environment has none and nobody can be asked.
    """
    return _asked("passphrase of the keys", twice=False)


def new_passphrase() -> str:
    """The passphrase to encrypt a key with; what is typed has to be typed twice. Raises as `passphrase`."""
    return _asked("new passphrase", twice=True)


def _asked(what: str, *, twice: bool) -> str:
    found = environment_passphrase()
    if found is not None:
        return found
    if not sys.stdin.isatty():
        msg = f"{what}: nobody can be asked, as input is no terminal; set {VARIABLE} or {VARIABLE}_FILE"
        raise StorageError(msg)
    return str(typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
