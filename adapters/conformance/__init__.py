"""Proof that an adapter is right: a pytest plugin that tries it against every fault that a storage meets.

::

    pytest -p adapters.conformance --pyargs adapters.conformance --store pkg.mod:factory

`factory(folder)` returns a handle on the storage that belongs to `folder`, a `pathlib.Path`; called again with the same
folder, by whichever process, it returns another handle on the *same* storage. Beside it, as `factory.capabilities` or
as `CAPABILITIES` of its module, stands what the adapter declares. Everything declared is checked, nothing is skipped,
and what a handle can do without declaring it is a failure too.

The result is a grid of capability x fault. `--conformance-seed` (0 unless given) picks the data and the moments at
which processes are killed; a failing cell prints the command that replays it.
"""

import os
from importlib.util import find_spec

if find_spec("pytest") is None:
    msg = "adapters.conformance needs pytest; pip install pytest"
    raise ImportError(msg)
if not hasattr(os, "fork"):
    msg = "adapters.conformance kills and forks processes: it runs where POSIX does"
    raise ImportError(msg)

from adapters.conformance.declared import Capabilities
from adapters.conformance.plugin import (
    pytest_addoption,
    pytest_collect_file,
    pytest_configure,
    pytest_report_header,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = [
    "Capabilities",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_configure",
    "pytest_report_header",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]
