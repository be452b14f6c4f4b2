"""What all tests share: the vectors, the Hypothesis profiles, and no network for the processes they start."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.servers"]  # fixtures `postgres` and `seaweed`: real servers, started when first asked for

ROOT = Path(__file__).resolve().parent.parent
MEMORY = "/dev/shm"  # files in memory, on Linux

# No deadline: a slow machine is not a bug. `make soak` picks the second profile.
settings.register_profile("default", deadline=None, print_blob=True)
settings.register_profile("soak", deadline=None, print_blob=True, max_examples=1_000)
settings.load_profile("default")


def pytest_configure() -> None:
    if "TMPDIR" not in os.environ and free_memory() >= 8 << 30:
        os.environ["TMPDIR"], tempfile.tempdir = MEMORY, None  # for us, and for the processes that tests start
    offline = str(ROOT / "tests" / "offline")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [offline, os.environ.get("PYTHONPATH")]))


def free_memory() -> int:
    """Bytes of files that fit into memory; 0 where there is no such place."""
    if not os.access(MEMORY, os.W_OK | os.X_OK):
        return 0
    available = re.search(r"MemAvailable: +([0-9]+) kB", Path("/proc/meminfo").read_text("ascii"))
    return min(shutil.disk_usage(MEMORY).free, int(available[1]) << 10 if available else 0)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Published data of other implementations: PROVENANCE_VECTORS, else ../shared/vectors beside this tree.

    They belong to others and are not copied here. Without them these tests are skipped, but never where CI is set:
    there a skipped test would look like a passed one.
    """
    folder = Path(os.environ.get("PROVENANCE_VECTORS") or ROOT.parent / "shared" / "vectors")
    if not folder.is_dir():
        message = f"no test vectors at {folder}: set PROVENANCE_VECTORS to the folder that holds them"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
