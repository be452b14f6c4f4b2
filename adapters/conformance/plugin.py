"""The hooks of the pytest plugin: one item for every check, and the grid at the end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from adapters.conformance import checks
from adapters.conformance.children import Children
from adapters.conformance.declared import Capabilities, Factory, load_factory
from adapters.conformance.grid import LEGEND, command, declared_checks, draw
from adapters.conformance.place import Check, Place, Wrong
from ledger.storage import Checkpoints, Database, ListsObjects, Objects

__all__ = [
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_configure",
    "pytest_report_header",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

_PATIENCE = 180.0
"""Seconds after which a check counts as hanging."""

_PROPERTY = "conformance"


class _Run:
    """What all items of a session share."""

    def __init__(self, store: str, seed: int) -> None:
        self.store = store
        self.seed = seed
        self.factory: Factory
        self.capabilities: Capabilities
        self.factory, self.capabilities = load_factory(store)
        self.children = Children(store)


_RUN = pytest.StashKey[_Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--store` and `--conformance-seed`."""
    group = parser.getgroup("conformance", "checks of a storage adapter")
    group.addoption("--store", metavar="PKG.MOD:FACTORY", help="the adapter: a function of a folder, or a class")
    group.addoption(
        "--conformance-seed", type=int, default=0, metavar="N", help="picks data and moments of death (default: 0)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the adapter, so that a wrong name or declaration ends the run before it begins."""
    if config.getoption("store"):
        _run(config)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name of the adapter, seed, and everything that is declared and not declared."""
    if not config.getoption("store"):
        return []
    run = _run(config)
    return [f"conformance: {run.store}, seed {run.seed}", f"declares: {run.capabilities}"]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The checks, where this package is asked for."""
    if file_path != Path(checks.__file__):
        return None
    return _Checks.from_parent(parent, path=file_path)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The grid, and a command for each check that failed."""
    reports = [
        report
        for category in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.getreports(category)
        if any(key == _PROPERTY for key, _ in getattr(report, "user_properties", []))
    ]
    if not reports:
        return
    run = _run(config)
    outcomes: dict[str, bool] = {}
    for report in reports:
        name = dict(report.user_properties)[_PROPERTY]
        outcomes[name] = outcomes.get(name, True) and report.passed
    terminalreporter.section(f"conformance of {run.store}")
    for line in (f"declares: {run.capabilities}; seed {run.seed}", "", *draw(run.capabilities, outcomes), ""):
        terminalreporter.write_line(line)
    terminalreporter.write_line(LEGEND)
    for name in sorted(name for name, passed in outcomes.items() if not passed and name != _Declared.NAME):
        terminalreporter.write_line(f"FAIL {name}, replay with\n    {command(run.store, run.seed, name)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the other processes."""
    if _RUN in session.config.stash:
        session.config.stash[_RUN].children.close()


class _Checks(pytest.File):
    """All that is declared."""

    def collect(self) -> Iterator[pytest.Item]:
        run = _run(self.config)
        yield _Declared.from_parent(self, name=_Declared.NAME)
        for check in declared_checks(run.capabilities):
            yield _Item.from_parent(self, name=check.name, check=check)


class _Item(pytest.Item):
    """One check on a fresh storage."""

    def __init__(self, *, check: Check, **others: Any) -> None:
        super().__init__(**others)
        self.check = check
        self.user_properties.append((_PROPERTY, check.name))

    def runtest(self) -> None:
        run = _run(self.config)
        # pytest itself offers its folders to functions only
        factory: pytest.TempPathFactory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001
        folder = factory.mktemp(self.check.role) / "place"
        place = Place(folder, run.factory, run.capabilities, run.seed, self.check.fault, run.children)
        with _patient(), _no_skip():
            try:
                self.check.run(place)
            finally:
                place.close()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        run = _run(self.config)
        what = (self.check.run.__doc__ or "").strip()
        replay = f"replay: {command(run.store, run.seed, self.check.name)}"
        if isinstance(excinfo.value, Wrong):
            return f"want: {what}\n{excinfo.value}\n{replay}"
        excinfo.traceback = excinfo.traceback.cut(path=self.check.run.__code__.co_filename)
        return f"want: {what}\n{super().repr_failure(excinfo, style)}\n{replay}"

    def reportinfo(self) -> tuple[Path, int, str]:
        code = self.check.run.__code__
        return Path(code.co_filename), code.co_firstlineno, self.name


class _Declared(pytest.Item):
    """What is declared is what a handle can do: no more, which would be promised, no less, which would go unchecked."""

    NAME = "declared"

    def runtest(self) -> None:
        run = _run(self.config)
        factory: pytest.TempPathFactory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001
        handle = run.factory(factory.mktemp("declared"))
        declared = run.capabilities
        try:
            found = {
                "objects": isinstance(handle, Objects) and not declared.vault,
                "lists": isinstance(handle, ListsObjects),
                "checkpoints": isinstance(handle, Checkpoints),
                "transactions": isinstance(handle, Database),
                "vault": all(hasattr(handle, verb) for verb in ("joins", "put", "get", "items", "erase")),
                "queue": all(hasattr(handle, verb) for verb in ("joining", "stage", "peek", "remove", "leading")),
            }
        finally:
            if hasattr(handle, "close"):
                handle.close()
        for role, has in found.items():
            if has != getattr(declared, role):
                does = "does what it takes, and goes unchecked" if has else "lacks what it takes"
                msg = f"{run.store}: declares {role}={not has}, but {type(handle).__name__} {does}"
                raise Wrong(msg)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return str(excinfo.value) if isinstance(excinfo.value, Wrong) else super().repr_failure(excinfo, style)


def _run(config: pytest.Config) -> _Run:
    if _RUN not in config.stash:
        store = config.getoption("store")
        if not store:
            msg = "adapters.conformance checks an adapter: name it with --store pkg.mod:factory"
            raise pytest.UsageError(msg)
        try:
            config.stash[_RUN] = _Run(store, config.getoption("conformance_seed"))
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[_RUN]


@contextmanager
def _patient() -> Iterator[None]:
    """Raise `Wrong` in the block when it takes too long."""

    def ring(_: int, __: FrameType | None) -> None:
        msg = f"no answer within {_PATIENCE:.0f} s"
        raise Wrong(msg)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _no_skip() -> Iterator[None]:
    """What is declared is not skipped: who cannot try it declares so."""
    try:
        yield
    except pytest.skip.Exception as error:
        msg = f"skipped ({error.msg}), but declared: deny it in the capabilities, or make it work"
        raise Wrong(msg) from error
