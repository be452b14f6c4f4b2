"""Imports point down only, and importing has no side effects."""

from __future__ import annotations

import json
import subprocess
import sys

import grimp
import pytest

DRIVERS = {"PIL", "aiosqlite", "asyncpg", "c2pa", "jinja2", "obstore", "psycopg", "rich", "sqlite3", "typer"}
"""What an adapter or a verb loads on first use: importing us must not."""

STANDARD = sys.stdlib_module_names


def after(statement: str, expression: str) -> object:
    """What `expression` is in a fresh interpreter that ran `statement`."""
    program = f"import json, sys\nbefore = set(sys.modules)\n{statement}\nprint(json.dumps({expression}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that `statement` loads, over those of a bare start."""
    return set(after(statement, "sorted({name.split('.')[0] for name in set(sys.modules) - before})"))


def test_contracts_hold(root):
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ledger_rests_on_cryptography_alone():
    graph = grimp.build_graph("ledger", include_external_packages=True, cache_dir=None)
    foreign = {
        module: sorted(
            name
            for name in graph.find_modules_directly_imported_by(module)
            if name.split(".")[0] not in STANDARD | {"ledger", "cryptography"}
        )
        for module in graph.modules
        if module.split(".")[0] == "ledger"
    }
    foreign.pop("ledger.receipt", None)  # COSE receipts are CBOR
    assert {module: names for module, names in foreign.items() if names} == {}


def test_import_ledger_loads_cryptography_alone():
    third_party = loaded_by("import ledger") - STANDARD
    assert "cryptography" in third_party
    assert third_party <= {"ledger", "cryptography", "_cffi_backend", "_openssl"}  # the last two are its own


@pytest.mark.parametrize("package", ["ledger", "provenance", "adapters"])
def test_import_loads_no_driver(package):
    assert loaded_by(f"import {package}") & DRIVERS == set()


def test_who_only_opens_a_log_loads_no_events():
    """Schema library, SQL and the models come with the first ledger that is connected."""
    assert loaded_by("import adapters") & {"pydantic", "sqlalchemy", "provenance"} == set()


@pytest.mark.parametrize("package", ["ledger", "provenance", "adapters"])
def test_import_starts_no_thread_and_touches_no_logger(package):
    assert after(
        f"import logging, threading\nimport {package}",
        "[threading.active_count(), len(logging.root.handlers), logging.root.level]",
    ) == [1, 0, 30]


def test_import_leaves_the_hosts_metadata_alone():
    assert after("import adapters, provenance\nfrom sqlmodel import SQLModel", "list(SQLModel.metadata.tables)") == []
