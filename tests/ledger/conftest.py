"""Stores that a log is written to: one in memory, and a database that plays every role."""

from __future__ import annotations

import pytest

from adapters.sql.store import SqlStore
from ledger.testing import MemoryStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request):
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
def database(tmp_path):
    made = SqlStore(f"sqlite:///{tmp_path / 'log.db'}", create=True)
    yield made
    made.close()
