"""The public names, and the tree of errors as the design draws it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import ledger
from ledger import errors

MODULES = sorted(f"ledger.{module.name}" for module in pkgutil.iter_modules(ledger.__path__))

TREE = {
    "LedgerError": Exception,
    "MalformedError": (errors.LedgerError, ValueError),
    "VerificationError": errors.LedgerError,
    "InvalidSignature": errors.VerificationError,
    "UnknownKey": errors.VerificationError,
    "QuorumNotMet": errors.VerificationError,
    "ProofMismatch": errors.VerificationError,
    "TileMismatch": errors.VerificationError,
    "Fork": errors.VerificationError,
    "StorageError": errors.LedgerError,
    "NotFound": errors.StorageError,
    "Conflict": errors.StorageError,
    "Unavailable": errors.StorageError,
    "Rollback": errors.LedgerError,
    "Overloaded": errors.LedgerError,
}


def test_the_tree_of_errors():
    classes = {n: c for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, Exception)}
    assert set(classes) == set(TREE) == set(errors.__all__)
    for name, bases in TREE.items():
        assert classes[name].__bases__ == (bases if isinstance(bases, tuple) else (bases,))
        assert classes[name].__doc__
        assert name in errors.__doc__
        assert getattr(ledger, name) is classes[name]


def test_errors_say_where_to_machines_too():
    assert errors.TileMismatch("x", path="tile/0/000", offset=7).offset == 7
    assert errors.NotFound("x", path="checkpoint").path == "checkpoint"
    assert isinstance(errors.MalformedError("x"), ValueError)


def test_all_is_complete():
    """What the package shows is what it lists, and every listed name of a module is there and documented."""
    public = {
        name
        for name, value in vars(ledger).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public | {"fsck", "refill"} == set(ledger.__all__)
    assert list(ledger.__all__) == sorted(ledger.__all__)
    assert callable(ledger.fsck)
    assert callable(ledger.refill)


@pytest.mark.parametrize("name", MODULES)
def test_modules_list_what_they_define(name):
    module = importlib.import_module(name)
    assert module.__doc__
    listed = set(module.__all__)
    assert len(listed) == len(module.__all__)
    for entry in listed:
        value = getattr(module, entry)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{name}.{entry}"


def test_import_loads_no_database_and_no_driver():
    program = (
        "import sys, ledger;"
        "print([m for m in ('sqlalchemy', 'sqlmodel', 'sqlite3', 'pydantic', 'cbor2', 'urllib.request') "
        "if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ledger_root())
    assert out.stdout.strip() == "[]"


def ledger_root() -> str:
    return str(importlib.resources.files("ledger").joinpath("..").resolve())  # type: ignore[attr-defined]
